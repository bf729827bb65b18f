//! How much of the past to learn from, and what that is worth on the time that is held out.
//!
//! Customers change, so that what is long past may tell little of them: all of the time is learned from, or the last half of it, and after each
//! purchase, or each but the first, customers may be lost: whatever foretells the time held out better. How far the sum of all was missed there is made good by half (its square root): what one period
//! says of the level may not be true of the next. It must not know messages. Invariant: what is measured was not known, and its level is
//! not made good.

use ecommerce_ml_metrics::foretold::{Foretold, calibration_error, total_error};

use crate::fit::FitError;
use crate::history::History;
use crate::ledger::Ledger;
use crate::purchases::{Loss, Purchases};
use crate::spend::Spend;
use crate::value::{Expected, Model};

/// Part of the amounts to come that intervals cover.
pub const LEVEL: f64 = 0.8;
/// Customers of whom it is counted whether their intervals hold, at most.
const COVERED: usize = 2_000;
/// How far the level of all may be moved, up or down.
const MOST_CORRECTION: f64 = 2.0;

/// From which time is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// All of it.
    All,
    /// The last half.
    Half,
}

impl Past {
    /// Its begin, in days since the first purchase of all.
    fn begin(self, until: f64) -> f64 {
        match self {
            Self::All => f64::NEG_INFINITY,
            Self::Half => until / 2.0,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Half => "half",
        }
    }
}

/// Why nothing is learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LearnError {
    /// How often customers buy can't be learned.
    Purchases(FitError),
    /// What purchases are worth can't be.
    Spend(FitError),
}

/// What was learned until a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// How customers buy.
    pub model: Model,
    /// What is known of each, `[customer]`; none of those who came later.
    pub histories: Vec<Option<History>>,
    /// From which time.
    pub past: Past,
}

impl Learned {
    /// Learns from purchases until a moment, in days since the first of all; of no loss in particular, of the likelier.
    ///
    /// # Errors
    /// [`LearnError`].
    pub fn until(ledger: &Ledger, past: Past, loss: Option<Loss>, until: f64) -> Result<Self, LearnError> {
        let histories = ledger.histories(past.begin(until), until);
        let known: Vec<History> = histories.iter().flatten().copied().collect();
        let purchases = match loss {
            Some(loss) => Purchases::fit(&known, loss),
            None => Purchases::choose(&known),
        };
        let purchases = purchases.map_err(LearnError::Purchases)?;
        let spend = ledger.has_amounts.then(|| Spend::fit(&known)).transpose().map_err(LearnError::Spend)?;
        Ok(Self { model: Model { purchases, spend }, histories, past })
    }
}

/// By how much to multiply what a model says of all customers, for the sums to be right.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// Purchases.
    pub purchases: f64,
    /// Their worth.
    pub value: f64,
}

impl Correction {
    /// None.
    pub const NONE: Self = Self { purchases: 1.0, value: 1.0 };

    /// Expectations with it.
    #[must_use]
    pub fn of(&self, expected: Expected) -> Expected {
        let by = if expected.value.is_some() { self.value } else { self.purchases };
        Expected {
            purchases: expected.purchases.map(|purchases| purchases * self.purchases),
            value: expected.value.map(|value| value * self.value),
            interval: (expected.interval.0 * by, expected.interval.1 * by),
            ..expected
        }
    }
}

/// What came of a customer, and what was said of it: purchases and their worth.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Outcome {
    actual: (f64, f64),
    own: (f64, f64),
    naive: (f64, f64),
}

/// What was learned from before the time that is held out, on that time.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOut {
    /// From which time it was learned.
    pub past: Past,
    /// When customers may be lost.
    pub loss: Loss,
    /// The moment at which it ended, in days since the first purchase of all.
    pub cutoff: f64,
    outcomes: Vec<Outcome>,
    has_amounts: bool,
    /// Part of the customers whose intervals held.
    pub coverage: Option<f64>,
}

impl HeldOut {
    /// Learns from each of these pasts before the last `horizon` days, and keeps what is nearest to them; none if nothing can be
    /// learned, as of too few customers.
    #[must_use]
    pub fn best(ledger: &Ledger, pasts: &[Past], horizon: f64, seed: u64) -> Option<Self> {
        let cutoff = ledger.days() - horizon;
        let ways = pasts.iter().flat_map(|past| Loss::ALL.map(|loss| (*past, loss)));
        let all = ways.filter_map(|(past, loss)| Learned::until(ledger, past, Some(loss), cutoff).ok());
        let measured = all.map(|learned| (Self::measure(ledger, &learned, cutoff, horizon), learned));
        let (mut best, learned) =
            measured.min_by(|one, other| one.0.mean_error().total_cmp(&other.0.mean_error()))?;
        best.coverage = coverage(ledger, &learned, (cutoff, horizon), seed);
        Some(best)
    }

