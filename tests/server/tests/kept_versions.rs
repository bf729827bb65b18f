//! Versions of one encoder store it once, and a model that is trained again and again keeps its newest versions.

use ecommerce_ml_server_tests::jobs::{prepare, said, submit, succeed, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use postgres::Client;
use serde_json::{Value, json};

const BYTES: &str = "SELECT coalesce(sum(octet_length(data)), 0)::bigint FROM ecommerce_ml.stored_chunk";

/// What all content would take by itself.
const UNSHARED: &str = "SELECT sum(size)::bigint FROM ecommerce_ml.stored_content";

/// Trains a head on a base, and returns how many bytes that added.
fn tune(session: &mut Client, base: &str, seed: u32) -> i64 {
    let before: i64 = ask(session, BYTES);
    let call = format!(
        "SELECT ecommerce_ml.train_model('mine', 'labelled', 'body', 'label', base => '{base}',
             options => '{{\"tuning\": \"head\", \"num_train_epochs\": 1, \"deploy\": \"always\", \"seed\": {seed}}}')"
    );
    let job = ask(session, &call);
    succeed(session, job);
    ask::<i64>(session, BYTES) - before
}

#[test]
fn versions_of_one_encoder_store_it_once() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE labelled AS
         SELECT CASE WHEN i % 2 = 0 THEN 'great ' ELSE 'awful ' END || i AS body,
                CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END AS label
         FROM generate_series(1, 40) AS i",
    );
    let first = tune(&mut session, "reviews", 1);
    assert!(
        first > 20 << 20,
        "the built-in model's own files lie beside the library, not in tables: {first}"
    );
    for (base, seed) in [("reviews", 2), ("mine", 3)] {
        let more = tune(&mut session, base, seed);
        assert!((1..400_000).contains(&more), "{base}: {more}");
    }
    // The same encoder as it is imported, in a file that was written by others.
    let folder = cluster.folder("export").display().to_string();
    run(&mut session, &format!("SELECT ecommerce_ml.export_model('reviews', '{folder}')"));
    let before: i64 = ask(&mut session, BYTES);
    run(&mut session, &format!("SELECT ecommerce_ml.import_model('shop', 'file://{folder}')"));
    let imported = ask::<i64>(&mut session, BYTES) - before;
    assert!(imported < 400_000, "{imported}");
    let more = tune(&mut session, "shop", 4);
    assert!((1..400_000).contains(&more), "{more}");
    assert!(ask::<i64>(&mut session, UNSHARED) > 4 * ask::<i64>(&mut session, BYTES));
    let told: i64 = ask(&mut session, "SELECT size FROM ecommerce_ml.model_versions WHERE name = 'shop'");
    assert!(told > 20 << 20, "the view says how large the files are");
    // What is read is what was stored.
    cluster.restart();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_class('great', 'mine@2')");
    run(&mut session, "SELECT ecommerce_ml.drop_model('mine')");
    let answers = "SELECT ecommerce_ml.predict_probabilities('great', model)::text
                   FROM unnest('{reviews,shop}'::text[]) AS model";
    let said = session.query(answers, &[]).expect("both answer");
    assert_eq!(said[0].get::<_, String>(0), said[1].get::<_, String>(0));
    run(&mut session, "SELECT ecommerce_ml.drop_model('shop')");
    assert_eq!(ask::<i64>(&mut session, BYTES), 0);
}

fn changed(changes: Value) -> Value {
    let mut options = json!({"num_train_epochs": 1, "tuning": "head", "deploy": "never"});
    for (name, value) in changes.as_object().expect("changes are an object") {
        options[name] = value.clone();
    }
    options
}

/// Trains a version with these options, and returns what the job says of its end.
fn train(session: &mut Client, changes: Value) -> String {
    let job = submit(session, "shop", changed(changes));
    succeed(session, job);
    said(session, job)
}

fn versions(session: &mut Client) -> String {
    let query = "SELECT coalesce(string_agg(version::text, ' ' ORDER BY version), '')
                 FROM ecommerce_ml.model_versions WHERE name = 'shop'";
    ask(session, query)
}

