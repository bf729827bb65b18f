//! Trees that know all series: what is known ahead, series of few points, and what can't be.

use std::sync::OnceLock;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::training::{Finished, Label, Prepared, TrainingCall, TrainingInput, TrainingRows};
use ecommerce_ml_protocol::{Column, ErrorKind, Field, Input, Rows, Table, ValueType, Values};

use super::{DAY, START, ask, ask_for, call, column, history, job, load, numbers, rows, texts, train};

const DAYS: i64 = 70;
const PRODUCTS: i64 = 24;
/// A week ahead, and the training that most tests ask.
const WEEK: &str = r#"{"horizon": 7}"#;
static TRAINED: OnceLock<(Prepared, Finished, ModelFiles)> = OnceLock::new();

fn trained() -> &'static (Prepared, Finished, ModelFiles) {
    TRAINED.get_or_init(|| train(1, job(global_call(WEEK), sales(false))).unwrap())
}

/// Evenly spread, from 0 to 1.
fn chance(product: i64, day: i64) -> f64 {
    let mixed = (day as u64 * 1009 + product as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (mixed % 1000) as f64 / 1000.0
}

/// Two days at each price.
fn price(product: i64, day: i64) -> f64 {
    let usual = 5.0 + product as f64;
    usual * [0.7, 0.85, 1.0, 1.0, 1.15][(5.0 * chance(product, day / 2)) as usize]
}

fn promoted(product: i64, day: i64) -> bool {
    chance(product + 500, day / 3) > 0.8
}

/// What is sold: on the weekdays of its kind, less at a higher price, and more with a promotion.
fn sold(product: i64, day: i64, price: f64, promoted: bool) -> f64 {
    let of_week = if product % 2 == 0 { [5, 6, 7, 8, 12, 20, 3] } else { [12, 12, 11, 10, 6, 2, 2] };
    let base = (product + 3) as f64 * f64::from(of_week[day.rem_euclid(7) as usize]);
    let cheap = ((5.0 + product as f64) / price).powf(2.0);
    base * cheap * if promoted { 1.5 } else { 1.0 } * (0.9 + 0.2 * chance(product, day + 7000))
}

const COLUMNS: [(&str, ValueType); 3] =
    [("price", ValueType::Number), ("promoted", ValueType::Boolean), ("kind", ValueType::Text)];

fn global_call(options: &str) -> TrainingCall {
    let mut call = call(&["product"], options);
    let TrainingInput::Events { fields, .. } = &mut call.input else { panic!() };
    fields.extend(COLUMNS.map(|(name, value_type)| Field { name: name.to_owned(), value_type }));
    call
}

/// Events of products on days; the last product is there for a few days only.
fn sales(backward: bool) -> Vec<TrainingRows> {
    let first = |product: i64| if product == PRODUCTS - 1 { DAYS - 5 } else { 0 };
    let mut all: Vec<(i64, i64)> =
        (0..PRODUCTS).flat_map(|product| (first(product)..DAYS).map(move |day| (product, day))).collect();
    if backward {
        all.reverse();
    }
    all.chunks(501).map(batch).collect()
}

fn batch(rows: &[(i64, i64)]) -> TrainingRows {
    let names: Vec<String> = rows.iter().map(|(product, _)| format!("p{product:02}")).collect();
    let kinds: Vec<&str> =
        rows.iter().map(|(product, _)| if product % 2 == 0 { "weekend" } else { "week" }).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let prices = rows.iter().map(|(product, day)| Some(price(*product, *day))).collect();
    let promotions = rows.iter().map(|(product, day)| Some(promoted(*product, *day))).collect();
    let amount = |(product, day): &(i64, i64)| {
        Label::Number(sold(*product, *day, price(*product, *day), promoted(*product, *day)))
    };
    TrainingRows {
        input: Input::Rows(Rows {
            count: rows.len() as u32,
            columns: vec![
                texts("product", &names),
                Column { name: "price".to_owned(), values: Values::Number(prices) },
                Column { name: "promoted".to_owned(), values: Values::Boolean(promotions) },
                texts("kind", &kinds),
            ],
        }),
        labels: rows.iter().map(amount).collect(),
        times: rows.iter().map(|(_, day)| START + day * DAY + 3600).collect(),
        paraphrases: Vec::new(),
    }
}

/// The argument that tells prices and promotions of the days to come.
fn known(product: i64, factor: f64) -> Column {
    let day = |day: i64| {
        let price = factor * price(product, day);
        format!("[{},{price},{},null]", START + day * DAY, u8::from(promoted(product, day)))
    };
    let days: Vec<String> = (DAYS..DAYS + 7).map(day).collect();
    texts("known", &[&format!("[{}]", days.join(","))])
}

fn wape(forecasts: &[f64], product: i64, factor: f64) -> f64 {
    let (mut error, mut sum) = (0.0, 0.0);
    for (day, forecast) in (DAYS..).zip(forecasts) {
        let came = sold(product, day, factor * price(product, day), promoted(product, day));
        error += (forecast - came).abs();
        sum += came;
    }
    error / sum
}

#[test]
fn what_is_known_ahead_moves_forecasts() {
    let (prepared, finished, files) = trained();
    assert!(prepared.options.contains(r#""method":"auto""#));
    let of = |metrics: &[ecommerce_ml_protocol::training::Metric], name: &str| {
        metrics.iter().find(|metric| metric.name == name).unwrap().value
    };
    let local =
        train(2, job(call(&["product"], r#"{"method": "local", "horizon": 7}"#), sales(false))).unwrap().1;
    let (with, without) = (of(&finished.metrics, "rmsse"), of(&local.metrics, "rmsse"));
    assert!(with < 0.5 * without, "{with} {without}");
    let coverage = of(&finished.metrics, "coverage");
    assert!(coverage > 0.7, "{coverage}");
    assert!(files.get("trees.json").is_some());
    // Without room for trees there are the methods of series; trees that were asked for are refused.
    let small = |options: &str| {
        let mut small = job(global_call(options), sales(false));
        small.plan.memory_limit = prepared.memory - 1;
        train(1, small)
    };
    assert!(small(WEEK).unwrap().2.get("trees.json").is_none());
    let forced = small(r#"{"method": "trees", "horizon": 7}"#).err().unwrap();
    assert_eq!(forced.kind, ErrorKind::OutOfMemory);

    let model = load(files).unwrap();
    assert_eq!(*model.info(), finished.info);
    let details: serde_json::Value = serde_json::from_str(&finished.info.details).unwrap();
    let effect = |name: &str| details["effects"][name].as_f64().unwrap();
    assert!(effect("price - 10 %") > 0.05 && effect("price + 10 %") < -0.05, "{details}");
    assert!(details["importance"]["price"].as_f64().unwrap() > 0.1, "{details}");
    let forecast = |product: i64, known: Option<Column>| {
        let arguments = [texts("product", &[&format!("p{product:02}")])].into_iter().chain(known).collect();
        column(&ask(&*model, arguments).unwrap(), "value")
    };
    for product in [2, 7, 17] {
        for factor in [1.0, 0.85] {
            let found = wape(&forecast(product, Some(known(product, factor))), product, factor);
            assert!(found < 0.3, "{product} {factor}: {found}");
        }
    }
    // Without it the last price is that of all days.
    let sum =
        |of: &dyn Fn(i64) -> Vec<f64>| (0..20).map(|product| wape(&of(product), product, 1.0)).sum::<f64>();
    let (with, without) = (sum(&|one| forecast(one, Some(known(one, 1.0)))), sum(&|one| forecast(one, None)));
    assert!(with < 0.6 * without, "{with} {without}");
    // The order of days counts only where they are the same: then the last one does.
    let twice = texts("known", &[&format!("[[{0},1,0,null],[{0},100,null,\"week\"]]", START + DAYS * DAY)]);
    let once = texts("known", &[&format!("[[{},100,0,\"week\"]]", START + DAYS * DAY)]);
    assert_eq!(forecast(7, Some(twice)), forecast(7, Some(once)));
    // In all, and from what is now, and of what came.
    let total = |known: Column| {
        let arguments = vec![texts("product", &["p07"]), numbers("horizon", Some(7.0)), known];
        column(&ask_for(&*model, Table::TotalDemand, arguments).unwrap(), "quantity")[50]
    };
    assert!(total(known(7, 0.8)) > 1.2 * total(known(7, 1.0)));
    let came = |days: i64| (0..days).map(|day| (day, sold(7, day, price(7, day), promoted(7, day))));
    let mut now = history("p07", came(DAYS), DAYS - 1);
    now.push(known(7, 1.0));
    assert_eq!(column(&ask(&*model, now).unwrap(), "value"), forecast(7, Some(known(7, 1.0))));
    let mut later = history("p07", came(DAYS + 3), DAYS + 2);
    later.extend([known(7, 1.0), numbers("horizon", Some(4.0))]);
    let later = ask(&*model, later).unwrap();
    let Some(Values::Timestamp(times)) = later.column("time") else { panic!() };
    assert_eq!(times[0], Some(START + (DAYS + 3) * DAY));
    for (day, value) in (DAYS + 3..).zip(column(&later, "value")) {
        let expected = sold(7, day, price(7, day), promoted(7, day));
        assert!((value - expected).abs() < 0.4 * expected, "{day}: {value}, not {expected}");
    }
    let mut errors = history("p07", came(DAYS + 7), DAYS + 6);
    errors.push(known(7, 1.0));
    let errors = ask_for(&*model, Table::ForecastErrors, errors).unwrap();
    assert_eq!(column(&errors, "value"), forecast(7, Some(known(7, 1.0))));
}

/// Of five days no method makes weekdays; the others tell them.
#[test]
fn series_of_few_points_learn_from_the_others() {
    let (.., files) =
        train(2, job(global_call(r#"{"method": "trees", "horizon": 7}"#), sales(false))).unwrap();
    let model = load(&files).unwrap();
    let few = PRODUCTS - 1;
    let found = ask(&*model, vec![texts("product", &["p23"]), known(few, 1.0)]).unwrap();
    let Some(Values::Text { dictionary, .. }) = found.column("method") else { panic!() };
    assert_eq!(dictionary, &["trees"]);
    let found = wape(&column(&found, "value"), few, 1.0);
    assert!(found < 0.45, "{found}");
}

#[test]
fn trees_are_the_same_in_any_order_with_any_threads() {
    let of = |threads, backward| {
        let (prepared, _, files) = train(threads, job(global_call(WEEK), sales(backward))).unwrap();
        (prepared.rows_sha256, files)
    };
    let (prepared, _, files) = trained();
    assert!(of(3, true) == (prepared.rows_sha256, files.clone()));
}

#[test]
fn a_new_version_with_trees_is_compared_with_the_live_one() {
    let until = |days: i64| -> Vec<TrainingRows> {
        let all: Vec<(i64, i64)> =
            (0..PRODUCTS).flat_map(|product| (0..days).map(move |day| (product, day))).collect();
        all.chunks(501).map(batch).collect()
    };
    let (.., live) = train(1, job(global_call(WEEK), until(DAYS - 14))).unwrap();
    let mut again = job(global_call(WEEK), until(DAYS));
    again.incumbent = Some(live);
    let found = train(2, again).unwrap().1.comparison.unwrap();
    // Both know the prices of the days that they forecast.
    assert!(found.incumbent < 0.5 && found.new < 0.5, "{found:?}");
}

#[test]
fn what_trees_can_t_read_is_refused() {
    let refused = |call: TrainingCall, rows| {
        let error = train(1, job(call, rows)).err().unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        error.message
    };
    let mut with_moment = call(&["product"], "{}");
    let TrainingInput::Events { fields, .. } = &mut with_moment.input else { panic!() };
    fields.push(Field { name: "launched".to_owned(), value_type: ValueType::Timestamp });
    assert!(
        refused(with_moment, rows(false)).contains("does not read column \"launched\", which is a moment")
    );
    let local = r#"{"method": "local"}"#;
    assert!(refused(global_call(local), sales(false)).contains("reads no feature_columns"));
    let few: Vec<TrainingRows> = vec![batch(&[(0, 0), (0, 1), (1, 0), (1, 1)])];
    let message = refused(global_call(r#"{"method": "trees"}"#), few);
    assert!(message.contains("too few periods to train trees on"), "{message}");
    let mut infinite = sales(false);
    let Input::Rows(rows) = &mut infinite[0].input else { panic!() };
    rows.columns[1].values = Values::Number(vec![Some(f64::INFINITY); rows.count as usize]);
    assert!(refused(global_call("{}"), infinite).contains("\"price\" has a number that is not finite"));

    let (.., files) = trained();
    let model = load(files).unwrap();
    for wrong in ["[[1,2]]", "[[0,\"x\",0,null]]", "{}", "[[0,1,0,5]]"] {
        let arguments = vec![texts("product", &["p01"]), texts("known", &[wrong])];
        assert_eq!(ask(&*model, arguments).unwrap_err().kind, ErrorKind::InvalidRequest, "{wrong}");
    }
    let mut damaged: Vec<(String, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
    damaged.retain(|(name, _)| name != "trees.json");
    let files = ModelFiles::from_parts(damaged);
    assert_eq!(load(&files).err().unwrap().kind, ErrorKind::FileMissing);
}
