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
