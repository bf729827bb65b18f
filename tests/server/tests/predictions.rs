//! What SQL returns is what the engine computed, and what the reference computed before it.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::Value;

const FUNCTIONS: [&str; 9] = [
    "tokenize",
    "token_ids",
    "token_count",
    "predict_sentiment",
    "predict_sentiment_score",
    "predict_rating",
    "predict_class",
    "predict_probabilities",
    "embed",
];

/// Any value as JSON, so that all functions can be compared alike.
fn json(session: &mut Client, expression: &str) -> Value {
    ask(session, &format!("SELECT coalesce(to_jsonb({expression}), 'null')"))
}

/// Whether two answers are the same up to rounding; a batch may sum in another order.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            (a.as_f64().unwrap_or(f64::NAN) - b.as_f64().unwrap_or(f64::NAN)).abs() < 1e-4
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}

#[test]
fn arrays_answer_as_single_calls_do() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let texts =
        ["'great, I love it'", "NULL", "'terrible, it broke at once'", "''", "'  '", "repeat('so so ', 700)"];
    for function in FUNCTIONS {
        let alone: Vec<Value> = texts
            .iter()
            .map(|text| json(&mut session, &format!("ecommerce_ml.{function}({text}::text)")))
            .collect();
        let together =
            json(&mut session, &format!("ecommerce_ml.{function}(ARRAY[{}]::text[])", texts.join(", ")));
        assert!(alike(&together, &Value::Array(alone.clone())), "{function}\n{together}\n{alone:?}");
    }
}

#[test]
fn empty_arrays_and_nulls() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    for function in FUNCTIONS {
        assert_eq!(
            json(&mut session, &format!("ecommerce_ml.{function}('{{}}'::text[])")),
            serde_json::json!([])
        );
        for call in ["NULL::text", "NULL::text[]", "'x', NULL", "ARRAY['x'], NULL"] {
            assert_eq!(
                json(&mut session, &format!("ecommerce_ml.{function}({call})")),
                Value::Null,
                "{function}({call})"
            );
        }
    }
}

#[test]
fn arrays_longer_than_a_batch_keep_their_order() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, "SET ecommerce_ml.batch_size = 7");
    let counts: Vec<i32> = ask(
        &mut session,
        "SELECT ecommerce_ml.token_count((SELECT array_agg(repeat('word ', i)) FROM generate_series(1, 60) AS i))",
    );
    assert_eq!(counts, (3..63).collect::<Vec<i32>>());
}

#[test]
fn arrays_of_several_dimensions_or_other_bounds_are_read_in_order() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let shifted = "SELECT ecommerce_ml.token_count('[3:4]={a,b c}'::text[])";
    assert_eq!(ask::<Vec<i32>>(&mut session, shifted), [3, 4]);
}

#[test]
fn probabilities_sum_to_one_and_agree_with_the_class() {
    // Some are in letters or signs that the model has not learned.
    let cluster = Cluster::with_settings(&["ecommerce_ml.answer_unreadable = on"]);
    let mut session = cluster.session();
    for text in ["I love it", "it broke", "it is a box", "日本語のレビュー", "👍👍👍", "a\u{0301}"]
    {
        let probabilities = json(&mut session, &format!("ecommerce_ml.predict_probabilities('{text}')"));
        let probabilities = probabilities.as_object().expect("an object").clone();
        let sum: f64 = probabilities.values().filter_map(Value::as_f64).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{text}: {sum}");
        let best =
            probabilities.iter().max_by(|a, b| a.1.as_f64().partial_cmp(&b.1.as_f64()).expect("no NaN"));
        let class: String = ask(&mut session, &format!("SELECT ecommerce_ml.predict_class('{text}')"));
        assert_eq!(best.map(|(label, _)| label.as_str()), Some(class.as_str()));
    }
}

#[test]
fn scores_ratings_and_embeddings_stay_in_their_ranges() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    for text in ["I love it", "it broke", "it is a box", "x"] {
        let score: f32 = ask(&mut session, &format!("SELECT ecommerce_ml.predict_sentiment_score('{text}')"));
        let rating: f32 = ask(&mut session, &format!("SELECT ecommerce_ml.predict_rating('{text}')"));
        let vector: Vec<f32> = ask(&mut session, &format!("SELECT ecommerce_ml.embed('{text}')"));
        let norm: f32 = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        assert!((-1.0..=1.0).contains(&score) && (1.0..=5.0).contains(&rating), "{text}: {score}, {rating}");
        assert!((norm - 1.0).abs() < 1e-3, "{text}: {norm}");
    }
    let good: f32 =
        ask(&mut session, "SELECT ecommerce_ml.predict_rating('Perfect. I love it, best I ever bought!')");
    let bad: f32 = ask(
        &mut session,
        "SELECT ecommerce_ml.predict_rating('Terrible. It broke at once, I want my money back')",
    );
    assert!(good > bad + 1.0, "{good} is not much better than {bad}");
}

