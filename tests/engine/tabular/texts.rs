//! Columns that a text model reads first, by one that tells good from bad and counts letters.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{
    Answered, Evaluate, Job, Load, ModelKind, ModelPrecision, Pending, Predictor, Sink,
};
use ecommerce_ml_protocol::training::*;
use ecommerce_ml_protocol::*;
use ecommerce_ml_tabular::texts::files;
use ecommerce_ml_tabular::{BoostedTrees, Linear};
use ecommerce_ml_training::random::SplitMix64;

use crate::kit::{numbers, rows, texts};
use crate::learning::rearranged;
use crate::trained::{Trained, classes, collect, copy, job_of_trees};

/// Letters that are counted.
const LETTERS: [char; 6] = ['a', 'e', 'i', 'o', 'u', 'y'];

/// Reads texts.
struct Words(ModelInfo);

impl Words {
    fn new(reads: Reads) -> Self {
        let answers = vec![Answer::Classes, Answer::Embedding(LETTERS.len() as u32)];
        let labels = ["bad", "good"].map(str::to_owned).to_vec();
        let signature = Signature { reads, answers, labels };
        let (kind, details) = ("words".to_owned(), "{}".to_owned());
        Self(ModelInfo { kind, signature, parameters: 7, bytes: 1000, details })
    }

    fn good(text: &str) -> f32 {
        if text.contains("good") { 0.9 } else { 0.2 }
    }

    fn embedding(text: &str) -> Vec<f32> {
        LETTERS.iter().map(|letter| text.chars().filter(|c| c == letter).count() as f32).collect()
    }
}

impl Predictor for Words {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn precision(&self) -> &ModelPrecision {
        static PRECISION: ModelPrecision = ModelPrecision { name: "f32", note: String::new() };
        &PRECISION
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let Input::Texts(texts) = input else { panic!("no texts") };
        assert!(texts.iter().all(|text| !text.trim().is_empty()), "nothing to read");
        let mut once = texts.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), texts.len(), "a text was asked twice");
        let answers = match output {
            Output::Embedding => {
                Answers::Vectors(texts.iter().map(|text| Some(Self::embedding(text))).collect())
            }
            _ => Answers::Classes {
                labels: self.0.labels().to_vec(),
                probabilities: texts
                    .iter()
                    .map(|text| Some(vec![1.0 - Self::good(text), Self::good(text)]))
                    .collect(),
            },
        };
        let unread = (0..).zip(&texts).filter(|(_, text)| text.contains("unreadable")).map(|(at, _)| at);
        Pending::ready(Ok(Answered { unread: unread.collect(), ..Answered::computed(answers) }))
    }
}

/// Loads it, whatever the files are, if they are its own.
struct Texts(Reads);

impl Load for Texts {
    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        assert_eq!(files, &base());
        Ok(Arc::new(Words::new(self.0.clone())))
    }

    fn load_cached(&self, _: &ModelSource) -> Option<Arc<dyn Predictor>> {
        None
    }
}

fn base() -> ModelFiles {
    ModelFiles::from_parts(vec![("config.json".to_owned(), b"{}".to_vec())])
}

fn trees() -> BoostedTrees {
    BoostedTrees::reading_texts(2, Arc::new(Texts(Reads::Text)))
}

fn linear() -> Linear {
    Linear::reading_texts(2, Arc::new(Texts(Reads::Text)))
}

struct Models<'a>(&'a dyn ModelKind);

impl Evaluate for Models<'_> {
    fn predict(
        &self,
        files: &ModelFiles,
        input: &Input,
    ) -> Result<(ModelInfo, Option<Answers>), EngineError> {
        let model = self.0.load(None, files)?;
        let answers = model.submit(input.clone(), Output::Prediction).wait()?.answers;
        Ok((model.info().clone(), Some(answers)))
    }
}

