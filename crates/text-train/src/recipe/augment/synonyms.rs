//! Words that may stand for others.
//!
//! It must not know sentences. Invariant: the order of what it is made of makes no difference.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::neighbours;
use super::words::Words;

/// Words with others that may stand for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synonyms {
    /// By words in lower case.
    others: BTreeMap<String, Vec<String>>,
}

impl Synonyms {
    /// From pairs of a word and a synonym. Words are met in any case; a synonym may have several words, but a phrase of
    /// several words is never met. Blank ones, and those that stand for themselves, are left out.
    pub fn table(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut others = BTreeMap::<String, BTreeSet<String>>::new();
        for (word, synonym) in pairs {
            let (word, synonym) = (word.trim().to_lowercase(), synonym.trim());
            if !word.is_empty() && !synonym.is_empty() && word != synonym.to_lowercase() {
                others.entry(word).or_default().insert(synonym.to_owned());
            }
        }
        Self {
            others: others.into_iter().map(|(word, others)| (word, others.into_iter().collect())).collect(),
        }
    }

    /// For each word of some texts that is a piece of the vocabulary, its nearest neighbours among the words there.
    /// `embeddings`: `[pieces, hidden]`.
    ///
    /// `pieces` are all pieces in the order of their ids, `embeddings` their vectors, one after the other. See
    /// `neighbours` for what counts as near.
    pub fn nearest<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        pieces: &[impl AsRef<str> + Sync],
        embeddings: &[f32],
    ) -> Self {
        let mut met = BTreeSet::new();
        for text in texts {
            met.extend(Words::of(text).words.iter().map(|word| word.to_lowercase()));
        }
        Self { others: neighbours::nearest(&met, pieces, embeddings) }
    }

    /// Words that have synonyms.
    pub fn len(&self) -> usize {
        self.others.len()
    }

    /// Whether no word has one.
    pub fn is_empty(&self) -> bool {
        self.others.is_empty()
    }

    /// Synonyms of a word.
    pub fn all(&self, word: &str) -> &[String] {
        self.others.get(&word.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// One of the synonyms, which a number chooses, in the word's case.
    pub(super) fn of(&self, word: &str, number: u64) -> Option<String> {
        let others = self.all(word);
        let place = ((u128::from(number) * others.len() as u128) >> 64) as usize;
        others.get(place).map(|synonym| in_case_of(word, synonym))
    }
}

/// A synonym with the case of a word: of all letters if these are several capitals, else of the first one if it is one.
fn in_case_of(word: &str, synonym: &str) -> String {
    let mut letters = word.chars().filter(|letter| letter.is_alphabetic());
    let capitals = letters.clone().count() > 1 && letters.clone().all(char::is_uppercase);
    let mut rest = synonym.chars();
    match rest.next() {
        _ if capitals => synonym.to_uppercase(),
        Some(first) if letters.next().is_some_and(char::is_uppercase) => {
            first.to_uppercase().chain(rest).collect()
        }
        _ => synonym.to_owned(),
    }
}
