//! What customers will do, in SQL: trained, measured beside past rates, deployed, asked, retrained, restored; and what can't be learned, refused.

use ecommerce_ml_server_tests::jobs::{said, succeed, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::{Value, json};

/// 600 customers who come in the first 200 days of 400, buy at rates between every 4 and every 60 days, and are lost after one to 15 purchases; half
/// of them after the first three. A number that nobody would guess tells one from another.
const ORDERS: &str = "
    CREATE SCHEMA \"My Shop\";
    CREATE TABLE \"My Shop\".orders (\"Customer\" int, gone int, ordered timestamptz, amount numeric);
    ALTER TABLE \"My Shop\".orders DROP COLUMN gone;
    INSERT INTO \"My Shop\".orders
    SELECT c, timestamptz '2023-01-01' + (abs(hashint4(c)) % 200 + n * (4 + abs(hashint4(c + 7)) % 57)
                                          + abs(hashint4(c * 50 + n)) % 1000 / 250.0) * interval '1 day',
           5 + abs(hashint4(c + 3)) % 90 + abs(hashint4(c * 90 + n)) % 20
    FROM generate_series(1, 600) AS c,
         LATERAL generate_series(0, CASE WHEN hashint4(c + 1) % 2 = 0 THEN abs(hashint4(c + 2)) % 3 ELSE abs(hashint4(c + 2)) % 15 END) AS n";

fn shop() -> (Cluster, Client) {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, ORDERS);
    (cluster, session)
}

/// The call that trains a model from orders, with these arguments added.
fn train(name: &str, more: &str, options: &Value) -> String {
    format!(
        "SELECT ecommerce_ml.train_model('{name}', '\"My Shop\".orders', task => 'lifetime', key_columns => '{{Customer}}',
             time_column => 'ordered', options => '{options}'{more})"
    )
}

fn trained(session: &mut Client, call: &str) -> String {
    let job: i64 = ask(session, call);
    succeed(session, job);
    said(session, job)
}

/// What is expected of all customers, and of the first of them.
fn expected(session: &mut Client) -> String {
    ask(
        session,
        "SELECT concat_ws(' ', count(*), sum(purchases), sum(value), min(customer), (array_agg(l ORDER BY customer))[1])
         FROM ecommerce_ml.predict_lifetime('customers', '60 days') AS l",
    )
}

