//! How many tokens a batch may have, so that it takes about [`TARGET`]: a request that arrives while a batch
//! runs waits for no longer than that. Pure: measurements in, a budget out.

use std::time::Duration;

/// How long a batch should take.
pub const TARGET: Duration = Duration::from_millis(100);

/// Below this, the overhead of a batch outweighs its work.
const LEAST: usize = 256;

/// Beyond this, even several GPUs gain nothing from larger batches.
const MOST: usize = 65_536;

/// Before the first measurement.
const START: usize = 1024;

/// Weight of the newest measurement; machines are shared and rates swing by a factor of two.
const NEWEST: f64 = 0.3;

/// The speed of one model for one kind of output.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchBudget {
    /// Tokens per second, once measured.
    rate: Option<f64>,
}

impl BatchBudget {
    /// Tokens that the next batch may have.
    pub fn tokens(self) -> usize {
        let tokens = |rate: f64| (rate * TARGET.as_secs_f64()) as usize;
        self.rate.map_or(START, tokens).clamp(LEAST, MOST)
    }

    /// Learns from a batch. Small batches that ran quickly are passed over: they say little of large ones.
    pub fn observe(&mut self, tokens: usize, elapsed: Duration) {
        if tokens * 2 < self.tokens() && elapsed < TARGET {
            return;
        }
        // Within bounds, so that one odd measurement is forgotten as soon as any other.
        let bound = |tokens: usize| tokens as f64 / TARGET.as_secs_f64();
        let rate = (tokens as f64 / elapsed.as_secs_f64().max(1e-6)).clamp(bound(LEAST), bound(MOST));
        self.rate = Some(self.rate.map_or(rate, |old| old + NEWEST * (rate - old)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_settles_at_a_tenth_of_a_second() {
        let mut budget = BatchBudget::default();
        for _ in 0..40 {
            let tokens = budget.tokens();
            budget.observe(tokens, Duration::from_secs_f64(tokens as f64 / 20_000.0));
        }
        assert!((1900..=2000).contains(&budget.tokens()), "{}", budget.tokens());
    }

    #[test]
    fn budget_keeps_its_bounds() {
        let mut budget = BatchBudget::default();
        budget.observe(100_000, Duration::ZERO);
        assert_eq!(budget.tokens(), MOST);
        (0..40).for_each(|_| budget.observe(512, Duration::from_secs(60)));
        assert_eq!(budget.tokens(), LEAST);
    }

    #[test]
    fn small_quick_batches_say_nothing() {
        let mut budget = BatchBudget::default();
        budget.observe(10, Duration::from_millis(9));
        assert_eq!(budget.tokens(), START);
    }
}
