//! What a model reads: texts, or columns of typed values.
//!
//! It must not know SQL types or models. Invariant: all columns of [`Rows`] that came through [`Rows::check`] have a value for
//! each row, and no code beyond its dictionary.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What kind of values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Words: of few kinds as a category, of many as something to read.
    Text,
    /// A number, whole or not.
    Number,
    /// True or false.
    Boolean,
    /// A moment.
    Timestamp,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::Text => "text",
            ValueType::Number => "number",
            ValueType::Boolean => "boolean",
            ValueType::Timestamp => "timestamp",
        })
    }
}

/// A column by name and type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// As the column was called when the model was trained.
    pub name: String,
    /// Of its values.
    #[serde(rename = "type")]
    pub value_type: ValueType,
}

/// Values of one column, one a row; none for NULL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Values {
    /// [`ValueType::Text`]. A text that comes again is there once.
    Text {
        /// The texts that there are.
        dictionary: Vec<String>,
        /// Which of them each row has.
        codes: Vec<Option<u32>>,
    },
    /// [`ValueType::Number`].
    Number(Vec<Option<f64>>),
    /// [`ValueType::Boolean`].
    Boolean(Vec<Option<bool>>),
    /// [`ValueType::Timestamp`], in microseconds since 1970 began in UTC.
    Timestamp(Vec<Option<i64>>),
}

impl Values {
    /// The type.
    pub fn value_type(&self) -> ValueType {
        match self {
            Values::Text { .. } => ValueType::Text,
            Values::Number(_) => ValueType::Number,
            Values::Boolean(_) => ValueType::Boolean,
            Values::Timestamp(_) => ValueType::Timestamp,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Values::Text { codes, .. } => codes.len(),
            Values::Number(values) => values.len(),
            Values::Boolean(values) => values.len(),
            Values::Timestamp(values) => values.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those of some rows, with no more texts in the dictionary than they have.
    pub fn part(&self, rows: Range<usize>) -> Self {
        match self {
            Values::Text { dictionary, codes } => {
                let mut used = BTreeMap::new();
                let mut kept = Vec::new();
                let codes = cut(codes, rows).into_iter().map(|code| {
                    let text = dictionary.get(code? as usize)?;
                    Some(*used.entry(code).or_insert_with(|| {
                        kept.push(text.clone());
                        u32::try_from(kept.len() - 1).unwrap_or(u32::MAX)
                    }))
                });
                let codes = codes.collect();
                Values::Text { dictionary: kept, codes }
            }
            Values::Number(values) => Values::Number(cut(values, rows)),
            Values::Boolean(values) => Values::Boolean(cut(values, rows)),
            Values::Timestamp(values) => Values::Timestamp(cut(values, rows)),
        }
    }

    /// Those at these places, in this order.
    fn picked(&self, places: &[usize]) -> Self {
        match self {
            Values::Text { dictionary, codes } => texts(dictionary, &pick(codes, places)),
            Values::Number(values) => Values::Number(pick(values, places)),
            Values::Boolean(values) => Values::Boolean(pick(values, places)),
            Values::Timestamp(values) => Values::Timestamp(pick(values, places)),
        }
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        match self {
            Values::Text { dictionary, codes } => {
                let texts: usize = dictionary.iter().map(|text| text.len() + size_of::<String>()).sum();
                texts + size_of_val(&codes[..])
            }
            Values::Number(values) => size_of_val(&values[..]),
            Values::Boolean(values) => size_of_val(&values[..]),
            Values::Timestamp(values) => size_of_val(&values[..]),
        }
    }
}

/// A column of some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// Some rows, column by column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// How many there are; there may be rows without columns.
    pub count: u32,
    /// In whatever order; names are different.
    pub columns: Vec<Column>,
}

impl Rows {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|column| column.name == name).map(|column| &column.values)
    }

    /// The rows at these places, in this order. A dictionary is sorted, and has no text that no row has.
    #[must_use]
    pub fn picked(&self, places: &[usize]) -> Self {
        let column =
            |column: &Column| Column { name: column.name.clone(), values: column.values.picked(places) };
        Self { count: places.len() as u32, columns: self.columns.iter().map(column).collect() }
    }

    /// Whether all columns are as long as they should be and every code is one of its dictionary.
    pub fn check(&self) -> bool {
        let fits = |column: &Column| match &column.values {
            Values::Text { dictionary, codes } => {
                codes.iter().flatten().all(|code| (*code as usize) < dictionary.len())
            }
            _ => true,
        };
        self.columns.iter().all(|column| column.values.len() == self.count as usize && fits(column))
    }
}

