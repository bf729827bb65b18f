//! Models that aren't shaped like BERT: imported, asked, their heads trained, exported.

use ecommerce_ml_server_tests::fixtures::{edit_config, import, import_reference, place_model};
use ecommerce_ml_server_tests::installation::repository;
use ecommerce_ml_server_tests::jobs::{prepare, said, succeed, train, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, Shutdown, ask, fails_with};
use serde_json::{Value, json};

const MODELS: [(&str, &str); 3] = [
    ("deberta-v3-classification-3", "debertav2"),
    ("modernbert-classification-3", "modernbert"),
    ("electra-classification-3", "electra"),
];

/// Texts, and the probabilities of the third class that `transformers` computed for them.
fn expected(model: &str) -> Vec<(String, f64)> {
    let path = repository().join("tests/reference/expected").join(format!("{model}.json"));
    let expected: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let texts = expected["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
    let third = expected["probabilities"].as_array().unwrap().iter().map(|row| row[2].as_f64().unwrap());
    texts.zip(third).collect()
}

fn positive(session: &mut postgres::Client, model: &str, text: &str) -> f64 {
    let query = "SELECT (ecommerce_ml.predict_probabilities($1, $2) ->> 'positive')::float8";
    session.query_one(query, &[&text, &model]).unwrap().get(0)
}

#[test]
fn they_answer_as_transformers_does_and_survive_a_restart() {
    // The reference has numbers of any text, in whatever script.
    let any_text = "SET ecommerce_ml.answer_unreadable = on";
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, any_text);
    for (model, architecture) in MODELS {
        let name = architecture;
        assert_eq!(import_reference(&cluster, &mut session, name, model), 1);
        let shown: String = ask(
            &mut session,
            &format!("SELECT architecture FROM ecommerce_ml.model_versions WHERE name = '{name}'"),
        );
        assert_eq!(shown, architecture);
        for (text, expected) in expected(model) {
            let found = positive(&mut session, name, &text);
            assert!((found - expected).abs() < 1e-4, "{model} {found} {expected} {text:?}");
        }
    }
    drop(session);
    cluster.stop(Shutdown::Fast);
    cluster.start();
    let mut session = cluster.session();
    run(&mut session, any_text);
    for (model, name) in MODELS {
        let (text, expected) = expected(model).swap_remove(0);
        assert!((positive(&mut session, name, &text) - expected).abs() < 1e-4);
    }
}

#[test]
fn only_their_heads_are_trained() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 200);
    for (model, name) in MODELS {
        import_reference(&cluster, &mut session, name, model);
        let with = |options: Value| {
            train("mine", "label", "classification", options).replace("'tiny'", &format!("'{name}'"))
        };
        let job: i64 = ask(&mut session, &with(json!({})));
        assert_eq!(wait(&mut session, job), "failed");
        let refused = said(&mut session, job);
        assert!(refused.contains("only the head can be trained"), "{refused}");
        assert!(refused.contains(r#"{"tuning": "head"}"#), "{refused}");
        let head =
            json!({ "tuning": "head", "num_train_epochs": 30, "learning_rate": 2e-2, "deploy": "always" });
        let job: i64 = ask(&mut session, &with(head));
        succeed(&mut session, job);
        let query = "SELECT ecommerce_ml.predict_class('this lovely phone 6', 'mine')";
        let answer: String = ask(&mut session, query);
        let folder = cluster.folder(&format!("export-{name}"));
        run(&mut session, &format!("SELECT ecommerce_ml.export_model('mine', '{}')", folder.display()));
        import(&mut session, &format!("{name}_copy"), &folder);
        assert_eq!(ask::<String>(&mut session, &query.replace("mine", &format!("{name}_copy"))), answer);
        run(&mut session, "SELECT ecommerce_ml.drop_model('mine')");
    }
}

#[test]
fn what_neither_we_nor_candle_compute_is_refused() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let folder = place_model(&cluster, MODELS[0].0, "unknown");
    edit_config(&folder, &[("model_type", json!("albert"))]);
    let statement = format!("SELECT ecommerce_ml.import_model('unknown', 'file://{}')", folder.display());
    let error = fails_with(&mut session, &statement, "0A000");
    let hint = error.hint().unwrap_or_default();
    assert!(
        hint.contains("deberta-v2") && hint.contains("modernbert") && hint.contains("electra"),
        "{error:?}"
    );
}
