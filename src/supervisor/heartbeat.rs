//! Whether the engine lives: a byte goes out over the lifeline, and one comes back.
//!
//! It must not know why an engine gives no sign. Invariant: time is counted in polls of ours that found nothing, so that
//! a machine that stood still as a whole, and this process with it, costs no engine.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::guc;

/// Polls within the time that an engine has.
const POLLS_PER_TIMEOUT: u32 = 5;
/// Shortest time between two.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// What an engine has at least before it serves: it may have to make a GPU ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The signs of life of one engine.
pub struct Heartbeat {
    /// Doesn't block.
    lifeline: UnixStream,
    /// Whether an answer is due.
    is_awaiting_reply: bool,
    /// Polls since then that found none.
    missed: u32,
    next_poll: Instant,
}

impl Heartbeat {
    /// Of the engine at the other end.
    ///
    /// # Errors
    /// None in practice: a socket of ours can be told not to block.
    pub fn over(lifeline: UnixStream) -> io::Result<Self> {
        lifeline.set_nonblocking(true)?;
        Ok(Self { lifeline, is_awaiting_reply: false, missed: 0, next_poll: Instant::now() })
    }

    /// Time until the next [`poll`](Self::poll); `None` if signs of life aren't wanted.
    pub fn pause(&self) -> Option<Duration> {
        let interval = interval(guc::engine_heartbeat_timeout()?);
        Some(self.next_poll.saturating_duration_since(Instant::now()).min(interval))
    }

    /// Asks for a sign, and looks for that asked for before. Returns for how long there has been none, if that is too long.
    pub fn poll(&mut self, serves: bool) -> Option<Duration> {
        let Some(timeout) = guc::engine_heartbeat_timeout() else {
            (self.is_awaiting_reply, self.missed) = (false, 0);
            return None;
        };
        let (now, interval) = (Instant::now(), interval(timeout));
        if self.next_poll.saturating_duration_since(now) > Duration::ZERO {
            return None;
        }
        self.next_poll = now + interval;
        if matches!(self.lifeline.read(&mut [0; 64]), Ok(1..)) {
            (self.is_awaiting_reply, self.missed) = (false, 0);
        }
        if self.is_awaiting_reply {
            self.missed += 1;
        } else {
            // If it can't be sent because the engine has gone, its end is noticed elsewhere.
            self.is_awaiting_reply = self.lifeline.write(&[0]).is_ok();
        }
        let silence = interval * self.missed;
        let limit = if serves { timeout } else { timeout.max(START_TIMEOUT) };
        (silence >= limit).then_some(silence)
    }
}

fn interval(timeout: Duration) -> Duration {
    (timeout / POLLS_PER_TIMEOUT).max(MIN_INTERVAL)
}
