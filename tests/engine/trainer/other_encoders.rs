//! Heads on encoders that only candle computes.

use std::collections::BTreeMap;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_protocol::training::Objective;
use ecommerce_ml_text_model::ForwardOutput;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::kit::{Said, job, job_of, refused, run, run_with, stars, two_classes};
use crate::support::{Parts, load, rows, tiny};

const DEBERTA: &str = "deberta-v3-classification-3";
const MODERNBERT: &str = "modernbert-classification-3";
const ELECTRA: &str = "electra-classification-3";
const ALL: [(&str, &str, &str); 6] = [
    (DEBERTA, "deberta.", "DebertaV2ForSequenceClassification"),
    ("deberta-v2-regression", "deberta.", "DebertaV2ForSequenceClassification"),
    (MODERNBERT, "model.", "ModernBertForSequenceClassification"),
    ("modernbert-regression", "model.", "ModernBertForSequenceClassification"),
    (ELECTRA, "electra.", "ElectraForSequenceClassification"),
    ("electra-binary", "electra.", "ElectraForSequenceClassification"),
];

fn options(more: &Value) -> Value {
    let mut options = json!({
        "tuning": "head", "num_train_epochs": 40, "learning_rate": 2e-2, "per_device_train_batch_size": 16,
        "eval_fraction": 0.2,
    });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

/// Names, types and bytes of all tensors.
fn tensors(files: &ModelFiles) -> BTreeMap<String, (String, Vec<u8>)> {
    let weights = SafeTensors::deserialize(files.get("model.safetensors").unwrap()).unwrap();
    let all = weights.iter();
    all.map(|(name, view)| (name.to_owned(), (format!("{:?}", view.dtype()), view.data().to_vec()))).collect()
}

/// What a saved model is: the base's encoder, bit by bit, with another head.
#[track_caller]
fn assert_saved(said: &Said, base: &ModelFiles, (prefix, architecture): (&str, &str), outputs: usize) {
    let files = said.model();
    let config: Value = serde_json::from_slice(files.get("config.json").unwrap()).unwrap();
    assert_eq!(config["architectures"], json!([architecture]));
    assert_eq!(config["id2label"].as_object().unwrap().len(), outputs);
    let (before, after) = (tensors(base), tensors(&files));
    let encoder = before.iter().filter(|(name, _)| name.starts_with(prefix));
    assert!(encoder.clone().count() > 10);
    for (name, tensor) in encoder {
        assert_eq!(after.get(name), Some(tensor), "{name}");
    }
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let model = load(&files).unwrap();
    assert_eq!(model.info(), &said.finished().info);
    let windows = model.windows("a good one").unwrap();
    assert_eq!(rows(&model, &windows, ForwardOutput::Head).unwrap()[0].values.len(), outputs);
}

#[test]
fn heads_are_learned_and_saved() {
    for (name, prefix, architecture) in ALL {
        let options = options(&json!({ "calibration": "none" }));
        let said = run(job(name, Objective::Classification, options, two_classes(200)));
        // The encoders' weights are random.
        assert!(said.metric("accuracy") > 0.7, "{name}: {:?}", said.finished().metrics);
        assert_saved(&said, &tiny(name).files(), (prefix, architecture), 2);
        let evaluated = said.epochs.iter().find(|epoch| epoch.epoch == said.finished().epoch).unwrap();
        let loss = evaluated.evaluation.iter().find(|metric| metric.name == "log_loss").unwrap().value;
        // What predicts from the files is what was trained.
        assert!((said.metric("log_loss") - loss).abs() < 1e-3, "{name} {loss} {}", said.metric("log_loss"));
    }
}

#[test]
fn heads_of_numbers_and_stars() {
    for (name, prefix, architecture) in ALL {
        for (objective, outputs) in [(Objective::Rating, 5), (Objective::Regression, 1)] {
            let said = run(job(name, objective, options(&json!({ "num_train_epochs": 2 })), stars(60)));
            assert_saved(&said, &tiny(name).files(), (prefix, architecture), outputs);
        }
    }
}

#[test]
fn a_base_without_head_gets_one_and_the_names_of_a_model_with_head() {
    for (name, prefix, architecture) in [ALL[0], ALL[2], ALL[4]] {
        let whole = tiny(name);
        let bare: Parts =
            whole.clone().config(json!({ "architectures": ["Model"] })).edit_tensors(|tensors| {
                tensors.0.retain(|name, _| name.starts_with(prefix));
                tensors.rename(|name| name.replacen(prefix, "", 1));
            });
        let said = run(job_of(
            bare.files(),
            Objective::Classification,
            options(&json!({ "num_train_epochs": 2 })),
            two_classes(60),
        ));
        assert_saved(&said, &whole.files(), (prefix, architecture), 2);
    }
}

#[test]
fn a_head_of_the_same_labels_goes_on() {
    let options = options(&json!({ "num_train_epochs": 1, "learning_rate": 1e-9, "hidden_dropout": 0.0 }));
    for name in ["deberta-v2-regression", "modernbert-regression"] {
        let said = run(job(name, Objective::Regression, options.clone(), stars(60)));
        let (before, after) = (load(&tiny(name).files()).unwrap(), load(&said.model()).unwrap());
        let windows = before.windows("it was good and slow").unwrap();
        let value = |model| rows(model, &windows, ForwardOutput::Head).unwrap()[0].values[0];
        assert!((value(&before) - value(&after)).abs() < 1e-3, "{name}");
    }
}

#[test]
fn only_the_head_can_be_trained() {
    for (name, word) in [(DEBERTA, "DeBERTa"), (MODERNBERT, "ModernBERT"), (ELECTRA, "ELECTRA")] {
        for tuning in [json!({}), json!({ "tuning": "lora" }), json!({ "freeze_layers": 1 })] {
            let error = refused(job(name, Objective::Classification, tuning.clone(), two_classes(40)));
            assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error:?}");
            assert_eq!(error.message, format!("of {word} only the head can be trained"), "{tuning}");
            assert!(error.hint.unwrap().contains(r#"{"tuning": "head"}"#), "{tuning}");
        }
    }
}

#[test]
fn from_every_checkpoint_and_with_any_threads_the_same_model() {
    for (name, more) in [
        (DEBERTA, json!({})),
        (MODERNBERT, json!({ "augment": { "synonym": 0.3, "word_swap": 0.2 } })),
        (ELECTRA, json!({ "augment": { "noise": 0.1 } })),
    ] {
        let often = || {
            let mut options = options(&json!({ "num_train_epochs": 2 }));
            options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let mut job = job(name, Objective::Classification, options, two_classes(40));
            job.plan.checkpoint_interval = 0;
            job
        };
        let whole = run(often());
        assert!(whole.checkpoints.len() > 2);
        for (_, checkpoint) in whole.checkpoints.iter().skip(1) {
            let mut job = often();
            job.checkpoint.clone_from(checkpoint);
            assert_eq!(run(job).model(), whole.model(), "{name}");
        }
        assert_eq!(run_with(often(), 1).unwrap().model(), whole.model(), "{name}");
    }
}
