//! What the trigger of a kept column does to a row that is written.
//!
//! A new row is stale, and so is one in which a column that the expression reads has changed, or the kept column itself. Where a
//! subscription or a restore writes (`session_replication_role` is `replica`), an answer that comes with its versions is taken as
//! it is. Invariant: a value never stays beside versions that did not answer for the row as it is.

use std::cell::Cell;
use std::ffi::{CStr, c_int};

use pgrx::direct_function_call;
use pgrx::pg_sys::{self, Datum, HeapTuple};

use super::definition::{RefreshMode, model_column};
use super::{immediate, launch};
use crate::error::Error;

mod server {
    use pgrx::pg_sys::Datum;
    unsafe extern "C-unwind" {
        pub fn datum_image_eq(one: Datum, other: Datum, by_value: bool, length: i32) -> bool;
    }
}

thread_local! {
    /// How deep in triggers this process was when it began to write answers.
    static WRITING: Cell<Option<i32>> = const { Cell::new(None) };
}

/// While it lives, rows that this process writes, but not those of triggers of them, have answers.
pub struct WritingAnswers(());

impl WritingAnswers {
    /// Begins here.
    pub fn begin() -> Self {
        WRITING.set(Some(trigger_depth()));
        Self(())
    }
}

impl Drop for WritingAnswers {
    fn drop(&mut self) {
        WRITING.set(None);
    }
}

fn trigger_depth() -> i32 {
    // SAFETY: a function of the server's without arguments.
    unsafe { direct_function_call::<i32>(pg_sys::pg_trigger_depth, &[]) }.unwrap_or(0)
}

/// A row on its way into a table.
pub struct WrittenRow {
    pub relation: pg_sys::Relation,
    shape: pg_sys::TupleDesc,
    old: Option<HeapTuple>,
    pub new: HeapTuple,
}

/// The row as it is to be written.
///
/// # Errors
/// [`Error::Unexpected`] for a trigger that isn't ours; for `immediate`, those of the expression.
///
/// # Safety
/// The server calls the trigger with this.
pub unsafe fn write_row(trigger: *mut pg_sys::TriggerData) -> Result<HeapTuple, Error> {
    // SAFETY: as the caller promises; a trigger has as many arguments as it says.
    unsafe {
        let trigger = &*trigger;
        let (row, arguments) = (row(trigger)?, arguments(&*trigger.tg_trigger)?);
        let [column, mode, recipe, reads @ ..] = &arguments[..] else {
            return Err(Error::Unexpected("a trigger of a kept column without a definition"));
        };
        let mode = RefreshMode::parse(mode).ok_or(Error::Unexpected("a kept column of no known kind"))?;
        let numbers = [row.number(column), row.number(&model_column(column))];
        // A column that was dropped or renamed isn't kept any more.
        let [Some(value), Some(versions)] = numbers else { return Ok(row.new) };
        let kept = KeptNumbers { value, versions };
        if WRITING.get().is_some_and(|depth| trigger_depth() == depth + 1) {
            return Ok(row.new);
        }
        let is_applied = pg_sys::SessionReplicationRole as u32 == pg_sys::SESSION_REPLICATION_ROLE_REPLICA;
        if !row.becomes_stale(kept, reads, is_applied) {
            // Whoever is about to write an answer for it doesn't find it.
            if row.is_null(row.new, kept.versions) {
                launch::at_commit();
            }
            return Ok(row.new);
        }
        if mode == RefreshMode::Immediate && !is_applied {
            return immediate::answered(&row, kept, column, recipe);
        }
        launch::at_commit();
        Ok(row.with(kept, [None, None]))
    }
}

/// Where the columns are.
#[derive(Debug, Clone, Copy)]
pub struct KeptNumbers {
    value: c_int,
    versions: c_int,
}

