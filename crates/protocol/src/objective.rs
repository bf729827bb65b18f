//! What models are trained for, and on what, which requests and jobs say alike.
//!
//! Invariant: the order of variants is their number on the wire.

use serde::{Deserialize, Serialize};

use crate::input::Field;

/// What a model is trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Objective {
    /// Classes without an order.
    Classification,
    /// One to five stars.
    Rating,
    /// A number.
    Regression,
    /// What series come to.
    Forecast,
    /// What customers may want next.
    Recommendation,
    /// What customers will do.
    Lifetime,
    /// Rows unlike the others. They have no labels.
    Anomaly,
    /// How sales respond to prices.
    Elasticity,
}

/// What a training is to read of each row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrainingInput {
    /// One text: [`crate::Input::Texts`].
    Text,
    /// Columns: [`crate::Input::Rows`].
    Columns {
        /// All that are read, by name and type.
        fields: Vec<Field>,
        /// Which of them the user named as the text, if any.
        text: Option<String>,
    },
    /// Events that belong to something: [`crate::Input::Rows`]. Their labels are numbers, 1 where no column says how much.
    Events {
        /// The columns that say what a row belongs to, by name and by their type in the relation.
        keys: Vec<Field>,
        /// All that are read: first the keys, as texts whatever their type, then the others.
        fields: Vec<Field>,
    },
}

impl TrainingInput {
    /// The columns that are read; none of a text.
    pub fn fields(&self) -> &[Field] {
        match self {
            Self::Text => &[],
            Self::Columns { fields, .. } | Self::Events { fields, .. } => fields,
        }
    }
}

/// What a training was asked for, as far as its kind decides about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingCall {
    /// What for.
    pub objective: Objective,
    /// What it reads.
    pub input: TrainingInput,
    /// Whether rows have a time, so that later ones are held out.
    pub has_time: bool,
    /// The user's options, a JSON object.
    pub options: String,
}

/// What is known of a training before it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingChecked {
    /// The name of the kind that does it.
    pub kind: String,
    /// The built-in model that it begins with, or reads texts by, unless another is named; none if it begins with nothing, and takes no base.
    pub default_base: Option<String>,
}
