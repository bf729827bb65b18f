//! Values to features.
//!
//! A number, a boolean (0 or 1) or a timestamp (seconds) is one feature: less its mean, divided by its standard deviation, both
//! of the training rows; where it is NULL or NaN it is the mean, and a second feature says so if that happened in training. A text
//! is a category: one feature for each that was seen, one for NULL, and one for all those that were too rare for a feature of
//! their own. So have scikit-learn's `StandardScaler`, `SimpleImputer(add_indicator=True)` and
//! `OneHotEncoder(handle_unknown='infrequent_if_exist')` it.
//! It must not know coefficients. Invariant: features are numbered column by column, and none has two meanings.

use ecommerce_ml_protocol::{Field, ValueType};

/// How the values of a column become features.
#[derive(Debug, Clone, PartialEq)]
pub enum Scheme {
    /// Of numbers, booleans and timestamps.
    Number {
        /// Of the training rows.
        mean: f64,
        /// What a distance from the mean is divided by, above 0.
        scale: f64,
        /// Whether a second feature is 1 where the value is missing.
        missing: bool,
    },
    /// Of texts.
    Categories {
        /// Those with a feature of their own, in the order of their bytes.
        categories: Vec<String>,
        /// Whether the next feature is 1 where the value is missing.
        missing: bool,
        /// Whether the last feature is 1 for all other categories.
        other: bool,
    },
}

impl Scheme {
    /// How many features it has: first those of the value, then that of a missing one, then that of all others.
    pub fn features(&self) -> usize {
        match self {
            Scheme::Number { missing, .. } => 1 + usize::from(*missing),
            Scheme::Categories { categories, missing, other } => {
                categories.len() + usize::from(*missing) + usize::from(*other)
            }
        }
    }

    /// Whether values of a type can be encoded by it.
    pub fn suits(&self, value_type: ValueType) -> bool {
        matches!(self, Scheme::Categories { .. }) == (value_type == ValueType::Text)
    }
}

/// A column and how it is encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedColumn {
    /// Which one.
    pub field: Field,
    /// How.
    pub scheme: Scheme,
}

/// All columns that a model reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoding {
    /// In the order of their features.
    pub columns: Vec<EncodedColumn>,
}

impl Encoding {
    /// Name and type of each column.
    pub fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|column| column.field.clone()).collect()
    }

    /// How many features there are in all.
    pub fn features(&self) -> usize {
        self.columns.iter().map(|column| column.scheme.features()).sum()
    }

    /// Each column with the number of its first feature.
    pub fn offsets(&self) -> impl Iterator<Item = (usize, &EncodedColumn)> {
        self.columns.iter().scan(0, |next, column| {
            let start = *next;
            *next += column.scheme.features();
            Some((start, column))
        })
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let categories = |scheme: &Scheme| match scheme {
            Scheme::Number { .. } => 0,
            Scheme::Categories { categories, .. } => {
                categories.iter().map(|category| category.len() + size_of::<String>()).sum()
            }
        };
        let column = |column: &EncodedColumn| {
            size_of::<EncodedColumn>() + column.field.name.len() + categories(&column.scheme)
        };
        self.columns.iter().map(column).sum()
    }
}
