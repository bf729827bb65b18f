//! What each feature adds to a sum of trees: Shapley values of the game in which features that don't take part are averaged out along
//! the ways that training rows took.
//!
//! Lundberg, Erion and Lee, "Consistent individualized feature attribution for tree ensembles" (2018), algorithm 2: all subsets of
//! the features on a way are counted at once, in time that grows with leaves times the square of the depth.
//! It must not know columns. Invariant: what features add, and the mean of the tree, add up to its value.

use super::forest::{Node, Tree};

/// A feature on the way from the root.
#[derive(Debug, Clone, Copy)]
struct Step {
    feature: u32,
    /// The part of the rows that go this way where the feature doesn't take part.
    without: f64,
    /// 1 if the row goes this way, else 0.
    with: f64,
    /// How much subsets of each size weigh, this step's size being its place.
    weight: f64,
}

/// The mean of a tree over the rows that it was grown from.
pub(crate) fn mean(tree: &Tree) -> f64 {
    mean_from(&tree.nodes, 0)
}

fn mean_from(nodes: &[Node], here: usize) -> f64 {
    let Some(node) = nodes.get(here) else { return 0.0 };
    if node.is_leaf() {
        return f64::from(node.value);
    }
    let (left, right) = shares(nodes, here, node);
    left * mean_from(nodes, here + 1) + right * mean_from(nodes, node.right as usize)
}

/// The parts of a node's rows that go left and right.
fn shares(nodes: &[Node], here: usize, node: &Node) -> (f64, f64) {
    let cover = |place: usize| nodes.get(place).map_or(0.0, |node| f64::from(node.cover));
    let (left, right) = (cover(here + 1), cover(node.right as usize));
    let all = left + right;
    // Imported trees may not say how many rows came where.
    if all > 0.0 { (left / all, right / all) } else { (0.5, 0.5) }
}

/// Adds what each feature of a row adds, `[features]`.
pub(crate) fn add(tree: &Tree, row: &[f32], contributions: &mut [f64]) {
    let mut path = Vec::with_capacity(16);
    descend(tree, row, contributions, (0, &mut path), (1.0, 1.0, None));
}

fn descend(
    tree: &Tree,
    row: &[f32],
    contributions: &mut [f64],
    (here, path): (usize, &mut Vec<Step>),
    (mut without, mut with, feature): (f64, f64, Option<u32>),
) {
    let Some(node) = tree.nodes.get(here) else { return };
    let mut path = path.clone();
    // A feature that comes again replaces what it was before.
    let earlier = feature.and_then(|feature| path.iter().position(|step| step.feature == feature));
    if let Some(earlier) = earlier {
        (without, with) = (without * path[earlier].without, with * path[earlier].with);
        unwind(&mut path, earlier);
    }
    if without == 0.0 && with == 0.0 {
        return;
    }
    extend(&mut path, without, with, feature.unwrap_or(u32::MAX));
    if node.is_leaf() {
        for place in 1..path.len() {
            let step = path[place];
            let weight = unwound_sum(&path, place);
            if let Some(contribution) = contributions.get_mut(step.feature as usize) {
                *contribution += weight * (step.with - step.without) * f64::from(node.value);
            }
        }
        return;
    }
    let (left, right) = shares(&tree.nodes, here, node);
    let value = row.get(node.feature as usize).copied().unwrap_or(f32::NAN);
    let goes_left = node.goes_left(value);
    for (child, share, goes) in [(here + 1, left, goes_left), (node.right as usize, right, !goes_left)] {
        // Nobody goes there, with the feature or without.
        if share == 0.0 && !goes {
            continue;
        }
        let with = f64::from(u8::from(goes));
        descend(tree, row, contributions, (child, &mut path), (share, with, Some(node.feature)));
    }
}

/// Adds a step to a way.
fn extend(path: &mut Vec<Step>, without: f64, with: f64, feature: u32) {
    let length = path.len();
    path.push(Step { feature, without, with, weight: if length == 0 { 1.0 } else { 0.0 } });
    let size = (length + 1) as f64;
    for place in (0..length).rev() {
        path[place + 1].weight += with * path[place].weight * (place + 1) as f64 / size;
        path[place].weight *= without * (length - place) as f64 / size;
    }
}

/// Takes a step out of a way, as if it had never been there.
fn unwind(path: &mut Vec<Step>, place: usize) {
    let last = path.len() - 1;
    let Step { without, with, .. } = path[place];
    let size = (last + 1) as f64;
    let mut next = path[last].weight;
    for at in (0..last).rev() {
        if with != 0.0 {
            let before = path[at].weight;
            path[at].weight = next * size / ((at + 1) as f64 * with);
            next = before - path[at].weight * without * (last - at) as f64 / size;
        } else {
            path[at].weight *= size / (without * (last - at) as f64);
        }
    }
    for at in place..last {
        let Step { feature, without, with, .. } = path[at + 1];
        path[at] = Step { feature, without, with, weight: path[at].weight };
    }
    path.pop();
}

/// The sum of the weights that a way would have without a step.
fn unwound_sum(path: &[Step], place: usize) -> f64 {
    let last = path.len() - 1;
    let Step { without, with, .. } = path[place];
    let size = (last + 1) as f64;
    let (mut next, mut total) = (path[last].weight, 0.0);
    for at in (0..last).rev() {
        if with != 0.0 {
            let weight = next * size / ((at + 1) as f64 * with);
            total += weight;
            next = path[at].weight - weight * without * (last - at) as f64 / size;
        } else if without != 0.0 {
            total += path[at].weight / without * size / (last - at) as f64;
        }
    }
    total
}
