//! What ordering by the distribution of a forecast costs, beside ordering by a normal distribution around the mean of eight weeks.
//!
//!     forecast_orders FILE THREADS
//!
//! `orders.py` writes the file. Of each product one order is made for the next 1, 2, 4 and 8 weeks, with nothing in stock; a unit too few costs
//! 3 or 9 times as much as one too many. Printed is the cost of all over what all had been sold, and how often demand was met.

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark ends where something is amiss"
)]

use ecommerce_ml_forecast::forecaster::{Forecaster, Options};
use ecommerce_ml_forecast::inventory::{Costs, newsvendor_normal};
use ecommerce_ml_forecast::orders::{Demand, Terms};
use ecommerce_ml_forecast::series::Series;

struct Product {
    kind: String,
    known: Vec<f64>,
    came: Vec<f64>,
}

/// Costs, sales and products whose demand was met.
#[derive(Default)]
struct Tally {
    cost: f64,
    sold: f64,
    met: f64,
    products: f64,
}

impl Tally {
    fn add(&mut self, ordered: f64, demand: f64, costs: Costs) {
        let (missing, left) = ((demand - ordered).max(0.0), (ordered - demand).max(0.0));
        self.cost += costs.underage * missing + costs.overage * left;
        self.sold += demand;
        self.met += f64::from(u8::from(missing <= 0.0));
        self.products += 1.0;
    }

    fn shown(&self) -> String {
        format!("{:.3} ({:.3} met)", self.cost / self.sold, self.met / self.products)
    }
}

fn read(line: &str) -> Product {
    let mut parts = line.split('|');
    let kind = parts.next().expect("a kind").trim().to_owned();
    let mut numbers = || -> Vec<f64> {
        let text = parts.next().expect("two lists of numbers");
        text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    };
    Product { kind, known: numbers(), came: numbers() }
}

/// Mean and deviation of the last eight weeks, as of independent weeks.
fn normal(known: &[f64], weeks: usize, costs: Costs) -> f64 {
    let last = &known[known.len() - 8..];
    let mean = last.iter().sum::<f64>() / 8.0;
    let variance = last.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / 7.0;
    let weeks = weeks as f64;
    newsvendor_normal(mean * weeks, (variance * weeks).sqrt(), costs).expect("costs are sound").round()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, threads] = arguments.as_slice() else {
        eprintln!("usage: forecast_orders FILE THREADS");
        std::process::exit(2);
    };
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let products: Vec<Product> = text.lines().map(read).collect();
    let series: Vec<Series> = products
        .iter()
        .map(|one| Series { key: 0, first: 0, values: one.known.clone(), missing: Vec::new() })
        .collect();
    let options = Options { season: 1, horizon: 8, threads: threads.parse().expect("a number of threads") };
    let forecaster = Forecaster::fit(&series, i64::MIN, options).expect("series are sound");
    let levels: Vec<f64> = (1..200).map(|half| f64::from(half) / 200.0).collect();
    for kind in ["dense", "intermittent"] {
        for weeks in [1, 2, 4, 8] {
            for underage in [3.0, 9.0] {
                let costs = Costs { underage, overage: 1.0 };
                let terms = Terms { service_level: 0.5, costs: Some(costs), pack_size: 1.0, minimum: 0.0 };
                let (mut ours, mut theirs) = (Tally::default(), Tally::default());
                for (place, one) in products.iter().enumerate().filter(|(_, one)| one.kind == kind) {
                    let total =
                        forecaster.total(place, weeks, &levels, &[]).expect("a horizon within bounds");
                    let (_, quantities) = total.expect("a series");
                    let demand = Demand::new(&levels, &quantities).expect("quantiles ascend");
                    let order = demand.order(0.0, &terms).expect("terms are sound");
                    let came = one.came.iter().take(weeks).sum();
                    ours.add(order.quantity, came, costs);
                    theirs.add(normal(&one.known, weeks, costs), came, costs);
                }
                println!(
                    "{kind}, {weeks} weeks, {underage}:1: ours {}, normal {}",
                    ours.shown(),
                    theirs.shown()
                );
            }
        }
    }
}