/// What a request gives a model to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// Texts, each at most [`crate::MAX_TEXT_BYTES`] long.
    Texts(Vec<String>),
    /// Columns.
    Rows(Rows),
}

impl Input {
    /// How many answers there will be.
    pub fn len(&self) -> usize {
        match self {
            Input::Texts(texts) => texts.len(),
            Input::Rows(rows) => rows.count as usize,
        }
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of it: the answers to its parts, one after another, are the answers to the whole.
    pub fn part(&self, items: Range<usize>) -> Self {
        match self {
            Input::Texts(texts) => Input::Texts(cut(texts, items)),
            Input::Rows(rows) => {
                let column = |column: &Column| Column {
                    name: column.name.clone(),
                    values: column.values.part(items.clone()),
                };
                let end = items.end.min(rows.count as usize);
                let count = u32::try_from(end.saturating_sub(items.start)).unwrap_or(0);
                Input::Rows(Rows { count, columns: rows.columns.iter().map(column).collect() })
            }
        }
    }

    /// Those at these places, in this order.
    #[must_use]
    pub fn picked(&self, places: &[usize]) -> Self {
        match self {
            Input::Texts(texts) => {
                Input::Texts(places.iter().filter_map(|&place| texts.get(place).cloned()).collect())
            }
            Input::Rows(rows) => Input::Rows(rows.picked(places)),
        }
    }

    /// About how many bytes it takes, beside what each item costs.
    pub fn bytes(&self) -> usize {
        match self {
            Input::Texts(texts) => texts.iter().map(String::len).sum(),
            Input::Rows(rows) => {
                rows.columns.iter().map(|column| column.name.len() + column.values.bytes()).sum()
            }
        }
    }
}

fn pick<T: Copy>(values: &[Option<T>], places: &[usize]) -> Vec<Option<T>> {
    places.iter().map(|&place| values.get(place).copied().flatten()).collect()
}

/// Texts with a dictionary of their own.
fn texts(dictionary: &[String], codes: &[Option<u32>]) -> Values {
    let text = |code: &u32| dictionary.get(*code as usize).map(String::as_str);
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    let mut used = vec![false; dictionary.len()];
    for code in codes.iter().flatten() {
        if let Some(used) = used.get_mut(*code as usize) {
            *used = true;
        }
    }
    let those = dictionary.iter().zip(&used).filter(|(_, used)| **used);
    found.extend(those.map(|(text, _)| (text.as_str(), 0)));
    found.values_mut().zip(0..).for_each(|(code, number)| *code = number);
    // One look into the tree for each text, not for each row.
    let new: Vec<Option<u32>> = (0..dictionary.len() as u32)
        .map(|code| text(&code).and_then(|text| found.get(text).copied()))
        .collect();
    let codes = codes.iter().map(|code| code.and_then(|code| new.get(code as usize).copied().flatten()));
    Values::Text { codes: codes.collect(), dictionary: found.into_keys().map(str::to_owned).collect() }
}

/// Those of the items that there are.
fn cut<T: Clone>(items: &[T], range: Range<usize>) -> Vec<T> {
    let end = range.end.min(items.len());
    items.get(range.start..end).unwrap_or_default().to_vec()
}
