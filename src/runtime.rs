//! Names of the files through which sessions, supervisor and engine find each other.
//!
//! They live in one folder (mode 0700) inside the data directory. Its prefix `pgsql_tmp` makes pg_basebackup and
//! pg_rewind pass it over. Paths are relative: server processes run in the data directory, and a
//! socket's path is limited to 107 bytes.

use std::ffi::CStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pgrx::pg_sys;
use rustix::fs::{FlockOperation, flock};

/// The folder.
pub const DIRECTORY: &str = "pgsql_tmp_ecommerce_ml";
/// The socket that the engine listens on; the supervisor holds it, so it outlives an engine.
pub const SOCKET: &str = "pgsql_tmp_ecommerce_ml/engine.sock";
/// Locked by the supervisor as long as it lives; holds its process id and build, a line each.
pub const SUPERVISOR_LOCK: &str = "pgsql_tmp_ecommerce_ml/engine.lock";
/// Process id of the engine that the supervisor started last.
const ENGINE_PID: &str = "pgsql_tmp_ecommerce_ml/engine.pid";
/// Process ids of the latest engines whose end says nothing of what they worked on, a line each.
const EXCUSED: &str = "pgsql_tmp_ecommerce_ml/engine.excused";
/// So many of them are kept.
const MOST_EXCUSED: usize = 256;
/// What engines died of, for those who ask them.
pub const FATAL_INPUTS: &str = "pgsql_tmp_ecommerce_ml/fatal";
/// Locked by a session while it changes that.
pub const FATAL_LOCK: &str = "pgsql_tmp_ecommerce_ml/fatal.lock";
/// Locked by a session while it starts the supervisor.
pub const LAUNCH_LOCK: &str = "pgsql_tmp_ecommerce_ml/launch.lock";
/// Places in it are locked by what works on jobs.
pub const JOB_LOCKS: &str = "pgsql_tmp_ecommerce_ml/jobs.lock";
/// Places in it are locked by the workers of kept columns.
pub const KEPT_COLUMNS_LOCKS: &str = "pgsql_tmp_ecommerce_ml/kept_columns.lock";
/// Folder in which the engine keeps prepared weights; nothing is lost with it but time.
pub const WEIGHTS: &str = "pgsql_tmp_ecommerce_ml/weights";

/// Makes the folder if it isn't there.
pub fn make_directory() -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(DIRECTORY)
}

/// Takes an exclusive lock on a file, making it if need be; `None` if another process holds it.
///
/// The lock goes with the returned file, and with the process.
pub fn try_lock(path: &str) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Leaves a note of which process is the engine, for those whom it doesn't answer.
pub fn note_engine(pid: u32) {
    if let Err(error) = fs::write(ENGINE_PID, pid.to_string()) {
        pgrx::debug1!("could not write \"{ENGINE_PID}\": {error}");
    }
}

/// The process that [`note_engine`] named last.
pub fn noted_engine() -> Option<i32> {
    fs::read_to_string(ENGINE_PID).ok()?.parse().ok()
}

/// Leaves a note that this engine did not end by what it worked on. Whoever connects to the next engine finds it.
pub fn excuse_engine(pid: u32) {
    let mut pids = excused_engines();
    pids.push(pid);
    let excess = pids.len().saturating_sub(MOST_EXCUSED);
    let lines: String = pids[excess..].iter().map(|pid| format!("{pid}\n")).collect();
    if let Err(error) = replace(EXCUSED, lines.as_bytes()) {
        pgrx::debug1!("could not write \"{EXCUSED}\": {error}");
    }
}

/// Whether [`excuse_engine`] named this process.
pub fn is_excused(engine: u32) -> bool {
    excused_engines().contains(&engine)
}

fn excused_engines() -> Vec<u32> {
    let content = fs::read_to_string(EXCUSED).unwrap_or_default();
    content.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Writes a file in such a way that nobody reads a part of it.
pub fn replace(path: &str, content: &[u8]) -> io::Result<()> {
    let other = format!("{path}.{}", std::process::id());
    fs::write(&other, content)?;
    fs::rename(other, path)
}

/// Whether there are background workers: not in single-user mode, which has no postmaster to start them.
pub fn has_workers() -> bool {
    // SAFETY: a flag that is set when the process starts.
    unsafe { pg_sys::IsUnderPostmaster }
}

/// The engine's binary, beside the extension's library.
pub fn engine_binary() -> PathBuf {
    // SAFETY: the server fills pkglib_path before it loads any library, with a terminated string.
    let folder = unsafe { CStr::from_ptr((&raw const pg_sys::pkglib_path).cast()) };
    Path::new(&*folder.to_string_lossy()).join("ecommerce_ml_engine")
}

/// The folder of the models that are installed with the extension.
pub fn builtin_models() -> PathBuf {
    let mut folder = [0; pg_sys::MAXPGPATH as usize];
    // SAFETY: my_exec_path is a terminated string, and the buffer has the size that the function expects.
    let folder = unsafe {
        pg_sys::get_share_path((&raw const pg_sys::my_exec_path).cast(), folder.as_mut_ptr());
        CStr::from_ptr(folder.as_ptr())
    };
    Path::new(&*folder.to_string_lossy()).join("ecommerce_ml").join("models")
}
