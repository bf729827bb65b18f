//! Labelled rows become a model: in the background, seen from other sessions, one after another.

use std::time::{Duration, Instant};

use ecommerce_ml_server_tests::jobs::{long, losses, prepare, reach, said, submit, succeed, train, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use serde_json::{Value, json};

const F32: &str = "ecommerce_ml.precision = 'f32'";

#[test]
fn labelled_rows_become_a_deployed_model() {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 400);
    let job = submit(&mut session, "mine", json!({}));
    succeed(&mut session, job);
    let outcome = said(&mut session, job);
    assert!(
        outcome.starts_with("succeeded; deployed: it is better than always answering \"bad\" (accuracy ")
            && outcome.ends_with(", and there was no live version"),
        "{outcome}"
    );
    let right: f64 = ask(
        &mut session,
        "SELECT value FROM ecommerce_ml.evaluate_model('mine', 'labelled', 'body', 'label') WHERE metric = 'accuracy'",
    );
    assert!(right > 0.98, "accuracy is {right}");
    let epochs: i64 =
        ask(&mut session, "SELECT count(*) FROM ecommerce_ml.job_metrics WHERE accuracy IS NOT NULL");
    assert_eq!(epochs, 3);
    let training: Value =
        ask(&mut session, "SELECT training FROM ecommerce_ml.model_versions WHERE name = 'mine'");
    assert_eq!(
        (training["training_rows"].as_i64(), training["held_out_rows"].as_i64()),
        (Some(320), Some(80))
    );
    assert_eq!(training["labels"], json!([{"label": "bad", "rows": 200}, {"label": "good", "rows": 200}]));
    assert_eq!(
        (&training["options"]["seed"], &training["options"]["num_train_epochs"]),
        (&json!(42), &json!(3))
    );
    assert_eq!(training["rows_sha256"].as_str().map(str::len), Some(64));
    assert_eq!(
        (&training["relation"], &training["task"]),
        (&json!("public.labelled"), &json!("classification"))
    );
    let (base, held_out): (String, f64) = (
        ask(&mut session, "SELECT base FROM ecommerce_ml.model_versions WHERE name = 'mine'"),
        ask(
            &mut session,
            "SELECT (metrics #>> '{held_out,accuracy}')::float8 FROM ecommerce_ml.models WHERE name = 'mine'",
        ),
    );
    assert_eq!(base, "tiny@1");
    assert!(held_out > 0.98, "accuracy on rows held out is {held_out}");
    let measured =
        "SELECT value FROM ecommerce_ml.evaluate_model('mine', 'labelled') WHERE metric = 'accuracy'";
    assert!(ask::<f64>(&mut session, measured) > 0.98, "of the columns that it was trained on");
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.stored_checkpoint"), 0);
    assert!(cluster.trainers().is_empty());
}

#[test]
fn labels_of_each_type_and_task_are_learned() {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 300);
    for (label, task, right) in [
        ("liked", "classification", "predict_class(body, 'liked') = liked::text"),
        ("stars", "classification", "predict_class(body, 'stars') = stars::text"),
        ("stars", "rating", "predict_rating(body, 'stars') BETWEEN stars - 1 AND stars + 1"),
        ("price", "regression", "predict_value(body, 'price') BETWEEN price - 10 AND price + 10"),
    ] {
        let job: i64 = ask(
            &mut session,
            &train(label, label, task, json!({"deploy": "always", "num_train_epochs": 10})),
        );
        succeed(&mut session, job);
        let share: f64 =
            ask(&mut session, &format!("SELECT avg((ecommerce_ml.{right})::int)::float8 FROM labelled"));
        assert!(share > 0.95, "{task} of {label}: {share} are right");
    }
    run(
        &mut session,
        "CREATE VIEW seen AS SELECT body, label FROM labelled;
         CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen;
         CREATE TABLE parted (LIKE labelled) PARTITION BY LIST (label);
         CREATE TABLE good PARTITION OF parted FOR VALUES IN ('good');
         CREATE TABLE bad PARTITION OF parted FOR VALUES IN ('bad');
         INSERT INTO parted SELECT * FROM labelled",
    );
    let mut hashes = Vec::new();
    for relation in ["seen", "kept", "parted"] {
        let call = train(relation, "label", "classification", json!({}))
            .replace("'labelled'", &format!("'{relation}'"));
        let job: i64 = ask(&mut session, &call);
        succeed(&mut session, job);
        let query = format!(
            "SELECT training ->> 'rows_sha256' FROM ecommerce_ml.model_versions WHERE name = '{relation}'"
        );
        hashes.push((ask::<String>(&mut session, &query), losses(&mut session, job)));
    }
    assert!(
        hashes.iter().all(|hash| *hash == hashes[0]),
        "the same rows, in whatever order, are the same training"
    );
}

