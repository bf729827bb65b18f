//! Drift: of texts and rows, against other rows and against what a training has kept; who may see what of it.

use ecommerce_ml_server_tests::jobs::{options, prepare, submit, succeed};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::json;

/// Customers whose columns tell whether they leave, in no order.
const CUSTOMERS: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, visits int, spent numeric, plan text, \"Same \"\"one\"\"\" int, since date, churned text);
    CREATE FUNCTION add_customers(first int, last int) RETURNS void LANGUAGE sql AS $$
        INSERT INTO customers
        SELECT i, visits, CASE WHEN i % 17 > 0 THEN round(mod(abs(hashint4(i)), 9973) * 1.37, 2) END,
               (ARRAY['basic', 'plus', 'pro'])[1 + mod(abs(hashint4(i + 1)::bigint), 3)], 1, date '2024-01-01' + i,
               CASE WHEN visits < 5 THEN 'yes' ELSE 'no' END
        FROM generate_series(first, last) AS i, LATERAL (SELECT mod(abs(hashint4(i + 2)::bigint), 10) AS visits) AS v
    $$;
    SELECT add_customers(1, 1500)";

/// What has drifted, as `measure feature`, and what has not.
fn measured(session: &mut Client, arguments: &str) -> (Vec<String>, Vec<String>) {
    let names = |session: &mut Client, drifted: &str| -> Vec<String> {
        let query = format!(
            "SELECT coalesce(array_agg(concat_ws(' ', measure, feature)), '{{}}')
             FROM ecommerce_ml.measure_drift({arguments}) WHERE drifted IS {drifted}"
        );
        ask(session, &query)
    };
    (names(session, "TRUE"), names(session, "FALSE"))
}

/// Fails so, with a message that has these words.
fn refused(session: &mut Client, statement: &str, sqlstate: &str, words: &str) {
    let said = fails_with(session, statement, sqlstate);
    assert!(said.message().contains(words), "{said:?}");
}

#[test]
fn rows_drift_from_those_of_the_training() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, CUSTOMERS);
    let job: i64 = ask(
        &mut session,
        "SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', options => '{\"eval_fraction\": 0.2}',
                feature_columns => '{visits,spent,plan,\"Same \\\"one\\\"\",since}')",
    );
    succeed(&mut session, job);
    run(&mut session, "SELECT add_customers(1501, 2500)");
    let (drifted, steady) =
        measured(&mut session, "'churn', 'customers', current => 'id > 1500', label_column => 'churned'");
    assert_eq!(drifted, Vec::<String>::new());
    for measure in
        ["population_stability", "confidence", "accuracy", "unseen_categories plan", "null_share spent"]
    {
        assert!(steady.iter().any(|one| one == measure), "{measure} is not among {steady:?}");
    }
    assert!(!steady.iter().any(|one| one == "population_stability since"), "moments always move: {steady:?}");

    // Planted, one after the other, and gone again.
    for (change, measure) in [
        ("visits = 1", "population_stability"),
        ("visits = visits / 3", "population_stability visits"),
        ("spent = spent * 2 + 5000", "jensen_shannon spent"),
        ("spent = CASE WHEN id % 3 > 0 THEN spent END", "null_share spent"),
        ("plan = CASE WHEN id % 5 > 0 THEN plan ELSE 'gold' END", "unseen_categories plan"),
        ("\"Same \"\"one\"\"\" = 2", "population_stability Same \"one\""),
        ("churned = CASE WHEN id % 3 > 0 THEN churned ELSE 'a new word' END", "accuracy"),
    ] {
        run(&mut session, &format!("BEGIN; UPDATE customers SET {change} WHERE id > 1500"));
        let (drifted, _) =
            measured(&mut session, "'churn', 'customers', current => 'id > 1500', label_column => 'churned'");
        run(&mut session, "ROLLBACK");
        assert!(drifted.iter().any(|one| one == measure), "{change}: {drifted:?}");
    }
    // A change of the label's meaning is told with its interval.
    run(&mut session, "UPDATE customers SET churned = 'no' WHERE id > 2000");
    let told: bool = ask(
        &mut session,
        "SELECT value < -0.2 AND value BETWEEN lower AND upper AND current_value < baseline_value AND p_value < 1e-6
                AND (baseline_rows, current_rows) = (300, 500)
         FROM ecommerce_ml.measure_drift('churn', 'customers', current => 'id > 2000', label_column => 'churned')
         WHERE measure = 'accuracy'",
    );
    assert!(told);
    too_little_says_nothing(&mut session);
    only_what_a_role_may_see_is_read(&cluster, &mut session);
}

