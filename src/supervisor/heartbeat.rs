//! Whether the engine lives: a byte goes out over the lifeline, and one comes back.
//!
//! It must not know why an engine gives no sign. Invariant: time is counted in looks of ours that found nothing, so that
//! a machine that stood still as a whole, and this process with it, costs no engine.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::guc;

/// Looks within the time that an engine has.
const LOOKS: u32 = 5;
/// Shortest time between two.
const SHORTEST: Duration = Duration::from_millis(10);
/// What an engine has at least before it serves: it may have to make a GPU ready.
const START: Duration = Duration::from_secs(60);

/// The signs of life of one engine.
pub struct Heartbeat {
    /// Doesn't block.
    lifeline: UnixStream,
    /// Whether an answer is due.
    is_asked: bool,
    /// Looks since then that found none.
    missed: u32,
    next_look: Instant,
}

impl Heartbeat {
    /// Of the engine at the other end.
    ///
    /// # Errors
    /// None in practice: a socket of ours can be told not to block.
    pub fn over(lifeline: UnixStream) -> io::Result<Self> {
        lifeline.set_nonblocking(true)?;
        Ok(Self { lifeline, is_asked: false, missed: 0, next_look: Instant::now() })
    }

    /// Time until the next [`look`](Self::look); `None` if signs of life aren't wanted.
    pub fn pause(&self) -> Option<Duration> {
        let interval = interval(guc::engine_heartbeat_timeout()?);
        Some(self.next_look.saturating_duration_since(Instant::now()).min(interval))
    }

    /// Asks for a sign, and looks for that asked for before. Returns for how long there has been none, if that is too long.
    pub fn look(&mut self, serves: bool) -> Option<Duration> {
        let Some(timeout) = guc::engine_heartbeat_timeout() else {
            (self.is_asked, self.missed) = (false, 0);
            return None;
        };
        let (now, interval) = (Instant::now(), interval(timeout));
        if self.next_look.saturating_duration_since(now) > Duration::ZERO {
            return None;
        }
        self.next_look = now + interval;
        if matches!(self.lifeline.read(&mut [0; 64]), Ok(1..)) {
            (self.is_asked, self.missed) = (false, 0);
        }
        if self.is_asked {
            self.missed += 1;
        } else {
            // If it can't be sent because the engine has gone, its end is noticed elsewhere.
            self.is_asked = self.lifeline.write(&[0]).is_ok();
        }
        let silence = interval * self.missed;
        let limit = if serves { timeout } else { timeout.max(START) };
        (silence >= limit).then_some(silence)
    }
}

fn interval(timeout: Duration) -> Duration {
    (timeout / LOOKS).max(SHORTEST)
}
