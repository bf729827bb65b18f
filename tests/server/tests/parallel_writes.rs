//! Statements that write read their input in parallel, whatever asks a model there.
//!
//! A worker may start no command once the transaction has a number, so nothing that a call reaches may either.

use ecommerce_ml_server_tests::batches::{explain, set_batches};
use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::statement::{describe, run};
use ecommerce_ml_server_tests::{Cluster, ask};
use postgres::{Client, SimpleQueryMessage};

const PARALLEL: &str = "SET search_path = public, ecommerce_ml; SET parallel_setup_cost = 0; \
                        SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; \
                        SET max_parallel_workers_per_gather = 2";

/// A query, and what EXPLAIN shows of its plan beside `Workers Planned`.
struct Shape {
    query: &'static str,
    shows: &'static str,
    settings: &'static str,
}

const SHAPES: [Shape; 10] = [
    Shape {
        query: "SELECT id, predict_sentiment(body) AS a, predict_class(body) AS b FROM reviews",
        shows: "Gather",
        settings: "",
    },
    Shape {
        query: "SELECT id, predict_class(body, 'shop') AS a FROM reviews ORDER BY id",
        shows: "Gather Merge",
        settings: "",
    },
    Shape {
        query: "SELECT id, predict_class(body, 'reviews@1') AS a, token_count(body, 'shop@1') AS b FROM reviews \
                WHERE predict_sentiment(body) <> 'nothing'",
        shows: "Gather",
        settings: "",
    },
    Shape {
        query: "SELECT r.id, predict_class(o.body, 'shop') AS a FROM reviews AS r JOIN others AS o USING (id)",
        shows: "Parallel Hash Join",
        settings: "SET enable_mergejoin = off; SET enable_nestloop = off",
    },
    Shape {
        query: "SELECT r.id, l.weight FROM reviews AS r JOIN labels AS l ON l.sentiment = predict_sentiment(r.body)",
        shows: "Hash Join",
        settings: "SET enable_mergejoin = off; SET enable_nestloop = off",
    },
    Shape {
        query: "SELECT id, predict_sentiment(body) AS a FROM reviews UNION ALL \
                SELECT id + 100, predict_class(body, 'shop') FROM others",
        shows: "Parallel Append",
        settings: "",
    },
    Shape {
        query: "SELECT id % 3 AS id, count(*) AS a, sum(token_count(body)) AS b, max(predict_class(body, 'shop')) AS c \
                FROM reviews GROUP BY 1",
        shows: "Partial",
        settings: "",
    },
    Shape {
        query: "SELECT id % 3 AS id, (summarize_reviews(body)).stars AS a, (summarize_reviews(body, 'stars')).reviews AS b \
                FROM reviews GROUP BY 1",
        shows: "Partial",
        settings: "",
    },
    Shape {
        query: "SELECT id, (predict_sentiment(ARRAY[body, 'it broke']))[2] AS a, \
                jsonb_array_length(tokenize(ARRAY[body], 'shop')) AS b FROM reviews",
        shows: "Gather",
        settings: "",
    },
    Shape {
        query: "SELECT id, round(predict_rating(body)) AS a FROM reviews AS r \
                WHERE EXISTS (SELECT FROM labels AS l WHERE l.sentiment = predict_sentiment(r.body))",
        shows: "Gather",
        settings: "",
    },
];

