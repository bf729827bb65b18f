//! What a name of a model means is decided by what the asking statement sees, and by nothing that an earlier one saw.

use ecommerce_ml_server_tests::batches::set_batches;
use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_statement, place_model};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

/// Model `shop`, whose version 1 says a, b or c and whose version 2 says x, y or z; version 1 is live and `visitor` may
/// use it.
fn prepared() -> (Cluster, Client, Client) {
    let cluster = Cluster::new();
    let mut owner = cluster.session();
    let source = import_statement("shop", &place_model(&cluster, CLASSIFIER, "shop"));
    for labels in [r#"["a", "b", "c"]"#, r#"["x", "y", "z"]"#] {
        let import = source.trim_end_matches(')').to_owned() + &format!(", '{{\"labels\": {labels}}}')");
        run(&mut owner, &import);
    }
    run(
        &mut owner,
        "SELECT ecommerce_ml.deploy_model('shop', 1); CREATE ROLE visitor LOGIN; \
         SELECT ecommerce_ml.grant_model('shop', 'visitor'); CREATE TABLE t (id int, body text); \
         INSERT INTO t SELECT i, 'review ' || i FROM generate_series(1, 60) AS i; GRANT SELECT ON t TO visitor",
    );
    let visitor = cluster.session_as("visitor", "postgres");
    (cluster, owner, visitor)
}

/// Ways to ask the live version what it says.
const ASKED: [&str; 3] = [
    "SELECT ecommerce_ml.predict_class('fine', 'shop') AS class",
    "SELECT min(ecommerce_ml.predict_class(body, 'shop')) AS class FROM t",
    "SELECT (ecommerce_ml.predict_class(ARRAY['fine'], 'shop'))[1] AS class",
];

/// The version that answers.
fn version(session: &mut Client, query: &str) -> i32 {
    if ["a", "b", "c"].contains(&ask::<String>(session, query).as_str()) { 1 } else { 2 }
}

#[test]
fn what_a_snapshot_saw_ends_with_it() {
    let (_cluster, mut owner, mut visitor) = prepared();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for query in ASKED {
            for warm in [false, true] {
                if warm {
                    assert_eq!(version(&mut visitor, query), 1);
                }
                run(&mut visitor, &format!("BEGIN ISOLATION LEVEL {level}; SELECT 1 FROM t"));
                run(&mut owner, "SELECT ecommerce_ml.revoke_model('shop', 'visitor')");
                assert_eq!(version(&mut visitor, query), 1, "what the transaction sees is allowed");
                run(&mut visitor, "SAVEPOINT s; ROLLBACK TO s; COMMIT");
                fails_with(&mut visitor, query, "42501");
                run(&mut owner, "SELECT ecommerce_ml.grant_model('shop', 'visitor')");

                run(&mut visitor, &format!("BEGIN ISOLATION LEVEL {level}; SELECT 1 FROM t"));
                run(&mut owner, "SELECT ecommerce_ml.deploy_model('shop', 2)");
                assert_eq!(version(&mut visitor, query), 1, "{level}: {query}");
                assert_eq!(version(&mut visitor, query), 1, "{level}: {query}");
                run(&mut visitor, "COMMIT");
                assert_eq!(version(&mut visitor, query), 2, "{level}: {query}");
                run(&mut owner, "SELECT ecommerce_ml.deploy_model('shop', 1)");
            }
        }
    }
}

