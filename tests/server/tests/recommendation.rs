//! Recommendations of items to customers: trained, gated, asked for whomever, and what is said of bad input.

use ecommerce_ml_server_tests::jobs::{said, succeed};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

/// Customers of four tastes, each with five of the ten items of theirs, and one that half of all have. Item 99 is bought by nobody.
const PURCHASES: &str = "
    CREATE TABLE purchases (customer int, item numeric, at timestamptz, stars int);
    INSERT INTO purchases
    SELECT c, c % 4 * 10 + (c / 4 * 3 + n * (1 + c / 40 % 4)) % 10, timestamptz '2024-01-01' + n * interval '1 day', 1 + (c + n) % 5
    FROM generate_series(0, 199) AS c, generate_series(0, 4) AS n;
    INSERT INTO purchases SELECT c, 40 + c / 100, timestamptz '2024-02-01', 5 FROM generate_series(0, 199) AS c WHERE c % 5 = 0;
    INSERT INTO purchases VALUES (NULL, 1, now(), 1), (1, NULL, now(), 1), (1, 99, now(), NULL)";

/// The call that trains a model of purchases.
fn train(name: &str, more: &str) -> String {
    format!(
        "SELECT ecommerce_ml.train_model('{name}', 'purchases', task => 'recommendation', key_columns => '{{customer,item}}'{more})"
    )
}

fn trained(session: &mut Client, call: &str) -> String {
    let job: i64 = ask(session, call);
    succeed(session, job);
    said(session, job)
}

fn items(session: &mut Client, call: &str) -> Vec<String> {
    ask(session, &format!("SELECT coalesce(array_agg(item ORDER BY rank), '{{}}') FROM ecommerce_ml.{call}"))
}

#[test]
fn customers_are_recommended_what_those_like_them_have() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, PURCHASES);
    let outcome = trained(&mut session, &train("basket", ""));
    assert!(
        outcome
            .starts_with("succeeded; deployed: it is better than recommending what is most popular (ndcg "),
        "{outcome}"
    );
    let found = items(&mut session, "recommend('basket', '1', 4)");
    assert!(
        found.len() == 4 && found.iter().all(|item| item.len() == 2 && item.starts_with('1')),
        "{found:?}"
    );
    let found_first = found;
    let seen: bool = ask(
        &mut session,
        "SELECT bool_or(p.item::text = r.item) FROM ecommerce_ml.recommend('basket', '1', 4) AS r, purchases AS p
         WHERE p.customer = 1",
    );
    assert!(!seen);
    let reasons: bool = ask(
        &mut session,
        "SELECT bool_and(cardinality(because) > 0 AND because <@ (SELECT array_agg(item::text) FROM purchases WHERE customer = 1))
         FROM ecommerce_ml.recommend('basket', '1', 4)",
    );
    assert!(reasons);
    let all = items(&mut session, "recommend('basket', '1', 100, exclude_seen => false)");
    assert_eq!(all.len(), 43);

    let found = items(&mut session, "recommend('basket', NULL, 2, history => '{21,22,gone,NULL}')");
    assert!(found.iter().all(|item| item.starts_with('2')), "{found:?}");
    for unknown in ["'nobody', 2", "NULL, 2", "'1', 2, history => '{}'", "NULL, 2, history => '{gone}'"] {
        let popular: bool = ask(
            &mut session,
            &format!(
                "SELECT bool_and(because = '{{popularity}}') FROM ecommerce_ml.recommend('basket', {unknown})"
            ),
        );
        assert!(popular, "{unknown}");
    }
    assert_eq!(items(&mut session, "recommend(NULL, '1')"), Vec::<String>::new());
    let each: i64 = ask(
        &mut session,
        "SELECT count(*) FROM generate_series(0, 19) AS c, LATERAL ecommerce_ml.recommend('basket', c::text, 3) AS r",
    );
    assert_eq!(each, 60);
    // What is like what is there already gives way, and nothing else changes.
    assert_eq!(items(&mut session, "recommend('basket', '1', 4, diversity => NULL)"), found_first);
    let diverse = items(&mut session, "recommend('basket', '1', 4, diversity => 1)");
    assert!(diverse.len() == 4 && diverse[0] == found_first[0], "{diverse:?}");
    assert!(!diverse[1..].iter().all(|item| item.starts_with('1')), "{diverse:?}");
    let scores: bool = ask(
        &mut session,
        "SELECT count(*) = 4 AND bool_and(d.score = r.score AND d.because = r.because)
         FROM ecommerce_ml.recommend('basket', '1', 4, diversity => 1) AS d JOIN ecommerce_ml.recommend('basket', '1', 100) AS r USING (item)",
    );
    assert!(scores);
    let similar = items(&mut session, "similar_items('basket', '13', 3)");
    assert!(similar.len() == 3 && similar.iter().all(|item| item.starts_with('1')), "{similar:?}");

    for (call, sqlstate) in [
        ("recommend('basket', '1', 0)", "22023"),
        ("recommend('basket', '1', 10001)", "22023"),
        ("recommend('basket', '1', diversity => -0.1)", "22023"),
        ("recommend('basket', '1', diversity => 1.1)", "22023"),
        ("recommend('basket', '1', diversity => 'NaN')", "22023"),
        ("similar_items('basket', 'gone')", "22023"),
        ("recommend('nosuch', '1')", "42704"),
        ("recommend('reviews', '1')", "42809"),
        ("similar_items('reviews', '1')", "42809"),
    ] {
        fails_with(&mut session, &format!("SELECT * FROM ecommerce_ml.{call}"), sqlstate);
    }
    fails_with(&mut session, "SELECT ecommerce_ml.predict_class('x', 'basket')", "42809");
    run(&mut session, "CREATE ROLE stranger; SET ROLE stranger");
    fails_with(&mut session, "SELECT * FROM ecommerce_ml.recommend('basket', '1')", "42501");
    run(&mut session, "RESET ROLE");

    let shown: String = ask(
        &mut session,
        "SELECT concat_ws(' ', kind, task, signature -> 'reads' -> 'keys' -> 0 ->> 'name')
         FROM ecommerce_ml.model_versions WHERE name = 'basket'",
    );
    assert_eq!(shown, "recommendation recommendation customer");

    // The last purchases of each are held out, and factors are learned of stars.
    let timed = train(
        "stars",
        ", label_column => 'stars', time_column => 'at', options => '{\"algorithm\": \"als\", \"factors\": 8, \"deploy\": \"always\"}'",
    );
    let outcome = trained(&mut session, &timed);
    assert!(outcome.starts_with("succeeded; deployed"), "{outcome}");
    assert_eq!(items(&mut session, "recommend('stars', '1', 4)").len(), 4);
}

