//! Toy languages are learned.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::Job;
use ecommerce_ml_protocol::training::{Label, Objective, TrainingRows};
use ecommerce_ml_protocol::{LabelScheme, Task};
use serde_json::{Value, json};

use crate::kit::{
    Row, Said, job, job_of, number, range, refused, row, run, run_with, sent, stars, text, two_classes,
};
use crate::support::root;

/// Options that learn a toy language quickly.
fn options(tuning: Value) -> Value {
    let mut options = json!({
        "num_train_epochs": 12,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 16,
        "hidden_dropout": 0.0,
        "eval_fraction": 0.2,
    });
    options.as_object_mut().unwrap().extend(tuning.as_object().unwrap().clone());
    options
}

fn tunings() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "freeze_layers": 1, "num_train_epochs": 20 }),
        json!({ "tuning": "lora", "learning_rate": 1e-2, "num_train_epochs": 20 }),
        json!({ "tuning": "lora", "learning_rate": 2e-2, "freeze_layers": 1, "num_train_epochs": 20 }),
        json!({ "tuning": "head", "learning_rate": 2e-2, "num_train_epochs": 40 }),
    ]
}

#[test]
fn classes_are_learned_with_every_tuning() {
    for model in ["bert-classification-3", "distilbert-regression", "roberta-embedding"] {
        for tuning in tunings() {
            let said = run(job(model, Objective::Classification, options(tuning.clone()), two_classes(200)));
            let finished = said.finished();
            // Nothing in the frozen encoders, whose weights are random, tells words apart on purpose.
            let least = if tuning == json!({}) { 0.99 } else { 0.7 };
            assert!(said.metric("accuracy") > least, "{model} {tuning}: {:?}", said.finished().metrics);
            assert_eq!(finished.info.labels(), ["bad", "good"]);
            let prepared = said.prepared.unwrap();
            assert_eq!((prepared.training_rows + prepared.held_out_rows, prepared.resumed_at), (200, 0));
            assert_eq!(prepared.labels, [("bad".to_owned(), 100), ("good".to_owned(), 100)]);
        }
    }
}

/// Rows about three things, said in words that only an encoder that has read before relates to each other.
fn complaints() -> Vec<Row> {
    let things = ["kettle", "lamp", "phone", "bag", "toaster", "tent", "camera", "chair", "clock", "mirror"];
    let sentences = [
        (
            "delivery",
            ["The % came two weeks late.", "My % got lost in the mail.", "Still waiting for the %."],
        ),
        ("quality", ["The % broke after a day.", "The % fell to pieces at once.", "The % stopped working."]),
        (
            "price",
            ["The % is far too expensive.", "I paid twice what the % is worth.", "This % costs a fortune."],
        ),
    ];
    let rows = sentences
        .iter()
        .flat_map(|(topic, sentences)| sentences.iter().map(move |sentence| (topic, sentence)));
    rows.flat_map(|(topic, sentence)| things.map(|thing| row(sentence.replace('%', thing), *topic))).collect()
}

#[test]
fn an_encoder_that_knows_words_learns_with_every_tuning() {
    let base = ModelFiles::from_directory(&root().join("models/reviews")).unwrap();
    for tuning in [
        json!({ "learning_rate": 2e-4 }),
        json!({ "learning_rate": 3e-4, "freeze_layers": 4 }),
        json!({ "tuning": "lora", "learning_rate": 2e-3 }),
        json!({ "tuning": "head", "num_train_epochs": 40 }),
    ] {
        let mut options =
            json!({ "num_train_epochs": 5, "eval_fraction": 0.2, "per_device_train_batch_size": 16 });
        options.as_object_mut().unwrap().extend(tuning.as_object().unwrap().clone());
        let mut job = job_of(base.clone(), Objective::Classification, options, complaints());
        job.plan.memory_limit = 4 << 30;
        let said = run(job);
        assert!(said.metric("accuracy") >= 0.9, "{tuning}: {:?}", said.finished().metrics);
    }
}

