//! A loaded model behind the boundary of all kinds.
//!
//! It must not know files. Invariant: [`Predictor::submit`] takes a fraction of a millisecond, however many rows there are.

use std::sync::Arc;

use ecommerce_ml_predictor::{Answered, ModelPrecision, Pending, Predictor, guarded};
use ecommerce_ml_protocol::{Answers, EngineError, Input, ModelInfo, Output, Rows};
use tokio::sync::oneshot;

use crate::columns::{reads, refused};
use crate::contributions::explain;
use crate::model::LinearModel;
use crate::scoring::{Scorer, given_up};
use crate::threads::Threads;

/// Additions that are done at once, in some 100 microseconds; more go to the threads.
const AT_ONCE: usize = 100_000;

/// A linear model that answers.
#[derive(Debug)]
pub struct LinearPredictor {
    info: ModelInfo,
    precision: ModelPrecision,
    scorer: Arc<Scorer>,
    threads: Arc<Threads>,
}

impl LinearPredictor {
    /// Gets a model ready.
    pub(crate) fn new(model: &LinearModel, threads: Arc<Threads>) -> Self {
        let precision = ModelPrecision { name: "f64", note: String::new() };
        Self { info: model.info(), precision, scorer: Arc::new(Scorer::new(model)), threads }
    }

    fn explain(&self, rows: &Rows, class: Option<u32>) -> Result<Answers, EngineError> {
        explain(&self.scorer, rows, (self.info.labels().len(), class), &|| false)
    }

    fn accept(&self, input: Input, output: Output) -> Result<Rows, EngineError> {
        let fields = match &self.info.signature.reads {
            ecommerce_ml_protocol::Reads::Columns(fields) => fields.as_slice(),
            ecommerce_ml_protocol::Reads::Text => &[],
        };
        if !matches!(output, Output::Prediction | Output::Contributions { .. }) {
            let message = "model reads columns, and has neither tokens nor embeddings";
            return Err(refused(message).with_detail(reads(fields)));
        }
        match input {
            Input::Rows(rows) => Ok(rows),
            Input::Texts(_) => Err(refused("model reads columns, not a text").with_detail(reads(fields))),
        }
    }
}

impl Predictor for LinearPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let rows = match self.accept(input, output) {
            Ok(rows) => rows,
            Err(error) => return Pending::ready(Err(error)),
        };
        if self.scorer.work(&rows) <= AT_ONCE {
            return Pending::ready(guarded(|| match output {
                Output::Contributions { class } => self.explain(&rows, class).map(answered),
                _ => self.scorer.answer(&rows).map(answered),
            }));
        }
        let pool = match self.threads.pool() {
            Ok(pool) => pool,
            Err(error) => return Pending::ready(Err(error)),
        };
        let (sender, receiver) = oneshot::channel();
        let (scorer, labels) = (Arc::clone(&self.scorer), self.info.labels().len());
        pool.spawn(move || {
            let is_given_up = || sender.is_closed();
            let outcome = guarded(|| match output {
                Output::Contributions { class } => explain(&scorer, &rows, (labels, class), &is_given_up),
                _ => scorer.answer_in_parts(&rows, &is_given_up),
            });
            let outcome = outcome.map(answered);
            // Nobody waits any more.
            let _ = sender.send(outcome);
        });
        Pending::new(async move { receiver.await.unwrap_or_else(|_| Err(given_up())) })
    }
}

fn answered(answers: Answers) -> Answered {
    Answered::computed(answers)
}
