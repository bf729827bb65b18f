//! Answers to questions like earlier ones: the right ones, for whom they are, and what can't be compared refused.

use std::time::Instant;

use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

/// Questions and answers, with two questions of one answer, and rows that can't be an answer.
const FAQ: &str = "CREATE TABLE faq (id int, question text, answer text);
    INSERT INTO faq VALUES
        (1, 'How do I return an item?', 'Send it back within 30 days.'),
        (2, 'Can I send shoes back that do not fit?', 'Send it back within 30 days.'),
        (3, 'When will my parcel arrive?', 'Within three working days.'),
        (4, 'Do you ship to Norway?', 'Yes, to all of Europe.'),
        (5, 'How do I change my password?', 'In your account, under security.'),
        (6, 'Which cards can I pay with?', 'Visa and Mastercard.'),
        (7, 'Is there a warranty on lamps?', 'Two years.'),
        (8, '订单什么时候到货', '三天之内。'),
        (9, '怎么退货', '三十天之内寄回。'),
        (10, NULL, 'Nobody asked.'), (11, 'Unanswered?', NULL), (12, ' ', 'Blank.')";

fn with_faq() -> (Cluster, Client) {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(&mut session, FAQ);
    (cluster, session)
}

/// The answers to a question, the best first, with more arguments as SQL has them.
fn answers(session: &mut Client, question: &str, more: &str) -> Vec<String> {
    let query = format!(
        "SELECT coalesce(array_agg(answer ORDER BY rank), '{{}}')
         FROM ecommerce_ml.match_answers($1, 'faq', 'question', 'answer'{more})"
    );
    session.query_one(&query, &[&question]).unwrap_or_else(|error| panic!("{query}\n{error:?}")).get(0)
}

const RETURN: &str = "Send it back within 30 days.";

#[test]
fn the_answer_of_the_likest_question_comes_first() {
    let (_cluster, mut session) = with_faq();
    for (question, answer) in [
        ("how can I return my item", RETURN),
        ("SHOES that do not fit: can I send them back?", RETURN),
        ("when does the parcel arrive", "Within three working days."),
        ("forgot my password, how do I change it", "In your account, under security."),
        ("我的订单什么时候到", "三天之内。"),
        ("想退货", "三十天之内寄回。"),
    ] {
        let found = answers(&mut session, question, ", min_confidence => 0");
        assert_eq!(found.first().map(String::as_str), Some(answer), "{question}: {found:?}");
        assert_eq!(found.len(), 5, "{question}");
        assert!(found.iter().skip(1).all(|other| other != answer), "an answer twice: {found:?}");
    }
    // The same question again is sure, one of something else has no answer, unless the nearest is asked for.
    assert_eq!(answers(&mut session, "How do I return an item?", ", count => 1"), [RETURN]);
    let other = "tell me a joke about quantum physics";
    assert!(answers(&mut session, other, "").is_empty());
    assert_eq!(answers(&mut session, other, ", min_confidence => 0, count => 100").len(), 8);
    let none = format!(
        "SELECT (SELECT answer FROM ecommerce_ml.match_answers('{other}', 'faq', 'question', 'answer', 1)) IS NULL"
    );
    assert!(ask::<bool>(&mut session, &none));
    // Scores say why.
    let scores = "SELECT matched_question = 'How do I return an item?' AND rank = 1 AND semantic_score > 0.9 AND lexical_score > 0.7
                     AND abs(score - (0.7 * lexical_score + 0.3 * semantic_score)) < 1e-6 AND confidence BETWEEN 0.5 AND 1
                  FROM ecommerce_ml.match_answers('how do I return an item', 'faq', 'question', 'answer') LIMIT 1";
    assert!(ask::<bool>(&mut session, scores));
    // Words alone ask no model; embeddings alone find what has no word in common.
    assert_eq!(
        answers(&mut session, "warranty", ", model => 'missing', lexical_weight => 1, min_confidence => 0"),
        ["Two years."]
    );
    let alone = answers(
        &mut session,
        "Is there a guarantee for a light?",
        ", lexical_weight => 0, min_confidence => 0",
    );
    assert_eq!(alone.len(), 5);
    // A question of stop words only is compared by its embedding.
    let stopped = ", min_confidence => 0, config => 'english'";
    assert_eq!(answers(&mut session, "how do I", stopped).len(), 5);
    assert!(answers(&mut session, "how do I", &format!("{stopped}, lexical_weight => 1")).is_empty());
    assert_eq!(answers(&mut session, "returning items", stopped)[0], RETURN, "stems are alike");
}

