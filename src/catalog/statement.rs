//! Statements against our own tables.
//!
//! What a text function, an aggregate or a plan node may reach reads with [`query`], which starts no command: it runs in
//! parallel workers, and while a statement that writes reads its input in parallel. Invariant: all of them run as the
//! owner of the tables, and but for a narrower [`Visibility`] see what this transaction has changed.

use std::ffi::{CStr, CString, c_char};

use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{FromDatum, IntoDatum, Spi, pg_sys};

use super::privilege::{as_owner, table_oid};
use super::snapshot::{self, Visibility};
use crate::error::Error;

/// A row that [`query`] found.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    columns: pg_sys::TupleDesc,
}

impl Row {
    /// The value of a column, counted from 1; `None` for NULL.
    ///
    /// # Errors
    /// When the column is of another type.
    pub fn get<T: FromDatum + IntoDatum>(&self, column: i32) -> Result<Option<T>, Error> {
        let mut null = false;
        // SAFETY: `query` hands rows out while the server keeps them; values are copied.
        unsafe {
            let value = pg_sys::SPI_getbinval(self.tuple, self.columns, column, &raw mut null);
            let kind = pg_sys::SPI_gettypeid(self.columns, column);
            Ok(T::try_from_datum(value, null, kind).map_err(pgrx::spi::Error::from)?)
        }
    }
}

