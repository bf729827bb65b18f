//! Series of sums, with which the forecasts of their parts agree.

use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_protocol::training::{Label, TrainingRows};
use ecommerce_ml_protocol::{Input, Rows, Values};

use super::{DAY, START, ask, call, column, history, job, load, numbers, sold, texts, train};

/// Six products of two categories, each day for ten weeks; the last one for a few days only.
fn sales() -> Vec<TrainingRows> {
    let rows: Vec<(usize, i64)> = (0..6)
        .flat_map(|product| (if product == 5 { 67 } else { 0 }..70).map(move |day| (product, day)))
        .collect();
    let names: Vec<String> = rows.iter().map(|(product, _)| format!("p{product}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let categories: Vec<&str> = rows.iter().map(|(product, _)| ["even", "odd"][product % 2]).collect();
    let columns = vec![texts("category", &categories), texts("product", &names)];
    vec![TrainingRows {
        input: Input::Rows(Rows { count: rows.len() as u32, columns }),
        labels: rows.iter().map(|(product, day)| Label::Number(sold(*product, *day).round())).collect(),
        times: rows.iter().map(|(_, day)| START + day * DAY + 3600).collect(),
        paraphrases: Vec::new(),
    }]
}

#[test]
fn sums_are_those_of_their_parts() {
    let options = r#"{"reconcile": true, "horizon": 7}"#;
    let (prepared, finished, files) =
        train(2, job(call(&["category", "product"], options), sales())).unwrap();
    assert!(prepared.options.contains(r#""reconcile":true"#));
    let model = load(&files).unwrap();
    assert_eq!(*model.info(), finished.info);
    let all = ask(&*model, Vec::new()).unwrap();
    // All, two categories, six products; a week each.
    assert_eq!(all.count, 63);
    let codes = |name: &str| match all.column(name) {
        Some(Values::Text { codes, .. }) => codes.clone(),
        other => panic!("{other:?}"),
    };
    let (categories, products) = (codes("category"), codes("product"));
    let (values, lower, upper) = (column(&all, "value"), column(&all, "lower"), column(&all, "upper"));
    for day in 0..7 {
        let rows = || (0..63).filter(|row| row % 7 == day);
        let leaves: f64 = rows().filter(|row| products[*row].is_some()).map(|row| values[row]).sum();
        let parts: f64 = rows()
            .filter(|row| categories[*row].is_some() && products[*row].is_none())
            .map(|row| values[row])
            .sum();
        let whole: f64 = rows().filter(|row| categories[*row].is_none()).map(|row| values[row]).sum();
        assert!((leaves - whole).abs() < 1e-6 * whole && (parts - whole).abs() < 1e-6 * whole, "{day}");
        let expected: f64 = (0..6).map(|product| sold(product, 70 + day as i64)).sum();
        assert!((whole - expected).abs() < 0.2 * expected, "{day}: {whole}, not {expected}");
    }
    assert!((0..63).all(|row| lower[row] <= values[row] && values[row] <= upper[row] && lower[row] >= 0.0));
    // Some of it is what it is in the whole; a level changes no value.
    let some = ask(&*model, vec![texts("product", &["p3"]), numbers("level", Some(0.5))]).unwrap();
    let place = (0..9).find(|at| column(&some, "value") == values[at * 7..at * 7 + 7]);
    assert_eq!((some.count, place.is_some()), (7, true));
    let page = ask(&*model, vec![numbers("after", Some(8.0)), numbers("count", Some(5.0))]).unwrap();
    assert_eq!(column(&page, "value"), values[56..]);
    let mut now = history("p3", (0..80).map(|day| (day, 1.0)), 79);
    now.push(texts("category", &["odd"]));
    assert_eq!(ask(&*model, now).unwrap_err().kind, ErrorKind::InvalidRequest);
    for (keys, options) in [
        (&["category", "product"][..], r#"{"reconcile": true, "gaps": "missing"}"#),
        (&[], r#"{"reconcile": true}"#),
        (&["category"], r#"{"reconcile": 1}"#),
    ] {
        let error = train(1, job(call(keys, options), sales())).err().unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{options}");
    }
}
