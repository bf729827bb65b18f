//! What to order and what changed, in SQL: the rows that the calling role sees, whatever they are, and what can't be computed refused.

use ecommerce_ml_server_tests::jobs::{said, succeed, wait};
use ecommerce_ml_server_tests::statement::{describe, run};
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::{Client, SimpleQueryMessage};

fn with_extension() -> (Cluster, Client) {
    let cluster = Cluster::new();
    let session = cluster.session();
    (cluster, session)
}

/// What a query returns as psql would print it: a line for each row, its values with spaces between, NULLs left out.
fn lines(session: &mut Client, query: &str) -> String {
    let messages =
        session.simple_query(query).unwrap_or_else(|error| panic!("{query}\n{}", describe(&error)));
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).filter_map(|at| row.get(at)).collect::<Vec<_>>().join(" "))
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn arithmetic_is_exact_and_refuses_what_means_nothing() {
    let (_cluster, mut session) = with_extension();
    let computed = "SELECT round(ecommerce_ml.safety_stock(100, 20, 4)::numeric, 6) AS a,
        round(ecommerce_ml.reorder_point(100, 20, 4, service_level => 0.95)::numeric, 6),
        round(ecommerce_ml.newsvendor_quantity(100, 20, 3, 1)::numeric, 6),
        ecommerce_ml.newsvendor_quantity(ARRAY[0.1, 0.5, 0.9], ARRAY[4, 10, 30], 1, 1) AS b,
        ecommerce_ml.optimal_price(-2, 5), ecommerce_ml.optimal_price(-0.5, 5, upper => 8)";
    assert_eq!(lines(&mut session, computed), "65.794145 465.794145 113.489795 10 10 8");
    assert!(ask::<bool>(&mut session, "SELECT ecommerce_ml.safety_stock(NULL, 20, 4) IS NULL"));
    for call in [
        "safety_stock(100, -20, 4)",
        "safety_stock('NaN', 20, 4)",
        "safety_stock(100, 20, 'Infinity')",
        "safety_stock(100, 20, 4, service_level => 1)",
        "reorder_point(100, 20, 4, review_period => -1)",
        "newsvendor_quantity(100, 20, 0, 0)",
        "newsvendor_quantity(ARRAY[0.1,0.5]::float8[], ARRAY[4]::float8[], 7, 3)",
        "newsvendor_quantity(ARRAY[0.5,0.1]::float8[], ARRAY[4,5]::float8[], 7, 3)",
        "newsvendor_quantity(ARRAY[]::float8[], ARRAY[]::float8[], 7, 3)",
        "optimal_price(-0.5, 5)",
        "optimal_price(0.5, 5, upper => 8)",
        "optimal_price(-2, 5, 9, 8)",
        "optimal_price('NaN', 5)",
    ] {
        fails_with(&mut session, &format!("SELECT ecommerce_ml.{call}"), "22023");
    }
    fails_with(
        &mut session,
        "SELECT ecommerce_ml.newsvendor_quantity(ARRAY[0.5,NULL]::float8[], ARRAY[4,5]::float8[], 7, 3)",
        "22004",
    );
    for call in ["reorder_point(1e300, 20, 1e300)", "newsvendor_quantity(100, 20, 1, 0)"] {
        fails_with(&mut session, &format!("SELECT ecommerce_ml.{call}"), "22003");
    }
    // Allowed where a verdict of a model is not.
    run(
        &mut session,
        "CREATE TABLE stock (mean float8, sd float8, point float8 GENERATED ALWAYS AS
             (ecommerce_ml.reorder_point(mean, sd, 2)) STORED);
         INSERT INTO stock VALUES (10, 2); CREATE INDEX ON stock (ecommerce_ml.safety_stock(mean, sd, 2))",
    );
}

/// 40 products over 60 weeks, of which 5 rise and 5 fall; values in a fixed, shuffled order.
const PRODUCTS: &str = "CREATE TABLE sales AS
    SELECT 'p' || lpad(p::text, 2, '0') AS product, date '2023-01-02' + 7 * w AS sold,
           50 + CASE WHEN p <= 5 THEN w WHEN p <= 10 THEN -w / 2.0 ELSE 0 END
              + abs(hashint8extended(p * 1000 + w, 7)) % 1000 / 100.0 AS quantity
    FROM generate_series(1, 40) AS p, generate_series(0, 59) AS w";

