//! Sums of several periods: how often demand is below their quantiles, and whether stock that is ordered by them lasts as often as it shall.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use ecommerce_ml_forecast::forecaster::{Forecaster, Options};
use ecommerce_ml_forecast::orders::{Demand, Terms};
use ecommerce_ml_forecast::series::Series;

/// Periods that are known, and series.
const KNOWN: usize = 120;
const SERIES: u32 = 400;
const LEVELS: [f64; 9] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95];

/// Numbers between 0 and 1 (xorshift64*).
struct Random(u64);

impl Random {
    #[allow(clippy::cast_precision_loss)]
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// With a mean of 0 and a variance of 1, about.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// Demand around 60 that strays for some periods: each deviation keeps a part of the one before.
fn straying(random: &mut Random, part: f64, periods: usize) -> Vec<f64> {
    let mut deviation = 0.0;
    let mut next = || {
        deviation = part * deviation + 8.0 * random.normal();
        (60.0 + deviation).max(0.0).round()
    };
    (0..periods).map(|_| next()).collect()
}

/// Now and then a few are sold.
fn intermittent(random: &mut Random, periods: usize) -> Vec<f64> {
    let mut next = || if random.next() < 0.3 { (1.0 + 5.0 * random.next()).floor() } else { 0.0 };
    (0..periods).map(|_| next()).collect()
}

/// Known periods of many series, and what came after.
fn split(all: Vec<Vec<f64>>) -> (Vec<Series>, Vec<Vec<f64>>) {
    let part = |(key, values): (u32, Vec<f64>)| {
        let came = values[KNOWN..].to_vec();
        (Series { key, first: 0, values: values[..KNOWN].to_vec(), missing: Vec::new() }, came)
    };
    (0..SERIES).zip(all).map(part).unzip()
}

fn fit(series: &[Series]) -> Forecaster {
    Forecaster::fit(series, KNOWN as i64, Options { season: 1, horizon: 8, threads: 2 }).unwrap()
}

/// Part of the series whose sum of the next periods is at most the quantile of this level.
fn below(forecaster: &Forecaster, came: &[Vec<f64>], periods: usize, level: f64) -> f64 {
    let is_below = |(place, came): (usize, &Vec<f64>)| {
        let (_, quantiles) = forecaster.total(place, periods, &[level], &[]).unwrap().unwrap();
        came.iter().take(periods).sum::<f64>() <= quantiles[0]
    };
    came.iter().enumerate().filter(|one| is_below(*one)).count() as f64 / came.len() as f64
}

#[test]
fn sums_are_below_their_quantiles_as_often_as_they_say_however_periods_go_together() {
    let mut random = Random(7);
    for part in [0.0, 0.7] {
        let all = (0..SERIES).map(|_| straying(&mut random, part, KNOWN + 8)).collect();
        let (series, came) = split(all);
        let forecaster = fit(&series);
        for periods in [1, 3, 8] {
            for level in [0.1, 0.5, 0.8, 0.95] {
                let found = below(&forecaster, &came, periods, level);
                // Three standard errors of 400 series, and what the choice of methods costs.
                let error = 3.0 * (level * (1.0 - level) / f64::from(SERIES)).sqrt() + 0.02;
                assert!((found - level).abs() < error, "{part}, {periods} periods: {found} below {level}");
            }
        }
        // The sum of quantiles is another thing: of independent periods it is far too much.
        let single = |place| forecaster.quantiles(place, 8, &[0.95], &[]).unwrap();
        let added = |place| single(place).iter().map(|(_, ends)| ends[0]).sum::<f64>();
        let whole = |place| forecaster.total(place, 8, &[0.95], &[]).unwrap().unwrap().1[0];
        let added: f64 = (0..came.len()).map(added).sum();
        let whole: f64 = (0..came.len()).map(whole).sum();
        assert!(whole < added, "{part}: {whole} {added}");
    }
}

#[test]
fn stock_lasts_as_often_as_it_shall() {
    let mut random = Random(3);
    let all = (0..SERIES).map(|_| intermittent(&mut random, KNOWN + 8)).collect();
    let (series, came) = split(all);
    let forecaster = fit(&series);
    for (periods, service_level) in [(2, 0.9), (4, 0.8), (4, 0.95)] {
        let terms = Terms { service_level, costs: None, pack_size: 1.0, minimum: 0.0 };
        let levels: Vec<f64> = (1..100).map(|percent| f64::from(percent) / 100.0).collect();
        let (mut lasted, mut ordered) = (0.0, 0.0);
        for (place, came) in came.iter().enumerate() {
            let (_, quantities) = forecaster.total(place, periods, &levels, &[]).unwrap().unwrap();
            let order = Demand::new(&levels, &quantities).unwrap().order(0.0, &terms).unwrap();
            lasted += f64::from(u8::from(came.iter().take(periods).sum::<f64>() <= order.quantity));
            ordered += order.quantity;
        }
        let (lasted, mean) = (lasted / f64::from(SERIES), ordered / f64::from(SERIES));
        // Whole units are more than what is asked for, of some single ones by 0.1.
        assert!(lasted > service_level - 0.04 && lasted < service_level + 0.1, "{service_level}: {lasted}");
        assert!(mean < 6.0 * periods as f64, "{mean}");
    }
}

#[test]
fn totals_are_sound_where_there_is_little_to_know() {
    let short = vec![Series { key: 0, first: 0, values: vec![3.0], missing: Vec::new() }];
    let forecaster = Forecaster::fit(&short, 1, Options { season: 1, horizon: 4, threads: 1 }).unwrap();
    let (sum, quantiles) = forecaster.total(0, 4, &LEVELS, &[]).unwrap().unwrap();
    assert_eq!((sum, quantiles), (12.0, vec![12.0; LEVELS.len()]));
    assert_eq!(forecaster.total(1, 4, &LEVELS, &[]), Ok(None));
    forecaster.total(0, 0, &LEVELS, &[]).unwrap_err();
    forecaster.total(0, 1001, &LEVELS, &[]).unwrap_err();
    // Never below nothing, and far ahead the quantiles still ascend.
    let mut random = Random(9);
    let some: Vec<Series> = (0..9)
        .map(|key| Series { key, first: 0, values: intermittent(&mut random, 40), missing: Vec::new() })
        .collect();
    let forecaster = Forecaster::fit(&some, 40, Options { season: 1, horizon: 4, threads: 1 }).unwrap();
    for periods in [1, 4, 30, 1000] {
        let (_, quantiles) = forecaster.total(4, periods, &LEVELS, &[]).unwrap().unwrap();
        assert!(quantiles[0] >= 0.0 && quantiles.windows(2).all(|pair| pair[0] <= pair[1]), "{quantiles:?}");
    }
}
