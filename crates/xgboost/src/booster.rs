//! Trees being grown.
//!
//! It must not know losses. Invariant: a booster keeps the matrices alive that it has seen, since the library remembers them.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};
use std::fmt::Write;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use crate::library::{Boost, BoosterHandle, Error, Handle, Library};
use crate::matrix::Matrix;

/// Models as JSON.
const AS_JSON: &CStr = c"{\"format\": \"json\"}";

/// A model that grows by a round of trees at a time.
#[derive(Debug)]
pub struct Booster {
    own: Arc<BoosterHandle>,
    matrices: Vec<Arc<Matrix>>,
    library: Arc<Library>,
    /// It goes from thread to thread, but is used by one at a time.
    _not_shared: PhantomData<Cell<()>>,
}

impl Booster {
    /// Without trees. These matrices are learned from or measured on.
    /// Parameters have XGBoost's names.
    ///
    /// # Errors
    /// [`Error::Refused`] for parameters that there aren't, though the library looks at most of them only later.
    pub fn new(
        library: &Arc<Library>,
        matrices: Vec<Arc<Matrix>>,
        parameters: &[(&str, String)],
    ) -> Result<Self, Error> {
        let handles: Vec<Handle> = matrices.iter().map(|matrix| matrix.handle).collect();
        let mut handle = ptr::null_mut();
        // SAFETY: as many handles as said, which this booster keeps alive.
        let returned = unsafe {
            (library.functions.create_booster)(handles.as_ptr(), handles.len() as u64, &raw mut handle)
        };
        library.check(returned)?;
        let own = Arc::new(BoosterHandle { handle, library: Arc::clone(library) });
        matrices.iter().for_each(|matrix| matrix.lock().push(Arc::clone(&own)));
        let booster = Self { own, matrices, library: Arc::clone(library), _not_shared: PhantomData };
        if let Some(matrix) = booster.matrices.first() {
            // The library would look it up in what it remembers of this thread, and may be asked by another.
            booster.set("num_feature", &matrix.columns().to_string())?;
        }
        for (name, value) in parameters {
            booster.set(name, value)?;
        }
        Ok(booster)
    }

    fn set(&self, name: &str, value: &str) -> Result<(), Error> {
        let text = |text: &str| CString::new(text).map_err(|_| Error::Invalid("a parameter has a zero byte"));
        let (name, value) = (text(name)?, text(value)?);
        // SAFETY: two texts that end with a zero.
        let returned =
            unsafe { (self.library.functions.set_parameter)(self.own.handle, name.as_ptr(), value.as_ptr()) };
        self.library.check(returned)
    }

    /// Grows a tree for each class, from first and second derivatives of the loss, `[rows, classes]`, for rows of the
    /// `matrix`-th matrix. `round` counts from 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] for derivatives of another size, [`Error::Refused`] for parameters that contradict each other.
    pub fn boost(
        &mut self,
        matrix: usize,
        round: u32,
        first: &mut [f32],
        second: &mut [f32],
    ) -> Result<(), Error> {
        let matrix = self.matrices.get(matrix).ok_or(Error::Invalid("there is no such matrix"))?;
        if first.len() != second.len() || first.is_empty() || !first.len().is_multiple_of(matrix.rows()) {
            return Err(Error::Invalid("a tree needs two derivatives a row"));
        }
        let _lock = matrix.lock();
        let returned = match self.library.functions.boost {
            // SAFETY: both have as many numbers as said, which aren't kept.
            Boost::Gradients(boost) => unsafe {
                boost(
                    self.own.handle,
                    matrix.handle,
                    first.as_mut_ptr(),
                    second.as_mut_ptr(),
                    first.len() as u64,
                )
            },
            Boost::Arrays(boost) => {
                let shape = (matrix.rows(), first.len() / matrix.rows());
                let (first, second) = (array(first, shape)?, array(second, shape)?);
                let round = i32::try_from(round).unwrap_or(i32::MAX);
                // SAFETY: the texts describe numbers that outlive the call.
                unsafe { boost(self.own.handle, matrix.handle, round, first.as_ptr(), second.as_ptr()) }
            }
        };
        self.library.check(returned)
    }

