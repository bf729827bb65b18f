//! Rows whose inputs are being answered.
//!
//! A window is filled with rows of the input, asked as a whole, and then hands its rows out with the answers. Equal texts
//! of a window are sent once, whatever columns they come from. Invariant: an error that belongs to one row is raised when
//! that row is handed out, and only if one of its values is wanted.

use std::rc::Rc;
use std::time::Instant;

use ecommerce_ml_protocol::{Field, Input, Output};
use indexmap::IndexSet;
use pgrx::pg_sys::{self, ExprContext, TupleTableSlot};

use super::counters::Counters;
use super::input_expressions::{CallColumn, EvaluatedInput, InputExpression, InputValue};
use super::models::Models;
use super::window_size::WindowBounds;
use crate::api::input_error;
use crate::catalog::resolve::Resolved;
use crate::columns::{InputError, RowsBuilder, json};
use crate::error::Error;
use crate::inference::{Answers, RequestStream, arguments_of, check_length, require_text};

/// Where the answer to what is asked about one row is.
#[derive(Clone, Copy)]
enum AnswerLocation {
    /// Nothing was asked, the value is NULL.
    Null,
    /// The text has more bytes than may be sent.
    TooLong(usize),
    /// The input doesn't fit: the number of the reason.
    Refused(u32),
    At {
        group: u32,
        row: u32,
    },
}

/// Inputs of one model that are asked for the same.
struct ModelGroup {
    output: Output,
    /// As given; without it the default.
    model: Option<Rc<str>>,
    /// Whether the inputs are texts.
    of_texts: bool,
    state: RequestState,
}

enum RequestState {
    Texts(IndexSet<String>),
    Rows {
        model: Rc<Resolved>,
        fields: Rc<[Field]>,
        rows: RowsBuilder,
    },
    Sent(RequestStream),
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
    pub unsafe fn of(slot: *mut TupleTableSlot) -> Self {
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
    /// A location for each input expression of each row.
    locations: Vec<AnswerLocation>,
    inputs: usize,
    groups: Vec<ModelGroup>,
    /// Why inputs were refused; each is raised once.
    refused: Vec<Option<Error>>,
    bytes: usize,
    input_bytes: usize,
    next: usize,
}

impl Window {
    /// An empty window, whose rows will be in `memory`.
    pub fn new(memory: pg_sys::MemoryContext, inputs: usize) -> Self {
        Self {
            memory,
            rows: Vec::new(),
            origins: Vec::new(),
            locations: Vec::new(),
            inputs,
            groups: Vec::new(),
            refused: Vec::new(),
            bytes: 0,
            input_bytes: 0,
            next: 0,
        }
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
    pub fn has_room(&self, bounds: &WindowBounds) -> bool {
        self.rows.len() < bounds.rows
            && (self.rows.is_empty() || (self.bytes < bounds.bytes && self.input_bytes < bounds.input_bytes))
    }

    /// Puts what the input expressions ask about a row in. [`add_row`](Self::add_row) is to follow.
    ///
    /// # Safety
    /// The context's outer row is the row.
    pub unsafe fn add_inputs(
        &mut self,
        inputs: &mut [InputExpression],
        context: *mut ExprContext,
        models: &mut Models,
    ) {
        for input in inputs {
            // SAFETY: as the caller promises.
            let location = match unsafe { input.evaluate(context) } {
                None => AnswerLocation::Null,
                Some(EvaluatedInput { value: InputValue::Text(text), model }) => {
                    self.put_text(input.output, text, model)
                }
                // SAFETY: as the caller promises.
                Some(EvaluatedInput { value, model }) => unsafe {
                    self.put_row(input, &value, model, models)
                },
            };
            self.locations.push(location);
        }
    }

    /// Keeps a row.
    ///
    /// # Safety
    /// `make` makes a row in the current memory context.
    pub unsafe fn add_row(&mut self, origin: Option<Origin>, make: impl FnOnce() -> pg_sys::MinimalTuple) {
        self.origins.extend(origin);
        // SAFETY: as the caller promises; the memory lives until the window is given back.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.memory);
            let row = make();
            pg_sys::MemoryContextSwitchTo(before);
            self.bytes += (*row).t_len as usize;
            self.rows.push(row);
        }
    }

    fn put_text(&mut self, output: Output, text: String, model: Option<Rc<str>>) -> AnswerLocation {
        if check_length(&text).is_err() {
            return AnswerLocation::TooLong(text.len());
        }
        let group = self.group(output, model, true, |_| RequestState::Texts(IndexSet::new()));
        let RequestState::Texts(texts) = &mut self.groups[group].state else { return AnswerLocation::Null };
        let bytes = text.len();
        let (number, new) = texts.insert_full(text);
        if new {
            self.bytes += bytes;
            self.input_bytes += bytes;
        }
        AnswerLocation::At { group: narrow(group), row: narrow(number) }
    }

