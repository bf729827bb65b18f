//! `training_window`: nothing of what came after the cutoff is in a feature, and rows are read as the caller may read them.

use std::fs;

use ecommerce_ml_server_tests::installation::repository;
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::Value;

const FEATURES: [&str; 13] = [
    "recency",
    "tenure",
    "purchases",
    "purchases_30",
    "purchases_90",
    "purchases_365",
    "mean_gap",
    "median_gap",
    "longest_gap",
    "mean_amount",
    "median_amount",
    "total_amount",
    "amount_365",
];

/// Random orders, in no order, of which some are at the cutoff itself.
const ORDERS: &str = "
    CREATE TABLE orders (customer int, at timestamptz, amount float8);
    SELECT setseed(0.4);
    INSERT INTO orders
    SELECT 1 + floor(random() * 60), timestamptz '2024-06-01 00:00+00' + interval '1 hour' * floor(random() * 14000), random() * 90
    FROM generate_series(1, 900);
    INSERT INTO orders SELECT c, '2025-06-01 00:00+00', 5 FROM generate_series(1, 70) AS c";

const WINDOW: &str =
    "ecommerce_ml.training_window('orders', 'customer', 'at', '2025-06-01 00:00+00', '60 days', 'amount')";

fn features(session: &mut Client) -> String {
    let columns = FEATURES.join(", ");
    ask(
        session,
        &format!(
            "SELECT string_agg(concat_ws(' ', customer, {columns}), ';' ORDER BY customer) FROM {WINDOW}"
        ),
    )
}

#[test]
fn features_know_nothing_of_what_came_later() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, ORDERS);
    let before = features(&mut session);
    let labels = format!("SELECT sum(next_amount) FROM {WINDOW}");
    let first: f64 = ask(&mut session, &labels);
    let later = "at >= '2025-06-01 00:00+00'";
    run(
        &mut session,
        &format!("UPDATE orders SET amount = amount * 1000, at = at + interval '1 day' WHERE {later}"),
    );
    run(
        &mut session,
        &format!("INSERT INTO orders SELECT customer, at + interval '3 days', 7 FROM orders WHERE {later}"),
    );
    assert_eq!(features(&mut session), before);
    assert!(ask::<f64>(&mut session, &labels) > first);
    run(&mut session, &format!("DELETE FROM orders WHERE {later} AND at < '2025-08-02 00:00+00'"));
    assert_eq!(features(&mut session), before);
    let bought =
        format!("SELECT count(*) FROM {WINDOW} WHERE bought_again OR next_purchases > 0 OR next_amount > 0");
    assert_eq!(ask::<i64>(&mut session, &bought), 0);
}

#[test]
fn a_purchase_at_the_cutoff_is_a_label_and_one_at_the_end_is_none() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE orders (customer text, at timestamptz, amount int);
         INSERT INTO orders VALUES ('a', '2025-01-01 00:00+00', 1), ('b', '2025-01-01 00:00+00', 1), ('c', '2025-06-01 00:00+00', 1),
             ('a', '2025-06-01 00:00+00', 1), ('b', '2025-07-31 00:00+00', 1)",
    );
    let said: String = ask(
        &mut session,
        &format!(
            "SELECT string_agg(concat_ws(' ', customer, purchases, bought_again), ', ' ORDER BY customer) FROM {WINDOW}"
        ),
    );
    assert_eq!(said, "a 1 t, b 1 f");
}

#[test]
fn numbers_are_those_of_pandas() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let text =
        fs::read_to_string(repository().join("tests/reference/training_window.json")).expect("it is there");
    let reference: Value = serde_json::from_str(&text).expect("it is JSON");
    run(&mut session, "CREATE TABLE orders (customer text, at timestamptz, amount float8)");
    session
        .execute(
            "INSERT INTO orders SELECT o ->> 0, (o ->> 1)::timestamptz, (o ->> 2)::float8 FROM jsonb_array_elements($1) AS o",
            &[&reference["orders"]],
        )
        .expect("orders are stored");
    let columns = FEATURES.join(", ");
    let query = format!(
        "SELECT customer, jsonb_build_array({columns}, bought_again::int, next_purchases, next_amount)
         FROM ecommerce_ml.training_window('orders', 'customer', 'at', $1::text::timestamptz, interval '1 day' * $2, 'amount',
                                           '2030-01-01')"
    );
    let (cutoff, days) =
        (reference["cutoff"].as_str().expect("a cutoff"), reference["days"].as_f64().expect("days"));
    let rows = session.query(&query, &[&cutoff, &days]).expect("there are rows");
    let expected = reference["expected"].as_object().expect("customers");
    assert_eq!(rows.len(), expected.len());
    for row in rows {
        let (customer, found): (String, Value) = (row.get(0), row.get(1));
        for (at, (one, other)) in found
            .as_array()
            .into_iter()
            .flatten()
            .zip(expected[&customer].as_array().expect("numbers"))
            .enumerate()
        {
            let alike = match (one.as_f64(), other.as_f64()) {
                (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * other.abs().max(1.0),
                (one, other) => one == other,
            };
            assert!(alike, "{customer}, column {at}: {one} instead of {other}");
        }
    }
}