#[test]
fn many_customers_are_asked_for_together() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, PURCHASES);
    trained(&mut session, &train("basket", ""));
    run(
        &mut session,
        "CREATE TABLE customers (id int, had text[], n int);
         INSERT INTO customers SELECT c, CASE WHEN c % 7 = 0 THEN ARRAY['21', '22'] END, 1 + c % 4 FROM generate_series(0, 199) AS c;
         INSERT INTO customers VALUES (NULL, NULL, NULL);
         CREATE TABLE \"in stock\" (item int, note text); INSERT INTO \"in stock\" SELECT i, 'x' FROM generate_series(10, 29) AS i;
         ANALYZE customers",
    );
    for from in [
        "customers AS c, ecommerce_ml.recommend('basket', c.id::text, 3) AS r",
        "customers AS c CROSS JOIN LATERAL ecommerce_ml.recommend('basket', c.id::text, c.n, c.had) AS r",
        "customers AS c LEFT JOIN LATERAL ecommerce_ml.recommend('basket', c.id::text, 5, exclude_seen => false) AS r ON r.rank < 3",
        "(SELECT id FROM customers ORDER BY id DESC LIMIT 90) AS c, ecommerce_ml.recommend('basket', c.id::text, candidates => '\"in stock\"') AS r",
        "(SELECT DISTINCT id % 10 AS id FROM customers) AS c, ecommerce_ml.recommend('basket', c.id::text) AS r WHERE r.item <> '11'",
        "customers AS c, ecommerce_ml.recommend('basket', c.id::text, 3, diversity => c.n / 4.0) AS r",
        // The same customer again and again, which the planner may keep the rows of.
        "generate_series(0, 199) AS c (n), ecommerce_ml.recommend('basket', (c.n % 3)::text, 2) AS r",
    ] {
        let all =
            format!("SELECT md5(string_agg(concat_ws(' ', c, r), ',' ORDER BY c::text, r.rank)) FROM {from}");
        let plan: String = session
            .query(&format!("EXPLAIN (ANALYZE, TIMING off) {all}"), &[])
            .unwrap()
            .iter()
            .map(|row| row.get::<_, String>(0) + "\n")
            .collect();
        let windows =
            plan.lines().find_map(|line| line.trim().strip_prefix("Windows: ")).map(str::parse::<u32>);
        assert!(matches!(windows, Some(Ok(1..=9))), "{plan}");
        let batched: String = ask(&mut session, &all);
        run(&mut session, "SET ecommerce_ml.batch_execution = off");
        assert_eq!(batched, ask::<String>(&mut session, &all), "{from}");
        run(&mut session, "RESET ecommerce_ml.batch_execution");
    }
    // What can't be inlined is answered all the same.
    let each: i64 = ask(
        &mut session,
        "SELECT count(*) FROM (SELECT ecommerce_ml.recommend('basket', id::text, 3) FROM customers) AS s",
    );
    assert_eq!(each, 603);
    let numbered: i64 = ask(
        &mut session,
        "SELECT sum(r.n)::bigint FROM customers AS c, ecommerce_ml.recommend('basket', c.id::text, 2) WITH ORDINALITY AS r (rank, item, score, because, n)",
    );
    assert_eq!(numbered, 603);
    fails_with(
        &mut session,
        "SELECT * FROM customers AS c, ecommerce_ml.recommend('basket', c.id::text, c.n - 1) AS r",
        "22023",
    );
    run(
        &mut session,
        "REVOKE EXECUTE ON FUNCTION ecommerce_ml.recommendations_as_text FROM PUBLIC; CREATE ROLE other;
         GRANT SELECT ON customers TO other; SET ROLE other",
    );
    fails_with(
        &mut session,
        "SELECT * FROM customers AS c, ecommerce_ml.recommend('basket', c.id::text) AS r",
        "42501",
    );
}

