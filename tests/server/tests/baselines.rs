//! A model goes live by itself only if it is better than what the labels alone are worth; and what makes labels worthless is said.

use std::process::Stdio;

use ecommerce_ml_server_tests::jobs::{options, prepare, said, succeed, train};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::{Value, json};

const F32: &str = "ecommerce_ml.precision = 'f32'";

/// A training that learns nothing.
fn idle(changes: Value) -> Value {
    let mut options = json!({"learning_rate": 1e-9, "num_train_epochs": 1});
    for (name, value) in changes.as_object().expect("changes are an object") {
        options[name] = value.clone();
    }
    options
}

/// Five texts of six are bad: it takes some learning to be right more often than who always answers that. A head of random weights
/// is, but by chance.
const FEW_GOOD: &str = "SELECT body, label FROM labelled WHERE label = 'bad' OR id % 10 = 0";

fn shop(rows: u32) -> (Cluster, Client) {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, rows);
    (cluster, session)
}

fn trained(session: &mut Client, call: &str) -> (i64, String) {
    let job: i64 = ask(session, call);
    succeed(session, job);
    (job, said(session, job))
}

fn of_job(session: &mut Client, column: &str, job: i64) -> Value {
    ask(session, &format!("SELECT {column} FROM ecommerce_ml.jobs WHERE job = {job}"))
}

fn live(session: &mut Client) -> Option<i32> {
    ask(session, "SELECT max(live_version) FROM ecommerce_ml.models WHERE name = 'mine'")
}

/// The call that trains `mine` from a query of `labelled`.
fn train_from(session: &mut Client, query: &str, task: &str, changes: Value) -> String {
    run(session, &format!("DROP VIEW IF EXISTS seen; CREATE VIEW seen AS {query}"));
    train("mine", "label", task, changes).replace("'labelled'", "'seen'")
}

#[test]
fn a_first_version_that_learned_nothing_is_not_deployed() {
    let (cluster, mut session) = shop(400);
    let call = train_from(&mut session, FEW_GOOD, "classification", idle(json!({})));
    let (job, outcome) = trained(&mut session, &call);
    assert!(
        outcome.starts_with("succeeded; not deployed: it is not better ")
            && outcome.contains("than always answering \"bad\" (accuracy ")
            && outcome.contains(" against 0.8333 on 48 rows, p = "),
        "{outcome}"
    );
    assert_eq!(live(&mut session), None);
    let refused = fails_with(&mut session, "SELECT ecommerce_ml.predict_class('good', 'mine')", "42704");
    assert_eq!(refused.message(), "model \"mine\" has no live version");
    assert!(refused.hint().is_some_and(|hint| hint.contains("deploy_model('mine', 1)")));
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_class('good', 'mine@1')");

    let baseline = of_job(&mut session, "baseline", job);
    assert_eq!(baseline["label"], json!("bad"));
    let close = |name: &str, expected: f64| {
        let found = baseline["metrics"][name].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{name} is {found}");
    };
    close("accuracy", 40.0 / 48.0);
    close("macro_f1", 40.0 / 88.0);
    close("log_loss", 6.0_f64.ln() - 5.0 / 6.0 * 5.0_f64.ln());
    let comparison = &baseline["comparison"];
    assert_eq!(
        (&comparison["beaten"], &comparison["testable"], &comparison["test"], &comparison["rows"]),
        (&json!(false), &json!(true), &json!("mcnemar"), &json!(48))
    );
    let stored: Value = ask(
        &mut session,
        "SELECT metrics -> 'baseline' FROM ecommerce_ml.model_versions WHERE name = 'mine'",
    );
    assert_eq!(stored, baseline["metrics"]);
    let stored: Value = ask(
        &mut session,
        "SELECT training -> 'baseline' FROM ecommerce_ml.model_versions WHERE name = 'mine'",
    );
    assert_eq!(stored, baseline);
    let beside: f64 = ask(
        &mut session,
        "SELECT (baseline ->> 'accuracy')::float8 FROM ecommerce_ml.job_metrics WHERE epoch = 1",
    );
    assert!((beside - 40.0 / 48.0).abs() < 1e-12);

    // Whoever insists is told.
    let call = train_from(&mut session, FEW_GOOD, "classification", idle(json!({"deploy": "always"})));
    let (_, outcome) = trained(&mut session, &call);
    assert!(outcome.starts_with("succeeded; deployed, as asked, although it is not better "), "{outcome}");
    assert_eq!(live(&mut session), Some(2));
    assert!(
        cluster
            .log()
            .contains("WARNING:  version 2 of model \"mine\", of job 2, is deployed, as asked, although")
    );

    let (_, outcome) = trained(&mut session, &train("yours", "label", "classification", json!({})));
    assert!(
        outcome.starts_with("succeeded; deployed: it is better than always answering \"bad\" (accuracy ")
            && outcome.ends_with(", p = 0.0000), and there was no live version"),
        "{outcome}"
    );
}

