//! Labels that say nothing for certain are refused at every door, with what to do.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, edit_config, import_statement, place_model};
use ecommerce_ml_server_tests::jobs::{prepare, said, train, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::json;

#[test]
fn a_label_names_one_class() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let twice = place_model(&cluster, CLASSIFIER, "twice");
    edit_config(&twice, &[("id2label", json!({"0": "good", "1": "bad", "2": "good"}))]);
    let error = fails_with(&mut session, &import_statement("mine", &twice), "22023");
    assert_eq!(error.message(), "config.json has label \"good\" more than once");
    assert!(error.hint().unwrap_or_default().contains("\"labels\""), "{error}");
    edit_config(&twice, &[("id2label", json!({"0": "good", "1": "bad", "2": " "}))]);
    let error = fails_with(&mut session, &import_statement("mine", &twice), "22023");
    assert_eq!(error.message(), "config.json gives class 2 a blank label");
    let named = |labels: &str| {
        let statement = import_statement("mine", &twice);
        format!("{}, '{{\"labels\": {labels}}}')", statement.trim_end_matches(')'))
    };
    fails_with(&mut session, &named("[\"a\", \"b\", \"a\"]"), "22023");
    fails_with(&mut session, &named("[\"a\", \"b\", \"\\u200b\"]"), "22023");
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.models WHERE name = 'mine'"), 0);
    assert_eq!(ask::<i32>(&mut session, &named("[\"a\", \"b\", \"c\"]")), 1);
    let sum: f64 = ask(
        &mut session,
        "SELECT sum(value::float8) FROM jsonb_each_text(ecommerce_ml.predict_probabilities('good', 'mine'))",
    );
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}

/// What comes of a training from a view of `labelled` with this label.
fn trained(session: &mut Client, label: &str, task: &str) -> String {
    run(session, &format!("CREATE OR REPLACE VIEW seen AS SELECT body, ({label}) AS label FROM labelled"));
    let call = train("mine", "label", task, json!({"num_train_epochs": 1})).replace("'labelled'", "'seen'");
    let job: i64 = ask(session, &call);
    wait(session, job);
    let said = said(session, job);
    run(session, "DROP VIEW seen");
    said
}

#[test]
fn labels_that_nobody_would_tell_apart_are_refused_with_their_counts() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 60);
    let misspelt = "(ARRAY['neg', 'neg ', 'NEG', 'pos', 'pos', 'pos'])[1 + id % 6]";
    assert_eq!(
        trained(&mut session, misspelt, "classification"),
        "failed; 22023; labels differ only in case or white space; \
         Rows: 10 of \"NEG\", 10 of \"neg\", 10 of \"neg \".; \
         Train from a view in which a class has one name, for example lower(trim(label))."
    );
    assert!(
        trained(&mut session, &format!("lower(trim({misspelt}))"), "classification").starts_with("succeeded")
    );
    let empty = "(ARRAY['neg', '', ' ', 'pos', 'pos', 'pos'])[1 + id % 6]";
    let end = trained(&mut session, empty, "classification");
    assert!(end.starts_with("failed; 22023; a label is blank; Rows with a blank label: 20.; "), "{end}");
    let end = trained(&mut session, &format!("nullif(trim({empty}), '')"), "classification");
    assert!(end.starts_with("succeeded"), "{end}");
}

#[test]
fn labels_that_are_no_numbers_or_never_change_are_refused() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 40);
    let nan = "CASE id % 3 WHEN 0 THEN 'NaN' ELSE id % 3 END";
    for (label, task) in [
        (format!("({nan})::float8"), "classification"),
        (format!("({nan})::real"), "classification"),
        (format!("({nan})::numeric"), "classification"),
        (format!("({nan})::float8"), "regression"),
        (format!("({nan})::numeric"), "rating"),
    ] {
        let end = trained(&mut session, &label.replace("id % 3 END", "(id % 3)::text END"), task);
        assert!(end.starts_with("failed; 22023; label NaN is not a finite number"), "{label} {task}: {end}");
    }
    let end = trained(&mut session, "CASE id % 2 WHEN 0 THEN 'NaN' ELSE 'Infinity' END", "classification");
    assert!(end.starts_with("succeeded"), "in a column of texts it is a word: {end}");
    let end = trained(&mut session, "7", "regression");
    assert!(
        end.starts_with(
            "failed; 22023; training needs at least two different numbers; All 40 rows have label 7."
        ),
        "{end}"
    );
    let end = trained(&mut session, "4", "rating");
    assert!(
        end.starts_with("failed; 22023; training needs at least two classes; There are 40 rows"),
        "{end}"
    );
}

