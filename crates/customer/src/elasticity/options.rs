//! What the user may choose in a training.
//!
//! It must not know rows. Invariant: what is read back from [`Options::effective`] is the same.

use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::options::parse;
use ecommerce_ml_training::{CommonOptions, Reader};
use serde_json::{Value, json};

use super::refused;

/// Options.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Those of all kinds.
    pub common: CommonOptions,
    /// Rows of a series within such a period are one observation; none if each row is one.
    pub frequency: Option<Period>,
    /// Each such period has an effect of its own, if any.
    pub time_effects: Option<Period>,
    /// The key columns of which each has an elasticity; all, if none are named.
    pub elasticity_columns: Option<Vec<String>>,
    /// Those of them that name a category.
    pub category_columns: Vec<String>,
    /// Whether elasticities are drawn towards the category's or the common one.
    pub shrinks: bool,
}

impl Options {
    const OWN: [&str; 5] =
        ["frequency", "time_effects", "elasticity_columns", "category_columns", "shrinkage"];

    /// Reads them.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] with a message that names the option and what was expected.
    pub fn read(json: &str) -> Result<Self, EngineError> {
        let value = parse(json)?;
        let names: Vec<&str> = CommonOptions::NAMES.into_iter().chain(Self::OWN).collect();
        let reader = Reader::new(&value, &names)?;
        let periods = [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year];
        let periods: Vec<(&str, Option<Period>)> = std::iter::once(("none", None))
            .chain(periods.map(|period| (period.name(), Some(period))))
            .collect();
        let columns = |name| reader.given(name).map(|value| columns(name, value)).transpose();
        Ok(Self {
            common: CommonOptions::read(&reader)?,
            frequency: reader.choice("frequency", Some(Period::Week), &periods)?,
            time_effects: reader.choice("time_effects", None, &periods)?,
            elasticity_columns: columns("elasticity_columns")?,
            category_columns: columns("category_columns")?.unwrap_or_default(),
            shrinks: reader.choice("shrinkage", true, &[("auto", true), ("none", false)])?,
        })
    }

    /// All options that hold, a JSON object.
    #[must_use]
    pub fn effective(&self) -> String {
        let name = |period: Option<Period>| period.map_or("none", Period::name);
        let mut all = json!({
            "seed": self.common.seed,
            "eval_fraction": self.common.eval_fraction,
            "frequency": name(self.frequency),
            "time_effects": name(self.time_effects),
            "category_columns": self.category_columns,
            "shrinkage": if self.shrinks { "auto" } else { "none" },
        });
        if let Some(columns) = &self.elasticity_columns {
            all["elasticity_columns"] = json!(columns);
        }
        all.to_string()
    }
}

fn columns(name: &str, value: &Value) -> Result<Vec<String>, EngineError> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let columns = value.as_array().and_then(|values| values.iter().map(text).collect());
    columns.ok_or_else(|| {
        refused(format!("training option \"{name}\" must be an array of column names, not {value}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused() {
        let options = Options::read("{}").unwrap();
        assert_eq!(
            (options.frequency, options.time_effects, options.shrinks),
            (Some(Period::Week), None, true)
        );
        assert_eq!(Options::read(&options.effective()).unwrap(), options);
        let given = r#"{"frequency": "none", "time_effects": "month", "elasticity_columns": ["brand"], "category_columns": [],
            "shrinkage": "none", "seed": 3}"#;
        let options = Options::read(given).unwrap();
        assert_eq!((options.frequency, options.time_effects), (None, Some(Period::Month)));
        assert_eq!(options.elasticity_columns, Some(vec!["brand".to_owned()]));
        assert_eq!(Options::read(&options.effective()).unwrap(), options);
        for json in [
            r#"{"frequency": "hour"}"#,
            r#"{"time_effects": true}"#,
            r#"{"elasticity_columns": "brand"}"#,
            r#"{"category_columns": [1]}"#,
            r#"{"shrinkage": 0.5}"#,
            r#"{"fixed_effects": "brand"}"#,
        ] {
            Options::read(json).unwrap_err();
        }
    }
}
