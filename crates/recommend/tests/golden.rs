//! Item-item weights as numpy computes them, factors as `implicit` does: tests/reference/make_recommend.py.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ecommerce_ml_recommend::als::{self, AlsSettings};
use ecommerce_ml_recommend::ease::{self, EaseSettings};
use ecommerce_ml_recommend::scorer::Scorer;
use ecommerce_ml_recommend::{Event, Interactions, SparseMatrix, Weighting};
use serde_json::Value;

fn reference() -> (Value, SparseMatrix) {
    let reference: Value =
        serde_json::from_str(include_str!("../../../tests/reference/recommend.json")).unwrap();
    let width = reference["items"].as_u64().unwrap();
    let names: Vec<String> = (0..100).map(|name| format!("{name:03}")).collect();
    let counts = reference["counts"].as_array().unwrap().iter().zip(0_u64..);
    let event = |(count, at): (&Value, u64)| Event {
        customer: u32::try_from(at / width).unwrap(),
        item: u32::try_from(at % width).unwrap(),
        weight: count.as_f64().unwrap(),
        time: 0,
    };
    let interactions = Interactions::new(&names, &names, counts.map(event).collect());
    assert_eq!(interactions.customers.len() as u64, reference["customers"].as_u64().unwrap());
    (reference, Weighting::Linear.apply(&interactions.matrix))
}

fn close(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < tolerance, "{found} {expected}");
}

#[test]
fn item_item_weights_are_those_of_numpy() {
    let (reference, weights) = reference();
    for case in reference["ease"].as_array().unwrap() {
        let number = |name: &str| case[name].as_f64().unwrap();
        let settings = EaseSettings {
            regularization: number("regularization"),
            dropout: number("dropout"),
            power: number("power"),
        };
        let found = ease::fit(&weights, settings, usize::MAX).unwrap();
        let mut dense = vec![0.0; found.width * found.width];
        for row in 0..found.width {
            found.entries(row).for_each(|(column, value)| dense[row * found.width + column as usize] = value);
        }
        for (&found, expected) in dense.iter().zip(case["weights"].as_array().unwrap()) {
            close(f64::from(found), expected, 1e-6);
        }
        let pruned = ease::fit(&weights, settings, 3).unwrap();
        assert!(pruned.transposed().offsets.windows(2).all(|pair| pair[1] - pair[0] == 3));
    }
}

#[test]
fn factors_give_the_scores_of_implicit_and_say_what_they_are_made_of() {
    let (reference, weights) = reference();
    for case in reference["als"].as_array().unwrap() {
        let whole = |name: &str| usize::try_from(case[name].as_u64().unwrap()).unwrap();
        let settings = AlsSettings {
            factors: whole("factors"),
            regularization: case["regularization"].as_f64().unwrap(),
            alpha: case["alpha"].as_f64().unwrap(),
            iterations: whole("iterations"),
            seed: case["seed"].as_u64().unwrap(),
        };
        let scorer = Scorer::Als(als::fit(&weights, settings));
        for (row, expected) in case["scores"].as_array().unwrap().chunks(weights.width).enumerate() {
            let scores = scorer.scores(weights.row(row));
            for (target, expected) in expected.iter().enumerate() {
                close(f64::from(scores.scores[target]), expected, 2e-5);
                let parts: f64 = scorer.contributions(&scores, weights.row(row), target).iter().sum();
                close(parts, expected, 2e-5);
            }
        }
    }
}