fn too_little_says_nothing(session: &mut Client) {
    for condition in ["id > 2480", "false"] {
        let (drifted, steady) = measured(session, &format!("'churn', 'customers', current => '{condition}'"));
        assert_eq!((drifted, steady), (Vec::new(), Vec::new()), "{condition}");
    }
    let empty: (i64, i64) = {
        let query = "SELECT baseline_rows, current_rows FROM ecommerce_ml.measure_drift('churn', 'customers', current => 'false')
                     WHERE measure = 'unanswered' AND value IS NULL";
        let row = session.query_one(query, &[]).unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!(empty, (300, 0));
    // Some of many rows, the same each time.
    let some: Vec<String> = ask(
        session,
        "SELECT array_agg(current_rows || ' ' || value) FROM ecommerce_ml.measure_drift('churn', 'customers', sample_rows => 200)
         WHERE measure = 'confidence'",
    );
    let rows: i64 = some[0].split(' ').next().unwrap().parse().unwrap();
    assert!((150..250).contains(&rows), "{some:?}");
}

fn only_what_a_role_may_see_is_read(cluster: &Cluster, session: &mut Client) {
    run(
        session,
        "CREATE ROLE analyst LOGIN; GRANT SELECT ON customers TO analyst; SELECT ecommerce_ml.grant_model('churn', 'analyst');
         ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON customers FOR SELECT TO analyst USING (id <= 400)",
    );
    let mut analyst = cluster.session_as("analyst", "postgres");
    let rows: i64 = ask(
        &mut analyst,
        "SELECT current_rows FROM ecommerce_ml.measure_drift('churn', 'customers') WHERE measure = 'unanswered'",
    );
    assert_eq!(rows, 400);
    refused(&mut analyst, "SELECT reference FROM ecommerce_ml.stored_version", "42501", "permission denied");
    run(session, "REVOKE SELECT ON customers FROM analyst");
    let call = "SELECT * FROM ecommerce_ml.measure_drift('churn', 'customers')";
    refused(&mut analyst, call, "42501", "permission denied for table customers");
}

#[test]
fn texts_drift_from_those_of_the_training() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 600);
    let job = submit(&mut session, "shop", json!({"deploy": "always"}));
    succeed(&mut session, job);
    let call = |current: &str| {
        format!("'shop', 'labelled', 'body', label_column => 'label', current => $c${current}$c$")
    };
    // Of rows that it was trained on, a model is surer than of others.
    run(&mut session, "SELECT fill(601, 1000)");
    let (drifted, steady) = measured(&mut session, &call("id > 600"));
    assert_eq!(drifted, Vec::<String>::new());
    let all = [
        "population_stability",
        "jensen_shannon",
        "unanswered",
        "confidence",
        "unknown_pieces",
        "embedding_distance",
        "accuracy",
    ];
    assert_eq!(steady, all);
    // Only what is bad is left.
    let (drifted, _) = measured(&mut session, &call("id > 600 AND label = 'bad'"));
    for measure in ["population_stability", "embedding_distance"] {
        assert!(drifted.iter().any(|one| one == measure), "{measure} is not among {drifted:?}");
    }
    run(&mut session, "UPDATE labelled SET body = NULL WHERE id > 600 AND id % 4 = 0");
    let (drifted, _) = measured(&mut session, &call("id > 600"));
    assert!(drifted.iter().any(|one| one == "unanswered"), "{drifted:?}");
    run(&mut session, "UPDATE labelled SET body = repeat('\u{4f60}\u{597d} ', 5) WHERE id > 600");
    let (drifted, _) = measured(&mut session, &call("id > 600"));
    assert!(drifted.iter().any(|one| one == "unknown_pieces" || one == "unanswered"), "{drifted:?}");

    // A version that replaces it is compared with its own training, which held out no row.
    let options = options(json!({"deploy": "always", "eval_fraction": 0}));
    let call = format!(
        "SELECT ecommerce_ml.train_model('shop', 'labelled', 'body', 'label', base => 'tiny', options => '{options}')"
    );
    let job: i64 = ask(&mut session, &call);
    succeed(&mut session, job);
    let call = "SELECT * FROM ecommerce_ml.measure_drift('shop', 'labelled', 'body')";
    refused(&mut session, call, "55000", "version 2 of model \"shop\" has no training reference");
    let (_, steady) = measured(&mut session, "'shop@1', 'labelled', 'body', current => 'id < 300'");
    assert!(!steady.is_empty());
}

