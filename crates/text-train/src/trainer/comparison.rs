//! The new model beside its rival, on the same rows.
//!
//! It must not know networks. Invariant: a rival is compared only where it can say what the labels say.

use ecommerce_ml_checkpoint::labels::Meaning;
use ecommerce_ml_metrics::paired;
use ecommerce_ml_protocol::training::Comparison;
use ecommerce_ml_protocol::{ModelInfo, Prediction};

use super::targets::{Actual, Targets};

/// Probability of chance below which a difference counts.
const LEVEL: f64 = 0.05;

/// Predictions of the rows held out, in order.
pub struct Predicted {
    /// By what.
    pub info: ModelInfo,
    /// One a row.
    pub rows: Vec<Option<Prediction>>,
}

/// Compares predictions of `rows`; `None` if the rival predicts something else than the labels, or there is no row.
pub(super) fn compare(
    targets: &Targets,
    rows: &[usize],
    new: &Predicted,
    rival: &Predicted,
    seed: u64,
) -> Option<Comparison> {
    if rows.is_empty() || rival.rows.len() != rows.len() {
        return None;
    }
    match targets {
        Targets::Classes { labels, .. } => {
            let right = |predicted: &Predicted| rights(targets, rows, labels, predicted);
            Some(by_accuracy(&right(new)?, &right(rival)?))
        }
        Targets::Stars(_) | Targets::Numbers(_) => {
            let errors = |predicted: &Predicted| errors(targets, rows, predicted);
            Some(by_error(&errors(new)?, &errors(rival)?, seed))
        }
    }
}

/// Whether each row is predicted rightly.
fn rights(targets: &Targets, rows: &[usize], labels: &[String], by: &Predicted) -> Option<Vec<bool>> {
    let classes = classes(labels, &by.info.labels);
    if classes.iter().all(Option::is_none) {
        return None;
    }
    let is_right = |(&row, prediction): (&usize, &Option<Prediction>)| {
        let predicted = prediction.as_ref().and_then(|prediction| likeliest(&prediction.probabilities));
        let class = predicted.and_then(|class| classes.get(class).copied().flatten());
        class.is_some_and(|class| targets.actual(row) == Actual::Class(class))
    };
    Some(rows.iter().zip(&by.rows).map(is_right).collect())
}

/// Which of `labels` each label of a model means: the same text, as many stars, or true for positive and false for negative.
fn classes(labels: &[String], of_model: &[String]) -> Vec<Option<usize>> {
    let place = |text: &str| labels.iter().position(|label| label == text);
    let mut classes: Vec<Option<usize>> = of_model.iter().map(|label| place(label)).collect();
    let mut also = |label: usize, text: &str| {
        if let Some(class @ None) = classes.get_mut(label) {
            *class = place(text);
        }
    };
    match Meaning::of(of_model) {
        Meaning::Stars(order) => {
            (1..=5).zip(order).for_each(|(stars, label)| also(label, &stars.to_string()))
        }
        Meaning::Sentiments { negative, neutral: None, positive } => {
            also(negative, "false");
            also(positive, "true");
        }
        Meaning::Sentiments { .. } | Meaning::Degrees(_) | Meaning::Other => {}
    }
    classes
}

/// The last of the largest, as `predict_class` has it.
fn likeliest(probabilities: &[f32]) -> Option<usize> {
    (0..probabilities.len()).max_by(|&one, &other| probabilities[one].total_cmp(&probabilities[other]))
}

/// How far each row is off.
fn errors(targets: &Targets, rows: &[usize], by: &Predicted) -> Option<Vec<f64>> {
    let error = |(&row, prediction): (&usize, &Option<Prediction>)| {
        let prediction = prediction.as_ref()?;
        match targets.actual(row) {
            // A regression says how many stars, too.
            Actual::Stars(stars) => {
                Some((prediction.rating.map(f64::from).or(prediction.value)? - stars).abs())
            }
            Actual::Number(number) => Some((prediction.value? - number).abs()),
            Actual::Class(_) => None,
        }
    };
    rows.iter().zip(&by.rows).map(error).collect()
}

fn by_accuracy(new: &[bool], rival: &[bool]) -> Comparison {
    let share = |rights: &[bool]| rights.iter().filter(|right| **right).count() as f64 / rights.len() as f64;
    let only = |one: &[bool], other: &[bool]| {
        one.iter().zip(other).filter(|(one, other)| **one && !**other).count() as u64
    };
    let (wins, losses) = (only(new, rival), only(rival, new));
    let p_value = paired::mcnemar(wins, losses);
    Comparison {
        metric: "accuracy".to_owned(),
        new: share(new),
        rival: share(rival),
        test: "mcnemar".to_owned(),
        p_value,
        wins,
        losses,
        rows: new.len() as u64,
        better: wins > losses && p_value < LEVEL,
    }
}

fn by_error(new: &[f64], rival: &[f64], seed: u64) -> Comparison {
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    let closer =
        |one: &[f64], other: &[f64]| one.iter().zip(other).filter(|(one, other)| one < other).count() as u64;
    let differences: Vec<f64> = rival.iter().zip(new).map(|(rival, new)| rival - new).collect();
    let p_value = paired::bootstrap(&differences, seed);
    let (new_mean, rival_mean) = (mean(new), mean(rival));
    Comparison {
        metric: "mae".to_owned(),
        new: new_mean,
        rival: rival_mean,
        test: "bootstrap".to_owned(),
        p_value,
        wins: closer(new, rival),
        losses: closer(rival, new),
        rows: new.len() as u64,
        better: new_mean < rival_mean && p_value < LEVEL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|&label| label.to_owned()).collect()
    }

    #[test]
    fn labels_of_a_rival_are_matched_by_what_they_mean() {
        let stars = owned(&["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]);
        assert_eq!(classes(&owned(&["1", "3", "5"]), &stars), [Some(0), None, Some(1), None, Some(2)]);
        assert_eq!(
            classes(&owned(&["false", "true"]), &owned(&["POSITIVE", "NEGATIVE"])),
            [Some(1), Some(0)]
        );
        assert_eq!(classes(&owned(&["a", "b"]), &owned(&["b", "c"])), [Some(1), None]);
    }

    #[test]
    fn only_more_than_chance_is_better() {
        let even: Vec<bool> = (0..40).map(|row| row % 2 == 0).collect();
        assert!(by_accuracy(&[true; 40], &even).better);
        assert!(!by_accuracy(&even, &[true; 40]).better);
        assert!(!by_accuracy(&[true, false, true], &[false, true, false]).better);
        let (near, far): (Vec<f64>, Vec<f64>) =
            (0..40).map(|row| (0.1 * row as f64, 0.1 * row as f64 + 0.5)).unzip();
        let comparison = by_error(&near, &far, 1);
        assert!(comparison.better && comparison.wins == 40 && comparison.losses == 0);
        assert!(!by_error(&near, &near, 1).better);
    }
}
