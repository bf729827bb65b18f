//! A job means what its caller's session meant, and says so where it can't.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::jobs::{options, prepare, said, succeed, wait};
use ecommerce_ml_server_tests::processes::signal;
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use postgres::Client;
use serde_json::{Value, json};

fn call(relation: &str, changes: Value) -> String {
    let mut options = options(json!({"num_train_epochs": 1, "deploy": "never"}));
    for (name, value) in changes.as_object().expect("changes are an object") {
        options[name] = value.clone();
    }
    format!(
        "SELECT ecommerce_ml.train_model('mine', '{relation}', 'body', 'label', base => 'tiny', options => $${options}$$)"
    )
}

fn rows(session: &mut Client, job: i64) -> i64 {
    ask(session, &format!("SELECT training_rows + held_out_rows FROM ecommerce_ml.jobs WHERE job = {job}"))
}

#[test]
fn dates_mean_what_they_meant_to_the_caller() {
    let cluster = Cluster::with_settings(&["TimeZone = 'UTC'", "DateStyle = 'ISO, MDY'"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 100);
    run(
        &mut session,
        "ALTER TABLE labelled ADD posted timestamptz, ADD day date;
         UPDATE labelled SET posted = '2026-03-01 00:00+00'::timestamptz + id * interval '1 hour',
                             day = CASE WHEN id <= 60 THEN date '2026-05-04' ELSE date '2026-04-05' END",
    );
    for (setting, condition, expected) in [
        // Midnight in Tokyo is nine hours earlier.
        ("SET TimeZone = 'Asia/Tokyo'", "posted >= '2026-03-03 00:00'", 62),
        ("SET TimeZone = 'UTC'", "posted >= '2026-03-03 00:00'", 53),
        ("SET DateStyle = 'ISO, DMY'", "day = '04/05/2026'", 60),
        ("SET DateStyle = 'ISO, MDY'", "day = '04/05/2026'", 40),
        ("SET IntervalStyle = 'sql_standard'", "interval '-1 2:00' = interval '-1 days -2 hours'", 100),
        ("SET app.least = '31'", "id >= current_setting('app.least')::int", 70),
    ] {
        run(&mut session, &format!("RESET ALL; {setting}"));
        let job: i64 = ask(&mut session, &call("labelled", json!({"where": condition})));
        succeed(&mut session, job);
        assert_eq!(rows(&mut session, job), expected, "{setting}: {condition}");
    }
}

const TENANTS: &str = "
    CREATE ROLE tenant LOGIN;
    GRANT SELECT ON labelled TO tenant;
    SELECT ecommerce_ml.grant_model('tiny', 'tenant');
    ALTER TABLE labelled ADD tenant int;
    UPDATE labelled SET tenant = CASE WHEN id <= 30 THEN 1 ELSE 2 END;
    ALTER TABLE labelled ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON labelled TO tenant USING (tenant = current_setting('app.tenant', true)::int)";

#[test]
fn policies_see_the_settings_of_the_caller() {
    let cluster = Cluster::new();
    let mut superuser = cluster.session();
    prepare(&cluster, &mut superuser, 100);
    run(&mut superuser, TENANTS);
    let mut tenant = cluster.session_as("tenant", "postgres");
    for (number, expected) in [(1, 30), (2, 70)] {
        run(&mut tenant, &format!("SET app.tenant = '{number}'"));
        let job: i64 = ask(&mut tenant, &call("labelled", json!({})));
        succeed(&mut tenant, job);
        assert_eq!(rows(&mut tenant, job), expected);
    }
    // Settings for the transaction alone count too.
    run(&mut tenant, "BEGIN; SET LOCAL app.tenant = '1'");
    let job: i64 = ask(&mut tenant, &call("labelled", json!({})));
    run(&mut tenant, "COMMIT");
    succeed(&mut tenant, job);
    assert_eq!(rows(&mut tenant, job), 30);
    // A schedule keeps those of who made it.
    run(
        &mut tenant,
        "SET app.tenant = '1';
         SELECT ecommerce_ml.schedule_training('other', NULL, 'labelled', 'body', 'label', base => 'tiny',
             options => '{\"num_train_epochs\": 1}')",
    );
    let mut later = cluster.session_as("tenant", "postgres");
    run(&mut later, "SET app.tenant = '2'");
    let job: i64 = ask(&mut later, "SELECT ecommerce_ml.run_scheduled_training('other')");
    succeed(&mut later, job);
    assert_eq!(rows(&mut later, job), 30);
    assert_eq!(ask::<String>(&mut later, "SHOW app.tenant"), "2");
}

#[test]
fn a_job_that_finds_nothing_says_what_it_has_not() {
    let cluster = Cluster::new();
    let mut superuser = cluster.session();
    prepare(&cluster, &mut superuser, 100);
    run(&mut superuser, TENANTS);
    run(
        &mut superuser,
        "CREATE FUNCTION wanted(id int) RETURNS boolean LANGUAGE plpgsql AS $$
         BEGIN RETURN id > current_setting('app.never_set')::int; END $$",
    );
    let mut tenant = cluster.session_as("tenant", "postgres");
    for (changes, sqlstate) in [(json!({}), "22023"), (json!({"where": "wanted(id)"}), "42704")] {
        run(&mut superuser, "ALTER POLICY own ON labelled USING (true)");
        if sqlstate == "22023" {
            run(
                &mut superuser,
                "ALTER POLICY own ON labelled USING (tenant = current_setting('app.tenant', true)::int)",
            );
        }
        let job: i64 = ask(&mut tenant, &call("labelled", changes));
        assert_eq!(wait(&mut tenant, job), "failed");
        let end = said(&mut tenant, job);
        assert!(end.starts_with(&format!("failed; {sqlstate}; ")), "{end}");
        assert!(end.contains("session of its own, as role \"tenant\""), "{end}");
    }
}

#[test]
fn temporary_objects_are_refused_when_a_job_is_asked_for() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 100);
    run(
        &mut session,
        "CREATE TEMP TABLE passing AS TABLE labelled;
         CREATE TEMP VIEW seen AS SELECT * FROM labelled;
         CREATE VIEW over AS SELECT * FROM passing;
         CREATE TEMP TABLE words (word text, synonym text);
         CREATE FUNCTION pg_temp.reword(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
    );
    for (relation, changes) in [
        ("passing", json!({})),
        ("seen", json!({})),
        ("over", json!({})),
        ("labelled", json!({"where": "id IN (SELECT id FROM passing)"})),
        ("labelled", json!({"augment": {"synonym": 0.5, "synonym_table": "words"}})),
        (
            "labelled",
            json!({"augment": {"back_translation": 0.5, "back_translation_function": "pg_temp.reword"}}),
        ),
    ] {
        let call = call(relation, changes);
        let said = fails_with(&mut session, &call, "42809");
        assert!(said.message().ends_with("is temporary"), "{call}: {}", said.message());
        assert!(said.hint().is_some(), "{call}");
        let schedule = call.replace("train_model('mine', ", "schedule_training('mine', NULL, ");
        fails_with(&mut session, &schedule, "42809");
    }
    let evaluated = "SELECT count(*) FROM ecommerce_ml.evaluate_predictions('passing', 'label', 'label')";
    assert!(ask::<i64>(&mut session, evaluated) > 0, "what a session does itself may use them");
}

