//! Named tensors out of safetensors files, checked.
//!
//! # Layout
//! - [`family`]: how architectures name their weights.
//!
//! It must not know what a tensor is for. Invariant: a tensor that was handed out has the shape that was asked
//! for and only finite values; memory is taken only after the shape has been checked.

use std::collections::{BTreeMap, BTreeSet};

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;

use crate::config::parse_json;
use crate::files::ModelFiles;

pub mod family;

use family::Names;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Numbers in the type that they came in, in row-major order.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
    /// Brain floating point.
    Bf16(Vec<bf16>),
}

/// The weights of a model, still in their files.
pub struct Weights<'a> {
    shards: Vec<SafeTensors<'a>>,
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
    pub fn open(files: &'a ModelFiles) -> Result<Self, EngineError> {
        let names = shard_names(files)?;
        let shard = |name: &String| open_shard(name, files.require(name)?);
        let shards = names.iter().map(shard).collect::<Result<_, _>>()?;
        Ok(Self { shards, parameters: 0 })
    }

    /// As [`open`](Self::open), of files that have the names of weights and no index.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] for a damaged header.
    pub fn of_shards(shards: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, EngineError> {
        let shards = shards.map(|(name, bytes)| open_shard(name, bytes)).collect::<Result<_, _>>()?;
        Ok(Self { shards, parameters: 0 })
    }

    /// Name, shape, type and bytes of each tensor.
    pub fn iter(&self) -> impl Iterator<Item = (&str, TensorView<'a>)> {
        let names =
            self.shards.iter().flat_map(|shard| shard.names().into_iter().map(move |name| (name, shard)));
        names.filter_map(|(name, shard)| Some((name, shard.tensor(name).ok()?)))
    }

    /// How many numbers all tensors have.
    pub fn numbers(&self) -> u64 {
        self.iter().map(|(_, view)| (view.data().len() * 8 / view.dtype().bitsize()) as u64).sum()
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.find(name).map(|view| view.shape().to_vec())
    }

    /// The type of a tensor's numbers, if it is there.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.find(name).map(|view| view.dtype())
    }

    /// Refuses weights of more layers than `layers`.
    pub fn refuse_more_layers(&self, names: &Names, layers: usize) -> Result<(), EngineError> {
        let prefix = format!("{}.", names.layer(layers));
        if self.shards.iter().any(|shard| shard.iter().any(|(name, _)| name.starts_with(&prefix))) {
            return Err(damaged(format!("weights have more than the {layers} layers of config.json")));
        }
        Ok(())
    }

    /// How many numbers have been handed out.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The numbers of the tensor of this name and shape, in row-major order.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if it is missing, has another shape or values that aren't finite;
    /// [`ErrorKind::UnsupportedModel`] if its numbers are of another type than F32, F16 and BF16.
    pub fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EngineError> {
        Ok(match self.rows(name, shape)? {
            Numbers::F32(values) => values,
            Numbers::F16(values) => values.into_iter().map(f32::from).collect(),
            Numbers::Bf16(values) => values.into_iter().map(f32::from).collect(),
        })
    }

    /// As [`values`](Self::values), in the type of the file.
    pub fn rows(&mut self, name: &str, shape: &[usize]) -> Result<Numbers, EngineError> {
        let view = self.find(name).ok_or_else(|| damaged(format!("weights have no tensor \"{name}\"")))?;
        if view.shape() != shape {
            let found = view.shape();
            return Err(damaged(format!("tensor \"{name}\" has shape {found:?}, expected {shape:?}"))
                .with_hint("The weights don't fit config.json; they may belong to another model."));
        }
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => Numbers::F32(numbers(name, data, f32::from_le_bytes, |value| value.is_finite())?),
            Dtype::F16 => Numbers::F16(numbers(name, data, f16::from_le_bytes, |value| value.is_finite())?),
            Dtype::BF16 => {
                Numbers::Bf16(numbers(name, data, bf16::from_le_bytes, |value| value.is_finite())?)
            }
            other => return Err(unsupported_type(name, other)),
        };
        self.parameters += shape.iter().product::<usize>() as u64;
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
///
/// # Errors
/// As of [`Weights::open`].
pub fn shard_names(files: &ModelFiles) -> Result<BTreeSet<String>, EngineError> {
    if files.get(SINGLE).is_some() {
        return Ok(BTreeSet::from([SINGLE.to_owned()]));
    }
    let Some(index) = files.get(INDEX) else { return Err(files.missing(SINGLE)) };
    let index: Index = parse_json(INDEX, index)?;
    Ok(index.weight_map.into_values().collect())
}

fn open_shard<'a>(name: &str, bytes: &'a [u8]) -> Result<SafeTensors<'a>, EngineError> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        damaged(format!("file \"{name}\" of {} bytes is damaged: {error}", bytes.len()))
            .with_hint("The file may not have been copied or downloaded completely.")
    })
}

/// Little-endian numbers, all of which must be finite.
fn numbers<T: Copy, const BYTES: usize>(
    name: &str,
    data: &[u8],
    number: impl Fn([u8; BYTES]) -> T,
    is_finite: impl Fn(T) -> bool,
) -> Result<Vec<T>, EngineError> {
    let values: Vec<T> = data.as_chunks::<BYTES>().0.iter().map(|&bytes| number(bytes)).collect();
    match values.iter().position(|&value| !is_finite(value)) {
        None => Ok(values),
        Some(index) => {
            Err(damaged(format!("tensor \"{name}\" has a value that is not finite at index {index}")))
        }
    }
}

fn unsupported_type(name: &str, dtype: Dtype) -> EngineError {
    EngineError::new(
        ErrorKind::UnsupportedModel,
        format!("tensor \"{name}\" holds numbers of type {dtype}, which is not supported"),
    )
    .with_hint("Supported types are F32, F16 and BF16.")
}

fn damaged(message: String) -> EngineError {
    EngineError::new(ErrorKind::DamagedModel, message)
}
