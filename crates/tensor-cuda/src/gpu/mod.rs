//! An NVIDIA GPU: its memory, our kernels on it, and cuBLASLt's matrix products.
//!
//! Libraries of NVIDIA's are opened while the engine runs, so the same binary works where there are none.
//! It must not know networks. All of the engine's `unsafe` code is here, but for that of the CPU.
//! Invariants: all work of a GPU is in one stream, so it is done in the order in which it is given; a process whose GPU can't go on
//! ends.

use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr, DriverError, result, sys};
use cudarc::nvrtc::Ptx;
use ecommerce_ml_log::note;
use ecommerce_ml_protocol::{EngineError, ErrorKind};

mod cublaslt;
mod pinned;

use super::backend::{
    DevicePointer, GpuBackend, GpuError, Kernel, KernelArgument, Launch, Matmul, MemoryUse,
};
use cublaslt::{Addresses, CublasLt};
use pinned::{PinnedBuffer, PinnedPool};

/// Our kernels for several kinds of GPUs by the name of their file, made by the build script.
const KERNELS: [(&str, &[u8]); 4] = [
    ("rows", include_bytes!(concat!(env!("OUT_DIR"), "/rows.fatbin"))),
    ("attention", include_bytes!(concat!(env!("OUT_DIR"), "/attention.fatbin"))),
    ("attention_backward", include_bytes!(concat!(env!("OUT_DIR"), "/attention_backward.fatbin"))),
    ("training", include_bytes!(concat!(env!("OUT_DIR"), "/training.fatbin"))),
];

/// Freed memory that is kept for the next batch. What is above it goes back to the GPU, as when a model is dropped.
const KEPT_BYTES: u64 = 512 << 20;

/// The first GPUs with tensor cores for bf16.
const MIN_CAPABILITY: (i32, i32) = (8, 0);

/// A GPU that was opened.
#[derive(Debug)]
pub struct Gpu {
    stream: Arc<CudaStream>,
    kernels: Vec<CudaFunction>,
    cublaslt: CublasLt,
    pool: PinnedPool,
    ordinal: usize,
}

impl Gpu {
    /// Whether NVIDIA's driver is installed.
    pub fn has_driver() -> bool {
        // SAFETY: opens and closes a library, whose initialisers are NVIDIA's.
        unsafe { sys::is_culib_present() }
    }

    /// Opens all GPUs, but for those that are too old.
    ///
    /// # Errors
    /// As of [`open`](Self::open), of the first one, if none can be opened.
    pub fn open_all() -> Result<Vec<Arc<Self>>, EngineError> {
        let first = Self::open(0)?;
        let count = CudaContext::device_count().map_or(1, |count| usize::try_from(count).unwrap_or(1));
        Ok([first].into_iter().chain((1..count).filter_map(|ordinal| Self::open(ordinal).ok())).collect())
    }

    /// Opens GPU number `ordinal`, counted from 0.
    ///
    /// # Errors
    /// [`ErrorKind::DeviceMissing`] if there is none, or it or a library of NVIDIA's is too old or missing.
    pub fn open(ordinal: usize) -> Result<Arc<Self>, EngineError> {
        // The bindings panic if a library lacks a function, as an older one may.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::try_open(ordinal)));
        let too_old = |_| Err("A library of NVIDIA's is older than this engine.".to_owned());
        opened.unwrap_or_else(too_old).map(Arc::new).map_err(|detail| {
            let message = format!("device \"cuda:{ordinal}\" is not available");
            EngineError::new(ErrorKind::DeviceMissing, message)
                .with_detail(detail)
                .with_hint("Set ecommerce_ml.device to \"auto\" or \"cpu\".")
        })
    }

