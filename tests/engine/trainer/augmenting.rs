//! What changes of texts leave as it is, and what of them is refused.

use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_protocol::training::{Label, Objective};
use serde_json::{Value, json};

use crate::kit::{Row, Said, job, number, refused, row, run, run_with, two_classes};

fn options(more: &Value) -> Value {
    let mut options = json!({ "num_train_epochs": 2, "hidden_dropout": 0.0, "learning_rate": 1e-3 });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

fn learned(more: &Value, rows: Vec<Row>) -> Said {
    let mut job = job("bert-classification-3", Objective::Classification, options(more), rows);
    if more.to_string().contains("synonym_table") {
        let pairs = [("Good", "fine"), ("bad", "poor"), ("price", "cost"), ("box", "parcel"), ("the", "a")];
        job.synonyms = pairs.map(|(word, synonym)| (word.to_owned(), synonym.to_owned())).to_vec();
    }
    run(job)
}

#[test]
fn what_is_held_out_never_changes() {
    let plain = learned(&json!({}), two_classes(80));
    // Nothing is learned at this rate, so evaluations tell whether what is held out is the same.
    let untrained = learned(&json!({ "learning_rate": 1e-30 }), two_classes(80));
    for changes in [
        json!({ "word_drop": 0.3 }),
        json!({ "word_swap": 0.5 }),
        json!({ "noise": 0.1 }),
        json!({ "synonym": 1.0, "synonym_table": "synonyms" }),
    ] {
        let changed = learned(&json!({ "augment": changes }), two_classes(80));
        assert_ne!(changed.epochs[0].training_loss, plain.epochs[0].training_loss, "{changes}");
        assert_ne!(changed.model(), plain.model(), "{changes}");
        let changed = learned(&json!({ "augment": changes, "learning_rate": 1e-30 }), two_classes(80));
        assert_ne!(changed.epochs[0].training_loss, changed.epochs[1].training_loss, "{changes}");
        assert_eq!(changed.epochs[1].evaluation, untrained.epochs[1].evaluation, "{changes}");
        assert_eq!(changed.finished().metrics, untrained.finished().metrics, "{changes}");
    }
}

/// 20 rows of one class and 5 of another.
fn lopsided() -> Vec<Row> {
    let is = |row: &Row, class: &str| row.label == Label::Class(class.to_owned());
    let (bad, good): (Vec<_>, Vec<_>) = two_classes(40).into_iter().partition(|row| is(row, "bad"));
    bad.into_iter().chain(good.into_iter().take(5)).collect()
}

#[test]
fn scarce_classes_are_learned_from_as_often_as_asked_for() {
    for (share, rows) in [(0.0, 25), (0.5, 30), (1.0, 40)] {
        let options = json!({
            "per_device_train_batch_size": 1, "eval_fraction": 0.0, "augment": { "duplicate": share },
        });
        assert_eq!(learned(&options, lopsided()).prepared.unwrap().steps, 2 * rows, "{share}");
    }
}

#[test]
fn classes_with_copies_are_balanced_already() {
    let with = |weights: Value| {
        let options =
            json!({ "class_weights": weights, "eval_fraction": 0.0, "augment": { "duplicate": 1.0 } });
        learned(&options, lopsided()).losses()
    };
    assert_eq!(with(json!("balanced")), with(json!({})));
}

#[test]
fn neither_order_nor_threads_make_a_difference() {
    let options = options(&json!({ "adversarial_epsilon": 0.5, "augment": {
        "duplicate": 1.0, "synonym": 0.5, "word_drop": 0.2, "word_swap": 0.2, "noise": 0.05,
    } }));
    let make = |rows| job("bert-classification-3", Objective::Classification, options.clone(), rows);
    let mut rows = two_classes(50);
    let one = run_with(make(rows.clone()), 1).unwrap();
    rows.reverse();
    let other = run_with(make(rows), 3).unwrap();
    assert_eq!((one.losses(), one.model()), (other.losses(), other.model()));
}

#[test]
fn changes_that_cannot_be_made_are_refused() {
    let changes = json!({ "augment": { "synonym": 0.1, "synonym_table": "nothing" } });
    let mut empty = job("bert-embedding", Objective::Classification, changes, two_classes(20));
    empty.synonyms = vec![("good".to_owned(), "Good".to_owned())];
    let error = refused(empty);
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
    assert_eq!(error.message, "table of training option \"augment.synonym_table\" has no synonyms");
    let rows = (0..20).map(|at| number(format!("text {at}"), at as f64)).collect();
    let copies = json!({ "augment": { "duplicate": 1 } });
    let error = refused(job("bert-embedding", Objective::Regression, copies, rows));
    assert_eq!(error.message, "training option \"augment.duplicate\" is not for regressions");
}

#[test]
fn texts_without_words_stay_as_they_are() {
    let rows = (0..20).map(|at| row(["👍 !", "👎 ?"][at % 2], ["good", "bad"][at % 2])).collect();
    let drop = json!({ "augment": { "word_drop": 1.0, "noise": 1.0 }, "num_train_epochs": 1 });
    assert!(run_with(job("bert-embedding", Objective::Classification, drop, rows), 1).is_ok());
}
