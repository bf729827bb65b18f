//! Why a row can't be read as a model's input.
//!
//! It must not know which model. Invariant: it names the column, what is there, and what was expected.

use ecommerce_ml_protocol::{Field, ValueType};

use super::element::{element, elements};

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    #[error("column \"{column}\" is missing from the input")]
    NoColumn { column: String, reads: String },
    #[error("column \"{column}\" of the input is of type {type_name}")]
    ColumnType { column: String, type_name: String, expected: ValueType },
    #[error("the input is {0}")]
    NotAnObject(&'static str),
    #[error("key \"{column}\" of the input is {found}")]
    JsonType { column: String, found: &'static str, expected: ValueType },
    #[error("column \"{column}\" of the input is an array of {found}")]
    Array { column: String, found: String, expected: usize },
    #[error("{what}")]
    NotAnArray { what: String, expected: usize },
    #[error("column \"{0}\" of the input is infinite")]
    Infinite(String),
    #[error("key \"{column}\" of the input is no date or time: \"{value}\"")]
    NotATime { column: String, value: String },
}

impl InputError {
    /// Of an array that is too short or too long.
    pub fn length(column: &str, found: usize, expected: usize) -> Self {
        let found = if found == 1 { "1 number".to_owned() } else { format!("{found} numbers") };
        Self::Array { column: column.to_owned(), found, expected }
    }

    /// Of a column of another type where an array is read.
    pub fn no_array(column: &str, type_name: &str, expected: usize) -> Self {
        Self::NotAnArray {
            what: format!("column \"{column}\" of the input is of type {type_name}"),
            expected,
        }
    }

    /// Of a key with another value where an array is read.
    pub fn no_json_array(key: &str, found: &str, expected: usize) -> Self {
        Self::NotAnArray { what: format!("key \"{key}\" of the input is {found}"), expected }
    }

    /// Of an array with so many dimensions.
    pub fn dimensions(column: &str, found: i32, expected: usize) -> Self {
        Self::Array { column: column.to_owned(), found: format!("{found} dimensions"), expected }
    }

    /// Of a column that isn't there.
    pub fn no_column(column: &str, fields: &[Field]) -> Self {
        Self::NoColumn { column: column.to_owned(), reads: listed(fields) }
    }
}

/// Names and types, as users are told; of an array once.
pub fn listed(fields: &[Field]) -> String {
    let mut arrays = Vec::new();
    let shown = fields.iter().filter_map(|field| match element(&field.name) {
        Some((array, _)) if arrays.contains(&array) => None,
        Some((array, _)) => {
            arrays.push(array);
            Some(format!("{array} ({} numbers)", elements(fields, array)))
        }
        None => Some(format!("{} ({})", field.name, field.value_type)),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// A value of this type in words.
pub fn in_words(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Text => "a text",
        ValueType::Number => "a number",
        ValueType::Boolean => "a boolean",
        ValueType::Timestamp => "a timestamp",
    }
}

/// A type of the server's that is read so.
pub fn type_for(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Text => "text",
        ValueType::Number => "double precision",
        ValueType::Boolean => "boolean",
        ValueType::Timestamp => "timestamptz",
    }
}
