//! The files of a version, in chunks of bytea.
//!
//! Content is named by the SHA-256 of its manifest and shared by the versions that have it; a chunk is named by its own, and
//! shared by the content that has it, so that versions of one encoder store the encoder once. Invariant: at most one chunk
//! is held here at a time; whoever refers to content or to a chunk has it locked until the transaction ends, so that nobody
//! deletes it as an orphan meanwhile.

use ecommerce_ml_protocol::{FileEntry, Sha256};
use pgrx::spi::SpiHeapTupleData;
use pgrx::{JsonB, check_for_interrupts};
use serde_json::{Value, json};
use sha2::{Digest, Sha256 as Hasher};

use super::cut::Cutter;
use super::snapshot::Sight;
use super::statement::{cascade, query, returning, returning_one, run};
use crate::error::Error;

/// The files of stored content, or `None` if there is no such content.
///
/// # Errors
/// When our table can't be read, or doesn't hold what we write.
pub fn manifest(sha256: Sha256) -> Result<Option<Vec<FileEntry>>, Error> {
    let statement = c"SELECT files FROM ecommerce_ml.stored_content WHERE sha256 = $1";
    let found = query(statement, &[sha256.0.to_vec().into()], Sight::Own, |row| row.get::<JsonB>(1))?;
    found.into_iter().next().flatten().map(|JsonB(files)| read_manifest(&files)).transpose()
}

/// Records content, unless it is stored already. Returns whether its files are still to be stored.
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

/// Stores the files of content that was just recorded.
pub struct Writer<'a> {
    content: Sha256,
    files: &'a [FileEntry],
    /// The file that is being written, and how many parts of it are stored.
    current: Option<(u32, Cutter)>,
    parts: i32,
}

impl<'a> Writer<'a> {
    /// For the files of this manifest, one after another.
    pub fn new(content: Sha256, files: &'a [FileEntry]) -> Self {
        Self { content, files, current: None, parts: 0 }
    }

    /// Stores the next bytes of a file, which is the one before or comes after it.
    ///
    /// # Errors
    /// When our tables can't be written.
    pub fn add(&mut self, file: u32, data: &[u8]) -> Result<(), Error> {
        if self.current.as_ref().is_none_or(|(current, _)| *current != file) {
            self.end_file()?;
            let entry =
                self.files.get(file as usize).ok_or(Error::Unexpected("a file that was not announced"))?;
            self.current = Some((file, Cutter::new(&entry.name)));
        }
        let Some((_, cutter)) = &mut self.current else { return Ok(()) };
        let (content, parts) = (self.content, &mut self.parts);
        cutter.add(data, &mut |chunk| store_part(content, file, parts, chunk))
    }

    /// Stores what is left.
    ///
    /// # Errors
    /// When our tables can't be written.
    pub fn finish(mut self) -> Result<(), Error> {
        self.end_file()
    }

    fn end_file(&mut self) -> Result<(), Error> {
        if let Some((file, cutter)) = self.current.take()
            && let Some(chunk) = cutter.finish()
        {
            store_part(self.content, file, &mut self.parts, chunk)?;
        }
        self.parts = 0;
        Ok(())
    }
}

/// Stores a chunk as the next part of a file.
fn store_part(content: Sha256, file: u32, parts: &mut i32, data: Vec<u8>) -> Result<(), Error> {
    let statement =
        "INSERT INTO ecommerce_ml.stored_part (content, file, part, chunk) VALUES ($1, $2, $3, $4)";
    let chunk = Hasher::digest(&data).to_vec();
    store_chunk(&chunk, data)?;
    run(statement, &[content.0.to_vec().into(), signed(file)?.into(), (*parts).into(), chunk.into()])?;
    *parts += 1;
    Ok(())
}

