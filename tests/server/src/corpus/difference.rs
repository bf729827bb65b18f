//! What two runs of a case disagree about, in words that fit on a screen.

use std::fmt;

use super::Case;
use super::runner::Answer;

const MOST_ROWS: usize = 4;
const MOST_CHARACTERS: usize = 160;

/// A disagreement.
#[derive(Debug, Clone)]
pub struct Difference {
    title: String,
    statements: Vec<String>,
    /// The first statement that was answered otherwise.
    pub position: usize,
    with: String,
    without: String,
    /// How the case was run.
    pub circumstances: String,
    /// Of that statement, with batches.
    pub plan: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "---- {} ({})", self.title, self.circumstances)?;
        for statement in &self.statements[..=self.position] {
            writeln!(f, "{statement};")?;
        }
        writeln!(f, "with batches:\n{}without:\n{}{}", self.with, self.without, self.plan)
    }
}

/// Where the answers first differ, if they do.
pub fn differences(case: &Case, with: &[Answer], without: &[Answer]) -> Option<Difference> {
    let pairs = with.iter().zip(without).enumerate();
    let (position, with, without) = pairs
        .map(|(position, (with, without))| (position, comparable(case, with), comparable(case, without)))
        .find(|(_, with, without)| with != without)?;
    Some(Difference {
        title: case.title.clone(),
        statements: case.statements.clone(),
        position,
        with: beside(&with, &without, case.ordered),
        without: beside(&without, &with, case.ordered),
        circumstances: String::new(),
        plan: String::new(),
    })
}

fn comparable(case: &Case, answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    if !case.ordered {
        match &mut answer {
            Answer::Rows(rows, _) => rows.sort(),
            Answer::Copied(lines) => lines.sort(),
            Answer::Failed(_) => {}
        }
    }
    answer
}

/// What is special of an answer beside another one.
fn beside(answer: &Answer, other: &Answer, ordered: bool) -> String {
    match answer {
        Answer::Failed(said) => format!("  {said}\n"),
        Answer::Copied(lines) => {
            format!("  {} lines\n{}", lines.len(), special(lines, &copied(other), ordered))
        }
        Answer::Rows(rows, count) => {
            let (rows, other) = (shown(rows), shown_rows(other));
            format!("  {} rows, tag {count}\n{}", rows.len(), special(&rows, &other, ordered))
        }
    }
}

fn copied(answer: &Answer) -> Vec<String> {
    if let Answer::Copied(lines) = answer { lines.clone() } else { Vec::new() }
}

fn shown_rows(answer: &Answer) -> Vec<String> {
    if let Answer::Rows(rows, _) = answer { shown(rows) } else { Vec::new() }
}

fn shown(rows: &[Vec<Option<String>>]) -> Vec<String> {
    let value = |value: &Option<String>| value.as_deref().unwrap_or("NULL").to_owned();
    rows.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join(" | ")).collect()
}

/// The first rows that the other answer lacks, or has in another place.
fn special(rows: &[String], other: &[String], ordered: bool) -> String {
    let mut left = other.to_vec();
    let mut special = Vec::new();
    for (position, row) in rows.iter().enumerate() {
        let same = if ordered {
            other.get(position) == Some(row)
        } else {
            let known = left.iter().position(|candidate| candidate == row);
            known.map(|found| left.swap_remove(found)).is_some()
        };
        if !same {
            special.push((position, row));
        }
    }
    let lines =
        special.iter().take(MOST_ROWS).map(|(position, row)| format!("  {position}: {}\n", shortened(row)));
    let more = special.len().saturating_sub(MOST_ROWS);
    lines.collect::<String>() + &if more > 0 { format!("  and {more} more\n") } else { String::new() }
}

fn shortened(row: &str) -> String {
    if row.chars().count() <= MOST_CHARACTERS {
        return row.to_owned();
    }
    row.chars().take(MOST_CHARACTERS).chain("...".chars()).collect()
}
