//! What a model is: what it reads and what it answers.
//!
//! It must not know which kinds there are: a kind is a name. Invariant: a [`Signature`] reads back from the JSON that it was
//! written to, since that is how versions keep it.

use serde::{Deserialize, Serialize};

use crate::answer::Table;
use crate::input::Field;

/// What a model reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// [`crate::Input::Texts`].
    Text,
    /// [`crate::Input::Rows`] with these columns.
    Columns(Vec<Field>),
    /// Nothing of its own: it is asked for tables about what it was trained on. What tells series or customers apart there, by name
    /// and type; on the wire the values are texts.
    Keys(Vec<Field>),
}

/// What a model answers for one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A probability for each label: [`crate::Answers::Classes`].
    Classes,
    /// A number: [`crate::Answers::Numbers`].
    Number,
    /// A vector of this width: [`crate::Answers::Vectors`].
    Embedding(u32),
    /// The tokens of a text.
    Tokens,
    /// A table for each row of arguments: [`crate::Answers::Tables`].
    Table(Table),
    /// How unlike the rows that were learned from, from 0 to 1: [`crate::Answers::Numbers`].
    AnomalyScore,
}

/// Inputs and outputs by name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// What it reads.
    pub reads: Reads,
    /// What it answers.
    pub answers: Vec<Answer>,
    /// The classes, in the order of their probabilities; empty unless a classification.
    pub labels: Vec<String>,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// A probability for each of the labels.
    Classification,
    /// One number.
    Regression,
    /// No head: only embeddings.
    Embedding,
    /// What series come to.
    Forecast,
    /// What customers may want next.
    Recommendation,
    /// What customers will do.
    Lifetime,
    /// How unlike others a row is.
    Anomaly,
    /// How sales respond to prices.
    Elasticity,
}

impl Task {
    /// The word that SQL shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Task::Classification => "classification",
            Task::Regression => "regression",
            Task::Embedding => "embedding",
            Task::Forecast => "forecast",
            Task::Recommendation => "recommendation",
            Task::Lifetime => "lifetime",
            Task::Anomaly => "anomaly",
            Task::Elasticity => "elasticity",
        }
    }
}

impl Signature {
    /// What the model is for: the first of its answers that says so.
    pub fn task(&self) -> Task {
        let task = |answer: &Answer| match answer {
            Answer::Classes => Some(Task::Classification),
            Answer::Number => Some(Task::Regression),
            Answer::Table(
                Table::Forecast | Table::TotalDemand | Table::ForecastErrors | Table::SeriesAnomalies,
            ) => Some(Task::Forecast),
            Answer::Table(
                Table::Recommendations | Table::SimilarItems | Table::RankingQuality | Table::ItemSet,
            ) => Some(Task::Recommendation),
            Answer::Table(Table::Lifetimes) => Some(Task::Lifetime),
            Answer::Table(Table::PriceResponse) => Some(Task::Elasticity),
            Answer::AnomalyScore => Some(Task::Anomaly),
            Answer::Embedding(_) | Answer::Tokens => None,
        };
        self.answers.iter().find_map(task).unwrap_or(Task::Embedding)
    }

    /// Whether this table is among the answers.
    pub fn answers_table(&self, table: Table) -> bool {
        self.answers.contains(&Answer::Table(table))
    }

    /// The width of embeddings, if there are any.
    pub fn embedding_width(&self) -> Option<u32> {
        self.answers.iter().find_map(|answer| match answer {
            Answer::Embedding(width) => Some(*width),
            _ => None,
        })
    }
}

/// What a loaded model is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The name of its kind in the engine's registry.
    pub kind: String,
    /// What it reads and answers.
    pub signature: Signature,
    /// Number of weights.
    pub parameters: u64,
    /// Memory that the loaded model takes, in bytes.
    pub bytes: u64,
    /// What else views show of it: a JSON object, whose keys are the kind's own.
    pub details: String,
}

impl ModelInfo {
    /// Classes in the order of their probabilities; empty unless a classification.
    pub fn labels(&self) -> &[String] {
        &self.signature.labels
    }

    /// What the model is for.
    pub fn task(&self) -> Task {
        self.signature.task()
    }
}
