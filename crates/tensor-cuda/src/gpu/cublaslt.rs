//! Products of matrices by cuBLASLt.
//!
//! Its matrices lie column by column, so ours are transposed to it: `outputᵀ = rightᵀ leftᵀ`.
//! Invariant: for each shape the library is asked once which of its algorithms is the fastest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};
use parking_lot::Mutex;

use crate::backend::{Accumulation, Epilogue, GpuError, HalfPrecision, Matmul};

/// What NVIDIA recommends for Hopper, and enough for all others.
const WORKSPACE_BYTES: usize = 32 << 20;

/// What algorithms ask for at most.
const MAX_ALIGNMENT: u32 = 256;

/// Shapes that are remembered: some seven a model, for each of the 256 numbers of rows that its batches come to have.
const MAX_PLANS: usize = 8192;

/// What an algorithm is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PlanKey {
    rows: usize,
    inner: usize,
    columns: usize,
    left_transposed: bool,
    right_transposed: bool,
    accumulation: Accumulation,
    numbers: HalfPrecision,
    /// Bytes that all addresses are multiples of, at most [`MAX_ALIGNMENT`].
    alignment: u32,
}

/// Where the matrices of a matmul are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) left: CUdeviceptr,
    pub(super) right: CUdeviceptr,
    pub(super) output: CUdeviceptr,
    pub(super) bias: Option<CUdeviceptr>,
}

/// The library, on one stream.
pub(super) struct CublasLt {
    handle: sys::cublasLtHandle_t,
    workspace: CudaSlice<u8>,
    stream: Arc<CudaStream>,
    plans: Mutex<HashMap<PlanKey, MatmulPlan>>,
}

// SAFETY: the library's handles may be used by any thread; plans, by one at a time, which the lock sees to.
unsafe impl Send for CublasLt {}
// SAFETY: as above.
unsafe impl Sync for CublasLt {}

impl fmt::Debug for CublasLt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CublasLt").finish_non_exhaustive()
    }
}

impl CublasLt {
    /// Opens the library.
    pub(super) fn new(stream: &Arc<CudaStream>) -> Result<Self, String> {
        // SAFETY: opens and closes a library, whose initialisers are NVIDIA's.
        if !unsafe { sys::is_culib_present() } {
            return Err("cuBLASLt (libcublasLt.so) is not installed, or not where libraries are looked for."
                .to_owned());
        }
        let handle =
            result::create_handle().map_err(|error| format!("cuBLASLt can't be started: {error}."))?;
        // SAFETY: the library writes before it reads.
        let workspace = unsafe { stream.alloc(WORKSPACE_BYTES) }
            .map_err(|error| format!("There is no memory for cuBLASLt: {error}."));
        let workspace = workspace.inspect_err(|_| {
            // SAFETY: nothing uses the handle any more.
            let _ = unsafe { result::destroy_handle(handle) };
        })?;
        Ok(Self { handle, workspace, stream: Arc::clone(stream), plans: Mutex::default() })
    }

    /// Multiplies matrices at these addresses.
    pub(super) fn matmul<M>(&self, matmul: &Matmul<'_, M>, addresses: Addresses) -> Result<(), GpuError> {
        let Addresses { left, right, output, bias } = addresses;
        let all = left | right | output | bias.unwrap_or_default() | u64::from(MAX_ALIGNMENT);
        let key = PlanKey {
            rows: matmul.rows,
            inner: matmul.inner,
            columns: matmul.columns,
            left_transposed: matmul.left.transposed,
            right_transposed: matmul.right.transposed,
            accumulation: matmul.accumulation,
            numbers: matmul.numbers,
            alignment: 1 << all.trailing_zeros(),
        };
        let mut plans = self.plans.lock();
        if plans.len() >= MAX_PLANS && !plans.contains_key(&key) {
            plans.clear();
        }
        let plan = match plans.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(MatmulPlan::new(self.handle, key, bias)?),
        };
        if let Some(bias) = bias {
            plan.set_bias(bias)?;
        }
        let adds = matches!(matmul.accumulation, Accumulation::Add | Accumulation::AddF32);
        let (factor, before) = (1.0_f32, if adds { 1.0_f32 } else { 0.0 });
        let workspace = self.workspace.device_ptr(&self.stream).0;
        // SAFETY: the descriptions fit the matrices, whose sizes `Matmul` promises, and live in the plan.
        unsafe {
            result::matmul(
                self.handle,
                plan.description.0,
                (&raw const factor).cast(),
                (&raw const before).cast(),
                right as *const c_void,
                plan.right.0,
                left as *const c_void,
                plan.left.0,
                output as *const c_void,
                plan.output.0,
                output as *mut c_void,
                plan.output.0,
                &raw const plan.algorithm,
                workspace as *mut c_void,
                WORKSPACE_BYTES,
                self.stream.cu_stream().cast(),
            )
        }?;
        Ok(())
    }
}