#[test]
fn stars_are_learned_with_every_tuning() {
    for tuning in tunings() {
        let said = run(job("bert-gelu-new", Objective::Rating, options(tuning.clone()), stars(400)));
        assert!(
            said.metric("mae") < if tuning == json!({}) { 0.3 } else { 0.9 },
            "{tuning}: {:?}",
            said.finished().metrics
        );
        assert!(LabelScheme::of(said.finished().info.labels()).has_rating());
    }
}

#[test]
fn numbers_are_learned_in_their_unit() {
    for tuning in tunings() {
        let rows = (0..300).map(|at| number(text(at % 5, at / 5), 5000.0 + 100.0 * (at % 5) as f64));
        let job =
            job("roberta-classification-3", Objective::Regression, options(tuning.clone()), rows.collect());
        let said = run(job);
        assert!(
            said.metric("mae") < if tuning == json!({}) { 40.0 } else { 120.0 },
            "{tuning}: {:?}",
            said.finished().metrics
        );
        assert_eq!(said.finished().info.task(), Task::Regression);
    }
}

#[test]
fn stars_may_lie_between_two() {
    let rows = (0..300).map(|at| number(text(at % 5, at / 5), [1.0, 1.5, 3.0, 3.5, 5.0][at % 5])).collect();
    let said = run(job("bert-embedding", Objective::Rating, options(json!({})), rows));
    assert!(said.metric("mae") < 0.3, "{:?}", said.finished().metrics);
}

#[test]
fn stars_may_be_known_to_lie_in_a_range() {
    let own = |at: usize| {
        let (text, stars) = (text(at % 5, at / 5), at % 5);
        match (at / 5 % 2, stars) {
            (0, _) => number(text, (stars + 1) as f64),
            (_, 0 | 1) => range(text, 1.0, 2.0),
            (_, 2) => range(text, 2.0, 4.0),
            _ => range(text, 4.0, f64::INFINITY),
        }
    };
    let exact_options = options(json!({ "eval_fraction": 0.2 }));
    let said = run(job("bert-embedding", Objective::Rating, exact_options, (0..400).map(own).collect()));
    assert!(said.metric("mae") < 0.4, "{:?}", said.finished().metrics);
    // About a fifth of the rows of which all is known.
    let held_out = said.prepared.as_ref().unwrap().held_out_rows;
    assert!((20..=60).contains(&held_out), "{held_out}");
}

#[test]
fn what_hardly_changes_can_be_learned() {
    let rows = (0..40).map(|at| number(text(at % 5, at), if at == 3 { 7.5 } else { 7.25 })).collect();
    let said =
        run(job("bert-regression", Objective::Regression, options(json!({ "num_train_epochs": 40 })), rows));
    assert!(said.metric("mae") < 0.2, "{:?}", said.finished().metrics);
}

#[test]
fn a_thousand_classes_are_learned() {
    let rows = (0..3000).map(|at| row(text(at % 5, at), format!("class {}", at % 1000))).collect();
    let options = json!({ "num_train_epochs": 1, "tuning": "head" });
    let said = run(job("bert-classification-3", Objective::Classification, options, rows));
    assert_eq!(said.finished().info.labels().len(), 1000);
}

#[test]
fn integers_and_truths_are_classes() {
    for (labels, expected) in [(["10", "9"], ["9", "10"]), (["true", "false"], ["false", "true"])] {
        let rows = (0..60).map(|at| row(text(4 * (at % 2), at / 2), labels[at % 2])).collect();
        let said = run(job("bert-classification-3", Objective::Classification, options(json!({})), rows));
        assert_eq!(said.finished().info.labels(), expected);
    }
}

#[test]
fn long_texts_contradictions_and_duplicates_do_no_harm() {
    let mut rows = two_classes(60);
    rows.extend((0..4).map(|at| row("good ".repeat(20_000), ["bad", "good"][at % 2])));
    rows.extend(two_classes(30));
    rows.extend((0..10).map(|_| row("the same", "good")));
    rows.push(row("the same", "bad"));
    let options = json!({ "num_train_epochs": 1, "per_device_train_batch_size": 64 });
    let said = run(job("distilbert-classification", Objective::Classification, options, rows));
    assert!(said.metric("count") > 0.0);
}

