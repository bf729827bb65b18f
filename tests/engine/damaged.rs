//! Damaged, contradictory and unsupported models: each is refused with an error of the right kind, none panics.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ecommerce_ml_protocol::{EngineError, ErrorKind, Task};
use ecommerce_ml_text_model::ForwardOutput;
use proptest::prelude::*;
use safetensors::tensor::Dtype;
use serde_json::json;

use support::{Parts, rows, tiny};

const WEIGHTS: &str = "model.safetensors";

/// A model of each architecture; of some more than one, with other tensors.
const FAMILIES: [&str; 8] = [
    "bert-classification-3",
    "distilbert-classification",
    "roberta-classification-3",
    "deberta-v3-classification-3",
    "deberta-v2-regression",
    "modernbert-classification-3",
    "electra-classification-3",
    "electra-binary",
];

fn model() -> Parts {
    tiny("bert-classification-3")
}

#[track_caller]
fn assert_refused(parts: &Parts, kind: ErrorKind, words: &[&str]) -> EngineError {
    let error = parts.refused();
    assert_eq!(error.kind, kind, "{error:?}");
    for word in words {
        assert!(error.message.contains(word), "no {word:?} in {error:?}");
    }
    error
}

/// Loads and, where that succeeds, runs a model that may be damaged.
fn survives(parts: &Parts) -> Result<(), EngineError> {
    let model = parts.load()?;
    let windows = model.windows("Not bad, [SEP] but the strap broke after 2 days :-(")?;
    // A wrong bit in the name of the architecture can make it that of a model without head.
    let output =
        if model.info().task() == Task::Embedding { ForwardOutput::Embedding } else { ForwardOutput::Head };
    rows(&model, &windows, output).map(drop)
}

/// What may come of a model in which some bits are wrong.
#[track_caller]
fn assert_survives(parts: &Parts) {
    let expected = [ErrorKind::DamagedModel, ErrorKind::UnsupportedModel, ErrorKind::FileMissing];
    if let Err(error) = survives(parts) {
        assert!(expected.contains(&error.kind), "{error:?}");
    }
}

fn flip(parts: Parts, name: &str, bit: usize) -> Parts {
    let mut bytes = parts.0[name].clone();
    bytes[bit / 8] ^= 1 << (bit % 8);
    parts.with(name, bytes)
}

#[test]
fn truncated_weights() {
    let whole = model().0[WEIGHTS].clone();
    let early = 0..64;
    let everywhere = (64..whole.len()).step_by(whole.len() / 200);
    for length in early.chain(everywhere).chain([whole.len() - 1]) {
        let error =
            assert_refused(&model().with(WEIGHTS, &whole[..length]), ErrorKind::DamagedModel, &[WEIGHTS]);
        assert!(error.message.contains(&format!("{length} bytes")), "{error:?}");
    }
}

#[test]
fn weights_with_bytes_at_the_end() {
    let mut bytes = model().0[WEIGHTS].clone();
    bytes.push(0);
    assert_refused(&model().with(WEIGHTS, bytes), ErrorKind::DamagedModel, &[WEIGHTS]);
}

