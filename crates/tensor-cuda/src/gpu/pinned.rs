//! Memory of this computer that a GPU reads and writes by itself, while nobody waits.
//!
//! It must not know what the bytes mean. Invariant: a piece is neither read, written nor freed here while the GPU may still use it.

use std::sync::Arc;

use cudarc::driver::sys::{self, CUdeviceptr, CUevent_flags};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result};
use parking_lot::Mutex;

/// Bytes that are worth being pinned. More is brought over by the driver, piece by piece.
pub(super) const MAX_BYTES: usize = 8 << 20;

/// Bytes of the smallest piece.
const MIN_BYTES: usize = 64 << 10;

/// Pieces that are kept: to pin memory takes longer than a small batch.
const MAX_KEPT: usize = 8;

/// A piece of it.
#[derive(Debug)]
pub struct PinnedBuffer {
    pointer: *mut u8,
    bytes: usize,
    /// After what the GPU does with it.
    event: CudaEvent,
    context: Arc<CudaContext>,
}

// SAFETY: the memory belongs to this value alone, and the driver's functions may be called by any thread that binds the context.
unsafe impl Send for PinnedBuffer {}

impl PinnedBuffer {
    fn new(stream: &CudaStream, bytes: usize) -> Result<Self, DriverError> {
        let context = Arc::clone(stream.context());
        // The thread that waits shall leave its core to the server.
        let event = context.new_event(Some(CUevent_flags::CU_EVENT_BLOCKING_SYNC))?;
        context.bind_to_thread()?;
        // SAFETY: freed by `drop`.
        let pointer = unsafe { result::malloc_host(bytes, 0) }?.cast();
        Ok(Self { pointer, bytes, event, context })
    }

    /// Writes to its beginning, after the GPU.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        self.event.synchronize()?;
        assert!(bytes.len() <= self.bytes);
        // SAFETY: the piece is long enough, ours alone, and the GPU is done with it.
        unsafe { self.pointer.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Reads its beginning, after the GPU.
    pub(super) fn read(&self, bytes: &mut [u8]) -> Result<(), DriverError> {
        self.event.synchronize()?;
        assert!(bytes.len() <= self.bytes);
        // SAFETY: the piece is long enough, all of it was written to by `start_download`, and the GPU is done with it.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(self.pointer, bytes.len()) };
        Ok(())
    }

    /// Has the GPU copy its beginning to an address of its own, where there must be as much room.
    pub(super) fn send(
        &mut self,
        stream: &CudaStream,
        to: CUdeviceptr,
        bytes: usize,
    ) -> Result<(), DriverError> {
        assert!(bytes <= self.bytes);
        self.context.bind_to_thread()?;
        // SAFETY: the piece is long enough and stays until the event that is recorded here.
        unsafe { sys::cuMemcpyHtoDAsync_v2(to, self.pointer.cast(), bytes, stream.cu_stream()) }.result()?;
        self.event.record(stream)
    }

    /// Has the GPU copy from an address of its own to the beginning.
    pub(super) fn start_download(
        &mut self,
        stream: &CudaStream,
        from: CUdeviceptr,
        bytes: usize,
    ) -> Result<(), DriverError> {
        assert!(bytes <= self.bytes);
        self.event.synchronize()?;
        // SAFETY: the piece is long enough, ours alone, and stays until the event that is recorded here.
        unsafe { sys::cuMemcpyDtoHAsync_v2(self.pointer.cast(), from, bytes, stream.cu_stream()) }
            .result()?;
        self.event.record(stream)
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        // If the GPU can't tell that it is done, the memory is left to the end of the process.
        if self.event.synchronize().is_ok() {
            // SAFETY: made by `new`, and nobody uses it any more.
            let _ = unsafe { result::free_host(self.pointer.cast()) };
        }
    }
}

/// Pieces that nobody uses here, though the GPU may.
#[derive(Debug, Default)]
pub(super) struct PinnedPool(Mutex<Vec<PinnedBuffer>>);

impl PinnedPool {
    /// A piece of at least so many bytes.
    pub(super) fn acquire(&self, stream: &CudaStream, bytes: usize) -> Result<PinnedBuffer, DriverError> {
        stream.context().bind_to_thread()?;
        let mut kept = self.0.lock();
        let is_free = |pinned: &PinnedBuffer| pinned.bytes >= bytes && pinned.event.is_complete();
        if let Some(place) = kept.iter().position(is_free) {
            return Ok(kept.remove(place));
        }
        drop(kept);
        PinnedBuffer::new(stream, bytes.max(MIN_BYTES).next_power_of_two())
    }

    /// Keeps a piece for the next one; the one that has been kept the longest makes room.
    pub(super) fn release(&self, pinned: PinnedBuffer) {
        let mut kept = self.0.lock();
        let oldest = (kept.len() >= MAX_KEPT).then(|| kept.remove(0));
        kept.push(pinned);
        drop(kept);
        drop(oldest);
    }
}
