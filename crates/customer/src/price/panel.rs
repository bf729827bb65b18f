//! What was sold of each series, in each period: logarithms of quantities and prices.
//!
//! Rows of one series and period make one observation: quantities are added up, the price is what a unit cost on average, a control is the
//! mean. Nothing can be said of a period without a sale. It must not know what is learned. Invariant: the observations of a series are
//! one after the other, by time, and all numbers are finite.

use std::ops::Range;

use ecommerce_ml_forecast::calendar::Period;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Rows as they come. All have as many elements, `[row]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sales {
    /// Of which series each is, by its number.
    pub series: Vec<u32>,
    /// When, in microseconds since 1970.
    pub time: Vec<i64>,
    /// How much, at least 0.
    pub quantity: Vec<f64>,
    /// What a unit cost, above 0.
    pub price: Vec<f64>,
    /// `[control][row]`: what else may have moved sales.
    pub controls: Vec<Vec<f64>>,
}

/// Observations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Panel {
    /// `[series]`: where its observations are.
    pub series: Vec<Range<usize>>,
    /// `[series]`: periods that are left out, because nothing was sold.
    pub empty: Vec<usize>,
    /// `[observation]`: when its period began, in microseconds since 1970.
    pub time: Vec<i64>,
    /// `[observation]`: the logarithm of the quantity.
    pub quantity: Vec<f64>,
    /// `[observation]`: the logarithm of the price.
    pub price: Vec<f64>,
    /// `[control][observation]`.
    pub controls: Vec<Vec<f64>>,
    /// `[observation]`: rows that it is made of.
    pub rows: Vec<usize>,
    /// Rows in periods without a sale.
    pub rows_left_out: usize,
}

impl Panel {
    /// Of rows of so many series; without a period each row is an observation.
    #[must_use]
    pub fn new(sales: &Sales, series: usize, period: Option<Period>) -> Self {
        let begin = |row: usize| period.map_or(sales.time[row], |period| begin(period, sales.time[row]));
        let mut order: Vec<(u32, i64, usize)> =
            sales.series.iter().enumerate().map(|(row, series)| (*series, begin(row), row)).collect();
        order.sort_unstable();
        let mut panel = Self { controls: vec![Vec::new(); sales.controls.len()], ..Self::default() };
        let mut rest = order.as_slice();
        for number in 0..series {
            let (first, mut empty) = (panel.len(), 0);
            while let Some(&(_, time, _)) = rest.first().filter(|one| one.0 as usize == number) {
                let is_same =
                    |one: &(u32, i64, usize)| period.is_some() && one.0 as usize == number && one.1 == time;
                let count = rest.iter().take_while(|one| is_same(one)).count().max(1);
                let (these, after) = rest.split_at(count);
                rest = after;
                empty += usize::from(!panel.add(sales, these));
            }
            panel.series.push(first..panel.len());
            panel.empty.push(empty);
        }
        panel
    }

    /// Adds an observation of some rows, if anything was sold.
    fn add(&mut self, sales: &Sales, rows: &[(u32, i64, usize)]) -> bool {
        let rows_of = || rows.iter().map(|(.., row)| *row);
        let quantity: f64 = rows_of().map(|row| sales.quantity[row]).sum();
        let paid: f64 = rows_of().map(|row| sales.quantity[row] * sales.price[row]).sum();
        let (quantity_log, price) = (quantity.ln(), (paid / quantity).ln());
        if !(quantity_log.is_finite() && price.is_finite()) {
            self.rows_left_out += rows.len();
            return false;
        }
        self.time.push(rows.first().map_or(0, |one| one.1));
        self.quantity.push(quantity_log);
        self.rows.push(rows.len());
        // One row's price is the price: no rounding makes it vary.
        let same = rows_of().all(|row| sales.price[row] == sales.price[rows[0].2]);
        self.price.push(if same { sales.price[rows[0].2].ln() } else { price });
        for (control, values) in self.controls.iter_mut().zip(&sales.controls) {
            control.push(rows_of().map(|row| values[row]).sum::<f64>() / rows.len() as f64);
        }
        true
    }

    /// Number of observations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// Those before a moment, of the same series.
    #[must_use]
    pub fn before(&self, moment: i64) -> Self {
        let mut part = Self { controls: vec![Vec::new(); self.controls.len()], ..Self::default() };
        for (range, empty) in self.series.iter().zip(&self.empty) {
            let first = part.len();
            let end = range.start + self.time[range.clone()].partition_point(|time| *time < moment);
            let own = range.start..end;
            part.time.extend_from_slice(&self.time[own.clone()]);
            part.quantity.extend_from_slice(&self.quantity[own.clone()]);
            part.rows.extend_from_slice(&self.rows[own.clone()]);
            part.price.extend_from_slice(&self.price[own.clone()]);
            for (control, values) in part.controls.iter_mut().zip(&self.controls) {
                control.extend_from_slice(&values[own.clone()]);
            }
            part.series.push(first..part.len());
            part.empty.push(*empty);
        }
        part
    }

    /// Values less the mean of their series, `[observation]`.
    #[must_use]
    pub fn within(&self, values: &[f64]) -> Vec<f64> {
        let mut found = values.to_vec();
        for range in &self.series {
            let own = &mut found[range.clone()];
            // Of a constant nothing is left, whatever its mean is rounded to.
            let first = own.first().copied().unwrap_or(0.0);
            let mean = own.iter().map(|value| value - first).sum::<f64>() / own.len().max(1) as f64;
            own.iter_mut().for_each(|value| *value = (*value - first) - mean);
        }
        found
    }
}

/// When the period of a moment begins; all in UTC.
#[must_use]
pub fn begin(period: Period, time: i64) -> i64 {
    period.first_day(period.index(time.div_euclid(DAY))).saturating_mul(DAY)
}

/// The number of the period of a moment.
#[must_use]
pub fn number(period: Period, time: i64) -> i64 {
    period.index(time.div_euclid(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_period_are_one_observation() {
        let sales = Sales {
            series: vec![1, 0, 1, 1, 1],
            time: vec![8 * DAY, 0, 9 * DAY, DAY, 2 * DAY],
            quantity: vec![1.0, 2.0, 3.0, 0.0, 0.0],
            price: vec![8.0, 5.0, 4.0, 5.0, 5.0],
            controls: vec![vec![1.0, 0.0, 0.0, 0.0, 0.0]],
        };
        let panel = Panel::new(&sales, 2, Some(Period::Week));
        assert_eq!(
            (panel.series.clone(), panel.empty.clone(), panel.rows_left_out),
            (vec![0..1, 1..2], vec![0, 1], 2)
        );
        assert_eq!(
            (panel.quantity[1], panel.price[1], panel.controls[0][1]),
            (4.0_f64.ln(), 5.0_f64.ln(), 0.5)
        );
        assert_eq!(panel.time, [-3 * DAY, 4 * DAY]);
        let panel = Panel::new(&sales, 2, None);
        assert_eq!((panel.len(), panel.empty.clone()), (3, vec![0, 2]));
        assert_eq!(panel.before(9 * DAY).series, [0..1, 1..2]);
        assert_eq!(panel.within(&panel.price)[0], 0.0);
        let spread = panel.within(&panel.price)[1];
        assert!((spread - 0.5 * 2.0_f64.ln()).abs() < 1e-15, "{spread}");
    }
}
