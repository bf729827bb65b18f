//! The weights of a network as they lie in a GPU's memory: one piece, matrices in numbers of 16 bits, layer norms and the last
//! layer of the head in f32.
//!
//! It must not know where they come from. Invariant: every part begins at a multiple of [`ALIGNMENT`].

use std::sync::Arc;

use bytemuck::cast_slice;
use ecommerce_ml_checkpoint::config::{Activation, ModelConfig};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::{
    DenseWeights, EmbeddingWeights, HeadActivation, HeadWeights, LayerNormWeights, LayerWeights, WordWeights,
};
use ecommerce_ml_tensor_cuda::backend::{Epilogue, HalfPrecision, Kernel, SHARED_BYTES};

/// What matrix products and vector loads want.
pub const ALIGNMENT: usize = 256;

/// Widths of heads that there are kernels for. A head of another width is filled up with zeros, which changes no product.
const HEAD_DIMS: [usize; 3] = [32, 64, 128];

/// The kernels for a kind of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernels {
    pub(super) embed: Kernel,
    pub(super) add_norm: Kernel,
    pub(super) mean: Kernel,
    pub(super) classify: Kernel,
    pub(super) attend: Kernel,
}

impl Kernels {
    /// For heads of the width at this place of [`HEAD_DIMS`].
    fn of(numbers: HalfPrecision, head_dim: usize) -> Self {
        let (embed, add_norm, mean, classify, attend) = match numbers {
            HalfPrecision::Bf16 => (
                Kernel::Embed,
                Kernel::AddNorm,
                Kernel::Mean,
                Kernel::Classify,
                [Kernel::Attend32, Kernel::Attend64, Kernel::Attend128],
            ),
            HalfPrecision::F16 => (
                Kernel::EmbedF16,
                Kernel::AddNormF16,
                Kernel::MeanF16,
                Kernel::ClassifyF16,
                [Kernel::Attend32F16, Kernel::Attend64F16, Kernel::Attend128F16],
            ),
        };
        Self { embed, add_norm, mean, classify, attend: attend[head_dim] }
    }
}

/// A dense layer: where its weight and its bias are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dense {
    pub(super) weight: usize,
    pub(super) bias: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) epilogue: Epilogue,
}

impl Dense {
    /// The layer that gives only these outputs.
    pub(super) fn part(&self, outputs: std::ops::Range<usize>) -> Self {
        let bytes = HalfPrecision::BYTES;
        Self {
            weight: self.weight + outputs.start * self.inputs * bytes,
            bias: self.bias + outputs.start * bytes,
            outputs: outputs.len(),
            ..*self
        }
    }
}

/// A layer norm: where its factors and its summands are.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerNorm {
    pub(super) weight: usize,
    pub(super) bias: usize,
}

/// A transformer layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// Queries, keys and values.
    pub(super) projections: Dense,
    pub(super) attention_output: Dense,
    pub(super) attention_norm: LayerNorm,
    pub(super) up: Dense,
    pub(super) down: Dense,
    pub(super) output_norm: LayerNorm,
}

/// A head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) hidden: Dense,
    pub(super) activation: HeadActivation,
    pub(super) weight: usize,
    pub(super) bias: usize,
    pub(super) outputs: usize,
}

/// Sizes that all layers share.
#[derive(Debug, Clone, Copy)]
pub(super) struct NetworkSizes {
    pub(super) hidden: usize,
    pub(super) heads: usize,
    /// Numbers of a head, filled up.
    pub(super) head_dim: usize,
    /// Factor of products of queries and keys.
    pub(super) scale: f32,
    pub(super) inner: usize,
    pub(super) epsilon: f32,
}

impl NetworkSizes {
    /// Numbers of a row of queries.
    pub(super) fn attention(&self) -> usize {
        self.heads * self.head_dim
    }
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) sizes: NetworkSizes,
    pub(super) numbers: HalfPrecision,
    pub(super) kernels: Kernels,
    pub(super) words: usize,
    pub(super) positions: usize,
    pub(super) embedding_norm: LayerNorm,
    pub(super) layers: Vec<Layer>,
    pub(super) head: Option<Head>,
}

/// All weights of a network.
#[derive(Debug)]
pub struct NetworkWeights {
    pub(super) bytes: Vec<u8>,
    pub(super) layout: Arc<Layout>,
}

impl NetworkWeights {
    /// Bytes that they take.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// Puts weights one behind the other.
#[derive(Debug)]
pub struct WeightsBuilder {
    bytes: Vec<u8>,
    numbers: HalfPrecision,
    head_width: usize,
    activation: Activation,
    layout: Layout,
}

impl WeightsBuilder {
    /// Begins with the embeddings.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedModel`] for sizes that there are no kernels for.
    pub fn new(
        numbers: HalfPrecision,
        config: &ModelConfig,
        embeddings: &EmbeddingWeights,
    ) -> Result<Self, EngineError> {
        let (sizes, head_dim) = sizes(config)?;
        let mut builder = Self {
            bytes: Vec::new(),
            numbers,
            head_width: config.hidden_size / config.heads,
            activation: config.activation,
            layout: Layout {
                sizes,
                numbers,
                kernels: Kernels::of(numbers, head_dim),
                words: 0,
                positions: 0,
                embedding_norm: LayerNorm { weight: 0, bias: 0 },
                layers: Vec::with_capacity(config.layers),
                head: None,
            },
        };
        builder.layout.words = match &embeddings.words {
            WordWeights::F32(words) => builder.push_half(words.iter().copied()),
            WordWeights::F16(words) => builder.push_half(words.iter().map(|number| number.to_f32())),
            WordWeights::Bf16(words) => builder.push_half(words.iter().map(|number| number.to_f32())),
        };
        builder.layout.positions = builder.push_half(embeddings.positions.iter().copied());
        builder.layout.embedding_norm = builder.norm(&embeddings.norm);
        Ok(builder)
    }

