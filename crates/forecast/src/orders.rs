//! How much to order now, for a demand whose quantiles are known.
//!
//! It must not know where quantiles come from. Invariant: what is ordered is a number of whole packs, and more of it never makes running out
//! likelier.

use crate::inventory::Costs;
use crate::{Invalid, require, require_size};

/// Of a number of packs that is whole but for its last digits.
const ROUNDING: f64 = 1e-9;

/// Demand until what is ordered next time can be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// Between 0 and 1, ascending.
    levels: Vec<f64>,
    /// `[level]`, ascending.
    quantities: Vec<f64>,
}

/// How to order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// The probability with which stock is to last; of no account where there are costs.
    pub service_level: f64,
    /// What a unit too few and a unit too many cost, if that is to decide.
    pub costs: Option<Costs>,
    /// Units in a pack, the least that can be ordered.
    pub pack_size: f64,
    /// Units that an order has at least.
    pub minimum: f64,
}

/// What to order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// Units; 0 for nothing.
    pub quantity: f64,
    /// Stock, on hand and on order, below which to order, and up to which.
    pub reorder_point: f64,
    /// The probability with which stock is to last.
    pub level: f64,
    /// The probability that it does not, with the order.
    pub stockout_risk: f64,
    /// What units too few and too many will cost on average, with the order; none without costs.
    pub expected_cost: Option<f64>,
}

impl Demand {
    /// Of these quantiles; what is below 0 is 0.
    ///
    /// # Errors
    /// [`Invalid::Argument`] if there are fewer than two, not as many levels, or either does not ascend.
    pub fn new(levels: &[f64], quantities: &[f64]) -> Result<Self, Invalid> {
        let between = levels.iter().all(|level| *level > 0.0 && *level < 1.0);
        let ascend = levels.windows(2).all(|pair| pair[0] < pair[1]);
        require("levels", between && ascend, "ascending numbers between 0 and 1, both excluded")?;
        require(
            "levels",
            levels.len() > 1 && levels.len() == quantities.len(),
            "at least two, as many as quantities",
        )?;
        let finite = quantities.iter().all(|quantity| quantity.is_finite());
        let ascend = quantities.windows(2).all(|pair| pair[0] <= pair[1]);
        require("quantities", finite && ascend, "finite numbers in ascending order")?;
        let quantities = quantities.iter().map(|quantity| quantity.max(0.0)).collect();
        Ok(Self { levels: levels.to_vec(), quantities })
    }

    /// The quantity that a part `level` of demands is not above: between two levels on the straight line, beyond them the outermost.
    #[must_use]
    pub fn quantile(&self, level: f64) -> f64 {
        interpolated(&self.levels, &self.quantities, level, self.levels.partition_point(|one| *one < level))
    }

    /// The probability of a demand above `stock`.
    #[must_use]
    pub fn above(&self, stock: f64) -> f64 {
        let beyond = self.quantities.partition_point(|one| *one <= stock);
        if beyond == 0 {
            return 1.0;
        }
        1.0 - interpolated(&self.quantities, &self.levels, stock, beyond)
    }

    /// What units too few and too many cost on average with such a stock, each quantile standing for the levels that are nearest to it.
    #[must_use]
    pub fn cost(&self, stock: f64, costs: Costs) -> f64 {
        let last = self.levels.len() - 1;
        let edge = |place: usize| (self.levels[place - 1] + self.levels[place]) / 2.0;
        let cost = |(place, demand): (usize, &f64)| {
            let from = if place == 0 { 0.0 } else { edge(place) };
            let until = if place == last { 1.0 } else { edge(place + 1) };
            let missing = (demand - stock).max(0.0);
            let left = (stock - demand).max(0.0);
            (until - from) * (costs.underage * missing + costs.overage * left)
        };
        self.quantities.iter().enumerate().map(cost).sum()
    }

    /// What to order, with `position` units on hand and on order, less what is owed.
    ///
    /// Without costs as many packs as it takes to reach the reorder point; with costs, of the numbers of packs on both sides of it, the
    /// minimum, and nothing, the one that costs least.
    ///
    /// # Errors
    /// [`Invalid::Argument`] for what can't be.
    pub fn order(&self, position: f64, terms: &Terms) -> Result<Order, Invalid> {
        require("on_hand", position.is_finite(), "a finite number")?;
        require(
            "pack_size",
            terms.pack_size > 0.0 && terms.pack_size.is_finite(),
            "a finite number above 0",
        )?;
        require_size("minimum_order", terms.minimum)?;
        let level = match terms.costs {
            Some(costs) => costs.critical_ratio()?,
            None => terms.service_level,
        };
        require("service_level", (0.0..=1.0).contains(&level), "from 0 to 1")?;
        let reorder_point = self.quantile(level);
        let units = |packs: f64| packs * terms.pack_size;
        let least = units((terms.minimum / terms.pack_size - ROUNDING).ceil().max(0.0));
        let packs = (reorder_point - position) / terms.pack_size;
        let up = units((packs - ROUNDING).ceil());
        let quantity = match terms.costs {
            _ if packs <= ROUNDING => 0.0,
            None => up.max(least),
            Some(costs) => {
                let choices = [0.0, units(packs.floor()).max(least), up.max(least)];
                let cost = |order: &f64| self.cost(position + order, costs);
                choices.into_iter().min_by(|one, other| cost(one).total_cmp(&cost(other))).unwrap_or(up)
            }
        };
        let stock = position + quantity;
        Ok(Order {
            quantity,
            reorder_point,
            level,
            stockout_risk: self.above(stock),
            expected_cost: terms.costs.map(|costs| self.cost(stock, costs)),
        })
    }
}

