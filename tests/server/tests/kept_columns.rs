//! Kept columns hold what a plain SELECT says, whatever happens to their tables, models and processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ecommerce_ml_server_tests::batches::Asked;
use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, edit_config, import, import_reference, place_model};
use ecommerce_ml_server_tests::jobs::succeed;
use ecommerce_ml_server_tests::processes::{signal, workers_of};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, Shutdown, ask, eventually, fails_with};
use postgres::Client;
use serde_json::json;

const WORDS: &str = "SET search_path = public, ecommerce_ml;
    CREATE FUNCTION review(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT (ARRAY['Perfect, I love it, number ', 'Terrible, it broke at once, number ', 'It is a box, number '])[1 + i % 3] || i
    $$";

const KIND: &str = "ecommerce_ml.predict_class(body, 'shop')";

/// A cluster with model `shop`, whose version 2 has other labels; version 1 is live.
fn cluster_with_shop(settings: &[&str]) -> (Cluster, Client) {
    // Other tests keep the processors busy, and the worker would give way.
    let settings = [settings, &["ecommerce_ml.refresh_min_share = 100"]].concat();
    let cluster = Cluster::with_settings(&settings);
    let mut session = cluster.session();
    run(&mut session, WORDS);
    assert_eq!(import_reference(&cluster, &mut session, "shop", CLASSIFIER), 1);
    let folder = place_model(&cluster, CLASSIFIER, "relabelled");
    let labels = json!({"0": "x", "1": "y", "2": "z"});
    edit_config(&folder, &[("id2label", labels), ("label2id", json!({"x": 0, "y": 1, "z": 2}))]);
    assert_eq!(import(&mut session, "shop", &folder), 2);
    assert_eq!(live(&mut session), 1);
    (cluster, session)
}

fn live(session: &mut Client) -> i32 {
    ask(session, "SELECT live_version FROM ecommerce_ml.models WHERE name = 'shop'")
}

fn workers(cluster: &Cluster) -> Vec<i32> {
    workers_of(cluster.postmaster(), "ecommerce_ml kept columns")
}

fn refresh(session: &mut Client, table: &str, column: &str) {
    run(session, &format!("SELECT ecommerce_ml.refresh_column('{table}', '{column}')"));
}

/// How many rows of a table have another value than the expression, or other versions than these.
fn wrong(session: &mut Client, table: &str, column: &str, expression: &str, versions: &str) -> i64 {
    let query = format!(
        "SELECT count(*) FROM {table} AS t WHERE {column} IS DISTINCT FROM {expression}
         OR {column}_model IS DISTINCT FROM '{versions}'"
    );
    ask(session, &query)
}

/// Waits until all is fresh, and compares.
fn settle(session: &mut Client, table: &str, column: &str, expression: &str, versions: &str) {
    refresh(session, table, column);
    assert_eq!(wrong(session, table, column, expression, versions), 0, "{table}.{column}");
}

fn count(session: &mut Client, condition: &str) -> i64 {
    ask(session, &format!("SELECT count(*) FROM reviews WHERE {condition}"))
}

#[test]
fn a_kept_column_says_what_a_select_says() {
    let (cluster, mut session) = cluster_with_shop(&["autovacuum = off"]);
    let session = &mut session;
    rows_that_are_written(&cluster, session);
    only_what_is_read_makes_stale(session);
    deployments(session);
    other_expressions(session);
    immediate_columns(&cluster, session);
    partitions(session);
    privileges(&cluster, session);
    what_is_refused(session);
    changes_of_tables(session);
    a_wait_in_a_circle(&cluster, session);
    policies(&cluster, session);
    no_worker_slot(&cluster, session);
}

fn rows_that_are_written(cluster: &Cluster, session: &mut Client) {
    // Without a primary key.
    run(session, "CREATE TABLE reviews (id int, body text, shelf int)");
    run(session, "INSERT INTO reviews SELECT i, review(i), 1 FROM generate_series(1, 2000) AS i");
    let asked = Asked::by(session, |session| {
        run(session, "SELECT keep_column('reviews', 'stars', 'predict_rating(body)')");
        settle(session, "reviews", "stars", "predict_rating(body)", "reviews@1");
    });
    assert!(asked.requests * 8 < asked.texts, "rows are scored in batches: {asked:?}");
    eventually("the worker ends when it has nothing to do", || workers(cluster).is_empty());
    run(session, "SELECT keep_column('reviews', 'kind', $$predict_class(body, 'shop')$$)");
    settle(session, "reviews", "kind", KIND, "shop@1");
    let stats: String = ask(
        session,
        "SELECT string_agg(concat_ws('|', relation, column_name, expression, refresh, model, rows, fresh, stale, last_error), ';'
                           ORDER BY column_name) FROM kept_columns",
    );
    assert_eq!(
        stats,
        "reviews|kind|predict_class(body, 'shop')|background|shop@1|2000|2000|0;\
         reviews|stars|predict_rating(body)|background|reviews@1|2000|2000|0"
    );
    // Nobody asks for it: the worker comes by itself.
    run(
        session,
        "INSERT INTO reviews (id, body, shelf) SELECT i, review(i), 2 FROM generate_series(2001, 2050) AS i",
    );
    eventually("what is inserted is scored", || {
        count(session, "kind_model IS NULL OR stars_model IS NULL") == 0
    });
    // What a statement gives for the columns isn't taken.
    run(
        session,
        "INSERT INTO reviews (id, body, kind, kind_model) VALUES (2051, 'great', 'invented', 'shop@1');
         UPDATE reviews SET kind = 'invented' WHERE id < 20; UPDATE reviews SET kind_model = 'shop@1', body = 'bad' WHERE id = 20;
         DELETE FROM reviews WHERE id = 21; UPDATE reviews SET body = NULL WHERE id = 22; UPDATE reviews SET body = ' ' WHERE id = 23",
    );
    assert_eq!(count(session, "kind = 'invented'"), 0);
    settle(session, "reviews", "kind", KIND, "shop@1");
    settle(session, "reviews", "stars", "predict_rating(body)", "reviews@1");
    // COPY, ON CONFLICT, TRUNCATE, transactions that are rolled back.
    let copied = cluster.folder("transfer").join("rows");
    run(
        session,
        &format!(
            "COPY reviews TO '{0}'; TRUNCATE reviews; CREATE UNIQUE INDEX ON reviews (id); COPY reviews FROM '{0}';
             INSERT INTO reviews VALUES (1, 'awful'), (3000, 'lovely')
                 ON CONFLICT (id) DO UPDATE SET body = excluded.body, kind = excluded.kind;
             INSERT INTO reviews VALUES (2, 'awful') ON CONFLICT DO NOTHING",
            copied.display()
        ),
    );
    run(session, "BEGIN; UPDATE reviews SET body = 'never'; ROLLBACK");
    run(session, "BEGIN; SAVEPOINT s; UPDATE reviews SET body = 'never' WHERE id = 5; ROLLBACK TO s; COMMIT");
    assert_eq!(ask::<String>(session, "SELECT body FROM reviews WHERE id = 1"), "awful");
    settle(session, "reviews", "kind", KIND, "shop@1");
    // As a subscription writes: an answer that comes with its versions is taken, others are found.
    run(
        session,
        "SET session_replication_role = replica;
         INSERT INTO reviews (id, body, kind, kind_model) VALUES (5001, 'applied', 'theirs', 'shop@1'), (5002, 'applied too', NULL, NULL);
         UPDATE reviews SET kind = 'theirs', kind_model = 'shop@1', body = 'changed' WHERE id = 5002;
         UPDATE reviews SET body = 'changed' WHERE id = 31; RESET session_replication_role",
    );
    refresh(session, "reviews", "kind");
    assert_eq!(count(session, "kind = 'theirs'"), 2);
    run(session, "UPDATE reviews SET kind_model = NULL WHERE kind = 'theirs'");
    settle(session, "reviews", "kind", KIND, "shop@1");
    // In the same transaction nobody else can see the rows.
    run(session, "BEGIN; UPDATE reviews SET body = 'better ' || id WHERE id < 100");
    settle(session, "reviews", "kind", KIND, "shop@1");
    run(session, "COMMIT");
}

