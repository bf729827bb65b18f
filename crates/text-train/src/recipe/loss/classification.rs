//! Cross entropy with class weights and label smoothing, and a distance on top of it for classes that have an order.
//!
//! It must not know what classes mean, only that ordinal ones come in ascending order. Invariant: gradients of a row
//! add up to 0, because adding a number to all logits of a row changes nothing.

use ecommerce_ml_protocol::{EngineError, ErrorKind};

use super::{Loss, mismatch};

/// What a row should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// A class, or, where classes have an order, something between it and the next one.
    Between {
        /// The class, or the lower one of two.
        class: u32,
        /// How far it is from `class` to the next one, from 0 to below 1: that part of the target is the next class's.
        towards_next: f64,
    },
    /// One of several classes that follow each other, nobody knows which: a partial label (Jin and Ghahramani, "Learning with
    /// Multiple Labels", 2002).
    Among {
        /// The first of them.
        first: u32,
        /// The last of them.
        last: u32,
    },
}

impl From<u32> for Target {
    fn from(class: u32) -> Self {
        Self::Between { class, towards_next: 0.0 }
    }
}

/// The loss of a classification, as `torch.nn.functional.cross_entropy` defines it for `reduction="mean"`: rows are
/// weighted by the weight of their class, and their sum is divided by the sum of these weights.
///
/// With p the softmax of a row's logits, y its class, w the weights, C the number of classes and s the smoothing:
/// `-(1 - s) w[y] ln p[y] - s / C * sum over c of w[c] ln p[c]`, plus `ordinal * w[y] * sum over k of (P[k] - T[k])^2`
/// with the running sums P of p and T of the one-hot target.
///
/// A target between two classes is the two one-hot targets, and their weights, mixed in its proportion. One among several asks
/// for the sum of their probabilities: ln of it instead of `ln p[y]`, the mean of their weights, and no distance inside of them, so
/// that the model itself decides between them.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropy {
    classes: usize,
    weights: Vec<f64>,
    smoothing: f64,
    ordinal: f64,
}

impl CrossEntropy {
    /// Cross entropy over `classes`, all of the same weight.
    pub fn new(classes: usize) -> Self {
        Self { classes, weights: vec![1.0; classes], smoothing: 0.0, ordinal: 0.0 }
    }

    /// With a weight for each class, at least 0.
    /// `weights`: `[classes]`.
    #[must_use]
    pub fn with_weights(mut self, weights: &[f32]) -> Self {
        let given = weights.iter().copied().map(f64::from).chain(std::iter::repeat(1.0));
        self.weights = given.take(self.classes).collect();
        self
    }

    /// With this part (0 to 1) of each target spread evenly over all classes.
    #[must_use]
    pub fn with_smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// With `factor` times the squared earth mover's distance between the probabilities and the target, for classes in
    /// ascending order of what they mean, such as one to five stars: a mistake counts more the further off it is (Hou,
    /// Yu and Samaras, "Squared Earth Mover's Distance-based Loss for Training Deep Neural Networks", 2016, with
    /// l = 2). Cross entropy stays beside it, because the gradient of the distance alone vanishes where the network is
    /// sure and wrong.
    #[must_use]
    pub fn with_ordinal(mut self, factor: f64) -> Self {
        self.ordinal = factor;
        self
    }

    /// Sum of the weights of some targets. For the mean over the rows of one update, divide each batch by that of all
    /// of them.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if a target is none of the classes.
    pub fn denominator<T: Copy + Into<Target>>(&self, targets: &[T]) -> Result<f64, EngineError> {
        targets.iter().map(|&target| self.weight_of(target.into())).sum()
    }

