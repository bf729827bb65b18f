//! Which pieces of a text stand for what a model doesn't know.
//!
//! It must not know tokenizers. Invariant: special pieces at the ends count as known, so that a text of nothing else has none
//! unknown.

/// Names of the piece that stands for what is not in a vocabulary, as BERT, RoBERTa and SentencePiece have it.
const UNKNOWN: [&str; 2] = ["[UNK]", "<unk>"];

/// How many are unknown, and how many there are.
pub fn count(pieces: &[String]) -> (usize, usize) {
    let unknown = pieces.iter().filter(|piece| UNKNOWN.contains(&piece.as_str())).count();
    (unknown, pieces.len())
}
