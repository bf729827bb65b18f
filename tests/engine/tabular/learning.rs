//! What a training learns, what it tells on the way, and what makes no difference to it.

use ecommerce_ml_predictor::Job;
use ecommerce_ml_protocol::training::{Label, Objective, Phase};
use ecommerce_ml_protocol::{Column, Input, ModelSource, Rows, Sha256, Values};
use ecommerce_ml_tabular::Linear;
use ecommerce_ml_tabular::linear::model::LinearModel;
use proptest::prelude::*;

use crate::kit::{load, numbers, predict, probabilities, rows, texts};
use crate::trained::{Trained, copy, job, train, train_with};

/// Something like chance.
pub fn noise(seed: usize) -> f64 {
    let mixed = (seed as u64 ^ 0x9E37_79B9).wrapping_mul(0xD129_0342_6B3C_7E15).rotate_left(23);
    (mixed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Orders that come back or don't: more often those that were cheap, or from Austria.
pub fn orders(count: usize) -> (Rows, Vec<Label>) {
    let price = |row: usize| 20.0 * noise(3 * row) + 1.0;
    let country = |row: usize| ["AT", "DE", "FR"][row % 3];
    let back = |row: usize| {
        let sum = 5.0 - 0.5 * price(row) + if row.is_multiple_of(3) { 1.5 } else { 0.0 };
        if sum + 3.0 * (noise(3 * row + 1) - 0.5) > 0.0 { "yes" } else { "no" }
    };
    let prices: Vec<Option<f64>> =
        (0..count).map(|row| (noise(3 * row + 2) > 0.1).then(|| price(row))).collect();
    let countries: Vec<Option<&str>> = (0..count).map(|row| Some(country(row))).collect();
    let labels = (0..count).map(|row| Label::Class(back(row).to_owned())).collect();
    (rows(vec![numbers("price", &prices), texts("country", &countries)]), labels)
}

pub fn orders_job(options: &str) -> Job {
    let (rows, labels) = orders(600);
    job(Objective::Classification, rows, labels, options)
}

/// A job on [`orders`] whose rows come in two messages and from the last to the first of a half, with other dictionaries, and the last
/// column first.
pub fn rearranged(mut job: Job) -> Job {
    let message = job.rows.pop().unwrap();
    let Input::Rows(all) = &message.input else { unreachable!() };
    let count = message.labels.len();
    for places in [(count / 2..count).rev().collect::<Vec<usize>>(), (0..count / 2).collect()] {
        let column = |column: &Column| {
            let values = match &column.values {
                Values::Number(values) => Values::Number(places.iter().map(|&at| values[at]).collect()),
                Values::Text { dictionary, codes } => {
                    let (mut dictionary, most) = (dictionary.clone(), dictionary.len() as u32 - 1);
                    dictionary.reverse();
                    let codes = places.iter().map(|&at| codes[at].map(|code| most - code)).collect();
                    Values::Text { dictionary, codes }
                }
                _ => unreachable!(),
            };
            Column { name: column.name.clone(), values }
        };
        let mut part = message.clone();
        let columns = all.columns.iter().map(column).rev().collect();
        part.input = Input::Rows(Rows { count: places.len() as u32, columns });
        part.labels = places.iter().map(|&at| message.labels[at].clone()).collect();
        job.rows.push(part);
    }
    job
}

fn model_of(columns: Vec<Column>, labels: &[Label]) -> LinearModel {
    let options = r#"{"eval_fraction": 0}"#;
    train(job(Objective::Classification, rows(columns), labels.to_vec(), options)).unwrap().model()
}

fn value(trained: &Trained, name: &str) -> f64 {
    let metrics = &trained.finished().metrics;
    metrics.iter().find(|one| one.name == name && one.class.is_none()).unwrap().value
}

#[test]
fn a_training_tells_what_it_does() {
    let trained = train(orders_job("{}")).unwrap();
    let prepared = trained.prepared();
    let copies = prepared.findings.repeated_held_out_rows;
    assert_eq!(prepared.training_rows + prepared.held_out_rows + copies, 600);
    assert!((50..=60).contains(&prepared.held_out_rows), "{prepared:?}");
    assert_eq!(prepared.labels.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), ["no", "yes"]);
    assert_eq!((prepared.epochs, prepared.steps, prepared.resumed_at), (100, 1000, 0));
    assert!((50_000..5_000_000).contains(&prepared.memory), "{}", prepared.memory);
    let options: serde_json::Value = serde_json::from_str(&prepared.options).unwrap();
    assert_eq!(
        (&options["C"], &options["seed"], &options["max_iter"]),
        (&1.0.into(), &42.into(), &1000.into())
    );
    assert_eq!(trained.phases, [Phase::Training, Phase::Evaluating]);
    let last = trained.epochs.last().unwrap();
    let finished = trained.finished();
    assert_eq!((last.epoch, finished.epoch, finished.stopped_early), (finished.epoch, last.epoch, true));
    assert!(last.epoch == last.step.div_ceil(10) as u32 && last.step < 100, "{last:?}");
    assert!(last.evaluation.iter().any(|metric| metric.name == "loss"));
    assert!(value(&trained, "accuracy") > 0.75);
    let beaten = finished.against_baseline.as_ref().unwrap();
    assert!(beaten.testable && beaten.beaten, "{beaten:?}");
    assert_eq!(finished.info.kind, "linear");
}

#[test]
fn an_incumbent_is_compared_on_the_same_rows() {
    let mut again = orders_job("{}");
    let first = train(orders_job(r#"{"C": 1e-6}"#)).unwrap();
    again.plan.incumbent = Some(ModelSource::Content(Sha256([1; 32])));
    again.incumbent = Some(first.files);
    let trained = train(again).unwrap();
    assert_eq!(trained.phases[0], Phase::EvaluatingIncumbent);
    let comparison = trained.finished().comparison.as_ref().unwrap();
    assert_eq!((comparison.rows, comparison.better), (trained.prepared().held_out_rows, true));
}

#[test]
fn the_order_of_rows_the_messages_and_the_threads_make_no_difference() {
    let whole = train(orders_job("{}")).unwrap();
    for threads in [1, 3, 8] {
        let job = rearranged(orders_job("{}"));
        let trained = train_with(&Linear::new(threads), job).unwrap();
        assert_eq!(trained.files, whole.files, "{threads} threads");
        assert_eq!(trained.finished().metrics, whole.finished().metrics);
    }
}

#[test]
fn many_rows_are_the_same_for_any_number_of_threads() {
    let (rows, labels) = orders(70_000);
    let job = job(Objective::Classification, rows, labels, r#"{"eval_fraction": 0.5}"#);
    let one = train_with(&Linear::new(1), copy(&job)).unwrap();
    let many = train_with(&Linear::new(5), job).unwrap();
    assert_eq!(one.files, many.files);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn shift_and_scale_of_a_column_make_no_difference(shift in -1e6_f64..1e6, power in -12i32..12) {
        let (rows, labels) = orders(200);
        let Values::Number(prices) = &rows.columns[0].values else { unreachable!() };
        let scale = 10_f64.powi(power);
        let moved: Vec<Option<f64>> =
            prices.iter().map(|price| price.map(|price: f64| (price + shift.round()) * scale)).collect();
        let one = model_of(rows.columns.clone(), &labels);
        let other = model_of(vec![numbers("price", &moved), rows.columns[1].clone()], &labels);
        let all = |model: &LinearModel| [model.coefficients.clone(), model.intercepts.clone()].concat();
        for (one, other) in all(&one).into_iter().zip(all(&other)) {
            prop_assert!((one - other).abs() < 1e-6, "{one} and {other}");
        }
    }
}

#[test]
fn constant_and_empty_columns_do_no_harm() {
    let (rows, labels) = orders(200);
    let plain = model_of(rows.columns.clone(), &labels);
    let mut columns = rows.columns.clone();
    columns.push(numbers("constant", &[Some(0.1); 200]));
    columns.push(numbers("empty", &[None; 200]));
    columns.push(texts("same", &[Some("same"); 200]));
    columns.push(texts("nothing", &[None; 200]));
    let model = model_of(columns, &labels);
    assert_eq!(model.encoding.features(), plain.encoding.features() + 5);
    for (one, other) in model.coefficients.iter().zip(&plain.coefficients) {
        assert!((one - other).abs() < 1e-6);
    }
    assert!(model.coefficients[plain.coefficients.len()..].iter().all(|one| one.abs() < 1e-9));
}

#[test]
fn categories_are_bounded() {
    let count = 20_000;
    let names: Vec<String> = (0..count).map(|row| format!("shop {}", row * 7919 % 10_000)).collect();
    let column = texts_of(&names);
    let labels: Vec<Label> =
        (0..count).map(|row| Label::Class(["a", "b"][usize::from(noise(row) > 0.5)].to_owned())).collect();
    let rows = rows(vec![column]);
    let bounded = train(job(Objective::Classification, rows.clone(), labels.clone(), "{}")).unwrap().model();
    assert_eq!(bounded.encoding.features(), 1000);
    let options = r#"{"max_categories": 10000, "eval_fraction": 0}"#;
    let all = train(job(Objective::Classification, rows, labels, options)).unwrap();
    assert_eq!(all.model().encoding.features(), 10_000);
    assert!(all.finished().stopped_early && all.epochs.last().unwrap().step < 50);
}

fn texts_of(names: &[String]) -> Column {
    let mut dictionary = names.to_vec();
    dictionary.sort_unstable();
    dictionary.dedup();
    let code = |name: &String| dictionary.binary_search(name).ok().map(|code| code as u32);
    let codes = names.iter().map(code).collect();
    Column { name: "shop".to_owned(), values: Values::Text { dictionary, codes } }
}

#[test]
fn a_label_among_the_features_is_learned_to_a_finite_end() {
    let (mut rows, labels) = orders(400);
    let copy: Vec<Option<&str>> = labels
        .iter()
        .map(|label| match label {
            Label::Class(class) => Some(class.as_str()),
            Label::Number(_) | Label::Range(..) => None,
        })
        .collect();
    rows.columns.push(texts("label", &copy));
    let trained = train(job(Objective::Classification, rows.clone(), labels, r#"{"C": 1e6}"#)).unwrap();
    assert!(trained.finished().stopped_early && (value(&trained, "accuracy") - 1.0).abs() < 1e-12);
    let answers = probabilities(predict(&*load(&trained.files).unwrap(), &rows).unwrap());
    assert!(answers.iter().flatten().all(|one| one.is_finite()));
}

#[test]
fn later_rows_are_held_out_where_rows_have_times() {
    let mut job = orders_job(r#"{"eval_fraction": 0.25}"#);
    job.plan.call.has_time = true;
    job.rows[0].times = (0..600).map(|row| i64::from(row) * 1_000_000).collect();
    let trained = train(job).unwrap();
    let copies = trained.prepared().findings.repeated_held_out_rows;
    assert_eq!(trained.prepared().training_rows, 450);
    assert_eq!(trained.prepared().held_out_rows + copies, 150);
    // A class that is only held out has no row to learn from, and is never answered.
    let mut job = orders_job(r#"{"eval_fraction": 0.25}"#);
    job.plan.call.has_time = true;
    job.rows[0].times = (0..600).map(|row| i64::from(row) * 1_000_000).collect();
    job.rows[0].labels[590..].fill(Label::Class("perhaps".to_owned()));
    let trained = train(job).unwrap();
    assert_eq!(trained.model().intercepts.iter().filter(|one| one.is_infinite()).count(), 1);
}

#[test]
fn numbers_are_in_their_own_unit() {
    let (rows, _) = orders(500);
    let Values::Number(prices) = rows.columns[0].values.clone() else { unreachable!() };
    let labels: Vec<Label> =
        prices.iter().map(|price| Label::Number(1e6 + 3e4 * price.unwrap_or(10.0))).collect();
    let trained = train(job(Objective::Regression, rows, labels, r#"{"alpha": 1e-3}"#)).unwrap();
    assert!(value(&trained, "r2") > 0.95, "{}", value(&trained, "r2"));
    assert!(trained.epochs.last().unwrap().evaluation[0].name == "loss");
    assert!(trained.prepared().labels.is_empty());
}

#[test]
fn weights_of_stars_may_be_named_by_numbers() {
    let (rows, _) = orders(300);
    let labels: Vec<Label> = (0..300).map(|row| Label::Number(f64::from(row % 9) / 2.0 + 1.0)).collect();
    let trained = train(job(Objective::Rating, rows, labels, r#"{"class_weight": {"1": 0, "2 stars": 3}}"#));
    let model = trained.unwrap().model();
    assert_eq!(model.labels(), ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]);
    let never: Vec<bool> = model.intercepts.iter().map(|one| one.is_infinite()).collect();
    assert_eq!(never, [true, false, false, false, false]);
}

#[test]
fn the_signature_says_what_was_read() {
    let trained = train(orders_job("{}")).unwrap();
    let signature: serde_json::Value =
        serde_json::from_slice(trained.files.get("signature.json").unwrap()).unwrap();
    let expected = serde_json::json!({
        "kind": "linear",
        "reads": {"columns": [{"name": "price", "type": "number"}, {"name": "country", "type": "text"}]},
        "answers": ["classes"],
        "labels": ["no", "yes"],
    });
    assert_eq!(signature, expected);
    let files: Vec<&str> = trained.files.iter().map(|(name, _)| name).collect();
    assert_eq!(files, ["model.json", "signature.json"]);
    assert!(files.iter().all(|name| ecommerce_ml_protocol::files::is_model_file(name)));
}
