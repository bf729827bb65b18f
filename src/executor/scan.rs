//! Rows in, windows, rows out.
//!
//! While the rows of one window are handed out, the engine works on the next: before this waits for a window's answers it
//! fetches and sends the window after it. Invariant: rows leave in the order in which they came, and errors with them: what
//! may raise errors is not fetched before it is sure to be asked for.

use std::collections::VecDeque;

use pgrx::pg_sys::{self, ExprContext, ExprState, PlanState, TupleTableSlot};

use super::counters::Counters;
use super::input_expressions::NodeCalls;
use super::models::Models;
use super::node::{ChildNode, PrefetchLimit, PrivateData};
use super::unused_columns::UnusedColumns;
use super::window::{Origin, Window};
use super::window_size::{IN_FLIGHT, WindowSize};
use super::{error_bridge, running};
use crate::error::Error;

/// What a scan needs of the plan node's state; all of it lives as long as that.
pub struct ExecutorParts {
    pub input: *mut PlanState,
    pub context: *mut ExprContext,
    /// The input, if it scans a table: then `WHERE CURRENT OF` finds the current row here as it would there.
    pub table: Option<*mut pg_sys::ScanState>,
    /// Holds a row of the input that was kept in a window.
    pub input_slot: *mut TupleTableSlot,
    /// Shows the columns: the input's, then the calls'.
    pub scan_slot: *mut TupleTableSlot,
    pub condition: *mut ExprState,
    /// LIMIT's count and offset, if nothing but nodes of ours is between it and this one.
    pub limit: Option<LimitBounds>,
    pub private: PrivateData,
    /// The input, if it is a node of ours.
    pub child: Option<ChildNode>,
    pub state: *mut pg_sys::EState,
    /// Columns of the input that are needed for what is asked only, if there are such: kept rows do without.
    pub unused: Option<UnusedColumns>,
    /// Parent of the windows' memory.
    pub memory: pg_sys::MemoryContext,
}

/// How many rows will be read.
#[derive(Clone, Copy)]
pub struct LimitBounds {
    pub count: *mut ExprState,
    /// May be null.
    pub offset: *mut ExprState,
}

/// The state of a node of ours.
pub struct Scan {
    parts: ExecutorParts,
    calls: NodeCalls,
    /// Which calls the condition needs; the others are read only for rows that pass.
    in_conditions: Vec<bool>,
    in_flight: VecDeque<Window>,
    current: Option<Window>,
    /// Memory of windows that were given back.
    free_contexts: Vec<pg_sys::MemoryContext>,
    window_size: Option<WindowSize>,
    /// The input has no more rows.
    exhausted: bool,
    /// Rows that passed the conditions since the beginning.
    passed: usize,
    models: Models,
    /// Whether the reader, a node of ours, asks for a row that it may not need.
    pub is_prefetching: bool,
    /// What is to be raised when the reader needs the row.
    deferred_error: Option<Error>,
    /// Whether the input, or the last row, has an error that is deferred.
    error_deferred: bool,
    pub counters: Counters,
}

/// What asking the input for a row led to.
enum Fetched {
    Row,
    End,
    /// It defers an error, since nobody needs the row yet.
    Deferred,
}

/// A row that passed the conditions; its columns are in the slot.
pub struct Passed;

impl Scan {
    /// A scan that hasn't begun.
    pub fn new(parts: ExecutorParts, calls: NodeCalls, in_conditions: Vec<bool>) -> Self {
        Self {
            parts,
            calls,
            in_conditions,
            in_flight: VecDeque::new(),
            current: None,
            free_contexts: Vec::new(),
            window_size: None,
            exhausted: false,
            passed: 0,
            models: Models::new(),
            is_prefetching: false,
            deferred_error: None,
            error_deferred: false,
            counters: Counters::default(),
        }
    }

    /// The model that is asked where none is named.
    pub fn default_model(&self) -> &str {
        self.models.default()
    }

    /// Defers the error of a row until the row is needed.
    pub fn defer_error(&mut self, error: Error) {
        self.deferred_error = Some(error);
        self.error_deferred = true;
    }

    /// Whether the rows ended because of an error that is deferred.
    pub fn defers_error(&self) -> bool {
        self.error_deferred
    }

    /// Fetches the next row that passes the conditions, calling `filtered_out` for each that doesn't.
    ///
    /// # Errors
    /// What went wrong with one of the row's calls.
    ///
    /// # Safety
    /// The parts are alive, and the executor is running.
    pub unsafe fn next(&mut self, mut filtered_out: impl FnMut()) -> Result<Option<Passed>, Error> {
        self.error_deferred = false;
        if let Some(error) = self.deferred_error.take() {
            return Err(error);
        }
        // SAFETY: as the caller promises.
        unsafe {
            loop {
                pgrx::check_for_interrupts!();
                pg_sys::MemoryContextReset((*self.parts.context).ecxt_per_tuple_memory);
                let Some(row) = self.advance() else {
                    pg_sys::ExecClearTuple(self.parts.scan_slot);
                    return Ok(None);
                };
                self.fill_scan_slot(row)?;
                (*self.parts.context).ecxt_scantuple = self.parts.scan_slot;
                if error_bridge::holds(self.parts.condition, self.parts.context) {
                    self.fill_calls(row, false)?;
                    self.passed += 1;
                    return Ok(Some(Passed));
                }
                filtered_out();
            }
        }
    }

