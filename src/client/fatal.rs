//! Inputs that engines died of, for ten minutes, in the whole cluster.
//!
//! Kept in a file of the runtime folder: a record is a key, the second since 1970 in which it ends, and the input's bytes,
//! so that only texts of such a length need to be hashed. It must not know how an input became one. Invariant: there are
//! at most [`MAX_RECORDS`]; and whoever asks for one of them gets an error instead of an engine.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use ecommerce_ml_protocol::{RequestBody, Sha256};

use super::request_parts::{self, InputDigest};
use crate::{latch, runtime};

/// For how long an input is refused, in seconds.
const REFUSAL_SECONDS: u64 = 600;
/// Records that are kept; the oldest make room.
const MAX_RECORDS: usize = 1024;
/// Bytes of a record.
const RECORD: usize = 32 + 8 + 8;
/// How long to try for the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
struct Record {
    key: Sha256,
    until: u64,
    bytes: u64,
}

/// What the file said when it was read last.
#[derive(Default)]
struct Known {
    /// Tells this state of the file from others: inode and time of change.
    state: Option<(u64, i64, i64)>,
    records: Vec<Record>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Whether there are any.
pub fn are_known() -> bool {
    KNOWN.with_borrow_mut(|known| {
        known.refresh();
        let now = now();
        known.records.iter().any(|record| record.applies(now))
    })
}

/// The digest of an input, if it is one of them.
pub fn recognise(body: &RequestBody, input: usize) -> Option<InputDigest> {
    let bytes = request_parts::bytes(body, input).map(|bytes| bytes as u64);
    let may_be = |record: &&Record| bytes.is_none_or(|bytes| record.bytes == bytes);
    KNOWN.with_borrow(|known| {
        let now = now();
        let mut alike = known.records.iter().filter(may_be).filter(|record| record.applies(now));
        let first = alike.next()?;
        let digest = request_parts::digest(body, input).ok()?;
        let key = request_parts::key(body.model()?, &digest);
        (first.key == key || alike.any(|record| record.key == key)).then_some(digest)
    })
}

/// Has an input refused from now on.
pub fn note(body: &RequestBody, input: &InputDigest) {
    let Some(model) = body.model() else { return };
    let key = request_parts::key(model, input);
    if let Err(error) = add(Record { key, until: now() + REFUSAL_SECONDS, bytes: input.bytes as u64 }) {
        pgrx::warning!("could not write \"{}\": {error}", runtime::FATAL_INPUTS);
    }
}

fn add(record: Record) -> io::Result<()> {
    let started = Instant::now();
    let _lock = loop {
        match runtime::try_lock(runtime::FATAL_LOCK)? {
            Some(lock) => break lock,
            None if started.elapsed() > LOCK_TIMEOUT => return Err(io::Error::other("it is locked")),
            None => latch::wait(None, Some(Duration::from_millis(5))),
        }
    };
    let now = now();
    let mut records = read();
    records.retain(|other| other.applies(now) && other.key != record.key);
    records.push(record);
    let excess = records.len().saturating_sub(MAX_RECORDS);
    let content: Vec<u8> = records[excess..].iter().flat_map(Record::encode).collect();
    runtime::replace(runtime::FATAL_INPUTS, &content)
}

impl Known {
    fn refresh(&mut self) {
        let state = fs::metadata(runtime::FATAL_INPUTS).ok();
        let state = state.map(|state| (state.ino(), state.mtime(), state.mtime_nsec()));
        if self.state != state {
            self.records = if state.is_some() { read() } else { Vec::new() };
            self.state = state;
        }
    }
}

impl Record {
    /// A clock that was set back must not make it last longer.
    fn applies(&self, now: u64) -> bool {
        now < self.until && self.until <= now + REFUSAL_SECONDS
    }

    fn encode(&self) -> Vec<u8> {
        [&self.key.0[..], &self.until.to_le_bytes(), &self.bytes.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (bytes, _) = rest.split_first_chunk::<8>()?;
        let (until, bytes) = (u64::from_le_bytes(*until), u64::from_le_bytes(*bytes));
        Some(Self { key: Sha256(*key), until, bytes })
    }
}

fn read() -> Vec<Record> {
    let content = fs::read(runtime::FATAL_INPUTS).unwrap_or_default();
    content.chunks_exact(RECORD).filter_map(Record::decode).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
