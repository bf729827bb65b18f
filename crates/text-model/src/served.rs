//! What serving needs of a model, so that the scheduler, the cache and the server can be tested with one that
//! sleeps, fails or panics on purpose.
//!
//! It must not know requests or clients.
//! Invariant: a call into a model made through [`guarded`] returns; a panic becomes an error of that call.

use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::{
    EngineError, ErrorKind, ModelInfo, ModelSource, Prediction, TokenDetail, Tokens,
};

use crate::{Begun, ModelPrecision, Output, Row, Window};

/// A model as the scheduler uses it; its methods say what they promise.
pub trait Served: Send + Sync {
    /// What the model is.
    fn info(&self) -> &ModelInfo;

    /// The tokens of a text, special tokens included.
    ///
    /// # Errors
    /// If the tokenizer fails.
    fn tokenize(&self, text: &str, detail: TokenDetail) -> Result<Tokens, EngineError>;

    /// The windows of a text, none for a blank one.
    ///
    /// # Errors
    /// If the tokenizer fails.
    fn windows(&self, text: &str) -> Result<Vec<Window>, EngineError>;

    /// Begins to compute one row of numbers for each window.
    ///
    /// # Errors
    /// If the model can't compute this output, or the device fails; a device may tell so only when the rows are waited for.
    fn begin(&self, windows: &[&Window], output: Output) -> Result<Begun<Vec<Vec<f32>>>, EngineError>;

    /// What the rows of a text's windows say together.
    fn predict(&self, rows: &[Row]) -> Prediction;

    /// The embedding of a text from the rows of its windows.
    fn embed(&self, rows: &[Row]) -> Vec<f32>;

    /// What it is computed in, for statistics.
    fn precision(&self) -> &ModelPrecision;
}

/// A loaded model with a number that no other load has in this process, be it of the same files: answers of two loads
/// can differ, since a built-in model's files may be replaced.
#[derive(Clone)]
pub struct Loaded {
    model: Arc<dyn Served>,
    number: u64,
}

impl Loaded {
    /// Gives a model that has just been loaded its number.
    pub fn new(model: Arc<dyn Served>) -> Self {
        static LOADS: AtomicU64 = AtomicU64::new(0);
        Self { model, number: LOADS.fetch_add(1, Ordering::Relaxed) }
    }

    /// Tells this load from all others.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Deref for Loaded {
    type Target = dyn Served;

    fn deref(&self) -> &Self::Target {
        &*self.model
    }
}

/// Turns files into models.
pub trait Load: Send + Sync {
    /// The model of these files.
    ///
    /// # Errors
    /// Whatever is wrong with the files; or with the device, if that couldn't be opened, so that every request learns why.
    fn load(&self, source: &ModelSource, files: &ModelFiles) -> Result<Arc<dyn Served>, EngineError>;

    /// A model that was loaded from files of this content before, by this engine or an earlier one, if what it needs was kept.
    fn recall(&self, source: &ModelSource) -> Option<Arc<dyn Served>>;
}

impl<F: Fn(&ModelFiles) -> Result<Arc<dyn Served>, EngineError> + Send + Sync> Load for F {
    fn load(&self, _: &ModelSource, files: &ModelFiles) -> Result<Arc<dyn Served>, EngineError> {
        self(files)
    }

    fn recall(&self, _: &ModelSource) -> Option<Arc<dyn Served>> {
        None
    }
}

/// Calls into a model; a panic becomes [`ErrorKind::Internal`] with the first line of its message.
///
/// # Errors
/// Those of the call, or the panic.
pub fn guarded<T>(call: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    // Unwind safety: callers pass shared models, whose methods take `&self`, and drop everything else on failure.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(from_panic(panic.as_ref())))
}

fn from_panic(panic: &(dyn Any + Send)) -> EngineError {
    let message = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let line = message.lines().next().unwrap_or("no message");
    EngineError::new(ErrorKind::Internal, format!("engine panicked: {line}"))
}