#[test]
fn truncated_json() {
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        let whole = model().0[name].clone();
        for length in (0..whole.len() - 2).step_by(whole.len() / 50) {
            assert_refused(&model().with(name, &whole[..length]), ErrorKind::DamagedModel, &[name]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits_in_the_header_of_weights(position in 0.0..1.0) {
        let parts = model();
        let header = 8 + u64::from_le_bytes(*parts.0[WEIGHTS].first_chunk().unwrap()) as usize;
        let bit = (position * (8 * header) as f64) as usize;
        assert_survives(&flip(parts, WEIGHTS, bit));
    }

    #[test]
    fn flipped_bits_in_the_numbers_of_weights(position in 0.0..1.0) {
        let parts = model();
        let bits = 8 * parts.0[WEIGHTS].len();
        assert_survives(&flip(parts, WEIGHTS, (position * bits as f64) as usize));
    }

    #[test]
    fn flipped_bits_in_the_tokenizer(position in 0.0..1.0) {
        let parts = model();
        let bits = 8 * parts.0["tokenizer.json"].len();
        assert_survives(&flip(parts, "tokenizer.json", (position * bits as f64) as usize));
    }

    #[test]
    fn flipped_bits_in_the_configuration(position in 0.0..1.0) {
        let parts = model();
        let bits = 8 * parts.0["config.json"].len();
        assert_survives(&flip(parts, "config.json", (position * bits as f64) as usize));
    }

    #[test]
    fn weights_of_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        assert_refused(&model().with(WEIGHTS, bytes), ErrorKind::DamagedModel, &[WEIGHTS]);
    }
}

#[test]
fn every_tensor_is_needed() {
    for family in FAMILIES {
        let names = support::Tensors::read(&tiny(family).0[WEIGHTS]).0.into_keys();
        for name in names.filter(|name| !name.ends_with("position_ids")) {
            let parts = tiny(family).edit_tensors(|tensors| drop(tensors.0.remove(&name)));
            let error = assert_refused(&parts, ErrorKind::DamagedModel, &["no tensor"]);
            assert!(error.message.contains(&name), "{name} is not in {error:?}");
        }
    }
}

#[test]
fn every_shape_is_checked() {
    for family in FAMILIES {
        let names = support::Tensors::read(&tiny(family).0[WEIGHTS]).0.into_keys();
        for name in names.filter(|name| !name.ends_with("position_ids")) {
            let parts = tiny(family).edit_tensors(|tensors| {
                let (_, shape, data) = tensors.0.get_mut(&name).unwrap();
                data.truncate(data.len() / shape[0] * (shape[0] - 1));
                shape[0] -= 1;
            });
            assert_refused(&parts, ErrorKind::DamagedModel, &[&name, "has shape", "expected"]);
        }
    }
}

#[test]
fn a_wrong_shape_is_named_with_the_right_one() {
    let parts = model().config(json!({ "intermediate_size": 63 }));
    let words = ["bert.encoder.layer.0.intermediate.dense.weight", "[64, 32]", "[63, 32]"];
    assert_refused(&parts, ErrorKind::DamagedModel, &words);
}

#[test]
fn an_empty_tensor_that_announces_many_rows() {
    let parts = model().config(json!({ "id2label": null })).edit_tensors(|tensors| {
        tensors.0.insert("classifier.weight".to_owned(), (Dtype::F32, vec![1 << 60, 0], Vec::new()));
    });
    assert_refused(&parts, ErrorKind::DamagedModel, &["classifier.weight", "1152921504606846976"]);
}

#[test]
fn numbers_that_are_not_finite() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let name = "bert.encoder.layer.1.output.dense.weight";
        let parts = model().edit_tensors(|tensors| tensors.set(name, 7, value));
        assert_refused(&parts, ErrorKind::DamagedModel, &[name, "not finite", "index 7"]);
    }
}

#[test]
fn numbers_that_overflow_on_the_way() {
    let parts = model().edit_tensors(|tensors| {
        (0..32).for_each(|index| tensors.set("bert.encoder.layer.1.output.LayerNorm.weight", index, 3e38));
    });
    let error = survives(&parts).unwrap_err();
    assert_eq!(error.kind, ErrorKind::DamagedModel, "{error:?}");
}

#[test]
fn numbers_of_another_type() {
    let name = "bert.pooler.dense.bias";
    let parts = model().edit_tensors(|tensors| {
        tensors.0.insert(name.to_owned(), (Dtype::I64, vec![32], vec![0; 32 * 8]));
    });
    assert_refused(&parts, ErrorKind::UnsupportedModel, &[name, "I64"]);
}

#[test]
fn missing_files_are_named() {
    for name in ["config.json", "tokenizer.json", WEIGHTS] {
        assert_refused(&model().without(name), ErrorKind::FileMissing, &[name]);
    }
    let shard = "model-00002-of-00003.safetensors";
    assert_refused(&tiny("bert-stars-sharded").without(shard), ErrorKind::FileMissing, &[shard]);
}

#[test]
fn an_index_that_is_damaged() {
    let index = "model.safetensors.index.json";
    let parts = tiny("bert-stars-sharded");
    assert_refused(&parts.clone().with(index, "{}"), ErrorKind::DamagedModel, &[index]);
    assert_refused(&parts.with(index, "{\"weight_map\": {}}"), ErrorKind::DamagedModel, &["no tensor"]);
}

#[test]
fn pickled_weights_are_not_read_but_explained() {
    let parts = model().without(WEIGHTS).with("pytorch_model.bin", "\u{80}\u{2}");
    let error = assert_refused(&parts, ErrorKind::FileMissing, &[WEIGHTS]);
    assert!(error.detail.unwrap().contains("pytorch_model.bin"));
    assert!(error.hint.unwrap().contains("safetensors"));
}

#[test]
fn a_folder_that_is_not_there() {
    let error =
        ecommerce_ml_checkpoint::files::ModelFiles::from_directory("/no/such/folder".as_ref()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::FileMissing);
}

