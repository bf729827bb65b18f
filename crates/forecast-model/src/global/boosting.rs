//! Trees from series, by XGBoost's library.
//!
//! Each example is a place in a series, a step ahead, and the value that came. What is minimised is the deviance of Poisson, whose minimum is
//! the mean, with a logarithm as link; with negative values the squared error. It must not know how the trees are judged. Invariant: the same
//! series give the same trees, bit by bit, with any number of threads: derivatives have sums that are exact.

use std::sync::Arc;

use ecommerce_ml_forecast::accuracy::Scale;
use ecommerce_ml_forecast::parallel::map;
use ecommerce_ml_forecast::series::{Calendar, Series};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_training::random::SplitMix64;
use ecommerce_ml_trees::booster_file;
use ecommerce_ml_xgboost::{Booster, Error, Library, Matrix};

use super::features::{Origin, Past};
use super::known::Known;
use super::layout::Layout;
use super::trees::Trees;

/// Most examples: of more, some by chance.
pub const MOST_EXAMPLES: usize = 250_000;
/// Fewest.
const LEAST_EXAMPLES: usize = 50;
/// Trees, and how much each counts.
const ROUNDS: u32 = 150;
const LEARNING_RATE: &str = "0.06";
/// Examples of a leaf, at least.
const LEAF: f64 = 20.0;
/// Largest value that is learned, in units of its series.
const LARGEST: f64 = 30.0;
/// Between what each example counts.
const WEIGHTS: (f64, f64) = (0.05, 20.0);
/// From so many numbers on the library shares out the work of a tree.
const MANY_NUMBERS: usize = 2_000_000;
/// Parts of 1 that derivatives are multiples of.
const EXACT: f32 = 65_536.0;

/// Series to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// The series.
    pub series: &'a [Series],
    /// By their keys.
    pub known: &'a [Known],
    /// Of their periods.
    pub calendar: Calendar,
    /// Features.
    pub layout: &'a Layout,
    /// What chance goes by.
    pub seed: u64,
    /// How many there are.
    pub threads: usize,
}

/// What is learned from.
#[derive(Debug, Default)]
struct Examples {
    /// `[example, feature]`.
    features: Vec<f32>,
    /// In units of their series.
    values: Vec<f32>,
    weights: Vec<f32>,
}

/// Trees that know nothing of the periods from `end` on; none if there is too little to learn from.
///
/// # Errors
/// [`ErrorKind::Internal`] if the library fails.
pub fn grow(library: &Arc<Library>, lesson: Lesson<'_>, end: i64) -> Result<Option<Trees>, EngineError> {
    let examples = examples(lesson, end);
    if examples.values.len() < LEAST_EXAMPLES {
        return Ok(None);
    }
    let logarithmic = lesson.series.iter().all(|one| one.values.iter().all(|value| *value >= 0.0));
    let width = lesson.layout.features().len();
    let matrix = Arc::new(Matrix::new(library, &examples.features, width).map_err(internal)?);
    let parameters = parameters(&examples, width, lesson);
    let mut booster = Booster::new(library, vec![matrix], &parameters).map_err(internal)?;
    let loss = Loss { examples: &examples, logarithmic };
    let base = loss.base();
    let mut margins = vec![base as f32; examples.values.len()];
    for round in 0..ROUNDS {
        let (mut first, mut second) = loss.derivatives(&margins);
        booster.boost(0, round, &mut first, &mut second).map_err(internal)?;
        let added = booster.margins_of_round(0, round).map_err(internal)?;
        margins.iter_mut().zip(added).for_each(|(margin, added)| *margin += added);
    }
    let json = booster.to_json().map_err(internal)?;
    let mut forest = booster_file::read(&json, width)
        .map_err(|what| EngineError::new(ErrorKind::Internal, format!("XGBoost's model: {what}")))?;
    forest.base = base;
    let Lesson { calendar, layout, .. } = lesson;
    Ok(Some(Trees { layout: layout.clone(), calendar, end, logarithmic, forest }))
}

/// Bytes that growing takes.
pub fn memory(series: &[Series], layout: &Layout) -> usize {
    let values: usize = series.iter().map(|one| one.values.len()).sum();
    let examples = values.saturating_mul(layout.horizon).min(MOST_EXAMPLES);
    // The features here and in the library, its bins, and derivatives.
    examples * (layout.features().len() * 10 + 32)
}

#[allow(clippy::cast_precision_loss)]
fn parameters(examples: &Examples, width: usize, lesson: Lesson<'_>) -> Vec<(&'static str, String)> {
    let count = examples.values.len();
    let weight = examples.weights.iter().map(|one| f64::from(*one)).sum::<f64>() / count.max(1) as f64;
    let depth = match count {
        0..2_000 => 3,
        2_000..20_000 => 4,
        _ => 6,
    };
    let threads = if count * width > MANY_NUMBERS { lesson.threads.max(1) } else { 1 };
    vec![
        ("objective", "reg:squarederror".to_owned()),
        ("base_score", "0".to_owned()),
        ("booster", "gbtree".to_owned()),
        ("tree_method", "hist".to_owned()),
        ("max_depth", depth.to_string()),
        ("eta", LEARNING_RATE.to_owned()),
        ("min_child_weight", (LEAF * weight).to_string()),
        ("lambda", weight.to_string()),
        ("seed", (lesson.seed % (1 << 31)).to_string()),
        ("nthread", threads.to_string()),
    ]
}

