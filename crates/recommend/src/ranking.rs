//! The best of many scores.
//!
//! It must not know where scores come from. Invariant: equal scores are ranked by the second score, then by place, so that there is
//! one order.

use std::cmp::Ordering;

/// An item with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Its place.
    pub item: u32,
    /// The higher the better.
    pub score: f32,
}

/// The `count` best of those items that the function lets pass, best first. Both slices `[items]`.
pub fn best(scores: &[f32], second: &[f32], count: usize, passes: impl Fn(u32) -> bool) -> Vec<Ranked> {
    let order = |one: &Ranked, other: &Ranked| -> Ordering {
        let second_of = |ranked: &Ranked| second.get(ranked.item as usize).copied().unwrap_or_default();
        other
            .score
            .total_cmp(&one.score)
            .then_with(|| second_of(other).total_cmp(&second_of(one)))
            .then(one.item.cmp(&other.item))
    };
    let mut best: Vec<Ranked> = Vec::with_capacity(count.min(scores.len()) + 1);
    for (item, &score) in scores.iter().enumerate() {
        let Ok(item) = u32::try_from(item) else { break };
        let full = best.len() >= count;
        if full && best.last().is_none_or(|last| score < last.score) {
            continue;
        }
        let candidate = Ranked { item, score };
        if !passes(item) {
            continue;
        }
        let place = best.partition_point(|one| order(one, &candidate).is_lt());
        if place < count {
            best.insert(place, candidate);
            best.truncate(count);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_fall_to_the_second_score_and_then_the_place() {
        let items = |ranked: Vec<Ranked>| ranked.into_iter().map(|one| one.item).collect::<Vec<_>>();
        let scores = [0.0, 2.0, 0.0, 1.0, 0.0];
        let second = [1.0, 0.0, 3.0, 9.0, 3.0];
        assert_eq!(items(best(&scores, &second, 4, |_| true)), [1, 3, 2, 4]);
        assert_eq!(items(best(&scores, &second, 9, |item| item != 3)), [1, 2, 4, 0]);
        assert_eq!(items(best(&scores, &second, 0, |_| true)), Vec::<u32>::new());
    }
}
