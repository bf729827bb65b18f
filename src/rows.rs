//! What a query returns, a few rows at a time.
//!
//! Invariant: memory doesn't grow with the number of rows: what a fetch takes in the server's contexts is given back
//! before the next.

use std::ffi::{CStr, CString};

use pgrx::datum::DatumWithOid;
use pgrx::spi::{self, SpiCursor, SpiHeapTupleData};
use pgrx::{FromDatum, IntoDatum, PgList, PgMemoryContexts, Spi, pg_sys};

use crate::error::Error;

/// Rows of a fetch: few, since a text may have megabytes.
const FETCHED: i64 = 32;

/// Reads a row.
pub type Read<T> = fn(&SpiHeapTupleData<'_>) -> spi::Result<T>;

/// Runs a query, whose parameters are these texts, as the calling role and hands out its rows in order.
///
/// # Errors
/// Those of `take`; the server's own errors end the statement.
pub fn for_each<T>(
    query: &str,
    texts: &[&str],
    read: Read<T>,
    mut take: impl FnMut(T) -> Result<(), Error>,
) -> Result<(), Error> {
    Spi::connect(|client| {
        let scratch = Scratch::new();
        let texts: Vec<DatumWithOid<'_>> = texts.iter().map(|text| (*text).into()).collect();
        let mut cursor = client.try_open_cursor(query, &texts)?;
        loop {
            let rows = scratch.fetch(&mut cursor, read)?;
            if rows.is_empty() {
                return Ok(());
            }
            rows.into_iter().try_for_each(&mut take)?;
        }
    })
}

/// Reads a row of two columns.
pub fn read_pair<A: FromDatum + IntoDatum, B: FromDatum + IntoDatum>(
    row: &SpiHeapTupleData<'_>,
) -> spi::Result<(Option<A>, Option<B>)> {
    Ok((row.get(1)?, row.get(2)?))
}

/// A row as the server has it. Nobody else makes one, or keeps one.
pub struct Tuple {
    row: pg_sys::HeapTuple,
    description: pg_sys::TupleDesc,
}

impl Tuple {
    /// The row.
    pub fn row(&self) -> pg_sys::HeapTuple {
        self.row
    }

    /// Which columns it has.
    pub fn description(&self) -> pg_sys::TupleDesc {
        self.description
    }

    /// The value of a column, counted from 1, and its type; `None` for NULL.
    pub fn datum(&self, column: i32) -> Option<(pg_sys::Datum, pg_sys::Oid)> {
        let mut null = false;
        // SAFETY: a row and its description, which the server keeps while they are handed out.
        unsafe {
            let value = pg_sys::SPI_getbinval(self.row, self.description, column, &raw mut null);
            (!null).then(|| (value, pg_sys::SPI_gettypeid(self.description, column)))
        }
    }

    /// The same, copied.
    ///
    /// # Errors
    /// When the column is of another type.
    pub fn get<T: FromDatum + IntoDatum>(&self, column: i32) -> Result<Option<T>, Error> {
        let Some((value, type_oid)) = self.datum(column) else { return Ok(None) };
        // SAFETY: a value of this type.
        Ok(unsafe { T::try_from_datum(value, false, type_oid) }.map_err(spi::Error::from)?)
    }
}

/// Who takes rows as the server has them.
pub trait TakeTuples {
    /// Takes one. What the server unpacks meanwhile is given back before the next few.
    ///
    /// # Errors
    /// If it can't be taken; then no other comes.
    fn take(&mut self, tuple: &Tuple) -> Result<(), Error>;

    /// Some were taken, and the next are not read yet.
    ///
    /// # Errors
    /// If there is to be no other.
    fn pause(&mut self) -> Result<(), Error>;
}

/// Runs a query as the calling role and hands out its rows in order, as the server has them.
///
/// # Errors
/// Those of `taker`; the server's own errors end the statement.
pub fn for_each_tuple(query: &str, taker: &mut impl TakeTuples) -> Result<(), Error> {
    Spi::connect(|client| {
        let scratch = Scratch::new();
        let mut cursor = client.try_open_cursor(query, &[])?;
        loop {
            let mut values = PgMemoryContexts::For(scratch.values.value());
            // SAFETY: all that is allocated meanwhile is copied into Rust's memory before it is given back below.
            let taken = unsafe { values.switch_to(|_| take_some(&mut cursor, taker)) };
            scratch.reset();
            if taken? == 0 {
                return Ok(());
            }
            taker.pause()?;
        }
    })
}

fn take_some(cursor: &mut SpiCursor<'_>, taker: &mut impl TakeTuples) -> Result<usize, Error> {
    let count = cursor.fetch(FETCHED)?.len();
    // SAFETY: set by the fetch, with so many rows; it is freed below, when nothing refers to them any more.
    unsafe {
        let fetched = pg_sys::SPI_tuptable;
        let tuple = |at| Tuple { row: *(*fetched).vals.add(at), description: (*fetched).tupdesc };
        let taken = (0..count).try_for_each(|at| taker.take(&tuple(at)));
        pg_sys::SPI_freetuptable(fetched);
        taken.map(|()| count)
    }
}

/// Opens a query like that of [`for_each`] and closes it again, so that the server says what is wrong with it, or that the
/// calling role may not run it.
///
/// # Errors
/// Those of opening a cursor; the server's own errors end the statement.
pub fn require_runs(query: &str, texts: &[&str]) -> Result<(), Error> {
    Spi::connect(|client| {
        let texts: Vec<DatumWithOid<'_>> = texts.iter().map(|text| (*text).into()).collect();
        client.try_open_cursor(query, &texts).map(drop).map_err(Error::from)
    })
}

/// The name of a temporary relation that such a query reads, be it in a subquery or through a view; `None` if there is none.
/// What functions read isn't known.
///
/// # Errors
/// The server's own errors end the statement.
pub fn temporary_relation(query: &str, texts: usize) -> Result<Option<String>, Error> {
    let query = CString::new(query).map_err(|_| Error::Unexpected("a query with a NUL"))?;
    let count = i32::try_from(texts).map_err(|_| Error::Unexpected("too many parameters"))?;
    let mut types = vec![pg_sys::TEXTOID; texts];
    Spi::connect(|_| {
        // SAFETY: so many types of parameters. The plan and its sources live as long as the connection.
        let found = unsafe {
            let plan = pg_sys::SPI_prepare(query.as_ptr(), count, types.as_mut_ptr());
            if plan.is_null() {
                return Err(Error::Unexpected("a query that cannot be prepared"));
            }
            let sources =
                PgList::<pg_sys::CachedPlanSource>::from_pg(pg_sys::SPI_plan_get_plan_sources(plan));
            sources
                .iter_ptr()
                .flat_map(|source| {
                    PgList::<pg_sys::Oid>::from_pg((*source).relationOids).iter_oid().collect::<Vec<_>>()
                })
                .find(|relation| {
                    pg_sys::get_rel_persistence(*relation).cast_unsigned() == pg_sys::RELPERSISTENCE_TEMP
                })
                .map(|relation| CStr::from_ptr(pg_sys::get_rel_name(relation)).to_string_lossy().into_owned())
        };
        Ok(found)
    })
}

/// Where values of rows are unpacked. Two contexts, because pgrx puts what it copies into the parent of the current one.
struct Scratch {
    // Declared first, so dropped first.
    values: PgMemoryContexts,
    copies: PgMemoryContexts,
}

impl Scratch {
    fn new() -> Self {
        let mut copies = PgMemoryContexts::new("ecommerce_ml copies of values");
        // SAFETY: nothing is allocated but the context itself.
        let values = unsafe { copies.switch_to(|_| PgMemoryContexts::new("ecommerce_ml values")) };
        Self { values, copies }
    }

    fn fetch<T>(&self, cursor: &mut SpiCursor<'_>, read: Read<T>) -> Result<Vec<T>, Error> {
        let mut values = PgMemoryContexts::For(self.values.value());
        // SAFETY: all that is allocated meanwhile is copied into Rust's memory before it is given back below.
        let rows = unsafe { values.switch_to(|_| fetch(cursor, read)) };
        self.reset();
        rows
    }

    /// Gives their memory back.
    fn reset(&self) {
        // SAFETY: what was unpacked has been copied, and nothing refers to the contexts' memory any more.
        unsafe {
            pg_sys::MemoryContextResetOnly(self.values.value());
            pg_sys::MemoryContextResetOnly(self.copies.value());
        }
    }
}

fn fetch<T>(cursor: &mut SpiCursor<'_>, read: Read<T>) -> Result<Vec<T>, Error> {
    let table = cursor.fetch(FETCHED)?;
    // SAFETY: set by the fetch; reading rows runs no other statement.
    let fetched = unsafe { pg_sys::SPI_tuptable };
    let rows = table.map(|row| read(&row)).collect::<spi::Result<Vec<T>>>();
    // SAFETY: the rows have been read, and what refers to the table is gone.
    unsafe { pg_sys::SPI_freetuptable(fetched) };
    Ok(rows?)
}
