//! What the engine promises of models and texts beyond golden numbers.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ecommerce_ml_checkpoint::files::{ModelFiles, content_address};
use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokens};
use ecommerce_ml_protocol::{ErrorKind, LabelScheme, Sentiment, Task};
use ecommerce_ml_text_model::{ForwardOutput, Model, Prediction, Window, WindowRow};
use proptest::prelude::*;
use serde_json::json;

use support::{Parts, reference, rows, tiny};

const TEXT: &str = "Great value, though the strap broke after two days.";

fn probabilities(parts: &Parts) -> Vec<f32> {
    let model = parts.load().unwrap();
    let windows = model.windows(TEXT).unwrap();
    rows(&model, &windows, ForwardOutput::Head).unwrap().remove(0).values.into_vec()
}

#[test]
fn a_model_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Model>();
}

#[test]
fn a_blank_text_has_no_tokens_and_no_windows() {
    let model = tiny("bert-classification-3").load().unwrap();
    for text in ["", " ", "\t\r\n", "\u{3000}\u{a0}", "\u{1}\u{200b}", "\u{feff}", "\u{ad}\u{2060}"] {
        assert_eq!(model.tokenize(text, TokenDetail::Ids).unwrap(), Tokens::Ids(vec![]));
        assert_eq!(model.tokenize(text, TokenDetail::Pieces).unwrap(), Tokens::Pieces(vec![]));
        assert_eq!(model.tokenize(text, TokenDetail::Count).unwrap(), Tokens::Count(0));
        assert_eq!(model.windows(text).unwrap(), []);
    }
}

