//! The kind `elasticity`: sales to a model, its files, its answers; and the numbers of statsmodels.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/events.rs"]
mod events;

use std::collections::BTreeMap;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_customer::elasticity::Elasticities;
use ecommerce_ml_customer::price::panel::{Panel, Sales};
use ecommerce_ml_customer::price::regression::{Groups, fit};
use ecommerce_ml_customer::price::response::{Levels, Settings, respond};
use ecommerce_ml_customer::price::shrinkage::Known;
use ecommerce_ml_customer::random::Random;
use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_predictor::{Job, ModelKind};
use ecommerce_ml_protocol::training::{
    Finished, Label, Objective, Prepared, TrainingCall, TrainingInput, TrainingPlan, TrainingRows,
};
use ecommerce_ml_protocol::{
    Answers, Column, EngineError, ErrorKind, Field, Input, Output, Rows, Table, Task, ValueType, Values,
};
use serde_json::Value;

const DAY: i64 = 86_400_000_000;

/// What was sold in a store, one day.
#[derive(Debug, Clone, PartialEq)]
struct Sale {
    brand: String,
    store: String,
    day: i64,
    quantity: f64,
    price: Option<f64>,
    deal: Option<bool>,
}

/// Brands with elasticities of their own in stores, whose price changes now and then; each week.
fn sales(brands: &[f64], stores: usize, weeks: i64) -> Vec<Sale> {
    let mut random = Random::of(7);
    // A sum of uniforms is as good as normal.
    let mut noise = move |scale: f64| scale * ((0..12).map(|_| random.uniform()).sum::<f64>() - 6.0);
    let mut all = Vec::new();
    for (brand, elasticity) in brands.iter().enumerate() {
        for store in 0..stores {
            let (level, list) = (4.0 + noise(0.5), 2.0 + noise(0.1));
            for week in 0..weeks {
                let deal = noise(1.0) > 1.0;
                let price = ((list + noise(0.15)) * if deal { 0.8 } else { 1.0 }).max(0.5);
                let quantity =
                    (level + elasticity * price.ln() + if deal { 0.3 } else { 0.0 } + noise(0.2)).exp();
                let (brand, store) = (format!("b{brand:02}"), store.to_string());
                all.push(Sale {
                    brand,
                    store,
                    day: week * 7,
                    quantity,
                    price: Some(price),
                    deal: Some(deal),
                });
            }
        }
    }
    all
}

fn fields(names: &[(&str, ValueType)]) -> Vec<Field> {
    names
        .iter()
        .map(|(name, value_type)| Field { name: (*name).to_owned(), value_type: *value_type })
        .collect()
}

fn call(options: &str) -> TrainingCall {
    use ValueType::{Boolean, Number, Text};
    TrainingCall {
        objective: Objective::Elasticity,
        input: TrainingInput::Events {
            keys: fields(&[("brand", Text), ("store", Number)]),
            fields: fields(&[("brand", Text), ("store", Text), ("price", Number), ("deal", Boolean)]),
        },
        has_time: true,
        options: options.to_owned(),
    }
}

fn job(options: &str, sales: &[Sale]) -> Job {
    let texts = |name: &str, texts: Vec<String>| {
        let codes = (0..texts.len()).map(|at| u32::try_from(at).ok()).collect();
        Column { name: name.to_owned(), values: Values::Text { dictionary: texts, codes } }
    };
    let batch = |rows: &[Sale]| {
        let columns = vec![
            texts("brand", rows.iter().map(|row| row.brand.clone()).collect()),
            texts("store", rows.iter().map(|row| row.store.clone()).collect()),
            Column {
                name: "price".to_owned(),
                values: Values::Number(rows.iter().map(|row| row.price).collect()),
            },
            Column {
                name: "deal".to_owned(),
                values: Values::Boolean(rows.iter().map(|row| row.deal).collect()),
            },
        ];
        TrainingRows {
            input: Input::Rows(Rows { count: rows.len() as u32, columns }),
            labels: rows.iter().map(|row| Label::Number(row.quantity)).collect(),
            times: rows.iter().map(|row| row.day * DAY).collect(),
            paraphrases: Vec::new(),
        }
    };
    let plan = TrainingPlan {
        call: call(options),
        base: None,
        incumbent: None,
        members: Vec::new(),
        memory_limit: 1 << 28,
        checkpoint_interval: 60,
    };
    let rows = sales.chunks(97).map(batch).collect();
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

fn train(job: Job) -> Result<(Prepared, Finished, ModelFiles), EngineError> {
    events::train(&Elasticities::default(), job)
}

/// A row of an answer.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    elasticity: Option<f64>,
    std_error: Option<f64>,
    interval: Option<(f64, f64)>,
    observations: f64,
    warning: Option<String>,
}

