//! What a member says of rows, as numbers that can be weighted and added.
//!
//! Of classes these are logarithms of probabilities, in the order of the ensemble's labels, of numbers the number itself, or the expected
//! stars. It must not know weights. Invariant: all of them are finite.

use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind, LabelScheme, Prediction};

use crate::head::Head;

/// Probabilities below this one count as this one: single precision rounds what is nearer to 0 or 1.
const LEAST_PROBABILITY: f64 = 1e-6;

/// What a member says of some rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Says {
    /// `[rows, outputs]`; zeros of a row that it says nothing of.
    values: Vec<f64>,
    outputs: usize,
    /// Whether it says anything, `[rows]`.
    answered: Vec<bool>,
}

impl Says {
    /// Of no rows yet.
    pub fn new(outputs: usize) -> Self {
        Self { values: Vec::new(), outputs, answered: Vec::new() }
    }

    /// Adds a row; `None` of one that it says nothing of.
    /// `values`: `[outputs]`.
    pub fn push(&mut self, values: Option<&[f64]>) {
        let values = values.filter(|values| values.len() == self.outputs);
        self.answered.push(values.is_some());
        match values {
            Some(values) => self.values.extend_from_slice(values),
            None => self.values.extend(std::iter::repeat_n(0.0, self.outputs)),
        }
    }

    /// Adds the rows of another.
    pub fn extend(&mut self, more: Self) {
        self.values.extend(more.values);
        self.answered.extend(more.answered);
    }

    /// Those of the rows at these places.
    #[must_use]
    pub fn picked(&self, places: &[usize]) -> Self {
        let mut picked = Self::new(self.outputs);
        places.iter().for_each(|&place| picked.push(self.row(place)));
        picked
    }

    /// The same, with these numbers where it says nothing.
    /// `usual`: `[outputs]`.
    #[must_use]
    pub fn filled(&self, usual: &[f64]) -> Self {
        let mut filled = Self::new(self.outputs);
        (0..self.answered.len()).for_each(|row| filled.push(Some(self.row(row).unwrap_or(usual))));
        filled
    }

    /// What it says of these rows on average, `[outputs]`: logarithms of mean probabilities, or the mean number; none if it says nothing
    /// of any.
    pub fn usual(&self, head: &Head, rows: impl Iterator<Item = usize>) -> Option<Vec<f64>> {
        let is_number = *head == Head::Number;
        let mut sums = vec![0.0; self.outputs];
        let mut count = 0_u64;
        rows.filter_map(|row| self.row(row)).for_each(|values| {
            count += 1;
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += if is_number { *value } else { value.exp() };
            }
        });
        let usual = |sum: f64| {
            let mean = sum / count as f64;
            if is_number { mean } else { logarithm(mean) }
        };
        (count > 0).then(|| sums.into_iter().map(usual).collect())
    }

    /// How much the numbers vary that it says of these rows: their standard deviation; 0 if it says nothing of any.
    pub fn spread(&self, rows: impl Iterator<Item = usize> + Clone) -> f64 {
        let numbers = || rows.clone().filter_map(|row| self.row(row)?.first().copied());
        let count = numbers().count().max(1) as f64;
        let mean = numbers().sum::<f64>() / count;
        (numbers().map(|number| (number - mean).powi(2)).sum::<f64>() / count).sqrt()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.answered.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.answered.is_empty()
    }

    /// Of a row, `[outputs]`; none if it says nothing.
    pub fn row(&self, row: usize) -> Option<&[f64]> {
        let start = row * self.outputs;
        self.answered.get(row).filter(|answered| **answered)?;
        self.values.get(start..start + self.outputs)
    }
}

/// Reads the answers of a member.
pub struct Reader<'a> {
    head: &'a Head,
    /// For each label of the ensemble its place among those of the member.
    places: Vec<usize>,
    scheme: LabelScheme,
}

impl<'a> Reader<'a> {
    /// Of a member with these labels.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if it answers something else than the ensemble.
    pub fn new(head: &'a Head, labels: &[String]) -> Result<Self, EngineError> {
        let scheme = LabelScheme::of(labels);
        let Head::Classes { labels: own } = head else {
            let is_number = labels.is_empty() || matches!(scheme, LabelScheme::Stars(_));
            return if is_number {
                Ok(Self { head, places: Vec::new(), scheme })
            } else {
                Err(unlike("it answers classes that are no numbers".to_owned()))
            };
        };
        if let (LabelScheme::Stars(order), LabelScheme::Stars(of_member)) = (LabelScheme::of(own), scheme) {
            let of =
                |place: usize| order.iter().position(|one| *one == place).map_or(place, |at| of_member[at]);
            return Ok(Self { head, places: (0..own.len()).map(of).collect(), scheme });
        }
        let place = |label: &String| {
            let place = labels.iter().position(|one| one == label);
            place.ok_or_else(|| unlike(format!("it does not know the class \"{label}\"")))
        };
        let places = own.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Self { head, places, scheme })
    }

    /// What is said of a row, `[outputs]`; none if nothing is, or no finite number.
    pub fn read(&self, answers: &Answers, row: usize) -> Option<Vec<f64>> {
        match (self.head, answers.prediction(row)?) {
            (Head::Number, Prediction::Number(value)) => value.is_finite().then(|| vec![value]),
            (Head::Number, Prediction::Class { probabilities, .. }) => {
                self.scheme.read(probabilities).rating.map(|stars| vec![f64::from(stars)])
            }
            (Head::Classes { .. }, Prediction::Class { probabilities, .. }) => {
                let of = |place: &usize| probabilities.get(*place).map(|one| logarithm(f64::from(*one)));
                self.places.iter().map(of).collect()
            }
            (Head::Classes { .. }, Prediction::Number(_)) => None,
        }
    }
}

/// The logarithm of a probability, or of the least that counts.
pub fn logarithm(probability: f64) -> f64 {
    // Also of what is no number.
    probability.max(LEAST_PROBABILITY).ln()
}

fn unlike(why: String) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, format!("model cannot be a member: {why}"))
}
