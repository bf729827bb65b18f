//! Boosted trees: XGBoost's numbers, what a training learns, and what makes no difference to it.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Job, ModelKind, Predictor};
use ecommerce_ml_protocol::training::{Label, Objective, Phase};
use ecommerce_ml_protocol::{
    Answers, Column, Contributions, ErrorKind, Explanation, Input, Output, Rows, Values,
};
use ecommerce_ml_tabular::BoostedTrees;
use ecommerce_ml_tabular::trees::files;
use ecommerce_ml_tabular::trees::isotonic::{Isotonic, Observation};
use ecommerce_ml_tabular::trees::model::KIND;
use ecommerce_ml_xgboost::{Booster, Library, Matrix};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kit::{load, numbers, predict, probabilities, rows, texts};
use crate::learning::{noise, orders, rearranged};
use crate::trained::{Trained, classes, job_of_trees, train_with};

fn train(job: Job) -> Trained {
    train_with(&BoostedTrees::new(2), job).unwrap()
}

fn refused(job: Job) -> String {
    let error = train_with(&BoostedTrees::new(2), job).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error:?}");
    error.message
}

fn orders_job(options: &str) -> Job {
    let (rows, labels) = orders(600);
    job_of_trees(Objective::Classification, rows, labels, options)
}

fn value(trained: &Trained, name: &str) -> f64 {
    let metrics = &trained.finished().metrics;
    metrics.iter().find(|one| one.name == name && one.class.is_none()).unwrap().value
}

fn values(model: &dyn Predictor, rows: &Rows) -> Vec<f64> {
    let Answers::Numbers(values) = predict(model, rows).unwrap() else { panic!("no numbers") };
    values.into_iter().map(Option::unwrap).collect()
}

fn explain(model: &dyn Predictor, rows: &Rows, class: Option<u32>) -> Vec<Explanation> {
    let output = Output::Contributions { class };
    let answers = model.submit(Input::Rows(rows.clone()), output).wait().unwrap().answers;
    let Answers::Explanations(explanations) = answers else { panic!("{answers:?}") };
    explanations.into_iter().map(Option::unwrap).collect()
}

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    model: Value,
    rows: Vec<Vec<Option<f64>>>,
    margins: Vec<Vec<f64>>,
    contributions: Vec<Vec<Vec<f64>>>,
}

impl Case {
    fn files(&self) -> ModelFiles {
        let classes = self.margins[0].len();
        let labels: Vec<String> = match (self.name.as_str(), classes) {
            ("two classes", _) => vec!["no".to_owned(), "yes".to_owned()],
            (_, 1) => Vec::new(),
            _ => (0..classes).map(|class| class.to_string()).collect(),
        };
        let fields: Vec<Value> =
            (0..4).map(|at| json!({"name": format!("f{at}"), "type": "number"})).collect();
        let columns: Vec<Value> = (0..4)
            .map(|at| json!({"name": format!("f{at}"), "type": "number", "encoding": "number"}))
            .collect();
        let answer = if labels.is_empty() { "number" } else { "classes" };
        let signature = json!({
            "kind": "boosted_trees", "reads": {"columns": fields}, "answers": [answer], "labels": labels,
        });
        let features = json!({"format": 1, "columns": columns});
        let parts =
            [("signature.json", &signature), ("features.json", &features), ("model.json", &self.model)];
        ModelFiles::from_parts(
            parts.map(|(name, json)| (name.to_owned(), json.to_string().into_bytes())).to_vec(),
        )
    }

    fn rows(&self) -> Rows {
        let column =
            |at: usize| numbers(&format!("f{at}"), &self.rows.iter().map(|row| row[at]).collect::<Vec<_>>());
        rows((0..4).map(column).collect())
    }
}

fn golden() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/trees.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(golden.cases.len(), 4);
    golden.cases
}