    /// Adds the next layer.
    pub fn layer(&mut self, weights: &LayerWeights) {
        let NetworkSizes { hidden, inner, head_dim, .. } = self.layout.sizes;
        let projections = [&weights.query, &weights.key, &weights.value];
        let rows =
            projections.map(|part| pad_rows(&part.weight, self.head_width * hidden, head_dim * hidden));
        let bias = projections.map(|part| pad_rows(&part.bias, self.head_width, head_dim));
        let attention = self.layout.sizes.attention();
        let projections = DenseWeights { weight: rows.concat(), bias: bias.concat() };
        let output = DenseWeights {
            weight: pad_rows(&weights.output.weight, self.head_width, head_dim),
            bias: weights.output.bias.clone(),
        };
        let epilogue = match self.activation {
            Activation::GeluErf | Activation::GeluTanh => Epilogue::Gelu,
            Activation::Relu => Epilogue::Relu,
        };
        let layer = Layer {
            projections: self.dense(&projections, (hidden, 3 * attention), Epilogue::None),
            attention_output: self.dense(&output, (attention, hidden), Epilogue::None),
            attention_norm: self.norm(&weights.attention_norm),
            up: self.dense(&weights.up, (hidden, inner), epilogue),
            down: self.dense(&weights.down, (inner, hidden), Epilogue::None),
            output_norm: self.norm(&weights.output_norm),
        };
        self.layout.layers.push(layer);
    }

    /// Adds a head with so many outputs.
    pub fn head(&mut self, weights: &HeadWeights, activation: HeadActivation, outputs: usize) {
        let hidden = self.layout.sizes.hidden;
        self.layout.head = Some(Head {
            hidden: self.dense(&weights.hidden, (hidden, hidden), Epilogue::None),
            activation,
            weight: self.push_f32(&weights.output.weight),
            bias: self.push_f32(&weights.output.bias),
            outputs,
        });
    }

    /// All that was added.
    pub fn finish(self) -> NetworkWeights {
        NetworkWeights { bytes: self.bytes, layout: Arc::new(self.layout) }
    }

    fn dense(
        &mut self,
        weights: &DenseWeights,
        (inputs, outputs): (usize, usize),
        epilogue: Epilogue,
    ) -> Dense {
        let weight = self.push_half(weights.weight.iter().copied());
        Dense { weight, bias: self.push_half(weights.bias.iter().copied()), inputs, outputs, epilogue }
    }

    fn norm(&mut self, weights: &LayerNormWeights) -> LayerNorm {
        LayerNorm { weight: self.push_f32(&weights.weight), bias: self.push_f32(&weights.bias) }
    }

    /// Adds numbers of 16 bits.
    fn push_half(&mut self, numbers: impl Iterator<Item = f32>) -> usize {
        let start = self.begin();
        let kind = self.numbers;
        self.bytes.extend(numbers.flat_map(|number| kind.round(number).to_le_bytes()));
        start
    }

    /// Adds numbers in f32.
    fn push_f32(&mut self, numbers: &[f32]) -> usize {
        let start = self.begin();
        self.bytes.extend_from_slice(cast_slice(numbers));
        start
    }

    fn begin(&mut self) -> usize {
        let start = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(start, 0);
        start
    }
}

/// Sizes, and the place of the heads' width among [`HEAD_DIMS`].
fn sizes(config: &ModelConfig) -> Result<(NetworkSizes, usize), EngineError> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let head_width = hidden / config.heads;
    let place = HEAD_DIMS.into_iter().position(|head_dim| head_width <= head_dim).ok_or_else(|| {
        unsupported(format!("attention heads of {head_width} numbers are not supported on CUDA"))
    })?;
    if hidden % 8 != 0 || hidden * size_of::<f32>() > SHARED_BYTES {
        return Err(unsupported(format!("hidden size {hidden} is not supported on CUDA")));
    }
    let scale = std::f32::consts::LOG2_E / (head_width as f32).sqrt();
    let epsilon = config.layer_norm_eps as f32;
    Ok((
        NetworkSizes { hidden, heads: config.heads, head_dim: HEAD_DIMS[place], scale, inner, epsilon },
        place,
    ))
}

fn unsupported(message: String) -> EngineError {
    EngineError::new(ErrorKind::UnsupportedModel, message)
        .with_hint("Set ecommerce_ml.device to \"cpu\" to run this model.")
}

/// Pieces of `from` numbers as pieces of `to`, filled up with zeros.
fn pad_rows(numbers: &[f32], from: usize, to: usize) -> Vec<f32> {
    let mut spread = vec![0.0; numbers.len() / from * to];
    for (piece, numbers) in spread.chunks_exact_mut(to).zip(numbers.chunks_exact(from)) {
        piece[..from].copy_from_slice(numbers);
    }
    spread
}
