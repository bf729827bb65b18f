//! Whatever happens to the engine, no statement fails and no session ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::processes::{is_alive, signal};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with, texts_of_any_length, wait_for};
use postgres::Client;

const SESSIONS: usize = 8;
const KILLS: usize = 50;

#[test]
fn fifty_kills_under_eight_busy_sessions_fail_no_statement() {
    let cluster = Cluster::new();
    let mut killer = cluster.session();
    for session in 0..SESSIONS {
        run(&mut killer, &format!("CREATE SEQUENCE progress_{session}"));
    }
    let stop = AtomicBool::new(false);
    let postmaster = cluster.postmaster();
    thread::scope(|scope| {
        let busy: Vec<ScopedJoinHandle<Statements>> = (0..SESSIONS)
            .map(|number| {
                let mut session = cluster.session();
                let stop = &stop;
                scope.spawn(move || predict_until(stop, &mut session, number))
            })
            .collect();
        let ended = Ended(&stop);
        for kill in 0..KILLS {
            wait_for_next_engine(&cluster, &mut killer, kill);
            wait_for_progress(&mut killer, &busy);
            signal(cluster.engine(), libc::SIGKILL);
        }
        drop(ended);
        for session in busy {
            let statements = session.join().expect("no statement fails");
            assert!(statements.succeeded > 0);
            assert_eq!(statements.pid_before, statements.pid_after, "the session is another one");
        }
    });
    assert_eq!(cluster.postmaster(), postmaster);
    eventually("all kills are logged", || {
        cluster.log().matches("was terminated by signal 9").count() == KILLS
    });
    assert!(!cluster.log().contains("terminating any other active server processes"));
}

/// Tells the busy sessions to stop when it is dropped, so that a failure doesn't wait for them for ever.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Statements {
    succeeded: usize,
    pid_before: i32,
    pid_after: i32,
}

/// Predicts in statements of twenty rows, in every other session row by row, and counts statements in a sequence, which
/// others see at once.
fn predict_until(stop: &AtomicBool, session: &mut Client, number: usize) -> Statements {
    let pid_before = ask(session, "SELECT pg_backend_pid()");
    run(session, &format!("SET ecommerce_ml.batch_execution = {}", number.is_multiple_of(2)));
    let mut succeeded = 0;
    while !stop.load(Ordering::Relaxed) {
        let query = format!(
            "SELECT count(*) FROM (SELECT ecommerce_ml.predict_sentiment_score(format('good %s %s', i, {succeeded})) \
             AS score FROM generate_series(1, 20) AS i OFFSET 0) AS row WHERE score BETWEEN -1 AND 1"
        );
        assert_eq!(ask::<i64>(session, &query), 20);
        succeeded += 1;
        let _: i64 = ask(session, &format!("SELECT nextval('progress_{number}')"));
    }
    Statements { succeeded, pid_before, pid_after: ask(session, "SELECT pg_backend_pid()") }
}

fn wait_for_next_engine(cluster: &Cluster, killer: &mut Client, kill: usize) {
    let query = format!("SELECT ecommerce_ml.predict_sentiment('all is well again, {kill}')");
    let _: String = ask(killer, &query);
    eventually("an engine runs", || cluster.engines().len() == 1);
}

/// Waits until every session has got to the end of a statement, and so has the answers that it waited for. A session that has ended failed, and the caller will see why.
fn wait_for_progress(killer: &mut Client, busy: &[ScopedJoinHandle<Statements>]) {
    let before = progress(killer);
    wait_for("every session gets answers", Duration::from_secs(60), || {
        let now = progress(killer);
        let all = before.iter().all(|(sequence, statements)| now[sequence] > *statements);
        (all || busy.iter().any(ScopedJoinHandle::is_finished)).then_some(())
    });
}

