//! Stands in for a supervisor and engine of another build, for tests of their succession.
//!
//! Usage: `foreign_supervisor FOLDER`. It takes the lock and the socket in the folder as a supervisor does,
//! greets whoever connects as a build of its own, and says nothing more until it is told to end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use ecommerce_ml_protocol::Hello;

const BUILD: &str = "0.0.1/foreign";

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or_else(|| io::Error::other("usage: FOLDER"))?);
    let listener = UnixListener::bind(folder.join("engine.sock"))?;
    let _lock = take_lock(&folder)?;
    let greeting = Hello { build: BUILD.to_owned() }.encode().map_err(io::Error::other)?;
    let mut sessions = Vec::new();
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.write_all(&greeting)?;
        sessions.push(stream);
    }
    Ok(())
}

#[allow(unsafe_code, reason = "libc has it")]
fn take_lock(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).open(folder.join("engine.lock"))?;
    // SAFETY: the descriptor is open, and the call touches no memory of ours.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        return Err(io::Error::last_os_error());
    }
    write!(file, "{}\n{BUILD}\n", std::process::id())?;
    Ok(file)
}
