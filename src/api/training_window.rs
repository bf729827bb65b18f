//! What was known of customers at a moment, and what came after.

use std::ffi::CStr;

use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, pg_sys};

use super::columns::column_name;
use crate::error::Error;
use crate::relation::Relation;
use crate::training_window::{Moments, WindowColumns, statement};

/// The statement that `training_window` runs, with cutoff and horizon as its parameters: its rows may be more than fit into memory,
/// and PL/pgSQL spills them.
#[pg_extern]
fn training_window_statement(
    relation: Option<pg_sys::Oid>,
    customer_column: Option<&CStr>,
    time_column: Option<&CStr>,
    cutoff: Option<TimestampWithTimeZone>,
    horizon: Option<Interval>,
    amount_column: Option<&CStr>,
    complete_until: Option<TimestampWithTimeZone>,
) -> Result<String, ErrorReport> {
    let relation = Relation::open(relation.ok_or(Error::ArgumentNull("relation"))?)?;
    let customer = customer_column.ok_or(Error::ArgumentNull("customer_column"))?;
    let time = time_column.ok_or(Error::ArgumentNull("time_column"))?;
    let moments = Moments { cutoff: cutoff.ok_or(Error::ArgumentNull("cutoff"))?, horizon, complete_until };
    let columns = WindowColumns {
        customer: relation.column_named(&column_name(customer))?,
        time: relation.column_named(&column_name(time))?,
        amount: amount_column.map(|amount| relation.column_named(&column_name(amount))).transpose()?,
    };
    Ok(statement(&relation, &columns, &moments)?)
}
