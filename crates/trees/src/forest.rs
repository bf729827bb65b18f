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

/// How many rows walk through a tree side by side: a processor has other rows to go on with while it waits for the node of one.
const SIDE_BY_SIDE: usize = 16;
/// Trees whose longest way has more steps are walked row by row: most of their leaves are nearer.
const DEEPEST_SIDE_BY_SIDE: usize = 12;

/// A node as rows walk through it side by side: a leaf leads to itself.
struct Step {
    /// A threshold, or what a leaf adds.
    value: f32,
    feature: u32,
    default_left: bool,
    /// Where it goes from here: left, and right.
    next: [u32; 2],
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

    /// Steps of the longest way to a leaf.
    pub fn depth(&self) -> usize {
        let mut depths = vec![0; self.nodes.len()];
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
            for child in [number + 1, node.right as usize] {
                if child < depths.len() {
                    depths[child] = depths[number] + 1;
                }
            }
        }
        depths.into_iter().max().unwrap_or(0)
    }

    fn steps(&self) -> Vec<Step> {
        let step = |(here, node): (usize, &Node)| {
            let here = here as u32;
            let next = if node.is_leaf() { [here, here] } else { [here + 1, node.right] };
            Step { value: node.value, feature: node.feature, default_left: node.default_left, next }
        };
        self.nodes.iter().enumerate().map(step).collect()
    }

    /// Adds what it adds for rows, `[rows, features]`, to the first of each row's sums, `[rows, per_row]`.
    fn add(&self, rows: &[f32], features: usize, sums: &mut [f64], per_row: usize) {
        let depth = self.depth();
        let blocks = if depth > DEEPEST_SIDE_BY_SIDE { 0 } else { rows.len() / (features * SIDE_BY_SIDE) };
        let (blocks, rest) = rows.split_at(blocks * features * SIDE_BY_SIDE);
        let mut sums = sums.iter_mut().step_by(per_row);
        if !blocks.is_empty() {
            let steps = self.steps();
            for block in blocks.chunks_exact(features * SIDE_BY_SIDE) {
                for (leaf, sum) in leaves(&steps, depth, block, features).into_iter().zip(&mut sums) {
                    *sum += f64::from(steps.get(leaf as usize).map_or(0.0, |leaf| leaf.value));
                }
            }
        }
        for (row, sum) in rest.chunks_exact(features).zip(sums) {
            *sum += f64::from(self.value(row));
        }
    }
}

/// The leaves that rows come to, `[SIDE_BY_SIDE, features]`.
fn leaves(steps: &[Step], depth: usize, rows: &[f32], features: usize) -> [u32; SIDE_BY_SIDE] {
    let mut places = [0_u32; SIDE_BY_SIDE];
    for _ in 0..depth {
        for (row, here) in rows.chunks_exact(features).zip(&mut places) {
            // Both can't miss: children and features were checked.
            let Some(step) = steps.get(*here as usize) else { continue };
            let value = row.get(step.feature as usize).copied().unwrap_or(f32::NAN);
            let goes_left = (value < step.value) | (value.is_nan() & step.default_left);
            *here = step.next[usize::from(!goes_left)];
        }
    }
    places
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
            if let Some(sums) = sums.get_mut(*class..) {
                tree.add(rows, features.max(1), sums, self.sums.max(1));
            }
        }
    }

    /// Nodes of all trees.
    pub fn nodes(&self) -> usize {
        self.trees.iter().map(|(_, tree)| tree.nodes.len()).sum()
    }

    /// Steps of the longest way to a leaf.
    pub fn depth(&self) -> usize {
        self.trees.iter().map(|(_, tree)| tree.depth()).max().unwrap_or(0)
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
    fn rows_side_by_side_come_to_the_leaves_of_each() {
        let split = |feature, value, default_left, left| RawNode {
            children: Some((left, left + 1)),
            feature,
            value,
            default_left,
            cover: 1.0,
            gain: 0.0,
        };
        let leaves = [-4.0, 0.5, 2.0, 7.0].map(|value| node(None, value));
        let mut raw = vec![split(0, 0.5, true, 1), split(1, 0.25, false, 3), leaves[3]];
        raw.extend([split(1, 0.125, true, 5), leaves[2], leaves[0], leaves[1]]);
        // A way longer than is walked side by side.
        let mut chain: Vec<RawNode> = (0..20)
            .flat_map(|at| [split(0, 1.0 - 0.04 * at as f32, true, 2 * at + 1), leaves[at % 4]])
            .collect();
        chain = (0..20)
            .flat_map(|at| {
                let inner = RawNode { children: Some((2 * at + 2, 2 * at + 1)), ..chain[2 * at] };
                [inner, chain[2 * at + 1]]
            })
            .collect();
        chain.push(leaves[0]);
        let trees = vec![
            (0, Tree::new(&raw, 2).unwrap()),
            (1, Tree::new(&chain, 2).unwrap()),
            (1, Tree::new(&raw, 2).unwrap()),
        ];
        assert!(trees[1].1.depth() > DEEPEST_SIDE_BY_SIDE);
        let forest = Forest { base: 0.25, sums: 2, trees };
        let number = |at: usize| if at % 7 == 3 { f32::NAN } else { (at * 37 % 64) as f32 / 64.0 };
        for count in [0, 1, 15, 16, 17, 50] {
            let rows: Vec<f32> = (0..2 * count).map(number).collect();
            let mut sums = vec![0.0; 2 * count];
            forest.margins(&rows, 2, &mut sums);
            for (row, sums) in rows.chunks_exact(2).zip(sums.chunks_exact(2)) {
                let of = |tree: usize| f64::from(forest.trees[tree].1.value(row));
                assert_eq!(sums, [0.25 + of(0), 0.25 + of(1) + of(2)]);
            }
        }
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
