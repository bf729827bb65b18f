//! How many rows a window holds.
//!
//! The first window is small, since a query may stop after a few rows, and each is twice as large as the one before; where
//! a LIMIT is known, no more is fetched than it wants. Invariant: no window holds more than the setting or the memory
//! budget allows, except a single row that is larger.

use ecommerce_ml_protocol::MAX_TEXT_BYTES;
use pgrx::pg_sys;

use crate::guc;

const FIRST_WINDOW: usize = 4;
/// The engine works on one window while the next waits for it.
pub const IN_FLIGHT: usize = 2;
/// Windows that are in memory at most: those in flight, and the one whose rows are being handed out.
const ALIVE: usize = IN_FLIGHT + 1;
/// Most bytes of input in a window, so that a request fits into a frame and a cancelled one keeps the engine busy for no
/// more than some seconds. A token takes some four of them.
const MAX_INPUT_BYTES: usize = MAX_TEXT_BYTES / 4;

/// The window size of one scan.
pub struct WindowSize {
    next: usize,
    /// Rows that are still wanted, if it is known.
    wanted: Option<usize>,
    /// Whether the reader came back after the first window.
    reader_continues: bool,
}

/// What one window may hold.
pub struct WindowBounds {
    pub rows: usize,
    /// Bytes of rows and inputs together.
    pub bytes: usize,
    pub input_bytes: usize,
}

impl WindowSize {
    /// The window size of a scan of which `wanted` rows will be read, if that is known.
    pub fn start(wanted: Option<usize>) -> Self {
        Self { next: FIRST_WINDOW, wanted, reader_continues: wanted.is_some() }
    }

    /// The window size of another scan like the last, which was read to its end: it needn't begin small.
    pub fn for_rescan(self, wanted: Option<usize>) -> Self {
        Self { next: self.next, wanted, reader_continues: true }
    }

    /// Bounds of the next window.
    pub fn bounds(&self) -> WindowBounds {
        let most = guc::batch_size();
        // Whoever asks for more than was wanted gets it all the same.
        let rows = self.wanted.filter(|wanted| *wanted > 0).unwrap_or(self.next).min(most);
        WindowBounds { rows, bytes: memory() / ALIVE, input_bytes: MAX_INPUT_BYTES }
    }

    /// Notes that a window of so many rows was filled.
    pub fn filled(&mut self, rows: usize) {
        self.next = self.next.saturating_mul(2).min(guc::batch_size());
        self.wanted = self.wanted.map(|wanted| wanted.saturating_sub(rows));
    }

    /// Notes that the reader has read a whole window and wants more.
    pub fn note_reader_continues(&mut self) {
        self.reader_continues = true;
    }

    /// Whether a window should be fetched while the engine works on another.
    pub fn reads_ahead(&self) -> bool {
        self.reader_continues && self.wanted != Some(0)
    }
}

/// `work_mem` in bytes.
fn memory() -> usize {
    // SAFETY: a setting of the server's, read by its only thread.
    usize::try_from(unsafe { pg_sys::work_mem }).unwrap_or(64).saturating_mul(1024)
}
