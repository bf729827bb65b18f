//! Rows to learn from, or to predict for.
//!
//! It must not know labels: gradients carry them. Invariant: a matrix has a number for each cell that its size promises, and no
//! booster that knows it is freed before it is.

use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::library::{BoosterHandle, Error, Handle, Library};

/// Rows of numbers, where NaN is a missing one.
#[derive(Debug)]
pub struct Matrix {
    pub(crate) handle: Handle,
    /// Locked while the library works with it: bins are made when they are first needed. And all boosters that know it: the library
    /// remembers what it predicted, thread by thread, by the addresses of booster and matrix, so that a later booster at the
    /// address of an earlier one would be given its predictions.
    boosters: Mutex<Vec<Arc<BoosterHandle>>>,
    rows: usize,
    columns: usize,
    library: Arc<Library>,
}

// SAFETY: the library's handles belong to no thread.
unsafe impl Send for Matrix {}

// SAFETY: the library gets the handle from one thread at a time, which holds the lock; only that of its creation and end needs none.
unsafe impl Sync for Matrix {}

impl Matrix {
    /// Copies numbers, `[rows, columns]`, neither dimension 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another size, [`Error::Refused`] for infinite numbers.
    pub fn new(library: &Arc<Library>, numbers: &[f32], columns: usize) -> Result<Self, Error> {
        if columns == 0 || numbers.is_empty() || !numbers.len().is_multiple_of(columns) {
            return Err(Error::Invalid("a matrix needs as many numbers as it has cells"));
        }
        let rows = numbers.len() / columns;
        let mut handle = ptr::null_mut();
        // SAFETY: `numbers` has as many numbers as said, and they are copied.
        let returned = unsafe {
            (library.functions.create_matrix)(
                numbers.as_ptr(),
                rows as u64,
                columns as u64,
                f32::NAN,
                &raw mut handle,
            )
        };
        library.check(returned)?;
        Ok(Self { handle, boosters: Mutex::default(), rows, columns, library: Arc::clone(library) })
    }

    /// The right to let the library work with it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Arc<BoosterHandle>>> {
        self.boosters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        self.lock().clear();
        // SAFETY: the handle was made by the library and is freed here only, when no booster is left that is asked about it.
        unsafe { (self.library.functions.free_matrix)(self.handle) };
    }
}
