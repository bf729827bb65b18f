//! Trainings by schedule: what is new, who may run them, and pg_cron.

use std::time::Duration;

use ecommerce_ml_server_tests::jobs::{long, options, prepare, reach, submit, succeed};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with, wait_for};
use postgres::Client;
use serde_json::{Value, json};

/// A training whose model is deployed, and that takes seconds with the built-in model too.
fn quick() -> Value {
    json!({"num_train_epochs": 1, "tuning": "head", "deploy": "always"})
}

/// A cluster with forty rows, and a small model to begin with.
fn shop() -> (Cluster, Client) {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 40);
    (cluster, session)
}

fn schedule(session: &mut Client, arguments: &str, changes: Value) {
    run(session, &schedule_statement("NULL", arguments, changes));
}

fn schedule_statement(cron: &str, arguments: &str, changes: Value) -> String {
    let options = options(changes);
    format!(
        "SELECT ecommerce_ml.schedule_training('shop', {cron}, 'labelled', 'body', 'label', \
         options => $${options}$${arguments})"
    )
}

fn run_scheduled(session: &mut Client) -> Option<i64> {
    ask(session, "SELECT ecommerce_ml.run_scheduled_training('shop')")
}

fn outcome(session: &mut Client) -> String {
    ask(session, "SELECT last_outcome FROM ecommerce_ml.training_schedules WHERE name = 'shop'")
}

/// Runs the schedule, which must find something to do, and waits until it is done.
fn trained(session: &mut Client) -> i64 {
    let job = run_scheduled(session).unwrap_or_else(|| panic!("{}", outcome(session)));
    succeed(session, job);
    job
}

/// Runs the schedule, which must find nothing to do.
fn rests(session: &mut Client, because: &str) {
    assert_eq!(run_scheduled(session), None);
    assert_eq!(outcome(session), because);
}

fn base_of(session: &mut Client, job: i64) -> String {
    ask(session, &format!("SELECT base FROM ecommerce_ml.jobs WHERE job = {job}"))
}

#[test]
fn rows_are_new_until_a_training_has_succeeded_with_them() {
    let (_cluster, mut session) = shop();
    schedule(&mut session, ", base => 'tiny', min_new_rows => 10", quick());
    let job = trained(&mut session);
    assert_eq!(outcome(&mut session), format!("40 new rows: job {job}"));
    let last: i64 = ask(&mut session, "SELECT last_job FROM ecommerce_ml.training_schedules");
    assert_eq!(last, job);
    rests(&mut session, "0 new rows of at least 10: nothing to do");

    run(&mut session, "SELECT fill(41, 49)");
    rests(&mut session, "9 new rows of at least 10: nothing to do");
    run(
        &mut session,
        "INSERT INTO labelled (id, body, label) SELECT id + 100, body, label FROM labelled WHERE id = 1
         UNION ALL VALUES (201, ' ', 'good'), (202, 'fine', NULL), (203, NULL, 'bad')",
    );
    rests(&mut session, "9 new rows of at least 10: nothing to do");
    run(&mut session, "UPDATE labelled SET label = 'good' WHERE id = 1");
    assert!(trained(&mut session) > job, "a row with another label is new");
    rests(&mut session, "0 new rows of at least 10: nothing to do");

    run(
        &mut session,
        "SELECT ecommerce_ml.deploy_model('shop', 1); SELECT ecommerce_ml.drop_model('shop', 2)",
    );
    let job = trained(&mut session);
    assert_eq!(
        outcome(&mut session),
        format!("50 new rows: job {job}"),
        "what its training saw went with it"
    );
}

#[test]
fn rows_that_a_training_by_hand_has_seen_are_not_new() {
    let (_cluster, mut session) = shop();
    let job = submit(&mut session, "shop", quick());
    succeed(&mut session, job);
    schedule(&mut session, ", base => 'tiny'", quick());
    rests(&mut session, "0 new rows of at least 1: nothing to do");
    schedule(&mut session, ", base => 'tiny', min_new_rows => 0", quick());
    let job = trained(&mut session);
    assert_eq!(outcome(&mut session), format!("0 new rows: job {job}"));
    let kept: String = ask(
        &mut session,
        "SELECT string_agg(concat_ws(' ', name, version, octet_length(data)), '; ') FROM ecommerce_ml.stored_seen",
    );
    assert_eq!(kept, "shop 2 320", "8 bytes for each row of the latest training");
    // Other labels of the same texts.
    run(
        &mut session,
        "SELECT ecommerce_ml.schedule_training('shop', NULL, 'labelled', 'body', 'stars', 'rating', min_new_rows => 41)",
    );
    rests(&mut session, "40 new rows of at least 41: nothing to do");
}