#[test]
fn questions_and_columns_of_any_kind() {
    let (_cluster, mut session) = with_faq();
    // Nothing asked, nothing to find.
    for (question, more) in [("", ""), (" \n\u{200b}", ""), ("lamp", ", config => NULL")] {
        assert!(answers(&mut session, question, more).is_empty(), "{question:?}{more}");
    }
    for call in [
        "NULL, 'faq', 'question', 'answer'",
        "'lamp', NULL, 'question', 'answer'",
        "'lamp', 'faq', NULL, 'answer'",
        "'lamp', 'faq', 'question', NULL",
    ] {
        assert_eq!(
            ask::<i64>(&mut session, &format!("SELECT count(*) FROM ecommerce_ml.match_answers({call})")),
            0
        );
    }
    run(&mut session, "CREATE TABLE nothing (LIKE faq)");
    let nothing = "SELECT count(*) FROM ecommerce_ml.match_answers('lamp', 'nothing', 'question', 'answer', min_confidence => 0)";
    assert_eq!(ask::<i64>(&mut session, nothing), 0);
    // Defaults by NULL are those by leaving out; long questions, and many.
    assert_eq!(
        answers(&mut session, "How do I return an item?", ", NULL, NULL, NULL, NULL, NULL")[0],
        RETURN
    );
    let long = format!(
        "{} How do I return an item?",
        "I bought a lamp in the shop around the corner. ".repeat(4000)
    );
    assert!(!answers(&mut session, &long, ", min_confidence => 0").is_empty());
    let many = "SELECT count(*) FROM faq, LATERAL ecommerce_ml.match_answers(question, 'faq', 'question', 'answer', 1) AS a
                WHERE a.answer = faq.answer AND id < 10";
    assert_eq!(ask::<i64>(&mut session, many), 9);
    // Names and types of any kind; similar past cases by their number.
    run(
        &mut session,
        "CREATE SCHEMA \"my shop\"; CREATE TABLE \"my shop\".\"past \"\"cases\" (gone int, \"the case\" int, \"What they said\" varchar(80));
         ALTER TABLE \"my shop\".\"past \"\"cases\" DROP gone;
         INSERT INTO \"my shop\".\"past \"\"cases\" SELECT id, question FROM faq;
         CREATE FUNCTION public.hashtextextended(text, int) RETURNS bigint LANGUAGE sql AS 'SELECT 1 / 0';
         CREATE FUNCTION public.\"left\"(text, int) RETURNS text LANGUAGE sql AS 'SELECT 1 / 0'",
    );
    let case = "SELECT answer::int FROM ecommerce_ml.match_answers('lamps with a warranty', '\"my shop\".\"past \"\"cases\"', 'What they said', 'the case', 1)";
    run(&mut session, "SET search_path = public, pg_catalog");
    assert_eq!(ask::<i32>(&mut session, case), 7);
    run(&mut session, "RESET search_path");
    // Refused.
    let call = |rest: &str| format!("SELECT ecommerce_ml.match_answers('lamp', 'faq', {rest})");
    for rest in [
        "min_confidence => 1.1",
        "min_confidence => 'NaN'",
        "lexical_weight => -1",
        "count => 0",
        "config => 1::regconfig",
    ] {
        fails_with(&mut session, &call(&format!("'question', 'answer', {rest}")), "22023");
    }
    fails_with(&mut session, &call("'id', 'answer'"), "42804");
    fails_with(&mut session, &call("'question', 'missing'"), "42703");
    fails_with(&mut session, &call("'question', 'answer', embedding_column => 'question'"), "42804");
    fails_with(&mut session, &call("'question', 'answer', model => 'missing'"), "42704");
    fails_with(
        &mut session,
        "SELECT ecommerce_ml.match_answers('lamp', 1::regclass, 'question', 'answer')",
        "42P01",
    );
}

#[test]
fn kept_embeddings_stand_for_computed_ones() {
    let (_cluster, mut session) = with_faq();
    run(
        &mut session,
        "ALTER TABLE faq ADD single real[], ADD double float8[], ADD narrow real[];
         UPDATE faq SET single = ecommerce_ml.embed(question), narrow = '{1,2,3}';
         UPDATE faq SET double = (SELECT array_agg(7 * x) FROM unnest(single) AS x);
         UPDATE faq SET single = NULL WHERE id % 2 = 0",
    );
    // Also where some rows have none yet, and whatever their length.
    let found = |column: &str| {
        format!(
            "SELECT string_agg(concat_ws(' ', answer, round(score::numeric, 4)), ';' ORDER BY rank)
             FROM ecommerce_ml.match_answers('send back a parcel', 'faq', 'question', 'answer', 9, {column}, min_confidence => 0)"
        )
    };
    let computed: String = ask(&mut session, &found("NULL"));
    for column in ["'single'", "'double'"] {
        assert_eq!(ask::<String>(&mut session, &found(column)), computed, "{column}");
    }
    let refused = fails_with(&mut session, &found("'narrow'"), "22023");
    assert!(refused.message().contains("3 numbers") && refused.hint().is_some(), "{refused:?}");
    for wrong in ["NaN", "Infinity", "NULL"] {
        run(
            &mut session,
            &format!(
                "UPDATE faq SET single[5] = {} WHERE id = 1",
                if wrong == "NULL" { wrong.to_owned() } else { format!("'{wrong}'") }
            ),
        );
        fails_with(&mut session, &found("'single'"), "22023");
    }
    run(&mut session, "UPDATE faq SET single = array_fill(0::real, ARRAY[384])");
    // No direction is no similarity: what has no word in common is no answer either.
    assert_eq!(ask::<String>(&mut session, &found("'single'")).matches(';').count(), 2);
}