    /// What the trees of a round add for the rows of the `matrix`-th matrix, `[rows, classes]`, and the base score.
    ///
    /// All trees together would have to be asked for by one thread alone: the library remembers by thread what it has added up, and
    /// adds in another order where it has to begin anew.
    ///
    /// # Errors
    /// [`Error::Refused`] for parameters that contradict each other.
    pub fn margins_of_round(&self, matrix: usize, round: u32) -> Result<Vec<f32>, Error> {
        let matrix = self.matrices.get(matrix).ok_or(Error::Invalid("there is no such matrix"))?;
        self.predict(matrix, (round, round + 1))
    }

    /// The margins of all trees, `[rows, classes]`.
    ///
    /// # Errors
    /// [`Error::Refused`] for a matrix of other columns.
    pub fn margins(&self, matrix: &Matrix) -> Result<Vec<f32>, Error> {
        self.predict(matrix, (0, 0))
    }

    fn predict(&self, matrix: &Matrix, (begin, end): (u32, u32)) -> Result<Vec<f32>, Error> {
        let mut boosters = matrix.lock();
        if !boosters.iter().any(|booster| Arc::ptr_eq(booster, &self.own)) {
            boosters.push(Arc::clone(&self.own));
        }
        let wanted = format!(
            "{{\"type\": 1, \"training\": false, \"iteration_begin\": {begin}, \"iteration_end\": {end}, \"strict_shape\": true}}"
        );
        let wanted = CString::new(wanted).map_err(|_| Error::Invalid("a parameter has a zero byte"))?;
        let (mut shape, mut dimensions, mut found) = (ptr::null(), 0, ptr::null());
        // SAFETY: a text that ends with a zero, and three places to write to.
        let returned = unsafe {
            (self.library.functions.predict)(
                self.own.handle,
                matrix.handle,
                wanted.as_ptr(),
                &raw mut shape,
                &raw mut dimensions,
                &raw mut found,
            )
        };
        self.library.check(returned)?;
        if shape.is_null() || found.is_null() {
            return Err(Error::Invalid("the library answered nothing"));
        }
        // SAFETY: what the library found has this many dimensions, and the product of their sizes of numbers; both live until
        // the booster is asked again.
        unsafe {
            let shape = std::slice::from_raw_parts(shape, dimensions as usize);
            let count: u64 = shape.iter().product();
            Ok(std::slice::from_raw_parts(found, count as usize).to_vec())
        }
    }

    /// The model in XGBoost's JSON.
    ///
    /// # Errors
    /// What the library says.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        let (mut size, mut bytes) = (0, ptr::null());
        // SAFETY: two places to write to.
        let returned = unsafe {
            (self.library.functions.save)(self.own.handle, AS_JSON.as_ptr(), &raw mut size, &raw mut bytes)
        };
        self.library.check(returned)?;
        if bytes.is_null() {
            return Err(Error::Invalid("the library answered nothing"));
        }
        // SAFETY: as many bytes as said, which live until the booster is asked again.
        Ok(unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size as usize) }.to_vec())
    }

    /// A model that was written as JSON, by this or another version.
    ///
    /// # Errors
    /// What the library says of it.
    pub fn from_json(library: &Arc<Library>, json: &[u8]) -> Result<Self, Error> {
        let booster = Self::new(library, Vec::new(), &[])?;
        // SAFETY: as many bytes as said, which aren't kept.
        let returned =
            unsafe { (library.functions.load)(booster.own.handle, json.as_ptr().cast(), json.len() as u64) };
        library.check(returned)?;
        Ok(booster)
    }
}

/// Numbers as NumPy's array interface describes them, version 3.
fn array(numbers: &mut [f32], (rows, columns): (usize, usize)) -> Result<CString, Error> {
    let mut text = String::new();
    let address = numbers.as_mut_ptr() as usize;
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "{{\"data\": [{address}, false], \"shape\": [{rows}, {columns}], \"strides\": null, \"typestr\": \"<f4\", \"version\": 3}}"
    );
    CString::new(text).map_err(|_| Error::Invalid("a parameter has a zero byte"))
}

// The library takes texts as C has them.
const _: () = assert!(size_of::<c_char>() == 1);
