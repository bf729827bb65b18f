//! Fingerprints of the rows that models were trained on, in chunks of bytea: those of a job until it succeeds, then those of its version.
//!
//! It must not know what stands for a row. Invariant: a model has those of one version, the latest that was trained and
//! not dropped since; at most one chunk is held here at a time.

use super::statement::{returning_one, run};
use crate::error::Error;

/// Stores the next chunk of a job.
///
/// # Errors
/// When our table can't be written.
pub fn store(job: i64, chunk: i32, data: Vec<u8>) -> Result<(), Error> {
    let statement = "INSERT INTO ecommerce_ml.stored_job_seen (job, chunk, data) VALUES ($1, $2, $3)";
    run(statement, &[job.into(), chunk.into(), data.into()]).map(drop)
}

/// Removes what a job has.
///
/// # Errors
/// When our table can't be written.
pub fn delete(job: i64) -> Result<(), Error> {
    run("DELETE FROM ecommerce_ml.stored_job_seen WHERE job = $1", &[job.into()]).map(drop)
}

/// Makes what a job has that of the version that it made. What earlier versions had goes, and what the model's
/// trainings had that ended otherwise.
///
/// # Errors
/// When our table can't be written.
pub fn hand_over(job: i64, name: &str, version: i32) -> Result<(), Error> {
    run("DELETE FROM ecommerce_ml.stored_seen WHERE name = $1", &[name.into()])?;
    let statement = "
        INSERT INTO ecommerce_ml.stored_seen (name, version, chunk, data)
        SELECT $2, $3, s.chunk, s.data FROM ecommerce_ml.stored_job_seen s WHERE s.job = $1";
    run(statement, &[job.into(), name.into(), version.into()])?;
    let forget = "
        DELETE FROM ecommerce_ml.stored_job_seen s USING ecommerce_ml.stored_job j
        WHERE j.job = s.job AND j.name = $1 AND (j.job = $2 OR j.state NOT IN ('queued', 'running'))";
    run(forget, &[name.into(), job.into()]).map(drop)
}

/// The version that the rows of a model are those of; none if it has none.
///
/// # Errors
/// When our table can't be read.
pub fn version(name: &str) -> Result<Option<i32>, Error> {
    returning_one("SELECT min(version) FROM ecommerce_ml.stored_seen WHERE name = $1", &[name.into()])
}

/// Hands out the chunks of a model, in order.
///
/// # Errors
/// When our table can't be read, and those of `take`.
pub fn for_each_chunk(name: &str, mut take: impl FnMut(Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
    let query = "SELECT data FROM ecommerce_ml.stored_seen WHERE name = $1 AND chunk = $2";
    for chunk in 0.. {
        let Some(data) = returning_one::<Vec<u8>>(query, &[name.into(), i32::into(chunk)])? else { break };
        take(data)?;
    }
    Ok(())
}
