//! Embeddings of words, positions and token types, forward and backward.
//!
//! Padding tokens keep their embedding, as `padding_idx` has it in PyTorch. It must not know layers.
//! Invariant: all tokens are of type 0.

use ecommerce_ml_checkpoint::config::Family;

use super::dense::add;
use super::dropout::DropoutSite;
use super::layout::EmbeddingsLayout;
use super::network::{ForwardContext, TokenBatch};
use super::norm::Normed;
use super::parameters::Gradients;

/// Sums of the rows of each token, normalised, some left out.
pub(super) fn forward(ctx: &ForwardContext<'_>, layout: &EmbeddingsLayout, batch: &TokenBatch) -> Normed {
    let width = ctx.config.hidden_size;
    let row = |start: usize, row: u32| {
        let start = start + row as usize * width;
        &ctx.values[start..start + width]
    };
    let mut sums = Vec::with_capacity(batch.ids.len() * width);
    for (&id, &position) in batch.ids.iter().zip(&batch.positions) {
        let start = sums.len();
        sums.extend_from_slice(row(layout.words.start, id));
        add(&mut sums[start..], row(layout.positions.start, position));
        if let Some(types) = &layout.types {
            add(&mut sums[start..], row(types.start, 0));
        }
    }
    let mut normed = Normed::forward(ctx, &layout.norm, sums);
    ctx.drop(DropoutSite::Embeddings, &mut normed.output);
    normed
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
    ctx.drop(DropoutSite::Embeddings, &mut gradient);
    normed.backward(ctx, &layout.norm, &mut gradient, gradients);
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