#[test]
fn stars_may_be_ranges() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 80);
    run(&mut session, "CREATE DOMAIN stars AS numrange");
    let ranges = "CASE id % 4 WHEN 0 THEN '[4,5]' WHEN 1 THEN '[1,2]' WHEN 2 THEN '[5,5]' ELSE '[1,1]' END";
    for label in [
        format!("({ranges})::numrange"),
        format!("({ranges})::int4range"),
        format!("({ranges})::int8range"),
        format!("({ranges})::numrange::stars"),
        ranges.replace("[4,5]", "(3,)").replace("[1,2]", "(,3)"),
        ranges.replace("[4,5]", "[3.5,6)").replace("'[1,1]'", "NULL"),
        ranges.replace("[5,5]", "[4.5,4.5]"),
    ] {
        let label = if label.contains("::") { label } else { format!("({label})::numrange") };
        let end = trained(&mut session, &label, "rating");
        assert!(end.starts_with("succeeded"), "{label}: {end}");
    }
    let held_out = "SELECT held_out_rows FROM ecommerce_ml.jobs ORDER BY job DESC LIMIT 1";
    // Of the sixteen that would be, about half.
    assert!(
        (4..=12).contains(&ask::<i64>(&mut session, held_out)),
        "half of the rows are ranges, and are never held out"
    );
    for (label, message) in [
        (ranges.replace("[4,5]", "empty"), "a label is an empty range"),
        (ranges.replace("[4,5]", "[3.2,3.8]"), "label from 3.2 to 3.8 holds no number of stars from 1 to 5"),
        (ranges.replace("[4,5]", "(5,9)"), "label from 6 to 8 holds no number of stars from 1 to 5"),
    ] {
        let end = trained(&mut session, &format!("({label})::numrange"), "rating");
        assert!(end.starts_with(&format!("failed; 22023; {message}")), "{label}: {end}");
    }
    run(
        &mut session,
        &format!("CREATE VIEW seen AS SELECT body, ({ranges})::numrange AS label FROM labelled"),
    );
    for task in ["classification", "regression"] {
        let call = train("mine", "label", task, json!({})).replace("'labelled'", "'seen'");
        fails_with(&mut session, &call, "42804");
    }
    fails_with(
        &mut session,
        "SELECT ecommerce_ml.evaluate_model('reviews', 'seen', 'body', 'label')",
        "42804",
    );
}

#[test]
fn a_scheduled_run_refuses_what_a_training_does() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 40);
    run(
        &mut session,
        "CREATE VIEW seen AS SELECT body, (CASE id % 3 WHEN 0 THEN 'NaN' ELSE (id % 3)::text END)::float8 AS label,
             CASE id % 3 WHEN 0 THEN 'pos' WHEN 1 THEN 'POS' ELSE 'neg' END AS word,
             CASE WHEN id % 2 = 0 THEN body ELSE U&'\\200B' END AS half
         FROM labelled",
    );
    let schedule = |text: &str, label: &str| {
        format!(
            "SELECT ecommerce_ml.schedule_training('mine', NULL, 'seen', '{text}', '{label}', base => 'tiny', min_new_rows => 21)"
        )
    };
    let due = "SELECT ecommerce_ml.run_scheduled_training('mine')";
    run(&mut session, &schedule("body", "label"));
    fails_with(&mut session, due, "22023");
    run(&mut session, &schedule("body", "word"));
    let job: i64 = ask(&mut session, due);
    assert_eq!(wait(&mut session, job), "failed");
    let end = said(&mut session, job);
    assert!(
        end.starts_with("failed; 22023; labels differ only in case or white space; Rows: 14 of"),
        "{end}"
    );
    // Blank rows are no new ones.
    run(&mut session, &schedule("half", "word"));
    assert!(ask::<Option<i64>>(&mut session, due).is_none());
}
