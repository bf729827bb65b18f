//! Every error that a user can provoke: its SQLSTATE, and what it tells.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import, import_reference, place_model};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::error::DbError;

/// A statement, the SQLSTATE it must fail with, and words that detail or hint must hold.
struct Case(&'static str, &'static str, &'static str);

fn told(error: &DbError) -> String {
    [error.detail(), error.hint()].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn check(session: &mut postgres::Client, cases: &[Case]) {
    for Case(expression, sqlstate, words) in cases {
        let error = fails_with(session, &format!("SELECT ecommerce_ml.{expression}"), sqlstate);
        assert!(told(&error).contains(words), "{expression}: {error:?}");
    }
}

#[test]
fn predicting() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    check(
        &mut session,
        &[
            Case("predict_sentiment('good', 'nosuch')", "42704", "ecommerce_ml.models"),
            Case("predict_sentiment(ARRAY['good'], 'nosuch')", "42704", "ecommerce_ml.models"),
            Case("predict_sentiment('good', 'shop@7')", "42704", "ecommerce_ml.model_versions"),
            Case("predict_sentiment('good', 'Shop')", "22023", "lower-case"),
            Case("predict_sentiment('good', 'shop@')", "22023", ""),
            Case("predict_sentiment('good', 'shop@0')", "22023", ""),
            Case("predict_sentiment('good', 'shop@99999999999999')", "22023", ""),
            Case("predict_sentiment('good', '')", "22023", ""),
            Case("predict_value('good', 'shop')", "22023", "labels"),
            Case("tokenize('good', 'nosuch')", "42704", ""),
            Case("token_count('good', 'nosuch')", "42704", ""),
            Case("embed('good', 'nosuch')", "42704", ""),
            Case("predict_rating(repeat('a', 5 * 1024 * 1024))", "54000", "4194304"),
            Case("token_count(repeat('a ', 4 * 1024 * 1024))", "54000", "4194304"),
            Case("embed(ARRAY['fine', repeat('a', 4194305)])", "54000", "4194304"),
        ],
    );
    // The limit itself is allowed.
    let tokens: i32 = ask(&mut session, "SELECT ecommerce_ml.token_count(repeat('word', 1048576))");
    assert!(tokens > 2);
    run(&mut session, "SET ecommerce_ml.default_model = 'nosuch'");
    fails_with(&mut session, "SELECT ecommerce_ml.predict_sentiment('good')", "42704");
    run(&mut session, "RESET ecommerce_ml.default_model");
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('good')");
}

#[test]
fn importing_with_wrong_arguments() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let folder = place_model(&cluster, CLASSIFIER, "model");
    let source = format!("file://{}", folder.display());
    let names =
        ["", "Shop", "1shop", "shop@2", "sho p", "sho-p", "läden", "pg'; DROP TABLE x; --", &"x".repeat(64)];
    for name in names {
        let name = name.replace('\'', "''");
        fails_with(&mut session, &format!("SELECT ecommerce_ml.import_model('{name}', '{source}')"), "22023");
    }
    for bad in [
        "ftp://somewhere/x",
        "",
        "shop",
        "file://relative/x",
        "hf://justowner",
        "hf://a/b/c",
        "hf://../x",
        "hf://acme/bert@../../x",
    ] {
        fails_with(&mut session, &format!("SELECT ecommerce_ml.import_model('shop', '{bad}')"), "22023");
    }
    let options = [
        r#"{"lables": []}"#,
        r#"[]"#,
        r#""deploy""#,
        r#"{"labels": "good"}"#,
        r#"{"labels": [1, 2, 3]}"#,
        r#"{"labels": ["a", "a", "b"]}"#,
        r#"{"labels": ["a", "", "b"]}"#,
        r#"{"labels": ["for", "three classes"]}"#,
        r#"{"max_length": 0}"#,
        r#"{"max_length": -5}"#,
        r#"{"max_length": "many"}"#,
        r#"{"deploy": 1}"#,
    ];
    for option in options {
        fails_with(
            &mut session,
            &format!("SELECT ecommerce_ml.import_model('shop', '{source}', '{option}')"),
            "22023",
        );
    }
    let models: i64 =
        ask(&mut session, "SELECT count(*) FROM ecommerce_ml.models WHERE name NOT LIKE 'reviews%'");
    assert_eq!(models, 0, "a refused import leaves nothing behind");
    assert_eq!(import(&mut session, &"x".repeat(63), &folder), 1);
}

#[test]
fn managing_models() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    check(
        &mut session,
        &[
            Case("deploy_model('nosuch', 1)", "42704", ""),
            Case("deploy_model('shop', 2)", "42704", "model_versions"),
            Case("rollback_model('nosuch')", "42704", ""),
            Case("rollback_model('shop')", "55000", ""),
            Case("drop_model('nosuch')", "42704", ""),
            Case("drop_model('shop', 1)", "55006", "Deploy another"),
            Case("drop_model('shop', 2)", "42704", ""),
            Case("drop_model('reviews')", "55006", "part of the extension"),
            Case("drop_model('reviews', 1)", "55006", ""),
            Case("pin_model('nosuch', true)", "42704", ""),
            Case("grant_model('shop', 'nobody_here')", "42704", ""),
            Case("grant_model('nosuch', 'public')", "42704", ""),
            Case("revoke_model('nosuch', 'public')", "42704", ""),
            Case("grant_model('reviews', 'public')", "42501", ""),
            Case("revoke_model('reviews', 'public')", "42501", ""),
            Case("export_model('nosuch', '/tmp/nowhere')", "42704", ""),
            Case("export_model('shop', 'relative')", "22023", ""),
            Case("export_model('shop', '/proc/nowhere')", "58P01", ""),
            Case("export_model('shop', '/tmp')", "58P02", ""),
        ],
    );
}

#[test]
fn settings_refuse_nonsense() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('load the library')");
    fails_with(&mut session, "SET ecommerce_ml.batch_size = 0", "22023");
    fails_with(&mut session, "SET ecommerce_ml.batch_size = 'many'", "22023");
    fails_with(&mut session, "SET ecommerce_ml.no_such_setting = 1", "42602");
    for setting in [
        "device",
        "precision",
        "engine_threads",
        "engine_nice",
        "engine_idle_timeout",
        "engine_heartbeat_timeout",
        "model_cache_size",
        "result_cache_size",
    ] {
        fails_with(&mut session, &format!("SET ecommerce_ml.{setting} = '1'"), "55P02");
    }
}
