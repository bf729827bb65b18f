//! The new model beside the incumbent, and beside what the labels alone are worth, on the same rows.
//!
//! It must not know what models read. Invariant: an incumbent is compared only where it can say what the labels say; and both comparisons
//! are by the same measure and the same test.

use ecommerce_ml_metrics::paired;
use ecommerce_ml_protocol::training::{Baseline, BaselineComparison, Comparison};
use ecommerce_ml_protocol::{Answers, LabelScheme, Prediction};

use crate::targets::{Actual, Targets};

/// Probability of chance below which a difference counts.
const SIGNIFICANCE_LEVEL: f64 = 0.05;

/// Compares predictions of `rows`; `None` if the incumbent predicts something else than the labels, or there is no row.
pub fn compare(
    targets: &Targets,
    rows: &[usize],
    new: &Answers,
    incumbent: &Answers,
    seed: u64,
) -> Option<Comparison> {
    if rows.is_empty() || incumbent.len() != rows.len() {
        return None;
    }
    match targets {
        Targets::Classes { labels, .. } => {
            let correct = |answers: &Answers| correctness(targets, rows, labels, answers);
            Some(compare_accuracy(&correct(new)?, &correct(incumbent)?))
        }
        Targets::Stars(_) | Targets::Numbers(_) => {
            let errors = |answers: &Answers| errors(targets, rows, answers);
            Some(compare_errors(&errors(new)?, &errors(incumbent)?, seed))
        }
    }
}

/// Compares predictions of `rows` with the baseline; `None` if there is no row.
///
/// Where so few rows speak against the baseline that not even a model that is always right would pass the test, it is
/// enough to be better at all.
pub fn compare_with_baseline(
    targets: &Targets,
    rows: &[usize],
    new: &Answers,
    baseline: &Baseline,
    seed: u64,
) -> Option<BaselineComparison> {
    if rows.is_empty() || new.len() != rows.len() {
        return None;
    }
    match targets {
        Targets::Classes { labels, .. } => {
            let class = labels.iter().position(|label| Some(label) == baseline.label.as_ref())?;
            let correct: Vec<bool> =
                rows.iter().map(|&row| targets.actual(row) == Actual::Class(class)).collect();
            Some(compare_accuracy_with_baseline(&correctness(targets, rows, labels, new)?, &correct))
        }
        Targets::Stars(_) | Targets::Numbers(_) => {
            let median = baseline.median?;
            let baseline_errors = |&row: &usize| match targets.actual(row) {
                Actual::Stars(number) | Actual::Number(number) => Some((median - number).abs()),
                Actual::Class(_) => None,
            };
            let baseline_errors: Vec<f64> = rows.iter().map(baseline_errors).collect::<Option<_>>()?;
            let errors = errors(targets, rows, new)?;
            Some(compare_means_with_baseline("mae", false, (&errors, &baseline_errors), 0.0, seed))
        }
    }
}

/// Compares predictions of `rows` with those of a model that takes the place of the baseline; `None` if there is no row, or one of both
/// predicts something else than the labels.
///
/// As of the baseline it is enough to be better at all where no model could pass the test.
pub fn compare_with_model(
    targets: &Targets,
    rows: &[usize],
    new: &Answers,
    other: &Answers,
    seed: u64,
) -> Option<BaselineComparison> {
    if rows.is_empty() || new.len() != rows.len() || other.len() != rows.len() {
        return None;
    }
    match targets {
        Targets::Classes { labels, .. } => {
            let correct = |answers: &Answers| correctness(targets, rows, labels, answers);
            Some(compare_accuracy_with_baseline(&correct(new)?, &correct(other)?))
        }
        Targets::Stars(_) | Targets::Numbers(_) => {
            let errors = |answers: &Answers| errors(targets, rows, answers);
            Some(compare_means_with_baseline("mae", false, (&errors(new)?, &errors(other)?), 0.0, seed))
        }
    }
}

