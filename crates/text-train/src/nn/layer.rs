//! A transformer layer, forward and backward.
//!
//! It must not know its neighbours. Invariant: of the last layer only first tokens are computed, as the head reads no others;
//! all tokens are keys and values all the same.

use ecommerce_ml_tensor_cpu::product::{Matrix, multiply_together};
use ecommerce_ml_text_model::shape::activation;

use super::attention::{Attention, Span};
use super::dense::{self, add};
use super::dropout::DropoutSite;
use super::layout::{LayerLayout, drops_after_attention};
use super::network::ForwardContext;
use super::norm::Normed;
use super::parameters::Gradients;

/// What the backward pass needs.
#[derive(Debug, Default)]
pub(super) struct LayerTape {
    /// Rows of the input that are queries, if not all are.
    cls_input: Option<Vec<f32>>,
    queries: Vec<f32>,
    keys_values: Vec<f32>,
    context: Vec<f32>,
    attended: Normed,
    /// Before and after the activation.
    inner: Vec<f32>,
    active: Vec<f32>,
    pub(super) output: Normed,
}

/// Which layer, on which tokens.
pub(super) struct LayerOps<'a> {
    pub(super) ctx: &'a ForwardContext<'a>,
    pub(super) index: usize,
    pub(super) layout: &'a LayerLayout,
    pub(super) spans: &'a [Span],
    /// Whether only first tokens are computed.
    pub(super) cls_only: bool,
}

