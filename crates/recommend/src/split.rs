//! Which pairs are held out.
//!
//! It must not know models. Invariant: it depends on the pairs and the seed alone.

use std::cmp::Reverse;

use crate::interactions::Interactions;
use crate::matrix::SparseMatrix;

/// How pairs are held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Split {
    /// The last pair of each customer who has at least two; of pairs of the same time one by chance.
    Last {
        /// Of chance.
        seed: u64,
    },
    /// Any pair with this probability.
    Random {
        /// From 0 to 1.
        fraction: f64,
        /// Of chance.
        seed: u64,
    },
}

/// Interactions in two parts.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOut {
    /// What is learned from.
    pub training: Interactions,
    /// `[customers, items]`: what is to be found.
    pub held_out: SparseMatrix,
}

impl Split {
    /// The two parts.
    pub fn apply(self, interactions: &Interactions) -> HeldOut {
        let mut is_held_out = vec![false; interactions.pairs()];
        let mut place = 0;
        for customer in 0..interactions.matrix.rows() {
            let items = interactions.matrix.row(customer).0;
            let own = &mut is_held_out[place..place + items.len()];
            place += items.len();
            match self {
                Split::Last { seed } if items.len() > 1 => {
                    let times = interactions.times_of(customer);
                    let latest = |&at: &usize| (times.get(at), Reverse(hash(seed, customer, items[at])));
                    if let Some(last) = (0..items.len()).max_by_key(latest) {
                        own[last] = true;
                    }
                }
                Split::Last { .. } => {}
                Split::Random { fraction, seed } => {
                    let is_chosen = |item: u32| unit(hash(seed, customer, item)) < fraction;
                    own.iter_mut().zip(items).for_each(|(own, &item)| *own = is_chosen(item));
                }
            }
        }
        let training = interactions.filtered(|_, _, place| !is_held_out[place]);
        HeldOut { training, held_out: interactions.filtered(|_, _, place| is_held_out[place]).matrix }
    }
}

/// The same without all but about so many customers' pairs.
pub fn sampled(interactions: &Interactions, customers: usize, seed: u64) -> Interactions {
    let all = interactions.matrix.rows();
    if all <= customers {
        return interactions.clone();
    }
    #[allow(clippy::cast_precision_loss)]
    let part = customers as f64 / all as f64;
    interactions.filtered(|customer, _, _| unit(hash(seed, customer, u32::MAX)) < part)
}

/// SplitMix64 of a pair.
pub(crate) fn hash(seed: u64, customer: usize, item: u32) -> u64 {
    let mix = |mut value: u64| {
        value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    mix(mix(seed ^ customer as u64) ^ u64::from(item))
}

/// From 0 to below 1.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interactions::Event;

    fn made() -> Interactions {
        let names: Vec<String> = (0..200).map(|name| format!("{name:03}")).collect();
        let event =
            |at: u32| Event { customer: at / 10, item: at % 10, weight: 1.0, time: i64::from(at * 7 % 10) };
        Interactions::new(&names, &names, (0..2000).map(event).collect())
    }

    #[test]
    fn the_last_pair_is_held_out() {
        let interactions = made();
        let split = Split::Last { seed: 1 }.apply(&interactions);
        assert_eq!(split.held_out.columns, [7; 200]);
        assert_eq!(split.training.pairs(), 1800);
        assert!(split.training.times.iter().all(|&time| time < 9));
        let single = interactions.filtered(|_, item, _| item == 3);
        assert!(Split::Last { seed: 1 }.apply(&single).held_out.columns.is_empty());
    }

    #[test]
    fn chance_holds_out_a_part() {
        let split = Split::Random { fraction: 0.25, seed: 3 }.apply(&made());
        assert!((450..550).contains(&split.held_out.columns.len()));
        assert_eq!(split.training.pairs() + split.held_out.columns.len(), 2000);
        assert_ne!(split, Split::Random { fraction: 0.25, seed: 4 }.apply(&made()));
        let customers =
            sampled(&made(), 50, 1).matrix.offsets.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((30..70).contains(&customers), "{customers}");
    }
}