#[test]
fn a_new_version_is_deployed_if_it_is_better() {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 400);
    let live = "SELECT live_version FROM ecommerce_ml.models WHERE name = 'mine'";
    // The first one learns nothing and is deployed because it is to be.
    let job = submit(&mut session, "mine", json!({"learning_rate": 1e-9, "deploy": "always"}));
    succeed(&mut session, job);
    assert_eq!(ask::<i32>(&mut session, live), 1);
    let job = submit(&mut session, "mine", json!({}));
    succeed(&mut session, job);
    assert_eq!(ask::<i32>(&mut session, live), 2);
    let found: Value =
        ask(&mut session, &format!("SELECT comparison FROM ecommerce_ml.jobs WHERE job = {job}"));
    assert_eq!(
        (&found["better"], &found["test"], &found["rows"]),
        (&json!(true), &json!("mcnemar"), &json!(80))
    );
    assert!(
        found["p_value"].as_f64().unwrap() < 0.05 && found["new"].as_f64() > found["live"].as_f64(),
        "{found}"
    );
    // The same again is not better, and one that learns nothing is worse.
    for changes in [json!({}), json!({"learning_rate": 1e-9})] {
        let job = submit(&mut session, "mine", changes);
        succeed(&mut session, job);
        let outcome = said(&mut session, job);
        assert!(
            outcome.starts_with("succeeded; not deployed: it is not better than version 2 (accuracy "),
            "{outcome}"
        );
        assert_eq!(ask::<i32>(&mut session, live), 2);
    }
    let job = submit(&mut session, "mine", json!({"deploy": "always", "num_train_epochs": 1}));
    succeed(&mut session, job);
    assert_eq!(ask::<i32>(&mut session, live), 5);
    assert_eq!(ask::<i32>(&mut session, "SELECT ecommerce_ml.rollback_model('mine')"), 2);
    let changes = json!({"deploy": "never", "num_train_epochs": 1, "keep_versions": 0});
    let job = submit(&mut session, "mine", changes);
    succeed(&mut session, job);
    assert_eq!(said(&mut session, job), "succeeded; not deployed, as asked");
}

#[test]
fn progress_is_seen_from_another_session() {
    let cluster = Cluster::with_settings(&[F32]);
    let (mut session, mut other) = (cluster.session(), cluster.session());
    prepare(&cluster, &mut session, 400);
    let job = submit(&mut session, "mine", long());
    reach(&mut other, job, 5);
    let row = other
        .query_one(
            "SELECT phase, epoch, epochs, step, steps, loss, learning_rate, examples_per_second, eta > '0 s', rows_read,
                    memory, pid, engine_pid
             FROM ecommerce_ml.stat_progress_training",
            &[],
        )
        .unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, i32>(2), row.get::<_, i64>(4)),
        ("training", 1000, 160_000)
    );
    assert!(row.get::<_, i32>(1) >= 1 && row.get::<_, i64>(3) >= 5);
    assert!(row.get::<_, f64>(5) > 0.0 && row.get::<_, f64>(6) > 0.0 && row.get::<_, f64>(7) > 0.0);
    assert!(row.get::<_, bool>(8) && row.get::<_, i64>(9) == 400 && row.get::<_, i64>(10) > 0);
    assert_eq!(cluster.trainers(), [row.get::<_, i32>(12)]);
    let activity: String = ask(
        &mut other,
        &format!("SELECT backend_type FROM pg_stat_activity WHERE pid = {}", row.get::<_, i32>(11)),
    );
    assert_eq!(activity, "ecommerce_ml job");
    let before: i64 = ask(&mut other, "SELECT step FROM ecommerce_ml.stat_progress_training");
    reach(&mut other, job, before + 10);
    // No snapshot is held while a job trains, but for moments in which the end of an epoch is stored.
    let held = "SELECT bool_or(backend_xmin IS NOT NULL) FROM pg_stat_activity WHERE backend_type = 'ecommerce_ml job'";
    eventually("a training doesn't hold back VACUUM", || !ask::<bool>(&mut other, held));
    let step: i64 = ask(&mut other, "SELECT step FROM ecommerce_ml.stat_progress_training");
    assert!(step < 160_000, "it still trains");
}