    fn measure(ledger: &Ledger, learned: &Learned, cutoff: f64, horizon: f64) -> Self {
        // Past rates are those of all the past, whatever the model looks at.
        let whole = ledger.histories(f64::NEG_INFINITY, cutoff);
        let both = learned.histories.iter().zip(&whole).enumerate();
        let outcome = |(customer, (own, whole)): (usize, (&Option<History>, &Option<History>))| {
            Some(Outcome {
                actual: ledger.bought(customer, cutoff, f64::INFINITY),
                own: means(&learned.model, own.as_ref()?, horizon),
                naive: past_rate(whole.as_ref()?, horizon),
            })
        };
        let outcomes = both.filter_map(outcome).collect();
        let (past, loss) = (learned.past, learned.model.purchases.loss);
        Self { past, loss, cutoff, outcomes, has_amounts: ledger.has_amounts, coverage: None }
    }

    /// Customers who were known.
    #[must_use]
    pub fn customers(&self) -> usize {
        self.outcomes.len()
    }

    /// Absolute errors of the worth of purchases, or without amounts of their number, `[customer]`: the model's and those of past rates.
    #[must_use]
    pub fn errors(&self) -> (Vec<f64>, Vec<f64>) {
        let error = |said: (f64, f64), actual: (f64, f64)| {
            if self.has_amounts { (said.1 - actual.1).abs() } else { (said.0 - actual.0).abs() }
        };
        self.outcomes.iter().map(|one| (error(one.own, one.actual), error(one.naive, one.actual))).unzip()
    }

    fn mean_error(&self) -> f64 {
        mean(self.errors().0.into_iter())
    }

    /// Metrics by name, of the model or of past rates.
    #[must_use]
    pub fn metrics(&self, is_naive: bool) -> Vec<(&'static str, f64)> {
        let said = |one: &Outcome| if is_naive { one.naive } else { one.own };
        let errors = if is_naive { self.errors().1 } else { self.errors().0 };
        let of_purchases = self.outcomes.iter().map(|one| (said(one).0 - one.actual.0).abs());
        let mut found = vec![("mae", mean(errors.into_iter())), ("purchases_mae", mean(of_purchases))];
        let foretold = |of: fn((f64, f64)) -> f64| -> Vec<Foretold> {
            let one = |one: &Outcome| Foretold { expected: of(said(one)), actual: of(one.actual) };
            self.outcomes.iter().map(one).collect()
        };
        let purchases = foretold(|one| one.0);
        found.extend(total_error(&purchases).map(|error| ("purchases_total_error", error)));
        if self.has_amounts {
            found.extend(total_error(&foretold(|one| one.1)).map(|error| ("value_total_error", error)));
        }
        found.extend(calibration_error(&purchases).map(|error| ("calibration_error", error)));
        found.extend(self.coverage.filter(|_| !is_naive).map(|coverage| ("coverage", coverage)));
        found
    }

    /// What makes half of the distance of the sums good.
    #[must_use]
    pub fn correction(&self) -> Correction {
        let of = |part: fn((f64, f64)) -> f64| {
            let actual: f64 = self.outcomes.iter().map(|one| part(one.actual)).sum();
            let expected: f64 = self.outcomes.iter().map(|one| part(one.own)).sum();
            let by = (actual / expected).sqrt();
            if by.is_finite() { by.clamp(1.0 / MOST_CORRECTION, MOST_CORRECTION) } else { 1.0 }
        };
        Correction { purchases: of(|one| one.0), value: of(|one| one.1) }
    }
}

/// What a model expects of a customer: purchases and their worth; 0 for what can't be computed.
#[must_use]
pub fn means(model: &Model, history: &History, horizon: f64) -> (f64, f64) {
    let purchases = model.purchases.expected(history, horizon).unwrap_or(0.0);
    let each = model.spend.and_then(|spend| spend.expected(history)).unwrap_or(0.0);
    (purchases, purchases * each)
}

/// Repeats so far and their worth, carried on. Who bought twice within a day doesn't do so each day.
#[must_use]
pub fn past_rate(history: &History, horizon: f64) -> (f64, f64) {
    let purchases = f64::from(history.repeats) / history.age.max(1.0) * horizon;
    (purchases, purchases * history.mean_spend.unwrap_or(0.0))
}

/// Part of the customers whose worth, or number, of purchases is within the interval; of many customers every so many-th.
#[allow(clippy::cast_precision_loss)]
fn coverage(ledger: &Ledger, learned: &Learned, (cutoff, horizon): (f64, f64), seed: u64) -> Option<f64> {
    let step = learned.histories.len().div_ceil(COVERED).max(1);
    let is_within = |(customer, history): (usize, &Option<History>)| {
        let (lower, upper) = learned.model.expect(history.as_ref()?, horizon, LEVEL, seed).interval;
        let (count, worth) = ledger.bought(customer, cutoff, f64::INFINITY);
        Some((lower..=upper).contains(if ledger.has_amounts { &worth } else { &count }))
    };
    let held: Vec<bool> = learned.histories.iter().enumerate().step_by(step).filter_map(is_within).collect();
    (!held.is_empty()).then(|| held.iter().filter(|is_within| **is_within).count() as f64 / held.len() as f64)
}

#[allow(clippy::cast_precision_loss)]
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}
