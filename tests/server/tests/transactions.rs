//! Errors, exception blocks, savepoints: the connection to the engine survives them all.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};

#[test]
fn an_exception_block_catches_errors_and_the_session_goes_on() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "DO $$
         DECLARE
             caught int := 0;
         BEGIN
             FOR i IN 1..200 LOOP
                 BEGIN
                     PERFORM ecommerce_ml.predict_sentiment('good', 'nosuch');
                 EXCEPTION WHEN undefined_object THEN
                     caught := caught + 1;
                 END;
                 BEGIN
                     PERFORM ecommerce_ml.predict_sentiment(repeat('a', 4194305));
                 EXCEPTION WHEN program_limit_exceeded THEN
                     caught := caught + 1;
                 END;
                 IF ecommerce_ml.token_count(repeat('word ', i)) <> i + 2 THEN
                     RAISE 'the answer of another request';
                 END IF;
             END LOOP;
             IF caught <> 400 THEN RAISE 'caught %', caught; END IF;
         END $$",
    );
    let connections: i32 = ask(&mut session, "SELECT connections::int FROM ecommerce_ml.stat_engine");
    assert_eq!(connections, 1, "caught errors cost no connections");
}

#[test]
fn a_failed_transaction_leaves_the_session_usable() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    run(&mut session, "BEGIN; SAVEPOINT a");
    fails_with(&mut session, "SELECT ecommerce_ml.drop_model('shop', 1)", "55006");
    fails_with(&mut session, "SELECT ecommerce_ml.predict_class('good', 'shop')", "25P02");
    run(&mut session, "ROLLBACK TO a; SELECT ecommerce_ml.predict_class('good', 'shop'); COMMIT");
    run(&mut session, "BEGIN; SELECT ecommerce_ml.drop_model('shop'); ROLLBACK");
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_class('good', 'shop')");
}

#[test]
fn cursors_and_prepared_statements_predict() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let statement = session.prepare("SELECT ecommerce_ml.token_count($1)").expect("it can be prepared");
    for words in 1..20 {
        let count: i32 =
            session.query_one(&statement, &[&"word ".repeat(words)]).expect("it predicts").get(0);
        assert_eq!(count, i32::try_from(words).expect("small") + 2);
    }
    run(
        &mut session,
        "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT ecommerce_ml.token_count(repeat('word ', i)) \
         FROM generate_series(1, 100) AS i",
    );
    assert_eq!(ask::<i32>(&mut session, "FETCH ABSOLUTE 50 FROM c"), 52);
    assert_eq!(ask::<i32>(&mut session, "FETCH PRIOR FROM c"), 51);
    run(&mut session, "COMMIT");
}

#[test]
fn a_read_only_transaction_predicts() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, "BEGIN TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE");
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('fine')");
    run(&mut session, "COMMIT");
}
