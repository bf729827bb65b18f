//! Models of columns answer for rows and for jsonb: alike with batches and without, whatever the row's type; and rows as strangers
//! bring them are learned from, or refused in words that help.

use ecommerce_ml_server_tests::batches::{NODE, assert_batched, explain_with, set_batches};
use ecommerce_ml_server_tests::corpus::runner::Tally;
use ecommerce_ml_server_tests::corpus::{CUSTOMERS, rows};
use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::jobs::{said, succeed, wait};
use ecommerce_ml_server_tests::statement::{describe, run};
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::Value;

/// Workers wherever the server can use some.
const PARALLEL: &str = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; \
                        SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2";

fn prepared() -> (Cluster, Client) {
    let settings =
        ["ecommerce_ml.precision = 'f32'", "autovacuum = off", "search_path = 'public, ecommerce_ml'"];
    let cluster = Cluster::with_settings(&settings);
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "stays", "columns-classification");
    import_reference(&cluster, &mut session, "worth", "columns-regression");
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    run(&mut session, CUSTOMERS);
    (cluster, session)
}

#[test]
fn batches_change_no_answer_for_a_row() {
    let (cluster, mut session) = prepared();
    let cases = rows();
    assert!(cases.len() > 40, "{}", cases.len());
    let mut tally = Tally::default();
    tally.compare(&mut session, "default settings", &cases);
    run(&mut session, PARALLEL);
    tally.compare(&mut session, "parallel workers", &cases);
    run(&mut session, "RESET ALL; SET ecommerce_ml.batch_size = 3; SET jit = on; SET jit_above_cost = 0");
    tally.compare(&mut session, "small windows, compiled", cases.iter().step_by(3));
    tally.compare_in_new_sessions(&cluster, cases.iter().step_by(7));
    tally.assert_alike();
}

#[test]
fn calls_for_rows_are_batched() {
    let (_cluster, mut session) = prepared();
    for query in [
        "SELECT predict_class(c, 'stays') FROM customers AS c",
        "SELECT predict_value(to_jsonb(c), 'worth') FROM customers AS c",
        "SELECT count(*) FROM customers AS c WHERE predict_value(c, 'worth') > 0",
        "SELECT sum(predict_value(c, 'worth')) FROM customers AS c",
        "SELECT predict_class(c, 'stays'), count(*) FROM customers AS c GROUP BY 1",
        "SELECT predict_value(s, 'worth') FROM (SELECT price, country, member, since FROM customers) AS s",
        "SELECT predict_value(v, 'worth') FROM visits AS v",
        "SELECT predict_class(c, 'stays') FROM orders AS o JOIN customers AS c ON c.id = o.customer",
        "SELECT answer FROM judged",
    ] {
        assert_batched(&mut session, query);
    }
    let query = "SELECT id, predict_class(c, 'stays'), predict_probabilities(c, 'stays') FROM customers AS c";
    let explained = explain_with(&mut session, "ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF", query).unwrap();
    assert_eq!(explained.matches(NODE).count(), 1, "{explained}");
    // 600 rows in windows of 4, 8, ..., and both functions ask as one.
    assert!(explained.contains("Texts: 600\n"), "{explained}");
    assert!(explained.contains("Windows: 8\n"), "{explained}");
}

#[test]
fn workers_share_a_scan_of_rows() {
    let (_cluster, mut session) = prepared();
    let query = "SELECT sum(predict_value(c, 'worth')) FROM customers AS c";
    let alone: f64 = ask(&mut session, query);
    run(&mut session, PARALLEL);
    let plan = explain_with(&mut session, "COSTS OFF", query).unwrap();
    assert!(plan.contains("Workers Planned") && plan.contains(NODE), "{plan}");
    let together: f64 = ask(&mut session, query);
    assert!((alone - together).abs() < 1e-9 * alone.abs().max(1.0), "{alone} and {together}");
}

/// What a statement is refused with, both ways.
fn refused_with(session: &mut Client, statement: &str, sqlstate: &str) {
    for on in [true, false] {
        set_batches(session, on);
        fails_with(session, statement, sqlstate);
    }
}