#[test]
fn without_a_training_other_rows_are_the_baseline() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE reviews AS
         SELECT i AS id, (ARRAY['I love it', 'Works well', 'Broke after a day', 'Not worth the money', 'It is fine'])[1 + i % 5]
                || ' ' || i AS body, date '2026-01-01' + i AS created
         FROM generate_series(1, 300) AS i;
         INSERT INTO reviews SELECT i, 'Terrible, broke at once, I want my money back ' || i, date '2026-01-01' + i
         FROM generate_series(301, 400) AS i",
    );
    let call = |arguments: &str| {
        format!("SELECT * FROM ecommerce_ml.measure_drift('reviews', 'reviews', {arguments})")
    };
    let question =
        "'reviews', 'reviews', 'body', baseline => $$created < '2026-06-01' -- spring$$, current => 'id > ";
    let (drifted, _) = measured(&mut session, &format!("{question}300'"));
    for measure in ["population_stability", "jensen_shannon", "confidence", "embedding_distance"] {
        assert!(drifted.iter().any(|one| one == measure), "{measure} is not among {drifted:?}");
    }
    let (drifted, _) = measured(&mut session, &format!("{question}150 AND id <= 300'"));
    assert_eq!(drifted, Vec::<String>::new());
    for (arguments, sqlstate, message) in [
        ("'body'", "55000", "version 1 of model \"reviews\" has no training reference"),
        ("'body', baseline => ' '", "22023", "argument \"baseline\""),
        ("'body', baseline => 'id < 9', alpha => 1", "22023", "argument \"alpha\""),
        ("'body', baseline => 'id < 9', sample_rows => 0", "22023", "argument \"sample_rows\""),
        ("'nobody', baseline => 'id < 9'", "42703", "column \"nobody\""),
        ("baseline => 'id < 9'", "22023", "text_column"),
        ("'body', baseline => 'nothing < 9'", "42703", "column \"nothing\" does not exist"),
        ("'id', baseline => 'id < 9'", "42804", "column \"id\" is of type integer"),
    ] {
        refused(&mut session, &call(arguments), sqlstate, message);
    }
    let none: i64 =
        ask(&mut session, "SELECT count(*) FROM ecommerce_ml.measure_drift(NULL, 'reviews', 'body')");
    assert_eq!(none, 0);
}

fn outcome(session: &mut Client) -> String {
    ask(session, "SELECT last_outcome FROM ecommerce_ml.training_schedules WHERE name = 'churn'")
}

/// Runs the schedule; the number of the job, if there is one.
fn run_scheduled(session: &mut Client) -> Option<i64> {
    ask(session, "SELECT ecommerce_ml.run_scheduled_training('churn')")
}

fn schedule(session: &mut Client, conditions: &str) {
    run(
        session,
        &format!(
            "SELECT ecommerce_ml.schedule_training('churn', NULL, 'customers', label_column => 'churned',
                    feature_columns => '{{visits,spent,plan}}', options => '{{\"deploy\": \"always\", \"retrain_if\": {conditions}}}')"
        ),
    );
}

