//! Moments out of an optimizer and back into one, for checkpoints.
//!
//! It must not know how checkpoints are written. Invariant: what goes back has the bits that came out.

use super::{AdamW, AdamWSettings, Moments};

impl AdamW {
    /// Means of a parameter's gradients and of their squares; none before the first update.
    /// Both have the shape of the parameter.
    pub fn moments(&self, name: &str) -> Option<(&[f32], &[f32])> {
        self.moments.get(name).map(|moments| (&*moments.exp_avg, &*moments.exp_avg_sq))
    }

    /// One that goes on after so many updates, with the moments of each parameter. Settings aren't part of what is
    /// remembered.
    /// Both have the shape of their parameter.
    pub fn resumed(
        settings: AdamWSettings,
        step: u64,
        moments: impl IntoIterator<Item = (String, Vec<f32>, Vec<f32>)>,
    ) -> Self {
        let moments =
            moments.into_iter().map(|(name, exp_avg, exp_avg_sq)| (name, Moments { exp_avg, exp_avg_sq }));
        Self { settings, step, moments: moments.collect() }
    }
}