fn progress(session: &mut Client) -> BTreeMap<String, i64> {
    let query = "SELECT sequencename::text, coalesce(last_value, 0) FROM pg_sequences \
                 WHERE sequencename LIKE 'progress_%'";
    let rows = session.query(query, &[]).expect("sequences can be read");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Sessions that ask while engines are killed in a row.
const STORM_SESSIONS: i32 = 16;

/// The ratings of 400 texts, which are others in each session.
fn storm_query(session: i32) -> String {
    format!(
        "SELECT array_agg(rating) FROM (SELECT ecommerce_ml.predict_rating(format('review %s of %s: the delivery was late \
         but fine', i, {session})) AS rating FROM generate_series(1, 400) AS i) AS row"
    )
}

/// `ECOMMERCE_ML_TEST_STORM` is for how many seconds engines are killed.
fn storm(pause: Duration) {
    let seconds = std::env::var("ECOMMERCE_ML_TEST_STORM").ok().and_then(|seconds| seconds.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(10));
    let cluster = Cluster::new();
    let mut calm = cluster.session();
    let undisturbed: Vec<Vec<f32>> =
        (0..STORM_SESSIONS).map(|session| ask(&mut calm, &storm_query(session))).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let busy: Vec<ScopedJoinHandle<u32>> = (0..STORM_SESSIONS)
            .map(|number| {
                let (mut session, over) = (cluster.session(), &over);
                let expected = &undisturbed[number as usize];
                scope.spawn(move || {
                    let pid: i32 = ask(&mut session, "SELECT pg_backend_pid()");
                    let mut statements = 0;
                    while statements == 0 || !over.load(Ordering::Relaxed) {
                        let ratings: Vec<f32> = ask(&mut session, &storm_query(number));
                        assert!(ratings == *expected, "session {number} got other answers");
                        statements += 1;
                    }
                    assert_eq!(ask::<i32>(&mut session, "SELECT pg_backend_pid()"), pid);
                    statements
                })
            })
            .collect();
        let ended = Ended(&over);
        let (start, mut kills) = (Instant::now(), 0);
        while start.elapsed() < length && !busy.iter().any(ScopedJoinHandle::is_finished) {
            thread::sleep(pause);
            for engine in cluster.engines() {
                signal(engine, libc::SIGKILL);
                kills += 1;
            }
        }
        drop(ended);
        let statements: u32 =
            busy.into_iter().map(|session| session.join().expect("no statement fails")).sum();
        println!("{kills} kills, {statements} statements, {:?}", start.elapsed());
        assert!(kills as u32 >= length.as_millis() as u32 / pause.as_millis() as u32 / 4);
    });
    assert_eq!(ask::<i64>(&mut calm, "SELECT count(ecommerce_ml.predict_rating('all is well'))"), 1);
}

#[test]
fn engines_killed_each_second_fail_no_statement() {
    storm(Duration::from_secs(1));
}

#[test]
fn engines_killed_thrice_a_second_fail_no_statement() {
    storm(Duration::from_millis(300));
}

/// Not the least part of what was asked is ever answered while engines are killed, and still nothing fails.
#[test]
fn a_single_text_that_loses_many_engines_is_answered() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    let postmaster = cluster.postmaster();
    thread::scope(|scope| {
        let long = scope.spawn(|| {
            let query =
                "SELECT ecommerce_ml.predict_rating(repeat('the delivery was late but fine ', 20000))";
            ask::<f32>(&mut session, query)
        });
        for _ in 0..6 {
            thread::sleep(Duration::from_millis(400));
            cluster.engines().into_iter().for_each(|engine| signal(engine, libc::SIGKILL));
        }
        assert!(long.join().expect("the statement is answered in the end") > 0.0);
    });
    assert_eq!(cluster.postmaster(), postmaster);
}

#[test]
fn a_statement_waits_for_engines_as_long_as_it_may() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    run(&mut session, "SET statement_timeout = '2s'");
    thread::scope(|scope| {
        let query = format!("SELECT ecommerce_ml.predict_rating({})", texts_of_any_length(2000));
        let waiting = scope.spawn(move || {
            let started = Instant::now();
            fails_with(&mut session, &query, "57014");
            started.elapsed()
        });
        while !waiting.is_finished() {
            thread::sleep(Duration::from_millis(50));
            cluster.engines().into_iter().for_each(|engine| signal(engine, libc::SIGKILL));
        }
        let waited = waiting.join().expect("the statement is cancelled");
        assert!(waited < Duration::from_secs(4), "cancelled after {waited:?}");
    });
}

