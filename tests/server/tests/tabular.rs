//! Models of table columns go the way of all models: trained, measured, deployed, interrupted, scheduled, granted, dumped, exported.

use std::process::Stdio;
use std::time::Duration;

use ecommerce_ml_server_tests::batches::{assert_batched, set_batches};
use ecommerce_ml_server_tests::fixtures::{import_reference, import_statement};
use ecommerce_ml_server_tests::installation::give_to_server;
use ecommerce_ml_server_tests::jobs::{losses, reach, said, succeed, wait};
use ecommerce_ml_server_tests::processes::signal;
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with, wait_for};
use postgres::Client;
use serde_json::{Value, json};

/// Customers whose columns tell whether they leave, how many stars they give and what they are worth; a few don't say what they
/// spent.
const CUSTOMERS: &str = "
    CREATE TYPE plan AS ENUM ('basic', 'plus', 'pro');
    CREATE TABLE customers (id int PRIMARY KEY, visits int, spent numeric, plan plan, member boolean, since date, profile json,
                            note text, churned text, stars int, worth float8);
    CREATE FUNCTION fill(first int, last int) RETURNS void LANGUAGE sql AS $$
        INSERT INTO customers
        SELECT i, visits, CASE WHEN i % 17 > 0 THEN round(i * 1.37 % 211, 2) END, (enum_range(NULL::plan))[1 + i % 3], i % 2 = 0,
               date '2024-01-01' + i, '{}', 'note ' || i, CASE WHEN visits < 5 THEN 'yes' ELSE 'no' END, 1 + visits / 2,
               100 + 20 * visits + CASE WHEN i % 2 = 0 THEN 50 ELSE 0 END
        FROM generate_series(first, last) AS i, LATERAL (SELECT i * 7 % 10 AS visits) AS v
    $$";

const FEATURES: &str = "feature_columns => '{visits,spent,plan,member}'";

fn shop(rows: u32) -> (Cluster, Client) {
    let cluster = Cluster::with_settings(&["ecommerce_ml.training_checkpoint_interval = 1"]);
    let mut session = cluster.session();
    run(&mut session, &format!("{CUSTOMERS}; SELECT fill(1, {rows})"));
    (cluster, session)
}

/// The call that trains a model from `customers`.
fn train(name: &str, label: &str, more: &str) -> String {
    format!("SELECT ecommerce_ml.train_model('{name}', 'customers', label_column => '{label}', {more})")
}

/// Trains, and returns the job's number and what it says of its end.
fn trained(session: &mut Client, call: &str) -> (i64, String) {
    let job: i64 = ask(session, call);
    succeed(session, job);
    (job, said(session, job))
}

/// The share of the customers of whom this is true.
fn share(session: &mut Client, condition: &str) -> f64 {
    ask(session, &format!("SELECT avg(({condition})::int)::float8 FROM customers AS c"))
}

fn sha256(session: &mut Client, name: &str) -> String {
    let query = format!(
        "SELECT sha256 FROM ecommerce_ml.model_versions WHERE name = '{name}' ORDER BY version DESC LIMIT 1"
    );
    ask(session, &query)
}

#[test]
fn columns_of_each_task_are_learned() {
    let (_cluster, mut session) = shop(400);
    for (label, task, right) in [
        ("churned", "classification", "predict_class(c, 'churned') = churned"),
        ("member", "classification", "predict_class(c, 'member') = member::text"),
        ("stars", "rating", "predict_rating(c, 'stars') BETWEEN stars - 1 AND stars + 1"),
        ("worth", "regression", "predict_value(c, 'worth') BETWEEN worth - 10 AND worth + 10"),
    ] {
        let features = if label == "member" { "feature_columns => '{worth,visits}'" } else { FEATURES };
        let (_, outcome) =
            trained(&mut session, &train(label, label, &format!("task => '{task}', {features}")));
        assert!(outcome.starts_with("succeeded; deployed: it is better than always answering "), "{outcome}");
        let share = share(&mut session, &format!("ecommerce_ml.{right}"));
        assert!(share > 0.95, "{task} of {label}: {share} are right");
    }
    let measured: f64 = ask(
        &mut session,
        "SELECT value FROM ecommerce_ml.evaluate_model('churned', 'customers', label_column => 'churned')
         WHERE metric = 'accuracy' AND class IS NULL",
    );
    let right = share(&mut session, "ecommerce_ml.predict_class(c, 'churned') = churned");
    assert!((measured - right).abs() < 1e-12, "{measured} instead of {right}");
    let version: Value = ask(
        &mut session,
        "SELECT jsonb_build_object('kind', kind, 'reads', signature -> 'reads', 'labels', signature -> 'labels', 'base', base,
                                   'features', training -> 'feature_columns', 'columns', training -> 'columns')
         FROM ecommerce_ml.model_versions WHERE name = 'churned'",
    );
    let names = json!(["visits", "spent", "plan", "member"]);
    let types = ["number", "number", "text", "boolean"];
    let fields: Vec<Value> = names
        .as_array()
        .into_iter()
        .flatten()
        .zip(types)
        .map(|(name, of)| json!({"name": name, "type": of}))
        .collect();
    assert_eq!(
        version,
        json!({"kind": "boosted_trees", "reads": {"columns": fields}, "labels": ["no", "yes"], "base": null, "features": names,
               "columns": names})
    );
    let shown: String = ask(
        &mut session,
        "SELECT concat_ws(' ', state, coalesce(text_column, 'NULL'), label_column, task, coalesce(base, 'NULL'), feature_columns,
                          coalesce(time_column, 'NULL'))
         FROM ecommerce_ml.jobs WHERE name = 'churned'",
    );
    assert_eq!(shown, "succeeded NULL churned classification NULL {visits,spent,plan,member} NULL");
}