/// Stores a chunk unless it is stored already, and keeps it until the transaction ends.
fn store_chunk(sha256: &[u8], data: Vec<u8>) -> Result<(), Error> {
    let keep = "SELECT true FROM ecommerce_ml.stored_chunk WHERE sha256 = $1 FOR KEY SHARE";
    let statement = "INSERT INTO ecommerce_ml.stored_chunk (sha256, data) VALUES ($1, $2)
                     ON CONFLICT (sha256) DO NOTHING";
    let arguments = [sha256.to_vec().into(), data.into()];
    loop {
        if returning_one::<bool>(keep, &[sha256.to_vec().into()])?.is_some()
            || run(statement, &arguments)? > 0
        {
            return Ok(());
        }
        // Another transaction has just stored it, and perhaps deleted it since.
        check_for_interrupts!();
    }
}

/// Hands out all chunks of all files in order, until `take` says that it wants no more. Returns whether it took all.
///
/// # Errors
/// [`Error::ContentMissing`] when a chunk isn't there, and those of `take`.
pub fn for_each_chunk(
    sha256: Sha256,
    mut take: impl FnMut(u32, Vec<u8>) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let missing = || Error::ContentMissing(sha256.to_string());
    let files = manifest(sha256)?.ok_or_else(missing)?;
    let mut left: Vec<u64> = files.iter().map(|file| file.size).collect();
    for (file, chunk) in parts(sha256)? {
        let data = load_chunk(chunk)?.ok_or_else(missing)?;
        let index = u32::try_from(file).map_err(|_| missing())?;
        let left = left.get_mut(index as usize).ok_or_else(missing)?;
        *left = left.checked_sub(data.len() as u64).ok_or_else(missing)?;
        if !take(index, data)? {
            return Ok(false);
        }
    }
    if left.iter().all(|left| *left == 0) { Ok(true) } else { Err(missing()) }
}

/// Files and chunks of content, in order.
fn parts(sha256: Sha256) -> Result<Vec<(i32, Vec<u8>)>, Error> {
    let statement =
        c"SELECT file, chunk FROM ecommerce_ml.stored_part WHERE content = $1 ORDER BY file, part";
    let damaged = || Error::Unexpected("a damaged row in stored_part");
    query(statement, &[sha256.0.to_vec().into()], Sight::Own, |row| {
        Ok((row.get(1)?.ok_or_else(damaged)?, row.get(2)?.ok_or_else(damaged)?))
    })
}

fn load_chunk(sha256: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
    let statement = c"SELECT data FROM ecommerce_ml.stored_chunk WHERE sha256 = $1";
    let found = query(statement, &[sha256.into()], Sight::Own, |row| row.get::<Vec<u8>>(1))?;
    Ok(found.into_iter().next().flatten())
}

/// Deletes content that no version has any more, and chunks that no content has.
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
    let parts = "DELETE FROM ecommerce_ml.stored_part p WHERE p.content = $1
                 AND NOT EXISTS (SELECT FROM ecommerce_ml.stored_content o WHERE o.sha256 = $1)";
    for sha256 in returning(query, &[], read_hash)?.into_iter().flatten() {
        cascade(orphan, &[sha256.clone().into()])?;
        cascade(parts, &[sha256.into()])?;
    }
    delete_chunks()
}

/// Deletes chunks that no content has: in the same way, and all that there are, since one may have been passed over that
/// was locked by a transaction that then failed.
fn delete_chunks() -> Result<(), Error> {
    let query = "SELECT c.sha256 FROM ecommerce_ml.stored_chunk c
                 WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_part p WHERE p.chunk = c.sha256)
                 FOR UPDATE OF c SKIP LOCKED";
    let orphans = "DELETE FROM ecommerce_ml.stored_chunk c WHERE c.sha256 = ANY ($1)
                   AND NOT EXISTS (SELECT FROM ecommerce_ml.stored_part p WHERE p.chunk = c.sha256)";
    let found: Vec<Vec<u8>> = returning(query, &[], read_hash)?.into_iter().flatten().collect();
    if found.is_empty() { Ok(()) } else { cascade(orphans, &[found.into()]) }
}

fn read_hash(row: &SpiHeapTupleData<'_>) -> Result<Option<Vec<u8>>, Error> {
    Ok(row.get::<Vec<u8>>(1)?)
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