#[test]
fn a_training_drops_the_oldest_versions_that_trainings_made() {
    let cluster =
        Cluster::with_settings(&["ecommerce_ml.precision = 'f32'", "ecommerce_ml.max_training_jobs = 2"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 40);
    let folder = cluster.folder("export").display().to_string();
    run(&mut session, &format!("SELECT ecommerce_ml.export_model('tiny', '{folder}')"));
    // Two that were imported, two that are deployed one after the other.
    run(&mut session, &format!("SELECT ecommerce_ml.import_model('shop', 'file://{folder}')"));
    run(&mut session, &format!("SELECT ecommerce_ml.import_model('shop', 'file://{folder}')"));
    for seed in [3, 4] {
        assert!(!train(&mut session, json!({"seed": seed, "deploy": "always"})).contains("dropped"));
    }
    run(&mut session, "SELECT ecommerce_ml.pin_model('shop@3', true)");
    for seed in 5..9 {
        assert!(
            !train(&mut session, json!({"seed": seed})).contains("dropped"),
            "five and those in use stay"
        );
    }
    assert_eq!(versions(&mut session), "1 2 3 4 5 6 7 8", "3 is pinned");
    run(&mut session, "SELECT ecommerce_ml.pin_model('shop@3', false)");
    let outcome = train(&mut session, json!({"seed": 9}));
    assert!(outcome.ends_with("not deployed, as asked; dropped version 3"), "{outcome}");
    assert_eq!(versions(&mut session), "1 2 4 5 6 7 8 9", "4 is live");
    assert_eq!(ask::<i32>(&mut session, "SELECT ecommerce_ml.rollback_model('shop')"), 1, "3 is history");
    fails_with(&mut session, "SELECT ecommerce_ml.predict_class('good', 'shop@3')", "42704");

    let outcome = train(&mut session, json!({"seed": 10, "keep_versions": 0}));
    assert!(!outcome.contains("dropped"), "{outcome}");
    assert_eq!(versions(&mut session), "1 2 4 5 6 7 8 9 10");
    // One that a schedule begins with, one that another training does.
    run(
        &mut session,
        "SELECT ecommerce_ml.schedule_training('other', NULL, 'labelled', 'body', 'label', base => 'shop@5')",
    );
    let long = "SELECT ecommerce_ml.train_model('another', 'labelled', 'body', 'label', base => 'shop@6',
                    options => '{\"num_train_epochs\": 1000}')";
    let job: i64 = ask(&mut session, long);
    eventually("it runs", || {
        ask(&mut session, "SELECT count(*) > 0 FROM ecommerce_ml.stat_progress_training")
    });
    let waiting = submit(&mut session, "shop", changed(json!({"seed": 11, "keep_versions": 1})));
    succeed(&mut session, waiting);
    let dropped = said(&mut session, waiting);
    assert!(dropped.ends_with("; dropped versions 4, 7, 8, 9, 10"), "{dropped}");
    assert_eq!(versions(&mut session), "1 2 5 6 11");
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
    assert_eq!(wait(&mut session, job), "cancelled");
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_class('good', 'shop@11')");
    for bad in ["-1", "1.5", "\"all\""] {
        let call = format!(
            "SELECT ecommerce_ml.train_model('shop', 'labelled', 'body', 'label', options => '{{\"keep_versions\": {bad}}}')"
        );
        fails_with(&mut session, &call, "22023");
    }
}

#[test]
fn a_scheduled_training_drops_old_versions_too() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.precision = 'f32'"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 40);
    let options = changed(json!({"keep_versions": 2, "deploy": "always"}));
    let schedule = format!(
        "SELECT ecommerce_ml.schedule_training('shop', NULL, 'labelled', 'body', 'label', base => 'tiny', options => '{options}')"
    );
    run(&mut session, &schedule);
    for last in [41, 42, 43] {
        run(&mut session, &format!("SELECT fill({last}, {last})"));
        let job: i64 = ask(&mut session, "SELECT ecommerce_ml.run_scheduled_training('shop')");
        succeed(&mut session, job);
    }
    assert_eq!(versions(&mut session), "2 3");
}