#[test]
fn models_tell_what_they_go_by_and_how_far_off_they_may_be() {
    let (_cluster, mut session) = shop(600);
    // What one pays is twenty a visit, and something that no column tells.
    run(&mut session, "UPDATE customers SET worth = 20 * visits + abs(hashint4(id)) % 1000 / 100.0");
    for (name, label, task, more) in [
        ("worth", "worth", "regression", ""),
        ("stars", "stars", "rating", ""),
        ("churned", "churned", "classification", ""),
        ("ridge", "worth", "regression", ", options => '{\"algorithm\": \"linear\"}'"),
    ] {
        trained(&mut session, &train(name, label, &format!("task => '{task}', {FEATURES}{more}")));
    }
    for model in ["worth", "ridge", "churned", "worth@1"] {
        let first: (String, f64, f64) = {
            let query = format!(
                "SELECT (array_agg(feature))[1], (array_agg(importance))[1], sum(importance)
                 FROM ecommerce_ml.explain_model('{model}')"
            );
            let row = session.query_one(&query, &[]).expect("it is explained");
            (row.get(0), row.get(1), row.get(2))
        };
        assert!(first.0 == "visits" && first.1 > 0.5 && (first.2 - 1.0).abs() < 1e-9, "{model}: {first:?}");
    }
    let covered = |session: &mut Client, level: f64| {
        let query = format!(
            "SELECT avg((c.worth BETWEEN i.lower AND i.upper)::int)::float8
             FROM customers AS c, ecommerce_ml.predict_interval(c, 'worth', {level}) AS i"
        );
        ask::<f64>(session, &query)
    };
    for level in [0.5, 0.8, 0.9] {
        let part = covered(&mut session, level);
        assert!((level - 0.07..level + 0.12).contains(&part), "{level}: {part}");
    }
    let agrees =
        "i.value = ecommerce_ml.predict_value(c, 'worth') AND i.lower < i.value AND i.value < i.upper";
    let query = format!(
        "SELECT bool_and({agrees}) FROM customers AS c, ecommerce_ml.predict_interval(to_jsonb(c), 'worth') AS i"
    );
    assert!(ask::<bool>(&mut session, &query));
    let query =
        "SELECT bool_and(stars BETWEEN i.lower AND i.upper AND i.lower <= i.value AND i.value <= i.upper)
                 FROM customers AS c, ecommerce_ml.predict_interval(c, 'stars', 0.9) AS i";
    assert!(ask::<bool>(&mut session, query));
    for query in [
        "SELECT c.id, i.* FROM customers AS c, ecommerce_ml.predict_interval(c, 'worth') AS i",
        "SELECT c.id, i.* FROM customers AS c CROSS JOIN LATERAL ecommerce_ml.predict_interval(to_jsonb(c), 'stars', c.id / 1000.0) AS i",
        "SELECT c.id, i.* FROM customers AS c LEFT JOIN LATERAL ecommerce_ml.predict_interval(c, 'worth', 0.9) AS i ON i.lower > 60",
        "SELECT c.id, (ecommerce_ml.predict_interval(c, 'worth')).* FROM customers AS c",
        "SELECT count(*) AS rows, avg(i.upper - i.lower) FROM customers AS c, ecommerce_ml.predict_interval(c, 'stars') AS i",
    ] {
        assert_batched(&mut session, query);
        let answers = format!("SELECT md5(string_agg(t::text, ',' ORDER BY t)) FROM ({query}) AS t");
        let [batched, alone] = [true, false].map(|on| {
            set_batches(&mut session, on);
            ask::<String>(&mut session, &answers)
        });
        assert_eq!(batched, alone, "{query}");
        set_batches(&mut session, true);
    }
    // What is volatile is asked for once.
    let query = "SELECT count(*) FROM customers AS c, ecommerce_ml.predict_interval(c, 'worth', 0.5 + random() / 10) AS i";
    assert_eq!(ask::<i64>(&mut session, query), 600);
    for (call, code) in [
        ("interval_of('{1,2}', 'worth', 0.5)", "22023"),
        ("interval_of('{1}', 'worth', 2)", "22023"),
        ("interval_of('{0.5,0.5}', 'churned', 0.5)", "22023"),
        ("prediction_of('{}'::jsonb, 'worth')", "42703"),
        ("prediction_of('{}'::jsonb, 'reviews')", "42809"),
    ] {
        fails_with(&mut session, &format!("SELECT ecommerce_ml.{call}"), code);
    }
    for (call, code) in [
        ("predict_interval(c, 'churned')", "22023"),
        ("predict_interval(c, 'ridge')", "22023"),
        ("predict_interval(c, 'worth', 1)", "22023"),
        ("predict_interval(c, 'worth', 'NaN')", "22023"),
        ("predict_interval(c, 'reviews')", "42809"),
        ("predict_interval(ROW(1), 'worth')", "42703"),
        ("predict_interval(c, 'nosuch')", "42704"),
        ("explain_model('reviews')", "42809"),
        ("explain_model('nosuch')", "42704"),
    ] {
        fails_with(&mut session, &format!("SELECT ecommerce_ml.{call} FROM customers AS c LIMIT 1"), code);
    }
    run(
        &mut session,
        "CREATE ROLE stranger; GRANT USAGE ON SCHEMA ecommerce_ml TO stranger; SET ROLE stranger",
    );
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.explain_model('worth')", "42501");
    fails_with(&mut session, "SELECT ecommerce_ml.predict_interval('{}'::jsonb, 'worth')", "42501");
}

