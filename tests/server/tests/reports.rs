//! Reports of reviews in SQL: what changed is found, what didn't is not; odd relations; rights; what is refused. And forecasts as pictures.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::jobs::succeed;
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::Value;

/// Reviews of four products over six months, 20 texts; those of the kettle in the last month mostly say that it leaks.
const SHOP: &str = "
CREATE TABLE shop (id int, product text, body text, written timestamptz, stars int);
INSERT INTO shop
SELECT i, (ARRAY['kettle', 'lamp', 'tent', 'mug'])[1 + i % 4],
       CASE WHEN i % 4 = 0 AND i / 160 = 5 AND i % 5 > 0
            THEN (ARRAY['It leaks. Water everywhere, terrible.', 'Leaks all over the counter, broken after a day.',
                        'Terrible, it leaks and smells.'])[1 + i % 3]
            WHEN hashint4(i * 31 + 7) % 5 = 0
            THEN (ARRAY['Broke after a week.', 'Terrible quality, do not buy it.', 'Awful, a waste of money.'])[1 + i % 3]
            ELSE (ARRAY['I love it!', 'Works perfectly, great quality.', 'Very good value for the money.',
                        'Beautiful colour, exactly what I wanted.'])[1 + abs(hashint4(i * 31 + 7)) % 4] END,
       timestamptz '2024-01-01 12:00+00' + (i / 160) * interval '1 month' + (i % 160) / 160.0 * interval '27 days', 0
FROM generate_series(0, 959) AS i;
UPDATE shop SET stars = CASE WHEN ecommerce_ml.predict_sentiment(body) = 'negative' THEN 1 + id % 2 ELSE 4 + id % 2 END;";

const REPORT: &str = "ecommerce_ml.report_reviews('shop', 'body', 'product', 'written', '{\"rating_column\": \"stars\", \"period\": \"month\", \"explain\": 0}')";

fn body(session: &mut Client, report: &str, section: &str) -> Value {
    let query =
        format!("SELECT coalesce(jsonb_agg(body), '[]')::text FROM {report} WHERE section = '{section}'");
    serde_json::from_str(&ask::<String>(session, &query)).expect("JSON")
}

fn kinds(session: &mut Client, report: &str) -> Vec<(String, String)> {
    let findings = body(session, report, "findings");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .as_array()
        .expect("an array")
        .iter()
        .map(|one| (text(&one["kind"]), text(&one["subject"])))
        .collect()
}

