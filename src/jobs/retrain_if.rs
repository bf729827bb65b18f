//! What makes a scheduled training due: drift, new rows, age.
//!
//! It must not know how they are measured. Invariant: what can't be known makes nothing due.

use pgrx::Spi;
use serde_json::{Map, Value};

use super::drift_check::DriftCheck;
use crate::catalog::arguments::Arguments;
use crate::error::Error;

/// The option of a schedule.
const OPTION: &str = "retrain_if";
const EXPECTED: &str = "an object of \"drift\" (a number above 0), \"new_rows\" (a whole number of at least 1) or \"older_than\" (an interval)";

/// Conditions, one of which is enough.
#[derive(Debug, Default, PartialEq)]
pub struct RetrainIf {
    /// A population stability index that has drifted and is at least so large.
    pub drift: Option<f64>,
    pub new_rows: Option<i64>,
    /// An interval.
    pub older_than: Option<String>,
}

/// Takes the option out of the arguments, the rest of which are a training's.
///
/// # Errors
/// [`Error::InvalidOption`]; the server's own for what is no interval.
pub fn take(arguments: &mut Arguments) -> Result<Option<Value>, Error> {
    let given = arguments.options.as_object_mut().and_then(|options| options.remove(OPTION));
    let Some(given) = given.filter(|given| !given.is_null()) else { return Ok(None) };
    if let Some(interval) = RetrainIf::read(&given)?.older_than {
        Spi::get_one_with_args::<bool>(
            "SELECT $1::pg_catalog.interval IS NULL",
            &[interval.as_str().into()],
        )?;
    }
    Ok(Some(given))
}

impl RetrainIf {
    /// The conditions.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn read(given: &Value) -> Result<Self, Error> {
        let read = |given: &Map<String, Value>| {
            let mut conditions = Self::default();
            for (name, value) in given {
                match name.as_str() {
                    "drift" => conditions.drift = Some(value.as_f64().filter(|drift| *drift > 0.0)?),
                    "new_rows" => conditions.new_rows = Some(value.as_i64().filter(|rows| *rows > 0)?),
                    "older_than" => conditions.older_than = Some(value.as_str()?.to_owned()),
                    _ => return None,
                }
            }
            (!given.is_empty()).then_some(conditions)
        };
        given.as_object().and_then(read).ok_or(Error::InvalidOption { name: OPTION, expected: EXPECTED })
    }

    /// Whether a training is due, and why or why not, in words.
    ///
    /// # Errors
    /// When the server can't be asked.
    pub fn decide(
        &self,
        new: i64,
        drift: Option<&DriftCheck>,
        created: Option<&LiveSince>,
    ) -> Result<(bool, String), Error> {
        let mut due = false;
        let mut words = Vec::new();
        if let Some(least) = self.new_rows {
            due |= new >= least;
            words.push(format!("{new} of {least} new rows"));
        }
        if let Some((least, check)) = self.drift.zip(drift) {
            due |= check.has_drifted(least);
            words.push(check.in_words(least));
        }
        match (&self.older_than, created) {
            (_, None) => {
                due = true;
                words.push("no live version".to_owned());
            }
            (Some(interval), Some(since)) => {
                let (is_older, age) = since.is_older_than(interval)?;
                due |= is_older;
                words.push(format!("live version is {age} old, of {interval}"));
            }
            (None, Some(_)) => {}
        }
        Ok((due, words.join(", ")))
    }
}

/// When the live version was made.
pub struct LiveSince {
    pub name: String,
    pub version: i32,
}

impl LiveSince {
    /// Whether that is so long ago, and how long it is, in words.
    fn is_older_than(&self, interval: &str) -> Result<(bool, String), Error> {
        crate::catalog::versions::age(&self.name, self.version, interval)
    }
}
