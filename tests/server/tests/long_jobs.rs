//! A job that takes hours, or waits for them, is in nobody's way.

use std::thread;
use std::time::{Duration, Instant};

use ecommerce_ml_server_tests::jobs::{long, prepare, reach, said, submit, succeed, train, wait};
use ecommerce_ml_server_tests::processes::signal;
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with, wait_for};
use postgres::Client;
use serde_json::json;

const F32: &str = "ecommerce_ml.precision = 'f32'";

/// A job that doesn't end before it is told to.
fn endless(session: &mut Client) -> i64 {
    let job = submit(session, "endless", json!({"num_train_epochs": 1000, "eval_strategy": "no"}));
    reach(session, job, 5);
    job
}

#[test]
fn ends_of_epochs_write_no_more_than_the_interval_asks_for() {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 36);
    // Its embeddings alone have 30 MB.
    let call = train("mine", "label", "classification", json!({"num_train_epochs": 4, "deploy": "never"}));
    let call = call.replace("'tiny'", "'reviews'");
    run(&mut session, "CREATE TABLE began AS SELECT pg_current_wal_lsn() AS lsn");
    let job: i64 = ask(&mut session, &call);
    succeed(&mut session, job);
    let written: i64 = ask(&mut session, "SELECT (pg_current_wal_lsn() - lsn)::bigint FROM began");
    let model: i64 =
        ask(&mut session, "SELECT size FROM ecommerce_ml.model_versions WHERE name = 'mine' AND version = 1");
    assert!(written < 2 * model + (16 << 20), "{written} bytes of log for a model of {model}");
    let dead: i64 = ask(&mut session, "SELECT pg_total_relation_size('ecommerce_ml.stored_checkpoint')");
    assert!(dead < 1 << 20, "{dead} bytes of checkpoints");
}

/// What a session that waits holds: its snapshot's horizon and its transaction's id.
fn held(session: &mut Client, pid: i32) -> (bool, bool) {
    let query =
        "SELECT backend_xmin IS NOT NULL, backend_xid IS NOT NULL FROM pg_stat_activity WHERE pid = $1";
    let row = session.query_one(query, &[&pid]).unwrap();
    (row.get(0), row.get(1))
}

/// Lets a session wait by this statement, and looks at what it holds once the wait has looked for workers, too.
fn held_by(cluster: &Cluster, statement: String) -> ((bool, bool), thread::JoinHandle<String>) {
    let mut waiting = cluster.session();
    let pid: i32 = ask(&mut waiting, "SELECT pg_backend_pid()");
    let end = thread::spawn(move || ask::<String>(&mut waiting, &statement));
    thread::sleep(Duration::from_millis(3500));
    let mut session = cluster.session();
    let seen: Vec<(bool, bool)> = (0..5)
        .map(|_| {
            thread::sleep(Duration::from_millis(70));
            held(&mut session, pid)
        })
        .collect();
    // It may be seen while it looks at the job.
    let (xmin, xid) = (seen.iter().filter(|(xmin, _)| *xmin).count() > 2, seen.iter().any(|(_, xid)| *xid));
    ((xmin, xid), end)
}

