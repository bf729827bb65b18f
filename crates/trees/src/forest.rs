//! Trees, and the sums that they come to.
//!
//! It must not know columns. Invariant: a [`Tree`] that came through [`Tree::new`] has a way from its root to a leaf for any
//! row, of at most [`DEEPEST`] steps.

/// Most steps from a root to a leaf.
pub const DEEPEST: usize = 64;

/// A node as model files have it: numbered in any order, the first one the root.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawNode {
    /// Its children; none of a leaf.
    pub children: Option<(usize, usize)>,
    /// Which feature decides.
    pub feature: u32,
    /// Rows with less than this go left; or what a leaf adds.
    pub value: f32,
    /// Whether rows without the feature go left.
    pub default_left: bool,
    /// The sum of second derivatives of the rows that came here.
    pub cover: f32,
    /// How much the split decreased the loss.
    pub gain: f32,
}

/// A node: the left child is the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// A threshold, or what a leaf adds.
    pub value: f32,
    /// Which feature decides.
    pub feature: u32,
    /// Number of the right child; 0 of a leaf.
    pub right: u32,
    /// Whether rows without the feature go left.
    pub default_left: bool,
    /// The sum of second derivatives of the rows that came here.
    pub cover: f32,
    /// How much the split decreased the loss.
    pub gain: f32,
}

impl Node {
    /// Whether it has no children.
    pub fn is_leaf(&self) -> bool {
        self.right == 0
    }

    /// Whether a value goes left.
    pub fn goes_left(&self, value: f32) -> bool {
        if value.is_nan() { self.default_left } else { value < self.value }
    }
}

/// A tree, depth first.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The root first.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// Brings nodes into order, and checks them; `features` are those that there are.
    ///
    /// # Errors
    /// A few words on what is wrong.
    pub fn new(raw: &[RawNode], features: usize) -> Result<Self, String> {
        let mut nodes: Vec<Node> = Vec::with_capacity(raw.len());
        // Nodes to visit, with their depth and whose right child they are.
        let mut open = vec![(0, 0, None::<usize>)];
        while let Some((number, depth, parent)) = open.pop() {
            let node = raw.get(number).ok_or("a node has a child that there isn't")?;
            if nodes.len() >= raw.len() {
                return Err("a node has two parents".to_owned());
            }
            if depth > DEEPEST {
                return Err(format!("a tree is deeper than {DEEPEST}"));
            }
            let here = nodes.len();
            if let Some(parent) = parent.and_then(|parent| nodes.get_mut(parent)) {
                parent.right = here as u32;
            }
            let finite = node.value.is_finite() && node.cover.is_finite() && node.cover >= 0.0;
            if !finite || !node.gain.is_finite() {
                return Err("a number of a tree is not finite".to_owned());
            }
            if node.children.is_some() && node.feature as usize >= features {
                return Err(format!("a tree splits by feature {}, of {features}", node.feature));
            }
            let RawNode { feature, value, default_left, cover, gain, .. } = *node;
            nodes.push(Node { value, feature, right: 0, default_left, cover, gain });
            if let Some((left, right)) = node.children {
                open.push((right, depth + 1, Some(here)));
                open.push((left, depth + 1, None));
            }
        }
        Ok(Self { nodes })
    }

    /// What it adds for a row of features.
    pub fn value(&self, row: &[f32]) -> f32 {
        let mut here = 0;
        loop {
            // Both can't miss: children and features were checked.
            let Some(node) = self.nodes.get(here) else { return 0.0 };
            if node.is_leaf() {
                return node.value;
            }
            let value = row.get(node.feature as usize).copied().unwrap_or(f32::NAN);
            here = if node.goes_left(value) { here + 1 } else { node.right as usize };
        }
    }
}

/// Trees whose values add up.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    /// What the sums begin with; the same for each.
    pub base: f64,
    /// How many sums there are.
    pub sums: usize,
    /// Trees, each with the number of the sum that it adds to.
    pub trees: Vec<(usize, Tree)>,
}