#[test]
fn all_columns_are_those_that_can_be_read() {
    let (cluster, mut session) = shop(200);
    let call = train(
        "churned",
        "churned",
        "key_columns => '{id}', time_column => 'since', options => '{\"where\": \"id > 0\"}'",
    );
    let said = cluster.psql("postgres", &["-c", &call], Stdio::null());
    assert!(said.contains("NOTICE:  columns that models cannot read are left out: profile (json)"), "{said}");
    let job: i64 = ask(&mut session, "SELECT max(job) FROM ecommerce_ml.jobs");
    succeed(&mut session, job);
    let columns: Value = ask(
        &mut session,
        "SELECT training -> 'columns' FROM ecommerce_ml.model_versions WHERE name = 'churned'",
    );
    assert_eq!(columns, json!(["visits", "spent", "plan", "member", "note", "stars", "worth"]));
    let names: Option<String> = ask(&mut session, "SELECT feature_columns::text FROM ecommerce_ml.jobs");
    assert_eq!(names, None, "as it was asked for");
}

#[test]
fn later_rows_are_held_out_where_there_is_a_time() {
    let (_cluster, mut session) = shop(400);
    // In the end everything changes.
    run(
        &mut session,
        "UPDATE customers SET churned = CASE churned WHEN 'yes' THEN 'no' ELSE 'yes' END WHERE id > 340;
         INSERT INTO customers (id, visits, churned, since) VALUES (1001, 1, 'yes', NULL), (1002, 1, 'yes', 'infinity'),
                                                                   (1003, 1, NULL, '2024-02-02'), (1004, NULL, 'no', '2024-02-02')",
    );
    let mut outcome =
        |more: &str| trained(&mut session, &train("churned", "churned", &format!("{FEATURES}{more}")));
    let (_, at_random) = outcome("");
    assert!(at_random.starts_with("succeeded; deployed: it is better than always answering "), "{at_random}");
    let (_, in_time) = outcome(", time_column => 'since'");
    assert!(in_time.starts_with("succeeded; not deployed: "), "{in_time}");
    let skipped: Vec<i64> = ask(
        &mut session,
        "SELECT array_agg((training ->> 'skipped_rows')::bigint ORDER BY version) FROM ecommerce_ml.model_versions
         WHERE name = 'churned'",
    );
    assert_eq!(skipped, [1, 3], "rows without a label, then those without a time too");
    let time: String = ask(
        &mut session,
        "SELECT training ->> 'time_column' FROM ecommerce_ml.model_versions WHERE version = 2",
    );
    assert_eq!(time, "since");
}

#[test]
fn what_learned_nothing_is_not_deployed() {
    let (_cluster, mut session) = shop(400);
    run(&mut session, "UPDATE customers SET churned = CASE WHEN id * 7919 % 5 < 2 THEN 'yes' ELSE 'no' END");
    let call = train("churned", "churned", "feature_columns => '{spent,plan}'");
    let (job, outcome) = trained(&mut session, &call);
    assert!(outcome.contains("not deployed: it is not better "), "{outcome}");
    let baseline: Value =
        ask(&mut session, &format!("SELECT baseline FROM ecommerce_ml.jobs WHERE job = {job}"));
    assert_eq!((&baseline["label"], &baseline["comparison"]["beaten"]), (&json!("no"), &json!(false)));
    fails_with(&mut session, "SELECT ecommerce_ml.predict_class(c, 'churned') FROM customers AS c", "42704");

    // Beside a live version, of the same rows.
    run(&mut session, "UPDATE customers SET churned = CASE WHEN visits < 5 THEN 'yes' ELSE 'no' END");
    let call = train("churned", "churned", FEATURES);
    let (_, outcome) = trained(&mut session, &call);
    assert!(outcome.contains("; deployed: "), "{outcome}");
    let (job, outcome) = trained(&mut session, &call);
    assert!(outcome.contains("not deployed: it is not better than version 2 (accuracy "), "{outcome}");
    let comparison: Value =
        ask(&mut session, &format!("SELECT comparison FROM ecommerce_ml.jobs WHERE job = {job}"));
    assert_eq!(comparison["new"], comparison["live"]);
}

/// Options with which reading a row takes a while.
const SLOW: &str = r#"options => '{"where": "pg_sleep(0.01)::text IS NOT NULL"}'"#;

/// Waits until a job is reading rows by a process of its own.
fn reach_rows(cluster: &Cluster, session: &mut Client, job: i64) {
    let query = format!(
        "SELECT coalesce((SELECT phase FROM ecommerce_ml.stat_progress_training WHERE job = {job}), '')"
    );
    eventually("rows are being read", || {
        ask::<String>(session, &query) == "reading rows" && !cluster.trainers().is_empty()
    });
}

