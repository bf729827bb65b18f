//! Whatever ends in the middle of a training, it goes on where it was, and ends as an undisturbed one.

use std::time::Duration;

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::jobs::{losses, prepare, reach, said, submit, succeed, train, wait};
use ecommerce_ml_server_tests::processes::signal;
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, Shutdown, ask, eventually, fails_with, wait_for};
use postgres::Client;
use serde_json::{Value, json};

const SETTINGS: [&str; 2] =
    ["ecommerce_ml.precision = 'f32'", "ecommerce_ml.training_checkpoint_interval = 1"];

/// Long enough that something can happen in the middle of it, and that a checkpoint is due before.
const EPOCHS: usize = 200;

fn middling() -> Value {
    json!({"num_train_epochs": EPOCHS})
}

/// Waits until a job has a checkpoint, and has gone on from there.
fn reach_checkpoint(session: &mut Client, job: i64) {
    let query =
        format!("SELECT coalesce(max(step), 0) FROM ecommerce_ml.stored_checkpoint WHERE job = {job}");
    let limit = Duration::from_secs(30);
    let step = wait_for("a checkpoint", limit, || Some(ask(session, &query)).filter(|step: &i64| *step > 0));
    reach(session, job, step + 3);
}

fn new_session(cluster: &Cluster) -> Client {
    let connect = || cluster.try_session("postgres", "postgres").ok();
    wait_for("the server takes connections", Duration::from_secs(30), connect)
}

fn kill_all(pids: Vec<i32>, how: i32) {
    assert!(!pids.is_empty(), "there is nothing to kill");
    pids.into_iter().for_each(|pid| signal(pid, how));
}

/// Trains undisturbed, then with each of some disturbances, and compares.
fn survives(settings: &[&str], disturbances: &[fn(&Cluster, i64)]) {
    let settings: Vec<&str> = SETTINGS.iter().chain(settings).copied().collect();
    let cluster = Cluster::with_settings(&settings);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 200);
    let undisturbed = submit(&mut session, "undisturbed", middling());
    succeed(&mut session, undisturbed);
    let expected = losses(&mut session, undisturbed);
    assert_eq!(expected.len(), EPOCHS);
    let content =
        "SELECT sha256 FROM ecommerce_ml.model_versions WHERE name = '%' ORDER BY version DESC LIMIT 1";
    let weights: String = ask(&mut session, &content.replace('%', "undisturbed"));
    for disturb in disturbances {
        let mut session = new_session(&cluster);
        let job = submit(&mut session, "disturbed", middling());
        reach_checkpoint(&mut session, job);
        drop(session);
        disturb(&cluster, job);
        let mut session = new_session(&cluster);
        succeed(&mut session, job);
        assert_eq!(losses(&mut session, job), expected);
        assert_eq!(ask::<String>(&mut session, &content.replace('%', "disturbed")), weights);
    }
}

#[test]
fn a_killed_training_process_is_replaced() {
    survives(
        &[],
        &[
            |cluster, _| kill_all(cluster.trainers(), libc::SIGKILL),
            |cluster, _| kill_all(cluster.trainers(), libc::SIGSEGV),
        ],
    );
}

#[test]
fn a_training_process_that_is_lost_while_its_model_is_saved_is_replaced() {
    let cluster = Cluster::with_settings(&SETTINGS[..1]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 40);
    // The built-in model is large enough to be caught while it is sent.
    let call = train("mine", "label", "classification", json!({"tuning": "head", "num_train_epochs": 1}));
    let job: i64 = ask(&mut session, &call.replace("'tiny'", "'reviews'"));
    let phase = format!(
        "SELECT coalesce((SELECT phase FROM ecommerce_ml.stat_progress_training WHERE job = {job}), '')"
    );
    wait_for("the model is being saved", Duration::from_secs(60), || {
        let reached: String = ask(&mut session, &phase);
        (reached == "saving").then(|| kill_all(cluster.trainers(), libc::SIGKILL))
    });
    succeed(&mut session, job);
    assert!(cluster.log().contains("lost its training process"), "{}", cluster.log());
}

#[test]
fn a_killed_worker_is_replaced() {
    survives(
        &[],
        &[
            // The server treats it as a crash and starts all sessions anew.
            |cluster, _| {
                kill_all(cluster.job_workers(), libc::SIGKILL);
                eventually("sessions have ended", || cluster.log().contains("reinitializing"));
            },
            |cluster, _| kill_all(cluster.job_workers(), libc::SIGTERM),
        ],
    );
}

