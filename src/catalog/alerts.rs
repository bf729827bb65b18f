//! Alerts: what somebody should look at.
//!
//! It must not know what made them. Invariant: whoever adds one for a model has locked its schedule, so that numbers are given once;
//! the newest are kept.

use pgrx::{JsonB, Spi};
use serde_json::{Value, json};

use super::statement::{returning_one, run};
use crate::error::Error;

/// Alerts of a model that are kept.
const KEPT: i32 = 100;
/// Where those who listen are told.
const CHANNEL: &str = "ecommerce_ml_alerts";

/// Adds an alert and tells those who listen, when the transaction commits. They are told where to look and not what there is to see,
/// since everybody may listen.
///
/// # Errors
/// When our table can't be written.
pub fn add(name: &str, kind: &str, message: &str, detail: Value) -> Result<(), Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_alert (name, alert, kind, message, detail)
        SELECT $1, coalesce(max(a.alert), 0) + 1, $2, $3, $4 FROM ecommerce_ml.stored_alert a WHERE a.name = $1
        RETURNING alert";
    let arguments = [name.into(), kind.into(), message.into(), JsonB(detail).into()];
    let alert = returning_one::<i32>(statement, &arguments)?.unwrap_or_default();
    let forget = "DELETE FROM ecommerce_ml.stored_alert WHERE name = $1 AND alert <= $2";
    run(forget, &[name.into(), (alert - KEPT).into()])?;
    let told = json!({"name": name, "alert": alert, "kind": kind}).to_string();
    Ok(Spi::run_with_args("SELECT pg_catalog.pg_notify($1, $2)", &[CHANNEL.into(), told.as_str().into()])?)
}
