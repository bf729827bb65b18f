//! Runs the engine's CUDA kernels on the CPU: the same source, compiled as C++ against another `intrinsics.cuh`.
//!
//! It must not know what the kernels compute.
//! Invariant: a barrier that not all threads reach is an error, what was never written is NaN, and whoever goes beyond the end of
//! memory ends the process.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, PoisonError};

mod memory;

pub use memory::Memory;

unsafe extern "C" {
    fn ecommerce_ml_emulate(
        name: *const c_char,
        grid: *const c_uint,
        threads: c_uint,
        shared_bytes: c_uint,
        arguments: *const *mut c_void,
    ) -> c_int;
}

/// One kernel runs at a time: threads' indices and shared memory are global.
static RUNNING: Mutex<()> = Mutex::new(());

/// An argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// A pointer to a byte of some memory.
    At(&'a Memory, usize),
    /// `unsigned`.
    Count(u32),
    /// `float`.
    Number(f32),
    /// `unsigned long long`.
    Bits(u64),
}

/// Runs a kernel, which must have just these arguments.
///
/// # Errors
/// Why it can't be run.
pub fn launch(
    name: &str,
    grid: [u32; 3],
    threads: u32,
    shared_bytes: u32,
    arguments: &[Argument<'_>],
) -> Result<(), &'static str> {
    let name = CString::new(name).map_err(|_| "there is no such kernel")?;
    let mut values: Vec<u64> = arguments
        .iter()
        .map(|argument| match *argument {
            Argument::At(memory, offset) => memory.address(offset) as u64,
            Argument::Count(number) => number.into(),
            Argument::Number(number) => number.to_bits().into(),
            Argument::Bits(bits) => bits,
        })
        .collect();
    let pointers: Vec<*mut c_void> = values.iter_mut().map(|value| (&raw mut *value).cast()).collect();
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the emulator reads each argument as its kernel declares it, keeps none, and runs alone. Whether a kernel stays in its
    // memory is what it is emulated for; beyond the end of memory there is a page that can't be touched.
    let code = unsafe {
        ecommerce_ml_emulate(name.as_ptr(), grid.as_ptr(), threads, shared_bytes, pointers.as_ptr())
    };
    match code {
        0 => Ok(()),
        1 => Err("there is no such kernel"),
        2 => Err("too much shared memory"),
        _ => Err("threads wait for others that never come"),
    }
}
