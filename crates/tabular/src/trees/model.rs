//! A model of trees: an encoding, trees over its features, and how far off it was.
//!
//! It must not know files. Invariant: a [`TreesModel`] that came through [`TreesModel::check`] can score any row.

use ecommerce_ml_protocol::signature::{Answer, Reads};
use ecommerce_ml_protocol::{ModelInfo, Signature};

use super::encoding::Encoding;
use super::forest::{Forest, Node};
use crate::score::{Head, has_twice};

/// What the catalog calls the kind.
pub const KIND: &str = "boosted_trees";

/// A model of trees. There is a sum for each class, but for a single one, of the second, where there are two.
#[derive(Debug, Clone, PartialEq)]
pub struct TreesModel {
    /// Values to features.
    pub encoding: Encoding,
    /// Sums to answers.
    pub head: Head,
    /// Features to sums.
    pub forest: Forest,
}

impl TreesModel {
    /// The classes; none of a number.
    pub fn labels(&self) -> &[String] {
        match &self.head {
            Head::Number => &[],
            Head::Classes { labels } => labels,
        }
    }

    /// What it reads and answers.
    pub fn signature(&self) -> Signature {
        Signature {
            reads: Reads::Columns(self.encoding.fields()),
            answers: vec![match self.head {
                Head::Number => Answer::Number,
                Head::Classes { .. } => Answer::Classes,
            }],
            labels: self.labels().to_vec(),
        }
    }

    /// What it is.
    pub fn info(&self) -> ModelInfo {
        ModelInfo {
            kind: KIND.to_owned(),
            signature: self.signature(),
            parameters: self.forest.nodes() as u64,
            bytes: self.bytes() as u64,
            details: serde_json::json!({
                "columns": self.encoding.columns.len(),
                "features": self.encoding.features(),
                "trees": self.forest.trees.len(),
                "depth": self.forest.depth(),
            })
            .to_string(),
        }
    }

    /// About how many bytes it takes in memory, ready to answer.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.encoding.bytes() + self.forest.nodes() * size_of::<Node>()
    }

    /// What is wrong with it, if anything. Trees were checked when they were made.
    ///
    /// # Errors
    /// A few words.
    pub fn check(&self) -> Result<(), String> {
        let labels = self.labels();
        let sums = match (&self.head, labels.len()) {
            (Head::Number, _) | (_, 2) => 1,
            (_, labels) => labels,
        };
        if sums != self.forest.sums || (matches!(self.head, Head::Classes { .. }) && labels.len() < 2) {
            return Err(format!("it has {} labels and {} sums", labels.len(), self.forest.sums));
        }
        if has_twice(labels.iter()) {
            return Err("a label is there twice".to_owned());
        }
        if !self.forest.base.is_finite() {
            return Err("the base score is not finite".to_owned());
        }
        if self.forest.trees.iter().any(|(sum, _)| *sum >= sums) {
            return Err("a tree adds to a class that there isn't".to_owned());
        }
        self.encoding.check()
    }
}