#[test]
fn order_of_rows_and_threads_make_no_difference() {
    for (tuning, swap) in [("full", 0.0), ("head", 0.0), ("lora", 0.0), ("full", 0.1), ("head", 0.1)] {
        let augment = json!({ "word_swap": swap, "synonym": swap });
        let options = json!({ "num_train_epochs": 2, "tuning": tuning, "seed": 7, "augment": augment });
        let make = |rows| job("bert-classification-3", Objective::Classification, options.clone(), rows);
        let one = run_with(make(two_classes(80)), 1).unwrap();
        let mut rows = two_classes(80);
        rows.rotate_left(31);
        rows.reverse();
        for threads in [1, 2, 3] {
            let other = run_with(make(rows.clone()), threads).unwrap();
            assert_eq!(one.losses(), other.losses(), "{tuning}");
            assert_eq!(one.model(), other.model(), "{tuning}");
            assert_eq!(one.prepared, other.prepared);
        }
        let other = json!({ "num_train_epochs": 2, "tuning": tuning, "seed": 8 });
        let other = run(job("bert-classification-3", Objective::Classification, other, two_classes(80)));
        assert_ne!(one.model(), other.model());
    }
}

#[test]
fn size_of_micro_batches_aside_accumulated_batches_are_one_batch() {
    let run = |size: usize, accumulation: usize| {
        let options = json!({
            "num_train_epochs": 1, "hidden_dropout": 0.0, "tuning": "head", "learning_rate": 1e-2,
            "per_device_train_batch_size": size, "gradient_accumulation_steps": accumulation,
            "label_smoothing": 0.1, "class_weights": "balanced", "eval_fraction": 0.0,
        });
        // RoBERTa's heads have dropout of the classifier only, which `hidden_dropout` sets too.
        run(job("roberta-embedding", Objective::Classification, options, two_classes(64)))
    };
    let (whole, parted) = (run(64, 1), run(16, 4));
    assert_eq!(whole.prepared.as_ref().unwrap().steps, parted.prepared.as_ref().unwrap().steps);
    let (one, other) = (whole.epochs[0].training_loss, parted.epochs[0].training_loss);
    assert!((one - other).abs() < 1e-5, "{one} {other}");
}

#[test]
fn changed_texts_are_learned() {
    for changes in [
        json!({ "augment": { "word_drop": 0.1, "word_swap": 0.1, "noise": 0.02, "synonym": 0.1 } }),
        json!({ "adversarial_epsilon": 0.1 }),
        json!({ "tuning": "lora", "learning_rate": 1e-2, "augment": { "word_swap": 0.2 } }),
        json!({ "tuning": "head", "learning_rate": 2e-2, "augment": { "word_swap": 0.2 } }),
    ] {
        let learn = |changes: Value| {
            run(job("bert-gelu-new", Objective::Classification, options(changes), two_classes(200)))
        };
        let mut without = changes.clone();
        without.as_object_mut().unwrap().retain(|name, _| name == "tuning" || name == "learning_rate");
        let (with, without) = (learn(changes.clone()), learn(without));
        assert!(with.metric("accuracy") > 0.7, "{changes}: {:?}", with.finished().metrics);
        assert_ne!(with.losses(), without.losses(), "{changes}");
        assert_eq!(with.prepared.unwrap().steps, without.prepared.unwrap().steps);
    }
}

#[test]
fn scarce_classes_are_repeated() {
    let mut rows = two_classes(100);
    rows.retain(|row| row.label == Label::Class("good".to_owned()) || row.text.ends_with('3'));
    let steps = |augment: Value| {
        let options = json!({ "num_train_epochs": 1, "per_device_train_batch_size": 1, "augment": augment });
        run(job("bert-embedding", Objective::Classification, options, rows.clone())).prepared.unwrap().steps
    };
    assert!(steps(json!({ "duplicate": 1 })) > steps(json!({})) + 30);
}