#[test]
fn a_model_that_came_or_went_meanwhile() {
    let (_cluster, mut owner, mut visitor) = prepared();
    run(&mut visitor, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM t");
    run(&mut owner, "SELECT ecommerce_ml.drop_model('shop')");
    assert_eq!(version(&mut visitor, ASKED[0]), 1);
    run(&mut visitor, "COMMIT");
    fails_with(&mut visitor, ASKED[0], "42704");
    fails_with(&mut visitor, ASKED[1], "42704");
}

#[test]
fn an_open_cursor_keeps_to_what_it_sees() {
    let (_cluster, mut owner, mut visitor) = prepared();
    for batches in [true, false] {
        set_batches(&mut visitor, batches);
        run(
            &mut visitor,
            "BEGIN; DECLARE c CURSOR FOR SELECT ecommerce_ml.predict_class(body, 'shop') FROM t",
        );
        run(&mut visitor, "DECLARE late CURSOR FOR SELECT ecommerce_ml.predict_class(body, 'shop') FROM t");
        assert_eq!(version(&mut visitor, "FETCH c"), 1);
        run(&mut owner, "SELECT ecommerce_ml.deploy_model('shop', 2)");
        for query in ASKED {
            assert_eq!(version(&mut visitor, query), 2, "{query}");
            run(&mut visitor, "MOVE 9 FROM c");
            assert_eq!(version(&mut visitor, "FETCH c"), 1);
            assert_eq!(version(&mut visitor, "FETCH late"), 1);
        }
        assert_eq!(version(&mut visitor, ASKED[0]), 2);
        run(&mut owner, "SELECT ecommerce_ml.revoke_model('shop', 'visitor')");
        run(&mut visitor, "SAVEPOINT s");
        assert_eq!(version(&mut visitor, "FETCH c"), 1);
        fails_with(&mut visitor, ASKED[0], "42501");
        run(&mut visitor, "ROLLBACK TO s");
        assert_eq!(version(&mut visitor, "FETCH c"), 1);
        run(&mut visitor, "COMMIT");
        fails_with(&mut visitor, ASKED[0], "42501");
        run(
            &mut owner,
            "SELECT ecommerce_ml.grant_model('shop', 'visitor'); SELECT ecommerce_ml.deploy_model('shop', 1)",
        );
        assert_eq!(version(&mut visitor, ASKED[0]), 1);
    }
}

#[test]
fn a_cursor_does_not_see_what_its_own_transaction_deploys_later() {
    let (_cluster, mut owner, _visitor) = prepared();
    for batches in [true, false] {
        set_batches(&mut owner, batches);
        run(&mut owner, "BEGIN; DECLARE c CURSOR FOR SELECT ecommerce_ml.predict_class(body, 'shop') FROM t");
        run(&mut owner, "DECLARE late CURSOR FOR SELECT ecommerce_ml.predict_class(body, 'shop') FROM t");
        assert_eq!(version(&mut owner, "FETCH c"), 1);
        run(&mut owner, "SAVEPOINT s; SELECT ecommerce_ml.deploy_model('shop', 2)");
        assert_eq!(version(&mut owner, "FETCH c"), 1);
        assert_eq!(version(&mut owner, ASKED[1]), 2);
        run(&mut owner, "MOVE 30 FROM c");
        assert_eq!(version(&mut owner, "FETCH c"), 1);
        assert_eq!(version(&mut owner, "FETCH late"), 1);
        assert_eq!(version(&mut owner, ASKED[0]), 2);
        run(&mut owner, "ROLLBACK TO s");
        assert_eq!(version(&mut owner, ASKED[0]), 1);
        assert_eq!(version(&mut owner, "FETCH c"), 1);
        run(&mut owner, "ROLLBACK");
    }
}

#[test]
fn a_long_statement_keeps_to_what_it_sees() {
    let (_cluster, mut owner, mut visitor) = prepared();
    set_batches(&mut visitor, false);
    // The seventh row waits for a lock until the other version is live.
    run(&mut owner, "BEGIN; SELECT pg_advisory_xact_lock(7)");
    let query = "SELECT string_agg(DISTINCT CASE WHEN predict_class(body, 'shop') IN ('a', 'b', 'c') THEN '1' ELSE '2' END, ',') \
                 FROM (SELECT id, body, CASE WHEN id = 7 THEN pg_advisory_lock_shared(7) IS NULL END FROM t OFFSET 0) AS slow";
    std::thread::scope(|scope| {
        let statement = scope.spawn(|| {
            run(&mut visitor, "SET search_path = public, ecommerce_ml");
            ask::<String>(&mut visitor, query)
        });
        let waits = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        ecommerce_ml_server_tests::eventually("the statement waits", || ask::<bool>(&mut owner, waits));
        run(&mut owner, "SELECT ecommerce_ml.deploy_model('shop', 2); COMMIT");
        assert_eq!(statement.join().expect("the statement succeeds"), "1");
    });
    assert_eq!(version(&mut visitor, "SELECT ecommerce_ml.predict_class('fine', 'shop')"), 2);
}
