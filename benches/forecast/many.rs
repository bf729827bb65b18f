//! Makes many short series of several kinds, forecasts their last values from those before, and prints what that is worth, by kind, and how long
//! it took.
//!
//!     forecast_many SERIES PERIODS SEASON THREADS [KIND]

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark ends where something is amiss"
)]

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::time::Instant;

use ecommerce_ml_forecast::accuracy::{Accuracy, Scale};
use ecommerce_ml_forecast::forecaster::{Forecaster, Options};
use ecommerce_ml_forecast::series::Series;

const LEVEL: f64 = 0.8;
const HORIZON: usize = 8;
const KINDS: [&str; 8] = ["level", "trend", "walk", "season", "break", "poisson 0.2", "poisson 2", "lumpy"];

/// Numbers that look like chance (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().max(1e-300).ln()).sqrt() * (TAU * self.uniform()).cos()
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        let (mut product, mut count) = (self.uniform(), 0.0);
        while product > (-mean).exp() {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

/// A series of a kind, `[time]`.
fn make(kind: &str, periods: usize, season: usize, random: &mut Random) -> Vec<f64> {
    let size = (random.normal() + 4.0).exp();
    let (slope, phase) = (random.normal() / periods as f64, random.uniform());
    let at = (random.uniform() * periods as f64) as usize;
    let mut walk = 0.0;
    let value = |time: usize| {
        let noise = random.normal();
        walk += 0.05 * noise;
        match kind {
            "level" => size * (1.0 + 0.15 * noise).max(0.0),
            "trend" => size * (1.5 + slope * time as f64 + 0.15 * noise).max(0.0),
            "walk" => size * (1.0 + walk).max(0.0),
            "season" => {
                let wave = (TAU * (time as f64 / season as f64 + phase)).sin();
                size * (1.0 + 0.4 * wave + 0.1 * noise).max(0.0)
            }
            "break" => size * (1.0 + 0.1 * noise + if time >= at { 0.7 } else { 0.0 }).max(0.0),
            "poisson 0.2" => random.poisson(0.2),
            "poisson 2" => random.poisson(2.0),
            _ => {
                let sold = random.uniform() < 0.3;
                if sold { (1.0 + noise.abs() * 8.0).floor() } else { 0.0 }
            }
        }
    };
    (0..periods).map(value).collect()
}

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|one| one.parse().ok()).collect();
    let only = std::env::args().nth(5);
    let [count, periods, season, threads] = arguments[..] else {
        eprintln!("usage: forecast_many SERIES PERIODS SEASON THREADS [KIND]");
        std::process::exit(2);
    };
    let mut random = Random(1);
    let kind = |at: usize| only.as_deref().unwrap_or(KINDS[at % KINDS.len()]);
    let all: Vec<Vec<f64>> =
        (0..count).map(|at| make(kind(at), periods + HORIZON, season, &mut random)).collect();
    let known = |values: &Vec<f64>| Series {
        key: 0,
        first: 0,
        values: values[..periods].to_vec(),
        missing: Vec::new(),
    };
    let series: Vec<Series> = all.iter().map(known).collect();
    let begin = Instant::now();
    let fitted = Forecaster::fit(&series, i64::MIN, Options { season, horizon: HORIZON, threads })
        .expect("series are sound");
    let seconds = begin.elapsed().as_secs_f64();
    let mut found: BTreeMap<&str, (Accuracy, BTreeMap<String, usize>)> = BTreeMap::new();
    for (place, values) in all.iter().enumerate() {
        let forecasts = fitted.forecast(place, HORIZON, LEVEL).expect("a horizon within bounds");
        let scale = Scale::of(&values[..periods], season);
        for name in [kind(place), "all"] {
            let (accuracy, methods) = found.entry(name).or_default();
            accuracy.add(&values[periods..], &forecasts, scale, LEVEL);
            let method = fitted.method(place).unwrap_or_default();
            let short = method.split(' ').next().unwrap_or_default().to_owned();
            *methods.entry(short).or_default() += 1;
        }
    }
    for (name, (accuracy, methods)) in &found {
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
        println!(
            "{name:12} coverage {:.3} rmsse {:.3} wape {:.3} width {:.2} {methods:?}",
            number(accuracy.coverage()),
            number(accuracy.rmsse()),
            number(accuracy.wape()),
            number(accuracy.width()),
        );
    }
    println!("{count} series of {periods} periods: {seconds:.1} s");
}
