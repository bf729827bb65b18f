//! What is known of a customer.

use serde::{Deserialize, Serialize};

/// Purchases of a customer until a moment; all times in the same unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Purchases after the first.
    pub repeats: u32,
    /// From the first to the last; 0 without a repeat.
    pub recency: f64,
    /// From the first to the moment; at least `recency`.
    pub age: f64,
    /// Mean worth of the purchases after the first; none without a repeat, or where amounts aren't known.
    pub mean_spend: Option<f64>,
}

impl History {
    /// Of the times of purchases, in any order, with their worths, until a moment; none if there is none until then. Purchases of the
    /// same time are one.
    #[must_use]
    pub fn of(purchases: &[(f64, Option<f64>)], until: f64) -> Option<Self> {
        Self::since(purchases, f64::NEG_INFINITY, until)
    }

    /// The same, where of what was before a moment only this is known: that who bought before was a customer then. It counts as a
    /// first purchase at that moment.
    #[must_use]
    pub fn since(purchases: &[(f64, Option<f64>)], since: f64, until: f64) -> Option<Self> {
        let mut known: Vec<(f64, Option<f64>)> =
            purchases.iter().copied().filter(|(time, _)| *time <= until).collect();
        known.sort_by(|one, other| one.0.total_cmp(&other.0));
        let first = known.first()?.0.max(since).min(until);
        let mut visits: Vec<(f64, Option<f64>)> = Vec::new();
        for (time, worth) in known.into_iter().filter(|(time, _)| *time > first) {
            match visits.last_mut() {
                Some((at, sum)) if *at == time => *sum = sum.zip(worth).map(|(one, other)| one + other),
                _ => visits.push((time, worth)),
            }
        }
        let last = visits.last().map_or(first, |(time, _)| *time);
        let repeats = u32::try_from(visits.len()).unwrap_or(u32::MAX);
        let spent: Option<f64> = visits.iter().map(|(_, worth)| *worth).sum();
        let mean_spend = spent.filter(|_| repeats > 0).map(|sum| sum / f64::from(repeats));
        Some(Self { repeats, recency: last - first, age: until - first, mean_spend })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purchases_are_counted_by_their_times() {
        let bought =
            [(5.0, Some(10.0)), (1.0, Some(99.0)), (5.0, Some(2.0)), (8.0, Some(4.0)), (11.0, Some(1.0))];
        let expected = History { repeats: 2, recency: 7.0, age: 9.0, mean_spend: Some(8.0) };
        assert_eq!(History::of(&bought, 10.0), Some(expected));
        assert_eq!(History::of(&bought, 0.5), None);
        let once = History { repeats: 0, recency: 0.0, age: 1.0, mean_spend: None };
        assert_eq!(History::of(&bought, 2.0), Some(once));
        assert_eq!(History::of(&[(1.0, None), (2.0, None)], 2.0).and_then(|one| one.mean_spend), None);
        let late = History { repeats: 1, recency: 4.0, age: 6.0, mean_spend: Some(4.0) };
        assert_eq!(
            History::since(&bought, 4.0, 10.0),
            Some(History { repeats: 2, recency: 4.0, mean_spend: Some(8.0), ..late })
        );
        assert_eq!(History::since(&bought, 5.0, 10.0), Some(History { recency: 3.0, age: 5.0, ..late }));
        let gone = History { repeats: 0, recency: 0.0, age: 1.0, mean_spend: None };
        assert_eq!(History::since(&bought, 9.0, 10.0), Some(gone));
        assert_eq!(History::since(&bought, 0.0, 0.5), None);
    }
}
