//! Numbers and categories: what is kept of them, and others counted beside.
//!
//! Numbers are kept as counts between and at some of their quantiles, categories as counts by a hash. Invariant: nothing of a category
//! but its hash is kept, and no number but those quantiles.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::stability::Counts;

/// Different numbers that are each told apart; of more, only those between quantiles.
const FEW_NUMBERS: usize = 20;
/// Parts of equal size that more numbers are cut into.
const PARTS: usize = 10;
/// Where probabilities are cut. Not at quantiles: where a model is sure, those lie so close together that what nobody would call a change
/// crosses all of them.
const PROBABILITIES: [f64; 13] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
/// Categories that are kept.
const MOST_CATEGORIES: usize = 1_000;
/// Categories that are compared, each by itself; the others are one.
const COMPARED_CATEGORIES: usize = 50;

/// Values of a sample, NULL and NaN left out.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    /// As they came.
    Numbers(Vec<f64>),
    /// The same, from 0 to 1.
    Probabilities(Vec<f64>),
    /// Rows of each category, by [`hash`].
    Categories(HashMap<u64, u64>),
}

/// What is kept of such values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Of numbers.
    Numbers {
        /// In ascending order.
        #[serde(with = "exact")]
        edges: Vec<f64>,
        /// Below the first, at the first, between the first and the second, and so on.
        counts: Vec<u64>,
    },
    /// Of categories.
    Categories {
        /// Rows of each, by [`hash`].
        counts: BTreeMap<String, u64>,
        /// Rows of those that are not kept, which are the rarest.
        others: u64,
    },
}

/// What stands for a category: FNV-1a (Fowler, Noll and Vo), the same for ever.
pub fn hash(category: &[u8]) -> u64 {
    category
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Observed {
    /// Adds a category.
    pub fn add_category(&mut self, category: &[u8]) {
        if let Self::Categories(counts) = self {
            *counts.entry(hash(category)).or_default() += 1;
        }
    }

    /// Adds a number.
    pub fn add_number(&mut self, number: f64) {
        if let Self::Numbers(values) | Self::Probabilities(values) = self {
            values.push(number);
        }
    }

    /// Rows.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Numbers(values) | Self::Probabilities(values) => values.len() as u64,
            Self::Categories(counts) => counts.values().sum(),
        }
    }

    /// What is kept of them.
    pub fn summarise(&self) -> Distribution {
        match self {
            Self::Numbers(values) => {
                let edges = edges(values);
                Distribution::Numbers { counts: count(&edges, values), edges }
            }
            Self::Probabilities(values) => {
                let edges = PROBABILITIES.to_vec();
                Distribution::Numbers { counts: count(&edges, values), edges }
            }
            Self::Categories(counts) => {
                let mut all: Vec<(u64, u64)> = counts.iter().map(|(hash, rows)| (*hash, *rows)).collect();
                all.sort_unstable_by_key(|&(hash, rows)| (std::cmp::Reverse(rows), hash));
                let others = all.iter().skip(MOST_CATEGORIES).map(|(_, rows)| rows).sum();
                let kept = all.into_iter().take(MOST_CATEGORIES);
                Distribution::Categories {
                    counts: kept.map(|(hash, rows)| (name(hash), rows)).collect(),
                    others,
                }
            }
        }
    }
}