#[test]
fn a_restart_of_the_server_interrupts_no_more_than_it_must() {
    survives(
        &[],
        &[
            |cluster, job| {
                cluster.restart();
                let query = format!("SELECT state FROM ecommerce_ml.jobs WHERE job = {job}");
                assert_eq!(ask::<String>(&mut cluster.session(), &query), "interrupted");
            },
            |cluster, _| {
                cluster.stop(Shutdown::Immediate);
                cluster.start();
            },
        ],
    );
}

#[test]
fn a_server_that_preloads_the_library_goes_on_by_itself() {
    survives(
        &["shared_preload_libraries = 'ecommerce_ml'"],
        &[
            |cluster, job| {
                cluster.restart();
                let query =
                    format!("SELECT count(*) FROM ecommerce_ml.stat_progress_training WHERE job = {job}");
                let mut session = cluster.session();
                eventually("the job has a worker", || ask::<i64>(&mut session, &query) == 1);
            },
            |cluster, job| {
                cluster.stop(Shutdown::Immediate);
                cluster.start();
                let query = format!("SELECT state = 'succeeded' FROM ecommerce_ml.jobs WHERE job = {job}");
                let mut session = cluster.session();
                eventually("the job ends by itself", || ask(&mut session, &query));
            },
        ],
    );
}

#[test]
fn a_training_that_is_lost_again_and_again_fails() {
    let cluster = Cluster::with_settings(&SETTINGS[..1]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 400);
    let changes = json!({"num_train_epochs": 300, "per_device_train_batch_size": 1});
    let job = submit(&mut session, "mine", changes);
    let state = format!("SELECT state FROM ecommerce_ml.jobs WHERE job = {job}");
    let mut killed = Vec::new();
    wait_for("the job gives up", Duration::from_secs(60), || {
        let fresh: Vec<i32> = cluster.trainers().into_iter().filter(|pid| !killed.contains(pid)).collect();
        for pid in fresh {
            signal(pid, libc::SIGKILL);
            killed.push(pid);
        }
        (ask::<String>(&mut session, &state) == "failed").then_some(())
    });
    assert_eq!(killed.len(), 3);
    let end = said(&mut session, job);
    assert!(end.starts_with("failed; 58000; training was lost 3 times without progress"), "{end}");
    assert!(end.contains("was terminated by signal 9"), "{end}");
    // Queries go on, and so does the job when it is told to.
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('fine')");
    run(&mut session, &format!("SELECT ecommerce_ml.resume_job({job})"));
    reach(&mut session, job, 1);
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
}

#[test]
fn what_is_dropped_in_the_middle_is_missed_only_where_it_is_needed() {
    let cluster = Cluster::with_settings(&SETTINGS);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 200);
    run(&mut session, "CREATE TABLE kept AS SELECT * FROM labelled");
    let restore = "DROP TABLE IF EXISTS labelled; CREATE TABLE labelled AS SELECT * FROM kept";
    let drops = [("DROP TABLE labelled", "42P01"), ("ALTER TABLE labelled DROP COLUMN label", "42703")];
    for (statement, sqlstate) in drops {
        // The rows have been read: nothing is missed.
        let job = submit(&mut session, "mine", middling());
        reach_checkpoint(&mut session, job);
        run(&mut session, statement);
        succeed(&mut session, job);
        run(&mut session, restore);
        // After an interruption they have to be read again.
        let job = submit(&mut session, "mine", middling());
        reach_checkpoint(&mut session, job);
        run(&mut session, statement);
        kill_all(cluster.trainers(), libc::SIGKILL);
        assert_eq!(wait(&mut session, job), "failed");
        let end = said(&mut session, job);
        assert!(end.starts_with(&format!("failed; {sqlstate}; ")), "{end}");
        run(&mut session, restore);
    }
    // A base is in use until the training has ended.
    let job = submit(&mut session, "mine", middling());
    reach_checkpoint(&mut session, job);
    fails_with(&mut session, "SELECT ecommerce_ml.drop_model('tiny')", "55006");
    import_reference(&cluster, &mut session, "tiny", CLASSIFIER);
    run(&mut session, "SELECT ecommerce_ml.deploy_model('tiny', 2)");
    let said = fails_with(&mut session, "SELECT ecommerce_ml.drop_model('tiny', 1)", "55006");
    assert!(said.hint().unwrap_or_default().contains("cancel_job"), "{said}");
    run(
        &mut session,
        &format!("SELECT ecommerce_ml.cancel_job({job}); SELECT ecommerce_ml.drop_model('tiny', 1)"),
    );
}

