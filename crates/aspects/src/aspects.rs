//! The aspects that are asked for, and the clauses that speak of them.
//!
//! Invariant: where clauses begin depends on the text and on the words of the aspects, not on their order.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::clauses::clauses;
use crate::lexicon::{LEXICON, VOCABULARY};
use crate::sentences::sentences;
use crate::vocabulary::Vocabulary;
use crate::words::{Word, words};

/// Most aspects that can be asked for.
pub const MOST: usize = 100;

/// Aspects.
#[derive(Debug)]
pub struct Aspects {
    names: Vec<String>,
    /// None: those of shops.
    own: Option<Vocabulary>,
}

/// Why names are no aspects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// There are none, or more than [`MOST`].
    Count,
    /// One has no letter or digit, or a list without one.
    NoWords,
    /// Two are called the same but for case.
    Twice,
}

/// A clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause<'a> {
    /// Without the spaces and commas around it.
    pub text: &'a str,
    /// Characters of the text before it.
    pub start: usize,
    /// Number of its characters.
    pub length: usize,
    /// The sentence that it stands in, without what stands around it.
    pub sentence: &'a str,
    /// What it names, as places in [`Aspects::names`].
    pub aspects: BTreeSet<usize>,
}

impl Aspects {
    /// Those of shops.
    pub fn of_shops() -> Self {
        let names = LEXICON.aspects.iter().map(|aspect| aspect.name.to_owned()).collect();
        Self { names, own: None }
    }

    /// A caller's: a word or a phrase each, or a name, a colon, and words and phrases parted by commas, as in
    /// `fit: fits, too tight, runs small*`. One that is called as one of shops is that aspect, under the caller's name.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn named(listed: &[String]) -> Result<Self, Invalid> {
        if listed.is_empty() || listed.len() > MOST {
            return Err(Invalid::Count);
        }
        let mut vocabulary = Vocabulary::default();
        let (mut names, mut folded) = (Vec::new(), BTreeSet::new());
        let mut of_shops = false;
        for (place, aspect) in listed.iter().enumerate() {
            let (name, terms) = aspect
                .split_once([':', '：'])
                .map_or((aspect.as_str(), None), |(name, list)| (name, Some(list)));
            let name = name.trim();
            if let Some(known) = LEXICON.named(name).filter(|_| terms.is_none()) {
                known.add_terms(&mut vocabulary, place);
                of_shops = true;
            }
            let terms = terms.into_iter().flat_map(|list| list.split([',', '，', '、']));
            for term in std::iter::once(name).chain(terms) {
                if !vocabulary.add(term.trim(), Some(place), false) {
                    return Err(Invalid::NoWords);
                }
            }
            if !folded.insert(name.to_lowercase()) {
                return Err(Invalid::Twice);
            }
            names.push(name.to_owned());
        }
        if of_shops {
            LEXICON.add_lookalikes(&mut vocabulary);
        }
        Ok(Self { names, own: Some(vocabulary) })
    }

    /// A caller's, by name, each with its terms alone; the name is none. A term is a word or a phrase, and ends with `*` if it is how words begin. One
    /// without a letter or a digit is passed over.
    pub fn of_terms(listed: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let mut vocabulary = Vocabulary::default();
        let mut names = Vec::new();
        for (place, (name, terms)) in listed.into_iter().enumerate() {
            for term in terms {
                vocabulary.add(term.trim(), Some(place), false);
            }
            names.push(name);
        }
        Self { names, own: Some(vocabulary) }
    }

    /// What they are called.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All clauses of a text, those too that name no aspect.
    pub fn clauses<'a>(&self, text: &'a str) -> Vec<Clause<'a>> {
        let mut found = Vec::new();
        let mut position = Position { text, bytes: 0, characters: 0 };
        let mut start = 0;
        for sentence in sentences(text) {
            self.add_clauses(sentence, start, &mut position, &mut found);
            start += sentence.len();
        }
        found
    }

    fn add_clauses<'a>(
        &self,
        sentence: &'a str,
        start: usize,
        position: &mut Position<'_>,
        found: &mut Vec<Clause<'a>>,
    ) {
        let words = words(sentence);
        let shops = VOCABULARY.find(&words);
        let own = self.own.as_ref().map(|vocabulary| vocabulary.find(&words));
        let mut hits = shops.clone();
        if let Some(own) = &own {
            let numbered = LEXICON.aspects.len();
            hits.extend(own.iter().cloned().map(|mut hit| {
                hit.aspects.iter_mut().for_each(|aspect| *aspect += numbered);
                hit
            }));
            hits.sort_by_key(|hit| hit.first);
        }
        let ranges = clauses(sentence, &words, &hits);
        for (number, range) in ranges.iter().enumerate() {
            let begin = if number == 0 { 0 } else { begin(&words, range) };
            let end =
                ranges.get(number + 1).map_or(sentence.len(), |next| begin_of(&words, next, sentence.len()));
            let whole = sentence.get(begin..end).unwrap_or_default();
            let (skipped, text) = trimmed(whole);
            let offset = start + begin + skipped;
            let named = own.as_ref().unwrap_or(&shops).iter().filter(|hit| range.contains(&hit.first));
            found.push(Clause {
                text,
                start: position.characters_before(offset),
                length: text.chars().count(),
                sentence: trimmed(sentence).1,
                aspects: named.flat_map(|hit| hit.aspects.iter().copied()).collect(),
            });
        }
    }
}