/// Makes an alert of a row that was written with its score, if it is to be one.
///
/// # Errors
/// As [`write_row`]; those of the condition.
///
/// # Safety
/// The server calls the trigger with this.
pub unsafe fn watch_row(trigger: *mut pg_sys::TriggerData) -> Result<(), Error> {
    // SAFETY: as the caller promises; a trigger has as many arguments as it says.
    unsafe {
        let trigger = &*trigger;
        let (row, arguments) = (written_row(trigger)?, arguments(&*trigger.tg_trigger)?);
        let [column, _, recipe, reads @ ..] = &arguments[..] else {
            return Err(Error::Unexpected("a trigger of watched rows without a definition"));
        };
        let numbers = [row.number(column), row.number(&model_column(column))];
        let [Some(value), Some(versions)] = numbers else { return Ok(()) };
        let kept = KeptNumbers { value, versions };
        // What the worker writes it looks through itself.
        let is_answer = WRITING.get().is_some_and(|depth| trigger_depth() == depth + 1);
        let has_score = !row.is_null(row.new, kept.versions);
        if is_answer || !has_score || !row.becomes_stale(kept, reads, false) {
            return Ok(());
        }
        immediate::watched(&row, column, recipe)
    }
}

unsafe fn written_row(trigger: &pg_sys::TriggerData) -> Result<WrittenRow, Error> {
    // SAFETY: as the caller promises.
    let shape = unsafe { (*trigger.tg_relation).rd_att };
    let event = trigger.tg_event;
    let is_after_row = event & pg_sys::TRIGGER_EVENT_ROW != 0
        && event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_AFTER;
    let (old, new) = match event & pg_sys::TRIGGER_EVENT_OPMASK {
        pg_sys::TRIGGER_EVENT_INSERT if is_after_row => (None, trigger.tg_trigtuple),
        pg_sys::TRIGGER_EVENT_UPDATE if is_after_row => (Some(trigger.tg_trigtuple), trigger.tg_newtuple),
        _ => {
            return Err(Error::Unexpected(
                "a trigger of watched rows that is not AFTER INSERT OR UPDATE FOR EACH ROW",
            ));
        }
    };
    Ok(WrittenRow { relation: trigger.tg_relation, shape, old, new })
}

unsafe fn row(trigger: &pg_sys::TriggerData) -> Result<WrittenRow, Error> {
    // SAFETY: as the caller promises.
    let shape = unsafe { (*trigger.tg_relation).rd_att };
    let event = trigger.tg_event;
    let is_before_row = event & pg_sys::TRIGGER_EVENT_ROW != 0
        && event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_BEFORE;
    let (old, new) = match event & pg_sys::TRIGGER_EVENT_OPMASK {
        pg_sys::TRIGGER_EVENT_INSERT if is_before_row => (None, trigger.tg_trigtuple),
        pg_sys::TRIGGER_EVENT_UPDATE if is_before_row => (Some(trigger.tg_trigtuple), trigger.tg_newtuple),
        _ => {
            return Err(Error::Unexpected(
                "a trigger of a kept column that is not BEFORE INSERT OR UPDATE FOR EACH ROW",
            ));
        }
    };
    Ok(WrittenRow { relation: trigger.tg_relation, shape, old, new })
}

unsafe fn arguments(trigger: &pg_sys::Trigger) -> Result<Vec<&str>, Error> {
    let count = usize::try_from(trigger.tgnargs).unwrap_or(0);
    // SAFETY: so many terminated strings, which live as long as the trigger's description.
    let texts = (0..count).map(|at| unsafe { CStr::from_ptr(*trigger.tgargs.add(at)) }.to_str());
    texts.collect::<Result<_, _>>().map_err(|_| Error::Unexpected("a trigger whose arguments are no texts"))
}

impl WrittenRow {
    /// The number of a column; `None` if there is no such column.
    unsafe fn number(&self, column: &str) -> Option<c_int> {
        let name = std::ffi::CString::new(column).ok()?;
        // SAFETY: a terminated string and the description of the row.
        Some(unsafe { pg_sys::SPI_fnumber(self.shape, name.as_ptr()) }).filter(|number| *number > 0)
    }

    unsafe fn datum(&self, tuple: HeapTuple, number: c_int) -> Option<Datum> {
        let mut null = false;
        // SAFETY: a row of this description.
        let value = unsafe { pg_sys::SPI_getbinval(tuple, self.shape, number, &raw mut null) };
        (!null).then_some(value)
    }

