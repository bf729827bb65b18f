//! The shared library and its functions.
//!
//! It must not know matrices or boosters beyond their handles. Invariant: a [`Library`] has every function that is called.

use std::error::Error as _;
use std::ffi::{CStr, c_char, c_float, c_int, c_void};
use std::sync::{Arc, OnceLock};

use libloading::Symbol;

/// Under which names the library is looked for: those of Debian's packages, and that of their development files.
const NAMES: [&str; 3] = ["libxgboost.so.0", "libxgboost.so.3", "libxgboost.so"];

/// Settings of the whole process: nothing is written to the standard output, which may be a protocol's.
const QUIET: &CStr = c"{\"verbosity\": 0}";

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no library, or one without a function that is needed.
    #[error("{0}")]
    NotFound(String),
    /// What the library says.
    #[error("XGBoost: {0}")]
    Refused(String),
    /// Arguments that don't fit together.
    #[error("{0}")]
    Invalid(&'static str),
}

pub(crate) type Handle = *mut c_void;

type CreateMatrix = unsafe extern "C" fn(*const c_float, u64, u64, c_float, *mut Handle) -> c_int;
type CreateBooster = unsafe extern "C" fn(*const Handle, u64, *mut Handle) -> c_int;
type Free = unsafe extern "C" fn(Handle) -> c_int;
type SetParameter = unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int;
type BoostOneIteration = unsafe extern "C" fn(Handle, Handle, *mut c_float, *mut c_float, u64) -> c_int;
type TrainOneIteration = unsafe extern "C" fn(Handle, Handle, c_int, *const c_char, *const c_char) -> c_int;
type Predict = unsafe extern "C" fn(
    Handle,
    Handle,
    *const c_char,
    *mut *const u64,
    *mut u64,
    *mut *const c_float,
) -> c_int;
type Save = unsafe extern "C" fn(Handle, *const c_char, *mut u64, *mut *const c_char) -> c_int;
type Load = unsafe extern "C" fn(Handle, *const c_void, u64) -> c_int;
type LastError = unsafe extern "C" fn() -> *const c_char;
type Version = unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int);
type SetGlobal = unsafe extern "C" fn(*const c_char) -> c_int;

/// How a tree is grown from gradients.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Boost {
    /// Up to version 2.0.
    Gradients(BoostOneIteration),
    /// Since then.
    Arrays(TrainOneIteration),
}

/// The functions, as long as the library is open.
#[derive(Debug)]
pub(crate) struct Functions {
    pub(crate) create_matrix: CreateMatrix,
    pub(crate) free_matrix: Free,
    pub(crate) create_booster: CreateBooster,
    pub(crate) free_booster: Free,
    pub(crate) set_parameter: SetParameter,
    pub(crate) boost: Boost,
    pub(crate) predict: Predict,
    pub(crate) save: Save,
    pub(crate) load: Load,
    last_error: LastError,
}

/// A booster's handle, freed with the last one who holds it.
#[derive(Debug)]
pub(crate) struct BoosterHandle {
    pub(crate) handle: Handle,
    pub(crate) library: Arc<Library>,
}

// SAFETY: the library's handles belong to no thread; it reports errors by thread, and they are read where they happen.
unsafe impl Send for BoosterHandle {}

// SAFETY: the handle is used only by the one `Booster` that has it, which is not shared.
unsafe impl Sync for BoosterHandle {}

impl Drop for BoosterHandle {
    fn drop(&mut self) {
        // SAFETY: the handle was made by the library and is freed here only.
        unsafe { (self.library.functions.free_booster)(self.handle) };
    }
}

/// XGBoost, open.
#[derive(Debug)]
pub struct Library {
    pub(crate) functions: Functions,
    version: (u32, u32, u32),
    // Behind the functions, so that it is closed after the last of them is gone.
    _library: libloading::Library,
}

impl Library {
    /// The library, opened when it is first asked for and never closed: its threads may outlive any caller. One that isn't there is
    /// looked for again the next time, when it may have been installed.
    ///
    /// # Errors
    /// [`Error::NotFound`] with what the system's loader says.
    pub fn get() -> Result<Arc<Self>, Error> {
        static LIBRARY: OnceLock<Arc<Library>> = OnceLock::new();
        if let Some(library) = LIBRARY.get() {
            return Ok(Arc::clone(library));
        }
        let opened = Arc::new(Self::open(&NAMES)?);
        Ok(Arc::clone(LIBRARY.get_or_init(|| opened)))
    }

