//! The files of new models.

use ecommerce_ml_protocol::training::Objective;
use ecommerce_ml_text_model::ForwardOutput;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

use crate::kit::{job, run, stars, two_classes};
use crate::support::{load, rows};

/// The models of `tests/reference`, which have F32, F16 and BF16 weights, heads and none, one file and several.
const MODELS: [&str; 11] = [
    "bert-classification-3",
    "bert-embedding",
    "bert-gelu-new",
    "bert-regression",
    "bert-stars-sharded",
    "distilbert-classification",
    "distilbert-regression",
    "roberta-classification-3",
    "roberta-embedding",
    "roberta-regression",
    "xlm-roberta-classification",
];

#[test]
fn every_model_is_saved_as_what_it_is() {
    for name in MODELS {
        for (objective, rows) in [
            (Objective::Classification, two_classes(40)),
            (Objective::Rating, stars(40)),
            (Objective::Regression, stars(40)),
        ] {
            let said = run(job(name, objective, json!({ "num_train_epochs": 1 }), rows));
            let files = said.model();
            let config: Value = serde_json::from_slice(files.get("config.json").unwrap()).unwrap();
            let outputs = match objective {
                Objective::Classification => 2,
                Objective::Rating => 5,
                _ => 1,
            };
            assert_eq!(config["id2label"].as_object().unwrap().len(), outputs, "{name}");
            assert!(config["architectures"][0].as_str().unwrap().ends_with("ForSequenceClassification"));
            let weights = SafeTensors::deserialize(files.get("model.safetensors").unwrap()).unwrap();
            assert!(weights.names().iter().all(|name| !name.contains("lora_")));
            let prefixes = ["bert.", "distilbert.", "roberta.", "classifier.", "pre_classifier."];
            assert!(
                weights.names().iter().all(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            );
            let model = load(&files).unwrap();
            assert_eq!(model.info(), &said.finished().info, "{name}");
        }
    }
}

#[test]
fn nothing_is_lost_where_the_base_is_in_single_precision() {
    let options =
        json!({ "num_train_epochs": 1, "eval_fraction": 0.25, "tuning": "lora", "calibration": "none" });
    let said = run(job("distilbert-classification", Objective::Classification, options, two_classes(40)));
    let evaluated = said.epochs[0].evaluation.iter().find(|metric| metric.name == "log_loss").unwrap().value;
    assert!((said.metric("log_loss") - evaluated).abs() < 1e-5);
    let model = load(&said.model()).unwrap();
    let windows = model.windows("a good one").unwrap();
    assert_eq!(rows(&model, &windows, ForwardOutput::Head).unwrap()[0].values.len(), 2);
}

#[test]
fn half_precision_stays_half_but_for_the_last_layer() {
    let options = json!({ "num_train_epochs": 1 });
    let said = run(job("xlm-roberta-classification", Objective::Regression, options, stars(40)));
    let files = said.model();
    let weights = SafeTensors::deserialize(files.get("model.safetensors").unwrap()).unwrap();
    for (name, view) in weights.iter() {
        let expected = if name.starts_with("classifier.out_proj") { Dtype::F32 } else { Dtype::F16 };
        assert_eq!(view.dtype(), expected, "{name}");
    }
}

#[test]
fn a_head_of_the_same_labels_is_kept() {
    let options =
        || json!({ "num_train_epochs": 1, "learning_rate": 1e-9, "tuning": "head", "eval_fraction": 0 });
    let output = |model: &str, objective, rows| {
        let said = run(job(model, objective, options(), rows));
        let files = said.model();
        let weights = SafeTensors::deserialize(files.get("model.safetensors").unwrap()).unwrap();
        let tensor = weights.tensor("classifier.weight").unwrap();
        tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect::<Vec<f32>>()
    };
    let before = |model: &str| {
        let files = crate::support::tiny(model).files();
        let shards: Vec<&str> = files.names_ending_in(".safetensors").collect();
        let find = |shard: &&str| {
            let tensors = SafeTensors::deserialize(files.get(shard).unwrap()).unwrap();
            let tensor = tensors.tensor("classifier.weight").ok()?;
            Some(bytemuck_values(tensor.dtype(), tensor.data()))
        };
        shards.iter().find_map(find).unwrap()
    };
    let close =
        |one: &[f32], other: &[f32]| one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-4);
    let stars_head = output("bert-stars-sharded", Objective::Rating, stars(40));
    assert!(close(&stars_head, &before("bert-stars-sharded")));
    let number_head = output("bert-regression", Objective::Regression, stars(40));
    assert!(close(&number_head, &before("bert-regression")));
    let other_head = output("bert-stars-sharded", Objective::Classification, two_classes(40));
    assert_eq!(other_head.len(), 2 * 32);
    let mut rows = two_classes(40);
    rows.iter_mut().zip(["positive", "negative", "neutral"].iter().cycle()).for_each(|(row, label)| {
        row.label = ecommerce_ml_protocol::training::Label::Class((*label).to_owned());
    });
    let kept = output("bert-classification-3", Objective::Classification, rows.clone());
    assert!(close(&kept, &before("bert-classification-3")));
    rows.iter_mut()
        .filter(|row| row.label == ecommerce_ml_protocol::training::Label::Class("neutral".to_owned()))
        .for_each(|row| {
            row.label = ecommerce_ml_protocol::training::Label::Class("mixed".to_owned());
        });
    assert!(!close(
        &output("bert-classification-3", Objective::Classification, rows),
        &before("bert-classification-3")
    ));
}

fn bytemuck_values(dtype: Dtype, data: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => data.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        // The upper half of a number in single precision.
        _ => {
            data.as_chunks::<2>().0.iter().map(|&[low, high]| f32::from_le_bytes([0, 0, low, high])).collect()
        }
    }
}

#[test]
fn the_scripts_that_were_learned_from_are_noted() {
    let rows = |chinese: usize| {
        let mut rows = two_classes(40);
        rows.iter_mut()
            .take(chinese)
            .for_each(|row| row.text = format!("很好 {}", "质量很好".repeat(9)) + &row.text);
        rows
    };
    let options = || json!({ "num_train_epochs": 1, "tuning": "head" });
    for (chinese, scripts) in [(0, json!(["Latin"])), (20, json!(["Han", "Latin"]))] {
        let said = run(job("bert-classification-3", Objective::Classification, options(), rows(chinese)));
        let config: Value = serde_json::from_slice(said.model().get("config.json").unwrap()).unwrap();
        assert_eq!(config["ecommerce_ml"]["scripts"], scripts);
        let details: Value = serde_json::from_str(&said.finished().info.details).unwrap();
        assert_eq!(details["scripts"], scripts);
        // What a base has learned is kept.
        let again = run(crate::kit::job_of(said.model(), Objective::Classification, options(), rows(0)));
        let config: Value = serde_json::from_slice(again.model().get("config.json").unwrap()).unwrap();
        assert_eq!(config["ecommerce_ml"]["scripts"], scripts);
    }
}
