//! Rows that a query returns.
//!
//! Invariant: the columns of a row come in the order in which their types were given.

use pgrx::pg_sys::{self, Datum};

use super::builder::RowsBuilder;
use super::value::ValueReader;

/// Reads rows of a query, of which the last columns are those to be read.
pub struct TupleReader {
    readers: Vec<ValueReader>,
    values: Vec<Datum>,
    nulls: Vec<bool>,
}

impl TupleReader {
    /// For columns of these types; `None` if one of them isn't read.
    ///
    /// # Safety
    /// The types exist.
    pub unsafe fn new(types: &[pg_sys::Oid]) -> Option<Self> {
        // SAFETY: as the caller promises.
        let readers =
            types.iter().map(|type_oid| unsafe { ValueReader::of(*type_oid) }).collect::<Option<_>>()?;
        Some(Self { readers, values: Vec::new(), nulls: Vec::new() })
    }

    /// Adds a row.
    ///
    /// # Safety
    /// The row has this description, whose last columns are of the types that this was made for. What is unpacked of it is in the
    /// current memory context.
    pub unsafe fn read(
        &mut self,
        row: pg_sys::HeapTuple,
        description: pg_sys::TupleDesc,
        rows: &mut RowsBuilder,
    ) {
        // SAFETY: as the caller promises; there is room for each of its values.
        let count = unsafe { usize::try_from((*description).natts).unwrap_or(0) };
        self.values.resize(count, Datum::from(0));
        self.nulls.resize(count, true);
        // SAFETY: as above.
        unsafe {
            pg_sys::heap_deform_tuple(row, description, self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
        }
        let first = count.saturating_sub(self.readers.len());
        let values = self.values[first..].iter().zip(&self.nulls[first..]);
        let read = rows.push::<std::convert::Infallible>(|columns| {
            for ((reader, (value, null)), column) in self.readers.iter().zip(values).zip(columns) {
                // SAFETY: as the caller promises.
                if *null { column.push_null() } else { unsafe { reader.append(*value, column) } }
            }
            Ok(())
        });
        let Ok(_) = read;
    }
}

/// A timestamp in microseconds since 1970 began in UTC; `None` for one that is infinite, and for what is none.
///
/// # Safety
/// A value of this type.
pub unsafe fn timestamp(value: Datum, type_oid: pg_sys::Oid) -> Option<i64> {
    // SAFETY: as the caller promises.
    unsafe { ValueReader::of(type_oid) }.and_then(|reader| reader.timestamp(value))
}
