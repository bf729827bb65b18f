//! A training reads what its role may read, and is its role's own.

use ecommerce_ml_server_tests::jobs::{long, options, prepare, reach, said, submit, succeed, wait};
use ecommerce_ml_server_tests::statement::{run, server_major};
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use postgres::Client;
use serde_json::{Value, json};

const F32: &str = "ecommerce_ml.precision = 'f32'";

/// A cluster with rows of several shops and a role `analyst` that sees those of the first.
fn with_analyst() -> (Cluster, Client, Client) {
    let cluster = Cluster::with_settings(&[F32]);
    let mut superuser = cluster.session();
    prepare(&cluster, &mut superuser, 400);
    run(
        &mut superuser,
        "CREATE ROLE analyst LOGIN; CREATE ROLE other LOGIN; CREATE ROLE team; GRANT team TO analyst;
         SELECT ecommerce_ml.grant_model('tiny', 'analyst'), ecommerce_ml.grant_model('tiny', 'team');
         GRANT SELECT (id, body, label) ON labelled TO analyst;
         GRANT SELECT ON labelled TO team;
         ALTER TABLE labelled ENABLE ROW LEVEL SECURITY;
         CREATE POLICY first_shop ON labelled TO analyst USING (id <= 100);
         CREATE POLICY two_shops ON labelled TO team USING (id <= 200)",
    );
    let analyst = cluster.session_as("analyst", "postgres");
    (cluster, superuser, analyst)
}

fn rows(session: &mut Client, job: i64) -> i64 {
    ask(session, &format!("SELECT training_rows + held_out_rows FROM ecommerce_ml.jobs WHERE job = {job}"))
}

/// A call with these options.
fn call(arguments: &str, changes: Value) -> String {
    let options = options(changes).to_string().replace('\'', "''");
    format!("SELECT ecommerce_ml.train_model({arguments}, options => '{options}')")
}

#[test]
fn a_role_trains_on_rows_that_it_may_see() {
    let (_cluster, mut superuser, mut analyst) = with_analyst();
    let job = submit(&mut analyst, "mine", json!({}));
    succeed(&mut analyst, job);
    // Those of its team as well, since a member inherits.
    assert_eq!(rows(&mut analyst, job), 200);
    // From PostgreSQL 16 on each membership says whether it inherits, and the role's word is for memberships to come.
    let alone = match server_major(&mut superuser) {
        ..16 => "ALTER ROLE analyst NOINHERIT",
        _ => "REVOKE INHERIT OPTION FOR team FROM analyst",
    };
    run(&mut superuser, alone);
    let job = submit(&mut analyst, "mine", json!({}));
    succeed(&mut analyst, job);
    assert_eq!(rows(&mut analyst, job), 100);
    let owner: String =
        ask(&mut superuser, "SELECT owner::text FROM ecommerce_ml.models WHERE name = 'mine'");
    assert_eq!(owner, "analyst");
    let job = submit(&mut superuser, "all", json!({}));
    succeed(&mut superuser, job);
    assert_eq!(rows(&mut superuser, job), 400);
    // Columns that it may not read are refused before there is a job, and so are names of others.
    let stars = call("'mine', 'labelled', 'body', 'stars', 'rating', 'tiny'", json!({}));
    fails_with(&mut analyst, &stars, "42501");
    let taken = call("'all', 'labelled', 'body', 'label', base => 'tiny'", json!({}));
    fails_with(&mut analyst, &taken, "42710");
}

#[test]
fn a_role_that_was_set_is_the_one_that_counts() {
    let (_cluster, mut superuser, mut analyst) = with_analyst();
    // It has no login of its own.
    run(&mut analyst, "SET ROLE team");
    let job = submit(&mut analyst, "teams", json!({}));
    run(&mut analyst, "RESET ROLE");
    succeed(&mut analyst, job);
    assert_eq!(rows(&mut analyst, job), 200);
    run(
        &mut superuser,
        "CREATE FUNCTION retrain() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS $$
             SELECT ecommerce_ml.train_model('definers', 'public.labelled', 'body', 'label', base => 'tiny',
                                             options => '{\"learning_rate\": 0.005, \"num_train_epochs\": 1}')
         $$;
         GRANT EXECUTE ON FUNCTION retrain TO analyst",
    );
    let job: i64 = ask(&mut analyst, "SELECT retrain()");
    let ended = format!("SELECT ended IS NOT NULL FROM ecommerce_ml.jobs WHERE job = {job}");
    eventually("the definer's job ends", || ask(&mut superuser, &ended));
    assert_eq!(rows(&mut superuser, job), 400);
}

