//! Which parameters a model has, under which names, and where they lie.
//!
//! Query, key and value of a layer lie next to each other, so that they are one dense layer of three times the width.
//! It must not know what the numbers are. Invariant: of every weight the bias lies behind it, and what is closer to the
//! output of the network lies behind what is closer to its input.

use std::ops::Range;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_checkpoint::config::Family;

use super::parameters::Parameter;

/// A dense layer `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub(crate) struct DensePlan {
    /// Shape `[outputs, inputs]`.
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl DensePlan {
    /// Some of the outputs.
    pub(crate) fn part(&self, outputs: Range<usize>) -> Self {
        let start = self.weight.start;
        Self {
            weight: start + outputs.start * self.inputs..start + outputs.end * self.inputs,
            bias: self.bias.start + outputs.start..self.bias.start + outputs.end,
            inputs: self.inputs,
            outputs: outputs.len(),
        }
    }
}

/// A layer norm.
#[derive(Debug, Clone)]
pub(crate) struct NormPlan {
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
}

/// The embeddings.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingsPlan {
    pub(crate) words: Range<usize>,
    pub(crate) positions: Range<usize>,
    /// DistilBERT has none.
    pub(crate) types: Option<Range<usize>>,
    pub(crate) norm: NormPlan,
}

/// A transformer layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerPlan {
    /// Queries, keys and values.
    pub(crate) projections: DensePlan,
    pub(crate) attention_output: DensePlan,
    pub(crate) attention_norm: NormPlan,
    pub(crate) intermediate: DensePlan,
    pub(crate) output: DensePlan,
    pub(crate) output_norm: NormPlan,
}

impl LayerPlan {
    /// Where the layer begins.
    pub(crate) fn start(&self) -> usize {
        self.projections.weight.start
    }
}

/// The whole network.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) embeddings: EmbeddingsPlan,
    pub(crate) layers: Vec<LayerPlan>,
    /// The two dense layers of the head.
    pub(crate) hidden: DensePlan,
    pub(crate) output: DensePlan,
}

/// Hands out places.
#[derive(Default)]
struct Places {
    list: Vec<Parameter>,
    end: usize,
}

impl Places {
    fn add(&mut self, name: String, shape: &[usize]) -> Range<usize> {
        let range = self.end..self.end + shape.iter().product::<usize>();
        self.end = range.end;
        self.list.push(Parameter { name, shape: shape.to_vec(), range: range.clone() });
        range
    }

    fn norm(&mut self, name: &str, width: usize) -> NormPlan {
        let weight = self.add(format!("{name}.weight"), &[width]);
        NormPlan { weight, bias: self.add(format!("{name}.bias"), &[width]) }
    }

    /// Several dense layers of the same input as one.
    fn dense(&mut self, names: &[&str], inputs: usize, outputs: usize) -> DensePlan {
        let (start, all) = (self.end, names.len() * outputs);
        for name in names {
            self.add(format!("{name}.weight"), &[outputs, inputs]);
        }
        let middle = self.end;
        for name in names {
            self.add(format!("{name}.bias"), &[outputs]);
        }
        DensePlan { weight: start..middle, bias: middle..self.end, inputs, outputs: all }
    }

    fn embeddings(&mut self, names: &Names, config: &ModelConfig) -> EmbeddingsPlan {
        let width = config.hidden_size;
        let mut table = |module: &str, rows: usize| {
            self.add(format!("{}.weight", names.embeddings(module)), &[rows, width])
        };
        EmbeddingsPlan {
            words: table("word_embeddings", config.vocab_size),
            positions: table("position_embeddings", config.positions),
            types: config.token_types.map(|types| table("token_type_embeddings", types)),
            norm: self.norm(&names.embeddings("LayerNorm"), width),
        }
    }

    fn layer(&mut self, names: &Names, index: usize, config: &ModelConfig) -> LayerPlan {
        let (width, inner, modules) = (config.hidden_size, config.intermediate_size, names.in_layer());
        let name = |module: &str| format!("{}.{module}", names.layer(index));
        let (query, key, value) = (name(modules.query), name(modules.key), name(modules.value));
        LayerPlan {
            projections: self.dense(&[&query, &key, &value], width, width),
            attention_output: self.dense(&[&name(modules.attention_output)], width, width),
            attention_norm: self.norm(&name(modules.attention_norm), width),
            intermediate: self.dense(&[&name(modules.intermediate)], width, inner),
            output: self.dense(&[&name(modules.output)], inner, width),
            output_norm: self.norm(&name(modules.output_norm), width),
        }
    }
}

impl Plan {
    /// The parameters of a model whose head has `outputs`.
    pub(super) fn new(names: &Names, config: &ModelConfig, outputs: usize) -> (Self, Vec<Parameter>) {
        let (width, head) = (config.hidden_size, names.head());
        let mut places = Places::default();
        let plan = Self {
            embeddings: places.embeddings(names, config),
            layers: (0..config.layers).map(|index| places.layer(names, index, config)).collect(),
            hidden: places.dense(&[&head.hidden], width, width),
            output: places.dense(&[head.output], width, outputs),
        };
        (plan, places.list)
    }
}

/// Whether a family leaves out numbers after attention's output layer; DistilBERT doesn't (`TransformerBlock` in `transformers`).
pub(crate) fn drops_after_attention(family: Family) -> bool {
    family != Family::DistilBert
}