fn only_what_is_read_makes_stale(session: &mut Client) {
    settle(session, "reviews", "stars", "predict_rating(body)", "reviews@1");
    run(session, "BEGIN; UPDATE reviews SET shelf = shelf + 1, body = body || ''");
    assert_eq!(count(session, "kind_model IS NULL OR stars_model IS NULL"), 0);
    run(session, "UPDATE reviews SET body = 'new' WHERE id = 7");
    assert_eq!(
        count(session, "kind_model IS NULL AND kind IS NULL AND stars IS NULL AND stars_model IS NULL"),
        1
    );
    run(session, "ROLLBACK");
    // An index on a kept column is the point of it.
    run(session, "CREATE INDEX ON reviews (stars); ANALYZE reviews");
    let plan = session.query("EXPLAIN SELECT * FROM reviews WHERE stars < 1.01", &[]).expect("a plan");
    let plan: String = plan.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
    assert!(plan.contains("reviews_stars_idx"), "{plan}");
    run(session, "DROP INDEX reviews_stars_idx");
}

fn deployments(session: &mut Client) {
    run(session, "SELECT deploy_model('shop', 2)");
    eventually("a deployment scores again", || count(session, "kind_model IS DISTINCT FROM 'shop@2'") == 0);
    settle(session, "reviews", "kind", KIND, "shop@2");
    assert_eq!(count(session, "kind IN ('x', 'y', 'z')"), count(session, "kind IS NOT NULL"));
    run(session, "BEGIN; SELECT rollback_model('shop')");
    // The transaction sees what it has done.
    settle(session, "reviews", "kind", KIND, "shop@1");
    run(session, "ROLLBACK");
    assert_eq!(wrong(session, "reviews", "kind", KIND, "shop@2"), 0);
    run(session, "SELECT rollback_model('shop')");
    settle(session, "reviews", "kind", KIND, "shop@1");
}

