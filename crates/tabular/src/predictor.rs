//! A loaded model behind the boundary of all kinds.
//!
//! It must not know files, or how rows are scored. Invariant: [`Predictor::submit`] takes a fraction of a millisecond, however many
//! rows there are.

use std::sync::Arc;

use ecommerce_ml_predictor::{Answered, ModelPrecision, Pending, Predictor, guarded};
use ecommerce_ml_protocol::{EngineError, Input, ModelInfo, Output, Reads, Rows};
use tokio::sync::oneshot;

use crate::columns::{reads, refused};
use crate::score::{Score, answer_in_parts, given_up};
use crate::threads::Threads;

/// Steps of work that are done at once, in some 100 microseconds; more go to the threads.
const AT_ONCE: usize = 100_000;

/// A model of columns that answers.
#[derive(Debug)]
pub struct ColumnsPredictor {
    info: ModelInfo,
    precision: ModelPrecision,
    scorer: Arc<dyn Score>,
    threads: Arc<Threads>,
}

impl ColumnsPredictor {
    /// Of a model that is ready, computed in this precision.
    pub(crate) fn new(
        info: ModelInfo,
        precision: &'static str,
        scorer: Arc<dyn Score>,
        threads: Arc<Threads>,
    ) -> Self {
        Self { info, precision: ModelPrecision { name: precision, note: String::new() }, scorer, threads }
    }
}

/// The rows, if a model of columns can answer.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] if it can't, with what it reads.
pub(crate) fn accept(info: &ModelInfo, input: Input, output: Output) -> Result<Rows, EngineError> {
    let fields = match &info.signature.reads {
        Reads::Columns(fields) => fields.as_slice(),
        Reads::Text | Reads::Keys(_) => &[],
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

impl Predictor for ColumnsPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let rows = match accept(&self.info, input, output) {
            Ok(rows) => rows,
            Err(error) => return Pending::ready(Err(error)),
        };
        let explained = match output {
            Output::Contributions { class } => Some(class),
            _ => None,
        };
        if self.scorer.work(&rows, explained.is_some()) <= AT_ONCE {
            return Pending::ready(guarded(|| match explained {
                Some(class) => self.scorer.explain(&rows, class, &|| false).map(Answered::computed),
                None => self.scorer.prepare(&rows)?.answer(0..rows.count as usize).map(Answered::computed),
            }));
        }
        let pool = match self.threads.pool() {
            Ok(pool) => pool,
            Err(error) => return Pending::ready(Err(error)),
        };
        let (sender, receiver) = oneshot::channel();
        let scorer = Arc::clone(&self.scorer);
        pool.spawn(move || {
            let is_given_up = || sender.is_closed();
            let outcome = guarded(|| match explained {
                Some(class) => scorer.explain(&rows, class, &is_given_up),
                None => answer_in_parts(&*scorer, &rows, &is_given_up),
            });
            // Nobody waits any more.
            let _ = sender.send(outcome.map(Answered::computed));
        });
        Pending::new(async move { receiver.await.unwrap_or_else(|_| Err(given_up())) })
    }
}
