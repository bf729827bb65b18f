//! Sentences cut where another aspect, or a contrast, begins.
//!
//! A sentence has pieces, which end before a comma, a word like "and" or one like "but". Behind "but" a clause begins. Before the
//! others one begins only if both sides say something of their own: "great price, slow delivery" is two, "price and delivery are
//! great" is one. Invariant: every word of a sentence is in one clause, and no term is cut.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::vocabulary::Hit;
use crate::words::Word;

/// Words of a side that says something by itself although it names no aspect.
const LONG: usize = 5;

/// Words behind which something is set against what was said before.
const CONTRAST: &[&[&str]] = &[
    &["but"],
    &["although"],
    &["though"],
    &["however"],
    &["yet"],
    &["whereas"],
    &["while"],
    &["except"],
    &["unfortunately"],
    &["nevertheless"],
    &["nonetheless"],
    &["despite"],
    &["但"],
    &["不", "过"],
    &["可", "是"],
    &["然", "而"],
    &["只", "是"],
    &["就", "是"],
    &["却"],
];

/// Words before "but" that make it no contrast.
const ALL_BUT: &[&str] = &["all", "anything", "cannot", "nothing"];

/// Words that go on with what was said.
const ADDITION: &[&[&str]] =
    &[&["and"], &["plus"], &["also"], &["as", "well", "as"], &["而", "且"], &["并", "且"]];

/// Words that speak of what was named before them.
const BACKWARD: &[&str] = &[
    "it", "it's", "its", "that", "they", "they're", "this", "these", "those", "which", "who", "whose",
    "where", "than", "so", "because",
];

/// Words that judge nothing.
const EMPTY: &[&str] = &[
    "a", "all", "also", "an", "and", "are", "as", "at", "be", "both", "by", "for", "from", "had", "has",
    "have", "i", "in", "is", "it", "its", "me", "my", "of", "on", "or", "our", "plus", "so", "such", "that",
    "the", "their", "them", "there", "these", "they", "this", "those", "to", "was", "we", "well", "were",
    "with", "you", "your", "的", "是", "和", "与", "也", "及", "跟", "了",
];

/// What parts two pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Boundary {
    /// A word like "but".
    Contrast,
    Comma,
    /// A word like "and".
    Addition,
}

