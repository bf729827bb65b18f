//! The token ids of words that were read before.
//!
//! Tokenizers of the BERT kind read every word by itself, so a text's ids are those of its words, end to end; and most words of
//! a text have been seen in others.
//! It must not know how a word is tokenized. Invariant: the ids of a text are those that the tokenizer gives it as a whole.

use std::collections::HashMap;
use std::iter;

use ahash::RandomState;
use parking_lot::RwLock;
use tokenizers::{ModelWrapper, NormalizerWrapper, PreTokenizerWrapper};

/// Words that are kept: the first ones, which are the most frequent ones too.
const MAX_WORDS: usize = 1 << 16;

/// Words that were not cached, since no more are kept, after which all are forgotten: texts have come to be in another language.
const MAX_MISSES: usize = 8 * MAX_WORDS;

/// Bytes of a word that is kept. Longer ones hardly come again.
const MAX_WORD_BYTES: usize = 40;

/// Estimated memory for a word, in bytes: its text, two or three ids, an entry of the table.
const WORD_BYTES: u64 = 96;

/// Token ids.
type Ids = Box<[u32]>;

/// Words and their ids.
#[derive(Debug)]
pub(super) struct WordCache {
    splitter: WordSplitter,
    cached: RwLock<CachedIds>,
}

#[derive(Debug, Default)]
struct CachedIds {
    words: HashMap<Box<str>, Ids, RandomState>,
    /// Words that were not cached, since no more are kept.
    missed: usize,
}

/// A word that is not cached, and where among the ids of the others its own belong.
struct Miss<'a> {
    word: &'a str,
    place: usize,
}

impl WordCache {
    /// None for a tokenizer that doesn't read every word by itself.
    pub(super) fn of(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        WordSplitter::of(tokenizer).map(|splitter| Self { splitter, cached: RwLock::default() })
    }

    /// Estimated memory that they come to take, in bytes.
    pub(super) fn bytes() -> u64 {
        MAX_WORDS as u64 * WORD_BYTES
    }

    /// The ids of a text, where `tokenize` gives those of a word.
    ///
    /// # Errors
    /// Those of `tokenize`.
    pub(super) fn ids<E>(
        &self,
        text: &str,
        tokenize: impl Fn(&str) -> Result<Ids, E>,
    ) -> Result<Vec<u32>, E> {
        let (cached, misses) = self.look_up(text);
        if misses.is_empty() {
            return Ok(cached);
        }
        let (mut ids, mut from) = (Vec::with_capacity(cached.len() + 4 * misses.len()), 0);
        let mut new = Vec::with_capacity(misses.len());
        for Miss { word, place } in misses {
            let own = tokenize(word)?;
            ids.extend_from_slice(&cached[from..place]);
            ids.extend_from_slice(&own);
            from = place;
            new.push((word, own));
        }
        ids.extend_from_slice(&cached[from..]);
        self.keep(new);
        Ok(ids)
    }

    /// The ids of all words that are cached, and the others.
    fn look_up<'a>(&self, text: &'a str) -> (Vec<u32>, Vec<Miss<'a>>) {
        let (mut ids, mut misses) = (Vec::with_capacity(text.len() / 3), Vec::new());
        // Once for all words: threads that only read get in each other's way as little as that.
        let cached = self.cached.read();
        for word in self.splitter.words(text) {
            match cached.words.get(word) {
                Some(own) => ids.extend_from_slice(own),
                None => misses.push(Miss { word, place: ids.len() }),
            }
        }
        (ids, misses)
    }

    fn keep(&self, new: Vec<(&str, Ids)>) {
        let mut cached = self.cached.write();
        if cached.words.len() < MAX_WORDS {
            let new = new.into_iter().filter(|(word, _)| word.len() <= MAX_WORD_BYTES);
            cached.words.extend(new.map(|(word, ids)| (Box::from(word), ids)));
            return;
        }
        cached.missed += new.len();
        if cached.missed > MAX_MISSES {
            *cached = CachedIds::default();
        }
    }
}

/// Cuts a text where the tokenizer does, if perhaps in larger parts.
#[derive(Debug)]
struct WordSplitter {
    /// Whether a byte is the first of a token that is found before a text is cut: a vocabulary may have hundreds.
    begins_token: Box<[bool; 256]>,
}