impl LayerOps<'_> {
    /// The output for an input of shape `[tokens, hidden]`.
    pub(super) fn forward(&self, input: &[f32]) -> LayerTape {
        let (ctx, layout, width) = (self.ctx, self.layout, self.ctx.config.hidden_size);
        let cls_input = self.cls_only.then(|| self.gather_cls(input));
        let own = cls_input.as_deref().unwrap_or(input);
        let queries = dense::forward(ctx, &layout.projections.part(0..width), own);
        let keys_values = dense::forward(ctx, &layout.projections.part(width..3 * width), input);
        let context = self.attention(&queries, &keys_values).forward();
        let mut sums = dense::forward(ctx, &layout.attention_output, &context);
        self.drop_attention(&mut sums);
        add(&mut sums, own);
        let attended = Normed::forward(ctx, &layout.attention_norm, sums);
        let inner = dense::forward(ctx, &layout.intermediate, &attended.output);
        let mut active = inner.clone();
        let rows = active.chunks_mut(layout.intermediate.outputs);
        ctx.cpu.pool.each(rows, |row| ctx.cpu.kernels.activate(row, activation(ctx.config.activation)));
        let mut sums = dense::forward(ctx, &layout.output, &active);
        ctx.drop(DropoutSite::Output(self.index), &mut sums);
        add(&mut sums, &attended.output);
        let output = Normed::forward(ctx, &layout.output_norm, sums);
        LayerTape { cls_input, queries, keys_values, context, attended, inner, active, output }
    }

    /// From the gradient of the output to that of the input, if anything before the layer is trained.
    /// `input` and what comes out: `[tokens, hidden]`; `gradient`: the same, of the last layer `[sequences, hidden]`.
    pub(super) fn backward(
        &self,
        tape: &LayerTape,
        input: &[f32],
        gradient: Vec<f32>,
        gradients: &mut Gradients,
    ) -> Option<Vec<f32>> {
        let (ctx, layout, width) = (self.ctx, self.layout, self.ctx.config.hidden_size);
        let gradient = self.feed_forward_backward(tape, gradient, gradients);
        let mut d_attended = gradient.clone();
        self.drop_attention(&mut d_attended);
        dense::backward(ctx, &layout.attention_output, &tape.context, &d_attended, gradients);
        let d_context = dense::input_gradient(ctx, &layout.attention_output, &d_attended);
        let (d_queries, d_others) = self.attention(&tape.queries, &tape.keys_values).backward(&d_context);
        self.adapters_backward(
            tape.cls_input.as_deref().unwrap_or(input),
            input,
            (&d_queries, &d_others),
            gradients,
        );
        let (queries, others) =
            (layout.projections.part(0..width), layout.projections.part(width..3 * width));
        dense::backward(ctx, &queries, tape.cls_input.as_deref().unwrap_or(input), &d_queries, gradients);
        dense::backward(ctx, &others, input, &d_others, gradients);
        if gradients.start() >= layout.start()
            && !gradients.reaches_inputs()
            && !self.index.checked_sub(1).is_some_and(|before| gradients.adapts_up_to(before))
        {
            return None;
        }
        let mut d_own = gradient;
        dense::add_input_gradient(ctx, &queries, &d_queries, &mut d_own);
        let mut d_input = dense::input_gradient(ctx, &others, &d_others);
        self.scatter_add_cls(&mut d_input, &d_own);
        Some(d_input)
    }

    /// From the gradient of the output to that of the sums before attention's layer norm.
    fn feed_forward_backward(
        &self,
        tape: &LayerTape,
        mut gradient: Vec<f32>,
        gradients: &mut Gradients,
    ) -> Vec<f32> {
        let (ctx, layout) = (self.ctx, self.layout);
        tape.output.backward(ctx, &layout.output_norm, &mut gradient, gradients);
        let mut d_output = gradient.clone();
        ctx.drop(DropoutSite::Output(self.index), &mut d_output);
        dense::backward(ctx, &layout.output, &tape.active, &d_output, gradients);
        let mut d_inner = dense::input_gradient(ctx, &layout.output, &d_output);
        let width = layout.intermediate.outputs;
        ctx.cpu.pool.each(d_inner.chunks_mut(width).zip(tape.inner.chunks(width)), |(gradient, inner)| {
            ctx.cpu.kernels.activate_gradient(gradient, inner, activation(ctx.config.activation));
        });
        dense::backward(ctx, &layout.intermediate, &tape.attended.output, &d_inner, gradients);
        dense::add_input_gradient(ctx, &layout.intermediate, &d_inner, &mut gradient);
        tape.attended.backward(ctx, &layout.attention_norm, &mut gradient, gradients);
        gradient
    }

    /// Adds to the gradients of the weights of queries and values, if these have adapters.
    fn adapters_backward(
        &self,
        own: &[f32],
        input: &[f32],
        (d_queries, d_others): (&[f32], &[f32]),
        gradients: &mut Gradients,
    ) {
        if !gradients.adapts_up_to(self.index) {
            return;
        }
        let (pool, width) = (&self.ctx.cpu.pool, self.ctx.config.hidden_size);
        let (queries, tokens) = (own.len() / width, input.len() / width);
        let own = Matrix::new(own, (queries, width), width);
        let d_queries = Matrix::new(d_queries, (queries, width), width).transposed();
        multiply_together(pool, d_queries, own, gradients.adapted(self.index, 0, width * width), true);
        let input = Matrix::new(input, (tokens, width), width);
        let d_values = Matrix::new(&d_others[width..], (tokens, width), 2 * width).transposed();
        multiply_together(pool, d_values, input, gradients.adapted(self.index, 1, width * width), true);
    }

    fn attention<'a>(&'a self, queries: &'a [f32], keys_values: &'a [f32]) -> Attention<'a> {
        Attention { ctx: self.ctx, layer: self.index, queries, keys_values, spans: self.spans }
    }

    fn drop_attention(&self, numbers: &mut [f32]) {
        if drops_after_attention(self.ctx.config.family) {
            self.ctx.drop(DropoutSite::Attention(self.index), numbers);
        }
    }

    /// The rows of first tokens.
    fn gather_cls(&self, input: &[f32]) -> Vec<f32> {
        let width = self.ctx.config.hidden_size;
        self.spans.iter().flat_map(|span| &input[span.tokens.start * width..][..width]).copied().collect()
    }

    /// Adds rows of queries to the rows of their tokens.
    fn scatter_add_cls(&self, to: &mut [f32], from: &[f32]) {
        if !self.cls_only {
            return add(to, from);
        }
        let width = self.ctx.config.hidden_size;
        for (span, row) in self.spans.iter().zip(from.chunks(width)) {
            add(&mut to[span.tokens.start * width..][..width], row);
        }
    }
}
