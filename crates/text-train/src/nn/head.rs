//! The head: two dense layers over pooled states, forward and backward; with a layer norm between them in ModernBERT.
//!
//! It must not know what the outputs mean. Invariant: numbers are left out where the families' heads in `transformers` do.

use ecommerce_ml_checkpoint::config::{self, Family, ModelConfig, Particulars};
use ecommerce_ml_tensor_cpu::Activation;
use ecommerce_ml_text_model::shape::activation;

use super::dense;
use super::dropout::DropoutSite;
use super::layout::ParameterLayout;
use super::network::ForwardContext;
use super::norm::Normed;
use super::parameters::Gradients;

/// What the backward pass needs.
#[derive(Debug)]
pub struct HeadTape {
    input: Vec<f32>,
    /// Before the nonlinearity, if its gradient is of that.
    inner: Vec<f32>,
    /// After the nonlinearity.
    active: Vec<f32>,
    /// After the layer norm, if there is one.
    normed: Option<Normed>,
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

/// What lies behind the first layer.
enum Nonlinearity {
    Tanh,
    Relu,
    /// As the encoders have it.
    Like(Activation),
}

impl Nonlinearity {
    fn of(config: &ModelConfig) -> Self {
        let like = |named| Self::Like(activation(named));
        match (config.family, &config.particulars) {
            (_, Particulars::Deberta(own)) => like(own.pooler_activation),
            (Family::DistilBert, _) => Self::Relu,
            (Family::Bert | Family::Roberta, _) => Self::Tanh,
            (Family::DebertaV2 | Family::ModernBert | Family::Electra, _) => {
                like(config::Activation::GeluErf)
            }
        }
    }
}

/// Whether a family leaves out numbers of what its head reads.
fn drops_input(family: Family) -> bool {
    matches!(family, Family::Roberta | Family::Electra)
}

/// Logits of states, shape `[rows, hidden]`.
pub(super) fn forward(ctx: &ForwardContext<'_>, layout: &ParameterLayout, mut input: Vec<f32>) -> HeadTape {
    if drops_input(ctx.config.family) {
        ctx.drop(DropoutSite::HeadInput, &mut input);
    }
    let (mut inner, mut active) = (Vec::new(), dense::forward(ctx, &layout.hidden, &input));
    match Nonlinearity::of(ctx.config) {
        Nonlinearity::Tanh => active.iter_mut().for_each(|number| *number = number.tanh()),
        // Not `max`, which would hide NaN.
        Nonlinearity::Relu => {
            active.iter_mut().filter(|number| **number < 0.0).for_each(|number| *number = 0.0)
        }
        Nonlinearity::Like(activation) => {
            inner.clone_from(&active);
            ctx.cpu.kernels.activate(&mut active, activation);
        }
    }
    let normed = layout.norm.as_ref().map(|norm| Normed::forward(ctx, norm, active.clone()));
    let mut dropped = normed.as_ref().map_or(&active, |normed| &normed.output).clone();
    ctx.drop(DropoutSite::HeadHidden, &mut dropped);
    let logits = dense::forward(ctx, &layout.output, &dropped);
    HeadTape { input, inner, active, normed, dropped, logits }
}

/// From the gradient of the logits to that of the states.
/// From `[rows, outputs]` to `[rows, hidden]`.
pub(super) fn backward(
    ctx: &ForwardContext<'_>,
    layout: &ParameterLayout,
    tape: &HeadTape,
    d_logits: &[f32],
    gradients: &mut Gradients,
) -> Vec<f32> {
    dense::backward(ctx, &layout.output, &tape.dropped, d_logits, gradients);
    let mut gradient = dense::input_gradient(ctx, &layout.output, d_logits);
    ctx.drop(DropoutSite::HeadHidden, &mut gradient);
    if let (Some(norm), Some(normed)) = (&layout.norm, &tape.normed) {
        normed.backward(ctx, norm, &mut gradient, gradients);
    }
    match Nonlinearity::of(ctx.config) {
        Nonlinearity::Tanh => {
            gradient
                .iter_mut()
                .zip(&tape.active)
                .for_each(|(gradient, active)| *gradient *= 1.0 - active * active);
        }
        Nonlinearity::Relu => {
            let passes = |active: f32| if active > 0.0 { 1.0 } else { 0.0 };
            gradient.iter_mut().zip(&tape.active).for_each(|(gradient, &active)| *gradient *= passes(active));
        }
        Nonlinearity::Like(activation) => {
            ctx.cpu.kernels.activate_gradient(&mut gradient, &tape.inner, activation);
        }
    }
    dense::backward(ctx, &layout.hidden, &tape.input, &gradient, gradients);
    let mut d_input = dense::input_gradient(ctx, &layout.hidden, &gradient);
    if drops_input(ctx.config.family) {
        ctx.drop(DropoutSite::HeadInput, &mut d_input);
    }
    d_input
}
