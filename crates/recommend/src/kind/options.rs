//! What the user may choose in a training.
//!
//! It must not know rows. Invariant: all options that there are can be trained with.

use std::ops::Bound;

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::options::parse;
use ecommerce_ml_training::{CommonOptions, Reader};
use serde_json::{Value, json};

use crate::options::DEFAULT_ITERATIONS;
use crate::selection::{Algorithm, Settings};
use crate::training::{Options, Wanted};
use crate::weighting::Weighting;

/// The part of pairs that is held out where there are no times: as many as that, since a tenth of a customer's items is none.
const HELD_OUT: f64 = 0.2;

/// Reads options; with them, the user's as an object.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] with the name of the option and what was expected.
pub fn read(json: &str, has_times: bool, memory_limit: u64) -> Result<(Options, Value), EngineError> {
    let value = parse(json)?;
    let mut names = vec![
        "algorithm",
        "regularization",
        "dropout",
        "power",
        "factors",
        "alpha",
        "iterations",
        "weighting",
        "half_life",
        "item_relation",
        "item_key",
        "item_text",
    ];
    names.extend(CommonOptions::NAMES);
    let reader = Reader::new(&value, &names)?;
    let common = CommonOptions::read(&reader)?;
    read_texts(&reader)?;
    let positive = (Bound::Excluded(0.0), Bound::Included(1e9));
    let number = |name, range| match reader.given(name) {
        None => Ok(None),
        Some(_) => reader.number(name, 0.0, range).map(Some),
    };
    let most_items = match Options::default().algorithm {
        Wanted::Auto { most_items } => most_items,
        Wanted::Ease | Wanted::Als => 0,
    };
    let algorithms = [("auto", Wanted::Auto { most_items }), ("ease", Wanted::Ease), ("als", Wanted::Als)];
    let weightings = Weighting::CHOICES.map(|(name, weighting)| (name, Some(weighting)));
    if !has_times {
        reader.refuse(&["half_life"], "needs a column of times")?;
    }
    let half = (Bound::Included(0.0), Bound::Excluded(1.0));
    let options = Options {
        algorithm: reader.choice("algorithm", algorithms[0].1, &algorithms)?,
        regularization: number("regularization", positive)?,
        dropout: number("dropout", half)?,
        power: number("power", (Bound::Included(0.0), Bound::Included(1.0)))?,
        factors: reader.integer("factors", 1..=512)?.map(|factors| factors as usize),
        alpha: number("alpha", positive)?,
        iterations: reader
            .integer("iterations", 1..=1000)?
            .map_or(DEFAULT_ITERATIONS, |count| count as usize),
        weighting: reader.choice("weighting", None, &weightings)?,
        half_life: number("half_life", positive)?.map(Some),
        has_times,
        eval_fraction: if reader.given("eval_fraction").is_some() { common.eval_fraction } else { HELD_OUT },
        seed: common.seed,
        memory_limit,
    };
    Ok((options, value))
}

/// Names of a relation and of columns, which the session looks for.
fn read_texts(reader: &Reader<'_>) -> Result<(), EngineError> {
    let relation = reader.text("item_relation")?;
    let text = reader.text("item_text")?;
    reader.text("item_key")?;
    match (relation, text) {
        (None, _) => reader.refuse(&["item_key", "item_text"], "needs \"item_relation\""),
        (Some(_), None) => reader.refuse(&["item_relation"], "needs \"item_text\""),
        (Some(_), Some(_)) => Ok(()),
    }
}

/// Whether texts of items are to be read.
pub fn reads_texts(given: &Value) -> bool {
    given.get("item_relation").is_some_and(Value::is_string)
}

/// All options that hold: the user's, and what is chosen of the others before anything is learned.
pub fn effective(given: &Value, options: &Options) -> String {
    let mut all = given.as_object().cloned().unwrap_or_default();
    all.retain(|_, value| !value.is_null());
    all.entry("seed").or_insert(json!(options.seed));
    all.entry("eval_fraction").or_insert(json!(options.eval_fraction));
    Value::Object(all).to_string()
}

/// Settings as metrics that people may look at.
pub fn shown(settings: &Settings) -> Vec<(&'static str, f64)> {
    let mut shown = match settings.algorithm {
        Algorithm::Ease(own) => {
            vec![("regularization", own.regularization), ("dropout", own.dropout), ("power", own.power)]
        }
        #[allow(clippy::cast_precision_loss)]
        Algorithm::Als(own) => {
            vec![
                ("regularization", own.regularization),
                ("alpha", own.alpha),
                ("factors", own.factors as f64),
            ]
        }
    };
    shown.extend(settings.half_life.map(|half_life| ("half_life", half_life)));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused() {
        let (options, _) = read("{}", true, 7).unwrap();
        assert_eq!(options, Options { has_times: true, memory_limit: 7, ..Options::default() });
        let given = r#"{"algorithm": "als", "factors": 16, "half_life": 5, "weighting": "log", "eval_fraction": 0.1}"#;
        let (options, given) = read(given, true, 7).unwrap();
        assert_eq!(
            (options.algorithm, options.factors, options.half_life),
            (Wanted::Als, Some(16), Some(Some(5.0)))
        );
        assert_eq!((options.weighting, options.eval_fraction), (Some(Weighting::Log), 0.1));
        assert!(effective(&given, &options).contains("\"seed\":42"));
        for (json, has_times) in [
            (r#"{"half_life": 5}"#, false),
            (r#"{"algorithm": "magic"}"#, true),
            (r#"{"regularization": 0}"#, true),
            (r#"{"dropout": 1}"#, true),
            (r#"{"lambda": 1}"#, true),
            (r#"{"item_text": "title"}"#, true),
            (r#"{"item_relation": "items", "item_key": "id"}"#, true),
            (r#"{"item_relation": 1, "item_text": "title"}"#, true),
        ] {
            read(json, has_times, 7).unwrap_err();
        }
    }
}
