//! Who had to do with which item: rows of a training put together to one value for each pair.
//!
//! It must not know models. Invariant: the same rows give the same interactions, bit by bit, in whatever order they came.

use crate::matrix::SparseMatrix;

/// One row: a purchase, a click, a rating.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Place of the customer among the names.
    pub customer: u32,
    /// Place of the item among the names.
    pub item: u32,
    /// Stars, a quantity, or 1.
    pub weight: f64,
    /// In any unit; 0 of all where there are no times.
    pub time: i64,
}

/// Customers, items, and what they had to do with each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interactions {
    /// Names, ascending; rows of the matrix.
    pub customers: Vec<String>,
    /// Names, ascending; columns of the matrix.
    pub items: Vec<String>,
    /// `[customers, items]`: the sum of the weights of a pair's events.
    pub matrix: SparseMatrix,
    /// `[entries]`: the last time of each pair, as the matrix has them.
    pub times: Vec<i64>,
}

impl Interactions {
    /// Of events; names may come more than once, and need not be used.
    /// Events of weights that are not above 0 are left out.
    pub fn new(customers: &[String], items: &[String], mut events: Vec<Event>) -> Self {
        events.retain(|event| event.weight.is_finite() && event.weight > 0.0);
        let (customers, customer_ranks) = ranked(customers, events.iter().map(|event| event.customer));
        let (items, item_ranks) = ranked(items, events.iter().map(|event| event.item));
        for event in &mut events {
            event.customer = customer_ranks[event.customer as usize];
            event.item = item_ranks[event.item as usize];
        }
        events.sort_unstable_by(|one, other| {
            let key = |event: &Event| (event.customer, event.item, event.time);
            key(one).cmp(&key(other)).then(one.weight.total_cmp(&other.weight))
        });
        let mut matrix = SparseMatrix { width: items.len(), offsets: vec![0], ..SparseMatrix::default() };
        let mut times = Vec::new();
        for pair in events.chunk_by(|one, other| (one.customer, one.item) == (other.customer, other.item)) {
            let (Some(first), Some(last)) = (pair.first(), pair.last()) else { continue };
            let begun = first.customer as usize + 1;
            matrix.offsets.resize(begun, matrix.columns.len() as u64);
            matrix.columns.push(first.item);
            #[allow(clippy::cast_possible_truncation, reason = "weights need no more digits")]
            matrix.values.push(pair.iter().map(|event| event.weight).sum::<f64>() as f32);
            times.push(last.time);
        }
        matrix.offsets.resize(customers.len() + 1, matrix.columns.len() as u64);
        Self { customers, items, matrix, times }
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.matrix.columns.len()
    }

    /// Times of a customer's pairs, as the matrix has them.
    pub fn times_of(&self, customer: usize) -> &[i64] {
        let end = |at: usize| self.matrix.offsets.get(at).map_or(0, |&offset| offset as usize);
        self.times.get(end(customer)..end(customer + 1)).unwrap_or_default()
    }

    /// The same customers and items, with those pairs only for which the function, which gets customer, item and place among all
    /// pairs, says so.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(usize, u32, usize) -> bool) -> Self {
        let mut kept = Self {
            customers: self.customers.clone(),
            items: self.items.clone(),
            matrix: SparseMatrix { width: self.matrix.width, offsets: vec![0], ..SparseMatrix::default() },
            times: Vec::new(),
        };
        let mut place = 0;
        for customer in 0..self.matrix.rows() {
            for (item, value) in self.matrix.entries(customer) {
                if keep(customer, item, place) {
                    kept.matrix.columns.push(item);
                    kept.matrix.values.push(value);
                    kept.times.extend(self.times.get(place));
                }
                place += 1;
            }
            kept.matrix.offsets.push(kept.matrix.columns.len() as u64);
        }
        kept
    }

    /// Bytes that they take while a model is fitted: the pairs, sorted by customer and by item, in the forms that fitting needs.
    pub fn bytes(pairs: u64) -> u64 {
        pairs * 80
    }
}

/// The used names in ascending order, and which of them each of the given ones is.
fn ranked(names: &[String], used: impl Iterator<Item = u32>) -> (Vec<String>, Vec<u32>) {
    let mut is_used = vec![false; names.len()];
    used.for_each(|name| is_used[name as usize] = true);
    let mut sorted: Vec<usize> = (0..names.len()).filter(|&name| is_used[name]).collect();
    sorted.sort_unstable_by(|&one, &other| names[one].cmp(&names[other]));
    let mut ranks = vec![0; names.len()];
    let mut distinct: Vec<String> = Vec::new();
    for name in sorted {
        if distinct.last() != Some(&names[name]) {
            distinct.push(names[name].clone());
        }
        ranks[name] = u32::try_from(distinct.len() - 1).unwrap_or(u32::MAX);
    }
    (distinct, ranks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(customer: u32, item: u32, weight: f64, time: i64) -> Event {
        Event { customer, item, weight, time }
    }

    #[test]
    fn pairs_are_summed_whatever_the_order() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let customers = names(&["zoe", "ann", "unused", "zoe"]);
        let items = names(&["tea", "cup"]);
        let mut events = vec![
            event(0, 0, 1.0, 5),
            event(3, 0, 2.5, 3),
            event(1, 1, 1.0, 1),
            event(1, 0, -1.0, 9),
            event(0, 1, f64::NAN, 9),
        ];
        let found = Interactions::new(&customers, &items, events.clone());
        assert_eq!(found.customers, ["ann", "zoe"]);
        assert_eq!(found.items, ["cup", "tea"]);
        assert_eq!(found.matrix, SparseMatrix::from_rows(2, vec![vec![(0, 1.0)], vec![(1, 3.5)]]));
        assert_eq!((&found.times[..], found.times_of(1)), (&[1, 5][..], &[5][..]));
        events.reverse();
        assert_eq!(Interactions::new(&customers, &items, events), found);
    }

    #[test]
    fn nothing_makes_nothing() {
        let none = Interactions::new(&[], &[], Vec::new());
        assert_eq!((none.pairs(), none.matrix.rows()), (0, 0));
        assert!(none.matrix.check());
    }
}