    fn try_open(ordinal: usize) -> Result<Self, String> {
        if !Self::has_driver() {
            return Err("NVIDIA's driver (libcuda.so) is not installed.".to_owned());
        }
        let count = result::init().and_then(|()| CudaContext::device_count());
        let count = count.map_err(|error| with_description("No GPU can be used", error))?;
        if usize::try_from(count).is_ok_and(|count| ordinal >= count) {
            return Err(format!("The number of GPUs is {count}."));
        }
        let failed = |error| with_description("The GPU can't be opened", error);
        let context = CudaContext::new(ordinal).map_err(failed)?;
        let capability = context.compute_capability().map_err(failed)?;
        if capability < MIN_CAPABILITY {
            let name = context.name().map_err(failed)?;
            let ((major, minor), (least, _)) = (capability, MIN_CAPABILITY);
            return Err(format!("{name} has compute capability {major}.{minor}, but {least}.0 is needed."));
        }
        // A thread that waits shall leave its core to the server.
        context.set_blocking_synchronize().map_err(failed)?;
        keep_memory(&context).map_err(failed)?;
        // SAFETY: memory is used in one stream only.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(failed)?;
        let modules = KERNELS.iter().map(|(file, image)| {
            let module = context.load_module(Ptx::from_binary(image.to_vec())).map_err(failed)?;
            Ok((*file, module))
        });
        let modules = modules.collect::<Result<HashMap<_, _>, String>>()?;
        let load = |kernel: &Kernel| {
            let lacking = || format!("The GPU lacks kernel {}.", kernel.name());
            let module = modules.get(kernel.file()).ok_or_else(lacking)?;
            module.load_function(kernel.name()).map_err(|_| lacking())
        };
        let kernels = Kernel::ALL.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let cublaslt = CublasLt::new(&stream)?;
        Ok(Self { stream, kernels, cublaslt, pool: PinnedPool::default(), ordinal })
    }

    /// Copies bytes to an address when all work before is done.
    fn send(&self, bytes: &[u8], memory: &mut CudaSlice<u8>) -> Result<(), GpuError> {
        if bytes.len() > pinned::MAX_BYTES {
            // The driver brings it in pieces, and returns when it has read all.
            return Ok(self.stream.memcpy_htod(bytes, memory)?);
        }
        let mut pinned = self.pool.acquire(&self.stream, bytes.len())?;
        pinned.fill(bytes)?;
        pinned.send(&self.stream, memory.device_ptr(&self.stream).0, bytes.len())?;
        self.pool.release(pinned);
        Ok(())
    }

    fn address(&self, at: DevicePointer<'_, CudaSlice<u8>>) -> sys::CUdeviceptr {
        // Without tracking of events nothing happens when the second value is dropped.
        at.memory.device_ptr(&self.stream).0 + at.offset as u64
    }
}

impl GpuBackend for Gpu {
    type Memory = CudaSlice<u8>;
    type Download = PinnedBuffer;

    fn name(&self) -> String {
        format!("cuda:{}", self.ordinal)
    }

    fn memory(&self) -> Result<MemoryUse, GpuError> {
        let (free, total) = self.stream.context().mem_get_info()?;
        Ok(MemoryUse { used: total.saturating_sub(free) as u64, total: total as u64 })
    }

    fn allocate(&self, bytes: usize) -> Result<CudaSlice<u8>, GpuError> {
        // SAFETY: bytes may have any value.
        Ok(unsafe { self.stream.alloc(bytes.max(1)) }?)
    }

    fn upload(&self, bytes: &[u8]) -> Result<CudaSlice<u8>, GpuError> {
        let mut memory = self.allocate(bytes.len())?;
        self.send(bytes, &mut memory)?;
        Ok(memory)
    }

    fn overwrite(&self, memory: &mut CudaSlice<u8>, bytes: &[u8]) -> Result<(), GpuError> {
        self.send(bytes, memory)
    }

    fn zero(&self, memory: &mut CudaSlice<u8>) -> Result<(), GpuError> {
        Ok(self.stream.memset_zeros(memory)?)
    }

    fn start_download(&self, memory: &CudaSlice<u8>, bytes: usize) -> Result<PinnedBuffer, GpuError> {
        let mut pinned = self.pool.acquire(&self.stream, bytes)?;
        pinned.start_download(&self.stream, memory.device_ptr(&self.stream).0, bytes)?;
        Ok(pinned)
    }

    fn finish_download(&self, pinned: PinnedBuffer, bytes: &mut [u8]) -> Result<(), GpuError> {
        pinned.read(bytes)?;
        self.pool.release(pinned);
        Ok(())
    }

    fn download(&self, memory: &CudaSlice<u8>, bytes: &mut [u8]) -> Result<(), GpuError> {
        if bytes.len() <= pinned::MAX_BYTES {
            return self.finish_download(self.start_download(memory, bytes.len())?, bytes);
        }
        self.stream.memcpy_dtoh(&memory.slice(..bytes.len()), bytes)?;
        self.stream.synchronize()?;
        Ok(())
    }

