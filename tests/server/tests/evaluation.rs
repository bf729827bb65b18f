//! What models are worth is measured as scikit-learn does, on the rows that the calling role sees, in little memory.

use std::fs;

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::installation::repository;
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::Value;

/// The engine's probabilities differ by less from those of `transformers` in f32.
const TOLERANCE: f64 = 1e-4;

fn json(path: &str) -> Value {
    let text = fs::read_to_string(repository().join("tests/reference").join(path));
    serde_json::from_str(&text.expect("golden numbers can be read")).expect("golden numbers are JSON")
}

/// A metric of the built-in model on table `marked`.
fn metric(session: &mut Client, metric: &str, class: &str) -> f64 {
    let query =
        format!("SELECT value FROM measured WHERE metric = '{metric}' AND coalesce(class, '') = '{class}'");
    ask(session, &query)
}

fn class_name(class: usize) -> String {
    if class == 0 { "1 star".to_owned() } else { format!("{} stars", class + 1) }
}

#[test]
fn metrics_of_the_built_in_model_are_those_of_scikit_learn() {
    // The reference has predictions of any text, in whatever script.
    let cluster =
        Cluster::with_settings(&["ecommerce_ml.precision = 'f32'", "ecommerce_ml.answer_unreadable = on"]);
    let mut session = cluster.session();
    run(&mut session, "CREATE TABLE marked (body text, stars int)");
    let (texts, golden) = (json("expected/reviews.json"), json("metrics.json"));
    let case = &golden["built_in"][0];
    for (text, class) in texts["texts"].as_array().unwrap().iter().zip(case["actual"].as_array().unwrap()) {
        let stars = class.as_i64().unwrap() as i32 + 1;
        session.execute("INSERT INTO marked VALUES ($1, $2)", &[&text.as_str(), &stars]).unwrap();
    }
    run(
        &mut session,
        "CREATE TABLE measured AS SELECT * FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'stars')",
    );
    for (name, expected) in case["expected"].as_object().unwrap() {
        match expected {
            Value::Number(expected) => {
                let computed = metric(&mut session, name, "");
                let gap = computed - expected.as_f64().unwrap();
                assert!(gap.abs() < TOLERANCE, "{name} is {computed}, not {expected}");
            }
            Value::Array(row) if row.iter().all(Value::is_number) && name != "labels" => {
                for (class, expected) in row.iter().enumerate() {
                    let computed = metric(&mut session, name, &class_name(class));
                    let gap = computed - expected.as_f64().unwrap();
                    assert!(gap.abs() < TOLERANCE, "{name} of {class} is {computed}, not {expected}");
                }
            }
            _ => (),
        }
    }
    let matrix: Vec<i64> = ask(
        &mut session,
        "SELECT array_agg(count ORDER BY actual, predicted) \
         FROM ecommerce_ml.confusion_matrix('reviews', 'marked', 'body', 'stars')",
    );
    let expected = case["expected"]["confusion_matrix"].as_array().unwrap().iter();
    let expected: Vec<i64> =
        expected.flat_map(|row| row.as_array().unwrap().iter().filter_map(Value::as_i64)).collect();
    assert_eq!(matrix, expected);
}

const COUNT: &str = "SELECT value FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'stars') WHERE metric = 'count'";

/// A role `analyst` that owns nothing, and a table of four rows, two of them for it.
fn with_analyst() -> (Cluster, Client, Client) {
    let cluster = Cluster::new();
    let mut superuser = cluster.session();
    run(
        &mut superuser,
        "CREATE ROLE analyst LOGIN; CREATE TABLE marked (body text, stars int, secret int, reader text); \
         INSERT INTO marked VALUES ('Good', 5, 1, 'analyst'), ('Bad', 1, 1, 'analyst'), \
         ('Awful', 1, 1, 'other'), ('Fine', 4, 1, 'other')",
    );
    let analyst = cluster.session_as("analyst", "postgres");
    (cluster, superuser, analyst)
}

#[test]
fn rows_are_read_with_the_privileges_of_the_caller() {
    let (cluster, mut superuser, mut analyst) = with_analyst();
    fails_with(&mut analyst, COUNT, "42501");
    run(&mut superuser, "GRANT SELECT (body, stars) ON marked TO analyst");
    assert!((ask::<f64>(&mut analyst, COUNT) - 4.0).abs() < 0.5);
    for call in [
        "evaluate_predictions('marked', 'stars', 'secret')",
        "evaluate_model('reviews', 'marked', 'body', 'secret')",
        "confusion_matrix('reviews', 'marked', 'reader', 'stars')",
    ] {
        fails_with(&mut analyst, &format!("SELECT ecommerce_ml.{call}"), "42501");
    }
    run(
        &mut superuser,
        "ALTER TABLE marked ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON marked USING (reader = current_user)",
    );
    assert!((ask::<f64>(&mut analyst, COUNT) - 2.0).abs() < 0.5);
    assert!((ask::<f64>(&mut superuser, COUNT) - 4.0).abs() < 0.5);
    import_reference(&cluster, &mut superuser, "shop", CLASSIFIER);
    fails_with(&mut analyst, &COUNT.replace("'reviews'", "'shop'"), "42501");
}

