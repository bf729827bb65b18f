//! Embeddings perturbed to where the loss is higher, for a second pass over a batch.
//!
//! r = epsilon g / |g|, added to the embeddings of words, where g is the gradient of the loss with respect to them
//! (Miyato, Dai and Goodfellow, "Adversarial training methods for semi-supervised text classification", 2017, equation
//! 5; there |g| is that of one text, here of the batch). Gradients of the pass over perturbed embeddings are added to those
//! of the first, so that both losses are learned from.
//!
//! It must not know losses or optimizers. Invariant: embeddings that were restored have the bits that they had.

use super::network::Network;
use super::parameters::{Gradients, Parameters};

/// Embeddings as they were.
#[derive(Debug)]
#[must_use = "embeddings have to be moved back"]
pub struct PerturbedEmbeddings {
    /// Where each row begins among the numbers of all parameters.
    starts: Vec<usize>,
    /// The rows, end to end.
    before: Vec<f32>,
    width: usize,
}

impl Network {
    /// Moves the embeddings of words that have gradients, all of them together by `epsilon`. `gradients` are those of
    /// the batch that the second pass goes over; embeddings have to be trained, or nothing moves. Where the gradient is
    /// zero or isn't finite, nothing does either.
    pub fn perturb_embeddings(
        &self,
        parameters: &mut Parameters,
        gradients: &Gradients,
        epsilon: f64,
    ) -> PerturbedEmbeddings {
        let (words, width) = (self.word_embeddings(), self.config().hidden_size);
        let starts = gradients.touched_words().iter().map(|&word| words.start + word as usize * width);
        let mut perturbed = PerturbedEmbeddings { starts: starts.collect(), before: Vec::new(), width };
        let gradient = |start: usize| &gradients.values[start - gradients.start()..][..width];
        let squares = perturbed
            .starts
            .iter()
            .flat_map(|&start| gradient(start))
            .map(|&number| f64::from(number).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        if norm == 0.0 || !norm.is_finite() {
            perturbed.starts.clear();
        }
        let scale = (epsilon / norm) as f32;
        for &start in &perturbed.starts {
            let row = &mut parameters.values[start..start + width];
            perturbed.before.extend_from_slice(row);
            row.iter_mut().zip(gradient(start)).for_each(|(number, gradient)| *number += scale * gradient);
        }
        perturbed
    }
}

impl PerturbedEmbeddings {
    /// Restores the embeddings.
    pub fn restore(self, parameters: &mut Parameters) {
        for (&start, row) in self.starts.iter().zip(self.before.chunks(self.width)) {
            parameters.values[start..start + self.width].copy_from_slice(row);
        }
    }
}
