//! Values of a JSON object, checked one by one.
//!
//! It must not know which options there are, beyond the names that it is told. Invariant: what a reader hands out is in
//! the range that was asked for, and each refusal names the option and what was expected.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds, RangeInclusive};

use ecommerce_ml_protocol::{EngineError, ErrorKind, is_blank};
use serde_json::{Map, Value};

/// Most characters of a value that an error repeats.
const SHOWN: usize = 60;

/// Largest integer that JSON numbers hold exactly in every implementation.
const LARGEST_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Options as the user wrote them. `null` is the same as not given.
pub struct Reader<'a> {
    values: &'a Map<String, Value>,
    /// The option whose value the object is, with a point behind it; empty for the options themselves.
    path: String,
}

impl<'a> Reader<'a> {
    /// Reads options of which each must have one of these names.
    pub fn new(options: &'a Value, names: &[&str]) -> Result<Self, EngineError> {
        let Value::Object(values) = options else {
            let message = format!("training options must be an object, not {}", shown(options));
            return Err(refused(message));
        };
        match values.keys().find(|name| !names.contains(&name.as_str())) {
            Some(unknown) => Err(refused(format!("unknown training option \"{unknown}\""))
                .with_hint(format!("Options are {}.", names.join(", ")))),
            None => Ok(Self { values, path: String::new() }),
        }
    }

    /// Reads the object that is the value of an option, each of whose keys must be one of these; `kind` says what they
    /// are. `None` if the option isn't given.
    pub fn within(&self, name: &str, kind: &str, keys: &[&str]) -> Result<Option<Self>, EngineError> {
        let Some(value) = self.given(name) else { return Ok(None) };
        let Value::Object(values) = value else {
            return Err(unexpected(name, &format!("an object of {kind}"), value));
        };
        match values.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(unknown) => Err(refused(format!("training option \"{name}\" has no \"{unknown}\""))
                .with_hint(format!("It may have {}.", keys.join(", ")))),
            None => Ok(Some(Self { values, path: format!("{name}.") })),
        }
    }

    /// The value of an option, unless it isn't given.
    pub fn given(&self, name: &str) -> Option<&'a Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// A number in a range.
    pub fn number(&self, name: &str, default: f64, range: impl RangeBounds<f64>) -> Result<f64, EngineError> {
        let Some(value) = self.given(name) else { return Ok(default) };
        let name = &self.full(name);
        number_in(value, &range).ok_or_else(|| unexpected(name, &described("a number", &range), value))
    }

    /// Some text that isn't blank, unless it isn't given.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, EngineError> {
        let Some(value) = self.given(name) else { return Ok(None) };
        match value.as_str().filter(|text| !is_blank(text)) {
            None => Err(unexpected(&self.full(name), "some text", value)),
            found => Ok(found),
        }
    }

    /// The name of an option as errors show it.
    pub fn full(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A whole number in a range, unless it isn't given; `3.0` is one.
    pub fn integer(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, EngineError> {
        let Some(value) = self.given(name) else { return Ok(None) };
        let whole = |number: f64| number.fract() == 0.0 && (0.0..=LARGEST_INTEGER).contains(&number);
        let found = value
            .as_u64()
            .or_else(|| value.as_f64().filter(|&number| whole(number)).map(|number| number as u64));
        match found.filter(|found| range.contains(found)) {
            None => Err(unexpected(&self.full(name), &described("a whole number", &range), value)),
            found => Ok(found),
        }
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, name: &str, default: T, choices: &[(&str, T)]) -> Result<T, EngineError> {
        let Some(value) = self.given(name) else { return Ok(default) };
        let chosen = choices.iter().find(|(word, _)| value.as_str() == Some(word));
        let words = || choices.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>();
        let name = &self.full(name);
        chosen.map(|&(_, choice)| choice).ok_or_else(|| unexpected(name, &alternatives(&words()), value))
    }

    /// Refuses options if they are given, for a reason that follows their names.
    pub fn refuse(&self, names: &[&str], why: &str) -> Result<(), EngineError> {
        match names.iter().find(|name| self.given(name).is_some()) {
            Some(name) => Err(refused(format!("training option \"{}\" {why}", self.full(name)))),
            None => Ok(()),
        }
    }
}

/// A number, if it is one in the range.
pub fn number_in(value: &Value, range: &impl RangeBounds<f64>) -> Option<f64> {
    value.as_f64().filter(|number| range.contains(number))
}

/// A value that isn't what an option needs.
pub fn unexpected(name: &str, expected: &str, value: &Value) -> EngineError {
    refused(format!("training option \"{name}\" must be {expected}, not {}", shown(value)))
}

/// Something wrong with the options.
pub fn refused(message: String) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}

/// A kind of number and its range, in words.
pub fn described<T: Display>(kind: &str, range: &impl RangeBounds<T>) -> String {
    let low = match range.start_bound() {
        Bound::Included(low) => format!("{kind} from {low}"),
        Bound::Excluded(low) => format!("{kind} above {low}"),
        Bound::Unbounded => kind.to_owned(),
    };
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(_), Bound::Included(high)) => format!("{low} to {high}"),
        (_, Bound::Included(high)) => format!("{low} and at most {high}"),
        (_, Bound::Excluded(high)) => format!("{low} and below {high}"),
        (_, Bound::Unbounded) => low,
    }
}

/// Words with commas and an "or".
pub fn alternatives(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

fn shown(value: &Value) -> String {
    let json = value.to_string();
    match json.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &json[..end]),
        None => json,
    }
}
