//! One model of all series: trees over the recent values of a series, the calendar, and columns that are known ahead.
//!
//! # Layout
//! - [`known`]: columns known ahead, by series and period; [`rows`]: from rows.
//! - [`layout`]: which features there are; [`features`]: their numbers at an origin.
//! - [`boosting`]: trees from series, by XGBoost's library; [`trees`]: what they say of a series.
//! - [`tails`]: the ends of series, which forecasts begin from.
//! - [`effects`]: what trees go by.
//!
//! It must not know how much trees count beside the methods of series. Invariant: a forecast reads no value from its origin on; of columns
//! it reads those of the period that it forecasts.

pub mod boosting;
pub mod effects;
pub mod features;
pub mod known;
pub mod layout;
pub mod rows;
pub mod tails;
pub mod trees;
