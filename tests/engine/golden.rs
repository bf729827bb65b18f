//! The engine against `transformers`, whose numbers `tests/reference/make_*.py` wrote down.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokenizer, Tokens};
use ecommerce_ml_protocol::{ErrorKind, LabelScheme, ModelInfo, Task, is_blank};
use ecommerce_ml_text_model::{ForwardOutput, Model, Prediction, Window};
use serde::Deserialize;
use serde_json::{Value, json};

use support::{Parts, json_lines, load, reference, root, rows, tiny};

/// Largest difference of a probability, a regression's value or a component of an embedding.
const TOLERANCE: f32 = 1e-4;

/// Largest difference between a row of a batch and the row alone.
const BATCH_TOLERANCE: f32 = 1e-5;

/// A file of `tests/reference/expected`.
#[derive(Deserialize)]
struct Expected {
    max_length: u32,
    texts: Vec<String>,
    token_ids: Vec<Vec<u32>>,
    /// Values of a regression; empty without head.
    probabilities: Vec<Vec<f32>>,
    embeddings: Vec<Vec<f32>>,
    long: Option<Long>,
}

/// Texts of several windows.
#[derive(Deserialize)]
struct Long {
    texts: Vec<String>,
    /// First and last but one content token of each window of each text.
    windows: Vec<Vec<(usize, usize)>>,
    probabilities: Vec<Vec<f32>>,
    embeddings: Vec<Vec<f32>>,
}

fn expected(name: &str) -> Expected {
    let json =
        std::fs::read(reference("expected").join(format!("{name}.json"))).expect("golden numbers are there");
    serde_json::from_slice(&json).expect("golden numbers are well-formed")
}

fn reviews() -> ModelFiles {
    ModelFiles::from_directory(&root().join("models/reviews")).expect("built-in model is there")
}

/// What the head says of a text, as the reference has it: probabilities or the one value.
fn answer(model: &Model, text: &str) -> Vec<f32> {
    let windows = model.windows(text).unwrap();
    match model.predict(&rows(model, &windows, ForwardOutput::Head).unwrap()) {
        Prediction::Probabilities(probabilities) => probabilities,
        Prediction::Number(value) => vec![value as f32],
    }
}

/// What views show of a model beside what every kind has.
fn details(info: &ModelInfo) -> Value {
    serde_json::from_str(&info.details).expect("details are JSON")
}

fn embedding(model: &Model, text: &str) -> Vec<f32> {
    let windows = model.windows(text).unwrap();
    model.embed(&rows(model, &windows, ForwardOutput::Embedding).unwrap())
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, of: &str) {
    assert_eq!(found.len(), expected.len(), "{of}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}, {of}");
    }
}

/// Compares all that is known of a model.
#[track_caller]
fn assert_golden(name: &str, model: &Model) {
    let expected = expected(name);
    assert_eq!(details(model.info())["max_length"], expected.max_length);
    assert_eq!(model.info().task() == Task::Embedding, expected.probabilities.is_empty());
    for (text, ids) in expected.texts.iter().zip(&expected.token_ids) {
        assert_eq!(model.tokenize(text, TokenDetail::Ids).unwrap(), Tokens::Ids(ids.clone()), "{text:?}");
    }
    for (text, probabilities) in expected.texts.iter().zip(&expected.probabilities) {
        assert_close(&answer(model, text), probabilities, TOLERANCE, text);
    }
    for (text, expected) in expected.texts.iter().zip(&expected.embeddings) {
        assert_close(&embedding(model, text), expected, TOLERANCE, text);
    }
    expected.long.iter().for_each(|long| assert_long(model, long));
    assert_batches(model, &expected.texts);
}