#[test]
fn paraphrases_and_synonyms_take_the_place_of_words() {
    let learn = |augment: Value| {
        let options = json!({ "num_train_epochs": 1, "augment": augment });
        let mut rows = two_classes(60);
        rows.iter_mut().for_each(|row| row.paraphrases = vec![format!("indeed {}", row.text)]);
        let mut job = job("bert-embedding", Objective::Classification, options, rows);
        job.synonyms = vec![("great".to_owned(), "nice".to_owned()), ("awful".to_owned(), "poor".to_owned())];
        run(job)
    };
    let plain = learn(json!({}));
    let synonyms = learn(json!({ "synonym": 1, "synonym_table": "synonyms" }));
    let paraphrases = learn(json!({ "back_translation": 0.5, "back_translation_function": "paraphrase" }));
    assert!(synonyms.model() != plain.model() && paraphrases.model() != plain.model());
    let steps = |said: &Said| said.prepared.as_ref().unwrap().steps;
    assert_eq!([&plain, &synonyms, &paraphrases].map(steps), [2; 3]);
}

#[test]
fn without_rows_held_out_nothing_is_evaluated() {
    let options = json!({ "eval_fraction": 0, "num_train_epochs": 2 });
    let said = run(job("bert-embedding", Objective::Classification, options, two_classes(20)));
    assert_eq!(said.prepared.as_ref().unwrap().held_out_rows, 0);
    assert!(said.epochs.iter().all(|epoch| epoch.evaluation.is_empty() && !epoch.best));
    assert!(said.finished().metrics.is_empty() && said.finished().comparison.is_none());
    assert_eq!(said.finished().epoch, 2);
}

