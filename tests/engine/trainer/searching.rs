//! Learning rates and numbers of epochs that are looked for.

use ecommerce_ml_protocol::training::{Objective, Trial};
use serde_json::{Value, json};

use crate::kit::{Said, job, refused, run, stars, two_classes};

fn options(changes: Value) -> Value {
    let mut options = json!({
        "num_train_epochs": 3, "per_device_train_batch_size": 16, "eval_fraction": 0.2,
        "hyperparameter_search": {"trials": 5},
    });
    options.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    // What is given isn't looked for.
    options.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    options
}

fn settings(trial: &Trial) -> (f64, u64) {
    let settings: Value = serde_json::from_str(&trial.settings).unwrap();
    (settings["learning_rate"].as_f64().unwrap(), settings["num_train_epochs"].as_u64().unwrap())
}

fn best(said: &Said) -> &Trial {
    let last = said.trials.iter().map(|trial| trial.rung).max().unwrap();
    let trials = said.trials.iter().filter(|trial| trial.rung == last);
    trials.min_by(|one, other| one.loss.unwrap().total_cmp(&other.loss.unwrap())).unwrap()
}

#[test]
fn the_best_is_taken_and_named_among_the_options() {
    for (tuning, rows) in
        [(json!({"tuning": "head"}), 900), (json!({"tuning": "lora"}), 120), (json!({}), 120)]
    {
        let mut given = options(tuning.clone());
        given.as_object_mut().unwrap().remove("num_train_epochs");
        let search =
            || job("bert-classification-3", Objective::Classification, given.clone(), two_classes(rows));
        let said = run(search());
        assert_eq!(said.trials.iter().filter(|trial| trial.rung == 1).count(), 5, "{tuning}");
        // Four fifths of the rows to learn from; in the first rung a third of them, if there are many. (Equal texts stay together.)
        let rungs = said.trials.iter().map(|trial| trial.rung).max().unwrap();
        assert_eq!(rungs, 1, "{tuning}");
        let found = best(&said);
        assert_eq!(said.chosen, Some(found.number), "{tuning}");
        let (rate, epochs) = settings(found);
        let options: Value = serde_json::from_str(&said.prepared.as_ref().unwrap().options).unwrap();
        assert_eq!(options["learning_rate"], json!(rate), "{tuning}");
        assert_eq!(options["num_train_epochs"], json!(epochs), "{tuning}");
        assert_eq!(u64::from(said.prepared.as_ref().unwrap().epochs), epochs);
        assert_eq!(said.epochs.len() as u64, epochs, "{tuning}");
        // The training itself is that of somebody who had given what was found.
        let mut plain = given.clone();
        plain["learning_rate"] = json!(rate);
        plain["num_train_epochs"] = json!(epochs);
        plain.as_object_mut().unwrap().remove("hyperparameter_search");
        let same = run(job("bert-classification-3", Objective::Classification, plain, two_classes(rows)));
        assert_eq!(same.model(), said.model(), "{tuning}");
        assert_eq!(run(search()).model(), said.model(), "{tuning}");
    }
}

#[test]
fn what_was_found_outlives_an_interruption() {
    let search = || {
        let options = options(json!({"tuning": "head"}));
        let mut job = job("bert-classification-3", Objective::Rating, options, stars(100));
        job.plan.checkpoint_interval = 0;
        job
    };
    let whole = run(search());
    assert!(!whole.trials.is_empty() && whole.checkpoints.len() > 2);
    for (step, checkpoint) in &whole.checkpoints {
        let mut job = search();
        job.checkpoint.clone_from(checkpoint);
        let rest = run(job);
        assert_eq!(rest.prepared.as_ref().unwrap().resumed_at, *step);
        assert_eq!((rest.trials.len(), rest.chosen), (0, None), "nothing is looked for a second time");
        assert_eq!(rest.model(), whole.model());
        assert_eq!(rest.prepared.unwrap().options, whole.prepared.as_ref().unwrap().options);
    }
}

#[test]
fn what_cannot_be_looked_for_is_refused() {
    let message = |changes| {
        refused(job("bert-classification-3", Objective::Classification, options(changes), two_classes(40)))
            .message
    };
    assert_eq!(
        message(json!({"learning_rate": 1e-3})),
        "training option \"hyperparameter_search\" has nothing to look for"
    );
    assert_eq!(
        message(json!({"augment": {"noise": 0.1}})),
        "training option \"augment\" does not go with \"hyperparameter_search\""
    );
    assert_eq!(
        message(json!({"hyperparameter_search": {"trials": 1}})),
        "training option \"hyperparameter_search.trials\" must be a whole number from 4 to 200, not 1"
    );
}