#[track_caller]
fn assert_long(model: &Model, long: &Long) {
    for (index, text) in long.texts.iter().enumerate() {
        let windows = model.windows(text).unwrap();
        let lengths: Vec<_> = long.windows[index].iter().map(|(start, end)| end - start).collect();
        assert_eq!(windows.iter().map(|window| window.content_tokens).collect::<Vec<_>>(), lengths);
        assert_close(&answer(model, text), &long.probabilities[index], TOLERANCE, text);
        assert_close(&embedding(model, text), &long.embeddings[index], TOLERANCE, text);
    }
}

/// All texts in one call give what each gives alone.
#[track_caller]
fn assert_batches(model: &Model, texts: &[String]) {
    let windows: Vec<Window> = texts.iter().flat_map(|text| model.windows(text).unwrap()).collect();
    let head = (model.info().task() != Task::Embedding).then_some(ForwardOutput::Head);
    for output in head.into_iter().chain([ForwardOutput::Embedding]) {
        let together = rows(model, &windows, output).unwrap();
        assert_eq!(together.len(), windows.len());
        for (window, row) in windows.iter().zip(&together) {
            let alone = model.forward(&[window], output).unwrap().remove(0);
            assert_close(&row.values, &alone, BATCH_TOLERANCE, &format!("{output:?} of {window:?}"));
        }
    }
}

#[test]
fn token_ids_of_all_reference_texts() {
    let files = reviews();
    let tokenizer = Tokenizer::load(&files, &ModelConfig::load(&files).unwrap()).unwrap();
    let texts: Vec<String> = json_lines("texts.jsonl.gz");
    let ids: Vec<Vec<u32>> = json_lines("token_ids.jsonl.gz");
    assert_eq!((texts.len(), ids.len()), (10_000, 10_000));
    for (text, ids) in texts.iter().zip(ids) {
        // The engine reads nothing in a blank text, the reference puts special tokens around nothing.
        let ids = if is_blank(text) { Vec::new() } else { ids };
        assert_eq!(tokenizer.tokenize(text, TokenDetail::Count).unwrap(), Tokens::Count(ids.len() as u64));
        assert_eq!(tokenizer.tokenize(text, TokenDetail::Ids).unwrap(), Tokens::Ids(ids), "{text:?}");
    }
}

#[test]
fn vocabulary_alone_cuts_like_the_whole_tokenizer() {
    let files = reviews();
    let config = ModelConfig::load(&files).unwrap();
    let only = ["vocab.txt", "tokenizer_config.json"];
    let parts = only.map(|name| (name.to_owned(), files.get(name).unwrap().to_vec()));
    let tokenizer = Tokenizer::load(&ModelFiles::from_parts(parts.into()), &config).unwrap();
    // Only `tokenizer.json` says that a sign such as "&amp;" is one token: without its signs, it has to say the same of each text.
    let mut whole: Value = serde_json::from_slice(files.get("tokenizer.json").unwrap()).unwrap();
    let added = whole["added_tokens"].as_array_mut().unwrap();
    let signs: Vec<Value> = added.extract_if(.., |token| token["special"] == json!(false)).collect();
    let files_without = files
        .iter()
        .filter(|(name, _)| *name != "tokenizer.json")
        .map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))
        .chain([("tokenizer.json".to_owned(), whole.to_string().into_bytes())]);
    let without_signs = Tokenizer::load(&ModelFiles::from_parts(files_without.collect()), &config).unwrap();
    let has_sign = |text: &str| signs.iter().any(|sign| text.contains(sign["content"].as_str().unwrap()));
    let texts: Vec<String> = json_lines("texts.jsonl.gz");
    let ids: Vec<Vec<u32>> = json_lines("token_ids.jsonl.gz");
    for (text, ids) in texts.iter().zip(ids).filter(|(text, _)| !is_blank(text)) {
        let same = without_signs.tokenize(text, TokenDetail::Ids).unwrap();
        assert_eq!(tokenizer.tokenize(text, TokenDetail::Ids).unwrap(), same, "{text:?}");
        if has_sign(text) {
            continue;
        }
        assert_eq!(tokenizer.tokenize(text, TokenDetail::Ids).unwrap(), Tokens::Ids(ids), "{text:?}");
    }
}

