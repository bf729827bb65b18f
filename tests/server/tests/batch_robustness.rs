//! What happens around a batch while it is being answered: engines die, users cancel, others change rows, errors are caught.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ecommerce_ml_server_tests::batches::{assert_batched, cluster_with_reviews, set_batches};
use ecommerce_ml_server_tests::processes::{private_bytes, signal};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use postgres::Client;

/// A cancel takes milliseconds; the rest is for a busy machine.
const PROMPT: Duration = Duration::from_millis(700);

/// Rows of a scan that takes the engine a second or more.
const SCANNED: usize = 800;

/// Seconds of work: distinct texts of a hundred words, in a table of its own.
fn add_long_table(session: &mut Client, rows: usize) {
    run(
        session,
        &format!(
            "CREATE TABLE long_reviews AS SELECT i AS id, \
             format('review %s: ', i) || repeat('the delivery was late but fine ', 16 + i % 3) AS body \
             FROM generate_series(1, {rows}) AS i; ANALYZE long_reviews"
        ),
    );
}

fn wait_until_busy(observer: &mut Client) {
    eventually("the engine works on a window", || {
        ask::<bool>(observer, "SELECT coalesce(max(queued_texts), 0) > 0 FROM ecommerce_ml.stat_engine")
    });
}

/// The scores of some long reviews, row by row.
fn scores_row_by_row(session: &mut Client, every: usize) -> Vec<(i32, f32)> {
    set_batches(session, false);
    let query = format!(
        "SELECT id, ecommerce_ml.predict_sentiment_score(body) FROM long_reviews WHERE id % {every} = 0 ORDER BY id"
    );
    let rows = session.query(&query, &[]).expect("the query succeeds");
    set_batches(session, true);
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn a_killed_engine_changes_no_answer_of_a_long_scan() {
    let (cluster, mut observer) = cluster_with_reviews();
    add_long_table(&mut observer, SCANNED);
    let mut session = cluster.session();
    let query = "SELECT id, ecommerce_ml.predict_sentiment_score(body) FROM long_reviews ORDER BY id";
    assert_batched(&mut session, query);
    let _: f32 = ask(&mut session, "SELECT ecommerce_ml.predict_rating('warm')");
    thread::scope(|scope| {
        let scan = scope.spawn(|| session.query(query, &[]).expect("the scan ends well"));
        wait_until_busy(&mut observer);
        let killed = cluster.engine();
        signal(killed, libc::SIGKILL);
        let rows = scan.join().expect("the scan ends");
        assert_ne!(cluster.engine(), killed);
        assert_eq!(rows.len(), SCANNED);
        let expected = scores_row_by_row(&mut observer, 40);
        assert_eq!(expected.len(), SCANNED / 40);
        for (id, score) in expected {
            let row = &rows[usize::try_from(id).expect("ids are positive") - 1];
            assert!(row.get::<_, i32>(0) == id && (row.get::<_, f32>(1) - score).abs() < 1e-4, "{id}");
        }
    });
}

#[test]
fn a_cancel_ends_a_window_at_once() {
    let (cluster, mut observer) = cluster_with_reviews();
    add_long_table(&mut observer, 20_000);
    for query in [
        "SELECT id, ecommerce_ml.predict_rating(body) FROM long_reviews",
        "SELECT avg(ecommerce_ml.predict_sentiment_score(body)) FROM long_reviews",
        "DELETE FROM long_reviews WHERE ecommerce_ml.predict_sentiment(body) = 'positive'",
    ] {
        let mut session = cluster.session();
        assert_batched(&mut session, query);
        let pid: i32 = ask(&mut session, "SELECT pg_backend_pid()");
        thread::scope(|scope| {
            let long = scope.spawn(|| {
                fails_with(&mut session, query, "57014");
                Instant::now()
            });
            // The engine may still be busy with the statement before when there is nothing to cancel yet.
            eventually("the statement has begun", || {
                let begun = "SELECT coalesce(state = 'active', false) FROM pg_stat_activity WHERE pid = ";
                ask::<bool>(&mut observer, &format!("{begun}{pid}"))
            });
            wait_until_busy(&mut observer);
            let cancelled = Instant::now();
            assert!(ask::<bool>(&mut observer, &format!("SELECT pg_cancel_backend({pid})")));
            let taken = long.join().expect("the statement is cancelled") - cancelled;
            println!("cancelled after {taken:?}: {query}");
            assert!(taken < PROMPT, "cancelling took {taken:?}: {query}");
        });
        // The abandoned window isn't waited for, and its answers aren't taken for those of the next one.
        let next = Instant::now();
        assert_eq!(ask::<i32>(&mut session, "SELECT ecommerce_ml.token_count('one two three')"), 5);
        let sentiment = "SELECT string_agg(DISTINCT ecommerce_ml.predict_sentiment(body), ',') FROM reviews \
                         WHERE body LIKE 'Terrible%' AND id < 30";
        assert_eq!(ask::<String>(&mut session, sentiment), "negative");
        assert!(next.elapsed() < Duration::from_secs(5), "the next statement took {:?}", next.elapsed());
    }
}

#[test]
fn an_error_caught_amid_a_window_leaves_no_answer_behind() {
    let (_cluster, mut session) = cluster_with_reviews();
    for (number, failing) in [
        "SELECT count(1 / (id - 20)) FILTER (WHERE ecommerce_ml.predict_rating(body || ?) > 0) FROM reviews",
        "SELECT count(1 / (id - 20)) FROM reviews WHERE ecommerce_ml.predict_rating(body || ?) > 0",
        "SELECT 1 / (id - 20), ecommerce_ml.predict_rating(body || ?) FROM reviews",
        "SELECT ecommerce_ml.predict_rating(body || ?, CASE WHEN id = 20 THEN 'nosuchmodel' ELSE model END) FROM reviews",
    ]
    .iter()
    .enumerate()
    {
        let failing = failing.replace('?', &format!("' {number}'")).replacen("SELECT", "PERFORM", 1);
        run(
            &mut session,
            &format!(
                "DO $$ DECLARE wrong int; BEGIN BEGIN {failing}; RAISE 'no error'; \
                 EXCEPTION WHEN division_by_zero OR undefined_object THEN NULL; END; \
                 SELECT count(*) INTO wrong FROM reviews WHERE id < 60 AND ecommerce_ml.predict_sentiment(body) <> \
                 CASE id % 3 WHEN 0 THEN 'positive' WHEN 1 THEN 'negative' END; \
                 IF wrong > 0 OR ecommerce_ml.token_count('one two three') <> 5 THEN RAISE '% wrong', wrong; END IF; END $$"
            ),
        );
    }
}

#[test]
fn scans_in_turn_keep_their_answers_apart() {
    let (_cluster, mut session) = cluster_with_reviews();
    run(
        &mut session,
        "BEGIN; DECLARE one CURSOR FOR SELECT id, ecommerce_ml.token_count(repeat('word ', id)) FROM reviews; \
         DECLARE other CURSOR FOR SELECT id, ecommerce_ml.token_count(repeat('word ', id + 100)) FROM reviews",
    );
    let mut read = [0, 0];
    for (turn, count) in [3, 1, 7, 40, 2, 90, 30, 60, 100, 200].iter().enumerate() {
        let (cursor, more) = [("one", 0), ("other", 100)][turn % 2];
        for row in session.query(&format!("FETCH {count} FROM {cursor}"), &[]).expect("rows are there") {
            read[turn % 2] += 1;
            assert_eq!(
                (row.get::<_, i32>(0), row.get::<_, i32>(1)),
                (read[turn % 2], read[turn % 2] + more + 2)
            );
        }
        assert_eq!(ask::<i32>(&mut session, "SELECT ecommerce_ml.token_count('one two three')"), 5);
    }
    run(&mut session, "COMMIT");
}

/// A statement that meets a row which another session changes meanwhile, and what the row must be like in the end.
struct Race {
    statement: &'static str,
    check: &'static str,
}

/// Row 1 is terrible and becomes perfect.
const RACES: [Race; 6] = [
    Race {
        statement: "UPDATE reviews SET model = 'hit' WHERE ecommerce_ml.predict_sentiment(body) = 'negative' AND id <= 40",
        check: "SELECT model = 'reviews' FROM reviews WHERE id = 1",
    },
    Race {
        statement: "UPDATE reviews SET model = 'hit' WHERE ecommerce_ml.predict_sentiment(body) = 'negative' AND id <= 40 \
                    AND lang <> 'xx'",
        check: "SELECT model = 'hit' FROM reviews WHERE id = 4",
    },
    Race {
        statement: "UPDATE reviews SET sentiment = ecommerce_ml.predict_sentiment(body) WHERE id <= 20",
        check: "SELECT sentiment = 'positive' FROM reviews WHERE id = 1",
    },
    Race {
        statement: "DELETE FROM reviews WHERE ecommerce_ml.predict_sentiment(body) = 'negative' AND id <= 40",
        check: "SELECT count(*) = 1 FROM reviews WHERE id IN (1, 4)",
    },
    Race {
        statement: "UPDATE reviews AS r SET sentiment = v.s || ecommerce_ml.predict_class(body) \
                    FROM (VALUES ('negative'), ('positive')) AS v (s) \
                    WHERE v.s = ecommerce_ml.predict_sentiment(r.body) AND r.id <= 20",
        check: "SELECT sentiment IS NULL OR sentiment LIKE 'positive%' FROM reviews WHERE id = 1",
    },
    Race {
        statement: "WITH found AS (SELECT id FROM reviews WHERE ecommerce_ml.predict_sentiment(body) = 'negative' AND id <= 40 \
                    ORDER BY id FOR UPDATE) UPDATE reviews AS r SET model = 'hit' FROM found WHERE found.id = r.id",
        check: "SELECT model = 'reviews' FROM reviews WHERE id = 1",
    },
];

/// What the table holds after a race, as one text.
fn outcome(cluster: &Cluster, session: &mut Client, race: &Race, on: bool) -> String {
    let mut other = cluster.session();
    set_batches(session, on);
    run(session, "CREATE TABLE before AS TABLE reviews");
    // Locking rows ahead would lock too many.
    if on && !race.statement.contains("FOR UPDATE") {
        assert_batched(session, race.statement);
    }
    run(&mut other, "BEGIN; UPDATE reviews SET body = 'Perfect, I love it' WHERE id = 1");
    let pid: i32 = ask(session, "SELECT pg_backend_pid()");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| run(session, race.statement));
        let mut observer = cluster.session();
        eventually("the statement waits for the row", || {
            let query = format!("SELECT cardinality(pg_blocking_pids({pid})) > 0");
            ask::<bool>(&mut observer, &query)
        });
        run(&mut other, "COMMIT");
        waiting.join().expect("the statement succeeds");
    });
    assert!(ask::<bool>(session, race.check), "batches {on}: {}", race.statement);
    let all = ask(session, "SELECT string_agg(reviews::text, E'\\n' ORDER BY id) FROM reviews");
    run(session, "TRUNCATE reviews; INSERT INTO reviews SELECT * FROM before; DROP TABLE before");
    all
}