#[test]
fn only_candidates_are_recommended() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, PURCHASES);
    trained(&mut session, &train("basket", ""));
    run(
        &mut session,
        "CREATE SCHEMA \"the Shop\"; CREATE TABLE \"the Shop\".stock (note text, item numeric, pieces int);
         INSERT INTO \"the Shop\".stock SELECT 'x', i, i % 2 FROM generate_series(0, 99) AS i;
         INSERT INTO \"the Shop\".stock VALUES ('no item', NULL, 1), ('twice', 5.00, 1);
         ALTER TABLE \"the Shop\".stock DROP COLUMN note;
         CREATE VIEW in_stock AS SELECT item FROM \"the Shop\".stock WHERE pieces > 0;
         CREATE TABLE nothing (item int); CREATE TABLE others (sku int); INSERT INTO others VALUES (1)",
    );
    let found = items(&mut session, "recommend('basket', '1', 15, candidates => 'in_stock')");
    assert!(found.len() == 15 && found.iter().all(|item| item.parse::<u32>().unwrap() % 2 == 1), "{found:?}");
    let all =
        items(&mut session, "recommend('basket', '1', 1000, candidates => '\"the Shop\".stock'::regclass)");
    assert_eq!(all, items(&mut session, "recommend('basket', '1', 1000)"));
    assert_eq!(
        items(&mut session, "recommend('basket', 'nobody', 3, candidates => 'nothing')"),
        Vec::<String>::new()
    );
    fails_with(
        &mut session,
        "SELECT * FROM ecommerce_ml.recommend('basket', '1', candidates => 'others')",
        "42703",
    );
    fails_with(
        &mut session,
        "SELECT * FROM ecommerce_ml.recommend('basket', '1', candidates => 'gone')",
        "42P01",
    );
    let damaged = "ecommerce_ml.recommendations_as_text(ROW('1', NULL, 1, true, '42:ff', NULL), 'basket')";
    fails_with(&mut session, &format!("SELECT {damaged}"), "22023");
    fails_with(&mut session, "SELECT ecommerce_ml.recommendation_candidates('reviews', 'nothing')", "42809");
    // Rows count that the caller may see.
    run(
        &mut session,
        "CREATE ROLE buyer; GRANT SELECT ON nothing TO buyer; SELECT ecommerce_ml.grant_model('basket', 'buyer');
         INSERT INTO nothing VALUES (11), (12); ALTER TABLE nothing ENABLE ROW LEVEL SECURITY;
         CREATE POLICY one ON nothing TO buyer USING (item = 12); SET ROLE buyer",
    );
    fails_with(
        &mut session,
        "SELECT * FROM ecommerce_ml.recommend('basket', '3', candidates => 'in_stock')",
        "42501",
    );
    assert_eq!(items(&mut session, "recommend('basket', '3', candidates => 'nothing')"), ["12"]);
    assert_eq!(items(&mut session, "recommend('basket', '3', candidates => NULL, count => NULL)").len(), 10);
}

