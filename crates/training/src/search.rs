//! A search for settings: trials of settings that chance draws, which learn from more and more of the rows, while the better third of them
//! goes on. That is successive halving (Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
//! optimization", 2016), with a third where its name has a half.
//!
//! It must not know what is set, or how a trial is measured. Invariant: without a limit of time, a seed finds the same settings, and the
//! first trials, those of the settings that would hold without a search, are measured as thoroughly as any, so that no search ends with
//! settings that were found to be worse.

use std::time::{Duration, Instant};

use ecommerce_ml_protocol::EngineError;

use crate::options::Reader;
use crate::random::SplitMix64;

/// The option.
pub const OPTION: &str = "hyperparameter_search";

/// Of so many trials one goes on, and with so many times the rows.
const PART: usize = 3;

/// Most times that a part of the trials goes on.
const MOST_RUNGS: usize = 3;

/// What the user has said of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchOptions {
    /// How many settings are tried, 4 to 200. Default 20.
    pub trials: u32,
    /// After which the best settings so far are taken. Default none.
    pub timeout: Option<Duration>,
}

impl SearchOptions {
    /// Reads the option; none if there is to be no search.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] with a message that names the option and what was expected.
    pub fn read(reader: &Reader<'_>) -> Result<Option<Self>, EngineError> {
        let Some(reader) = reader.within(OPTION, "settings", &["trials", "timeout"])? else {
            return Ok(None);
        };
        let trials = reader.integer("trials", 4..=200)?.unwrap_or(20) as u32;
        let timeout = reader.number("timeout", f64::INFINITY, 1.0..=1e7)?;
        let timeout = timeout.is_finite().then(|| Duration::from_secs_f64(timeout));
        Ok(Some(Self { trials, timeout }))
    }
}

/// A number between two that are not 0, every order of magnitude as likely as any other.
pub fn log_uniform(random: &mut SplitMix64, least: f64, most: f64) -> f64 {
    let part = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let drawn = (least.ln() + part * (most.ln() - least.ln())).exp();
    // Three digits are as good as sixteen, and can be read.
    let digits = 10_f64.powi(2 - drawn.log10().floor() as i32);
    ((drawn * digits).round() / digits).clamp(least, most)
}

/// Rungs of a search of so many rows to learn from: in the first, trials learn from each so-many-th of them, which are `least` rows or more, in the
/// last from all.
pub fn rungs(rows: usize, trials: usize, least: usize) -> Vec<usize> {
    let mut rungs = vec![1];
    let mut left = trials;
    while rungs.len() < MOST_RUNGS && left >= PART && rows >= least * rungs[0] * PART {
        rungs.insert(0, rungs[0] * PART);
        left /= PART;
    }
    rungs
}

/// How many times trials are measured in all, of which the first `kept` go through all rungs.
pub fn measurements(trials: usize, kept: usize, rungs: usize) -> usize {
    let (mut all, mut going) = (0, trials);
    for _ in 0..rungs {
        all += going;
        going = going.min(going.div_ceil(PART) + kept);
    }
    all
}

/// A search that goes on.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// How many of the first trials go through all rungs.
    pub kept: usize,
    /// When it has to end.
    pub deadline: Option<Instant>,
}

/// What came of a trial in a rung.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measured {
    /// The mean loss of rows that weren't learned from; what is no number is worse than any.
    Loss(f64),
    /// Nothing, since time was up.
    OutOfTime,
}

