//! A new model beside the live one.
//!
//! Both say what customers bought lately: the live one from the end of what it learned from, as it does now; the new one, made without that
//! time, from where it begins. It must not know files. Invariant: neither knows a purchase that it is compared by.

use ecommerce_ml_protocol::Field;
use ecommerce_ml_protocol::training::Comparison;
use ecommerce_ml_training::comparison::compare_means;

use super::model::LifetimeModel;
use super::options::Options;
use crate::learning::{HeldOut, Learned, means};
use crate::ledger::{Ledger, days};

/// How a model of these purchases compares with the incumbent by this metric, customer by customer; none if that has another key, knows
/// amounts where the new one doesn't or the other way round, or knows all purchases.
pub(super) fn compare(
    (ledger, key): (&Ledger, &Field),
    incumbent: &LifetimeModel,
    (options, held_out): (&Options, &HeldOut),
    metric: &str,
) -> Option<Comparison> {
    let since = days(incumbent.end, ledger.end);
    let alike = incumbent.key == *key && incumbent.model.spend.is_some() == ledger.has_amounts;
    if !alike || since <= 0.0 {
        return None;
    }
    // Half of the new time at most: of the other half the new model has learned.
    let horizon = options.held_out(ledger.days()).min(since / 2.0);
    let cutoff = ledger.days() - horizon;
    let new = Learned::until(ledger, held_out.past, Some(held_out.loss), cutoff).ok()?;
    let error = |(customer, name): (usize, &String)| {
        let known = incumbent.customers.binary_search(name).ok()?;
        let theirs = incumbent.histories.get(known)?;
        let own = new.histories.get(customer)?.as_ref()?;
        let actual = ledger.bought(customer, cutoff, f64::INFINITY);
        let until = |horizon: f64| means(&incumbent.model, theirs, horizon);
        let ((later, worth), (before, before_worth)) = (until(since), until(since - horizon));
        let correction = incumbent.correction;
        let said = ((later - before) * correction.purchases, (worth - before_worth) * correction.value);
        let new = means(&new.model, own, horizon);
        let off = |said: (f64, f64)| {
            if ledger.has_amounts { (said.1 - actual.1).abs() } else { (said.0 - actual.0).abs() }
        };
        Some((off(new), off(said)))
    };
    let (own, others): (Vec<f64>, Vec<f64>) = ledger.customers.iter().enumerate().filter_map(error).unzip();
    (!own.is_empty()).then(|| compare_means(metric, false, (&own, &others), options.common.seed))
}
