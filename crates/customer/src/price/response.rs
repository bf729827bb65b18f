//! How sales respond to prices: of all, of each category, and of each key, with what to mind.
//!
//! It must not know rows or messages. Invariant: levels go from the widest to the narrowest, and what is said of a key depends on the data
//! and the options alone.

use ecommerce_ml_forecast::calendar::Period;
use serde::{Deserialize, Serialize};

use super::panel::Panel;
use super::regression::{Estimate, Groups, Slope, Unknown, fit};
use super::shrinkage::{Deviation, Known, between_variance};

/// Part of the intervals that hold.
pub const LEVEL: f64 = 0.95;
/// Observations below which there are few.
const FEW_OBSERVATIONS: usize = 20;
/// Standard deviation of log prices below which they hardly vary.
const SMALL_SPREAD: f64 = 0.01;
/// Part of the variation of a price that controls explain, above which what is the price's is theirs.
const MOST_BY_CONTROLS: f64 = 0.9;
/// Part of the periods without a sale above which that matters.
const MANY_EMPTY: f64 = 0.1;

/// What is said of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// The elasticity; none if the data don't tell it.
    pub elasticity: Option<Known>,
    /// Without the other keys: the estimate and its standard error.
    pub alone: Option<(f64, f64)>,
    /// Periods that it was learned from.
    pub observations: usize,
    /// What to mind.
    pub warnings: Vec<String>,
}

/// Which series belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// Categories, if there are any.
    pub categories: Option<Groups>,
    /// Keys.
    pub keys: Groups,
    /// `[key]`: the category of each; 0 if there are none.
    pub category_of: Vec<u32>,
}

/// What is said of all levels.
#[derive(Debug, Clone, PartialEq)]
pub struct Responses {
    /// Of all.
    pub all: Response,
    /// `[category]`.
    pub categories: Vec<Response>,
    /// `[key]`.
    pub keys: Vec<Response>,
    /// Effects of the controls on log quantity, of all, `[control]`.
    pub controls: Vec<f64>,
    /// Standard deviation between the elasticities of keys.
    pub between: f64,
}

/// How to estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Of which periods there are effects.
    pub effects: Option<Period>,
    /// Whether keys are drawn towards their category, or all.
    pub shrinks: bool,
}

/// Learns from observations.
///
/// # Errors
/// Why not even the elasticity of all is known.
pub fn respond(panel: &Panel, levels: &Levels, settings: Settings) -> Result<Responses, Unknown> {
    let slopes = |groups: &Groups| fit(panel, groups, settings.effects);
    let all = slopes(&Groups::one(panel.series.len())).into_iter().next().ok_or(Unknown::Few)?;
    let common = all.estimate?;
    let categories = levels.categories.as_ref().map(slopes).unwrap_or_default();
    let keys = slopes(&levels.keys);
    let center = |key: usize| {
        let category = levels.category_of.get(key).and_then(|category| categories.get(*category as usize));
        category.and_then(|slope| slope.estimate.ok()).unwrap_or(common)
    };
    let between = between(&keys, &center);
    let drawn = |(key, slope): (usize, &Slope)| {
        let known = |one: Estimate| {
            if settings.shrinks {
                Known::drawn(one, center(key), between, LEVEL)
            } else {
                Known::alone(one, LEVEL)
            }
        };
        describe(slope, slope.estimate.ok().map(known))
    };
    let alone = |slope: &Slope| describe(slope, slope.estimate.ok().map(|one| Known::alone(one, LEVEL)));
    Ok(Responses {
        all: alone(&all),
        categories: categories.iter().map(alone).collect(),
        keys: keys.iter().enumerate().map(drawn).collect(),
        controls: all.controls,
        between: between.sqrt(),
    })
}

fn between(keys: &[Slope], center: &impl Fn(usize) -> Estimate) -> f64 {
    let deviation = |(key, slope): (usize, &Slope)| {
        let one = slope.estimate.ok()?;
        Some(Deviation { distance: one.value - center(key).value, std_error: one.std_error })
    };
    let deviations: Vec<Deviation> = keys.iter().enumerate().filter_map(deviation).collect();
    between_variance(&deviations)
}

fn describe(slope: &Slope, elasticity: Option<Known>) -> Response {
    let alone = slope.estimate.ok().map(|one| (one.value, one.std_error));
    Response { elasticity, alone, observations: slope.observations, warnings: warnings(slope, elasticity) }
}

/// What to mind, the worst first.
fn warnings(slope: &Slope, elasticity: Option<Known>) -> Vec<String> {
    let mut found = Vec::new();
    match slope.estimate {
        Err(Unknown::ConstantPrice) => found.push("its price never varied".to_owned()),
        Err(Unknown::Controls) => found.push("its price moved with the control columns only".to_owned()),
        Err(Unknown::Periods) => found.push("its price moved with the effects of time only".to_owned()),
        Err(Unknown::Few) => found.push("too few observations".to_owned()),
        Ok(alone) => {
            found.extend(sign(alone.value, elasticity));
            if slope.by_controls > MOST_BY_CONTROLS {
                let part = slope.by_controls * 100.0;
                found
                    .push(format!("{part:.0} % of the variation of its price goes with the control columns"));
            }
            if slope.spread < SMALL_SPREAD {
                found.push(format!("its price varied by {:.1} % only", slope.spread * 100.0));
            }
            if slope.prices == 2 {
                found.push("it had 2 prices only".to_owned());
            }
            if slope.observations < FEW_OBSERVATIONS {
                found.push(format!("{} observations are few", slope.observations));
            }
        }
    }
    let periods = slope.empty + slope.observations;
    if slope.empty as f64 > MANY_EMPTY * periods as f64 {
        found.push(format!(
            "nothing was sold in {} of {periods} periods, which are left out and would make it more elastic",
            slope.empty
        ));
    }
    found
}

fn sign(alone: f64, elasticity: Option<Known>) -> Option<String> {
    let is_positive = elasticity.is_some_and(|known| known.value > 0.0);
    match (is_positive, alone > 0.0) {
        (true, _) => Some("more is sold at higher prices: something else moved both".to_owned()),
        (false, true) => Some(format!("on its own its estimate is positive ({alone:.2})")),
        (false, false) => None,
    }
}
