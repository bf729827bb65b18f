//! Which models are trained again and again, from what, and what became of it last.
//!
//! It must not know what runs them. Invariant: whoever reads a schedule here to change it or to run it has locked it
//! until the transaction ends, so runs of one schedule happen one after another.

use pgrx::spi::SpiHeapTupleData;
use pgrx::{JsonB, pg_sys};
use serde_json::Value;

use super::arguments::Arguments;
use super::privilege::acts_as;
use super::session::Session;
use super::statement::{returning, returning_one, run};
use super::versions::role;
use crate::error::Error;

/// What a model is trained from, and when there is something to do.
pub struct Schedule {
    /// Of the model.
    pub name: String,
    /// When pg_cron runs it; `None` if another scheduler does.
    pub cron: Option<String>,
    /// With its schema, quoted: what has this name when a run begins is what is read.
    pub relation: String,
    /// As they were given.
    pub arguments: Arguments,
    pub min_new_rows: i64,
    /// What makes a training due, as a JSON object; `None` if new rows do.
    pub retrain_if: Option<Value>,
    /// What was measured of drift last, as [`record_drift`] was given it.
    pub drift: Option<Value>,
    /// The role that rows are read as; `InvalidOid` if it isn't there any more.
    pub owner: pg_sys::Oid,
    /// Its name, or the last that is known.
    pub owner_name: String,
    /// What names and conditions meant to the session that made it.
    pub session: Session,
}

impl Schedule {
    /// Refuses unless the calling role has the privileges of the owner.
    ///
    /// # Errors
    /// [`Error::ScheduleDenied`].
    pub fn require_owner(&self) -> Result<(), Error> {
        if acts_as(self.owner) { Ok(()) } else { Err(Error::ScheduleDenied(self.name.clone())) }
    }
}

/// The schedule of a model, locked.
///
/// # Errors
/// When our table can't be read, or doesn't hold what we write.
pub fn lock(name: &str) -> Result<Option<Schedule>, Error> {
    let query = "
        SELECT name, cron, relation, arguments, min_new_rows,
               coalesce(ecommerce_ml.role_id(owner)::bigint, 0), search_path, settings, owner::text, retrain_if, drift
        FROM ecommerce_ml.stored_schedule WHERE name = $1 FOR UPDATE";
    Ok(returning(query, &[name.into()], read)?.pop())
}

fn read(row: &SpiHeapTupleData<'_>) -> Result<Schedule, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in stored_schedule");
    let text = |column| row.get::<String>(column)?.ok_or(DAMAGED);
    Ok(Schedule {
        name: text(1)?,
        cron: row.get(2)?,
        relation: text(3)?,
        arguments: Arguments::from_column(row.get(4)?).ok_or(DAMAGED)?,
        min_new_rows: row.get(5)?.ok_or(DAMAGED)?,
        owner: row.get::<i64>(6)?.map(role).ok_or(DAMAGED)?,
        session: Session::from_json(text(7)?, &row.get::<JsonB>(8)?.ok_or(DAMAGED)?.0),
        owner_name: text(9)?,
        retrain_if: row.get::<JsonB>(10)?.map(|value| value.0),
        drift: row.get::<JsonB>(11)?.map(|value| value.0),
    })
}

/// Stores a schedule, in place of the one that the model had; what became of that stays.
///
/// # Errors
/// When our table can't be written.
pub fn store(schedule: &Schedule) -> Result<(), Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_schedule (name, cron, relation, arguments, min_new_rows, owner, search_path, settings,
                                                  retrain_if)
        VALUES ($1, $2, $3, $4, $5, $6::ecommerce_ml.role_reference, $7, $8, $9)
        ON CONFLICT (name) DO UPDATE
        SET cron = excluded.cron, relation = excluded.relation, arguments = excluded.arguments,
            min_new_rows = excluded.min_new_rows, owner = excluded.owner, search_path = excluded.search_path, settings = excluded.settings,
            retrain_if = excluded.retrain_if";
    let arguments = [
        schedule.name.as_str().into(),
        schedule.cron.as_deref().into(),
        schedule.relation.as_str().into(),
        JsonB(schedule.arguments.to_json()?).into(),
        schedule.min_new_rows.into(),
        schedule.owner_name.as_str().into(),
        schedule.session.search_path.as_str().into(),
        schedule.session.to_json().into(),
        schedule.retrain_if.clone().map(JsonB).into(),
    ];
    run(statement, &arguments).map(drop)
}

/// Removes the schedule of a model.
///
/// # Errors
/// When our table can't be written.
pub fn delete(name: &str) -> Result<(), Error> {
    run("DELETE FROM ecommerce_ml.stored_alert WHERE name = $1 AND relation IS NULL", &[name.into()])?;
    run("DELETE FROM ecommerce_ml.stored_schedule WHERE name = $1", &[name.into()]).map(drop)
}

/// Records what was measured of drift: version and measures, as a JSON object.
///
/// # Errors
/// When our table can't be written.
pub fn record_drift(name: &str, drift: &Value) -> Result<(), Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_schedule SET drift = $2, drift_measured = clock_timestamp() WHERE name = $1";
    run(statement, &[name.into(), JsonB(drift.clone()).into()]).map(drop)
}

/// Whether a model has a schedule.
///
/// # Errors
/// When our table can't be read.
pub fn exists(name: &str) -> Result<bool, Error> {
    let query = "SELECT true FROM ecommerce_ml.stored_schedule WHERE name = $1";
    Ok(returning_one::<bool>(query, &[name.into()])?.is_some())
}

/// Schedules that a role owns, and those of models that it owns.
///
/// # Errors
/// When our tables can't be read.
pub fn of_role(role: pg_sys::Oid) -> Result<Vec<String>, Error> {
    let query = "
        SELECT s.name FROM ecommerce_ml.stored_schedule s
        LEFT JOIN ecommerce_ml.stored_model m ON m.name = s.name
        WHERE $1 IN (ecommerce_ml.role_id(s.owner)::bigint, ecommerce_ml.role_id(m.owner)::bigint) ORDER BY s.name";
    let read = |row: &SpiHeapTupleData<'_>| row.get::<String>(1).map_err(Error::from);
    Ok(returning(query, &[i64::from(role.to_u32()).into()], read)?.into_iter().flatten().collect())
}

/// Records what became of a run, and its job if it has one.
///
/// # Errors
/// When our table can't be written.
pub fn record_run(name: &str, job: Option<i64>, outcome: &str) -> Result<(), Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_schedule
        SET last_run = clock_timestamp(), last_job = coalesce($2, last_job), last_outcome = $3
        WHERE name = $1";
    run(statement, &[name.into(), job.into(), outcome.into()]).map(drop)
}
