//! Texts that change in a training: synonyms from a table of the user's, other words from a function of the user's.

use ecommerce_ml_server_tests::jobs::{prepare, said, submit, succeed, train, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use postgres::Client;
use serde_json::{Value, json};

const ROWS: u32 = 200;

/// A function that notes whom it was called by and with what, and has no other words for some texts.
const REWORD: &str = "
    CREATE TABLE called (body text, who name);
    CREATE FUNCTION reword(body text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO called VALUES (body, current_user);
        RETURN CASE WHEN body LIKE '%1' THEN NULL WHEN body LIKE '%2' THEN ' ' ELSE 'in other words, ' || body END;
    END $$";

fn augmented(changes: Value) -> Value {
    json!({"num_train_epochs": 1, "deploy": "always", "augment": changes})
}

fn reworded(probability: f64) -> Value {
    augmented(json!({"back_translation": probability, "back_translation_function": "reword"}))
}

fn with_synonyms(table: &str) -> Value {
    augmented(json!({"synonym": 0.5, "synonym_table": table}))
}

/// A cluster with rows to learn from, and a role that may do so, with a schema of its own.
fn shop() -> (Cluster, Client) {
    let cluster = Cluster::with_settings(&["ecommerce_ml.precision = 'f32'"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, ROWS);
    run(
        &mut session,
        "CREATE ROLE clerk LOGIN; CREATE SCHEMA AUTHORIZATION clerk; GRANT SELECT ON labelled TO clerk;
         SELECT ecommerce_ml.grant_model('tiny', 'clerk')",
    );
    (cluster, session)
}

/// Texts that the function was called with since it was asked last.
fn called(session: &mut Client) -> Vec<String> {
    ask(
        session,
        "WITH gone AS (DELETE FROM called RETURNING body) SELECT coalesce(array_agg(body ORDER BY body), '{}') FROM gone",
    )
}

#[test]
fn a_function_is_called_for_a_share_of_the_texts() {
    let (cluster, _) = shop();
    let mut clerk = cluster.session_as("clerk", "postgres");
    run(&mut clerk, REWORD);
    let job = submit(&mut clerk, "mine", reworded(0.5));
    succeed(&mut clerk, job);
    let others: i64 = ask(&mut clerk, "SELECT count(*) FROM called WHERE who <> 'clerk'");
    assert_eq!(others, 0);
    let first = called(&mut clerk);
    assert!((70..130).contains(&first.len()), "half of {ROWS} texts, more or less: {}", first.len());
    assert!(first.windows(2).all(|two| two[0] != two[1]), "each once");

    let job = submit(&mut clerk, "mine", reworded(0.5));
    succeed(&mut clerk, job);
    assert_eq!(called(&mut clerk), first, "the same ones with the same seed");
    let mut other = reworded(0.5);
    other["seed"] = json!(7);
    let job = submit(&mut clerk, "mine", other);
    succeed(&mut clerk, job);
    assert_ne!(called(&mut clerk), first);
    let job = submit(&mut clerk, "mine", reworded(1.0));
    succeed(&mut clerk, job);
    assert_eq!(called(&mut clerk).len(), ROWS as usize);
}

#[test]
fn an_error_in_a_function_is_the_end_of_the_job() {
    let (_cluster, mut session) = shop();
    run(
        &mut session,
        "CREATE FUNCTION reword(text) RETURNS text LANGUAGE plpgsql AS $$
         BEGIN
             RAISE EXCEPTION 'no translation today' USING ERRCODE = '08006', HINT = 'Try tomorrow.';
         END $$",
    );
    let job = submit(&mut session, "mine", reworded(0.5));
    assert_eq!(wait(&mut session, job), "failed");
    assert_eq!(said(&mut session, job), "failed; 08006; no translation today; Try tomorrow.");
}

#[test]
fn a_slow_function_does_not_keep_a_job_from_being_cancelled() {
    let (cluster, mut session) = shop();
    run(
        &mut session,
        "CREATE FUNCTION reword(body text) RETURNS text LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_sleep(0.5); RETURN body; END $$",
    );
    let job = submit(&mut session, "mine", reworded(1.0));
    eventually("the training process is there", || !cluster.trainers().is_empty());
    assert!(ask::<bool>(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})")));
    eventually("the training process has gone", || cluster.trainers().is_empty());
    assert_eq!(wait(&mut session, job), "cancelled");
}

#[test]
fn synonyms_of_a_table_are_learned_from() {
    let (cluster, mut session) = shop();
    let mut clerk = cluster.session_as("clerk", "postgres");
    run(
        &mut clerk,
        "CREATE TABLE words (word varchar, synonym text);
         INSERT INTO words VALUES ('great', 'fine'), ('lovely', 'nice'), ('awful', 'bad'), (NULL, 'x'), ('y', NULL);
         CREATE VIEW other_words AS SELECT 'zebra' || i AS word, 'horse' AS synonym FROM generate_series(1, 1000) AS i",
    );
    let mut weights = |table| {
        let job = submit(&mut clerk, "mine", with_synonyms(table));
        succeed(&mut clerk, job);
        let query = "SELECT sha256 FROM ecommerce_ml.model_versions WHERE name = 'mine' ORDER BY version DESC LIMIT 1";
        ask::<String>(&mut session, query)
    };
    let (first, other) = (weights("words"), weights("clerk.other_words"));
    assert_ne!(first, other, "words of the texts make a difference");
    assert_eq!(weights("words"), first);
}

#[test]
fn what_cannot_be_used_is_refused_at_the_call() {
    let (cluster, mut session) = shop();
    run(
        &mut session,
        "CREATE TABLE words (word text, synonyms text);
         CREATE TABLE numbers (word text, synonym int);
         CREATE TABLE secret (word text, synonym text);
         CREATE FUNCTION number(text) RETURNS int LANGUAGE sql RETURN 1;
         CREATE FUNCTION many(text) RETURNS SETOF text LANGUAGE sql AS 'SELECT $1';
         CREATE PROCEDURE proceed(text) LANGUAGE sql AS '';
         CREATE FUNCTION hidden(text) RETURNS text LANGUAGE sql RETURN $1;
         REVOKE EXECUTE ON FUNCTION hidden FROM PUBLIC;
         GRANT SELECT ON words, numbers TO clerk",
    );
    let mut clerk = cluster.session_as("clerk", "postgres");
    for (table, sqlstate) in [
        ("nosuch", "42P01"),
        ("words", "42703"),
        ("numbers", "42804"),
        ("secret", "42501"),
        ("a.b.c.d", "42601"),
    ] {
        let statement = train("mine", "label", "classification", with_synonyms(table));
        fails_with(&mut clerk, &statement, sqlstate);
    }
    for (function, sqlstate) in [
        ("nosuch", "42883"),
        ("number", "42804"),
        ("many", "42804"),
        ("proceed", "42804"),
        ("max", "42804"),
        ("hidden", "42501"),
    ] {
        let changes = augmented(json!({"back_translation": 1, "back_translation_function": function}));
        fails_with(&mut clerk, &train("mine", "label", "classification", changes), sqlstate);
    }
    assert_eq!(ask::<i64>(&mut clerk, "SELECT count(*) FROM ecommerce_ml.jobs"), 0);
}
