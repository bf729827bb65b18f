//! Text to token ids and windows.
//!
//! It must not know weights, only how many tokens they have embeddings for. Invariant: every id that comes out is
//! below [`ModelConfig::vocab_size`], every window at most [`Tokenizer::max_length`] long.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ecommerce_ml_protocol::{EngineError, ErrorKind, is_blank};
use tokenizers::{DecoderWrapper, Encoding, PostProcessor, PostProcessorWrapper, Token, TruncationParams};

use crate::config::{ModelConfig, TokenizerConfig};
use crate::files::ModelFiles;
use crate::scripts::KnownScripts;

mod spans;
mod vocabulary;
mod word_cache;

pub use spans::Span;
use word_cache::WordCache;

/// How much of a tokenization is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenDetail {
    /// [`Tokens::Ids`].
    Ids,
    /// [`Tokens::Pieces`].
    Pieces,
    /// [`Tokens::Count`].
    Count,
}

/// The tokens of one text, special tokens included; empty for an empty or blank text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tokens {
    /// Indices into the vocabulary.
    Ids(Vec<u32>),
    /// Word pieces.
    Pieces(Vec<String>),
    /// How many there are.
    Count(u64),
}

/// Stands for a text in the search for the special tokens around it; no vocabulary is that large.
const PLACEHOLDER: u32 = u32::MAX;

/// What vocabularies call what they don't have.
const UNKNOWN_PIECES: [&str; 3] = ["[UNK]", "<unk>", "<UNK>"];

/// Estimated memory for a token of the vocabulary, in bytes: its text in both directions and its part of a trie.
const TOKEN_BYTES: u64 = 256;

/// Bytes for each token that is wanted of the beginning of a text: more than most have.
const BEGINNING_BYTES: usize = 8;

/// A piece of a text that fits into one forward pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Window {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// How many of them aren't special tokens that the tokenizer put around the text.
    pub content_tokens: usize,
}

/// The windows of a text, and where in it their tokens stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpannedText {
    /// As [`Tokenizer::windows`] gives them, each with the numbers of its content tokens among all of the text.
    pub windows: Vec<(Window, Range<usize>)>,
    /// How many special tokens stand at the beginning and at the end of each window.
    pub special: (usize, usize),
    /// Where tokens stand, in the order of the text, none twice.
    pub spans: Vec<Span>,
    /// For each content token of the text, which of the spans is its own.
    pub span_of: Vec<usize>,
}

/// The tokenizer of a model.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Ids of words read lately, where words are read by themselves.
    words: Option<WordCache>,
    before: SpecialTokens,
    after: SpecialTokens,
    max_length: usize,
    scripts: KnownScripts,
    /// What stands for what the vocabulary doesn't have.
    unknown: Option<u32>,
}

