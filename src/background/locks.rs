//! Which worker is there, and whose turn it is: locks that the kernel takes back when a process ends.
//!
//! They are bytes in files of the cluster, locked with the open file, not with the process, so that a look at a lock
//! by its own process tells the truth too. Invariant: a job has at most one worker, and at most `max_training_jobs` have
//! a turn, whatever is started how often.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use pgrx::pg_sys;

use crate::runtime;

/// Something that one process at a time can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKey {
    /// A job of this database: its worker has it.
    Job(i64),
    /// The head of the queue of this database.
    Queue,
    /// One of the turns of the cluster, counted from 0.
    Turn(u16),
    /// The kept columns of this database: their worker has it.
    KeptColumns,
}

impl LockKey {
    /// The file.
    fn path(self) -> &'static str {
        match self {
            LockKey::KeptColumns => runtime::KEPT_COLUMNS_LOCKS,
            _ => runtime::JOB_LOCKS,
        }
    }

    /// A byte of the file. Ids of databases are never 0, numbers of jobs neither; those beyond 2^31 share locks with
    /// others, which then wait for each other.
    fn offset(self) -> libc::off_t {
        let database = libc::off_t::from(database().to_u32());
        match self {
            LockKey::Job(job) => (database << 31) | (job & 0x7FFF_FFFF),
            LockKey::Queue => database << 31,
            LockKey::Turn(turn) => libc::off_t::from(turn),
            LockKey::KeptColumns => database,
        }
    }
}

thread_local! {
    /// The database of a process that isn't connected yet.
    static DATABASE: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

/// Says which database this process works for, before it is connected.
pub fn work_for(database: pg_sys::Oid) {
    DATABASE.set(database);
}

fn database() -> pg_sys::Oid {
    // SAFETY: set once, when this process is connected to a database.
    let connected = unsafe { pg_sys::MyDatabaseId };
    if connected == pg_sys::InvalidOid { DATABASE.get() } else { connected }
}

/// The lock of a key, held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Acquires the lock of a key; `None` if another has it.
///
/// # Errors
/// When the file can't be opened or locked.
pub fn acquire(key: LockKey) -> io::Result<Option<Lock>> {
    let file = open(key.path())?;
    match control(&file, key, libc::F_OFD_SETLK) {
        Ok(_) => Ok(Some(Lock { _file: file })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a job of this database has a worker.
pub fn has_worker(job: i64) -> bool {
    is_locked(LockKey::Job(job))
}

/// Whether a key is locked by this or any other process.
pub fn is_locked(key: LockKey) -> bool {
    let found = open(key.path()).and_then(|file| control(&file, key, libc::F_OFD_GETLK));
    found.is_ok_and(|lock| libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

fn open(path: &str) -> io::Result<File> {
    runtime::make_directory()?;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Asks for a write lock of one byte, or what is in its way.
fn control(file: &File, key: LockKey, command: libc::c_int) -> io::Result<libc::flock> {
    // SAFETY: a structure of integers.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = key.offset();
    lock.l_len = 1;
    // SAFETY: an open file, and a structure that outlives the call.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(lock) }
}
