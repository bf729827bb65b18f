//! Checkpoints of trainings, in chunks of bytea.
//!
//! It must not know what is in them. Invariant: at most one chunk is held here at a time, and a job has one whole
//! checkpoint or none, since a new one and the end of the old one are the same transaction's.

use super::statement::{returning_one, run};
use crate::error::Error;

/// Stores the next chunk of a checkpoint that is being made.
///
/// # Errors
/// When our table can't be written.
pub fn store(job: i64, step: i64, chunk: i32, data: Vec<u8>) -> Result<(), Error> {
    let statement =
        "INSERT INTO ecommerce_ml.stored_checkpoint (job, step, chunk, data) VALUES ($1, $2, $3, $4)";
    run(statement, &[job.into(), step.into(), chunk.into(), data.into()]).map(drop)
}

/// Removes the checkpoint of a job.
///
/// # Errors
/// When our table can't be written.
pub fn delete(job: i64) -> Result<(), Error> {
    run("DELETE FROM ecommerce_ml.stored_checkpoint WHERE job = $1", &[job.into()]).map(drop)
}

/// Removes the checkpoints of all trainings of a model that have ended.
///
/// # Errors
/// When our table can't be written.
pub fn delete_ended(name: &str) -> Result<(), Error> {
    let statement = "
        DELETE FROM ecommerce_ml.stored_checkpoint c USING ecommerce_ml.stored_job j
        WHERE j.job = c.job AND j.name = $1 AND j.state NOT IN ('queued', 'running')";
    run(statement, &[name.into()]).map(drop)
}

/// Hands out the chunks of a job's checkpoint, in order.
///
/// # Errors
/// When our table can't be read, and those of `take`.
pub fn for_each_chunk(job: i64, mut take: impl FnMut(Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
    let query = "SELECT data FROM ecommerce_ml.stored_checkpoint WHERE job = $1 AND chunk = $2";
    for chunk in 0.. {
        let Some(data) = returning_one::<Vec<u8>>(query, &[job.into(), i32::into(chunk)])? else { break };
        take(data)?;
    }
    Ok(())
}