impl Distribution {
    /// Rows.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Numbers { counts, .. } => counts.iter().sum(),
            Self::Categories { counts, others } => counts.values().sum::<u64>() + others,
        }
    }

    /// Both, in the same cells, each with enough rows; none of values of another kind.
    pub fn beside(&self, current: &Observed) -> Option<Counts> {
        match (self, current) {
            (
                Self::Numbers { edges, counts },
                Observed::Numbers(values) | Observed::Probabilities(values),
            ) => Some(Counts { baseline: counts.clone(), current: count(edges, values) }.merged()),
            (Self::Categories { .. }, Observed::Categories(_)) => {
                let (mut pairs, others) = self.pairs(current)?;
                // The most frequent of both groups together, so that neither decides.
                pairs.sort_by_key(|pair| std::cmp::Reverse(pair[0] + pair[1]));
                let rest = pairs.split_off(pairs.len().min(COMPARED_CATEGORIES));
                let rest = rest.iter().fold(others, |sum, pair| [sum[0] + pair[0], sum[1] + pair[1]]);
                pairs.push(rest);
                let counts = Counts {
                    baseline: pairs.iter().map(|pair| pair[0]).collect(),
                    current: pairs.iter().map(|pair| pair[1]).collect(),
                };
                Some(counts.merged())
            }
            _ => None,
        }
    }

    /// Rows of each category in both groups; none of numbers, or if some categories are not kept: then nobody knows which are new.
    pub fn categories(&self, current: &Observed) -> Option<Vec<[u64; 2]>> {
        let (pairs, _) = self.pairs(current)?;
        matches!(self, Self::Categories { others: 0, .. }).then_some(pairs)
    }

    /// Rows of each category that is kept, in both groups, then those of the others.
    fn pairs(&self, current: &Observed) -> Option<(Vec<[u64; 2]>, [u64; 2])> {
        let (Self::Categories { counts, others }, Observed::Categories(current)) = (self, current) else {
            return None;
        };
        let mut pairs: BTreeMap<String, [u64; 2]> =
            counts.iter().map(|(name, rows)| (name.clone(), [*rows, 0])).collect();
        let mut rest = [*others, 0];
        for (hash, rows) in current {
            match pairs.get_mut(&name(*hash)) {
                Some(pair) => pair[1] += rows,
                // It may be one that isn't kept.
                None if *others > 0 => rest[1] += rows,
                None => {
                    pairs.insert(name(*hash), [0, *rows]);
                }
            }
        }
        Some((pairs.into_values().collect(), rest))
    }
}

fn name(hash: u64) -> String {
    format!("{hash:016x}")
}

/// All different numbers if they are few, else what cuts them into [`PARTS`] of like size.
fn edges(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut different = sorted.clone();
    different.dedup();
    if different.len() <= FEW_NUMBERS {
        return different;
    }
    let cut = |part: usize| sorted.get(part * sorted.len() / PARTS).copied();
    let mut edges: Vec<f64> = (1..PARTS).filter_map(cut).collect();
    edges.dedup();
    edges
}

fn count(edges: &[f64], values: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; 2 * edges.len() + 1];
    for value in values {
        let below = edges.partition_point(|edge| edge < value);
        let is_edge = edges.get(below).is_some_and(|edge| edge == value);
        if let Some(count) = counts.get_mut(2 * below + usize::from(is_edge)) {
            *count += 1;
        }
    }
    counts
}

/// Numbers as texts, since `serde_json` reads what it has written up to the last bit only, and a value at an edge has to stay there.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(numbers: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(numbers.iter().map(|number| format!("{number:?}")))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: impl Iterator<Item = u32>) -> Observed {
        Observed::Numbers(values.map(f64::from).collect())
    }

    #[test]
    fn a_constant_column_has_a_cell_of_its_own() {
        let kept = numbers(std::iter::repeat_n(7, 100)).summarise();
        let same = kept.beside(&numbers(std::iter::repeat_n(7, 50))).unwrap();
        assert_eq!((same.baseline.len(), same.stability_null()), (1, None));
        let less = kept.beside(&numbers(std::iter::repeat_n(6, 50))).unwrap();
        assert_eq!((less.baseline, less.current), (vec![0, 100], vec![50, 0]));
    }

    #[test]
    fn numbers_are_cut_at_quantiles() {
        let kept = numbers(0..1000).summarise();
        let beside = kept.beside(&numbers(0..1000)).unwrap();
        assert_eq!(beside.baseline, beside.current);
        assert_eq!(beside.baseline.len(), PARTS);
        assert!(beside.population_stability() == 0.0 && beside.jensen_shannon() == 0.0);
    }

    #[test]
    fn rare_categories_are_one() {
        let mut observed = Observed::Categories(HashMap::new());
        for at in 0..5000_u32 {
            observed.add_category(at.to_string().as_bytes());
        }
        let kept = observed.summarise();
        assert_eq!(kept.rows(), 5000);
        assert_eq!(kept.categories(&observed), None);
        let beside = kept.beside(&observed).unwrap();
        assert_eq!(beside.rows(), [5000, 5000]);
        assert!(beside.baseline[0] >= 5);
    }
}
