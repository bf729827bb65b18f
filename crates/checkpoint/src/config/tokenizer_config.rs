//! `tokenizer_config.json`: the few keys that `tokenizer.json` doesn't repeat.
//!
//! It must not know how text is cut. Invariant: an absent file reads as one without keys.

use ecommerce_ml_protocol::EngineError;
use serde::Deserialize;

use super::parse_json;
use crate::files::ModelFiles;

const FILE: &str = "tokenizer_config.json";

/// The keys of `tokenizer_config.json` that matter, under the defaults of `transformers`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct TokenizerConfig {
    /// Longest input in tokens; a huge number where nobody set it.
    model_max_length: Option<f64>,
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    unk_token: Option<SpecialToken>,
    sep_token: Option<SpecialToken>,
    pad_token: Option<SpecialToken>,
    cls_token: Option<SpecialToken>,
    mask_token: Option<SpecialToken>,
}

/// A special token, bare or with the attributes that `transformers` adds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Bare(String),
    Described { content: String },
}

/// The special tokens of BERT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Stands for what isn't in the vocabulary.
    pub unknown: String,
    /// Ends a text.
    pub separator: String,
    /// Fills up a batch.
    pub padding: String,
    /// Begins a text.
    pub classification: String,
    /// Stands for a token to guess.
    pub mask: String,
}

impl TokenizerConfig {
    /// Reads the `tokenizer_config.json` of a model, if there is one.
    ///
    /// # Errors
    /// [`DamagedModel`](ecommerce_ml_protocol::ErrorKind::DamagedModel) if it is malformed.
    pub fn load(files: &ModelFiles) -> Result<Self, EngineError> {
        files.get(FILE).map_or_else(|| Ok(Self::default()), |json| parse_json(FILE, json))
    }

    /// Longest input in tokens, if the file sets one between 1 and `limit`.
    pub fn max_length(&self, limit: usize) -> Option<usize> {
        let length = self.model_max_length.filter(|length| (1.0..=limit as f64).contains(length))?;
        Some(length as usize)
    }

    /// Whether BERT's normalizer lowers case.
    pub fn lowercase(&self) -> bool {
        self.do_lower_case.unwrap_or(true)
    }

    /// Whether BERT's normalizer strips accents; `None` to follow [`lowercase`](Self::lowercase).
    pub fn strip_accents(&self) -> Option<bool> {
        self.strip_accents
    }

    /// Whether BERT's normalizer makes a word of each Chinese character.
    pub fn split_chinese(&self) -> bool {
        self.tokenize_chinese_chars.unwrap_or(true)
    }

    /// The special tokens, BERT's own where the file names none.
    pub fn special_tokens(&self) -> SpecialTokens {
        SpecialTokens {
            unknown: content(self.unk_token.as_ref(), "[UNK]"),
            separator: content(self.sep_token.as_ref(), "[SEP]"),
            padding: content(self.pad_token.as_ref(), "[PAD]"),
            classification: content(self.cls_token.as_ref(), "[CLS]"),
            mask: content(self.mask_token.as_ref(), "[MASK]"),
        }
    }
}

fn content(token: Option<&SpecialToken>, default: &str) -> String {
    match token {
        Some(SpecialToken::Bare(content) | SpecialToken::Described { content }) => content.clone(),
        None => default.to_owned(),
    }
}