#[test]
fn what_a_condition_says_is_said_by_the_role() {
    let (_cluster, mut superuser, mut analyst) = with_analyst();
    run(
        &mut superuser,
        "CREATE SCHEMA helpers; GRANT ALL ON SCHEMA helpers TO analyst; CREATE TABLE secret (word text)",
    );
    run(
        &mut analyst,
        "CREATE FUNCTION helpers.fine(id int) RETURNS boolean LANGUAGE sql AS 'SELECT id > 50';
         CREATE TABLE helpers.seen (who text, session text);
         CREATE FUNCTION helpers.note(id int) RETURNS boolean LANGUAGE plpgsql AS $$
             BEGIN
                 INSERT INTO helpers.seen VALUES (current_user, session_user);
                 RETURN true;
             END $$;
         CREATE FUNCTION helpers.climb(id int) RETURNS boolean LANGUAGE plpgsql AS $$
             BEGIN
                 PERFORM set_config('role', 'postgres', false);
                 RETURN true;
             END $$;
         SET search_path = helpers, public",
    );
    // Names mean what they meant to the caller.
    let job = submit(&mut analyst, "mine", json!({"where": "fine(id) -- after the first 50"}));
    succeed(&mut analyst, job);
    assert_eq!(rows(&mut analyst, job), 150);
    let job = submit(&mut analyst, "mine", json!({"where": "note(id)"}));
    succeed(&mut analyst, job);
    let who: Vec<String> =
        ask(&mut superuser, "SELECT array_agg(DISTINCT who || ' ' || session) FROM helpers.seen");
    assert_eq!(who, ["analyst analyst"]);
    let job = submit(&mut analyst, "mine", json!({"where": "climb(id)"}));
    assert_eq!(wait(&mut analyst, job), "failed");
    let end = said(&mut analyst, job);
    assert!(end.starts_with("failed; 42501; "), "{end}");
    for (condition, sqlstate) in [
        ("id IN (SELECT length(word) FROM public.secret)", "42501"),
        ("id < (", "42601"),
        ("missing > 1", "42703"),
        ("id", "42804"),
        ("true) UNION SELECT word, word FROM public.secret WHERE (true", "42501"),
    ] {
        let call = call("'mine', 'labelled', 'body', 'label', base => 'tiny'", json!({"where": condition}));
        fails_with(&mut analyst, &call, sqlstate);
    }
}

#[test]
fn jobs_are_seen_and_touched_by_their_role_alone() {
    let (cluster, mut superuser, mut analyst) = with_analyst();
    let mut other = cluster.session_as("other", "postgres");
    let job = submit(&mut analyst, "mine", long());
    reach(&mut analyst, job, 3);
    for view in ["jobs", "job_metrics", "job_trials", "stat_progress_training"] {
        assert_eq!(ask::<i64>(&mut other, &format!("SELECT count(*) FROM ecommerce_ml.{view}")), 0, "{view}");
    }
    for call in ["cancel_job", "resume_job", "wait_for_job", "drop_job"] {
        fails_with(&mut other, &format!("SELECT ecommerce_ml.{call}({job})"), "42501");
        fails_with(&mut other, &format!("SELECT ecommerce_ml.{call}(999)"), "42704");
    }
    fails_with(&mut other, "SELECT * FROM ecommerce_ml.stored_job", "42501");
    run(&mut superuser, "GRANT pg_monitor TO other");
    let seen: i64 = ask(&mut other, "SELECT count(*) FROM ecommerce_ml.stat_progress_training");
    assert_eq!(seen, 1);
    fails_with(&mut other, &format!("SELECT ecommerce_ml.cancel_job({job})"), "42501");
    fails_with(&mut analyst, &format!("SELECT ecommerce_ml.resume_job({job})"), "55000");
    fails_with(&mut analyst, &format!("SELECT ecommerce_ml.drop_job({job})"), "55000");
    run(&mut superuser, "GRANT pg_signal_backend TO other");
    assert!(ask::<bool>(&mut other, &format!("SELECT ecommerce_ml.cancel_job({job})")));
    let by = format!("SELECT cancelled_by::text FROM ecommerce_ml.jobs WHERE job = {job}");
    assert_eq!(
        (wait(&mut analyst, job), ask::<String>(&mut analyst, &by)),
        ("cancelled".into(), "other".into())
    );
}