#[test]
fn planted_trends_are_found_and_no_others() {
    let (_cluster, mut session) = with_extension();
    run(&mut session, PRODUCTS);
    let found = "SELECT string_agg(key, ' ' ORDER BY key) FROM ecommerce_ml.trends('sales', 'product', 'sold', 'quantity')
                 WHERE direction = ";
    assert_eq!(ask::<String>(&mut session, &format!("{found} 'up'")), "p01 p02 p03 p04 p05");
    assert_eq!(ask::<String>(&mut session, &format!("{found} 'down'")), "p06 p07 p08 p09 p10");
    let one = "SELECT observations, periods, period_unit, season_length IS NULL, round(slope::numeric, 1), direction,
                      lower < slope AND slope < upper AND q_value >= p_value
               FROM ecommerce_ml.trends('sales', 'product', 'sold', 'quantity') WHERE key = 'p03'";
    assert_eq!(lines(&mut session, one), "60 60 week t 1.0 up t");
    // One series; half as many rows; rows of a week that are added or averaged.
    let all = "SELECT key IS NULL, observations, direction FROM ecommerce_ml.trends('sales', NULL, 'sold', 'quantity')";
    assert_eq!(lines(&mut session, all), "t 2400 up");
    run(&mut session, "INSERT INTO sales SELECT * FROM sales");
    let slope = "SELECT round(slope::numeric, 1) FROM ecommerce_ml.trends('sales', 'product', 'sold', 'quantity', aggregate => ";
    assert_eq!(lines(&mut session, &format!("{slope} 'sum') WHERE key = 'p03'")), "2.0");
    assert_eq!(lines(&mut session, &format!("{slope} 'mean') WHERE key = 'p03'")), "1.0");
}

#[test]
fn series_of_any_kind() {
    let (_cluster, mut session) = with_extension();
    run(
        &mut session,
        "CREATE TABLE \"Odd \"\"name\" (\"Key\" int, \"When\" timestamptz, \"sold $\" numeric);
         CREATE VIEW odd AS TABLE \"Odd \"\"name\"",
    );
    let all = "SELECT key, observations, periods, period_unit, slope, round(p_value::numeric, 3), direction
               FROM ecommerce_ml.trends('odd', 'Key', 'When', 'sold $', period => 'day') ORDER BY key";
    assert_eq!(lines(&mut session, all), "", "no rows");
    run(
        &mut session,
        "SET timezone = 'Europe/Berlin';
         INSERT INTO odd SELECT 1, timestamptz '2024-03-25 12:00' + d * interval '1 day', d FROM generate_series(0, 11) AS d;
         INSERT INTO odd SELECT 2, timestamptz '2024-03-25 12:00' + d * interval '1 day', 5 FROM generate_series(0, 11) AS d;
         INSERT INTO odd VALUES (3, '2024-03-27 12:00', 1), (4, NULL, 1), (4, '2024-03-27', NULL), (4, 'infinity', 1)",
    );
    // Days of a week with 23 hours in one of them; a constant; from the third day on nothing.
    assert_eq!(
        lines(&mut session, all),
        "1 12 12 day 1 0.000 up\n2 12 12 day 0 1.000 none\n3 1 10 day 0 0.164 none"
    );
    let gaps = "SELECT key, periods, p_value IS NULL, direction IS NULL
                FROM ecommerce_ml.trends('odd', 'Key', 'When', 'sold $', 'day', 'mean') WHERE key = '3'";
    assert_eq!(lines(&mut session, gaps), "3 1 t t");
    // The hour that comes twice is two, and the one that is left out is none.
    run(
        &mut session,
        "CREATE TABLE hours AS SELECT timestamptz '2024-10-27 00:30' + h * interval '1 hour' AS at, h AS n FROM generate_series(0, 30) AS h",
    );
    let hours =
        "SELECT observations, periods, slope FROM ecommerce_ml.trends('hours', NULL, 'at', 'n', 'hour')";
    assert_eq!(lines(&mut session, hours), "31 31 1");
    run(&mut session, "SET timezone = 'America/Sao_Paulo'");
    assert_eq!(lines(&mut session, hours), "31 31 1");
    // Seasons: found, or given.
    run(
        &mut session,
        "CREATE TABLE months AS SELECT date '2015-01-01' + m * interval '1 month' AS at,
                100 * sin(2 * pi() * m / 12) + m * 0.1 + abs(hashint8extended(m, 0)) % 100 / 50.0 AS n FROM generate_series(0, 71) AS m",
    );
    let season = "SELECT period_unit, season_length, direction, round(slope::numeric, 1) FROM ecommerce_ml.trends('months', NULL, 'at', 'n'";
    assert_eq!(lines(&mut session, &format!("{season})")), "month 12 up 0.1");
    let one = "SELECT season_length IS NULL FROM ecommerce_ml.trends('months', NULL, 'at', 'n', season => 1)";
    assert_eq!(lines(&mut session, one), "t");
    // A week that has just begun is no fall.
    run(
        &mut session,
        "CREATE TABLE visits AS SELECT date '2024-01-01' + d AS day, 10 AS n FROM generate_series(0, 141) AS d",
    );
    let weeks = "SELECT periods, direction FROM ecommerce_ml.trends('visits', NULL, 'day', 'n', 'week')";
    assert_eq!(lines(&mut session, weeks), "20 none");
}

