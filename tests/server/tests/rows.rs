//! Models of columns answer for rows and for jsonb: alike with batches and without, whatever the row's type.

use ecommerce_ml_server_tests::batches::{NODE, assert_batched, explain_with, set_batches};
use ecommerce_ml_server_tests::corpus::runner::Tally;
use ecommerce_ml_server_tests::corpus::{CUSTOMERS, rows};
use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

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
