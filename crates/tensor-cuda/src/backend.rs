//! What a GPU can do, be it a real one or the tests' emulator: a device with memory of its own.
//!
//! It must not know networks. Invariant: work is done in the order in which it is given; nothing waits for it but
//! [`GpuBackend::finish_download`], and that only for what was given before the copy back.

use std::fmt::Debug;

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use half::{bf16, f16};

/// Bytes of shared memory that any GPU gives to a block.
pub const SHARED_BYTES: usize = 48 << 10;

/// Queries that a block of the attention kernels works on.
pub const TILE: usize = 64;

/// A GPU with its memory.
pub trait GpuBackend: Debug + Send + Sync + 'static {
    /// Bytes in its memory, until they are dropped.
    type Memory: Debug + Send + Sync;

    /// A copy back that is under way.
    type Download: Debug + Send;

    /// The name that statistics show, for example `cuda:0`.
    fn name(&self) -> String;

    /// Its memory, all of it and what of it is taken, be it by others.
    ///
    /// # Errors
    /// If the GPU fails.
    fn memory(&self) -> Result<MemoryUse, GpuError>;

    /// Memory for so many bytes, which begin as anything.
    ///
    /// # Errors
    /// If there is none.
    fn allocate(&self, bytes: usize) -> Result<Self::Memory, GpuError>;

    /// Memory that holds these bytes.
    ///
    /// # Errors
    /// If there is none, or the GPU fails.
    fn upload(&self, bytes: &[u8]) -> Result<Self::Memory, GpuError>;

    /// Overwrites the first bytes.
    ///
    /// # Errors
    /// If the GPU fails.
    fn overwrite(&self, memory: &mut Self::Memory, bytes: &[u8]) -> Result<(), GpuError>;

    /// Makes all bytes 0.
    ///
    /// # Errors
    /// If the GPU fails.
    fn zero(&self, memory: &mut Self::Memory) -> Result<(), GpuError>;

    /// Begins to copy the first bytes back, once all work is done that was given before; waits for nothing.
    ///
    /// # Errors
    /// If the GPU fails.
    fn start_download(&self, memory: &Self::Memory, bytes: usize) -> Result<Self::Download, GpuError>;

    /// Waits for a copy back of as many bytes.
    ///
    /// # Errors
    /// If the GPU fails, be it in the work before.
    fn finish_download(&self, download: Self::Download, bytes: &mut [u8]) -> Result<(), GpuError>;

    /// Brings the first bytes back at once.
    ///
    /// # Errors
    /// As of [`start_download`](Self::start_download) and [`finish_download`](Self::finish_download).
    fn download(&self, memory: &Self::Memory, bytes: &mut [u8]) -> Result<(), GpuError> {
        self.finish_download(self.start_download(memory, bytes.len())?, bytes)
    }

    /// Runs a kernel.
    ///
    /// # Errors
    /// If the GPU fails.
    fn launch(&self, launch: &Launch<'_, Self::Memory>) -> Result<(), GpuError>;

    /// Multiplies matrices.
    ///
    /// # Errors
    /// If the GPU fails.
    fn matmul(&self, matmul: &Matmul<'_, Self::Memory>) -> Result<(), GpuError>;
}

/// A GPU's memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// What is taken.
    pub used: u64,
    /// All of it.
    pub total: u64,
}

/// A place in device memory.
#[derive(Debug)]
pub struct DevicePointer<'a, M> {
    /// The allocation.
    pub memory: &'a M,
    /// Bytes before it.
    pub offset: usize,
}

impl<M> Clone for DevicePointer<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for DevicePointer<'_, M> {}

impl<'a, M> DevicePointer<'a, M> {
    /// The beginning of some memory.
    pub fn start(memory: &'a M) -> Self {
        Self { memory, offset: 0 }
    }
}

/// A kind of numbers of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HalfPrecision {
    /// Three digits less than [`F16`](HalfPrecision::F16), and the range of f32.
    Bf16,
    /// Nothing above 65504.
    F16,
}

impl HalfPrecision {
    /// Bytes of a number.
    pub const BYTES: usize = 2;

    /// The name that settings and statistics have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            HalfPrecision::Bf16 => "bf16",
            HalfPrecision::F16 => "f16",
        }
    }

    /// A number's bits when it is rounded.
    pub fn round(self, number: f32) -> u16 {
        match self {
            HalfPrecision::Bf16 => bf16::from_f32(number).to_bits(),
            HalfPrecision::F16 => f16::from_f32(number).to_bits(),
        }
    }

    /// The number of these bits.
    pub fn number(self, bits: u16) -> f32 {
        match self {
            HalfPrecision::Bf16 => bf16::from_bits(bits).to_f32(),
            HalfPrecision::F16 => f16::from_bits(bits).to_f32(),
        }
    }
}

