//! Runs a case with batches and without.

use std::fmt::Write;
use std::io::Read;

use postgres::{Client, Error, SimpleQueryMessage};

use super::difference::{Difference, differences};
use super::{Case, TABLES};
use crate::batches::{explain, set_batches};
use crate::cluster::Cluster;
use crate::fixtures::{CLASSIFIER, import_reference};
use crate::statement::{describe, run};

/// Answers in f32 don't depend on what else is in a batch by more than rounding, and what was answered once is answered
/// from memory, so both runs must agree to the digit. Statistics don't change by themselves, so neither do plans.
const SETTINGS: [&str; 3] =
    ["ecommerce_ml.precision = 'f32'", "autovacuum = off", "search_path = 'public, ecommerce_ml'"];

/// SQLSTATE of an unknown model.
const UNDEFINED_OBJECT: &str = "42704";
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// What one statement said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Rows as text, and the number that the command's tag gives.
    Rows(Vec<Vec<Option<String>>>, u64),
    /// What was copied to the client, line by line.
    Copied(Vec<String>),
    /// What the server said: SQLSTATE, message, detail, hint.
    Failed(String),
}

/// A cluster with the corpus' tables.
pub fn corpus_cluster() -> Cluster {
    let cluster = Cluster::with_settings(&SETTINGS);
    let mut session = cluster.session();
    import_reference(&cluster, &mut session, "shop", CLASSIFIER);
    import_reference(&cluster, &mut session, "points", "bert-regression");
    run(&mut session, TABLES);
    cluster
}

/// Runs a case both ways, and says where the answers differ.
pub fn compare(session: &mut Client, case: &Case, batches_first: bool) -> Option<Difference> {
    set_batches(session, batches_first);
    let first = answers(session, case);
    set_batches(session, !batches_first);
    let second = answers(session, case);
    let (with, without) = if batches_first { (first, second) } else { (second, first) };
    let mut difference = differences(case, &with, &without)?;
    set_batches(session, true);
    difference.plan = explain(session, &case.statements[difference.position]).unwrap_or_default();
    Some(difference)
}

/// Runs the cases both ways.
///
/// # Panics
/// If any differ, with all that do.
pub fn assert_alike<'a>(session: &mut Client, what: &str, cases: impl IntoIterator<Item = &'a Case>) {
    let mut count = 0;
    let mut found = Vec::new();
    for case in cases {
        // One way warms the engine's memory for the other; both deserve a cold start.
        found.extend(compare(session, case, count % 3 != 2));
        count += 1;
    }
    println!("{what}: {count} cases, {} differ", found.len());
    let report = found.iter().fold(String::new(), |mut report, difference| {
        let _ = writeln!(report, "{difference}");
        report
    });
    assert!(found.is_empty(), "{what}: {} of {count} cases differ\n{report}", found.len());
}

/// Runs a case in a transaction of its own, whose changes are undone.
fn answers(session: &mut Client, case: &Case) -> Vec<Answer> {
    run(session, "BEGIN");
    let answers = case.statements.iter().map(|statement| answer(session, statement)).collect();
    // A case may have ended the transaction.
    run(session, "ROLLBACK");
    run(session, "CLOSE ALL");
    run(session, "DEALLOCATE ALL");
    run(session, "DISCARD PLANS");
    answers
}

fn answer(session: &mut Client, statement: &str) -> Answer {
    let answer = if statement.starts_with("COPY ") && statement.contains(" TO STDOUT") {
        copied(session, statement).map(Answer::Copied)
    } else {
        session.simple_query(statement).map(|messages| rows(&messages))
    };
    answer.unwrap_or_else(|error| failure(statement, &error))
}

fn copied(session: &mut Client, statement: &str) -> Result<Vec<String>, Error> {
    let mut text = String::new();
    // A failure of the server's amid the copy reaches us as one of reading.
    let read = session.copy_out(statement)?.read_to_string(&mut text);
    if let Err(error) = read {
        text = format!("{error}");
    }
    Ok(text.lines().map(str::to_owned).collect())
}

fn rows(messages: &[SimpleQueryMessage]) -> Answer {
    let mut rows = Vec::new();
    let mut count = 0;
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect());
            }
            SimpleQueryMessage::CommandComplete(number) => count = *number,
            _ => {}
        }
    }
    Answer::Rows(rows, count)
}

/// A failure as an answer.
///
/// # Panics
/// If it is one of the corpus: a statement that isn't SQL would be answered alike by any server.
fn failure(statement: &str, error: &Error) -> Answer {
    let said = error.as_db_error().unwrap_or_else(|| panic!("{statement}\n{error:?}"));
    let meant = matches!(said.code().code(), UNDEFINED_OBJECT | INSUFFICIENT_PRIVILEGE);
    assert!(meant || !said.code().code().starts_with("42"), "{statement}\n{}", describe(error));
    Answer::Failed(describe(error))
}
