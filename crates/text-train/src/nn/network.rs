//! The whole network, forward and backward.
//!
//! It must not know losses, optimizers or text. Invariant: the backward pass goes no further than the first trained parameter.

use std::f64::consts::TAU;
use std::ops::Range;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::open::OpenModel;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::Cpu;

use super::attention::Span;
use super::dropout::{Dropout, DropoutSite, Mask, mix};
use super::embeddings;
use super::head::{self, HeadTape};
use super::layer::{LayerOps, LayerTape};
use super::layout::ParameterLayout;
use super::lora::{Adapter, Lora};
use super::norm::Normed;
use super::parameters::{Gradients, Parameter, Parameters};
use super::tuning::Tuning;

/// Standard deviation of new weights (`initializer_range`).
const INITIAL_DEVIATION: f64 = 0.02;

/// A network without its parameters.
#[derive(Debug)]
pub struct Network {
    config: ModelConfig,
    layout: ParameterLayout,
    positions: Positions,
    cpu: Cpu,
}

/// What the parts of a network need in a forward or backward pass.
pub(super) struct ForwardContext<'a> {
    pub(super) cpu: &'a Cpu,
    pub(super) config: &'a ModelConfig,
    pub(super) values: &'a [f32],
    dropout: Option<Dropout>,
}

/// Sequences, end to end.
#[derive(Debug)]
pub struct TokenBatch {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The row of the position embeddings for each.
    pub positions: Vec<u32>,
    /// Tokens of each sequence.
    pub lengths: Vec<usize>,
}

/// A forward pass through the encoder: what the backward pass needs.
#[derive(Debug)]
pub struct EncoderTape {
    batch: TokenBatch,
    embedded: Normed,
    layers: Vec<LayerTape>,
    dropout: Option<Dropout>,
}

/// A forward pass: what came out, and what the backward pass needs.
#[derive(Debug)]
pub struct Tape {
    encoder: EncoderTape,
    head: HeadTape,
}

impl Tape {
    /// What the head says, a row for each sequence: logits of a classification, values of a regression.
    /// Shape `[sequences, outputs]`.
    pub fn logits(&self) -> &[f32] {
        &self.head.logits
    }
}

impl<'a> ForwardContext<'a> {
    pub(super) fn mask(&self, site: DropoutSite) -> Option<Mask> {
        self.dropout.as_ref().and_then(|dropout| dropout.mask(site))
    }

    /// Leaves out numbers of hidden states, or the same of their gradients.
    /// `numbers`: `[rows, hidden]`.
    pub(super) fn drop(&self, site: DropoutSite, numbers: &mut [f32]) {
        let Some(mask) = self.mask(site) else { return };
        let rows = numbers.chunks_mut(self.config.hidden_size).enumerate();
        self.cpu.pool.each(rows, |(row, numbers)| mask.apply(row, numbers));
    }
}

impl Network {
    /// The network and the parameters of a model whose head shall have `outputs`; a head that the files lack, or that is of
    /// another size, is new, by the seed. Of a model that isn't shaped like BERT the head is all there is.
    ///
    /// # Errors
    /// As of loading a model: files missing, damaged or not supported.
    pub fn open(
        files: &ModelFiles,
        outputs: usize,
        seed: u64,
        cpu: &Cpu,
    ) -> Result<(Self, Parameters), EngineError> {
        Self::read(&mut OpenModel::open(files)?, outputs, seed, cpu)
    }

    /// As [`open`](Self::open), of a model that is open already.
    ///
    /// # Errors
    /// If weights are missing, damaged or not supported.
    pub fn read(
        model: &mut OpenModel<'_>,
        outputs: usize,
        seed: u64,
        cpu: &Cpu,
    ) -> Result<(Self, Parameters), EngineError> {
        let OpenModel { config, names, weights, .. } = model;
        let (layout, list) = ParameterLayout::new(names, config, outputs);
        let head = layout.hidden.weight.start;
        let mut values = Vec::new();
        for parameter in &list {
            let there = weights.shape(&parameter.name).is_some_and(|shape| shape == parameter.shape);
            values.extend(match parameter.range.start >= head && !there {
                true => initial(parameter, seed),
                false => weights.values(&parameter.name, &parameter.shape)?,
            });
        }
        let (config, positions) = (config.clone(), Positions::new(config));
        Ok((Self { config, layout, positions, cpu: cpu.clone() }, Parameters { list: list.into(), values }))
    }

    /// What the model is.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where the embeddings of words lie among all parameters.
    pub(super) fn word_embeddings(&self) -> Range<usize> {
        self.layout.embeddings.words.clone()
    }

