//! Forecasts of many series in SQL: trained, measured, deployed, asked, ordered by, compared with what came; and what can't be forecast, refused.

use ecommerce_ml_server_tests::jobs::{said, succeed, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::{Value, json};

/// Twelve products in two shops, sold on each day of 20 weeks, most on Saturdays, and more and more. Keys are a number and a word.
const SALES: &str = "
    CREATE TABLE sales (product int, shop text, day date, quantity numeric, price numeric);
    INSERT INTO sales
    SELECT product, shop, date '2024-01-01' + day,
           product * ((ARRAY[5,6,7,8,12,20,3])[1 + day % 7] + 0.1 * day + (hashint4(day * 31 + product) & 15) / 8.0), 2.5
    FROM generate_series(1, 6) AS product, unnest('{north,south}'::text[]) AS shop, generate_series(0, 139) AS day";

fn shop() -> (Cluster, Client) {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, SALES);
    (cluster, session)
}

/// The call that trains a model from `sales`.
fn train(name: &str, keys: &str, options: &Value) -> String {
    format!(
        "SELECT ecommerce_ml.train_model('{name}', 'sales', label_column => 'quantity', task => 'forecast',
             key_columns => '{keys}', time_column => 'day', options => '{options}')"
    )
}

/// Trains, and returns what the job says of its end.
fn trained(session: &mut Client, call: &str) -> String {
    let job: i64 = ask(session, call);
    succeed(session, job);
    said(session, job)
}

#[test]
fn series_are_learned_measured_and_forecast() {
    let (_cluster, mut session) = shop();
    let outcome = trained(&mut session, &train("sales", "{product,shop}", &json!({})));
    let expected = "succeeded; deployed: it is better than forecasting what was a season ago (rmsse ";
    assert!(outcome.starts_with(expected), "{outcome}");
    let metric = |session: &mut Client, name: &str| -> f64 {
        let query = format!(
            "SELECT (metrics -> 'held_out' ->> '{name}')::float8 FROM ecommerce_ml.model_versions WHERE name = 'sales'"
        );
        ask(session, &query)
    };
    assert!(metric(&mut session, "mase") < 0.9);
    assert!((0.6..=1.0).contains(&metric(&mut session, "coverage")));
    let task: String = ask(&mut session, "SELECT task FROM ecommerce_ml.models WHERE name = 'sales'");
    assert_eq!(task, "forecast");

    // Twelve series of two weeks, from the day after the last; ordered, with keys of their own types.
    let found: Value = ask(
        &mut session,
        "SELECT jsonb_build_array(count(*), min(time AT TIME ZONE 'UTC'), max(time AT TIME ZONE 'UTC'),
                    bool_and(lower <= value AND value <= upper AND lower >= 0))
         FROM ecommerce_ml.forecast('sales')",
    );
    assert_eq!(found, json!([168, "2024-05-20T00:00:00", "2024-06-02T00:00:00", true]));
    let first: Value = ask(&mut session, "SELECT keys FROM ecommerce_ml.forecast('sales') LIMIT 1");
    assert_eq!(first, json!({"product": 1, "shop": "north"}));
    let near: bool = ask(
        &mut session,
        "SELECT bool_and(abs(value - expected) < 0.25 * expected)
         FROM ecommerce_ml.forecast('sales', 14) AS f, LATERAL (SELECT (f.time AT TIME ZONE 'UTC')::date - date '2024-01-01' AS day) AS d,
              LATERAL (SELECT (keys ->> 'product')::int * ((ARRAY[5,6,7,8,12,20,3])[1 + day % 7] + 0.1 * day + 1) AS expected) AS e",
    );
    assert!(near);
    // Some of it; a higher level is wider.
    let query = "SELECT count(*) FROM ecommerce_ml.forecast('sales', 30, keys => '{\"product\": 3}')";
    assert_eq!(ask::<i64>(&mut session, query), 60);
    let query =
        "SELECT count(*) FROM ecommerce_ml.forecast('sales', keys => '{\"product\": 3, \"shop\": \"west\"}')";
    assert_eq!(ask::<i64>(&mut session, query), 0);
    let wider = "SELECT bool_and(w.upper >= n.upper AND w.lower <= n.lower)
        FROM ecommerce_ml.forecast('sales', level => 0.95) AS w JOIN ecommerce_ml.forecast('sales', level => 0.5) AS n USING (keys, time)";
    assert!(ask::<bool>(&mut session, wider));
    // Many rows come in several answers.
    let long =
        "SELECT count(*) || ' ' || count(DISTINCT (keys, time)) FROM ecommerce_ml.forecast('sales', 1000)";
    assert_eq!(ask::<String>(&mut session, long), "12000 12000");
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.forecast(NULL)"), 0);
}