const LEAVER: &str = "CREATE ROLE leaver LOGIN; GRANT SELECT ON labelled TO leaver;
    SELECT ecommerce_ml.grant_model('tiny', 'leaver')";

#[test]
fn a_role_that_is_dropped_owns_no_model() {
    let cluster = Cluster::with_settings(&SETTINGS);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 200);
    run(&mut session, LEAVER);
    let job = submit(&mut cluster.session_as("leaver", "postgres"), "mine", middling());
    reach_checkpoint(&mut session, job);
    run(&mut session, "REVOKE ALL ON labelled FROM leaver");
    fails_with(&mut session, "DROP ROLE leaver", "2BP01");
    // The server can be made to forget what it knows of the job.
    run(&mut session, "DELETE FROM pg_shdepend WHERE refobjid = 'leaver'::regrole; DROP ROLE leaver");
    assert_eq!(wait(&mut session, job), "failed");
    let end = said(&mut session, job);
    assert!(end.starts_with("failed; 42704; role \"leaver\" "), "{end}");
}

#[test]
fn a_worker_that_cannot_connect_is_not_started_for_ever() {
    let cluster = Cluster::with_settings(&SETTINGS);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 200);
    run(&mut session, LEAVER);
    let job = submit(&mut cluster.session_as("leaver", "postgres"), "mine", middling());
    reach_checkpoint(&mut session, job);
    run(&mut session, "ALTER ROLE leaver NOLOGIN");
    kill_all(cluster.job_workers(), libc::SIGTERM);
    let said = format!("job {job} could not connect to its database");
    eventually("the worker gives up", || cluster.log().contains(&said));
    run(&mut session, "ALTER ROLE leaver LOGIN");
    succeed(&mut session, job);
}

#[test]
fn a_standby_that_is_promoted_goes_on() {
    let primary = Cluster::with_settings(&SETTINGS);
    let mut session = primary.session();
    prepare(&primary, &mut session, 200);
    let undisturbed = submit(&mut session, "undisturbed", middling());
    succeed(&mut session, undisturbed);
    let standby = Cluster::standby_of(&primary);
    let job = submit(&mut session, "mine", middling());
    reach_checkpoint(&mut session, job);
    let mut there = standby.session();
    let state = format!("SELECT state FROM ecommerce_ml.jobs WHERE job = {job}");
    let chunks = format!("SELECT count(*) > 0 FROM ecommerce_ml.stored_checkpoint WHERE job = {job}");
    eventually("the checkpoint has come along", || ask(&mut there, &chunks));
    drop(session);
    primary.stop(Shutdown::Immediate);
    assert_eq!(ask::<String>(&mut there, &state), "interrupted");
    let waited: String = ask(&mut there, &format!("SELECT ecommerce_ml.wait_for_job({job}, '3 s')"));
    assert_eq!(waited, "running");
    fails_with(&mut there, &format!("SELECT ecommerce_ml.cancel_job({job})"), "25006");
    assert!(ask::<bool>(&mut there, "SELECT pg_promote()"));
    succeed(&mut there, job);
    assert_eq!(losses(&mut there, job), losses(&mut there, undisturbed));
}

#[test]
fn a_dump_carries_jobs_that_wait_to_be_resumed() {
    let source = Cluster::with_settings(&SETTINGS);
    let target = Cluster::without_extension(&SETTINGS);
    let file = target.folder("transfer").join("shop.sql");
    let file = file.to_string_lossy();
    let mut session = source.session();
    prepare(&source, &mut session, 200);
    let done = submit(&mut session, "mine", middling());
    succeed(&mut session, done);
    let expected = losses(&mut session, done);
    let job = submit(&mut session, "yours", middling());
    reach_checkpoint(&mut session, job);
    source.output("pg_dump", &["-f", &file]);
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
    target.output("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", &file]);
    let mut session = target.session();
    assert_eq!(losses(&mut session, done), expected);
    let state = format!("SELECT state FROM ecommerce_ml.jobs WHERE job = {job}");
    assert_eq!(ask::<String>(&mut session, &state), "interrupted");
    // A copy of a database doesn't begin to train by itself.
    let waited: String = ask(&mut session, &format!("SELECT ecommerce_ml.wait_for_job({job}, '4 s')"));
    assert_eq!(waited, "running");
    run(&mut session, &format!("SELECT ecommerce_ml.resume_job({job})"));
    succeed(&mut session, job);
    assert_eq!(losses(&mut session, job), expected);
    let next = submit(&mut session, "mine", json!({}));
    assert!(next > job, "numbers go on");
    succeed(&mut session, next);
}
