//! What predictions are worth, told row by row, with scikit-learn's names and definitions; and what drives them.
//!
//! # Layout
//! - [`baseline`]: what it is worth to answer the same whatever a row says.
//! - [`confusion`]: counts of actual and predicted classes: accuracy, precision, recall, F1.
//! - [`scored`]: rows with a probability for each class: all of the above, calibration, log loss, ROC AUC.
//! - [`calibration`]: whether probabilities are what they say; [`coverage`]: how right the surest answers are; [`confidence`]: both.
//! - [`curve`]: the area under a ROC curve, in bounded memory.
//! - [`regression`]: numbers predicted for numbers: errors, R2, correlation.
//! - [`foretold`]: numbers foretold of many, beside what came.
//! - [`ranking`]: lists of items ranked for somebody: NDCG, recall, coverage, novelty.
//! - [`report`]: all of these as rows, under the names that SQL shows.
//! - [`paired`]: whether two models differ on the same rows.
//! - [`phrases`]: which phrases of many texts predictions are driven by.
//! - [`drivers`]: which segments explain that a metric differs between two groups; [`discovery`]: many tests at once.
//! - [`two_samples`]: whether means or shares of two samples differ by more than chance.
//! - [`normal`]: the normal distribution; [`student`]: Student's t; `binomial`: the tail of a binomial distribution; [`gamma`]: the
//!   gamma function.
//!
//! It must not know where rows come from: no PostgreSQL, no models, no I/O. Invariant: memory doesn't grow with the number of rows,
//! but for [`foretold`], [`paired::bootstrap`], [`phrases::PhraseTally`] and up to 8 MiB of [`baseline::Numbers`], and what has no value, such as
//! the mean of nothing, is `None` and never NaN.

#![forbid(unsafe_code)]

pub mod baseline;
mod binomial;
pub mod calibration;
pub mod confidence;
pub mod confusion;
pub mod coverage;
pub mod curve;
pub mod discovery;
pub mod drivers;
pub mod foretold;
pub mod gamma;
pub mod normal;
pub mod paired;
pub mod phrases;
pub mod ranking;
pub mod regression;
pub mod report;
pub mod scored;
pub mod student;
pub mod two_samples;

pub use calibration::Calibration;
pub use confidence::Confidence;
pub use confusion::{ClassScores, Confusion};
pub use coverage::Coverage;
pub use curve::Curve;
pub use regression::Regression;
pub use scored::Scored;

/// Why a row can't be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A number is NaN or infinite.
    NotFinite,
    /// A class that there isn't, or not one probability for each class.
    NoSuchClass,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Refused::NotFinite => "a number is not finite",
            Refused::NoSuchClass => "a row does not fit the classes",
        })
    }
}

impl std::error::Error for Refused {}

/// A quotient of counts or sums; nothing divided by nothing has no value.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn ratio(part: f64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part / whole as f64)
}
