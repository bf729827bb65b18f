//! What the user may choose in a training.
//!
//! It must not know rows. Invariant: what is read back from [`Options::effective`] is the same.

use std::ops::Bound;

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::options::parse;
use ecommerce_ml_training::{CommonOptions, Reader};
use serde_json::json;

use crate::learning::Past;

/// Days that are held out unless the user says, at most.
const YEAR: f64 = 365.25;

/// Options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Those of all kinds. Of `eval_fraction` it only matters whether it is 0: then nothing is held out.
    pub common: CommonOptions,
    /// Days ahead for which the model will be asked: as many are held out, at most half of the time that there is.
    pub horizon: Option<f64>,
    /// From which time is learned; whatever is better if not given.
    pub past: Option<Past>,
    /// Whether the level of all is corrected by the time that is held out.
    pub correction: bool,
}

impl Options {
    const OWN: [&str; 3] = ["horizon", "history", "correction"];

    /// Reads them.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] with a message that names the option and what was expected.
    pub fn read(json: &str) -> Result<Self, EngineError> {
        let value = parse(json)?;
        let names: Vec<&str> = CommonOptions::NAMES.into_iter().chain(Self::OWN).collect();
        let reader = Reader::new(&value, &names)?;
        let days = (Bound::Excluded(0.0), Bound::Included(100.0 * YEAR));
        let horizon = match reader.given("horizon") {
            None => None,
            Some(_) => Some(reader.number("horizon", YEAR, days)?),
        };
        let pasts = [("auto", None), ("all", Some(Past::All)), ("half", Some(Past::Half))];
        Ok(Self {
            common: CommonOptions::read(&reader)?,
            horizon,
            past: reader.choice("history", None, &pasts)?,
            correction: reader.choice("correction", true, &[("half", true), ("none", false)])?,
        })
    }

    /// Days that are held out of so many; 0 for none.
    #[must_use]
    pub fn held_out(&self, days: f64) -> f64 {
        if self.common.eval_fraction > 0.0 { self.horizon.unwrap_or(YEAR).min(days / 2.0) } else { 0.0 }
    }

    /// What may be learned from.
    #[must_use]
    pub fn pasts(&self) -> Vec<Past> {
        self.past.map_or_else(|| vec![Past::All, Past::Half], |past| vec![past])
    }

    /// All options that hold, a JSON object.
    #[must_use]
    pub fn effective(&self) -> String {
        let mut all = json!({
            "seed": self.common.seed,
            "eval_fraction": self.common.eval_fraction,
            "history": self.past.map_or("auto", Past::name),
            "correction": if self.correction { "half" } else { "none" },
        });
        if let Some(horizon) = self.horizon {
            all["horizon"] = json!(horizon);
        }
        all.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused() {
        let options = Options::read("{}").unwrap();
        assert_eq!(
            (options.held_out(100.0), options.held_out(4000.0), options.pasts().len()),
            (50.0, YEAR, 2)
        );
        let given = r#"{"horizon": 56, "history": "half", "correction": "none", "seed": 3}"#;
        let options = Options::read(given).unwrap();
        assert_eq!(
            (options.held_out(300.0), options.pasts(), options.correction),
            (56.0, vec![Past::Half], false)
        );
        assert_eq!(Options::read(&options.effective()).unwrap(), options);
        assert_eq!(Options::read(r#"{"eval_fraction": 0}"#).unwrap().held_out(300.0), 0.0);
        for json in
            [r#"{"horizon": 0}"#, r#"{"horizon": "P8W"}"#, r#"{"history": "new"}"#, r#"{"penalizer": 1}"#]
        {
            Options::read(json).unwrap_err();
        }
    }
}
