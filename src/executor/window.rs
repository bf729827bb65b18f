//! Rows whose texts are being answered.
//!
//! A window is filled with rows of the input, asked as a whole, and then hands its rows out with the answers. Equal texts
//! of a window are sent once, whatever columns they come from. Invariant: an error that belongs to one row is raised when
//! that row is handed out, and only if one of its values is wanted.

use std::time::Instant;

use ecommerce_ml_protocol::Output;
use indexmap::IndexSet;
use pgrx::pg_sys;

use super::counters::Counters;
use super::lane::{Call, Calls, Question};
use super::models::Models;
use super::pace::Room;
use crate::error::Error;
use crate::inference::{Answers, Asked, check_length};

/// Where the answer for a lane's text of one row is.
#[derive(Clone, Copy)]
enum Place {
    /// Nothing was asked, the value is NULL.
    Null,
    /// The text has more bytes than may be sent.
    TooLong(usize),
    At {
        group: u32,
        text: u32,
    },
}

/// Texts of one model that are asked for the same.
struct Group {
    output: Output,
    /// As given; without it the default.
    model: Option<String>,
    state: State,
}

enum State {
    Filling(IndexSet<String>),
    Asked(Asked),
    Answered(Answers),
    /// Empty once it has been raised.
    Failed(Option<Error>),
}

/// Where a row of a table is.
#[derive(Clone, Copy)]
pub struct Origin {
    pub table: pg_sys::Oid,
    pub row: pg_sys::ItemPointerData,
}

impl Origin {
    /// Of the row that a table scan's slot holds.
    ///
    /// # Safety
    /// `slot` is a slot.
    pub unsafe fn of(slot: *mut pg_sys::TupleTableSlot) -> Self {
        // SAFETY: as the caller promises.
        unsafe { Self { table: (*slot).tts_tableOid, row: (*slot).tts_tid } }
    }
}

/// Some rows of the input.
pub struct Window {
    /// Holds the rows.
    pub memory: pg_sys::MemoryContext,
    rows: Vec<pg_sys::MinimalTuple>,
    /// Where each row comes from, if the input scans a table.
    origins: Vec<Origin>,
    /// A place for each lane of each row.
    places: Vec<Place>,
    lanes: usize,
    groups: Vec<Group>,
    bytes: usize,
    text_bytes: usize,
    next: usize,
}

impl Window {
    /// An empty window, whose rows will be in `memory`.
    pub fn new(memory: pg_sys::MemoryContext, lanes: usize) -> Self {
        let (rows, origins, places, groups) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { memory, rows, origins, places, lanes, groups, bytes: 0, text_bytes: 0, next: 0 }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Number of rows that haven't been handed out.
    pub fn left(&self) -> usize {
        self.rows.len() - self.next
    }

    /// Whether another row may be put in.
    pub fn has_room(&self, room: &Room) -> bool {
        self.rows.len() < room.rows
            && (self.rows.is_empty() || (self.bytes < room.bytes && self.text_bytes < room.text_bytes))
    }

    /// Puts a row in, with what each lane asks about it.
    ///
    /// # Safety
    /// The slot holds a row.
    pub unsafe fn add(
        &mut self,
        slot: *mut pg_sys::TupleTableSlot,
        origin: Option<Origin>,
        questions: impl Iterator<Item = (Output, Option<Question>)>,
    ) {
        for (output, question) in questions {
            let place = question.map_or(Place::Null, |question| self.put(output, question));
            self.places.push(place);
        }
        self.origins.extend(origin);
        // SAFETY: as the caller promises; the memory lives until the window is given back.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.memory);
            let row = pg_sys::ExecCopySlotMinimalTuple(slot);
            pg_sys::MemoryContextSwitchTo(before);
            self.bytes += (*row).t_len as usize;
            self.rows.push(row);
        }
    }

    fn put(&mut self, output: Output, Question { text, model }: Question) -> Place {
        if check_length(&text).is_err() {
            return Place::TooLong(text.len());
        }
        let group = self.groups.iter().position(|group| group.output == output && group.model == model);
        let group = group.unwrap_or_else(|| {
            self.groups.push(Group { output, model, state: State::Filling(IndexSet::new()) });
            self.groups.len() - 1
        });
        let State::Filling(texts) = &mut self.groups[group].state else { return Place::Null };
        let bytes = text.len();
        let (number, new) = texts.insert_full(text);
        if new {
            self.bytes += bytes;
            self.text_bytes += bytes;
        }
        Place::At { group: narrow(group), text: narrow(number) }
    }

    /// Sends the texts.
    pub fn ask(&mut self, models: &mut Models, counters: &mut Counters) {
        counters.windows += 1;
        counters.texts += self.places.iter().filter(|place| !matches!(place, Place::Null)).count() as u64;
        for group in &mut self.groups {
            let State::Filling(texts) = &mut group.state else { continue };
            let texts: Vec<String> = std::mem::take(texts).into_iter().collect();
            counters.distinct += texts.len() as u64;
            let asked = models
                .version_of(group.model.as_deref())
                .and_then(|model| Asked::submit(group.output, &model, texts));
            group.state = asked.map_or_else(|error| State::Failed(Some(error)), State::Asked);
        }
    }

    /// Waits for the answers.
    pub fn wait(&mut self, counters: &mut Counters) {
        let start = Instant::now();
        for group in &mut self.groups {
            let state = std::mem::replace(&mut group.state, State::Failed(None));
            group.state = match state {
                State::Asked(asked) => match asked.finish() {
                    Ok(answers) => {
                        counters.answered(&answers);
                        State::Answered(answers)
                    }
                    Err(error) => State::Failed(Some(error)),
                },
                other => other,
            };
        }
        counters.waited(start);
    }

    /// The next row, to be used until the window is given back.
    pub fn next(&mut self) -> Option<(usize, pg_sys::MinimalTuple)> {
        let row = self.rows.get(self.next)?;
        self.next += 1;
        Some((self.next - 1, *row))
    }

    /// Where a row comes from.
    pub fn origin(&self, row: usize) -> Option<Origin> {
        self.origins.get(row).copied()
    }

    /// The value of a call for a row, in the current memory context.
    ///
    /// # Errors
    /// What went wrong with the text, the model, or the engine.
    pub fn value(&mut self, row: usize, call: &Call) -> Result<Option<pg_sys::Datum>, Error> {
        match self.places.get(row * self.lanes + call.lane) {
            None | Some(Place::Null) => Ok(None),
            Some(Place::TooLong(bytes)) => Err(Error::TextTooLong(*bytes)),
            Some(Place::At { group, text }) => match &mut self.groups[*group as usize].state {
                State::Answered(answers) => call.function.datum(answers, *text as usize),
                State::Failed(error) => Err(error.take().unwrap_or(UNANSWERED)),
                State::Filling(_) | State::Asked(_) => Err(UNANSWERED),
            },
        }
    }

    /// What each lane asks about a row of the input.
    ///
    /// # Safety
    /// The context's outer row is one of the input.
    pub unsafe fn questions<'a>(
        calls: &'a Calls,
        context: *mut pg_sys::ExprContext,
    ) -> impl Iterator<Item = (Output, Option<Question>)> + 'a {
        // SAFETY: as the caller promises.
        calls.lanes.iter().map(move |lane| (lane.output, unsafe { lane.question(context) }))
    }
}

const UNANSWERED: Error = Error::Unexpected("a row without answer");

/// A window has fewer rows, by far, than there are numbers.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
