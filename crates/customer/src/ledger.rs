//! The purchases of all customers.
//!
//! It must not know what is learned from them. Invariant: customers are ordered by name, and the purchases of each by time, one a moment,
//! in whatever order they came.

use std::collections::BTreeMap;

use crate::history::History;

/// Microseconds of a day, which is the unit of time of all that is learned.
const DAY: f64 = 86_400_000_000.0;

/// A purchase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event<'a> {
    /// Who bought.
    pub customer: &'a str,
    /// When, in microseconds since 1970.
    pub time: i64,
    /// What it was worth, at least 0; the same of all purchases, 1, where amounts aren't known.
    pub amount: f64,
}

/// Purchases.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// Names, ascending.
    pub customers: Vec<String>,
    /// `[customer]`: days since the first purchase of all, with worths if these are known.
    purchases: Vec<Vec<(f64, Option<f64>)>>,
    /// Whether worths are known.
    pub has_amounts: bool,
    /// The first purchase of all, in microseconds since 1970.
    pub start: i64,
    /// The last one.
    pub end: i64,
}

impl Ledger {
    /// Of some purchases; none without any.
    #[must_use]
    pub fn of(events: &[Event<'_>]) -> Option<Self> {
        let start = events.iter().map(|event| event.time).min()?;
        let end = events.iter().map(|event| event.time).max()?;
        // Exactly 1 is what counts say.
        #[allow(clippy::float_cmp, reason = "a number that is written down")]
        let has_amounts = events.iter().any(|event| event.amount != 1.0);
        let mut all: BTreeMap<&str, Vec<(i64, f64)>> = BTreeMap::new();
        for event in events {
            all.entry(event.customer).or_default().push((event.time, event.amount));
        }
        let own = |mut bought: Vec<(i64, f64)>| -> Vec<(f64, Option<f64>)> {
            // Sums of amounts in one order.
            bought.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
            let purchase = |(time, amount): (i64, f64)| (days(start, time), has_amounts.then_some(amount));
            bought.into_iter().map(purchase).collect()
        };
        let (customers, purchases) =
            all.into_iter().map(|(name, bought)| (name.to_owned(), own(bought))).unzip();
        Some(Self { customers, purchases, has_amounts, start, end })
    }

    /// Days between the first and the last purchase of all.
    #[must_use]
    pub fn days(&self) -> f64 {
        days(self.start, self.end)
    }

    /// What is known of each customer at a moment, `[customer]`, if only the time after another is looked at; none of those who came later.
    /// Moments are days since the first purchase of all.
    #[must_use]
    pub fn histories(&self, since: f64, until: f64) -> Vec<Option<History>> {
        self.purchases.iter().map(|bought| History::since(bought, since, until)).collect()
    }

    /// How often a customer bought after a moment until another, and for how much; purchases of one moment are one.
    #[must_use]
    pub fn bought(&self, customer: usize, after: f64, until: f64) -> (f64, f64) {
        let bought = self.purchases.get(customer).map_or(&[][..], Vec::as_slice);
        let within = bought.iter().filter(|(time, _)| *time > after && *time <= until);
        let (mut count, mut worth, mut last) = (0.0, 0.0, f64::NEG_INFINITY);
        for (time, amount) in within {
            count += if *time > last { 1.0 } else { 0.0 };
            last = *time;
            worth += amount.unwrap_or(0.0);
        }
        (count, worth)
    }

    /// How many rows there are until a moment.
    #[must_use]
    pub fn rows(&self, until: f64) -> usize {
        self.purchases.iter().map(|bought| bought.partition_point(|(time, _)| *time <= until)).sum()
    }
}

/// Days from a moment to another, both in microseconds since 1970.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn days(from: i64, to: i64) -> f64 {
    (i128::from(to) - i128::from(from)) as f64 / DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::cast_possible_truncation)]
    fn purchases_are_kept_whatever_their_order() {
        let event = |customer, day: f64, amount| Event { customer, time: 7 + (day * DAY) as i64, amount };
        let mut events =
            vec![event("b", 4.0, 2.5), event("a", 0.0, 1.0), event("b", 1.0, 3.0), event("b", 4.0, 1.0)];
        let ledger = Ledger::of(&events).unwrap();
        events.reverse();
        assert_eq!(Ledger::of(&events), Some(ledger.clone()));
        assert_eq!((ledger.customers.len(), ledger.days(), ledger.has_amounts), (2, 4.0, true));
        assert_eq!(ledger.bought(1, 1.0, 4.0), (1.0, 3.5));
        assert_eq!((ledger.bought(1, 0.5, 3.0), ledger.rows(1.0)), ((1.0, 3.0), 2));
        let history = History { repeats: 1, recency: 3.0, age: 3.0, mean_spend: Some(3.5) };
        assert_eq!(ledger.histories(f64::NEG_INFINITY, 4.0)[1], Some(history));
        assert_eq!(ledger.histories(f64::NEG_INFINITY, 0.5)[1], None);
        assert_eq!(Ledger::of(&[]), None);
        assert!(!Ledger::of(&[event("a", 0.0, 1.0)]).unwrap().has_amounts);
    }
}
