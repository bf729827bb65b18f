//! Forecasts beside what came of the periods that they were made for.
//!
//! It must not know how series are forecast. Invariant: only periods are measured that the model has not learned from, and the seasonal
//! naive is measured on the same ones.

use std::collections::BTreeSet;
use std::rc::Rc;

use ecommerce_ml_forecast::accuracy::{Accuracy, Forecast, Scale};
use ecommerce_ml_metrics::report::{Metric, named_baseline};
use ecommerce_ml_protocol::{Field, Rows, Table};

use super::columns::NamedColumns;
use crate::catalog::resolve::Resolved;
use crate::catalog::versions;
use crate::error::Error;
use crate::inference::{TableRow, tables};
use crate::planning::history::{
    History, SERIES_AT_ONCE, SeriesColumns, Source, all_keys, arguments, fields, without_rows,
};
use crate::relation::Relation;

/// Part of the values that the intervals that are measured cover.
const LEVEL: f64 = 0.8;

/// What a model's forecasts and those of the seasonal naive are worth on the periods since its training.
///
/// # Errors
/// Those of [`SeriesColumns::of`], of [`Source::for_each`] and of [`tables`]; [`Error::NothingAfterTraining`], and
/// [`Error::ForecastsNotOf`] for arguments that name what no forecast reads.
pub fn measure(
    model: &Rc<Resolved>,
    relation: &Relation,
    named: &NamedColumns,
) -> Result<Vec<Metric>, Error> {
    let fields = fields(model);
    check_named(model, named, &fields)?;
    let columns = SeriesColumns::of(model, relation, (named.time.as_deref(), named.label.as_deref()))?;
    let columns = columns.with_known(model, relation)?;
    let source = Source::new(model, relation, &columns)?;
    let nothing =
        || Error::NothingAfterTraining { model: model.name.clone(), relation: relation.name().to_owned() };
    let latest = source.latest()?.ok_or_else(nothing)?;
    let asker = Asker { model, fields: &fields, latest };
    let mut measured = Measured::default();
    let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
    source.for_each(|histories| {
        asker.ask(&histories, &mut measured)?;
        seen.extend(histories.into_iter().map(|history| history.keys));
        Ok(())
    })?;
    if model.info["gaps"] == "zero" {
        // What has no row any more has not been sold, which the model may not have expected.
        let mut silent = all_keys(model, &fields)?;
        silent.retain(|keys| !seen.contains(keys));
        for some in silent.chunks(SERIES_AT_ONCE) {
            pgrx::check_for_interrupts!();
            let histories: Vec<History> = some.iter().cloned().map(without_rows).collect();
            asker.ask(&histories, &mut measured)?;
        }
    }
    if measured.own.count() > 0.0 { Ok(measured.metrics()) } else { Err(nothing()) }
}

/// What is the same in all questions.
struct Asker<'a> {
    model: &'a Rc<Resolved>,
    fields: &'a [Field],
    latest: i64,
}

impl Asker<'_> {
    fn ask(&self, histories: &[History], measured: &mut Measured) -> Result<(), Error> {
        let arguments = arguments(self.fields, histories, self.latest, &[("level", Some(LEVEL))]);
        tables(self.model, Table::ForecastErrors, arguments)?.iter().for_each(|answer| measured.add(answer));
        Ok(())
    }
}

/// What was measured on the periods that the training held out; nothing if it held out none.
///
/// # Errors
/// When our tables can't be read.
pub fn held_out(model: &Resolved) -> Result<Vec<Metric>, Error> {
    let Some(metrics) = versions::metrics(&model.name, model.version)? else { return Ok(Vec::new()) };
    let of = |group: &str| -> Vec<Metric> {
        let group = metrics[group].as_object().into_iter().flatten();
        group.filter_map(|(name, value)| Some((name.clone(), None, value.as_f64()?))).collect()
    };
    Ok(of("held_out").into_iter().chain(of("baseline").into_iter().map(named_baseline)).collect())
}

/// Arguments may be given as they were in training.
fn check_named(model: &Resolved, named: &NamedColumns, fields: &[Field]) -> Result<(), Error> {
    let wrong = |argument| Error::ForecastsNotOf { model: model.name.clone(), argument };
    let other_keys = named.keys.as_ref().is_some_and(|keys| {
        keys.iter().collect::<BTreeSet<_>>() != fields.iter().map(|field| &field.name).collect()
    });
    match named {
        NamedColumns { text: Some(_), .. } => Err(wrong("text_column")),
        NamedColumns { features: Some(features), .. } if !features.is_empty() => {
            Err(wrong("feature_columns"))
        }
        _ if other_keys => Err(wrong("key_columns")),
        _ => Ok(()),
    }
}

/// Forecasts measured, and the seasonal naive.
#[derive(Default)]
struct Measured {
    own: Accuracy,
    naive: Accuracy,
    series: f64,
    /// Series that the model doesn't have.
    skipped: f64,
}

impl Measured {
    /// Takes in the errors of one series.
    fn add(&mut self, answer: &Rows) {
        if answer.count == 0 {
            self.skipped += 1.0;
            return;
        }
        let column = |name: &str| -> Vec<f64> {
            TableRow::all(answer).map(|row| row.number(name).unwrap_or_default()).collect()
        };
        let (observed, naive) = (column("observed"), column("naive"));
        let forecast = |row: TableRow<'_>| {
            let number = |name| row.number(name).unwrap_or_default();
            Forecast { value: number("value"), lower: number("lower"), upper: number("upper") }
        };
        let own: Vec<Forecast> = TableRow::all(answer).map(forecast).collect();
        let naive: Vec<Forecast> =
            naive.iter().map(|value| Forecast { value: *value, lower: *value, upper: *value }).collect();
        let first = TableRow::all(answer).next();
        let scale = first.and_then(|row| {
            let (absolute, squared) = (row.number("absolute_scale")?, row.number("squared_scale")?);
            Some(Scale { absolute, squared })
        });
        self.own.add(&observed, &own, scale, LEVEL);
        self.naive.add(&observed, &naive, scale, LEVEL);
        self.series += 1.0;
    }

    fn metrics(&self) -> Vec<Metric> {
        let metric = |(name, value): (&str, Option<f64>)| value.map(|value| (name.to_owned(), None, value));
        let of_values = |found: &Accuracy| {
            [
                ("mase", found.mase()),
                ("rmsse", found.rmsse()),
                ("wape", found.wape()),
                ("smape", found.smape()),
            ]
        };
        let counts = [
            ("count", Some(self.own.count())),
            ("series", Some(self.series)),
            ("skipped", Some(self.skipped)),
        ];
        let of_intervals = [
            ("coverage", self.own.coverage()),
            ("interval_width", self.own.width()),
            ("pinball_loss", self.own.pinball()),
        ];
        let own = counts.into_iter().chain(of_values(&self.own)).chain(of_intervals).filter_map(metric);
        let naive = of_values(&self.naive).into_iter().filter_map(metric).map(named_baseline);
        own.chain(naive).collect()
    }
}