/// The clauses of a sentence, as ranges of its words.
pub fn clauses(sentence: &str, words: &[Word<'_>], hits: &[Hit]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut begun: Option<Side> = None;
    for (range, boundary) in pieces(sentence, words, hits) {
        let piece = Side::new(words, hits, range);
        begun = Some(match begun {
            None => piece,
            Some(before) if boundary == Boundary::Contrast || parted(&before, &piece, boundary, words) => {
                found.push(before.range);
                piece
            }
            Some(before) => before.with(piece),
        });
    }
    found.extend(begun.map(|side| side.range));
    found
}

/// What is known of a piece, or of several in a row.
struct Side {
    range: Range<usize>,
    aspects: BTreeSet<usize>,
    /// Whether there is a word that may judge an aspect, beside those that name one.
    judges: bool,
}

impl Side {
    fn new(words: &[Word<'_>], hits: &[Hit], range: Range<usize>) -> Self {
        let inside: Vec<&Hit> = hits.iter().filter(|hit| range.contains(&hit.first)).collect();
        let covered =
            |place: usize| inside.iter().any(|hit| (hit.first..hit.first + hit.count).contains(&place));
        let judges = range.clone().any(|place| {
            words.get(place).is_some_and(|word| !EMPTY.contains(&word.folded.as_ref())) && !covered(place)
        });
        let judges = judges || inside.iter().any(|hit| hit.judges);
        let aspects = inside.iter().flat_map(|hit| hit.aspects.iter().copied()).collect();
        Self { range, aspects, judges }
    }

    fn with(mut self, next: Self) -> Self {
        self.range.end = next.range.end;
        self.aspects.extend(next.aspects);
        self.judges |= next.judges;
        self
    }
}

/// Whether a clause begins between two sides.
fn parted(before: &Side, behind: &Side, boundary: Boundary, words: &[Word<'_>]) -> bool {
    match (before.aspects.is_empty(), behind.aspects.is_empty()) {
        (false, false) => before.judges && behind.judges && before.aspects != behind.aspects,
        _ if boundary == Boundary::Addition => false,
        (true, false) => before.range.len() >= LONG,
        _ => behind.range.len() >= LONG && !goes_back(words, behind.range.start),
    }
}

/// Whether what begins at a word is about what was named before.
fn goes_back(words: &[Word<'_>], first: usize) -> bool {
    words.get(first).is_some_and(|word| BACKWARD.contains(&word.folded.as_ref()))
}

/// The pieces of a sentence, each with what parts it from the one before it.
fn pieces(sentence: &str, words: &[Word<'_>], hits: &[Hit]) -> Vec<(Range<usize>, Boundary)> {
    let mut found: Vec<(Range<usize>, Boundary)> = Vec::new();
    let mut begin = (0, Boundary::Comma);
    let mut covered = hits.iter().peekable();
    for place in 1..words.len() {
        while covered.peek().is_some_and(|hit| hit.first + hit.count <= place) {
            covered.next();
        }
        // A term such as "look and feel" stays whole.
        if covered.peek().is_some_and(|hit| hit.first < place) {
            continue;
        }
        if let Some(boundary) = boundary(sentence, words, place) {
            found.push((begin.0..place, begin.1));
            begin = (place, boundary);
        }
    }
    if begin.0 < words.len() {
        found.push((begin.0..words.len(), begin.1));
    }
    found
}

/// What parts a word from the one before it.
fn boundary(sentence: &str, words: &[Word<'_>], place: usize) -> Option<Boundary> {
    let behind = words.get(place..)?;
    let (before, word) = (words.get(place.checked_sub(1)?)?, behind.first()?);
    let starts = |phrases: &[&[&str]]| {
        phrases.iter().any(|phrase| {
            phrase.len() < behind.len() && phrase.iter().zip(behind).all(|(own, word)| *own == word.folded)
        })
    };
    if starts(CONTRAST) && behind.len() > 2 && !ALL_BUT.contains(&before.folded.as_ref()) {
        return Some(Boundary::Contrast);
    }
    let between = sentence.get(before.bytes.end..word.bytes.start)?;
    let digits = |word: &Word<'_>| word.folded.chars().all(|one| one.is_ascii_digit());
    let in_number = between.len() == 1 && digits(before) && digits(word);
    if !in_number && between.chars().any(is_comma) || between.contains(" - ") || between.contains("--") {
        return Some(Boundary::Comma);
    }
    starts(ADDITION).then_some(Boundary::Addition)
}

fn is_comma(character: char) -> bool {
    matches!(character, ',' | '，' | '、' | ':' | '：' | '(' | ')' | '（' | '）' | '–' | '—' | '~' | '～')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexicon::VOCABULARY;
    use crate::words::words;

    fn cut(sentence: &str) -> Vec<String> {
        let words = words(sentence);
        let hits = VOCABULARY.find(&words);
        let text = |range: Range<usize>| {
            sentence[words[range.start].bytes.start..words[range.end - 1].bytes.end].to_owned()
        };
        clauses(sentence, &words, &hits).into_iter().map(text).collect()
    }

    #[test]
    fn a_contrast_begins_a_clause() {
        assert_eq!(
            cut("The fabric is lovely but it arrived late"),
            ["The fabric is lovely", "but it arrived late"]
        );
        assert_eq!(cut("质量很好，但是物流太慢了"), ["质量很好", "但是物流太慢了"]);
        assert_eq!(cut("nothing but praise for the price"), ["nothing but praise for the price"]);
        assert_eq!(cut("I have not tried it yet"), ["I have not tried it yet"]);
    }

    #[test]
    fn lists_are_cut_where_each_part_says_something() {
        assert_eq!(
            cut("Great quality, fast delivery and a fair price"),
            ["Great quality", "fast delivery", "and a fair price"]
        );
        assert_eq!(cut("Price, taste and look are great"), ["Price, taste and look are great"]);
        assert_eq!(cut("Great price, quality, service"), ["Great price, quality, service"]);
        assert_eq!(cut("价格便宜、物流很快、包装差"), ["价格便宜", "物流很快", "包装差"]);
    }

    #[test]
    fn what_goes_on_about_an_aspect_stays_with_it() {
        assert_eq!(
            cut("As for the delivery, it was a total disaster"),
            ["As for the delivery, it was a total disaster"]
        );
        assert_eq!(cut("However, the price is fine"), ["However, the price is fine"]);
        assert_eq!(
            cut("The size is fine, I just hate nearly everything else"),
            ["The size is fine", "I just hate nearly everything else"]
        );
        assert_eq!(cut("it cost 1,200 dollars"), ["it cost 1,200 dollars"]);
    }

    #[test]
    fn a_sentence_may_have_no_words_or_no_signs() {
        assert_eq!(cut("😍😍"), [""; 0]);
        let found = cut("i love the color and the shipping was quick and my wife says the price is ok");
        assert_eq!(
            found,
            ["i love the color", "and the shipping was quick", "and my wife says the price is ok"]
        );
    }
}
