//! Answers while a row is written.
//!
//! Invariant: the versions are those that the statement that writes the row sees, as the expression does.

use pgrx::pg_sys::{self, HeapTuple};
use pgrx::{Spi, spi::quote_identifier};

use super::definition::{Definition, Kept, Recipe, RefreshMode, attribute_type};
use super::stale::{KeptNumbers, WrittenRow};
use super::statement::{Value, execute};
use super::suspects::{self, Source};
use crate::catalog::privilege::as_role;
use crate::error::Error;
use crate::relation::Relation;

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

/// Makes an alert of a row that has been written, if it meets the condition.
///
/// # Errors
/// As resolving the models; the server's own of the condition.
///
/// # Safety
/// As the trigger is called.
pub unsafe fn watched(row: &WrittenRow, column: &str, recipe: &str) -> Result<(), Error> {
    let recipe: Recipe =
        serde_json::from_str(recipe).map_err(|_| Error::Unexpected("watched rows without a recipe"))?;
    let watch = recipe.watch.clone().ok_or(Error::Unexpected("watched rows without a condition"))?;
    // SAFETY: as the caller promises.
    let (relation, owner) = unsafe { ((*row.relation).rd_id, (*(*row.relation).rd_rel).relowner) };
    let kept = Kept {
        relation,
        owner,
        from: Relation::open(relation)?.from().to_owned(),
        trigger: String::new(),
        is_root: true,
        is_partitioned: false,
        definition: Definition {
            column: column.to_owned(),
            mode: RefreshMode::Immediate,
            recipe,
            reads: Vec::new(),
        },
    };
    let recipe = &kept.definition.recipe;
    let suspects = as_role(owner, &recipe.session(), || {
        let versions = recipe.live_versions()?;
        Spi::connect_mut(|_| {
            // SAFETY: as the caller promises.
            let (row_type, datum) = unsafe { row.as_datum() };
            suspects::find(&kept, &watch, &versions, Source::Row(row_type, datum))
        })
    })?;
    suspects::alert(&kept, &watch, &suspects)
}
