//! What is found by trying: how trees are grown.
//!
//! It must not know how they are measured. Invariant: what the user gave is in all of them.

use ecommerce_ml_training::random::SplitMix64;
use ecommerce_ml_training::search::log_uniform;
use serde_json::{Value, json};

use super::options::Options;

/// Sets what chance draws here apart from others with the same seed.
const PURPOSE: u64 = u64::from_be_bytes(*b"settings");

/// How trees are grown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    /// Most steps from the root of a tree to a leaf.
    pub(super) max_depth: u32,
    /// What each tree is multiplied by.
    pub(super) learning_rate: f64,
    /// Least sum of second derivatives in a leaf.
    pub(super) min_child_weight: f64,
    /// What the size of leaves costs.
    pub(super) reg_lambda: f64,
}

impl Settings {
    /// Those that the options say, with this depth.
    pub(super) fn of(options: &Options, max_depth: u32) -> Self {
        let Options { learning_rate, min_child_weight, reg_lambda, .. } = *options;
        Self { max_depth, learning_rate, min_child_weight, reg_lambda }
    }

    /// So many to try: first those that hold without a search, then what chance draws, where the user has given nothing.
    pub(super) fn drawn(options: &Options, own: Vec<Self>, trials: usize) -> Vec<Self> {
        let mut random = SplitMix64::of_part(options.common.seed, PURPOSE);
        let mut all = own;
        while all.len() < trials {
            // Each is drawn, given or not, so that what is given changes nothing of the others.
            let max_depth = 2 + random.below(7) as u32;
            let learning_rate = log_uniform(&mut random, 0.01, 0.3);
            let min_child_weight = log_uniform(&mut random, 0.5, 50.0);
            let reg_lambda = log_uniform(&mut random, 0.1, 30.0);
            let given = |name: &str| options.given.iter().any(|given| given == name);
            let or = |name: &str, own: f64, drawn: f64| if given(name) { own } else { drawn };
            all.push(Self {
                max_depth: options.max_depth.unwrap_or(max_depth),
                learning_rate: or("learning_rate", options.learning_rate, learning_rate),
                min_child_weight: or("min_child_weight", options.min_child_weight, min_child_weight),
                reg_lambda: or("reg_lambda", options.reg_lambda, reg_lambda),
            });
        }
        all
    }

    /// Under the names of the options.
    pub(super) fn to_json(self) -> Value {
        let Self { max_depth, learning_rate, min_child_weight, reg_lambda } = self;
        json!({
            "max_depth": max_depth, "learning_rate": learning_rate, "min_child_weight": min_child_weight,
            "reg_lambda": reg_lambda,
        })
    }
}
