//! The temperature that makes a classifier as sure as it is right.
//!
//! One positive number T, by which all logits are divided: softmax(z / T). T above 1 makes probabilities humbler, below 1 bolder;
//! which class is the likeliest stays as it is. T is that of the least log loss on the rows held out, z being the logarithm of the
//! probabilities, which is the logits but for a constant. Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks
//! (ICML 2017), section 4.2. With one exception: ln T has a normal prior around 0, so that a handful of rows, all of them right,
//! don't make a model certain of everything.
//!
//! The rows that T is learned from judge the model afterwards. One number learned from n rows makes the log loss on them look
//! better than on others by about 1 / n nats a row: nothing beside the error of that loss itself, which a test here shows.
//! It must not know what models read or compute. Invariant: T is the same for the same answers, and between [`LOWEST`] and
//! [`HIGHEST`].

use ecommerce_ml_metrics::Scored;
use ecommerce_ml_protocol::Answers;
use ecommerce_ml_protocol::training::Metric;

use crate::targets::{Actual, Targets};

/// Least and largest temperature.
pub const LOWEST: f64 = 0.05;
/// The largest.
pub const HIGHEST: f64 = 20.0;

/// Standard deviation of the prior on ln T: a temperature of 1.65 or 0.6 is nothing out of the ordinary.
const PRIOR_DEVIATION: f64 = 0.5;

/// Below every probability that isn't 0 in single precision, so that each has a logarithm.
const LEAST_PROBABILITY: f64 = 1e-46;

/// Halvings of the interval that holds ln T: more than a double has room for.
const HALVINGS: usize = 60;

/// T is told, and applied, to so many parts of one.
const PARTS: f64 = 1000.0;

/// What was learned from the rows held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    /// What logits are to be divided by.
    pub value: f64,
    /// Rows that it was learned from.
    pub rows: usize,
    /// The expected calibration error on these rows before.
    pub error_before: f64,
}

impl Temperature {
    /// As metrics of the version, beside those of the model that it was applied to.
    pub fn metrics(&self) -> [Metric; 2] {
        let metric = |name: &str, value| Metric { name: name.to_owned(), class: None, value };
        [metric("temperature", self.value), metric("calibration_error_before", self.error_before)]
    }
}

/// A row: the logarithms of its probabilities, and how much of it is of which class.
struct Row {
    /// `[classes]`
    logits: Vec<f64>,
    /// Of the actual class, or of both that stars lie between, weighted.
    actual: f64,
}

/// The temperature of a model that answered so for `rows`; `None` if it has no classes, or no row has an answer.
pub fn fit(targets: &Targets, rows: &[usize], answers: &Answers) -> Option<Temperature> {
    let Answers::Classes { probabilities, .. } = answers else { return None };
    let mut scored = Scored::new(targets.labels().len());
    let mut fitted = Vec::with_capacity(rows.len());
    for (&row, probabilities) in rows.iter().zip(probabilities) {
        let Some(probabilities) = probabilities else { continue };
        let (class, towards_next) = place(targets.actual(row))?;
        if scored.add(class.min(probabilities.len() - 1), probabilities).is_err() {
            continue;
        }
        let log = |probability: &f32| f64::from(*probability).max(LEAST_PROBABILITY).ln();
        let logits: Vec<f64> = probabilities.iter().map(log).collect();
        let next = logits.get(class + 1).copied().unwrap_or_default();
        fitted.push(Row { actual: logits.get(class)? * (1.0 - towards_next) + next * towards_next, logits });
    }
    let error_before = scored.calibration_error()?;
    Some(Temperature { value: rounded(minimise(&fitted)), rows: fitted.len(), error_before })
}

/// The class of a row, and how much of it is of the next one.
fn place(actual: Actual) -> Option<(usize, f64)> {
    match actual {
        Actual::Class(class) => Some((class, 0.0)),
        Actual::Stars(stars) => Some((stars.floor() as usize - 1, stars.fract())),
        Actual::Number(_) => None,
    }
}

/// The temperature of the least loss, prior included: where the slope over u = -ln T changes its sign.
fn minimise(rows: &[Row]) -> f64 {
    let (mut low, mut high) = (-HIGHEST.ln(), -LOWEST.ln());
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if slope(rows, middle) < 0.0 { low = middle } else { high = middle }
    }
    (-f64::midpoint(low, high)).exp()
}