#[test]
fn a_new_version_is_compared_with_the_live_one() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, PURCHASES);
    // What there was before the last purchase of each.
    run(
        &mut session,
        "CREATE TABLE later AS SELECT * FROM purchases WHERE at >= '2024-01-05'; DELETE FROM purchases WHERE at >= '2024-01-05'",
    );
    let call = train("basket", ", time_column => 'at'");
    assert!(trained(&mut session, &call).starts_with("succeeded; deployed: it is better than recommending"));
    let metrics = |session: &mut Client, relation: &str| -> Vec<f64> {
        ask(
            session,
            &format!(
                "SELECT array_agg(value ORDER BY metric) FROM ecommerce_ml.evaluate_model('basket', '{relation}', time_column => 'at')
                 WHERE metric IN ('baseline_ndcg', 'count', 'customers', 'ndcg', 'skipped')"
            ),
        )
    };
    let before = metrics(&mut session, "later");
    let [baseline, count, customers, ndcg, skipped] = before[..] else { panic!("{before:?}") };
    assert!(ndcg > 2.0 * baseline && baseline > 0.0, "{before:?}");
    assert_eq!((count, customers, skipped), (241.0, 200.0, 0.0));
    fails_with(&mut session, "SELECT ecommerce_ml.evaluate_model('basket', 'purchases')", "22023");
    fails_with(&mut session, "SELECT ecommerce_ml.evaluate_model('basket', 'later', 'item')", "22023");
    fails_with(
        &mut session,
        "SELECT ecommerce_ml.evaluate_model('basket', 'later', key_columns => '{customer}')",
        "22023",
    );
    fails_with(
        &mut session,
        "SELECT ecommerce_ml.evaluate_model('basket', 'later', key_columns => '{customer,gone}')",
        "42703",
    );
    fails_with(&mut session, "SELECT ecommerce_ml.confusion_matrix('basket', 'later')", "42809");

    // The same rows again: nothing came that the live version doesn't know.
    let outcome = trained(&mut session, &call);
    assert!(
        outcome.contains("not deployed: it is not better than version 1 (ndcg_of_settings "),
        "{outcome}"
    );
    // It doesn't know what those bought who came since.
    run(
        &mut session,
        "INSERT INTO purchases SELECT * FROM later;
         INSERT INTO purchases SELECT 1000 + c, 100 + c % 4 * 10 + (c / 4 * 3 + n * (1 + c / 40 % 4)) % 10, timestamptz '2024-03-01' + n * interval '1 day', 1
         FROM generate_series(0, 199) AS c, generate_series(0, 5) AS n",
    );
    let outcome = trained(&mut session, &call);
    assert!(outcome.contains("deployed: it is better than version 1 (ndcg 0."), "{outcome}");
    let live: i32 = ask(&mut session, "SELECT live_version FROM ecommerce_ml.models WHERE name = 'basket'");
    assert_eq!(live, 3);
}

