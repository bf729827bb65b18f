//! Summaries of reviews ask the engine as little as they can, and survive what befalls it.

use std::thread;
use std::time::{Duration, Instant};

use ecommerce_ml_server_tests::processes::signal;
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with, predict};
use postgres::Client;

/// A cluster that remembers no answers, so that every text that is asked is seen.
fn forgetful() -> (Cluster, Client) {
    let cluster = Cluster::with_settings(&["ecommerce_ml.result_cache_size = 0"]);
    let mut session = cluster.session();
    predict(&mut session);
    (cluster, session)
}

/// Requests and texts of the built-in model so far.
fn asked(session: &mut Client) -> (i64, i64) {
    let query = "SELECT requests, texts FROM ecommerce_ml.stat_models WHERE name = 'reviews'";
    let row = session.query_one(query, &[]).expect("the model is loaded");
    (row.get(0), row.get(1))
}

/// What the statement's one number is, and how many requests and texts it took.
fn cost(session: &mut Client, query: &str) -> (i64, i64, i64) {
    let (requests, texts) = asked(session);
    let answer = ask(session, query);
    let (after, texts_after) = asked(session);
    (answer, after - requests, texts_after - texts)
}

fn plan(session: &mut Client, query: &str) -> String {
    let rows = session.query(&format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query}"), &[]);
    rows.expect("the query can be explained").iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

/// A table of so many reviews of so many products, no two alike.
fn make_reviews(session: &mut Client, reviews: u32, products: u32) {
    let statements = format!(
        "CREATE TABLE reviews AS SELECT i AS id, i % {products} AS product, format('number %s is %s', i, \
         (ARRAY['good', 'bad', 'dull'])[1 + i % 3]) AS body FROM generate_series(1, {reviews}) AS i; ANALYZE reviews"
    );
    run(session, &statements);
}

const PER_PRODUCT: &str = "SELECT sum((s).reviews)::bigint FROM \
                           (SELECT ecommerce_ml.summarize_reviews(body) AS s FROM reviews GROUP BY product) AS each";

#[test]
fn groups_share_requests() {
    let (_cluster, mut session) = forgetful();
    make_reviews(&mut session, 600, 300);
    run(&mut session, "SET ecommerce_ml.batch_size = 100; SET enable_sort = off");
    assert_eq!(cost(&mut session, PER_PRODUCT), (600, 6, 600));
    run(&mut session, "SET enable_sort = on; SET enable_hashagg = off");
    let one_by_one = PER_PRODUCT.replace("FROM reviews", "FROM reviews WHERE product < 5");
    assert_eq!(
        cost(&mut session, &one_by_one),
        (10, 5, 10),
        "a sorted group is shown before the next begins"
    );
}

#[test]
fn a_text_is_asked_for_once() {
    let (_cluster, mut session) = forgetful();
    run(
        &mut session,
        "CREATE TABLE reviews AS SELECT i % 10 AS product, (ARRAY['good', 'bad', 'dull'])[1 + i % 3] AS body \
         FROM generate_series(1, 3000) AS i; ANALYZE reviews; SET enable_sort = off",
    );
    assert_eq!(cost(&mut session, PER_PRODUCT), (3000, 1, 3));
    let columns = "SELECT sum(reviews + negative + neutral + positive)::bigint FROM \
                   (SELECT (ecommerce_ml.summarize_reviews(body)).* FROM reviews GROUP BY product) AS each";
    assert_eq!(cost(&mut session, columns), (6000, 1, 3));
}

#[test]
fn what_waits_is_bounded_by_work_mem() {
    let (_cluster, mut session) = forgetful();
    run(&mut session, "SET work_mem = '64kB'; SET enable_sort = off");
    // 16 kB wait at a time.
    let long = "SELECT (ecommerce_ml.summarize_reviews(i || repeat(' ', 4200) || 'good')).reviews \
                FROM generate_series(1, 30) AS i";
    assert_eq!(cost(&mut session, long), (30, 10, 30));
    // One text, but of groups that take turns.
    let alike = "SELECT sum((s).reviews)::bigint FROM (SELECT ecommerce_ml.summarize_reviews('good') AS s \
                 FROM generate_series(1, 3000) AS i GROUP BY i % 2) AS each";
    let (reviews, requests, _) = cost(&mut session, alike);
    assert!(reviews == 3000 && (3..=10).contains(&requests), "{requests} requests");
}

#[test]
fn groups_that_spill_are_counted_whole() {
    let (_cluster, mut session) = forgetful();
    run(
        &mut session,
        "CREATE TABLE reviews AS SELECT i % 5000 AS product, (ARRAY['good', 'bad', 'dull'])[1 + i % 3] AS body \
         FROM generate_series(1, 20000) AS i; ANALYZE reviews",
    );
    run(&mut session, "SET work_mem = '64kB'; SET hash_mem_multiplier = 1; SET enable_sort = off");
    let plan = plan(&mut session, PER_PRODUCT);
    assert!(plan.contains("Disk Usage"), "{plan}");
    let query = "SELECT count(*) FROM (SELECT ecommerce_ml.summarize_reviews(body) AS s FROM reviews GROUP BY product) \
                 AS each WHERE (s).reviews = 4";
    assert_eq!(ask::<i64>(&mut session, query), 5000);
}

#[test]
fn a_window_asks_for_what_comes_in() {
    let (_cluster, mut session) = forgetful();
    make_reviews(&mut session, 60, 2);
    let moving = "SELECT sum((s).reviews)::bigint FROM (SELECT ecommerce_ml.summarize_reviews(body) OVER \
                  (ORDER BY id ROWS 5 PRECEDING) AS s FROM reviews) AS each";
    assert_eq!(cost(&mut session, moving), (345, 60, 60));
    let alike = moving.replace("(body)", "('good')");
    assert_eq!(cost(&mut session, &alike), (345, 1, 1));
    let growing = moving.replace("ROWS 5 PRECEDING", "ROWS UNBOUNDED PRECEDING");
    assert_eq!(cost(&mut session, &growing), (1830, 60, 60));
}

/// Long reviews: seconds of work.
const SLOW: &str = "SELECT ecommerce_ml.summarize_reviews(i || repeat(' the delivery was late but fine', 30)) AS s \
                    FROM generate_series(1, 20000) AS i GROUP BY i % 100";

fn wait_until_engine_works(observer: &mut Client) {
    let busy = "SELECT coalesce(max(queued_texts), 0) > 0 FROM ecommerce_ml.stat_engine";
    eventually("the engine works on it", || ask(observer, busy));
}

#[test]
fn a_cancelled_summary_leaves_nothing_behind() {
    let (cluster, mut session) = forgetful();
    let mut observer = cluster.session();
    run(&mut session, "SET statement_timeout = '1s'");
    let start = Instant::now();
    fails_with(&mut session, SLOW, "57014");
    assert!(start.elapsed() < Duration::from_secs(3), "the timeout took {:?}", start.elapsed());
    // A subtransaction ends, the session's memory goes on.
    let caught = format!(
        "DO $$ BEGIN PERFORM {}; EXCEPTION WHEN query_canceled THEN NULL; END $$",
        SLOW.trim_start_matches("SELECT")
    );
    run(&mut session, &caught);
    run(&mut session, "RESET statement_timeout");
    eventually("nothing is queued", || {
        ask(&mut observer, "SELECT queued_requests = 0 FROM ecommerce_ml.stat_engine")
    });
    predict(&mut session);
    let few = "SELECT (ecommerce_ml.summarize_reviews('good')).reviews FROM generate_series(1, 7)";
    assert_eq!(ask::<i64>(&mut session, few), 7);
}

#[test]
fn a_killed_engine_costs_no_review() {
    let (cluster, mut session) = forgetful();
    let mut observer = cluster.session();
    let slow = SLOW.replace("20000", "200").replace("30)", "10)").replace("i % 100", "i % 20");
    let query = format!(
        "SELECT concat_ws(' ', count(*), sum((s).reviews), round(avg((s).mean_score)::numeric, 3)) FROM ({slow}) AS each"
    );
    let expected: String = ask(&mut session, &query);
    assert!(expected.starts_with("20 200 "), "{expected}");
    run(&mut session, "SET ecommerce_ml.batch_size = 25");
    thread::scope(|scope| {
        let answer = scope.spawn(|| ask::<String>(&mut session, &query));
        wait_until_engine_works(&mut observer);
        signal(cluster.engine(), libc::SIGKILL);
        assert_eq!(answer.join().expect("the statement succeeds"), expected);
    });
    assert!(cluster.log().contains("was terminated by signal 9"));
}

#[test]
fn stored_summaries_are_dumped_and_rolled_up() {
    let (source, mut session) = forgetful();
    make_reviews(&mut session, 30, 3);
    run(
        &mut session,
        "CREATE TABLE daily AS SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM reviews GROUP BY product; \
         CREATE VIEW total AS SELECT (ecommerce_ml.rollup(s)).* FROM daily",
    );
    let total = "SELECT total::text FROM total";
    let before: String = ask(&mut session, total);
    let target = Cluster::without_extension(&[]);
    let file = target.folder("transfer").join("daily.sql");
    let file = file.to_string_lossy();
    source.output("pg_dump", &["-f", &file]);
    target.output("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", &file]);
    assert_eq!(ask::<String>(&mut target.session(), total), before);
}
