//! What was learned, and what is known of each customer.
//!
//! It must not know rows or files. Invariant: customers are ordered by name, and each has a history that can be asked about.

use ecommerce_ml_protocol::{Answer, Field, ModelInfo, Reads, Signature, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::files::Stored;
use crate::history::History;
use crate::learning::{Correction, LEVEL};
use crate::purchases::Loss;
use crate::value::{Expected, Model};

/// What the catalog calls the kind.
pub const KIND: &str = "lifetime";
/// Of the simulations of intervals.
const SEED: u64 = 42;

/// A model. Time is in days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifetimeModel {
    /// The column that tells customers apart, by name and by its type in the relation.
    pub key: Field,
    /// Ascending.
    pub customers: Vec<String>,
    /// `[customer]`.
    pub histories: Vec<History>,
    /// How they buy.
    pub model: Model,
    /// What the time that was held out says of the level of all.
    pub correction: Correction,
    /// The last purchase of all, from which on is predicted, in microseconds since 1970.
    pub end: i64,
}

impl Stored for LifetimeModel {
    const KIND: &'static str = KIND;

    fn signature(&self) -> Signature {
        Signature {
            reads: Reads::Keys(vec![self.key.clone()]),
            answers: vec![Answer::Table(Table::Lifetimes)],
            labels: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let ascend = self.customers.windows(2).all(|pair| pair[0] < pair[1]);
        let is_sound = |one: &History| {
            let spend = one.mean_spend.is_none_or(|mean| mean.is_finite() && mean >= 0.0);
            one.recency >= 0.0 && one.recency <= one.age && one.age.is_finite() && spend
        };
        if !ascend || self.histories.len() != self.customers.len() || !self.histories.iter().all(is_sound) {
            return Err("its customers are not what they should be");
        }
        let own = self.model.purchases;
        let amounts = self.model.spend.map_or([1.0; 3], |spend| [spend.p, spend.q, spend.v]);
        let all = [own.r, own.alpha, own.a, own.b, self.correction.purchases, self.correction.value];
        if !all.iter().chain(&amounts).all(|one| one.is_finite() && *one > 0.0) {
            return Err("its parameters are not what they should be");
        }
        Ok(())
    }
}

impl LifetimeModel {
    /// What the catalog is told of a model whose files take so many bytes.
    #[must_use]
    pub fn info(&self, bytes: u64) -> ModelInfo {
        let method = match self.model.purchases.loss {
            Loss::AfterRepeats => "BG/NBD",
            Loss::AfterAny => "MBG/NBD",
        };
        let amounts = self.model.spend.map(|_| "Gamma-Gamma");
        let details = json!({
            "customers": self.customers.len(), "purchases": method, "amounts": amounts, "end": self.end,
        });
        ModelInfo {
            kind: KIND.to_owned(),
            signature: self.signature(),
            parameters: if self.model.spend.is_some() { 7 } else { 4 },
            bytes,
            details: details.to_string(),
        }
    }

    /// What is expected of a customer in so many days after the end.
    #[must_use]
    pub fn expect(&self, history: &History, horizon: f64) -> Expected {
        self.correction.of(self.model.expect(history, horizon, LEVEL, SEED))
    }
}
