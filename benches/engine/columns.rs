//! Rows of table columns through a linear model, on one core, with what a request costs before and after. Part of `make
//! bench-engine`.
//!
//! A request has 1000 rows of ten numbers and two texts, as the node in the executor sends them. Numbers are those of rows, not of
//! additions: the model of two classes has one equation, that of five has five.

#![allow(clippy::expect_used, reason = "a benchmark that can't run shall say so")]

use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use ecommerce_ml_predictor::ModelKind;
use ecommerce_ml_protocol::{Column, Field, Input, ModelSource, Output, Rows, ValueType, Values};
use ecommerce_ml_tabular::encoding::{EncodedColumn, Encoding, Scheme};
use ecommerce_ml_tabular::model::{Head, LinearModel};
use ecommerce_ml_tabular::{Linear, files};

const ROWS: usize = 1000;
const CATEGORIES: usize = 50;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    let rows = rows();
    let mut group = criterion.benchmark_group("1000 rows of 10 numbers and 2 categories");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, labels) in [("number", 0), ("2 classes", 2), ("5 classes", 5)] {
        let source = ModelSource::Builtin("bench".to_owned());
        let files = files::write(&model(labels)).expect("the model is whole");
        let model = Linear::new(1).load(&source, &files).expect("the model is whole");
        group.bench_function(name, |bencher| {
            let request = || Input::Rows(rows.clone());
            let answer = |input| model.submit(input, Output::Prediction).wait().expect("rows fit");
            bencher.iter_batched(request, answer, BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn rows() -> Rows {
    let number = |column: usize| Column {
        name: format!("number {column}"),
        values: Values::Number(
            (0..ROWS).map(|row| (row % 11 > 0).then_some((row * column) as f64)).collect(),
        ),
    };
    let text = |column: usize| {
        let dictionary = (0..CATEGORIES).map(|one| format!("category {one}")).collect();
        let codes = (0..ROWS).map(|row| (row % 13 > 0).then_some((row * (column + 7) % CATEGORIES) as u32));
        Column { name: format!("text {column}"), values: Values::Text { dictionary, codes: codes.collect() } }
    };
    Rows { count: ROWS as u32, columns: (0..10).map(number).chain((0..2).map(text)).collect() }
}

/// A model of two, five or any other number of classes; of numbers for none.
fn model(labels: usize) -> LinearModel {
    let number = |column: usize| EncodedColumn {
        field: Field { name: format!("number {column}"), value_type: ValueType::Number },
        scheme: Scheme::Number { mean: 500.0, scale: 300.0, missing: true },
    };
    let text = |column: usize| EncodedColumn {
        field: Field { name: format!("text {column}"), value_type: ValueType::Text },
        scheme: Scheme::Categories {
            categories: (0..CATEGORIES).map(|one| format!("category {one}")).collect(),
            missing: true,
            other: false,
        },
    };
    let encoding = Encoding { columns: (0..10).map(number).chain((0..2).map(text)).collect() };
    let equations = if labels > 2 { labels } else { 1 };
    let head = match labels {
        0 => Head::Number,
        count => Head::Classes { labels: (0..count).map(|label| format!("class {label}")).collect() },
    };
    let coefficients = (0..encoding.features() * equations).map(|one| (one as f64).sin()).collect();
    LinearModel { encoding, head, intercepts: vec![0.1; equations], coefficients }
}
