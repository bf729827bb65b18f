//! A sample of rows to a tree whose leaves say how many splits it took to get there.
//!
//! It must not know columns beyond which feature is of which. Invariant: a tree that was grown is one that
//! [`Tree::new`](crate::trees::forest::Tree::new) takes.

use ecommerce_ml_training::random::SplitMix64;

use crate::trees::forest::RawNode;

/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;

/// How many splits it takes on average until one of so many rows is alone: the mean length of an unsuccessful search in a binary tree
/// (Liu, Ting and Zhou, equation 1).
pub(super) fn expected_splits(rows: usize) -> f64 {
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        rows => {
            let rows = rows as f64;
            2.0 * ((rows - 1.0).ln() + EULER) - 2.0 * (rows - 1.0) / rows
        }
    }
}

/// A sample, `[rows, features]`, with the features of each column.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) features: &'a [f32],
    pub(super) width: usize,
    /// The first feature of each column, and behind the last.
    pub(super) columns: &'a [usize],
    /// What a split adds.
    pub(super) step: f64,
    /// Splits from root to leaf at most.
    pub(super) deepest: usize,
}

/// A split of some rows.
struct Split {
    feature: usize,
    threshold: f32,
    default_left: bool,
}

/// Least and largest number of a feature among some rows, and how many have none.
struct Spread {
    least: f32,
    most: f32,
    missing: usize,
}

impl Sample<'_> {
    /// Grows a tree from all rows.
    pub(super) fn grow(&self, random: &mut SplitMix64) -> Vec<RawNode> {
        let rows: Vec<usize> = (0..self.features.len() / self.width.max(1)).collect();
        let mut nodes = Vec::new();
        self.grow_node(&mut nodes, rows, 0, random);
        nodes
    }

    fn grow_node(&self, nodes: &mut Vec<RawNode>, rows: Vec<usize>, depth: usize, random: &mut SplitMix64) {
        let here = nodes.len();
        let splits = depth as f64 + expected_splits(rows.len());
        nodes.push(RawNode {
            children: None,
            feature: 0,
            value: (splits * self.step) as f32,
            default_left: false,
            cover: rows.len() as f32,
            gain: 0.0,
        });
        if depth >= self.deepest || rows.len() < 2 {
            return;
        }
        let Some(Split { feature, threshold, default_left }) = self.split(&rows, random) else { return };
        let goes_left = |row: &usize| {
            let value = self.value(*row, feature);
            if value.is_nan() { default_left } else { value < threshold }
        };
        let all_known = !rows.iter().any(|row| self.value(*row, feature).is_nan());
        let (left, right): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(goes_left);
        let here = if all_known { self.part_unknown(nodes, here, (feature, depth)) } else { here };
        let first = nodes.len();
        self.grow_node(nodes, left, depth + 1, random);
        let second = nodes.len();
        self.grow_node(nodes, right, depth + 1, random);
        set_split(nodes, here, (feature, threshold, default_left), (first, second));
    }

    /// Where all rows have a value, one without is alone after this split. Returns the node that all others go on from.
    fn part_unknown(&self, nodes: &mut Vec<RawNode>, here: usize, (feature, depth): (usize, usize)) -> usize {
        let Some(known) = nodes.get(here).copied() else { return here };
        let value = ((depth + 1) as f64 * self.step) as f32;
        let alone = nodes.len();
        nodes.push(RawNode { value, cover: 0.0, ..known });
        nodes.push(known);
        set_split(nodes, here, (feature, f32::MIN, true), (alone, alone + 1));
        alone + 1
    }

    fn value(&self, row: usize, feature: usize) -> f32 {
        self.features.get(row * self.width + feature).copied().unwrap_or(f32::NAN)
    }

    /// A split at a random value of a random column, whichever can be split; none if all rows are alike.
    fn split(&self, rows: &[usize], random: &mut SplitMix64) -> Option<Split> {
        let mut columns: Vec<usize> = (0..self.columns.len().saturating_sub(1)).collect();
        random.shuffle(&mut columns);
        columns.into_iter().find_map(|column| {
            let mut features: Vec<usize> = (self.columns[column]..self.columns[column + 1]).collect();
            random.shuffle(&mut features);
            features.into_iter().find_map(|feature| self.split_by(rows, feature, random))
        })
    }

    fn split_by(&self, rows: &[usize], feature: usize, random: &mut SplitMix64) -> Option<Split> {
        let Spread { least, most, missing } = self.spread(rows, feature);
        if missing == rows.len() || (least >= most && missing == 0) {
            return None;
        }
        // Nothing is below the least: only rows without a value go left.
        if missing > 0 && (least >= most || random.chance(0.5)) {
            return Some(Split { feature, threshold: least, default_left: true });
        }
        let part = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let threshold = f64::from(least) + part * (f64::from(most) - f64::from(least));
        let threshold = (threshold as f32).clamp(least.next_up(), most);
        Some(Split { feature, threshold, default_left: random.chance(0.5) })
    }

    fn spread(&self, rows: &[usize], feature: usize) -> Spread {
        let mut spread = Spread { least: f32::INFINITY, most: f32::NEG_INFINITY, missing: 0 };
        for value in rows.iter().map(|row| self.value(*row, feature)) {
            if value.is_nan() {
                spread.missing += 1;
            } else {
                spread.least = spread.least.min(value);
                spread.most = spread.most.max(value);
            }
        }
        spread
    }
}

