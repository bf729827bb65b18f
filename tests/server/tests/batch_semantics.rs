//! Batches ask for little, once, and for nothing that a query would not have asked row by row.

use ecommerce_ml_server_tests::batches::{
    Asked, ENGLISH, NODE, PLAN_KEYS, PROVIDER, RUN_KEYS, assert_batched, cluster_with_reviews, explain,
    explain_with, set_batches,
};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{ask, fails_with};
use postgres::Client;
use serde_json::Value;

/// Texts that a query may ask for when it needs no more than ten.
const FEW_TEXTS: i64 = 16;

/// Windows that grow to hold 300 rows are fewer.
const FEW_REQUESTS: i64 = 15;

fn ids(session: &mut Client, query: &str) -> Vec<i32> {
    let rows = session.query(query, &[]).unwrap_or_else(|error| panic!("{query}\n{error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_limit_reads_little() {
    let (_cluster, mut session) = cluster_with_reviews();
    for (number, query) in [
        "SELECT predict_rating(body || ?) FROM reviews LIMIT 1",
        "SELECT predict_rating(body || ?) FROM reviews LIMIT 10",
        "SELECT predict_rating(body || ?) FROM reviews ORDER BY id LIMIT 10",
        "SELECT predict_rating(body || ?) FROM reviews FETCH FIRST 10 ROWS ONLY",
        "SELECT predict_rating(s.body || ?) FROM (SELECT body FROM reviews LIMIT 10) AS s",
        "SELECT EXISTS (SELECT FROM reviews WHERE predict_rating(body || ?) > 0)",
        "SELECT (SELECT predict_rating(body || ?) FROM reviews LIMIT 1) FROM (VALUES (1), (2)) AS v",
    ]
    .iter()
    .enumerate()
    {
        run(&mut session, "SET search_path = public, ecommerce_ml");
        let query = query.replace('?', &format!("' in query {number}'"));
        assert_batched(&mut session, &query);
        let asked = Asked::by(&mut session, |session| run(session, &query));
        assert!((1..=FEW_TEXTS).contains(&asked.texts), "{query}: {asked:?}");
    }
}

#[test]
fn a_cursor_reads_little_ahead() {
    let (_cluster, mut session) = cluster_with_reviews();
    let asked = Asked::by(&mut session, |session| {
        run(session, "BEGIN; DECLARE c CURSOR FOR SELECT ecommerce_ml.predict_rating(body) FROM reviews");
        run(session, "FETCH 3 FROM c; CLOSE c; COMMIT");
    });
    assert!((1..=FEW_TEXTS).contains(&asked.texts), "{asked:?}");
}

#[test]
fn a_scan_takes_few_requests() {
    let (_cluster, mut session) = cluster_with_reviews();
    let query = "SELECT id, ecommerce_ml.predict_rating(body) FROM reviews";
    assert_batched(&mut session, query);
    let asked = Asked::by(&mut session, |session| run(session, query));
    assert_eq!(asked.texts, 300);
    assert!(asked.requests <= FEW_REQUESTS, "{asked:?}");
}

#[test]
fn batch_size_bounds_a_window() {
    let (_cluster, mut session) = cluster_with_reviews();
    run(&mut session, "SET ecommerce_ml.batch_size = 3");
    let query = "SELECT ecommerce_ml.predict_rating(body) FROM reviews";
    let asked = Asked::by(&mut session, |session| run(session, query));
    assert!(asked.texts == 300 && asked.requests >= 100, "{asked:?}");
}

#[test]
fn equal_calls_are_asked_once() {
    let (_cluster, mut session) = cluster_with_reviews();
    let query = "SELECT ecommerce_ml.predict_rating(body), ecommerce_ml.predict_rating(body) + 1, \
                 upper(ecommerce_ml.predict_rating(body)::text) FROM reviews \
                 WHERE ecommerce_ml.predict_rating(body) > 0 ORDER BY ecommerce_ml.predict_rating(body)";
    assert_batched(&mut session, query);
    let asked = Asked::by(&mut session, |session| run(session, query));
    assert_eq!(asked.texts, 300, "{asked:?}");
}

#[test]
fn all_functions_of_a_text_cost_one_forward_pass() {
    let (_cluster, mut session) = cluster_with_reviews();
    let tokens: i64 = ask(&mut session, "SELECT sum(ecommerce_ml.token_count(body)) FROM reviews");
    let query = "SELECT ecommerce_ml.predict_sentiment(body), ecommerce_ml.predict_sentiment_score(body), \
                 ecommerce_ml.predict_rating(body), ecommerce_ml.predict_class(body), \
                 ecommerce_ml.predict_probabilities(body) FROM reviews";
    assert_batched(&mut session, query);
    let asked = Asked::by(&mut session, |session| run(session, query));
    assert_eq!((asked.texts, asked.tokens), (300, tokens), "{asked:?}");
    assert!(asked.requests <= FEW_REQUESTS, "{asked:?}");
}

#[test]
fn repeated_texts_are_asked_once_a_window() {
    let (_cluster, mut session) = cluster_with_reviews();
    run(&mut session, "UPDATE reviews SET body = 'one of ten: ' || id % 10");
    let tokens: i64 = ask(
        &mut session,
        "SELECT sum(ecommerce_ml.token_count(t)) FROM (SELECT DISTINCT body FROM reviews) AS d (t)",
    );
    let query = "SELECT ecommerce_ml.predict_sentiment(body) FROM reviews";
    let asked = Asked::by(&mut session, |session| run(session, query));
    // Two windows are on their way at once, and the second doesn't wait for the answers of the first.
    assert!(asked.tokens <= 2 * tokens && asked.texts <= 10 * FEW_REQUESTS, "{asked:?}, {tokens} tokens");
}

#[test]
fn rows_without_text_are_not_asked_about() {
    let (_cluster, mut session) = cluster_with_reviews();
    run(&mut session, "SELECT ecommerce_ml.predict_rating('warm'); UPDATE reviews SET body = NULL");
    let query = "SELECT ecommerce_ml.predict_rating(body) FROM reviews";
    let asked = Asked::by(&mut session, |session| run(session, query));
    assert_eq!(asked, Asked { requests: 0, texts: 0, tokens: 0 });
}

#[test]
fn cheap_conditions_come_first() {
    let (_cluster, mut session) = cluster_with_reviews();
    for (number, condition) in [
        "lang = 'en' AND ecommerce_ml.predict_sentiment(body || ?) = 'negative'",
        "ecommerce_ml.predict_sentiment(body || ?) = 'negative' AND lang = 'en'",
        "ecommerce_ml.predict_sentiment(body || ?) <> '' AND lang || body LIKE 'en%'",
    ]
    .iter()
    .enumerate()
    {
        let condition = condition.replace('?', &format!("' in query {number}'"));
        let query = format!("SELECT id FROM reviews WHERE {condition}");
        assert_batched(&mut session, &query);
        let asked = Asked::by(&mut session, |session| run(session, &query));
        assert_eq!(asked.texts, ENGLISH, "{condition}");
    }
}

#[test]
fn the_target_list_is_asked_for_rows_that_pass_only() {
    let (_cluster, mut session) = cluster_with_reviews();
    let query = "SELECT id, ecommerce_ml.predict_rating(upper(body)) FROM reviews \
                 WHERE lang = 'en' AND ecommerce_ml.predict_sentiment(body) = 'positive'";
    let asked = Asked::by(&mut session, |session| run(session, query));
    assert!((ENGLISH + 1..ENGLISH + 60).contains(&asked.texts), "{asked:?}");
}

#[test]
fn the_first_statement_of_a_session_is_batched() {
    let (cluster, mut observer) = cluster_with_reviews();
    run(
        &mut observer,
        "CREATE TABLE kept (answer text); CREATE FUNCTION judge(tag text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO kept SELECT ecommerce_ml.predict_sentiment(body || tag) FROM reviews; END $$",
    );
    assert_batched(&mut cluster.session(), "SELECT ecommerce_ml.predict_rating(body) FROM reviews");
    assert_batched(
        &mut cluster.session(),
        "SELECT id FROM reviews WHERE ecommerce_ml.predict_class(body) = 'x'",
    );
    for (number, statements) in [
        "SELECT ecommerce_ml.predict_sentiment(body || ?) FROM reviews",
        "BEGIN; DECLARE c CURSOR FOR SELECT ecommerce_ml.predict_sentiment(body || ?) FROM reviews; FETCH ALL FROM c; COMMIT",
        "PREPARE p AS SELECT ecommerce_ml.predict_sentiment(body || ?) FROM reviews; EXECUTE p",
        "INSERT INTO kept SELECT ecommerce_ml.predict_sentiment(body || ?) FROM reviews",
        "SELECT judge(?)",
        "DO $$ BEGIN PERFORM ecommerce_ml.predict_sentiment(body || ?) FROM reviews; END $$",
        "CREATE TABLE made AS SELECT ecommerce_ml.predict_sentiment(body || ?) FROM reviews",
    ]
    .iter()
    .enumerate()
    {
        let statements = statements.replace('?', &format!("' in statement {number}'"));
        let before = Asked::until_now(&mut observer);
        run(&mut cluster.session(), &statements);
        let asked = Asked::until_now(&mut observer) - before;
        assert!(asked.texts == 300 && asked.requests <= FEW_REQUESTS, "{statements}: {asked:?}");
    }
}

#[test]
fn parameters_and_portals_read_in_steps() {
    let (_cluster, mut session) = cluster_with_reviews();
    let expected = ids(
        &mut session,
        "SELECT id FROM reviews WHERE ecommerce_ml.predict_class(body) IN ('1 star', '2 stars')",
    );
    assert!(expected.len() > 50);
    let query = "SELECT id, ecommerce_ml.predict_class(body, $1) FROM reviews \
                 WHERE ecommerce_ml.predict_class(body, $1) = ANY ($2)";
    let wanted = vec!["1 star", "2 stars"];
    // The sixth time the server may choose a plan for any parameters.
    for _ in 0..7 {
        let rows = session.query(query, &[&"reviews", &wanted]).expect("the query succeeds");
        assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), expected);
    }
    let mut transaction = session.transaction().expect("a transaction begins");
    let portal = transaction.bind(query, &[&"reviews", &wanted]).expect("the query can be planned");
    let mut read = Vec::new();
    for step in [1, 2, 10, 3, 0] {
        let rows = transaction.query_portal(&portal, step).expect("rows are there");
        assert!(step == 0 || rows.len() == usize::try_from(step).expect("a step forward"));
        read.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
    }
    assert_eq!(read, expected);
}

