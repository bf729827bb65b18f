//! Gradients to changes of the weights: AdamW, and clipping by the global norm.
//!
//! # Layout
//! - `gradients`: their norm, and how much of them is taken.
//! - `decay`: which parameters are drawn towards 0.
//! - `update`: the arithmetic, on slices.
//! - `state`: moments out and back in, for checkpoints.
//!
//! It must not know networks: a parameter is a name and a slice. Invariant: an update gives the same bits however the
//! parameters are cut into slices or spread over threads, and after a checkpoint as without one.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{EngineError, ErrorKind};

mod decay;
mod gradients;
mod state;
mod update;

pub use decay::decays;
pub use gradients::{clip_coefficient, global_norm, sum_of_squares};
pub use update::Factors;

/// What an AdamW is set to. Defaults are those of `torch.optim.AdamW` and `transformers.TrainingArguments`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWSettings {
    /// How much of the mean of the gradients stays with each step; below 1.
    pub beta1: f64,
    /// How much of the mean of their squares stays; below 1.
    pub beta2: f64,
    /// Added to the root of that mean.
    pub epsilon: f64,
    /// Part of a weight that is taken off it in each step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

/// A parameter with its gradient, of the same length.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// Its name in the model, which also says whether it decays.
    pub name: &'a str,
    /// Its weights, which an update changes.
    pub values: &'a mut [f32],
    /// Derivative of the loss with respect to each.
    pub gradient: &'a [f32],
}

/// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019), as `torch.optim.AdamW` computes it:
/// weights decay by their own, not through the gradient, and means are corrected for having started at 0.
#[derive(Debug, Clone)]
pub struct AdamW {
    settings: AdamWSettings,
    /// Updates made.
    step: u64,
    moments: BTreeMap<String, Moments>,
}

/// What is remembered of a parameter's gradients.
#[derive(Debug, Clone, PartialEq)]
struct Moments {
    /// Mean of the gradients.
    exp_avg: Vec<f32>,
    /// Mean of their squares.
    exp_avg_sq: Vec<f32>,
}

impl AdamW {
    /// One that has seen no gradient. Its memory grows to two numbers for each weight with the first update.
    pub fn new(settings: AdamWSettings) -> Self {
        Self { settings, step: 0, moments: BTreeMap::new() }
    }

    /// Updates made so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Changes all parameters by one step at this learning rate, with their gradients times `gradient_scale`: what
    /// [`clip_coefficient`] gives, so that clipping costs no way through memory of its own.
    ///
    /// The parameters must be the same in each step. All cores work on them.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if a gradient or a moment isn't as long as its parameter; nothing has changed then.
    pub fn update(
        &mut self,
        parameters: &mut [Parameter<'_>],
        learning_rate: f64,
        gradient_scale: f32,
    ) -> Result<(), EngineError> {
        self.make_room(parameters)?;
        self.step += 1;
        let factors = self.factors(learning_rate, gradient_scale);
        for parameter in parameters {
            let Some(moments) = self.moments.get_mut(parameter.name) else { continue };
            update::update(
                if decays(parameter.name) { factors } else { factors.without_decay() },
                parameter.values,
                parameter.gradient,
                &mut moments.exp_avg,
                &mut moments.exp_avg_sq,
            );
        }
        Ok(())
    }

    /// What the update that was made last comes to for parameters that decay: for those that are changed elsewhere, at this
    /// learning rate, with gradients times `gradient_scale`.
    pub fn factors(&self, learning_rate: f64, gradient_scale: f32) -> Factors {
        Factors::of(&self.settings, self.step, learning_rate, gradient_scale)
    }

    /// Gives parameters that come for the first time moments of 0.
    fn make_room(&mut self, parameters: &[Parameter<'_>]) -> Result<(), EngineError> {
        for parameter in parameters {
            let length = parameter.values.len();
            if parameter.gradient.len() != length {
                return Err(mismatch(parameter.name, length, parameter.gradient.len()));
            }
            let zeros = || Moments { exp_avg: vec![0.0; length], exp_avg_sq: vec![0.0; length] };
            let moments = self.moments.entry(parameter.name.to_owned()).or_insert_with(zeros);
            if moments.exp_avg.len() != length {
                return Err(mismatch(parameter.name, length, moments.exp_avg.len()));
            }
        }
        Ok(())
    }
}

fn mismatch(name: &str, expected: usize, found: usize) -> EngineError {
    let message = format!("parameter \"{name}\" has {expected} weights, but its gradient or moments {found}");
    EngineError::new(ErrorKind::Internal, message)
}

#[cfg(test)]
mod tests;