#[test]
fn customers_are_learned_measured_and_asked_for() {
    let (cluster, mut session) = shop();
    let amount = ", label_column => 'amount'";
    let outcome = trained(&mut session, &train("customers", amount, &json!({"horizon": 120})));
    let better = "succeeded; deployed: it is better than carrying the past rate of each customer on (mae ";
    assert!(outcome.starts_with(better), "{outcome}");
    let shown: String = ask(
        &mut session,
        "SELECT concat_ws(' ', kind, task, signature -> 'reads' -> 'keys' -> 0 ->> 'name') FROM ecommerce_ml.model_versions
         WHERE name = 'customers'",
    );
    assert_eq!(shown, "lifetime lifetime Customer");
    let sound: bool = ask(
        &mut session,
        "SELECT count(*) = (SELECT count(DISTINCT \"Customer\") FROM \"My Shop\".orders)
                AND bool_and(alive BETWEEN 0 AND 1 AND purchases >= 0 AND value >= 0 AND lower >= 0 AND upper >= lower)
         FROM ecommerce_ml.predict_lifetime('customers', '60 days')",
    );
    assert!(sound);
    // Who has bought for long and has not for long is likelier lost than who has bought lately; longer is more; months are known.
    let ask_bool = |session: &mut Client, query: &str| ask::<bool>(session, query);
    assert!(ask_bool(
        &mut session,
        "SELECT avg(alive) FILTER (WHERE last > timestamptz '2024-01-01') > avg(alive) FILTER (WHERE last < timestamptz '2023-06-01')
         FROM ecommerce_ml.predict_lifetime('customers', '60 days')
              JOIN (SELECT \"Customer\"::text AS customer, max(ordered) AS last FROM \"My Shop\".orders GROUP BY 1) AS o USING (customer)",
    ));
    assert!(ask_bool(
        &mut session,
        "SELECT bool_and(y.purchases >= m.purchases AND y.value >= m.value)
         FROM ecommerce_ml.predict_lifetime('customers', '1 year') AS y JOIN ecommerce_ml.predict_lifetime('customers', '1 month') AS m USING (customer)",
    ));
    assert!(ask_bool(
        &mut session,
        "SELECT sum(y.purchases) = sum(d.purchases)
         FROM ecommerce_ml.predict_lifetime('customers', '1 year') AS y JOIN ecommerce_ml.predict_lifetime('customers', '365.25 days') AS d USING (customer)",
    ));
    for nothing in ["NULL, '1 day'", "'customers', NULL"] {
        let query = format!("SELECT count(*) FROM ecommerce_ml.predict_lifetime({nothing})");
        assert_eq!(ask::<i64>(&mut session, &query), 0);
    }
    for (call, sqlstate) in [
        ("predict_lifetime('customers', '0')", "22023"),
        ("predict_lifetime('customers', '-1 month')", "22023"),
        ("predict_lifetime('customers', '101 years')", "22023"),
        ("predict_lifetime('nothing', '1 day')", "42704"),
        ("predict_lifetime('reviews', '1 day')", "42809"),
        ("forecast('customers')", "42809"),
    ] {
        fails_with(&mut session, &format!("SELECT * FROM ecommerce_ml.{call}"), sqlstate);
    }
    run(&mut session, "CREATE ROLE stranger; SET ROLE stranger");
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.predict_lifetime('customers', '1 day')", "42501");
    run(&mut session, "RESET ROLE");

    // Without amounts there are counts.
    trained(&mut session, &train("counts", "", &json!({"horizon": 120, "deploy": "always"})));
    let counted = "SELECT bool_and(value IS NULL AND purchases IS NOT NULL) FROM ecommerce_ml.predict_lifetime('counts', '60 days')";
    assert!(ask_bool(&mut session, counted));

    // Nothing new has come: there is nothing to compare by. New orders make a difference.
    let again: i64 = ask(&mut session, "SELECT ecommerce_ml.retrain_model('customers')");
    succeed(&mut session, again);
    let outcome = said(&mut session, again);
    assert!(outcome.contains("not deployed: it cannot be compared with version 1"), "{outcome}");
    let before = expected(&mut session);
    let evaluate = "ecommerce_ml.evaluate_model('customers', '\"My Shop\".orders')";
    fails_with(&mut session, &format!("SELECT {evaluate}"), "22023");
    run(&mut session, "CREATE TABLE known AS SELECT max(ordered) AS last FROM \"My Shop\".orders");
    run(
        &mut session,
        "INSERT INTO \"My Shop\".orders SELECT \"Customer\", max(ordered) + interval '100 days', 20 FROM \"My Shop\".orders
         WHERE \"Customer\" % 2 = 0 GROUP BY 1",
    );
    evaluated_by_what_came(&mut session, evaluate);
    let again: i64 = ask(&mut session, "SELECT ecommerce_ml.retrain_model('customers')");
    succeed(&mut session, again);
    let compared: bool = ask(
        &mut session,
        &format!("SELECT comparison -> 'live' IS NOT NULL FROM ecommerce_ml.jobs WHERE job = {again}"),
    );
    assert!(compared);
    run(&mut session, "SELECT ecommerce_ml.deploy_model('customers', 3)");
    let after = expected(&mut session);
    assert_ne!(after, before);

    // A dump brings it back.
    run(&mut session, "CREATE DATABASE restored");
    let file = cluster.folder("transfer").join("shop.dump");
    let file = file.to_string_lossy();
    cluster.output("pg_dump", &["-Fc", "-f", &file]);
    cluster.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);
    assert_eq!(expected(&mut cluster.session_in("restored")), after);
}