    fn launch(&self, launch: &Launch<'_, CudaSlice<u8>>) -> Result<(), GpuError> {
        let place = Kernel::ALL.iter().position(|&kernel| kernel == launch.kernel);
        let Some(function) = place.and_then(|place| self.kernels.get(place)) else {
            return Err(GpuError::Failed("unknown kernel".to_owned()));
        };
        let mut values: Vec<ArgumentValue> = launch
            .arguments
            .iter()
            .map(|argument| match *argument {
                KernelArgument::Pointer(at) => ArgumentValue { address: self.address(at) },
                KernelArgument::U32(number) => ArgumentValue { count: number },
                KernelArgument::F32(number) => ArgumentValue { number },
                KernelArgument::U64(bits) => ArgumentValue { bits },
            })
            .collect();
        let mut pointers: Vec<*mut c_void> =
            values.iter_mut().map(|value| (&raw mut *value).cast()).collect();
        self.stream.context().bind_to_thread()?;
        // SAFETY: `ops` gives each kernel the arguments of its source, and memory that is large enough; the pointers point to
        // values that live until the launch has read them.
        unsafe {
            result::launch_kernel(
                function.cu_function(),
                (launch.grid[0], launch.grid[1], 1),
                (launch.threads, 1, 1),
                launch.shared_bytes,
                self.stream.cu_stream(),
                &mut pointers,
            )
        }?;
        Ok(())
    }

    fn matmul(&self, matmul: &Matmul<'_, CudaSlice<u8>>) -> Result<(), GpuError> {
        let addresses = Addresses {
            left: self.address(matmul.left.at),
            right: self.address(matmul.right.at),
            output: self.address(matmul.output),
            bias: matmul.bias.map(|bias| self.address(bias)),
        };
        self.stream.context().bind_to_thread()?;
        self.cublaslt.matmul(matmul, addresses)
    }
}

/// What a launch reads an argument from.
#[derive(Clone, Copy)]
union ArgumentValue {
    address: sys::CUdeviceptr,
    count: u32,
    number: f32,
    bits: u64,
}

impl From<DriverError> for GpuError {
    fn from(error: DriverError) -> Self {
        match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => GpuError::OutOfMemory,
            code if is_final(code) => abort_process(&description(error)),
            _ => GpuError::Failed(description(error)),
        }
    }
}

/// Whether nothing that this process asks of the GPU can work any more after such an error.
fn is_final(code: sys::CUresult) -> bool {
    use sys::CUresult as Code;
    matches!(
        code,
        Code::CUDA_ERROR_ILLEGAL_ADDRESS
            | Code::CUDA_ERROR_MISALIGNED_ADDRESS
            | Code::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | Code::CUDA_ERROR_INVALID_PC
            | Code::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | Code::CUDA_ERROR_HARDWARE_STACK_ERROR
            | Code::CUDA_ERROR_LAUNCH_FAILED
            | Code::CUDA_ERROR_LAUNCH_TIMEOUT
            | Code::CUDA_ERROR_ASSERT
            | Code::CUDA_ERROR_ECC_UNCORRECTABLE
            | Code::CUDA_ERROR_NVLINK_UNCORRECTABLE
            | Code::CUDA_ERROR_CONTEXT_IS_DESTROYED
            | Code::CUDA_ERROR_EXTERNAL_DEVICE
    )
}

/// Ends the process, so that whoever watches over it starts another: requests are then asked again, and a training goes on from its
/// checkpoint. Nothing is tidied up, as that could wait for the GPU for ever.
fn abort_process(description: &str) -> ! {
    note(&format!("the GPU can't go on: {description}; exiting"));
    std::process::abort()
}

/// Without this the driver would give all memory back whenever nothing runs, and ask for it again for the next batch.
fn keep_memory(context: &CudaContext) -> Result<(), DriverError> {
    if !context.has_async_alloc() {
        return Ok(());
    }
    let (mut pool, mut bytes) = (std::ptr::null_mut(), KEPT_BYTES);
    // SAFETY: the pool is the device's own; the attribute is a number of eight bytes.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device()).result()?;
        let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, threshold, (&raw mut bytes).cast()).result()
    }
}

fn description(error: DriverError) -> String {
    error
        .error_string()
        .map_or_else(|_| format!("{error:?}"), |description| description.to_string_lossy().into_owned())
}

fn with_description(what: &str, error: DriverError) -> String {
    format!("{what}: {}.", description(error))
}
