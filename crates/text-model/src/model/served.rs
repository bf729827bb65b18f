//! A model as it is served.
//!
//! It must not know who serves. Invariant: each method is the model's own of that name, and does nothing else.

use ecommerce_ml_predictor::{Begun, ModelPrecision, Output, Row, Served, Window};
use ecommerce_ml_protocol::{EngineError, ModelInfo, Prediction, TokenDetail, Tokens};

use super::Model;

impl Served for Model {
    fn info(&self) -> &ModelInfo {
        self.info()
    }

    fn tokenize(&self, text: &str, detail: TokenDetail) -> Result<Tokens, EngineError> {
        self.tokenize(text, detail)
    }

    fn windows(&self, text: &str) -> Result<Vec<Window>, EngineError> {
        self.windows(text)
    }

    fn begin(&self, windows: &[&Window], output: Output) -> Result<Begun<Vec<Vec<f32>>>, EngineError> {
        self.begin(windows, output)
    }

    fn predict(&self, rows: &[Row]) -> Prediction {
        self.predict(rows)
    }

    fn embed(&self, rows: &[Row]) -> Vec<f32> {
        self.embed(rows)
    }

    fn precision(&self) -> &ModelPrecision {
        self.precision()
    }
}