impl WordSplitter {
    /// None for a tokenizer in which anything looks beyond a word.
    fn of(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        // The normalizer goes character by character, but for accents, which are told from the letters that they follow.
        let is_of_bert = matches!(tokenizer.get_normalizer(), Some(NormalizerWrapper::BertNormalizer(_)))
            && matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)))
            && matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_));
        let added = tokenizer.get_added_tokens_decoder();
        let is_found_in_words = added.values().all(|token| {
            let takes_space = token.lstrip || token.rstrip || token.content.contains(char::is_whitespace);
            !takes_space && !token.single_word && !token.normalized
        });
        let first_bytes = added.values().filter_map(|token| token.content.bytes().next());
        (is_of_bert && is_found_in_words).then(|| Self::with(first_bytes))
    }

    /// One for which tokens that begin with these bytes are found before a text is cut.
    fn with(first_bytes: impl Iterator<Item = u8>) -> Self {
        let mut begins_token = Box::new([false; 256]);
        first_bytes.for_each(|byte| begins_token[usize::from(byte)] = true);
        Self { begins_token }
    }

    /// The words of a text, none of them empty.
    ///
    /// There is more white space than this, some of which doesn't part words: the normalizer takes control characters out.
    fn words<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> + use<'_, 't> {
        text.split([' ', '\t', '\n', '\r']).flat_map(move |word| {
            let is_whole = word.bytes().any(|byte| self.begins_token[usize::from(byte)]);
            let mut rest = word;
            iter::from_fn(move || {
                let end = if is_whole { rest.len() } else { end_of_part(rest) };
                let (part, after) = rest.split_at(end);
                rest = after;
                (!part.is_empty()).then_some(part)
            })
        })
    }
}

/// Where the first part of a word ends, punctuation being parts of one character each.
fn end_of_part(word: &str) -> usize {
    match word.bytes().position(|byte| byte.is_ascii_punctuation()) {
        None => word.len(),
        Some(place) => place.max(1),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn words() -> WordCache {
        WordCache { splitter: WordSplitter::with([b'['].into_iter()), cached: RwLock::default() }
    }

    /// Ids of the characters, so that anything out of place shows.
    fn spell(word: &str) -> Result<Ids, Infallible> {
        Ok(word.chars().map(u32::from).collect())
    }

    #[test]
    fn texts_are_cut_at_spaces_and_punctuation() {
        let splitter = words().splitter;
        let cut = |text: &str| splitter.words(text).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            cut(" It's\tfine,\r\n...isn't it?! "),
            ["It", "'", "s", "fine", ",", ".", ".", ".", "isn", "'", "t", "it", "?", "!"]
        );
        assert_eq!(cut("a,b[SEP]. x[ y,z"), ["a,b[SEP].", "x[", "y", ",", "z"]);
        assert_eq!(cut("über—all, \u{a0}"), ["über—all", ",", "\u{a0}"]);
        assert_eq!(cut(" \n"), [""; 0]);
    }

    #[test]
    fn known_and_unknown_words_find_their_places() {
        let words = words();
        for text in ["one two", "two three, one", "", "four two five two six", "one"] {
            let expected: Vec<u32> = text.chars().filter(|&letter| letter != ' ').map(u32::from).collect();
            for _ in 0..2 {
                assert_eq!(words.ids(text, spell), Ok(expected.clone()), "{text}");
            }
        }
        let refuse = |word: &str| Err(word.to_owned());
        assert_eq!(words.ids("six, five", refuse).map(|ids| ids.len()), Ok(8));
        assert_eq!(words.ids("six seven", refuse), Err("seven".to_owned()));
    }

    #[test]
    fn memory_is_bounded_and_frees_itself_from_what_comes_no_more() {
        let words = words();
        let long = "x".repeat(MAX_WORD_BYTES + 1);
        words.ids(&long, spell).unwrap();
        assert_eq!(words.cached.read().words.len(), 0);
        let count = || words.cached.read().words.len();
        let read = |from: usize, to: usize| {
            (from..to).for_each(|number| drop(words.ids(&format!("n{number}"), spell).unwrap()));
        };
        read(0, MAX_WORDS + 10);
        assert_eq!(count(), MAX_WORDS);
        read(MAX_WORDS, MAX_WORDS + MAX_MISSES + 10);
        assert!(count() < 100, "{}", count());
    }
}
