//! What each token contributes, against PyTorch's integrated gradients, which `tests/reference/make_contributions.py` wrote down.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor};
use ecommerce_ml_protocol::{
    Answers, Contributions, ErrorKind, Explanation, Input, LabelScheme, MAX_TEXT_BYTES, Output, Prediction,
    Rows, SpanContribution,
};
use ecommerce_ml_text::scheduler::SchedulerOptions;
use ecommerce_ml_text::{ComputeSettings, ModelLoader, TextKind};
use serde::Deserialize;

use support::{reference, root, tiny};

/// Part of the explained difference by which contributions may miss it.
const TOLERANCE: f64 = 0.01;

/// What counts for nothing, on scales of one to five.
const NEGLIGIBLE: f64 = 5e-4;

/// A text of `contributions.json`.
#[derive(Deserialize)]
struct Expected {
    text: String,
    label: Option<String>,
    baseline: f64,
    prediction: f64,
    /// Start and length of each token, and what it contributes.
    tokens: Vec<(u32, u32, f64)>,
}

fn kind() -> TextKind {
    let compute = ComputeSettings { device: "cpu".to_owned(), precision: "f32".to_owned(), threads: 2 };
    let options = SchedulerOptions { tokenizing_threads: 2, batch_tokens: None, result_cache: 0 };
    TextKind::start(Arc::new(ModelLoader::new(&compute, None)), options).unwrap()
}

fn files(name: &str) -> ModelFiles {
    match name {
        "reviews" => ModelFiles::from_directory(&root().join("models/reviews")).unwrap(),
        name => tiny(name).files(),
    }
}

fn texts(texts: &[&str]) -> Input {
    Input::Texts(texts.iter().map(|&text| text.to_owned()).collect())
}

fn explain(model: &dyn Predictor, of: &[&str], class: Option<u32>) -> Vec<Option<Explanation>> {
    match model.submit(texts(of), Output::Contributions { class }).wait().unwrap().answers {
        Answers::Explanations(rows) => rows,
        other => panic!("{other:?}"),
    }
}

fn spans(explanation: &Explanation) -> &[SpanContribution] {
    match &explanation.contributions {
        Contributions::Spans(spans) => spans,
        Contributions::Columns(_) | Contributions::Members(_) => panic!("no parts of a text"),
    }
}

/// The number that is explained where no label is asked for.
fn predicted(model: &dyn Predictor, text: &str) -> f64 {
    let answers = model.submit(texts(&[text]), Output::Prediction).wait().unwrap().answers;
    match answers.prediction(0).unwrap() {
        Prediction::Number(value) => value,
        Prediction::Class { labels, probabilities } => {
            let reading = LabelScheme::of(labels).read(probabilities);
            f64::from(reading.rating.or(reading.score).unwrap())
        }
    }
}

#[test]
fn contributions_are_pytorchs() {
    let bytes = std::fs::read(reference("contributions.json")).unwrap();
    let expected: BTreeMap<String, Vec<Expected>> = serde_json::from_slice(&bytes).unwrap();
    assert!(expected.len() >= 7, "{}", expected.len());
    let kind = kind();
    for (name, cases) in expected {
        let model = kind.load_to_explain(&files(&name)).unwrap();
        for mut case in cases {
            // A token of white space alone is of the span that it stands behind.
            while let Some((.., contribution)) = case.tokens.pop_if(|(_, length, _)| *length == 0) {
                case.tokens.last_mut().expect("a token with a length").2 += contribution;
            }
            let class = case.label.as_ref().map(|label| {
                model.info().labels().iter().position(|own| own == label).expect("label is there") as u32
            });
            let explanation = explain(&*model, &[&case.text], class).remove(0).unwrap();
            let (spans, shown) = (spans(&explanation), format!("{name}, {:?}, {}", case.label, case.text));
            let difference = case.prediction - case.baseline;
            assert!((explanation.baseline - case.baseline).abs() < 1e-4, "{} {shown}", explanation.baseline);
            assert_eq!(spans.len(), case.tokens.len(), "{shown}");
            let off = (explanation.contributions.sum() - difference).abs();
            assert!(off <= TOLERANCE * difference.abs() + NEGLIGIBLE, "{off} of {difference}, {shown}");
            let size: f64 = case.tokens.iter().map(|(.., contribution)| contribution.abs()).sum();
            for (span, (start, length, contribution)) in spans.iter().zip(&case.tokens) {
                assert_eq!((span.start, span.length), (*start, *length), "{shown}");
                let off = (f64::from(span.contribution) - contribution).abs();
                assert!(off <= TOLERANCE * size + NEGLIGIBLE, "{span:?} is not {contribution}, {shown}");
            }
        }
    }
}

#[test]
fn contributions_add_up_whatever_the_text() {
    let kind = kind();
    let (explaining, predicting) =
        (kind.load_to_explain(&files("reviews")).unwrap(), kind.load(None, &files("reviews")).unwrap());
    let long = "The zip broke after two washes and nobody answers. ".repeat(40);
    let awkward = [
        "x",
        "!!!",
        "Café crème, très bon 😍😍 — 太差了, never again\r\n\t&amp; <br/>",
        "e\u{301}te\u{301} \u{200b}[SEP] [MASK] \u{1f44d}\u{1f3fd}",
        &long,
    ];
    let together = explain(&*explaining, &awkward, None);
    for (text, explanation) in awkward.iter().zip(together) {
        let explanation = explanation.unwrap();
        let difference = predicted(&*predicting, text) - explanation.baseline;
        let sum = explanation.contributions.sum();
        let shown: String = text.chars().take(40).collect();
        assert!(
            (sum - difference).abs() <= TOLERANCE * difference.abs() + NEGLIGIBLE,
            "{sum} {difference} {shown}"
        );
        let alone = explain(&*explaining, &[text], None).remove(0).unwrap();
        for (one, other) in spans(&alone).iter().zip(spans(&explanation)) {
            assert_eq!((one.start, one.length), (other.start, other.length), "{shown}");
            assert!((one.contribution - other.contribution).abs() < 1e-4, "{one:?} {other:?} {shown}");
        }
    }
}