#[test]
fn series_that_cannot_be_read_are_refused() {
    let (_cluster, mut session) = with_extension();
    run(
        &mut session,
        "CREATE TABLE sales (product text, sold date, quantity float8, note text);
         INSERT INTO sales SELECT 'a', date '2000-01-01' + d, 1e300 * d FROM generate_series(1, 9) AS d",
    );
    let huge = "SELECT slope FROM ecommerce_ml.trends('sales', 'product', 'sold', 'quantity')";
    assert_eq!(lines(&mut session, huge), "1e+300");
    let call = |rest: &str| format!("SELECT ecommerce_ml.trends('sales', 'product', {rest})");
    fails_with(&mut session, &call("'sold', 'note'"), "42804");
    fails_with(&mut session, &call("'quantity', 'quantity'"), "42804");
    fails_with(&mut session, &call("'sold', 'missing'"), "42703");
    for rest in ["period => 'fortnight'", "aggregate => 'max'", "season => 0", "alpha => 0", "alpha => 'NaN'"]
    {
        fails_with(&mut session, &call(&format!("'sold', 'quantity', {rest}")), "22023");
    }
    assert_eq!(
        lines(&mut session, "SELECT * FROM ecommerce_ml.trends(NULL, 'product', 'sold', 'quantity')"),
        ""
    );
    run(&mut session, "INSERT INTO sales VALUES ('b', '2000-01-05', 'NaN')");
    let refused = fails_with(&mut session, &call("'sold', 'quantity'"), "22023");
    assert!(refused.message().contains("\"quantity\""), "{refused}");
    run(&mut session, "UPDATE sales SET quantity = 1; INSERT INTO sales VALUES ('b', '2040-01-05', 1)");
    let refused = fails_with(&mut session, &call("'sold', 'quantity', 'day'"), "54000");
    assert!(refused.hint().is_some_and(|hint| hint.contains("period")), "{refused:?}");
    run(&mut session, "INSERT INTO sales VALUES ('c', '290000-01-05', 1)");
    fails_with(&mut session, &call("'sold', 'quantity', 'year'"), "54000");
}

/// Orders of two weeks; in the second, lamps in the north sell twice as often.
const ORDERS: &str = "CREATE TABLE orders AS
    SELECT i AS id, w = 1 AS later, (ARRAY['lamp','kettle','chair','clock'])[1 + i % 4] AS product,
           (ARRAY['north','south',NULL])[1 + i / 4 % 3] AS region, 10 + abs(hashint8extended(i, w)) % 100 / 10.0 AS amount
    FROM generate_series(0, 5999) AS i, generate_series(0, 1) AS w;
    INSERT INTO orders SELECT * FROM orders WHERE later AND product = 'lamp' AND region = 'north'";