/// The value at `at`, which is below the place `above` of `from` and not below the one before.
fn interpolated(from: &[f64], to: &[f64], at: f64, above: usize) -> f64 {
    match (above.checked_sub(1), to.get(above)) {
        (None, Some(first)) => *first,
        (Some(last), None) => to[last],
        (Some(below), Some(upper)) => {
            let part = (at - from[below]) / (from[above] - from[below]);
            to[below] * (1.0 - part) + upper * part
        }
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform() -> Demand {
        // Demand between 0 and 100, each as likely.
        let levels: Vec<f64> = (1..100).map(|percent| f64::from(percent) / 100.0).collect();
        let quantities: Vec<f64> = (1..100).map(f64::from).collect();
        Demand::new(&levels, &quantities).unwrap()
    }

    const TERMS: Terms = Terms { service_level: 0.9, costs: None, pack_size: 1.0, minimum: 0.0 };

    #[test]
    fn stock_is_filled_up_to_the_service_level_in_whole_packs() {
        let demand = uniform();
        let order = demand.order(30.5, &TERMS).unwrap();
        assert_eq!((order.quantity, order.reorder_point, order.level), (60.0, 90.0, 0.9));
        assert!((order.stockout_risk - 0.095).abs() < 1e-12 && order.expected_cost.is_none());
        let packed = demand.order(30.0, &Terms { pack_size: 24.0, ..TERMS }).unwrap();
        assert_eq!(packed.quantity, 72.0);
        let least = demand.order(85.0, &Terms { pack_size: 24.0, minimum: 30.0, ..TERMS }).unwrap();
        assert_eq!(least.quantity, 48.0);
        assert_eq!(demand.order(90.0, &TERMS).unwrap().quantity, 0.0);
        assert_eq!(demand.order(-5.0, &TERMS).unwrap().quantity, 95.0, "what is owed is ordered, too");
        // Weights, not counts.
        let weighed = demand.order(89.95, &Terms { pack_size: 0.1, ..TERMS }).unwrap();
        assert!((weighed.quantity - 0.1).abs() < 1e-12);
    }

    #[test]
    fn costs_decide_where_they_are_known() {
        let demand = uniform();
        let costs = Costs { underage: 3.0, overage: 1.0 };
        let terms = Terms { costs: Some(costs), ..TERMS };
        let order = demand.order(0.0, &terms).unwrap();
        assert_eq!((order.quantity, order.level), (75.0, 0.75));
        // Of a demand between 0 and 100: c_u (1 - q)^2 / 2 + c_o q^2 / 2, a hundred times.
        assert!((order.expected_cost.unwrap() - 37.5).abs() < 0.2, "{order:?}");
        // 70 are nearer than 140.
        assert_eq!(demand.order(0.0, &Terms { pack_size: 70.0, ..terms }).unwrap().quantity, 70.0);
        // A whole pallet for one unit: rather nothing.
        assert_eq!(demand.order(74.0, &Terms { minimum: 500.0, ..terms }).unwrap().quantity, 0.0);
        assert_eq!(demand.order(74.0, &Terms { minimum: 500.0, ..TERMS }).unwrap().quantity, 500.0);
        let least = (0..100).map(|stock| demand.cost(f64::from(stock), costs)).fold(f64::INFINITY, f64::min);
        assert!((least - order.expected_cost.unwrap()).abs() < 1e-9);
    }

    #[test]
    fn demand_that_is_mostly_nothing() {
        let demand = Demand::new(&[0.1, 0.5, 0.8, 0.9, 0.99], &[-1.0, 0.0, 0.0, 2.0, 10.0]).unwrap();
        assert_eq!((demand.above(0.0), demand.above(10.0)), (1.0 - 0.8, 1.0 - 0.99));
        assert_eq!(demand.order(0.0, &Terms { service_level: 0.7, ..TERMS }).unwrap().quantity, 0.0);
        assert_eq!(demand.order(0.0, &TERMS).unwrap().quantity, 2.0);
        assert_eq!(demand.order(0.0, &Terms { service_level: 0.999, ..TERMS }).unwrap().quantity, 10.0);
    }

    #[test]
    fn what_can_not_be_is_refused() {
        Demand::new(&[0.5], &[1.0]).unwrap_err();
        Demand::new(&[0.5, 0.4], &[1.0, 2.0]).unwrap_err();
        Demand::new(&[0.4, 0.5], &[2.0, 1.0]).unwrap_err();
        Demand::new(&[0.4, 1.0], &[1.0, 2.0]).unwrap_err();
        let demand = uniform();
        demand.order(f64::NAN, &TERMS).unwrap_err();
        demand.order(0.0, &Terms { pack_size: 0.0, ..TERMS }).unwrap_err();
        demand.order(0.0, &Terms { minimum: -1.0, ..TERMS }).unwrap_err();
        demand
            .order(0.0, &Terms { costs: Some(Costs { underage: 0.0, overage: 0.0 }), ..TERMS })
            .unwrap_err();
    }
}
