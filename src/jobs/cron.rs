//! Jobs of the extension pg_cron that run schedules.
//!
//! All is done as the schedule's owner, whose job it is then: pg_cron runs it as that role. Invariant: a schedule has one
//! job there at most, told by its command.

use pgrx::{Spi, pg_sys};

use crate::catalog::privilege::as_role;
use crate::catalog::schedules::Schedule;
use crate::catalog::session::Session;
use crate::error::Error;

/// Lets pg_cron run a schedule at the times that it names.
///
/// # Errors
/// [`Error::SchedulerMissing`]; pg_cron's own errors end the statement.
pub fn add(schedule: &Schedule, cron: &str) -> Result<(), Error> {
    if !is_here() {
        return Err(Error::SchedulerMissing);
    }
    let (name, command) = (format!("ecommerce_ml {}", schedule.name), command(schedule));
    as_owner_of(schedule, || {
        Spi::connect_mut(|client| {
            // pg_cron cuts longer names off, and would take jobs with the same beginning for one.
            if name.len() < pg_sys::NAMEDATALEN as usize {
                let arguments = [name.as_str().into(), cron.into(), command.as_str().into()];
                client.update("SELECT cron.schedule($1::text, $2, $3)", None, &arguments)?;
            } else {
                client.update(
                    "SELECT cron.schedule($1, $2)",
                    None,
                    &[cron.into(), command.as_str().into()],
                )?;
            }
            Ok(())
        })
    })
}

/// Takes back what [`add`] has done, if it is still there.
///
/// # Errors
/// The server's own errors end the statement.
pub fn remove(schedule: &Schedule) -> Result<(), Error> {
    if !is_here() {
        return Ok(());
    }
    let statement = "
        SELECT cron.unschedule(jobid) FROM cron.job
        WHERE command = $1 AND username = current_user AND database = current_database()";
    let command = command(schedule);
    as_owner_of(schedule, || {
        Spi::connect_mut(|client| {
            client.update(statement, None, &[command.as_str().into()]).map(drop).map_err(Error::from)
        })
    })
}

fn as_owner_of<T>(schedule: &Schedule, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    as_role(schedule.owner, &Session::system(), work)
}

/// The name of a model has nothing in it that would have to be quoted.
fn command(schedule: &Schedule) -> String {
    format!("SELECT ecommerce_ml.run_scheduled_training('{}')", schedule.name)
}

fn is_here() -> bool {
    // SAFETY: a terminated string; a missing extension is reported by the result.
    unsafe { pg_sys::get_extension_oid(c"pg_cron".as_ptr(), true) != pg_sys::InvalidOid }
}
