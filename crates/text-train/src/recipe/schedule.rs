//! How the learning rate rises and falls over the steps of a training.
//!
//! It must not know optimizers or epochs. Invariant: a rate depends on the number of the step alone, so a training that
//! goes on from a checkpoint meets the rates that it would have met.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The shape of a schedule, under the names of `transformers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerType {
    /// Falls in a straight line to 0.
    Linear,
    /// Falls to 0 along half a wave of the cosine.
    Cosine,
    /// Always the full rate, without warm-up.
    Constant,
    /// The full rate after the warm-up.
    ConstantWithWarmup,
}

/// A learning rate for each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    kind: SchedulerType,
    /// Rate at its highest.
    learning_rate: f64,
    warmup_steps: u64,
    total_steps: u64,
}

impl Schedule {
    /// A schedule over `total_steps` updates of the weights, of which the first `warmup_ratio` (0 to 1, rounded up to
    /// whole steps as `transformers.TrainingArguments.get_warmup_steps` does) climb from 0 to `learning_rate`.
    pub fn new(kind: SchedulerType, learning_rate: f64, warmup_ratio: f64, total_steps: u64) -> Self {
        let warmup_steps = (total_steps as f64 * warmup_ratio).ceil() as u64;
        Self { kind, learning_rate, warmup_steps, total_steps }
    }

    /// The rate of an update, counted from 0. Past the last one it stays where the schedule ends.
    pub fn rate(&self, step: u64) -> f64 {
        self.learning_rate * self.factor(step)
    }

    /// Share of the highest rate, 0 to 1: the lambdas of `transformers/optimization.py`.
    fn factor(&self, step: u64) -> f64 {
        if self.kind == SchedulerType::Constant {
            return 1.0;
        }
        if step < self.warmup_steps {
            return step as f64 / self.warmup_steps as f64;
        }
        let steps = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        match self.kind {
            SchedulerType::Linear => self.total_steps.saturating_sub(step) as f64 / steps,
            SchedulerType::Cosine => {
                let progress = ((step - self.warmup_steps) as f64 / steps).min(1.0);
                (0.5 * (1.0 + (PI * progress).cos())).max(0.0)
            }
            SchedulerType::Constant | SchedulerType::ConstantWithWarmup => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_past_the_end_stay_where_the_schedule_ends() {
        for (kind, end) in
            [(SchedulerType::Linear, 0.0), (SchedulerType::Cosine, 0.0), (SchedulerType::Constant, 0.1)]
        {
            assert_eq!(Schedule::new(kind, 0.1, 0.1, 10).rate(1000), end);
        }
    }

    #[test]
    fn trainings_of_no_step_have_a_rate() {
        assert_eq!(Schedule::new(SchedulerType::Linear, 0.1, 0.5, 0).rate(0), 0.0);
        assert_eq!(Schedule::new(SchedulerType::Cosine, 0.1, 0.5, 0).rate(0), 0.1);
    }
}
