//! Every wait for the engine can be interrupted, and leaves the session usable.

use std::thread;
use std::time::{Duration, Instant};

use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with, predict, texts_of_any_length};
use postgres::{Client, NoTls};

/// An interrupt takes milliseconds; the rest is for a busy machine.
const PROMPT: Duration = Duration::from_millis(700);

/// Minutes of work for the engine.
fn endless() -> String {
    format!("SELECT ecommerce_ml.predict_sentiment_score({})", texts_of_any_length(20_000))
}

fn warm(cluster: &Cluster) -> Client {
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    session
}

/// The engine answers this session at once, and about the text that was asked.
fn assert_usable(session: &mut Client) {
    let start = Instant::now();
    let tokens: i32 = ask(session, "SELECT ecommerce_ml.token_count('one two three')");
    assert_eq!(tokens, 5);
    predict(session);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the abandoned work was not dropped: {:?}",
        start.elapsed()
    );
}

fn wait_until_engine_works(observer: &mut Client) {
    eventually("the engine works on it", || {
        ask::<bool>(observer, "SELECT coalesce(max(queued_texts), 0) > 0 FROM ecommerce_ml.stat_engine")
    });
}

#[test]
fn pg_cancel_backend_interrupts_at_once() {
    let cluster = Cluster::new();
    let mut session = warm(&cluster);
    let mut observer = cluster.session();
    let pid: i32 = ask(&mut session, "SELECT pg_backend_pid()");
    thread::scope(|scope| {
        let long = scope.spawn(|| {
            fails_with(&mut session, &endless(), "57014");
            Instant::now()
        });
        wait_until_engine_works(&mut observer);
        let asked = Instant::now();
        assert!(ask::<bool>(&mut observer, &format!("SELECT pg_cancel_backend({pid})")));
        let taken = long.join().expect("the statement is cancelled") - asked;
        assert!(taken < PROMPT, "cancelling took {taken:?}");
    });
    assert_usable(&mut session);
    assert_usable(&mut observer);
}

#[test]
fn a_cancel_request_of_the_client_interrupts_row_by_row_statements() {
    let cluster = Cluster::new();
    let mut session = warm(&cluster);
    let token = session.cancel_token();
    thread::scope(|scope| {
        let rows =
            "SELECT count(ecommerce_ml.predict_rating('row ' || i)) FROM generate_series(1, 10000000) AS i";
        let long = scope.spawn(|| {
            fails_with(&mut session, rows, "57014");
            Instant::now()
        });
        thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        token.cancel_query(NoTls).expect("the request is sent");
        let taken = long.join().expect("the statement is cancelled") - asked;
        assert!(taken < PROMPT, "cancelling took {taken:?}");
    });
    assert_usable(&mut session);
}

#[test]
fn statement_timeout_ends_a_long_call() {
    let cluster = Cluster::new();
    let mut session = warm(&cluster);
    run(&mut session, "SET statement_timeout = '500ms'");
    let start = Instant::now();
    fails_with(&mut session, &endless(), "57014");
    let taken = start.elapsed();
    assert!(taken < Duration::from_millis(500) + PROMPT, "the timeout took {taken:?}");
    run(&mut session, "RESET statement_timeout");
    assert_usable(&mut session);
}

#[test]
fn a_timeout_caught_in_plpgsql_leaves_no_answer_behind() {
    let cluster = Cluster::new();
    let mut session = warm(&cluster);
    run(&mut session, "SET statement_timeout = '500ms'");
    let block = format!(
        "DO $$ BEGIN PERFORM ({}); EXCEPTION WHEN query_canceled THEN \
         IF ecommerce_ml.token_count('one two three') <> 5 THEN RAISE 'the answer of another request'; END IF; \
         END $$",
        endless()
    );
    run(&mut session, &block);
    run(&mut session, "RESET statement_timeout");
    assert_usable(&mut session);
}

#[test]
fn terminating_a_session_drops_its_work() {
    let cluster = Cluster::new();
    let mut session = warm(&cluster);
    let mut observer = cluster.session();
    let pid: i32 = ask(&mut session, "SELECT pg_backend_pid()");
    thread::scope(|scope| {
        // In one message: what the server had not read when it closes the connection would take its words along.
        let long = scope.spawn(|| session.batch_execute(&endless()));
        wait_until_engine_works(&mut observer);
        assert!(ask::<bool>(&mut observer, &format!("SELECT pg_terminate_backend({pid}, 5000)")));
        let told = long.join().expect("the statement ends").expect_err("the session is gone");
        assert_eq!(told.code().map(|state| state.code()), Some("57P01"), "{told:?}");
    });
    assert_usable(&mut observer);
}

#[test]
fn a_session_can_be_cancelled_while_the_engine_hangs() {
    let cluster = Cluster::new();
    let mut session = warm(&cluster);
    let engine = cluster.engine();
    ecommerce_ml_server_tests::processes::signal(engine, libc::SIGSTOP);
    run(&mut session, "SET statement_timeout = '300ms'");
    fails_with(&mut session, "SELECT ecommerce_ml.predict_rating('one')", "57014");
    // A text larger than the socket's buffer: the session waits to write, not to read.
    fails_with(&mut session, "SELECT ecommerce_ml.predict_rating(repeat('word ', 500000))", "57014");
    ecommerce_ml_server_tests::processes::signal(engine, libc::SIGCONT);
    run(&mut session, "RESET statement_timeout");
    assert_usable(&mut session);
}

#[test]
fn dropping_a_database_does_not_wait_for_the_engine() {
    let cluster = Cluster::new();
    let mut session = warm(&cluster);
    run(&mut session, "CREATE DATABASE other");
    let mut other = cluster.session_in("other");
    run(&mut other, "CREATE EXTENSION ecommerce_ml");
    let _: String = ask(&mut other, "SELECT ecommerce_ml.predict_sentiment('fine')");
    drop(other);
    eventually("the database can be dropped", || session.batch_execute("DROP DATABASE other").is_ok());
    assert_usable(&mut session);
}
