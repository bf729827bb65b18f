//! Some rows, and what a model says of them, as they come.
//!
//! It must not know who chose them. Invariant: what isn't told, such as labels, is not counted, rather than counted as 0.

use std::collections::HashMap;

use ecommerce_ml_protocol::{LabelScheme, Prediction, Rows, Values};

use crate::distribution::Observed;
use crate::energy::Embeddings;
use crate::mean::{Mean, Share};
use crate::reference::{FORMAT, Feature, Reference};

/// Rows of a period, or of a training.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Whether the model reads texts, whose labels may mean sentiments.
    reads_text: bool,
    scheme: Option<LabelScheme>,
    pub(crate) prediction: Option<Observed>,
    pub(crate) unanswered: Share,
    pub(crate) confidence: Mean,
    pub(crate) unknown_pieces: Mean,
    pub(crate) accuracy: Mean,
    pub(crate) error: Mean,
    pub(crate) features: Vec<SampledColumn>,
    pub(crate) embeddings: Embeddings,
}

/// Values of a column.
#[derive(Debug, Clone)]
pub struct SampledColumn {
    pub(crate) name: String,
    pub(crate) nulls: Share,
    /// None of moments, which are never what they were.
    pub(crate) observed: Option<Observed>,
}

impl Sample {
    /// Of no rows, of a model that reads texts or columns.
    pub fn new(reads_text: bool) -> Self {
        Self { reads_text, ..Self::default() }
    }

    /// Rows, whether or not the model said something of them.
    pub fn rows(&self) -> u64 {
        self.unanswered.rows
    }

    /// Counts what the model says of a row; nothing of one that has nothing to read.
    pub fn add_prediction(&mut self, prediction: Option<Prediction<'_>>) {
        self.unanswered.rows += 1;
        match prediction {
            None => self.unanswered.part += 1,
            Some(Prediction::Number(value)) => {
                let numbers = || Observed::Numbers(Vec::new());
                if value.is_finite() {
                    self.prediction.get_or_insert_with(numbers).add_number(value);
                }
            }
            Some(Prediction::Class { labels, probabilities }) => self.add_class(labels, probabilities),
        }
    }

    fn add_class(&mut self, labels: &[String], probabilities: &[f32]) {
        let scheme = *self.scheme.get_or_insert_with(|| match self.reads_text {
            true => LabelScheme::of(labels),
            false => LabelScheme::Other,
        });
        if let Some(confidence) = scheme.confidence(probabilities) {
            self.confidence.add(f64::from(confidence));
        }
        if let [_, second] = probabilities {
            let probabilities = || Observed::Probabilities(Vec::new());
            self.prediction.get_or_insert_with(probabilities).add_number(f64::from(*second));
        } else if let Some(label) = likeliest(probabilities).and_then(|class| labels.get(class)) {
            let categories = || Observed::Categories(HashMap::new());
            self.prediction.get_or_insert_with(categories).add_category(label.as_bytes());
        }
    }

    /// Counts whether a class was right.
    pub fn add_answer(&mut self, right: bool) {
        self.accuracy.add(f64::from(u8::from(right)));
    }

    /// Counts how far a number was off.
    pub fn add_error(&mut self, error: f64) {
        self.error.add(error.abs());
    }

    /// Counts the pieces of a text.
    #[allow(clippy::cast_precision_loss)]
    pub fn add_pieces(&mut self, unknown: usize, pieces: usize) {
        if pieces > 0 {
            self.unknown_pieces.add(unknown as f64 / pieces as f64);
        }
    }

    /// Keeps the embedding of a text, as long as there are few.
    pub fn add_embedding(&mut self, embedding: &[f32]) {
        self.embeddings.add(embedding);
    }

    /// Counts the columns of rows, which are those of the rows before.
    pub fn add_columns(&mut self, rows: &Rows) {
        if self.features.is_empty() {
            let column = |name: &String, values: &Values| SampledColumn {
                name: name.clone(),
                nulls: Share::default(),
                observed: match values {
                    Values::Number(_) => Some(Observed::Numbers(Vec::new())),
                    Values::Text { .. } | Values::Boolean(_) => Some(Observed::Categories(HashMap::new())),
                    Values::Timestamp(_) => None,
                },
            };
            self.features = rows.columns.iter().map(|one| column(&one.name, &one.values)).collect();
        }
        for (feature, column) in self.features.iter_mut().zip(&rows.columns) {
            feature.add(&column.values);
        }
    }

    /// What is kept of them to compare others with.
    pub fn summarise(&self) -> Reference {
        let feature = |one: &SampledColumn| Feature {
            name: one.name.clone(),
            nulls: one.nulls,
            values: one.observed.as_ref().map(Observed::summarise),
        };
        Reference {
            format: FORMAT,
            prediction: self.prediction.as_ref().map(Observed::summarise),
            unanswered: self.unanswered,
            confidence: self.confidence,
            unknown_pieces: self.unknown_pieces,
            accuracy: self.accuracy,
            error: self.error,
            features: self.features.iter().map(feature).collect(),
            embeddings: self.embeddings.clone(),
        }
    }
}

impl SampledColumn {
    fn add(&mut self, values: &Values) {
        let nulls = match values {
            Values::Text { dictionary, codes } => codes
                .iter()
                .filter(|code| {
                    let text = code.and_then(|code| dictionary.get(code as usize));
                    self.add_category(text.map(String::as_bytes))
                })
                .count(),
            Values::Boolean(values) => values
                .iter()
                .filter(|value| {
                    let name: Option<&[u8]> = value.map(|value| if value { &b"true"[..] } else { b"false" });
                    self.add_category(name)
                })
                .count(),
            Values::Number(values) => values
                .iter()
                .filter(|value| {
                    let known = value.filter(|value| !value.is_nan());
                    if let (Some(value), Some(observed)) = (known, &mut self.observed) {
                        observed.add_number(value);
                    }
                    known.is_none()
                })
                .count(),
            Values::Timestamp(values) => values.iter().filter(|value| value.is_none()).count(),
        };
        self.nulls.part += nulls as u64;
        self.nulls.rows += values.len() as u64;
    }

    /// Whether there is none.
    fn add_category(&mut self, category: Option<&[u8]>) -> bool {
        if let (Some(category), Some(observed)) = (category, &mut self.observed) {
            observed.add_category(category);
        }
        category.is_none()
    }
}

/// The class of the largest probability.
pub fn likeliest(probabilities: &[f32]) -> Option<usize> {
    let best = probabilities.iter().enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other));
    best.map(|(class, _)| class)
}
