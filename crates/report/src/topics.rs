//! What reviews are about, by their words.
//!
//! It must not know what is said of a topic. Invariant: a text is about a topic if a word of the topic is a word of the text, or if
//! one that ends with an asterisk begins a word of it, whatever the case.

use std::collections::HashMap;

/// Most topics: a bit each.
pub const MOST_TOPICS: usize = 64;

/// What shops are reviewed for, in English.
const OF_SHOPS: [(&str, &str); 8] = [
    ("delivery", "deliver* shipping shipped shipment* arrive* courier postage parcel* late delay*"),
    ("packaging", "packag* box boxes boxed wrapped wrapping bag bags bottle* lid lids seal sealed crushed"),
    (
        "price",
        "price* pricey pricing cheap cheaper cheapest expensive cost costs money value worth overpriced bargain",
    ),
    (
        "quality",
        "quality broke broken breaks break durable flimsy sturdy defect* fell ripped tore torn leak* poorly material* fabric*",
    ),
    (
        "service",
        "service support refund* return returned returns replacement* exchange warranty seller vendor customer",
    ),
    ("size", "size sizes sized sizing small smaller large larger fit fits fitting tight loose tiny huge"),
    ("look", "look looks looked looking color* colour* style* design* beautiful pretty ugly photo* picture*"),
    ("taste", "taste* tasty flavor* flavour* delicious bitter sweet salty stale bland fresh smell* aroma"),
];

/// Words that tell topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    names: Vec<String>,
    /// Topics of whole words.
    words: HashMap<String, u64>,
    /// Topics of beginnings of words.
    beginnings: HashMap<String, u64>,
    /// Characters of the shortest and the longest beginning.
    lengths: (usize, usize),
}

impl Default for Topics {
    /// Those of shops.
    fn default() -> Self {
        let words = |words: &str| words.split(' ').map(str::to_owned).collect();
        Self::new(OF_SHOPS.iter().map(|(name, list)| ((*name).to_owned(), words(list))))
    }
}

impl Topics {
    /// Topics by name, each with its words; those beyond [`MOST_TOPICS`] are left out.
    pub fn new(topics: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let mut made = Self {
            names: Vec::new(),
            words: HashMap::new(),
            beginnings: HashMap::new(),
            lengths: (usize::MAX, 0),
        };
        for (at, (name, words)) in topics.into_iter().take(MOST_TOPICS).enumerate() {
            made.names.push(name);
            for word in words {
                let folded = word.to_lowercase();
                let (map, key) = match folded.strip_suffix('*') {
                    Some(beginning) => (&mut made.beginnings, beginning.to_owned()),
                    None => (&mut made.words, folded),
                };
                *map.entry(key).or_default() |= 1 << at;
            }
        }
        let lengths = made.beginnings.keys().map(|key| key.chars().count());
        made.lengths =
            lengths.fold(made.lengths, |(least, most), length| (least.min(length), most.max(length)));
        made
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What a text is about, a bit each.
    pub fn of(&self, text: &str) -> u64 {
        words(text).map(|word| self.of_word(&word)).fold(0, |all, one| all | one)
    }

    fn of_word(&self, word: &str) -> u64 {
        let whole = self.words.get(word).copied().unwrap_or_default();
        let ends = word.char_indices().map(|(at, one)| at + one.len_utf8());
        let (least, most) = self.lengths;
        let beginnings = ends.enumerate().skip(least.saturating_sub(1)).take_while(|(at, _)| at < &most);
        beginnings
            .filter_map(|(_, end)| self.beginnings.get(word.get(..end)?))
            .fold(whole, |all, one| all | one)
    }
}

/// The words of a text in lower case: letters and digits, apostrophes between them.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|one: char| !(one.is_alphanumeric() || matches!(one, '\'' | '’')))
        .map(|word| word.trim_matches(['\'', '’']))
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('’', "'").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_by_words_and_beginnings() {
        let topics = Topics::default();
        let names = |text: &str| {
            let bits = topics.of(text);
            let names = topics.names().iter().enumerate();
            names
                .filter(|(at, _)| bits & 1 << at != 0)
                .map(|(_, name)| name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(names("DELIVERED late, and the box was crushed!"), "delivery packaging");
        assert_eq!(names("Not worth the money"), "price");
        assert_eq!(names("A lamp. 灯"), "");
        let own = Topics::new([("Ärger".to_owned(), vec!["ärger*".to_owned(), "Lärm".to_owned()])]);
        assert_eq!((own.of("Ärgerlich"), own.of("lärm"), own.of("lärmig"), own.of("är")), (1, 1, 0, 0));
        assert_eq!(Topics::new([]).of("anything"), 0);
    }
}
