//! Rows that members of an ensemble were trained on. What a model says of rows that it has learned from is too good, so that an ensemble that
//! learned from such rows would believe the members that learned them by heart, and be measured too well.
//!
//! It must not know how members are put together. Invariant: of a member whose training left fingerprints, no row that was part of that
//! training is learned from or measured on, whichever of them the training held out. Of rows that are alike in the columns that a member reads, which of
//! them it knows can't be told and makes no difference to it: as many as it was trained on are left out.

use ecommerce_ml_protocol::training::{Objective, TrainingRows};
use ecommerce_ml_protocol::{Field, Input, Rows, Values, is_blank};

use super::members::Members;
use super::row_fingerprints::RowFingerprints;
use super::rows::shortened;
use crate::catalog::arguments::Arguments;
use crate::catalog::resolve::Resolved;
use crate::catalog::{trained_rows, versions};
use crate::error::Error;

/// Rows that members know.
#[derive(Default)]
pub struct KnownRows {
    members: Vec<KnownTo>,
    /// Members that were trained here, on rows that nobody knows any more or can find among these.
    pub unknown: Vec<String>,
}

/// Rows that a member knows.
struct KnownTo {
    fingerprints: RowFingerprints,
    reads: MemberReads,
    /// Whether they have a time there.
    has_time: bool,
}

/// What a member reads of a row.
enum MemberReads {
    Text(String),
    Columns(Vec<Field>),
}

impl KnownRows {
    /// Those of the members of a training with these arguments.
    ///
    /// # Errors
    /// When our tables can't be read.
    pub fn of(members: &Members, arguments: &Arguments, task: Objective) -> Result<Self, Error> {
        let mut known = Self::default();
        for member in members.iter() {
            let argument = |name: &str| versions::argument(&member.name, member.version, name);
            // What came with the extension, or was imported, wasn't trained on rows of this database.
            let Some(its_task) = argument("task")? else { continue };
            let has_time = argument("time_column")?.is_some();
            let is_latest = trained_rows::version(&member.name)? == Some(member.version);
            let labels_are_alike = (its_task == "classification") == (task == Objective::Classification);
            let is_found = is_latest && labels_are_alike && (!has_time || arguments.time_column.is_some());
            match reads(member, arguments) {
                Some(reads) if is_found => {
                    let fingerprints = RowFingerprints::by(&member.name)?;
                    known.members.push(KnownTo { fingerprints, reads, has_time });
                }
                _ => known.unknown.push(format!("{}@{}", member.name, member.version)),
            }
        }
        Ok(known)
    }

    /// Rows without those that a member knows, and how many these are.
    pub fn without(&self, rows: TrainingRows) -> (TrainingRows, i64) {
        if self.members.is_empty() {
            return (rows, 0);
        }
        let mut is_known = vec![false; rows.labels.len()];
        self.members.iter().for_each(|member| member.mark(&rows, &mut is_known));
        let fresh: Vec<usize> = (0..is_known.len()).filter(|&place| !is_known[place]).collect();
        let known = is_known.len() - fresh.len();
        (picked(&rows, &fresh), i64::try_from(known).unwrap_or(i64::MAX))
    }
}

fn reads(member: &Resolved, arguments: &Arguments) -> Option<MemberReads> {
    match &member.columns {
        Some(fields) => Some(MemberReads::Columns(fields.to_vec())),
        None => arguments.text_column.clone().map(MemberReads::Text),
    }
}

impl KnownTo {
    /// Marks the rows that the member knows.
    fn mark(&self, rows: &TrainingRows, is_known: &mut [bool]) {
        let (read, places) = match (&self.reads, &rows.input) {
            (MemberReads::Columns(_), _) => (picked(rows, &all(rows)), all(rows)),
            (MemberReads::Text(column), Input::Rows(columns)) => texts_of(rows, columns, column),
            (MemberReads::Text(_), Input::Texts(_)) => return,
        };
        let times = if self.has_time { read.times.clone() } else { Vec::new() };
        let read = TrainingRows { times, ..read };
        let fields = match &self.reads {
            MemberReads::Columns(fields) => fields.as_slice(),
            MemberReads::Text(_) => &[],
        };
        // Columns may be few, and many rows alike in them: as many are known as were learned from. A text that is met again is the same.
        if matches!(self.reads, MemberReads::Columns(_)) {
            let mut remaining = self.fingerprints.remaining();
            for (place, hash) in places.into_iter().zip(RowFingerprints::of(&read, fields)) {
                is_known[place] |= remaining.take(hash);
            }
            return;
        }
        let mut is_read_known = vec![true; places.len()];
        for (place, _) in self.fingerprints.missing(&read, fields) {
            is_read_known[place] = false;
        }
        for (place, known) in places.into_iter().zip(is_read_known) {
            is_known[place] |= known;
        }
    }
}

fn all(rows: &TrainingRows) -> Vec<usize> {
    (0..rows.labels.len()).collect()
}

/// The texts of a column as a training of texts reads them, and the places of their rows; a row without one wasn't read.
fn texts_of(rows: &TrainingRows, columns: &Rows, column: &str) -> (TrainingRows, Vec<usize>) {
    let (mut texts, mut places) = (Vec::new(), Vec::new());
    if let Some(Values::Text { dictionary, codes }) = columns.column(column) {
        for (place, code) in codes.iter().enumerate() {
            let text = code.and_then(|code| dictionary.get(code as usize));
            if let Some(text) = text.filter(|text| !is_blank(text)) {
                texts.push(shortened(text.clone()));
                places.push(place);
            }
        }
    }
    let read = TrainingRows { input: Input::Texts(texts), ..of_labels(rows, &places) };
    (read, places)
}

fn picked(rows: &TrainingRows, places: &[usize]) -> TrainingRows {
    TrainingRows { input: rows.input.picked(places), ..of_labels(rows, places) }
}

/// Labels and times of these rows, without what is read of them.
fn of_labels(rows: &TrainingRows, places: &[usize]) -> TrainingRows {
    TrainingRows {
        input: Input::Texts(Vec::new()),
        labels: places.iter().filter_map(|&place| rows.labels.get(place).cloned()).collect(),
        times: places.iter().filter_map(|&place| rows.times.get(place).copied()).collect(),
        paraphrases: Vec::new(),
    }
}