/// Makes a node one that splits: its children, and what goes left.
fn set_split(
    nodes: &mut [RawNode],
    here: usize,
    (feature, threshold, default_left): (usize, f32, bool),
    children: (usize, usize),
) {
    if let Some(node) = nodes.get_mut(here) {
        node.children = Some(children);
        (node.feature, node.value, node.default_left) = (feature as u32, threshold, default_left);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::trees::forest::Tree;

    fn grown(features: &[f32], width: usize, seed: u64) -> Tree {
        let columns: Vec<usize> = (0..=width).collect();
        let sample = Sample { features, width, columns: &columns, step: 1.0, deepest: 8 };
        Tree::new(&sample.grow(&mut SplitMix64::new(seed)), width).unwrap()
    }

    /// As scikit-learn 1.9's `_average_path_length`.
    #[test]
    fn expected_splits_are_those_of_the_paper() {
        let found = [1, 2, 3, 10, 256].map(expected_splits);
        let expected = [0.0, 1.0, 1.207_392_4, 3.748_880_5, 10.244_770_9];
        found.iter().zip(expected).for_each(|(found, expected)| assert!((found - expected).abs() < 1e-6));
    }

    #[test]
    fn rows_that_are_alike_are_not_split() {
        assert_eq!(grown(&[1.0; 8], 1, 0).nodes.len(), 1);
        assert_eq!(grown(&[f32::NAN; 8], 2, 0).nodes.len(), 1);
    }

    #[test]
    fn rows_without_a_value_can_be_told_from_the_others() {
        let features = [7.0, 7.0, 7.0, f32::NAN];
        for seed in 0..10 {
            let tree = grown(&features, 1, seed);
            assert!(tree.value(&[f32::NAN]) < tree.value(&[7.0]));
        }
    }

    #[test]
    fn neighbours_in_single_precision_are_told_apart() {
        let features = [1.0_f32, 1.0_f32.next_up(), f32::MAX, f32::MIN];
        for seed in 0..50 {
            let tree = grown(&features, 1, seed);
            assert!(
                tree.nodes.iter().filter(|node| node.is_leaf() && node.cover > 0.0).count() == 4,
                "seed {seed}"
            );
        }
    }

    #[test]
    fn what_lies_apart_is_alone_after_fewer_splits() {
        let mut features: Vec<f32> = (0..63).map(|row| row as f32 / 63.0).collect();
        features.push(10.0);
        let mean = |value: f32| (0..50).map(|seed| grown(&features, 1, seed).value(&[value])).sum::<f32>();
        assert!(mean(10.0) * 2.0 < mean(0.5));
    }
}
