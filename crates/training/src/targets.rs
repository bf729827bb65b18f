//! Labels to what a model learns from them.
//!
//! It must not know what models read. Invariant: every target is one that its objective has: a class of the list, one to
//! five stars, a finite number.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::text::lookalikes;
use ecommerce_ml_protocol::training::{Label, Objective};
use ecommerce_ml_protocol::{EngineError, ErrorKind, LabelScheme, is_blank};

/// Least number of rows: with fewer there is nothing to learn, only to remember.
const LEAST_ROWS: usize = 8;

/// Most classes, as of `evaluate_predictions`: their matrix has a million cells then.
const MOST_CLASSES: usize = 1000;

/// Largest number of a regression: beyond it, what is computed in single precision overflows.
const LARGEST_NUMBER: f64 = 1e30;

/// Characters of a label that an error shows.
const SHOWN: usize = 60;

/// Labels that an error shows.
const SHOWN_LABELS: usize = 10;

/// The targets of all rows, in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Classes without an order.
    Classes {
        /// In the order of the model's outputs.
        labels: Vec<String>,
        /// One a row.
        of: Vec<u32>,
    },
    /// One to five stars.
    Stars(Vec<Stars>),
    /// Numbers.
    Numbers(Vec<f64>),
}

/// What is known of a row's stars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stars {
    /// So many, perhaps between two of them.
    Number(f64),
    /// A whole number from the first, which is the smaller, to the second: nobody knows which.
    Range(u8, u8),
}

impl Stars {
    /// The number, or the middle of what it may be.
    pub fn middle(self) -> f64 {
        match self {
            Self::Number(number) => number,
            Self::Range(lowest, highest) => f64::from(lowest + highest) / 2.0,
        }
    }
}

/// What a row should have been, for metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Actual {
    /// Number of the class.
    Class(usize),
    /// Stars.
    Stars(f64),
    /// The number.
    Number(f64),
}

impl Targets {
    /// Reads the labels of rows. `known` are the labels of the model that the training begins with, if there is one; they are
    /// kept, in their order, where they are the same as those of the rows.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for too few rows, fewer than two classes or too many, and labels that the objective
    /// doesn't have.
    pub fn read(objective: Objective, rows: &[Label], known: Option<&[String]>) -> Result<Self, EngineError> {
        let targets = match objective {
            Objective::Classification => classes(rows, known)?,
            Objective::Rating => Self::Stars(rows.iter().map(stars).collect::<Result<_, _>>()?),
            Objective::Regression
            | Objective::Forecast
            | Objective::Recommendation
            | Objective::Lifetime
            | Objective::Anomaly
            | Objective::Elasticity => Self::Numbers(rows.iter().map(number).collect::<Result<_, _>>()?),
        };
        targets.refuse_too_few(rows.len())?;
        Ok(targets)
    }

    /// Names of the model's outputs; none for a regression.
    pub fn labels(&self) -> Vec<String> {
        match self {
            Self::Classes { labels, .. } => labels.clone(),
            Self::Stars(_) => star_labels(),
            Self::Numbers(_) => Vec::new(),
        }
    }

    /// Outputs of the model.
    pub fn outputs(&self) -> usize {
        self.labels().len().max(1)
    }

    /// The class of a row, the nearest of stars or of the middle of a range of them; 0 for numbers.
    pub fn class(&self, row: usize) -> u32 {
        match self {
            Self::Classes { of, .. } => of[row],
            Self::Stars(stars) => stars[row].middle().round() as u32 - 1,
            Self::Numbers(_) => 0,
        }
    }

    /// What a row should be.
    pub fn actual(&self, row: usize) -> Actual {
        match self {
            Self::Classes { of, .. } => Actual::Class(of[row] as usize),
            Self::Stars(stars) => Actual::Stars(stars[row].middle()),
            Self::Numbers(numbers) => Actual::Number(numbers[row]),
        }
    }