/// Reviews that are kept if they are good and cheap; some have nothing to read.
fn reviews(count: usize) -> (Rows, Vec<Label>) {
    let mut random = SplitMix64::new(3);
    let (mut prices, mut bodies, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..count {
        let (good, price) = (random.below(2) == 1, random.below(100) as f64);
        let body = match at % 20 {
            0 => None,
            1 => Some("  ".to_owned()),
            _ => {
                let more = "oa".repeat(random.below(9));
                let word = if good { "good" } else { "poor" };
                Some(format!("the {word} thing with {more} is what i got number {at}"))
            }
        };
        let kept = price < if good && at % 20 > 1 { 70.0 } else { 20.0 };
        prices.push(Some(price));
        bodies.push(body);
        labels.push(if kept { "kept" } else { "sent back" });
    }
    let bodies: Vec<Option<&str>> = bodies.iter().map(Option::as_deref).collect();
    (rows(vec![numbers("price", &prices), texts("body", &bodies)]), classes(&labels))
}

fn job(options: &str) -> Job {
    let (rows, labels) = reviews(400);
    let mut job = job_of_trees(Objective::Classification, rows, labels, options);
    job.plan.base = Some(ModelSource::Builtin("words".to_owned()));
    job.base = Some(base());
    job
}

fn train(kind: &dyn ModelKind, job: Job) -> Result<Trained, EngineError> {
    let call = job.plan.call.clone();
    let trainer = kind.trainer().unwrap();
    assert!(trainer.accepts(&call));
    assert_eq!(trainer.check(&call)?.default_base.as_deref(), Some("reviews"));
    collect(|sink: &mut dyn Sink| trainer.train(job, &Models(kind), sink))
}

fn explained(model: &dyn Predictor, rows: &Rows) -> Vec<Explanation> {
    let output = Output::Contributions { class: Some(1) };
    let answers = model.submit(Input::Rows(rows.clone()), output).wait().unwrap().answers;
    let Answers::Explanations(explanations) = answers else { panic!("{answers:?}") };
    explanations.into_iter().map(Option::unwrap).collect()
}

fn log_odds(model: &dyn Predictor, rows: &Rows) -> Vec<f64> {
    let answers = model.submit(Input::Rows(rows.clone()), Output::Prediction).wait().unwrap().answers;
    let Answers::Classes { probabilities, .. } = answers else { panic!("{answers:?}") };
    let odds = |row: Vec<f32>| (f64::from(row[1]) / f64::from(row[0])).ln();
    probabilities.into_iter().map(|row| odds(row.unwrap())).collect()
}

#[test]
fn texts_are_read_and_explained_as_one_column() {
    let (trees, linear) = (trees(), linear());
    for (kind, options) in [(&trees as &dyn ModelKind, "{}"), (&linear, r#"{"algorithm": "linear"}"#)] {
        let trained = train(kind, job(options)).unwrap();
        let finished = trained.finished();
        assert!(finished.uses_base);
        assert!(trained.reading > 0, "nobody was told how far the reading had come");
        let accuracy = finished.metrics.iter().find(|one| one.name == "accuracy").unwrap().value;
        assert!(accuracy > 0.85, "{}: {accuracy}", kind.name());
        let fields = [("price", ValueType::Number), ("body", ValueType::Text)];
        let fields = fields.map(|(name, value_type)| Field { name: name.to_owned(), value_type }).to_vec();
        assert_eq!(finished.info.signature.reads, Reads::Columns(fields));
        let details: serde_json::Value = serde_json::from_str(&finished.info.details).unwrap();
        assert_eq!(details["text_columns"], serde_json::json!(["body"]));
        let importance: Vec<f64> =
            details["importance"].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect();
        assert!(
            importance.len() == 2 && (importance.iter().sum::<f64>() - 1.0).abs() < 1e-9,
            "{importance:?}"
        );
        assert!(importance.iter().all(|one| *one > 0.2), "{importance:?}");

        let model = kind.load(None, &trained.files).unwrap();
        let asked = rows(vec![
            texts("body", &[Some("so good"), Some("poor"), None, Some(" "), Some("unreadable good")]),
            numbers("price", &[Some(50.0); 5]),
        ]);
        let odds = log_odds(&*model, &asked);
        let explanations = explained(&*model, &asked);
        for (odds, explanation) in odds.iter().zip(&explanations) {
            let Contributions::Columns(columns) = &explanation.contributions else { panic!("spans") };
            assert_eq!(columns.len(), 2);
            let sum = explanation.baseline + explanation.contributions.sum();
            assert!((sum - odds).abs() < 1e-4, "{}: {sum} instead of {odds}", kind.name());
        }
        // What is kept is the first class.
        assert!(odds[0] < 0.0 && odds[1] > 0.0, "{odds:?}");
        assert!((odds[2] - odds[3]).abs() < 1e-12 && (odds[2] - odds[4]).abs() < 1e-12, "{odds:?}");
    }
}

#[test]
fn a_version_holds_its_base_and_the_numbers_of_texts() {
    let trained = train(&trees(), job("{}")).unwrap();
    assert_eq!(trained.files.get("config.json"), base().get("config.json"));
    let parts = files::read(&trained.files).unwrap().unwrap();
    assert_eq!(parts.base, base());
    let (encoding, _) = parts.fit(Words::new(Reads::Text).info()).unwrap();
    let names: Vec<String> = encoding.inner_fields().into_iter().map(|(_, field)| field.name).collect();
    assert_eq!(
        &names[..4],
        ["price", "body bad", "body good", "body component 1"].map(str::to_owned).as_slice()
    );
    assert!(
        names[3..].iter().zip(1..).all(|(name, at)| *name == format!("body component {at}")),
        "{names:?}"
    );
    for damage in [
        r#"{"format": 2, "columns": []}"#,
        "{}",
        r#"{"format": 1, "columns": [{"column": "price", "mean": [], "components": []}]}"#,
    ] {
        let mut files = trained.files.clone();
        *files.get_mut("texts.json").unwrap() = damage.as_bytes().to_vec();
        let error = trees().load(None, &files).map(|_| ()).unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::DamagedModel | ErrorKind::UnsupportedModel),
            "{damage}: {error:?}"
        );
    }
}