#[test]
fn relations_of_every_kind_are_read_whatever_the_search_path() {
    let (cluster, mut superuser, _analyst) = with_analyst();
    let file = cluster.folder("rows").join("marked.csv").display().to_string();
    run(
        &mut superuser,
        &format!(
            "COPY marked (body, stars) TO '{file}' (FORMAT csv); CREATE EXTENSION file_fdw; \
             CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; \
             CREATE FOREIGN TABLE afar (body text, stars int) SERVER files OPTIONS (filename '{file}', format 'csv')"
        ),
    );
    run(
        &mut superuser,
        "CREATE SCHEMA \"a \"\"b\"; CREATE VIEW \"a \"\"b\".\"select\" AS SELECT body, stars FROM marked; \
         CREATE MATERIALIZED VIEW kept AS SELECT body, stars FROM marked; \
         CREATE TABLE parted (body text, stars int) PARTITION BY LIST (stars); \
         CREATE TABLE parted_low PARTITION OF parted FOR VALUES IN (1, 2); \
         CREATE TABLE parted_high PARTITION OF parted FOR VALUES IN (3, 4, 5); \
         INSERT INTO parted SELECT body, stars FROM marked; \
         CREATE TEMPORARY TABLE passing AS SELECT body, stars FROM marked; \
         CREATE SCHEMA trap; CREATE FUNCTION trap.count() RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'; \
         CREATE DOMAIN trap.text AS int; CREATE DOMAIN trap.float8 AS int; SET search_path = trap, pg_catalog",
    );
    for relation in [
        "\"a \"\"b\".\"select\"",
        "public.kept",
        "public.afar",
        "public.parted",
        "pg_temp.passing",
        "public.marked",
    ] {
        let query = COUNT.replace("'marked'", &format!("'{relation}'"));
        assert!((ask::<f64>(&mut superuser, &query) - 4.0).abs() < 0.5, "{relation}");
        let query = format!(
            "SELECT value FROM ecommerce_ml.evaluate_predictions('{relation}', 'stars', 'stars') WHERE metric = 'accuracy'"
        );
        assert!((ask::<f64>(&mut superuser, &query) - 1.0).abs() < 1e-9, "{relation}");
    }
}

/// Most memory that the session's server process ever had, in KiB.
fn peak(session: &mut Client) -> i64 {
    let pid: i32 = ask(session, "SELECT pg_backend_pid()");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_large_relation_is_read_in_little_memory() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    // Rows of 60 kB, most of it blank: 360 MB of text in few pages, and few different ones to compute.
    run(
        &mut session,
        "CREATE TABLE marked AS SELECT 'Good.' || repeat(' ', 60000) || i % 4 AS body, 1 + i % 5 AS stars, \
         i::float8 AS number FROM generate_series(1, 6000) AS i; \
         SELECT * FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'stars') LIMIT 0; \
         SELECT ecommerce_ml.predict_class('Good.'), sum(length(body)) FROM marked",
    );
    let before = peak(&mut session);
    assert!((ask::<f64>(&mut session, COUNT) - 6000.0).abs() < 0.5);
    run(
        &mut session,
        "CREATE TABLE numbers AS SELECT i::float8 AS number FROM generate_series(1, 300000) AS i",
    );
    run(&mut session, "SELECT ecommerce_ml.evaluate_predictions('numbers', 'number', 'number')");
    let grown = peak(&mut session) - before;
    assert!(grown < 60 << 10, "{grown} KiB more");
}

#[test]
fn an_evaluation_can_be_cancelled_and_sees_its_own_transaction() {
    let (_cluster, mut superuser, _analyst) = with_analyst();
    let _: f64 = ask(&mut superuser, COUNT);
    run(&mut superuser, "BEGIN; INSERT INTO marked VALUES ('Fine, but loud', 3, 1, 'other')");
    assert!((ask::<f64>(&mut superuser, COUNT) - 5.0).abs() < 0.5);
    run(
        &mut superuser,
        "ROLLBACK; CREATE TABLE long AS SELECT i || repeat(' not bad', 2000) AS body, 3 AS stars \
                         FROM generate_series(1, 500) AS i; SET statement_timeout = '1s'",
    );
    fails_with(&mut superuser, &COUNT.replace("'marked'", "'long'"), "57014");
    run(&mut superuser, "RESET statement_timeout");
    assert!((ask::<f64>(&mut superuser, COUNT) - 4.0).abs() < 0.5);
}
