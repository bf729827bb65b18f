//! In which part of the last seconds models were running.
//!
//! Pure: moments in, a part out. Invariant: no moment is counted twice, whatever is noted.

use std::time::{Duration, Instant};

/// Seconds that are looked back on.
pub const SPAN: usize = 10;

/// Slots of a second each, in a ring; the current one is filled beside those that are looked back on.
const SLOTS: usize = SPAN + 1;

/// What was noted.
#[derive(Debug)]
pub struct Utilisation {
    began: Instant,
    /// Until when something was noted.
    until: Instant,
    /// The second since the beginning that a slot stands for, and in how much of it a model ran.
    slots: [(u64, Duration); SLOTS],
}

impl Utilisation {
    /// Begins to look.
    pub fn new(began: Instant) -> Self {
        Self { began, until: began, slots: [(0, Duration::ZERO); SLOTS] }
    }

    /// Notes that a model ran from one moment to another.
    pub fn note(&mut self, from: Instant, to: Instant) {
        let mut from =
            from.max(self.until).max(to.checked_sub(Duration::from_secs(SPAN as u64)).unwrap_or(from));
        self.until = self.until.max(to);
        while from < to {
            let second = from.duration_since(self.began).as_secs();
            let end = (self.began + Duration::from_secs(second + 1)).min(to);
            let slot = &mut self.slots[second as usize % SLOTS];
            if slot.0 != second {
                *slot = (second, Duration::ZERO);
            }
            slot.1 += end.duration_since(from);
            from = end;
        }
    }

    /// The part of the last [`SPAN`] whole seconds, or of all of them if they are fewer, from 0 to 1. Within the first second: of
    /// that second.
    pub fn part(&self, now: Instant) -> f32 {
        let current = now.duration_since(self.began);
        let seconds = current.as_secs();
        if seconds == 0 {
            return self.slots[0].1.as_secs_f32() / current.as_secs_f32().max(1e-3);
        }
        let first = seconds.saturating_sub(SPAN as u64);
        let slots = self.slots.iter().filter(|(second, _)| (first..seconds).contains(second));
        let ran: Duration = slots.map(|&(_, ran)| ran).sum();
        ran.as_secs_f32() / (seconds - first) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(began: Instant, seconds: f64) -> Instant {
        began + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_last_seconds_count() {
        let began = Instant::now();
        let mut utilisation = Utilisation::new(began);
        assert!(utilisation.part(after(began, 100.0)).abs() < 1e-6);
        utilisation.note(after(began, 100.5), after(began, 103.0));
        assert!((utilisation.part(after(began, 104.0)) - 0.25).abs() < 1e-6);
        assert!(
            (utilisation.part(after(began, 112.9)) - 0.1).abs() < 1e-6,
            "{}",
            utilisation.part(after(began, 112.9))
        );
        assert!(utilisation.part(after(began, 114.0)).abs() < 1e-6);
    }

    #[test]
    fn overlaps_count_once_and_long_runs_as_far_as_they_are_looked_back_on() {
        let began = Instant::now();
        let mut utilisation = Utilisation::new(began);
        utilisation.note(after(began, 1.0), after(began, 2.0));
        utilisation.note(after(began, 1.5), after(began, 2.5));
        assert!((utilisation.part(after(began, 3.0)) - 0.5).abs() < 1e-6);
        utilisation.note(after(began, 3.0), after(began, 1000.0));
        assert!((utilisation.part(after(began, 1000.0)) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_first_seconds_are_fewer() {
        let began = Instant::now();
        let mut utilisation = Utilisation::new(began);
        utilisation.note(began, after(began, 0.25));
        assert!((utilisation.part(after(began, 0.5)) - 0.5).abs() < 1e-6);
        assert!((utilisation.part(after(began, 2.0)) - 0.125).abs() < 1e-6);
    }
}