#[test]
fn a_setting_switches_batches_off() {
    let (_cluster, mut session) = cluster_with_reviews();
    let query = "SELECT id, ecommerce_ml.predict_rating(body) FROM reviews WHERE id <= 40";
    assert_batched(&mut session, query);
    assert_eq!(ask::<String>(&mut session, "SHOW ecommerce_ml.batch_execution"), "on");
    set_batches(&mut session, false);
    let plan = explain(&mut session, query).unwrap_or_default();
    assert!(!plan.contains(NODE), "{plan}");
    let asked = Asked::by(&mut session, |session| run(session, query));
    assert_eq!((asked.requests, asked.texts), (40, 40));
}

#[test]
fn a_function_that_was_revoked_is_refused() {
    let (cluster, mut session) = cluster_with_reviews();
    run(&mut session, "CREATE ROLE visitor LOGIN; GRANT SELECT, UPDATE ON reviews TO visitor");
    let mut visitor = cluster.session_as("visitor", "postgres");
    run(
        &mut visitor,
        "SET plan_cache_mode = force_generic_plan; \
         PREPARE judge AS SELECT id, ecommerce_ml.predict_sentiment(body) FROM reviews; EXECUTE judge",
    );
    run(&mut session, "REVOKE EXECUTE ON FUNCTION ecommerce_ml.predict_sentiment(text) FROM PUBLIC");
    for statement in [
        "EXECUTE judge",
        "SELECT id, ecommerce_ml.predict_sentiment(body) FROM reviews",
        "SELECT id, ecommerce_ml.predict_sentiment(body), ecommerce_ml.predict_rating(body) FROM reviews",
        "SELECT id FROM reviews WHERE ecommerce_ml.predict_sentiment(body) = 'positive'",
        "SELECT count(ecommerce_ml.predict_sentiment(body)) FROM reviews",
        "UPDATE reviews SET sentiment = ecommerce_ml.predict_sentiment(body)",
    ] {
        fails_with(&mut visitor, statement, "42501");
    }
    run(&mut visitor, "SELECT ecommerce_ml.predict_rating(body) FROM reviews");
}