#[test]
fn a_planted_change_is_found_and_none_in_shuffled_reviews() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, SHOP);
    let found = kinds(&mut session, REPORT);
    for expected in
        [("stars", ""), ("product_stars", "kettle"), ("product_negative", "kettle"), ("word", "leaks")]
    {
        let expected = (expected.0.to_owned(), expected.1.to_owned());
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert!(
        !found.iter().any(|(_, subject)| ["lamp", "tent", "mug"].contains(&subject.as_str())),
        "{found:?}"
    );
    let overview = &body(&mut session, REPORT, "overview")[0];
    let facts = ["rows", "with_text", "sampled", "unread", "reviews_current", "reviews_before", "future"];
    assert_eq!(
        facts.map(|fact| overview[fact].as_i64()),
        [960, 960, 960, 0, 160, 160, 0].map(Some),
        "{overview}"
    );
    assert_eq!(
        (overview["current"]["label"].as_str(), overview["stars_source"].as_str()),
        (Some("June 2024"), Some("given"))
    );
    let mean: f64 = ask(&mut session, "SELECT avg(stars)::float8 FROM shop WHERE written >= '2024-06-01'");
    assert!((overview["stars"]["current"].as_f64().expect("a mean") - mean).abs() < 1e-9);
    let products = body(&mut session, REPORT, "products");
    assert_eq!((products[0]["product"].as_str(), products[0]["rank"].as_i64()), (Some("kettle"), Some(1)));
    assert_eq!(body(&mut session, REPORT, "periods").as_array().map(Vec::len), Some(6));
    let examples = body(&mut session, REPORT, "examples");
    assert!(
        examples[0]["text"].as_str().is_some_and(|text| text.to_lowercase().contains("leaks")),
        "{examples}"
    );

    // Each text is read once, and besides only clauses of topics.
    let no_topic = REPORT.replace("\"explain\"", "\"topics\": {\"none\": [\"xylophone\"]}, \"explain\"");
    let texts = "SELECT coalesce(sum(texts), 0)::bigint FROM ecommerce_ml.stat_models";
    let before: i64 = ask(&mut session, texts);
    ask::<i64>(&mut session, &format!("SELECT count(*) FROM {no_topic} AS r"));
    let read: i64 = ask::<i64>(&mut session, texts) - before;
    assert_eq!(read, ask::<i64>(&mut session, "SELECT count(DISTINCT body) FROM shop"));
    // The order of the rows is nothing.
    let first: String = ask(&mut session, &format!("SELECT string_agg(r::text, '|') FROM {REPORT} AS r"));
    run(
        &mut session,
        "CREATE TABLE other AS SELECT * FROM shop ORDER BY hashint4(id); DROP TABLE shop; ALTER TABLE other RENAME TO shop",
    );
    assert_eq!(
        ask::<String>(&mut session, &format!("SELECT string_agg(r::text, '|') FROM {REPORT} AS r")),
        first
    );

    run(
        &mut session,
        "CREATE TABLE shuffled AS SELECT s.product, s.body, s.stars, t.written
         FROM (SELECT *, row_number() OVER (ORDER BY hashint8(id * 7919)) AS n FROM shop) AS s
         JOIN (SELECT written, row_number() OVER (ORDER BY hashint8(id * 104729 + 1)) AS n FROM shop) AS t USING (n)",
    );
    let shuffled = REPORT.replace("'shop'", "'shuffled'");
    assert_eq!(kinds(&mut session, &shuffled), [("none".to_owned(), String::new())]);
    let sentence: String =
        ask(&mut session, &format!("SELECT title FROM {shuffled} WHERE section = 'findings'"));
    assert!(
        sentence.starts_with(
            "No change beyond chance between May 2024 and June 2024 (of all reviews: Welch's t-test, n = "
        ),
        "{sentence}"
    );

    // A part of the texts, each text or no text of which is read; counts and stars given stay those of all.
    let part = REPORT.replace("\"explain\"", "\"sample\": 90, \"explain\"");
    let overview = &body(&mut session, &part, "overview")[0];
    assert_eq!(
        (overview["sampled"].as_i64(), overview["stars"]["n_current"].as_i64()),
        (Some(90), Some(160)),
        "{overview}"
    );
    let page: String = ask(
        &mut session,
        "SELECT ecommerce_ml.render_report('shop', 'body', 'product', 'written', '{\"period\": \"month\", \"explain\": 6}')",
    );
    for expected in [
        "<!DOCTYPE html>",
        "June 2024, compared with May 2024",
        "role=\"img\"",
        "leaks",
        "What reviews praise and complain of",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(!page.contains("<script"));
}

#[test]
fn odd_relations() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        r#"SET timezone = 'Asia/Tokyo'; CREATE SCHEMA "odd ""one"; CREATE TABLE "odd ""one"."re'views" ("gone" int, "te""xt" text, "pro'duct" text, "wh en" date, "st ars" numeric);
           ALTER TABLE "odd ""one"."re'views" DROP COLUMN gone; CREATE VIEW v AS SELECT * FROM "odd ""one"."re'views""#,
    );
    let report = |options: &str| {
        format!(
            r#"ecommerce_ml.report_reviews('"odd ""one"."re''views"', 'te"xt', 'pro''duct', 'wh en', '{options}')"#
        )
    };
    let facts = |session: &mut Client, options: &str, facts: &[&str]| {
        let overview = &body(session, &report(options), "overview")[0];
        facts.iter().map(|fact| overview[fact].as_i64().unwrap_or(-1)).collect::<Vec<_>>()
    };
    let sections = format!("SELECT string_agg(section, ' ' ORDER BY section) FROM {}", report("{}"));
    assert_eq!(ask::<String>(&mut session, &sections), "findings method overview");
    let page = r#"SELECT ecommerce_ml.render_report('"odd ""one"."re''views"', 'te"xt', 'pro''duct', 'wh en', '{"rating_column": "st ars"}')"#;
    assert!(ask::<String>(&mut session, page).contains("There are no reviews to report on."));

    let insert = |session: &mut Client, rows: &str| {
        run(session, &format!(r#"INSERT INTO "odd ""one"."re'views" VALUES {rows}"#))
    };
    insert(&mut session, "(NULL, 'a', '2024-05-01', 5), ('  ', 'a', '2024-05-02', NULL)");
    assert_eq!(facts(&mut session, "{}", &["rows", "with_text", "sampled"]), [2, 0, 0]);
    insert(
        &mut session,
        r#"('Great! ]]>&"'' <script>alert(1)</script>', '<script>alert(2)</script>', '2024-05-03', 5)"#,
    );
    assert_eq!(
        facts(&mut session, "{}", &["rows", "sampled", "reviews_current", "reviews_before"]),
        [3, 1, 1, 1]
    );
    insert(
        &mut session,
        "('It broke.', NULL, '2024-05-03', 2), ('It broke.', 'a', NULL, 2), ('It broke.', 'a', 'infinity', 2), \
         ('It broke.', 'a', '4000-01-01', 2), ('这个很好，我非常喜欢这个产品', 'a', '2024-05-03', 'NaN'), ('No', 'a', '2024-05-03', 7)",
    );
    let options = r#"{"rating_column": "st ars", "period": "day"}"#;
    assert_eq!(
        facts(
            &mut session,
            options,
            &["rows", "without_time", "future", "unread", "stars_unusable", "without_product"]
        ),
        [9, 2, 1, 1, 2, 1]
    );
    let until = r#"{"until": "2024-05-02", "period": "day"}"#;
    assert_eq!(facts(&mut session, until, &["future", "reviews_current"]), [5, 1]);
    insert(&mut session, "('It broke.', 'a', '4712-01-01 BC', 2)");
    assert_eq!(facts(&mut session, "{}", &["rows"]), [10]);
    let page: String = ask(&mut session, page);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(2)"), "{page}");
    assert_eq!(
        ask::<i64>(
            &mut session,
            "SELECT count(*) FROM ecommerce_ml.report_reviews('v', 'te\"xt') WHERE section = 'products'"
        ),
        0
    );
    for call in ["(NULL, 'text')", "('v', NULL)"] {
        assert_eq!(
            ask::<i64>(&mut session, &format!("SELECT count(*) FROM ecommerce_ml.report_reviews{call}")),
            0
        );
        assert!(ask::<bool>(&mut session, &format!("SELECT ecommerce_ml.render_report{call} IS NULL")));
    }

    run(
        &mut session,
        "CREATE TABLE many (product int, body text, written date) PARTITION BY RANGE (written); \
         CREATE TABLE many1 PARTITION OF many FOR VALUES FROM ('2024-01-01') TO ('2024-02-01'); CREATE TABLE many2 PARTITION OF many DEFAULT; \
         INSERT INTO many SELECT i % 10000, CASE i % 9 WHEN 0 THEN 'It broke.' ELSE 'I love it!' END, date '2024-01-01' + i % 60 \
         FROM generate_series(1, 30000) AS i",
    );
    let many = "ecommerce_ml.report_reviews('many', 'body', 'product', 'written', '{\"period\": \"month\", \"sample\": 2000}')";
    let overview = &body(&mut session, many, "overview")[0];
    assert!(
        overview["products"].as_i64() > Some(9000) && overview["sampled"].as_i64() == Some(2000),
        "{overview}"
    );
    assert_eq!(body(&mut session, many, "products").as_array().map(Vec::len), Some(10));
}

#[test]
fn rights_and_mistakes() {
    let cluster = Cluster::new();
    let mut superuser = cluster.session();
    run(&mut superuser, SHOP);
    run(&mut superuser, "CREATE ROLE analyst LOGIN; GRANT SELECT (body, product) ON shop TO analyst");
    let mut analyst = cluster.session_as("analyst", "postgres");
    fails_with(&mut analyst, &format!("SELECT * FROM {REPORT}"), "42501");
    fails_with(
        &mut analyst,
        "SELECT ecommerce_ml.render_report('shop', 'body', 'product', 'written')",
        "42501",
    );
    let rows = |session: &mut Client| {
        body(session, "ecommerce_ml.report_reviews('shop', 'body', 'product')", "overview")[0]["rows"]
            .as_i64()
    };
    assert_eq!(rows(&mut analyst), Some(960), "columns that are not named need not be readable");
    run(
        &mut superuser,
        "ALTER TABLE shop ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON shop USING (product = 'mug')",
    );
    assert_eq!((rows(&mut analyst), rows(&mut superuser)), (Some(240), Some(960)));
    import_reference(&cluster, &mut superuser, "private", CLASSIFIER);
    import_reference(&cluster, &mut superuser, "value", "bert-regression");
    let with = |options: &str| {
        format!(
            "SELECT * FROM ecommerce_ml.report_reviews('shop', 'body', 'product', options => '{options}')"
        )
    };
    fails_with(&mut analyst, &with(r#"{"model": "private"}"#), "42501");

    let session = &mut superuser;
    let error = fails_with(session, &with(r#"{"colour": "blue"}"#), "22023");
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains("rating_column") && hint.contains("topics"), "{hint}");
    for wrong in [
        "[]",
        r#"{"period": "hour"}"#,
        r#"{"period": 3}"#,
        r#"{"until": "2024-02-30"}"#,
        r#"{"sample": 0}"#,
        r#"{"sample": 1000000}"#,
        r#"{"alpha": 0}"#,
        r#"{"alpha": "small"}"#,
        r#"{"products": 0}"#,
        r#"{"explain": -1}"#,
        r#"{"topics": []}"#,
        r#"{"topics": {}}"#,
        r#"{"topics": {"a": []}}"#,
        r#"{"topics": {"a": ["two  words"]}}"#,
        r#"{"topics": {"a": ["two-words"]}}"#,
        r#"{"topics": {"a": ["*"]}}"#,
        r#"{"title": 1}"#,
    ] {
        fails_with(session, &with(wrong), "22023");
    }
    for (wrong, sqlstate) in [
        (with(r#"{"rating_column": "nothing"}"#), "42703"),
        (with(r#"{"rating_column": "body"}"#), "42804"),
        (with(r#"{"model": "nothing"}"#), "42704"),
        (with(r#"{"model": "value"}"#), "22023"),
        ("SELECT * FROM ecommerce_ml.report_reviews('shop', 'nothing')".to_owned(), "42703"),
        ("SELECT * FROM ecommerce_ml.report_reviews('shop', 'stars')".to_owned(), "42804"),
        ("SELECT * FROM ecommerce_ml.report_reviews('shop', 'body', NULL, 'product')".to_owned(), "42804"),
        ("SELECT * FROM ecommerce_ml.report_reviews('nothing', 'body')".to_owned(), "42P01"),
    ] {
        fails_with(session, &wrong, sqlstate);
    }
    let private =
        "ecommerce_ml.report_reviews('shop', 'body', 'product', options => '{\"model\": \"private\"}')";
    let overview = &body(session, private, "overview")[0];
    assert!(overview["stars_source"].is_null() && overview["negative"]["n_current"] == 960, "{overview}");
    let topics = r#"{"topics": {"water": ["leak*", "water"], "feeling": ["I love"]}, "explain": 0}"#;
    let query = format!(
        "SELECT string_agg(title, ' ' ORDER BY title) FROM ({}) AS r WHERE section = 'topics'",
        with(topics)
    );
    assert_eq!(ask::<String>(session, &query), "feeling water");
    run(session, "SET statement_timeout = '1ms'");
    fails_with(session, &format!("SELECT * FROM {REPORT}"), "57014");
}

#[test]
fn a_topic_is_judged_by_its_clauses_in_english_and_chinese() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE mixed (product text, body text);
         INSERT INTO mixed VALUES
             ('dress', 'The dress looks beautiful, but delivery was terribly slow.'), ('dress', 'Gorgeous color, but it arrived three weeks late, awful.'),
             ('dress', 'I love the design. Shipping was a disaster.'), ('dress', 'Nothing to say.');
         CREATE TABLE chinese (product text, body text);
         INSERT INTO chinese VALUES
             ('裙子', '裙子很漂亮，但是物流太慢了，非常失望。'), ('裙子', '颜色很好看，但是快递态度极差，太慢了。'), ('裙子', '样子非常漂亮，我很喜欢。快递很差，等了三周。')",
    );
    for (relation, model) in [("mixed", "reviews"), ("chinese", "reviews_multilingual")] {
        let report = format!(
            "ecommerce_ml.report_reviews('{relation}', 'body', 'product', options => '{{\"model\": \"{model}\"}}')"
        );
        let topics = body(&mut session, &report, "topics");
        let of = |name: &str| {
            let rows = topics.as_array().expect("an array");
            let row =
                rows.iter().find(|row| row["topic"] == name).unwrap_or_else(|| panic!("{name}: {topics}"));
            (
                row["mentions"]["current"].as_f64(),
                row["negative"]["current"].as_f64(),
                row["negative"]["n_current"].as_i64(),
            )
        };
        let (look, delivery) = (of("look"), of("delivery"));
        assert!(look.1 < Some(0.4) && delivery.1 > Some(0.6), "{relation}: {topics}");
        assert_eq!((look.2, delivery.2), (Some(3), Some(3)), "{relation}: {topics}");
        let all = if relation == "mixed" { 0.75 } else { 1.0 };
        assert_eq!((look.0, delivery.0), (Some(all), Some(all)), "{relation}: {topics}");
        let products = body(&mut session, &report, "product_topics");
        assert_eq!(products[0]["topic"], "delivery", "{products}");
    }
}

#[test]
fn a_forecast_as_a_picture() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE orders AS SELECT 'p' || p AS product, p AS shop, timestamptz '2024-01-01 12:00+00' + d * interval '1 day' AS ordered,
                10 * p + (ARRAY[1, 2, 3, 4, 5, 9, 8])[1 + d % 7] AS quantity
         FROM generate_series(1, 2) AS p, generate_series(0, 83) AS d WHERE d <> 70",
    );
    let job: i64 = ask(
        &mut session,
        "SELECT ecommerce_ml.train_model('demand', 'orders', label_column => 'quantity', task => 'forecast',
                key_columns => '{product,shop}', time_column => 'ordered', options => '{\"deploy\": \"always\"}')",
    );
    succeed(&mut session, job);
    let plot = "SELECT ecommerce_ml.plot_forecast('demand', '{\"product\": \"p1\"}', 14)";
    let with_past: String = ask(&mut session, plot);
    for expected in
        ["<svg", "role=\"img\"", "demand: p1, 1", "class=\"interval\"", "56 values of the past", "2024-04-07"]
    {
        assert!(with_past.contains(expected), "{expected}: {with_past}");
    }
    // What training says of a gap: nothing was sold.
    let points = with_past
        .split("line history\" d=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default();
    assert_eq!((points.matches('M').count(), points.matches('L').count()), (1, 55), "{points}");
    for (call, is_null) in
        [("'demand', '{\"product\": \"p3\"}'", true), ("NULL", true), ("'demand', '{\"shop\": 2}'", false)]
    {
        assert_eq!(
            ask::<bool>(&mut session, &format!("SELECT ecommerce_ml.plot_forecast({call}) IS NULL")),
            is_null,
            "{call}"
        );
    }
    for (call, sqlstate) in [
        ("'demand'", "22023"),
        ("'demand', '{\"shop\": 1}', 0", "22023"),
        ("'demand', '{\"shop\": 1}', 5, 1", "22023"),
        ("'demand', '{\"colour\": 1}'", "22023"),
        ("'nothing'", "42704"),
        ("'reviews'", "42809"),
    ] {
        fails_with(&mut session, &format!("SELECT ecommerce_ml.plot_forecast({call})"), sqlstate);
    }
    // Who may ask the model, but not read the rows, gets no past.
    run(&mut session, "CREATE ROLE analyst LOGIN; SELECT ecommerce_ml.grant_model('demand', 'analyst')");
    let without: String = ask(&mut cluster.session_as("analyst", "postgres"), plot);
    assert!(without.contains("0 values of the past") && without.contains("class=\"interval\""), "{without}");
    run(&mut session, "DROP TABLE orders");
    assert_eq!(ask::<String>(&mut session, plot), without);
}