impl Forest {
    /// Adds the trees up for rows, `[rows, features]`, to `[rows, sums]`.
    pub fn margins(&self, rows: &[f32], features: usize, sums: &mut [f64]) {
        sums.fill(self.base);
        // A tree stays in the nearest cache while all rows go through it.
        for (class, tree) in &self.trees {
            let rows = rows.chunks_exact(features.max(1));
            for (row, sums) in rows.zip(sums.chunks_exact_mut(self.sums.max(1))) {
                if let Some(sum) = sums.get_mut(*class) {
                    *sum += f64::from(tree.value(row));
                }
            }
        }
    }

    /// Nodes of all trees.
    pub fn nodes(&self) -> usize {
        self.trees.iter().map(|(_, tree)| tree.nodes.len()).sum()
    }

    /// Steps of the longest way to a leaf.
    pub fn depth(&self) -> usize {
        let of = |(_, tree): &(usize, Tree)| {
            let mut depths = vec![0; tree.nodes.len()];
            for (number, node) in tree.nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
                for child in [number + 1, node.right as usize] {
                    if child < depths.len() {
                        depths[child] = depths[number] + 1;
                    }
                }
            }
            depths.into_iter().max().unwrap_or(0)
        };
        self.trees.iter().map(of).max().unwrap_or(0)
    }

    /// What splits by each feature decreased the loss by, `[features]`.
    pub fn gains(&self, features: usize) -> Vec<f64> {
        let mut gains = vec![0.0; features];
        for node in self.trees.iter().flat_map(|(_, tree)| &tree.nodes).filter(|node| !node.is_leaf()) {
            if let Some(gain) = gains.get_mut(node.feature as usize) {
                *gain += f64::from(node.gain).max(0.0);
            }
        }
        gains
    }

    /// Multiplies what leaves add, and moves the beginning.
    pub fn rescale(&mut self, factor: f64, base: f64) {
        self.base = base;
        for node in self.trees.iter_mut().flat_map(|(_, tree)| &mut tree.nodes).filter(|node| node.is_leaf())
        {
            node.value = (f64::from(node.value) * factor) as f32;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn node(children: Option<(usize, usize)>, value: f32) -> RawNode {
        RawNode { children, feature: 0, value, default_left: true, cover: 1.0, gain: 0.0 }
    }

    #[test]
    fn nodes_come_in_any_order() {
        let raw = [node(Some((3, 1)), 2.0), node(None, 5.0), node(None, 9.0), node(None, -5.0)];
        let tree = Tree::new(&raw, 1).unwrap();
        assert_eq!(tree.nodes.len(), 3);
        let values = [1.0, 2.0, 3.0, f32::NAN].map(|value| tree.value(&[value]));
        assert_eq!(values, [-5.0, 5.0, 5.0, -5.0]);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let leaf = node(None, 1.0);
        assert!(Tree::new(&[node(Some((0, 1)), 1.0), leaf], 1).is_err(), "a circle");
        assert!(Tree::new(&[node(Some((1, 1)), 1.0), leaf], 1).is_err(), "two parents");
        assert!(Tree::new(&[node(Some((1, 2)), 1.0), leaf], 1).is_err(), "no child");
        assert!(Tree::new(&[node(Some((1, 2)), 1.0), leaf, leaf], 0).is_err(), "no feature");
        assert!(Tree::new(&[node(None, f32::NAN)], 1).is_err(), "not finite");
        assert!(Tree::new(&[], 1).is_err(), "no root");
        let chain: Vec<RawNode> = (0..200)
            .map(|at| if at % 2 == 0 && at < 198 { node(Some((at + 2, at + 1)), 1.0) } else { leaf })
            .collect();
        assert_eq!(Tree::new(&chain, 1).unwrap_err(), "a tree is deeper than 64");
    }
}
