//! Code of one role that runs on behalf of another's session leaves nothing behind that would run as that session.

use ecommerce_ml_server_tests::jobs::{options, prepare, said, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::{Value, json};

/// What is refused where code may leave nothing behind.
const REFUSED: &str = "42501";

/// Roles and what the attacker owns: `trap`, whose trigger waits for the end of the transaction, and `plant`, which sets
/// it off. The trigger notes who it runs as, takes what it can read and grasps for more.
const ATTACK: &str = "
    CREATE ROLE attacker LOGIN;
    CREATE ROLE boss LOGIN IN ROLE attacker;
    CREATE TABLE secret AS SELECT 'hunter2'::text AS word;
    GRANT SELECT ON secret TO boss;
    GRANT SELECT ON labelled TO attacker;
    CREATE SCHEMA den AUTHORIZATION attacker;
    SELECT ecommerce_ml.grant_model('tiny', 'attacker');
    SET SESSION AUTHORIZATION attacker;
    SET search_path = den, public;
    CREATE TABLE loot (who text, word text);
    CREATE TABLE trap (set_off int);
    CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO den.loot VALUES (current_user, NULL);
        BEGIN
            INSERT INTO den.loot SELECT current_user, word FROM public.secret;
        EXCEPTION WHEN insufficient_privilege THEN NULL;
        END;
        BEGIN
            ALTER ROLE attacker SUPERUSER;
        EXCEPTION WHEN insufficient_privilege THEN NULL;
        END;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON trap DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION spring();
    CREATE FUNCTION plant() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO den.trap VALUES (1);
        RETURN true;
    END $$;
    CREATE FUNCTION reword(review text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM den.plant();
        RETURN review;
    END $$;
    CREATE VIEW rows AS SELECT body, label FROM public.labelled WHERE plant();
    CREATE VIEW words AS SELECT 'great'::text AS word, 'good'::text AS synonym WHERE plant();
    RESET SESSION AUTHORIZATION;
    RESET search_path";

fn den() -> (Cluster, Client) {
    let cluster = Cluster::new();
    let mut superuser = cluster.session();
    prepare(&cluster, &mut superuser, 40);
    run(&mut superuser, ATTACK);
    (cluster, superuser)
}

fn nothing_was_taken(superuser: &mut Client) {
    let taken: Vec<String> = ask(
        superuser,
        "SELECT coalesce(array_agg(DISTINCT concat_ws(' ', who, word)), '{}') FROM den.loot WHERE who <> 'attacker' OR word IS NOT NULL",
    );
    assert_eq!(taken, Vec::<String>::new());
    let has_risen: bool = ask(superuser, "SELECT rolsuper FROM pg_roles WHERE rolname = 'attacker'");
    assert!(!has_risen, "the attacker is a superuser");
}

fn schedule(session: &mut Client, relation: &str) {
    run(
        session,
        &format!(
            "SELECT ecommerce_ml.schedule_training('mine', NULL, '{relation}', 'body', 'label', base => 'tiny', \
             options => '{{\"num_train_epochs\": 1}}')"
        ),
    );
}

const RUN: &str = "SELECT ecommerce_ml.run_scheduled_training('mine')";

#[test]
fn a_deferred_trigger_does_not_run_as_who_runs_a_schedule() {
    let (cluster, mut superuser) = den();
    schedule(&mut cluster.session_as("attacker", "postgres"), "den.rows");
    fails_with(&mut superuser, RUN, REFUSED);
    nothing_was_taken(&mut superuser);
    // Nor later in the same transaction, nor when it is asked to run early.
    run(&mut superuser, "BEGIN; SAVEPOINT before");
    fails_with(&mut superuser, RUN, REFUSED);
    run(&mut superuser, "ROLLBACK TO before; SET CONSTRAINTS ALL IMMEDIATE; COMMIT");
    nothing_was_taken(&mut superuser);
}

#[test]
fn a_deferred_trigger_does_not_run_as_the_login_of_a_job() {
    let (cluster, mut superuser) = den();
    let places = [
        ("den.rows", json!({})),
        ("labelled", json!({"where": "den.plant()"})),
        ("labelled", json!({"augment": {"synonym": 0.5, "synonym_table": "den.words"}})),
        (
            "labelled",
            json!({"augment": {"back_translation": 1.0, "back_translation_function": "den.reword"}}),
        ),
    ];
    let mut boss = cluster.session_as("boss", "postgres");
    run(&mut boss, "SET ROLE attacker");
    for (relation, changes) in places {
        let call = call(relation, &changes);
        let job: i64 = ask(&mut boss, &call);
        assert_eq!(wait(&mut boss, job), "failed", "{call}");
        let end = said(&mut boss, job);
        assert!(end.starts_with("failed; 42501; "), "{end}");
        nothing_was_taken(&mut superuser);
    }
}

fn call(relation: &str, changes: &Value) -> String {
    let options = options(changes.clone());
    format!(
        "SELECT ecommerce_ml.train_model('mine', '{relation}', 'body', 'label', base => 'tiny', options => $${options}$$)"
    )
}

/// A role whose own login it is may use what it likes: nobody else is there.
#[test]
fn a_deferred_trigger_runs_as_the_role_whose_session_it_is() {
    let (cluster, mut superuser) = den();
    let mut attacker = cluster.session_as("attacker", "postgres");
    let job: i64 = ask(&mut attacker, &call("den.rows", &json!({"num_train_epochs": 1})));
    assert_eq!(wait(&mut attacker, job), "succeeded", "{}", said(&mut attacker, job));
    let who: Vec<String> = ask(&mut superuser, "SELECT array_agg(DISTINCT who) FROM den.loot");
    assert_eq!(who, ["attacker"]);
    nothing_was_taken(&mut superuser);
}

#[test]
fn nothing_that_code_makes_outlives_its_run() {
    let (cluster, mut superuser) = den();
    let mut attacker = cluster.session_as("attacker", "postgres");
    run(&mut attacker, "CREATE VIEW den.others AS SELECT body, label FROM public.labelled WHERE den.plant()");
    schedule(&mut attacker, "den.others");
    for (made, sqlstate) in [
        ("CREATE TEMP TABLE labelled (body text, label text)", REFUSED),
        ("CREATE VIEW pg_temp.labelled AS SELECT 1", REFUSED),
        ("PREPARE stealthy AS SELECT 1", REFUSED),
        ("LISTEN secrets", REFUSED),
        ("DECLARE stealthy CURSOR WITH HOLD FOR SELECT 1", REFUSED),
        ("SET ROLE attacker", REFUSED),
        ("SET SESSION AUTHORIZATION attacker", REFUSED),
        ("SET CONSTRAINTS ALL DEFERRED; INSERT INTO den.trap VALUES (1)", REFUSED),
    ] {
        run(
            &mut attacker,
            &format!(
                "CREATE OR REPLACE FUNCTION den.plant() RETURNS boolean LANGUAGE plpgsql AS $$
                 BEGIN EXECUTE $made${made}$made$; RETURN true; END $$"
            ),
        );
        fails_with(&mut superuser, RUN, sqlstate);
    }
    nothing_was_taken(&mut superuser);
}

#[test]
fn settings_and_cursors_of_other_code_end_with_it() {
    let (cluster, mut superuser) = den();
    let mut attacker = cluster.session_as("attacker", "postgres");
    run(
        &mut attacker,
        "CREATE OR REPLACE FUNCTION den.plant() RETURNS boolean LANGUAGE plpgsql AS $$
         DECLARE stealthy refcursor := 'stealthy';
         BEGIN
             PERFORM set_config('search_path', 'den', false), set_config('app.tenant', 'attacker', false);
             IF NOT EXISTS (SELECT FROM pg_cursors WHERE name = 'stealthy') THEN
                 OPEN stealthy FOR SELECT word FROM public.secret;
             END IF;
             RETURN true;
         END $$;
         GRANT SELECT ON den.rows TO PUBLIC",
    );
    run(&mut superuser, "GRANT SELECT ON secret TO attacker");
    schedule(&mut attacker, "den.rows");
    run(&mut superuser, "BEGIN; DECLARE own CURSOR FOR SELECT 1");
    let _: Option<i64> = ask(&mut superuser, RUN);
    let left: Vec<String> = ask(&mut superuser, "SELECT array_agg(name) FROM pg_cursors WHERE name <> ''");
    assert_eq!(left, ["own"]);
    assert_eq!(ask::<String>(&mut superuser, "SHOW search_path"), "\"$user\", public");
    assert_eq!(ask::<String>(&mut superuser, "SELECT coalesce(current_setting('app.tenant', true), '')"), "");
    run(&mut superuser, "COMMIT");
    nothing_was_taken(&mut superuser);
}

#[test]
fn temporary_tables_of_the_session_are_not_what_the_names_of_a_schedule_mean() {
    let (cluster, mut superuser) = den();
    let mut attacker = cluster.session_as("attacker", "postgres");
    run(
        &mut attacker,
        "CREATE TABLE den.wanted (id int); INSERT INTO den.wanted SELECT generate_series(1, 20);
         SET search_path = den, public;
         SELECT ecommerce_ml.schedule_training('mine', NULL, 'labelled', 'body', 'label', base => 'tiny',
             options => '{\"num_train_epochs\": 1, \"where\": \"id IN (SELECT id FROM wanted)\"}')",
    );
    run(&mut superuser, "CREATE TEMP TABLE wanted AS SELECT 1 AS id; GRANT ALL ON wanted TO PUBLIC");
    let job: i64 = ask(&mut superuser, RUN);
    let outcome: String = ask(&mut superuser, "SELECT last_outcome FROM ecommerce_ml.training_schedules");
    assert_eq!(outcome, format!("20 new rows: job {job}"));
}
