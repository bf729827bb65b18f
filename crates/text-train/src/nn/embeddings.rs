//! Embeddings of words, positions and token types, forward and backward.
//!
//! Padding tokens keep their embedding, as `padding_idx` has it in PyTorch. It must not know layers.
//! Invariant: all tokens are of type 0.

use std::ops::Range;

use ecommerce_ml_checkpoint::config::Family;

use super::dense::add;
use super::dropout::DropoutSite;
use super::layout::EmbeddingsLayout;
use super::network::{ForwardContext, TokenBatch};
use super::norm::Normed;
use super::parameters::Gradients;

/// Sums of the rows of each token, normalised, some left out.
pub(super) fn forward(ctx: &ForwardContext<'_>, layout: &EmbeddingsLayout, batch: &TokenBatch) -> Normed {
    let mut words = Vec::with_capacity(batch.ids.len() * ctx.config.hidden_size);
    batch.ids.iter().for_each(|&id| words.extend_from_slice(row(ctx, &layout.words, id)));
    forward_words(ctx, layout, batch, words)
}

/// As [`forward`], with embeddings that need not be those of words.
/// `words`: `[tokens, hidden]`.
pub(super) fn forward_words(
    ctx: &ForwardContext<'_>,
    layout: &EmbeddingsLayout,
    batch: &TokenBatch,
    mut words: Vec<f32>,
) -> Normed {
    for (sum, &position) in words.chunks_mut(ctx.config.hidden_size).zip(&batch.positions) {
        add(sum, row(ctx, &layout.positions, position));
        if let Some(types) = &layout.types {
            add(sum, row(ctx, types, 0));
        }
    }
    let sums = words;
    let mut normed = Normed::forward(ctx, &layout.norm, sums);
    ctx.drop(DropoutSite::Embeddings, &mut normed.output);
    normed
}

/// A row of a table, `[hidden]`.
pub(super) fn row<'a>(ctx: &ForwardContext<'a>, table: &Range<usize>, row: u32) -> &'a [f32] {
    let width = ctx.config.hidden_size;
    let start = table.start + row as usize * width;
    &ctx.values[start..start + width]
}

/// From the gradient of the output to that of the sums, and so of each of their summands, in its place; adds to those of the
/// layer norm.
/// `gradient`: `[tokens, hidden]`.
pub(super) fn backward_to_sums(
    ctx: &ForwardContext<'_>,
    layout: &EmbeddingsLayout,
    normed: &Normed,
    gradient: &mut [f32],
    gradients: &mut Gradients,
) {
    ctx.drop(DropoutSite::Embeddings, gradient);
    normed.backward(ctx, &layout.norm, gradient, gradients);
}

/// Adds to the gradients of all tables.
/// `gradient`: that of the output, `[tokens, hidden]`.
pub(super) fn backward(
    ctx: &ForwardContext<'_>,
    layout: &EmbeddingsLayout,
    batch: &TokenBatch,
    normed: &Normed,
    mut gradient: Vec<f32>,
    gradients: &mut Gradients,
) {
    let (width, padding) = (ctx.config.hidden_size, ctx.config.pad_token_id);
    backward_to_sums(ctx, layout, normed, &mut gradient, gradients);
    gradients.touch(&batch.ids);
    let position_padding = (ctx.config.family == Family::Roberta).then_some(padding);
    let tables =
        [(&layout.words, &batch.ids, Some(padding)), (&layout.positions, &batch.positions, position_padding)];
    for (table, rows, without) in tables {
        let Some(table) = gradients.of(table) else { continue };
        for (gradient, &row) in gradient.chunks(width).zip(rows) {
            if Some(row) != without {
                add(&mut table[row as usize * width..][..width], gradient);
            }
        }
    }
    if let Some(table) = layout.types.as_ref().and_then(|types| gradients.of(types)) {
        gradient.chunks(width).for_each(|gradient| add(&mut table[..width], gradient));
    }
}
