//! Memory that ends where nothing may be touched, so that a kernel that goes too far ends the process.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where memory begins and ends, as a GPU's allocator has it.
const ALIGNMENT: usize = 256;

const PAGE: usize = 4096;

/// Some bytes, at first all ones: NaN as `f32` and as `bf16`.
#[derive(Debug)]
pub struct Memory {
    start: *mut u8,
    bytes: usize,
    mapping: *mut u8,
    mapped: usize,
    used: Arc<AtomicUsize>,
}

// SAFETY: kernels, reads and writes are ordered by whoever calls them, as those of a GPU are by its stream.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// So many bytes, which are counted in `used` until they are dropped.
    ///
    /// # Panics
    /// If the system has no memory.
    pub fn new(bytes: usize, used: &Arc<AtomicUsize>) -> Self {
        let room = bytes.next_multiple_of(ALIGNMENT);
        let mapped = room.next_multiple_of(PAGE) + PAGE;
        let (both, anonymous) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, which is checked.
        let mapping = unsafe { libc::mmap(ptr::null_mut(), mapped, both, anonymous, -1, 0) };
        assert_ne!(mapping, libc::MAP_FAILED, "no memory");
        let mapping: *mut u8 = mapping.cast();
        // SAFETY: the last page of the mapping, and the bytes before it.
        let start = unsafe {
            let end = mapping.add(mapped - PAGE);
            assert_eq!(libc::mprotect(end.cast(), PAGE, libc::PROT_NONE), 0);
            let start = end.sub(room);
            start.write_bytes(0xff, room);
            start
        };
        used.fetch_add(bytes, Ordering::Relaxed);
        Self { start, bytes, mapping, mapped, used: Arc::clone(used) }
    }

    /// How many bytes.
    pub fn size(&self) -> usize {
        self.bytes
    }

    /// The address of a byte.
    ///
    /// # Panics
    /// If it isn't in this memory.
    pub fn address(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.bytes, "byte {offset} of {}", self.bytes);
        // SAFETY: within the memory.
        unsafe { self.start.add(offset) }
    }

    /// A copy of bytes.
    ///
    /// # Panics
    /// If they aren't all in this memory.
    pub fn read(&self, offset: usize, bytes: usize) -> Vec<u8> {
        assert!(offset + bytes <= self.bytes, "bytes {offset} to {} of {}", offset + bytes, self.bytes);
        // SAFETY: within the memory, all of which was written.
        unsafe { std::slice::from_raw_parts(self.start.add(offset), bytes) }.to_vec()
    }

    /// Replaces bytes.
    ///
    /// # Panics
    /// If there is no room for all of them.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(
            offset + bytes.len() <= self.bytes,
            "bytes {offset} to {} of {}",
            offset + bytes.len(),
            self.bytes
        );
        // SAFETY: within the memory, and the source is elsewhere.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(offset), bytes.len()) };
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
        // SAFETY: our mapping, which nothing refers to any more.
        unsafe { libc::munmap(self.mapping.cast(), self.mapped) };
    }
}
