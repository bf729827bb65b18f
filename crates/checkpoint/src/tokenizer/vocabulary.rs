//! BERT's tokenizer from `vocab.txt`, as `transformers` builds it for models older than `tokenizer.json`.
//!
//! It must not know windows or weights. Invariant: it cuts text as the `tokenizer.json` of the same model would.

use ecommerce_ml_protocol::EngineError;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model, Tokenizer};

use super::{damaged, guarded};
use crate::config::{SpecialTokens, TokenizerConfig};

/// Builds the tokenizer from the bytes of `vocab.txt`: a token a line, its id the number of lines before it.
pub(super) fn bert(vocabulary: &[u8], options: &TokenizerConfig) -> Result<Tokenizer, EngineError> {
    let special = options.special_tokens();
    let model = guarded(|| word_pieces(vocabulary, &special))
        .map_err(|error| damaged(format!("file \"vocab.txt\" is damaged: {error}")))?;
    let id = |token: &str| {
        model
            .token_to_id(token)
            .ok_or_else(|| damaged(format!("file \"vocab.txt\" has no token \"{token}\"")))
    };
    id(&special.unknown)?;
    let separator = (special.separator.clone(), id(&special.separator)?);
    let classification = (special.classification.clone(), id(&special.classification)?);
    let known = known_specials(&model, special);
    guarded(|| assemble(model, options, BertProcessing::new(separator, classification), known))
}

fn word_pieces(vocabulary: &[u8], special: &SpecialTokens) -> tokenizers::Result<WordPiece> {
    let vocabulary = WordPiece::read_bytes(vocabulary)?;
    WordPiece::builder().vocab(vocabulary).unk_token(special.unknown.clone()).build()
}

/// The special tokens of the vocabulary, recognised in texts by their name.
fn known_specials(model: &WordPiece, special: SpecialTokens) -> Vec<AddedToken> {
    let SpecialTokens { unknown, separator, padding, classification, mask } = special;
    let all = [unknown, separator, padding, classification, mask];
    let known = all.into_iter().filter(|token| model.token_to_id(token).is_some());
    known.map(|token| AddedToken::from(token, true)).collect()
}

fn assemble(
    model: WordPiece,
    options: &TokenizerConfig,
    template: BertProcessing,
    special: Vec<AddedToken>,
) -> tokenizers::Result<Tokenizer> {
    let normalizer =
        BertNormalizer::new(true, options.split_chinese(), options.strip_accents(), options.lowercase());
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normalizer))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(template));
    tokenizer.add_special_tokens(special)?;
    Ok(tokenizer)
}
