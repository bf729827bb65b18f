//! A machine whose kernels run on the CPU, one thread after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ecommerce_ml_emulator::{Argument as Emulator, Memory};
use ecommerce_ml_engine::cuda::machine::{Argument, At, Epilogue, Factor, Kernel, Launch, Product, Sums};
use ecommerce_ml_engine::cuda::{Machine, MachineError, MemoryUse};
use half::bf16;

/// A machine with as many bytes of memory as it is given.
#[derive(Debug, Default)]
pub struct Emulated {
    bytes: usize,
    pub used: Arc<AtomicUsize>,
    pub launches: AtomicUsize,
    /// Forward passes of trainings.
    pub passes: AtomicUsize,
    /// Bytes that came or went.
    pub moved: AtomicUsize,
}

impl Emulated {
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes, ..Self::default() })
    }

    pub fn roomy() -> Arc<Self> {
        Self::new(usize::MAX)
    }
}

/// Numbers of a matrix.
fn read(at: At<'_, Memory>, count: usize) -> Vec<f32> {
    let bytes = at.memory.read(at.offset, count * size_of::<bf16>());
    bytes.as_chunks::<2>().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect()
}

impl Machine for Emulated {
    type Memory = Memory;

    fn name(&self) -> String {
        "emulated".to_owned()
    }

    fn memory(&self) -> Result<MemoryUse, MachineError> {
        Ok(MemoryUse { used: self.used.load(Ordering::Relaxed) as u64, total: self.bytes as u64 })
    }

    fn allocate(&self, bytes: usize) -> Result<Memory, MachineError> {
        if self.used.load(Ordering::Relaxed).saturating_add(bytes) > self.bytes {
            return Err(MachineError::OutOfMemory);
        }
        Ok(Memory::new(bytes, &self.used))
    }

    fn upload(&self, bytes: &[u8]) -> Result<Memory, MachineError> {
        let mut memory = self.allocate(bytes.len())?;
        self.replace(&mut memory, bytes)?;
        Ok(memory)
    }

    fn replace(&self, memory: &mut Memory, bytes: &[u8]) -> Result<(), MachineError> {
        memory.write(0, bytes);
        self.moved.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(())
    }

    fn clear(&self, memory: &mut Memory) -> Result<(), MachineError> {
        memory.write(0, &vec![0; memory.size()]);
        Ok(())
    }

    fn download(&self, memory: &Memory, bytes: &mut [u8]) -> Result<(), MachineError> {
        bytes.copy_from_slice(&memory.read(0, bytes.len()));
        self.moved.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(())
    }

    fn launch(&self, launch: &Launch<'_, Memory>) -> Result<(), MachineError> {
        self.launches.fetch_add(1, Ordering::Relaxed);
        self.passes.fetch_add(usize::from(launch.kernel == Kernel::EmbedTraining), Ordering::Relaxed);
        let arguments: Vec<_> = launch
            .arguments
            .iter()
            .map(|argument| match *argument {
                Argument::At(at) => Emulator::At(at.memory, at.offset),
                Argument::Count(number) => Emulator::Count(number),
                Argument::Number(number) => Emulator::Number(number),
                Argument::Bits(bits) => Emulator::Bits(bits),
            })
            .collect();
        let grid = [launch.grid[0], launch.grid[1], 1];
        let (name, shared_bytes) = (launch.kernel.name(), launch.shared_bytes);
        let launched = ecommerce_ml_emulator::launch(name, grid, launch.threads, shared_bytes, &arguments);
        launched.map_err(|error| MachineError::Failed(error.to_owned()))
    }

    fn multiply(&self, product: &Product<'_, Memory>) -> Result<(), MachineError> {
        let &Product { rows, inner, columns, sums, .. } = product;
        let factor = |factor: &Factor<'_, Memory>, rows: usize, columns: usize| {
            let numbers = read(factor.at, rows * columns);
            if factor.transposed { transpose(&numbers, rows) } else { numbers }
        };
        let left = factor(&product.left, rows, inner);
        // Its columns one after the other.
        let right = transpose(&factor(&product.right, inner, columns), columns);
        let bias = product.bias.map(|bias| read(bias, columns));
        let size = if sums == Sums::AddExact { size_of::<f32>() } else { size_of::<bf16>() };
        let before = match sums {
            Sums::Biased(_) | Sums::Replace => vec![0.0; rows * columns],
            Sums::Add => read(product.output, rows * columns),
            Sums::AddExact => {
                let bytes = product.output.memory.read(product.output.offset, rows * columns * size);
                bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
            }
        };
        let mut bytes = Vec::with_capacity(rows * columns * size);
        for (row, before) in left.chunks_exact(inner).zip(before.chunks_exact(columns)) {
            for (column, (right, before)) in right.chunks_exact(inner).zip(before).enumerate() {
                let sum = dot(row, right) + before;
                let sum = match sums {
                    Sums::Biased(epilogue) => after(epilogue, sum + bias.as_ref().unwrap()[column]),
                    Sums::Replace | Sums::Add | Sums::AddExact => sum,
                };
                match sums {
                    Sums::AddExact => bytes.extend(sum.to_le_bytes()),
                    _ => bytes.extend(bf16::from_f32(sum).to_le_bytes()),
                }
            }
        }
        product.output.memory.write(product.output.offset, &bytes);
        Ok(())
    }
}

/// In eight sums, which the compiler makes a vector of.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (eights, rest) = left.as_chunks::<8>();
    let (others, other_rest) = right.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (a, b) in eights.iter().zip(others) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f32>() + rest.iter().zip(other_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// Rows of so many numbers become columns.
fn transpose(numbers: &[f32], columns: usize) -> Vec<f32> {
    let rows = numbers.len() / columns;
    let mut turned = vec![0.0; numbers.len()];
    for (row, line) in numbers.chunks_exact(columns).enumerate() {
        line.iter().enumerate().for_each(|(column, &number)| turned[column * rows + row] = number);
    }
    turned
}

/// As cuBLASLt has it.
fn after(epilogue: Epilogue, sum: f32) -> f32 {
    match epilogue {
        Epilogue::None => sum,
        Epilogue::Relu => sum.max(0.0),
        Epilogue::Gelu => {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (sum + 0.044_715 * sum.powi(3));
            0.5 * sum * (1.0 + inner.tanh())
        }
    }
}
