//! Architectures that candle computes: which there are, what of them is refused, what they are computed in.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::{Family, ModelConfig, Particulars};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::{Cpu, Kernels, Precision};
use ecommerce_ml_text_model::{ForwardOutput, Model, PrecisionChoice, Window};
use proptest::prelude::*;
use serde_json::{Value, json};

use support::{Parts, load_as, rows, tiny};

const DEBERTA: &str = "deberta-v3-classification-3";
const MODERNBERT: &str = "modernbert-classification-3";
const ELECTRA: &str = "electra-classification-3";
const ALL: [&str; 6] =
    [DEBERTA, "deberta-v2-regression", MODERNBERT, "modernbert-regression", ELECTRA, "electra-binary"];

fn parse(config: &Value) -> Result<ModelConfig, EngineError> {
    ModelConfig::parse(config.to_string().as_bytes())
}

fn answers(model: &Model, texts: &[&str]) -> Vec<Vec<f32>> {
    let windows: Vec<Window> = texts.iter().flat_map(|text| model.windows(text).unwrap()).collect();
    rows(model, &windows, ForwardOutput::Head).unwrap().into_iter().map(|row| row.values.into_vec()).collect()
}

#[track_caller]
fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}

#[test]
fn configurations_of_the_hub() {
    // microsoft/deberta-v3-base
    let deberta = json!({
        "model_type": "deberta-v2", "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02, "intermediate_size": 3072,
        "max_position_embeddings": 512, "relative_attention": true, "position_buckets": 256,
        "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p", "layer_norm_eps": 1e-7,
        "max_relative_positions": -1, "position_biased_input": false, "num_attention_heads": 12,
        "num_hidden_layers": 12, "type_vocab_size": 0, "vocab_size": 128100
    });
    let config = parse(&deberta).unwrap();
    assert_eq!((config.family, config.max_length(), config.token_types), (Family::DebertaV2, 512, None));
    let Particulars::Deberta(own) = config.particulars else { panic!("{config:?}") };
    let relative = own.relative.unwrap();
    assert_eq!((relative.furthest, relative.buckets), (512, Some(256)));
    assert!(relative.normalised && relative.shared_projections && own.terms == (true, true));
    // answerdotai/ModernBERT-base
    let modernbert = json!({
        "architectures": ["ModernBertForMaskedLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 50281, "classifier_activation": "gelu", "classifier_bias": false,
        "classifier_dropout": 0.0, "classifier_pooling": "mean", "cls_token_id": 50281, "decoder_bias": true,
        "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "hidden_activation": "gelu",
        "hidden_size": 768, "intermediate_size": 1152, "layer_norm_eps": 1e-05, "local_attention": 128,
        "local_rope_theta": 10000.0, "max_position_embeddings": 8192, "mlp_bias": false, "model_type": "modernbert",
        "norm_bias": false, "norm_eps": 1e-05, "num_attention_heads": 12, "num_hidden_layers": 22,
        "pad_token_id": 50283, "position_embedding_type": "absolute", "vocab_size": 50368
    });
    let config = parse(&modernbert).unwrap();
    // Attention of all that it could read would take too much memory.
    assert_eq!((config.family, config.positions, config.max_length()), (Family::ModernBert, 8192, 1024));
    let Particulars::ModernBert(own) = config.particulars else { panic!("{config:?}") };
    assert_eq!((own.global_every, own.thetas, own.mean_pooling), (3, (160_000.0, 10_000.0), true));
    // google/electra-small-discriminator
    let electra = json!({
        "architectures": ["ElectraForPreTraining"], "embedding_size": 128, "hidden_act": "gelu", "hidden_size": 256,
        "intermediate_size": 1024, "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "electra",
        "num_attention_heads": 4, "num_hidden_layers": 12, "type_vocab_size": 2, "vocab_size": 30522
    });
    let config = parse(&electra).unwrap();
    let Particulars::Electra(own) = config.particulars else { panic!("{config:?}") };
    assert_eq!((config.hidden_size, own.embedding_size), (256, 128));
}

#[test]
fn an_unknown_architecture_is_refused_with_those_that_are_known() {
    for name in ["deberta", "albert", "xlnet", "gpt2"] {
        let error = tiny(DEBERTA).config(json!({ "model_type": name })).refused();
        assert_eq!(error.kind, ErrorKind::UnsupportedModel, "{error:?}");
        assert!(error.message.contains(name), "{error:?}");
        let hint = error.hint.unwrap();
        for known in ["bert", "deberta-v2", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta"] {
            assert!(hint.contains(known), "{hint}");
        }
    }
}

#[test]
fn variants_that_candle_does_not_compute() {
    let sliding_first = json!({ "layer_types": ["sliding_attention", "full_attention", "full_attention"] });
    let yarn = json!({ "rope_parameters": { "full_attention": { "rope_type": "yarn", "rope_theta": 1e4 } } });
    for (name, changes, word) in [
        (DEBERTA, json!({ "conv_kernel_size": 3 }), "convolution"),
        (DEBERTA, json!({ "attention_head_size": 16 }), "another width"),
        (DEBERTA, json!({ "pooler_hidden_size": 16 }), "head of another width"),
        (DEBERTA, json!({ "pooler_hidden_act": "swish" }), "swish"),
        (DEBERTA, json!({ "hidden_act": "tanh" }), "tanh"),
        (DEBERTA, json!({ "embedding_size": 16, "type_vocab_size": 2 }), "token types"),
        (DEBERTA, json!({ "is_decoder": true }), "decoder"),
        (MODERNBERT, json!({ "norm_bias": true }), "biases"),
        (MODERNBERT, json!({ "attention_bias": true }), "biases"),
        (MODERNBERT, json!({ "mlp_bias": true }), "biases"),
        (MODERNBERT, json!({ "classifier_bias": true }), "biases"),
        (MODERNBERT, json!({ "hidden_activation": "relu" }), "relu"),
        (MODERNBERT, json!({ "classifier_activation": "gelu_new" }), "gelu_new"),
        (MODERNBERT, json!({ "classifier_pooling": "max" }), "max"),
        (MODERNBERT, json!({ "rope_scaling": { "factor": 2 } }), "scaled"),
        (MODERNBERT, yarn, "yarn"),
        (MODERNBERT, sliding_first, "layer_types"),
        (ELECTRA, json!({ "position_embedding_type": "relative_key" }), "relative_key"),
        (ELECTRA, json!({ "problem_type": "multi_label_classification" }), "multi-label"),
    ] {
        let error = tiny(name).config(changes.clone()).refused();
        assert_eq!(error.kind, ErrorKind::UnsupportedModel, "{name} {changes}: {error:?}");
        assert!(error.message.contains(word), "{name} {changes}: {error:?}");
    }
}

#[test]
fn absurd_configurations() {
    let huge = 1_u64 << 40;
    let mut of_all = Vec::new();
    for key in [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "vocab_size",
        "max_position_embeddings",
    ] {
        for value in [json!(0), json!(huge), json!(-1), json!(1.5), json!("12"), json!(null)] {
            of_all.push(json!({ key: value }));
        }
    }
    of_all.extend([
        json!({ "hidden_size": 33, "pooler_hidden_size": 33 }),
        json!({ "num_attention_heads": 5 }),
        json!({ "num_hidden_layers": 1 }),
        json!({ "num_hidden_layers": 9 }),
        json!({ "vocab_size": 299 }),
        json!({ "vocab_size": 2_000_000 }),
        json!({ "intermediate_size": 47 }),
        json!({ "id2label": { "0": "a", "1": "b" } }),
    ]);
    let own = [
        (DEBERTA, json!({ "layer_norm_eps": -1.0 })),
        (DEBERTA, json!({ "position_buckets": 1 })),
        (DEBERTA, json!({ "position_buckets": huge })),
        (DEBERTA, json!({ "position_buckets": 17 })),
        (DEBERTA, json!({ "max_relative_positions": huge })),
        (DEBERTA, json!({ "position_buckets": -1, "max_relative_positions": 100_000 })),
        (DEBERTA, json!({ "position_biased_input": true })),
        (DEBERTA, json!({ "share_att_key": false })),
        (DEBERTA, json!({ "embedding_size": 31 })),
        (DEBERTA, json!({ "embedding_size": 0 })),
        (DEBERTA, json!({ "type_vocab_size": 3 })),
        (DEBERTA, json!({ "type_vocab_size": huge })),
        (DEBERTA, json!({ "pos_att_type": 7 })),
        (MODERNBERT, json!({ "norm_eps": 2.0 })),
        (MODERNBERT, json!({ "num_attention_heads": 32 })),
        (MODERNBERT, json!({ "global_attn_every_n_layers": 0 })),
        (MODERNBERT, json!({ "global_attn_every_n_layers": huge })),
        (MODERNBERT, json!({ "local_attention": 0 })),
        (MODERNBERT, json!({ "local_attention": huge })),
        (MODERNBERT, json!({ "global_rope_theta": 0.0 })),
        (MODERNBERT, json!({ "local_rope_theta": -1.0 })),
        (MODERNBERT, json!({ "layer_types": [] })),
        (MODERNBERT, json!({ "layer_types": ["full_attention", "full_attention"] })),
        (ELECTRA, json!({ "embedding_size": 0 })),
        (ELECTRA, json!({ "embedding_size": 17 })),
        (ELECTRA, json!({ "embedding_size": huge })),
        (ELECTRA, json!({ "type_vocab_size": 0 })),
    ];
    let models = [DEBERTA, MODERNBERT, ELECTRA].into_iter();
    let all = models.flat_map(|name| of_all.iter().map(move |changes| (name, changes.clone())));
    for (name, changes) in all.chain(own) {
        let error = tiny(name).config(changes.clone()).refused();
        assert_eq!(error.kind, ErrorKind::DamagedModel, "{name} {changes}: {error:?}");
    }
}

#[test]
fn a_layer_norm_that_candle_would_do_without_is_needed() {
    let name = "model.layers.1.attn_norm.weight";
    let error = tiny(MODERNBERT).edit_tensors(|tensors| drop(tensors.0.remove(name))).refused();
    assert_eq!(error.kind, ErrorKind::DamagedModel, "{error:?}");
    assert!(error.message.contains(name), "{error:?}");
}

#[test]
fn a_layer_norm_that_no_model_has_is_left_aside() {
    let texts = ["Not bad at all, but slow", "好"];
    let expected = answers(&tiny(MODERNBERT).load().unwrap(), &texts);
    let parts = tiny(MODERNBERT).edit_tensors(|tensors| {
        let norm = tensors.0["model.layers.1.attn_norm.weight"].clone();
        tensors.0.insert("model.layers.0.attn_norm.weight".to_owned(), norm);
    });
    assert_eq!(answers(&parts.load().unwrap(), &texts), expected);
}

#[test]
fn both_spellings_of_rotations_and_layers_mean_the_same() {
    let texts = ["Not bad at all, but the strap broke after two days of use, and nobody answers my letters"];
    let expected = answers(&tiny(MODERNBERT).load().unwrap(), &texts);
    let old = ["global_attn_every_n_layers", "global_rope_theta", "local_rope_theta"];
    let mut changes = json!({
        "layer_types": ["full_attention", "sliding_attention", "full_attention"],
        "rope_parameters": {
            "full_attention": { "rope_theta": 160_000.0, "rope_type": "default" },
            "sliding_attention": { "rope_theta": 10_000.0, "rope_type": "default" }
        }
    });
    old.iter().for_each(|key| changes[*key] = Value::Null);
    assert_eq!(answers(&tiny(MODERNBERT).config(changes).load().unwrap(), &texts), expected);
    // Where layers look, and how they rotate, matters.
    for change in [
        json!({ "local_attention": 32 }),
        json!({ "global_attn_every_n_layers": 1 }),
        json!({ "global_rope_theta": 100.0 }),
        json!({ "local_rope_theta": 100.0 }),
    ] {
        assert_ne!(
            answers(&tiny(MODERNBERT).config(change.clone()).load().unwrap(), &texts),
            expected,
            "{change}"
        );
    }
}

#[test]
fn whatever_precision_is_asked_for_it_is_single_and_says_so() {
    for name in ALL {
        let expected = answers(&tiny(name).load().unwrap(), &["good", "bad"]);
        for choice in [PrecisionChoice::Auto, PrecisionChoice::Fixed(Precision::Int8)] {
            let model = load_as(&tiny(name).files(), choice).unwrap();
            assert_eq!(model.precision().name, "f32", "{name}");
            assert!(model.precision().note.contains("candle"), "{:?}", model.precision());
            assert_close(&answers(&model, &["good", "bad"]), &expected);
        }
    }
}

#[test]
fn what_was_kept_is_the_same_model() {
    let cpu = Cpu::new(Kernels::best(), 2);
    for name in ALL {
        let files = tiny(name).files();
        let model = support::load(&files).unwrap();
        let prepacked = Model::prepare(&files, &cpu, PrecisionChoice::Auto).unwrap();
        let kept = Model::open(prepacked, &cpu).unwrap();
        assert_eq!(kept.info(), model.info());
        assert_close(&answers(&kept, &["good", "bad"]), &answers(&model, &["good", "bad"]));
    }
}

#[test]
fn weights_and_attention_count_as_memory() {
    for name in ALL {
        let model = tiny(name).load().unwrap();
        let info = model.info();
        // Attention of a thousand tokens in windows of 64.
        assert!(info.bytes > 4 * info.parameters + (2 << 20), "{name} {}", info.bytes);
    }
}

#[test]
fn texts_of_all_lengths_together_are_as_alone() {
    let word = "good bad slow ";
    let texts: Vec<String> = (1..120).map(|length| word.repeat(length % 40 + 1)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for name in ALL {
        let model = Arc::new(tiny(name).load().unwrap());
        let together = answers(&model, &texts);
        let alone: Vec<Vec<f32>> = texts
            .iter()
            .flat_map(|text| {
                let windows = model.windows(text).unwrap();
                windows
                    .into_iter()
                    .map(|window| model.forward(&[&window], ForwardOutput::Head).unwrap().remove(0))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_close(&together, &alone);
    }
}

/// What may come of a model in which some bits are wrong.
#[track_caller]
fn assert_survives(parts: &Parts) {
    let run = |model: Model| {
        let windows = model.windows("Not bad, [SEP] but the strap broke after 2 days :-(")?;
        let output =
            if model.info().labels().is_empty() { ForwardOutput::Embedding } else { ForwardOutput::Head };
        rows(&model, &windows, output).map(drop)
    };
    let expected = [ErrorKind::DamagedModel, ErrorKind::UnsupportedModel, ErrorKind::FileMissing];
    if let Err(error) = parts.load().and_then(run) {
        assert!(expected.contains(&error.kind), "{error:?}");
    }
}

fn flip(name: &str, file: &str, position: f64) -> Parts {
    let parts = tiny(name);
    let mut bytes = parts.0[file].clone();
    let bit = (position * (8 * bytes.len()) as f64) as usize;
    bytes[bit / 8] ^= 1 << (bit % 8);
    parts.with(file, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits_in_the_configuration(name in prop::sample::select(ALL.to_vec()), position in 0.0..1.0) {
        assert_survives(&flip(name, "config.json", position));
    }

    #[test]
    fn flipped_bits_in_the_weights(name in prop::sample::select(ALL.to_vec()), position in 0.0..1.0) {
        assert_survives(&flip(name, "model.safetensors", position));
    }
}