#[test]
fn planted_drivers_are_found() {
    let (_cluster, mut session) = with_extension();
    run(&mut session, ORDERS);
    let found = "SELECT segment, test_rows, control_rows, round(share::numeric, 2), round(lift::numeric, 1), significant
                 FROM ecommerce_ml.key_drivers('orders', 'amount', 'later', '{product,region}')";
    assert_eq!(
        lines(&mut session, &format!("{found} LIMIT 1")).split(' ').next().unwrap_or_default(),
        "{}",
        "the whole comes first"
    );
    let first = lines(&mut session, &format!("{found} WHERE segment ?& '{{product,region}}' LIMIT 1"));
    assert!(
        first.starts_with("{\"region\": \"north\", \"product\": \"lamp\"} 1000 500 ")
            && first.ends_with(" 2.0 t"),
        "{first}"
    );
    // Contributions of a dimension add up to the change; NULL is a value.
    let adds = "SELECT round(sum(contribution) FILTER (WHERE segment ? 'region' AND NOT segment ? 'product')::numeric, 3)
                     = round(sum(contribution) FILTER (WHERE segment = '{}')::numeric, 3),
                       count(*) FILTER (WHERE segment = '{\"region\": null}'), count(*)
                FROM ecommerce_ml.key_drivers('orders', 'amount', 'later', '{product,region}')";
    assert_eq!(lines(&mut session, adds), "t 1 20");
    // Rows alone; means; a support that few segments have.
    let rows = "SELECT test_value, control_value, contribution, round(lift::numeric, 2)
                FROM ecommerce_ml.key_drivers('orders', NULL, 'later', '{product}') WHERE segment ->> 'product' = 'lamp'";
    assert_eq!(lines(&mut session, rows), "2000 1500 500 1.33");
    let means = "SELECT count(*) FILTER (WHERE significant) FROM ecommerce_ml.key_drivers('orders', 'amount', 'later',
                 '{product,region}', 'mean')";
    assert_eq!(lines(&mut session, means), "0");
    let few = "SELECT count(*) FROM ecommerce_ml.key_drivers('orders', 'amount', 'later', '{id,product}', min_support => 0.2)";
    assert_eq!(lines(&mut session, few), "5");
    // A dimension that says what another says adds no segments.
    run(&mut session, "CREATE VIEW twice AS SELECT *, upper(product) AS label FROM orders");
    let twice =
        "SELECT count(*) FROM ecommerce_ml.key_drivers('twice', 'amount', 'later', '{product,label}')";
    assert_eq!(lines(&mut session, twice), "9");
}

#[test]
fn nothing_is_found_in_shuffled_rows() {
    let (_cluster, mut session) = with_extension();
    run(
        &mut session,
        "CREATE TABLE dealt AS SELECT t, abs(hashint8extended(i, t)) % 2 = 0 AS later, i % 10 AS shop,
                abs(hashint8extended(i, t + 1000)) % 1000 AS amount FROM generate_series(1, 2000) AS i, generate_series(1, 40) AS t",
    );
    let mut with_any = 0;
    for trial in 1..=40 {
        run(&mut session, &format!("CREATE OR REPLACE VIEW trial AS SELECT * FROM dealt WHERE t = {trial}"));
        let any = "SELECT coalesce(bool_or(significant), false) FROM ecommerce_ml.key_drivers('trial', 'amount', 'later', '{shop}')";
        with_any += usize::from(ask::<bool>(&mut session, any));
    }
    assert!(with_any <= 6, "{with_any} of 40");
}

