//! BG/NBD on the CDNOW sample beside what is published, and how long a fit takes.
//!
//!     cargo bench -p ecommerce_ml_customer --bench cdnow -- cdnow_customers_summary.csv
//!
//! The file is of the Python package Lifetimes 0.11.3, `lifetimes/datasets`: a line of heads, then ID, repeats, recency and age in weeks of
//! 2,357 customers. Fader, Hardie and Lee (2005) have r .243, alpha 4.414, a .793, b 2.426 and a log likelihood of -9582.4.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a benchmark ends by panicking")]

use std::time::Instant;

use ecommerce_ml_customer::{History, Loss, Purchases};

fn main() {
    let Some(path) = std::env::args().skip(1).find(|argument| argument.ends_with(".csv")) else {
        println!("no file of customers: name cdnow_customers_summary.csv");
        return;
    };
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let history = |line: &str| {
        let numbers: Vec<f64> = line.split(',').map(|one| one.trim().parse().unwrap()).collect();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let repeats = numbers[1] as u32;
        History { repeats, recency: numbers[2], age: numbers[3], mean_spend: None }
    };
    let customers: Vec<History> = text.lines().skip(1).filter(|line| !line.is_empty()).map(history).collect();
    let start = Instant::now();
    let fitted = Purchases::fit(&customers, Loss::AfterRepeats).unwrap_or_else(|error| panic!("{error}"));
    println!(
        "{} customers: {fitted:.4?}, log likelihood {:.1}, {:?}",
        customers.len(),
        fitted.log_likelihood(&customers),
        start.elapsed()
    );
    let ahead: f64 = customers.iter().filter_map(|one| fitted.expected(one, 39.0)).sum();
    println!("purchases expected in 39 weeks: {ahead:.0}");
}
