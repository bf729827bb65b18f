//! Which features trees have.
//!
//! It must not know values. Invariant: names, owners and the numbers of [`features`](super::features) go together, place by place.

use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_protocol::{Field, ValueType};
use serde::{Deserialize, Serialize};

/// A column that is known ahead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnScheme {
    /// By name and type.
    pub field: Field,
    /// The texts that are told apart, ascending; none of another type.
    pub categories: Vec<String>,
}

impl ColumnScheme {
    /// The place of a category that another scheme has at this place; NaN if it isn't here.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn recode(&self, other: &Self, place: f32) -> f32 {
        let text = if place >= 0.0 { other.categories.get(place as usize) } else { None };
        let own = text.and_then(|text| self.categories.binary_search(text).ok());
        own.map_or(f32::NAN, |place| place as f32)
    }
}

/// What there is to go by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    /// Of the calendar.
    pub period: Period,
    /// Periods of a season; 1 for none.
    pub season: usize,
    /// Periods of a longer season; 0 for none.
    pub year: usize,
    /// Most steps that trees have learned.
    pub horizon: usize,
    /// In the order of features.
    pub columns: Vec<ColumnScheme>,
}

/// What features are told of together, beside columns.
pub const RECENT: &str = "recent values";
/// As [`RECENT`].
pub const SEASON: &str = "values a season ago";
/// As [`RECENT`].
pub const CALENDAR: &str = "calendar";
/// As [`RECENT`].
pub const STEP: &str = "periods ahead";

impl Layout {
    /// Those of series of at most so many periods.
    pub fn new(
        period: Period,
        season: usize,
        horizon: usize,
        columns: Vec<ColumnScheme>,
        longest: usize,
    ) -> Self {
        let year = match period {
            Period::Hour => 168,
            Period::Day => 364,
            _ => 0,
        };
        // What comes again only after longer than most of the series can't be learned.
        let season = if longest > season + horizon { season.max(1) } else { 1 };
        let year = if year > season && longest > year + horizon { year } else { 0 };
        Self { period, season, year, horizon, columns }
    }

    /// Windows of means, ascending; the last one is that of the level.
    pub fn windows(&self) -> [usize; 3] {
        match self.period {
            Period::Hour => [6, 24, 168],
            Period::Day => [7, 28, 91],
            Period::Week => [4, 13, 52],
            Period::Month => [3, 6, 12],
            Period::Quarter => [2, 4, 8],
            Period::Year => [2, 3, 5],
        }
    }

    /// How many of the last values there are.
    pub fn lags(&self) -> usize {
        match self.period {
            Period::Day => 7,
            Period::Hour | Period::Week | Period::Month => 4,
            Period::Quarter | Period::Year => 2,
        }
    }

    /// Half of the window around a value of a year ago.
    pub fn around(&self) -> usize {
        if self.period == Period::Day { 3 } else { 1 }
    }

    /// How many of the last values features are made of.
    pub fn reach(&self) -> usize {
        let windows = self.windows().into_iter().max().unwrap_or(1);
        windows.max(2 * self.season).max(self.year) + self.around() + 1
    }

    /// Names of features, each with what it is told of with.
    pub fn features(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = Vec::new();
        let mut add = |name: String, owner: &str| all.push((name, owner.to_owned()));
        add("step".to_owned(), STEP);
        for name in ["size", "age", "since_demand"] {
            add(name.to_owned(), RECENT);
        }
        let [short, middle, long] = self.windows();
        add(format!("demand_share_{middle}"), RECENT);
        add(format!("demand_share_{long}"), RECENT);
        add(format!("mean_{short}"), RECENT);
        add(format!("mean_{middle}"), RECENT);
        add(format!("deviation_{middle}"), RECENT);
        (1..=self.lags()).for_each(|lag| add(format!("lag_{lag}"), RECENT));
        if self.season > 1 {
            add("season_1".to_owned(), SEASON);
            add("season_2".to_owned(), SEASON);
            add("around_season".to_owned(), SEASON);
        }
        if self.year > 0 {
            add("year".to_owned(), SEASON);
        }
        for name in self.calendar() {
            add((*name).to_owned(), CALENDAR);
        }
        for ColumnScheme { field, categories } in &self.columns {
            let mut own = |name: &str| add(format!("{}_{name}", field.name), &field.name);
            match field.value_type {
                ValueType::Text => categories.iter().for_each(|category| own(category)),
                _ => ["value", "to_mean", "to_last"].into_iter().for_each(own),
            }
        }
        all
    }

    /// Which parts of the calendar there are.
    pub fn calendar(&self) -> &'static [&'static str] {
        match self.period {
            Period::Hour => &["day_of_year", "day_of_week", "hour"],
            Period::Day => &["day_of_year", "day_of_week", "day_of_month"],
            Period::Week => &["day_of_year", "day_of_month"],
            Period::Month | Period::Quarter => &["day_of_year"],
            Period::Year => &[],
        }
    }
}
