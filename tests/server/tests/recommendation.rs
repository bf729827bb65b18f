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
    let similar = items(&mut session, "similar_items('basket', '13', 3)");
    assert!(similar.len() == 3 && similar.iter().all(|item| item.starts_with('1')), "{similar:?}");

    for (call, sqlstate) in [
        ("recommend('basket', '1', 0)", "22023"),
        ("recommend('basket', '1', 10001)", "22023"),
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