#[test]
fn a_wait_by_call_holds_back_nothing() {
    let cluster = Cluster::with_settings(&[F32, "autovacuum = off"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 400);
    run(&mut session, "CREATE TABLE written AS SELECT i FROM generate_series(1, 1000) AS i");
    let job = endless(&mut session);
    let (function, by_function) =
        held_by(&cluster, format!("SELECT ecommerce_ml.wait_for_job({job}, '5 s')"));
    assert_eq!(function, (true, false), "a statement has a snapshot, and no more");
    assert_eq!(by_function.join().unwrap(), "running");
    let (call, by_call) = held_by(&cluster, format!("CALL ecommerce_ml.await_job({job})"));
    assert_eq!(call, (false, false));
    // What others leave behind is cleaned up meanwhile.
    run(&mut session, "DELETE FROM written");
    run(&mut session, "VACUUM (TRUNCATE) written");
    eventually("rows are gone", || {
        run(&mut session, "VACUUM (TRUNCATE) written");
        ask::<i64>(&mut session, "SELECT pg_relation_size('written')") == 0
    });
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
    assert_eq!(by_call.join().unwrap(), "cancelled");
}

#[test]
fn a_wait_by_call_is_for_whoever_may_commit() {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 100);
    let job = submit(&mut session, "mine", json!({}));
    assert_eq!(
        ask::<String>(&mut session, &format!("CALL ecommerce_ml.await_job({job}, '1 minute')")),
        "succeeded"
    );
    let call = format!("CALL ecommerce_ml.await_job({job})");
    let error = fails_with(&mut session, &format!("BEGIN; {call}"), "25001");
    assert!(error.hint().unwrap_or_default().contains("wait_for_job"), "{error}");
    run(&mut session, "ROLLBACK");
    fails_with(&mut session, "CALL ecommerce_ml.await_job(4711)", "42704");
    run(&mut session, "CREATE ROLE stranger LOGIN");
    fails_with(&mut cluster.session_as("stranger", "postgres"), &call, "42501");
    let nothing = session.query_one("CALL ecommerce_ml.await_job(NULL)", &[]).unwrap();
    assert_eq!(nothing.get::<_, Option<String>>(0), None);
    // A block of code that submits a job and waits for it: the procedure commits first.
    let call = train("mine", "label", "classification", json!({}));
    run(
        &mut session,
        &format!(
            "DO $do$ DECLARE job bigint; state text; BEGIN
                 job := ({call}); CALL ecommerce_ml.await_job(job, '1 minute', state);
                 IF state <> 'succeeded' THEN RAISE EXCEPTION 'it is %', state; END IF;
             END $do$"
        ),
    );
    // It is cancelled as any statement is, and times out.
    let job = submit(&mut session, "mine", long());
    fails_with(
        &mut session,
        &format!("SET statement_timeout = '500ms'; CALL ecommerce_ml.await_job({job})"),
        "25001",
    );
    run(&mut session, "SET statement_timeout = '500ms'");
    fails_with(&mut session, &format!("CALL ecommerce_ml.await_job({job})"), "57014");
    run(&mut session, "RESET statement_timeout");
    assert_eq!(
        ask::<String>(&mut session, &format!("CALL ecommerce_ml.await_job({job}, '200 ms')")),
        "running"
    );
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
}

#[test]
fn a_running_job_takes_no_transaction_ids_to_look_after_itself() {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 400);
    let job = endless(&mut session);
    let next = "SELECT (pg_snapshot_xmax(pg_current_snapshot())::text)::bigint";
    let before: i64 = ask(&mut session, next);
    thread::sleep(Duration::from_secs(4));
    let epochs: i64 =
        ask(&mut session, &format!("SELECT count(*) FROM ecommerce_ml.job_metrics WHERE job = {job}"));
    let taken = ask::<i64>(&mut session, next) - before;
    assert!(taken <= epochs + 3, "{taken} ids in four seconds, {epochs} epochs");
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
}

/// A database of this name with a job that waits, while another database has the only turn.
fn with_a_queued_job(cluster: &Cluster, name: &str) -> (Client, i64, i64) {
    let mut session = cluster.session();
    prepare(cluster, &mut session, 400);
    let running = endless(&mut session);
    run(&mut session, &format!("CREATE DATABASE {name}"));
    let mut other = cluster.session_in(name);
    run(&mut other, "CREATE EXTENSION ecommerce_ml");
    prepare(cluster, &mut other, 100);
    let queued = submit(&mut other, "mine", json!({}));
    eventually("the job waits for its turn", || {
        let phase = "SELECT coalesce((SELECT phase FROM ecommerce_ml.stat_progress_training), '')";
        ask::<String>(&mut other, phase) == "waiting for its turn"
    });
    (session, running, queued)
}

