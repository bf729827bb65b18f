//! Giving the engine a stored model that it doesn't have in memory.
//!
//! Invariant: at most one chunk is held here at a time, whatever the model's size.

use ecommerce_ml_protocol::{Request, RequestBody, RequestId, Sha256, UploadPart, encode_frame};

use super::session;
use crate::catalog::content;
use crate::error::Error;

/// Streams a model's files from our tables to the engine. If the engine is lost meanwhile this ends early; the next one
/// will ask again.
///
/// # Errors
/// Errors of reading the tables. Content that isn't stored fails only the request that asked for it.
pub fn send(id: RequestId, sha256: Sha256) -> Result<(), Error> {
    let Some(files) = content::manifest(sha256)? else {
        part(id, UploadPart::Abort { reason: format!("model {sha256} is not stored") })?;
        session::fail(id, Error::ContentMissing(sha256.to_string()));
        return Ok(());
    };
    if !part(id, UploadPart::Begin { files })? {
        return Ok(());
    }
    let all_sent = content::for_each_chunk(sha256, |file, data| part(id, UploadPart::Chunk { file, data }))?;
    if all_sent {
        part(id, UploadPart::End)?;
    }
    Ok(())
}

/// Sends a part; `false` if the engine was lost.
fn part(id: RequestId, part: UploadPart) -> Result<bool, Error> {
    session::send(encode_frame(&Request { id, body: RequestBody::Upload(part) })?)
}