    /// Loss of some rows: `logits` are rows x classes, row by row; `targets` is what each row should be. Nothing is left
    /// of loss and gradient if the denominator is 0.
    /// `logits`: `[rows, classes]`; `targets`: `[rows]`.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if shapes don't fit or a target is none of the classes.
    pub fn compute<T: Copy + Into<Target>>(
        &self,
        logits: &[f32],
        targets: &[T],
        denominator: f64,
    ) -> Result<Loss, EngineError> {
        if self.classes == 0 || logits.len() != targets.len() * self.classes {
            return Err(mismatch(logits.len(), targets.len()));
        }
        let scale = if denominator > 0.0 { denominator.recip() } else { 0.0 };
        let mut loss = Loss { value: 0.0, gradient: vec![0.0; logits.len()] };
        let mut row = RowBuffers::new(self.classes);
        let rows = logits.chunks_exact(self.classes).zip(loss.gradient.chunks_exact_mut(self.classes));
        for ((logits, gradient), &target) in rows.zip(targets) {
            let target = target.into();
            let weight = self.weight_of(target)?;
            row.softmax(logits);
            loss.value += scale * row.cross_entropy(self, target, weight);
            if self.ordinal != 0.0 {
                loss.value += scale * row.squared_distance(target, self.ordinal * weight);
            }
            for (gradient, value) in gradient.iter_mut().zip(&row.gradient) {
                *gradient = (scale * value) as f32;
            }
        }
        Ok(loss)
    }

    /// What a target weighs.
    fn weight_of(&self, target: Target) -> Result<f64, EngineError> {
        let weight = |class: u32| {
            let message = || format!("class {class} is none of {} classes", self.classes);
            let unknown = || EngineError::new(ErrorKind::Internal, message());
            self.weights.get(class as usize).copied().ok_or_else(unknown)
        };
        match target {
            Target::Between { class, towards_next: 0.0 } => weight(class),
            Target::Between { class, towards_next } => {
                Ok((1.0 - towards_next) * weight(class)? + towards_next * weight(class + 1)?)
            }
            Target::Among { first, last } => {
                let sum: f64 = (first..=last).map(weight).sum::<Result<_, _>>()?;
                Ok(sum / f64::from((last + 1).saturating_sub(first).max(1)))
            }
        }
    }

    /// What a class of a target between two weighs in it.
    fn part_of(&self, target: (u32, f64), class: usize) -> f64 {
        match class.checked_sub(target.0 as usize) {
            Some(0) => (1.0 - target.1) * self.weights[class],
            Some(1) => target.1 * self.weights[class],
            _ => 0.0,
        }
    }
}

/// Buffers for the numbers of one row, in double precision: there are few of them, and differences of running sums need
/// it.
struct RowBuffers {
    probabilities: Vec<f64>,
    log_probabilities: Vec<f64>,
    gradient: Vec<f64>,
}

impl RowBuffers {
    fn new(classes: usize) -> Self {
        let zeros = || vec![0.0; classes];
        Self { probabilities: zeros(), log_probabilities: zeros(), gradient: zeros() }
    }

    fn softmax(&mut self, logits: &[f32]) {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        let (shift, log_sum) = (f64::from(largest), sum.ln());
        for (log_probability, &logit) in self.log_probabilities.iter_mut().zip(logits) {
            *log_probability = f64::from(logit) - shift - log_sum;
        }
        for (probability, log_probability) in self.probabilities.iter_mut().zip(&self.log_probabilities) {
            *probability = log_probability.exp();
        }
    }

    /// The row's cross entropy; its gradient replaces what was there: with q the smoothed and weighted target, that is
    /// `p * (sum of q) - q`. Of a target among several, q is divided between them as p is.
    fn cross_entropy(&mut self, by: &CrossEntropy, target: Target, weight: f64) -> f64 {
        let spread = by.smoothing / by.classes as f64;
        let total = (1.0 - by.smoothing) * weight + spread * by.weights.iter().sum::<f64>();
        let among = match target {
            Target::Among { first, last } => {
                Some((first as usize..last as usize + 1, self.log_sum(first, last)))
            }
            Target::Between { .. } => None,
        };
        let mut value = among.as_ref().map_or(0.0, |(_, log_sum)| -(1.0 - by.smoothing) * weight * log_sum);
        for class in 0..by.classes {
            let smoothed = spread * by.weights[class];
            let (whole, counted) = match (&among, target) {
                (Some((classes, log_sum)), _) if classes.contains(&class) => {
                    let share = (self.log_probabilities[class] - log_sum).exp();
                    ((1.0 - by.smoothing) * weight * share, 0.0)
                }
                (None, Target::Between { class: lower, towards_next }) => {
                    let whole = (1.0 - by.smoothing) * by.part_of((lower, towards_next), class);
                    (whole, whole)
                }
                _ => (0.0, 0.0),
            };
            // A class that nobody wants adds nothing, even if its probability is 0 and the logarithm infinite.
            let wanted = counted + smoothed;
            value -= if wanted == 0.0 { 0.0 } else { wanted * self.log_probabilities[class] };
            self.gradient[class] = total * self.probabilities[class] - (whole + smoothed);
        }
        value
    }