#[test]
fn a_row_that_does_not_fit_is_refused_when_it_is_reached() {
    let (_cluster, mut session) = prepared();
    let mixed = "FROM (SELECT id, CASE WHEN id = 300 THEN '{\"price\": \"dear\"}'::jsonb ELSE to_jsonb(c) END AS j \
                 FROM customers AS c ORDER BY id) AS s";
    refused_with(&mut session, &format!("SELECT predict_value(j, 'worth') {mixed}"), "42804");
    for on in [true, false] {
        set_batches(&mut session, on);
        let before: i64 = ask(
            &mut session,
            &format!("SELECT count(*) FROM (SELECT predict_value(j, 'worth') {mixed} LIMIT 299) AS t"),
        );
        assert_eq!(before, 299);
        // What nobody needs the answer for is not refused.
        let others: i64 =
            ask(&mut session, &format!("SELECT count(predict_value(j, 'worth')) {mixed} WHERE id <> 300"));
        assert_eq!(others, 599);
    }
    for (statement, sqlstate) in [
        ("SELECT predict_value(o, 'worth') FROM orders AS o", "42703"),
        (
            "SELECT predict_value(s, 'worth') FROM (SELECT price::text, country, member, since FROM customers) AS s",
            "42804",
        ),
        (
            "SELECT predict_value(s, 'worth') FROM (SELECT price, ARRAY[country] AS country, member, since FROM customers) AS s",
            "42804",
        ),
        ("SELECT predict_value(c, 'shop') FROM customers AS c", "42809"),
        ("SELECT predict_class(note, 'stays') FROM customers", "42809"),
        ("SELECT embed(note, 'stays') FROM customers", "42809"),
        ("SELECT predict_class(c, 'worth') FROM customers AS c", "22023"),
        ("SELECT predict_rating(c, 'stays') FROM customers AS c", "22023"),
        ("SELECT predict_class(c, 'nosuch') FROM customers AS c", "42704"),
        (
            "SELECT predict_value(s, 'worth') FROM (SELECT 'Infinity'::numeric AS price, country, member, since FROM customers) AS s",
            "22023",
        ),
        ("SELECT predict_class(to_jsonb(c) || '{\"price\": 1e400}', 'stays') FROM customers AS c", "22023"),
        ("SELECT predict_class('[]'::jsonb, 'stays') FROM customers", "42804"),
        ("SELECT predict_class('{\"price\": 1}'::jsonb, 'stays') FROM customers", "42703"),
        (
            "SELECT predict_class(to_jsonb(c) || '{\"since\": \"soon\"}', 'stays') FROM customers AS c",
            "22007",
        ),
    ] {
        refused_with(&mut session, statement, sqlstate);
    }
}

/// Both sides are the same input, as other types.
fn answered_alike(session: &mut Client, one: &str, other: &str) {
    let query = format!(
        "SELECT count(*) FROM (SELECT predict_value(a, 'worth') AS a, predict_value(b, 'worth') AS b \
         FROM (SELECT {one} FROM numbers) AS a JOIN (SELECT {other} FROM numbers) AS b USING (i)) AS both_ \
         WHERE a IS DISTINCT FROM b"
    );
    for on in [true, false] {
        set_batches(session, on);
        assert_eq!(ask::<i64>(session, &query), 0, "{one} | {other}");
    }
}