#[test]
fn whatever_ends_in_the_middle_it_ends_as_an_undisturbed_one() {
    let (cluster, mut session) = shop(300);
    let call = |name: &str| train(name, "churned", &format!("{FEATURES}, {SLOW}"));
    trained(&mut session, &call("undisturbed"));
    let expected = sha256(&mut session, "undisturbed");

    let job: i64 = ask(&mut session, &call("cancelled"));
    reach_rows(&cluster, &mut session, job);
    assert!(ask::<bool>(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})")));
    assert_eq!(wait(&mut session, job), "cancelled");
    eventually("its process has ended", || cluster.trainers().is_empty());
    run(&mut session, &format!("SELECT ecommerce_ml.resume_job({job})"));
    succeed(&mut session, job);
    assert_eq!(sha256(&mut session, "cancelled"), expected);

    let job: i64 = ask(&mut session, &call("killed"));
    reach_rows(&cluster, &mut session, job);
    cluster.trainers().into_iter().for_each(|pid| signal(pid, libc::SIGKILL));
    succeed(&mut session, job);
    assert_eq!(sha256(&mut session, "killed"), expected);
    assert!(cluster.log().contains("lost its training process"), "{}", cluster.log());

    let job: i64 = ask(&mut session, &call("crashed"));
    reach_rows(&cluster, &mut session, job);
    cluster.job_workers().into_iter().for_each(|pid| signal(pid, libc::SIGKILL));
    eventually("sessions have ended", || cluster.log().contains("reinitializing"));
    let connect = || cluster.try_session("postgres", "postgres").ok();
    let mut session = wait_for("the server takes connections", Duration::from_secs(30), connect);
    succeed(&mut session, job);
    assert_eq!(sha256(&mut session, "crashed"), expected);
    let same = share(
        &mut session,
        "ecommerce_ml.predict_class(c, 'crashed') = ecommerce_ml.predict_class(c, 'undisturbed')",
    );
    assert!((same - 1.0).abs() < f64::EPSILON);
}

/// Rows of whose labels nothing can be learned, which takes long, and the options that let it take some seconds.
const NOISE: &str = "
    CREATE TABLE noise AS
    SELECT i AS id, (i * 7919 % 1000)::text AS code, hashint4(i) / 1e9 AS amount,
           (ARRAY['a', 'b', 'c', 'd', 'e'])[1 + abs(hashint4(i + 1000000) % 5)] AS label
    FROM generate_series(1, 10000) AS i";
const PATIENT: &str =
    r#"{"algorithm": "linear", "C": 1e9, "tol": 1e-300, "max_iter": 3000, "deploy": "always"}"#;

/// Submits such a training, and waits until it has gone on from a checkpoint.
fn reach_checkpoint(session: &mut Client, name: &str) -> i64 {
    let job: i64 = ask(session, &learn_noise(name));
    let query =
        format!("SELECT coalesce(max(step), 0) FROM ecommerce_ml.stored_checkpoint WHERE job = {job}");
    let limit = Duration::from_secs(60);
    let step = wait_for("a checkpoint", limit, || Some(ask(session, &query)).filter(|step: &i64| *step > 0));
    reach(session, job, step + 3);
    job
}

fn learn_noise(name: &str) -> String {
    format!(
        "SELECT ecommerce_ml.train_model('{name}', 'noise', label_column => 'label', feature_columns => '{{code,amount}}',
                                         options => '{PATIENT}')"
    )
}

#[test]
fn a_training_goes_on_from_its_checkpoint() {
    let (cluster, mut session) = shop(1);
    run(&mut session, NOISE);
    let (undisturbed, _) = trained(&mut session, &learn_noise("undisturbed"));
    let (expected, epochs) = (sha256(&mut session, "undisturbed"), losses(&mut session, undisturbed));
    let check = |session: &mut Client, name: &str, job: i64| {
        succeed(session, job);
        assert_eq!(sha256(session, name), expected, "{name}");
        assert_eq!(losses(session, job), epochs, "{name}");
    };

    let job = reach_checkpoint(&mut session, "cancelled");
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
    eventually("its process has ended", || cluster.trainers().is_empty());
    // What comes meanwhile is not learned from.
    run(&mut session, "INSERT INTO noise VALUES (0, '1', 1, 'f')");
    run(&mut session, &format!("SELECT ecommerce_ml.resume_job({job})"));
    check(&mut session, "cancelled", job);
    run(&mut session, "DELETE FROM noise WHERE id = 0");

    let job = reach_checkpoint(&mut session, "killed");
    cluster.trainers().into_iter().for_each(|pid| signal(pid, libc::SIGKILL));
    check(&mut session, "killed", job);

    let job = reach_checkpoint(&mut session, "crashed");
    cluster.job_workers().into_iter().for_each(|pid| signal(pid, libc::SIGKILL));
    eventually("sessions have ended", || cluster.log().contains("reinitializing"));
    let connect = || cluster.try_session("postgres", "postgres").ok();
    let mut session = wait_for("the server takes connections", Duration::from_secs(30), connect);
    check(&mut session, "crashed", job);
}

#[test]
fn a_column_that_comes_meanwhile_is_not_read() {
    let (cluster, mut session) = shop(200);
    let job: i64 = ask(&mut session, &train("churned", "churned", SLOW));
    reach_rows(&cluster, &mut session, job);
    succeed(&mut session, job);
    let columns = "SELECT jsonb_array_length(training -> 'columns') FROM ecommerce_ml.model_versions WHERE name = 'churned'
                   ORDER BY version DESC LIMIT 1";
    let before: i32 = ask(&mut session, columns);
    run(&mut session, "ALTER TABLE customers ADD extra int DEFAULT 1");
    let retrained: i64 = ask(&mut session, "SELECT ecommerce_ml.retrain_model('churned')");
    succeed(&mut session, retrained);
    assert_eq!(ask::<i32>(&mut session, columns), before + 1, "all columns are those of the day");
}

