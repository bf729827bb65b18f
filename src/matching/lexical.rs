//! Lexemes by the server's text search.
//!
//! Invariant: a configuration is known to exist before rows are read with it.

use ecommerce_ml_matching::terms::{MAX_CHARS, Terms};
use pgrx::{Spi, pg_sys};

use crate::error::Error;

/// A text search configuration that exists.
pub struct Configuration {
    oid: u32,
}

impl Configuration {
    /// That of this id.
    ///
    /// # Errors
    /// [`Error::ArgumentValue`].
    pub fn find(config: pg_sys::Oid) -> Result<Self, Error> {
        let query = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_ts_config AS c WHERE c.oid OPERATOR(pg_catalog.=) $1";
        match Spi::get_one_with_args::<i64>(query, &[config.into()])? {
            Some(1) => Ok(Self { oid: config.to_u32() }),
            _ => Err(Error::ArgumentValue { argument: "config", expected: "a text search configuration" }),
        }
    }

    /// The `tsvector` of an expression of type text, in text form.
    pub fn lexemes(&self, text: &str) -> String {
        format!(
            "pg_catalog.to_tsvector('{}'::pg_catalog.oid::pg_catalog.regconfig, pg_catalog.left({text}, {MAX_CHARS}))::pg_catalog.text",
            self.oid
        )
    }

    /// The terms of a question.
    ///
    /// # Errors
    /// When the server can't be asked.
    pub fn terms(&self, question: &str) -> Result<Terms, Error> {
        let query = format!("SELECT {}", self.lexemes("$1"));
        let lexemes = Spi::get_one_with_args::<String>(&query, &[question.into()])?;
        Ok(Terms::of(&lexemes.unwrap_or_default(), question))
    }
}