#[test]
fn values_are_read_whatever_their_type() {
    let (_cluster, mut session) = prepared();
    run(
        &mut session,
        "CREATE DOMAIN word AS varchar(9); CREATE DOMAIN longer AS word; \
         CREATE TABLE numbers AS SELECT i, (CASE i % 4 WHEN 0 THEN '-' ELSE '' END || (i::numeric ^ 3 * 7919)::bigint || '.' || i * 37 % 1000 \
         || CASE i % 5 WHEN 0 THEN '0000000000012345' ELSE '' END)::numeric / 10 ^ (i % 12)::numeric AS n FROM generate_series(0, 999) AS i",
    );
    let rest = "'AT'::text AS country, true AS member, NULL::timestamptz AS since";
    let prices = [
        ("n AS price", "n::float8 AS price"),
        ("-n * 1e-20 AS price", "(-n * 1e-20)::float8 AS price"),
        ("n * 1e30 AS price", "(n * 1e30)::float8 AS price"),
        ("(i % 7)::smallint AS price", "(i % 7)::float8 AS price"),
        ("-i::bigint AS price", "-i::float8 AS price"),
        ("(i / 8.0)::real AS price", "(i / 8.0)::real::float8 AS price"),
        (
            "CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN 0.00 ELSE 10 END::numeric(8, 3) AS price",
            "CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN 0 ELSE 10 END::float8 AS price",
        ),
    ];
    for (one, other) in prices {
        answered_alike(&mut session, &format!("i, {one}, {rest}"), &format!("i, {other}, {rest}"));
    }
    let countries = "(ARRAY['AT', 'DE', 'XX'])[1 + i % 3]";
    let reference =
        format!("i, 1 AS price, {countries} AS country, true AS member, NULL::timestamptz AS since");
    for kind in ["varchar", "name", "char(7)", "word", "longer"] {
        let other = format!(
            "i, 1 AS price, {countries}::{kind} AS country, true AS member, NULL::timestamptz AS since"
        );
        answered_alike(&mut session, &reference, &other);
    }
    // Without time zone is as in UTC, whatever the session's.
    run(&mut session, "SET timezone = 'Asia/Tokyo'");
    let since =
        |value: &str| format!("i, 1 AS price, 'AT'::text AS country, true AS member, {value} AS since");
    let moment = since("timestamptz '2024-01-01 00:00+00' + i * interval '24 hours'");
    answered_alike(&mut session, &moment, &since("date '2024-01-01' + i"));
    answered_alike(&mut session, &moment, &since("timestamp '2024-01-01' + i * interval '1 day'"));
    answered_alike(&mut session, &since("NULL::date"), &since("'infinity'::date"));
    answered_alike(&mut session, &since("NULL::date"), &since("'-infinity'::timestamptz"));
    for (text, moment) in
        [("2024-03-01 12:00", "2024-03-01 12:00+00"), ("2024-03-01T12:00:00+02:00", "2024-03-01 10:00+00")]
    {
        let query = format!(
            "SELECT predict_value(jsonb_build_object('price', 1, 'country', 'AT', 'member', true, 'since', '{text}'), 'worth') \
             = predict_value(s, 'worth') FROM (SELECT 1 AS price, 'AT' AS country, true AS member, timestamptz '{moment}' AS since) AS s"
        );
        assert!(ask::<bool>(&mut session, &query), "{text}");
    }
}

/// Columns as strangers have them: `x` tells the label, and nothing else does.
const STRANGE: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TABLE strange AS
    SELECT i AS id, i % 10 AS x, 7 AS seven, NULL::int AS nothing, NULL::text AS silent, NULL::date AS never, md5(i::text) AS name,
           i % 3 * 1e300 AS big, i % 4 * 1e-300 AS tiny, CASE WHEN i = 7 THEN 'NaN' ELSE (i % 5)::float8 END AS nan,
           CASE WHEN i = 7 THEN 'Infinity' ELSE i::float8 END AS endless, i * 10::numeric ^ 400 AS huge,
           (ARRAY['a', 'b', NULL])[1 + i % 3] AS "The ""Kind"" größe", 'cat' || i AS category,
           CASE WHEN i % 10 < 5 THEN 'yes' ELSE 'no' END AS label, i % 10 / 5 AS two, i % 10 < 5 AS truth, 'one'::text AS single,
           NULL::text AS unlabelled, (i % 7)::float8 AS stars, CASE WHEN i = 5 THEN 'NaN' ELSE i::float8 END AS worth,
           CASE WHEN i % 3 = 0 THEN CASE WHEN i % 10 < 5 THEN 'yes' ELSE 'no' END END AS some, '{}'::jsonb AS js, ARRAY['a'] AS words,
           date '2026-01-01' + i AS day
    FROM generate_series(1, 300) AS i;
    CREATE VIEW trebled AS SELECT s.*, x * id AS product FROM strange AS s, generate_series(1, 3);
    CREATE VIEW many AS SELECT 'cat' || i % 10000 AS category, CASE WHEN i % 10000 < 5000 THEN 'yes' ELSE 'no' END AS label
                        FROM generate_series(1, 25000) AS i
"#;

/// The call that trains a model of `relation` called like its label.
fn train(name: &str, relation: &str, columns: &str, more: &str) -> String {
    format!(
        "SELECT train_model('{name}', '{relation}', feature_columns => '{columns}', {more},
                            options => '{{\"n_estimators\": 30, \"max_depth\": 2, \"deploy\": \"always\"}}')"
    )
}