/// Both `[rows]`: whether each is right.
fn compare_accuracy_with_baseline(new: &[bool], baseline: &[bool]) -> BaselineComparison {
    let comparison = compare_accuracy(new, baseline);
    let testable = compare_accuracy(&vec![true; baseline.len()], baseline).better;
    let beaten = if testable { comparison.better } else { comparison.new > comparison.incumbent };
    BaselineComparison { comparison, testable, beaten }
}

/// Whether each row is predicted rightly, `[rows]`; `None` if the answers are of no class that the targets have.
fn correctness(targets: &Targets, rows: &[usize], labels: &[String], by: &Answers) -> Option<Vec<bool>> {
    let Answers::Classes { labels: of_model, probabilities } = by else { return None };
    let classes = classes(labels, of_model);
    if classes.iter().all(Option::is_none) {
        return None;
    }
    let is_correct = |(&row, probabilities): (&usize, &Option<Vec<f32>>)| {
        let predicted = probabilities.as_ref().and_then(|probabilities| argmax(probabilities));
        let class = predicted.and_then(|class| classes.get(class).copied().flatten());
        class.is_some_and(|class| targets.actual(row) == Actual::Class(class))
    };
    Some(rows.iter().zip(probabilities).map(is_correct).collect())
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
    match LabelScheme::of(of_model) {
        LabelScheme::Stars(order) => {
            (1..=5).zip(order).for_each(|(stars, label)| also(label, &stars.to_string()))
        }
        LabelScheme::Sentiments { negative, neutral: None, positive } => {
            also(negative, "false");
            also(positive, "true");
        }
        LabelScheme::Sentiments { .. } | LabelScheme::Degrees(_) | LabelScheme::Other => {}
    }
    classes
}

/// The last of the largest of `[classes]`, as `predict_class` has it.
fn argmax(probabilities: &[f32]) -> Option<usize> {
    (0..probabilities.len()).max_by(|&one, &other| probabilities[one].total_cmp(&probabilities[other]))
}

/// How far each row is off, `[rows]`; `None` if some have no answer that is a number.
fn errors(targets: &Targets, rows: &[usize], by: &Answers) -> Option<Vec<f64>> {
    let scheme = match by {
        Answers::Classes { labels, .. } => LabelScheme::of(labels),
        _ => LabelScheme::Other,
    };
    let error = |(place, &row): (usize, &usize)| {
        let prediction = by.prediction(place)?;
        match (targets.actual(row), prediction) {
            (Actual::Stars(stars), Prediction::Class { probabilities, .. }) => {
                Some((f64::from(scheme.read(probabilities).rating?) - stars).abs())
            }
            // A regression says how many stars, too.
            (Actual::Stars(number) | Actual::Number(number), Prediction::Number(value)) => {
                Some((value - number).abs())
            }
            (Actual::Number(_), Prediction::Class { .. }) | (Actual::Class(_), _) => None,
        }
    };
    rows.iter().enumerate().map(error).collect()
}

/// Both `[rows]`: whether each is right.
fn compare_accuracy(new: &[bool], incumbent: &[bool]) -> Comparison {
    let share =
        |correct: &[bool]| correct.iter().filter(|correct| **correct).count() as f64 / correct.len() as f64;
    let only = |one: &[bool], other: &[bool]| {
        one.iter().zip(other).filter(|(one, other)| **one && !**other).count() as u64
    };
    let (wins, losses) = (only(new, incumbent), only(incumbent, new));
    let p_value = paired::mcnemar(wins, losses);
    Comparison {
        more_is_better: true,
        metric: "accuracy".to_owned(),
        new: share(new),
        incumbent: share(incumbent),
        test: "mcnemar".to_owned(),
        p_value,
        wins,
        losses,
        rows: new.len() as u64,
        better: wins > losses && p_value < SIGNIFICANCE_LEVEL,
    }
}

/// Both `[rows]`: how far each is off.
fn compare_errors(new: &[f64], incumbent: &[f64], seed: u64) -> Comparison {
    compare_means("mae", false, (new, incumbent), seed)
}