#[test]
fn wrong_calls_say_what_is_wrong() {
    let (_cluster, mut superuser, mut analyst) = with_analyst();
    let call = |arguments: &str| format!("SELECT ecommerce_ml.train_model({arguments})");
    let usual = "'mine', 'labelled', 'body', 'label', base => 'tiny'";
    for (arguments, sqlstate) in [
        ("'mine', 'labelled', 'nobody', 'label', base => 'tiny'", "42703"),
        ("'mine', 'labelled', 'body', 'nobody', base => 'tiny'", "42703"),
        ("'mine', 'labelled', 'id', 'label', base => 'tiny'", "42804"),
        ("'mine', 'labelled', 'body', 'label', 'regression', 'tiny'", "42804"),
        ("'mine', 'labelled', 'body', 'label', 'clustering', 'tiny'", "22023"),
        ("'mine', 'labelled', 'body', 'label', base => 'nothing'", "42704"),
        ("'mine', 'labelled', 'body', 'label', base => 'tiny@7'", "42704"),
        ("'mine@2', 'labelled', 'body', 'label', base => 'tiny'", "22023"),
        ("'Mine', 'labelled', 'body', 'label', base => 'tiny'", "22023"),
        ("'mine', 'nothing', 'body', 'label'", "42P01"),
        ("'mine', 'labelled_pkey', 'body', 'label'", "42809"),
        ("NULL, 'labelled', 'body', 'label'", "22004"),
        ("'mine', NULL, 'body', 'label'", "22004"),
        ("'mine', 'labelled', 'body', 'label', options => '[]'", "22023"),
        ("'mine', 'labelled', 'body', 'label', options => '{\"epochs\": 3}'", "22023"),
        ("'mine', 'labelled', 'body', 'label', options => '{\"deploy\": \"perhaps\"}'", "22023"),
        ("'mine', 'labelled', 'body', 'label', options => '{\"where\": 3}'", "22023"),
        ("'mine', 'labelled', 'body', 'label', options => '{\"learning_rate\": 7}'", "22023"),
    ] {
        fails_with(&mut superuser, &call(arguments), sqlstate);
    }
    run(
        &mut superuser,
        "SELECT ecommerce_ml.revoke_model('tiny', 'analyst'), ecommerce_ml.revoke_model('tiny', 'team')",
    );
    fails_with(&mut analyst, &call(usual), "42501");
    assert_eq!(ask::<i64>(&mut superuser, "SELECT count(*) FROM ecommerce_ml.jobs"), 0);
    run(&mut superuser, "BEGIN READ ONLY");
    fails_with(&mut superuser, &call(usual), "25006");
}

