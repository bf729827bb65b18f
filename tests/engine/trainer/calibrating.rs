//! Probabilities that say how often the model is right.

use ecommerce_ml_protocol::training::Objective;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::kit::{Said, job, refused, run, stars, two_classes};

fn learned(model: &str, objective: Objective, calibration: &str) -> Said {
    let options = json!({
        "num_train_epochs": 2, "learning_rate": 2e-3, "eval_fraction": 0.3, "calibration": calibration,
    });
    let rows = if objective == Objective::Rating { stars(300) } else { two_classes(300) };
    run(job(model, objective, options, rows))
}

fn numbers(said: &Said, name: &str) -> Vec<f32> {
    let files = said.model();
    let weights = SafeTensors::deserialize(files.get("model.safetensors").unwrap()).unwrap();
    let tensor = weights.tensor(name).unwrap();
    tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn config(said: &Said) -> Value {
    serde_json::from_slice(said.model().get("config.json").unwrap()).unwrap()
}

#[test]
fn the_last_layer_is_divided_by_the_temperature() {
    for (model, objective, layer) in [
        ("bert-classification-3", Objective::Classification, "classifier"),
        ("bert-stars-sharded", Objective::Rating, "classifier"),
        ("xlm-roberta-classification", Objective::Classification, "classifier.out_proj"),
    ] {
        let (with, without) = (learned(model, objective, "temperature"), learned(model, objective, "none"));
        let temperature = with.metric("temperature");
        assert!(temperature > 0.0 && temperature != 1.0, "{model}: {temperature}");
        for tensor in ["weight", "bias"].map(|tensor| format!("{layer}.{tensor}")) {
            let (divided, whole) = (numbers(&with, &tensor), numbers(&without, &tensor));
            let same = |(divided, whole): (&f32, &f32)| *divided == (f64::from(*whole) / temperature) as f32;
            assert!(!whole.is_empty() && divided.iter().zip(&whole).all(same), "{model} {tensor}");
        }
        // As it was before, it is told beside what it is now; and what it answers is the same.
        assert!(with.metric("log_loss") <= without.metric("log_loss") + 1e-6, "{model}");
        let before = without.metric("calibration_error");
        assert!((with.metric("calibration_error_before") - before).abs() < 1e-9, "{model}");
        assert_eq!(with.metric("accuracy"), without.metric("accuracy"), "{model}");
        let noted = &config(&with)["ecommerce_ml"]["calibration"];
        assert_eq!(*noted, json!({ "temperature": temperature, "rows": 90, "applied": true }), "{model}");
        assert!(without.finished().metrics.iter().all(|metric| metric.name != "temperature"));
        assert_eq!(config(&without)["ecommerce_ml"].get("calibration"), None);
    }
}

#[test]
fn what_has_no_classes_or_no_rows_held_out_is_not_calibrated() {
    let options = json!({ "num_train_epochs": 1, "eval_fraction": 0 });
    let said = run(job("bert-classification-3", Objective::Classification, options, two_classes(40)));
    assert_eq!(config(&said)["ecommerce_ml"].get("calibration"), None);
    let options = json!({ "num_train_epochs": 1 });
    let said = run(job("bert-regression", Objective::Regression, options.clone(), stars(60)));
    assert!(said.finished().metrics.iter().all(|metric| metric.name != "temperature"));
    let options = json!({ "calibration": "temperature" });
    let error = refused(job("bert-regression", Objective::Regression, options, stars(60)));
    assert_eq!(error.message, "training option \"calibration\" is not for regressions");
}

#[test]
fn surer_answers_are_told_to_be_righter() {
    let said = learned("bert-stars-sharded", Objective::Rating, "temperature");
    for name in ["", "sentiment_"] {
        let at = |coverage: &str| said.metric(&format!("{name}accuracy_at_coverage_{coverage}"));
        let all = said.metric(&format!("{name}accuracy"));
        assert!(at("0.5") >= all && at("0.9") <= 1.0 && at("0.8") > 0.0, "{name}");
    }
    assert!(said.metric("sentiment_accuracy") >= said.metric("accuracy"));
    assert!(said.metric("sentiment_calibration_error") < 1.0);
    let said = learned("bert-classification-3", Objective::Classification, "none");
    assert!(said.finished().metrics.iter().all(|metric| !metric.name.starts_with("sentiment_")));
}
