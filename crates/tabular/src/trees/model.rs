//! A model of trees, whoever grew them: an encoding, trees over its features, and how far off it was.
//!
//! It must not know files. Invariant: a [`TreesModel`] that came through [`TreesModel::check`] can score any row.

use ecommerce_ml_protocol::{ModelInfo, Signature};
use ecommerce_ml_training::residuals::RESIDUALS;

use super::encoding::Encoding;
use super::forest::{Forest, Node};
use super::isotonic::Isotonic;
use crate::score::{Head, has_twice, shares};

/// What the catalog calls the kind.
pub const KIND: &str = "boosted_trees";

/// A model of trees. There is a sum for each class, but for a single one, of the second, where there are two.
#[derive(Debug, Clone, PartialEq)]
pub struct TreesModel {
    /// What the catalog calls its kind.
    pub kind: &'static str,
    /// Values to features.
    pub encoding: Encoding,
    /// Sums to answers.
    pub head: Head,
    /// Features to sums.
    pub forest: Forest,
    /// Of numbers: how far off it was on rows that it had not learned from, [`RESIDUALS`] quantiles of the absolute difference at even
    /// steps from the least to the largest; none if that isn't known.
    pub residuals: Vec<f64>,
    /// Of two classes: what probability a sum stands for, where that isn't the logistic function's.
    pub isotonic: Option<Isotonic>,
}

impl TreesModel {
    /// The classes; none of a number.
    pub fn labels(&self) -> &[String] {
        self.head.labels()
    }

    /// What it reads and answers.
    pub fn signature(&self) -> Signature {
        self.head.signature(self.encoding.fields())
    }

    /// What it is.
    pub fn info(&self) -> ModelInfo {
        ModelInfo {
            kind: self.kind.to_owned(),
            signature: self.signature(),
            parameters: self.forest.nodes() as u64,
            bytes: self.bytes() as u64,
            details: self.details().to_string(),
        }
    }

    fn details(&self) -> serde_json::Value {
        let mut details = serde_json::json!({
            "columns": self.encoding.columns.len(),
            "features": self.encoding.features(),
            "trees": self.forest.trees.len(),
            "depth": self.forest.depth(),
            "importance": self.importance(),
        });
        if self.isotonic.is_some() {
            details["calibration"] = serde_json::json!("isotonic");
        }
        if !self.residuals.is_empty() {
            details["residuals"] = serde_json::json!(self.residuals);
        }
        details
    }

    /// The part of each column in what all splits decreased the loss by; they sum to 1, unless nothing was split.
    pub fn importance(&self) -> Vec<f64> {
        let mut columns = vec![0.0; self.encoding.columns.len()];
        let gains = self.forest.gains(self.encoding.features());
        for (column, gain) in self.encoding.column_of_feature().into_iter().zip(gains) {
            columns[column] += gain;
        }
        shares(columns)
    }

    /// About how many bytes it takes in memory, ready to answer.
    pub fn bytes(&self) -> usize {
        let isotonic = self.isotonic.as_ref().map_or(0, Isotonic::bytes);
        size_of::<Self>() + 2 * self.encoding.bytes() + self.forest.nodes() * size_of::<Node>() + isotonic
    }

    /// What is wrong with it, if anything. Trees were checked when they were made.
    ///
    /// # Errors
    /// A few words.
    pub fn check(&self) -> Result<(), String> {
        let labels = self.labels();
        let sums = match (&self.head, labels.len()) {
            (Head::Number | Head::AnomalyScore, _) | (_, 2) => 1,
            (_, labels) => labels,
        };
        if sums != self.forest.sums || (matches!(self.head, Head::Classes { .. }) && labels.len() < 2) {
            return Err(format!("it has {} labels and {} sums", labels.len(), self.forest.sums));
        }
        if let Some(isotonic) = &self.isotonic {
            if labels.len() != 2 {
                return Err("it calibrates what has no two classes".to_owned());
            }
            isotonic.check()?;
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
        let rising = self.residuals.windows(2).all(|pair| pair[0] <= pair[1]);
        let fits = self.residuals.is_empty() || self.residuals.len() == RESIDUALS;
        if !fits || !rising || !self.residuals.iter().all(|one| one.is_finite() && *one >= 0.0) {
            return Err(format!("its residuals are not {RESIDUALS} quantiles"));
        }
        self.encoding.check()
    }
}