fn other_expressions(session: &mut Client) {
    run(
        session,
        "SELECT keep_column('reviews', 'kind', $$upper(predict_class(body, 'shop@2')) || '!' -- so$$)",
    );
    settle(session, "reviews", "kind", "upper(predict_class(body, 'shop@2')) || '!'", "shop@2");
    run(
        session,
        "SELECT keep_column('reviews', 'kind', $$predict_class(body, 'shop')$$, options => '{\"batch_rows\": 7}')",
    );
    settle(session, "reviews", "kind", KIND, "shop@1");
    // Arrays, whole rows, several models, the default one as it was meant.
    run(
        session,
        "CREATE TABLE wide (id int PRIMARY KEY, body text, \"Other Text\" text, twice int GENERATED ALWAYS AS (id * 2) STORED);
         INSERT INTO wide SELECT i, review(i), review(i + 1) FROM generate_series(1, 60) AS i; INSERT INTO wide VALUES (61, ' ', NULL);
         SET ecommerce_ml.default_model = 'shop';
         SELECT keep_column('wide', 'vector', 'embed(wide.\"Other Text\")');
         SELECT keep_column('wide', 'duet', $$concat(predict_class(\"Other Text\"), ' ', predict_sentiment(body, 'reviews'))$$);
         RESET ecommerce_ml.default_model",
    );
    settle(session, "wide", "vector", "embed(\"Other Text\", 'shop')", "shop@1");
    let both = "concat(predict_class(\"Other Text\", 'shop'), ' ', predict_sentiment(body, 'reviews'))";
    settle(session, "wide", "duet", both, "reviews@1, shop@1");
    run(
        session,
        "ALTER TABLE wide RENAME TO \"Wider\"; CREATE SCHEMA aside; ALTER TABLE \"Wider\" SET SCHEMA aside",
    );
    run(session, "UPDATE aside.\"Wider\" SET body = 'moved', \"Other Text\" = 'moved too' WHERE id = 9");
    settle(session, "aside.\"Wider\"", "duet", both, "reviews@1, shop@1");
}

fn immediate_columns(cluster: &Cluster, session: &mut Client) {
    run(
        session,
        "CREATE ROLE clerk LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
         CREATE TABLE quick (id int PRIMARY KEY, body text, note text); INSERT INTO quick VALUES (1, 'fine'), (2, NULL);
         SELECT keep_column('quick', 'kind', $$predict_class(body, 'shop')$$, 'immediate');
         GRANT SELECT, INSERT, UPDATE ON quick TO clerk",
    );
    settle(session, "quick", "kind", KIND, "shop@1");
    // Who may write rows needs no right to the model.
    let mut clerk = cluster.session_as("clerk", "postgres");
    fails_with(&mut clerk, "SELECT ecommerce_ml.predict_class('x', 'shop')", "42501");
    run(
        &mut clerk,
        "BEGIN; INSERT INTO quick VALUES (3, 'awful thing'); UPDATE quick SET body = 'lovely' WHERE id = 1",
    );
    assert_eq!(ask::<i64>(&mut clerk, "SELECT count(*) FROM quick WHERE kind_model = 'shop@1'"), 3);
    run(&mut clerk, "COMMIT");
    assert_eq!(wrong(session, "quick", "kind", KIND, "shop@1"), 0);
    run(session, "SELECT deploy_model('shop', 2)");
    settle(session, "quick", "kind", KIND, "shop@2");
    run(session, "SELECT rollback_model('shop'); SELECT forget_column('quick', 'kind')");
    run(session, "INSERT INTO quick VALUES (4, 'forgotten')");
    assert_eq!(
        ask::<i64>(session, "SELECT count(*) FROM quick WHERE kind_model = 'shop@2'"),
        3,
        "values stay"
    );
    run(session, "SELECT keep_column('quick', 'kind', $$predict_class(body, 'shop')$$)");
    settle(session, "quick", "kind", KIND, "shop@1");
}

fn partitions(session: &mut Client) {
    run(
        session,
        "CREATE TABLE parts (id int, body text) PARTITION BY RANGE (id);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
         INSERT INTO parts SELECT i, review(i) FROM generate_series(1, 90) AS i;
         SELECT keep_column('parts', 'kind', $$predict_class(parts.body, 'shop')$$);
         CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (200);
         CREATE TABLE late (filler int, body text, id int); ALTER TABLE late DROP COLUMN filler;
         ALTER TABLE late ADD kind text, ADD kind_model text;
         INSERT INTO late SELECT review(i), i, 'invented', NULL FROM generate_series(200, 220) AS i;
         ALTER TABLE parts ATTACH PARTITION late FOR VALUES FROM (200) TO (300);
         INSERT INTO parts SELECT i, review(i) FROM generate_series(100, 150) AS i",
    );
    settle(session, "parts", "kind", KIND, "shop@1");
    run(
        session,
        "UPDATE parts SET id = id + 100 WHERE id BETWEEN 50 AND 60; ALTER TABLE parts DETACH PARTITION parts_1",
    );
    settle(session, "parts", "kind", KIND, "shop@1");
    let rows: String = ask(
        session,
        "SELECT concat_ws(' ', rows, fresh) FROM kept_columns WHERE relation = 'parts'::regclass",
    );
    assert_eq!(rows, "83 83");
    run(session, "SELECT forget_column('parts', 'kind'); DROP TABLE parts, parts_1");
}

fn privileges(cluster: &Cluster, session: &mut Client) {
    run(
        session,
        "CREATE ROLE other LOGIN; GRANT SELECT, TRIGGER ON reviews TO other; GRANT CREATE ON SCHEMA public TO other",
    );
    let mut other = cluster.session_as("other", "postgres");
    for call in [
        "keep_column('reviews', 'mine', 'ecommerce_ml.predict_rating(body)')",
        "refresh_column('reviews', 'kind')",
        "forget_column('reviews', 'kind')",
    ] {
        fails_with(&mut other, &format!("SELECT ecommerce_ml.{call}"), "42501");
    }
    // An owner keeps columns with models that it may use, and nobody else's expression is evaluated as the owner.
    run(&mut other, "CREATE TABLE own (body text); INSERT INTO own VALUES ('fine')");
    fails_with(
        &mut other,
        "SELECT ecommerce_ml.keep_column('own', 'kind', $$ecommerce_ml.predict_class(body, 'shop')$$)",
        "42501",
    );
    run(session, "SELECT grant_model('shop', 'other')");
    run(
        &mut other,
        "SELECT ecommerce_ml.keep_column('own', 'kind', $$ecommerce_ml.predict_class(body, 'shop')$$)",
    );
    settle(&mut other, "own", "kind", KIND, "shop@1");
    assert_eq!(ask::<i64>(&mut other, "SELECT count(*) FROM ecommerce_ml.kept_columns"), 1);
    let trigger = "CREATE TRIGGER mine BEFORE INSERT ON reviews FOR EACH ROW EXECUTE FUNCTION ecommerce_ml.write_kept_row('kind', 'background', '{}')";
    fails_with(&mut other, trigger, "42501");
    // What is taken away counts at once, and is said.
    run(session, "SELECT revoke_model('shop', 'other')");
    run(&mut other, "INSERT INTO own VALUES ('later')");
    fails_with(&mut other, "SELECT ecommerce_ml.refresh_column('own', 'kind')", "42501");
    eventually("the view says why", || {
        let error: Option<String> = ask(&mut other, "SELECT last_error FROM ecommerce_ml.kept_columns");
        error.is_some_and(|error| error.contains("permission denied for model"))
    });
    run(session, "SELECT grant_model('shop', 'other')");
    settle(&mut other, "own", "kind", KIND, "shop@1");
    // The work is done as the owner of the table, whose code can't do what the superuser may.
    run(
        &mut other,
        "CREATE TABLE seen (who text, session text);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO seen VALUES (current_user, session_user); RETURN NEW; END $$;
         CREATE TRIGGER see BEFORE UPDATE ON own FOR EACH ROW EXECUTE FUNCTION see();
         INSERT INTO own VALUES ('watched')",
    );
    settle(&mut other, "own", "kind", KIND, "shop@1");
    assert_eq!(ask::<String>(&mut other, "SELECT string_agg(DISTINCT who, ' ') FROM seen"), "other");
}

fn what_is_refused(session: &mut Client) {
    run(
        session,
        "CREATE TEMP TABLE passing (body text); CREATE VIEW seen_reviews AS SELECT * FROM reviews;
         CREATE TABLE generated (body text, loud text GENERATED ALWAYS AS (upper(body)) STORED, n int, n_model int);
         CREATE FUNCTION hidden(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT ecommerce_ml.predict_class($1, ''shop'')'",
    );
    for (relation, column, expression, sqlstate) in [
        ("reviews", "new", "predict_rating(nosuch)", "42703"),
        ("reviews", "new", "upper(body)", "22023"),
        ("reviews", "new", "predict_rating(body), 2", "22023"),
        ("reviews", "new", "predict_rating(body)) , (2", "22023"),
        ("reviews", "new", "predict_rating(body) FROM reviews) AS x, (SELECT 1", "42601"),
        ("reviews", "new", "(SELECT predict_rating(body))", "22023"),
        ("reviews", "new", "avg(predict_rating(body))", "22023"),
        ("reviews", "new", "unnest(tokenize(body))", "22023"),
        ("reviews", "new", "predict_rating(body) + random()", "22023"),
        ("reviews", "new", "predict_rating(body) + stars", "22023"),
        ("reviews", "new", "predict_class(body, body)", "22023"),
        ("reviews", "new", "predict_class(body, NULL)", "22023"),
        ("reviews", "new", "predict_class(body, 'nosuch')", "42704"),
        ("reviews", "new", "predict_class(body, 'shop') || ctid::text", "22023"),
        ("reviews", "new", "predict_class(body, 'shop') || hidden(body)", "22023"),
        ("reviews", "id", "predict_class(body, 'shop')", "42804"),
        ("reviews", "body", "predict_class(body, 'shop')", "22023"),
        ("generated", "new", "predict_class(loud, 'shop')", "22023"),
        ("generated", "n", "token_count(body)", "42701"),
        ("passing", "new", "predict_rating(body)", "42809"),
        ("seen_reviews", "new", "predict_rating(body)", "42809"),
    ] {
        let call = format!("SELECT keep_column('{relation}', '{column}', $${expression}$$)");
        fails_with(session, &call, sqlstate);
    }
    let long = "x".repeat(60);
    for (call, sqlstate) in [
        (&*format!("keep_column('reviews', '{long}', 'predict_rating(body)')"), "42622"),
        ("keep_column('reviews', 'new', 'predict_rating(body)', 'soon')", "22023"),
        ("keep_column('reviews', 'new', 'predict_rating(body)', options => '{\"speed\": 1}')", "22023"),
        ("keep_column('reviews', 'new', NULL)", "22004"),
        ("refresh_column('reviews', 'body')", "42704"),
        ("forget_column('reviews', 'nosuch')", "42704"),
    ] {
        fails_with(session, &format!("SELECT {call}"), sqlstate);
    }
    fails_with(session, "UPDATE reviews SET body = 'x' WHERE write_kept_row() IS NULL", "39P01");
    for (setting, value) in [("refresh_min_share", 0), ("refresh_min_share", 101), ("refresh_share", 101)] {
        fails_with(session, &format!("ALTER SYSTEM SET ecommerce_ml.{setting} = {value}"), "22023");
    }
}

fn changes_of_tables(session: &mut Client) {
    run(
        session,
        "CREATE TABLE moved (id int PRIMARY KEY, body text); INSERT INTO moved SELECT i, review(i) FROM generate_series(1, 30) AS i;
         SELECT keep_column('moved', 'kind', $$predict_class(body, 'shop')$$); SELECT keep_column('moved', 'stars', 'predict_rating(body)')",
    );
    settle(session, "moved", "kind", KIND, "shop@1");
    // A column that the expression reads is gone under its name: writes go on, and the view says what is wrong.
    run(session, "ALTER TABLE moved RENAME body TO words; UPDATE moved SET words = 'renamed' WHERE id = 1");
    assert_eq!(ask::<i64>(session, "SELECT count(*) FROM moved WHERE kind_model IS NULL"), 1);
    eventually("the view says why", || {
        let error: Option<String> = ask(
            session,
            "SELECT last_error FROM kept_columns WHERE relation = 'moved'::regclass AND column_name = 'kind'",
        );
        error.is_some_and(|error| error.contains("body"))
    });
    run(session, "SELECT keep_column('moved', 'kind', $$predict_class(words, 'shop')$$)");
    settle(session, "moved", "kind", "predict_class(words, 'shop')", "shop@1");
    // The worker reports a pass after it has committed it.
    eventually("the error is forgotten", || {
        let query = "SELECT last_error IS NULL FROM kept_columns WHERE relation = 'moved'::regclass AND column_name = 'kind'";
        ask(session, query)
    });
    // A kept column that is dropped or renamed is kept no longer.
    run(session, "ALTER TABLE moved DROP COLUMN stars; INSERT INTO moved VALUES (31, 'more')");
    run(session, "ALTER TABLE moved RENAME kind TO sort; INSERT INTO moved VALUES (32, 'more')");
    assert_eq!(
        ask::<i64>(session, "SELECT count(*) FROM kept_columns WHERE relation = 'moved'::regclass"),
        0
    );
    run(
        session,
        "SELECT forget_column('moved', 'stars'); SELECT forget_column('moved', 'kind'); DROP TABLE moved",
    );
    settle(session, "reviews", "kind", KIND, "shop@1");
}

/// One waits for the worker, that for a command, and that for the one who waits.
fn a_wait_in_a_circle(cluster: &Cluster, session: &mut Client) {
    let share = |session: &mut Client, value: &str| {
        run(session, &format!("ALTER SYSTEM SET ecommerce_ml.refresh_share = {value}"));
        run(session, "SELECT pg_reload_conf()");
        eventually("the setting is there", || {
            ask::<String>(session, "SHOW ecommerce_ml.refresh_share") == value
        });
    };
    share(session, "0");
    run(session, "UPDATE reviews SET body = 'changed once more' WHERE id = 5");
    let mut locker = cluster.session();
    run(&mut locker, "BEGIN; SELECT FROM reviews WHERE id = 5 FOR UPDATE");
    share(session, "100");
    run(session, "BEGIN; SELECT count(*) FROM reviews");
    thread::scope(|scope| {
        let command = scope.spawn(|| run(&mut cluster.session(), "ALTER TABLE reviews ADD COLUMN more int"));
        let mut observer = cluster.session();
        eventually("the command waits", || {
            let waits =
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')";
            ask(&mut observer, waits)
        });
        let said = fails_with(session, "SELECT refresh_column('reviews', 'kind')", "55000");
        assert!(
            said.detail().is_some_and(|detail| detail.contains("waits for this transaction")),
            "{said:?}"
        );
        run(session, "ROLLBACK");
        run(&mut locker, "ROLLBACK");
        command.join().expect("the command");
    });
    settle(session, "reviews", "kind", KIND, "shop@1");
}

fn policies(cluster: &Cluster, session: &mut Client) {
    run(
        session,
        "CREATE ROLE tenant LOGIN; SELECT grant_model('shop', 'tenant'); GRANT CREATE ON SCHEMA public TO tenant",
    );
    let mut tenant = cluster.session_as("tenant", "postgres");
    run(
        &mut tenant,
        "SET app.secret = 'hush'; CREATE TABLE letters (tenant int, body text);
         INSERT INTO letters SELECT 1 + i % 2, 'letter ' || i FROM generate_series(1, 40) AS i;
         ALTER TABLE letters ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY own ON letters USING (tenant = 1 AND current_user = 'tenant');
         SELECT ecommerce_ml.keep_column('letters', 'kind', $$ecommerce_ml.predict_class(body, 'shop')$$)",
    );
    settle(&mut tenant, "letters", "kind", KIND, "shop@1");
    let scored: String = ask(
        session,
        "SELECT string_agg(DISTINCT tenant::text, ',') FROM letters WHERE kind_model IS NOT NULL",
    );
    assert_eq!(scored, "1", "policies hold for the owner");
    let told: bool = ask(session, "SELECT bool_or(encode(tgargs, 'escape') LIKE '%hush%') FROM pg_trigger");
    assert!(!told, "everyone may read triggers");
}

fn no_worker_slot(cluster: &Cluster, session: &mut Client) {
    cluster.configure(&["max_worker_processes = 0", "max_parallel_workers_per_gather = 0"]);
    cluster.restart();
    let mut again = cluster.session();
    run(
        &mut again,
        "SET search_path = public, ecommerce_ml; INSERT INTO reviews (id, body) VALUES (9000, 'no slot')",
    );
    // There is no engine either; that is said.
    let said = fails_with(&mut again, "SELECT refresh_column('reviews', 'kind')", "53400");
    assert!(said.message().contains("worker slot"), "{said}");
    cluster.configure(&["max_worker_processes = 8"]);
    cluster.restart();
    *session = cluster.session();
    run(session, "SET search_path = public, ecommerce_ml");
    settle(session, "reviews", "kind", KIND, "shop@1");
}

#[test]
fn nothing_is_lost_with_a_process() {
    let (cluster, mut session) = cluster_with_shop(&["shared_preload_libraries = 'ecommerce_ml'"]);
    let session = &mut session;
    run(
        session,
        "CREATE TABLE reviews (id int PRIMARY KEY, body text);
         INSERT INTO reviews SELECT i, review(i) FROM generate_series(1, 20000) AS i;
         SELECT keep_column('reviews', 'kind', $$predict_class(body, 'shop')$$)",
    );
    let some = |session: &mut Client| {
        eventually("some rows are scored", || {
            let scored = count(session, "kind_model IS NOT NULL");
            assert!(scored < 20000, "the test is too slow for what it looks at");
            scored > 0
        });
    };
    some(session);
    signal(cluster.engine(), libc::SIGKILL);
    some(session);
    // The server starts again, and its worker with it, with nobody asking.
    workers(&cluster).into_iter().for_each(|worker| signal(worker, libc::SIGKILL));
    let ready = "database system is ready to accept connections";
    eventually("the server is there again", || cluster.log().matches(ready).count() == 2);
    *session = cluster.session();
    run(session, "SET search_path = public, ecommerce_ml");
    eventually("a worker is there again", || !workers(&cluster).is_empty());
    some(session);
    cluster.stop(Shutdown::Immediate);
    cluster.start();
    *session = cluster.session();
    run(session, "SET search_path = public, ecommerce_ml");
    eventually("the launcher sees to it that there is a worker", || !workers(&cluster).is_empty());
    // Writers and readers at the same time, and a deployment.
    run(session, "SELECT keep_column('reviews', 'vector', $$embed(body, 'shop')$$)");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..3 {
            let (cluster, stop) = (&cluster, &stop);
            scope.spawn(move || {
                let mut writer = cluster.session();
                let mut id = number;
                while !stop.load(Ordering::Relaxed) {
                    id = (id + 37) % 20000;
                    run(&mut writer, &format!("UPDATE reviews SET body = body || '.' WHERE id = {id}"));
                }
            });
        }
        let _ended = Ended(&stop);
        run(session, "SELECT deploy_model('shop', 2)");
        eventually("the deployment has come far", || count(session, "kind_model = 'shop@2'") > 5000);
    });
    settle(session, "reviews", "kind", KIND, "shop@2");
    settle(session, "reviews", "vector", "embed(body, 'shop')", "shop@2");
    a_dump_has_kept_columns(&cluster, session);
}

/// Tells others to end, whatever happens.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn a_dump_has_kept_columns(cluster: &Cluster, session: &mut Client) {
    let file = cluster.folder("transfer").join("kept.dump").display().to_string();
    run(session, "DELETE FROM reviews WHERE id > 300");
    cluster.output("pg_dump", &["-Fc", "-f", &file]);
    run(session, "CREATE DATABASE restored");
    cluster.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);
    let mut restored = cluster.session_in("restored");
    run(&mut restored, "SET search_path = public, ecommerce_ml");
    // What was fresh is fresh, without being scored again.
    assert_eq!(wrong(&mut restored, "reviews", "kind", KIND, "shop@2"), 0);
    let same = "SELECT string_agg(concat_ws('|', relation, column_name, expression, refresh, model, rows, fresh), ';'
                                  ORDER BY column_name) FROM ecommerce_ml.kept_columns";
    assert_eq!(ask::<String>(&mut restored, same), ask::<String>(session, same));
    run(
        &mut restored,
        "INSERT INTO reviews VALUES (301, 'new here'); UPDATE reviews SET body = 'other' WHERE id = 5",
    );
    settle(&mut restored, "reviews", "kind", KIND, "shop@2");
    run(
        &mut restored,
        "SELECT forget_column('reviews', 'kind'), forget_column('reviews', 'vector'); DROP EXTENSION ecommerce_ml CASCADE",
    );
}