/// Special tokens on one side of every text.
#[derive(Debug, Default)]
struct SpecialTokens {
    ids: Vec<u32>,
    pieces: Vec<String>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, or `vocab.txt` where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::FileMissing`]; [`ErrorKind::DamagedModel`] if it can't be read or belongs to another model.
    pub fn load(files: &ModelFiles, config: &ModelConfig) -> Result<Self, EngineError> {
        let options = TokenizerConfig::load(files)?;
        let mut inner = read(files, &options)?;
        // Files of sentence-transformers carry both; texts are read whole and packed without padding.
        guarded(|| inner.with_padding(None).with_truncation(None::<TruncationParams>).map(drop))?;
        let (before, after) = special_tokens(&inner)?;
        check_vocabulary(&inner, [&before, &after], config.vocab_size)?;
        let limit = config.max_length();
        let max_length = options.max_length(limit).unwrap_or(limit);
        let words = WordCache::of(&inner);
        let scripts = files.get("config.json").and_then(KnownScripts::of_config);
        let scripts = scripts.unwrap_or_else(|| known_scripts(&inner));
        let unknown = UNKNOWN_PIECES.iter().find_map(|piece| inner.token_to_id(piece));
        let tokenizer = Self { inner, words, before, after, max_length, scripts, unknown };
        tokenizer.check_room()?;
        Ok(tokenizer)
    }

    /// Longest window in tokens, special tokens included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Estimated memory that it takes, in bytes.
    pub fn bytes(&self) -> u64 {
        let words = self.words.as_ref().map_or(0, |_| WordCache::bytes());
        self.inner.get_vocab_size(true) as u64 * TOKEN_BYTES + words
    }

    /// All tokens of a text, special tokens included; none for an empty or blank text.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if the tokenizer can't cope with the text, for want of an unknown token.
    pub fn tokenize(&self, text: &str, detail: TokenDetail) -> Result<Tokens, EngineError> {
        if is_blank(text) {
            return Ok(no_tokens(detail));
        }
        let content = self.encode(text)?;
        Ok(match detail {
            TokenDetail::Ids => Tokens::Ids(self.surround(&content)),
            TokenDetail::Pieces => {
                Tokens::Pieces([&*self.before.pieces, &self.pieces(&content), &self.after.pieces].concat())
            }
            TokenDetail::Count => Tokens::Count((content.len() + self.special_count()) as u64),
        })
    }

    /// The text in windows that overlap by an eighth of their content; none for an empty or blank text.
    ///
    /// The last window ends with the text and is as long as the others, so that no window sees just a few words.
    ///
    /// # Errors
    /// As [`tokenize`](Self::tokenize).
    pub fn windows(&self, text: &str) -> Result<Vec<Window>, EngineError> {
        if is_blank(text) {
            return Ok(Vec::new());
        }
        let ids = self.encode(text)?;
        let window = |range: Range<usize>| {
            let content = ids.get(range).unwrap_or_default();
            Window { ids: self.surround(content), content_tokens: content.len() }
        };
        Ok(window_ranges(ids.len(), self.room()).into_iter().map(window).collect())
    }

    /// As [`windows`](Self::windows), with the places of the tokens; no windows of an empty or blank text.
    ///
    /// # Errors
    /// As [`tokenize`](Self::tokenize).
    pub fn spanned(&self, text: &str) -> Result<SpannedText, EngineError> {
        let special = (self.before.ids.len(), self.after.ids.len());
        if is_blank(text) {
            return Ok(SpannedText { windows: Vec::new(), special, spans: Vec::new(), span_of: Vec::new() });
        }
        let encoding = guarded(|| self.inner.encode_char_offsets(text, false))?;
        let ids = encoding.get_ids();
        let window = |range: Range<usize>| {
            let content = ids.get(range.clone()).unwrap_or_default();
            (Window { ids: self.surround(content), content_tokens: content.len() }, range)
        };
        let windows = window_ranges(ids.len(), self.room()).into_iter().map(window).collect();
        let (spans, span_of) = spans::of_tokens(text, encoding.get_offsets());
        Ok(SpannedText { windows, special, spans, span_of })
    }

    /// The beginning of a text, in at most `limit` tokens, special ones included; `None` for an empty or blank text.
    ///
    /// # Errors
    /// As [`tokenize`](Self::tokenize).
    pub fn first_window(&self, text: &str, limit: usize) -> Result<Option<Window>, EngineError> {
        if is_blank(text) {
            return Ok(None);
        }
        let room = limit.min(self.max_length).saturating_sub(self.special_count()).max(1);
        let content = self.encode_beginning(text, room)?;
        let content = content.get(..room).unwrap_or(&content);
        Ok(Some(Window { ids: self.surround(content), content_tokens: content.len() }))
    }

    /// The scripts that the model reads.
    pub fn scripts(&self) -> &KnownScripts {
        &self.scripts
    }

    /// Whether the model can read a text, which has these windows: see [`KnownScripts::can_read`].
    ///
    /// # Errors
    /// As [`tokenize`](Self::tokenize).
    pub fn can_read(&self, text: &str, windows: &[Window]) -> Result<bool, EngineError> {
        let is_unknown = |id: &u32| self.unknown == Some(*id);
        if !windows.iter().any(|window| window.ids.iter().any(is_unknown)) {
            return Ok(self.scripts.can_read(text, &[]));
        }
        // Where they are is only told by the slower way.
        let encoding = guarded(|| self.inner.encode(text, false))?;
        let pieces = encoding.get_ids().iter().zip(encoding.get_offsets());
        let unknown: Vec<Range<usize>> =
            pieces.filter(|(id, _)| is_unknown(id)).map(|(_, &(start, end))| start..end).collect();
        Ok(self.scripts.can_read(text, &unknown))
    }

    /// All pieces in the order of their ids, below `limit`; those that there aren't are empty.
    pub fn vocabulary(&self, limit: usize) -> Vec<String> {
        (0..limit as u32).map(|id| self.inner.id_to_token(id).unwrap_or_default()).collect()
    }

    /// `encode_fast` leaves the pieces out of an encoding.
    fn pieces(&self, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|&id| self.inner.id_to_token(id).unwrap_or_default()).collect()
    }

    /// All content tokens of a text.
    fn encode(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        match &self.words {
            Some(words) => words.ids(text, |word| self.encode_whole(word).map(Vec::into_boxed_slice)),
            None => self.encode_whole(text),
        }
    }

    /// At least the first `wanted` content tokens of a text, if there are so many. Where words are read by themselves, what comes
    /// long after them isn't read: a text may have megabytes.
    fn encode_beginning(&self, text: &str, wanted: usize) -> Result<Vec<u32>, EngineError> {
        let mut bytes = wanted.saturating_mul(BEGINNING_BYTES);
        loop {
            let space = text.as_bytes().iter().skip(bytes).position(|byte| *byte == b' ');
            let Some(space) = space.filter(|_| self.words.is_some()) else { return self.encode(text) };
            let ids = self.encode(&text[..bytes + space])?;
            if ids.len() >= wanted {
                return Ok(ids);
            }
            bytes = bytes.saturating_mul(4);
        }
    }

    fn encode_whole(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        guarded(|| self.inner.encode_fast(text, false)).map(|encoding| encoding.get_ids().to_vec())
    }

    fn surround(&self, content: &[u32]) -> Vec<u32> {
        [&self.before.ids, content, &self.after.ids].concat()
    }

    fn special_count(&self) -> usize {
        self.before.ids.len() + self.after.ids.len()
    }

    /// Most content tokens of a window.
    fn room(&self) -> usize {
        self.max_length.saturating_sub(self.special_count())
    }

    fn check_room(&self) -> Result<(), EngineError> {
        if self.room() == 0 {
            return Err(damaged(format!(
                "model reads {} tokens at a time, which its {} special tokens fill",
                self.max_length,
                self.special_count()
            )));
        }
        Ok(())
    }
}

fn no_tokens(detail: TokenDetail) -> Tokens {
    match detail {
        TokenDetail::Ids => Tokens::Ids(Vec::new()),
        TokenDetail::Pieces => Tokens::Pieces(Vec::new()),
        TokenDetail::Count => Tokens::Count(0),
    }
}

/// Content tokens of each window of a text with `tokens` of them, where a window has room for `room`.
fn window_ranges(tokens: usize, room: usize) -> Vec<Range<usize>> {
    let step = (room - room / 8).max(1);
    let last = tokens.saturating_sub(room);
    let mut ranges: Vec<_> = (0..last).step_by(step).map(|start| start..start + room).collect();
    ranges.push(last..tokens);
    ranges
}

fn read(files: &ModelFiles, options: &TokenizerConfig) -> Result<tokenizers::Tokenizer, EngineError> {
    if let Some(json) = files.get("tokenizer.json") {
        return guarded(|| tokenizers::Tokenizer::from_bytes(json))
            .map_err(|error| damaged(format!("file \"tokenizer.json\" is damaged: {error}")));
    }
    let Some(vocabulary) = files.get("vocab.txt") else { return Err(files.missing("tokenizer.json")) };
    vocabulary::bert(vocabulary, options)
}

/// The scripts that a tokenizer's vocabulary has words of.
fn known_scripts(inner: &tokenizers::Tokenizer) -> KnownScripts {
    let vocabulary = inner.get_vocab(false);
    // Pieces of bytes are written in letters of their own.
    if matches!(inner.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
        let text = |id: &u32| guarded(|| inner.decode(&[*id], false)).unwrap_or_default();
        let texts: Vec<String> = vocabulary.values().map(text).collect();
        return KnownScripts::of_vocabulary(texts.iter().map(String::as_str));
    }
    KnownScripts::of_vocabulary(vocabulary.keys().map(String::as_str))
}

/// The special tokens that the tokenizer's own template puts before and after a text.
fn special_tokens(inner: &tokenizers::Tokenizer) -> Result<(SpecialTokens, SpecialTokens), EngineError> {
    let Some(template) = inner.get_post_processor() else { return Ok(Default::default()) };
    let surrounded = guarded(|| surround_placeholder(template))?;
    let (ids, pieces) = (surrounded.get_ids(), surrounded.get_tokens());
    let mut places = ids.iter().enumerate().filter(|(_, id)| **id == PLACEHOLDER).map(|(place, _)| place);
    let (Some(place), None) = (places.next(), places.next()) else {
        return Err(damaged("the tokenizer's template must contain a text once"));
    };
    let part = |range: Range<usize>| SpecialTokens {
        ids: ids.get(range.clone()).unwrap_or_default().to_vec(),
        pieces: pieces.get(range).unwrap_or_default().to_vec(),
    };
    Ok((part(0..place), part(place + 1..ids.len())))
}

fn surround_placeholder(template: &PostProcessorWrapper) -> tokenizers::Result<Encoding> {
    let text = Encoding::from_tokens(vec![Token::new(PLACEHOLDER, "x".to_owned(), (0, 1))], 0);
    template.process(text, None, true)
}

/// Refuses a tokenizer that knows ids for which the model has no embeddings.
fn check_vocabulary(
    inner: &tokenizers::Tokenizer,
    special: [&SpecialTokens; 2],
    embeddings: usize,
) -> Result<(), EngineError> {
    let special_ids = special.into_iter().flat_map(|tokens| tokens.ids.iter().copied());
    let highest = inner.get_vocab(true).into_values().chain(special_ids).max();
    let Some(highest) = highest else { return Err(damaged("the tokenizer's vocabulary is empty")) };
    if highest as usize >= embeddings {
        return Err(damaged(format!(
            "the tokenizer has {} tokens, the model embeddings for {embeddings}",
            u64::from(highest) + 1
        ))
        .with_hint("The tokenizer belongs to another model."));
    }
    Ok(())
}

/// Runs a function of the `tokenizers` crate, which trusts its files: it indexes by what they say and may panic.
fn guarded<T>(action: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, EngineError> {
    // Nothing that a panic could leave half done is used afterwards: the crate keeps only caches behind its `&self`.
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(damaged(format!("the tokenizer failed: {error}"))),
        Err(_) => Err(damaged("the tokenizer failed: its parts contradict each other")),
    }
}

fn damaged(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::DamagedModel, message)
}

#[cfg(test)]
mod tests;
