//! What the options `item_relation`, `item_key` and `item_text` take from the database: texts about what the last key of the rows names.
//!
//! It must not know what becomes of them: that is the engine's. Invariant: they are found and read as the current role.

use ecommerce_ml_protocol::is_blank;
use ecommerce_ml_protocol::training::TrainingInput;
use serde_json::Value;

use super::reads::Reads;
use super::rows::{require_lasting, shortened};
use crate::error::Error;
use crate::relation::Relation;
use crate::rows;

/// Texts that a job takes.
#[derive(Default)]
pub struct Descriptions {
    query: Option<String>,
}

impl Descriptions {
    /// What options ask for, which the engine has found nothing wrong with, for rows with these columns.
    ///
    /// # Errors
    /// Those of [`Relation`]; the server's own, for names that stand for nothing.
    pub fn of(reads: &Reads, options: &Value) -> Result<Self, Error> {
        let TrainingInput::Events { keys, .. } = &reads.input else { return Ok(Self::default()) };
        let option = |name| options.get(name).and_then(Value::as_str);
        let (Some(relation), Some(text), Some(key)) =
            (option("item_relation"), option("item_text"), keys.last())
        else {
            return Ok(Self::default());
        };
        let relation = Relation::named(relation)?;
        let key = relation.column_named(option("item_key").unwrap_or(&key.name))?.as_key();
        let text = relation.column_named(text)?.as_review()?;
        // Several texts of the same are one.
        let query = format!(
            "SELECT {key}, pg_catalog.string_agg({text}, ' ' ORDER BY {text} COLLATE pg_catalog.\"C\") FROM {} AS t
             WHERE {key} IS NOT NULL GROUP BY 1",
            relation.from()
        );
        Ok(Self { query: Some(query) })
    }

    /// Lets the server say what keeps the current role from reading them, and refuses what only this session can read.
    ///
    /// # Errors
    /// [`Error::TemporaryRelation`], those of opening a cursor; the server's own errors end the statement.
    pub fn require_readable(&self) -> Result<(), Error> {
        self.query.as_ref().map_or(Ok(()), |query| require_lasting(query, &[]))
    }

    /// Hands out keys, each with its text, which may be blank.
    ///
    /// # Errors
    /// Those of `take`; the server's own errors end the statement.
    pub fn for_each(&self, mut take: impl FnMut((String, String)) -> Result<(), Error>) -> Result<(), Error> {
        let Some(query) = &self.query else { return Ok(()) };
        rows::for_each(query, &[], rows::read_pair::<String, String>, |(key, text)| {
            let text = text.filter(|text| !is_blank(text)).map(shortened).unwrap_or_default();
            key.map_or(Ok(()), |key| take((key, text)))
        })
    }
}
