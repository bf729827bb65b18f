//! Runs the engine's CUDA kernels on the CPU: the same source, compiled as C++ against another `intrinsics.cuh`.
//!
//! `kernels.cpp` has the kernels, `emulator.cpp` the fibers that are their threads, `races.cpp` watches what they touch.
//!
//! It must not know what the kernels compute.
//! Invariant: a barrier that not all threads reach is an error, what was never written is NaN, and whoever goes beyond the end of
//! memory, or loads from an address that the GPU would refuse, ends the process.

#![allow(unsafe_code, reason = "the kernels are called in C++; each block says why it is sound")]

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

mod memory;

pub use memory::Memory;

unsafe extern "C" {
    fn ecommerce_ml_emulate(
        name: *const c_char,
        grid: *const c_uint,
        threads: c_uint,
        shared: *mut u8,
        shared_bytes: c_uint,
        order: c_uint,
        seed: u64,
        watches: bool,
        arguments: *const *mut c_void,
    ) -> c_int;
}

/// One kernel runs at a time: threads' indices and shared memory are global.
static RUNNING: Mutex<()> = Mutex::new(());

/// Whose turn it is, of the blocks of a grid, the warps of a block and the lanes of a warp. A GPU promises no order, so results
/// that depend on it are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first one's. A warp goes as far as it can without the others.
    Forward,
    /// The last one's.
    Backward,
    /// Anyone's, by a seed, and another one's each time; a warp may stop wherever its lanes wait for each other.
    Shuffled(u64),
}

/// An argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub enum KernelArgument<'a> {
    /// A pointer to a byte of some memory.
    Pointer(&'a Memory, usize),
    /// `unsigned`.
    U32(u32),
    /// `float`.
    F32(f32),
    /// `unsigned long long`.
    U64(u64),
}

/// Runs a kernel, which must have just these arguments, and if it `watches` looks for races: that takes much longer.
///
/// # Errors
/// Why it can't be run.
pub fn launch(
    name: &str,
    grid: [u32; 3],
    threads: u32,
    shared_bytes: u32,
    order: Order,
    watches: bool,
    arguments: &[KernelArgument<'_>],
) -> Result<(), &'static str> {
    let name = CString::new(name).map_err(|_| "there is no such kernel")?;
    let mut values: Vec<u64> = arguments
        .iter()
        .map(|argument| match *argument {
            KernelArgument::Pointer(memory, offset) => memory.address(offset) as u64,
            KernelArgument::U32(number) => number.into(),
            KernelArgument::F32(number) => number.to_bits().into(),
            KernelArgument::U64(bits) => bits,
        })
        .collect();
    let pointers: Vec<*mut c_void> = values.iter_mut().map(|value| (&raw mut *value).cast()).collect();
    let shared = (shared_bytes > 0).then(|| Memory::new(shared_bytes as usize, &Arc::default()));
    let shared_start = shared.as_ref().map_or(ptr::null_mut(), |memory| memory.address(0));
    let (order, seed) = match order {
        Order::Forward => (0, 0),
        Order::Backward => (1, 0),
        Order::Shuffled(seed) => (2, seed),
    };
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the emulator reads each argument as its kernel declares it, keeps none, and runs alone. Whether a kernel stays in its
    // memory is what it is emulated for; beyond the end of memory there is a page that can't be touched.
    let code = unsafe {
        ecommerce_ml_emulate(
            name.as_ptr(),
            grid.as_ptr(),
            threads,
            shared_start,
            shared_bytes,
            order,
            seed,
            watches,
            pointers.as_ptr(),
        )
    };
    match code {
        0 => Ok(()),
        1 => Err("there is no such kernel"),
        2 => Err("too much shared memory"),
        3 => Err("threads wait for others that never come"),
        _ => Err("a thread reads or writes what another one writes, without a barrier in between"),
    }
}