#[test]
fn nothing_to_read_has_no_explanation() {
    let model = kind().load_to_explain(&files("reviews")).unwrap();
    let found = explain(&*model, &["", " \u{a0}\n", "good", ""], None);
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, false]);
    assert!(explain(&*model, &[], None).is_empty());
}

#[test]
fn the_words_that_say_so_contribute_the_most() {
    let model = kind().load_to_explain(&files("reviews")).unwrap();
    let word = |text: &str, span: &SpanContribution| {
        text.chars().skip(span.start as usize).take(span.length as usize).collect::<String>()
    };
    let by_contribution =
        |one: &&SpanContribution, other: &&SpanContribution| one.contribution.total_cmp(&other.contribution);
    let [mixed, plain] = ["Arrived broken, but support was great", "It arrived broken. Support was great."];
    let explanations = explain(&*model, &[mixed, plain], None);
    let [of_mixed, of_plain] = [0, 1].map(|at| spans(explanations[at].as_ref().unwrap()));
    assert_eq!(word(mixed, of_mixed.iter().max_by(by_contribution).unwrap()), "great");
    assert_eq!(word(plain, of_plain.iter().max_by(by_contribution).unwrap()), "great");
    assert_eq!(word(plain, of_plain.iter().min_by(by_contribution).unwrap()), "broken");
    // In the first, "but" tells more against it than the word that it stands beside.
    let broken = of_mixed.iter().find(|span| word(mixed, span) == "broken").unwrap();
    assert!(broken.contribution < 0.0, "{broken:?}");
}

#[test]
fn encoders_without_a_backward_pass_are_explained_by_occlusion() {
    let kind = kind();
    for name in [
        "deberta-v3-classification-3",
        "modernbert-regression",
        "electra-classification-3",
        "deberta-v2-regression",
    ] {
        let (explaining, predicting) =
            (kind.load_to_explain(&files(name)).unwrap(), kind.load(None, &files(name)).unwrap());
        assert!(explaining.precision().note.contains("occlusion"), "{name}");
        let long = "the battery is bad and the screen is good ".repeat(9);
        for text in ["Not good at all!", "x", &long] {
            let explanation = explain(&*explaining, &[text], None).remove(0).unwrap();
            let difference = predicted(&*predicting, text) - explanation.baseline;
            let sum = explanation.contributions.sum();
            assert!((sum - difference).abs() < 1e-4, "{sum} {difference} {name}");
            assert!(spans(&explanation).iter().any(|span| span.contribution != 0.0), "{name}");
        }
    }
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let kind = kind();
    let refused = |model: &dyn Predictor, input: Input, output: Output| {
        model.submit(input, output).wait().expect_err("it is refused").kind
    };
    for name in ["bert-embedding", "roberta-embedding"] {
        let error = kind.load_to_explain(&files(name)).err().expect("there is nothing to explain");
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{name}: {error}");
    }
    let model = kind.load_to_explain(&files("bert-classification-3")).unwrap();
    let contributions = Output::Contributions { class: None };
    let class = |class| Output::Contributions { class: Some(class) };
    assert_eq!(refused(&*model, texts(&["a"]), class(3)), ErrorKind::InvalidRequest);
    assert_eq!(refused(&*model, texts(&["a"]), Output::Prediction), ErrorKind::InvalidRequest);
    assert_eq!(refused(&*model, Input::Rows(Rows::default()), contributions), ErrorKind::InvalidRequest);
    assert_eq!(
        refused(&*model, texts(&[&"a".repeat(MAX_TEXT_BYTES + 1)]), contributions),
        ErrorKind::TextTooLong
    );
    let regression = kind.load_to_explain(&files("bert-regression")).unwrap();
    assert_eq!(refused(&*regression, texts(&["a"]), class(0)), ErrorKind::InvalidRequest);
    let predicting = kind.load(None, &files("bert-classification-3")).unwrap();
    assert_eq!(refused(&*predicting, texts(&["a"]), contributions), ErrorKind::InvalidRequest);
}

#[test]
fn predictions_do_not_wait_for_explanations_and_given_up_ones_end() {
    let kind = kind();
    let (explaining, predicting) =
        (kind.load_to_explain(&files("reviews")).unwrap(), kind.load(None, &files("reviews")).unwrap());
    let endless = "The zip broke after two washes and nobody answers. ".repeat(4000);
    let explanation = explaining.submit(texts(&[&endless]), Output::Contributions { class: None });
    let other = explaining.submit(texts(&["It is a lamp."]), Output::Contributions { class: None });
    // Neither a prediction nor another explanation waits for it.
    predicted(&*predicting, "good");
    other.wait().unwrap();
    assert_eq!(kind.workload().queued, 1);
    drop(explanation);
    let started = Instant::now();
    while kind.workload().queued > 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "it goes on");
        sleep(Duration::from_millis(5));
    }
}
