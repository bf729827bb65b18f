//! What a machine with memory of its own can do.
//!
//! It must not know networks. Invariant: work is done in the order in which it is given; nothing waits for it but
//! [`Machine::download`].

use std::ffi::CStr;
use std::fmt::Debug;

use ecommerce_ml_protocol::{EngineError, ErrorKind};

/// A machine.
pub trait Machine: Debug + Send + Sync + 'static {
    /// Bytes in its memory, until they are dropped.
    type Memory: Debug + Send + Sync;

    /// The name that statistics show, for example `cuda:0`.
    fn name(&self) -> String;

    /// Its memory, all of it and what of it is taken, be it by others.
    ///
    /// # Errors
    /// If the machine fails.
    fn memory(&self) -> Result<MemoryUse, MachineError>;

    /// Room for bytes, which may be anything.
    ///
    /// # Errors
    /// If there is none.
    fn allocate(&self, bytes: usize) -> Result<Self::Memory, MachineError>;

    /// Room that holds these bytes.
    ///
    /// # Errors
    /// If there is none, or the machine fails.
    fn upload(&self, bytes: &[u8]) -> Result<Self::Memory, MachineError>;

    /// Waits for all work that was given before, and brings the first bytes back.
    ///
    /// # Errors
    /// If the machine fails, be it in that work.
    fn download(&self, memory: &Self::Memory, bytes: &mut [u8]) -> Result<(), MachineError>;

    /// Runs a kernel.
    ///
    /// # Errors
    /// If the machine fails.
    fn launch(&self, launch: &Launch<'_, Self::Memory>) -> Result<(), MachineError>;

    /// Multiplies matrices.
    ///
    /// # Errors
    /// If the machine fails.
    fn multiply(&self, product: &Product<'_, Self::Memory>) -> Result<(), MachineError>;
}

/// A machine's memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// What is taken.
    pub used: u64,
    /// All of it.
    pub total: u64,
}

/// A place in memory.
#[derive(Debug)]
pub struct At<'a, M> {
    /// Where.
    pub memory: &'a M,
    /// Bytes before it.
    pub offset: usize,
}

impl<M> Clone for At<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for At<'_, M> {}

impl<'a, M> At<'a, M> {
    /// The beginning of some memory.
    pub fn start(memory: &'a M) -> Self {
        Self { memory, offset: 0 }
    }
}

/// A kernel of `kernels/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Embeddings of tokens.
    Embed,
    /// The layer norm of a sum.
    AddNorm,
    /// Some rows of many.
    Choose,
    /// Means of rows.
    Mean,
    /// The last layer of a head.
    Classify,
    /// Attention with heads of 32 numbers.
    Attend32,
    /// Attention with heads of 64 numbers.
    Attend64,
    /// Attention with heads of 128 numbers.
    Attend128,
}

impl Kernel {
    /// All kernels.
    pub const ALL: [Kernel; 8] = [
        Kernel::Embed,
        Kernel::AddNorm,
        Kernel::Choose,
        Kernel::Mean,
        Kernel::Classify,
        Kernel::Attend32,
        Kernel::Attend64,
        Kernel::Attend128,
    ];

    /// Its name in the source.
    pub fn name(self) -> &'static CStr {
        match self {
            Kernel::Embed => c"embed",
            Kernel::AddNorm => c"add_norm",
            Kernel::Choose => c"choose",
            Kernel::Mean => c"mean",
            Kernel::Classify => c"classify",
            Kernel::Attend32 => c"attend_32",
            Kernel::Attend64 => c"attend_64",
            Kernel::Attend128 => c"attend_128",
        }
    }
}

/// An argument of a kernel.
#[derive(Debug)]
pub enum Argument<'a, M> {
    /// A pointer.
    At(At<'a, M>),
    /// `unsigned`.
    Count(u32),
    /// `float`.
    Number(f32),
}

/// A kernel with its arguments.
#[derive(Debug)]
pub struct Launch<'a, M> {
    /// Which.
    pub kernel: Kernel,
    /// Blocks.
    pub grid: [u32; 2],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of shared memory whose size the launch tells.
    pub shared_bytes: u32,
    /// In the order of the source.
    pub arguments: &'a [Argument<'a, M>],
}

/// What a dense layer does with its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// Nothing.
    None,
    /// GELU. The approximation by the hyperbolic tangent differs from the exact one by less than 5e-4, and by less than the
    /// rounding to bf16 wherever the result is above 0.1.
    Gelu,
    /// What is above 0.
    Relu,
}

/// A dense layer in bf16, summed up in f32: `output = epilogue(input weightᵀ + bias)`, all matrices row by row without gaps.
#[derive(Debug)]
pub struct Product<'a, M> {
    /// Shape `[rows, inputs]`.
    pub input: At<'a, M>,
    /// Shape `[outputs, inputs]`.
    pub weight: At<'a, M>,
    /// Shape `[outputs]`.
    pub bias: At<'a, M>,
    /// Shape `[rows, outputs]`.
    pub output: At<'a, M>,
    /// Rows of the input.
    pub rows: usize,
    /// Numbers of a row of the input.
    pub inputs: usize,
    /// Numbers of a row of the output.
    pub outputs: usize,
    /// After the sum.
    pub epilogue: Epilogue,
}

/// Why a machine didn't do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// Its memory is full.
    #[error("out of memory on the device")]
    OutOfMemory,
    /// Anything else, in its own words.
    #[error("{0}")]
    Failed(String),
}

impl From<MachineError> for EngineError {
    fn from(error: MachineError) -> Self {
        match error {
            MachineError::OutOfMemory => EngineError::new(ErrorKind::OutOfMemory, error.to_string())
                .with_hint("Lower ecommerce_ml.model_cache_size, or set ecommerce_ml.device to \"cpu\"."),
            MachineError::Failed(words) => {
                EngineError::new(ErrorKind::Internal, format!("computation on the device failed: {words}"))
            }
        }
    }
}