#[test]
fn what_can_t_be_forecast_is_refused() {
    let (_cluster, mut session) = shop();
    trained(&mut session, &train("sales", "{product,shop}", &json!({"deploy": "always"})));
    for (call, sqlstate) in [
        ("forecast('nothing')", "42704"),
        ("forecast('reviews')", "42809"),
        ("forecast('sales', 0)", "22023"),
        ("forecast('sales', 10000)", "22023"),
        ("forecast('sales', level => 1)", "22023"),
        ("forecast('sales', level => 'NaN')", "22023"),
        ("forecast('sales', keys => '[]')", "22023"),
        ("forecast('sales', keys => '{\"price\": 1}')", "22023"),
        ("forecast('sales', keys => '{\"product\": null}')", "22023"),
        ("forecast('sales', future => 'sales')", "0A000"),
    ] {
        fails_with(&mut session, &format!("SELECT * FROM ecommerce_ml.{call}"), sqlstate);
    }
    fails_with(&mut session, "SELECT ecommerce_ml.predict_value('text', 'sales')", "42809");
    fails_with(&mut session, "SELECT ecommerce_ml.predict_value(s, 'sales') FROM sales AS s", "42809");
    let wrong = |arguments: &str| {
        format!("SELECT ecommerce_ml.train_model('other', 'sales', task => 'forecast', {arguments})")
    };
    for (arguments, sqlstate) in [
        ("label_column => 'quantity'", "22023"),
        ("time_column => 'day'", "22023"),
        ("time_column => 'day', label_column => 'quantity', key_columns => '{shop,shop}'", "42701"),
        ("time_column => 'day', label_column => 'quantity', key_columns => '{nowhere}'", "42703"),
        ("time_column => 'day', label_column => 'quantity', feature_columns => '{day}'", "22023"),
        ("time_column => 'day', label_column => 'quantity', feature_columns => '{cost}'", "42703"),
        (
            "time_column => 'day', label_column => 'quantity', feature_columns => '{price}', options => '{\"method\": \"local\"}'",
            "22023",
        ),
        ("time_column => 'day', label_column => 'quantity', options => '{\"horizon\": 0}'", "22023"),
        (
            "time_column => 'day', label_column => 'quantity', options => '{\"frequency\": \"minute\"}'",
            "22023",
        ),
    ] {
        fails_with(&mut session, &wrong(arguments), sqlstate);
    }
    // An empty table, and numbers that are none.
    run(&mut session, "CREATE TABLE empty (LIKE sales); CREATE TABLE odd (LIKE sales)");
    run(
        &mut session,
        "INSERT INTO odd SELECT 1, 'north', date '2024-01-01' + i, 'NaN', 1 FROM generate_series(1, 9) AS i",
    );
    for relation in ["empty", "odd"] {
        let call = train("other", "{product}", &json!({})).replace("'sales'", &format!("'{relation}'"));
        let job: i64 = ask(&mut session, &call);
        assert_eq!(wait(&mut session, job), "failed", "{relation}");
    }
}

/// Weeks after the training, with the same days of the week, in a table with other columns and other names for time and quantity; product 6 of the
/// south isn't sold any more, and a product is new.
const LATER: &str = "
    CREATE SCHEMA \"Year 2\";
    CREATE TABLE \"Year 2\".sold (gone int, \"when?\" timestamptz, shop text, product int, pieces real);
    ALTER TABLE \"Year 2\".sold DROP COLUMN gone;
    INSERT INTO \"Year 2\".sold
    SELECT (date '2024-01-01' + day)::timestamp AT TIME ZONE 'UTC' + interval '5 hours' * part, shop, product,
           product * ((ARRAY[5,6,7,8,12,20,3])[1 + day % 7] + 0.1 * day + (hashint4(day * 31 + product) & 15) / 8.0) / 2
    FROM generate_series(1, 6) AS product, unnest('{north,south}'::text[]) AS shop, generate_series(140, 153) AS day, generate_series(1, 2) AS part
    WHERE (product, shop) <> (6, 'south');
    INSERT INTO \"Year 2\".sold VALUES ('2024-05-21', 'west', 1, 3), (NULL, 'north', 1, 5), ('infinity', 'north', 1, 5), ('2024-05-21', 'north', 1, NULL),
                                      ('2024-05-21', NULL, 1, 7)";