#[test]
fn absurd_configurations() {
    let huge = 1u64 << 40;
    for changes in [
        json!({ "hidden_size": 0 }),
        json!({ "hidden_size": huge }),
        json!({ "hidden_size": 33 }),
        json!({ "hidden_size": -32 }),
        json!({ "hidden_size": 32.5 }),
        json!({ "hidden_size": "32" }),
        json!({ "hidden_size": null }),
        json!({ "num_hidden_layers": 0 }),
        json!({ "num_hidden_layers": 3 }),
        json!({ "num_hidden_layers": 1 }),
        json!({ "num_hidden_layers": huge }),
        json!({ "num_attention_heads": 0 }),
        json!({ "num_attention_heads": 5 }),
        json!({ "num_attention_heads": huge }),
        json!({ "vocab_size": huge }),
        json!({ "vocab_size": 801 }),
        json!({ "intermediate_size": huge }),
        json!({ "max_position_embeddings": 0 }),
        json!({ "max_position_embeddings": huge }),
        json!({ "max_position_embeddings": 63 }),
        json!({ "type_vocab_size": 0 }),
        json!({ "layer_norm_eps": -1.0 }),
        json!({ "layer_norm_eps": 1e30 }),
        json!({ "pad_token_id": -1 }),
        json!({ "id2label": {} }),
        json!({ "id2label": { "0": "a", "1": "b", "3": "c" } }),
        json!({ "id2label": { "0": "a", "1": "b", "2": null } }),
        json!({ "id2label": { "0": "a", "1": "b" } }),
        json!({ "id2label": null, "num_labels": 4 }),
        json!({ "id2label": null, "num_labels": huge }),
    ] {
        assert_refused(&model().config(changes), ErrorKind::DamagedModel, &[]);
    }
    let parts = tiny("roberta-classification-3").config(json!({ "pad_token_id": 4_000_000_000u32 }));
    assert_refused(&parts, ErrorKind::DamagedModel, &["too few"]);
}

#[test]
fn models_of_another_kind() {
    for (changes, word) in [
        (json!({ "model_type": "gpt2" }), "gpt2"),
        (json!({ "model_type": null }), "model_type"),
        (json!({ "hidden_act": "swiglu" }), "swiglu"),
        (json!({ "position_embedding_type": "relative_key" }), "relative_key"),
        (json!({ "is_decoder": true }), "decoder"),
        (json!({ "problem_type": "multi_label_classification" }), "multi-label"),
        (json!({ "problem_type": "regression" }), "3 outputs"),
        (json!({ "problem_type": "ranking" }), "ranking"),
    ] {
        assert_refused(&model().config(changes), ErrorKind::UnsupportedModel, &[word]);
    }
}

#[test]
fn the_tokenizer_of_another_model() {
    let foreign = std::fs::read(support::root().join("models/reviews/tokenizer.json")).unwrap();
    assert_refused(&model().with("tokenizer.json", foreign), ErrorKind::DamagedModel, &["30522", "800"]);
}

#[test]
fn a_tokenizer_that_adds_a_token_too_many() {
    let parts = model().edit_json("tokenizer.json", |tokenizer| {
        let added = tokenizer["added_tokens"].as_array_mut().unwrap();
        let mut token = added[0].clone();
        token["content"] = json!("<extra>");
        token["id"] = json!(800);
        added.push(token);
    });
    assert_refused(&parts, ErrorKind::DamagedModel, &["801", "800"]);
}

#[test]
fn templates_that_contradict_the_tokenizer() {
    let template = |change: fn(&mut serde_json::Value)| {
        model().edit_json("tokenizer.json", |tokenizer| change(&mut tokenizer["post_processor"]))
    };
    let unknown_token = template(|template| template["special_tokens"] = json!({}));
    let foreign_id = template(|template| template["special_tokens"]["[CLS]"]["ids"] = json!([5000]));
    let no_text = template(|template| template["single"] = json!([]));
    let second_text = template(|template| {
        template["single"] =
            json!([{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }]);
    });
    for parts in [unknown_token, foreign_id, no_text, second_text] {
        assert_refused(&parts, ErrorKind::DamagedModel, &[]);
    }
}

#[test]
fn a_window_without_room_for_content() {
    let parts = model().edit_json("tokenizer_config.json", |config| config["model_max_length"] = json!(2));
    assert_refused(&parts, ErrorKind::DamagedModel, &["2 tokens at a time"]);
}

#[test]
fn a_vocabulary_without_special_tokens() {
    let parts = tiny("bert-gelu-new");
    assert_refused(&parts.clone().with("vocab.txt", "good\nbad\n"), ErrorKind::DamagedModel, &["[UNK]"]);
    assert_refused(&parts.with("vocab.txt", vec![0xff; 10]), ErrorKind::DamagedModel, &["vocab.txt"]);
}