/// Statements that write or follow one that did; `?` stands for the query, and what they made is in table `made`.
const WRITES: [&str; 15] = [
    "CREATE TABLE made AS ?",
    "CREATE UNLOGGED TABLE made AS SELECT * FROM (?) AS q",
    "SELECT * INTO made FROM (?) AS q",
    "CREATE MATERIALIZED VIEW made AS ?",
    "CREATE MATERIALIZED VIEW made AS ? WITH NO DATA; REFRESH MATERIALIZED VIEW made",
    "CREATE MATERIALIZED VIEW made AS ?; CREATE UNIQUE INDEX ON made (id); REFRESH MATERIALIZED VIEW CONCURRENTLY made",
    "CREATE TABLE made AS ? WITH NO DATA; INSERT INTO made ?",
    "PREPARE p AS ?; CREATE TABLE made AS EXECUTE p",
    "EXPLAIN (ANALYZE, COSTS OFF) CREATE TABLE made AS ?",
    "BEGIN; INSERT INTO written VALUES (1); EXPLAIN ANALYZE ?; CREATE TABLE made AS SELECT * FROM (?) AS q; COMMIT",
    "BEGIN; INSERT INTO written VALUES (1); COPY (?) TO '/dev/null'; SAVEPOINT s; CREATE TABLE made AS ?; RELEASE s; COMMIT",
    "BEGIN; CREATE TABLE made AS ? WITH NO DATA; DECLARE c CURSOR WITH HOLD FOR ?; FETCH 7 FROM c; COMMIT; \
     FETCH ALL FROM c; INSERT INTO made ?",
    "DO $$ BEGIN INSERT INTO written VALUES (1); PERFORM count(*) FROM (?) AS q; CREATE TABLE made AS ?; END $$",
    "CREATE TABLE made AS ? WITH NO DATA; CREATE FUNCTION judged() RETURNS SETOF made LANGUAGE plpgsql AS $$ BEGIN \
     INSERT INTO written VALUES (1); RETURN QUERY ?; END $$; INSERT INTO made SELECT * FROM judged()",
    "CREATE TABLE made AS ? WITH NO DATA; DO $$ DECLARE row made; BEGIN INSERT INTO written VALUES (1); \
     FOR row IN ? LOOP INSERT INTO made VALUES (row.*); END LOOP; END $$",
];

fn prepared() -> (Cluster, Client) {
    let settings = ["ecommerce_ml.precision = 'f32'", "autovacuum = off", "max_worker_processes = 16"];
    let cluster = Cluster::with_settings(&settings);
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    import_reference(&cluster, &mut session, "stars", "bert-stars-sharded");
    run(
        &mut session,
        "CREATE TABLE reviews AS SELECT i AS id, format('review %s is %s', i, (ARRAY['good', 'bad', 'dull'])[1 + i % 3]) \
         AS body FROM generate_series(1, 60) AS i; CREATE TABLE others AS SELECT id, upper(body) AS body FROM reviews; \
         ALTER TABLE reviews SET (parallel_workers = 2); ALTER TABLE others SET (parallel_workers = 2); \
         CREATE TABLE labels AS SELECT s AS sentiment, n AS weight FROM \
         unnest(ARRAY['positive', 'negative', 'neutral']) WITH ORDINALITY AS l (s, n); \
         CREATE TABLE written (i int); ANALYZE",
    );
    (cluster, session)
}

/// Everything that a table holds.
fn content(session: &mut Client, table: &str) -> Result<String, postgres::Error> {
    let query = format!("SELECT string_agg(q::text, ' ' ORDER BY q::text) FROM {table} AS q");
    let messages = session.simple_query(&query)?;
    Ok(messages
        .iter()
        .find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .unwrap_or_default())
}

/// What a statement leaves in table `made`, or what the server said.
fn made(session: &mut Client, statement: &str) -> Result<String, String> {
    // One at a time: CONCURRENTLY wants a transaction of its own.
    let quoted = statement.contains("$$");
    let parts = if quoted { vec![statement] } else { statement.split("; ").collect() };
    let result = parts
        .iter()
        .try_for_each(|part| session.simple_query(part).map(drop))
        .and_then(|()| content(session, "made"))
        .map_err(|error| describe(&error));
    if result.is_err() {
        let _ = session.batch_execute("ROLLBACK");
    }
    result
}

