//! Terms that speak of aspects, found in words.
//!
//! A term is one word or several in a row; its last one may be a stem with `*`. Invariant: of the terms that begin at the same word
//! the longest one counts, and what it covers is covered by no other.

use std::collections::HashMap;

use crate::words::{Word, words};

/// A place that speaks of aspects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its first word.
    pub first: usize,
    /// How many words it has.
    pub count: usize,
    /// What it speaks of, in order.
    pub aspects: Vec<usize>,
    /// Whether it also says something of that.
    pub judges: bool,
}

/// Terms by their first word.
#[derive(Debug, Default)]
pub struct Vocabulary {
    by_word: HashMap<String, Vec<Term>>,
    by_stem: HashMap<String, Vec<Term>>,
}

#[derive(Debug)]
struct Term {
    /// The words behind the first one.
    rest: Vec<Part>,
    /// None: it only looks like one.
    aspect: Option<usize>,
    judges: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Word(String),
    Stem(String),
}

impl Part {
    fn is(&self, word: &str) -> bool {
        match self {
            Part::Word(own) => own == singular(word),
            Part::Stem(stem) => word.starts_with(stem.as_str()),
        }
    }
}

impl Vocabulary {
    /// Adds a term of an aspect, or one that only looks like an aspect's; it may say something of the aspect too. Returns whether it
    /// has a word.
    pub fn add(&mut self, term: &str, aspect: Option<usize>, judges: bool) -> bool {
        let (term, is_stem) = term.strip_suffix('*').map_or((term, false), |term| (term, true));
        let words = words(term);
        let mut parts: Vec<Part> =
            words.iter().map(|word| Part::Word(singular(&word.folded).to_owned())).collect();
        if let (true, Some(last), Some(part)) = (is_stem, words.last(), parts.last_mut()) {
            *part = Part::Stem(last.folded.clone().into_owned());
        }
        let mut parts = parts.into_iter();
        let (terms, first) = match parts.next() {
            None => return false,
            Some(Part::Word(word)) => (&mut self.by_word, word),
            Some(Part::Stem(stem)) => (&mut self.by_stem, stem),
        };
        terms.entry(first).or_default().push(Term { rest: parts.collect(), aspect, judges });
        true
    }

    /// All places, in their order.
    pub fn find(&self, words: &[Word<'_>]) -> Vec<Hit> {
        let mut found = Vec::new();
        let mut first = 0;
        while first < words.len() {
            let hit = self.at(words, first);
            first += hit.as_ref().map_or(1, |hit| hit.count);
            found.extend(hit.filter(|hit| !hit.aspects.is_empty()));
        }
        found
    }

    /// The longest terms that begin at a word.
    fn at(&self, words: &[Word<'_>], first: usize) -> Option<Hit> {
        let word = words.get(first)?.folded.as_ref();
        let behind = words.get(first + 1..)?;
        let stems = word.char_indices().map(|(place, one)| place + one.len_utf8());
        let stems = stems.filter_map(|end| self.by_stem.get(word.get(..end)?));
        let terms = self.by_word.get(singular(word)).into_iter().chain(stems).flatten();
        let fits = |term: &&Term| {
            term.rest.len() <= behind.len()
                && term.rest.iter().zip(behind).all(|(part, word)| part.is(&word.folded))
        };
        let fitting: Vec<&Term> = terms.filter(fits).collect();
        let longest = fitting.iter().map(|term| term.rest.len()).max()?;
        // What is a thing as well, like "look" beside "looks", says nothing by itself.
        let mut hit = Hit { first, count: 1 + longest, aspects: Vec::new(), judges: true };
        for term in fitting.into_iter().filter(|term| term.rest.len() == longest) {
            hit.aspects.extend(term.aspect);
            hit.judges &= term.judges;
        }
        hit.aspects.sort_unstable();
        hit.aspects.dedup();
        Some(hit)
    }
}

/// A word without the ending of a plural, near enough to compare words: both are cut in the same way.
fn singular(word: &str) -> &str {
    if word.len() <= 3 || !word.is_ascii() || word.ends_with("ss") || word.ends_with("us") {
        return word;
    }
    ["'s", "ches", "shes", "xes", "sses", "s"]
        .iter()
        .find_map(|ending| {
            let cut = if *ending == "'s" || *ending == "s" { ending.len() } else { 2 };
            word.ends_with(ending).then(|| word.get(..word.len() - cut)).flatten()
        })
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for (term, aspect) in [
            ("price", 0),
            ("battery life", 1),
            ("battery", 2),
            ("durab*", 3),
            ("easy to clean*", 4),
            ("价格", 0),
        ] {
            assert!(vocabulary.add(term, Some(aspect), false));
        }
        assert!(vocabulary.add("price of fame", None, false));
        assert!(!vocabulary.add(" - ", None, false));
        vocabulary
    }

    fn found(text: &str) -> Vec<(usize, usize, Vec<usize>)> {
        let hits = vocabulary().find(&words(text));
        hits.into_iter().map(|hit| (hit.first, hit.count, hit.aspects)).collect()
    }

    #[test]
    fn the_longest_term_counts() {
        assert_eq!(found("Battery life and batteries? Battery!"), [(0, 2, vec![1]), (4, 1, vec![2])]);
        assert_eq!(found("the price of fame"), []);
        assert_eq!(found("easy to cleaning durability"), [(0, 3, vec![4]), (3, 1, vec![3])]);
    }

    #[test]
    fn plurals_and_case_don_t_matter() {
        assert_eq!(found("PRICES, price's"), [(0, 1, vec![0]), (1, 1, vec![0])]);
        for (one, other) in [("box", "boxes"), ("watch", "watches"), ("dress", "dresses"), ("lens", "lenses")]
        {
            let mut vocabulary = Vocabulary::default();
            vocabulary.add(one, Some(0), false);
            assert_eq!(vocabulary.find(&words(other)).len(), usize::from(one != "lens"), "{one}");
        }
    }

    #[test]
    fn chinese_terms_are_found_between_others() {
        assert_eq!(found("这个价格很好"), [(2, 2, vec![0])]);
    }
}
