//! Options given as JSON.
//!
//! Invariant: an option that isn't known is refused, so that a misspelt one isn't passed over in silence.

use ecommerce_ml_protocol::is_blank;
use serde_json::{Map, Value};

use crate::error::Error;

/// Options that have been checked for unknown names.
pub struct Options(Map<String, Value>);

impl Options {
    /// Takes a JSON object whose keys are all among the comma-separated `known`.
    ///
    /// # Errors
    /// [`Error::OptionsNotObject`], [`Error::UnknownOption`].
    pub fn read(value: Value, known: &'static str) -> Result<Self, Error> {
        let Value::Object(options) = value else { return Err(Error::OptionsNotObject) };
        match options.keys().find(|name| !known.split(", ").any(|known| known == *name)) {
            Some(name) => Err(Error::UnknownOption { name: name.clone(), known }),
            None => Ok(Self(options)),
        }
    }

    /// An option that is true or false; absent is false.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn flag(&self, name: &'static str) -> Result<bool, Error> {
        let read = |value: &Value| value.as_bool();
        Ok(self.get(name, "true or false", read)?.unwrap_or(false))
    }

    /// An option that is a whole number of at least `least`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn count(
        &self,
        name: &'static str,
        least: u64,
        expected: &'static str,
    ) -> Result<Option<u64>, Error> {
        self.get(name, expected, |value| value.as_u64().filter(|count| *count >= least))
    }

    /// An option that is a list of different, non-empty texts.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn names(&self, name: &'static str) -> Result<Option<Vec<String>>, Error> {
        self.get(name, "an array of different, non-empty strings", |value| {
            let names: Option<Vec<String>> =
                value.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            names.filter(|names| !names.is_empty() && are_different(names))
        })
    }

    fn get<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or(Error::InvalidOption { name, expected }),
        }
    }
}

fn are_different(names: &[String]) -> bool {
    let set: std::collections::HashSet<&String> = names.iter().collect();
    set.len() == names.len() && !names.iter().any(|name| is_blank(name))
}
