//! The most that the machine can multiply and add, to compare the encoder with.
//!
//! It must not know the encoder. Invariant: all threads multiply for as long as it takes.

use std::time::{Duration, Instant};

use super::kernels::Kernels;
use super::thread_pool::ThreadPool;

/// How long each measurement takes.
const TIME: Duration = Duration::from_millis(300);

/// Operations per second, where a multiplication and an addition are two, of all threads together.
#[derive(Debug, Clone, Copy)]
pub struct Peak {
    /// In single precision.
    pub f32: f64,
    /// On bytes, as the kernels multiply them.
    pub int8: f64,
}

impl Peak {
    /// Measures for a little more than half a second.
    pub fn measure(kernels: &Kernels, pool: &ThreadPool) -> Self {
        let rate = |round: &(dyn Fn() -> usize + Sync)| {
            let rates = parking_lot::Mutex::new(Vec::new());
            pool.run(pool.size(), |_| {
                let (start, mut operations) = (Instant::now(), 0);
                while start.elapsed() < TIME {
                    operations += round();
                }
                rates.lock().push(operations as f64 / start.elapsed().as_secs_f64());
            });
            rates.into_inner().iter().sum()
        };
        Self { f32: rate(&|| kernels.multiply_floats()), int8: rate(&|| kernels.multiply_bytes()) }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::arch::asm;

    use super::*;

    /// Cycles of a second, by a chain of multiplications that wait for each other; the most of several looks, as others may be at
    /// work. One takes three cycles on every processor that has AVX2.
    fn clock() -> f64 {
        const IN_A_ROUND: u64 = 16;
        const ROUNDS: u64 = 1_000_000;
        let look = |_| {
            let (mut rounds, mut product, start) = (ROUNDS, 1_u64, Instant::now());
            // SAFETY: only the registers that it names change.
            unsafe {
                asm!(
                    "2:", ".rept 16", "imul {product}, {product}", ".endr", "dec {rounds}", "jnz 2b",
                    product = inout(reg) product, rounds = inout(reg) rounds, options(nomem, nostack),
                );
            }
            let seconds = start.elapsed().as_secs_f64();
            assert_eq!((product, rounds), (1, 0));
            (3 * IN_A_ROUND * ROUNDS) as f64 / seconds
        };
        (0..5).map(look).fold(0.0, f64::max)
    }

    /// Most operations of a cycle: two units on whole registers in the best case, and where the dot product of bytes takes two
    /// multiplications, half of that.
    fn most(kernels: &Kernels) -> Peak {
        match kernels.name() {
            "avx512_vnni" => Peak { f32: 64.0, int8: 256.0 },
            "avx512" => Peak { f32: 64.0, int8: 128.0 },
            "avx_vnni" => Peak { f32: 32.0, int8: 128.0 },
            "avx2" => Peak { f32: 32.0, int8: 64.0 },
            // Four lanes without a fused multiplication, and sixteen bytes by hand.
            _ => Peak { f32: 16.0, int8: 32.0 },
        }
    }

    /// A loop that the compiler has emptied shows a peak that no processor has.
    #[test]
    fn no_peak_is_more_than_the_processor_can_do() {
        for kernels in Kernels::supported() {
            let (peak, most) = (Peak::measure(&kernels, &ThreadPool::new(1)), most(&kernels));
            let clock = clock();
            for (name, found, most) in [("f32", peak.f32, most.f32), ("int8", peak.int8, most.int8)] {
                let per_cycle = found / clock;
                println!("{kernels:?} {name}: {per_cycle:.1} a cycle of {most}");
                assert!(
                    per_cycle > 0.0 && per_cycle < 1.25 * most,
                    "{kernels:?} {name}: {per_cycle} of {most}"
                );
            }
        }
    }
}
