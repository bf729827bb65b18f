//! A linear model: an encoding and a coefficient for each feature.
//!
//! It must not know files. Invariant: a [`LinearModel`] that came through [`LinearModel::check`] can score any row.

use ecommerce_ml_protocol::{ModelInfo, Signature};

use crate::linear::encoding::{Encoding, Scheme};
use crate::score::{Head, has_twice, shares};

/// What the catalog calls the kind.
pub const KIND: &str = "linear";

/// A linear model. An equation adds an intercept and a coefficient for each feature of a row; there is one for each class, but for
/// a single one, of the second, where there are two and both were seen: the first one's sum is 0 then.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearModel {
    /// Values to features.
    pub encoding: Encoding,
    /// Sums to answers.
    pub head: Head,
    /// `[equations]`. That of a class that is never answered, because it wasn't seen, is negative infinity.
    pub intercepts: Vec<f64>,
    /// `[features, equations]`: what a feature of 1 adds to each sum.
    pub coefficients: Vec<f64>,
}

impl LinearModel {
    /// The classes; none of a number.
    pub fn labels(&self) -> &[String] {
        self.head.labels()
    }

    /// How many sums there are.
    pub fn equations(&self) -> usize {
        self.intercepts.len()
    }

    /// What it reads and answers.
    pub fn signature(&self) -> Signature {
        self.head.signature(self.encoding.fields())
    }

    /// What it is.
    pub fn info(&self) -> ModelInfo {
        let features = self.encoding.features();
        ModelInfo {
            kind: KIND.to_owned(),
            signature: self.signature(),
            parameters: (self.coefficients.len() + self.intercepts.len()) as u64,
            bytes: self.bytes() as u64,
            details: serde_json::json!({
                "columns": self.encoding.columns.len(), "features": features, "importance": self.importance(),
            })
            .to_string(),
        }
    }

    /// What a typical change of each column moves sums by, as a part of that of all: of a number its standard deviation, of a text
    /// half the way from the kind that adds least to that which adds most.
    pub fn importance(&self) -> Vec<f64> {
        let equations = self.equations();
        let of = |(start, column): (usize, &crate::linear::encoding::EncodedColumn)| -> f64 {
            let numbers = match column.scheme {
                Scheme::Number { .. } => 1,
                Scheme::Categories { .. } => column.scheme.features(),
            };
            let of_equation = |equation: usize| {
                let own = (start..start + numbers)
                    .filter_map(|at| self.coefficients.get(at * equations + equation));
                match column.scheme {
                    Scheme::Number { .. } => own.map(|one| one.abs()).sum::<f64>(),
                    Scheme::Categories { .. } => {
                        let ends = own.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), one| {
                            (f64::min(least, *one), f64::max(most, *one))
                        });
                        if ends.0 > ends.1 { 0.0 } else { (ends.1 - ends.0) / 2.0 }
                    }
                }
            };
            (0..equations).map(of_equation).sum()
        };
        shares(self.encoding.offsets().map(of).collect())
    }

    /// About how many bytes it takes in memory, ready to answer: categories and coefficients are there twice, once to be
    /// looked up.
    pub fn bytes(&self) -> usize {
        let labels: usize = self.labels().iter().map(|label| label.len() + size_of::<String>()).sum();
        let numbers = size_of_val(&self.coefficients[..]) + size_of_val(&self.intercepts[..]);
        size_of::<Self>() + 2 * (self.encoding.bytes() + labels + numbers)
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// A few words.
    pub fn check(&self) -> Result<(), String> {
        let labels = self.labels();
        let equations = self.equations();
        let (fits, may_be_infinite) = match &self.head {
            Head::Number | Head::AnomalyScore => (equations == 1, false),
            Head::Classes { labels } => {
                let one = labels.len() == 2 && equations == 1;
                (labels.len() >= 2 && (one || equations == labels.len()), !one)
            }
        };
        if !fits {
            return Err(format!("it has {} labels and {equations} equations", labels.len()));
        }
        if has_twice(labels.iter()) {
            return Err("a label is there twice".to_owned());
        }
        if self.coefficients.len() != self.encoding.features() * equations {
            return Err(format!(
                "it has {} coefficients for {} features and {equations} equations",
                self.coefficients.len(),
                self.encoding.features()
            ));
        }
        let is_never = |intercept: &f64| may_be_infinite && *intercept == f64::NEG_INFINITY;
        let intercepts = self.intercepts.iter().all(|one| one.is_finite() || is_never(one));
        if !intercepts || self.intercepts.iter().all(is_never) {
            return Err("an intercept is not finite".to_owned());
        }
        if !self.coefficients.iter().all(|one| one.is_finite()) {
            return Err("a coefficient is not finite".to_owned());
        }
        if has_twice(self.encoding.columns.iter().map(|column| &column.field.name)) {
            return Err("a column is there twice".to_owned());
        }
        self.check_schemes()
    }

    fn check_schemes(&self) -> Result<(), String> {
        for column in &self.encoding.columns {
            let name = &column.field.name;
            if !column.scheme.suits(column.field.value_type) {
                return Err(format!("column \"{name}\" is not encoded as its type is"));
            }
            match &column.scheme {
                Scheme::Number { mean, scale, .. } => {
                    if !mean.is_finite() || !scale.is_finite() || *scale <= 0.0 {
                        return Err(format!("column \"{name}\" has no finite mean or scale"));
                    }
                }
                Scheme::Categories { categories, .. } => {
                    if has_twice(categories.iter()) {
                        return Err(format!("column \"{name}\" has a category twice"));
                    }
                }
            }
        }
        Ok(())
    }
}
