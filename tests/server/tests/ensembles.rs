//! Ensembles: models put together, on rows that none of them has learned from, and what becomes of their members afterwards.

use ecommerce_ml_server_tests::fixtures::import_statement;
use ecommerce_ml_server_tests::installation::give_to_server;
use ecommerce_ml_server_tests::jobs::{options, prepare, said, succeed, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::{Value, json};

/// What customers are worth: more the older they are, and more if they like what they bought, which only their words say. Some wrote
/// nothing.
const FEEDBACK: &str = "
    CREATE TABLE feedback (id int PRIMARY KEY, \"Age\" int, body text, worth float8);
    INSERT INTO feedback
    SELECT i, age, CASE WHEN i % 40 = 1 THEN NULL ELSE
                format((ARRAY['Number %s is awful, it tore at once and the cloth is thin, do not buy it',
                              'Number %s is wonderful, it fits well and the cloth is soft, I love it'])[1 + liked], i) END,
           10.0 * age + 100 * liked + i % 5
    FROM generate_series(1, 400) AS i, LATERAL (SELECT 20 + i * 7 % 60 AS age, abs(hashint4(i)) % 2 AS liked) AS v";

/// Trains, and returns the job's number and what it says of its end.
fn trained(session: &mut Client, call: &str) -> (i64, String) {
    let job: i64 = ask(session, call);
    succeed(session, job);
    (job, said(session, job))
}

fn by_age(options: &str) -> String {
    format!(
        "SELECT ecommerce_ml.train_model('by_age', 'feedback', label_column => 'worth', task => 'regression',
                                         feature_columns => '{{Age}}', options => '{options}')"
    )
}

fn together(name: &str, members: &str, more: &str) -> String {
    format!(
        "SELECT ecommerce_ml.train_model('{name}', 'feedback', 'body', 'worth', 'regression',
                                         options => '{{\"ensemble\": {members}{more}}}')"
    )
}

const MEMBERS: &str = r#"["reviews", "by_age"]"#;

const ANSWERS: &str =
    "SELECT string_agg(ecommerce_ml.predict_value(f, 'together')::text, ' ' ORDER BY id) FROM feedback AS f";

/// What a version was made of.
fn members(session: &mut Client, version: i32) -> Value {
    let query = format!(
        "SELECT training -> 'members' FROM ecommerce_ml.model_versions WHERE name = 'together' AND version = {version}"
    );
    ask(session, &query)
}

