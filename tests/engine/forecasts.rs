//! The kind `forecast`: rows to a model, its files, its answers.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/events.rs"]
mod events;
#[path = "forecasts_global.rs"]
mod global;

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_forecast_model::Forecasts;
use ecommerce_ml_predictor::{Job, ModelKind, Predictor};
use ecommerce_ml_protocol::training::{
    Finished, Label, Objective, Prepared, TrainingCall, TrainingInput, TrainingPlan, TrainingRows,
};
use ecommerce_ml_protocol::{
    Answers, Column, EngineError, ErrorKind, Field, Input, Output, Reads, Rows, Table, Task, ValueType,
    Values,
};

const DAY: i64 = 86_400_000_000;
/// A Monday.
const START: i64 = 4 * DAY;

fn texts(name: &str, values: &[&str]) -> Column {
    let dictionary = values.iter().map(|&text| text.to_owned()).collect();
    let codes = (0..values.len()).map(|at| Some(at as u32)).collect();
    Column { name: name.to_owned(), values: Values::Text { dictionary, codes } }
}

fn numbers(name: &str, value: Option<f64>) -> Column {
    Column { name: name.to_owned(), values: Values::Number(vec![value]) }
}

fn call(keys: &[&str], options: &str) -> TrainingCall {
    let field = |name: &&str| Field { name: (*name).to_owned(), value_type: ValueType::Text };
    let fields: Vec<Field> = keys.iter().map(field).collect();
    TrainingCall {
        objective: Objective::Forecast,
        input: TrainingInput::Events { keys: fields.clone(), fields },
        has_time: true,
        options: options.to_owned(),
    }
}