    /// Whether it is known what a row should be: nothing can be measured on one of which only a range is.
    pub fn is_exact(&self, row: usize) -> bool {
        !matches!(self, Self::Stars(stars) if matches!(stars[row], Stars::Range(..)))
    }

    /// Rows of each class.
    pub fn counts(&self, rows: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut counts = vec![0; self.labels().len()];
        rows.for_each(|row| {
            if let Some(count) = counts.get_mut(self.class(row) as usize) {
                *count += 1;
            }
        });
        counts
    }

    /// Mean and standard deviation of these rows' numbers; 0 and 1 of anything else, and a deviation of 1 of a constant.
    pub fn scale(&self, rows: &[usize]) -> (f64, f64) {
        let Self::Numbers(numbers) = self else { return (0.0, 1.0) };
        let count = rows.len().max(1) as f64;
        let mean = rows.iter().map(|&row| numbers[row]).sum::<f64>() / count;
        let variance = rows.iter().map(|&row| (numbers[row] - mean).powi(2)).sum::<f64>() / count;
        // Rounding makes no constant vary.
        let least = 1e-9 * mean.abs().max(f64::MIN_POSITIVE);
        let deviation = variance.sqrt();
        (mean, if deviation > least { deviation } else { 1.0 })
    }

    /// Refuses rows to learn from that say nothing of what the others are: all of one class, or the same number. Which rows
    /// are learned from may be decided by their time.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`].
    pub fn refuse_one_of_a_kind(&self, learned: &[usize]) -> Result<(), EngineError> {
        let same = match self {
            Self::Numbers(numbers) => {
                learned.windows(2).all(|pair| matches!(pair, &[one, other] if numbers[one] == numbers[other]))
            }
            _ => self.counts(learned.iter().copied()).iter().filter(|count| **count > 0).count() < 2,
        };
        if !same {
            return Ok(());
        }
        Err(refused("all rows to learn from have the same label, because later ones are held out".to_owned())
            .with_hint("Lower \"eval_fraction\", or train without a column of times."))
    }

    /// A number that never changes is known without a model.
    fn refuse_constant(&self, rows: usize) -> Result<(), EngineError> {
        let Self::Numbers(numbers) = self else { return Ok(()) };
        match numbers.split_first() {
            Some((first, rest)) if rest.iter().all(|number| number == first) => {
                Err(refused("training needs at least two different numbers".to_owned())
                    .with_detail(format!("All {rows} rows have label {first}.")))
            }
            _ => Ok(()),
        }
    }

    fn refuse_too_few(&self, rows: usize) -> Result<(), EngineError> {
        let counts = self.counts(0..rows);
        let labels = self.labels();
        if rows < LEAST_ROWS {
            let message = format!("training needs at least {LEAST_ROWS} rows");
            return Err(refused(message).with_detail(described(rows, &labels, &counts)));
        }
        self.refuse_constant(rows)?;
        if !labels.is_empty() && counts.iter().filter(|count| **count > 0).count() < 2 {
            return Err(refused("training needs at least two classes".to_owned())
                .with_detail(described(rows, &labels, &counts)));
        }
        Ok(())
    }
}

/// The names of one to five stars.
pub fn star_labels() -> Vec<String> {
    let name = |stars: u32| if stars == 1 { "1 star".to_owned() } else { format!("{stars} stars") };
    (1..=5).map(name).collect()
}

/// Whether a head of these labels is one of one to five stars, in ascending order.
pub fn are_stars(labels: &[String]) -> bool {
    LabelScheme::of(labels) == LabelScheme::Stars([0, 1, 2, 3, 4])
}

