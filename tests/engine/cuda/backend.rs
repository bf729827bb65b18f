//! A GPU whose kernels run on the CPU, one thread after the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ecommerce_ml_emulator::{KernelArgument as Emulator, Memory, Order};
use ecommerce_ml_tensor_cuda::backend::{
    Accumulation, DevicePointer, Epilogue, Kernel, KernelArgument, Launch, Matmul, MatmulOperand,
};
use ecommerce_ml_tensor_cuda::{GpuBackend, GpuError, HalfPrecision, MemoryUse};

/// A GPU with as many bytes of memory as it is given.
#[derive(Debug, Default)]
pub struct Emulated {
    bytes: usize,
    /// Orders in which each launch is run: all of them must leave the same bits.
    orders: &'static [Order],
    pub used: Arc<AtomicUsize>,
    pub launches: AtomicUsize,
    /// The most blocks and the most warps of a launch, by the kernel's name.
    pub largest: Mutex<BTreeMap<&'static str, (u32, u32)>>,
    /// Forward passes of trainings.
    pub passes: AtomicUsize,
    /// Bytes that came or went.
    pub moved: AtomicUsize,
}

impl Emulated {
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes, orders: &[Order::Forward], ..Self::default() })
    }

    pub fn roomy() -> Arc<Self> {
        Self::new(usize::MAX)
    }

    /// One that stops at a launch whose results depend on the order, or in which threads race.
    pub fn in_orders(orders: &'static [Order]) -> Arc<Self> {
        Arc::new(Self { bytes: usize::MAX, orders, ..Self::default() })
    }
}

/// Numbers of a matrix.
fn read(numbers: HalfPrecision, at: DevicePointer<'_, Memory>, count: usize) -> Vec<f32> {
    let bytes = at.memory.read(at.offset, count * HalfPrecision::BYTES);
    bytes.as_chunks::<2>().0.iter().map(|&bytes| numbers.number(u16::from_le_bytes(bytes))).collect()
}

impl GpuBackend for Emulated {
    type Memory = Memory;
    type Download = Vec<u8>;

    fn name(&self) -> String {
        "emulated".to_owned()
    }

    fn memory(&self) -> Result<MemoryUse, GpuError> {
        Ok(MemoryUse { used: self.used.load(Ordering::Relaxed) as u64, total: self.bytes as u64 })
    }

    fn allocate(&self, bytes: usize) -> Result<Memory, GpuError> {
        if self.used.load(Ordering::Relaxed).saturating_add(bytes) > self.bytes {
            return Err(GpuError::OutOfMemory);
        }
        Ok(Memory::new(bytes, &self.used))
    }

    fn upload(&self, bytes: &[u8]) -> Result<Memory, GpuError> {
        let mut memory = self.allocate(bytes.len())?;
        self.overwrite(&mut memory, bytes)?;
        Ok(memory)
    }

    fn overwrite(&self, memory: &mut Memory, bytes: &[u8]) -> Result<(), GpuError> {
        memory.write(0, bytes);
        self.moved.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(())
    }

    fn zero(&self, memory: &mut Memory) -> Result<(), GpuError> {
        memory.write(0, &vec![0; memory.size()]);
        Ok(())
    }

    fn start_download(&self, memory: &Memory, bytes: usize) -> Result<Vec<u8>, GpuError> {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        Ok(memory.read(0, bytes))
    }

    fn finish_download(&self, download: Vec<u8>, bytes: &mut [u8]) -> Result<(), GpuError> {
        bytes.copy_from_slice(&download);
        Ok(())
    }

