//! Settings that are looked for.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_protocol::training::{Objective, Trial};
use ecommerce_ml_tabular::BoostedTrees;
use serde_json::{Value, json};

use crate::learning::orders;
use crate::trained::{Trained, job, job_of_trees, train, train_with};

fn searched(options: &str) -> Trained {
    let (rows, labels) = orders(4000);
    train_with(&BoostedTrees::new(2), job_of_trees(Objective::Classification, rows, labels, options)).unwrap()
}

fn settings(trial: &Trial) -> Value {
    serde_json::from_str(&trial.settings).unwrap()
}

const SHORT: &str = "\"n_estimators\": 40, \"early_stopping_rounds\": 10";

#[test]
fn the_best_of_some_settings_is_taken() {
    let options = format!("{{\"hyperparameter_search\": {{\"trials\": 6}}, {SHORT}}}");
    let trained = searched(&options);
    // All learn from a third of four fifths of 3,600 rows, then the better third and those that hold without a search from all.
    let of_rung = |rung: u32| -> BTreeMap<u32, &Trial> {
        let trials = trained.trials.iter().filter(|trial| trial.rung == rung);
        trials.map(|trial| (trial.number, trial)).collect()
    };
    let (first, last) = (of_rung(1), of_rung(2));
    assert_eq!(first.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!((3..=5).contains(&last.len()) && (1..=3).all(|own| last.contains_key(&own)), "{last:?}");
    assert!(first.values().all(|trial| (850..=1100).contains(&trial.rows)), "{first:?}");
    assert!(last.values().all(|trial| (2600..=3200).contains(&trial.rows)), "{last:?}");
    let depths: Vec<Value> = (1..=3).map(|own| settings(last[&own])["max_depth"].clone()).collect();
    assert_eq!(depths, [json!(2), json!(4), json!(6)]);
    let best = last.values().min_by(|one, other| one.loss.unwrap().total_cmp(&other.loss.unwrap())).unwrap();
    assert_eq!(trained.chosen, Some(best.number));
    assert_eq!(trained.prepared().epochs, 6 + 5 + 1);
    // One epoch is shown, the training with what was found.
    assert_eq!(trained.epochs.len(), 1);
    let again = searched(&options);
    assert_eq!(again.files, trained.files);
    let losses = |trained: &Trained| trained.trials.iter().map(|trial| trial.loss).collect::<Vec<_>>();
    assert_eq!(losses(&again), losses(&trained));
}

#[test]
fn what_is_given_is_not_looked_for() {
    let options = format!(
        "{{\"hyperparameter_search\": {{\"trials\": 5}}, \"max_depth\": 3, \"learning_rate\": 0.2, {SHORT}}}"
    );
    let trained = searched(&options);
    for trial in &trained.trials {
        let settings = settings(trial);
        assert_eq!((&settings["max_depth"], &settings["learning_rate"]), (&json!(3), &json!(0.2)));
    }
    let weights: Vec<f64> = trained
        .trials
        .iter()
        .filter(|trial| trial.rung == 1)
        .map(|trial| settings(trial)["min_child_weight"].as_f64().unwrap())
        .collect();
    assert_eq!((weights.len(), weights[0]), (5, 2.0));
    assert!(weights[1..].iter().all(|weight| (0.5..=50.0).contains(weight) && *weight != 2.0), "{weights:?}");
}

#[test]
fn linear_models_have_nothing_to_look_for() {
    let (rows, labels) = orders(100);
    let error =
        train(job(Objective::Classification, rows, labels, r#"{"hyperparameter_search": {}}"#)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
    assert_eq!(error.message, "unknown training option \"hyperparameter_search\"");
}
