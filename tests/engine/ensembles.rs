//! The kind `ensemble`: members that are tables of answers to weights, files, answers and explanations.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/events.rs"]
mod events;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_ensemble::files::{ENSEMBLE, read};
use ecommerce_ml_ensemble::{Ensembles, model::Head, says::Says, weights};
use ecommerce_ml_predictor::{
    Answered, Evaluate, Job, JobMember, Load, ModelKind, ModelPrecision, Pending, Predictor,
};
use ecommerce_ml_protocol::training::*;
use ecommerce_ml_protocol::*;
use ecommerce_ml_training::Targets;
use ecommerce_ml_training::random::SplitMix64;
use serde::Deserialize;
use serde_json::{Value, json};

/// A model that knows the answers of rows by their number, which it reads in column `id`, or in a text.
struct Table {
    info: ModelInfo,
    precision: ModelPrecision,
    table: Vec<Vec<f64>>,
}

impl Table {
    fn load(files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        let file: Value = serde_json::from_slice(files.require("table.json")?).unwrap();
        let labels: Vec<String> = serde_json::from_value(file["labels"].clone()).unwrap();
        let reads = match file["reads"].as_str() {
            Some("text") => Reads::Text,
            _ => Reads::Columns(vec![Field { name: "id".to_owned(), value_type: ValueType::Number }]),
        };
        let answers = vec![if labels.is_empty() { Answer::Number } else { Answer::Classes }];
        let signature = Signature { reads, answers, labels };
        let (kind, details) = ("table".to_owned(), "{}".to_owned());
        let info = ModelInfo { kind, signature, parameters: 7, bytes: 70, details };
        let precision = ModelPrecision { name: "f64", note: String::new() };
        Ok(Arc::new(Self { info, precision, table: serde_json::from_value(file["table"].clone()).unwrap() }))
    }

    fn row(&self, id: Option<f64>) -> Option<&Vec<f64>> {
        self.table.get(id? as usize % self.table.len())
    }
}

impl Predictor for Table {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        assert_eq!(output, Output::Prediction);
        let ids: Vec<Option<f64>> = match &input {
            Input::Texts(texts) => texts.iter().map(|text| text.parse().ok()).collect(),
            Input::Rows(rows) => match rows.column("id") {
                Some(Values::Number(ids)) => ids.clone(),
                other => panic!("{other:?}"),
            },
        };
        let rows = ids.into_iter().map(|id| self.row(id));
        let labels = self.info.signature.labels.clone();
        let answers = if labels.is_empty() {
            Answers::Numbers(rows.map(|row| row.map(|row| row[0])).collect())
        } else {
            let single = |row: &Vec<f64>| row.iter().map(|one| *one as f32).collect();
            Answers::Classes { labels, probabilities: rows.map(|row| row.map(single)).collect() }
        };
        Pending::ready(Ok(Answered::computed(answers)))
    }
}

fn kind() -> Ensembles {
    Ensembles::new(Arc::new(Table::load) as Arc<dyn Load>)
}

/// Asks ensembles as the engine does.
struct Engine;

impl Evaluate for Engine {
    fn predict(
        &self,
        files: &ModelFiles,
        input: &Input,
    ) -> Result<(ModelInfo, Option<Answers>), EngineError> {
        let model = kind().load(None, files)?;
        let answers = model.submit(input.clone(), Output::Prediction).wait()?.answers;
        Ok((model.info().clone(), Some(answers)))
    }
}

fn member(name: &str, reads: &str, labels: &[&str], table: &[Vec<f64>]) -> JobMember {
    let json = json!({"reads": reads, "labels": labels, "table": table});
    let files = ModelFiles::from_parts(vec![("table.json".to_owned(), json.to_string().into_bytes())]);
    JobMember { name: name.to_owned(), files }
}

fn rows(ids: &[usize], texts: &[Option<&str>]) -> Rows {
    let ids = Values::Number(ids.iter().map(|id| Some(*id as f64)).collect());
    let dictionary: Vec<String> = texts.iter().flatten().map(|&text| text.to_owned()).collect();
    let mut next = 0;
    let codes = texts.iter().map(|text| {
        text.map(|_| {
            next += 1;
            next - 1
        })
    });
    let texts = Values::Text { codes: codes.collect(), dictionary };
    let column = |name: &str, values| Column { name: name.to_owned(), values };
    Rows { count: ids.len() as u32, columns: vec![column("id", ids), column("body", texts)] }
}

