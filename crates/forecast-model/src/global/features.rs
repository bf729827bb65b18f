//! The numbers of features at an origin and a step.
//!
//! All values are divided by the mean size of the last ones, so that series of any size are alike. It must not know trees. Invariant: nothing
//! from the origin on is read but columns that are known ahead.

use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_forecast::series::Calendar;
use ecommerce_ml_protocol::ValueType;

use super::known::Known;
use super::layout::Layout;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// A series with what is known ahead.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// `[time]`; from an origin on they aren't read.
    pub values: &'a [f64],
    /// The period of the first of them.
    pub first: i64,
    /// How many came before.
    pub before: usize,
    /// Columns.
    pub known: &'a Known,
}

/// A place in a series from which is forecast, with what is the same for all steps.
#[derive(Debug, Clone)]
pub struct Origin {
    /// How many values are known.
    at: usize,
    /// The size of the last ones: the unit.
    pub unit: f64,
    /// Features but that of the step.
    common: Vec<f32>,
    /// The mean and the last of the values of each column of late.
    columns: Vec<[f32; 2]>,
}

#[allow(clippy::cast_precision_loss)]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[allow(clippy::cast_precision_loss)]
fn mean_size(values: &[f64]) -> f64 {
    values.iter().map(|value| value.abs()).sum::<f64>() / values.len().max(1) as f64
}

impl Origin {
    /// After so many known values of a series; none if all of them are 0.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn new(layout: &Layout, past: Past<'_>, at: usize) -> Option<Self> {
        let known = past.values.get(..at)?;
        let last = |count: usize| known.get(at.saturating_sub(count)..).unwrap_or_default();
        let [short, middle, long] = layout.windows();
        let unit = Some(mean_size(last(long))).filter(|size| *size > 0.0).unwrap_or_else(|| mean_size(known));
        if !(unit > 0.0 && unit.is_finite()) {
            return None;
        }
        let share = |count: usize| {
            let values = last(count);
            values.iter().filter(|value| **value != 0.0).count() as f64 / values.len().max(1) as f64
        };
        let since = known.iter().rev().take(long).take_while(|value| **value == 0.0).count();
        let centre = mean(last(middle));
        let deviation = mean(&last(middle).iter().map(|value| (value - centre).powi(2)).collect::<Vec<_>>());
        let mut common = vec![
            unit.ln() as f32,
            (past.before + at).min(2 * long) as f32,
            since as f32,
            share(middle) as f32,
            share(long) as f32,
            (mean(last(short)) / unit) as f32,
            (centre / unit) as f32,
            (deviation.sqrt() / unit) as f32,
        ];
        let lag = |lag: usize| at.checked_sub(lag).and_then(|place| known.get(place));
        common
            .extend((1..=layout.lags()).map(|one| lag(one).map_or(f32::NAN, |value| (value / unit) as f32)));
        let end = past.first.saturating_add(at as i64);
        let recent = |column: usize| {
            let periods = at.min(middle) as i64;
            let values = (end - periods..end).map(|period| f64::from(past.known.value(column, period)));
            let values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
            let mean = if values.is_empty() { f32::NAN } else { mean(&values) as f32 };
            [mean, past.known.value(column, end - 1)]
        };
        let columns = (0..layout.columns.len()).map(recent).collect();
        Some(Self { at, unit, common, columns })
    }

    /// Adds the features of a step, from 0, to a row of others.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn step(&self, layout: &Layout, calendar: Calendar, past: Past<'_>, step: usize, row: &mut Vec<f32>) {
        row.push((step + 1).min(layout.horizon) as f32);
        row.extend_from_slice(&self.common);
        let target = self.at + step;
        let scaled = |value: f64| (value / self.unit) as f32;
        if layout.season > 1 {
            // The latest of these that is known.
            let seasons = (step / layout.season + 1) * layout.season;
            let value = |back: usize| {
                let place = target.checked_sub(back)?;
                past.values.get(place).filter(|_| place < self.at)
            };
            row.extend(
                [seasons, seasons + layout.season]
                    .map(|back| value(back).map_or(f32::NAN, |one| scaled(*one))),
            );
            row.push(self.around(layout, past, target, seasons).map_or(f32::NAN, scaled));
        }
        if let Some(years) = step.checked_div(layout.year) {
            let years = (years + 1) * layout.year;
            row.push(self.around(layout, past, target, years).map_or(f32::NAN, scaled));
        }
        let period = past.first.saturating_add(target as i64);
        moment(layout, calendar, period, row);
        for (column, (scheme, [mean, last])) in layout.columns.iter().zip(&self.columns).enumerate() {
            let value = past.known.value(column, period);
            match scheme.field.value_type {
                ValueType::Text => {
                    let is = |category: usize| f32::from(u8::from(value == category as f32));
                    row.extend((0..scheme.categories.len()).map(is));
                }
                ValueType::Boolean => row.extend([value, value - mean, value - last]),
                // How much dearer or cheaper than before.
                _ => row.extend(
                    [value, value / mean, value / last]
                        .map(|one| Some(one).filter(|one| one.is_finite()).unwrap_or(f32::NAN)),
                ),
            }
        }
    }

    /// The mean of the values around one so many periods before; none where they aren't known.
    fn around(&self, layout: &Layout, past: Past<'_>, target: usize, back: usize) -> Option<f64> {
        let place = target.checked_sub(back)?;
        let from = place.saturating_sub(layout.around());
        let to = (place + layout.around() + 1).min(self.at);
        let values = past.values.get(from..to).filter(|values| !values.is_empty())?;
        Some(mean(values))
    }
}

/// The parts of the calendar that a period has.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn moment(layout: &Layout, calendar: Calendar, period: i64, row: &mut Vec<f32>) {
    let start = calendar.start(period);
    // A week is that of its middle.
    let day = start.div_euclid(DAY) + if layout.period == Period::Week { 3 } else { 0 };
    for name in layout.calendar() {
        row.push(match *name {
            "day_of_year" => (day - Period::Year.first_day(Period::Year.index(day))) as f32,
            "day_of_month" => (day - Period::Month.first_day(Period::Month.index(day))) as f32,
            "day_of_week" => (day + 3).rem_euclid(7) as f32,
            _ => start.rem_euclid(DAY).div_euclid(HOUR) as f32,
        });
    }
}
