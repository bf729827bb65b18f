//! An ensemble: how what its members say becomes an answer.
//!
//! Of numbers it is `mean + sum of weight * (number - mean number)` over members. Of classes it is the same of logarithms: how likely a class
//! is, up to a constant, is `ln share + sum of weight * (ln probability - ln mean probability)`. So a member that says what it always says
//! adds nothing, one member with a weight of 1 is answered as it is, and members that know different things, each with a
//! weight near 1, are put together as Bayes' rule has it. Weights are not negative (Breiman, "Stacked regressions", 1996): a member
//! is believed or not, never the contrary of it.
//! It must not know files or rows. Invariant: a row's answer is the base and what members add, exactly.

use ecommerce_ml_protocol::{Contributions, EngineError, ErrorKind, Explanation, MemberContribution};

pub use crate::head::Head;
use crate::says::Says;

/// What the catalog calls the kind.
pub const KIND: &str = "ensemble";

/// A member, as the ensemble knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighted {
    /// With its version, as `name@3`.
    pub name: String,
    /// At least 0.
    pub weight: f64,
    /// What it says on average, `[outputs]`: logarithms of mean probabilities, or the mean number.
    pub usual: Vec<f64>,
    /// How much what it says varies: the standard deviation of numbers, which may be in another unit than those of other members; 1 of
    /// classes.
    pub spread: f64,
}

/// An ensemble.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    /// What it answers.
    pub head: Head,
    /// What is known without members, `[outputs]`: logarithms of the shares of classes, or the mean number.
    pub base: Vec<f64>,
    /// At least one.
    pub members: Vec<Weighted>,
    /// Of numbers: quantiles of how far off it was on the rows held out; none of classes, or of too few rows.
    pub residuals: Vec<f64>,
}

impl Ensemble {
    /// The sums of a row, `[outputs]`, of what each member says of it; none if none says anything.
    pub fn sums(&self, says: &[Says], row: usize) -> Option<Vec<f64>> {
        let mut sums = self.base.clone();
        let mut any = false;
        for (member, says) in self.members.iter().zip(says) {
            let Some(values) = says.row(row) else { continue };
            any = true;
            for ((sum, value), usual) in sums.iter_mut().zip(values).zip(&member.usual) {
                *sum += member.weight * (value - usual);
            }
        }
        any.then_some(sums)
    }

    /// What each member adds to the raw score of a row: of numbers to the number; of two classes to the logarithm of the odds of
    /// the one, of more to the logarithm of how likely it is beside the others on average (geometrically). Of the class at this place,
    /// or of the likeliest.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a class that there isn't.
    pub fn explain(
        &self,
        says: &[Says],
        row: usize,
        class: Option<u32>,
    ) -> Result<Option<Explanation>, EngineError> {
        let Some(sums) = self.sums(says, row) else { return Ok(None) };
        let class = class.map_or_else(|| likeliest(&sums), |class| class as usize);
        if class >= self.head.outputs() {
            return Err(EngineError::new(ErrorKind::InvalidRequest, "model has no such class"));
        }
        let contribution = |(member, says): (&Weighted, &Says)| {
            let values = says.row(row);
            let off = |values: &[f64]| -> Vec<f64> {
                values.iter().zip(&member.usual).map(|(value, usual)| value - usual).collect()
            };
            MemberContribution {
                member: member.name.clone(),
                says: values.and_then(|values| self.shown(values, class)),
                contribution: values
                    .map_or(0.0, |values| member.weight * self.raw_score(&off(values), class)),
            }
        };
        let members = self.members.iter().zip(says).map(contribution).collect();
        let baseline = self.raw_score(&self.base, class);
        Ok(Some(Explanation { baseline, contributions: Contributions::Members(members) }))
    }

    /// Of sums, `[outputs]`.
    fn raw_score(&self, sums: &[f64], class: usize) -> f64 {
        let of = sums.get(class).copied().unwrap_or(0.0);
        match (&self.head, sums) {
            (Head::Number, _) => of,
            (Head::Classes { .. }, &[first, second]) => 2.0 * of - first - second,
            (Head::Classes { .. }, sums) => of - sums.iter().sum::<f64>() / sums.len().max(1) as f64,
        }
    }

    /// What a member says: a number, or the probability of the class.
    fn shown(&self, values: &[f64], class: usize) -> Option<f64> {
        let value = values.get(class)?;
        Some(if self.head == Head::Number { *value } else { value.exp() })
    }

    /// Probabilities of sums, `[labels]`, which sum to 1.
    pub fn probabilities(sums: &[f64]) -> Vec<f32> {
        softmax(sums).into_iter().map(|one| one as f32).collect()
    }

    /// The weights, in units of how much members vary, as parts of their sum; all 0 if no member is believed.
    pub fn shares(&self) -> Vec<f64> {
        let part = |member: &Weighted| member.weight * member.spread;
        let total: f64 = self.members.iter().map(part).sum();
        let share = |member: &Weighted| if total > 0.0 { part(member) / total } else { 0.0 };
        self.members.iter().map(share).collect()
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// A few words.
    pub fn check(&self) -> Result<(), String> {
        let outputs = self.head.outputs();
        if self.members.is_empty() {
            return Err("it has no members".to_owned());
        }
        if self.head.labels().len() == 1 {
            return Err("it has one class".to_owned());
        }
        let fits = |numbers: &[f64]| numbers.len() == outputs && numbers.iter().all(|one| one.is_finite());
        let is_size = |number: f64| number.is_finite() && number >= 0.0;
        let weights = self.members.iter().all(|member| is_size(member.weight) && is_size(member.spread));
        if !weights || !fits(&self.base) || !self.members.iter().all(|member| fits(&member.usual)) {
            return Err("its weights do not fit what it answers".to_owned());
        }
        Ok(())
    }
}

/// Parts of 1 that stand to each other as exponentials of these.
pub(crate) fn softmax(sums: &[f64]) -> Vec<f64> {
    let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = sums.iter().map(|sum| (sum - most).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / total).collect()
}

/// The last of the largest, as `predict_class` has it.
fn likeliest(sums: &[f64]) -> usize {
    (0..sums.len()).max_by(|&one, &other| sums[one].total_cmp(&sums[other])).unwrap_or(0)
}
