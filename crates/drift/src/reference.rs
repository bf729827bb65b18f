//! What is kept of rows to compare others with.
//!
//! Invariant: it doesn't grow with the number of rows, and holds no text and no category as it is.

use serde::{Deserialize, Serialize};

use crate::distribution::Distribution;
use crate::energy::Embeddings;
use crate::mean::{Mean, Share};

/// Of what is written now.
pub const FORMAT: u32 = 1;

/// Rows, and what a model said of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// [`FORMAT`]; of another, nothing else is known.
    pub format: u32,
    /// Of the likeliest class, of two classes the probability of the second, of a regression the value.
    pub prediction: Option<Distribution>,
    /// Rows of which the model said nothing.
    pub unanswered: Share,
    /// Probability of what is answered.
    pub confidence: Mean,
    /// Share of the pieces of a text that the model doesn't know.
    pub unknown_pieces: Mean,
    /// 1 of a class that was right, 0 of another.
    pub accuracy: Mean,
    /// How far a number was off.
    pub error: Mean,
    /// What the model reads, in its order; none of a text.
    pub features: Vec<Feature>,
    /// Of some of the texts.
    pub embeddings: Embeddings,
}

/// A column that a model reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Of the column.
    pub name: String,
    /// Rows in which it is NULL.
    pub nulls: Share,
    /// Its other values; none of moments.
    pub values: Option<Distribution>,
}

impl Reference {
    /// Rows.
    pub fn rows(&self) -> u64 {
        self.unanswered.rows
    }
}