#[test]
fn the_order_of_rows_and_threads_make_no_difference() {
    for (kinds, options) in [
        (
            [
                Box::new(trees()) as Box<dyn ModelKind>,
                Box::new(BoostedTrees::reading_texts(1, Arc::new(Texts(Reads::Text)))),
            ],
            "{}",
        ),
        (
            [Box::new(linear()), Box::new(Linear::reading_texts(1, Arc::new(Texts(Reads::Text))))],
            r#"{"algorithm": "linear"}"#,
        ),
    ] {
        let first = job(options);
        let second = rearranged(copy(&first));
        let [one, other] = kinds;
        assert_eq!(train(&*one, first).unwrap().files, train(&*other, second).unwrap().files);
    }
}

#[test]
fn what_is_not_to_be_read_is_a_category_and_the_base_is_not_used() {
    let mut job = job(r#"{"text_features": []}"#);
    assert_eq!(trees().trainer().unwrap().check(&job.plan.call).unwrap().default_base, None);
    job.plan.call.options = "{}".to_owned();
    for rows in &mut job.rows {
        let Input::Rows(rows) = &mut rows.input else { unreachable!() };
        let Values::Text { dictionary, .. } = &mut rows.columns[1].values else { unreachable!() };
        dictionary.iter_mut().for_each(|text| text.truncate(9));
    }
    let trained = train(&trees(), job).unwrap();
    assert!(!trained.finished().uses_base);
    assert_eq!(trained.files.get("texts.json"), None);
}

#[test]
fn a_base_that_reads_columns_is_refused() {
    let kind = BoostedTrees::reading_texts(1, Arc::new(Texts(Reads::Columns(Vec::new()))));
    let error = train(&kind, job("{}")).map(|_| ()).unwrap_err();
    assert_eq!(error.message, "columns of text can be read by a text model only");
    let error = train(&BoostedTrees::new(1), job("{}")).map(|_| ()).unwrap_err();
    assert_eq!(error.message, "columns of text are to be read, but no text model came");
}
