//! Which parameters a model has, under which names, and where they lie.
//!
//! Query, key and value of a layer lie next to each other, so that they are one dense layer of three times the width.
//! It must not know what the numbers are. Invariant: of every weight the bias lies behind it, and what is closer to the
//! output of the network lies behind what is closer to its input.

use std::ops::Range;

use ecommerce_ml_checkpoint::config::{Family, ModelConfig};
use ecommerce_ml_checkpoint::weights::family::{HEAD_NORM, Names};

use super::parameters::Parameter;
use super::tuning::Tuning;

/// A dense layer `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub(crate) struct DenseLayout {
    /// Shape `[outputs, inputs]`.
    pub(crate) weight: Range<usize>,
    /// Empty where there is none.
    pub(crate) bias: Range<usize>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl DenseLayout {
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
pub(crate) struct NormLayout {
    pub(crate) weight: Range<usize>,
    /// Empty where there is none.
    pub(crate) bias: Range<usize>,
}

/// The embeddings.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingsLayout {
    pub(crate) words: Range<usize>,
    pub(crate) positions: Range<usize>,
    /// DistilBERT has none.
    pub(crate) types: Option<Range<usize>>,
    pub(crate) norm: NormLayout,
}

/// A transformer layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerLayout {
    /// Queries, keys and values.
    pub(crate) projections: DenseLayout,
    pub(crate) attention_output: DenseLayout,
    pub(crate) attention_norm: NormLayout,
    pub(crate) intermediate: DenseLayout,
    pub(crate) output: DenseLayout,
    pub(crate) output_norm: NormLayout,
}

impl EmbeddingsLayout {
    /// No embeddings.
    fn none() -> Self {
        Self { words: 0..0, positions: 0..0, types: None, norm: NormLayout { weight: 0..0, bias: 0..0 } }
    }
}

impl LayerLayout {
    /// Where the layer begins.
    pub(crate) fn start(&self) -> usize {
        self.projections.weight.start
    }
}

/// The whole network; of one that isn't shaped like BERT the head alone, embeddings and layers being empty.
#[derive(Debug, Clone)]
pub(crate) struct ParameterLayout {
    pub(crate) embeddings: EmbeddingsLayout,
    pub(crate) layers: Vec<LayerLayout>,
    /// The two dense layers of the head.
    pub(crate) hidden: DenseLayout,
    /// Between them, in ModernBERT.
    pub(crate) norm: Option<NormLayout>,
    pub(crate) output: DenseLayout,
}

/// Gives each parameter its range, one behind the other.
#[derive(Default)]
struct LayoutBuilder {
    list: Vec<Parameter>,
    end: usize,
}

impl LayoutBuilder {
    fn add(&mut self, name: String, shape: &[usize]) -> Range<usize> {
        let range = self.end..self.end + shape.iter().product::<usize>();
        self.end = range.end;
        self.list.push(Parameter { name, shape: shape.to_vec(), range: range.clone() });
        range
    }

    fn norm(&mut self, name: &str, width: usize) -> NormLayout {
        let weight = self.add(format!("{name}.weight"), &[width]);
        NormLayout { weight, bias: self.add(format!("{name}.bias"), &[width]) }
    }

    /// Several dense layers of the same input as one.
    fn dense(&mut self, names: &[&str], inputs: usize, outputs: usize) -> DenseLayout {
        let (start, all) = (self.end, names.len() * outputs);
        for name in names {
            self.add(format!("{name}.weight"), &[outputs, inputs]);
        }
        let middle = self.end;
        for name in names {
            self.add(format!("{name}.bias"), &[outputs]);
        }
        DenseLayout { weight: start..middle, bias: middle..self.end, inputs, outputs: all }
    }

    fn dense_without_bias(&mut self, name: &str, inputs: usize, outputs: usize) -> DenseLayout {
        let weight = self.add(format!("{name}.weight"), &[outputs, inputs]);
        DenseLayout { weight, bias: self.end..self.end, inputs, outputs }
    }

