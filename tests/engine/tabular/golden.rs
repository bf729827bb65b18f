//! Coefficients and answers are scikit-learn's.

use ecommerce_ml_protocol::training::{Label, Objective};
use ecommerce_ml_protocol::{Answers, Column, Rows, Values};
use serde::Deserialize;
use serde_json::Value;

use crate::kit::{load, predict, texts};
use crate::trained::{job, train};

/// Largest difference of a coefficient or an answer, counted in the size of the labels.
const CLOSE: f64 = 1e-6;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    task: String,
    options: Value,
    columns: Vec<Given>,
    labels: Vec<Value>,
    learned: usize,
    expected: Expected,
}

#[derive(Deserialize)]
struct Given {
    name: String,
    r#type: String,
    values: Vec<Value>,
}

#[derive(Deserialize)]
struct Expected {
    intercepts: Vec<Option<f64>>,
    coefficients: Vec<Vec<f64>>,
    #[serde(default)]
    probabilities: Vec<Vec<f64>>,
    #[serde(default)]
    values: Vec<f64>,
}

impl Given {
    fn column(&self, rows: std::ops::Range<usize>) -> Column {
        let values = &self.values[rows];
        let name = self.name.clone();
        let values = match self.r#type.as_str() {
            "text" => return texts(&name, &values.iter().map(Value::as_str).collect::<Vec<_>>()),
            "number" => Values::Number(values.iter().map(Value::as_f64).collect()),
            "boolean" => Values::Boolean(values.iter().map(Value::as_bool).collect()),
            "timestamp" => Values::Timestamp(values.iter().map(Value::as_i64).collect()),
            other => panic!("{other}"),
        };
        Column { name, values }
    }
}

fn assert_close(found: f64, expected: f64, scale: f64, what: &str) {
    assert!((found - expected).abs() <= CLOSE * scale, "{what}: {found}, not {expected}");
}

#[test]
fn coefficients_and_answers_are_those_of_scikit_learn() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/columns.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(golden.cases.len(), 12);
    for case in golden.cases {
        let all = case.columns[0].values.len();
        let rows = |range: std::ops::Range<usize>| Rows {
            count: range.len() as u32,
            columns: case.columns.iter().map(|column| column.column(range.clone())).collect(),
        };
        let label = |label: &Value| match label.as_f64() {
            Some(number) => Label::Number(number),
            None => Label::Class(label.as_str().unwrap().to_owned()),
        };
        let objective = match case.task.as_str() {
            "classification" => Objective::Classification,
            "rating" => Objective::Rating,
            _ => Objective::Regression,
        };
        let scale = if objective == Objective::Regression { 100.0 } else { 1.0 };
        let mut options = case.options.clone();
        options["eval_fraction"] = 0.into();
        let labels = case.labels.iter().map(label).collect();
        let trained =
            train(job(objective, rows(0..case.learned), labels, &options.to_string())).expect(&case.name);
        let model = trained.model();
        assert!(trained.finished().stopped_early, "{} has not converged", case.name);
        eprintln!("{}: {} iterations", case.name, trained.epochs.last().unwrap().step);
        let expected = &case.expected;
        let found: Vec<f64> = model.intercepts.clone();
        assert_eq!(found.len(), expected.intercepts.len());
        for (found, expected) in found.iter().zip(&expected.intercepts) {
            match expected {
                Some(expected) => assert_close(*found, *expected, scale, &case.name),
                None => assert_eq!(*found, f64::NEG_INFINITY),
            }
        }
        assert_eq!(model.coefficients.len(), expected.coefficients.concat().len(), "{}", case.name);
        for (found, expected) in model.coefficients.iter().zip(expected.coefficients.concat()) {
            assert_close(*found, expected, scale, &case.name);
        }
        let answers = predict(&*load(&trained.files).unwrap(), &rows(case.learned..all)).unwrap();
        match answers {
            Answers::Numbers(found) => {
                for (found, expected) in found.iter().zip(&expected.values) {
                    assert_close(found.unwrap(), *expected, scale, &case.name);
                }
            }
            Answers::Classes { probabilities, .. } => {
                for (found, expected) in probabilities.iter().zip(&expected.probabilities) {
                    for (found, expected) in found.as_ref().unwrap().iter().zip(expected) {
                        assert_close(f64::from(*found), *expected, 1.0, &case.name);
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
}