/// Where the first of some words begins.
fn begin(words: &[Word<'_>], range: &Range<usize>) -> usize {
    begin_of(words, range, 0)
}

fn begin_of(words: &[Word<'_>], range: &Range<usize>, otherwise: usize) -> usize {
    words.get(range.start).map_or(otherwise, |word| word.bytes.start)
}

/// A clause without what stands around it, tags of HTML included, and how many bytes that is in front of it.
fn trimmed(clause: &str) -> (usize, &str) {
    let mut rest = clause.trim_start_matches(is_margin);
    while let Some((_, behind)) =
        rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).filter(|(tag, _)| is_tag(tag))
    {
        rest = behind.trim_start_matches(is_margin);
    }
    let skipped = clause.len() - rest.len();
    rest = rest.trim_end_matches(is_end_margin);
    while let Some((before, _)) =
        rest.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')).filter(|(_, tag)| is_tag(tag))
    {
        rest = before.trim_end_matches(is_end_margin);
    }
    (skipped, rest)
}

/// Whether this is what stands between the signs of a tag of HTML.
fn is_tag(text: &str) -> bool {
    let name = text.trim_start_matches('/').trim_end_matches([' ', '/']);
    !name.is_empty() && name.len() <= 6 && name.chars().all(|one| one.is_ascii_alphanumeric())
}

/// What a clause doesn't end with.
fn is_end_margin(character: char) -> bool {
    is_margin(character) || matches!(character, '(' | '（' | '"' | '“' | '[')
}

/// What stands between clauses and belongs to none.
fn is_margin(character: char) -> bool {
    character.is_whitespace() || matches!(character, ',' | '，' | '、' | ':' | '：' | '-' | '–' | '—' | '\0')
}

/// Characters of a text, counted once.
struct Position<'a> {
    text: &'a str,
    bytes: usize,
    characters: usize,
}

