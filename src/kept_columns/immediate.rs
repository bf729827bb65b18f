//! Answers while a row is written.
//!
//! Invariant: the versions are those that the statement that writes the row sees, as the expression does.

use pgrx::pg_sys::{self, HeapTuple};
use pgrx::{Spi, spi::quote_identifier};

use super::definition::{Recipe, attribute_type};
use super::stale::{KeptNumbers, WrittenRow};
use super::statement::{Value, execute};
use crate::catalog::privilege::as_role;
use crate::error::Error;

/// The row with its answer.
///
/// # Errors
/// As resolving the models; the server's own of the expression.
///
/// # Safety
/// As the trigger is called.
pub unsafe fn answered(
    row: &WrittenRow,
    kept: KeptNumbers,
    column: &str,
    recipe: &str,
) -> Result<HeapTuple, Error> {
    let recipe: Recipe =
        serde_json::from_str(recipe).map_err(|_| Error::Unexpected("a kept column without a recipe"))?;
    // SAFETY: as the caller promises.
    let (relation, owner) = unsafe { ((*row.relation).rd_id, (*(*row.relation).rd_rel).relowner) };
    let type_name =
        attribute_type(relation, column).ok_or(Error::Unexpected("a kept column without a type"))?;
    let query = format!(
        "SELECT (\n{}\n)::{type_name} FROM pg_catalog.unnest(ARRAY[$1]) AS {}",
        recipe.expression,
        quote_identifier(&recipe.table)
    );
    as_role(owner, &recipe.session(), || {
        let versions = recipe.live_versions()?;
        Spi::connect_mut(|_| {
            // SAFETY: as the caller promises. The row is made before the interface for statements is left, in the memory context
            // of the trigger, since the value goes with it.
            unsafe {
                let (row_type, datum) = row.as_datum();
                let value = execute(&query, &[Value(row_type, Some(datum))], true)?.value;
                let versions = Value::text(&versions).1;
                let written = row.with(kept, [value, versions]);
                Ok(pg_sys::SPI_copytuple(written))
            }
        })
    })
}
