//! A text model as its scheduler uses it, so that the scheduler can be tested with one that sleeps, fails or panics on purpose.
//!
//! It must not know requests or clients. Invariant: each method promises the same whatever the device.

use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokens, Window};
use ecommerce_ml_predictor::ModelPrecision;
use ecommerce_ml_protocol::{EngineError, ModelInfo};

use crate::deferred::Deferred;
use crate::output::{ForwardOutput, Prediction, WindowRow};

/// A text model as its scheduler uses it; its methods say what they promise.
pub trait TextModel: Send + Sync {
    /// What the model is.
    fn info(&self) -> &ModelInfo;

    /// The tokens of a text, special tokens included.
    ///
    /// # Errors
    /// If the tokenizer fails.
    fn tokenize(&self, text: &str, detail: TokenDetail) -> Result<Tokens, EngineError>;

    /// The windows of a text, none for a blank one.
    ///
    /// # Errors
    /// If the tokenizer fails.
    fn windows(&self, text: &str) -> Result<Vec<Window>, EngineError>;

    /// Whether it was ever taught to read such a text, which has these windows.
    ///
    /// # Errors
    /// As [`windows`](Self::windows).
    fn can_read(&self, _text: &str, _windows: &[Window]) -> Result<bool, EngineError> {
        Ok(true)
    }

    /// Begins to compute one row of numbers for each window.
    /// `[outputs]` each, or `[hidden]` of an embedding.
    ///
    /// # Errors
    /// If the model can't compute this output, or the device fails; a device may tell so only when the rows are waited for.
    fn begin(
        &self,
        windows: &[&Window],
        output: ForwardOutput,
    ) -> Result<Deferred<Vec<Vec<f32>>>, EngineError>;

    /// What the rows of [`ForwardOutput::Head`] of all windows of a text, at least one, say together.
    fn predict(&self, rows: &[WindowRow]) -> Prediction;

    /// The embedding of a text, `[hidden]`, from the rows of [`ForwardOutput::Embedding`] of all its windows.
    fn embed(&self, rows: &[WindowRow]) -> Vec<f32>;

    /// What it is computed in, for statistics.
    fn precision(&self) -> &ModelPrecision;
}
