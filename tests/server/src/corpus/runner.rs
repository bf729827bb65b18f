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

/// A cluster whose server loads the library when it starts, with the corpus' tables.
pub fn preloaded_corpus_cluster() -> Cluster {
    let cluster = corpus_cluster();
    cluster.configure(&["shared_preload_libraries = 'ecommerce_ml'"]);
    cluster.restart();
    cluster
}

/// Comparisons, counted.
#[derive(Debug, Default)]
pub struct Tally {
    count: usize,
    found: Vec<Difference>,
}

impl Tally {
    /// Runs cases both ways in a session.
    pub fn compare<'a>(
        &mut self,
        session: &mut Client,
        circumstances: &str,
        cases: impl IntoIterator<Item = &'a Case>,
    ) {
        for case in cases {
            // One way warms the engine's memory for the other; both deserve a cold start.
            let batches_first = self.count % 3 != 2;
            set_batches(session, batches_first);
            let first = answers(session, case);
            set_batches(session, !batches_first);
            let second = answers(session, case);
            let (with, without) = if batches_first { (first, second) } else { (second, first) };
            self.note(session, circumstances, case, &with, &without);
        }
    }

    /// Runs cases both ways, each time in a session that hasn't loaded the library.
    pub fn compare_in_new_sessions<'a>(
        &mut self,
        cluster: &Cluster,
        cases: impl IntoIterator<Item = &'a Case>,
    ) {
        for case in cases {
            let with = answers(&mut cluster.session(), case);
            let mut session = cluster.session();
            set_batches(&mut session, false);
            let without = answers(&mut session, case);
            self.note(&mut session, "new sessions", case, &with, &without);
        }
    }

    fn note(
        &mut self,
        session: &mut Client,
        circumstances: &str,
        case: &Case,
        with: &[Answer],
        without: &[Answer],
    ) {
        self.count += 1;
        let Some(mut difference) = differences(case, with, without) else { return };
        set_batches(session, true);
        let plan = explain(session, &case.statements[difference.position]);
        difference.plan = plan.unwrap_or_default();
        difference.circumstances = circumstances.to_owned();
        self.found.push(difference);
    }

    /// Ends the comparisons.
    ///
    /// # Panics
    /// If answers differed, with all that did.
    pub fn assert_alike(self) {
        let Self { count, found } = self;
        println!("{count} cases, {} differ", found.len());
        let report = found.iter().fold(String::new(), |mut report, difference| {
            let _ = writeln!(report, "{difference}");
            report
        });
        assert!(found.is_empty(), "{} of {count} cases differ\n{report}", found.len());
    }
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
