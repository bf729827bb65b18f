//! Numbers of NumPy and SciPy: `tests/reference/make_drift.py`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use ecommerce_ml_drift::energy::energy_of;
use ecommerce_ml_drift::gamma;
use ecommerce_ml_drift::mean::Mean;
use ecommerce_ml_drift::null_distribution::NullDistribution;
use ecommerce_ml_drift::stability::Counts;
use serde_json::Value;

fn golden(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../../tests/reference/drift.json")).unwrap();
    all[name].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect()
}

fn assert_near(one: f64, other: &Value, relative: f64) {
    let other = other.as_f64().unwrap();
    assert!((one - other).abs() <= relative * other.abs(), "{one} {other}");
}

#[test]
fn counts_are_as_far_apart() {
    for case in golden("counts") {
        let counts =
            |name: &str| case[name].as_array().unwrap().iter().map(|one| one.as_u64().unwrap()).collect();
        let counts = Counts { baseline: counts("baseline"), current: counts("current") };
        assert_near(counts.population_stability(), &case["population_stability"], 1e-12);
        assert_near(counts.jensen_shannon(), &case["jensen_shannon"], 1e-9);
    }
}

#[test]
fn quantiles_are_those_of_chi_squared() {
    for case in golden("quantiles") {
        let (degrees, p) = (case["degrees"].as_f64().unwrap(), case["p"].as_f64().unwrap());
        let null = NullDistribution::ChiSquared { degrees, scale: 1.0, power: 1 };
        let x = null.threshold(p);
        assert_near(x, &case["chi2"], 1e-9);
        assert_near(null.p_value(x), &case["p"], 1e-8);
        assert_near(gamma::lower(degrees / 2.0, x / 6.0), &case["cdf"], 1e-8);
    }
}

#[test]
fn energy_is_that_of_one_dimension() {
    for case in golden("energies") {
        #[allow(clippy::cast_possible_truncation)]
        let vectors =
            |name: &str| numbers(&case[name]).into_iter().map(|one| vec![one as f32]).collect::<Vec<_>>();
        let (value, _) = energy_of(&vectors("x"), &vectors("y")).unwrap();
        assert_near(value, &case["energy_distance"], 1e-5);
    }
}

#[test]
fn a_change_of_means_has_welchs_error() {
    for case in golden("means") {
        let mean = |name: &str| {
            let mut mean = Mean::default();
            numbers(&case[name]).into_iter().for_each(|one| mean.add(one));
            mean
        };
        let change = mean("x").change(&mean("y")).unwrap();
        assert_near(change.value, &case["change"], 1e-9);
        let NullDistribution::Normal { error, .. } = change.null else { panic!("{:?}", change.null) };
        assert_near(error, &case["error"], 1e-9);
    }
}