/// Rows that are not like others, by kind.
const ODD: &str = "
    CREATE TABLE odd (kind text, body text, label text, stars float8);
    INSERT INTO odd SELECT 'one class', 'text ' || i, 'good', 3 FROM generate_series(1, 50) AS i;
    INSERT INTO odd SELECT 'few', 'text ' || i, CASE WHEN i % 2 = 0 THEN 'good' ELSE 'bad' END, i
        FROM generate_series(1, 3) AS i;
    INSERT INTO odd SELECT 'empty', NULL, 'good', 3 FROM generate_series(1, 50);
    INSERT INTO odd SELECT 'empty', '  ', 'bad', 3 FROM generate_series(1, 50);
    INSERT INTO odd SELECT 'empty', 'text ' || i, NULL, NULL FROM generate_series(1, 50) AS i;
    INSERT INTO odd SELECT 'six stars', 'text ' || i, 'good', 1 + i % 6 FROM generate_series(1, 50) AS i;
    INSERT INTO odd SELECT 'no number', 'text ' || i, 'good', CASE WHEN i = 7 THEN 'NaN'::float8 ELSE i END
        FROM generate_series(1, 50) AS i;
    INSERT INTO odd SELECT 'contradictory', 'the same', CASE WHEN i % 2 = 0 THEN 'good' ELSE 'bad' END, i
        FROM generate_series(1, 60) AS i;
    INSERT INTO odd SELECT 'long', repeat('lovely ', 15000) || i, CASE WHEN i % 2 = 0 THEN 'good' ELSE 'bad' END, i
        FROM generate_series(1, 40) AS i;
    INSERT INTO odd SELECT 'thousand', 'thing ' || i % 1000, 'class ' || i % 1000, i
        FROM generate_series(1, 3000) AS i;
    INSERT INTO odd SELECT 'odd words', 'text ' || i, (ARRAY['-', 'a  b', E'tab\\t', '\"quoted\"', 'é', '{}'])[1 + i % 6], i
        FROM generate_series(1, 90) AS i;
    INSERT INTO odd SELECT 'no words', 'text ' || i, (ARRAY['', ' ', 'good'])[1 + i % 3], i
        FROM generate_series(1, 60) AS i;
    INSERT INTO odd SELECT 'misspelt', 'text ' || i, (ARRAY['Good', 'good ', 'bad'])[1 + i % 3], i
        FROM generate_series(1, 60) AS i;
    INSERT INTO odd SELECT 'constant', 'text ' || i, 'good', 4.5 FROM generate_series(1, 60) AS i";

fn submit_odd(session: &mut Client, kind: &str, label: &str, task: &str) -> i64 {
    let changes = json!({"where": format!("kind = '{kind}'"), "deploy": "always", "num_train_epochs": 1});
    ask(session, &call(&format!("'odd', 'odd', 'body', '{label}', '{task}', 'tiny'"), changes))
}

#[test]
fn data_that_teach_nothing_are_refused_with_their_counts() {
    let (_cluster, mut superuser, _analyst) = with_analyst();
    run(&mut superuser, ODD);
    for (kind, label, task, said_too) in [
        ("one class", "label", "classification", "50 of \"good\""),
        ("few", "label", "classification", "3"),
        ("empty", "label", "classification", "0"),
        ("empty", "stars", "regression", "0"),
        ("six stars", "stars", "rating", "6"),
        ("no number", "stars", "regression", "NaN"),
        ("no number", "stars", "classification", "NaN"),
        ("no words", "label", "classification", "40"),
        ("misspelt", "label", "classification", "20 of \"Good\", 20 of \"good \""),
        ("constant", "stars", "regression", "All 60 rows have label 4.5."),
    ] {
        let job = submit_odd(&mut superuser, kind, label, task);
        assert_eq!(wait(&mut superuser, job), "failed", "{kind}");
        let end = said(&mut superuser, job);
        assert!(end.starts_with("failed; 22023; "), "{kind}: {end}");
        assert!(end.contains(said_too), "{kind}: {end}");
    }
    assert_eq!(ask::<i64>(&mut superuser, "SELECT count(*) FROM ecommerce_ml.models WHERE name = 'odd'"), 0);
}

#[test]
fn data_that_are_only_unusual_are_learned_from() {
    let (_cluster, mut superuser, _analyst) = with_analyst();
    run(&mut superuser, ODD);
    for (kind, classes) in [("contradictory", 2), ("long", 2), ("thousand", 1000), ("odd words", 6)] {
        let job = submit_odd(&mut superuser, kind, "label", "classification");
        succeed(&mut superuser, job);
        let labels: Value =
            ask(&mut superuser, &format!("SELECT labels FROM ecommerce_ml.jobs WHERE job = {job}"));
        assert_eq!(labels.as_array().unwrap().len(), classes, "{kind}");
        let _: String = ask(&mut superuser, "SELECT ecommerce_ml.predict_class('thing', 'odd')");
    }
}
