//! The best member, which is what an ensemble has to beat: one that is no better isn't worth its members.
//!
//! It must not know weights. Invariant: members and ensemble are measured on the same rows, and the best member is the one that is best on
//! these, so that chance speaks for it and not for the ensemble.

use ecommerce_ml_protocol::Answers;
use ecommerce_ml_protocol::training::{Baseline, Metric};
use ecommerce_ml_training::evaluation::metrics;
use ecommerce_ml_training::{HeldOut, Targets, comparison};

use crate::member::Member;
use crate::model::{Ensemble, Head, Weighted};
use crate::predictor::answer;
use crate::says::Says;

/// Makes the best member what the ensemble is measured against, unless the labels alone are worth as much as it is.
pub(super) fn measure_against_best(
    held_out: &mut HeldOut,
    targets: &Targets,
    (members, says, head): (&[Member], &[Says], &Head),
) {
    let rows = held_out.split.held_out.clone();
    let Some(labels_alone) = held_out.baseline.clone() else { return };
    let alone =
        members.iter().zip(says).map(|(member, says)| Alone::of(member, says, head, (targets, &rows)));
    let Some(best) = alone.reduce(|best, next| if next.is_better_than(&best) { next } else { best }) else {
        return;
    };
    let against = comparison::compare_with_baseline(targets, &rows, &best.answers, &labels_alone, 0);
    if against.is_some_and(|against| !against.beaten) {
        return;
    }
    let method = Some(format!("member \"{}\" alone", best.name));
    held_out.baseline = Some(Baseline { method, metrics: best.metrics, ..labels_alone });
    held_out.baseline_answers = Some(best.answers);
}

/// A member by itself on the rows held out.
struct Alone {
    name: String,
    answers: Answers,
    metrics: Vec<Metric>,
}

impl Alone {
    /// What it says; of a row of which it says nothing, what it says on average of all.
    fn of(member: &Member, says: &Says, head: &Head, (targets, rows): (&Targets, &[usize])) -> Self {
        let usual = says.usual(head, 0..says.len()).unwrap_or_else(|| vec![0.0; head.outputs()]);
        let one = Ensemble {
            head: head.clone(),
            base: usual.clone(),
            members: vec![Weighted {
                name: member.name.clone(),
                weight: 1.0,
                usual: usual.clone(),
                spread: 1.0,
            }],
            residuals: Vec::new(),
        };
        let filled = says.filled(&usual);
        let answers = answer(&one, &[filled], rows.len());
        let metrics = metrics(targets, rows, &answers);
        Self { name: member.name.clone(), answers, metrics }
    }

    /// By the metric that models are compared by: of two as good, the one that is named first.
    fn is_better_than(&self, other: &Self) -> bool {
        let value =
            |of: &Self, name: &str| of.metrics.iter().find(|one| one.name == name).map(|one| one.value);
        let both = |name: &str| value(self, name).zip(value(other, name));
        match both("mae") {
            Some((own, others)) => own < others,
            None => both("accuracy").is_some_and(|(own, others)| own > others),
        }
    }
}
