//! A loaded model behind the boundary of all kinds.
//!
//! It must not know files. Invariant: [`Predictor::submit`] takes a fraction of a millisecond, however many series there are.

use std::sync::Arc;
use std::thread;

use ecommerce_ml_predictor::{Answered, ModelPrecision, Pending, Predictor, guarded};
use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind, Input, ModelInfo, Output, Rows, Table};
use tokio::sync::oneshot;

use crate::model::ForecastModel;
use crate::refused;
use crate::table::{Question, forecasts};

/// A model that answers.
#[derive(Debug)]
pub struct ForecastPredictor {
    info: ModelInfo,
    precision: ModelPrecision,
    model: Arc<ForecastModel>,
}

impl ForecastPredictor {
    /// Of a model that is ready, whose file takes so many bytes.
    pub fn new((model, bytes): (ForecastModel, u64)) -> Self {
        let precision = ModelPrecision { name: "f64", note: String::new() };
        Self { info: model.info(bytes), precision, model: Arc::new(model) }
    }
}

impl Predictor for ForecastPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let (Input::Rows(arguments), Output::Table(Table::Forecast)) = (input, output) else {
            return Pending::ready(Err(refused("model only answers forecasts of its series")));
        };
        let (sender, receiver) = oneshot::channel();
        let model = Arc::clone(&self.model);
        let work = move || {
            // Nobody may wait any more.
            let _ = sender.send(guarded(|| answer(&model, &arguments)));
        };
        match thread::Builder::new().name("forecast".to_owned()).spawn(work) {
            Ok(_) => Pending::new(async move { receiver.await.unwrap_or_else(|_| Err(no_thread())) }),
            Err(_) => Pending::ready(Err(no_thread())),
        }
    }
}

fn answer(model: &ForecastModel, arguments: &Rows) -> Result<Answered, EngineError> {
    let questions = Question::all(model, arguments)?;
    let tables = questions.iter().map(|question| forecasts(model, question)).collect::<Result<_, _>>()?;
    Ok(Answered::computed(Answers::Tables(tables)))
}

fn no_thread() -> EngineError {
    EngineError::new(ErrorKind::Internal, "could not start a thread for a forecast")
}
