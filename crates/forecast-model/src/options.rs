//! What the user may choose in a training.
//!
//! It must not know rows. Invariant: what is read back from [`Options::effective`] is the same.

use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_forecast::forecaster::MOST_HORIZON;
use ecommerce_ml_forecast::series::Gaps;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::options::parse;
use ecommerce_ml_training::options::reader::unexpected;
use ecommerce_ml_training::{CommonOptions, Reader};
use serde_json::json;

/// Longest season that can be asked for.
const LONGEST_SEASON: u64 = 1_000;

/// Options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Those of all kinds. Of a forecast `eval_fraction` only says whether anything is held out: 0 for nothing, else the last
    /// `horizon` periods.
    pub common: CommonOptions,
    /// The length of a period; found from the times if none is given.
    pub frequency: Option<Period>,
    /// Periods ahead. By default a day of hours, two weeks of days, 8 weeks, a year of months or quarters, 3 years.
    pub horizon: Option<usize>,
    /// Periods of a season, 1 for none. By default that of the frequency.
    pub season_length: Option<usize>,
    /// What a period without rows is. By default 0.
    pub gaps: Gaps,
    /// Whether to leave out a first and a last period of which only a part is there.
    pub drop_partial: bool,
    /// What forecasts.
    pub method: Method,
    /// Whether there are series of sums too, whose forecasts agree with those of their parts.
    pub reconcile: bool,
}

/// What forecasts series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// For each series what forecasts its past best.
    Auto,
    /// A method for each series, and nothing that knows all.
    Local,
    /// Trees that know all series.
    Trees,
}

/// Methods by name.
const METHODS: [(&str, Method); 3] =
    [("auto", Method::Auto), ("local", Method::Local), ("trees", Method::Trees)];

impl Options {
    const OWN: [&str; 7] =
        ["frequency", "horizon", "season_length", "gaps", "partial_periods", "method", "reconcile"];

    /// Reads them.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] with a message that names the option and what was expected.
    pub fn read(json: &str) -> Result<Self, EngineError> {
        let value = parse(json)?;
        let names: Vec<&str> = CommonOptions::NAMES.into_iter().chain(Self::OWN).collect();
        let reader = Reader::new(&value, &names)?;
        let frequencies =
            [Period::Hour, Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year];
        let frequencies = frequencies.map(|period| (period.name(), Some(period)));
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            common: CommonOptions::read(&reader)?,
            frequency: reader.choice("frequency", None, &frequencies)?,
            horizon: reader.integer("horizon", 1..=MOST_HORIZON as u64)?.map(size),
            season_length: reader.integer("season_length", 1..=LONGEST_SEASON)?.map(size),
            gaps: reader.choice("gaps", Gaps::Zero, &[("zero", Gaps::Zero), ("missing", Gaps::Missing)])?,
            reconcile: match reader.given("reconcile") {
                None => false,
                Some(value) => {
                    value.as_bool().ok_or_else(|| unexpected("reconcile", "true or false", value))?
                }
            },
            method: reader.choice("method", Method::Auto, &METHODS)?,
            drop_partial: reader.choice("partial_periods", true, &[("drop", true), ("keep", false)])?,
        })
    }

    /// The horizon of series with such periods.
    pub fn horizon_of(&self, period: Period) -> usize {
        self.horizon.unwrap_or(match period {
            Period::Hour => 24,
            Period::Day => 14,
            Period::Week => 8,
            Period::Month => 12,
            Period::Quarter => 4,
            Period::Year => 3,
        })
    }

    /// All options that hold for series with such periods, a JSON object.
    pub fn effective(&self, period: Period, season: usize) -> String {
        json!({
            "seed": self.common.seed,
            "eval_fraction": self.common.eval_fraction,
            "frequency": period.name(),
            "horizon": self.horizon_of(period),
            "season_length": season,
            "method": METHODS.iter().find(|(_, method)| *method == self.method).map(|(name, _)| name),
            "reconcile": self.reconcile,
            "gaps": if self.gaps == Gaps::Zero { "zero" } else { "missing" },
            "partial_periods": if self.drop_partial { "drop" } else { "keep" },
        })
        .to_string()
    }
}
