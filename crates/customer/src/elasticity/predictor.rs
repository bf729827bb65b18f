//! A loaded model behind the boundary of all kinds.
//!
//! It must not know files. Invariant: [`Predictor::submit`] takes a fraction of a millisecond a thousand keys.

use ecommerce_ml_predictor::{ModelPrecision, Pending, Predictor};
use ecommerce_ml_protocol::{Answers, Column, EngineError, Input, ModelInfo, Output, Rows, Table, Values};

use super::model::{ElasticityModel, Entry};
use super::refused;
use crate::price::shrinkage::Known;

/// Most rows of an answer.
const MOST_ROWS: usize = 100_000;

/// A model that answers.
#[derive(Debug)]
pub struct ElasticityPredictor {
    info: ModelInfo,
    precision: ModelPrecision,
    model: ElasticityModel,
}

impl ElasticityPredictor {
    /// Of a model that is ready, whose files take so many bytes.
    #[must_use]
    pub fn new((model, bytes): (ElasticityModel, u64)) -> Self {
        let precision = ModelPrecision { name: "f64", note: String::new() };
        Self { info: model.info(bytes), precision, model }
    }
}

impl Predictor for ElasticityPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let (Input::Rows(arguments), Output::Table(Table::PriceResponse)) = (input, output) else {
            return Pending::ready(Err(refused("model only answers how sales respond to prices")));
        };
        let tables = (0..arguments.count as usize).map(|row| responses(&self.model, &arguments, row));
        let tables = tables.collect::<Result<_, _>>().map(Answers::Tables);
        Pending::ready(tables.map(ecommerce_ml_predictor::Answered::computed))
    }
}

fn responses(model: &ElasticityModel, arguments: &Rows, row: usize) -> Result<Rows, EngineError> {
    let (after, count) = (size(arguments, "after", row)?, size(arguments, "count", row)?);
    let (after, count) = (after.unwrap_or(0), count.unwrap_or(usize::MAX));
    let entries: Vec<&Entry> = model.entries.iter().skip(after).take(count).collect();
    if entries.len() > MOST_ROWS {
        return Err(refused(format!("elasticities of more than {MOST_ROWS} keys at once"))
            .with_hint("Ask for fewer keys at a time."));
    }
    let number = |name: &str, value: &dyn Fn(&Known) -> f64| {
        let value = |entry: &&Entry| entry.response.elasticity.as_ref().map(value);
        Column { name: name.to_owned(), values: Values::Number(entries.iter().map(value).collect()) }
    };
    let observations = |entry: &&Entry| Some(entry.response.observations as f64);
    let warning = |entry: &&Entry| {
        let warnings = &entry.response.warnings;
        (!warnings.is_empty()).then(|| warnings.join("; "))
    };
    Ok(Rows {
        count: u32::try_from(entries.len()).unwrap_or(u32::MAX),
        columns: vec![
            text("keys", entries.iter().map(|entry| Some(model.keys(entry).to_string()))),
            number("elasticity", &|known| known.value),
            number("std_error", &|known| known.std_error),
            number("lower", &|known| known.lower),
            number("upper", &|known| known.upper),
            Column {
                name: "observations".to_owned(),
                values: Values::Number(entries.iter().map(observations).collect()),
            },
            text("warning", entries.iter().map(warning)),
        ],
    })
}

fn text(name: &str, texts: impl Iterator<Item = Option<String>>) -> Column {
    let (mut dictionary, mut codes) = (Vec::new(), Vec::new());
    for text in texts {
        codes.push(text.as_ref().and_then(|_| u32::try_from(dictionary.len()).ok()));
        dictionary.extend(text);
    }
    Column { name: name.to_owned(), values: Values::Text { dictionary, codes } }
}

/// A count; none if it isn't given.
fn size(rows: &Rows, name: &str, row: usize) -> Result<Option<usize>, EngineError> {
    let value = match rows.column(name) {
        Some(Values::Number(values)) => values.get(row).copied().flatten(),
        _ => None,
    };
    match value {
        None => Ok(None),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(size) if size.fract() == 0.0 && (0.0..=1e15).contains(&size) => Ok(Some(size as usize)),
        Some(size) => Err(refused(format!("\"{name}\" must be a whole number of at least 0, not {size}"))),
    }
}