#[test]
fn changes_that_cannot_be_explained_are_refused() {
    let (_cluster, mut session) = with_extension();
    run(
        &mut session,
        "CREATE TABLE orders (later boolean, product text, amount float8, \"a\"\"b\" json);
         CREATE TABLE wide AS SELECT true AS later, 1 AS amount",
    );
    let call = |rest: &str| format!("SELECT * FROM ecommerce_ml.key_drivers('orders', {rest})");
    assert_eq!(lines(&mut session, &call("'amount', 'later', '{product}'")), "", "no rows");
    run(
        &mut session,
        "INSERT INTO orders VALUES (true, 'lamp', 1e300, '1'), (NULL, 'x', 1, NULL), (true, 'y', NULL, NULL)",
    );
    let one = "SELECT segment, test_value, control_value, p_value IS NULL FROM ecommerce_ml.key_drivers('orders', 'amount', 'later', '{product,\"a\\\"b\"}', max_dimensions => 1)";
    assert_eq!(
        lines(&mut session, one),
        "{} 1e+300 0 t\n{\"product\": \"lamp\"} 1e+300 0 t\n{\"a\\\"b\": \"1\"} 1e+300 0 t"
    );
    run(
        &mut session,
        "INSERT INTO orders VALUES (false, 'lamp', -1e300, '1'), (false, 'lamp', 1e-300, '1'), (true, 'z', 0, '2')",
    );
    assert_eq!(
        lines(
            &mut session,
            &format!("SELECT count(*) FROM ({}) AS q", call("'amount', 'later', '{product}'"))
        ),
        "3"
    );
    fails_with(&mut session, &call("'product', 'later', '{product}'"), "42804");
    fails_with(&mut session, &call("'amount', 'amount', '{product}'"), "42804");
    fails_with(&mut session, &call("'amount', 'later', '{missing}'"), "42703");
    fails_with(&mut session, &call("'amount', 'later', '{product,product}'"), "42701");
    fails_with(&mut session, &call("'amount', 'later', '{product,NULL}'"), "22004");
    for rest in [
        "aggregate => 'max'",
        "max_dimensions => 0",
        "min_support => 1",
        "min_support => 'NaN'",
        "alpha => 1",
    ] {
        fails_with(&mut session, &call(&format!("'amount', 'later', '{{product}}', {rest}")), "22023");
    }
    fails_with(&mut session, &call("'amount', 'later', '{}'"), "22023");
    assert_eq!(lines(&mut session, &call("'amount', NULL, '{product}'")), "");
    run(&mut session, "INSERT INTO orders VALUES (true, 'y', 'NaN')");
    fails_with(&mut session, &call("'amount', 'later', '{product}'"), "22023");
    for column in 0..31 {
        run(&mut session, &format!("ALTER TABLE wide ADD c{column} int"));
    }
    let names = |count| (0..count).map(|at| format!("c{at}")).collect::<Vec<_>>().join(",");
    let wide = |count, most| {
        let names = names(count);
        format!(
            "SELECT count(*) FROM ecommerce_ml.key_drivers('wide', 'amount', 'later', '{{{names}}}', max_dimensions => {most})"
        )
    };
    assert_eq!(lines(&mut session, &wide(31, 1)), "32");
    fails_with(&mut session, &wide(31, 3), "54000");
    run(&mut session, "ALTER TABLE wide ADD c31 int");
    fails_with(&mut session, &wide(32, 1), "54000");
}

#[test]
fn customers_have_scores_and_segments() {
    let (_cluster, mut session) = with_extension();
    run(
        &mut session,
        "SET timezone = 'Europe/Berlin'; CREATE TABLE orders (customer int, at timestamptz, amount numeric)",
    );
    let all = "SELECT customer, recency, frequency, monetary, recency_score, frequency_score, monetary_score, segment
               FROM ecommerce_ml.rfm('orders', 'customer', 'at', 'amount', '2024-05-01 00:00')";
    assert_eq!(lines(&mut session, all), "", "no rows");
    run(&mut session, "INSERT INTO orders VALUES (1, '2024-04-30 12:00', 5)");
    assert_eq!(lines(&mut session, all), "1 0.5 1 5 3 3 3 needs attention", "alone, it is in the middle");
    run(
        &mut session,
        "INSERT INTO orders SELECT c, timestamptz '2024-04-30 12:00' - c * interval '7 days' - n * interval '1 hour', 10
             FROM generate_series(2, 10) AS c, generate_series(1, 11 - c) AS n;
         -- Two lines of one purchase, one without an amount, one to come, none of a customer or a time.
         INSERT INTO orders VALUES (1, '2024-04-30 12:00', 2), (1, '2024-04-29 12:00', NULL), (1, '2024-05-01 00:01', 50),
             (NULL, '2024-04-01', 1), (2, NULL, 1), (3, '-infinity', 1)",
    );
    assert!(
        lines(&mut session, all).starts_with("1 0.5 2 7 5 2 1 potential loyalist\n2 14.5416"),
        "{}",
        lines(&mut session, all)
    );
    let ten =
        "SELECT count(*), sum(recency_score), sum(monetary_score), max(monetary), count(DISTINCT segment) > 3
               FROM ecommerce_ml.rfm('orders', 'customer', 'at', 'amount', '2024-05-01 00:00')";
    assert_eq!(lines(&mut session, ten), "10 30 30 90 t");
    let counted = "SELECT count(*), count(monetary), count(monetary_score) FROM ecommerce_ml.rfm('orders', 'customer', 'at')";
    assert_eq!(lines(&mut session, counted), "10 0 0");
    // Equal customers have equal scores.
    run(
        &mut session,
        "CREATE VIEW same AS SELECT c AS who, date '2024-01-01' AS day, 1 AS n FROM generate_series(1, 7) AS c",
    );
    let same = "SELECT DISTINCT recency_score, frequency_score, monetary_score FROM ecommerce_ml.rfm('same', 'who', 'day', 'n', '2024-02-01')";
    assert_eq!(lines(&mut session, same), "3 3 3");
    fails_with(&mut session, "SELECT ecommerce_ml.rfm('same', 'who', 'n', 'n')", "42804");
    fails_with(&mut session, "SELECT ecommerce_ml.rfm('same', 'who', 'day', 'day')", "42804");
    fails_with(&mut session, "SELECT ecommerce_ml.rfm('same', 'who', 'day', 'n', 'infinity')", "22023");
    run(&mut session, "INSERT INTO orders VALUES (1, '2024-01-01', 'NaN')");
    fails_with(&mut session, all, "22023");
}

