//! What explains that a metric differs between two groups of rows, or two periods: the part of each segment, and whether chance
//! would do as much.
//!
//! It must not know what segments are made of. Invariant: a segment and all rows besides are compared in the same way, so swapping
//! them turns the sign of [`score`] and nothing else.

use crate::normal;

/// Rows that each of the four parts has to have, or would have if chance dealt them, for a normal distribution to be near enough.
const LEAST_ROWS: f64 = 5.0;

/// What a metric's rows add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    /// Rows.
    pub rows: u64,
    /// Of the metric.
    pub sum: f64,
    /// Of its squares.
    pub squares: f64,
}

/// Rows of the test group, or the later period, and of the control group.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pair {
    /// The group that is asked about.
    pub test: Sums,
    /// What it is compared with.
    pub control: Sums,
}

/// How rows become a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum: revenue, orders.
    Sum,
    /// Their mean: stars, a rate of conversion.
    Mean,
}

/// What a segment has to do with a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Driver {
    /// The metric of its rows in the test group; of no rows there is no mean.
    pub test: Option<f64>,
    /// The same in the control group.
    pub control: Option<f64>,
    /// What it adds to the change of the whole; those of all segments that share no row add up to it.
    pub contribution: f64,
    /// What its metric would be in the test group had it changed like the rest.
    pub expected: Option<f64>,
    /// Its metric in the test group over what is expected.
    pub lift: Option<f64>,
    /// The probability that chance alone makes it differ as much from the rest; `None` where too few rows tell.
    pub p_value: Option<f64>,
}

impl Sums {
    /// Those of these rows that aren't among the others, which they contain.
    fn without(self, others: Sums) -> Sums {
        Sums {
            rows: self.rows.saturating_sub(others.rows),
            sum: self.sum - others.sum,
            squares: (self.squares - others.squares).max(0.0),
        }
    }

    fn mean(self) -> Option<f64> {
        crate::ratio(self.sum, self.rows)
    }

    /// The sum of squared differences from the mean.
    fn deviations(self) -> f64 {
        (self.squares - self.mean().unwrap_or_default() * self.sum).max(0.0)
    }

    #[allow(clippy::cast_precision_loss)]
    fn count(self) -> f64 {
        self.rows as f64
    }
}

impl Pair {
    /// Those of these rows that aren't in a segment of them.
    pub fn without(self, segment: Pair) -> Pair {
        Pair { test: self.test.without(segment.test), control: self.control.without(segment.control) }
    }

    /// Rows in both groups.
    pub fn rows(self) -> u64 {
        self.test.rows.saturating_add(self.control.rows)
    }
}

/// What a segment has to do with the change of `whole`. It is tested against the rest of each of `wider`, which contain it: the
/// whole, or the segments that it is part of. The largest probability counts, so that it is no driver merely because a wider one is.
pub fn driver(aggregate: Aggregate, whole: Pair, segment: Pair, wider: &[Pair]) -> Driver {
    let rest = whole.without(segment);
    let (test, control) = match aggregate {
        Aggregate::Sum => (Some(segment.test.sum), Some(segment.control.sum)),
        Aggregate::Mean => (segment.test.mean(), segment.control.mean()),
    };
    let contribution = match aggregate {
        Aggregate::Sum => segment.test.sum - segment.control.sum,
        Aggregate::Mean => {
            let part = |own: Sums, all: Sums| crate::ratio(own.sum, all.rows).unwrap_or_default();
            part(segment.test, whole.test) - part(segment.control, whole.control)
        }
    };
    let expected = match aggregate {
        Aggregate::Sum => {
            let grows = rest.control.sum > 0.0 && rest.test.sum >= 0.0;
            grows.then(|| segment.control.sum * (rest.test.sum / rest.control.sum))
        }
        Aggregate::Mean => {
            let change = rest.test.mean().zip(rest.control.mean());
            control.zip(change).map(|(own, (later, earlier))| own + later - earlier)
        }
    };
    let lift = test.zip(expected).filter(|(test, expected)| *expected > 0.0 && *test >= 0.0);
    let p_values = wider.iter().map(|wider| score(aggregate, segment, wider.without(segment)));
    let p_value = p_values.map(|score| score.map(normal::two_sided)).reduce(|one, other| {
        let (one, other) = (one?, other?);
        Some(one.max(other))
    });
    Driver {
        test,
        control,
        contribution,
        expected: expected.filter(|one| one.is_finite()),
        lift: lift.map(|(test, expected)| test / expected).filter(|one| one.is_finite()),
        p_value: p_value.flatten(),
    }
}