#[test]
fn jobs_are_cancelled_within_two_seconds() {
    let cluster = Cluster::with_settings(&[F32, "ecommerce_ml.training_checkpoint_interval = 1"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 400);
    let job = submit(&mut session, "mine", long());
    reach(&mut session, job, 5);
    let started = Instant::now();
    assert!(ask::<bool>(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})")));
    eventually("the process ends", || cluster.trainers().is_empty());
    assert!(started.elapsed() < Duration::from_secs(2), "it took {:?}", started.elapsed());
    assert_eq!(wait(&mut session, job), "cancelled");
    assert!(!ask::<bool>(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})")));
    eventually("the worker ends", || cluster.job_workers().is_empty());
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.models WHERE name = 'mine'"), 0);

    let job = submit(&mut session, "mine", long());
    reach(&mut session, job, 5);
    let signal =
        format!("SELECT pg_cancel_backend(pid) FROM ecommerce_ml.stat_progress_training WHERE job = {job}");
    assert!(ask::<bool>(&mut session, &signal));
    assert_eq!(wait(&mut session, job), "cancelled");
}

#[test]
fn a_cancelled_job_goes_on_where_it_was() {
    let cluster = Cluster::with_settings(&[F32, "ecommerce_ml.training_checkpoint_interval = 1"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 200);
    let changes = json!({"num_train_epochs": 200});
    let undisturbed = submit(&mut session, "mine", changes.clone());
    succeed(&mut session, undisturbed);
    let job = submit(&mut session, "yours", changes);
    let epochs = format!("SELECT count(*) FROM ecommerce_ml.job_metrics WHERE job = {job}");
    eventually("some epochs are over", || ask::<i64>(&mut session, &epochs) >= 3);
    await_checkpoint(&mut session, job);
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
    fails_with(&mut session, &format!("SELECT ecommerce_ml.resume_job({undisturbed})"), "55000");
    // A row more is not this training's.
    run(&mut session, "SELECT fill(1001, 1010)");
    run(&mut session, &format!("SELECT ecommerce_ml.resume_job({job})"));
    succeed(&mut session, job);
    assert_eq!(losses(&mut session, job), losses(&mut session, undisturbed));
    // A row less is.
    let job = submit(&mut session, "theirs", json!({"num_train_epochs": 200}));
    let epochs = format!("SELECT count(*) FROM ecommerce_ml.job_metrics WHERE job = {job}");
    eventually("some epochs are over", || ask::<i64>(&mut session, &epochs) >= 3);
    await_checkpoint(&mut session, job);
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job}); DELETE FROM labelled WHERE id <= 5"));
    run(&mut session, &format!("SELECT ecommerce_ml.resume_job({job})"));
    assert_eq!(wait(&mut session, job), "failed");
    let end = said(&mut session, job);
    assert!(end.contains("because rows are gone") && end.contains("22023"), "{end}");
    run(&mut session, &format!("SELECT ecommerce_ml.drop_job({job})"));
    fails_with(&mut session, &format!("SELECT ecommerce_ml.wait_for_job({job})"), "42704");
}

fn await_checkpoint(session: &mut postgres::Client, job: i64) {
    let stored = format!("SELECT count(*) > 0 FROM ecommerce_ml.stored_checkpoint WHERE job = {job}");
    eventually("there is a checkpoint", || ask(session, &stored));
}

