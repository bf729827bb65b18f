//! Rows of the server's as the typed columns that models read.
//!
//! # Layout
//! - [`value`]: values of the server's types, read without going through text where that can be; [`numeric`]: those of `numeric`.
//! - [`builder`]: columns that grow by a row at a time.
//! - [`element`]: elements of arrays as columns of their own.
//! - [`record`]: rows of any composite type; [`tuple`]: rows of a query; [`json`]: objects of jsonb; [`error`]: why a row can't be read.
//!
//! It must not know models beyond the columns that they name, nor where rows come from. Invariant: whoever reads a value reads it
//! the same way, be it to train or to predict; a row that is refused leaves nothing behind.

mod builder;
pub mod element;
pub mod error;
pub mod json;
mod numeric;
mod record;
mod tuple;
mod value;

pub use builder::RowsBuilder;
pub use error::InputError;
pub use record::RecordReaders;
pub use tuple::{TupleReader, timestamp};
pub use value::EPOCH;

use ecommerce_ml_protocol::ValueType;
use pgrx::pg_sys;

/// What values of a type are read as, those of a domain as its base type's; nothing if they aren't.
///
/// # Safety
/// The type exists.
pub unsafe fn value_type(type_oid: pg_sys::Oid) -> Option<ValueType> {
    // SAFETY: as the caller promises.
    unsafe { value::ValueReader::of(type_oid) }.map(|reader| reader.value_type())
}
