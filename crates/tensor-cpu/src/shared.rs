//! A matrix that several threads work on, each on its own rows.
//!
//! Invariant: the threads agree on whose row is whose, and on when rows may be read by all; this module can't check
//! it, which is why its functions are unsafe.

use std::marker::PhantomData;
use std::ops::Range;
use std::slice;

/// Rows of a buffer that is borrowed for as long as this exists.
pub(super) struct SharedRows<'a> {
    start: *mut f32,
    rows: usize,
    stride: usize,
    buffer: PhantomData<&'a mut [f32]>,
}

// SAFETY: what threads may do at the same time is up to the callers of its unsafe functions.
unsafe impl Sync for SharedRows<'_> {}

impl<'a> SharedRows<'a> {
    /// All whole rows of the buffer.
    /// `buffer`: `[rows, stride]`.
    pub(super) fn new(buffer: &'a mut [f32], stride: usize) -> Self {
        let rows = buffer.len() / stride.max(1);
        Self { start: buffer.as_mut_ptr(), rows, stride, buffer: PhantomData }
    }

    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Rows to read.
    /// Shape `[rows, stride]`.
    ///
    /// # Safety
    /// Nobody writes these rows while the slice exists.
    pub(super) unsafe fn read(&self, rows: Range<usize>) -> &[f32] {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        // SAFETY: within the buffer, as just checked; not written, as the caller promises.
        unsafe { slice::from_raw_parts(self.start.add(rows.start * self.stride), rows.len() * self.stride) }
    }

    /// Rows to write.
    /// Shape `[rows, stride]`.
    ///
    /// # Safety
    /// Nobody else reads or writes these rows while the slice exists.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn write(&self, rows: Range<usize>) -> &mut [f32] {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        // SAFETY: within the buffer, as just checked; not shared, as the caller promises.
        unsafe {
            slice::from_raw_parts_mut(self.start.add(rows.start * self.stride), rows.len() * self.stride)
        }
    }
}