#[test]
fn every_statement_that_writes_reads_in_parallel() {
    let (cluster, mut observer) = prepared();
    let mut failures = Vec::new();
    for (number, Shape { query, shows, settings }) in SHAPES.iter().enumerate() {
        run(&mut observer, &format!("{PARALLEL}; {settings}"));
        set_batches(&mut observer, true);
        let plan = explain(&mut observer, query).unwrap_or_default();
        assert!(plan.contains("Workers Planned") && plan.contains(shows), "{query}\n{plan}");
        run(&mut observer, "SET max_parallel_workers_per_gather = 0");
        let expected = content(&mut observer, &format!("({query})")).expect("the query succeeds");
        for (position, statement) in WRITES.iter().enumerate() {
            let statement = statement.replace('?', query);
            for (batches, leader) in
                [(true, (number + position) % 3 > 0), (false, (number + position) % 3 == 0)]
            {
                // New, so that workers and leader know nothing yet.
                let mut session = cluster.session();
                run(
                    &mut session,
                    &format!("{PARALLEL}; {settings}; SET parallel_leader_participation = {leader}"),
                );
                set_batches(&mut session, batches);
                let made = made(&mut session, &statement);
                if made.as_ref() != Ok(&expected) {
                    failures.push(format!("batches {batches}, leader {leader}: {statement}\n{made:?}\n"));
                }
                let cleaning = "DO $$ BEGIN IF to_regclass('made') IS NULL THEN RETURN; END IF; EXECUTE (SELECT \
                     format('DROP %s made CASCADE', CASE relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END) \
                     FROM pg_class WHERE oid = 'made'::regclass); END $$; DROP FUNCTION IF EXISTS judged";
                run(&mut session, cleaning);
            }
        }
        run(&mut observer, "RESET ALL");
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// These run a query of the caller's, which may do anything.
#[test]
fn evaluations_stand_beside_a_parallel_scan() {
    let (_cluster, mut session) = prepared();
    run(&mut session, PARALLEL);
    run(&mut session, "CREATE TABLE judged AS SELECT body, predict_class(body) AS a FROM reviews");
    for evaluation in [
        "evaluate_model('reviews', 'judged', 'body', 'a')",
        "confusion_matrix('reviews', 'judged', 'body', 'a')",
        "evaluate_predictions('judged', 'a', 'a')",
    ] {
        let query =
            format!("SELECT e.*, r.rows FROM {evaluation} AS e, (SELECT count(*) AS rows FROM reviews) AS r");
        run(&mut session, &format!("CREATE TABLE made AS {query}; DROP TABLE made"));
    }
}

/// A worker reads the model for an engine that has just started.
#[test]
fn workers_upload_for_a_statement_that_writes() {
    let (cluster, mut session) = prepared();
    cluster.restart();
    let mut session_after = cluster.session();
    std::mem::swap(&mut session, &mut session_after);
    drop(session_after);
    run(&mut session, &format!("{PARALLEL}; SET parallel_leader_participation = off"));
    run(&mut session, "CREATE TABLE made AS SELECT id, predict_class(body, 'shop') AS a FROM reviews");
    assert_eq!(ask::<i64>(&mut session, "SELECT count(a) FROM made"), 60);
}

#[test]
fn a_transaction_asks_what_it_has_imported() {
    let (cluster, mut session) = prepared();
    run(&mut session, PARALLEL);
    let query = "SELECT string_agg(predict_class(body, 'new'), ' ' ORDER BY id) FROM reviews";
    run(&mut session, "BEGIN");
    import_reference(&cluster, &mut session, "new", CLASSIFIER);
    let expected: String =
        ask(&mut session, "SELECT string_agg(predict_class(body, 'shop'), ' ' ORDER BY id) FROM reviews");
    for leader in ["on", "off"] {
        run(&mut session, &format!("SET parallel_leader_participation = {leader}"));
        assert_eq!(ask::<String>(&mut session, query), expected);
    }
    import_reference(&cluster, &mut session, "new", "bert-stars-sharded");
    run(&mut session, "SAVEPOINT second; SELECT deploy_model('new', 2)");
    assert_ne!(ask::<String>(&mut session, query), expected);
    run(&mut session, "ROLLBACK TO second; SELECT deploy_model('new', 1)");
    assert_eq!(ask::<String>(&mut session, query), expected);
    run(&mut session, "ROLLBACK");
    assert!(session.batch_execute(query).is_err());
}

#[test]
fn a_function_and_a_statement_ask_what_they_have_imported() {
    let (cluster, mut session) = prepared();
    let folder = ecommerce_ml_server_tests::fixtures::place_model(&cluster, CLASSIFIER, "again");
    let source = format!("file://{}", folder.display());
    run(
        &mut session,
        &format!(
            "SET search_path = public, ecommerce_ml; DO $$ DECLARE one text; other text; BEGIN \
             PERFORM import_model('one', '{source}'); one := predict_class('fine', 'one'); \
             SELECT predict_class('fine', 'one') INTO other; PERFORM import_model('one', '{source}', \
             '{{\"labels\": [\"x\", \"y\", \"z\"]}}'); PERFORM deploy_model('one', 2); \
             IF one IS DISTINCT FROM other OR predict_class('fine', 'one') NOT IN ('x', 'y', 'z') \
             THEN RAISE '% %', one, other; END IF; END $$"
        ),
    );
    let at_once: bool = ask(
        &mut session,
        &format!(
            "SELECT import_model('other', '{source}') = 1 AND predict_class('fine', 'other') IS NOT NULL"
        ),
    );
    assert!(at_once);
}