fn classes(rows: &[Label], known: Option<&[String]>) -> Result<Targets, EngineError> {
    let mut found = BTreeMap::<&str, u32>::new();
    for row in rows {
        let Label::Class(class) = row else {
            return Err(refused("a classification needs classes, not numbers".to_owned()));
        };
        found.insert(class, 0);
    }
    if found.len() > MOST_CLASSES {
        return Err(refused(format!("training is for at most {MOST_CLASSES} classes, not {}", found.len()))
            .with_hint("For numbers, train with task \"rating\" or \"regression\"."));
    }
    refuse_messy(rows, &found)?;
    let mut labels: Vec<String> = found.keys().map(|&label| label.to_owned()).collect();
    let same = |known: &&[String]| {
        let mut sorted = known.to_vec();
        sorted.sort_unstable();
        sorted == labels
    };
    if let Some(known) = known.filter(same) {
        labels = known.to_vec();
    } else if labels.iter().all(|label| label.parse::<i128>().is_ok()) {
        labels.sort_by_cached_key(|label| label.parse().unwrap_or(0_i128));
    }
    for (place, label) in labels.iter().enumerate() {
        found.insert(label, place as u32);
    }
    let of = rows.iter().map(|row| match row {
        Label::Class(class) => found.get(class.as_str()).copied().unwrap_or_default(),
        Label::Number(_) | Label::Range(..) => 0,
    });
    let of = of.collect();
    Ok(Targets::Classes { labels, of })
}

/// Refuses blank labels and those that differ by no more than case or what is around them: they are one class, misspelt.
fn refuse_messy(rows: &[Label], found: &BTreeMap<&str, u32>) -> Result<(), EngineError> {
    let groups = lookalikes(found.keys().copied());
    let blank = found.keys().any(|label| is_blank(label));
    if groups.is_empty() && !blank {
        return Ok(());
    }
    let mut counts = BTreeMap::<&str, usize>::new();
    for row in rows {
        if let Label::Class(class) = row {
            *counts.entry(class).or_default() += 1;
        }
    }
    if blank {
        let rows: usize = counts.iter().filter(|(label, _)| is_blank(label)).map(|(_, count)| count).sum();
        return Err(refused("a label is blank".to_owned())
            .with_detail(format!("Rows with a blank label: {rows}."))
            .with_hint(
                "Rows without a label are left out: train from a view with nullif(trim(label), '').",
            ));
    }
    let shown: Vec<String> = groups
        .concat()
        .into_iter()
        .take(SHOWN_LABELS)
        .map(|label| {
            let count = counts.get(label).copied().unwrap_or_default();
            format!("{count} of \"{}\"", label.chars().take(SHOWN).collect::<String>())
        })
        .collect();
    Err(refused("labels differ only in case or white space".to_owned())
        .with_detail(format!("Rows: {}.", shown.join(", ")))
        .with_hint("Train from a view in which a class has one name, for example lower(trim(label))."))
}

fn stars(row: &Label) -> Result<Stars, EngineError> {
    if let Label::Range(lowest, highest) = row {
        return star_range(*lowest, *highest);
    }
    let stars = number(row)?;
    if (1.0..=5.0).contains(&stars) {
        return Ok(Stars::Number(stars));
    }
    Err(refused(format!("label {stars} is not a number of stars from 1 to 5")))
}

/// The whole stars of a range, or the one number that it stands for. What lies beyond 1 and 5 is cut off: "at least 4" is 4 or 5.
fn star_range(lowest: f64, highest: f64) -> Result<Stars, EngineError> {
    if lowest == highest && (1.0..=5.0).contains(&lowest) {
        return Ok(Stars::Number(lowest));
    }
    let (first, last) = (lowest.max(1.0).ceil(), highest.min(5.0).floor());
    let is_known = !lowest.is_nan() && !highest.is_nan();
    if is_known && first < last {
        return Ok(Stars::Range(first as u8, last as u8));
    }
    if is_known && first == last {
        return Ok(Stars::Number(first));
    }
    Err(refused(format!("label from {lowest} to {highest} holds no number of stars from 1 to 5")))
}

fn number(row: &Label) -> Result<f64, EngineError> {
    match row {
        Label::Number(number) if number.abs() <= LARGEST_NUMBER => Ok(*number),
        Label::Number(number) if number.is_finite() => {
            Err(refused(format!("label {number:e} is too large: the largest is {LARGEST_NUMBER:e}")))
        }
        Label::Number(number) => Err(refused(format!("label {number} is not a finite number"))
            .with_hint("Rows without a label are left out: train from a view with nullif(label, 'NaN').")),
        Label::Class(class) => {
            let shown: String = class.chars().take(SHOWN).collect();
            Err(refused(format!("label \"{shown}\" is not a number")))
        }
        Label::Range(lowest, highest) => {
            Err(refused(format!("label from {lowest} to {highest} is not a number")))
        }
    }
}

