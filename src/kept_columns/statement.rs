//! Statements against tables of users, as their owners.
//!
//! Invariant: a statement that only reads sees what the active snapshot does, so that several of them, and the look-up of
//! versions, see the same.

use std::ffi::{CString, c_char};

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{IntoDatum, Spi};

use crate::error::Error;

/// A value for a statement, with its type.
#[derive(Debug, Clone, Copy)]
pub struct Value(pub Oid, pub Option<Datum>);

impl Value {
    /// A text, in the current memory context.
    pub fn text(text: &str) -> Self {
        Self(pg_sys::TEXTOID, text.into_datum())
    }
}

/// What a statement gave: the first column of its first row, and how many rows it found or changed.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// Lives until the server's interface for statements is left.
    pub value: Option<Datum>,
    pub rows: u64,
}

/// Runs a statement; within [`Spi::connect_mut`].
///
/// # Errors
/// Those of the interface; the server's own end the statement.
pub fn execute(statement: &str, values: &[Value], read_only: bool) -> Result<Given, Error> {
    let statement = CString::new(statement).map_err(|_| Error::Unexpected("a statement with a NUL"))?;
    let mut types: Vec<Oid> = values.iter().map(|value| value.0).collect();
    let mut datums: Vec<Datum> = values.iter().map(|value| value.1.unwrap_or(Datum::null())).collect();
    let null = |value: &Value| if value.1.is_none() { b'n' } else { b' ' };
    let nulls: Vec<c_char> = values.iter().map(|value| null(value).cast_signed()).collect();
    // SAFETY: as many types, values and signs of NULL as arguments. What is read of the result is there while it is read.
    unsafe {
        let code = pg_sys::SPI_execute_with_args(
            statement.as_ptr(),
            i32::try_from(values.len()).unwrap_or(0),
            types.as_mut_ptr(),
            datums.as_mut_ptr(),
            nulls.as_ptr(),
            read_only,
            0,
        );
        Spi::check_status(code)?;
        Ok(Given { value: first(), rows: pg_sys::SPI_processed })
    }
}

/// The first value of what was found last.
unsafe fn first() -> Option<Datum> {
    // SAFETY: after a statement, within its connection.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        if table.is_null() || pg_sys::SPI_processed == 0 {
            return None;
        }
        let mut null = false;
        let value = pg_sys::SPI_getbinval(*(*table).vals, (*table).tupdesc, 1, &raw mut null);
        (!null).then_some(value)
    }
}

/// Whether a query finds a row, as the active snapshot sees it.
///
/// # Errors
/// As [`execute`].
pub fn finds(query: &str, values: &[Value]) -> Result<bool, Error> {
    Spi::connect_mut(|_| Ok(execute(query, values, true)?.rows > 0))
}

/// Runs `work` with a snapshot that sees all that is committed now, and what this transaction has done.
///
/// # Errors
/// Those of `work`.
pub fn with_latest_snapshot<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // SAFETY: popped below; an error that the server raises ends the transaction and with it the snapshot.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
    }
    let value = work();
    // SAFETY: pushed above.
    unsafe { pg_sys::PopActiveSnapshot() };
    value
}