fn ask(files: &ModelFiles, page: Option<(f64, f64)>) -> Result<Vec<(String, Said)>, EngineError> {
    let kind = Elasticities::default();
    assert!(kind.recognises(files));
    let number = |name: &str, value: Option<f64>| Column {
        name: name.to_owned(),
        values: Values::Number(vec![value]),
    };
    let columns = vec![number("after", page.map(|page| page.0)), number("count", page.map(|page| page.1))];
    let input = Input::Rows(Rows { count: 1, columns });
    let answers = kind.load(None, files)?.submit(input, Output::Table(Table::PriceResponse)).wait()?.answers;
    let Answers::Tables(mut tables) = answers else { panic!("{answers:?}") };
    assert!(tables.len() == 1 && tables[0].check());
    let table = tables.remove(0);
    let numbers = |name: &str| match table.column(name) {
        Some(Values::Number(values)) => values.clone(),
        other => panic!("{other:?}"),
    };
    let texts = |name: &str| -> Vec<Option<String>> {
        let Some(Values::Text { dictionary, codes }) = table.column(name) else { panic!("{table:?}") };
        codes.iter().map(|code| code.map(|code| dictionary[code as usize].clone())).collect()
    };
    let (keys, warnings) = (texts("keys"), texts("warning"));
    let (elasticity, std_error) = (numbers("elasticity"), numbers("std_error"));
    let (lower, upper, observations) = (numbers("lower"), numbers("upper"), numbers("observations"));
    let row = |at: usize| {
        let said = Said {
            elasticity: elasticity[at],
            std_error: std_error[at],
            interval: lower[at].zip(upper[at]),
            observations: observations[at].unwrap(),
            warning: warnings[at].clone(),
        };
        (keys[at].clone().unwrap(), said)
    };
    Ok((0..table.count as usize).map(row).collect())
}

fn said(files: &ModelFiles) -> BTreeMap<String, Said> {
    ask(files, None).unwrap().into_iter().collect()
}

fn near(one: f64, other: f64, relative: f64) -> bool {
    (one - other).abs() <= relative * other.abs()
}

