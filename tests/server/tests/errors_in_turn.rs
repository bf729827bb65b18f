//! An error of a row that a statement doesn't come to is not raised, as it isn't row by row; and what is set or deployed
//! meanwhile is for the next statement.

use ecommerce_ml_server_tests::batches::{
    Asked, NODE, assert_batched, cluster_with_reviews, explain, set_batches,
};
use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

/// Rows 1 to 19 can be computed, row 20 raises an error: in the text of a call, in the model's name, in a condition below, in
/// a column beside it, in a function of the user's.
const FAILING: [&str; 9] = [
    "SELECT id, predict_class(body || 1 / (20 - id)) FROM ordered",
    "SELECT id, predict_class(body, model || left('', 1 / (20 - id))) FROM ordered",
    "SELECT id, predict_class(body) FROM ordered WHERE 1 / (20 - id) < 9",
    "SELECT id, predict_class(body), x FROM (SELECT *, 1 / (20 - id) AS x FROM ordered OFFSET 0) AS s",
    "SELECT id, predict_class(picky(id) || body) FROM ordered",
    "SELECT id FROM ordered WHERE predict_sentiment(body || 1 / (20 - id)) <> ''",
    "SELECT id, predict_class(upper(body)) FROM ordered WHERE predict_rating(body) / (20 - id) < 9",
    "SELECT id, predict_class(upper(body)) FROM ordered WHERE predict_class(body, CASE id WHEN 20 THEN 'nosuch' ELSE model END) <> ''",
    "SELECT id, predict_class(upper(body)) FROM ordered WHERE predict_class(body || repeat('x', CASE id WHEN 20 THEN 4194305 END)) IS NOT NULL OR id > 0",
];

fn prepared() -> (Cluster, Client) {
    let (cluster, mut session) = cluster_with_reviews();
    run(
        &mut session,
        "SET search_path = public, ecommerce_ml; CREATE VIEW ordered AS SELECT * FROM reviews ORDER BY id OFFSET 0; \
         CREATE FUNCTION picky(i int) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN \
         IF i = 20 THEN RAISE 'picky' USING ERRCODE = '22012'; END IF; RETURN ''; END $$; \
         CREATE FUNCTION taken(query text, most int) RETURNS int LANGUAGE plpgsql AS $$ DECLARE i int := 0; r record; \
         BEGIN FOR r IN EXECUTE query LOOP i := i + 1; EXIT WHEN i = most; END LOOP; RETURN i; END $$",
    );
    (cluster, session)
}

/// Whether statements succeed, and with which SQLSTATE they fail.
fn outcome(session: &mut Client, statements: &str) -> String {
    let outcome = match session.batch_execute(statements) {
        Ok(()) => "succeeds".to_owned(),
        Err(error) => error.code().map(|code| code.code().to_owned()).unwrap_or_default(),
    };
    let _ = session.batch_execute("ROLLBACK");
    outcome
}

