//! Columns that grow by a row at a time.
//!
//! Invariant: all columns have a value for each row, also after a row was refused.

use ecommerce_ml_protocol::{Column, Field, Rows, ValueType, Values};
use indexmap::IndexSet;

/// Rows that are being collected, column by column.
pub struct RowsBuilder {
    names: Vec<String>,
    columns: Vec<ColumnBuilder>,
    count: usize,
}

/// Values of one column; none for NULL.
pub enum ColumnBuilder {
    Text(TextColumn),
    Number(Vec<Option<f64>>),
    Boolean(Vec<Option<bool>>),
    /// In microseconds since 1970 began in UTC.
    Timestamp(Vec<Option<i64>>),
}

/// Texts, each kept once.
#[derive(Default)]
pub struct TextColumn {
    dictionary: IndexSet<String>,
    /// Which text each row has.
    codes: Vec<Option<u32>>,
    /// Of the dictionary.
    bytes: usize,
}

impl RowsBuilder {
    /// No rows yet, with these columns.
    pub fn new(fields: &[Field]) -> Self {
        let columns = fields.iter().map(|field| ColumnBuilder::new(field.value_type)).collect();
        let names = fields.iter().map(|field| field.name.clone()).collect();
        Self { names, columns, count: 0 }
    }

    /// Adds a row, whose values `read` appends: one to each column. Returns its number.
    ///
    /// # Errors
    /// Those of `read`; then there is no such row.
    pub fn push<E>(&mut self, read: impl FnOnce(&mut [ColumnBuilder]) -> Result<(), E>) -> Result<usize, E> {
        if let Err(error) = read(&mut self.columns) {
            self.columns.iter_mut().for_each(|column| column.truncate(self.count));
            return Err(error);
        }
        self.count += 1;
        Ok(self.count - 1)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::bytes).sum()
    }

    /// What the last row has in a column of numbers, if there is one of this name.
    pub fn last_number(&self, name: &str) -> Option<f64> {
        let at = self.names.iter().position(|one| one == name)?;
        match self.columns.get(at)? {
            ColumnBuilder::Number(values) => values.last().copied().flatten(),
            _ => None,
        }
    }

    /// The rows.
    pub fn finish(self) -> Rows {
        let columns = self.names.into_iter().zip(self.columns);
        let columns = columns.map(|(name, column)| Column { name, values: column.finish() }).collect();
        Rows { count: u32::try_from(self.count).unwrap_or(u32::MAX), columns }
    }
}

impl ColumnBuilder {
    fn new(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Text => Self::Text(TextColumn::default()),
            ValueType::Number => Self::Number(Vec::new()),
            ValueType::Boolean => Self::Boolean(Vec::new()),
            ValueType::Timestamp => Self::Timestamp(Vec::new()),
        }
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        match self {
            Self::Text(column) => column.codes.push(None),
            Self::Number(values) => values.push(None),
            Self::Boolean(values) => values.push(None),
            Self::Timestamp(values) => values.push(None),
        }
    }

    /// Appends a number; to a column of something else, NULL.
    pub fn push_number(&mut self, number: Option<f64>) {
        match self {
            Self::Number(values) => values.push(number),
            other => other.push_null(),
        }
    }

    /// Whether the latest value is an infinite number, which no model reads.
    pub fn ends_infinite(&self) -> bool {
        match self {
            Self::Number(values) => values.last().copied().flatten().is_some_and(f64::is_infinite),
            Self::Text(_) | Self::Boolean(_) | Self::Timestamp(_) => false,
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Text(column) => column.codes.truncate(rows),
            Self::Number(values) => values.truncate(rows),
            Self::Boolean(values) => values.truncate(rows),
            Self::Timestamp(values) => values.truncate(rows),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(column) => column.bytes + size_of_val(&column.codes[..]),
            Self::Number(values) => size_of_val(&values[..]),
            Self::Boolean(values) => size_of_val(&values[..]),
            Self::Timestamp(values) => size_of_val(&values[..]),
        }
    }

    fn finish(self) -> Values {
        match self {
            Self::Text(TextColumn { dictionary, codes, .. }) => {
                Values::Text { dictionary: dictionary.into_iter().collect(), codes }
            }
            Self::Number(values) => Values::Number(values),
            Self::Boolean(values) => Values::Boolean(values),
            Self::Timestamp(values) => Values::Timestamp(values),
        }
    }
}

impl TextColumn {
    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        let known = self.dictionary.get_index_of(text);
        let code = known.unwrap_or_else(|| {
            self.bytes += text.len() + size_of::<String>();
            self.dictionary.insert_full(text.to_owned()).0
        });
        self.codes.push(u32::try_from(code).ok());
    }
}
