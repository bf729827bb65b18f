//! Attention of all heads within each sequence, forward and backward.
//!
//! Probabilities are computed anew for the backward pass: keeping them would take memory by the square of the length, and
//! computing them is a fifth of the work here. It must not know layers. Invariant: sequences don't see each other.

use std::ops::Range;

use ecommerce_ml_tensor_cpu::product::{Matrix, multiply};

use super::dropout::{DropoutSite, Mask};
use super::network::ForwardContext;

/// Where a sequence lies.
#[derive(Debug, Clone)]
pub(super) struct Span {
    /// Among all tokens.
    pub(super) tokens: Range<usize>,
    /// Among the queries: its tokens, or its first one alone.
    pub(super) queries: Range<usize>,
}

/// What attention is computed from.
pub(super) struct Attention<'a> {
    pub(super) ctx: &'a ForwardContext<'a>,
    /// Number of the layer.
    pub(super) layer: usize,
    /// Shape `[queries, hidden]`.
    pub(super) queries: &'a [f32],
    /// Shape `[tokens, 2 hidden]`.
    pub(super) keys_values: &'a [f32],
    pub(super) spans: &'a [Span],
}

/// One head of one sequence.
struct AttentionHead<'a> {
    queries: Matrix<'a>,
    keys: Matrix<'a>,
    values: Matrix<'a>,
    /// How many queries and tokens.
    shape: (usize, usize),
    mask: Option<Mask>,
    /// The number of the first row of probabilities among all of the layer, and from one to the next.
    rows: (usize, usize),
    scale: f32,
}

impl<'a> Attention<'a> {
    fn head(&self, span: &Span, head: usize) -> AttentionHead<'a> {
        let (hidden, heads) = (self.ctx.config.hidden_size, self.ctx.config.heads);
        let width = hidden / heads;
        let shape = (span.queries.len(), span.tokens.len());
        let keys = &self.keys_values[span.tokens.start * 2 * hidden + head * width..];
        let queries = &self.queries[span.queries.start * hidden + head * width..];
        AttentionHead {
            queries: Matrix::new(queries, (shape.0, width), hidden),
            keys: Matrix::new(keys, (shape.1, width), 2 * hidden),
            values: Matrix::new(&keys[hidden..], (shape.1, width), 2 * hidden),
            shape,
            mask: self.ctx.mask(DropoutSite::Probabilities(self.layer)),
            rows: (span.queries.start * heads + head, heads),
            scale: 1.0 / (width as f32).sqrt(),
        }
    }

    /// `softmax(query keyᵀ / √width) value`, shape `[queries, hidden]`.
    pub(super) fn forward(&self) -> Vec<f32> {
        let (hidden, heads) = (self.ctx.config.hidden_size, self.ctx.config.heads);
        let mut context = vec![0.0; self.queries.len()];
        let pieces = pieces(&mut context, self.spans.iter().map(|span| span.queries.len() * hidden));
        self.ctx.cpu.pool.each(self.spans.iter().zip(pieces), |(span, context)| {
            for index in 0..heads {
                let head = self.head(span, index);
                let mut probabilities = head.probabilities(self.ctx);
                head.drop(&mut probabilities);
                let probabilities = Matrix::new(&probabilities, head.shape, head.shape.1);
                let into = (&mut context[index * (hidden / heads)..], hidden);
                multiply(probabilities, head.values, 1.0, into, false);
            }
        });
        context
    }

    /// From the gradient of the result to those of queries, and of keys and values.
    /// `d_context`: `[queries, hidden]`; out come `[queries, hidden]` and `[tokens, 2 hidden]`.
    pub(super) fn backward(&self, d_context: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let hidden = self.ctx.config.hidden_size;
        let (mut d_queries, mut d_keys_values) =
            (vec![0.0; self.queries.len()], vec![0.0; self.keys_values.len()]);
        let queries = pieces(&mut d_queries, self.spans.iter().map(|span| span.queries.len() * hidden));
        let others = pieces(&mut d_keys_values, self.spans.iter().map(|span| span.tokens.len() * 2 * hidden));
        self.ctx.cpu.pool.each(self.spans.iter().zip(queries).zip(others), |((span, queries), others)| {
            for index in 0..self.ctx.config.heads {
                self.head_backward(span, index, d_context, (queries, others));
            }
        });
        (d_queries, d_keys_values)
    }

    fn head_backward(
        &self,
        span: &Span,
        index: usize,
        d_context: &[f32],
        (d_queries, d_keys_values): (&mut [f32], &mut [f32]),
    ) {
        let hidden = self.ctx.config.hidden_size;
        let width = hidden / self.ctx.config.heads;
        let (head, first) = (self.head(span, index), index * width);
        let (queries, tokens) = head.shape;
        let d_context = &d_context[span.queries.start * hidden + first..];
        let d_context = Matrix::new(d_context, (queries, width), hidden);
        let kept = head.probabilities(self.ctx);
        let mut dropped = kept.clone();
        head.drop(&mut dropped);
        let dropped = Matrix::new(&dropped, head.shape, tokens);
        let d_values = (&mut d_keys_values[hidden + first..], 2 * hidden);
        multiply(dropped.transposed(), d_context, 1.0, d_values, false);
        let mut d_scores = vec![0.0; queries * tokens];
        multiply(d_context, head.values.transposed(), 1.0, (&mut d_scores, tokens), false);
        head.drop(&mut d_scores);
        for (gradient, row) in d_scores.chunks_mut(tokens).zip(kept.chunks(tokens)) {
            self.ctx.cpu.kernels.softmax_gradient(gradient, row);
        }
        let d_scores = Matrix::new(&d_scores, head.shape, tokens);
        multiply(d_scores, head.keys, head.scale, (&mut d_queries[first..], hidden), false);
        let d_keys = (&mut d_keys_values[first..], 2 * hidden);
        multiply(d_scores.transposed(), head.queries, head.scale, d_keys, false);
    }
}

impl AttentionHead<'_> {
    /// Shape `[queries, tokens]`, before any is left out.
    fn probabilities(&self, ctx: &ForwardContext<'_>) -> Vec<f32> {
        let (queries, tokens) = self.shape;
        let mut scores = vec![0.0; queries * tokens];
        multiply(self.queries, self.keys.transposed(), self.scale, (&mut scores, tokens), false);
        scores.chunks_mut(tokens).for_each(|row| ctx.cpu.kernels.softmax(row));
        scores
    }

    /// Leaves out some of them, or the same of their gradients.
    fn drop(&self, probabilities: &mut [f32]) {
        let Some(mask) = self.mask else { return };
        for (index, row) in probabilities.chunks_mut(self.shape.1).enumerate() {
            mask.apply(self.rows.0 + index * self.rows.1, row);
        }
    }
}

/// Cuts a buffer into pieces of these lengths.
fn pieces(mut buffer: &mut [f32], lengths: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    let cut = |length| {
        let (piece, rest) = std::mem::take(&mut buffer).split_at_mut(length);
        buffer = rest;
        piece
    };
    lengths.map(cut).collect()
}