    /// Logarithm of the sum of these classes' probabilities.
    fn log_sum(&self, first: u32, last: u32) -> f64 {
        let some = self.log_probabilities.get(first as usize..=last as usize).unwrap_or_default();
        let largest = some.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        some.iter().map(|log_probability| (log_probability - largest).exp()).sum::<f64>().ln() + largest
    }

    /// `factor` times the row's squared earth mover's distance, whose gradient is added: with `d[k] = P[k] - T[k]` and
    /// `g[c] = 2 * (sum of d[k] over k >= c)`, that is `p[c] * (g[c] - sum over j of p[j] g[j])`.
    fn squared_distance(&mut self, target: Target, factor: f64) -> f64 {
        let (mut value, mut running) = (0.0, 0.0);
        let mut slopes = vec![0.0; self.probabilities.len()];
        for (class, slope) in slopes.iter_mut().enumerate() {
            running += self.probabilities[class];
            let difference = match target {
                Target::Between { class: lower, towards_next } => match class.checked_sub(lower as usize) {
                    None => running,
                    Some(0) => running - (1.0 - towards_next),
                    Some(_) => running - 1.0,
                },
                Target::Among { first, .. } if class < first as usize => running,
                Target::Among { last, .. } if class < last as usize => 0.0,
                Target::Among { .. } => running - 1.0,
            };
            value += difference * difference;
            *slope = 2.0 * difference;
        }
        for class in (1..slopes.len()).rev() {
            slopes[class - 1] += slopes[class];
        }
        let mean: f64 = self.probabilities.iter().zip(&slopes).map(|(p, slope)| p * slope).sum();
        for ((gradient, p), slope) in self.gradient.iter_mut().zip(&self.probabilities).zip(&slopes) {
            *gradient += factor * p * (slope - mean);
        }
        factor * value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the loss at one logit, by central differences.
    fn slope(by: &CrossEntropy, logits: &[f32], targets: &[Target], at: usize) -> f64 {
        let moved = |by_how_much: f32| {
            let mut logits = logits.to_vec();
            logits[at] += by_how_much;
            by.compute(&logits, targets, 2.0).unwrap().value
        };
        // A power of two, so that the steps are exact.
        let step = 2.0_f32.powi(-10);
        (moved(step) - moved(-step)) / (2.0 * f64::from(step))
    }

    #[test]
    fn gradients_are_slopes() {
        let logits = [0.5, -1.25, 2.0, 0.0, 1.0, -3.0, 0.25, 0.75, -0.5, 1.5];
        for (smoothing, ordinal) in [(0.0, 0.0), (0.1, 0.0), (0.0, 1.0), (0.2, 2.5)] {
            let by = CrossEntropy::new(5)
                .with_weights(&[1.0, 0.5, 2.0, 0.25, 3.0])
                .with_smoothing(smoothing)
                .with_ordinal(ordinal);
            let between = Target::Between { class: 3, towards_next: 0.25 };
            for targets in [
                [between, Target::from(0)],
                [Target::Among { first: 3, last: 4 }, Target::Among { first: 0, last: 2 }],
            ] {
                let loss = by.compute(&logits, &targets, 2.0).unwrap();
                for (at, &gradient) in loss.gradient.iter().enumerate() {
                    let slope = slope(&by, &logits, &targets, at);
                    assert!((f64::from(gradient) - slope).abs() < 2e-6, "{gradient} is not {slope}");
                }
            }
        }
    }

    #[test]
    fn distance_grows_with_the_stars_that_a_mistake_is_off() {
        let by = CrossEntropy::new(5).with_ordinal(1.0);
        let loss = |guess: usize| {
            let mut logits = [0.0; 5];
            logits[guess] = 8.0;
            by.compute(&logits, &[4_u32], 1.0).unwrap().value
        };
        assert!(loss(4) < loss(3) && loss(3) < loss(2) && loss(2) < loss(1) && loss(1) < loss(0));
    }

    #[test]
    fn a_range_asks_for_the_sum_of_its_probabilities() {
        let by = CrossEntropy::new(5);
        let among = |first, last| by.compute(&LOGITS, &[Target::Among { first, last }], 1.0).unwrap();
        let exp: Vec<f64> = LOGITS.iter().map(|&logit| f64::from(logit).exp()).collect();
        let wanted = -((exp[3] + exp[4]) / exp.iter().sum::<f64>()).ln();
        assert!((among(3, 4).value - wanted).abs() < 1e-12);
        // Nothing is asked of one that holds everything, and of one class what is asked of it alone.
        assert!(
            among(0, 4).value.abs() < 1e-12 && among(0, 4).gradient.iter().all(|slope| slope.abs() < 1e-7)
        );
        assert_eq!(among(2, 2).value, by.compute(&LOGITS, &[2_u32], 1.0).unwrap().value);
        // Within a range the likelier class gains more.
        assert!(among(3, 4).gradient[4] < among(3, 4).gradient[3] && among(3, 4).gradient[3] < 0.0);
        let ordinal = CrossEntropy::new(5).with_ordinal(1.0);
        let far = |logits: &[f32; 5]| {
            ordinal.compute(logits, &[Target::Among { first: 3, last: 4 }], 1.0).unwrap().value
        };
        assert!(far(&[8.0, 0.0, 0.0, 0.0, 0.0]) > far(&[0.0, 0.0, 8.0, 0.0, 0.0]));
        assert!((far(&[0.0, 0.0, 0.0, 8.0, 0.0]) - far(&[0.0, 0.0, 0.0, 0.0, 8.0])).abs() < 1e-12);
    }

    const LOGITS: [f32; 5] = [0.5, -1.25, 0.0, 1.0, 2.0];

    #[test]
    fn loss_does_not_depend_on_how_rows_are_cut_into_batches() {
        let by = CrossEntropy::new(2).with_weights(&[1.0, 3.0]).with_smoothing(0.1);
        let (logits, targets) = ([0.5, -0.5, 1.0, 2.0, -1.0, 0.0], [0_u32, 1, 1]);
        let denominator = by.denominator(&targets).unwrap();
        let whole = by.compute(&logits, &targets, denominator).unwrap();
        let first = by.compute(&logits[..2], &targets[..1], denominator).unwrap();
        let rest = by.compute(&logits[2..], &targets[1..], denominator).unwrap();
        assert!((whole.value - first.value - rest.value).abs() < 1e-12);
        assert_eq!(whole.gradient, [first.gradient, rest.gradient].concat());
    }

    #[test]
    fn half_way_between_two_classes_both_are_as_good() {
        let target = Target::Between { class: 1, towards_next: 0.5 };
        let gradient = CrossEntropy::new(3).compute(&[0.0; 3], &[target], 1.0).unwrap().gradient;
        assert!(gradient[0] > 0.0 && gradient[1] < 0.0);
        assert_eq!(gradient[1], gradient[2]);
    }

    #[test]
    fn enormous_logits_give_numbers() {
        let loss = CrossEntropy::new(2).compute(&[3e38, -3e38], &[0_u32], 1.0).unwrap();
        assert_eq!((loss.value, loss.gradient), (0.0, vec![0.0, 0.0]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let by = CrossEntropy::new(2);
        assert!(by.compute(&[0.0; 3], &[0_u32], 1.0).is_err());
        assert!(by.compute(&[0.0; 2], &[2_u32], 1.0).is_err());
        assert!(by.denominator(&[0_u32, 7]).is_err());
        assert!(by.denominator(&[Target::Between { class: 1, towards_next: 0.5 }]).is_err());
        assert!(by.denominator(&[Target::Among { first: 1, last: 2 }]).is_err());
        assert!(CrossEntropy::new(0).compute::<u32>(&[], &[], 1.0).is_err());
    }

    #[test]
    fn rows_of_no_weight_give_nothing() {
        let by = CrossEntropy::new(2).with_weights(&[0.0, 1.0]);
        let loss = by.compute(&[1.0, 2.0], &[0_u32], by.denominator(&[0_u32]).unwrap()).unwrap();
        assert_eq!((loss.value, loss.gradient), (0.0, vec![0.0, 0.0]));
    }
}