#[test]
fn what_is_better_than_a_bad_live_version_still_has_to_be_better_than_the_labels() {
    let (_cluster, mut session) = shop(400);
    let upside_down =
        FEW_GOOD.replace("label FROM", "CASE label WHEN 'good' THEN 'bad' ELSE 'good' END AS label FROM");
    let call = train_from(&mut session, &upside_down, "classification", json!({"deploy": "always"}));
    trained(&mut session, &call);
    let call = train_from(&mut session, FEW_GOOD, "classification", idle(json!({})));
    let (job, outcome) = trained(&mut session, &call);
    assert!(
        outcome.starts_with("succeeded; not deployed: it is better than version 1 (accuracy "),
        "{outcome}"
    );
    assert!(outcome.contains("), but it is not better "), "{outcome}");
    assert_eq!(of_job(&mut session, "comparison", job)["better"], json!(true));
    let call = train_from(&mut session, FEW_GOOD, "classification", json!({}));
    let (_, outcome) = trained(&mut session, &call);
    assert!(outcome.starts_with("succeeded; deployed: it is better than version 1 (accuracy "), "{outcome}");
    assert_eq!(live(&mut session), Some(3));
}

#[test]
fn stars_and_numbers_are_held_against_the_median() {
    let (_cluster, mut session) = shop(400);
    // Most are of 5 stars, and cost 120, so that the mean is far from most.
    let skewed = "SELECT body, CASE WHEN id % 5 = 0 THEN 1 ELSE 5 END AS stars,
                         CASE WHEN id % 5 = 0 THEN 80 ELSE 120 END AS price FROM labelled";
    for (column, task, median, always) in [
        ("stars", "rating", 5.0, "always answering 5 stars (mae "),
        ("price", "regression", 120.0, "always answering 120 (mae "),
    ] {
        let query = format!("SELECT body, {column} AS label FROM ({skewed}) AS s");
        let call = train_from(&mut session, &query, task, idle(json!({})));
        let (job, outcome) = trained(&mut session, &call);
        assert!(
            outcome.starts_with(&format!("succeeded; not deployed: it is not better than {always}")),
            "{outcome}"
        );
        let baseline = of_job(&mut session, "baseline", job);
        assert_eq!(baseline["median"], json!(median));
        let number = |value: &Value| value.as_f64().unwrap();
        let spread = if task == "rating" { 4.0 } else { 40.0 };
        let mean = median - spread / 5.0;
        assert!((number(&baseline["mean"]) - mean).abs() < spread / 20.0, "{baseline}");
        let (mae, rmse) = (number(&baseline["metrics"]["mae"]), number(&baseline["metrics"]["rmse"]));
        assert!((mae - spread / 5.0).abs() < spread / 10.0 && rmse > mae, "{baseline}");
        assert_eq!(baseline["comparison"]["baseline"], baseline["metrics"]["mae"]);
        assert_eq!(live(&mut session), None);
        run(&mut session, "SELECT ecommerce_ml.drop_model('mine')");
    }
    for (label, task, answer) in [("stars", "rating", "stars"), ("price", "regression", "")] {
        let call = train(label, label, task, json!({"num_train_epochs": 10}));
        let (_, outcome) = trained(&mut session, &call);
        assert!(
            outcome.starts_with("succeeded; deployed: it is better than always answering ")
                && outcome.contains(&format!("{answer} (mae "))
                && outcome.ends_with(", p = 0.0001), and there was no live version"),
            "{outcome}"
        );
    }
}

