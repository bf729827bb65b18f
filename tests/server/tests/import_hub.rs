//! Importing from a hub, with a hub on this machine.

use std::fs;

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference, reference_model};
use ecommerce_ml_server_tests::hub::{COMMIT, Hub};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};

const CLASSES: &str = "SELECT ecommerce_ml.predict_probabilities('not what I expected', '%')::text";

#[test]
fn a_repository_becomes_a_model() {
    let hub = Hub::serve(&["shop/reviews-bert"], &reference_model(CLASSIFIER));
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, &format!("SET ecommerce_ml.hub_endpoint = '{}'", hub.endpoint()));
    let sources =
        ["hf://shop/reviews-bert", "hf://shop/reviews-bert@v1", &format!("hf://shop/reviews-bert@{COMMIT}")];
    for (version, source) in (1..).zip(sources) {
        let import = format!("SELECT ecommerce_ml.import_model('hub', '{source}')");
        assert_eq!(ask::<i32>(&mut session, &import), version);
    }
    import_reference(&cluster, &mut session, "file", CLASSIFIER);
    let from_hub: String = ask(&mut session, &CLASSES.replace('%', "hub"));
    let from_file: String = ask(&mut session, &CLASSES.replace('%', "file"));
    assert_eq!(from_hub, from_file);
    assert!(hub.requests().iter().any(|path| path.ends_with("config.json")), "{:?}", hub.requests());
    let leftovers: Vec<_> = fs::read_dir(cluster.data().join("pgsql_tmp_ecommerce_ml"))
        .expect("the runtime folder can be read")
        .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir()))
        .filter(|entry| entry.file_name() != "weights")
        .collect();
    assert!(leftovers.is_empty(), "downloads are removed: {leftovers:?}");
}

#[test]
fn what_the_hub_does_not_have_is_missing() {
    let hub = Hub::serve(&["shop/reviews-bert"], &reference_model(CLASSIFIER));
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, &format!("SET ecommerce_ml.hub_endpoint = '{}'", hub.endpoint()));
    for source in ["hf://shop/nothing", "hf://shop/reviews-bert@no-such-revision"] {
        fails_with(&mut session, &format!("SELECT ecommerce_ml.import_model('hub', '{source}')"), "58P01");
    }
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('fine')");
}

#[test]
fn a_hub_that_cannot_be_reached_is_told() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, "SET ecommerce_ml.hub_endpoint = 'http://127.0.0.1:9'");
    fails_with(&mut session, "SELECT ecommerce_ml.import_model('hub', 'hf://shop/reviews-bert')", "08006");
}

#[test]
fn only_a_superuser_chooses_the_hub() {
    let cluster = Cluster::new();
    run(&mut cluster.session(), "CREATE ROLE analyst LOGIN");
    let mut analyst = cluster.session_as("analyst", "postgres");
    let _: String = ask(&mut analyst, "SELECT ecommerce_ml.predict_sentiment('load the library')");
    fails_with(&mut analyst, "SET ecommerce_ml.hub_endpoint = 'http://127.0.0.1:9'", "42501");
}

const TOKEN: &str = "hf_aVerySecretToken";
const PRIVATE: &str = "SELECT ecommerce_ml.import_model('hub', 'hf://shop/private')";

/// A hub that wants the token, and the host where its files are.
fn private_hub() -> (Hub, Hub) {
    let elsewhere = Hub::serve(&["shop/private"], &reference_model(CLASSIFIER));
    (Hub::serve_private(&["shop/private"], &reference_model(CLASSIFIER), TOKEN, &elsewhere), elsewhere)
}

#[test]
fn a_token_opens_private_repositories_and_is_told_to_nobody() {
    let (hub, elsewhere) = private_hub();
    let cluster = Cluster::with_settings(&[
        &format!("ecommerce_ml.hub_endpoint = '{}'", hub.endpoint()),
        "log_min_messages = debug1",
    ]);
    let mut session = cluster.session();
    let refused = fails_with(&mut session, PRIVATE, "58P01");
    assert!(refused.hint().is_some_and(|hint| hint.contains("ecommerce_ml.hub_token")), "{refused:?}");
    run(&mut session, "SET ecommerce_ml.hub_token = 'hf_another'");
    let refused = fails_with(&mut session, PRIVATE, "42501");
    assert!(refused.hint().is_some_and(|hint| hint.contains("ecommerce_ml.hub_token")), "{refused:?}");
    assert!(!format!("{refused:?}").contains("hf_another"));
    run(&mut session, "SET ecommerce_ml.hub_token = 'hf_with a blank'");
    let refused = fails_with(&mut session, PRIVATE, "22023");
    assert!(!format!("{refused:?}").contains("a blank"), "{refused:?}");
    // As an administrator would.
    let file = cluster.data().join("postgresql.auto.conf");
    fs::write(file, format!("ecommerce_ml.hub_token = '{TOKEN}'\n")).expect("the test owns the cluster");
    cluster.restart();
    let mut session = cluster.session();
    run(&mut session, "CREATE ROLE importer LOGIN; GRANT pg_read_server_files TO importer");
    let mut importer = cluster.session_as("importer", "postgres");
    assert_eq!(ask::<i32>(&mut importer, PRIVATE), 1);
    let shown = hub.tokens();
    assert_eq!(shown.last(), Some(&Some(format!("Bearer {TOKEN}"))));
    assert!(!elsewhere.tokens().is_empty() && elsewhere.tokens().iter().all(Option::is_none));
    fails_with(&mut importer, "SELECT ecommerce_ml.import_model('hub', 'hf://shop/nothing')", "58P01");
    // Nor does anybody see it.
    for statement in ["SHOW ecommerce_ml.hub_token", "SELECT current_setting('ecommerce_ml.hub_token')"] {
        fails_with(&mut importer, statement, "42501");
    }
    fails_with(&mut importer, "SET ecommerce_ml.hub_token = 'hf_mine'", "42501");
    for query in [
        "SELECT count(*) FROM pg_settings WHERE name = 'ecommerce_ml.hub_token'",
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%Very' || 'Secret%'",
    ] {
        assert_eq!(ask::<i64>(&mut importer, query), 0, "{query}");
        assert_eq!(ask::<i64>(&mut session, query), 0, "{query}");
    }
    assert_eq!(ask::<String>(&mut session, "SHOW ecommerce_ml.hub_token"), TOKEN);
    let arguments = fs::read(format!("/proc/{}/cmdline", cluster.engine())).expect("the engine runs");
    assert!(!String::from_utf8_lossy(&arguments).contains(TOKEN));
    assert!(!cluster.log().contains(TOKEN));
}

#[test]
fn a_token_is_not_set_where_everyone_could_read_it() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, "CREATE ROLE importer LOGIN; SELECT ecommerce_ml.token_count('')");
    for statement in [
        "ALTER ROLE importer SET ecommerce_ml.hub_token = 'hf_abc'",
        "ALTER DATABASE postgres SET ecommerce_ml.hub_token = 'hf_abc'",
        "ALTER ROLE importer IN DATABASE postgres SET ecommerce_ml.hub_token = 'hf_abc'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET ecommerce_ml.hub_token = 'hf_abc' AS 'SELECT 1'",
    ] {
        let refused = fails_with(&mut session, statement, "22023");
        assert!(!format!("{refused:?}").contains("hf_abc"), "{refused:?}");
        assert!(refused.hint().is_some_and(|hint| hint.contains("postgresql.conf")), "{refused:?}");
    }
    run(&mut session, "ALTER ROLE importer SET ecommerce_ml.hub_token = ''");
}