#[test]
fn rows_that_came_while_a_training_was_interrupted_are_new() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.training_checkpoint_interval = 1"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 200);
    schedule(&mut session, ", base => 'tiny'", json!({"num_train_epochs": 200}));
    let job = run_scheduled(&mut session).expect("there is something to do");
    let checkpoint = format!("SELECT count(*) > 0 FROM ecommerce_ml.stored_checkpoint WHERE job = {job}");
    eventually("there is a checkpoint", || ask(&mut session, &checkpoint));
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job}); SELECT fill(201, 203)"));
    eventually("the training has ended", || cluster.trainers().is_empty());
    run(&mut session, &format!("SELECT ecommerce_ml.resume_job({job})"));
    succeed(&mut session, job);
    schedule(&mut session, ", base => 'tiny', min_new_rows => 4", quick());
    rests(&mut session, "3 new rows of at least 4: nothing to do");
}

#[test]
fn a_window_moves_with_the_clock() {
    let (_cluster, mut session) = shop();
    run(
        &mut session,
        "ALTER TABLE labelled ADD posted timestamptz DEFAULT now();
         UPDATE labelled SET posted = now() - interval '8 days' WHERE id <= 10",
    );
    let mut window = quick();
    window["where"] = json!("posted > now() - interval '7 days'");
    schedule(&mut session, ", base => 'tiny'", window);
    let job = trained(&mut session);
    assert_eq!(outcome(&mut session), format!("30 new rows: job {job}"));
    run(
        &mut session,
        "SELECT fill(50, 50); UPDATE labelled SET posted = now() - interval '1 year' WHERE id = 50",
    );
    rests(&mut session, "0 new rows of at least 1: nothing to do");
    run(&mut session, "UPDATE labelled SET posted = now() WHERE id = 50");
    let job = trained(&mut session);
    assert_eq!(outcome(&mut session), format!("1 new row: job {job}"));
}

#[test]
fn a_relation_is_what_has_its_name_then() {
    let (_cluster, mut session) = shop();
    schedule(&mut session, ", base => 'tiny'", quick());
    // As dbt puts a table in the place of another.
    let swap =
        "ALTER TABLE labelled RENAME TO backup; CREATE TABLE labelled AS SELECT * FROM backup WHERE id <= 30";
    run(&mut session, swap);
    let job = trained(&mut session);
    assert_eq!(outcome(&mut session), format!("30 new rows: job {job}"));
    let rows = "SELECT training_rows + held_out_rows FROM ecommerce_ml.jobs WHERE job = ";
    assert_eq!(ask::<i64>(&mut session, &format!("{rows}{job}")), 30);
    run(&mut session, "BEGIN");
    let job = submit(&mut session, "other", quick());
    run(&mut session, "DROP TABLE labelled; ALTER TABLE backup RENAME TO labelled; COMMIT");
    succeed(&mut session, job);
    assert_eq!(ask::<i64>(&mut session, &format!("{rows}{job}")), 40);

    run(&mut session, "ALTER TABLE labelled RENAME TO gone");
    let refused = fails_with(&mut session, "SELECT ecommerce_ml.run_scheduled_training('shop')", "42P01");
    assert_eq!(refused.message(), "relation \"public.labelled\" does not exist");
    let named =
        "SELECT relation IS NULL AND relation_name = 'public.labelled' FROM ecommerce_ml.training_schedules";
    assert!(ask::<bool>(&mut session, named));
}

#[test]
fn a_model_goes_on_from_itself_if_it_is_its_own_base() {
    let (_cluster, mut session) = shop();
    schedule(&mut session, ", base => 'shop', min_new_rows => 0", quick());
    let job = trained(&mut session);
    assert_eq!(base_of(&mut session, job), "reviews@1", "while nothing of it is live");
    let job = trained(&mut session);
    assert_eq!(base_of(&mut session, job), "shop@1");
    let job = trained(&mut session);
    assert_eq!(base_of(&mut session, job), "shop@2");
    run(&mut session, "SELECT ecommerce_ml.rollback_model('shop')");
    let job = trained(&mut session);
    assert_eq!(base_of(&mut session, job), "shop@2", "the live version, not the latest");

    schedule(&mut session, ", base => 'tiny', min_new_rows => 0", quick());
    let job = trained(&mut session);
    assert_eq!(base_of(&mut session, job), "tiny@1");
    schedule(&mut session, ", min_new_rows => 0", quick());
    let job = run_scheduled(&mut session).expect("there is something to do");
    assert_eq!(base_of(&mut session, job), "reviews@1");
}

