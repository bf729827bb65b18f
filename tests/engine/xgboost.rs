//! The wrapper of XGBoost's library: what it promises, and what it refuses.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ecommerce_ml_xgboost::{Booster, Error, Library, Matrix};

fn parameters() -> Vec<(&'static str, String)> {
    let of = |value: &str| value.to_owned();
    vec![
        ("objective", of("reg:squarederror")),
        ("base_score", of("0")),
        ("tree_method", of("hist")),
        ("max_depth", of("2")),
        ("eta", of("1")),
        ("lambda", of("0")),
        ("min_child_weight", of("0")),
    ]
}

#[test]
fn trees_grow_along_their_gradients() {
    let library = Library::get().unwrap();
    assert!(library.version() >= (1, 7, 0), "{:?}", library.version());
    let features: Vec<f32> = (0..8).map(|row| row as f32).collect();
    let wanted: Vec<f32> = (0..8).map(|row| if row < 3 { -1.0 } else { 2.0 }).collect();
    let matrix = Arc::new(Matrix::new(&library, &features, 1).unwrap());
    assert_eq!(matrix.rows(), 8);
    let mut booster = Booster::new(&library, vec![Arc::clone(&matrix)], &parameters()).unwrap();
    let mut margins = vec![0.0; 8];
    for round in 0..2 {
        let mut first: Vec<f32> =
            margins.iter().zip(&wanted).map(|(margin, wanted)| margin - wanted).collect();
        booster.boost(0, round, &mut first, &mut [1.0; 8]).unwrap();
        let added = booster.margins_of_round(0, round).unwrap();
        margins.iter_mut().zip(added).for_each(|(margin, added)| *margin += added);
    }
    assert_eq!((&margins, &booster.margins(&matrix).unwrap()), (&wanted, &wanted));
    let again = Booster::from_json(&library, &booster.to_json().unwrap()).unwrap();
    let missing = Matrix::new(&library, &[1.0, 6.0, f32::NAN], 1).unwrap();
    let margins = again.margins(&missing).unwrap();
    assert_eq!(margins[..2], [-1.0, 2.0]);
    assert!(margins[2].is_finite());
}

#[test]
fn what_does_not_fit_is_refused() {
    let library = Library::get().unwrap();
    assert!(matches!(Matrix::new(&library, &[1.0; 3], 2), Err(Error::Invalid(_))));
    assert!(matches!(Matrix::new(&library, &[], 2), Err(Error::Invalid(_))));
    let matrix = Arc::new(Matrix::new(&library, &[1.0; 4], 2).unwrap());
    let mut booster = Booster::new(&library, vec![matrix], &parameters()).unwrap();
    assert!(matches!(booster.boost(0, 0, &mut [1.0; 3], &mut [1.0; 3]), Err(Error::Invalid(_))));
    assert!(matches!(booster.boost(1, 0, &mut [1.0; 2], &mut [1.0; 2]), Err(Error::Invalid(_))));
    let Err(Error::Refused(message)) = Booster::from_json(&library, b"{\"no\": \"model\"}") else {
        panic!("a model of nothing")
    };
    assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    let mut parameters = parameters();
    parameters.push(("max_depth", "deep".to_owned()));
    let matrix = Arc::new(Matrix::new(&library, &[1.0; 4], 2).unwrap());
    let refused = Booster::new(&library, vec![matrix], &parameters)
        .and_then(|mut booster| booster.boost(0, 0, &mut [1.0; 2], &mut [1.0; 2]));
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
}

/// What the library remembers of a booster must not be told of a later one, whichever threads they are asked by.
#[test]
fn a_booster_is_not_mistaken_for_an_earlier_one() {
    let library = Library::get().unwrap();
    let features: Vec<f32> = (0..8).map(|row| row as f32).collect();
    let matrix = Arc::new(Matrix::new(&library, &features, 1).unwrap());
    let mut at_first = Vec::new();
    for number in 0..40_u32 {
        let mut booster = Booster::new(&library, vec![Arc::clone(&matrix)], &parameters()).unwrap();
        for round in 0..2 {
            // All rows are of one value, another one for each booster.
            booster.boost(0, round, &mut [number as f32; 8], &mut [1.0; 8]).unwrap();
        }
        let asked = |booster: Booster| {
            let first = booster.margins_of_round(0, 0).unwrap();
            (booster, first[0])
        };
        let (booster, first) = std::thread::scope(|scope| scope.spawn(|| asked(booster)).join().unwrap());
        let (_booster, again) = asked(booster);
        assert!(
            (first + number as f32).abs() < 1e-6 && (again + number as f32).abs() < 1e-6,
            "{number}: {first}, {again}"
        );
        at_first.push(first);
    }
    assert_eq!(at_first.len(), 40);
}
