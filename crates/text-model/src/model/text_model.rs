//! A model as its scheduler uses it.
//!
//! It must not know the scheduler. Invariant: each method is the model's own of that name, and does nothing else.

use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokens};
use ecommerce_ml_predictor::ModelPrecision;
use ecommerce_ml_protocol::{EngineError, ModelInfo};

use super::Model;
use crate::{Deferred, ForwardOutput, Prediction, TextModel, Window, WindowRow};

impl TextModel for Model {
    fn info(&self) -> &ModelInfo {
        self.info()
    }

    fn tokenize(&self, text: &str, detail: TokenDetail) -> Result<Tokens, EngineError> {
        self.tokenize(text, detail)
    }

    fn windows(&self, text: &str) -> Result<Vec<Window>, EngineError> {
        self.windows(text)
    }

    fn can_read(&self, text: &str, windows: &[Window]) -> Result<bool, EngineError> {
        self.can_read(text, windows)
    }

    fn begin(
        &self,
        windows: &[&Window],
        output: ForwardOutput,
    ) -> Result<Deferred<Vec<Vec<f32>>>, EngineError> {
        self.begin(windows, output)
    }

    fn predict(&self, rows: &[WindowRow]) -> Prediction {
        self.predict(rows)
    }

    fn embed(&self, rows: &[WindowRow]) -> Vec<f32> {
        self.embed(rows)
    }

    fn precision(&self) -> &ModelPrecision {
        self.precision()
    }
}