    /// Begins anew. Requests that are under way are cancelled.
    pub fn rescan(&mut self) {
        let drained = self.exhausted && self.current.is_none();
        self.in_flight.drain(..).chain(self.current.take()).for_each(|window| {
            // SAFETY: the rows in it are not used any more.
            unsafe { pg_sys::MemoryContextReset(window.memory) };
            self.free_contexts.push(window.memory);
        });
        self.exhausted = false;
        self.passed = 0;
        self.deferred_error = None;
        self.error_deferred = false;
        // The limit may depend on what made this begin anew.
        self.window_size =
            self.window_size.take().filter(|_| drained).map(|window_size| window_size.for_rescan(None));
        if self.parts.limit.is_some() && self.parts.private.limited_exactly {
            self.window_size = None;
        }
    }

    /// Moves on to the next row and puts the input's columns into the slot that shows them.
    unsafe fn advance(&mut self) -> Option<usize> {
        // SAFETY: as the caller promises.
        unsafe {
            loop {
                if let Some((number, row)) = self.current.as_mut().and_then(Window::next) {
                    let stored = pg_sys::ExecStoreMinimalTuple(row, self.parts.input_slot, false);
                    pg_sys::slot_getallattrs(stored);
                    return Some(number);
                }
                self.recycle_window();
                self.current = Some(self.next_window()?);
            }
        }
    }

    unsafe fn recycle_window(&mut self) {
        let Some(window) = self.current.take() else { return };
        // SAFETY: the rows in it are not used any more: the slot that held the last is emptied first.
        unsafe {
            pg_sys::ExecClearTuple(self.parts.input_slot);
            pg_sys::MemoryContextReset(window.memory);
        }
        self.free_contexts.push(window.memory);
        if let Some(window_size) = &mut self.window_size {
            window_size.note_reader_continues();
        }
    }

    /// The next window, answered.
    unsafe fn next_window(&mut self) -> Option<Window> {
        // SAFETY: as the caller promises.
        unsafe {
            if self.in_flight.is_empty() {
                self.send_window();
            }
            while self.in_flight.len() < IN_FLIGHT
                && self.window_size.as_ref().is_some_and(WindowSize::reads_ahead)
            {
                if !self.send_window() {
                    break;
                }
            }
        }
        let mut window = self.in_flight.pop_front()?;
        window.wait(&mut self.counters);
        Some(window)
    }

