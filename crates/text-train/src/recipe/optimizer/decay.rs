//! Which parameters are drawn towards 0.
//!
//! It must not know shapes or layers, only names. Invariant: the answer is that of `transformers`' Trainer for every
//! family of models that the engine reads.

/// Whether weight decay is for a parameter of this name: for matrices, not for biases and norms, by the patterns of
/// `Trainer.get_decay_parameter_names` (`bias`, `layernorm`, `rmsnorm`, and parts of the name that are `norm` or end
/// with `_norm`).
pub fn decays(name: &str) -> bool {
    let name = name.to_lowercase();
    let anywhere = ["bias", "layernorm", "rmsnorm"].iter().any(|pattern| name.contains(pattern));
    !anywhere && !name.split('.').any(|part| part == "norm" || part.ends_with("_norm"))
}