#[test]
fn the_best_epoch_counts_and_patience_ends() {
    let options = json!({
        "num_train_epochs": 50, "learning_rate": 1e-2, "early_stopping_patience": 2,
        "metric_for_best_model": "f1", "hidden_dropout": 0.0,
    });
    let said = run(job("bert-classification-3", Objective::Classification, options, two_classes(120)));
    let finished = said.finished();
    assert!(finished.stopped_early && said.epochs.len() < 50);
    assert_eq!(finished.epoch as usize, said.epochs.len() - 2);
    assert!(said.epochs[finished.epoch as usize - 1].best);
    let names: Vec<&str> = said.epochs[0].evaluation.iter().map(|metric| metric.name.as_str()).collect();
    for name in ["loss", "accuracy", "macro_f1", "log_loss", "calibration_error", "count"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[test]
fn an_incumbent_is_compared_on_the_same_rows() {
    let mut rows = two_classes(200);
    rows.iter_mut().for_each(|row| {
        let good = row.label == Label::Class("good".to_owned());
        row.label = Label::Class(if good { "positive" } else { "negative" }.to_owned());
    });
    let mut job = job("bert-classification-3", Objective::Classification, options(json!({})), rows);
    (job.plan.incumbent, job.incumbent) = (job.plan.base.clone(), job.base.clone());
    let said = run(job);
    let comparison = said.finished().comparison.clone().unwrap();
    assert_eq!((comparison.metric.as_str(), comparison.test.as_str()), ("accuracy", "mcnemar"));
    assert_eq!(comparison.new, said.metric("accuracy"));
    assert!(comparison.better && comparison.wins > comparison.losses, "{comparison:?}");
}

#[test]
fn an_incumbent_of_something_else_is_not_compared() {
    let mut job =
        job("bert-classification-3", Objective::Classification, options(json!({})), two_classes(40));
    job.incumbent = Some(crate::support::tiny("bert-regression").files());
    job.plan.incumbent = job.plan.base.clone();
    assert_eq!(run(job).finished().comparison, None);
}

#[test]
fn the_latest_rows_are_held_out() {
    let rows = two_classes(100);
    let with = |times: Vec<i64>, fraction: f64| {
        let sent = TrainingRows { times, ..sent(&rows) };
        let options = options(json!({ "eval_fraction": fraction, "num_train_epochs": 1 }));
        let mut job = job("bert-embedding", Objective::Classification, options, Vec::new());
        job.plan.call.has_time = true;
        Job { rows: vec![sent], ..job }
    };
    let prepared = run(with((0..100).collect(), 0.2)).prepared.unwrap();
    assert_eq!((prepared.training_rows, prepared.held_out_rows), (80, 20));
    let baseline = prepared.baseline.unwrap();
    assert_eq!((baseline.metrics[0].name.as_str(), baseline.metrics[0].value), ("accuracy", 0.5));
    let prepared = run(with((0..100).map(|at| at / 25).collect(), 0.2)).prepared.unwrap();
    assert_eq!((prepared.training_rows, prepared.held_out_rows), (75, 25));
    let error = refused(with(vec![7; 100], 0.2));
    assert_eq!(error.message, "no rows can be held out by time, because all are of the same moment");
    let error = refused(with((0..100).map(|at| 100 * (at % 2) + at).collect(), 0.5));
    assert!(error.message.starts_with("all rows to learn from have the same label"), "{}", error.message);
}

#[test]
fn the_labels_alone_are_measured_on_the_same_rows() {
    let said =
        run(job("bert-classification-3", Objective::Classification, options(json!({})), two_classes(200)));
    let against = said.finished().against_baseline.clone().unwrap();
    assert!(against.testable && against.beaten && against.comparison.better, "{against:?}");
    assert_eq!(against.comparison.new, said.metric("accuracy"));
    let baseline = said.prepared.as_ref().unwrap().baseline.clone().unwrap();
    assert_eq!(baseline.label.as_deref(), Some("bad"));
    assert_eq!(baseline.metrics[0].name, "accuracy");
    assert_eq!((baseline.metrics[0].value, against.comparison.incumbent), (0.5, 0.5));

    let said = run(job("bert-embedding", Objective::Rating, options(json!({})), stars(200)));
    let against = said.finished().against_baseline.clone().unwrap();
    assert!((against.comparison.new - said.metric("mae")).abs() < 1e-6, "{against:?}");
    let baseline = said.prepared.as_ref().unwrap().baseline.clone().unwrap();
    assert_eq!(baseline.median, Some(3.0));
    assert!((baseline.mean.unwrap() - 3.0).abs() < 1e-12);
    let mae = baseline.metrics.iter().find(|metric| metric.name == "mae").unwrap().value;
    assert!((mae - 1.2).abs() < 1e-12 && against.comparison.incumbent == mae, "{baseline:?}");
}

#[test]
fn what_contradicts_itself_is_counted_and_is_not_better_than_its_labels() {
    let learn = |rows: Vec<Row>, changes: Value| {
        run(job("bert-classification-3", Objective::Classification, options(changes), rows))
    };
    let same = (0..100).map(|number| row("the same", ["a", "b"][number % 2])).collect();
    let said = learn(same, json!({ "num_train_epochs": 1 }));
    let prepared = said.prepared.as_ref().unwrap();
    assert_eq!((prepared.held_out_rows, &prepared.baseline), (0, &None));
    assert_eq!((prepared.findings.contradicting_rows, prepared.findings.repeated_rows), (100, 98));
    assert_eq!(said.finished().against_baseline, None);

    let both = (0..200).map(|number| row(text(0, number / 2), ["a", "b"][number % 2])).collect();
    let said = learn(both, json!({ "num_train_epochs": 3 }));
    let prepared = said.prepared.as_ref().unwrap();
    assert_eq!(prepared.findings.contradicting_texts, 100);
    assert_eq!(prepared.training_rows + prepared.held_out_rows, 200);
    let against = said.finished().against_baseline.clone().unwrap();
    assert!(against.testable && !against.beaten, "{against:?}");
    assert_eq!((against.comparison.new, against.comparison.incumbent), (0.5, 0.5));
}