#[test]
fn a_schedule_trains_when_its_new_rows_have_drifted() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, CUSTOMERS);
    schedule(&mut session, r#"{"drift": 0.2, "new_rows": 2000, "older_than": "1 day"}"#);
    let job = run_scheduled(&mut session).expect("there is no version yet");
    succeed(&mut session, job);
    assert!(outcome(&mut session).contains("no live version: job "), "{}", outcome(&mut session));
    let mut listener = cluster.session();
    run(&mut listener, "LISTEN ecommerce_ml_alerts");

    // Too few, then enough of the same.
    run(&mut session, "SELECT add_customers(1501, 1510)");
    assert_eq!(run_scheduled(&mut session), None);
    let told = outcome(&mut session);
    let begins = "10 new rows; 10 of 2000 new rows, drift unknown, of too few new rows, live version is 00:0";
    assert!(told.starts_with(begins) && told.ends_with(" old, of 1 day: nothing to do"), "{told}");
    run(&mut session, "SELECT add_customers(1511, 1900)");
    assert_eq!(run_scheduled(&mut session), None);
    assert!(
        outcome(&mut session).contains(", which has not drifted, live version"),
        "{}",
        outcome(&mut session)
    );
    let measured: (i64, i64) = {
        let row = session
            .query_one(
                "SELECT count(*), count(*) FILTER (WHERE drifted) FROM ecommerce_ml.drift WHERE version = 1",
                &[],
            )
            .unwrap();
        (row.get(0), row.get(1))
    };
    assert!(measured.0 > 8 && measured.1 == 0, "{measured:?}");
    let alerts: i64 = ask(&mut session, "SELECT count(*) FROM ecommerce_ml.alerts");
    assert_eq!(alerts, 0);

    // What has drifted is told once, while it lasts.
    run(
        &mut session,
        "SELECT add_customers(1901, 2600); UPDATE customers SET visits = 1, churned = 'no' WHERE id > 1900",
    );
    run(&mut session, "BEGIN");
    let job = run_scheduled(&mut session).expect("drift makes it due");
    let first = outcome(&mut session);
    assert!(first.contains("drift of predictions") || first.contains("drift of \"visits\""), "{first}");
    assert!(first.ends_with(&format!(": job {job}")), "{first}");
    let alert: (String, String) = {
        let row = session.query_one(
            "SELECT message, kind FROM ecommerce_ml.alerts WHERE name = 'churn' AND alert = 1",
            &[],
        );
        let row = row.unwrap();
        (row.get(0), row.get(1))
    };
    assert!(
        alert.0.contains("population_stability of \"visits\"") && alert.0.contains("accuracy"),
        "{}",
        alert.0
    );
    assert_eq!(alert.1, "drift");
    run(&mut session, "ROLLBACK");
    schedule(&mut session, r#"{"drift": 50}"#);
    for _ in 0..2 {
        assert_eq!(run_scheduled(&mut session), None, "{}", outcome(&mut session));
        let alerts: i64 = ask(&mut session, "SELECT count(*) FROM ecommerce_ml.alerts");
        assert_eq!(alerts, 1);
    }
    told_once(&mut listener);
    only_those_of_a_schedule_see_it(&cluster, &mut session);
    refuses_mistakes(&mut session);
    run(&mut session, "SELECT ecommerce_ml.unschedule_training('churn')");
    let left: i64 = ask(&mut session, "SELECT count(*) FROM ecommerce_ml.stored_alert");
    assert_eq!(left, 0);
}

fn told_once(listener: &mut Client) {
    use postgres::fallible_iterator::FallibleIterator;
    run(listener, "SELECT 1");
    let told: Vec<String> =
        listener.notifications().iter().map(|one| Ok(one.payload().to_owned())).collect().unwrap();
    assert_eq!(told, [r#"{"alert":1,"kind":"drift","name":"churn"}"#]);
}

fn only_those_of_a_schedule_see_it(cluster: &Cluster, session: &mut Client) {
    run(session, "CREATE ROLE stranger LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats");
    for (role, seen) in [("stranger", false), ("monitor", true)] {
        let mut other = cluster.session_as(role, "postgres");
        let sees: bool = ask(
            &mut other,
            "SELECT EXISTS (SELECT FROM ecommerce_ml.drift) AND EXISTS (SELECT FROM ecommerce_ml.alerts)",
        );
        assert_eq!(sees, seen, "{role}");
    }
}

fn refuses_mistakes(session: &mut Client) {
    for conditions in ["{}", "3", r#"{"drift": 0}"#, r#"{"new_rows": 1.5}"#, r#"{"older": "1 day"}"#] {
        let call = format!(
            "SELECT ecommerce_ml.schedule_training('churn', NULL, 'customers', label_column => 'churned',
                    options => '{{\"retrain_if\": {conditions}}}')"
        );
        refused(session, &call, "22023", "retrain_if");
    }
    let call = "SELECT ecommerce_ml.schedule_training('churn', NULL, 'customers', label_column => 'churned',
                       options => '{\"retrain_if\": {\"older_than\": \"soon\"}}')";
    refused(session, call, "22007", "invalid input syntax for type interval");
    let call = "SELECT ecommerce_ml.train_model('other', 'customers', label_column => 'churned',
                       options => '{\"retrain_if\": {\"drift\": 1}}')";
    refused(session, call, "22023", "retrain_if");
}