#[test]
fn a_training_that_has_not_ended_is_not_joined_by_another() {
    let (_cluster, mut session) = shop();
    schedule(&mut session, ", base => 'tiny'", long());
    let job = run_scheduled(&mut session).expect("there is something to do");
    reach(&mut session, job, 1);
    rests(&mut session, &format!("job {job} is still running"));
    let last: i64 = ask(&mut session, "SELECT last_job FROM ecommerce_ml.training_schedules");
    assert_eq!(last, job);
    assert!(ask::<bool>(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})")));
    let again = run_scheduled(&mut session).expect("nothing has been learned from the rows");
    assert_eq!(outcome(&mut session), format!("40 new rows: job {again}"));
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({again})"));
}

#[test]
fn a_run_works_as_the_role_that_made_the_schedule() {
    let (cluster, mut session) = shop();
    run(
        &mut session,
        "CREATE ROLE clerk LOGIN; CREATE ROLE aide LOGIN IN ROLE clerk; CREATE ROLE stranger LOGIN;
         CREATE SCHEMA AUTHORIZATION clerk;
         GRANT SELECT ON labelled TO clerk, stranger;
         SELECT ecommerce_ml.grant_model('tiny', 'clerk');
         ALTER TABLE labelled ENABLE ROW LEVEL SECURITY;
         CREATE POLICY clerks ON labelled TO clerk USING (id <= 30)",
    );
    let mut clerk = cluster.session_as("clerk", "postgres");
    // A name that means something to the clerk only.
    run(&mut clerk, "CREATE FUNCTION clerk.wanted(int) RETURNS boolean RETURN $1 > 2");
    let mut wanted = quick();
    wanted["where"] = json!("wanted(id)");
    schedule(&mut clerk, ", base => 'tiny'", wanted);

    let mut stranger = cluster.session_as("stranger", "postgres");
    let seen = "SELECT count(*) FROM ecommerce_ml.training_schedules";
    assert_eq!(ask::<i64>(&mut stranger, seen), 0);
    for statement in [
        "SELECT ecommerce_ml.run_scheduled_training('shop')",
        "SELECT ecommerce_ml.unschedule_training('shop')",
        &schedule_statement("NULL", "", quick()),
    ] {
        let error = fails_with(&mut stranger, statement, "42501");
        assert!(error.message().contains("training schedule"), "{error}");
    }
    fails_with(&mut stranger, "SELECT * FROM ecommerce_ml.stored_seen", "42501");

    let job = run_scheduled(&mut session).expect("a superuser may run it");
    assert_eq!(outcome(&mut session), format!("28 new rows: job {job}"), "the rows that the clerk may see");
    let owner: String =
        ask(&mut session, &format!("SELECT owner::text FROM ecommerce_ml.jobs WHERE job = {job}"));
    assert_eq!(owner, "clerk");
    succeed(&mut session, job);

    let mut aide = cluster.session_as("aide", "postgres");
    rests(&mut aide, "0 new rows of at least 1: nothing to do");
    fails_with(&mut stranger, &schedule_statement("NULL", "", quick()), "42710");
    run(&mut session, "REVOKE SELECT ON labelled FROM clerk");
    fails_with(&mut session, "SELECT ecommerce_ml.run_scheduled_training('shop')", "42501");
    assert!(ask::<bool>(&mut aide, "SELECT ecommerce_ml.unschedule_training('shop')"));
    assert!(!ask::<bool>(&mut aide, "SELECT ecommerce_ml.unschedule_training('shop')"));
}

#[test]
fn a_schedule_comes_along_in_a_dump() {
    let (source, mut session) = shop();
    schedule(&mut session, ", base => 'shop', min_new_rows => 2", quick());
    trained(&mut session);
    run(&mut session, "SELECT fill(41, 41)");
    let target = Cluster::without_extension(&[]);
    let file = target.folder("transfer").join("shop.dump");
    let file = file.to_string_lossy();
    source.output("pg_dump", &["-Fc", "-f", &file]);
    run(&mut target.session(), "CREATE DATABASE restored");
    target.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);

    let mut session = target.session_in("restored");
    rests(&mut session, "1 new row of at least 2: nothing to do");
    run(&mut session, "SELECT fill(42, 42)");
    let job = trained(&mut session);
    assert_eq!(base_of(&mut session, job), "shop@1");
}

