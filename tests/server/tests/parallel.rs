//! Parallel workers give the same answers.

use std::collections::BTreeMap;

use ecommerce_ml_server_tests::batches::{PROVIDER, explain_with};
use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, Shutdown, ask};
use postgres::Client;
use serde_json::Value;

const QUERY: &str = "SELECT id, ecommerce_ml.predict_sentiment_score(body) FROM reviews";

const PARALLEL: &str = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; \
                        SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 4";

fn prepared() -> (Cluster, Client) {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE reviews AS SELECT i AS id, format('review %s is %s', i, (ARRAY['good', 'bad', 'dull'])[1 + i % 3]) \
         AS body FROM generate_series(1, 300) AS i; ALTER TABLE reviews SET (parallel_workers = 4); ANALYZE reviews",
    );
    (cluster, session)
}

/// The scores of all reviews, by id: workers deliver them in any order.
fn scores(session: &mut Client) -> BTreeMap<i32, f32> {
    let rows = session.query(QUERY, &[]).expect("the query succeeds");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Equal up to rounding: batches of other texts may sum in another order.
fn assert_close(computed: &BTreeMap<i32, f32>, expected: &BTreeMap<i32, f32>) {
    assert!(computed.keys().eq(expected.keys()));
    for (id, score) in computed {
        assert!((score - expected[id]).abs() < 1e-4, "{id}: {score} instead of {}", expected[id]);
    }
}

fn plan(session: &mut Client, query: &str) -> String {
    let rows =
        session.query(&format!("EXPLAIN (COSTS OFF) {query}"), &[]).expect("the query can be explained");
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

#[test]
fn workers_answer_as_the_leader_does() {
    let (cluster, mut session) = prepared();
    run(&mut session, "SET max_parallel_workers_per_gather = 0");
    let serial = scores(&mut session);
    assert_eq!(serial.len(), 300);
    run(&mut session, PARALLEL);
    let plan = plan(&mut session, QUERY);
    assert!(plan.contains("Workers Planned"), "{plan}");
    assert_close(&scores(&mut session), &serial);
    run(&mut session, "SET parallel_leader_participation = off");
    assert_close(&scores(&mut session), &serial);
    assert_eq!(cluster.engines().len(), 1);
}

#[test]
fn workers_leave_out_what_the_model_can_not_read() {
    let (_cluster, mut session) = prepared();
    run(&mut session, "UPDATE reviews SET body = 'товар номер ' || id WHERE id % 3 = 0; ANALYZE reviews");
    let unread = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM \
                  (SELECT id, ecommerce_ml.predict_rating(body) AS stars FROM reviews) AS rated WHERE stars IS NULL";
    let expected: Vec<String> = (1..=100).map(|third| (3 * third).to_string()).collect();
    let summarized = "SELECT (ecommerce_ml.summarize_reviews(body)).reviews FROM reviews";
    for settings in
        ["SET max_parallel_workers_per_gather = 0", PARALLEL, "SET ecommerce_ml.batch_execution = off"]
    {
        run(&mut session, settings);
        assert_eq!(ask::<String>(&mut session, unread), expected.join(" "), "{settings}");
        assert_eq!(ask::<i64>(&mut session, summarized), 200, "{settings}");
    }
    run(&mut session, "SET ecommerce_ml.answer_unreadable = on");
    assert_eq!(ask::<Option<String>>(&mut session, unread), None);
    assert_eq!(ask::<i64>(&mut session, summarized), 300);
}

#[test]
fn workers_start_the_engine_of_a_cold_cluster() {
    let (cluster, session) = prepared();
    drop(session);
    cluster.stop(Shutdown::Fast);
    cluster.start();
    let mut session = cluster.session();
    run(&mut session, PARALLEL);
    run(&mut session, "SET parallel_leader_participation = off");
    assert_eq!(scores(&mut session).len(), 300);
    assert_eq!(cluster.engines().len(), 1);
}

#[test]
fn workers_use_imported_models_and_the_callers_settings() {
    let (cluster, mut session) = prepared();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    run(&mut session, "SET ecommerce_ml.default_model = 'shop'");
    let query = "SELECT string_agg(class, ' ' ORDER BY id) FROM \
                 (SELECT id, ecommerce_ml.predict_class(body) AS class FROM reviews) AS scored";
    run(&mut session, "SET max_parallel_workers_per_gather = 0");
    let serial: String = ask(&mut session, query);
    run(&mut session, PARALLEL);
    assert_eq!(ask::<String>(&mut session, query), serial);
    // PostgreSQL 16 renamed the setting.
    let force = "SELECT set_config(name, 'on', false) FROM pg_settings \
                 WHERE name IN ('force_parallel_mode', 'debug_parallel_query')";
    assert_eq!(ask::<String>(&mut session, force), "on");
    let one: String = ask(&mut session, "SELECT ecommerce_ml.predict_class('review 1 is bad')");
    assert_eq!(serial.split(' ').next(), Some(one.as_str()));
}

/// A number of all nodes of ours in a plan, added up.
fn added(plan: &Value, key: &str) -> i64 {
    match plan {
        Value::Object(fields) => {
            let ours = plan["Custom Plan Provider"] == PROVIDER;
            let own = if ours { plan[key].as_i64().unwrap_or_else(|| panic!("{plan}")) } else { 0 };
            own + fields.values().map(|field| added(field, key)).sum::<i64>()
        }
        Value::Array(elements) => elements.iter().map(|element| added(element, key)).sum(),
        _ => 0,
    }
}

#[test]
fn explain_counts_what_workers_did() {
    let (_cluster, mut session) = prepared();
    run(
        &mut session,
        &format!("{PARALLEL}; SET search_path = public, ecommerce_ml; SET enable_material = off"),
    );
    for (query, texts) in [
        (QUERY, 300),
        ("SELECT id, predict_rating(body || '!') FROM reviews ORDER BY id", 300),
        ("SELECT count(*) FROM reviews WHERE predict_class(body) <> ''", 300),
        ("SELECT id % 2, avg(predict_rating(upper(body))) FROM reviews GROUP BY 1", 300),
        (
            "SELECT id, (SELECT max(predict_rating(v.t)) FROM (VALUES (r.body), (r.body || '?') OFFSET 0) AS v (t)) FROM reviews AS r",
            600,
        ),
        (
            "SELECT count(*) FROM generate_series(1, 2) AS n (n) LEFT JOIN (SELECT predict_class(body) AS c FROM reviews OFFSET 0) AS r \
             ON n.n < 5 + length(r.c)",
            600,
        ),
    ] {
        for leader in ["on", "off"] {
            run(&mut session, &format!("SET parallel_leader_participation = {leader}"));
            let plan = explain_with(&mut session, "ANALYZE, FORMAT JSON", query)
                .unwrap_or_else(|| panic!("{query}"));
            assert!(plan.contains("Workers Launched"), "{query}\n{plan}");
            let plan: Value = serde_json::from_str(&plan).expect("the plan is JSON");
            assert_eq!(added(&plan, "Texts"), texts, "leader {leader}: {query}\n{plan:#}");
            assert!(added(&plan, "Distinct Texts") <= texts && added(&plan, "Windows") > 1, "{plan:#}");
            let text = explain_with(&mut session, "ANALYZE, VERBOSE", query).unwrap_or_default();
            assert!(!text.contains("Texts: 0"), "leader {leader}: {query}\n{text}");
        }
    }
    // What stops early counts what was done until then, by workers too.
    run(&mut session, "SET parallel_leader_participation = off");
    let plan =
        explain_with(&mut session, "ANALYZE, FORMAT JSON", &format!("{QUERY} LIMIT 3")).unwrap_or_default();
    let plan: Value = serde_json::from_str(&plan).expect("the plan is JSON");
    assert!((3..300).contains(&added(&plan, "Texts")), "{plan:#}");
    // Errors let go of the shared memory in another order.
    for _ in 0..3 {
        let failing = "EXPLAIN ANALYZE SELECT predict_rating(body), 1 / (id - 150) FROM reviews";
        assert!(session.batch_execute(failing).is_err());
        run(
            &mut session,
            &format!(
                "DO $$ BEGIN PERFORM count(1 / (id - 150)) FROM reviews WHERE predict_class(body) <> ''; \
             EXCEPTION WHEN division_by_zero THEN NULL; END $$; {QUERY}"
            ),
        );
    }
}
