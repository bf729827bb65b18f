//! Columns, and a small model of them.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor};
use ecommerce_ml_protocol::{Answers, Column, EngineError, Field, Input, ModelSource, Output, Rows};
use ecommerce_ml_protocol::{ValueType, Values};
use ecommerce_ml_tabular::Head;
use ecommerce_ml_tabular::linear::encoding::{EncodedColumn, Encoding, Scheme};
use ecommerce_ml_tabular::linear::model::LinearModel;
use ecommerce_ml_tabular::{BoostedTrees, IsolationForest, Linear};

pub fn field(name: &str, value_type: ValueType) -> Field {
    Field { name: name.to_owned(), value_type }
}

pub fn numbers(name: &str, values: &[Option<f64>]) -> Column {
    Column { name: name.to_owned(), values: Values::Number(values.to_vec()) }
}

/// A column of texts, each text once in its dictionary.
pub fn texts(name: &str, values: &[Option<&str>]) -> Column {
    let mut dictionary: Vec<String> = Vec::new();
    let mut code = |text: &str| {
        let place = dictionary.iter().position(|one| one == text);
        place.unwrap_or_else(|| {
            dictionary.push(text.to_owned());
            dictionary.len() - 1
        }) as u32
    };
    let codes = values.iter().map(|value| value.map(&mut code)).collect();
    Column { name: name.to_owned(), values: Values::Text { dictionary, codes } }
}

pub fn rows(columns: Vec<Column>) -> Rows {
    Rows { count: columns.first().map_or(0, |column| column.values.len() as u32), columns }
}

/// Reads a price and a country, and says how likely a customer stays.
pub fn model() -> LinearModel {
    let price = Scheme::Number { mean: 10.0, scale: 2.0, missing: true };
    let countries = ["AT", "DE"].map(str::to_owned).to_vec();
    let country = Scheme::Categories { categories: countries, missing: true, other: true };
    let columns = vec![
        EncodedColumn { field: field("price", ValueType::Number), scheme: price },
        EncodedColumn { field: field("country", ValueType::Text), scheme: country },
    ];
    LinearModel {
        encoding: Encoding { columns },
        head: Head::Classes { labels: ["leaves", "stays"].map(str::to_owned).to_vec() },
        intercepts: vec![0.25],
        coefficients: vec![-1.5, 0.5, 0.1, 1.0 / 3.0, -0.0, -2e-300],
    }
}

pub fn load(files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
    let source = ModelSource::Builtin("test".to_owned());
    let kinds: [&dyn ModelKind; 3] = [&IsolationForest::new(2), &BoostedTrees::new(2), &Linear::new(2)];
    let kind = kinds.into_iter().find(|kind| kind.recognises(files)).unwrap_or(kinds[2]);
    kind.load(Some(&source), files)
}

pub fn predict(model: &dyn Predictor, rows: &Rows) -> Result<Answers, EngineError> {
    model.submit(Input::Rows(rows.clone()), Output::Prediction).wait().map(|answered| answered.answers)
}

/// `[rows, classes]`.
pub fn probabilities(answers: Answers) -> Vec<Vec<f32>> {
    let Answers::Classes { probabilities, .. } = answers else { panic!("{answers:?}") };
    probabilities.into_iter().map(Option::unwrap).collect()
}