#[test]
fn a_schedule_counts_new_rows_of_columns() {
    let (_cluster, mut session) = shop(300);
    run(
        &mut session,
        "SELECT ecommerce_ml.schedule_training('churned', NULL, 'customers', label_column => 'churned', min_new_rows => 5,
                                               feature_columns => '{visits,spent,id}', time_column => 'since')",
    );
    let run_it = "SELECT ecommerce_ml.run_scheduled_training('churned')";
    let outcome = "SELECT last_outcome FROM ecommerce_ml.training_schedules";
    let job: i64 = ask(&mut session, run_it);
    succeed(&mut session, job);
    assert_eq!(ask::<String>(&mut session, outcome), format!("300 new rows: job {job}"));
    let mut rests = |change: &str, new: &str| {
        run(&mut session, change);
        assert_eq!(ask::<Option<i64>>(&mut session, run_it), None);
        assert_eq!(
            ask::<String>(&mut session, outcome),
            format!("{new} of at least 5: nothing to do"),
            "{change}"
        );
    };
    rests("UPDATE customers SET note = 'other', plan = 'pro'", "0 new rows");
    rests("UPDATE customers SET visits = visits + 1 WHERE id = 1", "1 new row");
    rests("UPDATE customers SET spent = NULL WHERE id = 2", "2 new rows");
    rests("UPDATE customers SET since = since + 1 WHERE id = 3", "3 new rows");
    rests(
        "UPDATE customers SET churned = 'perhaps' WHERE id = 4; UPDATE customers SET churned = NULL WHERE id = 5",
        "4 new rows",
    );
    run(&mut session, "UPDATE customers SET churned = 'no' WHERE id = 4; SELECT fill(301, 310)");
    let job: i64 = ask(&mut session, run_it);
    succeed(&mut session, job);
}

#[test]
fn the_recipe_of_the_live_version_is_repeated() {
    let (cluster, mut session) = shop(300);
    fails_with(&mut session, "SELECT ecommerce_ml.retrain_model('worth')", "42704");
    fails_with(&mut session, "SELECT ecommerce_ml.retrain_model('reviews')", "55000");
    let more = format!(
        "task => 'regression', time_column => 'since', {FEATURES}, options => '{{\"where\": \"id > 20\"}}'"
    );
    trained(&mut session, &train("worth", "worth", &more));
    run(&mut session, "SELECT fill(301, 350)");
    let (job, _) = trained(&mut session, "SELECT ecommerce_ml.retrain_model('worth')");
    let rows: i64 = ask(
        &mut session,
        &format!("SELECT training_rows + held_out_rows FROM ecommerce_ml.jobs WHERE job = {job}"),
    );
    assert_eq!(rows, 330, "the rows of today, with the condition of then");
    let same: i64 = ask(
        &mut session,
        "SELECT count(DISTINCT (relation, text_column, label_column, task, base, options, feature_columns, key_columns,
                                time_column)) FROM ecommerce_ml.jobs",
    );
    assert_eq!(same, 1);
    // Versions of 0.1.0 have no arguments of their own.
    run(
        &mut session,
        "UPDATE ecommerce_ml.stored_version SET training = training - 'arguments' || '{\"text_column\": \"note\", \"options\": {\"where\": \"id > 20\"}}'
         WHERE name = 'worth' AND version = (SELECT live_version FROM ecommerce_ml.models WHERE name = 'worth')",
    );
    let job: i64 = ask(&mut session, "SELECT ecommerce_ml.retrain_model('worth')");
    let shown: String = ask(
        &mut session,
        &format!(
            "SELECT concat_ws(' ', text_column, label_column, task, base, options ->> 'where') FROM ecommerce_ml.jobs WHERE job = {job}"
        ),
    );
    assert_eq!(shown, "note worth regression reviews@1 id > 20");
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job}); CREATE ROLE other LOGIN"));
    fails_with(
        &mut cluster.session_as("other", "postgres"),
        "SELECT ecommerce_ml.retrain_model('worth')",
        "42501",
    );
}

#[test]
fn privileges_are_those_of_columns_and_of_models() {
    let (cluster, mut session) = shop(200);
    run(
        &mut session,
        "CREATE ROLE owner LOGIN; CREATE ROLE analyst LOGIN; GRANT SELECT (visits, spent, churned) ON customers TO owner;
         GRANT SELECT ON customers TO analyst",
    );
    let mut owner = cluster.session_as("owner", "postgres");
    fails_with(&mut owner, &train("churned", "churned", FEATURES), "42501");
    // All columns are more than it may read.
    fails_with(
        &mut owner,
        "SELECT ecommerce_ml.train_model('churned', 'customers', label_column => 'churned')",
        "42501",
    );
    trained(&mut owner, &train("churned", "churned", "feature_columns => '{visits,spent}'"));
    let mut analyst = cluster.session_as("analyst", "postgres");
    let predict = "SELECT count(ecommerce_ml.predict_class(c, 'churned')) FROM customers AS c";
    fails_with(&mut analyst, predict, "42501");
    run(&mut owner, "SELECT ecommerce_ml.grant_model('churned', 'analyst')");
    assert_eq!(ask::<i64>(&mut analyst, predict), 200);
    fails_with(&mut analyst, "SELECT ecommerce_ml.retrain_model('churned')", "42501");
}

const ANSWERS: &str = "SELECT md5(string_agg(concat_ws(' ', ecommerce_ml.predict_probabilities(c, 'churned'),
                                             ecommerce_ml.predict_value(c, 'worth')), ',' ORDER BY id)) FROM customers AS c";

