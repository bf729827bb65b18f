//! Parameters and predictions beside those of the package lifetimes; `reference/golden.py` made them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use ecommerce_ml_customer::{History, Loss, Purchases, Spend};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("reference/golden.json")).unwrap()
}

fn histories(golden: &Value) -> Vec<History> {
    let number = |row: &Value, at: usize| row[at].as_f64().unwrap();
    let history = |row: &Value| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let repeats = number(row, 0) as u32;
        let mean_spend = Some(number(row, 3)).filter(|mean| *mean > 0.0);
        History { repeats, recency: number(row, 1), age: number(row, 2), mean_spend }
    };
    golden["histories"].as_array().unwrap().iter().map(history).collect()
}

fn near(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{what}: {found} instead of {expected}");
}

/// lifetimes stops a little before the maximum, so ours is as high but for the last digits.
#[test]
fn parameters_are_those_of_lifetimes() {
    let golden = golden();
    let histories = histories(&golden);
    let of = |set: &str, name: &str| golden[set][name].as_f64().unwrap();
    let purchases = Purchases::fit(&histories, Loss::AfterRepeats).unwrap();
    let expected = Purchases {
        loss: Loss::AfterRepeats,
        r: of("purchases", "r"),
        alpha: of("purchases", "alpha"),
        a: of("purchases", "a"),
        b: of("purchases", "b"),
    };
    near("r", purchases.r, expected.r, 1e-3);
    near("alpha", purchases.alpha, expected.alpha, 1e-3);
    near("a", purchases.a, expected.a, 5e-3);
    near("b", purchases.b, expected.b, 5e-3);
    let theirs = expected.log_likelihood(&histories);
    near("log likelihood", theirs, golden["log_likelihood"].as_f64().unwrap(), 1e-9);
    let ours = purchases.log_likelihood(&histories);
    assert!(ours >= theirs - 1e-6, "{ours} {theirs}");
    let spend = Spend::fit(&histories).unwrap();
    let expected = Spend { p: of("spend", "p"), q: of("spend", "q"), v: of("spend", "v") };
    near("p", spend.p, expected.p, 5e-3);
    near("q", spend.q, expected.q, 5e-3);
    near("v", spend.v, expected.v, 1e-2);
    let (ours, theirs) = (spend.log_likelihood(&histories), expected.log_likelihood(&histories));
    assert!(ours >= theirs - 1e-6, "{ours} {theirs}");
    // Whatever the order, and in another unit of time and worth.
    let mut turned: Vec<History> = histories.clone();
    turned.reverse();
    assert_eq!(Purchases::fit(&turned, Loss::AfterRepeats).unwrap(), purchases);
    let days = |one: &History| History {
        recency: one.recency * 7.0,
        age: one.age * 7.0,
        mean_spend: one.mean_spend.map(|mean| mean * 100.0),
        ..*one
    };
    let days: Vec<History> = histories.iter().map(days).collect();
    let scaled = Purchases::fit(&days, Loss::AfterRepeats).unwrap();
    near("r in days", scaled.r, purchases.r, 1e-3);
    near("alpha in days", scaled.alpha, purchases.alpha * 7.0, 1e-3);
    near("v in cents", Spend::fit(&days).unwrap().v, spend.v * 100.0, 1e-2);
}

#[test]
fn predictions_are_those_of_lifetimes() {
    let golden = golden();
    let histories = histories(&golden);
    let of = |set: &str, name: &str| golden[set][name].as_f64().unwrap();
    let purchases = Purchases {
        loss: Loss::AfterRepeats,
        r: of("purchases", "r"),
        alpha: of("purchases", "alpha"),
        a: of("purchases", "a"),
        b: of("purchases", "b"),
    };
    let spend = Spend { p: of("spend", "p"), q: of("spend", "q"), v: of("spend", "v") };
    let list = |name: &str| {
        golden[name].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect::<Vec<_>>()
    };
    let (alive, expected, mean) = (list("alive"), list("expected"), list("mean_spend"));
    assert_eq!(alive.len(), 25);
    let modified = Purchases {
        loss: Loss::AfterAny,
        r: of("modified", "r"),
        alpha: of("modified", "alpha"),
        a: of("modified", "a"),
        b: of("modified", "b"),
    };
    let (modified_alive, modified_expected) = (list("modified_alive"), list("modified_expected"));
    for (at, history) in histories.iter().take(25).enumerate() {
        near("modified alive", modified.alive(history), modified_alive[at], 1e-9);
        near("modified expected", modified.expected(history, 39.0).unwrap(), modified_expected[at], 1e-8);
        near("alive", purchases.alive(history), alive[at], 1e-9);
        near("expected", purchases.expected(history, 39.0).unwrap(), expected[at], 1e-8);
        near("mean spend", spend.expected(history).unwrap(), mean[at], 1e-9);
    }
}
