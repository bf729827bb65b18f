//! Where numbers come to stand, and which are written beside.
//!
//! Invariant: ticks are within the range of the axis, and finite.

/// A range of numbers on a range of places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// Of numbers from `low` to `high`, from `start` to `end` in the picture.
    pub fn new((low, high): (f64, f64), (start, end): (f64, f64)) -> Self {
        Self { low, high: if high > low { high } else { low + 1.0 }, start, end }
    }

    /// As [`new`](Self::new), wide enough for these numbers and for round ones around them, not beyond `bounds`.
    pub fn around(
        values: impl Iterator<Item = f64>,
        bounds: (f64, f64),
        least: f64,
        places: (f64, f64),
    ) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self::new(
                (bounds.0.max(-1e300), bounds.1.min(1e300).min(bounds.0.max(-1e300) + 1.0)),
                places,
            );
        }
        let wider = ((least - (high - low)) / 2.0).max(0.0);
        let step = step((high - low + 2.0 * wider) / 4.0);
        let low = (((low - wider) / step).floor() * step).max(bounds.0);
        let high = (((high + wider) / step).ceil() * step).min(bounds.1);
        Self::new((low, high), places)
    }

    /// Where a number stands.
    pub fn place(&self, value: f64) -> f64 {
        let part = (value - self.low) / (self.high - self.low);
        self.start + part.clamp(-0.2, 1.2) * (self.end - self.start)
    }

    /// Round numbers, `most` at most, and a few decimals to write them with.
    pub fn ticks(&self, most: usize) -> (Vec<f64>, usize) {
        let step = step((self.high - self.low) / most.max(2) as f64);
        let first = (self.low / step - 1e-9).ceil();
        let ticks = (0..=most * 2).map(|tick| (first + tick as f64) * step);
        let ticks = ticks.take_while(|tick| *tick <= self.high + step * 1e-9).collect();
        let decimals = (0..6).find(|decimals| {
            let scaled = step * 10_f64.powi(*decimals);
            (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().max(1e-300)
        });
        (ticks, decimals.map_or(6, |decimals| decimals as usize))
    }
}

/// A round number that isn't smaller: 1, 2 or 5 times a power of ten.
fn step(least: f64) -> f64 {
    if !(least.is_finite() && least > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let found = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power);
    found.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// Which of so many labels are written, so that they don't touch: every so many, the last one among them.
pub fn labelled(count: usize, longest: usize, width: f64) -> impl Fn(usize) -> bool {
    let room = (width / (longest as f64 * 6.6 + 14.0)).floor().max(1.0) as usize;
    let every = count.div_ceil(room).max(1);
    move |at| (count - 1 - at.min(count.saturating_sub(1))).is_multiple_of(every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let axis = Axis::around([3.4, 4.2].into_iter(), (1.0, 5.0), 0.5, (100.0, 0.0));
        let (ticks, decimals) = axis.ticks(4);
        let shown: Vec<String> = ticks.iter().map(|tick| format!("{tick:.decimals$}")).collect();
        assert_eq!(shown, ["3.4", "3.6", "3.8", "4.0", "4.2"]);
        assert!((axis.place(3.8) - 50.0).abs() < 1e-9);
        for odd in [vec![], vec![f64::NAN], vec![0.0], vec![1e300, -1e300], vec![5e-324]] {
            let axis = Axis::around(odd.into_iter(), (f64::NEG_INFINITY, f64::INFINITY), 0.0, (0.0, 100.0));
            assert!(
                axis.ticks(5).0.iter().all(|tick| tick.is_finite()) && axis.place(0.0).is_finite(),
                "{axis:?}"
            );
        }
    }

    #[test]
    fn labels_leave_room() {
        let shown = labelled(36, 14, 800.0);
        assert!(shown(35) && (0..36).filter(|at| shown(*at)).count() <= 8);
        assert!(labelled(1, 3, 10.0)(0));
    }
}
