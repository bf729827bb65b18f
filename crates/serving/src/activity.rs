//! What is going on in the engine: open connections, open requests, and when the last one came.
//!
//! Invariant: counts are held by guards, so that nothing is counted longer than it lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Counts shared by all connections.
pub struct Activity {
    connections: AtomicU32,
    /// Requests that are not answered yet.
    requests: AtomicU64,
    /// When a request came or ended last; the start of the engine before the first.
    last: Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { connections: AtomicU32::new(0), requests: AtomicU64::new(0), last: Mutex::new(Instant::now()) }
    }
}

impl Activity {
    /// Counts a connection for as long as the guard lives.
    pub fn connection(self: &Arc<Self>) -> ConnectionGuard {
        self.connections.fetch_add(1, Relaxed);
        ConnectionGuard(Arc::clone(self))
    }

    /// Counts a request for as long as the guard lives.
    pub fn request(self: &Arc<Self>) -> RequestGuard {
        self.requests.fetch_add(1, Relaxed);
        *self.last.lock() = Instant::now();
        RequestGuard(Arc::clone(self))
    }

    /// Open connections.
    pub fn connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }

    /// Open requests.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// For how long there has been no request.
    pub fn idle(&self) -> Duration {
        if self.requests() > 0 { Duration::ZERO } else { self.last.lock().elapsed() }
    }
}

/// An open connection.
pub struct ConnectionGuard(Arc<Activity>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// An open request.
pub struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        *self.0.last.lock() = Instant::now();
        self.0.requests.fetch_sub(1, Relaxed);
    }
}