    fn launch(&self, launch: &Launch<'_, Memory>) -> Result<(), GpuError> {
        self.launches.fetch_add(1, Ordering::Relaxed);
        self.passes.fetch_add(usize::from(launch.kernel == Kernel::EmbedTraining), Ordering::Relaxed);
        let arguments: Vec<_> = launch
            .arguments
            .iter()
            .map(|argument| match *argument {
                KernelArgument::Pointer(at) => Emulator::Pointer(at.memory, at.offset),
                KernelArgument::U32(number) => Emulator::U32(number),
                KernelArgument::F32(number) => Emulator::F32(number),
                KernelArgument::U64(bits) => Emulator::U64(bits),
            })
            .collect();
        let grid = [launch.grid[0], launch.grid[1], 1];
        let (name, threads) = (launch.kernel.name(), launch.threads);
        let mut largest = self.largest.lock().unwrap();
        let (blocks, warps) = largest.entry(name).or_default();
        (*blocks, *warps) = ((*blocks).max(grid[0] * grid[1]), (*warps).max(threads / 32));
        drop(largest);
        let mut memories: Vec<&Memory> = launch.arguments.iter().filter_map(memory).collect();
        memories.sort_by_key(|&memory| std::ptr::from_ref(memory));
        memories.dedup_by_key(|memory| std::ptr::from_ref(*memory));
        let contents = || memories.iter().map(|memory| memory.read(0, memory.size())).collect::<Vec<_>>();
        let is_checked = self.orders.len() > 1;
        let before = if is_checked { contents() } else { Vec::new() };
        let mut first: Option<Vec<Vec<u8>>> = None;
        for &order in self.orders {
            memories.iter().zip(&before).for_each(|(memory, bytes)| memory.write(0, bytes));
            let (shared_bytes, watches) = (launch.shared_bytes, is_checked && first.is_none());
            ecommerce_ml_emulator::launch(name, grid, threads, shared_bytes, order, watches, &arguments)
                .map_err(|error| GpuError::Failed(format!("{name}: {error}")))?;
            if is_checked {
                let after = contents();
                let first = first.get_or_insert_with(|| after.clone());
                assert!(*first == after, "{name} depends on the order: {order:?}");
            }
        }
        Ok(())
    }

    fn matmul(&self, product: &Matmul<'_, Memory>) -> Result<(), GpuError> {
        let &Matmul { numbers, rows, inner, columns, accumulation, .. } = product;
        let factor = |factor: &MatmulOperand<'_, Memory>, rows: usize, columns: usize| {
            let matrix = read(numbers, factor.at, rows * columns);
            if factor.transposed { transpose(&matrix, rows) } else { matrix }
        };
        let left = factor(&product.left, rows, inner);
        // Its columns one after the other.
        let right = transpose(&factor(&product.right, inner, columns), columns);
        let bias = product.bias.map(|bias| read(numbers, bias, columns));
        let size = if accumulation == Accumulation::AddF32 { size_of::<f32>() } else { HalfPrecision::BYTES };
        let before = match accumulation {
            Accumulation::Biased(_) | Accumulation::Replace => vec![0.0; rows * columns],
            Accumulation::Add => read(numbers, product.output, rows * columns),
            Accumulation::AddF32 => {
                let bytes = product.output.memory.read(product.output.offset, rows * columns * size);
                bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
            }
        };
        let mut bytes = Vec::with_capacity(rows * columns * size);
        for (row, before) in left.chunks_exact(inner).zip(before.chunks_exact(columns)) {
            for (column, (right, before)) in right.chunks_exact(inner).zip(before).enumerate() {
                let sum = dot(row, right) + before;
                let sum = match accumulation {
                    Accumulation::Biased(epilogue) => after(epilogue, sum + bias.as_ref().unwrap()[column]),
                    Accumulation::Replace | Accumulation::Add | Accumulation::AddF32 => sum,
                };
                match accumulation {
                    Accumulation::AddF32 => bytes.extend(sum.to_le_bytes()),
                    _ => bytes.extend(numbers.round(sum).to_le_bytes()),
                }
            }
        }
        product.output.memory.write(product.output.offset, &bytes);
        Ok(())
    }
}

fn memory<'a>(argument: &KernelArgument<'a, Memory>) -> Option<&'a Memory> {
    match *argument {
        KernelArgument::Pointer(at) => Some(at.memory),
        _ => None,
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