#[test]
fn models_are_put_together_and_outlive_their_members() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.training_nice = 0"]);
    let mut session = cluster.session();
    run(&mut session, FEEDBACK);
    trained(&mut session, &by_age(r#"{"where": "id % 2 = 0"}"#));

    // All rows that there are were part of the training of a member.
    let job: i64 = ask(&mut session, &together("together", MEMBERS, r#", "where": "id % 2 = 0""#));
    assert_eq!(wait(&mut session, job), "failed");
    let why = said(&mut session, job);
    assert!(why.contains("22023; training needs at least 8 rows"), "{why}");
    assert!(why.contains("Rows that were left out, since members were trained on them: 200."), "{why}");
    assert!(why.contains("or train the members on some of the rows by option \"where\""), "{why}");

    let (job, outcome) = trained(&mut session, &together("together", MEMBERS, ""));
    let better = "succeeded; deployed: it is better than member \"by_age@1\" alone (mae ";
    assert!(outcome.starts_with(better), "{outcome}");
    let notices: Value =
        ask(&mut session, &format!("SELECT notices FROM ecommerce_ml.jobs WHERE job = {job}"));
    assert!(
        notices.as_array().unwrap_or(&vec![]).iter().any(|notice| {
            notice["kind"] == "rows_of_members"
                && notice["rows"] == 200
                && notice["message"]
                    == "200 rows are neither learned from nor measured on, since members were trained on them"
        }),
        "{notices}"
    );
    let version: Value = ask(
        &mut session,
        "SELECT jsonb_build_object('kind', kind, 'base', base, 'reads', signature -> 'reads')
         FROM ecommerce_ml.model_versions WHERE name = 'together'",
    );
    let fields = json!([{"name": "Age", "type": "number"}, {"name": "body", "type": "text"}]);
    assert_eq!(version, json!({"kind": "ensemble", "base": null, "reads": {"columns": fields}}));
    assert_eq!(members(&mut session, 1), json!(["reviews@1", "by_age@1"]));
    it_is_explained_and_asked(&mut session);
    it_takes_other_versions_when_it_is_trained_again(&mut session);
    it_travels_without_its_members(&cluster, &mut session);
}

fn it_is_explained_and_asked(session: &mut Client) {
    let parts: Vec<String> = ask(
        session,
        "SELECT array_agg(feature ORDER BY feature) FROM ecommerce_ml.explain_model('together') WHERE importance > 0.001",
    );
    assert_eq!(parts, ["by_age@1", "reviews@1"]);
    let total: f64 = ask(session, "SELECT sum(importance) FROM ecommerce_ml.explain_model('together')");
    assert!((total - 1.0).abs() < 1e-9, "{total}");
    let apart: f64 = ask(
        session,
        "SELECT max(abs(value - contributions - base)) FROM (
             SELECT value, contributions, avg(value - contributions) OVER () AS base FROM (
                 SELECT ecommerce_ml.predict_value(f, 'together') AS value,
                        (SELECT sum(contribution) FROM ecommerce_ml.explain_prediction(f, 'together')) AS contributions
                 FROM feedback AS f WHERE id < 60) AS one) AS all_of_them",
    );
    assert!(apart < 1e-6, "{apart}");
    let says: bool = ask(
        session,
        "SELECT e.value::float8 = ecommerce_ml.predict_value(f, 'by_age')
         FROM feedback AS f, ecommerce_ml.explain_prediction(f, 'together') AS e WHERE id = 5 AND feature = 'by_age@1'",
    );
    assert!(says, "a member says what it says by itself");
    let silent: String = ask(
        session,
        r#"SELECT string_agg(concat_ws(' ', feature, value, contribution), ',') FROM ecommerce_ml.explain_prediction(
               '{"Age": 30, "body": " "}'::jsonb, 'together') WHERE feature = 'reviews@1'"#,
    );
    assert_eq!(silent, "reviews@1 0");
    let held: f64 = ask(
        session,
        "SELECT avg((worth BETWEEN i.lower AND i.upper)::int)::float8
         FROM feedback AS f, ecommerce_ml.predict_interval(f, 'together', 0.8) AS i WHERE id % 2 = 1",
    );
    assert!(held > 0.6, "{held}");
    fails_with(session, r#"SELECT ecommerce_ml.predict_value('{"Age": 3}'::jsonb, 'together')"#, "42703");
    fails_with(session, "SELECT ecommerce_ml.predict_value('a text', 'together')", "42809");
}

fn it_takes_other_versions_when_it_is_trained_again(session: &mut Client) {
    let before: String = ask(session, ANSWERS);
    trained(session, &by_age(r#"{"where": "id % 4 = 0", "deploy": "always"}"#));
    assert_eq!(
        ask::<String>(session, ANSWERS),
        before,
        "a version that is live now is no member of an earlier one"
    );
    let (_, outcome) = trained(session, "SELECT ecommerce_ml.retrain_model('together')");
    assert!(outcome.starts_with("succeeded; "), "{outcome}");
    assert_eq!(members(session, 2), json!(["reviews@1", "by_age@2"]));
    // Of an earlier version nobody knows which rows it was trained on.
    let (job, _) =
        trained(session, &together("pinned", r#"["reviews", "by_age@1"]"#, r#", "deploy": "never""#));
    let notices: String =
        ask(session, &format!("SELECT notices::text FROM ecommerce_ml.jobs WHERE job = {job}"));
    assert!(notices.contains("rows member \\\"by_age@1\\\" was trained on"), "{notices}");
    run(session, "SELECT ecommerce_ml.deploy_model('together', 1)");
}

fn it_travels_without_its_members(cluster: &Cluster, session: &mut Client) {
    let before: String = ask(session, ANSWERS);
    run(session, "SELECT ecommerce_ml.drop_model('by_age')");
    assert_eq!(ask::<String>(session, ANSWERS), before);
    fails_with(session, "SELECT ecommerce_ml.retrain_model('together')", "42704");
    let folder = cluster.folder("exports").join("together");
    run(session, &format!("SELECT ecommerce_ml.export_model('together', '{}')", folder.display()));
    give_to_server(&folder);
    assert_eq!(ask::<i32>(session, &import_statement("other", &folder)), 1);
    assert_eq!(ask::<String>(session, &ANSWERS.replace("together", "other")), before);
    let file = cluster.folder("transfer").join("feedback.dump").display().to_string();
    cluster.output("pg_dump", &["-Fc", "-d", "postgres", "-f", &file]);
    run(session, "CREATE DATABASE restored");
    cluster.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);
    assert_eq!(ask::<String>(&mut cluster.session_in("restored"), ANSWERS), before);
}

#[test]
fn what_cannot_be_put_together_is_refused() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.training_nice = 0"]);
    let mut session = cluster.session();
    run(
        &mut session,
        &format!(
            "{FEEDBACK}; ALTER TABLE feedback ADD liked boolean; UPDATE feedback SET liked = worth > 500"
        ),
    );
    trained(&mut session, &by_age(r#"{"where": "id % 2 = 0", "deploy": "always"}"#));
    trained(&mut session, &together("together", MEMBERS, r#", "deploy": "always""#));
    let without = |argument: &str| {
        format!(
            "SELECT ecommerce_ml.train_model('x', 'feedback', label_column => 'worth', task => 'regression',
                                             options => '{{\"ensemble\": {MEMBERS}}}'{argument})"
        )
    };
    let of_task = |task: &str, label: &str, members: &str| {
        format!(
            "SELECT ecommerce_ml.train_model('x', 'feedback', 'body', '{label}', '{task}', options => '{{\"ensemble\": {members}}}')"
        )
    };
    for (call, sqlstate) in [
        (together("x", r#"["reviews", "nobody"]"#, ""), "42704"),
        (together("x", r#"["reviews", "by_age@7"]"#, ""), "42704"),
        (together("x", r#"["by_age"]"#, ""), "22023"),
        (together("x", r#"["by_age", "by_age@1"]"#, ""), "22023"),
        (together("x", r#""by_age""#, ""), "22023"),
        (together("x", "[1, 2]", ""), "22023"),
        (together("x", r#"["reviews", "together"]"#, ""), "22023"),
        (together("x", MEMBERS, r#", "max_depth": 3"#), "22023"),
        (without(""), "22023"),
        (without(", text_column => 'body', feature_columns => '{Age}'"), "22023"),
        (without(", text_column => 'body', base => 'reviews'"), "22023"),
        (without(", text_column => 'Age'"), "42804"),
        (of_task("classification", "liked", MEMBERS), "22023"),
        (of_task("rating", "worth", MEMBERS), "22023"),
        (of_task("anomaly", "worth", MEMBERS), "22023"),
        (together("x", MEMBERS, "").replace("'feedback'", "'nothing'"), "42P01"),
    ] {
        fails_with(&mut session, &call, sqlstate);
    }
    // A relation without what a member reads.
    run(&mut session, "CREATE VIEW ageless AS SELECT id, body, worth FROM feedback");
    fails_with(&mut session, &together("x", MEMBERS, "").replace("'feedback'", "'ageless'"), "42703");
    run(&mut session, "CREATE VIEW words AS SELECT id, \"Age\"::text AS \"Age\", body, worth FROM feedback");
    fails_with(&mut session, &together("x", MEMBERS, "").replace("'feedback'", "'words'"), "42804");
    // Members are used by those who may use them.
    run(&mut session, "CREATE ROLE clerk LOGIN; GRANT SELECT ON feedback TO clerk");
    let mut clerk = cluster.session_as("clerk", "postgres");
    fails_with(&mut clerk, &together("clerks", MEMBERS, ""), "42501");
    run(&mut session, "SELECT ecommerce_ml.grant_model('by_age', 'clerk')");
    let job: i64 = ask(&mut clerk, &together("clerks", MEMBERS, ""));
    succeed(&mut clerk, job);
}

#[test]
fn rows_that_members_learned_from_are_left_out_one_by_one() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.training_nice = 0"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 240);
    let of_texts = options(json!({"where": "id % 4 < 2", "deploy": "always"}));
    trained(
        &mut session,
        &format!(
            "SELECT ecommerce_ml.train_model('texts', 'labelled', 'body', 'label', base => 'tiny', options => '{of_texts}')"
        ),
    );
    trained(
        &mut session,
        "SELECT ecommerce_ml.train_model('columns', 'labelled', label_column => 'label', feature_columns => '{id}',
                                         options => '{\"where\": \"id % 3 = 0\", \"deploy\": \"always\", \"algorithm\": \"linear\"}')",
    );
    let (job, _) = trained(
        &mut session,
        "SELECT ecommerce_ml.train_model('both', 'labelled', 'body', 'label',
                                         options => '{\"ensemble\": [\"texts\", \"columns@1\"], \"deploy\": \"never\"}')",
    );
    let known: i64 = ask(
        &mut session,
        &format!(
            "SELECT (jsonb_path_query_first(notices, '$[*] ? (@.kind == \"rows_of_members\")') ->> 'rows')::bigint
             FROM ecommerce_ml.jobs WHERE job = {job}"
        ),
    );
    let expected: i64 = ask(&mut session, "SELECT count(*) FROM labelled WHERE id % 4 < 2 OR id % 3 = 0");
    assert_eq!(known, expected);
    let used: i64 = ask(
        &mut session,
        "SELECT (training ->> 'training_rows')::bigint + (training ->> 'held_out_rows')::bigint
         FROM ecommerce_ml.model_versions WHERE name = 'both'",
    );
    assert_eq!(used, 240 - expected);
    let sums: bool = ask(
        &mut session,
        "SELECT bool_and(abs((p ->> 'good')::float8 + (p ->> 'bad')::float8 - 1) < 1e-5)
         FROM (SELECT ecommerce_ml.predict_probabilities(l, 'both@1') AS p FROM labelled AS l) AS all_of_them",
    );
    assert!(sums);
}

#[test]
fn of_rows_alike_in_few_columns_as_many_are_left_out_as_were_learned_from() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.training_nice = 0"]);
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE visits AS
         SELECT i AS id, abs(hashint4(i)) % 4 AS times, (ARRAY['web', 'shop'])[1 + abs(hashint4(-i)) % 2] AS place
         FROM generate_series(1, 400) AS i;
         ALTER TABLE visits ADD bought text;
         UPDATE visits SET bought = CASE WHEN times + (place = 'web')::int > 2 THEN 'yes' ELSE 'no' END",
    );
    let train = |name: &str, more: &str| {
        format!("SELECT ecommerce_ml.train_model('{name}', 'visits', label_column => 'bought', {more})")
    };
    for column in ["times", "place"] {
        let options = r#"{"where": "id % 2 = 0", "deploy": "always", "algorithm": "linear"}"#;
        let call = train(column, &format!("feature_columns => '{{{column}}}', options => '{options}'"));
        trained(&mut session, &call);
    }
    let (job, _) = trained(&mut session, &train("both", r#"options => '{"ensemble": ["times", "place"]}'"#));
    let read: i64 = ask(
        &mut session,
        &format!("SELECT training_rows + held_out_rows FROM ecommerce_ml.jobs WHERE job = {job}"),
    );
    // 200 rows for each member, some of them the same.
    assert!((50..=200).contains(&read), "{read}");
}