    unsafe fn is_null(&self, tuple: HeapTuple, number: c_int) -> bool {
        // SAFETY: as there.
        unsafe { self.datum(tuple, number) }.is_none()
    }

    /// Whether a column has other bytes than before.
    unsafe fn is_changed(&self, old: HeapTuple, number: c_int) -> bool {
        let (mut length, mut by_value) = (0, false);
        // SAFETY: rows of this description; the type of a column exists.
        unsafe {
            match (self.datum(old, number), self.datum(self.new, number)) {
                (None, None) => false,
                (Some(one), Some(other)) => {
                    let type_oid = pg_sys::SPI_gettypeid(self.shape, number);
                    pg_sys::get_typlenbyval(type_oid, &raw mut length, &raw mut by_value);
                    !server::datum_image_eq(one, other, by_value, length.into())
                }
                _ => true,
            }
        }
    }

    unsafe fn becomes_stale(&self, kept: KeptNumbers, reads: &[&str], is_applied: bool) -> bool {
        // SAFETY: as above.
        unsafe {
            let has_answer = !self.is_null(self.new, kept.versions);
            let Some(old) = self.old else { return !(is_applied && has_answer) };
            let is_answered_anew = self.is_changed(old, kept.versions);
            if is_applied && is_answered_anew && has_answer {
                return false;
            }
            is_answered_anew || self.is_changed(old, kept.value) || self.has_changed_input(old, reads)
        }
    }

    unsafe fn has_changed_input(&self, old: HeapTuple, reads: &[&str]) -> bool {
        // SAFETY: as above.
        unsafe {
            if reads.is_empty() {
                return self.all_inputs().into_iter().any(|number| self.is_changed(old, number));
            }
            // One that was dropped or renamed can't be compared.
            reads.iter().any(|name| self.number(name).is_none_or(|number| self.is_changed(old, number)))
        }
    }

    /// All columns but those that are kept, generated or dropped.
    unsafe fn all_inputs(&self) -> Vec<c_int> {
        // SAFETY: as above; the triggers of a relation are those that its description has.
        unsafe {
            let triggers = (*self.relation).trigdesc;
            let count = if triggers.is_null() { 0 } else { (*triggers).numtriggers };
            let mut kept = Vec::new();
            for at in 0..usize::try_from(count).unwrap_or(0) {
                let trigger = &*(*triggers).triggers.add(at);
                if super::definition::is_ours(trigger.tgfoid)
                    && let Ok(arguments) = arguments(trigger)
                    && let Some(column) = arguments.first()
                {
                    kept.extend(
                        [self.number(column), self.number(&model_column(column))].into_iter().flatten(),
                    );
                }
            }
            let relation = (*self.relation).rd_id;
            let is_input = |number: &c_int| {
                pg_sys::SPI_gettypeid(self.shape, *number) != pg_sys::InvalidOid
                    && pg_sys::get_attgenerated(relation, i16::try_from(*number).unwrap_or(0)) == 0
                    && !kept.contains(number)
            };
            (1..=(*self.shape).natts).filter(is_input).collect()
        }
    }

    /// The row with another value and other versions.
    pub unsafe fn with(&self, kept: KeptNumbers, answer: [Option<Datum>; 2]) -> HeapTuple {
        let mut numbers = [kept.value, kept.versions];
        let mut values = answer.map(|value| value.unwrap_or(Datum::null()));
        let mut nulls = answer.map(|value| value.is_none());
        // SAFETY: two columns of this description, with values of their types.
        unsafe {
            if nulls == [true, true] && numbers.iter().all(|number| self.is_null(self.new, *number)) {
                return self.new;
            }
            pg_sys::heap_modify_tuple_by_cols(
                self.new,
                self.shape,
                2,
                numbers.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            )
        }
    }

    /// The row as a value of its table's type, in the current memory context.
    pub unsafe fn as_datum(&self) -> (pg_sys::Oid, Datum) {
        // SAFETY: a row of this description.
        unsafe {
            let type_oid = (*(*self.relation).rd_rel).reltype;
            (type_oid, pg_sys::heap_copy_tuple_as_datum(self.new, self.shape))
        }
    }
}
