//! Fitted series with their keys and their calendar.
//!
//! It must not know rows or files. Invariant: series are ordered by their keys, and each has as many as the model has key columns.

use std::collections::BTreeMap;

use ecommerce_ml_forecast::components::Components;
use ecommerce_ml_forecast::forecaster::Forecaster;
use ecommerce_ml_forecast::series::{Calendar, Gaps};
use ecommerce_ml_protocol::{Answer, Field, ModelInfo, Reads, Signature, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::global::tails::Tail;
use crate::global::trees::Trees;

/// What the catalog calls the kind.
pub const KIND: &str = "forecast";

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForecastModel {
    /// The columns that tell series apart, by name and by their type in the relation.
    pub columns: Vec<Field>,
    /// `[series][column]`, ascending.
    pub keys: Vec<Vec<String>>,
    /// Of the periods.
    pub calendar: Calendar,
    /// The first period to come.
    pub end: i64,
    /// Periods that are forecast unless a call says otherwise.
    pub horizon: usize,
    /// Periods of a season; 1 for none.
    pub season: usize,
    /// What a period without rows is.
    pub gaps: Gaps,
    /// Whether a last period of which only a part is there doesn't count.
    pub whole_periods: bool,
    /// How much of series is trend, season and remainder, the mean of those of which that can be told.
    pub components: Option<Components>,
    /// Whether series are there of all sums too, with the first of their keys, and forecasts agree.
    pub reconciled: bool,
    /// Whether a value was negative.
    pub negative: bool,
    /// One model of all series, where it forecasts some of them better.
    pub global: Option<Global>,
    /// One series for each of the keys.
    pub forecaster: Forecaster,
}

/// One model of all series, ready to forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Global {
    /// Its trees.
    pub trees: Trees,
    /// The ends of the series, by their places.
    pub tails: Vec<Tail>,
    /// Which part of what it learned goes by what.
    pub importance: BTreeMap<String, f64>,
    /// By which part forecasts change with a column.
    pub effects: BTreeMap<String, f64>,
}

impl Global {
    /// The columns that are known ahead.
    pub fn fields(&self) -> Vec<&Field> {
        self.trees.layout.columns.iter().map(|scheme| &scheme.field).collect()
    }
}

impl ForecastModel {
    /// What it reads and answers.
    pub fn signature(&self) -> Signature {
        Signature {
            reads: Reads::Keys(self.columns.clone()),
            answers: [Table::Forecast, Table::TotalDemand, Table::ForecastErrors, Table::SeriesAnomalies]
                .map(Answer::Table)
                .to_vec(),
            labels: Vec::new(),
        }
    }

    /// The least that is forecast of a series that is no sum.
    pub fn least(&self) -> f64 {
        if self.negative { f64::NEG_INFINITY } else { 0.0 }
    }

    /// What the catalog is told of a model whose files take so many bytes.
    pub fn info(&self, bytes: u64) -> ModelInfo {
        let mut methods: BTreeMap<String, usize> = BTreeMap::new();
        for method in (0..self.forecaster.len()).filter_map(|place| self.forecaster.method(place)) {
            *methods.entry(method).or_default() += 1;
        }
        let details = json!({
            "series": self.keys.len(),
            "frequency": self.calendar.period.name(),
            "season_length": self.season,
            "horizon": self.horizon,
            "gaps": self.gaps,
            "components": self.components,
            "methods": methods,
            "reconciled": self.reconciled,
            "known_ahead": self.global.as_ref().map(Global::fields),
            "importance": self.global.as_ref().map(|global| &global.importance),
            "effects": self.global.as_ref().map(|global| &global.effects),
        });
        ModelInfo {
            kind: KIND.to_owned(),
            signature: self.signature(),
            parameters: self.keys.len() as u64,
            bytes,
            details: details.to_string(),
        }
    }

    /// Whether it can be asked, which one out of a damaged file may not.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        let ascend = self.keys.windows(2).all(|pair| pair[0] < pair[1]);
        let columns = self.columns.len();
        let fit =
            self.keys.iter().all(|keys| keys.len() == columns || (self.reconciled && keys.len() < columns));
        let has_tails = |global: &Global| global.tails.len() == self.keys.len();
        if !self.global.as_ref().is_none_or(has_tails) {
            return Err("its trees have no series");
        }
        if !ascend || !fit || self.keys.len() != self.forecaster.len() || !self.forecaster.is_sound() {
            return Err("its series are not what they should be");
        }
        Ok(())
    }
}