    /// The model is found first: it says which columns to read.
    unsafe fn put_row(
        &mut self,
        input: &mut InputExpression,
        value: &InputValue,
        model: Option<Rc<str>>,
        models: &mut Models,
    ) -> AnswerLocation {
        let begin = |name: Option<&str>| {
            let output = input.output;
            let found = models.version_of(name).and_then(|model| Ok((arguments_of(&model, output)?, model)));
            match found {
                Ok((fields, model)) => RequestState::Rows { model, rows: RowsBuilder::new(&fields), fields },
                Err(error) => RequestState::Failed(Some(error)),
            }
        };
        let group = self.group(input.output, model, false, begin);
        let RequestState::Rows { model, fields, rows } = &mut self.groups[group].state else {
            return AnswerLocation::At { group: narrow(group), row: 0 };
        };
        let before = rows.bytes();
        // SAFETY: as the caller promises; the value says of which type it is.
        let added = unsafe {
            match value {
                InputValue::Record(row) => input.readers.of(fields).read(*row, rows),
                InputValue::Json(object) => json::read(*object, fields, rows),
                InputValue::Text(_) => Err(InputError::NotAnObject("a text")),
            }
        };
        let bytes = rows.bytes().saturating_sub(before);
        match added {
            Ok(row) => {
                self.bytes += bytes + answer_bytes(model, input.output, rows);
                self.input_bytes += bytes;
                AnswerLocation::At { group: narrow(group), row: narrow(row) }
            }
            Err(error) => {
                self.refused.push(Some(input_error(model, error)));
                AnswerLocation::Refused(narrow(self.refused.len() - 1))
            }
        }
    }

    /// The number of the group for this model and output, begun if there is none.
    fn group(
        &mut self,
        output: Output,
        model: Option<Rc<str>>,
        of_texts: bool,
        begin: impl FnOnce(Option<&str>) -> RequestState,
    ) -> usize {
        let fits =
            |group: &ModelGroup| group.output == output && group.of_texts == of_texts && group.model == model;
        self.groups.iter().position(fits).unwrap_or_else(|| {
            let state = begin(model.as_deref());
            self.groups.push(ModelGroup { output, model, of_texts, state });
            self.groups.len() - 1
        })
    }

    /// Sends the inputs.
    pub fn send(&mut self, models: &mut Models, counters: &mut Counters) {
        counters.windows += 1;
        counters.texts +=
            self.locations.iter().filter(|location| !matches!(location, AnswerLocation::Null)).count() as u64;
        for group in &mut self.groups {
            let sent = match std::mem::replace(&mut group.state, RequestState::Failed(None)) {
                RequestState::Texts(texts) => {
                    let texts = Input::Texts(texts.into_iter().collect());
                    counters.distinct += texts.len() as u64;
                    let model = models.version_of(group.model.as_deref());
                    model.and_then(|model| {
                        require_text(&model)?;
                        RequestStream::submit(group.output, &model, texts)
                    })
                }
                RequestState::Rows { model, rows, .. } => {
                    counters.distinct += rows.len() as u64;
                    RequestStream::submit(group.output, &model, Input::Rows(rows.finish()))
                }
                other => {
                    group.state = other;
                    continue;
                }
            };
            group.state = sent.map_or_else(|error| RequestState::Failed(Some(error)), RequestState::Sent);
        }
    }

    /// Waits for the answers.
    pub fn wait(&mut self, counters: &mut Counters) {
        let start = Instant::now();
        for group in &mut self.groups {
            let state = std::mem::replace(&mut group.state, RequestState::Failed(None));
            group.state = match state {
                RequestState::Sent(stream) => match stream.finish() {
                    Ok(answers) => {
                        counters.add_answers(&answers);
                        RequestState::Answered(answers)
                    }
                    Err(error) => RequestState::Failed(Some(error)),
                },
                other => other,
            };
        }
        counters.add_waiting(start);
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
    /// What went wrong with the input, the model, or the engine.
    pub fn value(&mut self, row: usize, call: &CallColumn) -> Result<Option<pg_sys::Datum>, Error> {
        match self.locations.get(row * self.inputs + call.input) {
            None | Some(AnswerLocation::Null) => Ok(None),
            Some(AnswerLocation::TooLong(bytes)) => Err(Error::TextTooLong(*bytes)),
            Some(AnswerLocation::Refused(number)) => {
                let error = self.refused.get_mut(*number as usize).and_then(Option::take);
                Err(error.unwrap_or(UNANSWERED))
            }
            Some(AnswerLocation::At { group, row }) => match &mut self.groups[*group as usize].state {
                RequestState::Answered(answers) => call.function.datum(answers, *row as usize),
                RequestState::Failed(error) => Err(error.take().unwrap_or(UNANSWERED)),
                RequestState::Texts(_) | RequestState::Rows { .. } | RequestState::Sent(_) => Err(UNANSWERED),
            },
        }
    }
}

const UNANSWERED: Error = Error::Unexpected("a row without answer");

/// Of the answer to the last of these rows, about.
fn answer_bytes(model: &Resolved, output: Output, rows: &RowsBuilder) -> usize {
    let Output::Table(_) = output else {
        return size_of::<Option<Vec<f32>>>() + model.signature.labels.len() * size_of::<f32>();
    };
    // No table is longer than is asked for.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let count = rows.last_number("count").map_or(1, |count| count.max(1.0) as usize);
    count.saturating_mul(TABLE_ROW_BYTES)
}

/// Of a row of a table, about.
const TABLE_ROW_BYTES: usize = 128;

/// A window has fewer rows, by far, than there are numbers.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