#[test]
fn a_text_that_leaves_no_tokens_is_a_window_of_special_tokens() {
    let model = tiny("bert-classification-3").load().unwrap();
    // Nobody but its sender knows what it shows.
    let windows = model.windows("\u{e000}").unwrap();
    assert_eq!(windows, [Window { ids: vec![2, 3], content_tokens: 0 }]);
    let prediction = model.predict(&rows(&model, &windows, ForwardOutput::Head).unwrap());
    let Prediction::Probabilities(probabilities) = prediction else { panic!("{prediction:?}") };
    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn pieces_ids_and_count_agree() {
    for name in ["bert-classification-3", "roberta-classification-3", "xlm-roberta-classification"] {
        let model = tiny(name).load().unwrap();
        let Tokens::Ids(ids) = model.tokenize(TEXT, TokenDetail::Ids).unwrap() else { panic!() };
        let Tokens::Pieces(pieces) = model.tokenize(TEXT, TokenDetail::Pieces).unwrap() else { panic!() };
        assert_eq!(model.tokenize(TEXT, TokenDetail::Count).unwrap(), Tokens::Count(ids.len() as u64));
        assert_eq!(ids.len(), pieces.len());
        let ends = (pieces.first().unwrap().as_str(), pieces.last().unwrap().as_str());
        assert!(matches!(ends, ("[CLS]", "[SEP]") | ("<s>", "</s>")), "{pieces:?}");
    }
}

#[test]
fn padding_and_truncation_of_the_tokenizer_file_are_ignored() {
    let limited = tiny("bert-classification-3").edit_json("tokenizer.json", |tokenizer| {
        tokenizer["truncation"] =
            json!({ "direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0 });
        tokenizer["padding"] = json!({
            "strategy": { "Fixed": 40 }, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
        });
    });
    let plain = tiny("bert-classification-3").load().unwrap();
    assert_eq!(limited.load().unwrap().windows(TEXT).unwrap(), plain.windows(TEXT).unwrap());
}

#[test]
fn names_without_prefix_and_old_layer_norms_are_the_same_model() {
    let plain = tiny("bert-classification-3");
    let bare = plain.clone().edit_tensors(|tensors| tensors.rename(|name| name.replace("bert.", "")));
    let old = plain.clone().edit_tensors(|tensors| {
        let gamma = |name: &str| name.replace("LayerNorm.weight", "LayerNorm.gamma");
        tensors.rename(|name| gamma(name).replace("LayerNorm.bias", "LayerNorm.beta"));
    });
    assert_eq!(probabilities(&bare), probabilities(&plain));
    assert_eq!(probabilities(&old), probabilities(&plain));
}

#[test]
fn the_head_counts_if_the_configuration_leaves_it_open() {
    let open = json!({ "architectures": null, "id2label": null });
    let model = tiny("bert-classification-3").config(open).load().unwrap();
    assert_eq!(model.info().labels(), ["LABEL_0", "LABEL_1", "LABEL_2"]);
    assert!(!LabelScheme::of(model.info().labels()).has_sentiment());
    let other = json!({ "architectures": ["BertForTokenClassification"] });
    let model = tiny("bert-classification-3").config(other).load().unwrap();
    assert_eq!(model.info().task(), Task::Embedding);
}

#[test]
fn an_embedding_model_has_no_predictions() {
    let model = tiny("bert-embedding").load().unwrap();
    let windows = model.windows(TEXT).unwrap();
    let error = rows(&model, &windows, ForwardOutput::Head).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
}

#[test]
fn a_foreign_window_is_refused() {
    let model = tiny("bert-classification-3").load().unwrap();
    for ids in [vec![], vec![2; 65]] {
        let window = Window { ids, content_tokens: 1 };
        assert_eq!(
            model.forward(&[&window], ForwardOutput::Head).unwrap_err().kind,
            ErrorKind::InvalidRequest
        );
    }
    assert_eq!(model.forward(&[], ForwardOutput::Head).unwrap(), Vec::<Vec<f32>>::new());
}

#[test]
fn predictions_follow_the_labels() {
    let model = tiny("bert-stars-sharded").load().unwrap();
    let read = |model: &Model, values: &[f32]| {
        let Prediction::Probabilities(values) =
            model.predict(&[WindowRow { weight: 1, values: values.into() }])
        else {
            panic!("no probabilities")
        };
        LabelScheme::of(model.info().labels()).read(&values)
    };
    let prediction = read(&model, &[0.0, 0.1, 0.2, 0.3, 0.4]);
    assert_eq!(prediction.sentiment, Some(Sentiment::Positive));
    assert!((prediction.rating.unwrap() - 4.0).abs() < 1e-6);
    assert!((prediction.score.unwrap() - 0.5).abs() < 1e-6);
    let model = tiny("distilbert-classification").load().unwrap();
    let prediction = read(&model, &[0.75, 0.25]);
    assert_eq!((prediction.sentiment, prediction.score), (Some(Sentiment::Negative), Some(-0.5)));
    assert_eq!(prediction.rating, None);
}

#[test]
fn embeddings_have_length_one() {
    let model = tiny("roberta-embedding").load().unwrap();
    let windows = model.windows(&TEXT.repeat(20)).unwrap();
    let embedding = model.embed(&rows(&model, &windows, ForwardOutput::Embedding).unwrap());
    assert!(windows.len() > 1);
    assert!((embedding.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn windows_of_a_long_text_are_full_and_overlap() {
    let model = tiny("bert-classification-3").load().unwrap();
    let text = "good bad ".repeat(200);
    let Tokens::Ids(all) = model.tokenize(&text, TokenDetail::Ids).unwrap() else { panic!() };
    let windows = model.windows(&text).unwrap();
    let content = |window: &Window| window.ids[1..window.ids.len() - 1].to_vec();
    assert!(windows.iter().all(|window| window.ids.len() == 64 && window.content_tokens == 62));
    assert_eq!(content(&windows[0]), all[1..63]);
    assert_eq!(content(&windows[1]), all[56..118]);
    assert_eq!(content(windows.last().unwrap()), all[all.len() - 63..all.len() - 1]);
}

#[test]
fn the_content_address_is_that_of_the_names_and_bytes() {
    let parts = vec![("b".to_owned(), b"2".to_vec()), ("a".to_owned(), b"".to_vec())];
    let manifest = ModelFiles::from_parts(parts).manifest();
    let mut reversed = manifest.clone();
    reversed.reverse();
    assert_eq!(manifest.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(content_address(&reversed), content_address(&manifest));
    // Computed with Python's hashlib.
    let address = "b22878ee1d6b6c2c1f2972f139a2300a589421f927393766b4b360fedb528986";
    assert_eq!(content_address(&manifest).to_string(), address);
}

#[test]
fn a_folder_and_its_upload_have_the_same_address() {
    let folder = ModelFiles::from_directory(&reference("models/bert-regression")).unwrap();
    assert_eq!(folder, tiny("bert-regression").files());
    let cluttered = tempfile::tempdir().unwrap();
    for (name, bytes) in tiny("bert-regression").0 {
        std::fs::write(cluttered.path().join(name), bytes).unwrap();
    }
    std::fs::write(cluttered.path().join("README.md"), "a model").unwrap();
    std::fs::create_dir(cluttered.path().join("onnx")).unwrap();
    assert_eq!(ModelFiles::from_directory(cluttered.path()).unwrap().manifest(), folder.manifest());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_does_not_depend_on_its_batch(texts in prop::collection::vec("[a-z ]{1,200}", 1..12)) {
        let model = tiny("distilbert-regression").load().unwrap();
        let windows: Vec<Window> = texts.iter().flat_map(|text| model.windows(text).unwrap()).collect();
        let together = rows(&model, &windows, ForwardOutput::Head).unwrap();
        for (window, row) in windows.iter().zip(together) {
            let alone = model.forward(&[window], ForwardOutput::Head).unwrap().remove(0);
            prop_assert!((alone[0] - row.values[0]).abs() <= 1e-5, "{alone:?} {row:?}");
        }
    }

    #[test]
    fn any_text_is_tokenized(text in any::<String>()) {
        for name in ["bert-gelu-new", "roberta-embedding", "xlm-roberta-classification"] {
            let model = tiny(name).load().unwrap();
            let blank = text.trim().is_empty();
            prop_assert_eq!(model.windows(&text).unwrap().is_empty(), blank);
        }
    }
}