    /// Gradients of zero for what is trained.
    pub fn gradients(&self, parameters: &Parameters, tuning: Tuning) -> Gradients {
        let is_adapted = matches!(tuning, Tuning::Lora { .. });
        let adapted = if is_adapted { self.layout.layers_trained(tuning) } else { 0..0 };
        Gradients::new(parameters, self.layout.first_trained(tuning), adapted)
    }

    /// Adds adapters to the weights of queries and values of all layers but the first `frozen`, behind all other parameters.
    pub fn adapt(
        &self,
        parameters: &mut Parameters,
        (rank, alpha): (usize, f32),
        frozen: usize,
        seed: u64,
    ) -> Lora {
        let width = self.config.hidden_size;
        let (mut list, mut adapters) = (parameters.list.to_vec(), Vec::new());
        let mut add = |name: String, shape: [usize; 2], seed: Option<u64>| {
            let start = parameters.values.len();
            let range = start..start + shape[0] * shape[1];
            let parameter = Parameter { name, shape: shape.to_vec(), range: range.clone() };
            let zeros = || vec![0.0; parameter.range.len()];
            parameters.values.extend(seed.map_or_else(zeros, |seed| initial(&parameter, seed)));
            list.push(parameter);
            range
        };
        for layer in self.layout.layers.iter().skip(frozen) {
            for weight in self.layout.adapted(layer) {
                let name = parameters.list.iter().find(|parameter| parameter.range == weight);
                let stem = name.map_or("", |found| found.name.trim_end_matches(".weight"));
                let a = add(format!("{stem}.lora_A.weight"), [rank, width], Some(seed));
                let b = add(format!("{stem}.lora_B.weight"), [width, rank], None);
                adapters.push(Adapter { weight, a, b, sizes: (width, rank) });
            }
        }
        let weights = adapters.iter().map(|adapter: &Adapter| &parameters.values[adapter.weight.clone()]);
        let before = weights.map(<[f32]>::to_vec).collect();
        parameters.list = list.into();
        Lora { adapters, before, scale: alpha / rank as f32 }
    }

    /// Gives the head's last layer new weights, by the seed.
    pub fn renew_output(&self, parameters: &mut Parameters, seed: u64) {
        for parameter in parameters.list.clone().iter().filter(|parameter| self.is_output(parameter)) {
            parameters.values[parameter.range.clone()].copy_from_slice(&initial(parameter, seed));
        }
    }

    /// Whether a parameter is of the head's last layer.
    pub fn is_output(&self, parameter: &Parameter) -> bool {
        (self.layout.output.weight.start..self.layout.output.bias.end).contains(&parameter.range.start)
    }