#[test]
fn forecasts_are_measured_by_what_came() {
    let (_cluster, mut session) = shop();
    trained(&mut session, &train("sales", "{product,shop}", &json!({"deploy": "always"})));
    run(&mut session, LATER);
    let metrics = |session: &mut Client, arguments: &str| -> Value {
        ask(
            session,
            &format!(
                "SELECT jsonb_object_agg(metric, value) FROM ecommerce_ml.evaluate_model('sales', {arguments})"
            ),
        )
    };
    let sold = "'\"Year 2\".sold', label_column => 'pieces', time_column => 'when?'";
    let found = metrics(&mut session, sold);
    let number =
        |found: &Value, name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name} of {found}"));
    // Twelve series of two weeks, one of them of nothing but zeros, and one that the model doesn't have.
    assert_eq!(
        (number(&found, "count"), number(&found, "series"), number(&found, "skipped")),
        (168.0, 12.0, 1.0)
    );
    let ahead = "SELECT avg(abs(f.value - coalesce(s.pieces, 0))) / avg(coalesce(s.pieces, 0))
        FROM ecommerce_ml.forecast('sales', 14) AS f
        LEFT JOIN (SELECT product, shop, (\"when?\" AT TIME ZONE 'UTC')::date AS day, sum(pieces)::float8 AS pieces FROM \"Year 2\".sold GROUP BY 1, 2, 3) AS s
            ON s.product = (f.keys ->> 'product')::int AND s.shop = f.keys ->> 'shop' AND s.day = (f.time AT TIME ZONE 'UTC')::date";
    let wape: f64 = ask(&mut session, ahead);
    assert!((number(&found, "wape") - wape).abs() < 1e-6, "{found} {wape}");
    assert!(
        number(&found, "coverage") < 1.0
            && number(&found, "interval_width") > 0.0
            && number(&found, "pinball_loss") > 0.0
    );
    assert!(number(&found, "mase") > 0.0 && number(&found, "rmsse") > 0.0 && number(&found, "smape") > 0.0);
    // Without the series that ended, the season before is beaten.
    run(&mut session, "CREATE VIEW lasting AS SELECT product, shop, \"when?\" AS day, pieces AS quantity FROM \"Year 2\".sold
        UNION ALL SELECT 6, 'south', (date '2024-01-01' + day)::timestamp AT TIME ZONE 'UTC', 6 * ((ARRAY[5,6,7,8,12,20,3])[1 + day % 7] + 0.1 * day + 1)
                  FROM generate_series(140, 153) AS day");
    let lasting =
        metrics(&mut session, "'lasting', label_column => 'quantity', key_columns => '{shop,product}'");
    assert!(number(&lasting, "rmsse") < number(&lasting, "baseline_rmsse"), "{lasting}");
    assert!(number(&lasting, "wape") < 0.1);
    // Names are those of the training unless others are given; without a relation there is what the training measured.
    assert_eq!(metrics(&mut session, "'lasting'"), lasting);
    let held_out: Value =
        ask(&mut session, "SELECT metrics FROM ecommerce_ml.model_versions WHERE name = 'sales'");
    let stored = metrics(&mut session, "NULL");
    assert_eq!(stored["rmsse"], held_out["held_out"]["rmsse"]);
    assert_eq!(stored["baseline_mase"], held_out["baseline"]["mase"]);
    for (arguments, sqlstate) in [
        ("'sales', 'sales'", "22023"),
        ("'sales', '\"Year 2\".sold'", "42703"),
        ("'sales', 'lasting', 'shop'", "22023"),
        ("'sales', 'lasting', feature_columns => '{shop}'", "22023"),
        ("'sales', 'lasting', key_columns => '{shop}'", "22023"),
        ("'sales', 'lasting', time_column => 'shop'", "42804"),
        ("'sales', 'lasting', label_column => 'shop'", "42804"),
    ] {
        fails_with(
            &mut session,
            &format!("SELECT * FROM ecommerce_ml.evaluate_model({arguments})"),
            sqlstate,
        );
    }
    run(&mut session, "INSERT INTO \"Year 2\".sold VALUES ('2024-05-22', 'north', 1, 'NaN')");
    fails_with(&mut session, &format!("SELECT * FROM ecommerce_ml.evaluate_model('sales', {sold})"), "22023");
    // Rows are read as the caller.
    run(
        &mut session,
        "CREATE ROLE reader; GRANT USAGE ON SCHEMA ecommerce_ml TO reader; SELECT ecommerce_ml.grant_model('sales', 'reader'); SET ROLE reader",
    );
    for call in [
        "evaluate_model('sales', 'lasting')",
        "detect_anomalies('sales', 'lasting')",
        "forecast('sales', history => 'lasting')",
    ] {
        fails_with(&mut session, &format!("SELECT * FROM ecommerce_ml.{call}"), "42501");
    }
}

#[test]
fn what_is_unlike_a_series_is_found_with_a_reason() {
    let (_cluster, mut session) = shop();
    trained(&mut session, &train("sales", "{product,shop}", &json!({"deploy": "always"})));
    run(&mut session, "UPDATE sales SET quantity = quantity + 200 WHERE product = 2 AND shop = 'north' AND day = '2024-03-20';
        UPDATE sales SET quantity = quantity * 0.2 WHERE product = 5 AND shop = 'south' AND day >= '2024-05-01'");
    let found: Value = ask(
        &mut session,
        "SELECT jsonb_agg(jsonb_build_array(keys, time AT TIME ZONE 'UTC', reason -> 0 ->> 'component'))
        FROM ecommerce_ml.detect_anomalies('sales', budget => 2)",
    );
    // Of the fall the day is named that differs by most, a Saturday.
    let expected = json!([
        [{"product": 2, "shop": "north"}, "2024-03-20T00:00:00", "outlier"],
        [{"product": 5, "shop": "south"}, "2024-05-04T00:00:00", "level"],
    ]);
    let mut both = found.as_array().unwrap().clone();
    both.sort_by_key(|one| one[1].to_string());
    assert_eq!(json!(both), expected);
    let first: bool = ask(
        &mut session,
        "SELECT min(time) = '2024-05-01 00:00+00' FROM ecommerce_ml.detect_anomalies('sales', budget => 1000)
         WHERE score > 1 AND keys ->> 'product' = '5' AND keys ->> 'shop' = 'south' AND time >= '2024-05-01 00:00+00'",
    );
    assert!(first);
    let sound = "SELECT bool_and(score > 0 AND lower <= upper AND (observed NOT BETWEEN lower AND upper) = (score > 1)) AND count(*) = 500
        FROM ecommerce_ml.detect_anomalies('sales', 'sales', 500)";
    assert!(ask::<bool>(&mut session, sound));
    // Those that were changed beside others of 12 series and 120 days.
    let alarms: i64 = ask(&mut session, "SELECT count(*) FROM ecommerce_ml.detect_anomalies('sales', budget => 1000)
        WHERE score > 1 AND NOT (keys ->> 'product' = '5' AND keys ->> 'shop' = 'south') AND NOT (keys ->> 'product' = '2')");
    assert!(alarms < 30, "{alarms}");
    run(&mut session, "CREATE TABLE empty (LIKE sales)");
    let none = "SELECT count(*) FROM ecommerce_ml.detect_anomalies('sales', 'empty')";
    assert_eq!(ask::<i64>(&mut session, none), 0);
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.detect_anomalies('sales', budget => 0)", "22023");
    // What a model goes by: parts of what series vary by, and methods.
    let parts: Value = ask(&mut session, "SELECT jsonb_build_array(
            array_agg(feature ORDER BY feature) FILTER (WHERE feature NOT LIKE 'method %'),
            round(sum(importance) FILTER (WHERE feature NOT LIKE 'method %')::numeric, 9), round(sum(importance) FILTER (WHERE feature LIKE 'method %')::numeric, 9))
        FROM ecommerce_ml.explain_model('sales')");
    assert_eq!(parts, json!([["remainder", "season", "trend"], 1.0, 1.0]));
    let season: String = ask(&mut session, "SELECT feature FROM ecommerce_ml.explain_model('sales') LIMIT 1");
    assert_eq!(season, "season");
}

#[test]
fn forecasts_go_on_from_new_rows_without_a_training() {
    let (_cluster, mut session) = shop();
    trained(&mut session, &train("sales", "{product,shop}", &json!({"deploy": "always"})));
    let same = "SELECT count(*) = 168 AND bool_and(n = f) FROM ecommerce_ml.forecast('sales') AS f
        FULL JOIN ecommerce_ml.forecast('sales', history => 'sales') AS n USING (keys, time)";
    assert!(ask::<bool>(&mut session, same));
    run(&mut session, "INSERT INTO sales
        SELECT product, shop, date '2024-01-01' + day, product * ((ARRAY[5,6,7,8,12,20,3])[1 + day % 7] + 0.1 * day + (hashint4(day * 31 + product) & 15) / 8.0 + 30), 2.5
        FROM generate_series(1, 6) AS product, unnest('{north,south}'::text[]) AS shop, generate_series(140, 160) AS day");
    // They begin where rows end, and know that more is sold.
    let near = "SELECT bool_and(abs(value - expected) < 0.25 * expected) AND count(*) = 168 AND min(time) = '2024-06-10 00:00+00'
        FROM ecommerce_ml.forecast('sales', history => 'sales') AS f, LATERAL (SELECT (f.time AT TIME ZONE 'UTC')::date - date '2024-01-01' AS day) AS d,
             LATERAL (SELECT (keys ->> 'product')::int * ((ARRAY[5,6,7,8,12,20,3])[1 + day % 7] + 0.1 * day + 31) AS expected) AS e";
    assert!(ask::<bool>(&mut session, near));
    let one = "SELECT count(*) FROM ecommerce_ml.forecast('sales', 3, keys => '{\"product\": 3}', history => 'sales')";
    assert_eq!(ask::<i64>(&mut session, one), 6);
    run(&mut session, "CREATE TABLE empty (LIKE sales)");
    assert_eq!(
        ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.forecast('sales', history => 'empty')"),
        0
    );
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.forecast('sales', 0, history => 'sales')", "22023");
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.forecast('sales', history => 'pg_class')", "42703");
}

/// What a season ago was can't be beaten where each week is as the one before.
#[test]
fn what_does_not_beat_the_naive_is_not_deployed() {
    let (_cluster, mut session) = shop();
    run(
        &mut session,
        "UPDATE sales SET quantity = product * (ARRAY[5,6,7,8,12,20,3])[1 + (day - date '2024-01-01') % 7]",
    );
    let outcome = trained(&mut session, &train("sales", "{product,shop}", &json!({})));
    assert!(outcome.contains("not deployed: it is not better"), "{outcome}");
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.forecast('sales')", "42704");
    let exact = "SELECT bool_and(value = lower AND value = upper) FROM ecommerce_ml.forecast('sales@1')";
    assert!(ask::<bool>(&mut session, exact), "what never varies is certain");
}

/// One series without keys, by the week, with gaps; rows without time or quantity are passed over.
#[test]
fn gaps_nulls_and_one_series() {
    let (_cluster, mut session) = shop();
    run(&mut session, "DELETE FROM sales WHERE day BETWEEN '2024-02-05' AND '2024-02-18';
        INSERT INTO sales VALUES (1, 'north', NULL, 5, 1), (1, 'north', '2024-03-01', NULL, 1), (NULL, 'north', '2024-03-01', 0, 1)");
    for gaps in ["zero", "missing"] {
        let options = json!({"frequency": "week", "horizon": 4, "gaps": gaps, "deploy": "always"});
        trained(&mut session, &train(gaps, "{}", &options));
        let query = format!(
            "SELECT jsonb_build_array(jsonb_agg(DISTINCT keys), count(*), min(time AT TIME ZONE 'UTC'), max(time AT TIME ZONE 'UTC'))
             FROM ecommerce_ml.forecast('{gaps}')"
        );
        let found: Value = ask(&mut session, &query);
        assert_eq!(found, json!([[{}], 4, "2024-05-20T00:00:00", "2024-06-10T00:00:00"]));
    }
}

/// What is in stock, in a schema and with key columns in another order than the model's; of one key nothing is known, one has no series, two rows have
/// one key.
const STOCK: &str = "
    CREATE SCHEMA \"Ware House\";
    CREATE TABLE \"Ware House\".stock (gone int, shop text, product int, note text, on_hand int, on_order numeric, lead_time float4, pack_size int,
                                       minimum_order int);
    ALTER TABLE \"Ware House\".stock DROP COLUMN gone;
    INSERT INTO \"Ware House\".stock
    SELECT shop, product, 'x', 10 * product, 5, 2, 1, NULL FROM generate_series(1, 6) AS product, unnest('{north,south}'::text[]) AS shop
    WHERE (product, shop) <> (6, 'south');
    UPDATE \"Ware House\".stock SET on_hand = NULL WHERE product = 5 AND shop = 'north';
    UPDATE \"Ware House\".stock SET on_hand = 100000 WHERE product = 4;
    UPDATE \"Ware House\".stock SET pack_size = 24 WHERE product = 3;
    UPDATE \"Ware House\".stock SET lead_time = NULL WHERE product = 2;
    INSERT INTO \"Ware House\".stock VALUES ('north', 99, NULL, 1, NULL, 2), ('south', 1, NULL, 1, NULL, 2), (NULL, 1, NULL, 1, NULL, 2)";

#[test]
fn orders_are_planned_for_each_series_and_each_row_of_stock() {
    let (_cluster, mut session) = shop();
    trained(&mut session, &train("sales", "{product,shop}", &json!({"deploy": "always"})));
    run(&mut session, STOCK);
    let plan = |session: &mut Client, arguments: &str, query: &str| -> Value {
        let call = format!("ecommerce_ml.plan_orders('sales', '\"Ware House\".stock'{arguments})");
        ask(session, &format!("SELECT {query} FROM {call}"))
    };
    let why = "jsonb_object_agg(coalesce(keys ->> 'product', '') || coalesce(keys ->> 'shop', '-'), why) FILTER (WHERE order_quantity IS NULL)";
    let said = plan(&mut session, "", why);
    let expected = json!({
        "1-": "a key is NULL",
        "1south": "the stock relation has 2 rows of this key",
        "2north": "there is no lead time",
        "2south": "there is no lead time",
        "5north": "on_hand is NULL",
        "6south": "the stock relation has no row of this key",
        "99north": "the model has no series of this key",
    });
    assert_eq!(said, expected);
    let sound = "to_jsonb(count(*) = 15 AND bool_and(order_quantity IS NULL OR order_quantity >= 0 AND reorder_point > 0
        AND stockout_risk BETWEEN 0 AND 0.1 AND expected_cost IS NULL AND why LIKE '%on hand and on order are %'))";
    assert_eq!(plan(&mut session, "", sound), json!(true));
    // Three days of a product that is known: its orders reach the quantile, in packs, and none is made where there is enough.
    let of = |session: &mut Client, product: i32, arguments: &str| {
        let columns = "ARRAY[order_quantity, reorder_point, stockout_risk, expected_cost]";
        let found = plan(
            session,
            arguments,
            &format!(
                "to_jsonb(array_agg({columns} ORDER BY keys ->> 'shop') FILTER (WHERE keys ->> 'product' = '{product}'))"
            ),
        );
        found[0].as_array().unwrap().iter().map(|one| one.as_f64().unwrap_or(f64::NAN)).collect::<Vec<_>>()
    };
    let third = of(&mut session, 3, "");
    assert!(
        third[0] % 24.0 == 0.0 && third[0] + 35.0 >= third[1] && third[0] + 35.0 - 24.0 < third[1],
        "{third:?}"
    );
    assert_eq!(of(&mut session, 4, "")[0], 0.0);
    let mean: f64 = ask(
        &mut session,
        "SELECT sum(value) FROM ecommerce_ml.forecast('sales', 3, keys => '{\"product\": 3, \"shop\": \"north\"}')",
    );
    assert!(third[1] > mean && third[1] < 1.5 * mean, "{third:?} {mean}");
    let (low, high) =
        (of(&mut session, 3, ", service_level => 0.5"), of(&mut session, 3, ", service_level => 0.99"));
    assert!(low[1] < third[1] && third[1] < high[1]);
    let longer = of(&mut session, 2, ", lead_time => 9, review_period => 7");
    assert!(longer[1] > 4.0 * mean * 2.0 / 3.0, "{longer:?}");
    let costs = of(&mut session, 3, ", underage_cost => 9, overage_cost => 1");
    assert!(costs[3] > 0.0 && costs[1] < third[1] && costs[1] > low[1], "{costs:?}");
    run(&mut session, "UPDATE \"Ware House\".stock SET minimum_order = 100000 WHERE product = 3");
    assert_eq!(of(&mut session, 3, "")[0], 100_008.0);
    assert_eq!(of(&mut session, 3, ", underage_cost => 9, overage_cost => 1")[0], 0.0);

    let none = "SELECT count(*) FROM ecommerce_ml.plan_orders(NULL, '\"Ware House\".stock')";
    assert_eq!(ask::<i64>(&mut session, none), 0);
    for (arguments, sqlstate) in [
        ("'sales', '\"Ware House\".stock', service_level => 1", "22023"),
        ("'sales', '\"Ware House\".stock', service_level => 'NaN'", "22023"),
        ("'sales', '\"Ware House\".stock', lead_time => -1", "22023"),
        ("'sales', '\"Ware House\".stock', review_period => 'Infinity'", "22023"),
        ("'sales', '\"Ware House\".stock', underage_cost => 1", "22004"),
        ("'sales', '\"Ware House\".stock', underage_cost => 1, overage_cost => -1", "22023"),
        ("'sales', 'sales'", "42703"),
        ("'reviews', '\"Ware House\".stock'", "42809"),
        ("'nothing', '\"Ware House\".stock'", "42704"),
    ] {
        fails_with(&mut session, &format!("SELECT * FROM ecommerce_ml.plan_orders({arguments})"), sqlstate);
    }
    // What is read is read as the caller: rows that he may not see have no orders.
    run(
        &mut session,
        "ALTER TABLE \"Ware House\".stock ENABLE ROW LEVEL SECURITY; CREATE POLICY north ON \"Ware House\".stock USING (shop = 'north');
         CREATE ROLE buyer; GRANT USAGE ON SCHEMA \"Ware House\", ecommerce_ml TO buyer; SELECT ecommerce_ml.grant_model('sales', 'buyer'); SET ROLE buyer",
    );
    fails_with(
        &mut session,
        "SELECT * FROM ecommerce_ml.plan_orders('sales', '\"Ware House\".stock')",
        "42501",
    );
    run(&mut session, "RESET ROLE; GRANT SELECT ON \"Ware House\".stock TO buyer; SET ROLE buyer");
    let seen = "to_jsonb(bool_and(keys ->> 'shop' = 'north') FILTER (WHERE why NOT LIKE 'the stock relation has no row%'))";
    assert_eq!(plan(&mut session, "", seen), json!(true));
}

/// Sales that go by a price that changes every third day, of products of two categories.
const PRICED: &str = "
    CREATE TABLE priced AS
    SELECT product, (ARRAY['garden', 'toys'])[1 + product % 2] AS category, date '2024-01-01' + day AS day, price, day % 9 = 0 AS promoted,
           20.0 * product * (10 / price) ^ 2 * (1 + day % 7 / 7.0) * CASE WHEN day % 9 = 0 THEN 1.5 ELSE 1 END AS quantity
    FROM generate_series(1, 12) AS product, generate_series(0, 69) AS day,
         LATERAL (SELECT (ARRAY[8, 10, 10, 12])[1 + abs(hashint4(product * 1000 + day / 3)) % 4]::float8 AS price) AS of_day;
    CREATE SCHEMA \"To come\";
    CREATE TABLE \"To come\".prices (gone int, price int, promoted boolean, category text, day timestamptz, product int);
    ALTER TABLE \"To come\".prices DROP COLUMN gone;
    INSERT INTO \"To come\".prices
    SELECT 8, false, category, (day + 7)::timestamp AT TIME ZONE 'UTC' + interval '7 hours', product FROM priced WHERE day >= '2024-03-04';
    INSERT INTO \"To come\".prices VALUES (1, true, NULL, '2024-03-11', NULL), (1, true, NULL, NULL, 3), (1, true, NULL, 'infinity', 3), (1, true, 'x', '2024-03-11', 99);
    CREATE VIEW dear AS SELECT product, category, (day AT TIME ZONE 'UTC')::date AS day, 12 AS price, promoted FROM \"To come\".prices";

#[test]
fn prices_to_come_are_read() {
    let (_cluster, mut session) = shop();
    run(&mut session, PRICED);
    let call = "SELECT ecommerce_ml.train_model('priced', 'priced', label_column => 'quantity', task => 'forecast', key_columns => '{product}',
                    time_column => 'day', feature_columns => '{price,promoted,category}', options => '{\"horizon\": 7}')";
    trained(&mut session, call);
    let sum = |session: &mut Client, arguments: &str| -> f64 {
        ask(session, &format!("SELECT sum(value) FROM ecommerce_ml.forecast('priced', 7{arguments})"))
    };
    let cheap = sum(&mut session, ", future => '\"To come\".prices'");
    let dear = sum(&mut session, ", future => 'dear'");
    // (12 / 8)^2 is 2.25.
    assert!((1.6..=2.6).contains(&(cheap / dear)), "{cheap} {dear}");
    let one = sum(&mut session, ", future => 'dear', keys => '{\"product\": 3}'");
    let rows: i64 = ask(
        &mut session,
        "SELECT count(*) FROM ecommerce_ml.forecast('priced', future => 'dear', keys => '{\"product\": 3}')",
    );
    assert!(rows == 7 && one < dear / 10.0, "{rows} {one}");
    // A relation without rows says nothing, as no relation does.
    run(&mut session, "CREATE TABLE nothing (LIKE priced)");
    assert_eq!(sum(&mut session, ", future => 'nothing'"), sum(&mut session, ""));
    // What is no number, or no end of one, says as little as NULL.
    run(
        &mut session,
        "CREATE VIEW unknown AS SELECT product, category, day, NULL::float8 AS price, promoted FROM dear;
         CREATE VIEW boundless AS SELECT product, category, day, CASE WHEN product < 6 THEN 'NaN' ELSE 'Infinity' END::float8 AS price, promoted FROM dear",
    );
    assert_eq!(sum(&mut session, ", future => 'boundless'"), sum(&mut session, ", future => 'unknown'"));
    // From what is there now, at the same prices.
    let again = sum(&mut session, ", future => 'dear', history => 'priced'");
    assert!((again - dear).abs() < 1e-6 * dear, "{again} {dear}");
    run(
        &mut session,
        "INSERT INTO priced SELECT product, category, day + 7, price, promoted, quantity FROM priced WHERE day >= '2024-03-04'",
    );
    let found: Value = ask(
        &mut session,
        "SELECT jsonb_object_agg(metric, value) FROM ecommerce_ml.evaluate_model('priced', 'priced')",
    );
    assert!(found["wape"].as_f64().unwrap() < 0.3 && found["rmsse"].as_f64().unwrap() < 0.6, "{found}");
    let effect = |session: &mut Client, feature: &str| -> f64 {
        ask(
            session,
            &format!(
                "SELECT importance FROM ecommerce_ml.explain_model('priced') WHERE feature = '{feature}'"
            ),
        )
    };
    assert!(effect(&mut session, "price - 10 %") > 0.02 && effect(&mut session, "price + 10 %") < -0.02);
    assert!(effect(&mut session, "price") > 0.1 && effect(&mut session, "promoted") > 0.0);
    // What isn't there, or is something else, or must not be read.
    run(
        &mut session,
        "CREATE TABLE half AS SELECT product, day, price FROM dear; CREATE TABLE odd AS SELECT product, category, day, price::text, promoted FROM dear",
    );
    for (relation, sqlstate) in [("half", "42703"), ("odd", "42804"), ("nowhere", "42P01")] {
        let query = format!("SELECT * FROM ecommerce_ml.forecast('priced', future => '{relation}')");
        fails_with(&mut session, &query, sqlstate);
    }
    run(
        &mut session,
        "CREATE ROLE planner; GRANT USAGE ON SCHEMA ecommerce_ml TO planner; SELECT ecommerce_ml.grant_model('priced', 'planner'); SET ROLE planner",
    );
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.forecast('priced', future => 'dear')", "42501");
}

#[test]
fn sums_agree_with_their_parts() {
    let (_cluster, mut session) = shop();
    let outcome = trained(
        &mut session,
        &train("sales", "{shop,product}", &json!({"reconcile": true, "deploy": "always"})),
    );
    assert!(outcome.starts_with("succeeded; deployed"), "{outcome}");
    let query = "SELECT jsonb_object_agg(level, series) FROM (
        SELECT count(DISTINCT keys) AS series, coalesce(keys ->> 'shop', 'all') || CASE WHEN keys ? 'product' THEN ' products' ELSE '' END AS level
        FROM ecommerce_ml.forecast('sales') GROUP BY 2) AS counted";
    let found: Value = ask(&mut session, query);
    assert_eq!(found, json!({"all": 1, "north": 1, "south": 1, "north products": 6, "south products": 6}));
    let agree = "SELECT bool_and(abs(whole - parts) < 1e-6 * whole AND abs(shops - whole) < 1e-6 * whole) FROM (
        SELECT sum(value) FILTER (WHERE keys = '{}') AS whole, sum(value) FILTER (WHERE keys ? 'product') AS parts,
               sum(value) FILTER (WHERE keys ? 'shop' AND NOT keys ? 'product') AS shops
        FROM ecommerce_ml.forecast('sales', 20) GROUP BY time) AS of_day";
    assert!(ask::<bool>(&mut session, agree));
    let north: i64 = ask(
        &mut session,
        "SELECT count(*) FROM ecommerce_ml.forecast('sales', 3, keys => '{\"shop\": \"north\"}')",
    );
    assert_eq!(north, 21);
    // What was forecast of products is measured as it was said.
    run(&mut session, LATER);
    let wape: f64 = ask(
        &mut session,
        "SELECT value FROM ecommerce_ml.evaluate_model('sales', '\"Year 2\".sold', label_column => 'pieces', time_column => 'when?') WHERE metric = 'wape'",
    );
    let said: f64 = ask(
        &mut session,
        "SELECT avg(abs(f.value - coalesce(s.pieces, 0))) / avg(coalesce(s.pieces, 0))
         FROM ecommerce_ml.forecast('sales', 14) AS f
         LEFT JOIN (SELECT product, shop, (\"when?\" AT TIME ZONE 'UTC')::date AS day, sum(pieces)::float8 AS pieces FROM \"Year 2\".sold GROUP BY 1, 2, 3) AS s
             ON s.product = (f.keys ->> 'product')::int AND s.shop = f.keys ->> 'shop' AND s.day = (f.time AT TIME ZONE 'UTC')::date
         WHERE f.keys ? 'product'",
    );
    assert!((wape - said).abs() < 1e-6, "{wape} {said}");
    for argument in ["history => 'sales'", "future => 'sales'"] {
        fails_with(
            &mut session,
            &format!("SELECT * FROM ecommerce_ml.forecast('sales', {argument})"),
            if argument.starts_with('h') { "22023" } else { "0A000" },
        );
    }
    run(&mut session, "CREATE TABLE stock AS SELECT DISTINCT shop, product, 5 AS on_hand FROM sales");
    let planned: i64 = ask(
        &mut session,
        "SELECT count(order_quantity) FROM ecommerce_ml.plan_orders('sales', 'stock', lead_time => 2)",
    );
    assert_eq!(planned, 12);
}
