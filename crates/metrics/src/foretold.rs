//! What was foretold of many, each a number of at least 0, beside what came.
//!
//! It must not know of whom or of what. Invariant: what came is compared in one order, whatever that of the numbers.

/// A number that was foretold, and what came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foretold {
    /// Foretold.
    pub expected: f64,
    /// What came.
    pub actual: f64,
}

/// The mean absolute distance. None of nothing.
pub fn mean_error(all: &[Foretold]) -> Option<f64> {
    crate::ratio(all.iter().map(|one| (one.expected - one.actual).abs()).sum(), all.len() as u64)
}

/// How far the sum is off, as a part of what came: -0.1 is a tenth too little. None if nothing came.
pub fn total_error(all: &[Foretold]) -> Option<f64> {
    let expected: f64 = all.iter().map(|one| one.expected).sum();
    let actual: f64 = all.iter().map(|one| one.actual).sum();
    (actual > 0.0).then(|| expected / actual - 1.0)
}

/// The means of up to ten parts of all, by what was foretold of them, the lowest first.
#[allow(clippy::cast_precision_loss)]
pub fn tenths(all: &[Foretold]) -> Vec<Foretold> {
    let mean = |part: &[Foretold]| {
        let of = |read: fn(&Foretold) -> f64| part.iter().map(read).sum::<f64>() / part.len() as f64;
        Foretold { expected: of(|one| one.expected), actual: of(|one| one.actual) }
    };
    sorted(all).chunks(part(all)).map(mean).collect()
}

/// The distances of the sums of these parts together, as a part of what came. None if nothing came.
pub fn calibration_error(all: &[Foretold]) -> Option<f64> {
    let actual: f64 = all.iter().map(|one| one.actual).sum();
    let distance = |part: &[Foretold]| part.iter().map(|one| one.expected - one.actual).sum::<f64>().abs();
    (actual > 0.0).then(|| sorted(all).chunks(part(all)).map(distance).sum::<f64>() / actual)
}

fn part(all: &[Foretold]) -> usize {
    all.len().div_ceil(10).max(1)
}

fn sorted(all: &[Foretold]) -> Vec<Foretold> {
    let mut sorted = all.to_vec();
    sorted.sort_by(|one, other| {
        one.expected.total_cmp(&other.expected).then(one.actual.total_cmp(&other.actual))
    });
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foretold(numbers: &[(f64, f64)]) -> Vec<Foretold> {
        numbers.iter().map(|&(expected, actual)| Foretold { expected, actual }).collect()
    }

    #[test]
    fn errors_are_those_of_the_formulas() {
        let all = foretold(&[(3.0, 2.0), (0.5, 0.0), (1.5, 2.0)]);
        assert_eq!(mean_error(&all), Some(2.0 / 3.0));
        assert_eq!(total_error(&all), Some(0.25));
        assert_eq!(calibration_error(&all), Some(0.5));
        assert_eq!(tenths(&all), foretold(&[(0.5, 0.0), (1.5, 2.0), (3.0, 2.0)]));
        let twenty: Vec<Foretold> =
            (0..20_u8).map(|one| Foretold { expected: one.into(), actual: 1.0 }).rev().collect();
        let found = tenths(&twenty);
        assert!(found.len() == 10 && found[0] == Foretold { expected: 0.5, actual: 1.0 });
    }

    #[test]
    fn of_nothing_there_is_no_error() {
        assert_eq!((mean_error(&[]), total_error(&[]), calibration_error(&[])), (None, None, None));
        assert_eq!(total_error(&foretold(&[(1.0, 0.0)])), None);
        assert!(tenths(&[]).is_empty());
    }
}
