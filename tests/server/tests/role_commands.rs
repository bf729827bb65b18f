//! REASSIGN OWNED, DROP OWNED, DROP ROLE and ALTER ROLE RENAME do with models and trainings what their names say.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::jobs::{prepare, submit, succeed};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::json;

const OWNERS: &str = "SELECT concat_ws('; ',
    (SELECT string_agg(name || ' ' || owner, ', ' ORDER BY name) FROM ecommerce_ml.models WHERE name NOT LIKE 'reviews%'),
    (SELECT string_agg(DISTINCT owner::text, ', ') FROM ecommerce_ml.jobs),
    (SELECT string_agg(name || ' ' || owner, ', ') FROM ecommerce_ml.training_schedules))";
const USE: &str = "SELECT ecommerce_ml.predict_class('good', 'mine')";

/// A cluster where role `owner` has a model, a job that has ended and a schedule, and `analyst` was granted the model.
fn with_owner() -> (Cluster, Client) {
    let cluster = Cluster::with_settings(&["ecommerce_ml.precision = 'f32'"]);
    let mut superuser = cluster.session();
    run(
        &mut superuser,
        "CREATE ROLE owner LOGIN; CREATE ROLE heir LOGIN; CREATE ROLE analyst LOGIN; GRANT pg_read_server_files TO owner",
    );
    prepare(&cluster, &mut superuser, 60);
    run(
        &mut superuser,
        "GRANT SELECT ON labelled TO owner; SELECT ecommerce_ml.grant_model('tiny', 'public')",
    );
    let mut owner = cluster.session_as("owner", "postgres");
    let job = submit(&mut owner, "mine", json!({"num_train_epochs": 1, "deploy": "always"}));
    succeed(&mut owner, job);
    run(
        &mut owner,
        "SELECT ecommerce_ml.grant_model('mine', 'analyst');
         SELECT ecommerce_ml.schedule_training('mine', NULL, 'labelled', 'body', 'label', base => 'tiny')",
    );
    run(&mut superuser, "REVOKE ALL ON labelled FROM owner; REVOKE pg_read_server_files FROM owner");
    (cluster, superuser)
}

#[test]
fn a_role_that_owns_something_is_not_dropped() {
    let (cluster, mut superuser) = with_owner();
    let refused = fails_with(&mut superuser, "DROP ROLE owner", "2BP01");
    let tables = ["stored_model", "stored_job", "stored_schedule"];
    let lines = tables.map(|table| format!("privileges for column owner of table ecommerce_ml.{table}"));
    assert_eq!(refused.detail(), Some(&*lines.join("\n")));
    fails_with(&mut superuser, "DROP ROLE analyst", "2BP01");
    run(&mut superuser, "CREATE DATABASE elsewhere");
    fails_with(&mut cluster.session_in("elsewhere"), "DROP ROLE analyst", "2BP01");
    run(&mut superuser, "SELECT ecommerce_ml.revoke_model('mine', 'analyst'); DROP ROLE analyst");
    // A role of the same name is another.
    run(&mut superuser, "CREATE ROLE analyst LOGIN");
    fails_with(&mut cluster.session_as("analyst", "postgres"), USE, "42501");
    run(
        &mut superuser,
        "SELECT ecommerce_ml.unschedule_training('mine'), ecommerce_ml.drop_model('mine'), ecommerce_ml.drop_job(1);
         DROP ROLE owner",
    );
}

#[test]
fn a_new_name_of_a_role_is_followed() {
    let (cluster, mut superuser) = with_owner();
    run(&mut superuser, "ALTER ROLE owner RENAME TO \"Owner of all\"; ALTER ROLE analyst RENAME TO reader");
    let owners = "mine \"Owner of all\", tiny postgres; \"Owner of all\"; mine \"Owner of all\"";
    assert_eq!(ask::<String>(&mut superuser, OWNERS), owners);
    let _: String = ask(&mut cluster.session_as("reader", "postgres"), USE);
    let _: String = ask(&mut cluster.session_as("Owner of all", "postgres"), USE);
    // What a dump carries.
    let dump =
        cluster.output("pg_dump", &["-t", "ecommerce_ml.stored_grant", "-t", "ecommerce_ml.stored_model"]);
    assert!(dump.contains("mine\tOwner of all\t") && dump.contains("mine\t1\treader"), "{dump}");
}

