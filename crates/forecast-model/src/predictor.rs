//! A loaded model behind the boundary of all kinds.
//!
//! It must not know files. Invariant: [`Predictor::submit`] takes a fraction of a millisecond, however many series there are.

use std::sync::Arc;

use ecommerce_ml_predictor::{ModelPrecision, Pending, Predictor};
use ecommerce_ml_protocol::{Answers, EngineError, Input, ModelInfo, Output, Rows, Table};

use crate::demand::totals;
use crate::history::history;
use crate::model::ForecastModel;
use crate::outlook::known;
use crate::past::{anomalies, errors};
use crate::refused;
use crate::table::{Question, forecasts, forecasts_from};

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
        let answer = match output {
            Output::Table(Table::Forecast) => forecasts_of_series,
            Output::Table(Table::TotalDemand) => totals,
            Output::Table(Table::ForecastErrors) => errors,
            Output::Table(Table::SeriesAnomalies) => anomalies,
            _ => return Pending::ready(Err(refused("model only answers forecasts of its series"))),
        };
        let Input::Rows(arguments) = input else {
            return Pending::ready(Err(refused("model does not read a text")));
        };
        let model = Arc::clone(&self.model);
        Pending::on_thread("forecast", move || answer(&model, &arguments).map(Answers::Tables))
    }
}

fn forecasts_of_series(model: &ForecastModel, arguments: &Rows) -> Result<Vec<Rows>, EngineError> {
    let questions = Question::all(model, arguments)?;
    let is_alone = ["history", "known"].into_iter().any(|name| arguments.column(name).is_some());
    if model.reconciled && is_alone {
        return Err(refused("forecasts that agree with their sums go by the training alone")
            .with_hint("Leave out history and future, or train without \"reconcile\"."));
    }
    let answer = |(row, question): (usize, &Question)| {
        let known = known(model, arguments, row)?;
        match history(model, arguments, row)? {
            None => forecasts(model, question, &known),
            Some(history) => forecasts_from(model, question, &history, &known),
        }
    };
    questions.iter().enumerate().map(answer).collect()
}
