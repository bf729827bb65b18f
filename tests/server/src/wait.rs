//! Waiting for a condition, with a limit.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `condition` gives a value, and returns it.
///
/// # Panics
/// After `limit`, naming `what` was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Waits for half a minute until `condition` holds.
///
/// # Panics
/// If it doesn't, naming `what` was waited for.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, Duration::from_secs(30), || condition().then_some(()));
}