#[test]
fn a_kept_column_of_the_questions_is_used_without_being_named() {
    let (cluster, mut session) = with_faq();
    let found = "SELECT string_agg(concat_ws(' ', answer, round(score::numeric, 4)), ';' ORDER BY rank)
                 FROM ecommerce_ml.match_answers('send back a parcel', 'faq', 'question', 'answer', 9, min_confidence => 0)";
    // Which answers there are, and how many texts a model was asked for.
    let asked = |session: &mut Client| -> (String, i64) {
        let texts =
            "SELECT coalesce(sum(texts), 0)::bigint FROM ecommerce_ml.stat_models WHERE name = 'reviews'";
        let before: i64 = ask(session, texts);
        let answers = ask(session, found);
        (answers, ask::<i64>(session, texts) - before)
    };
    let (computed, texts) = asked(&mut session);
    assert!(texts > 9, "{texts}");
    run(&mut session, "SELECT ecommerce_ml.keep_column('faq', 'The vector', 'ecommerce_ml.embed(question)')");
    run(&mut session, "SELECT ecommerce_ml.refresh_column('faq', 'The vector')");
    // The engine may count a text a little later than it answers.
    let (answers, texts) = asked(&mut session);
    assert!(answers == computed && texts <= 1, "{texts} {answers}");
    // What another version has written is computed, also where a call names the column.
    run(
        &mut session,
        "ALTER TABLE faq DISABLE TRIGGER USER; UPDATE faq SET \"The vector\" = '{1,2}', \"The vector_model\" = 'other@3' WHERE id < 3",
    );
    let (answers, texts) = asked(&mut session);
    assert!(answers == computed && (1..=4).contains(&texts), "{texts} {answers}");
    let named = found.replace("9, min", "9, 'The vector', min");
    assert_eq!(ask::<String>(&mut session, &named), computed);
    // Nobody has to be able to read it; by words alone nothing is read.
    run(&mut session, "CREATE ROLE agent LOGIN; GRANT SELECT (question, answer) ON faq TO agent");
    assert_eq!(ask::<String>(&mut cluster.session_as("agent", "postgres"), found), computed);
    let words = found.replace("min_conf", "lexical_weight => 1, model => 'missing', min_conf");
    assert!(ask::<String>(&mut session, &words).starts_with("Send"));
}