/// A cluster with pg_cron, which must be installed.
fn with_pg_cron() -> (Cluster, Client) {
    let settings = [
        "shared_preload_libraries = 'pg_cron'",
        "cron.use_background_workers = on",
        "max_worker_processes = 16",
    ];
    let cluster = Cluster::with_settings(&settings);
    let mut session = cluster.session();
    run(&mut session, "CREATE EXTENSION pg_cron");
    run(&mut session, "CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA cron TO clerk");
    prepare(&cluster, &mut session, 40);
    run(&mut session, "GRANT SELECT ON labelled TO clerk; SELECT ecommerce_ml.grant_model('tiny', 'clerk')");
    (cluster, session)
}

/// What pg_cron is to do, for whom and when.
fn planned(session: &mut Client) -> Vec<String> {
    let query = "SELECT concat_ws(' | ', jobname, username, schedule, command) FROM cron.job ORDER BY jobid";
    session.query(query, &[]).expect("cron.job can be read").iter().map(|row| row.get(0)).collect()
}

#[test]
fn pg_cron_runs_a_schedule_as_its_owner() {
    let (cluster, mut session) = with_pg_cron();
    let mut clerk = cluster.session_as("clerk", "postgres");
    run(&mut clerk, &schedule_statement("'* * * * *'", ", base => 'tiny'", quick()));
    let job = wait_for("pg_cron to run the schedule", Duration::from_secs(90), || {
        ask::<Option<i64>>(&mut clerk, "SELECT last_job FROM ecommerce_ml.training_schedules")
    });
    succeed(&mut clerk, job);
    let owner: String =
        ask(&mut session, &format!("SELECT owner::text FROM ecommerce_ml.jobs WHERE job = {job}"));
    assert_eq!(owner, "clerk");
    // A minute later there is nothing to do.
    wait_for("pg_cron to run it again", Duration::from_secs(90), || {
        (outcome(&mut clerk) == "0 new rows of at least 1: nothing to do").then_some(())
    });
    let failed: i64 = ask(&mut clerk, "SELECT count(*) FROM cron.job_run_details WHERE status = 'failed'");
    assert_eq!(failed, 0);
}

#[test]
fn pg_cron_knows_of_a_schedule_as_long_as_it_lasts() {
    let (cluster, mut session) = with_pg_cron();
    let mut clerk = cluster.session_as("clerk", "postgres");
    run(&mut clerk, &schedule_statement("'0 3 * * *'", "", quick()));
    let command = "SELECT ecommerce_ml.run_scheduled_training('shop')";
    assert_eq!(planned(&mut session), [format!("ecommerce_ml shop | clerk | 0 3 * * * | {command}")]);
    run(&mut clerk, "BEGIN; SELECT ecommerce_ml.unschedule_training('shop'); ROLLBACK");
    run(&mut clerk, &schedule_statement("'0 4 * * 0'", "", quick()));
    assert_eq!(planned(&mut session), [format!("ecommerce_ml shop | clerk | 0 4 * * 0 | {command}")]);

    let malformed = schedule_statement("'at noon'", "", quick());
    let said = fails_with(&mut clerk, &malformed, "22023");
    assert!(said.message().contains("at noon"), "{said}");
    assert_eq!(planned(&mut session).len(), 1, "the schedule is as it was");

    // A superuser takes it over.
    run(&mut session, &schedule_statement("'0 5 * * *'", "", quick()));
    assert_eq!(planned(&mut session), [format!("ecommerce_ml shop | postgres | 0 5 * * * | {command}")]);
    schedule(&mut session, "", quick());
    assert_eq!(planned(&mut session), [""; 0], "another scheduler runs it now");

    run(&mut session, &schedule_statement("'0 5 * * *'", "", quick()));
    run(&mut session, "SELECT cron.unschedule(jobid) FROM cron.job");
    assert!(
        ask::<bool>(&mut session, "SELECT ecommerce_ml.unschedule_training('shop')"),
        "by hand is fine too"
    );

    run(&mut session, "REVOKE USAGE ON SCHEMA cron FROM clerk");
    fails_with(&mut clerk, &schedule_statement("'0 3 * * *'", "", quick()), "42501");
}

#[test]
fn pg_cron_tells_long_names_apart() {
    let (_cluster, mut session) = with_pg_cron();
    for last in ["a", "b"] {
        let name = format!("{}{last}", "m".repeat(62));
        run(&mut session, &schedule_statement("'0 3 * * *'", "", quick()).replacen("shop", &name, 1));
    }
    assert_eq!(planned(&mut session).len(), 2);
    let name = format!("{}a", "m".repeat(62));
    run(&mut session, &format!("SELECT ecommerce_ml.unschedule_training('{name}')"));
    let left = planned(&mut session);
    assert!(left.len() == 1 && left[0].contains("mmmb"), "{left:?}");
}