#[test]
fn versions_travel_in_dumps_and_in_folders() {
    let (cluster, mut session) = shop(200);
    trained(&mut session, &train("churned", "churned", FEATURES));
    trained(&mut session, &train("worth", "worth", &format!("task => 'regression', {FEATURES}")));
    let expected: String = ask(&mut session, ANSWERS);
    let file = cluster.folder("transfer").join("shop.dump").display().to_string();
    cluster.output("pg_dump", &["-Fc", "-d", "postgres", "-f", &file]);
    run(&mut session, "CREATE DATABASE restored");
    cluster.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);
    let mut restored = cluster.session_in("restored");
    assert_eq!(ask::<String>(&mut restored, ANSWERS), expected);
    let job: i64 = ask(&mut restored, "SELECT ecommerce_ml.retrain_model('worth')");
    succeed(&mut restored, job);

    let folder = cluster.folder("exports").join("churned");
    run(&mut session, &format!("SELECT ecommerce_ml.export_model('churned', '{}')", folder.display()));
    give_to_server(&folder);
    fails_with(
        &mut session,
        &format!(
            "SELECT ecommerce_ml.import_model('other', 'file://{}', '{{\"labels\": [\"a\", \"b\"]}}')",
            folder.display()
        ),
        "22023",
    );
    assert_eq!(ask::<i32>(&mut session, &import_statement("other", &folder)), 1);
    let same: i64 = ask(
        &mut session,
        "SELECT count(DISTINCT (sha256, kind, signature, task, labels)) FROM ecommerce_ml.model_versions
         WHERE name IN ('churned', 'other')",
    );
    assert_eq!(same, 1);
    let share = share(
        &mut session,
        "ecommerce_ml.predict_probabilities(c, 'other') = ecommerce_ml.predict_probabilities(c, 'churned')",
    );
    assert!((share - 1.0).abs() < f64::EPSILON);
}

/// What people wrote, and what became of the goods: kept by those who praise them and are young enough. Some wrote nothing.
const FEEDBACK: &str = "
    CREATE TABLE feedback (id int PRIMARY KEY, age int, channel text, body text, kept boolean, stars int, worth float8);
    INSERT INTO feedback
    SELECT i, age, (ARRAY['shop', 'web', NULL])[1 + i % 3],
           CASE WHEN i % 40 = 0 THEN NULL WHEN i % 40 = 1 THEN '  ' ELSE
                (ARRAY['Number %s is wonderful, it fits well and the cloth is soft, I love it',
                       'Number %s is awful, it tore at once and the cloth is thin, do not buy it'])[1 + bad] END,
           bad = 0 AND age < 50, CASE WHEN bad = 0 THEN 5 ELSE 1 + i % 2 END, 10.0 * age + 100 * bad
    FROM generate_series(1, 240) AS i, LATERAL (SELECT 20 + i * 7 % 60 AS age, abs(hashint4(i)) % 2 AS bad) AS v;
    UPDATE feedback SET body = format(body, id)";

/// The number that a linear model of one equation, exported to a folder, makes of a row of `feedback`: from what SQL says of its text.
fn by_hand(session: &mut Client, folder: &std::path::Path, base: &str, id: i32) -> f64 {
    let json = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(name)).expect("it was exported"))
            .expect("it is JSON")
    };
    let (texts, model) = (json("texts.json"), json("model.json"));
    let said: Value = ask(
        session,
        &format!(
            "SELECT jsonb_build_object('age', age, 'embedding', ecommerce_ml.embed(body, '{base}'),
                        'body stars', ecommerce_ml.predict_rating(body, '{base}'),
                        'labels', ecommerce_ml.predict_probabilities(body, '{base}'))
             FROM feedback WHERE id = {id}"
        ),
    );
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let (mean, embedding) = (numbers(&texts["columns"][0]["mean"]), numbers(&said["embedding"]));
    let component = |name: &str| -> Option<f64> {
        let number: usize = name.strip_prefix("body component ")?.parse().ok()?;
        let along = numbers(&texts["columns"][0]["components"][number - 1]);
        Some(along.iter().zip(&embedding).zip(&mean).map(|((one, value), mean)| one * (value - mean)).sum())
    };
    let value = |name: &str| {
        let label = name.strip_prefix("body ").unwrap_or_default();
        let known = said[name].as_f64().or_else(|| said["labels"][label].as_f64());
        known.or_else(|| component(name)).unwrap_or_else(|| panic!("{name}: {said}"))
    };
    let number = |column: &Value, key: &str| column[key].as_f64().expect("it is a number");
    let term = |column: &Value| {
        let name = column["name"].as_str().expect("it has a name");
        let distance = (value(name) - number(column, "mean")) / number(column, "scale");
        distance * column["coefficients"][0].as_f64().expect("it is a number")
    };
    let columns = model["columns"].as_array().expect("they are a list");
    assert!(columns.len() > 8, "{columns:?}");
    number(&model["equations"][0], "intercept") + columns.iter().map(term).sum::<f64>()
}

