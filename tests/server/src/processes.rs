//! The engine processes of a cluster, as the kernel lists them.
//!
//! Statistics views would ask the very processes that are under suspicion, so tests look in `/proc`.

use std::fs;
use std::path::Path;

/// Process ids of the engines that work in a data directory in this mode, defunct ones aside.
pub fn engines_in(data: &Path, mode: &str) -> Vec<i32> {
    processes().filter(|pid| is_engine_in(*pid, data, mode).unwrap_or(false)).collect()
}

/// Process ids of the background workers of a server whose names begin so.
pub fn workers_of(postmaster: i32, name: &str) -> Vec<i32> {
    let is_one = |pid| {
        let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        title.starts_with(&format!("postgres: {name}")) && parent(pid) == Some(postmaster) && is_alive(pid)
    };
    processes().filter(|pid| is_one(*pid)).collect()
}

/// Process ids of the processes that a process has started and that still run.
pub fn children_of(pid: i32) -> Vec<i32> {
    processes().filter(|child| parent(*child) == Some(pid) && is_alive(*child)).collect()
}

/// Whether a process exists and isn't defunct.
pub fn is_alive(pid: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = status.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}

/// Sends a signal; a process that is gone already is not an error.
#[allow(unsafe_code, reason = "libc has it")]
pub fn signal(pid: i32, signal: i32) {
    // SAFETY: kill takes plain numbers and touches no memory of ours.
    unsafe { libc::kill(pid, signal) };
}

/// Memory in use by a process, in bytes.
pub fn resident_bytes(pid: i32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// Memory in use by a process alone, in bytes: without files and shared buffers.
pub fn private_bytes(pid: i32) -> u64 {
    status_bytes(pid, "RssAnon:")
}

fn status_bytes(pid: i32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kilobytes| kilobytes * 1024)
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").expect("/proc can be read");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn is_engine_in(pid: i32, data: &Path, mode: &str) -> std::io::Result<bool> {
    let command = fs::read(format!("/proc/{pid}/cmdline"))?;
    let mut words = command.split(|byte| *byte == 0);
    let (program, first) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let folder = fs::read_link(format!("/proc/{pid}/cwd"))?;
    Ok(program.ends_with(b"ecommerce_ml_engine")
        && first == mode.as_bytes()
        && folder.starts_with(data)
        && is_alive(pid))
}