/// What a product sells on a day: more on some days of the week, and more and more.
fn sold(product: usize, day: i64) -> f64 {
    let of_week = [5.0, 6.0, 7.0, 8.0, 12.0, 20.0, 3.0][day.rem_euclid(7) as usize];
    let mixed = (day as u64 * 31 + product as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let noise = (mixed % 13) as f64 / 6.0;
    (product + 1) as f64 * (of_week + 0.1 * day as f64 + noise)
}

/// Ten products, each day for twelve weeks, in any order; every sale in two parts.
fn rows(backward: bool) -> Vec<TrainingRows> {
    rows_of_days(84, backward)
}

fn rows_of_days(days: i64, backward: bool) -> Vec<TrainingRows> {
    let mut all: Vec<(String, i64, f64)> = Vec::new();
    for product in 0..10 {
        for day in 0..days {
            for part in [0.25, 0.75] {
                all.push((format!("p{product}"), START + day * DAY + 3600, part * sold(product, day)));
            }
        }
    }
    if backward {
        all.reverse();
    }
    let batch = |rows: &[(String, i64, f64)]| TrainingRows {
        input: Input::Rows(Rows {
            count: rows.len() as u32,
            columns: vec![texts("product", &rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>())],
        }),
        labels: rows.iter().map(|row| Label::Number(row.2)).collect(),
        times: rows.iter().map(|row| row.1).collect(),
        paraphrases: Vec::new(),
    };
    all.chunks(97).map(batch).collect()
}

fn job(call: TrainingCall, rows: Vec<TrainingRows>) -> Job {
    let plan = TrainingPlan {
        call,
        base: None,
        incumbent: None,
        members: Vec::new(),
        memory_limit: 1 << 28,
        checkpoint_interval: 60,
    };
    Job {
        plan,
        base: None,
        incumbent: None,
        rows,
        synonyms: Vec::new(),
        descriptions: Vec::new(),
        members: Vec::new(),
        checkpoint: Vec::new(),
    }
}

fn train(threads: usize, job: Job) -> Result<(Prepared, Finished, ModelFiles), EngineError> {
    events::train(&Forecasts::new(threads), job)
}

fn load(files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
    let kind = Forecasts::new(1);
    assert!(kind.recognises(files));
    kind.load(None, files)
}

fn ask(model: &dyn Predictor, arguments: Vec<Column>) -> Result<Rows, EngineError> {
    ask_for(model, Table::Forecast, arguments)
}

fn ask_for(model: &dyn Predictor, table: Table, arguments: Vec<Column>) -> Result<Rows, EngineError> {
    let input = Input::Rows(Rows { count: 1, columns: arguments });
    let answers = model.submit(input, Output::Table(table)).wait()?.answers;
    let Answers::Tables(mut tables) = answers else { panic!("{answers:?}") };
    assert_eq!(tables.len(), 1);
    assert!(tables[0].check());
    Ok(tables.remove(0))
}

fn column(table: &Rows, name: &str) -> Vec<f64> {
    let Some(Values::Number(values)) = table.column(name) else { panic!("{table:?}") };
    values.iter().map(|value| value.unwrap()).collect()
}

#[test]
fn a_model_beats_the_last_week_and_answers() {
    let (prepared, finished, files) = train(2, job(call(&["product"], "{}"), rows(false))).unwrap();
    assert_eq!((prepared.training_rows, prepared.held_out_rows), (1400, 280));
    assert!(
        prepared.options.contains(r#""frequency":"day""#) && prepared.options.contains(r#""horizon":14"#)
    );
    let against = finished.against_baseline.clone().unwrap();
    assert!(against.testable && against.beaten, "{against:?}");
    assert_eq!(prepared.baseline.unwrap().method.as_deref(), Some("forecasting what was a season ago"));
    let names: Vec<&str> = finished.metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["mase", "rmsse", "wape", "smape", "coverage", "interval_width", "pinball_loss"]);
    assert_eq!(finished.info.task(), Task::Forecast);
    assert!(matches!(&finished.info.signature.reads, Reads::Keys(keys) if keys[0].name == "product"));

    let model = load(&files).unwrap();
    assert_eq!(*model.info(), finished.info);
    let all = ask(&*model, Vec::new()).unwrap();
    assert_eq!(all.count, 140);
    let Some(Values::Timestamp(times)) = all.column("time") else { panic!() };
    assert_eq!((times[0], times[13]), (Some(START + 84 * DAY), Some(START + 97 * DAY)));
    let (values, lower, upper) = (column(&all, "value"), column(&all, "lower"), column(&all, "upper"));
    for (at, value) in values.iter().enumerate() {
        assert!(lower[at] <= *value && *value <= upper[at]);
        let expected = sold(at / 14, 84 + at as i64 % 14);
        assert!((value - expected).abs() < 0.25 * expected, "{at}: {value}, not {expected}");
    }
    // Some of it.
    let one = ask(&*model, vec![texts("product", &["p7"]), numbers("horizon", Some(3.0))]).unwrap();
    assert_eq!(column(&one, "value"), values[98..101]);
    let page = ask(&*model, vec![numbers("after", Some(9.0)), numbers("count", Some(5.0))]).unwrap();
    assert_eq!(column(&page, "value"), values[126..]);
    let none = ask(&*model, vec![texts("product", &["p10"])]).unwrap();
    assert_eq!(none.count, 0);
    let wide = ask(&*model, vec![numbers("level", Some(0.95))]).unwrap();
    assert!(column(&wide, "upper").iter().zip(&upper).all(|(wide, narrow)| wide >= narrow));
    // In all, with a distribution; and nothing for what isn't there.
    let total = |product: &str, horizon: f64| {
        let arguments = vec![texts("product", &[product]), numbers("horizon", Some(horizon))];
        ask_for(&*model, Table::TotalDemand, arguments)
    };
    let week = total("p7", 7.0).unwrap();
    let (levels, quantities) = (column(&week, "level"), column(&week, "quantity"));
    assert_eq!((levels.len(), levels[50]), (101, 0.5));
    let sum: f64 = values[98..105].iter().sum();
    assert!((quantities[50] - sum).abs() < 0.1 * sum && quantities[0] < quantities[100], "{quantities:?}");
    assert_eq!(total("p10", 7.0).unwrap().count, 0);
    assert_eq!(total("p7", 0.0).unwrap_err().kind, ErrorKind::InvalidRequest);
}

/// The arguments of a question of what a series is now.
fn history(product: &str, days: impl Iterator<Item = (i64, f64)>, latest: i64) -> Vec<Column> {
    let rows: Vec<String> = days.map(|(day, value)| format!("[{},{value}]", START + day * DAY)).collect();
    vec![
        texts("product", &[product]),
        texts("history", &[&format!("[{}]", rows.join(","))]),
        Column {
            name: "latest".to_owned(),
            values: Values::Timestamp(vec![Some(START + latest * DAY + 3600)]),
        },
    ]
}

#[test]
fn what_came_is_compared_with_what_was_forecast() {
    let (.., files) = train(2, job(call(&["product"], "{}"), rows(false))).unwrap();
    let model = load(&files).unwrap();
    let errors = |product: &str, from: i64, to: i64, latest: i64| {
        let days = (from..to).map(|day| (day, sold(3, day)));
        ask_for(&*model, Table::ForecastErrors, history(product, days, latest)).unwrap()
    };
    // Only what came after the training counts, and a day without a row is one without sales.
    let found = errors("p3", 0, 98, 98);
    assert_eq!(found.count, 15);
    let (observed, value) = (column(&found, "observed"), column(&found, "value"));
    assert_eq!(observed[..14], (84..98).map(|day| sold(3, day)).collect::<Vec<_>>());
    assert_eq!(observed[14], 0.0);
    let forecast = ask(&*model, vec![texts("product", &["p3"]), numbers("horizon", Some(15.0))]).unwrap();
    assert_eq!(value, column(&forecast, "value"));
    assert_eq!(column(&found, "naive")[..7], (77..84).map(|day| sold(3, day)).collect::<Vec<_>>());
    let scale = (7..84).map(|day| (sold(3, day) - sold(3, day - 7)).abs()).sum::<f64>() / 77.0;
    assert!((column(&found, "absolute_scale")[0] - scale).abs() < 1e-9);
    assert_eq!((errors("p10", 0, 98, 98).count, errors("p3", 0, 84, 83).count), (0, 0));
    assert_eq!(column(&errors("p3", 0, 0, 90), "observed"), [0.0; 7]);
    let refused = |arguments| ask_for(&*model, Table::ForecastErrors, arguments).unwrap_err().kind;
    assert_eq!(refused(vec![texts("product", &["p3"])]), ErrorKind::InvalidRequest);
    let mut odd = history("p3", [].into_iter(), 90);
    odd[1] = texts("history", &["[[1,\"x\"]]"]);
    assert_eq!(refused(odd), ErrorKind::InvalidRequest);
    let far = history("p3", [(0, 1.0), (200_000, 1.0)].into_iter(), 200_000);
    assert_eq!(refused(far), ErrorKind::InvalidRequest);
}

#[test]
fn what_is_unlike_the_rest_of_a_series_is_found() {
    let (.., files) = train(2, job(call(&["product"], "{}"), rows(false))).unwrap();
    let model = load(&files).unwrap();
    // One day's sales are ten times as many; from another on they are a third.
    let value =
        |day: i64| sold(3, day) * if day == 40 { 10.0 } else { 1.0 } * if day >= 90 { 0.3 } else { 1.0 };
    let days = (0..110).map(|day| (day, value(day)));
    let mut arguments = history("p3", days, 109);
    arguments.push(numbers("count", Some(30.0)));
    let found = ask_for(&*model, Table::SeriesAnomalies, arguments).unwrap();
    assert_eq!(found.count, 30);
    let Some(Values::Timestamp(times)) = found.column("time") else { panic!() };
    assert_eq!(times[0], Some(START + 40 * DAY));
    let scores = column(&found, "score");
    assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]) && scores[0] > 3.0, "{scores:?}");
    let Some(Values::Text { dictionary, codes }) = found.column("reason") else { panic!() };
    let reason = |at: usize| &dictionary[codes[at].unwrap() as usize];
    assert!(reason(0).starts_with(r#"[{"component":"outlier""#), "{}", reason(0));
    let fall = times.iter().position(|time| *time == Some(START + 90 * DAY)).unwrap();
    assert!(scores[fall] > 1.0 && reason(fall).starts_with(r#"[{"component":"level""#), "{}", reason(fall));
}

#[test]
fn forecasts_go_on_from_new_rows() {
    let (.., files) = train(2, job(call(&["product"], "{}"), rows(false))).unwrap();
    let model = load(&files).unwrap();
    let from = |days: i64| {
        let days = (0..days).map(|day| (day, sold(3, day)));
        let mut arguments = history("p3", days.clone(), days.clone().count() as i64 - 1);
        arguments.push(numbers("horizon", Some(7.0)));
        ask(&*model, arguments).unwrap()
    };
    let stored = ask(&*model, vec![texts("product", &["p3"]), numbers("horizon", Some(7.0))]).unwrap();
    assert_eq!(from(84), stored);
    let later = from(101);
    let Some(Values::Timestamp(times)) = later.column("time") else { panic!() };
    assert_eq!(times[0], Some(START + 101 * DAY));
    for (step, value) in column(&later, "value").iter().enumerate() {
        let expected = sold(3, 101 + step as i64);
        assert!((value - expected).abs() < 0.15 * expected, "{step}: {value}, not {expected}");
    }
    assert_eq!(ask(&*model, history("p99", [(0, 1.0)].into_iter(), 3)).unwrap().count, 0);
}

#[test]
fn the_order_of_rows_and_threads_don_t_matter() {
    let of = |threads, backward| {
        let (prepared, _, files) = train(threads, job(call(&["product"], "{}"), rows(backward))).unwrap();
        (prepared.rows_sha256, files.get("model.json").unwrap().to_vec())
    };
    let first = of(1, false);
    assert!(of(1, true) == first && of(3, false) == first);
}

/// The live version is asked as it is, from the end of what it knew.
#[test]
fn a_new_version_is_compared_with_the_live_one() {
    let (.., live) = train(2, job(call(&["product"], "{}"), rows_of_days(56, false))).unwrap();
    let beside = |days, keys: &[&str]| {
        let mut job = job(call(keys, "{}"), rows_of_days(days, false));
        job.incumbent = Some(live.clone());
        train(2, job).unwrap().1.comparison
    };
    let found = beside(84, &["product"]).unwrap();
    assert_eq!((found.metric.as_str(), found.rows, found.more_is_better), ("rmsse", 10, false));
    assert!(found.new < found.incumbent && found.better, "{found:?}");
    assert_eq!(beside(56, &["product"]), None, "it knows all periods");
    assert_eq!(beside(84, &[]), None, "it has other series");
}

#[test]
fn without_keys_there_is_one_series() {
    let mut parts = rows(false);
    for part in &mut parts {
        let Input::Rows(rows) = &mut part.input else { panic!() };
        rows.columns.clear();
    }
    let options = r#"{"frequency": "week", "horizon": 2, "gaps": "missing", "eval_fraction": 0}"#;
    let (prepared, finished, files) = train(1, job(call(&[], options), parts)).unwrap();
    assert_eq!((prepared.held_out_rows, prepared.baseline), (0, None));
    assert!(finished.metrics.is_empty() && finished.against_baseline.is_none());
    let table = ask(&*load(&files).unwrap(), Vec::new()).unwrap();
    assert_eq!((table.count, table.columns.len()), (2, 5));
}

#[test]
fn what_can_t_be_done_is_refused() {
    let refused = |call: TrainingCall, rows| {
        let error = train(1, job(call, rows)).err().unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        error.message
    };
    for (options, message) in [
        (r#"{"frequency": "fortnight"}"#, "training option \"frequency\" must be"),
        (r#"{"horizon": 0}"#, "training option \"horizon\" must be a whole number from 1 to 1000, not 0"),
        (
            r#"{"horizon": 10000}"#,
            "training option \"horizon\" must be a whole number from 1 to 1000, not 10000",
        ),
        (r#"{"gaps": 0}"#, "training option \"gaps\" must be"),
        (r#"{"horizons": 1}"#, "unknown training option \"horizons\""),
    ] {
        let found = refused(call(&["product"], options), rows(false));
        assert!(found.starts_with(message), "{found}");
    }
    assert!(refused(call(&["value"], "{}"), rows(false)).contains("is called like a column of forecasts"));
    assert!(refused(call(&["product"], "{}"), Vec::new()).contains("must be at least one"));
    let mut bad = rows(false);
    bad[0].labels[0] = Label::Number(f64::NAN);
    assert!(refused(call(&["product"], "{}"), bad).contains("must be finite numbers"));
    let mut small = job(call(&["product"], "{}"), rows(false));
    small.plan.memory_limit = 1000;
    assert_eq!(train(1, small).err().unwrap().kind, ErrorKind::OutOfMemory);

    let (.., files) = train(1, job(call(&["product"], "{}"), rows(false))).unwrap();
    let model = load(&files).unwrap();
    for (name, value) in [
        ("horizon", 0.0),
        ("horizon", 1001.0),
        ("horizon", 1.5),
        ("level", 0.0),
        ("level", 1.0),
        ("after", -1.0),
    ] {
        assert_eq!(
            ask(&*model, vec![numbers(name, Some(value))]).unwrap_err().kind,
            ErrorKind::InvalidRequest
        );
    }
    let texts = model.submit(Input::Texts(vec!["p1".to_owned()]), Output::Prediction).wait();
    assert_eq!(texts.unwrap_err().kind, ErrorKind::InvalidRequest);
}

#[test]
fn damaged_files_are_refused() {
    let (.., files) = train(1, job(call(&["product"], "{}"), rows(false))).unwrap();
    let whole = String::from_utf8(files.get("model.json").unwrap().to_vec()).unwrap();
    let signature = files.get("signature.json").unwrap().to_vec();
    let with = |model: &str| {
        let parts =
            vec![("signature.json".to_owned(), signature.clone()), ("model.json".to_owned(), model.into())];
        load(&ModelFiles::from_parts(parts)).map(drop).map_err(|error| error.kind)
    };
    assert_eq!(with(&whole), Ok(()));
    assert_eq!(with(&whole[..whole.len() / 2]), Err(ErrorKind::DamagedModel));
    assert_eq!(with(&whole.replace("\"format\":4", "\"format\":5")), Err(ErrorKind::UnsupportedModel));
    assert_eq!(with(&whole.replacen("[\"p0\"]", "[\"p9\"]", 1)), Err(ErrorKind::DamagedModel));
    assert_eq!(with(&whole.replacen("[\"p0\"],", "", 1)), Err(ErrorKind::DamagedModel));
    let mut emptied = whole.clone();
    let at = emptied.find("\"additive\":[").unwrap();
    let end = at + emptied[at..].find(']').unwrap();
    emptied.replace_range(at..=end, "\"additive\":[]");
    assert_eq!(with(&emptied), Err(ErrorKind::DamagedModel));
    let missing = ModelFiles::from_parts(vec![("signature.json".to_owned(), signature.clone())]);
    assert_eq!(load(&missing).err().unwrap().kind, ErrorKind::FileMissing);
}
