//! Maximum likelihood from several starts, or why there is none.
//!
//! Where customers hardly differ in something the likelihood has its maximum at infinity, and is flat long before: parameters are held back
//! there. Invariant: parameters are searched by their logarithms, so they stay above 0.

use std::fmt;

use crate::minimize::{End, Objective, minimize};

/// Largest gradient of the mean log likelihood of a customer at what is called its maximum.
const TOLERANCE: f64 = 1e-8;
/// Logarithm of a parameter beyond which it is taken to have no bound.
const BEYOND: f64 = 25.0;
/// How much it takes from the mean log likelihood of a customer that the logarithm of a parameter is beyond its bounds by 1: more than the
/// likelihood can gain there, also where all amounts are equal and it grows with the logarithm for ever.
const PENALTY: f64 = 1.0;
/// Part of the value by which two ends of searches differ where both are the same maximum.
const SAME: f64 = 1e-9;
/// Below so many customers a likelihood of three or four parameters says little.
pub const MIN_CUSTOMERS: usize = 20;

/// Why there are no parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FitError {
    /// Too few customers to learn from.
    TooFew {
        /// Customers that can be learned from.
        customers: usize,
    },
    /// Nobody has bought twice, so nothing is known of how often customers do.
    NoRepeats,
    /// A time is negative, not finite, or a last purchase after the end.
    Times,
    /// The likelihood grows without end as this parameter does, or as it nears 0: customers don't differ in what it stands for.
    Unbounded {
        /// Its name.
        parameter: &'static str,
        /// How far it came.
        value: f64,
    },
    /// No start led to a maximum.
    NotConverged {
        /// Starts.
        starts: usize,
    },
}

impl fmt::Display for FitError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { customers } => {
                write!(to, "{customers} customers are too few to learn from: it takes {MIN_CUSTOMERS}")
            }
            Self::NoRepeats => write!(to, "no customer has bought twice"),
            Self::Times => write!(to, "a time is negative or not finite, or a purchase is after the end"),
            Self::Unbounded { parameter, value } => {
                write!(
                    to,
                    "the likelihood has no maximum: it still grows where parameter {parameter} is {value:.3e}"
                )
            }
            Self::NotConverged { starts } => {
                write!(to, "none of {starts} starts led to a maximum of the likelihood")
            }
        }
    }
}

impl std::error::Error for FitError {}

/// A parameter as it is searched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub name: &'static str,
    /// Logarithms beyond which it is held back; none where its size depends on units.
    pub bounds: Option<(f64, f64)>,
}

/// A function that is larger the farther parameters are beyond their bounds.
struct HeldBack<'a, O, const N: usize> {
    objective: &'a O,
    parameters: &'a [Parameter; N],
}

impl<O: Objective<N>, const N: usize> Objective<N> for HeldBack<'_, O, N> {
    fn at(&self, point: &[f64; N]) -> (f64, [f64; N]) {
        let (mut value, mut gradient) = self.objective.at(point);
        for ((at, slope), parameter) in point.iter().zip(&mut gradient).zip(self.parameters) {
            let Some((lowest, highest)) = parameter.bounds else { continue };
            let beyond = (at - highest).max(0.0) + (at - lowest).min(0.0);
            value += PENALTY * beyond * beyond;
            *slope += 2.0 * PENALTY * beyond;
        }
        (value, gradient)
    }
}

/// The parameters of the least value that was reached from any of the starts.
///
/// # Errors
/// [`FitError::Unbounded`], [`FitError::NotConverged`].
pub(crate) fn best<const N: usize>(
    objective: &impl Objective<N>,
    starts: &[[f64; N]],
    parameters: &[Parameter; N],
) -> Result<[f64; N], FitError> {
    let objective = HeldBack { objective, parameters };
    let ends: Vec<End<N>> = starts
        .iter()
        .map(|start| minimize(&objective, start.map(f64::ln), TOLERANCE))
        .filter(|end| end.value.is_finite())
        .collect();
    let lowest = ends.iter().min_by(|one, other| one.value.total_cmp(&other.value));
    let Some(lowest) = lowest else { return Err(FitError::NotConverged { starts: starts.len() }) };
    // Where the likelihood is flat towards infinity the gradient is small, too.
    let beyond = lowest.point.iter().zip(parameters).find(|(logarithm, _)| logarithm.abs() > BEYOND);
    if let Some((logarithm, parameter)) = beyond {
        return Err(FitError::Unbounded { parameter: parameter.name, value: logarithm.exp() });
    }
    // Where it is flat, a search may end a few digits before another that reached the same maximum.
    let near = lowest.value + SAME * lowest.value.abs().max(1.0);
    let converged = ends.iter().filter(|end| end.converged && end.value <= near);
    let best = converged.min_by(|one, other| one.value.total_cmp(&other.value));
    best.map(|end| end.point.map(f64::exp)).ok_or(FitError::NotConverged { starts: starts.len() })
}
