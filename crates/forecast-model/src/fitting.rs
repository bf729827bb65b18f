//! Series to fit: measured by their last periods, compared with the live version, fitted.
//!
//! It must not know jobs. Invariant: nothing that is measured was known to what is measured.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use ecommerce_ml_forecast::components::Components;
use ecommerce_ml_forecast::forecaster::{Forecaster, Options};
use ecommerce_ml_forecast::held_out::{HeldOut, Models, hold_out_beside};
use ecommerce_ml_forecast::parallel::map;
use ecommerce_ml_forecast::reconcile::Hierarchy;
use ecommerce_ml_forecast::series::{Options as Regular, Panel, Series};
use ecommerce_ml_forecast::shared::Beside;
use ecommerce_ml_protocol::{EngineError, Field};
use ecommerce_ml_xgboost::Library;

use crate::global::boosting::{Lesson, grow};
use crate::global::effects::{effects, importance};
use crate::global::known::Known;
use crate::global::layout::Layout;
use crate::global::tails::Tail;
use crate::global::trees::{OfSeries, Trees};
use crate::model::{ForecastModel, Global};
use crate::sums::agree_held_out;
use crate::{invalid, refused};

/// Series, ready to be fitted.
pub struct SeriesToFit {
    /// The columns that tell them apart.
    pub columns: Vec<Field>,
    /// `[series][column]`, by the numbers in the panel.
    pub keys: Vec<Vec<String>>,
    /// The series.
    pub panel: Panel,
    /// How they were made.
    pub regular: Regular,
    /// How they are forecast.
    pub fitting: Options,
    /// Whether some of them are the sums of others, with which they shall agree.
    pub reconciled: bool,
    /// How trees are grown beside; none where they aren't tried.
    pub global: Option<GlobalTraining>,
    /// Trees that were grown, by the periods that they don't know.
    pub grown: RefCell<BTreeMap<usize, Option<Trees>>>,
}

/// What trees are grown of.
pub struct GlobalTraining {
    /// Which grows them.
    pub library: Arc<Library>,
    /// Their features.
    pub layout: Layout,
    /// By the numbers of series in the panel.
    pub known: Vec<Known>,
    /// Whether they alone forecast.
    pub forced: bool,
    /// What chance goes by.
    pub seed: u64,
}

impl SeriesToFit {
    /// Trees that know nothing of so many last periods.
    fn trees(&self, without: usize) -> Result<Option<Trees>, EngineError> {
        let Some(global) = &self.global else { return Ok(None) };
        if let Some(grown) = self.grown.borrow().get(&without) {
            return Ok(grown.clone());
        }
        let lesson = Lesson {
            series: &self.panel.series,
            known: &global.known,
            calendar: self.panel.calendar,
            layout: &global.layout,
            seed: global.seed,
            threads: self.fitting.threads,
        };
        let periods = i64::try_from(without).unwrap_or(i64::MAX);
        let trees = grow(&global.library, lesson, self.panel.end.saturating_sub(periods))?;
        self.grown.borrow_mut().insert(without, trees.clone());
        Ok(trees)
    }

    fn of_series<'a>(&'a self, trees: &'a Trees) -> OfSeries<'a> {
        OfSeries { trees, known: self.global.as_ref().map_or(&[], |global| global.known.as_slice()) }
    }

    fn is_forced(&self) -> bool {
        self.global.as_ref().is_some_and(|global| global.forced)
    }

    /// The last periods of series, so many at most, forecast from those before them; none if all series are too short.
    ///
    /// # Errors
    /// Those of the library of trees.
    pub fn held_out(&self, horizon: usize, level: f64) -> Result<Option<Vec<HeldOut>>, EngineError> {
        let options = Options { horizon, ..self.fitting };
        let now = self.trees(horizon)?;
        let past = if now.is_some() { self.trees(2 * horizon)? } else { None };
        // Trees that are forced forecast also where too little is left to choose by.
        let past = past.or_else(|| now.clone().filter(|_| self.is_forced()));
        let both = now.as_ref().zip(past.as_ref());
        let both = both.map(|(now, past)| (self.of_series(now), self.of_series(past)));
        let models = both
            .as_ref()
            .map(|(now, past)| Models { now, past: Beside { model: past, forced: self.is_forced() } });
        let mut all = hold_out_beside(&self.panel.series, options, level, models).ok();
        if let Some(all) = all.as_mut().filter(|_| self.reconciled) {
            let least = if self.is_negative() { f64::NEG_INFINITY } else { 0.0 };
            agree_held_out(&Hierarchy::of_keys(&self.keys_in_order()), &self.panel, all, horizon, least);
        }
        Ok(all)
    }

    fn is_negative(&self) -> bool {
        self.panel.series.iter().any(|one| one.values.iter().any(|value| *value < 0.0))
    }

    /// The keys of the series that there are. Keys whose rows are all in periods that are left out have none.
    fn keys_in_order(&self) -> Vec<Vec<String>> {
        let key = |series: &Series| {
            usize::try_from(series.key).ok().and_then(|key| self.keys.get(key)).cloned().unwrap_or_default()
        };
        self.panel.series.iter().map(key).collect()
    }

    /// The model of the whole of them.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for series that can't be fitted, and too few to grow trees that were asked for; the
    /// errors of the library.
    pub fn fit(self) -> Result<ForecastModel, EngineError> {
        let past = self.trees(self.fitting.horizon)?;
        let past = match past {
            None if self.is_forced() => self.trees(0)?,
            past => past,
        };
        if past.is_none() && self.is_forced() {
            return Err(refused("there are too few periods to train trees on")
                .with_hint("Train with the option \"method\": \"auto\"."));
        }
        let of_series = past.as_ref().map(|past| self.of_series(past));
        let beside = of_series.as_ref().map(|model| Beside { model, forced: self.is_forced() });
        let forecaster = Forecaster::fit_beside(&self.panel.series, self.panel.end, self.fitting, beside)
            .map_err(invalid)?;
        let global = self.global_of(&forecaster)?;
        let (keys, negative) = (self.keys_in_order(), self.is_negative());
        let Self { columns, panel, regular, fitting, reconciled, .. } = self;
        let components =
            map(&panel.series, fitting.threads, |one| Components::of(&one.values, fitting.season));
        Ok(ForecastModel {
            columns,
            keys,
            calendar: panel.calendar,
            end: panel.end,
            horizon: fitting.horizon,
            season: fitting.season,
            gaps: regular.gaps,
            whole_periods: regular.whole_periods && !panel.one_day_each,
            components: Components::mean(components.into_iter().flatten()),
            reconciled,
            negative,
            global,
            forecaster,
        })
    }

    /// Trees of all periods, and the ends of series; none if no series is forecast by them.
    fn global_of(&self, forecaster: &Forecaster) -> Result<Option<Global>, EngineError> {
        if (0..forecaster.len()).all(|place| forecaster.weight(place) <= 0.0) {
            return Ok(None);
        }
        let Some(trees) = self.trees(0)? else { return Ok(None) };
        let nothing = Known::default();
        let known = self.global.as_ref().map_or(&[][..], |global| global.known.as_slice());
        let tail = |series: &Series| {
            let known = usize::try_from(series.key).ok().and_then(|key| known.get(key));
            Tail::of(series, known.unwrap_or(&nothing), &trees.layout)
        };
        let tails: Vec<Tail> = self.panel.series.iter().map(tail).collect();
        let importance = importance(&trees);
        let effects = effects(&trees, &tails, self.fitting.threads);
        Ok(Some(Global { trees, tails, importance, effects }))
    }
}
