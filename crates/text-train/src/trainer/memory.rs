//! How much memory a training will take, told before it begins.
//!
//! It must not know how to train. Invariant: the estimate is not below what the process comes to. Where the encoder
//! learns on a device it is above: gradients, moments and activations are counted as if they were here.

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::memory::within;

use super::micro_batches::MICRO_BATCH;

/// What the process takes besides: code, threads, buffers of the wire.
const PROCESS: u64 = 40 << 20;

/// Scores that all ROC curves together keep at most, and bytes for each.
const SCORES: u64 = 1 << 20;
const SCORE_BYTES: u64 = 32;

/// Sizes that decide it, in bytes unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryModel<'a> {
    pub(super) config: &'a ModelConfig,
    /// Parameters, in numbers; and how many of them are trained.
    pub(super) parameters: u64,
    pub(super) trained: u64,
    /// Weights that have adapters, in numbers.
    pub(super) adapted: u64,
    /// Layers that the backward pass goes through.
    pub(super) layers: usize,
    /// Whether only the head learns, from states that are computed once.
    pub(super) head_only: bool,
    /// Files of the base, of the incumbent, and the tokenizers' memory.
    pub(super) base: u64,
    pub(super) incumbent: u64,
    pub(super) tokenizer: u64,
    /// Rows and their texts.
    pub(super) texts: u64,
    pub(super) tokens: u64,
    /// In numbers.
    pub(super) examples: u64,
    pub(super) held_out: u64,
    pub(super) longest: u64,
    pub(super) classes: u64,
    /// Bytes of a checkpoint to go on from.
    pub(super) checkpoint: u64,
    /// Whether evaluations keep the best parameters.
    pub(super) keeps_best: bool,
}

impl MemoryModel<'_> {
    /// Bytes at the worst moment.
    pub(super) fn estimate(&self) -> u64 {
        let number = size_of::<f32>() as u64;
        let always = PROCESS + self.texts + self.tokens + self.tokenizer + self.metrics();
        let (weights, trained) = (self.parameters * number, self.trained * number);
        let states = if self.head_only { self.examples * self.config.hidden_size as u64 * number } else { 0 };
        // The encoder that computes the states once has its own copy, made from words that are read at a time.
        let words = (self.config.vocab_size * self.config.hidden_size) as u64 * number;
        let begin = self.base + weights + states + if self.head_only { weights + words } else { 0 };
        let incumbent = 2 * self.incumbent.max(self.base);
        let moments = 2 * trained;
        let best = if self.keeps_best { trained } else { 0 };
        let restore = weights + self.checkpoint + moments + best + states;
        // Of weights with adapters there are what they were before, and gradients.
        let adapted = 2 * self.adapted * number;
        let learn = weights + trained + adapted + moments + best + states + self.activations() * number;
        // The parameters as they are and as they are written; then these files, and what predicts.
        let end = 3 * weights + states;
        always + self.incumbent + begin.max(incumbent).max(restore + trained).max(learn).max(end)
    }

    /// Refuses what would take more than a limit.
    ///
    /// # Errors
    /// As of [`within`].
    pub(super) fn check(&self, limit: u64) -> Result<u64, EngineError> {
        within(self.estimate(), limit, || {
            let (weights, learned) = (self.parameters, self.trained);
            let detail = format!(
                "The model has {weights} weights, {learned} of which are trained; {} texts come to {} bytes of tokens.",
                self.examples, self.tokens
            );
            let hint = "Increase ecommerce_ml.training_memory, set \"tuning\" to \"head\" or \"lora\", or lower \
                        \"max_length\".";
            (detail, hint)
        })
    }

    /// Numbers that the largest micro-batch needs, forward and backward.
    fn activations(&self) -> u64 {
        let (hidden, inner) = (self.config.hidden_size as u64, self.config.intermediate_size as u64);
        if self.head_only {
            return 6 * hidden * MICRO_BATCH as u64;
        }
        let tokens = (MICRO_BATCH as u64).max(self.longest);
        // Queries, keys, values, context, two layer norms of two rows; and the feed-forward part before and after its
        // nonlinearity.
        let kept = tokens * (8 * hidden + 2 * inner);
        // Gradients of a layer, and what is computed anew.
        let passing = tokens * (10 * hidden + 3 * inner) + 4 * self.longest * self.longest;
        let layers = (self.layers as u64).max(1);
        layers * kept + tokens * 4 * hidden + passing
    }

    fn metrics(&self) -> u64 {
        let scores = (self.classes * self.held_out).min(SCORES.max(self.classes * 4096));
        scores * SCORE_BYTES + self.classes * self.classes * 8
    }
}
