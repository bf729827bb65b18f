//! Checked weights where candle asks for them by name.
//!
//! It must not know architectures, but for the names it is given. Invariant: what candle gets has the shape that it asked for and
//! finite numbers; the first thing wrong with the files is kept, since candle's own errors don't say whose fault they are.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Error, Result as CandleResult, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::{SimpleBackend, VarBuilder};
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_protocol::EngineError;

use super::internal;

/// How names that candle asks for become those of the files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming {
    /// What candle puts before the names of the encoder.
    pub(super) theirs: &'static str,
    /// What the files do.
    pub(super) ours: &'static str,
    /// A weight, by its name without either, that candle tries to read though no model has it.
    pub(super) absent: &'static str,
}

/// Weights, as candle sees them.
struct Source<'a, 'w> {
    weights: &'a Mutex<&'a mut Weights<'w>>,
    naming: Naming,
    wrong: &'a Mutex<Option<EngineError>>,
}

/// What `load` makes of the weights.
///
/// # Errors
/// What is wrong with them.
pub(super) fn load<T>(
    weights: &mut Weights<'_>,
    naming: Naming,
    load: impl FnOnce(VarBuilder<'_>) -> CandleResult<T>,
) -> Result<T, EngineError> {
    let (weights, wrong) = (Mutex::new(weights), Mutex::new(None));
    let loaded = {
        let source = Source { weights: &weights, naming, wrong: &wrong };
        load(VarBuilder::from_backend(Box::new(source), DType::F32, Device::Cpu))
    };
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Candle passes over some errors.
    wrong.map_or_else(|| loaded.map_err(internal), Err)
}

impl SimpleBackend for Source<'_, '_> {
    fn get(&self, shape: Shape, name: &str, _: Init, _: DType, device: &Device) -> CandleResult<Tensor> {
        let bare = name.strip_prefix(self.naming.theirs).unwrap_or(name);
        let name = format!("{}{bare}", self.naming.ours);
        if bare == self.naming.absent {
            return Err(Error::CannotFindTensor { path: name });
        }
        let values = lock(self.weights).values(&name, shape.dims()).map_err(|error| {
            let message = error.message.clone();
            lock(self.wrong).get_or_insert(error);
            Error::Msg(message)
        })?;
        Tensor::from_vec(values, shape, device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> CandleResult<Tensor> {
        Err(Error::CannotFindTensor { path: name.to_owned() })
    }

    fn contains_tensor(&self, name: &str) -> bool {
        let bare = name.strip_prefix(self.naming.theirs).unwrap_or(name);
        lock(self.weights).contains(&format!("{}{bare}", self.naming.ours))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
