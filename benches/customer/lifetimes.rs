//! What customers bought beside what was expected of them.
//!
//!     cargo run --release -p ecommerce_ml_customer --example customer_lifetimes -- FILE CUTOFF
//!
//! The file has a line for each purchase: customer, microseconds since 1970, amount; `data.py` writes such. What comes after CUTOFF, days after
//! the first purchase, is predicted as a training before it would, which holds out as long a time of its own, at most half.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a benchmark ends by panicking")]

use std::time::Instant;

use ecommerce_ml_customer::learning::{Correction, HeldOut, LEVEL, Learned, Past};
use ecommerce_ml_customer::ledger::{Event, Ledger, days};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| !one.starts_with("--")).collect();
    let [path, cutoff] = arguments.as_slice() else {
        println!("name a file of purchases and the days after which they are predicted");
        return;
    };
    let cutoff: f64 = cutoff.parse().unwrap();
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let event = |line| {
        let mut parts = str::split(line, ',');
        let customer = parts.next().unwrap();
        let mut number = || parts.next().unwrap();
        let (time, amount) = (number().parse().unwrap(), number().parse().unwrap());
        Event { customer, time, amount }
    };
    let all: Vec<Event<'_>> = text.lines().map(event).filter(|one: &Event<'_>| one.amount >= 0.0).collect();
    let whole = Ledger::of(&all).unwrap();
    let known: Vec<Event<'_>> =
        all.iter().filter(|one| days(whole.start, one.time) <= cutoff).copied().collect();
    let ledger = Ledger::of(&known).unwrap();
    let horizon = whole.days() - ledger.days();
    let begin = Instant::now();
    let held_out = HeldOut::best(&ledger, &[Past::All, Past::Half], horizon.min(ledger.days() / 2.0), 42);
    let held_out = held_out.unwrap();
    let learned = Learned::until(&ledger, held_out.past, Some(held_out.loss), ledger.days()).unwrap();
    println!(
        "{} customers, {horizon:.0} days ahead, learned in {:?} from past {:?}: {:.3?}",
        ledger.customers.len(),
        begin.elapsed(),
        held_out.past,
        learned.model
    );
    println!("held out in training: {:.4?}", held_out.metrics(false));
    for (name, correction) in
        [("without correction", Correction::NONE), ("as trained", held_out.correction())]
    {
        report(name, &correction, (&whole, &ledger), &learned, horizon);
    }
}

fn report(
    name: &str,
    correction: &Correction,
    (whole, ledger): (&Ledger, &Ledger),
    learned: &Learned,
    horizon: f64,
) {
    let mut rows: Vec<[f64; 5]> = Vec::new();
    for (customer, history) in ledger.customers.iter().zip(&learned.histories) {
        let place = whole.customers.binary_search(customer).unwrap();
        let actual = whole.bought(place, ledger.days(), f64::INFINITY);
        let expected = correction.of(learned.model.expect(&history.unwrap(), horizon, LEVEL, 42));
        let within = (expected.interval.0..=expected.interval.1).contains(&actual.1);
        let said = (expected.purchases.unwrap(), expected.value.unwrap());
        rows.push([said.0, said.1, actual.0, actual.1, f64::from(u8::from(within))]);
    }
    let count = rows.len() as f64;
    let sum = |at: usize| rows.iter().map(|row| row[at]).sum::<f64>();
    let error = |at: usize| rows.iter().map(|row| (row[at] - row[at + 2]).abs()).sum::<f64>() / count;
    println!(
        "{name} ({correction:.3?}): purchases {:.0} of {:.0} ({:+.1} %), MAE {:.4}; worth {:.0} of {:.0} ({:+.1} %), MAE {:.2}; coverage {:.3}",
        sum(0),
        sum(2),
        100.0 * (sum(0) / sum(2) - 1.0),
        error(0),
        sum(1),
        sum(3),
        100.0 * (sum(1) / sum(3) - 1.0),
        error(1),
        sum(4) / count
    );
    rows.sort_by(|one, other| one[0].total_cmp(&other[0]));
    let tenth = |part: &[[f64; 5]]| {
        let mean = |at: usize| part.iter().map(|row| row[at]).sum::<f64>() / part.len() as f64;
        format!("{:.2}/{:.2}", mean(0), mean(2))
    };
    let tenths: Vec<String> = rows.chunks(rows.len().div_ceil(10)).map(tenth).collect();
    println!("    purchases of each tenth, expected/real: {}", tenths.join(" "));
}