/// Kinds and columns of what a job has to say, in their order.
fn notices(session: &mut Client, job: i64) -> Vec<String> {
    let all: Value = ask(session, &format!("SELECT notices FROM jobs WHERE job = {job}"));
    let word = |notice: &Value, key: &str| notice[key].as_str().unwrap_or_default().to_owned();
    let shown =
        |notice: &Value| format!("{} {}", word(notice, "kind"), word(notice, "column")).trim_end().to_owned();
    all.as_array().into_iter().flatten().map(shown).collect()
}

#[test]
fn rows_as_strangers_bring_them_are_learned_from_or_refused() {
    let cluster = Cluster::with_settings(&["search_path = 'public, ecommerce_ml'"]);
    let mut session = cluster.session();
    run(&mut session, STRANGE);

    let columns = r#"{x,seven,nothing,silent,never,name,nan,"The \"Kind\" größe"}"#;
    let useless = [
        "leaking_column x",
        "constant_column seven",
        "constant_column nothing",
        "constant_column silent",
        "constant_column never",
        "distinct_column name",
    ];
    let linear = "label_column => 'label', options => '{\"algorithm\": \"linear\", \"deploy\": \"always\"}'";
    let calls = [
        train("trees", "strange", &columns.replace("nan,", "nan,big,tiny,"), "label_column => 'label'"),
        format!("SELECT train_model('line', 'strange', feature_columns => '{columns}', {linear})"),
    ];
    for (call, name) in calls.iter().zip(["trees", "line"]) {
        let job: i64 = ask(&mut session, call);
        succeed(&mut session, job);
        assert_eq!(notices(&mut session, job), useless, "{name}");
        let right: f64 = ask(
            &mut session,
            &format!("SELECT avg((predict_class(s, '{name}') = label)::int)::float8 FROM strange AS s"),
        );
        assert!((right - 1.0).abs() < 1e-9, "{name}: {right}");
        // What was always missing is there, and what was there is new.
        let answer: String = ask(
            &mut session,
            &format!(
                "SELECT predict_class(to_jsonb(s) || '{{\"nothing\": 3, \"silent\": \"new\", \"never\": \"2026-01-01\", \"name\": null,
                 \"seven\": 8, \"x\": 9}}', '{name}') FROM strange AS s LIMIT 1"
            ),
        );
        assert_eq!(answer, "no", "{name}");
    }

    for (columns, more, words) in [
        (
            "{seven,nothing}",
            "label_column => 'label'",
            "22023; no column to learn from ever changes; Columns that have one value in all rows, or none: \"seven\", \"nothing\".",
        ),
        (
            "{x,endless}",
            "label_column => 'label'",
            "22023; column \"endless\" has an infinite value; Use NULL where a value is not known",
        ),
        ("{x,huge}", "label_column => 'label'", "22023; column \"huge\" has an infinite value; "),
        (
            "{x}",
            "label_column => 'single'",
            "22023; training needs at least two classes; There are 300 rows: 300 of \"one\".",
        ),
        (
            "{x}",
            "label_column => 'unlabelled'",
            "22023; training needs at least 8 rows; There are 0 rows. Rows that were left out, since they have no label, no time, no key or no text: 300.",
        ),
        (
            "{x}",
            "label_column => 'stars', task => 'rating'",
            "22023; label 0 is not a number of stars from 1 to 5",
        ),
        (
            "{x}",
            "label_column => 'worth', task => 'regression'",
            "22023; label NaN is not a finite number; Rows without a label are left out",
        ),
    ] {
        let job: i64 = ask(&mut session, &train("refused", "strange", columns, more));
        assert_eq!(wait(&mut session, job), "failed", "{columns} {more}");
        let said = said(&mut session, job);
        assert!(said.contains(words), "{said}");
    }
    for (columns, more, sqlstate) in [
        ("{x,label}", "label_column => 'label'", "22023"),
        ("{x,x}", "label_column => 'label'", "42701"),
        ("{nosuch}", "label_column => 'label'", "42703"),
        ("{x}", "label_column => 'nosuch'", "42703"),
        ("{js}", "label_column => 'label'", "42804"),
        ("{words}", "label_column => 'label'", "42804"),
        ("{x}", "label_column => 'day'", "42804"),
        ("{x}", "label_column => 'words'", "42804"),
        ("{x}", "label_column => 'label', task => 'regression'", "42804"),
        ("{x}", "label_column => 'truth', task => 'regression'", "42804"),
    ] {
        fails_with(&mut session, &train("refused", "strange", columns, more), sqlstate);
    }

    // Integers and booleans are labels, and come back as such; rows without one are left out.
    for (label, right) in [
        ("two", "predict_class(s, 'two')::int = two"),
        ("truth", "predict_class(s, 'truth')::boolean = truth"),
        ("some", "predict_class(s, 'some') = label"),
    ] {
        let job: i64 =
            ask(&mut session, &train(label, "strange", "{x}", &format!("label_column => '{label}'")));
        succeed(&mut session, job);
        assert!(ask::<bool>(&mut session, &format!("SELECT bool_and({right}) FROM strange AS s")), "{label}");
    }

    // Of rows that are there three times it is told: most look like another, so that they aren't taken for copies.
    let job: i64 = ask(&mut session, &train("trebled", "trebled", "{id,product}", "label_column => 'label'"));
    succeed(&mut session, job);
    let found = notices(&mut session, job);
    assert!(found.iter().any(|notice| notice == "equal_rows"), "{found:?}");

    let job: i64 = ask(&mut session, &train("many", "many", "{category}", "label_column => 'label'"));
    succeed(&mut session, job);
    let right: f64 =
        ask(&mut session, "SELECT avg((predict_class(m, 'many') = label)::int)::float8 FROM many AS m");
    assert!(right > 0.9, "{right}");
    assert!(
        !ask::<String>(&mut session, "SELECT predict_class('{\"category\": \"never seen\"}'::jsonb, 'many')")
            .is_empty()
    );
}

