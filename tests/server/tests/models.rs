//! Versions: imported, deployed, rolled back, pinned, exported, dropped.

use std::fs;

use ecommerce_ml_server_tests::fixtures::{
    CLASSIFIER, import, import_reference, import_statement, place_model, reference_model, rewrite,
};
use ecommerce_ml_server_tests::installation::{give_to_server, repository};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, Shutdown, ask, eventually, fails_with};
use postgres::Client;

fn answer(session: &mut Client, model: &str) -> String {
    let query = "SELECT ecommerce_ml.predict_probabilities('not what I expected', '%')::text";
    ask(session, &query.replace('%', model))
}

fn live(session: &mut Client, model: &str) -> i32 {
    ask(session, &format!("SELECT live_version FROM ecommerce_ml.models WHERE name = '{model}'"))
}

/// Imports a variant of the classifier with other labels, which changes every answer.
fn import_variant(cluster: &Cluster, session: &mut Client, name: &str, options: &str) -> i32 {
    let folder = place_model(cluster, CLASSIFIER, "variant");
    let source = format!("file://{}", folder.display());
    ask(session, &format!("SELECT ecommerce_ml.import_model('{name}', '{source}', '{options}')"))
}

#[test]
fn versions_are_deployed_and_rolled_back() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    assert_eq!(import_reference(&cluster, &mut session, "shop", CLASSIFIER), 1);
    let first = answer(&mut session, "shop");
    assert_eq!(import_variant(&cluster, &mut session, "shop", r#"{"labels": ["bad", "so so", "good"]}"#), 2);
    assert_eq!(live(&mut session, "shop"), 1, "a new version of an existing model waits to be deployed");
    assert_eq!(answer(&mut session, "shop"), first);
    let second = answer(&mut session, "shop@2");
    assert_ne!(second, first);
    run(&mut session, "SELECT ecommerce_ml.deploy_model('shop', 2)");
    assert_eq!(
        (answer(&mut session, "shop"), answer(&mut session, "shop@1")),
        (second.clone(), first.clone())
    );
    assert_eq!(ask::<i32>(&mut session, "SELECT ecommerce_ml.rollback_model('shop')"), 1);
    assert_eq!(answer(&mut session, "shop"), first);
    assert_eq!(import_variant(&cluster, &mut session, "shop", r#"{"deploy": true, "max_length": 16}"#), 3);
    assert_eq!(live(&mut session, "shop"), 3);
    run(&mut session, "SELECT ecommerce_ml.drop_model('shop', 2)");
    fails_with(&mut session, "SELECT ecommerce_ml.predict_class('good', 'shop@2')", "42704");
    assert_eq!(import_variant(&cluster, &mut session, "shop", r#"{"labels": ["x", "y", "z"]}"#), 4);
    run(&mut session, "SELECT ecommerce_ml.drop_model('shop')");
    fails_with(&mut session, "SELECT ecommerce_ml.predict_class('good', 'shop')", "42704");
}

#[test]
fn a_deploy_is_seen_by_other_sessions_when_it_commits() {
    let cluster = Cluster::new();
    let (mut session, mut other) = (cluster.session(), cluster.session());
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    import_variant(&cluster, &mut session, "shop", r#"{"labels": ["bad", "so so", "good"]}"#);
    let first = answer(&mut other, "shop");
    let mut transaction = session.transaction().expect("a transaction begins");
    transaction.batch_execute("SELECT ecommerce_ml.deploy_model('shop', 2)").expect("the owner may deploy");
    assert_eq!(answer(&mut other, "shop"), first, "not yet committed");
    transaction.commit().expect("the transaction commits");
    assert_ne!(answer(&mut other, "shop"), first, "committed");
}

#[test]
fn an_import_that_is_rolled_back_leaves_nothing() {
    let cluster = Cluster::new();
    let (mut session, mut other) = (cluster.session(), cluster.session());
    let folder = place_model(&cluster, CLASSIFIER, "model");
    let mut transaction = session.transaction().expect("a transaction begins");
    transaction.batch_execute(&import_statement("shop", &folder)).expect("the import succeeds");
    let query = "SELECT ecommerce_ml.predict_class('good', 'shop')";
    transaction.batch_execute(query).expect("the importing transaction can use it");
    fails_with(&mut other, query, "42704");
    transaction.rollback().expect("the transaction rolls back");
    fails_with(&mut session, query, "42704");
    assert_eq!(import(&mut session, "shop", &folder), 1);
}

#[test]
fn a_deploy_that_is_rolled_back_is_forgotten() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    import_variant(&cluster, &mut session, "shop", r#"{"labels": ["bad", "so so", "good"]}"#);
    let first = answer(&mut session, "shop");
    for (begin, undo) in [("BEGIN", "ROLLBACK"), ("BEGIN; SAVEPOINT a", "ROLLBACK TO a; COMMIT")] {
        run(&mut session, &format!("{begin}; SELECT ecommerce_ml.deploy_model('shop', 2)"));
        assert_ne!(answer(&mut session, "shop"), first, "the transaction sees its own deploy");
        run(&mut session, undo);
        assert_eq!(answer(&mut session, "shop"), first, "{undo}");
    }
}

#[test]
fn a_dropped_model_can_be_imported_again_with_other_content() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    let first = answer(&mut session, "shop");
    run(&mut session, "SELECT ecommerce_ml.drop_model('shop')");
    import_variant(&cluster, &mut session, "shop", r#"{"labels": ["bad", "so so", "good"]}"#);
    assert_ne!(answer(&mut session, "shop"), first);
}

#[test]
fn an_exported_model_can_be_imported_with_the_same_answers() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    for model in ["shop", "shop@1", "reviews"] {
        let folder = cluster.folder(&format!("export-{model}"));
        run(&mut session, &format!("SELECT ecommerce_ml.export_model('{model}', '{}')", folder.display()));
        let copy = model.replace('@', "_") + "_copy";
        import(&mut session, &copy, &folder);
        assert_eq!(answer(&mut session, &copy), answer(&mut session, model));
        assert_eq!(
            ask::<Vec<f32>>(&mut session, &format!("SELECT ecommerce_ml.embed('good', '{copy}')")),
            ask::<Vec<f32>>(&mut session, &format!("SELECT ecommerce_ml.embed('good', '{model}')"))
        );
        let again = format!("SELECT ecommerce_ml.export_model('{model}', '{}')", folder.display());
        fails_with(&mut session, &again, "58P02");
    }
    let weights =
        |folder: std::path::PathBuf| fs::read(folder.join("model.safetensors")).expect("weights are there");
    assert!(weights(cluster.folder("export-shop")) == weights(reference_model(CLASSIFIER)), "byte for byte");
}

#[test]
fn an_imported_model_survives_restarts_and_its_source() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let folder = place_model(&cluster, CLASSIFIER, "model");
    import(&mut session, "shop", &folder);
    let before = answer(&mut session, "shop");
    fs::remove_dir_all(folder).expect("a folder of ours");
    cluster.stop(Shutdown::Immediate);
    cluster.start();
    assert_eq!(answer(&mut cluster.session(), "shop"), before);
}

#[test]
fn equal_content_has_equal_hashes() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let folder = place_model(&cluster, CLASSIFIER, "model");
    import(&mut session, "one", &folder);
    import(&mut session, "two", &folder);
    rewrite(&folder.join("model.safetensors"), |content| {
        let last = content.len() - 1;
        content[last] ^= 0x80;
    });
    give_to_server(&folder);
    import(&mut session, "three", &folder);
    let hashes: Vec<String> = ask(
        &mut session,
        "SELECT array_agg(sha256::text ORDER BY name) FROM ecommerce_ml.model_versions WHERE name IN ('one', 'two', 'three')",
    );
    assert_eq!(hashes[0], hashes[2], "one and two");
    assert_ne!(hashes[0], hashes[1], "one and three");
}

#[test]
fn models_used_least_recently_make_room_and_pinned_ones_stay() {
    let settings = ["ecommerce_ml.model_cache_size = '120MB'", "ecommerce_ml.precision = 'f32'"];
    let cluster = Cluster::with_settings(&settings);
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    let folder = cluster.folder("export");
    run(&mut session, &format!("SELECT ecommerce_ml.export_model('reviews', '{}')", folder.display()));
    import(&mut session, "large", &folder);
    run(&mut session, "SELECT ecommerce_ml.pin_model('shop', true)");
    let loaded = |session: &mut Client| ask::<i64>(session, "SELECT count(*) FROM ecommerce_ml.stat_models");
    answer(&mut session, "shop");
    answer(&mut session, "reviews");
    answer(&mut session, "large");
    eventually("one of the two large models made room", || loaded(&mut session) == 2);
    let pinned = "SELECT count(*) FROM ecommerce_ml.stat_models WHERE pinned";
    assert_eq!(ask::<i64>(&mut session, pinned), 1);
    assert_eq!(answer(&mut session, "reviews"), answer(&mut session, "large"));
}

#[test]
fn views_tell_what_is_there() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    let row = session
        .query_one(
            "SELECT live_version, task, array_length(labels, 1), size > 1000, owner::text \
                    FROM ecommerce_ml.models WHERE name = 'shop'",
            &[],
        )
        .expect("the model is listed");
    assert_eq!(row.get::<_, i32>(0), 1);
    assert_eq!(row.get::<_, String>(1), "classification");
    assert_eq!(row.get::<_, i32>(2), 3);
    assert!(row.get::<_, bool>(3));
    assert_eq!(row.get::<_, String>(4), "postgres");
    let built_in: i64 =
        ask(&mut session, "SELECT count(*) FROM ecommerce_ml.model_versions WHERE name = 'reviews' AND live");
    assert_eq!(built_in, 1);
    answer(&mut session, "shop");
    let stats: i64 =
        ask(&mut session, "SELECT sum(texts)::bigint FROM ecommerce_ml.stat_models WHERE name = 'shop'");
    assert!(stats >= 1);
    let precision: String =
        ask(&mut session, "SELECT precision FROM ecommerce_ml.stat_models WHERE name = 'shop'");
    assert!(["f32", "int8"].contains(&precision.as_str()), "{precision}");
    let engine = session
        .query_one("SELECT state, device, threads::int, connections::int FROM ecommerce_ml.stat_engine", &[]);
    let engine = engine.expect("the engine is listed");
    assert_eq!(engine.get::<_, String>(0), "running");
    assert_eq!(engine.get::<_, String>(1), "cpu");
    assert!(engine.get::<_, i32>(2) >= 1 && engine.get::<_, i32>(3) >= 1);
}

/// The script describes the built-in models by hand: an import of the same files is described by the engine.
#[test]
fn the_built_in_models_are_what_the_script_says() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    for model in ["reviews", "reviews_multilingual", "reviews_small"] {
        let folder = cluster.folder(model);
        run(&mut session, &format!("SELECT ecommerce_ml.export_model('{model}', '{}')", folder.display()));
        import(&mut session, "imported", &folder);
        let described = "SELECT to_jsonb(v) - '{name,base,metrics,source,sha256,role,created}'::text[] \
                         FROM ecommerce_ml.model_versions v WHERE name = '%'";
        let mut describe = |name: &str| ask::<serde_json::Value>(&mut session, &described.replace('%', name));
        assert_eq!(describe(model), describe("imported"));
        run(&mut session, "SELECT ecommerce_ml.drop_model('imported')");

        let recorded = format!("SELECT metrics FROM ecommerce_ml.models WHERE name = '{model}'");
        let measured = repository().join("models").join(model).join("metrics.json");
        let measured =
            serde_json::from_slice(&fs::read(measured).expect("there are metrics")).expect("they are JSON");
        assert_measured(model, &ask(&mut session, &recorded), &measured);
    }
}

/// What the script says a model is worth is what was measured.
fn assert_measured(model: &str, recorded: &serde_json::Value, measured: &serde_json::Value) {
    for (set, metrics) in recorded.as_object().expect("an object of evaluation sets") {
        for (metric, value) in metrics.as_object().expect("an object of metrics") {
            let group = if metric == "rows" { &measured["sets"][set] } else { &measured["sets"][set][model] };
            assert_eq!(*value, group[metric], "{metric} of {model} on {set}");
        }
    }
}

#[test]
fn a_superuser_may_put_another_version_before_the_built_in_one() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, "CREATE ROLE stranger LOGIN; GRANT pg_read_server_files TO stranger");
    let folder = place_model(&cluster, CLASSIFIER, "reviews");
    let mut stranger = cluster.session_as("stranger", "postgres");
    fails_with(&mut stranger, &import_statement("reviews", &folder), "42710");
    assert_eq!(import(&mut session, "reviews", &folder), 2);
    run(
        &mut session,
        "SELECT ecommerce_ml.pin_model('reviews', true), ecommerce_ml.deploy_model('reviews', 2)",
    );
    let live = "SELECT string_agg(concat_ws(' ', version, live, pinned), ', ' ORDER BY version)
                FROM ecommerce_ml.model_versions WHERE name = 'reviews'";
    assert_eq!(ask::<String>(&mut session, live), "1 f t, 2 t f");
    let classes = "SELECT ecommerce_ml.predict_class('good') IN ('negative', 'neutral', 'positive')";
    assert!(ask::<bool>(&mut stranger, classes), "it is for everyone");
    fails_with(&mut session, "SELECT ecommerce_ml.grant_model('reviews', 'stranger')", "42501");
    fails_with(&mut session, "SELECT ecommerce_ml.drop_model('reviews')", "55006");
    fails_with(&mut session, "SELECT ecommerce_ml.drop_model('reviews', 1)", "55006");
    // It comes along in a dump.
    let file = cluster.folder("transfer").join("all.dump").display().to_string();
    cluster.output("pg_dump", &["-Fc", "-f", &file]);
    run(&mut session, "CREATE DATABASE restored");
    cluster.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);
    assert_eq!(ask::<String>(&mut cluster.session_in("restored"), live), "1 f t, 2 t f");
    assert_eq!(ask::<i32>(&mut session, "SELECT ecommerce_ml.rollback_model('reviews')"), 1);
    fails_with(&mut session, "SELECT ecommerce_ml.rollback_model('reviews')", "55000");
    run(
        &mut session,
        "SELECT ecommerce_ml.drop_model('reviews', 2), ecommerce_ml.pin_model('reviews', false)",
    );
    assert_eq!(ask::<String>(&mut session, live), "1 t f");
}