/// The examples of all series.
#[allow(clippy::cast_precision_loss)]
fn examples(lesson: Lesson<'_>, end: i64) -> Examples {
    let all: usize =
        lesson.series.iter().map(|one| pairs(known_before(one, end), lesson.layout.horizon)).sum();
    let part = (MOST_EXAMPLES as f64 / all.max(1) as f64).min(1.0);
    let places: Vec<usize> = (0..lesson.series.len()).collect();
    let found = map(&places, lesson.threads, |place| of_series(lesson, *place, end, part));
    let mut examples = Examples::default();
    for one in found {
        examples.features.extend(one.features);
        examples.values.extend(one.values);
        examples.weights.extend(one.weights);
    }
    examples
}

/// Values of a series before a period.
fn known_before(series: &Series, end: i64) -> usize {
    usize::try_from(end.saturating_sub(series.first)).unwrap_or(0).min(series.values.len())
}

/// Pairs of an origin and a step of so many values.
fn pairs(count: usize, horizon: usize) -> usize {
    let whole = count.saturating_sub(1).min(horizon);
    whole * count.saturating_sub(1) - whole * whole.saturating_sub(1) / 2
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn of_series(lesson: Lesson<'_>, place: usize, end: i64, part: f64) -> Examples {
    let mut examples = Examples::default();
    let Some(series) = lesson.series.get(place) else { return examples };
    let count = known_before(series, end);
    let nothing = Known::default();
    let known = usize::try_from(series.key).ok().and_then(|key| lesson.known.get(key)).unwrap_or(&nothing);
    let values = series.values.get(..count).unwrap_or_default();
    let past = Past { values, first: series.first, before: 0, known };
    let scale = Scale::of(values, lesson.layout.season).map(|scale| scale.squared.sqrt());
    let mut random = SplitMix64::of_part(lesson.seed, place as u64);
    for at in 1..count {
        let steps = lesson.layout.horizon.min(count - at);
        let wanted = part * steps as f64;
        let chosen: Vec<usize> = if part >= 1.0 {
            (0..steps).collect()
        } else {
            let more = usize::from(random.chance(wanted.fract()));
            (0..wanted as usize + more).map(|_| random.below(steps)).collect()
        };
        let origin = if chosen.is_empty() { None } else { Origin::new(lesson.layout, past, at) };
        let Some(origin) = origin else { continue };
        let weight = scale.filter(|scale| *scale > 0.0).map_or(1.0, |scale| origin.unit / scale);
        for step in chosen {
            let is_filled =
                u32::try_from(at + step).is_ok_and(|at| series.missing.binary_search(&at).is_ok());
            let Some(value) = values.get(at + step).filter(|_| !is_filled) else { continue };
            origin.step(lesson.layout, lesson.calendar, past, step, &mut examples.features);
            examples.values.push((value / origin.unit).clamp(-LARGEST, LARGEST) as f32);
            examples.weights.push(weight.clamp(WEIGHTS.0, WEIGHTS.1) as f32);
        }
    }
    examples
}

/// What is minimised.
struct Loss<'a> {
    examples: &'a Examples,
    logarithmic: bool,
}

impl Loss<'_> {
    /// The sum that is best if it is the same for all.
    fn base(&self) -> f64 {
        let Examples { values, weights, .. } = self.examples;
        let pairs = values.iter().zip(weights);
        let (sum, count) = pairs.fold((0.0, 0.0), |(sum, count), (value, weight)| {
            (sum + f64::from(value * weight), count + f64::from(*weight))
        });
        let mean = sum / f64::max(count, f64::MIN_POSITIVE);
        if self.logarithmic { mean.max(1e-3).ln() } else { mean }
    }

    /// By the sums of examples; each a multiple of a power of two, so that their sums are exact in any order.
    fn derivatives(&self, margins: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let Examples { values, weights, .. } = self.examples;
        let of_example = |((value, weight), margin): ((&f32, &f32), &f32)| {
            let expected = if self.logarithmic { margin.clamp(-10.0, 10.0).exp() } else { *margin };
            let curvature = if self.logarithmic { expected } else { 1.0 };
            let first = (weight * (expected - value)).clamp(-1000.0, 1000.0);
            let second = (weight * curvature).clamp(0.01, 1000.0);
            ((first * EXACT).round() / EXACT, (second * EXACT).round().max(1.0) / EXACT)
        };
        values.iter().zip(weights).zip(margins).map(of_example).unzip()
    }
}

fn internal(error: Error) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("could not train trees: {error}"))
}