/// Rows 0 to 399 in this order, whose label is `label`.
fn job(objective: Objective, ids: &[usize], members: Vec<JobMember>, label: impl Fn(usize) -> Label) -> Job {
    let part = |ids: &[usize]| {
        let texts: Vec<String> = ids.iter().map(usize::to_string).collect();
        let texts: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
        TrainingRows {
            input: Input::Rows(rows(ids, &texts)),
            labels: ids.iter().map(|id| label(*id)).collect(),
            times: Vec::new(),
            paraphrases: Vec::new(),
        }
    };
    let fields = [("id", ValueType::Number), ("body", ValueType::Text)];
    let field = |(name, value_type): (&str, ValueType)| Field { name: name.to_owned(), value_type };
    let text = Some("body".to_owned());
    let source = ModelSource::Builtin("none".to_owned());
    let planned = |member: &JobMember| PlannedMember { name: member.name.clone(), source: source.clone() };
    Job {
        plan: TrainingPlan {
            call: TrainingCall {
                objective,
                input: TrainingInput::Columns { fields: fields.map(field).to_vec(), text },
                has_time: false,
                options: r#"{"ensemble": ["a", "b"]}"#.to_owned(),
            },
            base: None,
            incumbent: None,
            members: members.iter().map(planned).collect(),
            memory_limit: 1 << 28,
            checkpoint_interval: 60,
        },
        base: None,
        incumbent: None,
        members,
        rows: ids.chunks(37).map(part).collect(),
        synonyms: Vec::new(),
        descriptions: Vec::new(),
        checkpoint: Vec::new(),
    }
}

struct Trained {
    prepared: Prepared,
    finished: Finished,
    files: ModelFiles,
}

fn train(job: Job) -> Result<Trained, EngineError> {
    let mut read = false;
    let (prepared, finished, files) = events::train_beside(&kind(), job, &Engine, |output| {
        read |= matches!(output, JobOutput::Reading { .. })
    })?;
    assert!(read, "nobody was told how far the asking had come");
    Ok(Trained { prepared, finished, files })
}

/// What chance adds to a row, from -1 to 1, another one for each `of`.
fn chance(row: usize, of: usize) -> f64 {
    ((row * 7919 + of * 104_729) % 2003) as f64 / 1001.0 - 1.0
}

