//! Two samples of embeddings: whether they are of the same texts.
//!
//! The energy distance (Szekely and Rizzo, "Energy statistics", 2013), as `scipy.stats.energy_distance` has it in one dimension: the
//! root of 2 E|X - Y| - E|X - X'| - E|Y - Y'|. What it is where nothing has changed is told by putting rows into groups by chance,
//! whose first three moments give the tail beyond what can be counted.
//!
//! It must not know what is embedded. Invariant: the same samples give the same numbers on every machine.

use serde::{Deserialize, Serialize};

use crate::null_distribution::NullDistribution;

/// Embeddings of a sample, at most.
pub const MOST: usize = 300;
/// Groups by chance.
const PERMUTATIONS: usize = 1_000;
/// What a number of an embedding is divided into.
const STEPS: f32 = 127.0;

/// Whether the text at this place, of so many, is one of about [`MOST`] whose embeddings are compared. Chosen by chance and not evenly
/// spread, since rows often come in turns.
pub fn is_chosen(place: usize, of: usize) -> bool {
    of <= MOST || Random(place as u64).below(of) < MOST
}

/// Embeddings of like width, each number in a byte: what is compared has to be as exact on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Embeddings {
    /// Of each.
    width: usize,
    /// In hexadecimal, one after the other.
    data: String,
}

impl Embeddings {
    /// Adds one of numbers from -1 to 1; beyond [`MOST`], or of another width, it is passed over.
    pub fn add(&mut self, embedding: &[f32]) {
        if self.data.is_empty() {
            self.width = embedding.len();
        }
        if self.len() >= MOST || embedding.len() != self.width || !embedding.iter().all(|one| one.is_finite())
        {
            return;
        }
        for value in embedding {
            #[allow(clippy::cast_possible_truncation)]
            let step = (value.clamp(-1.0, 1.0) * STEPS).round() as i8;
            for digit in [step.cast_unsigned() >> 4, step.cast_unsigned() & 15] {
                self.data.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.data.len() / 2 / self.width.max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn vectors(&self) -> Vec<Vec<f32>> {
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default();
        let (pairs, _) = self.data.as_bytes().as_chunks::<2>();
        let value = |[high, low]: &[u8; 2]| {
            #[allow(clippy::cast_possible_truncation)]
            let byte = (digit(*high) * 16 + digit(*low)) as u8;
            f32::from(byte.cast_signed()) / STEPS
        };
        let values: Vec<f32> = pairs.iter().map(value).collect();
        values.chunks_exact(self.width.max(1)).map(<[f32]>::to_vec).collect()
    }
}

/// The distance, and what it is where nothing has changed; none if one of them has fewer than two, or another width.
pub fn energy(baseline: &Embeddings, current: &Embeddings) -> Option<(f64, NullDistribution)> {
    if baseline.width != current.width {
        return None;
    }
    energy_of(&baseline.vectors(), &current.vectors())
}

/// The same of vectors `[rows, width]`.
pub fn energy_of(baseline: &[Vec<f32>], current: &[Vec<f32>]) -> Option<(f64, NullDistribution)> {
    if baseline.len() < 2 || current.len() < 2 {
        return None;
    }
    // It takes as long as the square of the group that is summed.
    let (few, many) = if baseline.len() <= current.len() { (baseline, current) } else { (current, baseline) };
    let distances = Distances::of(&few.iter().chain(many).map(Vec::as_slice).collect::<Vec<_>>());
    let mut order: Vec<usize> = (0..distances.rows).collect();
    let value = distances.statistic(order.get(..few.len())?);
    let (mut random, mut chance) = (Random(0), Vec::with_capacity(PERMUTATIONS));
    for _ in 0..PERMUTATIONS {
        random.choose(&mut order, few.len());
        chance.push(distances.statistic(order.get(..few.len())?));
    }
    Some((value.max(0.0).sqrt(), moments(&chance)))
}

#[allow(clippy::cast_precision_loss)]
fn moments(values: &[f64]) -> NullDistribution {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let central = |power| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / count;
    let deviation = central(2).sqrt();
    let skewness = if deviation > 0.0 { central(3) / deviation.powi(3) } else { 0.0 };
    NullDistribution::PearsonSquare { mean, deviation, skewness }
}

/// Distances between all rows of both groups.
struct Distances {
    rows: usize,
    /// `[rows, rows]`
    values: Vec<f32>,
    /// Of each row to all.
    sums: Vec<f64>,
}

impl Distances {
    fn of(vectors: &[&[f32]]) -> Self {
        let rows = vectors.len();
        let mut values = vec![0.0; rows * rows];
        for (at, one) in vectors.iter().enumerate() {
            for (to, other) in vectors.iter().enumerate().skip(at + 1) {
                let distance: f32 =
                    one.iter().zip(*other).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
                values[at * rows + to] = distance;
                values[to * rows + at] = distance;
            }
        }
        let sums = values.chunks_exact(rows.max(1)).map(|row| row.iter().map(|one| f64::from(*one)).sum());
        Self { rows, sums: sums.collect(), values }
    }

    /// The squared energy distance between the rows of a group and the others.
    #[allow(clippy::cast_precision_loss)]
    fn statistic(&self, group: &[usize]) -> f64 {
        let within: f64 = group
            .iter()
            .map(|&row| {
                let row = &self.values[row * self.rows..(row + 1) * self.rows];
                group.iter().map(|&other| f64::from(row[other])).sum::<f64>()
            })
            .sum();
        let from_group: f64 = group.iter().map(|&row| self.sums[row]).sum();
        let between = from_group - within;
        let others = self.sums.iter().sum::<f64>() - from_group - between;
        let (n, m) = (group.len() as f64, (self.rows - group.len()) as f64);
        2.0 * between / (n * m) - within / (n * n) - others / (m * m)
    }
}

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(mixed ^ (mixed >> 31)) * limit as u128) >> 64) as usize
    }

    /// Puts so many values, chosen by chance, to the front.
    fn choose(&mut self, values: &mut [usize], count: usize) {
        for at in 0..count {
            let other = at + self.below(values.len() - at);
            values.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_come_in_turns_are_chosen_alike() {
        assert!((0..MOST).all(|place| is_chosen(place, MOST)));
        for turns in [2, 3, 10] {
            let chosen =
                |turn| (0..4000).filter(|place| place % turns == turn && is_chosen(*place, 4000)).count();
            let each = MOST / turns;
            assert!((0..turns).all(|turn| chosen(turn).abs_diff(each) <= each / 2), "{turns}");
        }
    }
}