/// Compares the mean of a metric over rows, series or customers by a paired bootstrap test; both `[rows]`, the new model's first.
pub fn compare_means(
    metric: &str,
    more_is_better: bool,
    (new, incumbent): (&[f64], &[f64]),
    seed: u64,
) -> Comparison {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let gain = |new: f64, incumbent: f64| if more_is_better { new - incumbent } else { incumbent - new };
    let gains: Vec<f64> = new.iter().zip(incumbent).map(|(new, incumbent)| gain(*new, *incumbent)).collect();
    let count = |is_one: fn(f64) -> bool| gains.iter().filter(|gain| is_one(**gain)).count() as u64;
    let p_value = paired::bootstrap(&gains, seed);
    let (new_mean, incumbent_mean) = (mean(new), mean(incumbent));
    Comparison {
        more_is_better,
        metric: metric.to_owned(),
        new: new_mean,
        incumbent: incumbent_mean,
        test: "bootstrap".to_owned(),
        p_value,
        wins: count(|gain| gain > 0.0),
        losses: count(|gain| gain < 0.0),
        rows: new.len() as u64,
        better: gain(new_mean, incumbent_mean) > 0.0 && p_value < SIGNIFICANCE_LEVEL,
    }
}

/// The same against a baseline. `best` is what a model that is always right would reach everywhere: where so few rows speak against the
/// baseline that not even that one would pass the test, it is enough to be better at all.
pub fn compare_means_with_baseline(
    metric: &str,
    more_is_better: bool,
    (new, baseline): (&[f64], &[f64]),
    best: f64,
    seed: u64,
) -> BaselineComparison {
    let comparison = compare_means(metric, more_is_better, (new, baseline), seed);
    let testable =
        compare_means(metric, more_is_better, (&vec![best; baseline.len()], baseline), seed).better;
    let is_nearer = if more_is_better {
        comparison.new > comparison.incumbent
    } else {
        comparison.new < comparison.incumbent
    };
    let beaten = if testable { comparison.better } else { is_nearer };
    BaselineComparison { comparison, testable, beaten }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::measure;
    use crate::targets::Stars;

    fn owned(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|&label| label.to_owned()).collect()
    }

    #[test]
    fn labels_of_an_incumbent_are_matched_by_what_they_mean() {
        let stars = owned(&["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]);
        assert_eq!(classes(&owned(&["1", "3", "5"]), &stars), [Some(0), None, Some(1), None, Some(2)]);
        assert_eq!(
            classes(&owned(&["false", "true"]), &owned(&["POSITIVE", "NEGATIVE"])),
            [Some(1), Some(0)]
        );
        assert_eq!(classes(&owned(&["a", "b"]), &owned(&["b", "c"])), [Some(1), None]);
    }

    fn against(of: &[u32], learned: usize, said: &[u32]) -> BaselineComparison {
        let labels = owned(&["a", "b"]);
        let targets = Targets::Classes { labels, of: of.to_vec() };
        let rows: Vec<usize> = (learned..of.len()).collect();
        let baseline = measure(&targets, &(0..learned).collect::<Vec<_>>(), &rows).unwrap();
        let say = |&class: &u32| Some(if class == 0 { vec![0.9, 0.1] } else { vec![0.1, 0.9] });
        let probabilities = said.iter().map(say).collect();
        let new = Answers::Classes { labels: owned(&["a", "b"]), probabilities };
        compare_with_baseline(&targets, &rows, &new, &baseline, 1).unwrap()
    }

    #[test]
    fn what_knows_no_more_than_the_labels_is_not_better_than_them() {
        // Learned from: three of a, two of b.
        let learned = [0, 0, 0, 1, 1];
        let of = |held_out: &[u32]| [&learned[..], held_out].concat();
        let many: Vec<u32> = (0..40).map(|row| row % 2).collect();
        let found = against(&of(&many), 5, &many);
        assert!(found.testable && found.beaten && found.comparison.wins == 20, "{found:?}");
        assert_eq!((found.comparison.new, found.comparison.incumbent), (1.0, 0.5));
        let found = against(&of(&many), 5, &[0; 40]);
        assert!(found.testable && !found.beaten, "{found:?}");
        // Better, but not by more than chance explains.
        let lucky: Vec<u32> = (0..40).map(|row| u32::from(row == 1 || row == 3)).collect();
        let found = against(&of(&many), 5, &lucky);
        assert!(
            found.testable && !found.beaten && found.comparison.new > found.comparison.incumbent,
            "{found:?}"
        );
        // Five rows speak against the labels alone: no test could tell.
        let few: Vec<u32> = (0..10).map(|row| row % 2).collect();
        let found = against(&of(&few), 5, &few);
        assert!(!found.testable && found.beaten && !found.comparison.better, "{found:?}");
        let found = against(&of(&few), 5, &[0; 10]);
        assert!(!found.testable && !found.beaten, "{found:?}");
        let few: Vec<u32> = (0..12).map(|row| row % 2).collect();
        assert!(against(&of(&few), 5, &few).testable);
    }

    #[test]
    fn numbers_are_held_against_the_median() {
        // Most are 1, so that the mean is far from most: an answer of 1 knows nothing, but is nearer than the mean.
        let numbers: Vec<f64> = (0..80).map(|row| if row % 8 == 0 { 90.0 } else { 1.0 }).collect();
        let targets = Targets::Numbers(numbers.clone());
        let rows: Vec<usize> = (40..80).collect();
        let baseline = measure(&targets, &(0..40).collect::<Vec<_>>(), &rows).unwrap();
        assert_eq!((baseline.median, baseline.label.as_deref()), (Some(1.0), None));
        assert!((baseline.mean.unwrap() - 12.125).abs() < 1e-12);
        let names: Vec<&str> = baseline.metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["mae", "rmse"]);
        let compare = |say: &dyn Fn(usize) -> f64| {
            let new = Answers::Numbers(rows.iter().map(|&row| Some(say(row))).collect());
            compare_with_baseline(&targets, &rows, &new, &baseline, 1).unwrap()
        };
        let found = compare(&|_| 1.0);
        assert!(!found.beaten && found.comparison.new == found.comparison.incumbent, "{found:?}");
        assert!(!compare(&|_| 12.125).beaten);
        assert!(compare(&|row| numbers[row] * 0.9).beaten);
    }

    #[test]
    fn stars_have_a_class_and_a_number() {
        let targets =
            Targets::Stars((0..60).map(|row| Stars::Number(f64::from([5, 5, 4, 1][row % 4]))).collect());
        let baseline =
            measure(&targets, &(0..40).collect::<Vec<_>>(), &(40..60).collect::<Vec<_>>()).unwrap();
        assert_eq!((baseline.label.as_deref(), baseline.median), (Some("5 stars"), Some(4.5)));
        let metric = |name: &str| baseline.metrics.iter().find(|metric| metric.name == name).unwrap().value;
        assert_eq!((metric("accuracy"), metric("mae")), (0.5, 1.25));
        assert!((metric("log_loss") - (0.5 * 2.0_f64.ln() + 0.5 * 4.0_f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn only_more_than_chance_is_better() {
        let even: Vec<bool> = (0..40).map(|row| row % 2 == 0).collect();
        assert!(compare_accuracy(&[true; 40], &even).better);
        assert!(!compare_accuracy(&even, &[true; 40]).better);
        assert!(!compare_accuracy(&[true, false, true], &[false, true, false]).better);
        let (near, far): (Vec<f64>, Vec<f64>) =
            (0..40).map(|row| (0.1 * row as f64, 0.1 * row as f64 + 0.5)).unzip();
        let comparison = compare_errors(&near, &far, 1);
        assert!(comparison.better && comparison.wins == 40 && comparison.losses == 0);
        assert!(!compare_errors(&near, &near, 1).better);
    }
}