const CALLS: [&str; 3] = [
    "trends('orders', 'product', 'day', 'amount')",
    "key_drivers('orders', 'amount', 'later', '{product}')",
    "rfm('orders', 'product', 'day', 'amount', '2025-01-01')",
];

#[test]
fn rows_are_those_that_the_caller_may_see() {
    let (cluster, mut superuser) = with_extension();
    run(
        &mut superuser,
        "CREATE ROLE analyst LOGIN; CREATE TABLE orders (product text, day date, amount int, later boolean, secret int, reader text);
         INSERT INTO orders SELECT p, date '2024-01-01' + d, d, d > 10, d, CASE p WHEN 'a' THEN 'analyst' END
         FROM unnest('{a,b}'::text[]) AS p, generate_series(0, 19) AS d",
    );
    let mut analyst = cluster.session_as("analyst", "postgres");
    for call in CALLS {
        fails_with(&mut analyst, &format!("SELECT ecommerce_ml.{call}"), "42501");
    }
    run(&mut superuser, "GRANT SELECT (product, day, amount, later) ON orders TO analyst");
    let counts = |session: &mut Client| {
        CALLS.map(|call| ask::<i64>(session, &format!("SELECT count(*) FROM ecommerce_ml.{call}")))
    };
    assert_eq!(counts(&mut analyst), [2, 3, 2]);
    for call in CALLS {
        let secret = call.replace("'amount'", "'secret'");
        fails_with(&mut analyst, &format!("SELECT ecommerce_ml.{secret}"), "42501");
    }
    run(
        &mut superuser,
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON orders USING (reader = current_user)",
    );
    assert_eq!(counts(&mut analyst), [1, 2, 1]);
    assert_eq!(counts(&mut superuser), [2, 3, 2]);
    // Relations of other kinds, whatever the search path; none, and one that is dropped.
    run(
        &mut superuser,
        "ALTER TABLE orders RENAME TO base; CREATE SCHEMA hidden;
         CREATE TABLE parted (LIKE base) PARTITION BY LIST (product);
         CREATE TABLE hidden.part PARTITION OF parted DEFAULT; INSERT INTO parted TABLE base;
         CREATE MATERIALIZED VIEW kept AS TABLE base; CREATE SEQUENCE numbers",
    );
    for relation in ["parted", "kept", "hidden.part"] {
        for (call, rows) in CALLS.iter().zip([2, 3, 2]) {
            let call = call.replace("orders", relation);
            run(
                &mut superuser,
                "CREATE FUNCTION hidden.count(text) RETURNS int LANGUAGE sql AS 'SELECT 1 / 0'; SET search_path = hidden, public, pg_catalog",
            );
            let found =
                ask::<i64>(&mut superuser, &format!("SELECT pg_catalog.count(*) FROM ecommerce_ml.{call}"));
            run(&mut superuser, "RESET search_path; DROP FUNCTION hidden.count(text)");
            assert_eq!(found, rows, "{call}");
        }
    }
    for call in CALLS {
        fails_with(
            &mut superuser,
            &format!("SELECT ecommerce_ml.{}", call.replace("orders", "numbers")),
            "42809",
        );
        fails_with(
            &mut superuser,
            &format!("SELECT ecommerce_ml.{}", call.replace("'orders'", "1::regclass")),
            "42P01",
        );
    }
}

#[test]
fn long_calls_can_be_cancelled() {
    let (_cluster, mut session) = with_extension();
    run(
        &mut session,
        "CREATE VIEW orders AS SELECT (i % 1000)::text AS product, date '2020-01-01' + i % 900 AS day, i AS amount, i % 2 = 0 AS later
         FROM generate_series(1, 100000000) AS i; SET statement_timeout = '1s'",
    );
    for call in CALLS {
        let start = std::time::Instant::now();
        fails_with(&mut session, &format!("SELECT ecommerce_ml.{call}"), "57014");
        assert!(start.elapsed().as_secs() < 4, "{call}: {:?}", start.elapsed());
    }
    run(&mut session, "RESET statement_timeout; SELECT 1");
}