    fn norm_without_bias(&mut self, name: &str, width: usize) -> NormLayout {
        let weight = self.add(format!("{name}.weight"), &[width]);
        NormLayout { weight, bias: self.end..self.end }
    }

    fn embeddings(&mut self, names: &Names, config: &ModelConfig) -> EmbeddingsLayout {
        let width = config.hidden_size;
        let mut table = |module: &str, rows: usize| {
            self.add(format!("{}.weight", names.embeddings(module)), &[rows, width])
        };
        EmbeddingsLayout {
            words: table("word_embeddings", config.vocab_size),
            positions: table("position_embeddings", config.positions),
            types: config.token_types.map(|types| table("token_type_embeddings", types)),
            norm: self.norm(&names.embeddings("LayerNorm"), width),
        }
    }

    fn layer(&mut self, names: &Names, index: usize, config: &ModelConfig) -> LayerLayout {
        let (width, inner, modules) = (config.hidden_size, config.intermediate_size, names.in_layer());
        let name = |module: &str| format!("{}.{module}", names.layer(index));
        let (query, key, value) = (name(modules.query), name(modules.key), name(modules.value));
        LayerLayout {
            projections: self.dense(&[&query, &key, &value], width, width),
            attention_output: self.dense(&[&name(modules.attention_output)], width, width),
            attention_norm: self.norm(&name(modules.attention_norm), width),
            intermediate: self.dense(&[&name(modules.intermediate)], width, inner),
            output: self.dense(&[&name(modules.output)], inner, width),
            output_norm: self.norm(&name(modules.output_norm), width),
        }
    }
}

impl ParameterLayout {
    /// The parameters of a model whose head has `outputs`.
    pub(crate) fn new(names: &Names, config: &ModelConfig, outputs: usize) -> (Self, Vec<Parameter>) {
        let (width, head) = (config.hidden_size, names.head());
        let mut builder = LayoutBuilder::default();
        let (embeddings, layers) = if config.family.is_bert_shaped() {
            let embeddings = builder.embeddings(names, config);
            (embeddings, (0..config.layers).map(|index| builder.layer(names, index, config)).collect())
        } else {
            (EmbeddingsLayout::none(), Vec::new())
        };
        let is_modern = config.family == Family::ModernBert;
        let layout = Self {
            embeddings,
            layers,
            hidden: match is_modern {
                true => builder.dense_without_bias(&head.hidden, width, width),
                false => builder.dense(&[&head.hidden], width, width),
            },
            norm: is_modern.then(|| builder.norm_without_bias(HEAD_NORM, width)),
            output: builder.dense(&[head.output], width, outputs),
        };
        (layout, builder.list)
    }

    /// How many numbers there are, adapters left aside.
    pub(crate) fn numbers(&self) -> usize {
        self.output.bias.end
    }

    /// The first number that is trained, adapters left aside; all behind it are.
    pub(crate) fn first_trained(&self, tuning: Tuning) -> usize {
        let head = self.hidden.weight.start;
        match tuning {
            Tuning::Full => 0,
            Tuning::Frozen { layers } => self.layers.get(layers).map_or(head, LayerLayout::start),
            Tuning::Head | Tuning::Lora { .. } => head,
        }
    }

    /// The layers that the backward pass goes through.
    pub(crate) fn layers_trained(&self, tuning: Tuning) -> Range<usize> {
        let layers = self.layers.len();
        match tuning {
            Tuning::Full => 0..layers,
            Tuning::Frozen { layers: frozen } | Tuning::Lora { frozen } => frozen.min(layers)..layers,
            Tuning::Head => layers..layers,
        }
    }

    /// The weights of a layer that get adapters: those of queries and of values.
    pub(crate) fn adapted(&self, layer: &LayerLayout) -> [Range<usize>; 2] {
        let width = layer.projections.inputs;
        [0, 2].map(|part| layer.projections.part(part * width..(part + 1) * width).weight)
    }
}

/// Whether a family leaves out numbers after attention's output layer; DistilBERT doesn't (`TransformerBlock` in `transformers`).
pub(crate) fn drops_after_attention(family: Family) -> bool {
    family != Family::DistilBert
}
