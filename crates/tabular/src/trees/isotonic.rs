//! A rising map from the sum of trees to the probability of the second of two classes, as isotonic regression finds it: by pooling
//! neighbours that contradict each other (Barlow, Bartholomew, Bremner and Brunk, "Statistical inference under order restrictions",
//! 1972), linear between what is left, and constant beyond its ends, as scikit-learn's `IsotonicRegression` with
//! `out_of_bounds="clip"` has it.
//!
//! It must not know trees. Invariant: probabilities rise with the sums and lie between 0 and 1.

use serde::{Deserialize, Serialize};

/// The map: knots, and lines between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isotonic {
    /// Rising; at least one.
    sums: Vec<f64>,
    /// As many, none less than the one before.
    probabilities: Vec<f64>,
}

/// A row that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// The sum of its trees.
    pub sum: f64,
    /// Whether it is of the second class.
    pub second: bool,
    /// How much it counts.
    pub weight: f64,
}

/// Rows of one probability.
#[derive(Debug, Clone, Copy)]
struct Pool {
    first: f64,
    last: f64,
    weight: f64,
    second: f64,
}

impl Pool {
    fn probability(&self) -> f64 {
        self.second / self.weight
    }
}

impl Isotonic {
    /// The map that fits rows best; nothing if none of them counts.
    pub fn fit(rows: &[Observation]) -> Option<Self> {
        let mut rows: Vec<Observation> = rows.iter().copied().filter(|row| row.weight > 0.0).collect();
        rows.sort_by(|one, other| one.sum.total_cmp(&other.sum));
        let mut pools: Vec<Pool> = Vec::new();
        // Rows with the same sum are one observation.
        for same in rows.chunk_by(|one, other| one.sum == other.sum) {
            let weight = same.iter().map(|row| row.weight).sum();
            let second = same.iter().filter(|row| row.second).map(|row| row.weight).sum();
            let sum = same.first()?.sum;
            let mut pool = Pool { first: sum, last: sum, weight, second };
            while let Some(before) = pools.pop_if(|before| before.probability() >= pool.probability()) {
                pool = Pool {
                    first: before.first,
                    weight: before.weight + pool.weight,
                    second: before.second + pool.second,
                    ..pool
                };
            }
            pools.push(pool);
        }
        let ends = |pool: &Pool| {
            let last = (pool.last > pool.first).then_some((pool.last, pool.probability()));
            [Some((pool.first, pool.probability())), last]
        };
        let (sums, probabilities): (Vec<f64>, Vec<f64>) = pools.iter().flat_map(ends).flatten().unzip();
        (!sums.is_empty()).then_some(Self { sums, probabilities })
    }

    /// The same, with no probability nearer to 0 and 1 than this: nobody is as sure as a few rows that happen to agree.
    #[must_use]
    pub fn within(mut self, least: f64) -> Self {
        self.probabilities.iter_mut().for_each(|one| *one = one.clamp(least, 1.0 - least));
        self
    }

    /// The probability of the second class.
    pub fn probability(&self, sum: f64) -> f64 {
        let after = self.sums.partition_point(|one| *one < sum);
        let at = |place: usize| Some((*self.sums.get(place)?, *self.probabilities.get(place)?));
        match (after.checked_sub(1).and_then(at), at(after)) {
            (Some((low, of_low)), Some((high, of_high))) => {
                of_low + (of_high - of_low) * ((sum - low) / (high - low))
            }
            (Some((_, only)), None) | (None, Some((_, only))) => only,
            (None, None) => f64::NAN,
        }
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// A few words.
    pub fn check(&self) -> Result<(), String> {
        let fits = self.sums.len() == self.probabilities.len() && !self.sums.is_empty();
        let rises = self.sums.windows(2).all(|pair| matches!(pair, [one, other] if one < other))
            && self.probabilities.windows(2).all(|pair| matches!(pair, [one, other] if one <= other));
        let finite = self.sums.iter().all(|sum| sum.is_finite())
            && self.probabilities.iter().all(|one| (0.0..=1.0).contains(one));
        if fits && rises && finite { Ok(()) } else { Err("its calibration does not rise".to_owned()) }
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.sums[..]) + size_of_val(&self.probabilities[..])
    }
}