    /// Fills a window and sends it. Returns `false` if there were no rows, or none may be fetched yet.
    unsafe fn send_window(&mut self) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let rows = self.rows_allowed();
            if self.exhausted || rows == 0 {
                return false;
            }
            let exact = self.parts.limit.filter(|_| self.parts.private.limited_exactly);
            let wanted = exact.and_then(|limit| rows_wanted(limit, self.parts.context));
            let mut window_size = self.window_size.take().unwrap_or_else(|| WindowSize::start(wanted));
            let memory = self.free_contexts.pop().unwrap_or_else(|| window_memory(self.parts.memory));
            let mut window = Window::new(memory, self.calls.inputs.len());
            let mut bounds = window_size.bounds();
            bounds.rows = bounds.rows.min(rows);
            while window.has_room(&bounds) {
                match self.fetch(&mut window) {
                    Fetched::Row => {}
                    Fetched::End => {
                        self.exhausted = true;
                        break;
                    }
                    Fetched::Deferred => {
                        self.error_deferred = true;
                        break;
                    }
                }
            }
            window_size.filled(window.len());
            self.window_size = Some(window_size);
            if window.len() == 0 {
                self.free_contexts.push(window.memory);
                return false;
            }
            window.send(&mut self.models, &mut self.counters);
            self.in_flight.push_back(window);
            true
        }
    }

    /// How many rows may be fetched now, beside those that are here.
    unsafe fn rows_allowed(&self) -> usize {
        let here = self.rows_buffered();
        // SAFETY: as the caller promises.
        let more = unsafe {
            match self.parts.private.prefetch {
                PrefetchLimit::Unlimited => return usize::MAX,
                // Workers read ahead of the statement in any case.
                _ if pg_sys::ParallelWorkerNumber >= 0 => return usize::MAX,
                PrefetchLimit::ToLimit => self.rows_limited().unwrap_or(1),
                PrefetchLimit::ToRequestedRow { limited, feeds_client } => {
                    let bound = if limited { self.rows_limited().unwrap_or(1) } else { usize::MAX };
                    match running::rows_requested(self.parts.state) {
                        running::RowsRequested::All => bound,
                        running::RowsRequested::More(rows) if feeds_client => bound.min(rows),
                        running::RowsRequested::More(_) => 1,
                    }
                }
                PrefetchLimit::OneRow => 1,
            }
        };
        // Who asks for a row gets one, or its error.
        more.saturating_sub(here).max(usize::from(here == 0))
    }

    /// How many rows the LIMIT above still takes, at least.
    unsafe fn rows_limited(&self) -> Option<usize> {
        // SAFETY: as the caller promises.
        let wanted = unsafe { rows_wanted(self.parts.limit?, self.parts.context) };
        wanted.map(|wanted| wanted.saturating_sub(self.passed))
    }

    /// Rows that were fetched and not handed out.
    fn rows_buffered(&self) -> usize {
        self.in_flight.iter().chain(&self.current).map(Window::left).sum()
    }

    /// Puts a row of the input into a window, if there is one.
    unsafe fn fetch(&mut self, window: &mut Window) -> Fetched {
        // SAFETY: as the caller promises; a row of the input is valid until the next one is asked for.
        unsafe {
            let prefetching = self.is_prefetching || window.len() > 0 || self.rows_buffered() > 0;
            if let Some(child) = self.parts.child {
                child.set_prefetching(prefetching);
            }
            let Some(slot) = error_bridge::next_row(self.parts.input) else {
                let deferred = self.parts.child.is_some_and(|child| child.defers_error());
                return if deferred { Fetched::Deferred } else { Fetched::End };
            };
            let context = self.parts.context;
            pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
            (*context).ecxt_outertuple = slot;
            let before = pg_sys::MemoryContextSwitchTo((*context).ecxt_per_tuple_memory);
            let origin = self.parts.table.map(|table| Origin::of((*table).ss_ScanTupleSlot));
            window.add_inputs(&mut self.calls.inputs, context, &mut self.models);
            let unused = &mut self.parts.unused;
            window.add_row(origin, || match unused {
                None => pg_sys::ExecCopySlotMinimalTuple(slot),
                Some(unused) => unused.minimal_tuple(slot),
            });
            pg_sys::MemoryContextSwitchTo(before);
            Fetched::Row
        }
    }

    /// Shows a row: the input's columns, and the calls' that the conditions need.
    unsafe fn fill_scan_slot(&mut self, row: usize) -> Result<(), Error> {
        // SAFETY: the slot has as many columns as the input and the calls together.
        unsafe {
            let (input, scan) = (self.parts.input_slot, self.parts.scan_slot);
            pg_sys::ExecClearTuple(scan);
            let columns = self.input_columns();
            std::ptr::copy_nonoverlapping((*input).tts_values, (*scan).tts_values, columns);
            std::ptr::copy_nonoverlapping((*input).tts_isnull, (*scan).tts_isnull, columns);
            std::ptr::write_bytes((*scan).tts_isnull.add(columns), 1, self.calls.calls.len());
            self.fill_calls(row, true)?;
            pg_sys::ExecStoreVirtualTuple(scan);
            if let Some(origin) = self.current.as_ref().and_then(|window| window.origin(row)) {
                (*scan).tts_tableOid = origin.table;
                (*scan).tts_tid = origin.row;
            }
        }
        Ok(())
    }

    /// Reads the values of the calls that the conditions need, or of the others.
    unsafe fn fill_calls(&mut self, row: usize, in_conditions: bool) -> Result<(), Error> {
        // SAFETY: as `fill_scan_slot`; the values live as long as the row is shown.
        unsafe {
            let (scan, columns) = (self.parts.scan_slot, self.input_columns());
            let Some(window) = &mut self.current else { return Ok(()) };
            let memory = (*self.parts.context).ecxt_per_tuple_memory;
            let before = pg_sys::MemoryContextSwitchTo(memory);
            let calls = self.calls.calls.iter().enumerate();
            for (number, call) in calls.filter(|(number, _)| self.in_conditions[*number] == in_conditions) {
                let value = window.value(row, call)?;
                *(*scan).tts_isnull.add(columns + number) = value.is_none();
                *(*scan).tts_values.add(columns + number) = value.unwrap_or(pg_sys::Datum::from(0));
            }
            pg_sys::MemoryContextSwitchTo(before);
        }
        Ok(())
    }

    unsafe fn input_columns(&self) -> usize {
        // SAFETY: as the caller promises.
        let columns = unsafe { (*(*self.parts.input_slot).tts_tupleDescriptor).natts };
        usize::try_from(columns).unwrap_or(0)
    }
}

/// How many rows the LIMIT above will read; nothing if there is no bound.
unsafe fn rows_wanted(limit: LimitBounds, context: *mut ExprContext) -> Option<usize> {
    // SAFETY: as the caller promises; LIMIT's expressions are of type bigint and refer to no row.
    let evaluate = |state| unsafe {
        error_bridge::evaluate(state, context).map(|value| usize::try_from(value.value() as i64).unwrap_or(0))
    };
    let count = evaluate(limit.count)?;
    let offset = if limit.offset.is_null() { 0 } else { evaluate(limit.offset).unwrap_or(0) };
    Some(count.saturating_add(offset))
}

unsafe fn window_memory(parent: pg_sys::MemoryContext) -> pg_sys::MemoryContext {
    // SAFETY: the name lives for ever.
    unsafe {
        pg_sys::AllocSetContextCreateInternal(
            parent,
            c"ecommerce_ml window".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        )
    }
}
