//! Options given as JSON.
//!
//! Invariant: an option that isn't known is refused, so that a misspelt one isn't passed over in silence.

use std::ops::RangeInclusive;

use ecommerce_ml_protocol::is_blank;
use serde_json::{Map, Value};

use crate::error::Error;

/// Lists of texts, each with its name.
pub type NamedLists = Vec<(String, Vec<String>)>;

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

    /// An option that is a whole number in a range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn count_in(
        &self,
        name: &'static str,
        range: RangeInclusive<u64>,
        expected: &'static str,
    ) -> Result<Option<u64>, Error> {
        self.get(name, expected, |value| value.as_u64().filter(|count| range.contains(count)))
    }

    /// An option that is a number between 0 and 1, both excluded.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn rate(&self, name: &'static str) -> Result<Option<f64>, Error> {
        self.get(name, "a number between 0 and 1, both excluded", |value| {
            value.as_f64().filter(|rate| *rate > 0.0 && *rate < 1.0)
        })
    }

    /// An option that is a text which can be read as something.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn text<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.get(name, expected, |value| value.as_str().and_then(&read))
    }

    /// An option that is an object of lists of texts, `most` at most, each of which is as it has to be.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn lists(
        &self,
        name: &'static str,
        expected: &'static str,
        most: usize,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Option<NamedLists>, Error> {
        self.get(name, expected, |value| {
            let lists = value.as_object().filter(|lists| !lists.is_empty() && lists.len() <= most)?;
            let list = |(name, list): (&String, &Value)| {
                let texts = list
                    .as_array()?
                    .iter()
                    .map(|text| text.as_str().filter(|text| fits(text)).map(str::to_owned));
                let texts: Vec<String> = texts.collect::<Option<_>>()?;
                (!texts.is_empty() && !is_blank(name)).then(|| (name.clone(), texts))
            };
            lists.iter().map(list).collect()
        })
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
