//! A text that kills engines: the statement that needs its answer fails, and no other.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

/// A cluster whose engines die of texts with the word DEADLY.
fn cluster() -> Cluster {
    Cluster::with_engine(Path::new(env!("CARGO_BIN_EXE_killing_engine")), &[])
}

/// Engines that died of a text so far.
fn deaths(cluster: &Cluster) -> usize {
    cluster.log().matches("exited with exit code 3").count()
}

fn reviews(session: &mut Client, rows: i32, deadly: i32) {
    run(
        session,
        &format!(
            "CREATE TABLE reviews AS SELECT i AS id, format('good %s', i) || CASE i WHEN {deadly} THEN ' DEADLY' ELSE '' END \
             AS body FROM generate_series(1, {rows}) AS i"
        ),
    );
}

const COUNT: &str = "SELECT count(ecommerce_ml.predict_sentiment(body)) FROM reviews";

#[test]
fn exactly_the_statement_with_the_text_fails() {
    let cluster = cluster();
    let (mut session, mut other) = (cluster.session(), cluster.session());
    reviews(&mut session, 10_000, 7_001);
    let over = AtomicBool::new(false);
    let error = thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let mut statements = 0;
            while !over.load(Ordering::Relaxed) {
                let query = format!(
                    "SELECT count(ecommerce_ml.predict_sentiment(format('fine %s %s', i, {statements}))) \
                     FROM generate_series(1, 40) AS i"
                );
                assert_eq!(ask::<i64>(&mut other, &query), 40);
                statements += 1;
            }
            statements
        });
        let error = fails_with(&mut session, COUNT, "58000");
        over.store(true, Ordering::Relaxed);
        assert!(neighbour.join().expect("the neighbour's statements succeed") > 0);
        error
    });
    let text = "good 7001 DEADLY";
    let sha256: String = ask(&mut session, &format!("SELECT encode(sha256('{text}'), 'hex')"));
    assert_eq!(error.message(), format!("the engine dies of a text of {} bytes", text.len()));
    assert!(error.detail().is_some_and(|detail| detail.contains(&sha256)), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains(&sha256)), "{error:?}");
    // One for each of up to two requests' halvings, and three for the text alone.
    assert!(deaths(&cluster) <= 20, "{} engines died", deaths(&cluster));
    let without = format!("{COUNT} WHERE sha256(convert_to(body, 'UTF8')) <> '\\x{sha256}'");
    assert_eq!(ask::<i64>(&mut session, &without), 9_999);
}

#[test]
fn how_many_engines_die_grows_with_the_logarithm() {
    let cluster = cluster();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    for halvings in [0, 4, 10] {
        let (texts, before) = (1 << halvings, deaths(&cluster));
        let query = format!(
            "SELECT ecommerce_ml.predict_sentiment(array_agg(format('good %s {texts}', i) || \
             CASE i WHEN {texts} THEN ' DEADLY' ELSE '' END)) FROM generate_series(1, {texts}) AS i"
        );
        let start = Instant::now();
        fails_with(&mut session, &query, "58000");
        println!("{texts} texts: {:?}", start.elapsed());
        // One for the whole and each half that can be halved again, and three for the text alone.
        assert_eq!(deaths(&cluster) - before, halvings.max(1) + 3, "{}", cluster.log());
    }
}

#[test]
fn a_known_text_is_refused_at_once_and_only_where_it_is_read() {
    let cluster = cluster();
    let mut session = cluster.session();
    reviews(&mut session, 20, 12);
    fails_with(&mut session, "SELECT ecommerce_ml.predict_sentiment('good 12 DEADLY')", "58000");
    let died = deaths(&cluster);
    run(&mut session, "CREATE DATABASE elsewhere");
    let mut elsewhere = cluster.session_in("elsewhere");
    run(&mut elsewhere, "CREATE EXTENSION ecommerce_ml");
    for session in [&mut session, &mut elsewhere] {
        fails_with(session, "SELECT ecommerce_ml.predict_rating('good 12 DEADLY')", "58000");
        fails_with(session, "SELECT ecommerce_ml.summarize_reviews('good 12 DEADLY')", "58000");
    }
    fails_with(&mut session, COUNT, "58000");
    // Rows before it are there, and those after it too.
    let sentiments = "SELECT id, ecommerce_ml.predict_sentiment(body) FROM reviews";
    assert_eq!(session.query(&format!("{sentiments} LIMIT 11"), &[]).map(|rows| rows.len()).ok(), Some(11));
    run(&mut session, &format!("BEGIN; DECLARE c CURSOR FOR {sentiments}"));
    assert_eq!(session.query("FETCH 11 FROM c", &[]).map(|rows| rows.len()).ok(), Some(11));
    fails_with(&mut session, "FETCH c", "58000");
    run(&mut session, "ROLLBACK");
    assert_eq!(session.query(&format!("{sentiments} OFFSET 12"), &[]).map(|rows| rows.len()).ok(), None);
    assert_eq!(
        session.query(&format!("{sentiments} WHERE id <> 12"), &[]).map(|rows| rows.len()).ok(),
        Some(19)
    );
    assert_eq!(deaths(&cluster), died);
}