#[test]
fn a_text_model_reads_texts_beside_columns() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, FEEDBACK);
    let train = |name: &str, label: &str, more: &str| {
        format!("SELECT ecommerce_ml.train_model('{name}', 'feedback', label_column => '{label}', {more})")
    };
    // By the built-in model, which is found by what the texts look like; the channel is none.
    let all = "feature_columns => '{age,channel,body}'";
    let (_, outcome) = trained(&mut session, &train("kept", "kept", all));
    assert!(outcome.starts_with("succeeded; deployed"), "{outcome}");
    let made: Value = ask(
        &mut session,
        "SELECT jsonb_build_object('base', v.base, 'job', j.base, 'texts', v.signature -> 'reads' -> 'columns' -> 2)
         FROM ecommerce_ml.model_versions AS v, ecommerce_ml.jobs AS j WHERE v.name = 'kept' AND j.name = 'kept'",
    );
    let field = json!({"name": "body", "type": "text"});
    assert_eq!(made, json!({"base": "reviews@1", "job": "reviews@1", "texts": field}));
    let right: f64 = ask(
        &mut session,
        "SELECT avg((ecommerce_ml.predict_class(f, 'kept') = kept::text)::int)::float8 FROM feedback AS f WHERE id % 40 > 1",
    );
    assert!(right > 0.9, "{right}");
    let columns: Vec<String> = ask(
        &mut session,
        "SELECT array_agg(e.feature ORDER BY e.feature)
         FROM feedback AS f, ecommerce_ml.explain_prediction(f, 'kept') AS e WHERE f.id = 3",
    );
    assert_eq!(columns, ["age", "body", "channel"]);
    let same: bool = ask(
        &mut session,
        "SELECT count(DISTINCT ecommerce_ml.predict_probabilities(
                    jsonb_build_object('age', 30, 'channel', 'web', 'body', body), 'kept')) = 1
         FROM unnest(ARRAY[NULL, '', ' ']) AS body",
    );
    assert!(same, "nothing to read is nothing to read");
    // Answers stay when the version is asked by another engine, and by another database.
    let probabilities = "SELECT string_agg(ecommerce_ml.predict_probabilities(f, 'kept')::text, ' ' ORDER BY id) FROM feedback AS f";
    let before: String = ask(&mut session, probabilities);

    // By a model of one's own, which is dropped meanwhile.
    import_reference(&cluster, &mut session, "tiny", "bert-stars-sharded");
    let linear = "task => 'regression', text_column => 'body', feature_columns => '{age}', base => 'tiny',
                  options => '{\"algorithm\": \"linear\", \"deploy\": \"always\", \"eval_fraction\": 0.2}'";
    trained(&mut session, &train("worth", "worth", linear));
    let folder = cluster.folder("exports").join("worth");
    run(&mut session, &format!("SELECT ecommerce_ml.export_model('worth', '{}')", folder.display()));
    let worth = |session: &mut Client, model: &str, id: i32| -> f64 {
        ask(
            session,
            &format!("SELECT ecommerce_ml.predict_value(f, '{model}') FROM feedback AS f WHERE id = {id}"),
        )
    };
    for id in [2, 3, 17, 100] {
        let (hand, found) = (by_hand(&mut session, &folder, "tiny", id), worth(&mut session, "worth", id));
        assert!((hand - found).abs() < 1e-3 * found.abs(), "{id}: {found}, by hand {hand}");
    }
    let apart: f64 = ask(
        &mut session,
        "SELECT max(abs(value - contributions - base)) FROM (
             SELECT value, contributions, avg(value - contributions) OVER () AS base FROM (
                 SELECT ecommerce_ml.predict_value(f, 'worth') AS value,
                        (SELECT sum(contribution) FROM ecommerce_ml.explain_prediction(f, 'worth')) AS contributions
                 FROM feedback AS f WHERE id < 60) AS one) AS all_of_them",
    );
    assert!(apart < 1e-6, "{apart}");
    run(&mut session, "SELECT ecommerce_ml.drop_model('tiny')");
    let found = worth(&mut session, "worth", 17);
    give_to_server(&folder);
    assert_eq!(ask::<i32>(&mut session, &import_statement("other", &folder)), 1);
    assert_eq!(worth(&mut session, "other", 17).to_bits(), found.to_bits());

    for (call, sqlstate) in [
        (train("x", "kept", &format!("base => 'tiny', {all}")), "42704"),
        (train("x", "kept", &format!("base => 'kept', {all}")), "22023"),
        (train("x", "kept", "base => 'reviews', feature_columns => '{age}'"), "22023"),
        (train("x", "kept", &format!("options => '{{\"text_features\": [\"age\"]}}', {all}")), "22023"),
    ] {
        fails_with(&mut session, &call, sqlstate);
    }
    let (job, _) = trained(
        &mut session,
        &train("plain", "kept", &format!("options => '{{\"text_features\": []}}', {all}")),
    );
    let base: Option<String> =
        ask(&mut session, &format!("SELECT base FROM ecommerce_ml.jobs WHERE job = {job}"));
    assert_eq!(base, None);

    let file = cluster.folder("transfer").join("feedback.dump").display().to_string();
    cluster.output("pg_dump", &["-Fc", "-d", "postgres", "-f", &file]);
    run(&mut session, "CREATE DATABASE restored");
    cluster.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);
    let mut restored = cluster.session_in("restored");
    assert_eq!(ask::<String>(&mut restored, probabilities), before);
}