/// The derivative by u of sum(log sum exp(e^u z) - e^u z_actual) + u^2 / (2 deviation^2).
fn slope(rows: &[Row], u: f64) -> f64 {
    let inverse = u.exp();
    let of_rows: f64 = rows.iter().map(|row| mean_logit(&row.logits, inverse) - row.actual).sum();
    inverse * of_rows + u / (PRIOR_DEVIATION * PRIOR_DEVIATION)
}

/// The mean of logits, `[classes]`, under the probabilities that they have when multiplied by `inverse`.
fn mean_logit(logits: &[f64], inverse: f64) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut weighted, mut total) = (0.0, 0.0);
    for logit in logits {
        let weight = ((logit - largest) * inverse).exp();
        weighted += weight * logit;
        total += weight;
    }
    weighted / total
}

fn rounded(temperature: f64) -> f64 {
    ((temperature * PARTS).round() / PARTS).clamp(LOWEST, HIGHEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::hash;
    use crate::targets::Stars;

    /// From 0 to 1, of a number and a purpose.
    fn uniform(number: usize, purpose: u64) -> f64 {
        hash(7, purpose, &number.to_le_bytes()) as f64 / u64::MAX as f64
    }

    /// Rows of three classes that are drawn with the probabilities softmax(z); a model that says softmax(z times `boldness`).
    fn rows(count: usize, boldness: f64, purpose: u64) -> (Targets, Answers) {
        let (mut of, mut said) = (Vec::new(), Vec::new());
        for row in 0..count {
            let z: Vec<f64> = (0..3).map(|class| 4.0 * uniform(3 * row + class, purpose)).collect();
            let softmax = |scale: f64| {
                let total: f64 = z.iter().map(|z| (z * scale).exp()).sum();
                z.iter().map(|z| (z * scale).exp() / total).collect::<Vec<f64>>()
            };
            let (drawn, true_probabilities) = (uniform(row, purpose + 1), softmax(1.0));
            let below = |class: &usize| true_probabilities[..=*class].iter().sum::<f64>() <= drawn;
            of.push((0..2).filter(below).count() as u32);
            said.push(Some(softmax(boldness).into_iter().map(|p| p as f32).collect()));
        }
        let labels: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let answers = Answers::Classes { labels: labels.clone(), probabilities: said };
        (Targets::Classes { labels, of }, answers)
    }

    fn temperature(count: usize, boldness: f64, purpose: u64) -> Temperature {
        let (targets, answers) = rows(count, boldness, purpose);
        fit(&targets, &(0..count).collect::<Vec<_>>(), &answers).unwrap()
    }

    /// Mean log loss and expected calibration error at a temperature.
    fn loss_at(count: usize, boldness: f64, purpose: u64, temperature: f64) -> (f64, f64) {
        let (targets, answers) = rows(count, boldness, purpose);
        let (mut scored, Answers::Classes { probabilities, .. }) = (Scored::new(3), answers) else {
            panic!()
        };
        for (row, p) in probabilities.into_iter().flatten().enumerate() {
            let powers: Vec<f64> = p.iter().map(|p| f64::from(*p).powf(1.0 / temperature)).collect();
            let total: f64 = powers.iter().sum();
            let p: Vec<f32> = powers.iter().map(|power| (power / total) as f32).collect();
            scored.add(targets.class(row) as usize, &p).unwrap();
        }
        (scored.log_loss().unwrap(), scored.calibration_error().unwrap())
    }

    #[test]
    fn what_made_probabilities_too_bold_or_too_humble_is_found() {
        for boldness in [0.5, 1.0, 2.0, 3.0] {
            let found = temperature(4000, boldness, 10);
            assert!((found.value / boldness - 1.0).abs() < 0.08, "{boldness}: {found:?}");
            let (_, after) = loss_at(4000, boldness, 10, found.value);
            assert!(
                after < 0.025 && after < found.error_before + 0.005,
                "{boldness}: {found:?}, then {after}"
            );
        }
    }

    #[test]
    fn one_number_hardly_overfits() {
        // Learned from 500 rows, ten times, and judged by 20,000 others, whose own best temperature is hardly better.
        let best_of_others = temperature(20_000, 2.0, 30).value;
        let (best, _) = loss_at(20_000, 2.0, 30, best_of_others);
        let mut lost = 0.0;
        for draw in 0..10 {
            let found = temperature(500, 2.0, 100 + 10 * draw);
            let (others, error) = loss_at(20_000, 2.0, 30, found.value);
            lost += (others - best) / 10.0;
            assert!(error < 0.035 && found.error_before > 0.08, "{error}, before {found:?}");
        }
        assert!((0.0..1.0 / 500.0).contains(&lost), "{lost}");
    }

    #[test]
    fn few_rows_say_little() {
        // All right and rather sure: without the prior, T would be as low as it may; with it, .8 becomes .92.
        let labels = ["a", "b"].map(str::to_owned).to_vec();
        let of: Vec<u32> = (0..12).map(|row| row % 2).collect();
        let said = of.iter().map(|&class| Some(if class == 0 { vec![0.8, 0.2] } else { vec![0.2, 0.8] }));
        let answers = Answers::Classes { labels: labels.clone(), probabilities: said.collect() };
        let found = fit(&Targets::Classes { labels, of }, &(0..12).collect::<Vec<_>>(), &answers).unwrap();
        assert!((0.5..0.7).contains(&found.value), "{found:?}");
        assert!((found.error_before - 0.2).abs() < 1e-6 && found.rows == 12);
    }

    #[test]
    fn what_can_not_be_fitted_is_left_alone() {
        let labels = ["a", "b"].map(str::to_owned).to_vec();
        let targets = Targets::Classes { labels: labels.clone(), of: vec![0, 1] };
        let none = Answers::Classes { labels: labels.clone(), probabilities: vec![None, None] };
        assert_eq!(fit(&targets, &[0, 1], &none), None);
        assert_eq!(fit(&targets, &[], &none), None);
        assert_eq!(fit(&Targets::Numbers(vec![1.0]), &[0], &Answers::Numbers(vec![Some(1.0)])), None);
        // Certain and wrong, certain and right, and not a number.
        let odd = vec![Some(vec![0.0, 1.0]), Some(vec![0.0, 1.0]), Some(vec![f32::NAN, 1.0])];
        let targets = Targets::Classes { labels: labels.clone(), of: vec![0, 1, 0] };
        let found = fit(&targets, &[0, 1, 2], &Answers::Classes { labels, probabilities: odd }).unwrap();
        assert!(found.value > 1.0 && found.value <= HIGHEST && found.rows == 2, "{found:?}");
    }

    fn of_stars(stars: f64, rows: usize) -> Targets {
        Targets::Stars(vec![Stars::Number(stars); rows])
    }

    #[test]
    fn stars_between_two_are_of_both() {
        let labels = of_stars(1.0, 1).labels();
        let said = vec![Some(vec![0.02, 0.02, 0.46, 0.46, 0.04]); 400];
        let answers = |said| Answers::Classes { labels: labels.clone(), probabilities: said };
        let rows: Vec<usize> = (0..400).collect();
        let between = fit(&of_stars(3.5, 400), &rows, &answers(said.clone())).unwrap();
        let beside = fit(&of_stars(2.5, 400), &rows, &answers(said)).unwrap();
        assert!(between.value < 0.6 && beside.value > 1.0, "{between:?} {beside:?}");
        let last = fit(&of_stars(5.0, 2), &[0, 1], &answers(vec![Some(vec![0.2; 5]); 2]));
        assert!((last.unwrap().value - 1.0).abs() < 0.01);
    }

    #[test]
    fn it_is_what_scipy_finds() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/reference/temperature.json")).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let of: Vec<u32> = serde_json::from_value(case["actual"].clone()).unwrap();
            let said: Vec<Option<Vec<f32>>> = serde_json::from_value(case["probabilities"].clone()).unwrap();
            let labels: Vec<String> =
                (0..said[0].as_ref().unwrap().len()).map(|class| class.to_string()).collect();
            let rows: Vec<usize> = (0..of.len()).collect();
            let answers = Answers::Classes { labels: labels.clone(), probabilities: said };
            let found = fit(&Targets::Classes { labels, of }, &rows, &answers).unwrap();
            let wanted = case["temperature"].as_f64().unwrap();
            assert!((found.value - wanted).abs() < 0.001, "{found:?}, wanted {wanted}");
        }
    }
}