impl Drop for CublasLt {
    fn drop(&mut self) {
        self.plans.get_mut().clear();
        // SAFETY: nothing uses the handle any more.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// How a shape is computed.
struct MatmulPlan {
    description: MatmulDescription,
    left: MatrixLayout,
    right: MatrixLayout,
    output: MatrixLayout,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl MatmulPlan {
    /// With a bias at this address, whose alignment the choice may depend on.
    fn new(
        handle: sys::cublasLtHandle_t,
        key: PlanKey,
        bias: Option<CUdeviceptr>,
    ) -> Result<Self, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let PlanKey {
            rows,
            inner,
            columns,
            left_transposed,
            right_transposed,
            accumulation,
            numbers,
            alignment,
        } = key;
        let narrow = match numbers {
            HalfPrecision::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
            HalfPrecision::F16 => sys::cudaDataType_t::CUDA_R_16F,
        };
        let description = MatmulDescription::new()?;
        // 1 is `CUBLAS_OP_T`. What lies there row by row is transposed already.
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &i32::from(right_transposed))?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &i32::from(left_transposed))?;
        let epilogue = match accumulation {
            Accumulation::Biased(Epilogue::None) => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
            Accumulation::Biased(Epilogue::Gelu) => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_GELU_BIAS,
            Accumulation::Biased(Epilogue::Relu) => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_RELU_BIAS,
            Accumulation::Replace | Accumulation::Add | Accumulation::AddF32 => {
                sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT
            }
        };
        description.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        if let Some(bias) = bias {
            description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?;
        }
        let stored = |rows, columns, transposed| match transposed {
            false => MatrixLayout::new(narrow, columns, rows),
            true => MatrixLayout::new(narrow, rows, columns),
        };
        let right = stored(inner, columns, right_transposed)?;
        let left = stored(rows, inner, left_transposed)?;
        let number = match accumulation {
            Accumulation::AddF32 => sys::cudaDataType_t::CUDA_R_32F,
            Accumulation::Biased(_) | Accumulation::Replace | Accumulation::Add => narrow,
        };
        let output = MatrixLayout::new(number, columns, rows)?;
        let preference = AlgorithmPreference::new(alignment)?;
        // SAFETY: all handles live until the end of this function.
        let found = unsafe {
            result::get_matmul_algo_heuristic(
                handle,
                description.0,
                right.0,
                left.0,
                output.0,
                output.0,
                preference.0,
            )
        }?;
        Ok(Self { description, left, right, output, algorithm: found.algo })
    }

    fn set_bias(&self, bias: CUdeviceptr) -> Result<(), CublasError> {
        self.description.set(sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)
    }
}

/// What is multiplied how.
struct MatmulDescription(sys::cublasLtMatmulDesc_t);

impl MatmulDescription {
    fn new() -> Result<Self, CublasError> {
        let sums = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        result::create_matmul_desc(sums, sys::cudaDataType_t::CUDA_R_32F).map(Self)
    }

    /// Sets an attribute, whose type the library's manual names.
    fn set<T>(&self, attribute: sys::cublasLtMatmulDescAttributes_t, value: &T) -> Result<(), CublasError> {
        // SAFETY: the library copies as many bytes as the value has.
        unsafe {
            result::set_matmul_desc_attribute(self.0, attribute, (&raw const *value).cast(), size_of::<T>())
        }
    }
}

impl Drop for MatmulDescription {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

/// The shape of a matrix, column by column.
struct MatrixLayout(sys::cublasLtMatrixLayout_t);

impl MatrixLayout {
    fn new(number: sys::cudaDataType_t, rows: usize, columns: usize) -> Result<Self, CublasError> {
        result::create_matrix_layout(number, rows as u64, columns as u64, rows as i64).map(Self)
    }
}

impl Drop for MatrixLayout {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

/// What an algorithm may use.
struct AlgorithmPreference(sys::cublasLtMatmulPreference_t);

impl AlgorithmPreference {
    fn new(alignment: u32) -> Result<Self, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = Self(result::create_matmul_pref()?);
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &(WORKSPACE_BYTES as u64))?;
        for of in [
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            preference.set(of, &alignment)?;
        }
        Ok(preference)
    }

    /// Sets an attribute, whose type the library's manual names.
    fn set<T>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: &T,
    ) -> Result<(), CublasError> {
        // SAFETY: the library copies as many bytes as the value has.
        unsafe {
            result::set_matmul_pref_attribute(self.0, attribute, (&raw const *value).cast(), size_of::<T>())
        }
    }
}

impl Drop for AlgorithmPreference {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

impl From<CublasError> for GpuError {
    fn from(error: CublasError) -> Self {
        match error.0 {
            sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED => GpuError::OutOfMemory,
            _ => GpuError::Failed(format!("cuBLASLt: {error}")),
        }
    }
}