impl Search {
    /// Whether time is up.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The number of the best of so many trials in so many rungs, both counted from 0. `measure` is told trial and rung.
    ///
    /// If time is up, it is the best of those that have come furthest; the first if none was measured.
    ///
    /// # Errors
    /// Those of `measure`.
    pub fn best(
        &self,
        trials: usize,
        rungs: usize,
        measure: &mut dyn FnMut(usize, usize) -> Result<Measured, EngineError>,
    ) -> Result<usize, EngineError> {
        let mut going: Vec<usize> = (0..trials).collect();
        let mut best = 0;
        for rung in 0..rungs {
            let mut found: Vec<(f64, usize)> = Vec::new();
            let mut over = false;
            for &trial in &going {
                match if self.is_over() { Measured::OutOfTime } else { measure(trial, rung)? } {
                    Measured::Loss(loss) => {
                        found.push((if loss.is_nan() { f64::INFINITY } else { loss }, trial));
                    }
                    Measured::OutOfTime => over = true,
                }
                if over {
                    break;
                }
            }
            found.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
            best = found.first().map_or(best, |(_, trial)| *trial);
            if over {
                break;
            }
            let count = found.len().div_ceil(PART);
            going = found.iter().take(count).map(|(_, trial)| *trial).collect();
            going
                .extend(found.iter().skip(count).map(|(_, trial)| *trial).filter(|trial| *trial < self.kept));
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn search(kept: usize) -> Search {
        Search { kept, deadline: None }
    }

    #[test]
    fn a_third_goes_on_with_three_times_the_rows() {
        assert_eq!(rungs(900, 20, 1000), [1]);
        assert_eq!(rungs(3000, 20, 1000), [3, 1]);
        assert_eq!(rungs(100_000, 20, 1000), [9, 3, 1]);
        assert_eq!(rungs(100_000, 9, 1000), [9, 3, 1]);
        assert_eq!(rungs(100_000, 4, 1000), [3, 1]);
    }

    #[test]
    fn the_best_is_found_and_the_first_are_never_left_out() {
        let mut asked = Vec::new();
        // The fifth is best in the end, the first is worst of all.
        let mut measure = |trial: usize, rung: usize| {
            asked.push((trial, rung));
            let loss = if trial == 0 { 100.0 } else { (trial as f64 - 4.0).abs() + 1.0 };
            Ok(Measured::Loss(loss))
        };
        assert_eq!(search(1).best(9, 3, &mut measure).unwrap(), 4);
        let of = |rung: usize| {
            asked.iter().filter(|(_, at)| *at == rung).map(|(trial, _)| *trial).collect::<Vec<_>>()
        };
        assert_eq!(of(0), (0..9).collect::<Vec<_>>());
        assert_eq!(of(1), [4, 3, 5, 0]);
        assert_eq!(of(2), [4, 3, 0]);
    }

    #[test]
    fn what_diverges_is_worst_and_no_time_leaves_the_first() {
        let mut measure =
            |trial: usize, _: usize| Ok(Measured::Loss(if trial == 2 { 1.0 } else { f64::NAN }));
        assert_eq!(search(0).best(4, 1, &mut measure).unwrap(), 2);
        let mut nothing = |_: usize, _: usize| Ok(Measured::OutOfTime);
        assert_eq!(search(0).best(4, 1, &mut nothing).unwrap(), 0);
        let over = Search { kept: 0, deadline: Some(Instant::now()) };
        let mut never = |_: usize, _: usize| panic!("time is up");
        assert_eq!(over.best(4, 1, &mut never).unwrap(), 0);
        // Time is up in the second rung: its best so far counts.
        let mut later = |trial: usize, rung: usize| {
            Ok(match (trial, rung) {
                (_, 0) => Measured::Loss(trial as f64),
                (0, _) => Measured::Loss(5.0),
                _ => Measured::OutOfTime,
            })
        };
        assert_eq!(search(0).best(6, 2, &mut later).unwrap(), 0);
    }

    #[test]
    fn options_have_ranges() {
        let read = |value: serde_json::Value| {
            let options = json!({OPTION: value});
            SearchOptions::read(&Reader::new(&options, &[OPTION]).unwrap())
        };
        assert_eq!(read(json!(null)).unwrap(), None);
        assert_eq!(read(json!({})).unwrap(), Some(SearchOptions { trials: 20, timeout: None }));
        let found = read(json!({"trials": 50, "timeout": 1.5})).unwrap().unwrap();
        assert_eq!((found.trials, found.timeout), (50, Some(Duration::from_millis(1500))));
        for (wrong, message) in [
            (json!(5), "training option \"hyperparameter_search\" must be an object of settings, not 5"),
            (
                json!({"trials": 3}),
                "training option \"hyperparameter_search.trials\" must be a whole number from 4 to 200, not 3",
            ),
            (json!({"time": 3}), "training option \"hyperparameter_search\" has no \"time\""),
        ] {
            assert_eq!(read(wrong).unwrap_err().message, message);
        }
    }

    #[test]
    fn numbers_are_of_any_size_within_their_bounds() {
        let mut random = SplitMix64::new(3);
        let drawn: Vec<f64> = (0..1000).map(|_| log_uniform(&mut random, 1e-4, 1.0)).collect();
        assert!(drawn.iter().all(|one| (1e-4..=1.0).contains(one)));
        let small = drawn.iter().filter(|one| **one < 1e-2).count();
        assert!((400..600).contains(&small), "{small}");
        let read = |one: &f64| format!("{one}").trim_start_matches(['0', '.']).len() <= 5;
        assert!(drawn.iter().all(read), "{drawn:?}");
    }
}
