//! Named tensors out of safetensors files, checked and widened to `f32`.
//!
//! It must not know what a tensor is for. Invariant: a tensor that was handed out has the shape that was asked
//! for and only finite values; memory is taken only after the shape has been checked.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;

use super::internal;
use crate::config::parse_json;
use crate::device::Device;
use crate::files::ModelFiles;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The weights of a model, still in their files.
pub(super) struct Weights<'a> {
    shards: Vec<SafeTensors<'a>>,
    device: &'a Device,
    parameters: u64,
}

/// The file that says which shard holds which tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl<'a> Weights<'a> {
    /// Reads the headers of all files of weights.
    ///
    /// # Errors
    /// [`ErrorKind::FileMissing`] if there are none or not all; [`ErrorKind::DamagedModel`] for a damaged header.
    pub(super) fn open(files: &'a ModelFiles, device: &'a Device) -> Result<Self, EngineError> {
        let names = shard_names(files)?;
        let shards = names.iter().map(|name| open_shard(files, name)).collect::<Result<_, _>>()?;
        Ok(Self { shards, device, parameters: 0 })
    }

    /// Whether there is a tensor of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The shape of a tensor, if it is there.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.find(name).map(|view| view.shape().to_vec())
    }

    /// Whether a tensor's name begins like this.
    pub(super) fn any_begins_with(&self, prefix: &str) -> bool {
        self.shards.iter().any(|shard| shard.iter().any(|(name, _)| name.starts_with(prefix)))
    }

    /// How many numbers have been handed out.
    pub(super) fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The tensor of this name and shape, on the device.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if it is missing, has another shape or values that aren't finite;
    /// [`ErrorKind::UnsupportedModel`] if its numbers are of another type than F32, F16 and BF16.
    pub(super) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, EngineError> {
        let values = self.values(name, shape)?;
        Tensor::from_vec(values, shape, self.device.candle()).map_err(internal)
    }

    /// As [`tensor`](Self::tensor), in row-major order in the memory of the host.
    pub(super) fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EngineError> {
        let view = self.find(name).ok_or_else(|| damaged(format!("weights have no tensor \"{name}\"")))?;
        if view.shape() != shape {
            let found = view.shape();
            return Err(damaged(format!("tensor \"{name}\" has shape {found:?}, expected {shape:?}"))
                .with_hint("The weights don't fit config.json; they may belong to another model."));
        }
        let values = widen(name, &view)?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(damaged(format!(
                "tensor \"{name}\" has a value that is not finite at index {index}"
            )));
        }
        self.parameters += values.len() as u64;
        Ok(values)
    }

    /// A tensor by its name, or by the name that layer norms had before PyTorch settled on it.
    fn find(&self, name: &str) -> Option<TensorView<'a>> {
        let by_name = |name: &str| self.shards.iter().find_map(|shard| shard.tensor(name).ok());
        by_name(name).or_else(|| by_name(&old_layer_norm_name(name)?))
    }
}

/// `...LayerNorm.gamma` and `.beta` for `.weight` and `.bias`.
fn old_layer_norm_name(name: &str) -> Option<String> {
    let weight = name.strip_suffix("LayerNorm.weight").map(|stem| format!("{stem}LayerNorm.gamma"));
    weight.or_else(|| name.strip_suffix("LayerNorm.bias").map(|stem| format!("{stem}LayerNorm.beta")))
}

/// The files of weights: the single one, or else those that the index names.
fn shard_names(files: &ModelFiles) -> Result<BTreeSet<String>, EngineError> {
    if files.get(SINGLE).is_some() {
        return Ok(BTreeSet::from([SINGLE.to_owned()]));
    }
    let Some(index) = files.get(INDEX) else { return Err(files.missing(SINGLE)) };
    let index: Index = parse_json(INDEX, index)?;
    Ok(index.weight_map.into_values().collect())
}

fn open_shard<'a>(files: &'a ModelFiles, name: &str) -> Result<SafeTensors<'a>, EngineError> {
    let bytes = files.require(name)?;
    SafeTensors::deserialize(bytes).map_err(|error| {
        damaged(format!("file \"{name}\" of {} bytes is damaged: {error}", bytes.len()))
            .with_hint("The file may not have been copied or downloaded completely.")
    })
}

/// Little-endian numbers of a tensor as `f32`.
fn widen(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, EngineError> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => Ok(numbers(data, f32::from_le_bytes)),
        Dtype::F16 => Ok(numbers(data, |bytes| half::f16::from_le_bytes(bytes).to_f32())),
        Dtype::BF16 => Ok(numbers(data, |bytes| half::bf16::from_le_bytes(bytes).to_f32())),
        other => Err(EngineError::new(
            ErrorKind::UnsupportedModel,
            format!("tensor \"{name}\" holds numbers of type {other}, which is not supported"),
        )
        .with_hint("Supported types are F32, F16 and BF16.")),
    }
}

fn numbers<const BYTES: usize>(data: &[u8], number: impl Fn([u8; BYTES]) -> f32) -> Vec<f32> {
    data.as_chunks::<BYTES>().0.iter().map(|&bytes| number(bytes)).collect()
}

fn damaged(message: String) -> EngineError {
    EngineError::new(ErrorKind::DamagedModel, message)
}