/// What a statement is refused with: message, details and hint.
fn refusal(session: &mut Client, statement: &str) -> String {
    match session.batch_execute(statement) {
        Ok(()) => format!("{statement} succeeded"),
        Err(error) => describe(&error),
    }
}

#[test]
fn what_does_not_fit_a_model_is_refused_with_what_would() {
    let cluster = Cluster::with_settings(&["search_path = 'public, ecommerce_ml'"]);
    let mut session = cluster.session();
    run(&mut session, STRANGE);
    run(
        &mut session,
        "CREATE TABLE buyers AS SELECT id, x, (enum_range(NULL::mood))[1 + id % 2] AS mood, day, id % 2 = 0 AS member, name, label
                                FROM strange",
    );
    let job: i64 =
        ask(&mut session, &train("buyers", "buyers", "{x,mood,day,member}", "label_column => 'label'"));
    succeed(&mut session, job);
    let whole = r#"{"x": 1, "mood": "sad", "day": "2026-01-01", "member": true}"#;
    let call = |change: &str| format!("SELECT predict_class('{whole}'::jsonb || '{change}', 'buyers')");
    run(&mut session, &call("{}"));
    for (statement, words) in [
        (format!("SELECT predict_class('{whole}', 'buyers')"), "cast the value to jsonb."),
        (
            "SELECT predict_class('great', 'buyers')".to_owned(),
            "It reads: x (number), mood (text), day (timestamp), member (boolean)",
        ),
        (call(r#"{"x": "1"}"#), "Write it without quotes"),
        (call(r#"{"x": true}"#), "Write 1 or 0."),
        (call(r#"{"mood": 1}"#), "Write it in double quotes."),
        (call(r#"{"member": 1}"#), "Write true or false."),
        (call(r#"{"day": 20260101}"#), "Write it as text"),
        (call(r#"{"x": [1]}"#), "is a JSON array or object"),
        (call(r#"{"x": 1e400}"#), "Use NULL where a value is not known"),
        (
            "SELECT predict_class('{\"x\": 1}'::jsonb, 'buyers')".to_owned(),
            "a value that is not known can be NULL",
        ),
    ] {
        let said = refusal(&mut session, &statement);
        assert!(said.contains(words), "{statement}: {said}");
    }

    // The table changes behind the model's back.
    let answer = "SELECT predict_class(b, 'buyers') FROM buyers AS b WHERE id = 1";
    for change in [
        "ALTER TABLE buyers DROP COLUMN name",
        "ALTER TABLE buyers ADD COLUMN new text DEFAULT 'new'",
        "ALTER TABLE buyers ALTER x TYPE numeric(10, 2)",
        "ALTER TABLE buyers ALTER x TYPE int; UPDATE buyers SET x = 1 WHERE x = 0; ALTER TABLE buyers ALTER x TYPE positive",
        "ALTER TYPE mood ADD VALUE 'curious'",
        "UPDATE buyers SET mood = 'curious' WHERE id = 1",
        "ALTER TYPE mood RENAME VALUE 'curious' TO 'strange'",
        "CREATE DOMAIN humour AS mood; ALTER TABLE buyers ALTER mood TYPE humour",
        "ALTER TABLE buyers ALTER mood TYPE varchar",
        "ALTER TABLE buyers ALTER day TYPE timestamptz",
    ] {
        run(&mut session, change);
        assert_eq!(ask::<String>(&mut session, answer), "yes", "{change}");
    }
    for (change, words, back) in [
        ("RENAME x TO y", "column \"x\" is missing from the input", "RENAME y TO x"),
        ("ALTER x TYPE text", "Cast it to double precision.", "ALTER x TYPE int USING x::int"),
        (
            "ALTER member TYPE int USING member::int",
            "Cast it to boolean.",
            "ALTER member TYPE boolean USING member::boolean",
        ),
    ] {
        run(&mut session, &format!("ALTER TABLE buyers {change}"));
        let said = refusal(&mut session, answer);
        assert!(said.contains(words), "{change}: {said}");
        let measured = "SELECT * FROM evaluate_model('buyers', 'buyers')";
        let said = refusal(&mut session, measured);
        assert!(said.contains("column") && !said.contains("succeeded"), "{change}: {said}");
        run(&mut session, &format!("ALTER TABLE buyers {back}"));
    }
    assert_eq!(ask::<String>(&mut session, answer), "yes");
}

#[test]
fn arrays_times_and_intervals_are_numbers() {
    let cluster = Cluster::with_settings(&["search_path = 'public, ecommerce_ml'"]);
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE garments AS
         SELECT i AS id, ARRAY[i % 7, i % 10, NULL]::real[] AS sizes, ARRAY[i % 3, i % 10]::int[] AS counts, i % 10 * interval '1 hour' AS age,
                time '08:00' + i % 10 * interval '1 hour' AS bought, gen_random_uuid() AS uid, 10.0 * (i % 10) AS worth,
                CASE WHEN i % 2 = 0 THEN ARRAY[1.0] ELSE ARRAY[1.0, 2.0] END AS uneven, ARRAY[ARRAY[1, 2]] AS grid,
                ARRAY[(i % 10)::float8, CASE WHEN i = 9 THEN 'Infinity'::float8 ELSE 1 END] AS endless
         FROM generate_series(1, 300) AS i;
         UPDATE garments SET sizes = NULL WHERE id % 50 = 0;
         CREATE TYPE pair AS (a real, b real);
         CREATE FUNCTION numbers(pair) RETURNS real[] LANGUAGE sql IMMUTABLE AS 'SELECT ARRAY[$1.a, $1.b]';
         CREATE CAST (pair AS real[]) WITH FUNCTION numbers(pair);
         ALTER TABLE garments ADD COLUMN cast_ pair;
         UPDATE garments SET cast_ = ROW(id % 10, 1)",
    );
    let task = "label_column => 'worth', task => 'regression'";
    for (name, columns) in [
        ("sizes", "{sizes}"),
        ("counts", "{counts,sizes}"),
        ("age", "{age}"),
        ("bought", "{bought}"),
        ("casts", "{cast_}"),
        ("line", "{sizes,counts}"),
    ] {
        let call = train(name, "garments", columns, task);
        let call = if name == "line" {
            call.replace("\"n_estimators\": 30, \"max_depth\": 2", "\"algorithm\": \"linear\"")
        } else {
            call
        };
        let job: i64 = ask(&mut session, &call);
        succeed(&mut session, job);
        for on in [true, false] {
            set_batches(&mut session, on);
            // Thirty rounds of .05 have not come all the way.
            let far: f64 = ask(
                &mut session,
                &format!(
                    "SELECT corr(predict_value(g, '{name}'), worth) FROM garments AS g WHERE sizes IS NOT NULL"
                ),
            );
            assert!(far > 0.95, "{name}: {far}");
        }
    }
    let shown: Vec<String> = ask(
        &mut session,
        "SELECT array_agg(feature ORDER BY feature) FROM explain_prediction('{\"sizes\": [1, 2, null], \"counts\": [0, 9]}'::jsonb, 'counts')",
    );
    assert_eq!(shown, ["counts[1]", "counts[2]", "sizes[1]", "sizes[2]", "sizes[3]"]);
    let alike: bool = ask(
        &mut session,
        "SELECT bool_and(predict_value(g, 'counts') = predict_value(jsonb_build_object('sizes', sizes, 'counts', counts), 'counts'))
         FROM garments AS g",
    );
    assert!(alike);
    let measured: f64 =
        ask(&mut session, "SELECT value FROM evaluate_model('counts', 'garments') WHERE metric = 'r2'");
    assert!(measured > 0.5, "{measured}");
    // Subscripts may begin anywhere; NULL is an array of as many unknown numbers.
    let alike: bool = ask(
        &mut session,
        "SELECT predict_value(a, 'sizes') = predict_value(b, 'sizes')
         FROM (SELECT '[5:7]={1,2,NULL}'::real[] AS sizes) AS a, (SELECT '{1,2,NULL}'::numeric[] AS sizes) AS b",
    );
    assert!(alike);
    run(&mut session, "SELECT predict_value(s, 'sizes') FROM (SELECT NULL::real[] AS sizes) AS s");
    for (statement, sqlstate, words) in [
        (
            "predict_value(s, 'sizes') FROM (SELECT '{1,2}'::real[] AS sizes) AS s",
            "22023",
            "is an array of 2 numbers (Model \"sizes\" reads an array of 3 numbers there.",
        ),
        (
            "predict_value(s, 'sizes') FROM (SELECT '{}'::real[] AS sizes) AS s",
            "22023",
            "is an array of 0 numbers",
        ),
        (
            "predict_value(s, 'sizes') FROM (SELECT '{{1,2,3}}'::real[] AS sizes) AS s",
            "22023",
            "is an array of 2 dimensions",
        ),
        (
            "predict_value(s, 'sizes') FROM (SELECT '{a,b,c}'::text[] AS sizes) AS s",
            "42804",
            "of type text[] (Model \"sizes\" reads an array of 3 numbers there.",
        ),
        ("predict_value(s, 'sizes') FROM (SELECT 1 AS other) AS s", "42703", "reads: sizes (3 numbers)"),
        (
            "predict_value(s, 'sizes') FROM (SELECT '{1,Infinity,3}'::real[] AS sizes) AS s",
            "22023",
            "\"sizes[2]\" of the input is infinite",
        ),
        ("predict_value('{\"sizes\": [1]}'::jsonb, 'sizes')", "22023", "is an array of 1 number ("),
        (
            "predict_value('{\"sizes\": 1}'::jsonb, 'sizes')",
            "42804",
            "is a JSON number (Model \"sizes\" reads an array",
        ),
        ("predict_value('{\"sizes\": [1, \"a\", 2]}'::jsonb, 'sizes')", "42804", "a JSON array of others"),
        ("predict_value('{}'::jsonb, 'sizes')", "42703", "\"sizes\" is missing"),
    ] {
        for on in [true, false] {
            set_batches(&mut session, on);
            fails_with(&mut session, &format!("SELECT {statement}"), sqlstate);
            let said = refusal(&mut session, &format!("SELECT {statement}"));
            assert!(said.contains(words), "{statement}: {said}");
        }
    }
    for (columns, words) in [
        ("{uneven}", "arrays of 1 to 2 numbers (Models read arrays of one length"),
        ("{grid}", "arrays of 0 to 0 numbers"),
    ] {
        let said = refusal(&mut session, &train("refused", "garments", columns, task));
        assert!(said.contains(words), "{said}");
    }
    run(&mut session, "UPDATE garments SET sizes = '{1,2}' WHERE id = 3");
    fails_with(
        &mut session,
        "SELECT * FROM evaluate_model('sizes', 'garments', label_column => 'worth')",
        "22023",
    );
    let job: i64 = ask(&mut session, &train("refused", "garments", "{endless}", task));
    assert_eq!(wait(&mut session, job), "failed");
    assert!(said(&mut session, job).contains("column \"endless[2]\" has an infinite value"));
}
