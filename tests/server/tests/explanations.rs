//! Explanations in SQL: they can be stopped, don't hold up other sessions, and read what the calling role may read.

use std::thread;
use std::time::{Duration, Instant};

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with, predict};
use postgres::Client;

/// Minutes of work.
const ENDLESS: &str =
    "SELECT count(*) FROM ecommerce_ml.explain_prediction(repeat('The zip broke after two washes. ', 20000))";

/// How long others may wait while that is explained, on a busy machine.
const PROMPT: Duration = Duration::from_secs(5);

fn explain(session: &mut Client) -> i64 {
    ask(session, "SELECT count(*) FROM ecommerce_ml.explain_prediction('It is a lamp.')")
}

#[test]
fn a_timeout_ends_an_explanation_and_others_go_on_meanwhile() {
    let cluster = Cluster::new();
    let (mut session, mut other) = (cluster.session(), cluster.session());
    assert_eq!(explain(&mut session), 5);
    run(&mut session, "SET statement_timeout = '4s'");
    thread::scope(|scope| {
        let long = scope.spawn(|| fails_with(&mut session, ENDLESS, "57014"));
        eventually("the engine works on it", || {
            ask::<bool>(&mut other, "SELECT coalesce(max(queued_texts), 0) > 0 FROM ecommerce_ml.stat_engine")
        });
        let start = Instant::now();
        predict(&mut other);
        assert_eq!(explain(&mut other), 5);
        assert!(start.elapsed() < PROMPT, "others waited {:?}", start.elapsed());
        long.join().expect("the statement is cancelled");
    });
    eventually("the engine has dropped it", || {
        ask::<bool>(&mut other, "SELECT queued_texts = 0 FROM ecommerce_ml.stat_engine")
    });
    run(&mut session, "RESET statement_timeout");
    assert_eq!(explain(&mut session), 5);
}

#[test]
fn a_stored_model_is_explained_after_it_has_been_dropped_from_memory() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    let sum = "SELECT round(sum(contribution)::numeric, 4)::float8 FROM ecommerce_ml.explain_prediction('not good', 'shop')";
    let first: f64 = ask(&mut session, sum);
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_class('not good', 'shop')");
    // Another session has no answer in its memory.
    let again: f64 = ask(&mut cluster.session(), sum);
    assert!((first - again).abs() < 1e-6, "{first} {again}");
    let loaded: i64 = ask(
        &mut session,
        "SELECT count(*) FROM ecommerce_ml.stat_models WHERE name = 'shop' AND loaded_bytes > 0",
    );
    assert_eq!(loaded, 2, "once to predict and once to explain");
    run(&mut session, "CREATE ROLE guest LOGIN");
    fails_with(&mut cluster.session_as("guest", "postgres"), sum, "42501");
}

#[test]
fn explanations_work_wherever_a_function_may_stand() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE said AS SELECT n AS id, 'Broken again, number ' || n AS body FROM generate_series(1, 20) AS n",
    );
    for query in [
        "SELECT count(*) FROM said, ecommerce_ml.explain_prediction(body)",
        "SELECT count(*) FROM (SELECT ecommerce_ml.explain_prediction(body) FROM said) AS s",
        "SELECT count(*) FROM said CROSS JOIN LATERAL (SELECT * FROM ecommerce_ml.explain_prediction(body) LIMIT 5) AS e",
        "SELECT sum(n)::bigint FROM said, LATERAL (SELECT count(*) AS n FROM ecommerce_ml.explain_prediction(body, 'reviews')) AS e",
    ] {
        assert!(ask::<i64>(&mut session, query) >= 100, "{query}");
    }
    run(
        &mut session,
        "PREPARE why (text) AS SELECT max(contribution) FROM ecommerce_ml.explain_prediction($1)",
    );
    for _ in 0..7 {
        run(&mut session, "EXECUTE why ('I love it')");
    }
    run(
        &mut session,
        "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; \
                       SET min_parallel_table_scan_size = 0",
    );
    assert!(
        ask::<i64>(&mut session, "SELECT count(*) FROM said, ecommerce_ml.explain_prediction(body)") >= 100
    );
}

const PHRASES: &str = "SELECT count(*) FROM ecommerce_ml.key_phrases('said', 'body', 'product', options => '{\"min_reviews\": 1}')";

#[test]
fn key_phrases_read_what_the_caller_may_read() {
    let cluster = Cluster::new();
    let mut superuser = cluster.session();
    run(
        &mut superuser,
        "CREATE ROLE analyst LOGIN; CREATE TABLE said (product int, body text, reader text) PARTITION BY LIST (product); \
         CREATE TABLE said1 PARTITION OF said FOR VALUES IN (1); CREATE TABLE said2 PARTITION OF said DEFAULT; \
         INSERT INTO said VALUES (1, 'Terrible sound', 'analyst'), (2, 'I love the colour', 'other')",
    );
    let mut analyst = cluster.session_as("analyst", "postgres");
    fails_with(&mut analyst, PHRASES, "42501");
    run(&mut superuser, "GRANT SELECT (product, body) ON said TO analyst");
    let all: i64 = ask(&mut analyst, PHRASES);
    run(
        &mut superuser,
        "ALTER TABLE said ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON said USING (reader = current_user)",
    );
    let own: i64 = ask(&mut analyst, PHRASES);
    assert!(0 < own && own < all, "{own} of {all}");
    let keys: Vec<String> = ask(
        &mut analyst,
        "SELECT array_agg(DISTINCT key) FROM ecommerce_ml.key_phrases('said', 'body', 'product', options => '{\"min_reviews\": 1}')",
    );
    assert_eq!(keys, ["1"]);
    fails_with(&mut analyst, &PHRASES.replace("'product'", "'reader'"), "42501");
    run(
        &mut superuser,
        "SET statement_timeout = '2s'; INSERT INTO said SELECT 3, 'Broken ' || repeat('so bad ', 200) || n, 'analyst' FROM generate_series(1, 300) AS n",
    );
    fails_with(&mut superuser, &PHRASES.replace("{", "{\"reviews_per_key\": 1000, "), "57014");
}