/// The sales of `elasticity.json`, with the groups of brands and of series.
fn golden() -> (Value, Panel, Groups, Groups) {
    let golden: Value = serde_json::from_str(include_str!("../reference/elasticity.json")).unwrap();
    let sales = &golden["sales"];
    let text = |name: &str| -> Vec<String> {
        sales[name].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let number = |name: &str| -> Vec<f64> {
        sales[name].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect()
    };
    let (brands, stores) = (text("brand"), text("store"));
    let mut series: Vec<(String, String)> = brands.into_iter().zip(stores).collect();
    let of_rows = series.clone();
    series.sort();
    series.dedup();
    let found = of_rows.iter().map(|one| series.binary_search(one).unwrap() as u32).collect();
    let rows = Sales {
        series: found,
        // 1970-01-05 was a Monday.
        time: number("week").iter().map(|week| (4 + 7 * *week as i64) * DAY).collect(),
        quantity: number("quantity"),
        price: number("price"),
        controls: vec![number("deal")],
    };
    let brand = |(brand, _): &(String, String)| brand[1..].parse::<u32>().unwrap();
    let brands = Groups { of_series: series.iter().map(brand).collect(), count: 4 };
    let each = Groups { of_series: (0..series.len() as u32).collect(), count: series.len() };
    let panel = Panel::new(&rows, series.len(), Some(Period::Week));
    (golden, panel, brands, each)
}

#[test]
fn estimates_and_errors_are_those_of_statsmodels() {
    let (golden, panel, brands, each) = golden();
    for case in golden["cases"].as_array().unwrap() {
        let mut panel = panel.clone();
        if !case["controls"].as_bool().unwrap() {
            panel.controls.clear();
        }
        let effects = case["effects"].as_bool().unwrap().then_some(Period::Week);
        let levels =
            [("all", Groups::one(panel.series.len())), ("brand", brands.clone()), ("series", each.clone())];
        for (name, groups) in levels {
            let slopes = fit(&panel, &groups, effects);
            let wanted = case[name].as_array().unwrap();
            assert_eq!(slopes.len(), wanted.len());
            for (slope, wanted) in slopes.iter().zip(wanted) {
                let found = slope.estimate.unwrap();
                let place = format!("{name} {} {} {found:?} {wanted}", case["controls"], case["effects"]);
                assert!(near(found.value, wanted["value"].as_f64().unwrap(), 1e-7), "{place}");
                assert!(near(found.std_error, wanted["std_error"].as_f64().unwrap(), 1e-6), "{place}");
                assert_eq!(found.clusters as u64, wanted["clusters"].as_u64().unwrap(), "{place}");
                assert_eq!(slope.observations as u64, wanted["observations"].as_u64().unwrap(), "{place}");
            }
        }
        for (name, keys) in [("brand", &brands), ("series", &each)] {
            let levels = Levels { categories: None, keys: keys.clone(), category_of: vec![0; keys.count] };
            let found = respond(&panel, &levels, Settings { effects, shrinks: true }).unwrap();
            let wanted = &case["shrunk"][name];
            assert!(
                near(found.between, wanted["between"].as_f64().unwrap(), 1e-5),
                "{name} {}",
                found.between
            );
            for (key, response) in found.keys.iter().enumerate() {
                let known = response.elasticity.unwrap();
                assert!(near(known.value, wanted["value"][key].as_f64().unwrap(), 1e-5), "{name} {key}");
                assert!(
                    near(known.std_error, wanted["std_error"][key].as_f64().unwrap(), 1e-5),
                    "{name} {key}"
                );
            }
        }
    }
}

#[test]
fn planted_elasticities_come_back_and_beat_no_effect() {
    let planted = [-3.0, -2.5, -2.0, -1.5, -1.0, -0.5];
    let rows = sales(&planted, 12, 60);
    let options = r#"{"elasticity_columns": ["brand"]}"#;
    let (prepared, finished, files) = train(job(options, &rows)).unwrap();
    assert_eq!(prepared.training_rows + prepared.held_out_rows, rows.len() as u64);
    assert!(prepared.held_out_rows > 300 && prepared.ignored_rows == 0, "{prepared:?}");
    assert_eq!(finished.info.task(), Task::Elasticity);
    let against = finished.against_baseline.unwrap();
    assert!(against.testable && against.beaten, "{against:?}");
    let found = ask(&files, None).unwrap();
    assert_eq!(found.len(), 7);
    assert_eq!((found[0].0.as_str(), found[0].1.observations), ("{}", rows.len() as f64));
    assert_eq!(found[3].0, r#"{"brand":"b02"}"#);
    for ((_, said), planted) in found[1..].iter().zip(planted) {
        let (lower, upper) = said.interval.unwrap();
        let own = said.elasticity.unwrap();
        assert!((own - planted).abs() < 0.25 && lower < planted && planted < upper, "{planted} {said:?}");
        assert_eq!(said.warning, None);
    }
    // Without the control, the deal's part goes to the price.
    let mut plain = job(options, &rows);
    let TrainingInput::Events { fields, .. } = &mut plain.plan.call.input else { panic!() };
    fields.truncate(3);
    for part in &mut plain.rows {
        let Input::Rows(rows) = &mut part.input else { panic!() };
        rows.columns.truncate(3);
    }
    let (.., without) = train(plain).unwrap();
    assert!(said(&without)["{}"].elasticity.unwrap() < found[0].1.elasticity.unwrap() - 0.2);
    // Pages add up.
    let pages = [ask(&files, Some((0.0, 4.0))).unwrap(), ask(&files, Some((4.0, 9.0))).unwrap()].concat();
    assert_eq!(pages, found);
    assert_eq!(ask(&files, Some((0.5, 1.0))).unwrap_err().kind, ErrorKind::InvalidRequest);
}

#[test]
fn each_key_is_drawn_to_its_category_as_far_as_its_error_says() {
    let planted = [-3.0, -2.9, -3.1, -1.0, -1.1, -0.9];
    let mut rows = sales(&planted, 4, 40);
    // Brands are categories of three; what was the store is a product.
    rows.iter_mut().for_each(|row| {
        row.store = format!("1{}{}", &row.brand[2..], row.store);
        row.brand = if row.brand.as_str() < "b03" { "dear".to_owned() } else { "cheap".to_owned() };
    });
    let options = |more: &str| format!(r#"{{"category_columns": ["brand"]{more}}}"#);
    let (.., files) = train(job(&options(""), &rows)).unwrap();
    let (.., alone) = train(job(&options(r#", "shrinkage": "none""#), &rows)).unwrap();
    let (drawn, alone) = (said(&files), said(&alone));
    assert_eq!(drawn.len(), 1 + 2 + 24);
    assert_eq!(drawn[r#"{"brand":"dear"}"#], alone[r#"{"brand":"dear"}"#]);
    let mut gain = 0.0;
    for (keys, said) in drawn.iter().filter(|(keys, _)| keys.contains("store")) {
        // A number in SQL is a number in JSON.
        assert!(keys.contains(r#""store":"#) && !keys.contains(r#""store":""#), "{keys}");
        let category = if keys.contains("dear") { "dear" } else { "cheap" };
        let center = drawn[&format!("{{\"brand\":\"{category}\"}}")].elasticity.unwrap();
        let (own, single) = (said.elasticity.unwrap(), alone[keys].elasticity.unwrap());
        assert!((own - center).abs() <= (single - center).abs(), "{keys} {own} {single} {center}");
        let planted = if category == "dear" { -3.0 } else { -1.0 };
        gain += (single - planted).abs() - (own - planted).abs();
    }
    assert!(gain > 0.0, "{gain}");
}

#[test]
fn the_order_of_rows_makes_no_difference_and_a_new_version_is_compared() {
    let rows = sales(&[-2.0, -1.0], 8, 60);
    let mut turned = rows.clone();
    turned.reverse();
    let options = r#"{"time_effects": "month", "elasticity_columns": ["brand"]}"#;
    let (prepared, finished, files) = train(job(options, &rows)).unwrap();
    let (again, other, same) = train(job(options, &turned)).unwrap();
    assert_eq!((&prepared, &finished), (&again, &other));
    assert_eq!(files.manifest(), same.manifest());
    assert!(finished.comparison.is_none());
    let early: Vec<Sale> = rows.iter().filter(|row| row.day < 200).cloned().collect();
    let (.., live) = train(job(options, &early)).unwrap();
    let mut retraining = job(options, &rows);
    retraining.incumbent = Some(live);
    let comparison = train(retraining).unwrap().1.comparison.unwrap();
    assert!(comparison.rows == 96 && comparison.metric == "mae", "{comparison:?}");
    // What the live one knows is nothing to compare by.
    let mut same = job(options, &rows);
    same.incumbent = Some(files);
    assert!(train(same).unwrap().1.comparison.is_none());
    let (prepared, finished, _) = train(job(r#"{"eval_fraction": 0}"#, &rows)).unwrap();
    assert!(prepared.held_out_rows == 0 && finished.against_baseline.is_none());
    assert!(finished.metrics.iter().all(|metric| metric.name == "effect"), "{:?}", finished.metrics);
}

/// Products with elasticities around -2, one series each, whose sales of a week go with those of the week before.
fn autocorrelated(products: usize, weeks: usize) -> (Panel, Vec<f64>) {
    let mut random = Random::of(11);
    let mut noise = move |scale: f64| scale * ((0..12).map(|_| random.uniform()).sum::<f64>() - 6.0);
    let planted: Vec<f64> = (0..products).map(|_| -2.0 + noise(0.6)).collect();
    let mut sales = Sales::default();
    for (product, elasticity) in planted.iter().enumerate() {
        let (mut carried, mut price) = (0.0, 0.0);
        for week in 0..weeks {
            carried = 0.7 * carried + noise(0.25);
            price = if week % 4 == 0 { noise(0.12) } else { price };
            sales.series.push(product as u32);
            sales.time.push(week as i64 * 7 * DAY);
            sales.price.push((1.0 + price).exp());
            sales.quantity.push((5.0 + elasticity * (1.0 + price) + carried).exp());
        }
    }
    (Panel::new(&sales, products, Some(Period::Week)), planted)
}

#[test]
fn intervals_hold_and_shrinking_helps() {
    let (panel, planted) = autocorrelated(200, 104);
    let keys = Groups { of_series: (0..200).collect(), count: 200 };
    let levels = Levels { categories: None, keys, category_of: vec![0; 200] };
    let known = |shrinks: bool| {
        let found = respond(&panel, &levels, Settings { effects: None, shrinks }).unwrap();
        found.keys.into_iter().map(|response| response.elasticity.unwrap()).collect::<Vec<_>>()
    };
    let (drawn, alone) = (known(true), known(false));
    let held = |known: &[Known]| {
        let both = known.iter().zip(&planted);
        both.filter(|(known, planted)| known.lower <= **planted && **planted <= known.upper).count()
    };
    let error = |known: &[Known]| -> f64 {
        known.iter().zip(&planted).map(|(known, planted)| (known.value - planted).powi(2)).sum()
    };
    assert!(held(&alone) >= 180 && held(&drawn) >= 180, "{} {}", held(&alone), held(&drawn));
    assert!(error(&drawn) < 0.8 * error(&alone), "{} {}", error(&drawn), error(&alone));
}

/// A brand whose price never varied, one whose price moved with the deal only, one with two prices in a few weeks, one where more is
/// sold at higher prices, one that is sold now and then.
#[test]
fn what_to_mind_of_a_key_is_said() {
    let mut rows = sales(&[-2.0; 7], 1, 60);
    rows.retain(|row| match row.brand.as_str() {
        "b03" => row.day < 70,
        _ => true,
    });
    for row in &mut rows {
        let price = row.price.unwrap();
        let deal = row.deal.unwrap();
        let set = |row: &mut Sale, price: f64, elasticity: f64| {
            let noise = row.quantity.ln() + 2.0 * row.price.unwrap().ln();
            row.price = Some(price);
            row.quantity = (noise + elasticity * price.ln()).exp();
        };
        match row.brand.as_str() {
            "b01" => set(row, 2.0, -2.0),
            "b02" => set(row, if deal { 1.6 } else { 2.0 }, -2.0),
            "b03" => set(row, if row.day % 2 == 0 { 1.9 } else { 2.0 }, -2.0),
            "b04" => set(row, price, 2.0),
            "b05" if row.day % 28 != 0 => row.quantity = 0.0,
            _ => {}
        }
    }
    let options = r#"{"elasticity_columns": ["brand"]}"#;
    let (prepared, _, files) = train(job(options, &rows)).unwrap();
    assert_eq!(prepared.ignored_rows, 45);
    let said = said(&files);
    let of = |brand: &str| said[&format!("{{\"brand\":\"{brand}\"}}")].clone();
    let warning = |brand: &str| of(brand).warning.unwrap_or_default();
    assert_eq!((of("b00").warning, of("b06").warning), (None, None));
    for brand in ["b01", "b02"] {
        assert!(
            of(brand).elasticity.is_none() && of(brand).interval.is_none() && of(brand).std_error.is_none()
        );
        assert_eq!(of(brand).observations, 60.0);
    }
    assert_eq!(warning("b01"), "its price never varied");
    assert_eq!(warning("b02"), "its price moved with the control columns only");
    assert_eq!(warning("b03"), "it had 2 prices only; 10 observations are few");
    assert!(
        warning("b04").contains("positive") || warning("b04").contains("more is sold"),
        "{}",
        warning("b04")
    );
    assert!(warning("b05").contains("nothing was sold in 45 of 60 periods"), "{}", warning("b05"));
    assert_eq!(of("b05").observations, 15.0);
}

#[test]
fn what_can_not_be_learned_is_refused_with_the_counts() {
    let refused = |options: &str, rows: &[Sale]| train(job(options, rows)).unwrap_err();
    let rows = sales(&[-2.0, -1.0], 3, 30);
    let constant: Vec<Sale> = rows.iter().cloned().map(|row| Sale { price: Some(2.0), ..row }).collect();
    let error = refused("{}", &constant);
    assert_eq!(error.message, "\"price\" never varied within a series");
    assert_eq!(error.detail.as_deref(), Some("There are 180 observations of 6 series."));
    let promoted = |row: Sale| Sale { price: Some(if row.deal.unwrap() { 1.5 } else { 2.0 }), ..row };
    let error = refused("{}", &rows.iter().cloned().map(promoted).collect::<Vec<_>>());
    assert_eq!(error.message, "\"price\" moved with the control columns only");
    let alike = |row: Sale| Sale { price: Some(2.0 + (row.day % 5) as f64), deal: Some(false), ..row };
    let error = refused(r#"{"time_effects": "week"}"#, &rows.iter().cloned().map(alike).collect::<Vec<_>>());
    assert_eq!(error.message, "\"price\" moved with time only, in all series alike");
    assert_eq!(refused("{}", &rows[..4]).message, "too few observations for an elasticity");
    for nothing in [vec![], rows.iter().cloned().map(|row| Sale { price: None, ..row }).collect::<Vec<_>>()] {
        assert_eq!(refused("{}", &nothing).message, "there are no sales to learn from");
    }
    // What can't be is passed over.
    let (prepared, ..) = train(job("{}", &rows)).unwrap();
    let mut some = rows.clone();
    let first = rows[0].clone();
    some.push(Sale { price: Some(0.0), ..first.clone() });
    some.push(Sale { price: Some(-1.0), ..first.clone() });
    some.push(Sale { price: Some(f64::INFINITY), ..first.clone() });
    some.push(Sale { deal: None, ..first.clone() });
    some.push(Sale { quantity: -3.0, ..first });
    let (more, ..) = train(job("{}", &some)).unwrap();
    assert_eq!((more.ignored_rows, more.training_rows), (5, prepared.training_rows));
    for options in [
        r#"{"elasticity_columns": ["deal"]}"#,
        r#"{"elasticity_columns": ["brand", "brand"]}"#,
        r#"{"elasticity_columns": ["brand"], "category_columns": ["store"]}"#,
        r#"{"fixed_effects": ["brand"]}"#,
    ] {
        assert_eq!(refused(options, &rows).kind, ErrorKind::InvalidRequest, "{options}");
    }
    use ValueType::{Number, Text, Timestamp};
    for (features, reason) in [
        (vec![], "needs a column of prices"),
        (vec![("price", Text)], "no price"),
        (vec![("price", Number), ("seen", Timestamp)], "cannot be a control"),
    ] {
        let mut call = call("{}");
        let TrainingInput::Events { fields: all, .. } = &mut call.input else { panic!() };
        all.truncate(2);
        all.extend(fields(&features));
        let error = Elasticities::default().trainer().unwrap().check(&call).unwrap_err();
        assert!(error.message.contains(reason), "{}", error.message);
    }
}

#[test]
fn damage_is_told() {
    let (.., files) = train(job("{}", &sales(&[-2.0], 3, 30))).unwrap();
    for name in ["signature.json", "model.json"] {
        let mut damaged = files.clone();
        let bytes = damaged.get_mut(name).unwrap();
        bytes.truncate(bytes.len() / 2);
        let error = Elasticities::default().load(None, &damaged).map(|_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::DamagedModel, "{name}");
    }
    let text = String::from_utf8(files.get("model.json").unwrap().to_vec()).unwrap();
    for (from, to, kind) in [
        ("\"format\":1", "\"format\":2", ErrorKind::UnsupportedModel),
        ("\"between\":", "\"betwixt\":", ErrorKind::DamagedModel),
        ("\"keys\":[null,null]", "\"keys\":[null]", ErrorKind::DamagedModel),
        ("\"keys\":[null,null]", "\"keys\":[null,\"1\"]", ErrorKind::DamagedModel),
    ] {
        let mut changed = files.clone();
        assert!(text.contains(from), "{from}");
        *changed.get_mut("model.json").unwrap() = text.replacen(from, to, 1).into_bytes();
        assert_eq!(Elasticities::default().load(None, &changed).map(|_| ()).unwrap_err().kind, kind, "{to}");
    }
}
