//! Which jobs there are, whose they are, and what they are in the way of.

use pgrx::pg_sys;
use pgrx::spi::SpiHeapTupleData;

use super::{Waiting, cluster, read_waiting};
use crate::catalog::privilege::{acts_as, role_oid};
use crate::catalog::statement::{committed, reading, returning, returning_one};
use crate::catalog::versions::role;
use crate::error::Error;

/// Whether a job is queued or running.
///
/// # Errors
/// When our table can't be read.
pub fn is_open(id: i64) -> Result<bool, Error> {
    let query = "SELECT job FROM ecommerce_ml.stored_job WHERE job = $1 AND state IN ('queued', 'running')";
    Ok(!reading(query, &[id.into()], |_| Ok(()))?.is_empty())
}

/// Whether a job is still to be run by its worker, and not cancelled or dropped.
///
/// # Errors
/// When our table can't be read.
pub fn is_running(id: i64) -> Result<bool, Error> {
    let query = "SELECT job FROM ecommerce_ml.stored_job WHERE job = $1 AND state = 'running'";
    Ok(!reading(query, &[id.into()], |_| Ok(()))?.is_empty())
}

/// Jobs that a role owns, in words.
///
/// # Errors
/// When our table can't be read.
pub fn owned(role: pg_sys::Oid) -> Result<Vec<String>, Error> {
    Ok(numbers(role)?.into_iter().map(|job| format!("owner of job {job}")).collect())
}

/// Numbers of the jobs that a role owns.
///
/// # Errors
/// When our table can't be read.
pub fn numbers(role: pg_sys::Oid) -> Result<Vec<i64>, Error> {
    let query = "SELECT job FROM ecommerce_ml.stored_job
                 WHERE ecommerce_ml.role_id(owner)::bigint = $1 ORDER BY job";
    let read = |row: &SpiHeapTupleData<'_>| row.get::<i64>(1).map_err(Error::from);
    Ok(returning(query, &[i64::from(role.to_u32()).into()], read)?.into_iter().flatten().collect())
}

/// All jobs of this cluster that have not ended, whether or not they have a worker; running ones first.
///
/// # Errors
/// When our table can't be read.
pub fn open() -> Result<Vec<Waiting>, Error> {
    let query = "
        SELECT job, ecommerce_ml.role_id(login)::bigint, state = 'running' FROM ecommerce_ml.stored_job
        WHERE state IN ('queued', 'running') AND cluster = $1 AND ecommerce_ml.role_id(login) IS NOT NULL
        ORDER BY state DESC, job";
    reading(query, &[cluster().into()], read_waiting)
}

/// A job that hasn't ended and needs this version of a model, or any version, as its base or as a member of its ensemble.
///
/// # Errors
/// When our table can't be read.
pub fn using(name: &str, version: Option<i32>) -> Result<Option<i64>, Error> {
    let query = "
        SELECT job FROM ecommerce_ml.stored_job
        WHERE state IN ('queued', 'running') AND cluster = $3
          AND EXISTS (SELECT FROM (SELECT base UNION ALL SELECT jsonb_array_elements_text(arguments -> 'members')) AS u (used)
                      WHERE split_part(used, '@', 1) = $1 AND ($2 IS NULL OR split_part(used, '@', 2) = $2::text))";
    returning_one(query, &[name.into(), version.into(), cluster().into()])
}

/// A job that hasn't ended and trains this model, with its state.
///
/// # Errors
/// When our table can't be read.
pub fn open_of(name: &str) -> Result<Option<(i64, String)>, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in stored_job");
    let query = "
        SELECT job, state FROM ecommerce_ml.stored_job
        WHERE state IN ('queued', 'running') AND cluster = $2 AND name = $1 ORDER BY state DESC, job LIMIT 1";
    let read = |row: &SpiHeapTupleData<'_>| Ok((row.get(1)?.ok_or(DAMAGED)?, row.get(2)?.ok_or(DAMAGED)?));
    Ok(returning(query, &[name.into(), cluster().into()], read)?.pop())
}

/// State of a job, as its row has it now, for roles that may see it.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`].
pub fn state(id: i64) -> Result<String, Error> {
    let query = c"SELECT coalesce(ecommerce_ml.role_id(owner), 0) || ' ' || state FROM ecommerce_ml.stored_job WHERE job = $1";
    let found = committed(query, id)?.ok_or(Error::UnknownJob(id))?;
    let (owner, state) = found.split_once(' ').ok_or(Error::Unexpected("a damaged row in stored_job"))?;
    let owner = owner.parse().map_or(pg_sys::InvalidOid, |number: u32| pg_sys::Oid::from(number));
    require_privileges(id, owner, &["pg_read_all_stats"])?;
    Ok(state.to_owned())
}

/// What came of a job, of those that the calling role may see: its model with the version that it made, and what was decided or
/// went wrong. Nothing of one that is gone.
///
/// # Errors
/// When our table can't be read.
pub fn result(id: i64) -> Result<(Option<String>, Option<String>), Error> {
    let query = "SELECT name || '@' || version, coalesce(error ->> 'message', 'by ' || cancelled_by, outcome)
                 FROM ecommerce_ml.stored_job WHERE job = $1";
    let read = |row: &SpiHeapTupleData<'_>| Ok((row.get::<String>(1)?, row.get::<String>(2)?));
    Ok(reading(query, &[id.into()], read)?.pop().unwrap_or_default())
}

/// Refuses unless the calling role has the privileges of a job's owner, or of one of these predefined roles.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`].
pub fn require(id: i64, roles: &[&str]) -> Result<(), Error> {
    let query =
        "SELECT coalesce(ecommerce_ml.role_id(owner)::bigint, 0) FROM ecommerce_ml.stored_job WHERE job = $1";
    let owner = returning_one::<i64>(query, &[id.into()])?.ok_or(Error::UnknownJob(id))?;
    require_privileges(id, role(owner), roles)
}

fn require_privileges(id: i64, owner: pg_sys::Oid, roles: &[&str]) -> Result<(), Error> {
    let by_role = |name: &&str| role_oid(name).is_ok_and(acts_as);
    if acts_as(owner) || roles.iter().any(by_role) { Ok(()) } else { Err(Error::JobDenied(id)) }
}