#[test]
fn only_databases_in_utf8_are_served() {
    let cluster = Cluster::new();
    run(&mut cluster.session(), "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    fails_with(&mut cluster.session_in("latin"), "CREATE EXTENSION ecommerce_ml", "0A000");
    // What the client speaks doesn't matter.
    let mut session = cluster.session();
    let query = r"SELECT ecommerce_ml.token_ids(U&'un caf\00e9 tr\00e8s agr\00e9able')";
    let expected: Vec<i32> = ask(&mut session, query);
    run(&mut session, "SET client_encoding = 'LATIN1'");
    assert_eq!(ask::<Vec<i32>>(&mut session, query), expected);
}

/// Reviews with two aspects each.
const TWO_ASPECTS: &str = "CREATE TABLE \"odd Schema\".\"re views\" AS
    SELECT n AS id, format('The price of number %s is great, but the delivery was terrible.', n) AS \"the Body\"
    FROM generate_series(1, 200) AS n";

#[test]
fn aspects_work_wherever_a_function_may_stand() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, "CREATE SCHEMA \"odd Schema\"");
    run(&mut session, TWO_ASPECTS);
    let from = "\"odd Schema\".\"re views\" AS r";
    for query in [
        format!("SELECT count(*) FROM {from}, LATERAL ecommerce_ml.predict_aspects(r.\"the Body\")"),
        format!("SELECT count(*) FROM (SELECT ecommerce_ml.predict_aspects(\"the Body\") FROM {from}) AS s"),
        format!(
            "SELECT count(*) FROM {from} LEFT JOIN LATERAL ecommerce_ml.predict_aspects(r.\"the Body\", '{{delivery,price}}') AS a
             ON a.sentiment IS NOT NULL"
        ),
        format!(
            "SELECT sum(n)::bigint FROM {from}, LATERAL (SELECT count(*) AS n FROM ecommerce_ml.predict_aspects(\"the Body\", NULL, 'reviews@1')) AS a"
        ),
    ] {
        assert_eq!(ask::<i64>(&mut session, &query), 400, "{query}");
    }
    let aspects = session.prepare(
        "SELECT string_agg(aspect || ' ' || sentiment, ', ' ORDER BY start) FROM ecommerce_ml.predict_aspects($1, $2)",
    );
    let aspects = aspects.expect("a statement can be prepared");
    let text = "Great price, slow delivery";
    for _ in 0..7 {
        let row = session.query_one(&aspects, &[&text, &None::<Vec<String>>]).expect("it runs");
        assert_eq!(row.get::<_, &str>(0), "price positive, delivery negative");
        let row = session.query_one(&aspects, &[&text, &Some(vec!["Price"])]).expect("it runs");
        assert_eq!(row.get::<_, &str>(0), "Price positive");
    }
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    run(&mut session, "CREATE ROLE guest LOGIN");
    let foreign = "SELECT count(*) FROM ecommerce_ml.predict_aspects('Nothing to say', model => 'shop')";
    assert_eq!(ask::<i64>(&mut session, foreign), 0);
    let mut guest = cluster.session_as("guest", "postgres");
    fails_with(&mut guest, foreign, "42501");
    // What a relation's rows say is read with the privileges of whoever asks, row by row.
    let reviews = "SELECT coalesce(max(reviews), 0) FROM ecommerce_ml.summarize_aspects('\"odd Schema\".\"re views\"', 'the Body')";
    assert_eq!(ask::<i64>(&mut session, reviews), 200);
    run(&mut session, "GRANT USAGE ON SCHEMA \"odd Schema\" TO guest");
    fails_with(&mut guest, reviews, "42501");
    run(
        &mut session,
        "GRANT SELECT ON \"odd Schema\".\"re views\" TO guest; ALTER TABLE \"odd Schema\".\"re views\" ENABLE ROW LEVEL SECURITY;
         CREATE POLICY few ON \"odd Schema\".\"re views\" USING (id <= 70)",
    );
    assert_eq!(ask::<i64>(&mut guest, reviews), 70);
}

#[test]
fn aspects_of_a_huge_text_end_with_the_statement() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let long = "repeat('the price is fair and 质量也好 but shipping was slow ', 2000)";
    let found: i64 = ask(
        &mut session,
        &format!(
            "SELECT count(*) FROM ecommerce_ml.predict_aspects({long}) AS a
             WHERE position(CASE aspect WHEN 'price' THEN 'price' WHEN 'quality' THEN '质量' ELSE 'shipping' END IN substr({long}, start, length)) > 0"
        ),
    );
    assert!(found >= 5900, "{found} of 6000 aspects");
    run(&mut session, "SET statement_timeout = '1s'");
    let endless = "SELECT count(*) FROM generate_series(1, 100000) AS n,
        ecommerce_ml.predict_aspects(format('The price of number %s is great, but the delivery was terrible.', n))";
    fails_with(&mut session, endless, "57014");
    run(&mut session, "RESET statement_timeout");
    fails_with(
        &mut session,
        "SELECT * FROM ecommerce_ml.predict_aspects(repeat('price ', 1000000))",
        "54000",
    );
}