/// What a model expected of the time since its training, beside what customers did.
fn evaluated_by_what_came(session: &mut Client, evaluate: &str) {
    run(
        session,
        &format!(
            "CREATE TABLE came AS SELECT \"Customer\"::text AS customer, count(*) AS purchases, sum(amount)::float8 AS value
                 FROM \"My Shop\".orders, known WHERE ordered > last GROUP BY 1;
             INSERT INTO \"My Shop\".orders SELECT 9999, last + interval '1 day', 5 FROM known;
             CREATE TABLE said AS SELECT l.*, coalesce(c.purchases, 0) AS bought, coalesce(c.value, 0) AS worth
                 FROM known, LATERAL ecommerce_ml.predict_lifetime('customers', (SELECT max(ordered) FROM \"My Shop\".orders) - last) AS l
                      LEFT JOIN came AS c USING (customer);
             CREATE TABLE measured AS SELECT * FROM {evaluate}"
        ),
    );
    for (metric, expected) in [
        ("count", "count(*)"),
        ("skipped", "max(1)"),
        ("mae", "avg(abs(value - worth))"),
        ("purchases_mae", "avg(abs(purchases - bought))"),
        ("purchases_total_error", "sum(purchases) / sum(bought) - 1"),
        ("value_total_error", "sum(value) / sum(worth) - 1"),
        ("coverage", "avg((worth BETWEEN lower AND upper)::int)"),
    ] {
        let agree = format!(
            "SELECT abs((SELECT value FROM measured WHERE metric = '{metric}') - (SELECT {expected} FROM said)) < 1e-6"
        );
        assert!(ask::<bool>(session, &agree), "{metric}");
    }
    let tenths = "SELECT count(*) = 10 AND abs(avg(value) - (SELECT avg(bought) FROM said)) < 0.01 AND max(class::int) = 10
                  FROM measured WHERE metric = 'actual_purchases'";
    assert!(ask::<bool>(session, tenths));
    let baselines: i64 = ask(session, "SELECT count(*) FROM measured WHERE metric LIKE 'baseline%'");
    assert_eq!(baselines, 5);
    for (arguments, sqlstate) in [
        ("text_column => 'amount'", "22023"),
        ("key_columns => '{Customer,amount}'", "22023"),
        ("time_column => 'amount'", "42804"),
        ("time_column => 'nowhere'", "42703"),
    ] {
        fails_with(
            session,
            &format!("SELECT {}", evaluate.replace("orders')", &format!("orders', {arguments})"))),
            sqlstate,
        );
    }
    run(session, "DELETE FROM \"My Shop\".orders WHERE \"Customer\" = 9999");
}

#[test]
fn what_can_not_be_learned_is_refused() {
    let (_cluster, mut session) = shop();
    for (more, options, sqlstate) in [
        (", text_column => 'amount'", json!({}), "22023"),
        (", base => 'reviews'", json!({}), "22023"),
        (", feature_columns => '{amount}'", json!({}), "22023"),
        (", label_column => 'nowhere'", json!({}), "42703"),
        ("", json!({"horizon": -3}), "22023"),
        ("", json!({"history": "new"}), "22023"),
        ("", json!({"penalizer": 1}), "22023"),
    ] {
        fails_with(&mut session, &train("bad", more, &options), sqlstate);
    }
    for wrong in [
        "key_columns => '{Customer}'",
        "time_column => 'ordered'",
        "key_columns => '{Customer,amount}', time_column => 'ordered'",
    ] {
        let call = format!(
            "SELECT ecommerce_ml.train_model('bad', '\"My Shop\".orders', task => 'lifetime', {wrong})"
        );
        fails_with(&mut session, &call, "22023");
    }
    for (condition, reason) in [
        ("\"Customer\" = 1", "1 customers are too few"),
        ("false", "no purchases to learn from"),
        ("amount < 0", "no purchases to learn from"),
        (
            "ordered = (SELECT min(o.ordered) FROM \"My Shop\".orders AS o WHERE o.\"Customer\" = t.\"Customer\")",
            "no customer has bought twice",
        ),
    ] {
        if condition == "amount < 0" {
            run(
                &mut session,
                "INSERT INTO \"My Shop\".orders SELECT c, '2023-05-01', -5 FROM generate_series(1, 30) AS c",
            );
        }
        let job: i64 =
            ask(&mut session, &train("few", ", label_column => 'amount'", &json!({"where": condition})));
        assert_eq!(wait(&mut session, job), "failed", "{condition}");
        let outcome = said(&mut session, job);
        assert!(outcome.contains(reason), "{condition}: {outcome}");
    }
    // Clockwork: nobody is lost, so past rates have it all.
    run(
        &mut session,
        "CREATE TABLE clockwork AS SELECT c AS customer, timestamptz '2023-01-01' + n * (10 + c) * interval '1 day' AS ordered
         FROM generate_series(1, 40) AS c, generate_series(0, 400 / (10 + c)) AS n",
    );
    let call = train("clock", "", &json!({"history": "all"}))
        .replace("\"My Shop\".orders", "clockwork")
        .replace("{Customer}", "{customer}");
    let job: i64 = ask(&mut session, &call);
    succeed(&mut session, job);
    let outcome = said(&mut session, job);
    assert!(outcome.contains("not deployed: it is not better"), "{outcome}");
}
