//! Phrases of many texts, counted.
//!
//! It must not know where texts come from. Invariant: a text counts once for a phrase, however often it has it.

use std::collections::BTreeMap;

use super::extraction::Phrase;

/// Characters of an example.
const EXAMPLE: usize = 200;

/// A phrase in all texts.
#[derive(Debug, Clone, PartialEq)]
pub struct CountedPhrase {
    /// In lower case, with single spaces.
    pub phrase: String,
    /// Texts that have it.
    pub texts: u64,
    /// Mean of what it contributes to those texts.
    pub contribution: f64,
    /// The sentence in which it contributes the most, by amount.
    pub example: String,
}

/// Counts phrases.
#[derive(Debug, Default)]
pub struct PhraseTally {
    /// By phrase, and whether it raises or lowers.
    phrases: BTreeMap<(String, bool), Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    texts: u64,
    sum: f64,
    most: f64,
    example: String,
}

impl PhraseTally {
    /// Counts the phrases of a text.
    pub fn add(&mut self, text: &str, phrases: &[Phrase]) {
        let mut own: BTreeMap<(&str, bool), (f64, &str)> = BTreeMap::new();
        for phrase in phrases {
            let key = (phrase.folded.as_str(), phrase.contribution > 0.0);
            own.entry(key).or_insert((0.0, &phrase.written)).0 += phrase.contribution;
        }
        for ((folded, raises), (contribution, written)) in own {
            let entry = self.phrases.entry((folded.to_owned(), raises)).or_default();
            entry.texts += 1;
            entry.sum += contribution;
            let example = || example(text, written);
            // Of equal ones the first by its letters, so that the order of texts doesn't matter.
            if contribution.abs() > entry.most
                || (contribution.abs() >= entry.most && example() < entry.example)
            {
                entry.most = contribution.abs();
                entry.example = example();
            }
        }
    }

    /// Those that raise, or lower, the most in all: at most so many, of at least so many texts.
    pub fn strongest(&self, raising: bool, most: usize, least_texts: u64) -> Vec<CountedPhrase> {
        let own = self
            .phrases
            .iter()
            .filter(|((_, raises), entry)| *raises == raising && entry.texts >= least_texts);
        let mut own: Vec<_> = own.collect();
        own.sort_by(|((one, _), first), ((other, _), second)| {
            second.sum.abs().total_cmp(&first.sum.abs()).then_with(|| one.cmp(other))
        });
        let counted = |((phrase, _), entry): (&(String, bool), &Entry)| CountedPhrase {
            phrase: phrase.clone(),
            texts: entry.texts,
            contribution: entry.sum / entry.texts as f64,
            example: entry.example.clone(),
        };
        own.into_iter().take(most).map(counted).collect()
    }
}

/// The sentence of a text that has this in it, or its beginning, or the part around it if it is long.
fn example(text: &str, written: &str) -> String {
    let spaced = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(at) = spaced.find(written) else { return spaced.chars().take(EXAMPLE).collect() };
    let is_end = |c: char| matches!(c, '.' | '!' | '?' | '。' | '！' | '？');
    // Places behind signs that may end a sentence. A full stop within a number or a name ends none.
    let ends = |part: std::ops::Range<usize>| {
        let signs = spaced[part.clone()].char_indices().filter(|(_, c)| is_end(*c));
        signs.map(move |(place, c)| part.start + place + c.len_utf8())
    };
    let is_end_of_sentence = |&place: &usize| {
        place == spaced.len() || spaced[place..].starts_with(' ') || !spaced[..place].ends_with('.')
    };
    let behind = at + written.len();
    let start = ends(0..at).rfind(is_end_of_sentence).unwrap_or(0);
    let end = ends(behind..spaced.len()).find(is_end_of_sentence).unwrap_or(spaced.len());
    let sentence = spaced[start..end].trim();
    if sentence.chars().count() <= EXAMPLE {
        return sentence.to_owned();
    }
    let room = EXAMPLE.saturating_sub(written.chars().count()) / 2;
    let skipped = spaced[start..at].chars().count().saturating_sub(room);
    let part: String = spaced[start..end].chars().skip(skipped).take(EXAMPLE).collect();
    format!("{}{}…", if skipped > 0 { "…" } else { "" }, part.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(written: &str, contribution: f64) -> Phrase {
        Phrase { written: written.to_owned(), folded: written.to_lowercase(), contribution }
    }

    #[test]
    fn texts_are_counted_once_and_the_order_does_not_matter() {
        let texts = [
            ("Broke after a week. Broke again!", vec![phrase("Broke", -0.5), phrase("Broke", -0.3)]),
            ("It broke", vec![phrase("broke", -0.4)]),
            (
                "Nice. Costs 3.50 or so, it broke though. Fine",
                vec![phrase("broke", -0.9), phrase("Nice", 0.2)],
            ),
        ];
        let tally = |order: [usize; 3]| {
            let mut tally = PhraseTally::default();
            order.iter().for_each(|&text| tally.add(texts[text].0, &texts[text].1));
            (tally.strongest(false, 5, 1), tally.strongest(true, 5, 2))
        };
        let (negative, positive) = tally([0, 1, 2]);
        let [broke] = negative.as_slice() else { panic!("{negative:?}") };
        assert_eq!((broke.phrase.as_str(), broke.texts), ("broke", 3));
        assert!((broke.contribution + 0.7).abs() < 1e-9);
        assert_eq!(broke.example, "Costs 3.50 or so, it broke though.");
        assert!(positive.is_empty());
        assert_eq!(tally([2, 0, 1]).0, negative);
    }

    #[test]
    fn a_long_sentence_is_cut_around_the_phrase() {
        let text = "so ".repeat(200) + "Very Bad " + &"and on ".repeat(200);
        let found = example(&text, "Very Bad");
        assert!(found.chars().count() <= EXAMPLE + 2 && found.contains("Very Bad"), "{found}");
        assert!(found.starts_with('…') && found.ends_with('…'));
    }
}
