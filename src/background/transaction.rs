//! Transactions of a background worker.
//!
//! Invariant: a transaction either commits or is aborted, and the worker goes on as who it was, whatever was raised in it
//! and whose it was.

use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::{PgTryBuilder, pg_sys};

use crate::catalog::jobs::Failure;
use crate::catalog::privilege::Identity;
use crate::error::Error;

/// Runs `work` in a transaction, which commits if it returns a value.
///
/// # Errors
/// Its error, or that of the server.
pub fn transaction<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Failure> {
    let worker = Identity::now();
    guarded(|| {
        // SAFETY: a worker between transactions; what `work` raises is caught outside.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let value = work()?;
        // SAFETY: in the transaction that was begun above, with the snapshot that was pushed there.
        unsafe {
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
        }
        worker.restore();
        Ok(value)
    })
}

/// Runs `work`, in whose transactions and between them the server may raise errors.
///
/// # Errors
/// Its error, or that of the server. There is no transaction any more then.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let result = PgTryBuilder::new(AssertUnwindSafe(work))
        .catch_others(|caught| Err(failure(&caught)))
        .catch_rust_panic(|caught| Err(failure(&caught)))
        .execute();
    if result.is_err() {
        // SAFETY: outside of any handler; does nothing where there is no transaction.
        unsafe { pg_sys::AbortCurrentTransaction() };
    }
    result
}

fn failure(caught: &CaughtError) -> Failure {
    match caught {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. } => reported(report),
    }
}

fn reported(report: &ErrorReportWithLevel) -> Failure {
    Failure {
        sqlstate: crate::error::sqlstate_text(report.sql_error_code()),
        message: report.message().to_owned(),
        detail: report.detail().map(str::to_owned),
        hint: report.hint().map(str::to_owned),
    }
}