#[test]
fn a_policy_that_calls_hides_rows_from_leaky_functions() {
    let (cluster, mut session) = cluster_with_reviews();
    run(
        &mut session,
        "CREATE ROLE visitor LOGIN; GRANT SELECT ON reviews TO visitor; ALTER TABLE reviews ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY good ON reviews USING (ecommerce_ml.predict_sentiment(body) = 'positive'); \
         CREATE TABLE leaked (body text); CREATE FUNCTION leaky(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 \
         SECURITY DEFINER AS $$ BEGIN INSERT INTO leaked VALUES ($1); RETURN true; END $$",
    );
    let mut visitor = cluster.session_as("visitor", "postgres");
    for query in [
        "SELECT id FROM reviews WHERE leaky(body)",
        "SELECT id, ecommerce_ml.predict_class(body) FROM reviews WHERE leaky(body) AND ecommerce_ml.predict_rating(body) > 0",
        "SELECT r.id FROM reviews AS r JOIN (VALUES ('en')) AS v (lang) ON v.lang = r.lang AND leaky(r.body)",
        "SELECT ecommerce_ml.predict_rating(body) FROM reviews WHERE leaky(body || '') AND id < 90",
    ] {
        run(&mut visitor, query);
        let leaked = "SELECT count(*) FROM leaked \
                      WHERE body LIKE 'Terrible%' OR ecommerce_ml.predict_sentiment(body) <> 'positive'";
        assert_eq!(ask::<i64>(&mut session, leaked), 0, "{query}");
    }
    assert!(ask::<i64>(&mut session, "SELECT count(*) FROM leaked") >= 90);
}

