//! The head: two dense layers over the states of first tokens, forward and backward.
//!
//! It must not know what the outputs mean. Invariant: numbers are left out where the families' heads in `transformers` do.

use ecommerce_ml_checkpoint::config::Family;

use super::dense;
use super::dropout::Place;
use super::network::Step;
use super::parameters::Gradients;
use super::plan::Plan;

/// What the backward pass needs.
#[derive(Debug)]
pub struct HeadTape {
    input: Vec<f32>,
    /// After the nonlinearity.
    active: Vec<f32>,
    /// Of which some are left out.
    dropped: Vec<f32>,
    /// Shape `[rows, outputs]`.
    pub(super) logits: Vec<f32>,
}

impl HeadTape {
    /// Shape `[rows, outputs]`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}

/// Logits of states, shape `[rows, hidden]`.
pub(super) fn forward(step: &Step<'_>, plan: &Plan, mut input: Vec<f32>) -> HeadTape {
    if step.config.family == Family::Roberta {
        step.drop(Place::HeadInput, &mut input);
    }
    let mut active = dense::forward(step, &plan.hidden, &input);
    for number in &mut active {
        *number = match step.config.family {
            Family::Bert | Family::Roberta => number.tanh(),
            // Not `max`, which would hide NaN.
            Family::DistilBert if *number < 0.0 => 0.0,
            Family::DistilBert => *number,
        };
    }
    let mut dropped = active.clone();
    step.drop(Place::HeadHidden, &mut dropped);
    let logits = dense::forward(step, &plan.output, &dropped);
    HeadTape { input, active, dropped, logits }
}

/// From the gradient of the logits to that of the states.
pub(super) fn backward(
    step: &Step<'_>,
    plan: &Plan,
    tape: &HeadTape,
    d_logits: &[f32],
    gradients: &mut Gradients,
) -> Vec<f32> {
    dense::backward(step, &plan.output, &tape.dropped, d_logits, gradients);
    let mut gradient = dense::input_gradient(step, &plan.output, d_logits);
    step.drop(Place::HeadHidden, &mut gradient);
    for (gradient, active) in gradient.iter_mut().zip(&tape.active) {
        *gradient *= match step.config.family {
            Family::Bert | Family::Roberta => 1.0 - active * active,
            Family::DistilBert if *active > 0.0 => 1.0,
            Family::DistilBert => 0.0,
        };
    }
    dense::backward(step, &plan.hidden, &tape.input, &gradient, gradients);
    let mut d_input = dense::input_gradient(step, &plan.hidden, &gradient);
    if step.config.family == Family::Roberta {
        step.drop(Place::HeadInput, &mut d_input);
    }
    d_input
}
