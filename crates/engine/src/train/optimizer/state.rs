//! Moments to bytes and back, for checkpoints, as safetensors: `NAME.exp_avg` and `NAME.exp_avg_sq`, as `torch` calls
//! them, and the number of steps in the header.
//!
//! It must not know where checkpoints are kept. Invariant: what comes back has the bits that went in, or is refused.

use std::collections::{BTreeMap, HashMap};

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{AdamW, AdamWSettings, Moments};

const FIRST: &str = ".exp_avg";
const SECOND: &str = ".exp_avg_sq";
const STEP: &str = "step";

impl AdamW {
    /// All that it remembers.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if that can't be written down.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EngineError> {
        let mut tensors = Vec::with_capacity(2 * self.moments.len());
        for (name, moments) in &self.moments {
            tensors.push((format!("{name}{FIRST}"), view(&moments.first)?));
            tensors.push((format!("{name}{SECOND}"), view(&moments.second)?));
        }
        let header = HashMap::from([(STEP.to_owned(), self.step.to_string())]);
        safetensors::serialize(tensors, Some(header)).map_err(|error| unwritable(&error))
    }

    /// One that goes on where that of [`to_bytes`](Self::to_bytes) was. Settings aren't part of what is remembered.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if the bytes are no such state.
    pub fn from_bytes(settings: AdamWSettings, bytes: &[u8]) -> Result<Self, EngineError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
        let step = header.metadata().as_ref().and_then(|metadata| metadata.get(STEP)?.parse().ok());
        let step = step.ok_or_else(|| damaged("it has no number of steps"))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
        let mut moments = BTreeMap::new();
        for name in tensors.names().into_iter().filter_map(|name| name.strip_suffix(FIRST)) {
            let (first, second) = (read(&tensors, name, FIRST)?, read(&tensors, name, SECOND)?);
            if first.len() != second.len() {
                return Err(damaged(format!("moments of \"{name}\" differ in length")));
            }
            moments.insert(name.to_owned(), Moments { first, second });
        }
        if tensors.len() != 2 * moments.len() {
            return Err(damaged("it holds more than moments"));
        }
        Ok(Self { settings, step, moments })
    }
}

fn view(values: &[f32]) -> Result<TensorView<'_>, EngineError> {
    TensorView::new(Dtype::F32, vec![values.len()], bytemuck::cast_slice(values))
        .map_err(|error| unwritable(&error))
}

fn read(tensors: &SafeTensors<'_>, name: &str, moment: &str) -> Result<Vec<f32>, EngineError> {
    let tensor = tensors.tensor(&format!("{name}{moment}")).map_err(|error| damaged(error.to_string()))?;
    if tensor.dtype() != Dtype::F32 {
        return Err(damaged(format!("\"{name}{moment}\" is not in single precision")));
    }
    Ok(bytemuck::pod_collect_to_vec(tensor.data()))
}

fn damaged(why: impl Into<String>) -> EngineError {
    let why: String = why.into();
    EngineError::new(ErrorKind::DamagedModel, format!("state of the optimizer is damaged: {why}"))
}

fn unwritable(error: &safetensors::SafeTensorError) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("could not write the state of the optimizer: {error}"))
}