#[test]
fn items_without_a_sale_are_known_by_their_texts() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE orders (customer int, item int);
         INSERT INTO orders SELECT c, c % 4 * 20 + abs(hashint4(c * 100 + n)) % 20 FROM generate_series(0, 399) AS c, generate_series(1, 8) AS n;
         CREATE SCHEMA \"the Shop\"; CREATE TABLE \"the Shop\".items (dropped int, \"the Number\" bigint, title text, pieces int);
         ALTER TABLE \"the Shop\".items DROP COLUMN dropped;
         CREATE FUNCTION said(item int) RETURNS text LANGUAGE sql AS $$
             SELECT concat_ws(' ', (ARRAY['porcelain tea cup', 'garden hose', 'running shoe', 'story book'])[1 + item / 20],
                              (ARRAY['red', 'blue', 'small', 'new', 'fine'])[1 + item % 5]) $$;
         INSERT INTO \"the Shop\".items SELECT i, said(i), 1 FROM generate_series(0, 79) AS i;
         INSERT INTO \"the Shop\".items SELECT 1000 + t, said(20 * t), 1 FROM generate_series(0, 3) AS t;
         INSERT INTO \"the Shop\".items VALUES (2000, NULL, 1), (NULL, 'tea', 1), (2001, ' ', 1);
         CREATE VIEW new_items AS SELECT \"the Number\" AS item FROM \"the Shop\".items WHERE \"the Number\" >= 1000",
    );
    let call = |more: &str| {
        format!(
            "SELECT ecommerce_ml.train_model('orders', 'orders', task => 'recommendation', key_columns => '{{customer,item}}', options => '{{{more}}}')"
        )
    };
    let texts = r#""item_relation": "\"the Shop\".items", "item_key": "the Number", "item_text": "title""#;
    for algorithm in ["ease", "als"] {
        let outcome = trained(
            &mut session,
            &call(&format!(r#"{texts}, "algorithm": "{algorithm}", "deploy": "always""#)),
        );
        assert!(outcome.starts_with("succeeded; deployed"), "{outcome}");
        for taste in 0..4 {
            let new =
                items(&mut session, &format!("recommend('orders', '{taste}', 1, candidates => 'new_items')"));
            assert_eq!(new, [format!("{}", 1000 + taste)], "{algorithm}");
            let alike = items(&mut session, &format!("similar_items('orders', '{}', 5)", 1000 + taste));
            let own = (20 * taste..20 * taste + 20).map(|item| item.to_string()).collect::<Vec<_>>();
            assert!(alike.iter().all(|item| own.contains(item)) && alike.len() == 5, "{algorithm} {alike:?}");
        }
        let by_history = items(&mut session, "recommend('orders', NULL, 3, history => '{1002}')");
        assert!(
            by_history.iter().all(|item| (40..60).contains(&item.parse::<i32>().unwrap())),
            "{by_history:?}"
        );
        let better: bool = ask(
            &mut session,
            "SELECT (metrics -> 'held_out' ->> 'cold_ndcg')::float8 > (metrics -> 'held_out' ->> 'cold_ndcg_by_chance')::float8
             FROM ecommerce_ml.model_versions WHERE name = 'orders' ORDER BY version DESC LIMIT 1",
        );
        assert!(better, "{algorithm}");
    }
    run(
        &mut session,
        "CREATE TEMP TABLE mine (item int, title text); CREATE TABLE other (item int, title int)",
    );
    for (more, sqlstate) in [
        (r#""item_relation": "gone", "item_text": "title""#, "42P01"),
        (r#""item_relation": "\"the Shop\".items", "item_text": "title""#, "42703"),
        (r#""item_relation": "other", "item_text": "title""#, "42804"),
        (r#""item_relation": "mine", "item_text": "title""#, "42809"),
        (r#""item_relation": "other""#, "22023"),
        (r#""item_text": "title""#, "22023"),
    ] {
        fails_with(&mut session, &call(more), sqlstate);
    }
    run(
        &mut session,
        "CREATE ROLE buyer; GRANT SELECT ON orders TO buyer; GRANT USAGE ON SCHEMA \"the Shop\" TO buyer; SET ROLE buyer",
    );
    fails_with(&mut session, &call(texts).replace("'orders', 'orders'", "'theirs', 'orders'"), "42501");
}

#[test]
fn what_can_not_be_learned_is_refused_and_what_is_no_better_is_not_deployed() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, PURCHASES);
    for (more, sqlstate) in [
        (", options => '{\"lambda\": 1}'", "22023"),
        (", options => '{\"half_life\": 5}'", "22023"),
        (", text_column => 'stars'", "22023"),
        (", base => 'reviews'", "22023"),
    ] {
        fails_with(&mut session, &train("bad", more), sqlstate);
    }
    let one_key = "SELECT ecommerce_ml.train_model('bad', 'purchases', task => 'recommendation', key_columns => '{customer}')";
    fails_with(&mut session, one_key, "22023");
    for condition in ["customer = 1", "item = 40"] {
        let more = format!(", options => '{{\"where\": \"{condition}\"}}'");
        let job: i64 = ask(&mut session, &train("few", &more));
        let state: String = ask(&mut session, &format!("SELECT ecommerce_ml.wait_for_job({job})"));
        let outcome = said(&mut session, job);
        assert!(state == "failed" && outcome.contains("at least 2 of both are needed"), "{outcome}");
    }
    // Everybody buys by chance alone.
    run(
        &mut session,
        "TRUNCATE purchases;
         INSERT INTO purchases SELECT c, abs(hashint4(c * 10 + n)) % 20, now(), 3 FROM generate_series(1, 60) AS c, generate_series(1, 6) AS n",
    );
    let outcome = trained(&mut session, &train("chance", ", label_column => 'stars'"));
    assert!(outcome.starts_with("succeeded; not deployed: it is not better"), "{outcome}");
}