#[test]
fn jobs_wait_for_their_turn() {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 400);
    // The first one doesn't end before it is told to, so that the others wait for as long as the test looks at them.
    let endless = json!({"num_train_epochs": 1000, "eval_strategy": "no"});
    let options = [endless, json!({}), json!({}), json!({}), json!({})];
    let jobs: Vec<i64> = (0..)
        .zip(options)
        .map(|(number, options)| submit(&mut session, &format!("model{number}"), options))
        .collect();
    let states = "SELECT string_agg(state, ' ' ORDER BY job) FROM ecommerce_ml.jobs";
    eventually("the first one runs", || ask::<String>(&mut session, states).starts_with("running queued"));
    // One that runs, one at the head of the queue, and no more, however many wait.
    eventually("workers settle", || cluster.job_workers().len() <= 2);
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({})", jobs[1]));
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({})", jobs[0]));
    for (number, job) in jobs.iter().enumerate() {
        let state = wait(&mut session, *job);
        assert_eq!(state, if number < 2 { "cancelled" } else { "succeeded" }, "job {job}");
    }
    let in_order: bool = ask(
        &mut session,
        "SELECT bool_and(started >= before) FROM (
             SELECT started, lag(ended) OVER (ORDER BY job) AS before FROM ecommerce_ml.jobs WHERE state = 'succeeded') AS j",
    );
    assert!(in_order, "jobs ran at the same time");
}

#[test]
fn several_jobs_run_at_once_if_they_may() {
    let cluster = Cluster::with_settings(&[F32, "ecommerce_ml.max_training_jobs = 2"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 400);
    let jobs = [submit(&mut session, "one", long()), submit(&mut session, "two", long())];
    eventually("both train", || cluster.trainers().len() == 2);
    for job in jobs {
        run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
    }
    eventually("both end", || cluster.trainers().is_empty() && cluster.job_workers().is_empty());
}

#[test]
fn a_job_is_its_transactions() {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 100);
    run(&mut session, "BEGIN");
    let job = submit(&mut session, "mine", json!({}));
    assert!(
        fails_with(&mut session, &format!("SELECT ecommerce_ml.wait_for_job({job})"), "55000")
            .hint()
            .is_some()
    );
    run(&mut session, "ROLLBACK");
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.jobs"), 0);
    fails_with(&mut session, &format!("SELECT ecommerce_ml.wait_for_job({job})"), "42704");
    run(&mut session, "BEGIN; SAVEPOINT before");
    let lost = submit(&mut session, "lost", json!({}));
    run(&mut session, "ROLLBACK TO before");
    let kept = submit(&mut session, "kept", json!({}));
    run(&mut session, "COMMIT");
    succeed(&mut session, kept);
    fails_with(&mut session, &format!("SELECT ecommerce_ml.wait_for_job({lost})"), "42704");
    // What others commit is seen at every isolation level, after writing too.
    run(&mut session, "CREATE TABLE written (n int)");
    let job = submit(&mut session, "kept", json!({"num_train_epochs": 10}));
    run(&mut session, "BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO written VALUES (1)");
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM written"), 1);
    succeed_in_snapshot(&mut session, job);
    run(&mut session, "COMMIT");
    let state: String = ask(&mut session, &format!("SELECT ecommerce_ml.wait_for_job({job}, '-1 s')"));
    assert_eq!(state, "succeeded");
}

fn succeed_in_snapshot(session: &mut postgres::Client, job: i64) {
    let state: String = ask(session, &format!("SELECT ecommerce_ml.wait_for_job({job}, '1 minute')"));
    assert_eq!(state, "succeeded");
}

#[test]
fn a_training_that_is_too_large_is_refused_with_its_estimate() {
    let cluster = Cluster::with_settings(&[F32, "ecommerce_ml.training_memory = '8MB'"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 100);
    let job = submit(&mut session, "mine", json!({}));
    assert_eq!(wait(&mut session, job), "failed");
    let end = said(&mut session, job);
    assert!(end.starts_with("failed; 53200; ") && end.contains("ecommerce_ml.training_memory"), "{end}");
}

#[test]
fn without_a_free_slot_a_job_stays_in_the_queue() {
    // One slot is the server's own, one the engine's.
    let cluster = Cluster::with_settings(&[F32, "max_worker_processes = 2"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 100);
    let job = submit(&mut session, "mine", json!({}));
    let said = fails_with(&mut session, &format!("SELECT ecommerce_ml.wait_for_job({job})"), "53400");
    assert_eq!(said.hint(), Some("Raise max_worker_processes."));
    let state = format!("SELECT state FROM ecommerce_ml.jobs WHERE job = {job}");
    assert_eq!(ask::<String>(&mut session, &state), "queued");
    cluster.configure(&["max_worker_processes = 8"]);
    cluster.restart();
    succeed(&mut cluster.session(), job);
}
