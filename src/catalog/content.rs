//! The files of a version, in chunks of bytea.
//!
//! Content is named by the SHA-256 of its manifest and shared by the versions that have it. Invariant: at most one chunk
//! is held here at a time.

use ecommerce_ml_protocol::{FileEntry, Sha256, UPLOAD_CHUNK_BYTES};
use pgrx::spi::SpiHeapTupleData;
use pgrx::{JsonB, Spi, check_for_interrupts};
use serde_json::{Value, json};
use sha2::{Digest, Sha256 as Hasher};

use super::privilege::as_owner;
use super::snapshot::Sight;
use super::statement::{cascade, query, returning, returning_one, run};
use crate::error::Error;

/// The SHA-256 that names a manifest: of its lines `name NUL size NUL sha256 newline`, in the order of names.
pub fn address(files: &[FileEntry]) -> Sha256 {
    let mut hasher = Hasher::new();
    for file in files {
        hasher.update(format!("{}\0{}\0{}\n", file.name, file.size, file.sha256));
    }
    Sha256(hasher.finalize().into())
}

/// The files of stored content, or `None` if there is no such content.
///
/// # Errors
/// When our table can't be read, or doesn't hold what we write.
pub fn manifest(sha256: Sha256) -> Result<Option<Vec<FileEntry>>, Error> {
    let statement = c"SELECT files FROM ecommerce_ml.stored_content WHERE sha256 = $1";
    let found = query(statement, &[sha256.0.to_vec().into()], Sight::Own, |row| row.get::<JsonB>(1))?;
    found.into_iter().next().flatten().map(|JsonB(files)| read_manifest(&files)).transpose()
}

/// Records content, unless it is stored already. Returns whether its chunks are still to be stored.
///
/// # Errors
/// When our table can't be written.
pub fn record(sha256: Sha256, files: &[FileEntry]) -> Result<bool, Error> {
    let statement = "INSERT INTO ecommerce_ml.stored_content (sha256, size, files) VALUES ($1, $2, $3)
                     ON CONFLICT (sha256) DO NOTHING";
    let size: u64 = files.iter().map(|file| file.size).sum();
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    // Until the transaction ends, nobody deletes it: a version is about to have it.
    let keep = "SELECT true FROM ecommerce_ml.stored_content WHERE sha256 = $1 FOR KEY SHARE";
    loop {
        let arguments = [sha256.0.to_vec().into(), size.into(), JsonB(write_manifest(files)).into()];
        if run(statement, &arguments)? > 0 {
            return Ok(true);
        }
        if returning_one::<bool>(keep, &[sha256.0.to_vec().into()])?.is_some() {
            return Ok(false);
        }
        // Another transaction has just deleted it with the last version that had it.
        check_for_interrupts!();
    }
}

/// Stores a chunk of a file.
///
/// # Errors
/// When our table can't be written.
pub fn store_chunk(sha256: Sha256, file: u32, chunk: u32, data: &[u8]) -> Result<(), Error> {
    let statement =
        "INSERT INTO ecommerce_ml.stored_chunk (sha256, file, chunk, data) VALUES ($1, $2, $3, $4)";
    let (file, chunk) = (signed(file)?, signed(chunk)?);
    as_owner(|| {
        let arguments = [sha256.0.to_vec().into(), file.into(), chunk.into(), data.to_vec().into()];
        Ok(Spi::run_with_args(statement, &arguments)?)
    })
}

/// Hands out all chunks of all files in order, until `take` says that it wants no more. Returns whether it took all.
///
/// # Errors
/// [`Error::ContentMissing`] when a chunk isn't there, and those of `take`.
pub fn for_each_chunk(
    sha256: Sha256,
    mut take: impl FnMut(u32, Vec<u8>) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let files = manifest(sha256)?.ok_or_else(|| Error::ContentMissing(sha256.to_string()))?;
    for (index, file) in (0u32..).zip(&files) {
        for chunk in 0..chunks(file.size)? {
            let data = load_chunk(sha256, index, chunk)?;
            if !take(index, data.ok_or_else(|| Error::ContentMissing(sha256.to_string()))?)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// How many chunks a file of this size has.
///
/// # Errors
/// [`Error::Unexpected`] for sizes that no file has.
pub fn chunks(size: u64) -> Result<u32, Error> {
    u32::try_from(size.div_ceil(UPLOAD_CHUNK_BYTES as u64)).map_err(|_| Error::Unexpected("a file too large"))
}

fn load_chunk(sha256: Sha256, file: u32, chunk: u32) -> Result<Option<Vec<u8>>, Error> {
    let statement =
        c"SELECT data FROM ecommerce_ml.stored_chunk WHERE sha256 = $1 AND file = $2 AND chunk = $3";
    let arguments = [sha256.0.to_vec().into(), signed(file)?.into(), signed(chunk)?.into()];
    let found = query(statement, &arguments, Sight::Own, |row| row.get::<Vec<u8>>(1))?;
    Ok(found.into_iter().next().flatten())
}

/// Deletes content that no version has any more.
///
/// # Errors
/// When our tables can't be written.
pub fn delete_orphans() -> Result<(), Error> {
    // What another transaction has recorded for a version of its own is locked, and left to it.
    let query = "SELECT c.sha256 FROM ecommerce_ml.stored_content c
                 WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_version v WHERE v.content = c.sha256)
                 FOR UPDATE SKIP LOCKED";
    // Once locked nobody gets another version with it, but somebody may have done so since the query began.
    let orphan = "DELETE FROM ecommerce_ml.stored_content c WHERE c.sha256 = $1
                  AND NOT EXISTS (SELECT FROM ecommerce_ml.stored_version v WHERE v.content = $1)";
    let chunks = "DELETE FROM ecommerce_ml.stored_chunk c WHERE c.sha256 = $1
                  AND NOT EXISTS (SELECT FROM ecommerce_ml.stored_content o WHERE o.sha256 = $1)";
    let read = |row: &SpiHeapTupleData<'_>| row.get::<Vec<u8>>(1).map_err(Error::from);
    for sha256 in returning(query, &[], read)?.into_iter().flatten() {
        cascade(orphan, &[sha256.clone().into()])?;
        cascade(chunks, &[sha256.into()])?;
    }
    Ok(())
}

fn signed(number: u32) -> Result<i32, Error> {
    i32::try_from(number).map_err(|_| Error::Unexpected("a file too large"))
}

fn write_manifest(files: &[FileEntry]) -> Value {
    let entry =
        |file: &FileEntry| json!({"name": file.name, "size": file.size, "sha256": file.sha256.to_string()});
    files.iter().map(entry).collect()
}

fn read_manifest(files: &Value) -> Result<Vec<FileEntry>, Error> {
    let damaged = || Error::Unexpected("a damaged manifest in stored_content");
    let read = |file: &Value| {
        Some(FileEntry {
            name: file["name"].as_str()?.to_owned(),
            size: file["size"].as_u64()?,
            sha256: parse_hex(file["sha256"].as_str()?)?,
        })
    };
    let files = files.as_array().ok_or_else(damaged)?;
    files.iter().map(|file| read(file).ok_or_else(damaged)).collect()
}

fn parse_hex(text: &str) -> Option<Sha256> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(Sha256(bytes))
}
