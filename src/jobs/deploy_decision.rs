//! Whether a new version is deployed, and why.
//!
//! It must not know how it was measured. Invariant: what `if_better` deploys is better than what the labels alone are worth,
//! and than the live version if there is one. What has no labels can't be measured, and is deployed.

use ecommerce_ml_protocol::training::{Baseline, BaselineComparison, Comparison, Finished, Objective};

use super::outcome::Deploy;

/// Characters of a label in an outcome.
const MAX_LABEL_CHARS: usize = 60;

/// What becomes of a new version.
pub struct DeployDecision {
    pub deploy: bool,
    /// In words for the user.
    pub outcome: String,
    /// Whether it is deployed although nothing speaks for it.
    pub is_doubtful: bool,
}

/// What was measured of a new version.
pub struct Measured<'a> {
    pub task: Objective,
    /// Of the labels alone; `None` if no rows are held out.
    pub baseline: Option<&'a Baseline>,
    pub finished: &'a Finished,
}

/// Decides, given the version that is live.
pub fn decide(wish: Deploy, live: Option<i32>, measured: &Measured<'_>) -> DeployDecision {
    let against = measured.finished.against_baseline.as_ref();
    let beaten = against.is_some_and(|against| against.beaten);
    let (deploy, outcome) = match wish {
        Deploy::Always if beaten => (true, "deployed".to_owned()),
        Deploy::Always if measured.task == Objective::Anomaly => (true, "deployed".to_owned()),
        Deploy::Always => (true, format!("deployed, as asked, although {}", measured.shortcoming())),
        Deploy::Never => (false, "not deployed, as asked".to_owned()),
        Deploy::IfBetter if measured.task == Objective::Anomaly => {
            (true, "deployed: without labels there is nothing to measure".to_owned())
        }
        Deploy::IfBetter => match (live, &measured.finished.comparison) {
            (None, _) => match against.filter(|against| against.beaten) {
                Some(against) => {
                    let better = measured.than_baseline(against);
                    (true, format!("deployed: it is better than {better}, and there was no live version"))
                }
                None => (false, format!("not deployed: {}", measured.shortcoming())),
            },
            (Some(live), None) => {
                let why = match measured.task {
                    Objective::Forecast => {
                        "no period has come since, nothing is held out, or it has other keys or periods"
                    }
                    _ => "no rows are held out, or that one reads or answers something else",
                };
                (false, format!("not deployed: it cannot be compared with version {live} ({why})"))
            }
            (Some(live), Some(found)) => beside_live(live, found, measured),
        },
    };
    let is_doubtful = deploy && !beaten && measured.task != Objective::Anomaly;
    DeployDecision { deploy, outcome, is_doubtful }
}

/// A version that is better than the live one has to be better than the baseline, too.
fn beside_live(live: i32, found: &Comparison, measured: &Measured<'_>) -> (bool, String) {
    let figures = figures(found, true);
    match (found.better, &measured.finished.against_baseline) {
        (false, _) => (false, format!("not deployed: it is not better than version {live} ({figures})")),
        (true, Some(against)) if against.beaten => {
            (true, format!("deployed: it is better than version {live} ({figures})"))
        }
        (true, _) => {
            let but = measured.shortcoming();
            (false, format!("not deployed: it is better than version {live} ({figures}), but {but}"))
        }
    }
}

impl Measured<'_> {
    /// Why nothing speaks for a version.
    fn shortcoming(&self) -> String {
        match &self.finished.against_baseline {
            Some(against) if is_nearer(&against.comparison) => {
                format!("it is not better by more than chance explains than {}", self.than_baseline(against))
            }
            Some(against) => format!("it is not better than {}", self.than_baseline(against)),
            None => "nothing is measured: no rows are held out".to_owned(),
        }
    }

    /// What it was compared with, with the numbers.
    fn than_baseline(&self, against: &BaselineComparison) -> String {
        let answer = match (self.task, self.baseline) {
            (_, Some(Baseline { method: Some(method), .. })) => method.clone(),
            (Objective::Classification, Some(Baseline { label: Some(label), .. })) => {
                let shown: String = label.chars().take(MAX_LABEL_CHARS).collect();
                format!("always answering \"{shown}\"")
            }
            (Objective::Rating, Some(Baseline { median: Some(median), .. })) => {
                format!("always answering {} stars", short(*median))
            }
            (Objective::Regression, Some(Baseline { median: Some(median), .. })) => {
                format!("always answering {}", short(*median))
            }
            _ => "always answering the same".to_owned(),
        };
        format!("{answer} ({})", figures(&against.comparison, against.testable))
    }
}

/// Whether a version is better on the rows at hand, be it by chance.
fn is_nearer(found: &Comparison) -> bool {
    if found.more_is_better { found.new > found.incumbent } else { found.new < found.incumbent }
}

fn figures(found: &Comparison, testable: bool) -> String {
    let rows = if found.rows == 1 { "row" } else { "rows" };
    let chance = if testable { format!("p = {:.4}", found.p_value) } else { "too few for a test".to_owned() };
    format!(
        "{} {:.4} against {:.4} on {} {rows}, {chance}",
        found.metric, found.new, found.incumbent, found.rows
    )
}

/// A number as people write it.
fn short(number: f64) -> String {
    if number != 0.0 && !(1e-3..1e9).contains(&number.abs()) {
        return format!("{number:.3e}");
    }
    let digits = format!("{number:.4}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}