#[test]
fn times_without_a_zone_are_read_as_the_cutoff_is() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    for (zone, kind) in [
        ("America/New_York", "date"),
        ("America/New_York", "timestamp"),
        ("Asia/Tokyo", "date"),
        ("Asia/Tokyo", "timestamp"),
        ("Asia/Tokyo", "timestamptz"),
        ("Europe/Berlin", "date"),
    ] {
        run(
            &mut session,
            &format!(
                "SET timezone = '{zone}'; DROP TABLE IF EXISTS orders; DROP DOMAIN IF EXISTS moment; CREATE DOMAIN moment AS {kind};
                 CREATE TABLE orders (customer int, at moment);
                 INSERT INTO orders VALUES (1, '2025-03-31'), (1, '2025-04-01'), (2, '2025-04-01'), (1, '2025-04-30'), (3, '2025-05-01')"
            ),
        );
        let said: String = ask(
            &mut session,
            "SELECT string_agg(concat_ws(' ', customer, purchases, next_purchases), ', ')
             FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '1 month')",
        );
        assert_eq!(said, "1 1 2", "{zone} {kind}");
    }
    // The last day is over, the last moment is not.
    run(&mut session, "DELETE FROM orders WHERE at > '2025-04-30'");
    let window = "SELECT count(*) FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '1 month')";
    assert_eq!(ask::<i64>(&mut session, window), 1);
    run(&mut session, "ALTER TABLE orders ALTER at TYPE timestamp");
    fails_with(&mut session, window, "22023");
}

#[test]
fn rows_are_read_as_the_caller_may_read_them() {
    let cluster = Cluster::new();
    let mut superuser = cluster.session();
    run(
        &mut superuser,
        "CREATE ROLE analyst LOGIN; CREATE SCHEMA \"A b\";
         CREATE TABLE \"A b\".\"Or\"\"ders\" (\"The one\" text, \"At\" date, \"Sum, all\" int, shop text) PARTITION BY LIST (shop);
         CREATE TABLE \"A b\".one PARTITION OF \"A b\".\"Or\"\"ders\" FOR VALUES IN ('one');
         CREATE TABLE \"A b\".other PARTITION OF \"A b\".\"Or\"\"ders\" DEFAULT;
         INSERT INTO \"A b\".\"Or\"\"ders\" VALUES ('x', '2025-01-01', 3, 'one'), ('y', '2025-01-02', 4, 'two'), ('x', '2025-03-01', 5, 'two');
         GRANT USAGE ON SCHEMA \"A b\" TO analyst",
    );
    let window = "SELECT count(*) FROM ecommerce_ml.training_window('\"A b\".\"Or\"\"ders\"', 'The one', 'At', '2025-02-01', '10 days', 'Sum, all')";
    assert_eq!(ask::<i64>(&mut superuser, window), 2);
    let mut analyst = cluster.session_as("analyst", "postgres");
    fails_with(&mut analyst, window, "42501");
    run(
        &mut superuser,
        "GRANT SELECT ON \"A b\".\"Or\"\"ders\" TO analyst; ALTER TABLE \"A b\".\"Or\"\"ders\" ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON \"A b\".\"Or\"\"ders\" USING (shop = 'one' OR \"At\" > '2025-02-15')",
    );
    assert_eq!(ask::<i64>(&mut analyst, window), 1);
    run(&mut superuser, "CREATE ROLE maker LOGIN; GRANT CREATE ON DATABASE postgres TO maker");
    // Operators of others aren't taken for the server's.
    run(
        &mut superuser,
        "CREATE SCHEMA trap; CREATE FUNCTION trap.no(timestamptz, timestamptz) RETURNS bool LANGUAGE sql AS 'SELECT 1 / 0 > 0';
         CREATE OPERATOR trap.< (FUNCTION = trap.no, LEFTARG = timestamptz, RIGHTARG = timestamptz);
         CREATE OPERATOR trap.>= (FUNCTION = trap.no, LEFTARG = timestamptz, RIGHTARG = timestamptz);
         SET search_path = trap, pg_catalog, public",
    );
    assert_eq!(ask::<i64>(&mut superuser, window), 2);
}

#[test]
fn views_and_tables_are_made_of_it_and_a_timeout_ends_it() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, ORDERS);
    run(
        &mut session,
        &format!("CREATE VIEW known AS SELECT * FROM {WINDOW}; CREATE TABLE kept AS TABLE known"),
    );
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM (TABLE known EXCEPT TABLE kept) AS d"), 0);
    run(&mut session, "BEGIN READ ONLY; SELECT * FROM known; COMMIT");
    run(
        &mut session,
        "CREATE VIEW slow AS SELECT customer, at, amount FROM orders, LATERAL pg_sleep(0.1 + 0 * customer);
         SET statement_timeout = '500ms'",
    );
    let slow = WINDOW.replace("'orders'", "'slow'");
    fails_with(&mut session, &format!("SELECT count(*) FROM {slow}"), "57014");
    run(&mut session, "RESET statement_timeout; DROP VIEW slow");
    let gone: u32 = ask(&mut session, "SELECT 'orders'::regclass::oid");
    run(&mut session, "DROP TABLE orders CASCADE");
    let gone = WINDOW.replace("'orders'", &gone.to_string());
    fails_with(&mut session, &format!("SELECT count(*) FROM {gone}"), "42P01");
}