#[test]
fn built_in_model() {
    let model = load(&reviews()).unwrap();
    assert_golden("reviews", &model);
    let scheme = LabelScheme::of(model.info().labels());
    assert!(scheme.has_sentiment() && scheme.has_rating());
    let details = details(model.info());
    assert_eq!((&details["architecture"], &details["hidden_size"]), (&json!("bert"), &json!(384)));
    assert_eq!(model.info().signature.embedding_width(), Some(384));
}

/// A model without its head, as `save_pretrained` of the bare encoder writes it.
fn bare(name: &str, architecture: &str, prefix: &str) -> Parts {
    tiny(name).config(json!({ "architectures": [architecture] })).edit_tensors(|tensors| {
        tensors.0.retain(|name, _| name.starts_with(prefix));
        tensors.rename(|name| name.replacen(prefix, "", 1));
    })
}

#[test]
fn encoders_without_a_head_embed() {
    for (name, architecture, prefix) in [
        ("deberta-v3-classification-3", "DebertaV2Model", "deberta."),
        ("modernbert-classification-3", "ModernBertModel", "model."),
        ("electra-classification-3", "ElectraModel", "electra."),
    ] {
        let model = bare(name, architecture, prefix).load().unwrap();
        assert_eq!(model.info().task(), Task::Embedding, "{name}");
        let expected = expected(name);
        for (text, expected) in expected.texts.iter().zip(&expected.embeddings) {
            assert_close(&embedding(&model, text), expected, TOLERANCE, text);
        }
        assert_batches(&model, &expected.texts);
        let windows = model.windows("Good.").unwrap();
        let error = rows(&model, &windows, ForwardOutput::Head).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error:?}");
    }
}

macro_rules! tiny_models {
    ($($test:ident: $name:literal, $family:ident, $task:ident, $labels:expr;)*) => {$(
        #[test]
        fn $test() {
            let model = tiny($name).load().unwrap();
            assert_golden($name, &model);
            let labels: &[&str] = &$labels;
            assert_eq!(details(model.info())["architecture"], stringify!($family).to_lowercase());
            assert_eq!(model.info().task(), Task::$task);
            assert_eq!(model.info().labels(), labels);
        }
    )*};
}

tiny_models! {
    bert_classification: "bert-classification-3", Bert, Classification, ["negative", "neutral", "positive"];
    bert_regression: "bert-regression", Bert, Regression, [];
    bert_embedding: "bert-embedding", Bert, Embedding, [];
    bert_sharded_bfloat16: "bert-stars-sharded", Bert, Classification,
        ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"];
    bert_tanh_gelu_and_vocabulary: "bert-gelu-new", Bert, Classification, ["negative", "neutral", "positive"];
    distilbert_classification: "distilbert-classification", DistilBert, Classification, ["NEGATIVE", "POSITIVE"];
    distilbert_regression: "distilbert-regression", DistilBert, Regression, [];
    roberta_classification: "roberta-classification-3", Roberta, Classification,
        ["negative", "neutral", "positive"];
    roberta_regression: "roberta-regression", Roberta, Regression, [];
    roberta_embedding: "roberta-embedding", Roberta, Embedding, [];
    xlm_roberta_float16: "xlm-roberta-classification", Roberta, Classification,
        ["negative", "neutral", "positive"];
    deberta_v3: "deberta-v3-classification-3", DebertaV2, Classification, ["negative", "neutral", "positive"];
    deberta_v2_float16: "deberta-v2-regression", DebertaV2, Regression, [];
    modernbert_by_first_tokens: "modernbert-classification-3", ModernBert, Classification,
        ["negative", "neutral", "positive"];
    modernbert_by_means: "modernbert-regression", ModernBert, Regression, [];
    electra_with_narrow_embeddings: "electra-classification-3", Electra, Classification,
        ["negative", "neutral", "positive"];
    electra: "electra-binary", Electra, Classification, ["NEGATIVE", "POSITIVE"];
}
