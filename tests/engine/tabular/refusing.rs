//! Trainings that can't be.

use ecommerce_ml_predictor::ModelKind;
use ecommerce_ml_protocol::training::{Label, Objective, TrainingInput};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tabular::Linear;

use crate::kit::{numbers, rows};
use crate::learning::{orders, orders_job};
use crate::trained::{classes, job, train};

fn refused(result: Result<crate::trained::Trained, EngineError>) -> String {
    let error = result.map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error:?}");
    error.message
}

#[test]
fn options_are_checked() {
    let message = |options: &str| refused(train(orders_job(options)));
    assert_eq!(message(r#"{"c": 1}"#), "unknown training option \"c\"");
    assert_eq!(message(r#"{"alpha": 1}"#), "unknown training option \"alpha\"");
    assert_eq!(message(r#"{"learning_rate": 1}"#), "unknown training option \"learning_rate\"");
    assert_eq!(
        message(r#"{"C": 0}"#),
        "training option \"C\" must be a number above 0 and at most 1000000000000, not 0"
    );
    assert!(
        message(r#"{"max_iter": 0.5}"#).starts_with("training option \"max_iter\" must be a whole number")
    );
    assert!(message(r#"{"class_weight": "rare"}"#).contains("\"class_weights\" must be \"balanced\" or"));
    let twice = message(r#"{"class_weight": "balanced", "class_weights": "balanced"}"#);
    assert_eq!(twice, "training options \"class_weights\" and \"class_weight\" are the same");
    let (rows, _) = orders(20);
    let labels: Vec<Label> = (0..20).map(|row| Label::Number(f64::from(row))).collect();
    let regression =
        |options: &str| refused(train(job(Objective::Regression, rows.clone(), labels.clone(), options)));
    assert_eq!(regression(r#"{"C": 1}"#), "unknown training option \"C\"");
    assert_eq!(regression(r#"{"class_weights": "balanced"}"#), "unknown training option \"class_weights\"");
}

#[test]
fn what_sql_obeys_is_passed_over() {
    let options = r#"{"where": "true", "deploy": "never", "keep_versions": 3, "max_iter": null}"#;
    let trained = train(orders_job(options)).unwrap();
    assert_eq!(trained.files, train(orders_job("{}")).unwrap().files);
    assert!(trained.prepared().options.contains("\"deploy\":\"never\""));
}

#[test]
fn labels_are_checked() {
    let (rows, labels) = orders(100);
    let train_on =
        |labels: Vec<Label>| refused(train(job(Objective::Classification, rows.clone(), labels, "{}")));
    assert_eq!(train_on(classes(&["yes"; 100])), "training needs at least two classes");
    let mut blank = labels;
    blank[3] = Label::Class(" ".to_owned());
    assert_eq!(train_on(blank), "a label is blank");
    let weightless = r#"{"class_weights": {"no": 0, "yes": 0}}"#;
    assert!(refused(train(orders_job(weightless))).contains("weight 0"));
    assert!(
        refused(train(orders_job(r#"{"class_weights": {"maybe": 1}}"#))).contains("which is not a label")
    );
}

#[test]
fn columns_are_checked() {
    let train_on = |values: &[Option<f64>]| {
        let labels: Vec<&str> = (0..values.len()).map(|row| ["a", "b"][row % 2]).collect();
        let rows = rows(vec![numbers("price", values)]);
        refused(train(job(Objective::Classification, rows, classes(&labels), "{}")))
    };
    let mut values: Vec<Option<f64>> = (0..20).map(|row| Some(f64::from(row))).collect();
    values[7] = Some(f64::INFINITY);
    assert_eq!(train_on(&values), "column \"price\" has an infinite value");
    values[7] = Some(-1e200);
    assert_eq!(train_on(&values), "column \"price\" has a value that is too large: -1e200");
}

#[test]
fn texts_and_twice_the_same_column_are_refused() {
    let kind = Linear::new(1);
    let trainer = kind.trainer().unwrap();
    let mut call = orders_job("{}").plan.call;
    let TrainingInput::Columns { fields: again, .. } = &mut call.input else { unreachable!() };
    again.push(again[0].clone());
    assert_eq!(trainer.check(&call).unwrap_err().message, "column \"price\" is named twice");
    call.input = TrainingInput::Columns { fields: Vec::new(), text: None };
    assert_eq!(trainer.check(&call).unwrap_err().message, "training needs at least one column to read");
    call.input = TrainingInput::Text;
    assert!(!trainer.accepts(&call));
}

#[test]
fn memory_is_bounded() {
    let mut job = orders_job("{}");
    job.plan.memory_limit = 10_000;
    let error = train(job).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::OutOfMemory);
    assert!(
        error.message.starts_with("training needs about ")
            && error.detail.unwrap().contains("600 rows, 5 features")
    );
}