/// The kernels of `kernels/`, by the file there, with their names in it.
macro_rules! kernels {
    ($($file:literal: $($kernel:ident $name:literal),*;)*) => {
        /// A kernel of `kernels/`, whose source says what it does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kernel {
            $($(#[doc = $name] $kernel),*),*
        }

        impl Kernel {
            /// All kernels, in the order of their numbers.
            pub const ALL: &'static [Kernel] = &[$($(Kernel::$kernel),*),*];

            /// Its name in the source.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Kernel::$kernel => $name),*),*
                }
            }

            /// The name of its file, without `.cu`.
            pub fn file(self) -> &'static str {
                match self {
                    $($(Kernel::$kernel)|* => $file),*
                }
            }
        }
    };
}

kernels! {
    "rows":
        GatherRows "gather_rows",
        Embed "embed",
        AddNorm "add_norm",
        Mean "mean",
        Classify "classify",
        EmbedF16 "embed_f16",
        AddNormF16 "add_norm_f16",
        MeanF16 "mean_f16",
        ClassifyF16 "classify_f16";
    "attention":
        Attend32 "attend_32",
        Attend64 "attend_64",
        Attend128 "attend_128",
        Attend32F16 "attend_32_f16",
        Attend64F16 "attend_64_f16",
        Attend128F16 "attend_128_f16",
        AttendTraining32 "attend_training_32",
        AttendTraining64 "attend_training_64",
        AttendTraining128 "attend_training_128";
    "attention_backward":
        AttendBackQueries32 "attend_back_queries_32",
        AttendBackQueries64 "attend_back_queries_64",
        AttendBackQueries128 "attend_back_queries_128",
        AttendBackKeys32 "attend_back_keys_32",
        AttendBackKeys64 "attend_back_keys_64",
        AttendBackKeys128 "attend_back_keys_128",
        HeadProducts "head_products";
    "training":
        EmbedTraining "embed_training",
        AddNormTraining "add_norm_training",
        NormBack "norm_back",
        SumRows "sum_rows",
        AddPartial "add_partial",
        Activate "activate",
        ActivateBack "activate_back",
        Dropout "dropout",
        AddToTable "add_to_table",
        ScatterAdd "scatter_add",
        Round "round_numbers",
        RoundPerturbed "round_perturbed",
        SumSquares "sum_squares",
        Adam "adam",
        CopyColumns "copy_columns";
}

/// An argument of a kernel.
#[derive(Debug)]
pub enum KernelArgument<'a, M> {
    /// A pointer.
    Pointer(DevicePointer<'a, M>),
    /// `unsigned`.
    U32(u32),
    /// `float`.
    F32(f32),
    /// `unsigned long long`.
    U64(u64),
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
    pub arguments: &'a [KernelArgument<'a, M>],
}

/// What is done with sums of products, when their bias has been added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// Nothing.
    None,
    /// GELU, by the hyperbolic tangent, which differs from the exact one by less than 5e-4.
    Gelu,
    /// What is above 0.
    Relu,
}

/// What becomes of a product's sums: how they are written to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accumulation {
    /// Rounded, with a bias of 16 bits before the epilogue.
    Biased(Epilogue),
    /// Rounded.
    Replace,
    /// Added to what is there, and rounded.
    Add,
    /// Added to what is there in f32.
    AddF32,
}

/// A matrix of numbers of 16 bits, row by row without gaps.
#[derive(Debug)]
pub struct MatmulOperand<'a, M> {
    /// Where.
    pub at: DevicePointer<'a, M>,
    /// Whether columns of what lies there are the rows.
    pub transposed: bool,
}

/// A product of matrices, summed up in f32.
#[derive(Debug)]
pub struct Matmul<'a, M> {
    /// What numbers of 16 bits are.
    pub numbers: HalfPrecision,
    /// Shape `[rows, inner]`.
    pub left: MatmulOperand<'a, M>,
    /// Shape `[inner, columns]`.
    pub right: MatmulOperand<'a, M>,
    /// Shape `[rows, columns]`, row by row without gaps.
    pub output: DevicePointer<'a, M>,
    /// What becomes of it.
    pub accumulation: Accumulation,
    /// Shape `[columns]`; only for [`Accumulation::Biased`].
    pub bias: Option<DevicePointer<'a, M>>,
    /// Rows of the left side.
    pub rows: usize,
    /// Rows of the right side.
    pub inner: usize,
    /// Columns of the right side.
    pub columns: usize,
}

/// Why a GPU didn't do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// Its memory is full.
    #[error("out of memory on the device")]
    OutOfMemory,
    /// Anything else, in its own description.
    #[error("{0}")]
    Failed(String),
}

impl From<GpuError> for EngineError {
    fn from(error: GpuError) -> Self {
        match error {
            GpuError::OutOfMemory => EngineError::new(ErrorKind::OutOfMemory, error.to_string())
                .with_hint("Lower ecommerce_ml.model_cache_size, or set ecommerce_ml.device to \"cpu\"."),
            GpuError::Failed(description) => EngineError::new(
                ErrorKind::Internal,
                format!("computation on the device failed: {description}"),
            ),
        }
    }
}