/// How many rows there are of what.
fn described(rows: usize, labels: &[String], counts: &[usize]) -> String {
    let counted = labels.iter().zip(counts).filter(|(_, count)| **count > 0);
    let classes: Vec<String> = counted
        .take(SHOWN_LABELS)
        .map(|(label, count)| format!("{count} of \"{}\"", label.chars().take(SHOWN).collect::<String>()))
        .collect();
    let rows = if rows == 1 { "There is 1 row".to_owned() } else { format!("There are {rows} rows") };
    if classes.is_empty() { format!("{rows}.") } else { format!("{rows}: {}.", classes.join(", ")) }
}

fn refused(message: String) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(labels: &[&str]) -> Vec<Label> {
        labels.iter().map(|label| Label::Class((*label).to_owned())).collect()
    }

    fn labels(labels: &[&str], known: Option<&[String]>) -> Vec<String> {
        let all = labels.repeat(8);
        Targets::read(Objective::Classification, &rows(&all), known).unwrap().labels()
    }

    #[test]
    fn integers_are_in_their_own_order_and_words_in_that_of_their_bytes() {
        assert_eq!(labels(&["10", "9", "-1"], None), ["-1", "9", "10"]);
        assert_eq!(labels(&["10", "9", "a"], None), ["10", "9", "a"]);
        assert_eq!(labels(&["true", "false"], None), ["false", "true"]);
    }

    #[test]
    fn the_labels_of_the_base_keep_their_order() {
        let known = ["pos", "neg"].map(str::to_owned);
        assert_eq!(labels(&["neg", "pos"], Some(&known)), known);
        assert_eq!(labels(&["neg", "pos", "neu"], Some(&known)), ["neg", "neu", "pos"]);
    }

    #[test]
    fn stars_have_names_that_are_stars() {
        assert!(are_stars(&star_labels()));
    }

    #[test]
    fn ranges_of_stars_hold_whole_ones() {
        let read = |lowest, highest| star_range(lowest, highest).ok();
        assert_eq!(read(4.0, 5.0), Some(Stars::Range(4, 5)));
        assert_eq!(read(4.0, f64::INFINITY), Some(Stars::Range(4, 5)));
        assert_eq!(read(f64::NEG_INFINITY, 2.0), Some(Stars::Range(1, 2)));
        assert_eq!(read(1.5, 3.5), Some(Stars::Range(2, 3)));
        assert_eq!(read(2.5, 3.5), Some(Stars::Number(3.0)));
        assert_eq!(read(2.5, 2.5), Some(Stars::Number(2.5)));
        for (lowest, highest) in [(3.2, 3.8), (6.0, 7.0), (-2.0, 0.5), (4.0, 3.0), (f64::NAN, f64::NAN)] {
            assert_eq!(read(lowest, highest), None, "{lowest} {highest}");
        }
    }

    #[test]
    fn only_ratings_have_ranges() {
        let rows: Vec<Label> = (0..10).map(|_| Label::Range(1.0, 2.0)).collect();
        for objective in [Objective::Classification, Objective::Regression] {
            assert!(Targets::read(objective, &rows, None).is_err());
        }
    }

    #[test]
    fn a_constant_has_a_scale() {
        assert_eq!(Targets::Numbers(vec![3.0; 5]).scale(&[0, 1, 2]), (3.0, 1.0));
        assert_eq!(Targets::Numbers(vec![1.0, 3.0]).scale(&[0, 1]), (2.0, 1.0));
        assert_eq!(Targets::Numbers(vec![0.1; 10]).scale(&(0..10).collect::<Vec<_>>()).1, 1.0);
    }
}