/// Five brands in three stores for sixty weeks, whose elasticities are -1 to -3, one whose price never varies, and a brand that is sold now and then.
const SALES: &str = "
    CREATE SCHEMA \"My Shop\";
    CREATE TABLE \"My Shop\".sales (\"Brand\" text, store int, gone int, week date, price numeric, deal boolean, sold int);
    ALTER TABLE \"My Shop\".sales DROP COLUMN gone;
    INSERT INTO \"My Shop\".sales
    SELECT 'b' || b, s, '2024-01-01'::date + 7 * w, CASE b WHEN 6 THEN 3 ELSE price END, deal,
           CASE WHEN b = 7 AND w % 3 > 0 THEN 0 ELSE
           exp(7 - (1 + least(b, 5) / 2.5) * ln(CASE b WHEN 6 THEN 3 ELSE price END) + CASE WHEN deal THEN 0.3 ELSE 0 END
               + hashint4(w * 31 + s * 7 + b) % 1000 / 4000.0) END
    FROM generate_series(1, 7) AS b, generate_series(1, 3) AS s, generate_series(0, 59) AS w,
         LATERAL (SELECT abs(hashint4(w * 5 + b + s)) % 6 = 0 AS deal) AS d,
         LATERAL (SELECT (3 + abs(hashint4(w * 3 + b * 17 + s)) % 8 / 5.0) * CASE WHEN deal THEN 0.85 ELSE 1 END AS price) AS p";

/// The call that trains a model from them.
fn learn(name: &str, more: &str, options: &str) -> String {
    format!(
        "SELECT ecommerce_ml.train_model('{name}', '\"My Shop\".sales', label_column => 'sold', task => 'elasticity',
             key_columns => '{{Brand,store}}', time_column => 'week', options => '{options}'{more})"
    )
}

