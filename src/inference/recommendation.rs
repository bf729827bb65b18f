//! What is recommended to one customer, as a text.
//!
//! A model is asked for the rows of a query together, by a function that gives a value for each; another function makes rows of that value.
//! Invariant: what is written can be read.

use ecommerce_ml_protocol::Rows;

use super::tables::TableRow;

/// An item of an answer.
#[derive(Debug, PartialEq)]
pub struct Recommendation {
    pub item: String,
    pub score: f64,
    pub because: Vec<String>,
}

impl Recommendation {
    /// Of a row of a table; nothing if it has no item.
    fn of(row: TableRow<'_>) -> Option<(&str, f64, &str)> {
        Some((row.text("item")?, row.number("score")?, row.text("because")?))
    }

    /// All rows of a table.
    pub fn write_all(table: &Rows) -> String {
        let mut text = String::from("[");
        for (item, score, because) in TableRow::all(table).filter_map(Self::of) {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&serde_json::json!([item, score]).to_string());
            // The reasons are JSON already.
            text.pop();
            text.push(',');
            text.push_str(because);
            text.push(']');
        }
        text.push(']');
        text
    }

    /// What [`write_all`](Self::write_all) wrote; nothing of another text.
    pub fn read_all(text: &str) -> Option<Vec<Self>> {
        let rows: Vec<(String, f64, Vec<String>)> = serde_json::from_str(text).ok()?;
        Some(rows.into_iter().map(|(item, score, because)| Self { item, score, because }).collect())
    }
}