/// The rows of a query, read by `read`.
///
/// # Errors
/// When our table can't be read, and those of `read`.
pub fn query<T>(
    query: &CStr,
    arguments: &[DatumWithOid<'_>],
    visibility: Visibility,
    read: impl Fn(&Row) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let table = table_oid(c"stored_model")?;
    as_owner(|| {
        Spi::connect(|_| {
            let mut kinds: Vec<pg_sys::Oid> = arguments.iter().map(DatumWithOid::oid).collect();
            let given = arguments.iter().map(DatumWithOid::datum);
            let nulls: Vec<c_char> = given.clone().map(|value| is_null(value.is_none())).collect();
            let mut values: Vec<pg_sys::Datum> = given
                .map(|value| value.map_or(pg_sys::Datum::null(), |value| value.sans_lifetime()))
                .collect();
            // SAFETY: as many types, values and signs of NULL as arguments, and a snapshot that is popped again; an error
            // inside ends the transaction and with it the snapshot. Read-only, since otherwise it would start a command.
            unsafe {
                snapshot::push(visibility, table);
                let code = pg_sys::SPI_execute_with_args(
                    query.as_ptr(),
                    i32::try_from(arguments.len()).unwrap_or(0),
                    kinds.as_mut_ptr(),
                    values.as_mut_ptr(),
                    nulls.as_ptr(),
                    true,
                    0,
                );
                pg_sys::PopActiveSnapshot();
                Spi::check_status(code)?;
                let found = pg_sys::SPI_tuptable;
                let rows = usize::try_from(pg_sys::SPI_processed).unwrap_or(0);
                let row = |at| Row { tuple: *(*found).vals.add(at), columns: (*found).tupdesc };
                (0..rows).map(|at| read(&row(at))).collect()
            }
        })
    })
}

/// How the server's interface for statements marks NULL.
fn is_null(null: bool) -> c_char {
    if null { b'n'.cast_signed() } else { b' '.cast_signed() }
}

/// Runs a statement and returns how many rows it changed.
///
/// # Errors
/// When our table can't be written.
pub fn run(statement: &str, arguments: &[DatumWithOid<'_>]) -> Result<usize, Error> {
    as_owner(|| Spi::connect_mut(|client| Ok(client.update(statement, None, arguments)?.len())))
}

/// The first value of the first row, or `None` if there is no row.
///
/// # Errors
/// As [`run`].
pub fn returning_one<T: FromDatum + IntoDatum>(
    statement: &str,
    arguments: &[DatumWithOid<'_>],
) -> Result<Option<T>, Error> {
    as_owner(|| {
        Spi::connect_mut(|client| {
            let found = client.update(statement, Some(1), arguments)?;
            if found.is_empty() { Ok(None) } else { Ok(found.first().get_one()?) }
        })
    })
}

/// All rows, read by `read`.
///
/// # Errors
/// As [`run`], and those of `read`.
pub fn returning<T>(
    statement: &str,
    arguments: &[DatumWithOid<'_>],
    read: impl Fn(&SpiHeapTupleData<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    as_owner(|| {
        Spi::connect_mut(|client| client.update(statement, None, arguments)?.map(|row| read(&row)).collect())
    })
}

/// All rows of a query, read by `read`, as committed now unless this transaction has written something. Unlike a statement
/// of [`returning`] it gives the transaction no id, and so holds back nobody else's.
///
/// # Errors
/// When our table can't be read, and those of `read`.
pub fn reading<T>(
    query: &str,
    arguments: &[DatumWithOid<'_>],
    read: impl Fn(&SpiHeapTupleData<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    as_owner(|| {
        Spi::connect(|client| {
            // SAFETY: popped below; an error ends the transaction and with it the snapshot.
            unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
            let rows = client.select(query, None, arguments)?.map(|row| read(&row)).collect();
            // SAFETY: pushed above.
            unsafe { pg_sys::PopActiveSnapshot() };
            rows
        })
    })
}

/// The first value of a query's first row, as committed now, whatever the snapshot of the transaction; `None` if there is
/// no row. `$1` is a number.
///
/// # Errors
/// When our table can't be read.
pub fn committed(query: &CStr, number: i64) -> Result<Option<String>, Error> {
    as_owner(|| {
        Spi::connect(|_| {
            let (mut kind, mut value) = (pg_sys::INT8OID, pg_sys::Datum::from(number));
            // SAFETY: one argument of the type that is named, and a snapshot that is popped again; an error inside ends
            // the transaction and with it the snapshot. Read-only, since otherwise the transaction's snapshot would be used.
            unsafe {
                pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
                let code = pg_sys::SPI_execute_with_args(
                    query.as_ptr(),
                    1,
                    &raw mut kind,
                    &raw mut value,
                    std::ptr::null(),
                    true,
                    1,
                );
                pg_sys::PopActiveSnapshot();
                Spi::check_status(code)?;
                if pg_sys::SPI_processed == 0 {
                    return Ok(None);
                }
                let table = pg_sys::SPI_tuptable;
                let text = pg_sys::SPI_getvalue(*(*table).vals, (*table).tupdesc, 1);
                Ok((!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned()))
            }
        })
    })
}

/// Whether a query has a row, as committed now, whatever the snapshot of the transaction, and with what this transaction has
/// changed.
///
/// # Errors
/// When our tables or the catalogs can't be read.
pub fn latest(query: &str) -> Result<bool, Error> {
    let query = CString::new(query).map_err(|_| Error::Unexpected("a statement with a NUL"))?;
    as_owner(|| {
        Spi::connect(|_| {
            // SAFETY: a terminated string, and a snapshot that is popped again; an error inside ends the transaction and with it
            // the snapshot.
            unsafe {
                pg_sys::CommandCounterIncrement();
                pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
                let code = pg_sys::SPI_execute(query.as_ptr(), true, 1);
                pg_sys::PopActiveSnapshot();
                Spi::check_status(code)?;
                Ok(pg_sys::SPI_processed > 0)
            }
        })
    })
}

/// Runs a statement that follows from another, as a foreign key would: it sees what is committed now. Rows that the
/// snapshot of the transaction doesn't have fail it with SQLSTATE 40001 where that snapshot is to last.
///
/// # Errors
/// When our table can't be written.
pub fn cascade(statement: &str, arguments: &[DatumWithOid<'_>]) -> Result<(), Error> {
    let statement = CString::new(statement).map_err(|_| Error::Unexpected("a statement with a NUL"))?;
    let mut kinds: Vec<pg_sys::Oid> = arguments.iter().map(DatumWithOid::oid).collect();
    let values = arguments.iter().map(|argument| argument.datum().map(|datum| datum.sans_lifetime()));
    let mut values = values.collect::<Option<Vec<_>>>().ok_or(Error::Unexpected("a statement about NULL"))?;
    as_owner(|| {
        Spi::connect_mut(|_| {
            // SAFETY: as many values as types, none of them NULL; what the server's own triggers of foreign keys do.
            unsafe {
                let plan = pg_sys::SPI_prepare(statement.as_ptr(), kinds.len() as i32, kinds.as_mut_ptr());
                if plan.is_null() {
                    return Err(Error::Unexpected("a statement that cannot be prepared"));
                }
                pg_sys::CommandCounterIncrement();
                let latest = pg_sys::GetLatestSnapshot();
                let crosscheck = if pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 {
                    pg_sys::GetTransactionSnapshot()
                } else {
                    std::ptr::null_mut()
                };
                let code = pg_sys::SPI_execute_snapshot(
                    plan,
                    values.as_mut_ptr(),
                    std::ptr::null(),
                    latest,
                    crosscheck,
                    false,
                    true,
                    0,
                );
                pg_sys::SPI_freeplan(plan);
                Ok(Spi::check_status(code).map(drop)?)
            }
        })
    })
}