const ORDERS: &str = "
    CREATE TABLE orders (id int PRIMARY KEY, amount numeric, method text, note text);
    CREATE FUNCTION add_orders(first int, last int) RETURNS void LANGUAGE sql AS $$
        INSERT INTO orders SELECT i, 20 + i * 37 % 80, (ARRAY['card', 'card', 'transfer'])[1 + i % 3]
        FROM generate_series(first, last) AS i
    $$;
    SELECT add_orders(1, 600)";

const ODD: &str = "train_model('odd', 'orders', task => 'anomaly', feature_columns => '{amount,method}')";

/// The rows of alerts, in order of their ids.
fn alerted(session: &mut Client, relation: &str) -> Vec<String> {
    let query = format!(
        "SELECT coalesce(array_agg(detail -> 'row' ->> 'id' ORDER BY (detail -> 'row' ->> 'id')::int), '{{}}')
         FROM ecommerce_ml.alerts WHERE relation_name = '{relation}'"
    );
    ask(session, &query)
}

#[test]
fn rows_that_are_watched_become_alerts() {
    let (cluster, mut session) = cluster_with_shop(&["autovacuum = off"]);
    let superuser = &mut session;
    run(
        superuser,
        "CREATE ROLE shopkeeper LOGIN; CREATE ROLE clerk LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats;
         GRANT CREATE ON SCHEMA public TO shopkeeper; SELECT grant_model('shop', 'shopkeeper')",
    );
    let mut shopkeeper = cluster.session_as("shopkeeper", "postgres");
    let owner = &mut shopkeeper;
    run(owner, "SET search_path = public, ecommerce_ml");
    run(owner, ORDERS);
    let job = ask(owner, &format!("SELECT {ODD}"));
    succeed(owner, job);
    rows_in_the_background(&cluster, owner);
    the_highest_scores_of_a_day(owner);
    only_the_owner_sees(&cluster, superuser, owner);
    what_cannot_be_watched(&cluster, owner);
    rows_while_they_are_written(&cluster, owner);
    what_is_gone(&cluster, superuser, owner);
}

