//! Sales of many products, the last weeks forecast from those before: by a method for each, with trees of all beside, and by trees alone.
//!
//! Arguments: a file of global.py, threads, and columns to read of `price`, `promotion`, `category`, or `none`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::Instant;

use ecommerce_ml_forecast::accuracy::Accuracy;
use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_forecast::forecaster::Options;
use ecommerce_ml_forecast::held_out::point;
use ecommerce_ml_forecast::series::{Gaps, Options as Regular, Panel, Row};
use ecommerce_ml_forecast_model::fitting::{GlobalTraining, SeriesToFit};
use ecommerce_ml_forecast_model::global::known::Known;
use ecommerce_ml_forecast_model::global::layout::{ColumnScheme, Layout};
use ecommerce_ml_protocol::{Field, ValueType};
use ecommerce_ml_xgboost::Library;

const HORIZON: usize = 8;
const SEASON: usize = 52;
const WEEK: i64 = 7 * 86_400_000_000;
/// Monday, 2 January 2017.
const START: i64 = 1_483_315_200_000_000;

struct Product {
    dense: bool,
    category: String,
    first: i64,
    values: Vec<f64>,
    columns: Vec<Vec<f32>>,
}

fn product(line: &str) -> Product {
    let parts: Vec<&str> = line.split('\t').collect();
    let numbers = |at: usize| parts[at].split(' ').map(|one| one.parse().unwrap()).collect::<Vec<f64>>();
    let columns = (4..7).map(|at| numbers(at).into_iter().map(|one| one as f32).collect()).collect();
    Product {
        dense: parts[0] == "dense",
        category: parts[1].to_owned(),
        first: parts[2].parse().unwrap(),
        values: numbers(3),
        columns,
    }
}

fn panel(products: &[Product]) -> Panel {
    let rows = products.iter().zip(0..).flat_map(|(one, key)| {
        one.values.iter().zip(one.first..).map(move |(quantity, week)| Row {
            key,
            time: START + week * WEEK,
            offset: 0,
            quantity: *quantity,
        })
    });
    let regular = Regular { period: Some(Period::Week), gaps: Gaps::Zero, whole_periods: false };
    Panel::new(&rows.collect::<Vec<_>>(), regular).unwrap()
}

fn schemes(products: &[Product], wanted: &str) -> Vec<(ColumnScheme, usize)> {
    let number = |name: &str, place: usize| {
        let field = Field { name: name.to_owned(), value_type: ValueType::Number };
        (ColumnScheme { field, categories: Vec::new() }, place)
    };
    let mut all = Vec::new();
    if wanted.contains("price") {
        all.push(number("price", 0));
    }
    if wanted.contains("promotion") {
        all.extend([number("display", 1), number("mailer", 2)]);
    }
    if wanted.contains("category") {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        products.iter().for_each(|one| *counts.entry(&one.category).or_default() += 1);
        let mut kinds: Vec<(&str, usize)> = counts.into_iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut categories: Vec<String> = kinds.iter().take(20).map(|(name, _)| (*name).to_owned()).collect();
        categories.sort();
        let field = Field { name: "category".to_owned(), value_type: ValueType::Text };
        all.push((ColumnScheme { field, categories }, 3));
    }
    all
}

fn known(product: &Product, schemes: &[(ColumnScheme, usize)], first: i64) -> Known {
    let of_week = |week: usize| {
        let value = |(scheme, place): &(ColumnScheme, usize)| match product.columns.get(*place) {
            Some(values) => values[week],
            None => scheme.categories.binary_search(&product.category).map_or(f32::NAN, |at| at as f32),
        };
        (first + week as i64, schemes.iter().map(value).collect())
    };
    Known::new(first, schemes.len(), &(0..product.values.len()).map(of_week).collect())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, threads, wanted] = arguments.as_slice() else { return println!("FILE THREADS COLUMNS") };
    let text = std::fs::read_to_string(file).expect("a file of global.py");
    let products: Vec<Product> = text.lines().map(product).collect();
    let schemes = schemes(&products, wanted);
    let threads = threads.parse().expect("threads");
    for method in ["local", "auto", "trees"] {
        let panel = panel(&products);
        let began = Instant::now();
        let columns: Vec<ColumnScheme> = schemes.iter().map(|(scheme, _)| scheme.clone()).collect();
        let longest = panel.series.iter().map(|one| one.values.len()).max().unwrap_or(0);
        let layout = Layout::new(Period::Week, SEASON, HORIZON, columns, longest);
        let of = |one: &ecommerce_ml_forecast::series::Series| {
            known(&products[one.key as usize], &schemes, one.first)
        };
        let known: Vec<Known> = panel.series.iter().map(of).collect();
        let global = (method != "local").then(|| GlobalTraining {
            library: Library::get().expect("libxgboost"),
            layout,
            known,
            forced: method == "trees",
            seed: 42,
        });
        let regular = Regular { period: Some(Period::Week), gaps: Gaps::Zero, whole_periods: false };
        let fitting = Options { season: SEASON, horizon: HORIZON, threads };
        let keys = (0..products.len()).map(|at| vec![format!("{at:06}")]).collect();
        let series = SeriesToFit {
            columns: Vec::new(),
            keys,
            panel,
            regular,
            fitting,
            reconciled: false,
            global,
            grown: Default::default(),
        };
        let all = series.held_out(HORIZON, 0.8).unwrap().expect("series that are long enough");
        for dense in [true, false] {
            let (mut own, mut naive) = (Accuracy::default(), Accuracy::default());
            for one in all.iter().filter(|one| products[one.key as usize].dense == dense) {
                one.add_to(&mut own, &one.forecasts, 0.8);
                let simple: Vec<_> = one.naive.iter().copied().map(point).collect();
                one.add_to(&mut naive, &simple, 0.8);
            }
            println!(
                "{method:6} {:12} rmsse {:.4} (naive {:.4}) mase {:.4} wape {:.4} coverage {:.3} width {:.2}",
                if dense { "dense" } else { "intermittent" },
                own.rmsse().unwrap(),
                naive.rmsse().unwrap(),
                own.mase().unwrap(),
                own.wape().unwrap(),
                own.coverage().unwrap(),
                own.width().unwrap()
            );
        }
        println!("{method:6} {:.1} s", began.elapsed().as_secs_f64());
        if method == "trees" {
            let global = series.fit().unwrap().global.expect("trees");
            println!("{:?}\n{:?}", global.importance, global.effects);
        }
    }
}