/// A relation with kept embeddings as arrays and as pgvector's; `None` where that isn't installed.
fn with_vectors() -> Option<(Cluster, Client)> {
    let (cluster, mut session) = with_faq();
    let installed = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')";
    if !ask::<bool>(&mut session, installed) {
        println!("pgvector is not installed");
        return None;
    }
    run(
        &mut session,
        "CREATE SCHEMA \"the Vectors\"; CREATE EXTENSION vector SCHEMA \"the Vectors\"; SELECT setseed(0.5);
         CREATE TABLE many (id int, question text, answer text, kept real[], near \"the Vectors\".vector(384));
         INSERT INTO many (id, question, answer) SELECT i, 'question ' || i, 'answer ' || i % 500 FROM generate_series(1, 3000) AS i;
         UPDATE many SET kept = (SELECT array_agg(random() - 0.5) FROM generate_series(1, 384 + 0 * id));
         UPDATE many SET kept = NULL WHERE id % 100 = 0;
         UPDATE many SET near = kept::\"the Vectors\".vector; ANALYZE many",
    );
    Some((cluster, session))
}

/// What is found by a column, and how many scans of an index that took.
fn by_column(session: &mut Client, column: &str) -> (Vec<String>, i64) {
    let mut transaction = session.transaction().expect("none is open");
    let query = format!(
        "SELECT coalesce(array_agg(concat_ws(' ', answer, matched_question, round(score::numeric, 5), round(semantic_score::numeric, 5)) ORDER BY rank), '{{}}')
         FROM ecommerce_ml.match_answers('may I send it back', 'many', 'question', 'answer', 5, '{column}', lexical_weight => 0, min_confidence => 0)"
    );
    let found = transaction.query_one(&query, &[]).expect("it is answered").get(0);
    let scans = "SELECT coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables WHERE relname = 'many'";
    let scans = transaction.query_one(scans, &[]).expect("it is answered").get(0);
    (found, scans)
}

#[test]
fn an_index_of_pgvector_finds_what_comparing_all_rows_does() {
    let Some((cluster, mut session)) = with_vectors() else { return };
    let (expected, scans) = by_column(&mut session, "kept");
    assert_eq!((expected.len(), scans), (5, 0));
    // Without an index all rows are read as they are for an array.
    assert_eq!(by_column(&mut session, "near"), (expected.clone(), 0));
    // All lists are looked into, so nothing is passed over.
    run(
        &mut session,
        "CREATE INDEX lists ON many USING ivfflat (near \"the Vectors\".vector_cosine_ops) WITH (lists = 10);
         SET enable_seqscan = off; SET ivfflat.probes = 10",
    );
    let (found, scans) = by_column(&mut session, "near");
    assert!(found == expected && scans > 0, "{scans} {found:?} {expected:?}");
    // Settings are as they were, and where words count all rows are read.
    assert_eq!(ask::<String>(&mut session, "SELECT current_setting('enable_indexscan')"), "on");
    let words = |column: &str| {
        format!(
            "SELECT string_agg(answer || confidence, ';' ORDER BY rank)
             FROM ecommerce_ml.match_answers('question 77', 'many', 'question', 'answer', 3, '{column}')"
        )
    };
    assert_eq!(ask::<String>(&mut session, &words("near")), ask::<String>(&mut session, &words("kept")));
    // Rows that the caller may see, which an index doesn't know of.
    run(
        &mut session,
        "CREATE ROLE agent LOGIN; GRANT SELECT ON many TO agent; GRANT USAGE ON SCHEMA \"the Vectors\" TO agent;
         ALTER TABLE many ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON many USING (id < 40)",
    );
    let mut agent = cluster.session_as("agent", "postgres");
    let few = by_column(&mut agent, "kept").0;
    assert!(few.len() == 5 && few != expected, "{few:?}");
    assert_eq!(by_column(&mut agent, "near").0, few);
    // Few answers with many rows each.
    run(&mut session, "UPDATE many SET answer = 'one of ' || id % 3");
    assert_eq!(by_column(&mut session, "near").0, by_column(&mut session, "kept").0);
    let hnsw = "SELECT EXISTS (SELECT FROM pg_am WHERE amname = 'hnsw')";
    if ask::<bool>(&mut session, hnsw) {
        run(
            &mut session,
            "UPDATE many SET answer = id; DROP INDEX lists; CREATE INDEX ON many USING hnsw (near \"the Vectors\".vector_cosine_ops)",
        );
        let (expected, (found, scans)) = (by_column(&mut session, "kept").0, by_column(&mut session, "near"));
        let same = found.iter().filter(|one| expected.contains(one)).count();
        assert!(scans > 0 && same >= 3, "{scans} {found:?} {expected:?}");
    }
}

#[test]
fn rows_are_read_as_the_caller() {
    let (cluster, mut superuser) = with_faq();
    run(&mut superuser, "CREATE ROLE agent LOGIN; CREATE VIEW shown AS TABLE faq");
    let mut agent = cluster.session_as("agent", "postgres");
    let call = "SELECT count(*) FROM ecommerce_ml.match_answers('return an item', 'faq', 'question', 'answer', 100, min_confidence => 0)";
    fails_with(&mut agent, call, "42501");
    fails_with(&mut agent, &call.replace("'faq'", "'shown'"), "42501");
    run(&mut superuser, "GRANT SELECT (question, answer) ON faq TO agent");
    assert_eq!(ask::<i64>(&mut agent, call), 8);
    run(&mut superuser, "ALTER TABLE faq ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON faq USING (id < 4)");
    assert_eq!(ask::<i64>(&mut agent, call), 2);
    assert_eq!(ask::<i64>(&mut superuser, &call.replace("'faq'", "'shown'")), 8);
    // Reading and embedding can be stopped.
    run(
        &mut superuser,
        "CREATE VIEW endless AS SELECT 'question ' || i AS question, i AS answer FROM generate_series(1, 100000000) AS i;
         SET statement_timeout = '1s'",
    );
    for weight in [0.7, 1.0] {
        let start = Instant::now();
        let call = format!(
            "SELECT ecommerce_ml.match_answers('question', 'endless', 'question', 'answer', lexical_weight => {weight})"
        );
        fails_with(&mut superuser, &call, "57014");
        assert!(start.elapsed().as_secs() < 8, "{:?}", start.elapsed());
    }
}