#[test]
fn a_database_whose_sessions_only_read_has_jobs_all_the_same() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 100);
    run(
        &mut session,
        "ALTER DATABASE postgres SET default_transaction_read_only = on;
         ALTER DATABASE postgres SET default_transaction_isolation = 'serializable';
         ALTER DATABASE postgres SET default_transaction_deferrable = on;
         ALTER DATABASE postgres SET lock_timeout = '1ms'",
    );
    let mut reader = cluster.session();
    fails_with(&mut reader, &call("labelled", json!({})), "25006");
    run(&mut reader, "BEGIN READ WRITE");
    let job: i64 = ask(&mut reader, &call("labelled", json!({})));
    run(&mut reader, "COMMIT");
    succeed(&mut reader, job);
}

#[test]
fn a_worker_that_can_never_connect_fails_its_job() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "spare", CLASSIFIER);
    prepare(&cluster, &mut session, 200);
    run(
        &mut session,
        "CREATE ROLE leaver LOGIN; GRANT SELECT ON labelled TO leaver; SELECT ecommerce_ml.grant_model('tiny', 'leaver')",
    );
    let mut leaver = cluster.session_as("leaver", "postgres");
    let job: i64 = ask(&mut leaver, &call("labelled", json!({"num_train_epochs": 500})));
    eventually("it runs", || !cluster.trainers().is_empty());
    run(&mut session, "ALTER ROLE leaver NOLOGIN");
    cluster.job_workers().into_iter().for_each(|worker| signal(worker, libc::SIGTERM));
    let state: String = ask(&mut session, &format!("SELECT ecommerce_ml.wait_for_job({job}, '90 s')"));
    assert_eq!(state, "failed");
    let end = said(&mut session, job);
    assert!(end.starts_with("failed; 58000; "), "{end}");
    run(&mut session, "ALTER ROLE leaver LOGIN");
    run(&mut leaver, &format!("SELECT ecommerce_ml.resume_job({job})"));
    eventually("it runs again", || !cluster.trainers().is_empty());
    assert!(ask::<bool>(&mut leaver, &format!("SELECT ecommerce_ml.cancel_job({job})")));
}