/// The same, of which nothing tells anything of another.
fn drawn(row: usize, of: u64) -> f64 {
    let number = SplitMix64::of_part(row as u64, of).next_u64();
    (number >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn truth(row: usize) -> f64 {
    50.0 + 20.0 * chance(row, 1)
}

/// Two who each know the truth but for a chance of their own.
fn two_that_differ() -> Vec<JobMember> {
    let table = |of: usize| (0..400).map(|row| vec![truth(row) + 10.0 * chance(row, of)]).collect::<Vec<_>>();
    vec![member("columns@1", "columns", &[], &table(2)), member("texts@4", "text", &[], &table(3))]
}

fn number(row: usize) -> Label {
    Label::Number(truth(row))
}

fn in_order() -> Vec<usize> {
    (0..400).collect()
}

fn numbers(answers: &Answers) -> Vec<Option<f64>> {
    match answers {
        Answers::Numbers(numbers) => numbers.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_that_know_different_things_are_better_together() {
    let Trained { prepared, finished, files } =
        train(job(Objective::Regression, &in_order(), two_that_differ(), number)).unwrap();
    assert_eq!((prepared.training_rows, prepared.held_out_rows), (200, 200));
    let baseline = prepared.baseline.unwrap();
    assert!(baseline.method.unwrap().starts_with("member \""));
    let against = finished.against_baseline.unwrap();
    assert!(against.beaten && against.testable, "{against:?}");
    assert!(against.comparison.new < 0.85 * against.comparison.incumbent, "{against:?}");
    assert_eq!((finished.info.kind.as_str(), finished.info.task()), ("ensemble", Task::Regression));
    let details: Value = serde_json::from_str(&finished.info.details).unwrap();
    assert_eq!(details["parts"], json!(["columns@1", "texts@4"]));
    let shares: Vec<f64> = serde_json::from_value(details["importance"].clone()).unwrap();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12 && shares.iter().all(|share| *share > 0.3));
    assert_eq!(details["residuals"].as_array().unwrap().len(), 201);
    // Members are asked of the version's own files.
    assert_eq!(files.iter().filter(|(name, _)| name.ends_with(".table.json")).count(), 2);
}

#[test]
fn members_may_speak_of_other_units() {
    // One in the unit of the labels, the other in a thousandth of it.
    let table = |of: usize, unit: f64| -> Vec<Vec<f64>> {
        (0..400).map(|row| vec![unit * (truth(row) + 10.0 * chance(row, of))]).collect()
    };
    let of_unit = |unit: f64| {
        let members =
            vec![member("a@1", "columns", &[], &table(2, 1.0)), member("b@1", "text", &[], &table(3, unit))];
        let trained = train(job(Objective::Regression, &in_order(), members, number)).unwrap();
        let details: Value = serde_json::from_str(&trained.finished.info.details).unwrap();
        let shares: Vec<f64> = serde_json::from_value(details["importance"].clone()).unwrap();
        let mae = trained.finished.metrics.iter().find(|metric| metric.name == "mae").unwrap().value;
        (shares, mae)
    };
    let ((same, one), (other, two)) = (of_unit(1.0), of_unit(0.001));
    assert!((one - two).abs() < 1e-6 * one, "{one} and {two}");
    assert!(same.iter().zip(&other).all(|(one, other)| (one - other).abs() < 1e-6), "{same:?} and {other:?}");
}

#[test]
fn the_order_of_rows_makes_no_difference() {
    let shuffled: Vec<usize> = (0..400).map(|at| at * 271 % 400).collect();
    let of = |ids: &[usize]| train(job(Objective::Regression, ids, two_that_differ(), number)).unwrap().files;
    assert_eq!(of(&in_order()), of(&shuffled));
}

#[test]
fn what_members_add_adds_up() {
    let trained = train(job(Objective::Regression, &in_order(), two_that_differ(), number)).unwrap();
    let model = kind().load(None, &trained.files).unwrap();
    let input = Input::Rows(rows(&[3, 4, 5], &[Some("3"), None, Some("who knows")]));
    let ask = |output| model.submit(input.clone(), output).wait().unwrap().answers;
    let values = numbers(&ask(Output::Prediction));
    let Answers::Explanations(explained) = ask(Output::Contributions { class: None }) else { panic!() };
    for (row, (value, explanation)) in values.iter().zip(&explained).enumerate() {
        let explanation = explanation.as_ref().unwrap();
        let sum = explanation.baseline + explanation.contributions.sum();
        assert!((sum - value.unwrap()).abs() < 1e-9, "{row}: {sum} of {value:?}");
        let Contributions::Members(members) = &explanation.contributions else { panic!() };
        let names: Vec<&str> = members.iter().map(|member| member.member.as_str()).collect();
        assert_eq!(names, ["columns@1", "texts@4"]);
        // Who has nothing to read, or nothing to say, adds nothing.
        assert_eq!(members[1].says.is_some(), row == 0);
        assert_eq!(members[1].contribution == 0.0, row > 0);
    }
    let says = |explanation: &Explanation| match &explanation.contributions {
        Contributions::Members(members) => members[0].says,
        other => panic!("{other:?}"),
    };
    assert_eq!(says(explained[0].as_ref().unwrap()), Some(truth(3) + 10.0 * chance(3, 2)));
}

#[test]
fn who_has_nothing_to_say_at_all_is_not_answered() {
    let table: Vec<Vec<f64>> = (0..400).map(|row| vec![truth(row)]).collect();
    let both = vec![member("a@1", "text", &[], &table), member("b@1", "text", &[], &table)];
    let files = train(job(Objective::Regression, &in_order(), both, number)).unwrap().files;
    let model = kind().load(None, &files).unwrap();
    let input = Input::Rows(rows(&[3, 4], &[None, Some("4")]));
    let ask = |output| model.submit(input.clone(), output).wait().unwrap().answers;
    let values = numbers(&ask(Output::Prediction));
    assert!(values[0].is_none() && (values[1].unwrap() - truth(4)).abs() < 0.5, "{values:?}");
    let Answers::Explanations(explained) = ask(Output::Contributions { class: None }) else { panic!() };
    assert!(explained[0].is_none() && explained[1].is_some());
}

#[test]
fn one_that_is_no_better_than_its_best_member_does_not_pass() {
    // One says what can be known, the other nothing of it.
    let number = |row: usize| Label::Number(truth(row) + 10.0 * drawn(row, 1));
    let table: Vec<Vec<f64>> = (0..400).map(|row| vec![truth(row)]).collect();
    let noise: Vec<Vec<f64>> = (0..400).map(|row| vec![50.0 + 20.0 * drawn(row, 2)]).collect();
    let members = vec![member("good@1", "columns", &[], &table), member("noise@1", "text", &[], &noise)];
    let trained = train(job(Objective::Regression, &in_order(), members, number)).unwrap();
    assert_eq!(trained.prepared.baseline.unwrap().method.unwrap(), "member \"good@1\" alone");
    let against = trained.finished.against_baseline.unwrap();
    assert!(against.testable && !against.beaten, "{against:?}");
    // Nor do members that know nothing at all: then it is the labels that are not beaten.
    let members = vec![member("a@1", "columns", &[], &noise), member("b@1", "text", &[], &noise)];
    let trained = train(job(Objective::Regression, &in_order(), members, number)).unwrap();
    assert_eq!(trained.prepared.baseline.unwrap().method, None);
    assert!(!trained.finished.against_baseline.unwrap().beaten);
}

#[test]
fn classes_are_put_together_in_whatever_order_members_have_them() {
    let is_second = |row: usize| truth(row) > 50.0;
    let sure = |row: usize, of: usize| {
        let margin = chance(row, 1) * 2.0 + 1.5 * chance(row, of);
        1.0 / (1.0 + (-margin).exp())
    };
    let table = |of: usize, second_first: bool| -> Vec<Vec<f64>> {
        let of_row = |row| {
            let second = sure(row, of);
            if second_first { vec![second, 1.0 - second] } else { vec![1.0 - second, second] }
        };
        (0..400).map(of_row).collect()
    };
    let members = vec![
        member("a@1", "columns", &["no", "yes"], &table(2, false)),
        member("b@1", "text", &["yes", "no"], &table(3, true)),
    ];
    let label = |row| Label::Class(if is_second(row) { "yes" } else { "no" }.to_owned());
    let trained = train(job(Objective::Classification, &in_order(), members, label)).unwrap();
    let against = trained.finished.against_baseline.unwrap();
    assert!(against.comparison.new > against.comparison.incumbent, "{against:?}");
    let model = kind().load(None, &trained.files).unwrap();
    let input = Input::Rows(rows(&[10], &[Some("10")]));
    let ask = |output| model.submit(input.clone(), output).wait().unwrap().answers;
    let Answers::Classes { labels, probabilities } = ask(Output::Prediction) else { panic!() };
    assert_eq!(labels, ["no", "yes"]);
    let yes = f64::from(probabilities[0].as_ref().unwrap()[1]);
    for class in [0, 1] {
        let Answers::Explanations(explained) = ask(Output::Contributions { class: Some(class) }) else {
            panic!()
        };
        let explained = explained[0].as_ref().unwrap();
        let odds = explained.baseline + explained.contributions.sum();
        let expected = if class == 1 { (yes / (1.0 - yes)).ln() } else { ((1.0 - yes) / yes).ln() };
        assert!((odds - expected).abs() < 1e-5, "{odds} instead of {expected}");
    }
    assert!(model.submit(input.clone(), Output::Contributions { class: Some(2) }).wait().is_err());
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |members, label: fn(usize) -> Label, objective| {
        train(job(objective, &in_order(), members, label)).err().unwrap().message
    };
    let table = vec![vec![0.2, 0.3, 0.5]];
    let three = |name: &str| member(name, "columns", &["a", "b", "c"], &table);
    let two_classes = |row: usize| Label::Class(["a", "b"][row % 2].to_owned());
    assert_eq!(
        refused(vec![three("x@1"), three("y@2")], two_classes, Objective::Classification),
        "member \"x@1\" knows the class \"c\", which no row to learn weights from has"
    );
    let four_classes = |row: usize| Label::Class(["a", "b", "c", "d"][row % 4].to_owned());
    assert_eq!(
        refused(vec![three("x@1"), three("y@2")], four_classes, Objective::Classification),
        "model cannot be a member: it does not know the class \"d\""
    );
    assert_eq!(
        refused(vec![three("x@1"), three("y@2")], number, Objective::Regression),
        "model cannot be a member: it answers classes that are no numbers"
    );
    assert_eq!(
        refused(vec![three("x@1")], two_classes, Objective::Classification),
        "an ensemble needs two members at least"
    );
    let mut wrong = job(Objective::Regression, &in_order(), two_that_differ(), number);
    wrong.plan.call.options = r#"{"ensemble": ["a", "b"], "max_depth": 3}"#.to_owned();
    assert_eq!(train(wrong).err().unwrap().message, "unknown training option \"max_depth\"");
    let mut small = job(Objective::Regression, &in_order(), two_that_differ(), number);
    small.plan.memory_limit = 1000;
    assert_eq!(train(small).err().unwrap().kind, ErrorKind::OutOfMemory);
}

#[test]
fn damaged_files_say_what_is_wrong() {
    let files = train(job(Objective::Regression, &in_order(), two_that_differ(), number)).unwrap().files;
    assert_eq!(read(&files).unwrap().ensemble.members[1].name, "texts@4");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut json: Value = serde_json::from_slice(files.get(ENSEMBLE).unwrap()).unwrap();
        change(&mut json);
        let others = files.iter().filter(|(name, _)| *name != ENSEMBLE);
        let mut all: Vec<(String, Vec<u8>)> =
            others.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
        all.push((ENSEMBLE.to_owned(), json.to_string().into_bytes()));
        kind().load(None, &ModelFiles::from_parts(all)).err().unwrap().message
    };
    assert_eq!(with(&|json| json["format"] = json!(2)), "model is of format 2, and this engine reads 1");
    let damaged = |what: &str| format!("file \"ensemble.json\" of the model is damaged: {what}");
    assert_eq!(with(&|json| json["members"] = json!([])), damaged("it has no members"));
    let unfit = damaged("its weights do not fit what it answers");
    assert_eq!(with(&|json| json["base"] = json!([1, 2])), unfit);
    assert_eq!(with(&|json| json["members"][0]["weight"] = json!(-1)), unfit);
    assert_eq!(with(&|json| json["members"][0]["usual"] = json!([])), unfit);
    // Of a member whose files are not there.
    let one_more = |json: &mut Value| {
        let member = json["members"][0].clone();
        json["members"].as_array_mut().unwrap().push(member);
    };
    assert_eq!(with(&one_more), "model has no file \"table.json\"");
}

#[derive(Deserialize)]
struct Golden {
    cases: std::collections::BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    truth: Vec<f64>,
    classes: usize,
    members: Vec<Value>,
    weights: Vec<f64>,
    base: Vec<f64>,
    usual: Vec<Vec<f64>>,
    answers: Vec<Vec<f64>>,
}

#[test]
fn weights_are_those_of_scipy() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/ensembles.json");
    let golden: Golden = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(golden.cases.len(), 3);
    for (name, case) in golden.cases {
        let labels: Vec<String> = (0..case.classes).map(|class| class.to_string()).collect();
        let head = if labels.is_empty() { Head::Number } else { Head::Classes { labels: labels.clone() } };
        let targets = match case.classes {
            0 => Targets::Numbers(case.truth.clone()),
            _ => Targets::Classes { labels, of: case.truth.iter().map(|class| *class as u32).collect() },
        };
        let says: Vec<Says> = case.members.iter().map(|member| said(member, case.classes)).collect();
        let learned: Vec<usize> = (0..case.truth.len()).collect();
        let names = (0..says.len()).map(|member| member.to_string()).collect();
        let rows = weights::Rows { says: &says, targets: &targets, learned: &learned };
        let found = weights::fit(head, names, rows);
        let close = |one: &[f64], other: &[f64], what: &str| {
            assert_eq!(one.len(), other.len(), "{name}: {what}");
            for (one, other) in one.iter().zip(other) {
                assert!((one - other).abs() < 1e-5 * other.abs().max(1.0), "{name}: {what}: {one} {other}");
            }
        };
        let of: Vec<f64> = found.members.iter().map(|member| member.weight).collect();
        close(&of, &case.weights, "weights");
        close(&found.base, &case.base, "base");
        for (member, usual) in found.members.iter().zip(&case.usual) {
            close(&member.usual, usual, "usual");
        }
        for (row, answer) in case.answers.iter().enumerate() {
            let sums = found.sums(&says, row).unwrap();
            let own = match case.classes {
                0 => sums,
                _ => ecommerce_ml_ensemble::model::Ensemble::probabilities(&sums)
                    .into_iter()
                    .map(f64::from)
                    .collect(),
            };
            close(&own, answer, "answers");
        }
    }
}

/// What a member says, of probabilities their logarithms.
fn said(member: &Value, classes: usize) -> Says {
    let mut says = Says::new(classes.max(1));
    for row in member.as_array().unwrap() {
        match classes {
            0 => says.push(Some(&[row.as_f64().unwrap()])),
            _ => {
                let logs = row.as_array().unwrap().iter().map(|one| one.as_f64().unwrap().max(1e-6).ln());
                says.push(Some(&logs.collect::<Vec<_>>()));
            }
        }
    }
    says
}