impl Position<'_> {
    /// Characters before a byte that is not before the last one that was asked for.
    fn characters_before(&mut self, byte: usize) -> usize {
        self.characters += self.text.get(self.bytes..byte).map_or(0, |part| part.chars().count());
        self.bytes = byte.max(self.bytes);
        self.characters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clauses with the names of their aspects; checks that they are where they say.
    fn found(aspects: &Aspects, text: &str) -> Vec<(String, Vec<String>)> {
        let clauses = aspects.clauses(text);
        let mut end = 0;
        for clause in &clauses {
            let there: String = text.chars().skip(clause.start).take(clause.length).collect();
            assert_eq!(there, clause.text);
            assert!(clause.start >= end && clause.sentence.contains(clause.text));
            end = clause.start + clause.length;
        }
        let names = |clause: &Clause<'_>| {
            clause.aspects.iter().map(|place| aspects.names()[*place].clone()).collect()
        };
        clauses.iter().map(|clause| (clause.text.to_owned(), names(clause))).collect()
    }

    fn of_shops(text: &str) -> Vec<(String, Vec<String>)> {
        found(&Aspects::of_shops(), text).into_iter().filter(|(_, aspects)| !aspects.is_empty()).collect()
    }

    fn row(text: &str, aspects: &[&str]) -> (String, Vec<String>) {
        (text.to_owned(), aspects.iter().map(|&aspect| aspect.to_owned()).collect())
    }

    #[test]
    fn aspects_are_found_where_they_are_spoken_of() {
        assert_eq!(
            of_shops(
                "Love the color 😍, but it runs small. Took 3 weeks to arrive! See https://price.example/quality"
            ),
            [
                row("Love the color 😍", &["look"]),
                row("but it runs small.", &["size"]),
                row("Took 3 weeks to arrive!", &["delivery"])
            ]
        );
        assert_eq!(
            of_shops("这件衣服质量很好，但是物流太慢了。客服态度差！"),
            [
                row("这件衣服质量很好", &["quality"]),
                row("但是物流太慢了。", &["delivery"]),
                row("客服态度差！", &["service"])
            ]
        );
        assert_eq!(
            of_shops("Pros:<br /><br />- cheap, <b>soft</b><br />Cons: ugly"),
            [row("cheap", &["price"]), row("soft", &["comfort"]), row("Cons: ugly", &["look"])]
        );
        let all = "Price, taste and packaging are all terrible";
        assert_eq!(of_shops(all), [row(all, &["price", "packaging", "taste"])]);
        assert_eq!(of_shops("See https://shop.example/price?size=3 or write to service@shop.example"), []);
        assert_eq!(of_shops("My husband bought it for me."), []);
        assert_eq!(of_shops(""), []);
    }

    #[test]
    fn own_aspects_are_words_or_phrases() {
        let aspects = named(&["Battery life", "shipping", " zipper : stuck, pull tab*"]).unwrap();
        assert_eq!(aspects.names(), ["Battery life", "shipping", "zipper"]);
        assert_eq!(
            found(
                &aspects,
                "The zippers broke; got stuck. the battery life is great and it arrived on time. I like it."
            ),
            [
                row("The zippers broke;", &["zipper"]),
                row("got stuck.", &["zipper"]),
                row("the battery life is great", &["Battery life"]),
                row("and it arrived on time.", &["shipping"]),
                row("I like it.", &[]),
            ]
        );
    }

    #[test]
    fn terms_by_name_are_all_that_speaks_of_them() {
        let terms = |terms: &[&str]| terms.iter().map(|&one| one.to_owned()).collect();
        let aspects = Aspects::of_terms([
            ("Ärger".to_owned(), terms(&["leak*", "fell apart"])),
            ("nothing".to_owned(), terms(&["*"])),
            ("水".to_owned(), terms(&["漏水"])),
        ]);
        assert_eq!(
            found(&aspects, "Ärger! It leaked, it fell apart. Nothing else. 杯子漏水了。"),
            [
                row("Ärger!", &[]),
                row("It leaked", &["Ärger"]),
                row("it fell apart.", &["Ärger"]),
                row("Nothing else.", &[]),
                row("杯子漏水了。", &["水"]),
            ]
        );
    }

    #[test]
    fn names_without_words_and_names_that_come_twice_are_refused() {
        assert_eq!(named(&[]).err(), Some(Invalid::Count));
        assert_eq!(named(&["a"; MOST + 1]).err(), Some(Invalid::Count));
        for blank in ["", "  ", "👍", "price: ,", ": price"] {
            assert_eq!(named(&[blank]).err(), Some(Invalid::NoWords), "{blank}");
        }
        assert_eq!(named(&["Price", "price "]).err(), Some(Invalid::Twice));
        assert!(named(&["价格", "looking for"]).is_ok());
    }

    fn named(listed: &[&str]) -> Result<Aspects, Invalid> {
        Aspects::named(&listed.iter().map(|&one| one.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_long_text_is_read_in_time_that_grows_with_its_length() {
        let text =
            "The price is fair, 质量也好 but shipping was slow and i really wanted more of it ".repeat(1200);
        assert!(text.len() > 100_000);
        assert!(of_shops(&text).len() >= 3000);
        let one_word = "a".repeat(100_000);
        assert_eq!(of_shops(&one_word), []);
        assert_eq!(of_shops(&",".repeat(100_000)), []);
    }
}