    /// The first library of these names that can be opened.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    fn open(names: &[&str]) -> Result<Self, Error> {
        let mut reasons = Vec::new();
        for name in names {
            // SAFETY: the library's initialisers set up its own state and OpenMP's, and are run once, by whoever comes first.
            match unsafe { libloading::Library::new(*name) } {
                Ok(library) => return Self::new(library),
                Err(error) => reasons.push(reason(&error)),
            }
        }
        Err(Error::NotFound(reasons.join("; ")))
    }

    fn new(library: libloading::Library) -> Result<Self, Error> {
        // SAFETY: the types are those of the functions in `xgboost/c_api.h` of versions 1.7 and 3.0, which agree; a version
        // that has `XGBoosterTrainOneIter` takes arrays, as its header says.
        let (functions, version, set_global) = unsafe {
            let boost = match find::<TrainOneIteration>(&library, b"XGBoosterTrainOneIter\0") {
                Ok(function) => Boost::Arrays(function),
                Err(_) => Boost::Gradients(find(&library, b"XGBoosterBoostOneIter\0")?),
            };
            let functions = Functions {
                create_matrix: find(&library, b"XGDMatrixCreateFromMat\0")?,
                free_matrix: find(&library, b"XGDMatrixFree\0")?,
                create_booster: find(&library, b"XGBoosterCreate\0")?,
                free_booster: find(&library, b"XGBoosterFree\0")?,
                set_parameter: find(&library, b"XGBoosterSetParam\0")?,
                boost,
                predict: find(&library, b"XGBoosterPredictFromDMatrix\0")?,
                save: find(&library, b"XGBoosterSaveModelToBuffer\0")?,
                load: find(&library, b"XGBoosterLoadModelFromBuffer\0")?,
                last_error: find(&library, b"XGBGetLastError\0")?,
            };
            let version: Version = find(&library, b"XGBoostVersion\0")?;
            let set_global: SetGlobal = find(&library, b"XGBSetGlobalConfig\0")?;
            (functions, version, set_global)
        };
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: three integers to write to, and a text that ends with a zero.
        unsafe {
            version(&raw mut major, &raw mut minor, &raw mut patch);
            set_global(QUIET.as_ptr());
        }
        let version = (major.unsigned_abs(), minor.unsigned_abs(), patch.unsigned_abs());
        Ok(Self { functions, version, _library: library })
    }

    /// Major, minor, patch.
    pub fn version(&self) -> (u32, u32, u32) {
        self.version
    }

    /// What a function that returned this says.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first line of the library's message, if it failed.
    pub(crate) fn check(&self, returned: c_int) -> Result<(), Error> {
        if returned == 0 {
            return Ok(());
        }
        // SAFETY: after a failure the message of this thread is a text that lives until its next failure.
        let message = unsafe {
            let message = (self.functions.last_error)();
            if message.is_null() { c"no message" } else { CStr::from_ptr(message) }
        };
        let message = message.to_string_lossy();
        let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
        // The first line names a source file and what follows it.
        let line = lines.take_while(|line| !line.starts_with("Stack trace")).collect::<Vec<_>>().join(" ");
        Err(Error::Refused(line))
    }
}

/// A function of the library.
///
/// # Safety
/// `F` is the type of the function of this name.
unsafe fn find<F: Copy>(library: &libloading::Library, name: &[u8]) -> Result<F, Error> {
    // SAFETY: as promised by the caller.
    let symbol: Result<Symbol<'_, F>, _> = unsafe { library.get(name) };
    symbol.map(|symbol| *symbol).map_err(|error| Error::NotFound(reason(&error)))
}

/// What the system's loader says.
fn reason(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said() {
        let Err(Error::NotFound(reason)) = Library::open(&["libxgboost-that-is-not.so"]) else {
            unreachable!()
        };
        assert!(reason.contains("libxgboost-that-is-not.so"), "{reason}");
        // A library that is another one.
        let Err(Error::NotFound(reason)) = Library::open(&["libc.so.6"]) else { unreachable!() };
        assert!(reason.contains("XGBoosterBoostOneIter"), "{reason}");
    }
}