/// Waits until the engine has texts to work on.
fn wait_until_busy(observer: &mut Client) {
    eventually("the engine is busy", || {
        let query = "SELECT coalesce(max(queued_texts), 0)::bigint FROM ecommerce_ml.stat_engine";
        ask::<i64>(observer, query) > 0
    });
}

#[test]
fn restarts_are_counted_and_logged() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('one')");
    let first = cluster.engine();
    signal(first, libc::SIGKILL);
    eventually("another engine runs", || matches!(cluster.engines()[..], [pid] if pid != first));
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('two')");
    assert_eq!(ask::<i32>(&mut session, "SELECT restarts::int FROM ecommerce_ml.stat_engine"), 1);
    assert_eq!(ask::<i32>(&mut session, "SELECT pid::int FROM ecommerce_ml.stat_engine"), cluster.engine());
    assert!(cluster.log().contains("was terminated by signal 9"), "{}", cluster.log());
}

#[test]
fn an_engine_that_gives_no_sign_of_life_is_replaced() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.engine_heartbeat_timeout = '1s'"]);
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    let engine = cluster.engine();
    signal(engine, libc::SIGSTOP);
    let start = Instant::now();
    assert_eq!(ask::<String>(&mut session, "SELECT ecommerce_ml.predict_sentiment('great!')"), "positive");
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(4), "the statement waited {waited:?}");
    assert!(!is_alive(engine));
    assert!(cluster.log().contains("gave no sign of life for 1000 ms, killing it"), "{}", cluster.log());
    assert_eq!(ask::<i32>(&mut session, "SELECT restarts::int FROM ecommerce_ml.stat_engine"), 1);
}

#[test]
fn heartbeats_can_be_done_without() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.engine_heartbeat_timeout = '300ms'"]);
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    let engine = cluster.engine();
    run(&mut session, "ALTER SYSTEM SET ecommerce_ml.engine_heartbeat_timeout = 0");
    cluster.reload();
    thread::sleep(Duration::from_millis(500));
    signal(engine, libc::SIGSTOP);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(cluster.engines(), [engine]);
    run(&mut session, "ALTER SYSTEM SET ecommerce_ml.engine_heartbeat_timeout = '300ms'");
    cluster.reload();
    eventually("the engine is replaced", || matches!(cluster.engines()[..], [pid] if pid != engine));
}

/// Texts in number, a long one, and models that are loaded.
#[test]
fn a_busy_engine_misses_no_heartbeat() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.engine_heartbeat_timeout = '2s'"]);
    let (mut one, mut other) = (cluster.session(), cluster.session());
    let _: String = ask(&mut one, "SELECT ecommerce_ml.predict_sentiment('warm')");
    let engine = cluster.engine();
    thread::scope(|scope| {
        scope.spawn(|| {
            let query =
                format!("SELECT cardinality(ecommerce_ml.predict_rating({}))", texts_of_any_length(500));
            assert_eq!(ask::<i32>(&mut one, &query), 500);
        });
        let query = "SELECT ecommerce_ml.predict_rating(repeat('the delivery was late but fine ', 20000))";
        assert!(ask::<f32>(&mut other, query) > 0.0);
        let query =
            "SELECT ecommerce_ml.token_count(left(repeat('the delivery was late ', 200000), 4194304)) > 0";
        assert!(ask::<bool>(&mut other, query));
        for number in 0..3 {
            import_reference(&cluster, &mut other, &format!("model_{number}"), CLASSIFIER);
        }
    });
    assert_eq!(cluster.engine(), engine, "{}", cluster.log());
}

#[test]
fn a_stopped_engine_can_be_killed_and_the_waiting_statement_is_answered() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    let engine = cluster.engine();
    signal(engine, libc::SIGSTOP);
    thread::scope(|scope| {
        let waiting =
            scope.spawn(|| ask::<String>(&mut session, "SELECT ecommerce_ml.predict_sentiment('great!')"));
        thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished());
        signal(engine, libc::SIGKILL);
        assert_eq!(waiting.join().expect("the statement is asked again"), "positive");
    });
}