#[test]
fn errors_wait_for_their_row() {
    let (_cluster, mut session) = prepared();
    let mut wrong = Vec::new();
    for query in FAILING {
        assert_batched(&mut session, query);
        for (statement, succeeds) in [
            ("? LIMIT 19", Some(true)),
            ("? LIMIT 20", Some(false)),
            ("? LIMIT 3 OFFSET 16", Some(true)),
            ("? LIMIT 3 OFFSET 17", Some(false)),
            ("SELECT EXISTS (?)", Some(true)),
            ("SELECT 1 WHERE EXISTS (? OFFSET 18)", Some(true)),
            ("SELECT 1 WHERE EXISTS (? OFFSET 19)", Some(false)),
            ("SELECT s.* FROM (? LIMIT 19) AS s, generate_series(1, 2) AS n", Some(true)),
            ("SELECT s.* FROM (?) AS s JOIN generate_series(1, 2) AS n ON true LIMIT 38", None),
            ("SELECT s.* FROM (?) AS s JOIN generate_series(1, 2) AS n ON true LIMIT 39", None),
            ("CREATE TEMP TABLE made ON COMMIT DROP AS ? LIMIT 19", Some(true)),
            ("CREATE TEMP TABLE made ON COMMIT DROP AS ?", Some(false)),
            (
                "BEGIN; DECLARE c CURSOR FOR ?; FETCH c; FETCH 3 FROM c; FETCH 15 FROM c; CLOSE c; COMMIT",
                Some(true),
            ),
            ("BEGIN; DECLARE c CURSOR FOR ?; MOVE 19 FROM c; FETCH c", Some(false)),
            ("BEGIN; DECLARE c CURSOR FOR ? LIMIT 100; FETCH 19 FROM c; COMMIT", Some(true)),
            ("BEGIN; DECLARE c CURSOR FOR ? LIMIT 100; FETCH 20 FROM c", Some(false)),
            (
                "BEGIN; DECLARE c SCROLL CURSOR FOR ?; FETCH 19 FROM c; FETCH BACKWARD 5 FROM c; COMMIT",
                Some(true),
            ),
            ("SELECT taken($$?$$, 10)", Some(true)),
            ("SELECT taken($$?$$, 11)", Some(false)),
            ("DO $$ DECLARE r record; BEGIN ? INTO r; END $$", Some(true)),
            ("DO $$ BEGIN PERFORM 1 FROM (?) AS s; END $$", None),
            ("SELECT id FROM reviews WHERE id IN (SELECT id FROM (?) AS s WHERE id % 2 = 0 LIMIT 5)", None),
            (
                "SELECT r.id FROM reviews AS r WHERE EXISTS (SELECT FROM (?) AS s WHERE s.id = r.id) LIMIT 3",
                None,
            ),
            ("SELECT id, (SELECT max(s.id) FROM (? LIMIT 19) AS s) FROM reviews", None),
            ("SELECT (SELECT id FROM (?) AS s LIMIT 1)", None),
            ("?", Some(false)),
        ] {
            let statement = statement.replace('?', query);
            let outcomes = [true, false].map(|batches| {
                set_batches(&mut session, batches);
                outcome(&mut session, &statement)
            });
            set_batches(&mut session, true);
            let unexpected = succeeds.is_some_and(|succeeds| succeeds != (outcomes[0] == "succeeds"));
            if unexpected || outcomes[0] != outcomes[1] {
                let plan = explain(&mut session, &statement).unwrap_or_default();
                wrong.push(format!("{statement}\nwith batches, without: {outcomes:?}\n{plan}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// In steps through the protocol, as drivers with a fetch size do.
#[test]
fn a_portal_reads_what_it_is_asked_for() {
    let (_cluster, mut session) = prepared();
    for query in FAILING {
        let mut transaction = session.transaction().expect("a transaction begins");
        let portal = transaction.bind(query, &[]).expect("the query can be planned");
        for step in [1, 2, 10, 6] {
            let rows =
                transaction.query_portal(&portal, step).unwrap_or_else(|error| panic!("{query}\n{error:?}"));
            assert_eq!(rows.len(), usize::try_from(step).expect("a step forward"));
        }
        assert!(transaction.query_portal(&portal, 1).is_err(), "{query}");
    }
}

/// What can't fail is read ahead as before, and what can is read in windows where all of it is going to be read.
#[test]
fn requests_stay_few() {
    let (_cluster, mut session) = prepared();
    for (number, (query, most)) in [
        ("SELECT predict_rating(body || ?) FROM reviews", 15),
        ("SELECT predict_rating(body || ? || 1 / (1 + id)) FROM reviews", 15),
        ("SELECT predict_rating(body || ? || 1 / (1 + id)) FROM reviews LIMIT 100", 15),
        ("SELECT predict_rating(body || ? || 1 / (1 + id)) FROM reviews ORDER BY 1 LIMIT 100", 15),
        ("SELECT count(*) FROM reviews WHERE predict_rating(body || ? || 1 / (1 + id)) > 0", 15),
        ("SELECT id FROM reviews WHERE predict_class(body || ?) = '1 star' LIMIT 40", 15),
        ("SELECT id FROM reviews WHERE predict_class(upper(left(body, 30)) || ?) = '1 star' AND body LIKE '%e%' LIMIT 40", 15),
        ("SELECT id FROM reviews WHERE predict_rating(body || ? || 1 / (1 + id)) > 0 LIMIT 100", 15),
        ("SELECT r.id, predict_rating(r.body || ? || 1 / (1 + s.id)) FROM reviews AS r JOIN reviews AS s USING (id)", 15),
        ("CREATE TEMP TABLE t? AS SELECT predict_rating(body || ? || 1 / (1 + id)) FROM reviews", 15),
    ]
    .iter()
    .enumerate()
    {
        let query = query.replace("t?", &format!("t{number}")).replace('?', &format!("' in query {number}'"));
        let asked = Asked::by(&mut session, |session| run(session, &query));
        assert!(asked.texts >= 40 && asked.requests <= *most, "{query}: {asked:?}");
    }
    run(
        &mut session,
        "BEGIN; DECLARE c CURSOR FOR SELECT predict_rating(body || '?' || 1 / (1 + id)) FROM reviews",
    );
    let asked = Asked::by(&mut session, |session| run(session, "FETCH 100 FROM c; FETCH 100 FROM c"));
    assert!(asked.texts == 200 && asked.requests <= 12, "{asked:?}");
}

/// A model of other labels than the built-in one's, in a session whose batches are so.
fn with_model(batches: bool) -> (Cluster, Client) {
    let (cluster, mut session) = prepared();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    set_batches(&mut session, batches);
    (cluster, session)
}

#[test]
fn the_default_model_is_that_of_the_statements_beginning() {
    for batches in [true, false] {
        let (_cluster, mut session) = with_model(batches);
        for query in [
            "SELECT predict_class(body) LIKE '%star%' FROM reviews ORDER BY id",
            "SELECT predict_class(body) LIKE '%star%' FROM ordered WHERE predict_class(upper(body)) LIKE '%star%' OR id > 300",
            "SELECT (predict_class(ARRAY[body]))[1] LIKE '%star%' FROM ordered",
            "SELECT s.positive >= 0 FROM (SELECT id, (summarize_reviews(body)).positive FROM ordered GROUP BY id ORDER BY id) AS s",
            "SELECT (summarize_reviews(body) OVER (ORDER BY id ROWS 2 PRECEDING)).positive >= 0 FROM ordered",
        ] {
            let plan = explain(&mut session, query).unwrap_or_default();
            assert_eq!(plan.contains(NODE), batches && query.contains("(body) LIKE"), "{plan}");
            run(
                &mut session,
                &format!("BEGIN; DECLARE c NO SCROLL CURSOR FOR {query}; DECLARE late CURSOR FOR {query}"),
            );
            assert!(ask::<bool>(&mut session, "FETCH c"));
            run(&mut session, "SET LOCAL ecommerce_ml.default_model = 'shop'");
            for cursor in ["c", "late"] {
                let rows = session.query(&format!("FETCH 60 FROM {cursor}"), &[]).expect("rows are there");
                assert!(
                    rows.len() == 60 && rows.iter().all(|row| row.get::<_, bool>(0)),
                    "batches {batches}: {query}"
                );
            }
            // Other statements meanwhile use the new one.
            if query.contains("predict_class") {
                assert!(!ask::<bool>(
                    &mut session,
                    query
                        .trim_end_matches(" ORDER BY id")
                        .replace("FROM reviews", "FROM reviews LIMIT 1")
                        .replace("FROM ordered", "FROM ordered LIMIT 1")
                        .split(" WHERE")
                        .next()
                        .unwrap_or_default()
                ));
            }
            run(&mut session, "ROLLBACK");
        }
    }
}

#[test]
fn a_setting_of_a_function_holds_for_its_next_statement() {
    let (_cluster, mut session) = with_model(true);
    run(
        &mut session,
        "CREATE FUNCTION classes() RETURNS text[] LANGUAGE plpgsql AS $$ DECLARE one text; other text; third text; BEGIN \
         one := predict_class('fine'); PERFORM set_config('ecommerce_ml.default_model', 'shop', true); \
         other := predict_class('fine'); SELECT predict_class('fine') INTO third; RETURN ARRAY[one, other, third]; END $$",
    );
    for statement in ["SELECT classes()", "SELECT classes() FROM generate_series(1, 1)"] {
        run(&mut session, "BEGIN");
        let classes: Vec<String> = ask(&mut session, statement);
        run(&mut session, "ROLLBACK");
        assert!(classes[0].contains("star") && !classes[1].contains("star"), "{classes:?}");
        assert_eq!(classes[1], classes[2]);
    }
    run(&mut session, "BEGIN; SET LOCAL ecommerce_ml.default_model = 'shop'; SAVEPOINT s");
    assert!(!ask::<String>(&mut session, "SELECT predict_class('fine')").contains("star"));
    fails_with(&mut session, "SELECT predict_class('fine') FROM reviews WHERE 1 / (id - 150) < 2", "22012");
    run(&mut session, "ROLLBACK TO s; RESET ecommerce_ml.default_model");
    assert!(ask::<String>(&mut session, "SELECT predict_class('fine')").contains("star"));
}