#[test]
fn labels_that_contradict_each_other_do_not_go_live_and_are_counted() {
    let (cluster, mut session) = shop(100);
    let same = "SELECT 'the same'::text AS body, label FROM labelled";
    let call = train_from(&mut session, same, "classification", json!({}));
    let (job, outcome) = trained(&mut session, &call);
    assert_eq!(outcome, "succeeded; not deployed: nothing is measured: no rows are held out");
    assert_eq!(live(&mut session), None);
    let notices = of_job(&mut session, "notices", job);
    assert_eq!(
        notices[0],
        json!({"kind": "contradicting_labels", "texts": 1, "rows": 100,
               "message": "1 text has more than one label, in 100 rows"})
    );
    let kinds: Vec<&str> =
        notices.as_array().unwrap().iter().map(|notice| notice["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["contradicting_labels", "repeated_rows", "nothing_held_out"]);
    assert_eq!(notices[1]["rows"], json!(98));
    // Whoever waits is told, and so is the server's log.
    let said = format!("job {job}: 1 text has more than one label, in 100 rows");
    for wait in ["SELECT ecommerce_ml.wait_for_job", "CALL ecommerce_ml.await_job"] {
        let told = cluster.psql("postgres", &["-c", &format!("{wait}({job})")], Stdio::null());
        assert!(told.contains(&format!("NOTICE:  {said}")), "{wait}: {told}");
    }
    assert!(cluster.log().contains(&format!("LOG:  {said}")));

    // Texts with both labels, in other letters.
    let both = "SELECT CASE label WHEN 'bad' THEN upper(body) ELSE body || ' ' END AS body, label
                FROM (SELECT 'text ' || id / 2 AS body, label FROM labelled WHERE id BETWEEN 2 AND 99) AS l";
    let call = train_from(&mut session, both, "classification", json!({"eval_fraction": 0.5}));
    let (job, outcome) = trained(&mut session, &call);
    assert!(
        outcome.starts_with("succeeded; not deployed: it is not better than always answering "),
        "{outcome}"
    );
    assert_eq!(of_job(&mut session, "baseline", job)["comparison"]["baseline"], json!(0.5));
    let notices = of_job(&mut session, "notices", job);
    assert_eq!((&notices[0]["texts"], &notices[0]["rows"]), (&json!(49), &json!(98)));
    assert_eq!((&notices[1]["kind"], &notices[1]["texts"]), (&json!("similar_texts"), &json!(98)));
    let (job, _) = trained(&mut session, &train("clean", "label", "classification", json!({})));
    assert_eq!(of_job(&mut session, "notices", job), json!([]));
}

#[test]
fn copies_that_are_held_out_are_one_piece_of_evidence() {
    let (_cluster, mut session) = shop(40);
    let copied = "SELECT body, label FROM labelled, generate_series(1, 10)";
    let call = train_from(&mut session, copied, "classification", json!({}));
    let (job, _) = trained(&mut session, &call);
    let rows: String = ask(
        &mut session,
        &format!(
            "SELECT concat_ws(' ', training_rows, held_out_rows) FROM ecommerce_ml.jobs WHERE job = {job}"
        ),
    );
    assert_eq!(rows, "320 8");
    let notices = of_job(&mut session, "notices", job);
    assert_eq!(
        notices,
        json!([{"kind": "repeated_rows", "rows": 360, "held_out_rows": 72,
                "message": "360 rows repeat others; 72 of them are neither learned from nor measured on, since what is held \
                            out counts once"}])
    );
    assert_eq!(of_job(&mut session, "baseline", job)["comparison"]["rows"], json!(8));
}

#[test]
fn with_few_rows_it_is_enough_to_be_better_at_all() {
    let (_cluster, mut session) = shop(40);
    let learns = json!({"num_train_epochs": 12});
    let (job, outcome) = trained(&mut session, &train("mine", "label", "classification", learns));
    assert_eq!(
        outcome,
        "succeeded; deployed: it is better than always answering \"bad\" (accuracy 1.0000 against 0.5000 on 8 rows, \
         too few for a test), and there was no live version"
    );
    let comparison = of_job(&mut session, "baseline", job)["comparison"].clone();
    assert_eq!(
        (&comparison["better"], &comparison["testable"], &comparison["beaten"]),
        (&json!(false), &json!(false), &json!(true))
    );
    // What is not measured is not better.
    for (wish, expected) in [
        ("if_better", "succeeded; not deployed: nothing is measured: no rows are held out"),
        ("always", "succeeded; deployed, as asked, although nothing is measured: no rows are held out"),
        ("never", "succeeded; not deployed, as asked"),
    ] {
        let blind = json!({"eval_fraction": 0, "num_train_epochs": 1, "deploy": wish});
        let (job, outcome) = trained(&mut session, &train("blind", "label", "classification", blind));
        assert_eq!(outcome, expected);
        let row: bool =
            ask(&mut session, &format!("SELECT baseline IS NULL FROM ecommerce_ml.jobs WHERE job = {job}"));
        assert!(row);
        if wish == "if_better" {
            run(&mut session, "SELECT ecommerce_ml.drop_model('blind')");
        }
    }
}

#[test]
fn a_schedule_deploys_what_is_better_only() {
    let (_cluster, mut session) = shop(400);
    run(&mut session, &format!("CREATE VIEW seen AS {FEW_GOOD}"));
    let schedule = |changes: Value| {
        format!(
            "SELECT ecommerce_ml.schedule_training('mine', NULL, 'seen', 'body', 'label', base => 'tiny', \
             min_new_rows => 0, options => $${}$$)",
            options(changes)
        )
    };
    let due = "SELECT ecommerce_ml.run_scheduled_training('mine')";
    run(&mut session, &schedule(idle(json!({"deploy": "if_better"}))));
    let (_, outcome) = trained(&mut session, due);
    assert!(outcome.starts_with("succeeded; not deployed: it is not better "), "{outcome}");
    run(&mut session, &schedule(json!({})));
    let (_, outcome) = trained(&mut session, due);
    assert!(outcome.starts_with("succeeded; deployed: it is better than always answering"), "{outcome}");
    assert_eq!(live(&mut session), Some(2));
    run(&mut session, &schedule(idle(json!({}))));
    let (_, outcome) = trained(&mut session, due);
    assert!(outcome.starts_with("succeeded; not deployed: it is not better than version 2 ("), "{outcome}");
}

#[test]
fn an_evaluation_shows_what_the_labels_alone_are_worth() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE marked AS SELECT 'It is good ' || i AS body, (ARRAY[5, 5, 4, 1])[1 + i % 4] AS stars,
                (ARRAY[true, true, false])[1 + i % 3] AS liked FROM generate_series(0, 11) AS i;
         INSERT INTO marked VALUES (' ', 1, false), ('unmarked', NULL, NULL)",
    );
    let mut found = |model: &str, label: &str| -> String {
        let query = format!(
            "SELECT string_agg(metric || ' ' || round(value::numeric, 4), ', ' ORDER BY metric)
             FROM ecommerce_ml.evaluate_model('{model}', 'marked', 'body', '{label}') WHERE metric LIKE 'baseline%'"
        );
        ask(&mut session, &query)
    };
    // Half of them have 5 stars: median 4.5, mean 3.75.
    assert_eq!(
        found("reviews", "stars"),
        "baseline_accuracy 0.5000, baseline_log_loss 1.0397, baseline_macro_f1 0.2222, baseline_mae 1.2500, baseline_rmse 1.6394"
    );
}