fn cancel(session: &mut Client, job: i64) {
    run(session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
}

#[test]
fn a_database_whose_jobs_wait_can_be_renamed() {
    let cluster = Cluster::with_settings(&[F32]);
    let (mut session, running, queued) = with_a_queued_job(&cluster, "shop");
    run(&mut session, "ALTER DATABASE shop RENAME TO store");
    run(&mut session, "CREATE DATABASE copy TEMPLATE store");
    cancel(&mut session, running);
    succeed(&mut cluster.session_in("store"), queued);
}

#[test]
fn a_database_whose_jobs_wait_can_be_dropped() {
    let cluster = Cluster::with_settings(&[F32]);
    let (mut session, running, _) = with_a_queued_job(&cluster, "shop");
    run(&mut session, "DROP DATABASE shop");
    // Its worker finds out when its turn has come, and is in nobody's way then.
    let next = submit(&mut session, "mine", json!({}));
    cancel(&mut session, running);
    succeed(&mut session, next);
    eventually("the worker gives up", || {
        cluster.log().contains("could not connect to its database, giving up")
    });
    eventually("workers have ended", || cluster.job_workers().is_empty());
    succeed_once_more(&mut session);
}

fn succeed_once_more(session: &mut Client) {
    let job = submit(session, "mine", json!({}));
    succeed(session, job);
}

#[test]
fn a_database_that_is_dropped_by_force_takes_its_running_job_along() {
    let cluster = Cluster::with_settings(&[F32]);
    let mut session = cluster.session();
    run(&mut session, "CREATE DATABASE shop");
    let mut other = cluster.session_in("shop");
    run(&mut other, "CREATE EXTENSION ecommerce_ml");
    prepare(&cluster, &mut other, 400);
    endless(&mut other);
    fails_with(&mut session, "DROP DATABASE shop", "55006");
    run(&mut session, "DROP DATABASE shop WITH (FORCE)");
    eventually("the process ends", || cluster.trainers().is_empty());
    eventually("the worker gives up", || {
        cluster.log().contains("could not connect to its database, giving up")
    });
    eventually("the worker has ended", || cluster.job_workers().is_empty());
    let started = cluster.log().matches("could not connect").count();
    thread::sleep(Duration::from_secs(6));
    assert!(cluster.job_workers().is_empty());
    assert_eq!(cluster.log().matches("could not connect").count(), started);
}

#[test]
fn a_job_that_is_cancelled_while_it_waits_lets_the_next_one_have_its_turn() {
    let cluster = Cluster::with_settings(&[F32]);
    let (mut session, running, queued) = with_a_queued_job(&cluster, "shop");
    let mut other = cluster.session_in("shop");
    let next = submit(&mut other, "mine", json!({}));
    cancel(&mut other, queued);
    assert_eq!(wait(&mut other, queued), "cancelled");
    cancel(&mut session, running);
    succeed(&mut other, next);
    assert!(said(&mut other, queued).starts_with("cancelled"));
    eventually("workers have ended", || cluster.job_workers().is_empty());
    // One whose worker is ended while it waits gets another.
    let running = endless(&mut session);
    let queued = submit(&mut other, "mine", json!({}));
    eventually("it waits", || cluster.job_workers().len() == 2);
    run(
        &mut other,
        &format!("SELECT ecommerce_ml.cancel_job({queued}); SELECT ecommerce_ml.resume_job({queued})"),
    );
    cluster.job_workers().into_iter().for_each(|pid| signal(pid, libc::SIGTERM));
    eventually("workers are back", || cluster.job_workers().len() == 2);
    cancel(&mut session, running);
    succeed(&mut other, queued);
}

#[test]
fn long_texts_that_are_held_out_cost_no_more_than_they_teach() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 60);
    run(
        &mut session,
        "INSERT INTO labelled SELECT 1000 + i, 'great ' || i || repeat(' and it rattles a bit', 180000), 'good'
         FROM generate_series(1, 4) AS i",
    );
    let options =
        json!({"tuning": "head", "eval_fraction": 0.5, "num_train_epochs": 1, "deploy": "if_better"});
    let call = train("mine", "label", "classification", options).replace("'tiny'", "'reviews'");
    let mut phases = Vec::new();
    for version in 1..=2 {
        let started = Instant::now();
        let job: i64 = ask(&mut session, &call);
        let query = format!(
            "SELECT coalesce((SELECT phase FROM ecommerce_ml.stat_progress_training WHERE job = {job}), '')"
        );
        let ended = format!("SELECT ended IS NOT NULL FROM ecommerce_ml.jobs WHERE job = {job}");
        wait_for("the job ends", Duration::from_secs(300), || {
            phases.push(ask::<String>(&mut session, &query));
            ask::<bool>(&mut session, &ended).then_some(())
        });
        succeed(&mut session, job);
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "version {version} took {:?}",
            started.elapsed()
        );
    }
    let compared: i64 = ask(
        &mut session,
        "SELECT (comparison ->> 'rows')::bigint FROM ecommerce_ml.jobs WHERE comparison IS NOT NULL",
    );
    assert!(compared > 20, "{compared} rows");
    for phase in ["evaluating the live version", "training", "evaluating"] {
        assert!(phases.iter().any(|seen| seen == phase), "no {phase}");
    }
}