#[test]
fn rows_unlike_the_others_are_found_and_told_why() {
    let (_cluster, mut session) = shop(400);
    run(
        &mut session,
        "UPDATE customers SET visits = 900 WHERE id = 18; UPDATE customers SET plan = NULL WHERE id = 40",
    );
    let columns = "feature_columns => '{visits,spent,plan,member}'";
    let train = |more: &str| {
        format!("SELECT ecommerce_ml.train_model('odd', 'customers', task => 'anomaly', {columns}{more})")
    };
    let (_, outcome) = trained(&mut session, &train(", time_column => 'since'"));
    assert_eq!(outcome, "succeeded; deployed: without labels there is nothing to measure");
    let (_, outcome) = trained(&mut session, &train(", options => '{\"deploy\": \"never\"}'"));
    assert_eq!(outcome, "succeeded; not deployed, as asked");

    let found = session.query("SELECT keys, score, reason, time::date::text, expected FROM ecommerce_ml.detect_anomalies('odd', budget => 2)", &[]).unwrap();
    let first: Value = found[0].get(0);
    assert_eq!((found.len(), first), (2, json!({"id": 18})));
    let reason: Value = found[0].get(2);
    assert_eq!((&reason[0]["column"], &reason[0]["value"]), (&json!("visits"), &json!("900")));
    let (time, expected): (String, Option<f64>) = (found[0].get(3), found[0].get(4));
    assert_eq!((time.as_str(), expected), ("2024-01-19", None));
    let score: f64 =
        ask(&mut session, "SELECT ecommerce_ml.predict_value(c, 'odd') FROM customers AS c WHERE id = 18");
    assert_eq!(score, found[0].get::<_, f64>(1));
    let sum: f64 = ask(
        &mut session,
        "SELECT sum(contribution) FROM customers AS c, ecommerce_ml.explain_prediction(c, 'odd') WHERE id IN (18, 19) GROUP BY id ORDER BY id LIMIT 1",
    );
    assert!(sum > 0.1, "{sum}");
    let unknown: i32 = ask(
        &mut session,
        "SELECT (keys ->> 'id')::int FROM ecommerce_ml.detect_anomalies('odd', 'customers', 400) WHERE reason -> 0 ->> 'column' = 'plan' LIMIT 1",
    );
    assert_eq!(unknown, 40, "a value that is missing where none was");

    // A view has no primary key: its rows are named by all that they have.
    run(
        &mut session,
        "CREATE VIEW unkeyed AS SELECT visits, spent, plan, member FROM customers WHERE id < 30",
    );
    let keys: Value =
        ask(&mut session, "SELECT keys FROM ecommerce_ml.detect_anomalies('odd', 'unkeyed', 1)");
    assert_eq!(keys["visits"], json!(900));
    run(&mut session, "CREATE VIEW marked AS SELECT *, id = 18 AS is_odd FROM customers");
    let evaluated = "SELECT value FROM ecommerce_ml.evaluate_model('odd', 'marked', label_column => 'is_odd') WHERE metric =";
    let measured = ["roc_auc", "average_precision", "baseline_average_precision"]
        .map(|metric| ask::<f64>(&mut session, &format!("{evaluated} '{metric}'")));
    assert_eq!(measured, [1.0, 1.0, 1.0 / 400.0]);

    for (call, sqlstate) in [
        (train(", label_column => 'churned'"), "22023"),
        (train(", text_column => 'note'"), "22023"),
        (train(", key_columns => '{visits}'"), "42701"),
        (train(", options => '{\"contamination\": 0.1}'"), "22023"),
        ("SELECT * FROM ecommerce_ml.detect_anomalies('reviews', 'customers')".to_owned(), "42809"),
        ("SELECT * FROM ecommerce_ml.detect_anomalies('odd', budget => 0)".to_owned(), "22023"),
        ("SELECT * FROM ecommerce_ml.detect_anomalies('gone')".to_owned(), "42704"),
        (
            "SELECT * FROM ecommerce_ml.evaluate_model('odd', 'customers', label_column => 'churned')"
                .to_owned(),
            "42804",
        ),
    ] {
        fails_with(&mut session, &call, sqlstate);
    }
    run(
        &mut session,
        "CREATE ROLE clerk; GRANT SELECT ON customers TO clerk; GRANT USAGE ON SCHEMA ecommerce_ml TO clerk;
         SELECT ecommerce_ml.grant_model('odd', 'clerk');
         ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
         CREATE POLICY ordinary ON customers TO clerk USING (visits < 900); SET ROLE clerk",
    );
    let most: f64 =
        ask(&mut session, "SELECT score FROM ecommerce_ml.detect_anomalies('odd', 'customers', 1)");
    assert!(most < score, "a row that the caller may not see is not named");
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.detect_anomalies('odd')", "42501");
}

#[test]
fn settings_that_were_tried_are_rows() {
    let (_cluster, mut session) = shop(400);
    let search =
        "options => '{\"hyperparameter_search\": {\"trials\": 5, \"timeout\": 300}, \"n_estimators\": 30}'";
    let (job, _) = trained(
        &mut session,
        &train("worth", "worth", &format!("task => 'regression', {FEATURES}, {search}")),
    );
    let trials: Value = ask(
        &mut session,
        &format!(
            "SELECT jsonb_build_object('trials', count(*), 'best', count(*) FILTER (WHERE best), 'rung', max(rung),
                                       'least', min(loss) = min(loss) FILTER (WHERE best), 'rows', min(rows) > 200 AND max(rows) < 360)
             FROM ecommerce_ml.job_trials WHERE job = {job} AND name = 'worth' AND seconds > 0"
        ),
    );
    assert_eq!(trials, json!({"trials": 5, "best": 1, "rung": 1, "least": true, "rows": true}));
    let found: bool = ask(
        &mut session,
        &format!(
            "SELECT v.training -> 'options' @> t.settings FROM ecommerce_ml.model_versions AS v, ecommerce_ml.job_trials AS t
             WHERE v.name = 'worth' AND t.job = {job} AND t.best"
        ),
    );
    assert!(found, "a version has the settings that were found");
    // Nobody else sees them, and they go with their job.
    run(&mut session, "CREATE ROLE stranger; SET ROLE stranger");
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.job_trials"), 0);
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.stored_trial", "42501");
    run(&mut session, &format!("RESET ROLE; SELECT ecommerce_ml.drop_job({job})"));
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.stored_trial"), 0);
    let linear = search.replace("\"n_estimators\": 30", "\"algorithm\": \"linear\"");
    fails_with(
        &mut session,
        &train("worth", "worth", &format!("task => 'regression', {FEATURES}, {linear}")),
        "22023",
    );
}