/// How far a segment's change is from that of the rest, in standard errors; standard normal if there is no difference but by chance.
///
/// Of sums: the segment's rows fall into the test group with the same probability as all, and each counts as much as its value, so
/// that the score test of a table of two by two is weighed by values; with values of 1 it is Pearson's chi-squared test. Values that
/// all change by the same factor are taken for no difference. Of means: the difference of differences, with a variance for the
/// segment and one for the rest. `None` with too few rows, nothing that varies, or a total of 0 or less.
pub fn score(aggregate: Aggregate, segment: Pair, rest: Pair) -> Option<f64> {
    let score = match aggregate {
        Aggregate::Sum => score_of_sums(segment, rest)?,
        Aggregate::Mean => score_of_means(segment, rest)?,
    };
    score.is_finite().then_some(score)
}

fn score_of_sums(segment: Pair, rest: Pair) -> Option<f64> {
    let test = segment.test.count() + rest.test.count();
    let control = segment.control.count() + rest.control.count();
    let share = test / (test + control);
    let dealt = |rows: f64| rows * share.min(1.0 - share) >= LEAST_ROWS;
    if ![segment, rest].iter().all(|pair| dealt(pair.test.count() + pair.control.count())) {
        return None;
    }
    let totals = [segment.test.sum + rest.test.sum, segment.control.sum + rest.control.sum];
    if !totals.iter().all(|total| *total > 0.0) {
        return None;
    }
    // By how much a value is larger in the test group; taken out, so that rows of both groups tell one variance.
    let factor = (totals[0] / test) / (totals[1] / control);
    let (own, others) = (scaled(segment, factor), scaled(rest, factor));
    let difference = own.test.sum * others.control.sum - own.control.sum * others.test.sum;
    let (own_sum, other_sum) = (own.test.sum + own.control.sum, others.test.sum + others.control.sum);
    let (own_squares, other_squares) =
        (own.test.squares + own.control.squares, others.test.squares + others.control.squares);
    let variance =
        share * (1.0 - share) * (other_sum.powi(2) * own_squares + own_sum.powi(2) * other_squares);
    (variance > 0.0).then(|| difference / variance.sqrt())
}

fn scaled(pair: Pair, factor: f64) -> Pair {
    let test =
        Sums { sum: pair.test.sum / factor, squares: pair.test.squares / (factor * factor), ..pair.test };
    Pair { test, ..pair }
}

fn score_of_means(segment: Pair, rest: Pair) -> Option<f64> {
    let parts = [segment.test, segment.control, rest.test, rest.control];
    if parts.iter().any(|part| part.count() < LEAST_ROWS) {
        return None;
    }
    let change = |pair: Pair| Some(pair.test.mean()? - pair.control.mean()?);
    let variance = |pair: Pair| {
        let (test, control) = (pair.test.count(), pair.control.count());
        let own = (pair.test.deviations() + pair.control.deviations()) / (test + control - 2.0);
        own * (1.0 / test + 1.0 / control)
    };
    let variance = variance(segment) + variance(rest);
    // What rounding leaves of values that are all the same is no variance.
    let size = parts.iter().map(|part| part.squares).sum::<f64>()
        / parts.iter().map(|part| part.count()).sum::<f64>();
    let varies = variance > size * f64::EPSILON;
    varies.then_some((change(segment)? - change(rest)?) / variance.sqrt())
}
