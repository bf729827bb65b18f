//! What lists of items are worth that were ranked for somebody, when it is known what they turned to afterwards.
//!
//! It must not know how items are ranked. Invariant: values are between 0 and 1, but for novelty, which is in bits.

use std::collections::HashSet;

/// Normalised discounted cumulative gain of the first `count` places with gains of 0 and 1 (Järvelin and Kekäläinen, "Cumulated
/// gain-based evaluation of IR techniques", 2002): `hits` says of each place whether it is a relevant item, of which there are
/// `relevant` in all. None if there is none.
#[allow(clippy::cast_precision_loss)]
pub fn ndcg(hits: &[bool], relevant: usize, count: usize) -> Option<f64> {
    let discount = |place: usize| 1.0 / (place as f64 + 2.0).log2();
    let gained: f64 =
        hits.iter().take(count).enumerate().filter(|(_, hit)| **hit).map(|(place, _)| discount(place)).sum();
    let ideal: f64 = (0..relevant.min(count)).map(discount).sum();
    (ideal > 0.0).then(|| gained / ideal)
}

/// The part of the relevant items that are among the first `count` places. None if there is none.
#[allow(clippy::cast_precision_loss)]
pub fn recall(hits: &[bool], relevant: usize, count: usize) -> Option<f64> {
    let found = hits.iter().take(count).filter(|hit| **hit).count();
    (relevant > 0).then(|| found as f64 / relevant as f64)
}

/// The part of all items that are recommended to anybody at all: `recommended` says how often each is. None without items.
#[allow(clippy::cast_precision_loss)]
pub fn coverage(recommended: &[u64]) -> Option<f64> {
    let ever = recommended.iter().filter(|times| **times > 0).count();
    (!recommended.is_empty()).then(|| ever as f64 / recommended.len() as f64)
}

/// Mean of `-log2(share)` of all recommendations, where `shares` are the parts of the customers who had each item already: 0 if
/// everybody had what is recommended, 10 if one of 1,024 had (Zhou et al., "Solving the apparent diversity-accuracy dilemma",
/// PNAS 2010). Items that nobody had are left out. None without recommendations.
#[allow(clippy::cast_precision_loss)]
pub fn novelty(recommended: &[u64], shares: &[f64]) -> Option<f64> {
    let known = recommended.iter().zip(shares).filter(|(_, share)| **share > 0.0);
    let (bits, times) = known.fold((0.0, 0_u64), |(bits, all), (&times, share)| {
        (bits - times as f64 * share.min(1.0).log2(), all + times)
    });
    crate::ratio(bits, times)
}

/// What the rankings for many customers are worth, each of which has been measured.
#[derive(Debug, Clone, Default)]
pub struct Rankings {
    ndcg: f64,
    recall: f64,
    bits: f64,
    customers: u64,
    places: u64,
    shown: HashSet<String>,
    items: u64,
}

impl Rankings {
    /// Adds a customer's: NDCG, recall, the items in the first places and how little known they are in all, of so many items in all.
    pub fn add(&mut self, ndcg: f64, recall: f64, (shown, bits): (Vec<String>, f64), items: u64) {
        self.ndcg += ndcg;
        self.recall += recall;
        self.bits += bits;
        self.customers += 1;
        self.places += shown.len() as u64;
        self.shown.extend(shown);
        self.items = items;
    }

    /// How many were added.
    pub fn customers(&self) -> u64 {
        self.customers
    }

    /// Mean.
    pub fn ndcg(&self) -> Option<f64> {
        crate::ratio(self.ndcg, self.customers)
    }

    /// Mean.
    pub fn recall(&self) -> Option<f64> {
        crate::ratio(self.recall, self.customers)
    }

    /// As [`coverage`].
    #[allow(clippy::cast_precision_loss)]
    pub fn coverage(&self) -> Option<f64> {
        crate::ratio(self.shown.len() as f64, self.items)
    }

    /// As [`novelty`].
    pub fn novelty(&self) -> Option<f64> {
        crate::ratio(self.bits, self.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_hits_count_more() {
        let hits = [false, true, false, true];
        // (1 / log2 3 + 1 / log2 5) / (1 + 1 / log2 3 + 1 / log2 4)
        let expected = (0.630_929_753_571_457_4 + 0.430_676_558_073_393_06) / 2.130_929_753_571_457_3;
        assert!((ndcg(&hits, 3, 10).unwrap() - expected).abs() < 1e-15);
        assert_eq!(ndcg(&hits, 3, 1), Some(0.0));
        assert_eq!(ndcg(&[true, true], 5, 2), Some(1.0));
        assert_eq!(ndcg(&hits, 0, 10), None);
        assert_eq!((recall(&hits, 4, 2), recall(&hits, 4, 20)), (Some(0.25), Some(0.5)));
        assert_eq!(recall(&hits, 0, 2), None);
    }

    #[test]
    fn what_is_shown_to_whom() {
        assert_eq!(coverage(&[3, 0, 1, 0]), Some(0.5));
        assert_eq!(coverage(&[]), None);
        assert_eq!(novelty(&[3, 1, 5], &[0.5, 0.125, 0.0]), Some(6.0 / 4.0));
        assert_eq!(novelty(&[0, 0], &[0.5, 0.5]), None);
    }

    #[test]
    fn many_customers_are_put_together() {
        let mut rankings = Rankings::default();
        assert_eq!((rankings.ndcg(), rankings.coverage(), rankings.novelty()), (None, None, None));
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        rankings.add(1.0, 0.5, (names(&["a", "b"]), 6.0), 8);
        rankings.add(0.0, 1.0, (names(&["b"]), 3.0), 8);
        assert_eq!((rankings.customers(), rankings.ndcg(), rankings.recall()), (2, Some(0.5), Some(0.75)));
        assert_eq!((rankings.coverage(), rankings.novelty()), (Some(0.25), Some(3.0)));
    }
}
