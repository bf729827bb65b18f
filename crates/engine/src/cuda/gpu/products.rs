//! Dense layers by cuBLASLt.
//!
//! Its matrices lie column by column, so ours are transposed to it: `outputᵀ = weight inputᵀ`.
//! Invariant: for each shape the library is asked once which of its algorithms is the fastest.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};
use parking_lot::Mutex;

use crate::cuda::machine::{Epilogue, MachineError, Product};

/// What NVIDIA recommends for Hopper, and enough for all others.
const WORKSPACE_BYTES: usize = 32 << 20;

/// Shapes that are remembered: batches have any number of rows.
const MOST_PLANS: usize = 1024;

/// Rows, inputs and outputs, and what comes after the sum.
type Key = (usize, usize, usize, Epilogue);

/// The library, on one stream.
pub(super) struct Products {
    handle: sys::cublasLtHandle_t,
    workspace: CudaSlice<u8>,
    stream: Arc<CudaStream>,
    plans: Mutex<HashMap<Key, Plan>>,
}

// SAFETY: the library's handles may be used by any thread; plans, by one at a time, which the lock sees to.
unsafe impl Send for Products {}
// SAFETY: as above.
unsafe impl Sync for Products {}

impl fmt::Debug for Products {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Products").finish_non_exhaustive()
    }
}

impl Products {
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

    /// Multiplies matrices at these addresses: input, weight, bias and output.
    pub(super) fn multiply<M>(
        &self,
        product: &Product<'_, M>,
        (input, weight, bias, output): (CUdeviceptr, CUdeviceptr, CUdeviceptr, CUdeviceptr),
    ) -> Result<(), MachineError> {
        let key = (product.rows, product.inputs, product.outputs, product.epilogue);
        let mut plans = self.plans.lock();
        if plans.len() >= MOST_PLANS && !plans.contains_key(&key) {
            plans.clear();
        }
        let plan = match plans.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Plan::new(self.handle, key, bias)?)
            }
        };
        plan.set_bias(bias)?;
        let (one, zero) = (1.0_f32, 0.0_f32);
        let workspace = self.workspace.device_ptr(&self.stream).0;
        // SAFETY: the descriptions fit the matrices, whose sizes `Product` promises, and live in the plan.
        unsafe {
            result::matmul(
                self.handle,
                plan.description.0,
                (&raw const one).cast(),
                (&raw const zero).cast(),
                weight as *const c_void,
                plan.weight.0,
                input as *const c_void,
                plan.input.0,
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

impl Drop for Products {
    fn drop(&mut self) {
        self.plans.get_mut().clear();
        // SAFETY: nothing uses the handle any more.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// How a shape is computed.
struct Plan {
    description: Description,
    weight: Matrix,
    input: Matrix,
    output: Matrix,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl Plan {
    /// With a bias at this address, whose alignment the choice may depend on.
    fn new(handle: sys::cublasLtHandle_t, key: Key, bias: CUdeviceptr) -> Result<Self, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let (rows, inputs, outputs, epilogue) = key;
        let description = Description::new()?;
        // Only the weight is transposed; 1 is `CUBLAS_OP_T`.
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &1_i32)?;
        let epilogue = match epilogue {
            Epilogue::None => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
            Epilogue::Gelu => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_GELU_BIAS,
            Epilogue::Relu => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_RELU_BIAS,
        };
        description.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?;
        let weight = Matrix::new(inputs, outputs)?;
        let (input, output) = (Matrix::new(inputs, rows)?, Matrix::new(outputs, rows)?);
        let preference = Preference::new()?;
        // SAFETY: all handles live until the end of this function.
        let found = unsafe {
            result::get_matmul_algo_heuristic(
                handle,
                description.0,
                weight.0,
                input.0,
                output.0,
                output.0,
                preference.0,
            )
        }?;
        Ok(Self { description, weight, input, output, algorithm: found.algo })
    }

    fn set_bias(&self, bias: CUdeviceptr) -> Result<(), CublasError> {
        self.description.set(sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)
    }
}

/// What is multiplied how.
struct Description(sys::cublasLtMatmulDesc_t);

impl Description {
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

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

/// The shape of a matrix of bf16.
struct Matrix(sys::cublasLtMatrixLayout_t);

impl Matrix {
    fn new(rows: usize, columns: usize) -> Result<Self, CublasError> {
        let number = sys::cudaDataType_t::CUDA_R_16BF;
        result::create_matrix_layout(number, rows as u64, columns as u64, rows as i64).map(Self)
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

/// What an algorithm may use.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn new() -> Result<Self, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = Self(result::create_matmul_pref()?);
        let bytes = WORKSPACE_BYTES as u64;
        // SAFETY: the library copies the eight bytes that it wants.
        unsafe {
            result::set_matmul_pref_attribute(
                preference.0,
                Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                (&raw const bytes).cast(),
                size_of_val(&bytes),
            )
        }?;
        Ok(preference)
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

impl From<CublasError> for MachineError {
    fn from(error: CublasError) -> Self {
        match error.0 {
            sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED => MachineError::OutOfMemory,
            _ => MachineError::Failed(format!("cuBLASLt: {error}")),
        }
    }
}