fn rows_in_the_background(cluster: &Cluster, owner: &mut Client) {
    use postgres::fallible_iterator::FallibleIterator;
    // Above all that was learned from.
    let usual: f64 = ask(owner, "SELECT max(predict_value(o, 'odd')) FROM orders AS o");
    let condition = format!("score > {usual} AND method <> 'gift'");
    run(owner, &format!("SELECT watch_rows('orders', 'odd', $${condition}$$, 3)"));
    let mut listener = cluster.session();
    run(&mut listener, "LISTEN ecommerce_ml_alerts");
    run(
        owner,
        "SELECT add_orders(601, 640); INSERT INTO orders VALUES (1001, 9800, 'wire'), (1002, 9900, 'gift'), (1003, NULL, NULL)",
    );
    run(owner, "BEGIN; INSERT INTO orders VALUES (1004, 9800, 'wire'); ROLLBACK");
    refresh(owner, "orders", "odd_score");
    assert!(alerted(owner, "public.orders").contains(&"1001".to_owned()));
    assert!(!alerted(owner, "public.orders").iter().any(|id| id == "1002" || id == "1004"));
    let same: bool = ask(
        owner,
        "SELECT bool_and(odd_score = predict_value(o, 'odd') AND odd_score_model = 'odd@1') FROM orders AS o WHERE id > 600",
    );
    assert!(same, "scores are what a SELECT says");
    let earlier =
        "SELECT count(*) FROM orders WHERE id <= 600 AND odd_score IS NULL AND odd_score_model = ''";
    assert_eq!(ask::<i64>(owner, earlier), 600, "rows that were there are not scored");
    let told: bool = ask(
        owner,
        "SELECT kind = 'row' AND name = 'odd' AND detail -> 'reason' -> 0 ->> 'column' IN ('amount', 'method')
                AND (detail -> 'reason' -> 0 ->> 'contribution')::float8 > 0 AND (detail ->> 'score')::float8 > 0.5
                AND message LIKE 'row {\"id\":1001} of public.orders scores 0.%: %'
         FROM alerts WHERE detail -> 'row' ->> 'id' = '1001'",
    );
    assert!(told);
    run(&mut listener, "SELECT 1");
    let heard: Vec<String> =
        listener.notifications().iter().map(|one| Ok(one.payload().to_owned())).collect().expect("payloads");
    assert!(heard.contains(&r#"{"alert":1,"kind":"row","name":"odd"}"#.to_owned()), "{heard:?}");
    let view: String = ask(
        owner,
        "SELECT concat_ws('|', relation, model, budget, refresh, score_column, waiting, alerts > 0, last_error) FROM watched_rows",
    );
    assert_eq!(view, "orders|odd|3|background|odd_score|0|t");
    assert_eq!(ask::<i64>(owner, "SELECT count(*) FROM kept_columns"), 0);
    // Other columns don't matter; those that the model reads do.
    let before = alerted(owner, "public.orders");
    run(
        owner,
        "UPDATE orders SET note = 'seen' WHERE id = 1001; UPDATE orders SET note = 'old' WHERE id = 1",
    );
    refresh(owner, "orders", "odd_score");
    assert_eq!(alerted(owner, "public.orders"), before);
    run(owner, "UPDATE orders SET amount = 9700, method = 'wire' WHERE id = 2");
    refresh(owner, "orders", "odd_score");
    assert!(alerted(owner, "public.orders").contains(&"2".to_owned()));
}

fn the_highest_scores_of_a_day(owner: &mut Client) {
    let file = "INSERT INTO orders SELECT i, (i - 1990) * 1000, 'wire' FROM generate_series(2000, 2012) AS i";
    run(owner, file);
    refresh(owner, "orders", "odd_score");
    let kept: bool = ask(
        owner,
        "SELECT count(*) = 3 AND min((detail ->> 'score')::float8)
                >= (SELECT min(odd_score) FROM (SELECT odd_score FROM orders WHERE odd_score IS NOT NULL AND method <> 'gift'
                                                ORDER BY odd_score DESC LIMIT 3) AS top)
         FROM alerts WHERE relation_name = 'public.orders'",
    );
    assert!(kept, "the three highest of the day");
    // A deployment scores nothing again.
    let job = ask(owner, &format!("SELECT {ODD}"));
    succeed(owner, job);
    run(owner, "INSERT INTO orders VALUES (2100, 30, 'card')");
    refresh(owner, "orders", "odd_score");
    let versions: String =
        ask(owner, "SELECT string_agg(DISTINCT odd_score_model, ' ' ORDER BY odd_score_model) FROM orders");
    assert_eq!(versions, " odd@1 odd@2");
    // Another condition and budget leave what has been scored.
    run(owner, "SELECT watch_rows('orders', 'odd', 'amount > 50 AND prediction.score > 0', 1000)");
    assert_eq!(ask::<i64>(owner, "SELECT count(*) FROM orders WHERE odd_score_model = 'odd@1'"), 57);
    run(owner, "INSERT INTO orders VALUES (2101, 30, 'card'), (2102, 60, 'card')");
    refresh(owner, "orders", "odd_score");
    let now = alerted(owner, "public.orders");
    assert!(now.contains(&"2102".to_owned()) && !now.contains(&"2101".to_owned()), "{now:?}");
}

fn only_the_owner_sees(cluster: &Cluster, superuser: &mut Client, owner: &mut Client) {
    run(owner, "GRANT SELECT, INSERT ON orders TO clerk");
    let mut clerk = cluster.session_as("clerk", "postgres");
    // Who writes rows needs no right to the model, and COPY is as good.
    run(&mut clerk, "INSERT INTO orders VALUES (2201, 77, 'card')");
    let copied = cluster.folder("transfer").join("orders").display().to_string();
    run(
        superuser,
        &format!(
            "COPY (SELECT 2202, 78, 'card') TO '{copied}'; COPY orders (id, amount, method) FROM '{copied}'"
        ),
    );
    refresh(owner, "orders", "odd_score");
    let now = alerted(owner, "public.orders");
    assert!(now.contains(&"2201".to_owned()) && now.contains(&"2202".to_owned()), "{now:?}");
    for role in ["clerk", "monitor"] {
        let mut other = cluster.session_as(role, "postgres");
        assert_eq!(ask::<i64>(&mut other, "SELECT count(*) FROM ecommerce_ml.alerts"), 0, "{role}");
        fails_with(&mut other, "SELECT * FROM ecommerce_ml.stored_alert", "42501");
    }
    assert!(ask::<i64>(superuser, "SELECT count(*) FROM alerts") > 0);
    fails_with(&mut clerk, "SELECT ecommerce_ml.unwatch_rows('orders', 'odd')", "42501");
    let trigger = "CREATE TRIGGER mine AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION ecommerce_ml.watch_written_row('odd_score', 'immediate', '{}')";
    run(superuser, "GRANT TRIGGER ON orders TO clerk");
    fails_with(&mut clerk, trigger, "42501");
}

fn what_cannot_be_watched(cluster: &Cluster, owner: &mut Client) {
    run(
        owner,
        "CREATE TABLE bare (id int, odd_score text); CREATE TABLE other_types (id int, amount date, method text);
         INSERT INTO other_types VALUES (1, '2026-01-01', 'card'); CREATE VIEW some_orders AS SELECT * FROM orders",
    );
    for (call, sqlstate) in [
        ("'orders', 'odd', 'nosuch > 1'", "42703"),
        ("'orders', 'odd', 'score'", "42804"),
        ("'orders', 'odd', budget => 0", "22023"),
        ("'orders', 'odd', refresh => 'soon'", "22023"),
        ("'orders', 'odd', options => '{\"label\": \"x\"}'", "22023"),
        ("'orders', 'odd', options => '{\"text_column\": \"note\"}'", "22023"),
        ("'orders', 'odd', options => '{\"speed\": 1}'", "22023"),
        ("'orders', 'odd', options => '{\"score_column\": \"note\"}'", "42701"),
        ("'orders', 'odd', NULL", "22004"),
        ("'orders', 'nosuch'", "42704"),
        ("'orders', 'shop'", "22023"),
        ("'orders', 'shop', options => '{\"text_column\": \"note\"}'", "22023"),
        ("'orders', 'shop', options => '{\"text_column\": \"note\", \"label\": \"nosuch\"}'", "22023"),
        ("'orders', 'shop', options => '{\"text_column\": \"nosuch\", \"label\": \"nosuch\"}'", "22023"),
        ("'bare', 'odd'", "42703"),
        ("'other_types', 'odd'", "42804"),
        ("'some_orders', 'odd'", "42809"),
    ] {
        fails_with(owner, &format!("SELECT watch_rows({call})"), sqlstate);
    }
    fails_with(owner, "SELECT unwatch_rows('bare', 'odd')", "42704");
    fails_with(
        owner,
        "SELECT predict_value(o, 'odd') FROM orders AS o WHERE watch_written_row() IS NULL",
        "39P01",
    );
    let mut clerk = cluster.session_as("clerk", "postgres");
    fails_with(&mut clerk, "SELECT ecommerce_ml.watch_rows('orders', 'odd')", "42501");
}

/// The probability of a class, of texts, in tables with partitions and without.
fn rows_while_they_are_written(cluster: &Cluster, owner: &mut Client) {
    let label: String = ask(owner, "SELECT labels[1] FROM models WHERE name = 'shop'");
    run(
        owner,
        &format!(
            "CREATE TABLE letters (id int PRIMARY KEY, body text) PARTITION BY RANGE (id);
             CREATE TABLE letters_1 PARTITION OF letters FOR VALUES FROM (0) TO (100);
             CREATE TABLE letters_2 PARTITION OF letters FOR VALUES FROM (100) TO (200);
             INSERT INTO letters VALUES (1, 'here before');
             SELECT watch_rows('letters', 'shop', 'score >= 0', 5, 'immediate',
                               '{{\"text_column\": \"body\", \"label\": \"{label}\", \"score_column\": \"threat\"}}');
             GRANT SELECT, INSERT ON letters TO clerk"
        ),
    );
    let mut clerk = cluster.session_as("clerk", "postgres");
    run(&mut clerk, "BEGIN; INSERT INTO letters VALUES (2, 'never sent'); ROLLBACK");
    run(
        &mut clerk,
        "INSERT INTO letters VALUES (3, 'This is bad'), (103, NULL);
         INSERT INTO letters VALUES (3, 'twice') ON CONFLICT DO NOTHING",
    );
    run(&mut clerk, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    run(&mut clerk, "SELECT 1; INSERT INTO letters VALUES (104, 'That was worse'); COMMIT");
    assert_eq!(alerted(owner, "public.letters"), ["3", "104"]);
    let same: bool = ask(
        owner,
        &format!(
            "SELECT bool_and(threat IS NOT DISTINCT FROM (predict_probabilities(body, 'shop') ->> '{label}')::float8)
             FROM letters WHERE id > 1"
        ),
    );
    assert!(same);
    let reason: Option<String> = ask(
        owner,
        "SELECT detail -> 'reason' -> 0 ->> 'token' FROM alerts WHERE detail -> 'row' ->> 'id' = '104'",
    );
    assert!(reason.is_none_or(|token| "That was worse".contains(&token)));
}

fn what_is_gone(cluster: &Cluster, superuser: &mut Client, owner: &mut Client) {
    let file = cluster.folder("transfer").join("watched.dump").display().to_string();
    cluster.output("pg_dump", &["-Fc", "-f", &file]);
    run(superuser, "CREATE DATABASE restored");
    cluster.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);
    let mut restored = cluster.session_in("restored");
    run(&mut restored, "SET search_path = public, ecommerce_ml");
    let same = "SELECT string_agg(w::text, ';' ORDER BY w::text) FROM ecommerce_ml.watched_rows AS w";
    assert_eq!(ask::<String>(&mut restored, same), ask::<String>(superuser, same));
    run(
        &mut restored,
        "INSERT INTO orders VALUES (3000, 66, 'card'); INSERT INTO letters VALUES (5, 'Here too')",
    );
    refresh(&mut restored, "orders", "odd_score");
    assert!(alerted(&mut restored, "public.orders").contains(&"3000".to_owned()));
    assert_eq!(alerted(&mut restored, "public.letters"), ["3", "5", "104"]);
    run(&mut restored, "DROP EXTENSION ecommerce_ml CASCADE");
    drop(restored);
    // Watched no longer: scores stay.
    run(owner, "SELECT unwatch_rows('letters', 'shop'); INSERT INTO letters VALUES (6, 'And now?')");
    assert_eq!(alerted(owner, "public.letters"), Vec::<String>::new());
    assert_eq!(ask::<i64>(owner, "SELECT count(*) FROM letters WHERE threat IS NOT NULL"), 2);
    // A model that is gone is told; a table takes all with it but its alerts, and a role those.
    run(owner, "SELECT drop_model('odd'); INSERT INTO orders VALUES (4000, 66, 'card')");
    eventually("the view says why", || {
        let error: Option<String> = ask(owner, "SELECT last_error FROM watched_rows");
        error.is_some_and(|error| error.contains("odd"))
    });
    run(owner, "DROP TABLE orders CASCADE");
    assert_eq!(ask::<i64>(owner, "SELECT count(*) FROM watched_rows"), 0);
    assert!(!alerted(owner, "public.orders").is_empty());
    run(superuser, "DROP DATABASE restored WITH (FORCE)");
    fails_with(superuser, "DROP ROLE shopkeeper", "2BP01");
    run(superuser, "DROP OWNED BY shopkeeper CASCADE; DROP ROLE shopkeeper");
    assert_eq!(ask::<i64>(superuser, "SELECT count(*) FROM stored_alert"), 0);
}