#[test]
fn sums_and_contributions_are_those_of_xgboost() {
    for case in golden() {
        let (model, rows) = (load(&case.files()).unwrap(), case.rows());
        let sums = case.margins[0].len();
        for class in 0..sums {
            // Of two classes the sum is that of the second.
            let asked = match (case.name.as_str(), sums) {
                ("two classes", _) => Some(1),
                (_, 1) => None,
                _ => Some(class as u32),
            };
            for ((found, margins), expected) in
                explain(&*model, &rows, asked).iter().zip(&case.margins).zip(&case.contributions)
            {
                let Contributions::Columns(columns) = &found.contributions else { panic!("{found:?}") };
                let (bias, expected) = expected[class].split_last().unwrap();
                for (column, expected) in columns.iter().zip(expected) {
                    assert!((column - expected).abs() < 1e-5, "{}: {column}, not {expected}", case.name);
                }
                assert!((found.baseline - bias).abs() < 1e-5, "{}: {}", case.name, found.baseline);
                let sum = found.baseline + found.contributions.sum();
                assert!((sum - margins[class]).abs() < 1e-5, "{}: {sum}", case.name);
            }
        }
        if sums == 1 && case.name != "two classes" {
            for (found, margins) in values(&*model, &rows).iter().zip(&case.margins) {
                assert!((found - margins[0]).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn models_are_written_as_they_were_read() {
    for case in golden() {
        let model = files::read(&case.files(), KIND).unwrap();
        let again = files::read(&files::write(&model).unwrap(), KIND).unwrap();
        assert_eq!(again.encoding, model.encoding);
        let (one, other) = (load(&case.files()).unwrap(), load(&files::write(&model).unwrap()).unwrap());
        assert_eq!(one.info(), other.info());
        let close = |one: &Explanation, other: &Explanation| {
            (one.baseline - other.baseline).abs() < 1e-9 && one.contributions == other.contributions
        };
        let pairs = explain(&*one, &case.rows(), None).into_iter().zip(explain(&*other, &case.rows(), None));
        assert!(pairs.into_iter().all(|(one, other)| close(&one, &other)), "{}", case.name);
    }
}

#[test]
fn base_scores_may_be_lists() {
    let mut case = golden().remove(2);
    let expected = explain(&*load(&case.files()).unwrap(), &case.rows(), Some(0));
    let with = |score: &str, case: &mut Case| {
        case.model["learner"]["learner_model_param"]["base_score"] = json!(score);
        load(&case.files())
    };
    let listed = with("[5E-1,5E-1,5E-1]", &mut case).unwrap();
    assert_eq!(explain(&*listed, &case.rows(), Some(0)), expected);
    let error = with("[5E-1,1E0,5E-1]", &mut case).map(|_| ()).unwrap_err();
    assert!(error.message.contains("differs between classes"), "{}", error.message);
    assert!(with("half", &mut case).is_err());
}

#[test]
fn what_is_damaged_is_refused() {
    let files = golden()[1].files();
    let with = |name: &str, change: &dyn Fn(&str) -> String| {
        let parts = files.iter().map(|(own, bytes)| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            (own.to_owned(), if own == name { change(&text) } else { text }.into_bytes())
        });
        load(&ModelFiles::from_parts(parts.collect())).map(|_| ()).unwrap_err()
    };
    for (name, from, to, message) in [
        ("model.json", "gbtree\"", "dart\"", "its booster is \"dart\""),
        ("model.json", "binary:logistic", "rank:ndcg", "its objective is \"rank:ndcg\""),
        (
            "model.json",
            "\"num_feature\":\"4\",\"num_target\"",
            "\"num_feature\":\"9\",\"num_target\"",
            "9 features",
        ),
        ("model.json", "\"left_children\":[1,", "\"left_children\":[0,", "two parents"),
        ("model.json", "\"left_children\":[1,", "\"left_children\":[1000000,", "a child that there isn't"),
        ("model.json", "\"sum_hessian\":[", "\"sum_hessian\":[1,", "without all of their numbers"),
        ("model.json", "{", "[", "model.json"),
        ("features.json", "\"encoding\":\"number\"", "\"encoding\":\"word\"", "unknown variant"),
        ("features.json", "f1", "f0", "column \"f0\" is there twice"),
        ("features.json", "\"format\":1", "\"format\":1,\"residuals\":[1.0]", "201 quantiles"),
        ("signature.json", "\"no\",\"yes\"", "\"no\",\"no\"", "a label is there twice"),
        ("signature.json", "\"no\",\"yes\"", "\"a\",\"b\",\"c\"", "3 labels and 1 sums"),
    ] {
        let error = with(name, &|text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        assert_eq!(error.kind, ErrorKind::DamagedModel, "{error:?}");
        assert!(error.message.contains(message), "{message}: {}", error.message);
    }
    let error = with("features.json", &|text| text.replace("\"format\":1", "\"format\":2"));
    assert_eq!(error.kind, ErrorKind::UnsupportedModel);
    // Whatever is cut off.
    for (name, bytes) in files.iter() {
        for end in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            with(name, &|text| text.chars().take(end).collect());
        }
    }
}

#[test]
fn a_training_tells_what_it_does() {
    let trained = train(orders_job("{}"));
    let prepared = trained.prepared();
    assert_eq!((prepared.epochs, prepared.steps, prepared.resumed_at), (4, 4000, 0));
    assert!((100_000..50_000_000).contains(&prepared.memory), "{}", prepared.memory);
    let options: Value = serde_json::from_str(&prepared.options).unwrap();
    assert_eq!(
        (&options["algorithm"], &options["n_estimators"], &options["seed"]),
        (&json!("boosted_trees"), &json!(1000), &json!(42))
    );
    assert_eq!(trained.phases, [Phase::Training, Phase::Evaluating]);
    assert_eq!(trained.epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let finished = trained.finished();
    assert_eq!((finished.epoch, finished.stopped_early), (4, true));
    assert!(value(&trained, "accuracy") > 0.75, "{:?}", finished.metrics);
    let beaten = finished.against_baseline.as_ref().unwrap();
    assert!(beaten.testable && beaten.beaten, "{beaten:?}");
    assert_eq!(finished.info.kind, "boosted_trees");
    let signature: Value = serde_json::from_slice(trained.files.get("signature.json").unwrap()).unwrap();
    let read = json!([{"name": "price", "type": "number"}, {"name": "country", "type": "text"}]);
    assert_eq!((&signature["kind"], &signature["reads"]["columns"]), (&json!("boosted_trees"), &read));
}

#[test]
fn the_order_of_rows_the_messages_and_the_threads_make_no_difference() {
    let whole = train(orders_job("{}"));
    for threads in [1, 3, 8] {
        let job = rearranged(orders_job("{}"));
        let trained = train_with(&BoostedTrees::new(threads), job).unwrap();
        assert!(trained.files == whole.files, "{threads} threads");
        assert_eq!(trained.finished().metrics, whole.finished().metrics);
    }
}

/// Rows whose many shops matter, and columns of numbers.
fn shops(count: usize) -> (Rows, Vec<Label>) {
    let shop = |row: usize| row * 7919 % 40;
    let names: Vec<String> = (0..count).map(|row| format!("shop {}", shop(row))).collect();
    let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
    let mut columns = vec![texts("shop", &names)];
    for at in 0..3 {
        let values: Vec<Option<f64>> = (0..count).map(|row| Some(noise(5 * row + at))).collect();
        columns.push(numbers(&format!("n{at}"), &values));
    }
    let label = |row: usize| {
        let sum = (shop(row) as f64 / 40.0 - 0.5) * 3.0 + noise(5 * row) + noise(5 * row + 4) - 1.0;
        Label::Class(["a", "b"][usize::from(sum > 0.0)].to_owned())
    };
    (rows(columns), (0..count).map(label).collect())
}

#[test]
fn many_rows_are_the_same_for_any_number_of_threads() {
    // More numbers than the border from which the library computes with several threads.
    let (rows, labels) = shops(170_000);
    let options = r#"{"n_estimators": 20}"#;
    let trained = |threads| {
        let job = job_of_trees(Objective::Classification, rows.clone(), labels.clone(), options);
        train_with(&BoostedTrees::new(threads), job).unwrap()
    };
    let one = trained(1);
    assert_eq!(one.prepared().epochs, 2, "one depth, then all rows");
    assert!(one.files == trained(3).files);
}

#[test]
fn columns_of_many_kinds_are_learned_without_telling_labels() {
    let (rows, labels) = shops(2000);
    let trained = train(job_of_trees(Objective::Classification, rows, labels, "{}"));
    assert!(value(&trained, "accuracy") > 0.8, "{}", value(&trained, "accuracy"));
    assert!(trained.prepared().findings.leaking_columns.is_empty());
    // Names that are all different tell nothing.
    let (mut rows, labels) = shops(1000);
    let names: Vec<String> = (0..1000).map(|row| format!("customer {row}")).collect();
    rows.columns[0] = texts("shop", &names.iter().map(|name| Some(name.as_str())).collect::<Vec<_>>());
    let trained = train(job_of_trees(Objective::Classification, rows, labels, "{}"));
    assert!(trained.prepared().findings.leaking_columns.is_empty());
    let accuracy = value(&trained, "accuracy");
    assert!((0.5..0.8).contains(&accuracy), "{accuracy}");
}

#[test]
fn a_column_that_tells_the_label_is_told_of() {
    let (mut rows, labels) = orders(400);
    let copy: Vec<Option<f64>> = labels
        .iter()
        .map(|label| Some(if *label == Label::Class("yes".to_owned()) { 7.0 } else { 5.0 }))
        .collect();
    rows.columns.push(numbers("refunded", &copy));
    let trained = train(job_of_trees(Objective::Classification, rows, labels, "{}"));
    assert_eq!(trained.prepared().findings.leaking_columns, ["refunded"]);
    assert!((value(&trained, "accuracy") - 1.0).abs() < 1e-12);
}

#[test]
fn probabilities_are_as_sure_as_they_are_right() {
    let (rows, labels) = shops(6000);
    let trained = train(job_of_trees(Objective::Classification, rows, labels, r#"{"eval_fraction": 0.5}"#));
    let error = value(&trained, "calibration_error");
    assert!(error < 0.03, "{error}");
}

/// What scikit-learn's `IsotonicRegression` makes of margins.
#[derive(Deserialize)]
struct IsotonicCase {
    name: String,
    margins: Vec<f64>,
    labels: Vec<bool>,
    weights: Vec<f64>,
    asked: Vec<f64>,
    expected: Vec<f64>,
}

#[test]
fn rising_maps_are_those_of_scikit_learn() {
    let json: Value = serde_json::from_str(include_str!("../../reference/isotonic.json")).unwrap();
    let cases: Vec<IsotonicCase> = serde_json::from_value(json["cases"].clone()).unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let observation = |at: usize| Observation {
            sum: case.margins[at],
            second: case.labels[at],
            weight: case.weights[at],
        };
        let map = Isotonic::fit(&(0..case.margins.len()).map(observation).collect::<Vec<_>>()).unwrap();
        map.check().unwrap();
        for (asked, expected) in case.asked.iter().zip(&case.expected) {
            let found = map.probability(*asked);
            assert!((found - expected).abs() < 1e-9, "{} at {asked}: {found}, not {expected}", case.name);
        }
    }
}

#[test]
fn probabilities_of_no_logistic_shape_are_calibrated_by_a_rising_map() {
    // Few small trees say how likely something is, nearly as it is, where the logarithm of its odds is wanted.
    let count = 6000;
    let values: Vec<f64> = (0..count).map(|row| noise(3 * row)).collect();
    let label = |(row, value): (usize, &f64)| {
        Label::Class(["a", "b"][usize::from(noise(3 * row + 1) < value.powi(8))].to_owned())
    };
    let labels: Vec<Label> = values.iter().enumerate().map(label).collect();
    let rows = rows(vec![numbers("x", &values.iter().copied().map(Some).collect::<Vec<_>>())]);
    let options = r#"{"n_estimators": 5, "max_depth": 4, "learning_rate": 0.05}"#;
    let trained = train(job_of_trees(Objective::Classification, rows.clone(), labels.clone(), options));
    let error = value(&trained, "calibration_error");
    assert!(error < 0.03, "{error}");
    let features: Value = serde_json::from_slice(trained.files.get("features.json").unwrap()).unwrap();
    assert!(features.get("isotonic").is_some());
    let info: Value = serde_json::from_str(&trained.finished().info.details).unwrap();
    assert_eq!(info["calibration"], "isotonic");
    // The likeliest class is the one that is explained.
    let model = load(&trained.files).unwrap();
    let likeliest = explain(&*model, &rows, None);
    let second = explain(&*model, &rows, Some(1));
    let answers = probabilities(predict(&*model, &rows).unwrap());
    for ((one, other), of_row) in likeliest.iter().zip(&second).zip(answers) {
        assert_eq!(one == other, of_row[1] >= 0.5, "{of_row:?}");
    }
    // A map that falls is none.
    let mut damaged = features;
    damaged["isotonic"]["probabilities"][0] = json!(0.99);
    let parts = trained.files.iter().map(|(name, bytes)| match name {
        "features.json" => (name.to_owned(), damaged.to_string().into_bytes()),
        _ => (name.to_owned(), bytes.to_vec()),
    });
    let refused = load(&ModelFiles::from_parts(parts.collect())).err().unwrap();
    assert_eq!(refused.kind, ErrorKind::DamagedModel);
    // Few rows are calibrated by a factor and a shift.
    let few = rows.picked(&(0..800).collect::<Vec<_>>());
    let trained = train(job_of_trees(Objective::Classification, few, labels[..800].to_vec(), options));
    let features: Value = serde_json::from_slice(trained.files.get("features.json").unwrap()).unwrap();
    assert!(features.get("isotonic").is_none());
}

#[test]
fn most_values_are_as_near_as_on_rows_that_were_not_learned_from() {
    let count = 3000;
    let prices: Vec<Option<f64>> = (0..count).map(|row| Some(noise(7 * row) * 10.0)).collect();
    let sizes: Vec<Option<f64>> = (0..count).map(|row| Some(noise(7 * row + 1))).collect();
    let labels: Vec<f64> = (0..count)
        .map(|row| 100.0 * prices[row].unwrap() + 50.0 * (noise(7 * row + 2) + noise(7 * row + 3) - 1.0))
        .collect();
    let part = |range: std::ops::Range<usize>| {
        rows(vec![numbers("price", &prices[range.clone()]), numbers("size", &sizes[range])])
    };
    let learned = labels[..1500].iter().map(|label| Label::Number(*label)).collect();
    let trained = train(job_of_trees(Objective::Regression, part(0..1500), learned, "{}"));
    let model = files::read(&trained.files, KIND).unwrap();
    assert_eq!(model.residuals.len(), 201);
    let answers = values(&*load(&trained.files).unwrap(), &part(1500..count));
    for (level, step) in [(0.5, 100), (0.8, 160), (0.95, 190)] {
        let near = answers.iter().zip(&labels[1500..]);
        let near = near.filter(|(answer, label)| (*answer - *label).abs() <= model.residuals[step]).count();
        let covered = near as f64 / answers.len() as f64;
        assert!((covered - level).abs() < 0.04, "{level}: {covered}");
    }
    let importance = model.importance();
    assert!(importance[0] > 0.95 && (importance.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{importance:?}");
    let details: Value = serde_json::from_str(&trained.finished().info.details).unwrap();
    assert_eq!(details["importance"], json!(importance));
    assert_eq!(details["residuals"].as_array().unwrap().len(), 201);
}

#[test]
fn answers_rise_where_they_must_not_fall() {
    let count = 400;
    let price: Vec<Option<f64>> = (0..count).map(|row| Some(noise(row) * 10.0)).collect();
    let labels: Vec<Label> = price
        .iter()
        .enumerate()
        .map(|(row, price)| Label::Number(-price.unwrap() + 8.0 * noise(row + 10_000)))
        .collect();
    let train_with = |options: &str| {
        let rows = rows(vec![numbers("price", &price)]);
        train(job_of_trees(Objective::Regression, rows, labels.clone(), options))
    };
    let steps: Vec<Option<f64>> = (0..200).map(|at| Some(f64::from(at) / 20.0)).collect();
    let sold =
        |trained: &Trained| values(&*load(&trained.files).unwrap(), &rows(vec![numbers("price", &steps)]));
    let free = sold(&train_with(r#"{"min_child_weight": 1}"#));
    assert!(free.windows(2).any(|pair| pair[0] < pair[1]), "noise makes it rise somewhere");
    let bound = sold(&train_with(r#"{"min_child_weight": 1, "monotone": {"price": -1}}"#));
    assert!(bound.windows(2).all(|pair| pair[0] >= pair[1]), "{bound:?}");
    assert!(bound[0] - bound[199] > 5.0);
    let misspelt = job_of_trees(
        Objective::Regression,
        rows(vec![numbers("price", &price)]),
        labels.clone(),
        r#"{"monotone": {"prize": -1}}"#,
    );
    assert!(refused(misspelt).contains("names \"prize\", which is not a column"));
    // Of three classes none is more than another.
    let labels = classes(&["a", "b", "c", "a"].repeat(count / 4));
    let rows = rows(vec![numbers("price", &price)]);
    let job = job_of_trees(Objective::Classification, rows, labels, r#"{"monotone": {"price": -1}}"#);
    assert!(refused(job).contains("classifications with two classes"));
}

#[test]
fn missing_values_and_kinds_that_were_not_seen_are_answered() {
    let trained = train(orders_job("{}"));
    let model = load(&trained.files).unwrap();
    let asked = rows(vec![
        numbers("price", &[None, Some(f64::NAN), Some(1e300), Some(5.0)]),
        texts("country", &[None, Some("AT"), Some("XX"), Some("AT")]),
    ]);
    let answers = probabilities(predict(&*model, &asked).unwrap());
    assert!(answers.iter().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
    let infinite = rows(vec![numbers("price", &[Some(f64::INFINITY)]), texts("country", &[None])]);
    assert_eq!(predict(&*model, &infinite).unwrap_err().message, "column \"price\" has an infinite value");
}

#[test]
fn times_are_read_by_their_parts() {
    let hour = 3_600_000_000_i64;
    let times: Vec<Option<i64>> = (0..1000).map(|row| Some(1_700_000_000_000_000 + 7 * hour * row)).collect();
    let is_night = |micros: i64| (micros / hour) % 24 < 6;
    let labels: Vec<&str> =
        times.iter().map(|time| ["day", "night"][usize::from(is_night(time.unwrap()))]).collect();
    let column =
        |values: Vec<Option<i64>>| Column { name: "at".to_owned(), values: Values::Timestamp(values) };
    let all = rows(vec![column(times)]);
    let trained = train(job_of_trees(Objective::Classification, all, classes(&labels), "{}"));
    assert!(value(&trained, "accuracy") > 0.99);
    let later = (0..48).map(|at| Some(1_900_000_800_000_000 / hour * hour + at * hour)).collect::<Vec<_>>();
    let expected: Vec<bool> = later.iter().map(|time| is_night(time.unwrap())).collect();
    let answers =
        probabilities(predict(&*load(&trained.files).unwrap(), &rows(vec![column(later)])).unwrap());
    assert_eq!(answers.iter().map(|row| row[1] > 0.5).collect::<Vec<_>>(), expected);
}

#[test]
fn stars_and_numbers_are_in_their_own_unit() {
    let (rows, _) = orders(800);
    let Values::Number(prices) = rows.columns[0].values.clone() else { unreachable!() };
    let price = |row: usize| prices[row].unwrap_or(10.0);
    let labels = (0..800).map(|row| Label::Number(1e6 + 3e4 * price(row))).collect();
    let trained = train(job_of_trees(Objective::Regression, rows.clone(), labels, "{}"));
    assert!(value(&trained, "r2") > 0.95, "{}", value(&trained, "r2"));
    let stars = (0..800).map(|row| Label::Number((price(row) / 4.0).clamp(1.0, 5.0))).collect();
    let trained = train(job_of_trees(Objective::Rating, rows, stars, "{}"));
    assert!(value(&trained, "mae") < 0.25, "{}", value(&trained, "mae"));
    assert_eq!(trained.finished().info.labels().len(), 5);
}

#[test]
fn constant_and_empty_columns_do_no_harm() {
    let (mut rows, labels) = orders(300);
    rows.columns.push(numbers("constant", &[Some(0.1); 300]));
    rows.columns.push(numbers("empty", &[None; 300]));
    rows.columns.push(texts("same", &[Some("same"); 300]));
    rows.columns.push(texts("nothing", &[None; 300]));
    let trained = train(job_of_trees(Objective::Classification, rows.clone(), labels, "{}"));
    assert!(value(&trained, "accuracy") > 0.7);
    for explanation in explain(&*load(&trained.files).unwrap(), &rows, None) {
        let Contributions::Columns(columns) = explanation.contributions else { panic!("no columns") };
        assert!(columns[2..].iter().all(|one| one.abs() < 1e-12), "{columns:?}");
    }
    let nothing = crate::kit::rows(vec![texts("nothing", &[None; 40])]);
    let labels = classes(&["a", "b"].repeat(20));
    let message = refused(job_of_trees(Objective::Classification, nothing, labels, "{}"));
    assert_eq!(message, "no column to learn from ever changes");
}

#[test]
fn few_rows_are_learned_from() {
    for count in [8, 9, 12, 20] {
        let values: Vec<Option<f64>> = (0..count).map(|row| Some(row as f64)).collect();
        let labels: Vec<&str> = (0..count).map(|row| if 2 * row < count { "a" } else { "b" }).collect();
        for fraction in ["0", "0.1", "0.5"] {
            let rows = rows(vec![numbers("n", &values)]);
            let options = format!("{{\"eval_fraction\": {fraction}}}");
            train(job_of_trees(Objective::Classification, rows, classes(&labels), &options));
        }
    }
}

#[test]
fn options_are_checked() {
    let message = |options: &str| refused(orders_job(options));
    assert_eq!(message(r#"{"C": 1}"#), "unknown training option \"C\"");
    assert_eq!(
        message(r#"{"max_depth": 0}"#),
        "training option \"max_depth\" must be a whole number from 1 to 16, not 0"
    );
    assert_eq!(
        message(r#"{"algorithm": "forest"}"#),
        "training option \"algorithm\" must be \"boosted_trees\" or \"linear\", not \"forest\""
    );
    assert!(message(r#"{"monotone": {"price": 2}}"#).contains("an object of columns with 1 or -1 each"));
    assert!(message(r#"{"monotone": {"country": 1}}"#).contains("names \"country\", which is of type text"));
    assert!(message(r#"{"class_weights": {"no": 0, "yes": 0}}"#).contains("weight 0"));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_allocated() {
    let mut job = orders_job("{}");
    job.plan.memory_limit = 10_000;
    let error = train_with(&BoostedTrees::new(1), job).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::OutOfMemory);
    assert!(error.message.starts_with("training needs about "), "{}", error.message);
}

#[test]
fn whoever_stops_listening_ends_it() {
    let (kind, mut sent) = (BoostedTrees::new(1), 0);
    let mut sink = |_| {
        sent += 1;
        if sent < 4 {
            Ok(())
        } else {
            Err(ecommerce_ml_protocol::EngineError::new(ErrorKind::Cancelled, "gone"))
        }
    };
    let trainer = kind.trainer().unwrap();
    let outcome = trainer.train(orders_job("{}"), &crate::trained::Models, &mut sink);
    assert_eq!(outcome.unwrap_err().kind, ErrorKind::Cancelled);
}

#[test]
fn the_library_reads_what_is_written() {
    let trained = train(orders_job("{}"));
    let library = Library::get().unwrap();
    let json = trained.files.get("model.json").unwrap();
    let booster = Booster::from_json(&library, json).unwrap();
    // Price, then countries AT, DE and FR.
    let features = [4.0, 1.0, 0.0, 0.0, 15.0, 0.0, 0.0, 1.0, f32::NAN, 0.0, 1.0, 0.0];
    let matrix = Matrix::new(&library, &features, 4).unwrap();
    let margins = booster.margins(&matrix).unwrap();
    let asked = rows(vec![
        numbers("price", &[Some(4.0), Some(15.0), None]),
        texts("country", &[Some("AT"), Some("FR"), Some("DE")]),
    ]);
    let model = load(&trained.files).unwrap();
    for (margin, explanation) in margins.iter().zip(explain(&*model, &asked, Some(1))) {
        let sum = explanation.baseline + explanation.contributions.sum();
        assert!((f64::from(*margin) - sum).abs() < 1e-5, "{margin} and {sum}");
    }
    let names: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(names["learner"]["feature_names"], json!(["price", "country=AT", "country=DE", "country=FR"]));
}
