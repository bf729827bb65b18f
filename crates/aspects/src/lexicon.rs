//! The terms of the aspects of shops, in `lexicon.txt`.
//!
//! Invariant: every aspect has names, its own first.

use std::sync::LazyLock;

use crate::vocabulary::Vocabulary;

/// An aspect of shops.
#[derive(Debug)]
pub struct Aspect {
    /// What it is called.
    pub name: &'static str,
    /// What callers may call it, in lower case.
    pub names: Vec<&'static str>,
    /// What only names it.
    pub things: Vec<&'static str>,
    /// What names it and says something of it.
    pub judgements: Vec<&'static str>,
}

impl Aspect {
    /// Adds its terms to a vocabulary as those of an aspect there.
    pub fn add_terms(&self, vocabulary: &mut Vocabulary, aspect: usize) {
        for (terms, judges) in [(&self.things, false), (&self.judgements, true)] {
            for term in terms {
                vocabulary.add(term, Some(aspect), judges);
            }
        }
    }
}

/// The aspects in their order, and terms that only look like theirs.
#[derive(Debug)]
pub struct Lexicon {
    /// In the order in which a caller is told of them.
    pub aspects: Vec<Aspect>,
    /// Terms of none.
    pub lookalikes: Vec<&'static str>,
}

/// That of shops.
pub static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| read(include_str!("lexicon.txt")));

/// All its terms; aspects are numbered in their order.
pub static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut vocabulary = Vocabulary::default();
    for (number, aspect) in LEXICON.aspects.iter().enumerate() {
        aspect.add_terms(&mut vocabulary, number);
    }
    LEXICON.add_lookalikes(&mut vocabulary);
    vocabulary
});

impl Lexicon {
    /// The aspect that a caller calls so, whatever the case.
    pub fn named(&self, name: &str) -> Option<&Aspect> {
        let name = name.to_lowercase();
        self.aspects.iter().find(|aspect| aspect.names.contains(&name.as_str()))
    }

    /// Adds what only looks like an aspect.
    pub fn add_lookalikes(&self, vocabulary: &mut Vocabulary) {
        for term in &self.lookalikes {
            vocabulary.add(term, None, false);
        }
    }
}

fn read(text: &'static str) -> Lexicon {
    let mut lexicon = Lexicon { aspects: Vec::new(), lookalikes: Vec::new() };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(name) = name.filter(|name| *name != LOOKALIKES) {
            let (names, things, judgements) = (Vec::new(), Vec::new(), Vec::new());
            lexicon.aspects.push(Aspect { name, names, things, judgements });
        }
        let Some((kind, list)) = line.split_once(": ") else { continue };
        let list = list.split(',').map(str::trim);
        match (kind, lexicon.aspects.last_mut()) {
            ("names", Some(aspect)) => aspect.names.extend(list),
            ("things", Some(aspect)) => aspect.things.extend(list),
            ("judgements", Some(aspect)) => aspect.judgements.extend(list),
            _ => lexicon.lookalikes.extend(list),
        }
    }
    lexicon
}

/// Heading of what only looks like an aspect.
const LOOKALIKES: &str = "-";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_aspect_has_names_and_terms_in_two_languages() {
        assert_eq!(LEXICON.aspects.len(), 11);
        for aspect in &LEXICON.aspects {
            assert_eq!(aspect.names.first(), Some(&aspect.name));
            assert!(aspect.names.iter().all(|name| *name == name.to_lowercase()), "{}", aspect.name);
            for terms in [&aspect.things, &aspect.judgements] {
                assert!(terms.iter().any(|term| term.is_ascii()), "{}", aspect.name);
            }
            assert!(
                aspect.things.iter().chain(&aspect.judgements).any(|term| !term.is_ascii()),
                "{}",
                aspect.name
            );
        }
        assert!(LEXICON.lookalikes.contains(&"looking for") && LEXICON.lookalikes.contains(&"号码"));
    }

    #[test]
    fn a_name_or_term_is_that_of_one_aspect() {
        let mut names = BTreeMap::new();
        let mut terms = BTreeMap::new();
        for aspect in &LEXICON.aspects {
            for name in &aspect.names {
                assert_eq!(names.insert(*name, aspect.name), None, "{name}");
            }
            for term in aspect.things.iter().chain(&aspect.judgements) {
                assert_eq!(terms.insert(*term, aspect.name), None, "{term}");
            }
        }
    }

    #[test]
    fn callers_call_aspects_by_other_names() {
        assert_eq!(LEXICON.named("Shipping").map(|aspect| aspect.name), Some("delivery"));
        assert_eq!(LEXICON.named("物流").map(|aspect| aspect.name), Some("delivery"));
        assert!(LEXICON.named("battery life").is_none());
    }
}