#[test]
fn an_unknown_model_is_an_error_only_where_its_row_is_reached() {
    let (_cluster, mut session) = cluster_with_reviews();
    run(&mut session, "UPDATE reviews SET model = 'nosuchmodel' WHERE id = 12");
    let query = "SELECT id, ecommerce_ml.predict_class(body, model) FROM (SELECT * FROM reviews ORDER BY id OFFSET 0) AS s";
    assert_batched(&mut session, query);
    assert_eq!(ids(&mut session, &format!("{query} LIMIT 11")).len(), 11);
    fails_with(&mut session, &format!("{query} LIMIT 12"), "42704");
    fails_with(&mut session, query, "42704");
    run(&mut session, &format!("BEGIN; DECLARE c CURSOR FOR {query}"));
    assert_eq!(ids(&mut session, "FETCH 5 FROM c").len(), 5);
    assert_eq!(ids(&mut session, "FETCH 6 FROM c").len(), 6);
    fails_with(&mut session, "FETCH c", "42704");
    run(&mut session, "ROLLBACK");
}

#[test]
fn reading_ahead_locks_no_more_rows() {
    let (cluster, mut session) = cluster_with_reviews();
    let mut other = cluster.session();
    for query in [
        "SELECT id, ecommerce_ml.predict_sentiment(body) FROM reviews ORDER BY id LIMIT 3 FOR UPDATE",
        "SELECT id FROM reviews WHERE ecommerce_ml.predict_sentiment(body) = 'positive' ORDER BY id LIMIT 3 FOR UPDATE",
        "SELECT id, ecommerce_ml.predict_sentiment(body) FROM (SELECT * FROM reviews FOR UPDATE) AS s LIMIT 3",
    ] {
        run(&mut session, "BEGIN");
        let mut locked = ids(&mut session, query);
        let free = ids(&mut other, "SELECT id FROM reviews FOR UPDATE SKIP LOCKED");
        run(&mut session, "ROLLBACK");
        locked.sort_unstable();
        let taken: Vec<i32> = (1..=300).filter(|id| !free.contains(id)).collect();
        assert_eq!(taken, locked, "{query}");
    }
}

/// The object of a plan in JSON that describes a node of ours.
fn node_of(plan: &Value) -> Option<&Value> {
    match plan {
        Value::Object(_) if plan["Custom Plan Provider"] == PROVIDER => Some(plan),
        Value::Object(fields) => fields.values().find_map(node_of),
        Value::Array(elements) => elements.iter().find_map(node_of),
        _ => None,
    }
}

#[test]
fn explain_tells_calls_and_counts() {
    let (_cluster, mut session) = cluster_with_reviews();
    let query = "SELECT id, ecommerce_ml.predict_rating(body) FROM reviews WHERE lang = 'en'";
    let analyzed = PLAN_KEYS.iter().chain(&RUN_KEYS);
    let plan: Value = ask(&mut session, &format!("EXPLAIN (ANALYZE, FORMAT JSON) {query}"));
    let node = node_of(&plan).unwrap_or_else(|| panic!("{plan:#}"));
    for key in analyzed.clone() {
        assert!(!node[key].is_null(), "{key}: {node:#}");
    }
    assert_eq!((&node["Texts"], &node["Distinct Texts"]), (&ENGLISH.into(), &ENGLISH.into()), "{node:#}");
    assert!(node["Tokens"].as_i64() > Some(300) && node["Cache Hits"] == 0, "{node:#}");
    let plan: Value = ask(&mut session, &format!("EXPLAIN (FORMAT JSON) {query}"));
    let node = node_of(&plan).unwrap_or_else(|| panic!("{plan:#}"));
    assert!(PLAN_KEYS.iter().all(|key| !node[key].is_null()), "{node:#}");
    assert!(RUN_KEYS.iter().all(|key| node[key].is_null()), "{node:#}");
    for format in ["TEXT", "YAML", "XML"] {
        let options = format!("ANALYZE, FORMAT {format}");
        let plan = explain_with(&mut session, &options, query).expect("the query can be explained");
        for key in analyzed.clone() {
            let shown =
                if format == "XML" { format!("<{}>", key.replace(' ', "-")) } else { format!("{key}: ") };
            assert!(plan.contains(&shown), "{shown}\n{plan}");
        }
    }
}
