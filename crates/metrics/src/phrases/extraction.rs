//! Words to phrases: words in a row that pull the same way, around one that pulls hard.
//!
//! It must not know other texts. Invariant: a phrase begins and ends with words that mean something, and doesn't reach beyond a sign
//! like a full stop or a comma.

use super::words::{Piece, Word, words};

/// Most words of a phrase.
const MOST_WORDS: usize = 5;

/// Part of the strongest word's contribution that makes a word strong, and one that goes with a strong one.
const STRONG: f64 = 0.25;
const SUPPORTING: f64 = 0.05;

/// Words that mean nothing at an end of a phrase.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because",
    "been", "being", "but", "by", "can", "could", "did", "do", "does", "for", "from", "had", "has", "have",
    "he", "her", "him", "his", "i", "i'm", "i've", "if", "in", "is", "it", "it's", "its", "just", "me", "my",
    "of", "on", "or", "our", "she", "so", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "to", "very", "was", "we", "were", "what", "when", "which", "while", "who",
    "will", "with", "would", "you", "your",
];

/// Whether a word, in lower case, is one of those that say nothing by themselves.
pub fn means_nothing(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

/// A phrase of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Phrase {
    /// As it is written there.
    pub written: String,
    /// What all phrases share that are the same but for case and spaces.
    pub folded: String,
    /// Of its words.
    pub contribution: f64,
}

/// The phrases of a text, of which these are all pieces that contribute. None is made of words that contribute less than `least`,
/// by amount.
pub fn extract(text: &str, pieces: &[Piece], least: f64) -> Vec<Phrase> {
    let characters: Vec<char> = text.chars().collect();
    let words = words(&characters, pieces);
    let most = words.iter().map(|word| word.contribution.abs()).fold(0.0, f64::max);
    let strong = (STRONG * most).max(least);
    let mut taken = vec![false; words.len()];
    let mut order: Vec<usize> = (0..words.len()).filter(|&word| words[word].has_letters).collect();
    order.retain(|&word| words[word].contribution.abs() >= strong && !is_stop_word(&words[word]));
    order.sort_by(|&one, &other| {
        words[other].contribution.abs().total_cmp(&words[one].contribution.abs()).then(one.cmp(&other))
    });
    let mut phrases = Vec::new();
    for core in order {
        if taken[core] {
            continue;
        }
        let (first, last) = around(&words, &taken, core, SUPPORTING * most);
        taken.iter_mut().take(last + 1).skip(first).for_each(|one| *one = true);
        phrases.push((first, phrase(&characters, &words[first..=last])));
    }
    phrases.sort_by_key(|(first, _)| *first);
    phrases.into_iter().map(|(_, phrase)| phrase).collect()
}

/// The first and the last word of the phrase around a strong word.
fn around(words: &[Word], taken: &[bool], core: usize, supporting: f64) -> (usize, usize) {
    let sign = words[core].contribution.signum();
    let joins = |word: usize| {
        let Some(other) = words.get(word) else { return false };
        let pulls = other.contribution * sign >= supporting;
        other.has_letters && !taken[word] && (pulls || is_stop_word(other))
    };
    let (mut first, mut last) = (core, core);
    while last - first + 1 < MOST_WORDS {
        let before = first.checked_sub(1).filter(|&word| joins(word));
        let behind = Some(last + 1).filter(|&word| joins(word));
        let pull =
            |word: Option<usize>| word.map_or(f64::NEG_INFINITY, |word| words[word].contribution * sign);
        match (before, behind) {
            (None, None) => break,
            _ if pull(before) >= pull(behind) => first -= 1,
            _ => last += 1,
        }
    }
    while first < core && is_stop_word(&words[first]) {
        first += 1;
    }
    while last > core && is_stop_word(&words[last]) {
        last -= 1;
    }
    (first, last)
}

fn phrase(characters: &[char], words: &[Word]) -> Phrase {
    let (start, end) = (words.first().map_or(0, |word| word.start), words.last().map_or(0, |word| word.end));
    let written: String = characters.get(start..end).unwrap_or_default().iter().collect();
    let mut folded = String::new();
    for (word, next) in words.iter().zip(words.iter().skip(1).map(Some).chain([None])) {
        folded.push_str(&word.folded);
        if next.is_some_and(|next| next.start > word.end) {
            folded.push(' ');
        }
    }
    let written = written.split_whitespace().collect::<Vec<_>>().join(" ");
    Phrase { written, folded, contribution: words.iter().map(|word| word.contribution).sum() }
}

fn is_stop_word(word: &Word) -> bool {
    means_nothing(&word.folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces as `word:contribution` with single spaces, `+` in front of those that stand close to the one before.
    fn phrases(marked: &str) -> Vec<(String, f64)> {
        let (mut text, mut pieces) = (String::new(), Vec::new());
        for part in marked.split(' ') {
            let (word, contribution) = part.rsplit_once(':').unwrap();
            let word = word.strip_prefix('+').unwrap_or_else(|| {
                if !text.is_empty() {
                    text.push(' ');
                }
                word
            });
            let start = text.chars().count();
            text.push_str(word);
            let contribution = contribution.parse().unwrap();
            pieces.push(Piece { start, length: word.chars().count(), contribution });
        }
        let found = extract(&text, &pieces, 0.05);
        found.into_iter().map(|phrase| (phrase.folded, (phrase.contribution * 1e6).round() / 1e6)).collect()
    }

    #[test]
    fn stop_words_are_in_order() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn a_phrase_is_what_pulls_the_same_way() {
        let found = phrases("Arrived:-0.1 broken:-0.9 +,:0 but:0.1 the:0 support:0.2 was:0.05 great:0.8");
        assert_eq!(found, [("arrived broken".to_owned(), -1.0), ("support was great".to_owned(), 1.05)]);
    }

    #[test]
    fn pieces_of_a_word_stay_together() {
        let found = phrases("It:0 does:0 +n:-0.1 +':0 +t:-0.3 charge:-0.5 +.:0 Aw:-0.3 +ful:-0.5");
        assert_eq!(found, [("doesn't charge".to_owned(), -0.9), ("awful".to_owned(), -0.8)]);
    }

    #[test]
    fn what_hardly_pulls_is_no_phrase() {
        assert!(phrases("It:0.01 is:0.02 a:0 lamp:-0.03").is_empty());
        assert!(extract("", &[], 0.1).is_empty());
    }

    #[test]
    fn characters_without_spaces_between_them_are_not_spaced() {
        let found = phrases("很:0.1 +好:0.9 +，:0 +差:-0.8");
        assert_eq!(found, [("很好".to_owned(), 1.0), ("差".to_owned(), -0.8)]);
    }
}
