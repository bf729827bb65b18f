//! Statements in number, to be answered alike with and without batches.
//!
//! # Layout
//! - [`calls`]: puts calls and texts where a template asks for them.
//! - [`random`]: SELECTs put together at random.
//! - [`generator`]: numbers that are the same in every run.
//! - [`runner`]: runs a case with batches and without.
//! - [`difference`]: what two runs of a case disagree about.
//!
//! The templates are in `tests/server/corpus/`, a theme a file: titled blocks with a blank line between them. Invariant: a
//! seed gives the same statements on every machine, so that a failure can be run again.

pub mod calls;
pub mod difference;
pub mod generator;
pub mod random;
pub mod runner;

use generator::Generator;

/// Tables, views, functions and roles that the statements use.
pub const TABLES: &str = include_str!("../../corpus/tables.sql");

/// Tables, views and functions for statements that read rows.
pub const CUSTOMERS: &str = include_str!("../../corpus/customers.sql");

const ROWS: &str = include_str!("../../corpus/rows.sql");

const SHAPES: [&str; 5] = [
    include_str!("../../corpus/clauses.sql"),
    include_str!("../../corpus/aggregates.sql"),
    include_str!("../../corpus/joins.sql"),
    include_str!("../../corpus/sources.sql"),
    include_str!("../../corpus/guards.sql"),
];

const STATEMENTS: [&str; 2] =
    [include_str!("../../corpus/changes.sql"), include_str!("../../corpus/statements.sql")];

/// Statements that run one after the other in a transaction.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is special about it.
    pub title: String,
    /// In the order they run.
    pub statements: Vec<String>,
    /// Whether rows are compared in their order: the query's ORDER BY is total.
    pub ordered: bool,
    /// Whether the answer depends on the order in which a plan delivers rows, as that of a LIMIT without ORDER BY does.
    /// The same plan must give the same answer, parallel workers need not.
    pub arbitrary: bool,
}

impl Case {
    fn parse(block: &str) -> Option<Self> {
        let (title, rest) = block.trim().strip_prefix("-- ")?.split_once('\n')?;
        let statements: Vec<String> = rest
            .lines()
            .filter(|line| !line.starts_with("--"))
            .map(|line| line.trim_end_matches(';').to_owned())
            .collect();
        let case = Self {
            title: title.trim_end_matches(" [ordered]").trim_end_matches(" [arbitrary]").to_owned(),
            ordered: title.ends_with(" [ordered]"),
            arbitrary: title.ends_with(" [arbitrary]"),
            statements,
        };
        (!case.statements.is_empty()).then_some(case)
    }

    fn expanded(mut self, generator: &mut Generator) -> Self {
        for statement in &mut self.statements {
            *statement = calls::expand(statement, generator);
        }
        self
    }
}

/// One SELECT of every shape.
pub fn shapes(seed: u64) -> Vec<Case> {
    expanded(&SHAPES, seed)
}

/// Everything but a single SELECT.
pub fn statements(seed: u64) -> Vec<Case> {
    expanded(&STATEMENTS, seed)
}

/// What reads rows, of [`CUSTOMERS`].
pub fn rows() -> Vec<Case> {
    ROWS.split("\n\n").filter_map(Case::parse).collect()
}

/// Distinct SELECTs put together at random.
pub fn mixtures(seed: u64, count: usize) -> Vec<Case> {
    let mut generator = Generator::new(seed);
    let mut cases: Vec<Case> = Vec::with_capacity(count);
    while cases.len() < count {
        let case = random::select(&mut generator);
        if !cases.iter().any(|known| known.statements == case.statements) {
            cases.push(case);
        }
    }
    cases
}

fn expanded(files: &[&str], seed: u64) -> Vec<Case> {
    let mut generator = Generator::new(seed);
    let blocks = files.iter().flat_map(|file| file.split("\n\n"));
    blocks.filter_map(Case::parse).map(|case| case.expanded(&mut generator)).collect()
}