/// The engine's state, as the view shows it, and how long looking took.
fn looked_at(session: &mut Client) -> (String, Option<i32>, Option<i64>, Duration) {
    let start = Instant::now();
    let query = "SELECT state, pid, queued_texts FROM ecommerce_ml.stat_engine";
    let row = session.query_one(query, &[]).expect("the view has a row");
    (row.get(0), row.get(1), row.get(2), start.elapsed())
}

#[test]
fn a_stopped_engine_is_seen_to_be_stopped() {
    const ABOUT_A_SECOND: Duration = Duration::from_millis(1800);
    let cluster = Cluster::with_settings(&["ecommerce_ml.engine_heartbeat_timeout = 0"]);
    let (mut warm, mut cold) = (cluster.session(), cluster.session());
    let _: String = ask(&mut warm, "SELECT ecommerce_ml.predict_sentiment('warm')");
    let engine = cluster.engine();
    assert_eq!(looked_at(&mut warm).0, "running");
    signal(engine, libc::SIGSTOP);
    for session in [&mut warm, &mut cold] {
        for _ in 0..2 {
            let (state, pid, queued, taken) = looked_at(session);
            assert_eq!((state.as_str(), pid, queued), ("not responding", Some(engine), None));
            assert!(taken < ABOUT_A_SECOND, "looking took {taken:?}");
            let start = Instant::now();
            assert_eq!(ask::<i64>(session, "SELECT count(*) FROM ecommerce_ml.stat_models"), 0);
            assert!(start.elapsed() < ABOUT_A_SECOND, "looking took {:?}", start.elapsed());
        }
        run(session, "SET statement_timeout = '300ms'");
        fails_with(session, "SELECT * FROM ecommerce_ml.stat_engine", "57014");
        run(session, "RESET statement_timeout");
    }
    signal(engine, libc::SIGCONT);
    for session in [&mut warm, &mut cold] {
        assert_eq!(ask::<String>(session, "SELECT ecommerce_ml.predict_sentiment('I love it')"), "positive");
        let (state, pid, queued, _) = looked_at(session);
        assert_eq!((state.as_str(), pid, queued.is_some()), ("running", Some(engine), true));
        let connections = "SELECT connections FROM ecommerce_ml.stat_engine";
        assert!(ask::<i32>(session, connections) <= 2, "a connection each");
    }
}

#[test]
fn a_busy_engine_is_running() {
    let cluster = Cluster::new();
    let mut observer = cluster.session();
    let mut session = cluster.session();
    thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let query = "SELECT count(ecommerce_ml.predict_rating(i || repeat(' the delivery was late but fine', 40))) \
                         FROM generate_series(1, 250) AS i";
            ask::<i64>(&mut session, query)
        });
        wait_until_busy(&mut observer);
        while !busy.is_finished() {
            assert_eq!(looked_at(&mut observer).0, "running");
        }
        assert_eq!(busy.join().expect("the statement succeeds"), 250);
    });
}

/// A statement in the middle of its rows, whose requests are on their way over the same connection.
#[test]
fn looking_at_a_stopped_engine_loses_no_request() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.engine_heartbeat_timeout = 0"]);
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    run(
        &mut session,
        "BEGIN; DECLARE c CURSOR FOR SELECT ecommerce_ml.token_count(repeat('word ', i)) FROM generate_series(1, 200) AS i; \
         MOVE 40 IN c",
    );
    let engine = cluster.engine();
    for _ in 0..3 {
        signal(engine, libc::SIGSTOP);
        assert_eq!(looked_at(&mut session).0, "not responding");
        signal(engine, libc::SIGCONT);
        assert_eq!(looked_at(&mut session).0, "running");
    }
    assert_eq!(ask::<i32>(&mut session, "FETCH c"), 43);
    assert_eq!(session.query("FETCH ALL FROM c", &[]).map(|rows| rows.len()).ok(), Some(159));
}