    /// Weights and biases of the head's last layer.
    /// Shapes `[outputs, hidden]` and `[outputs]`.
    pub fn output_layer<'a>(&self, parameters: &'a mut Parameters) -> (&'a mut [f32], &'a mut [f32]) {
        let output = &self.layout.output;
        let both = &mut parameters.values[output.weight.start..output.bias.end];
        both.split_at_mut(output.weight.len())
    }

    /// The head alone, over the last states of first tokens, a row for each sequence.
    /// `states`: `[sequences, hidden]`.
    pub fn forward_head(
        &self,
        parameters: &Parameters,
        states: Vec<f32>,
        dropout: Option<Dropout>,
    ) -> HeadTape {
        head::forward(&self.context(parameters, dropout), &self.layout, states)
    }

    /// As [`backward`](Self::backward), of the head alone, with the same dropout as in the forward pass; the gradients of the
    /// states, which the head was given.
    /// `d_logits`: `[sequences, outputs]`; out come `[sequences, hidden]`.
    pub fn backward_head(
        &self,
        parameters: &Parameters,
        (tape, dropout): (&HeadTape, Option<Dropout>),
        d_logits: &[f32],
        gradients: &mut Gradients,
    ) -> Vec<f32> {
        head::backward(&self.context(parameters, dropout), &self.layout, tape, d_logits, gradients)
    }

    /// What lies where among the parameters.
    pub(crate) fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    /// Sequences of token ids through the network. Without dropout the outputs are those of prediction. What isn't needed for
    /// these gradients is not kept; without gradients, nothing is.
    ///
    /// # Panics
    /// If a sequence is empty or longer than the model's positions, or an id is not a word.
    pub fn forward(
        &self,
        parameters: &Parameters,
        sequences: &[&[u32]],
        dropout: Option<Dropout>,
        gradients: Option<&Gradients>,
    ) -> Tape {
        let (encoder, states) = self.forward_encoder(parameters, self.batch(sequences), dropout, gradients);
        Tape { encoder, head: self.forward_head(parameters, states, dropout) }
    }

    /// As [`forward`](Self::forward), of the encoder alone: the last states of first tokens, `[sequences, hidden]`.
    pub(super) fn forward_encoder(
        &self,
        parameters: &Parameters,
        batch: TokenBatch,
        dropout: Option<Dropout>,
        gradients: Option<&Gradients>,
    ) -> (EncoderTape, Vec<f32>) {
        let embedded =
            embeddings::forward(&self.context(parameters, dropout), &self.layout.embeddings, &batch);
        self.forward_layers(parameters, (batch, embedded), dropout, gradients)
    }

    fn forward_layers(
        &self,
        parameters: &Parameters,
        (batch, mut embedded): (TokenBatch, Normed),
        dropout: Option<Dropout>,
        gradients: Option<&Gradients>,
    ) -> (EncoderTape, Vec<f32>) {
        let ctx = self.context(parameters, dropout);
        let mut layers: Vec<LayerTape> = Vec::with_capacity(self.layout.layers.len());
        for index in 0..self.layout.layers.len() {
            let spans = self.spans(&batch, index);
            let input = layers.last().map_or(&embedded.output, |tape| &tape.output.output);
            let tape = self.ops(&ctx, index, &spans).forward(input);
            if !gradients.is_some_and(|gradients| self.reaches(gradients, index)) {
                match layers.last_mut() {
                    Some(before) => *before = LayerTape::default(),
                    None => embedded = Normed::default(),
                }
            }
            layers.push(tape);
        }
        let cls = layers.last().map_or(&embedded.output, |tape| &tape.output.output).clone();
        (EncoderTape { batch, embedded, layers, dropout }, cls)
    }

    /// Adds to the gradients those of `d_logits`, which has the shape of [`Tape::logits`]. With adapters, [`Lora::backward`] has
    /// to follow.
    ///
    /// # Panics
    /// If the forward pass was for gradients of fewer parameters.
    pub fn backward(
        &self,
        parameters: &Parameters,
        tape: &Tape,
        d_logits: &[f32],
        gradients: &mut Gradients,
    ) {
        let head = (&tape.head, tape.encoder.dropout);
        let d_states = self.backward_head(parameters, head, d_logits, gradients);
        self.backward_encoder(parameters, &tape.encoder, d_states, gradients);
    }

    /// As [`backward`](Self::backward), of the encoder alone, from the gradients of the states that came out.
    /// `gradient`: `[sequences, hidden]`.
    pub(super) fn backward_encoder(
        &self,
        parameters: &Parameters,
        tape: &EncoderTape,
        gradient: Vec<f32>,
        gradients: &mut Gradients,
    ) {
        let ctx = self.context(parameters, tape.dropout);
        let Some(gradient) = self.backward_layers(&ctx, tape, gradient, gradients) else { return };
        embeddings::backward(&ctx, &self.layout.embeddings, &tape.batch, &tape.embedded, gradient, gradients);
    }

    /// From the gradients of the states that came out, `[sequences, hidden]`, to those of what went into the first layer,
    /// `[tokens, hidden]`, if anything there is wanted.
    fn backward_layers(
        &self,
        ctx: &ForwardContext<'_>,
        tape: &EncoderTape,
        mut gradient: Vec<f32>,
        gradients: &mut Gradients,
    ) -> Option<Vec<f32>> {
        for index in (0..tape.layers.len()).rev() {
            if !self.reaches(gradients, index) {
                return None;
            }
            let before = index.checked_sub(1).map(|before| &tape.layers[before].output.output);
            let spans = self.spans(&tape.batch, index);
            let ops = self.ops(ctx, index, &spans);
            let input = before.unwrap_or(&tape.embedded.output);
            gradient = ops.backward(&tape.layers[index], input, gradient, gradients)?;
        }
        Some(gradient)
    }

    /// The embedding of a word, `[hidden]`.
    pub fn word_embedding<'a>(&self, parameters: &'a Parameters, id: u32) -> &'a [f32] {
        let start = self.layout.embeddings.words.start + id as usize * self.config.hidden_size;
        &parameters.values[start..start + self.config.hidden_size]
    }

    /// As [`forward`](Self::forward) without dropout, with embeddings in place of those of the words of `sequences`, whose number
    /// and positions count all the same. What [`backward_to_words`](Self::backward_to_words) needs is kept if `differentiable`.
    /// `words`: `[tokens, hidden]`, sequences end to end.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_words(
        &self,
        parameters: &Parameters,
        sequences: &[&[u32]],
        words: Vec<f32>,
        differentiable: bool,
    ) -> Tape {
        let (ctx, batch) = (self.context(parameters, None), self.batch(sequences));
        let embedded = embeddings::forward_words(&ctx, &self.layout.embeddings, &batch, words);
        let gradients = differentiable.then(Gradients::of_inputs);
        let (encoder, states) = self.forward_layers(parameters, (batch, embedded), None, gradients.as_ref());
        Tape { encoder, head: self.forward_head(parameters, states, None) }
    }

    /// The gradients of the embeddings that [`forward_words`](Self::forward_words) was given, `[tokens, hidden]`, from those of
    /// the logits, `[sequences, outputs]`. Parameters get none.
    ///
    /// # Panics
    /// If the forward pass was not differentiable.
    pub fn backward_to_words(&self, parameters: &Parameters, tape: &Tape, d_logits: &[f32]) -> Vec<f32> {
        let mut gradients = Gradients::of_inputs();
        let ctx = self.context(parameters, None);
        let d_states = self.backward_head(parameters, (&tape.head, None), d_logits, &mut gradients);
        let gradient = self.backward_layers(&ctx, &tape.encoder, d_states, &mut gradients);
        // Of inputs nothing is left out.
        let mut gradient = gradient.unwrap_or_default();
        let layout = &self.layout.embeddings;
        embeddings::backward_to_sums(&ctx, layout, &tape.encoder.embedded, &mut gradient, &mut gradients);
        gradient
    }

    /// Whether anything of a layer is trained, or before it is wanted.
    fn reaches(&self, gradients: &Gradients, layer: usize) -> bool {
        gradients.reaches_inputs()
            || gradients.adapts_up_to(layer)
            || gradients.start() < self.layout.layers[layer].output_norm.bias.end
    }

    fn context<'a>(&'a self, parameters: &'a Parameters, dropout: Option<Dropout>) -> ForwardContext<'a> {
        ForwardContext { cpu: &self.cpu, config: &self.config, values: &parameters.values, dropout }
    }

    fn ops<'a>(&'a self, ctx: &'a ForwardContext<'a>, index: usize, spans: &'a [Span]) -> LayerOps<'a> {
        let cls_only = index + 1 == self.layout.layers.len();
        LayerOps { ctx, index, layout: &self.layout.layers[index], spans, cls_only }
    }

    /// Sequences end to end.
    ///
    /// # Panics
    /// As of [`forward`](Self::forward).
    pub fn batch(&self, sequences: &[&[u32]]) -> TokenBatch {
        assert!(sequences.iter().all(|ids| !ids.is_empty() && ids.len() <= self.config.max_length()));
        assert!(sequences.iter().copied().flatten().all(|&id| (id as usize) < self.config.vocab_size));
        TokenBatch {
            ids: sequences.concat(),
            positions: sequences.iter().flat_map(|ids| self.positions.of(ids)).collect(),
            lengths: sequences.iter().map(|ids| ids.len()).collect(),
        }
    }

    /// Where the sequences lie in a layer.
    fn spans(&self, batch: &TokenBatch, layer: usize) -> Vec<Span> {
        let mut end = 0;
        let span = |(index, length): (usize, &usize)| {
            let tokens = end..end + length;
            end = tokens.end;
            let cls_only = layer + 1 == self.layout.layers.len();
            Span { queries: if cls_only { index..index + 1 } else { tokens.clone() }, tokens }
        };
        batch.lengths.iter().enumerate().map(span).collect()
    }
}

/// Zeros for a bias, ones for a layer norm's weight, normally distributed numbers for others (Box and Muller 1958).
fn initial(parameter: &Parameter, seed: u64) -> Vec<f32> {
    if !parameter.decays() {
        let is_bias = parameter.name.ends_with(".bias");
        return vec![if is_bias { 0.0 } else { 1.0 }; parameter.range.len()];
    }
    let uniform = |number: usize| (mix(seed ^ mix(number as u64 + 1)) >> 11) as f64 / (1_u64 << 53) as f64;
    let normal = |number: usize| {
        let radius = (-2.0 * (1.0 - uniform(2 * number)).ln()).sqrt();
        (INITIAL_DEVIATION * radius * (TAU * uniform(2 * number + 1)).cos()) as f32
    };
    parameter.range.clone().map(normal).collect()
}