#[test]
fn rows_changed_meanwhile_are_judged_anew() {
    let (cluster, mut session) = cluster_with_reviews();
    for race in &RACES {
        let without = outcome(&cluster, &mut session, race, false);
        let with = outcome(&cluster, &mut session, race, true);
        assert_eq!(with, without, "{}", race.statement);
    }
}

#[test]
fn windows_stay_within_work_mem() {
    let (_cluster, mut session) = cluster_with_reviews();
    run(
        &mut session,
        "CREATE TABLE wide AS SELECT i AS id, i || repeat(' a word of a long text', 4500) AS body FROM generate_series(1, 300) AS i; \
         ANALYZE wide; SET work_mem = '1MB'",
    );
    let pid: i32 = ask(&mut session, "SELECT pg_backend_pid()");
    let query = "SELECT sum(ecommerce_ml.token_count(body)) FROM wide";
    assert_batched(&mut session, query);
    let _: i64 = ask(&mut session, &format!("{query} WHERE id <= 5"));
    let before = private_bytes(pid);
    let done = AtomicBool::new(false);
    let peak = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(private_bytes(pid));
                thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let tokens: i64 = ask(&mut session, query);
        done.store(true, Ordering::Relaxed);
        assert!(tokens > 300 * 4500, "{tokens}");
        watcher.join().expect("the watcher ends")
    });
    let growth = peak.saturating_sub(before);
    println!("{} kB more than before, for 30 MB of texts", growth / 1024);
    assert!(growth < 12 << 20, "{growth} bytes for windows of 1 MB");
}
