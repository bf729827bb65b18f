//! Embeddings of words, positions and token types, forward and backward.
//!
//! Padding tokens keep their embedding, as `padding_idx` has it in PyTorch. It must not know layers.
//! Invariant: all tokens are of type 0.

use ecommerce_ml_checkpoint::config::Family;

use super::dense::add;
use super::dropout::Place;
use super::network::{Batch, Step};
use super::norm::Normed;
use super::parameters::Gradients;
use super::plan::EmbeddingsPlan;

/// Sums of the rows of each token, normalised, some left out.
pub(super) fn forward(step: &Step<'_>, plan: &EmbeddingsPlan, batch: &Batch) -> Normed {
    let width = step.config.hidden_size;
    let row = |start: usize, row: u32| {
        let start = start + row as usize * width;
        &step.values[start..start + width]
    };
    let mut sums = Vec::with_capacity(batch.ids.len() * width);
    for (&id, &position) in batch.ids.iter().zip(&batch.positions) {
        let start = sums.len();
        sums.extend_from_slice(row(plan.words.start, id));
        add(&mut sums[start..], row(plan.positions.start, position));
        if let Some(types) = &plan.types {
            add(&mut sums[start..], row(types.start, 0));
        }
    }
    let mut normed = Normed::forward(step, &plan.norm, sums);
    step.drop(Place::Embeddings, &mut normed.output);
    normed
}

/// Adds to the gradients of all tables.
pub(super) fn backward(
    step: &Step<'_>,
    plan: &EmbeddingsPlan,
    batch: &Batch,
    normed: &Normed,
    mut gradient: Vec<f32>,
    gradients: &mut Gradients,
) {
    let (width, padding) = (step.config.hidden_size, step.config.pad_token_id);
    step.drop(Place::Embeddings, &mut gradient);
    normed.backward(step, &plan.norm, &mut gradient, gradients);
    gradients.touch(&batch.ids);
    let position_padding = (step.config.family == Family::Roberta).then_some(padding);
    let tables =
        [(&plan.words, &batch.ids, Some(padding)), (&plan.positions, &batch.positions, position_padding)];
    for (table, rows, without) in tables {
        let Some(table) = gradients.of(table) else { continue };
        for (gradient, &row) in gradient.chunks(width).zip(rows) {
            if Some(row) != without {
                add(&mut table[row as usize * width..][..width], gradient);
            }
        }
    }
    if let Some(table) = plan.types.as_ref().and_then(|types| gradients.of(types)) {
        gradient.chunks(width).for_each(|gradient| add(&mut table[..width], gradient));
    }
}
