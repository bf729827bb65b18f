//! What SQL returns is what `transformers` computed: tests/reference, through import, upload and engine.

use std::fs;

use ecommerce_ml_server_tests::fixtures::import_reference;
use ecommerce_ml_server_tests::installation::repository;
use ecommerce_ml_server_tests::{Cluster, ask};
use postgres::Client;
use serde_json::Value;

/// Differences of probabilities, values and components of embeddings; the engine's own tests are stricter.
const TOLERANCE: f64 = 1e-4;

/// Names of the models that have expected numbers.
fn names() -> Vec<String> {
    let entries =
        fs::read_dir(repository().join("tests/reference/expected")).expect("there are expected numbers");
    let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> =
        files.filter_map(|file| file.strip_suffix(".json").map(str::to_owned)).collect();
    names.sort();
    names
}

fn expected(name: &str) -> Value {
    let path = repository().join(format!("tests/reference/expected/{name}.json"));
    let text = fs::read_to_string(path).expect("expected numbers can be read");
    serde_json::from_str(&text).expect("expected numbers are JSON")
}

/// Rows of numbers as a function of an array of texts gives them.
fn rows(session: &mut Client, expression: &str, model: &str, texts: &Value) -> Vec<Vec<f64>> {
    let texts: Vec<&str> = texts.as_array().expect("texts").iter().filter_map(Value::as_str).collect();
    let query = format!("SELECT {expression}").replace("MODEL", model);
    let result = session.query_one(&query, &[&texts]).unwrap_or_else(|error| panic!("{model}: {error:?}"));
    numbers(&result.get(0))
}

fn numbers(rows: &Value) -> Vec<Vec<f64>> {
    let row = |row: &Value| match row {
        Value::Array(row) => row.iter().filter_map(Value::as_f64).collect(),
        row => row.as_f64().into_iter().collect(),
    };
    rows.as_array().expect("rows").iter().map(row).collect()
}

#[track_caller]
fn assert_close(what: &str, computed: &[Vec<f64>], wanted: &[Vec<f64>]) {
    assert_eq!(computed.len(), wanted.len(), "{what}");
    for (row, (computed, wanted)) in computed.iter().zip(wanted).enumerate() {
        assert_eq!(computed.len(), wanted.len(), "{what}, text {row}");
        let close = computed.iter().zip(wanted).all(|(a, b)| (a - b).abs() < TOLERANCE);
        assert!(close, "{what}, text {row}\ncomputed {computed:?}\nexpected {wanted:?}");
    }
}

#[test]
fn imported_models_compute_what_transformers_does() {
    let cluster =
        Cluster::with_settings(&["ecommerce_ml.precision = 'f32'", "ecommerce_ml.answer_unreadable = on"]);
    let mut session = cluster.session();
    let names = names();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let model = name.replace('-', "_");
        if name != "reviews" {
            import_reference(&cluster, &mut session, &model, &name);
        }
        check(&mut session, &name, &model);
    }
}

fn check(session: &mut Client, name: &str, model: &str) {
    let expected = expected(name);
    let texts = &expected["texts"];
    let ids = rows(session, "ecommerce_ml.token_ids($1::text[], 'MODEL')", model, texts);
    // Expected ids are those of texts that fit into one window.
    let max_length = expected["max_length"].as_u64().expect("a length") as usize;
    let fitting = numbers(&expected["token_ids"]);
    for (computed, wanted) in ids.iter().zip(&fitting).filter(|(_, wanted)| wanted.len() < max_length) {
        assert_eq!(computed, wanted, "{name}");
    }
    let embeddings = rows(session, "ecommerce_ml.embed($1::text[], 'MODEL')", model, texts);
    assert_close(name, &embeddings, &numbers(&expected["embeddings"]));
    let task = "SELECT task FROM ecommerce_ml.model_versions WHERE name = 'MODEL'".replace("MODEL", model);
    let outputs = match ask::<String>(session, &task).as_str() {
        "classification" => {
            "(SELECT jsonb_agg((SELECT jsonb_agg(row -> label ORDER BY place) \
             FROM ecommerce_ml.model_versions, unnest(labels) WITH ORDINALITY AS l(label, place) \
             WHERE name = 'MODEL') ORDER BY number) \
             FROM unnest(ecommerce_ml.predict_probabilities($1::text[], 'MODEL')) WITH ORDINALITY AS r(row, number))"
        }
        "regression" => "to_jsonb(ecommerce_ml.predict_value($1::text[], 'MODEL'))",
        _ => return,
    };
    assert_close(name, &rows(session, outputs, model, texts), &numbers(&expected["probabilities"]));
    if let Some(long) = expected.get("long") {
        assert_close(name, &rows(session, outputs, model, &long["texts"]), &numbers(&long["probabilities"]));
        let embeddings = rows(session, "ecommerce_ml.embed($1::text[], 'MODEL')", model, &long["texts"]);
        assert_close(name, &embeddings, &numbers(&long["embeddings"]));
    }
}
