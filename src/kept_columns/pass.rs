//! All stale rows of a table, one batch after another, the newest first.
//!
//! Rows lie about in the order of their age, so a pass goes from the table's end to its beginning; what moves meanwhile is found by
//! the next. Invariant: a pass ends, whatever is written meanwhile, and whatever can't be scored.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::batch::{self, Scored, Selection};
use super::definition::Kept;
use crate::background::transaction;
use crate::catalog::jobs::Failure;
use crate::guc;

/// Blocks that are looked through in one transaction. Each batch looks through all of a chunk, so chunks are small where many rows are
/// stale, as after a deployment, and large where few are.
const CHUNK: RangeInclusive<u32> = 64..=4096;
/// A chunk is to have so many batches at most.
const MOST_BATCHES: u32 = 4;
/// Rows of the first batch.
const FIRST_ROWS: u32 = 64;
/// A batch is made smaller if the last took longer, and larger if it took less than half of it.
const LONGEST_BATCH: Duration = Duration::from_millis(500);
/// Rows of a batch that aren't made fewer because it took long: what is the same for every batch would take most of the time.
const FEWEST_ROWS: u32 = 16;
/// Rows that may fail one after another before a pass is given up.
const MAX_FAILURES: u32 = 5;

/// Whoever a pass reports to, and is held back by.
pub trait Observer {
    /// A batch has been scored, in so much time.
    fn scored(&mut self, rows: u64, time: Duration);

    /// A row can't be scored.
    fn failed(&mut self, place: &str, message: &str);

    /// Before the next batch: whether the pass is to go on.
    fn goes_on(&mut self) -> bool;
}

/// Whether other rows would fail as well: it was cancelled, met another transaction, or finds names that are gone.
fn is_of_no_row(sqlstate: &str) -> bool {
    sqlstate == "57014" || sqlstate.starts_with("40") || sqlstate.starts_with("42")
}

/// How a pass ended.
#[derive(Debug, Default)]
pub struct PassResult {
    pub written: u64,
    /// Why a row has no answer, if one could not be scored.
    pub failure: Option<Failure>,
}

/// Goes through a table once.
pub fn run(kept: &Kept, observer: &mut impl Observer) -> PassResult {
    let mut pass = Pass {
        kept,
        observer,
        rows: FIRST_ROWS,
        blocks: *CHUNK.start(),
        failed: Vec::new(),
        in_a_row: 0,
        result: PassResult::default(),
    };
    match transaction(|| batch::blocks(kept)) {
        Ok(blocks) => drop(pass.over(blocks)),
        Err(failure) => pass.result.failure = Some(failure),
    }
    pass.result
}

/// Whether a table has a stale row.
///
/// # Errors
/// As [`batch::is_stale`].
pub fn is_stale(kept: &Kept) -> Result<bool, Failure> {
    transaction(|| batch::is_stale(kept))
}

/// A pass is over before it has come to the table's beginning.
struct GivenUp;

struct Pass<'a, O> {
    kept: &'a Kept,
    observer: &'a mut O,
    /// Of the next batch.
    rows: u32,
    /// Of the next chunk.
    blocks: u32,
    /// Places of rows that can't be scored.
    failed: Vec<String>,
    in_a_row: u32,
    result: PassResult,
}

impl<O: Observer> Pass<'_, O> {
    fn over(&mut self, blocks: u32) -> Result<(), GivenUp> {
        let mut end = blocks;
        while end > 0 {
            let start = end.saturating_sub(self.blocks);
            let batches = self.chunk(start, end)?;
            self.blocks = next_chunk(self.blocks, batches);
            end = start;
        }
        Ok(())
    }

    /// Scores what is stale in some blocks. Returns how many batches that took.
    fn chunk(&mut self, start: u32, end: u32) -> Result<u32, GivenUp> {
        let mut batches = 0;
        loop {
            batches += 1;
            if !self.observer.goes_on() {
                return Err(GivenUp);
            }
            let began = Instant::now();
            let rows = self.rows.min(self.most_rows());
            let selection = Selection { blocks: start..end, rows, without: &self.failed };
            match transaction(|| batch::score(self.kept, &selection)) {
                Ok(scored) => {
                    self.note(scored, began.elapsed());
                    // What is left was locked, and is looked for again by the next pass.
                    if scored.found < u64::from(rows) || scored.written == 0 {
                        return Ok(batches);
                    }
                }
                Err(failure) => self.isolate(start, end, rows, failure)?,
            }
        }
    }

    fn most_rows(&self) -> u32 {
        let setting = u32::try_from(guc::batch_size()).unwrap_or(u32::MAX);
        self.kept.definition.recipe.batch_rows.unwrap_or(setting).min(setting)
    }

    fn note(&mut self, scored: Scored, time: Duration) {
        self.in_a_row = 0;
        self.result.written += scored.written;
        if scored.found > 0 {
            self.observer.scored(scored.written, time);
        }
        if time > LONGEST_BATCH {
            self.rows = (self.rows / 2).max(FEWEST_ROWS.min(self.rows));
        } else if time < LONGEST_BATCH / 2 {
            self.rows = self.rows.saturating_mul(2).min(self.most_rows());
        }
    }

    /// Looks for the row that a batch failed of, and leaves it out.
    fn isolate(&mut self, start: u32, end: u32, rows: u32, failure: Failure) -> Result<(), GivenUp> {
        let is_of_no_row = is_of_no_row(&failure.sqlstate);
        let message = failure.message.clone();
        self.result.failure = Some(failure);
        if is_of_no_row {
            return Err(GivenUp);
        }
        if rows > 1 {
            self.rows = rows / 2;
            return Ok(());
        }
        self.in_a_row += 1;
        if self.in_a_row >= MAX_FAILURES {
            return Err(GivenUp);
        }
        let selection = Selection { blocks: start..end, rows: 1, without: &self.failed };
        match transaction(|| batch::place(self.kept, &selection)) {
            Ok(Some(place)) => {
                self.observer.failed(&place, &message);
                self.failed.push(place);
            }
            _ => return Err(GivenUp),
        }
        Ok(())
    }
}

/// Blocks of the next chunk, after one of so many.
fn next_chunk(blocks: u32, batches: u32) -> u32 {
    let next = match batches {
        0 | 1 => blocks.saturating_mul(2),
        2..=MOST_BATCHES => blocks,
        _ => blocks / 2,
    };
    next.clamp(*CHUNK.start(), *CHUNK.end())
}