#[test]
fn what_is_reassigned_belongs_to_the_other() {
    let (cluster, mut superuser) = with_owner();
    // Sessions that haven't loaded the library don't see the command, and nothing is lost.
    let mut plain = cluster.session();
    run(&mut plain, "REASSIGN OWNED BY owner TO heir");
    fails_with(&mut plain, "DROP ROLE owner", "2BP01");
    let refused = fails_with(&mut plain, "DROP OWNED BY owner", "2BP01");
    let owned = "owner of model mine\nowner of the training schedule of model mine\nowner of job 1";
    assert_eq!(refused.detail(), Some(owned));
    assert!(refused.hint().is_some_and(|hint| hint.contains("LOAD 'ecommerce_ml'")));

    let mut heir = cluster.session_as("heir", "postgres");
    fails_with(&mut heir, USE, "42501");
    run(&mut superuser, "LOAD 'ecommerce_ml'; REASSIGN OWNED BY owner TO heir");
    assert_eq!(ask::<String>(&mut superuser, OWNERS), "mine heir, tiny postgres; heir; mine heir");
    let _: String = ask(&mut heir, USE);
    run(&mut superuser, "DROP OWNED BY owner; DROP ROLE owner");
    fails_with(&mut superuser, "DROP ROLE heir", "2BP01");
    // As with whatever else a role owns, it takes the privileges of both.
    run(&mut superuser, "CREATE ROLE clerk LOGIN; CREATE ROLE other; GRANT heir TO clerk");
    let mut clerk = cluster.session_as("clerk", "postgres");
    let _: String = ask(&mut clerk, USE);
    fails_with(&mut clerk, "REASSIGN OWNED BY heir TO other", "42501");
    assert_eq!(ask::<String>(&mut superuser, OWNERS), "mine heir, tiny postgres; heir; mine heir");
    run(&mut superuser, "GRANT other TO clerk");
    run(&mut clerk, "BEGIN; REASSIGN OWNED BY heir TO other; ROLLBACK");
    assert_eq!(ask::<String>(&mut superuser, OWNERS), "mine heir, tiny postgres; heir; mine heir");
    run(&mut clerk, "REASSIGN OWNED BY heir TO other");
    assert_eq!(ask::<String>(&mut superuser, OWNERS), "mine other, tiny postgres; other; mine other");
    run(&mut superuser, "DROP ROLE heir");
}

#[test]
fn what_is_owned_is_dropped_with_cascade_and_what_was_granted_without() {
    let (cluster, mut superuser) = with_owner();
    let mut analyst = cluster.session_as("analyst", "postgres");
    let _: String = ask(&mut analyst, USE);
    // An ordinary role can give up what it was granted, also where the server only believes that there is something.
    run(
        &mut superuser,
        "INSERT INTO pg_shdepend SELECT d.oid, 'pg_class'::regclass, 'ecommerce_ml.stored_job'::regclass, attnum,
                                        'pg_authid'::regclass, 'analyst'::regrole, 'a'
         FROM pg_database d, pg_attribute
         WHERE datname = current_database() AND attrelid = 'ecommerce_ml.stored_job'::regclass AND attname = 'owner'",
    );
    run(&mut analyst, "DROP OWNED BY analyst");
    fails_with(&mut analyst, USE, "42501");
    drop(analyst);
    fails_with(&mut cluster.session_as("heir", "postgres"), "DROP OWNED BY owner CASCADE", "42501");
    let mut owner = cluster.session_as("owner", "postgres");
    fails_with(&mut owner, "DROP OWNED BY CURRENT_USER", "2BP01");
    run(&mut owner, "DROP OWNED BY CURRENT_USER CASCADE");
    drop(owner);
    assert_eq!(ask::<String>(&mut superuser, OWNERS), "tiny postgres");
    let left = "SELECT (SELECT count(*) FROM ecommerce_ml.stored_version WHERE name = 'mine')
                + (SELECT count(*) FROM ecommerce_ml.stored_deployment WHERE name = 'mine')
                + (SELECT count(*) FROM ecommerce_ml.stored_job) + (SELECT count(*) FROM ecommerce_ml.stored_epoch)
                + (SELECT count(*) FROM ecommerce_ml.stored_seen)";
    assert_eq!(ask::<i64>(&mut superuser, left), 0);
    run(&mut superuser, "DROP ROLE owner; DROP ROLE analyst");
}

#[test]
fn other_things_of_a_role_are_dropped_and_reassigned_as_ever() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE ROLE one; CREATE ROLE two; CREATE SCHEMA a AUTHORIZATION one; LOAD 'ecommerce_ml';
         REASSIGN OWNED BY one TO two; DROP ROLE one; DROP OWNED BY two; DROP ROLE two",
    );
    fails_with(&mut session, "REASSIGN OWNED BY nobody TO postgres", "42704");
    fails_with(&mut session, "DROP OWNED BY nobody", "42704");
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    run(&mut session, "CREATE DATABASE plain");
    let mut plain = cluster.session_in("plain");
    run(
        &mut plain,
        "LOAD 'ecommerce_ml'; CREATE ROLE one; REASSIGN OWNED BY one TO postgres; DROP OWNED BY one",
    );
}
