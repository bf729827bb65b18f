//! Jobs that can't be done are refused, with the reason.

use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_protocol::training::Objective;
use serde_json::json;

use crate::kit::{job, job_of, number, refused, row, stars, text, two_classes};
use crate::support::tiny;

#[test]
fn too_few_rows_or_classes() {
    let one = (0..20).map(|at| row(text(4, at), "good")).collect();
    let error = refused(job("bert-embedding", Objective::Classification, json!({}), one));
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::InvalidRequest, "training needs at least two classes")
    );
    assert_eq!(error.detail.as_deref(), Some("There are 20 rows: 20 of \"good\"."));
    for rows in [vec![], two_classes(1), two_classes(7)] {
        let error = refused(job("bert-embedding", Objective::Classification, json!({}), rows));
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::InvalidRequest, "training needs at least 8 rows")
        );
        assert!(error.detail.unwrap().starts_with("There "));
    }
    let same = (0..20).map(|at| number(text(4, at), 4.0)).collect();
    let error = refused(job("bert-embedding", Objective::Rating, json!({}), same));
    assert_eq!(error.message, "training needs at least two classes");
}

#[test]
fn numbers_that_never_change() {
    for (label, message) in [(7.0, "All 20 rows have label 7."), (-0.5, "All 20 rows have label -0.5.")] {
        let same = (0..20).map(|at| number(text(at % 5, at), label)).collect();
        let error = refused(job("bert-embedding", Objective::Regression, json!({}), same));
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::InvalidRequest, "training needs at least two different numbers")
        );
        assert_eq!(error.detail.as_deref(), Some(message));
    }
}

#[test]
fn labels_that_look_alike_or_show_nothing() {
    let with = |odd: &str| {
        let mut rows = two_classes(20);
        rows.push(row("a text", odd));
        refused(job("bert-embedding", Objective::Classification, json!({}), rows))
    };
    for odd in ["Good", "good ", "\tgood", "good\u{200b}", "GOOD\u{a0}"] {
        let error = with(odd);
        assert_eq!(error.message, "labels differ only in case or white space");
        let detail = error.detail.unwrap();
        assert!(detail.contains("10 of \"good\"") && detail.contains(&format!("1 of \"{odd}\"")), "{detail}");
        assert!(error.hint.unwrap().contains("lower(trim(label))"));
    }
    for odd in ["", " ", "\u{feff}"] {
        let error = with(odd);
        assert_eq!(error.message, "a label is blank");
        assert_eq!(error.detail.as_deref(), Some("Rows with a blank label: 1."));
    }
}

#[test]
fn too_many_classes() {
    let rows = (0..1001).map(|at| row(text(at % 5, at), at.to_string())).collect();
    let error = refused(job("bert-embedding", Objective::Classification, json!({}), rows));
    assert_eq!(error.message, "training is for at most 1000 classes, not 1001");
}

#[test]
fn labels_that_the_objective_does_not_have() {
    for (objective, label, message) in [
        (Objective::Rating, 6.0, "label 6 is not a number of stars from 1 to 5"),
        (Objective::Rating, 0.5, "label 0.5 is not a number of stars from 1 to 5"),
        (Objective::Rating, f64::NAN, "label NaN is not a finite number"),
        (Objective::Regression, f64::INFINITY, "label inf is not a finite number"),
        (Objective::Regression, 1e300, "label 1e300 is too large: the largest is 1e30"),
        (Objective::Classification, 1.0, "a classification needs classes, not numbers"),
    ] {
        let mut rows = if objective == Objective::Classification { two_classes(20) } else { stars(20) };
        rows.push(number("a text", label));
        let error = refused(job("bert-embedding", objective, json!({}), rows));
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidRequest, message));
    }
    let error = refused(job("bert-embedding", Objective::Regression, json!({}), two_classes(20)));
    assert!(error.message.ends_with("is not a number"));
}

#[test]
fn options_that_do_not_fit() {
    for (options, part) in [
        (json!({ "learning_rat": 1 }), "learning_rat"),
        (json!({ "freeze_layers": 3 }), "but the model has 2 layers"),
        (json!({ "class_weights": { "ugly": 1.0 } }), "ugly"),
    ] {
        let error = refused(job("bert-embedding", Objective::Classification, options, two_classes(20)));
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert!(error.message.contains(part), "{error:?}");
    }
}

#[test]
fn what_does_not_fit_into_memory() {
    let mut job = job("bert-embedding", Objective::Classification, json!({}), two_classes(20));
    job.plan.memory_limit = 1 << 20;
    let error = refused(job);
    assert_eq!(error.kind, ErrorKind::OutOfMemory);
    assert!(error.message.contains("more than the 1048576 it may take"), "{}", error.message);
    assert!(error.hint.unwrap().contains("ecommerce_ml.training_memory"));
}

#[test]
fn trainings_that_diverge() {
    // Weights so large that what comes of them is infinite.
    let files = tiny("bert-embedding").edit_tensors(|tensors| {
        let weight = "encoder.layer.0.intermediate.dense.weight";
        (0..32).for_each(|at| tensors.set(weight, at, if at % 2 == 0 { 3e38 } else { -3e38 }));
    });
    for options in [json!({}), json!({ "tuning": "lora" })] {
        let error = refused(job_of(files.files(), Objective::Classification, options, two_classes(40)));
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert_eq!(error.message, "training has diverged: gradients of update 1 are not finite");
        assert!(error.hint.unwrap().contains("learning_rate"));
    }
}

#[test]
fn damaged_bases() {
    let files = tiny("bert-embedding").without("model.safetensors").files();
    let job = job_of(files, Objective::Classification, json!({}), two_classes(20));
    assert_eq!(refused(job).kind, ErrorKind::FileMissing);
}