#[test]
fn prices_are_learned_asked_for_and_restored() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, SALES);
    let features = ", feature_columns => '{price,deal}'";
    let options = r#"{"elasticity_columns": ["Brand"]}"#;
    let job: i64 = ask(&mut session, &learn("prices", features, options));
    succeed(&mut session, job);
    let outcome = said(&mut session, job);
    let better = "succeeded; deployed: it is better than taking the price to make no difference (mae ";
    assert!(outcome.starts_with(better), "{outcome}");
    let left_out: bool = ask(
        &mut session,
        &format!(
            "SELECT training_rows + held_out_rows = (SELECT count(*) FROM \"My Shop\".sales WHERE sold > 0)
             FROM ecommerce_ml.jobs WHERE job = {job}"
        ),
    );
    assert!(left_out);
    let shown: String = ask(
        &mut session,
        "SELECT concat_ws(' ', kind, task, (metrics -> 'held_out' -> 'classes' -> 'deal' ->> 'effect')::float8 BETWEEN 0.1 AND 0.5)
         FROM ecommerce_ml.model_versions WHERE name = 'prices'",
    );
    assert_eq!(shown, "elasticity elasticity t");
    let found = lines(
        &mut session,
        "SELECT keys, lower < elasticity AND elasticity < upper AND std_error > 0 AS sound, observations, warning
         FROM ecommerce_ml.price_response('prices')",
    );
    let wanted = "{} t 1140
{\"Brand\": \"b1\"} t 180
{\"Brand\": \"b2\"} t 180
{\"Brand\": \"b3\"} t 180
{\"Brand\": \"b4\"} t 180
{\"Brand\": \"b5\"} t 180
{\"Brand\": \"b6\"} 180 its price never varied
{\"Brand\": \"b7\"} t 60 nothing was sold in 120 of 180 periods, which are left out and would make it more elastic";
    assert_eq!(found, wanted);
    let near: bool = ask(
        &mut session,
        "SELECT bool_and(abs(elasticity + 1 + substr(keys ->> 'Brand', 2)::int / 2.5) < 0.3)
         FROM ecommerce_ml.price_response('prices') WHERE keys ->> 'Brand' BETWEEN 'b1' AND 'b5'",
    );
    assert!(near);
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.price_response(NULL)"), 0);
    for (call, sqlstate) in [
        ("SELECT * FROM ecommerce_ml.price_response('nothing')", "42704"),
        ("SELECT * FROM ecommerce_ml.price_response('reviews')", "42809"),
        ("SELECT * FROM ecommerce_ml.predict_lifetime('prices', '1 day')", "42809"),
        ("SELECT ecommerce_ml.predict_value('{}'::jsonb, 'prices')", "42809"),
        ("SELECT * FROM ecommerce_ml.explain_model('prices')", "42809"),
        ("SELECT * FROM ecommerce_ml.evaluate_model('prices', '\"My Shop\".sales', NULL, 'sold')", "42809"),
    ] {
        fails_with(&mut session, call, sqlstate);
    }
    run(&mut session, "CREATE ROLE stranger; SET ROLE stranger");
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.price_response('prices')", "42501");
    run(&mut session, "RESET ROLE");

    // New weeks, in which buyers mind prices less.
    run(
        &mut session,
        "INSERT INTO \"My Shop\".sales SELECT \"Brand\", store, week + 420, price, deal, sold * price ^ 1.5 FROM \"My Shop\".sales",
    );
    let again: i64 = ask(&mut session, "SELECT ecommerce_ml.retrain_model('prices')");
    succeed(&mut session, again);
    let compared: bool = ask(
        &mut session,
        &format!("SELECT comparison -> 'live' IS NOT NULL FROM ecommerce_ml.jobs WHERE job = {again}"),
    );
    assert!(compared);
    run(&mut session, "SELECT ecommerce_ml.deploy_model('prices', 2)");
    let all = "SELECT elasticity FROM ecommerce_ml.price_response('prices') WHERE keys = '{}'";
    let before: f64 = ask(&mut session, all);
    assert!(before > ask::<f64>(&mut session, &all.replace("prices'", "prices@1'")), "{before}");

    // A dump brings it back.
    run(&mut session, "CREATE DATABASE restored");
    let file = cluster.folder("transfer").join("shop.dump");
    let file = file.to_string_lossy();
    cluster.output("pg_dump", &["-Fc", "-f", &file]);
    cluster.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);
    assert_eq!(ask::<f64>(&mut cluster.session_in("restored"), all), before);
}

#[test]
fn prices_that_tell_nothing_are_refused() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, SALES);
    for (more, options, sqlstate) in [
        ("", "{}", "22023"),
        (", feature_columns => '{price,week}'", "{}", "22023"),
        (", feature_columns => '{deal,price}'", "{}", "22023"),
        (", feature_columns => '{price,sold}'", "{}", "22023"),
        (", feature_columns => '{nowhere}'", "{}", "42703"),
        (", feature_columns => '{price}', text_column => 'Brand'", "{}", "22023"),
        (", feature_columns => '{price}', base => 'reviews'", "{}", "22023"),
        (", feature_columns => '{price}'", r#"{"elasticity_columns": ["week"]}"#, "22023"),
        (", feature_columns => '{price}'", r#"{"horizon": 3}"#, "22023"),
    ] {
        fails_with(&mut session, &learn("bad", more, options), sqlstate);
    }
    for wrong in ["label_column => 'sold'", "time_column => 'week'"] {
        let call = format!(
            "SELECT ecommerce_ml.train_model('bad', '\"My Shop\".sales', task => 'elasticity', key_columns => '{{Brand}}',
                 feature_columns => '{{price}}', {wrong})"
        );
        fails_with(&mut session, &call, "22023");
    }
    for (condition, reason) in [
        ("\"Brand\" = ''b6''", "\"price\" never varied within a series"),
        ("false", "there are no sales to learn from"),
        ("sold = 0", "there are no sales to learn from"),
        ("week < ''2024-01-10'' AND store = 1 AND \"Brand\" < ''b3''", "too few observations"),
    ] {
        let options = format!(r#"{{"where": "{}"}}"#, condition.replace('"', "\\\""));
        let job: i64 = ask(&mut session, &learn("few", ", feature_columns => '{price}'", &options));
        assert_eq!(wait(&mut session, job), "failed", "{condition}");
        let outcome = said(&mut session, job);
        assert!(outcome.contains(reason), "{condition}: {outcome}");
    }
    let detail: String = ask(
        &mut session,
        "SELECT concat_ws(' ', sqlstate, detail) FROM ecommerce_ml.jobs ORDER BY job LIMIT 1",
    );
    assert_eq!(detail, "22023 There are 180 observations of 3 series.");
}
