//! Rows of table columns through a linear model, on one core, with what a request costs before and after; and a training on a
//! million such rows, on all cores. Part of `make bench-engine`.
//!
//! A request has 1000 rows of ten numbers and two texts, as the node in the executor sends them. Numbers are those of rows, not of
//! additions: the model of two classes has one equation, that of five has five.

#![allow(clippy::expect_used, reason = "a benchmark that can't run shall say so")]

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput};
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Evaluate, Job, ModelKind};
use ecommerce_ml_protocol::training::{
    JobOutput, Label, Objective, TrainingCall, TrainingInput, TrainingPlan, TrainingRows,
};
use ecommerce_ml_protocol::{
    Answers, Column, EngineError, Field, Input, ModelInfo, ModelSource, Output, Rows, ValueType, Values,
};
use ecommerce_ml_tabular::Head;
use ecommerce_ml_tabular::Linear;
use ecommerce_ml_tabular::linear::encoding::{EncodedColumn, Encoding, Scheme};
use ecommerce_ml_tabular::linear::files;
use ecommerce_ml_tabular::linear::model::LinearModel;

const ROWS: usize = 1000;
const CATEGORIES: usize = 50;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    let rows = many(ROWS);
    let mut group = criterion.benchmark_group("1000 rows of 10 numbers and 2 categories");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, labels) in [("number", 0), ("2 classes", 2), ("5 classes", 5)] {
        let source = ModelSource::Builtin("bench".to_owned());
        let files = files::write(&model(labels)).expect("the model is whole");
        let model = Linear::new(1).load(Some(&source), &files).expect("the model is whole");
        group.bench_function(name, |bencher| {
            let request = || Input::Rows(rows.clone());
            let answer = |input| model.submit(input, Output::Prediction).wait().expect("rows fit");
            bencher.iter_batched(request, answer, BatchSize::SmallInput);
        });
    }
    group.finish();
    training();
}

/// Trains on a million rows, once: from the rows as they come to the model and its metrics.
fn training() {
    let rows = many(1_000_000);
    let Values::Number(first) = &rows.columns[1].values else { return };
    let labels = first.iter().enumerate().map(|(row, value)| {
        // Something else matters, too.
        let is_large = value.unwrap_or(500.0) + (row * 7919 % 1009) as f64 > 1000.0;
        Label::Class(if is_large { "large" } else { "small" }.to_owned())
    });
    let labels: Vec<Label> = labels.collect();
    let fields =
        |column: &Column| Field { name: column.name.clone(), value_type: column.values.value_type() };
    let input = TrainingInput::Columns { fields: rows.columns.iter().map(fields).collect(), text: None };
    let options = "{}".to_owned();
    let call = TrainingCall { objective: Objective::Classification, input, has_time: false, options };
    let (base, incumbent) = (None, None);
    let (memory_limit, checkpoint_interval) = (u64::MAX, u64::MAX);
    let plan = TrainingPlan { call, base, incumbent, members: Vec::new(), memory_limit, checkpoint_interval };
    let message =
        TrainingRows { input: Input::Rows(rows), labels, times: Vec::new(), paraphrases: Vec::new() };
    let (synonyms, descriptions, members, checkpoint) = Default::default();
    let (base, incumbent, rows) = (None, None, vec![message]);
    let job = Job { plan, base, incumbent, rows, synonyms, descriptions, members, checkpoint };
    let kind = Linear::new(0);
    let (began, mut told) = (Instant::now(), String::new());
    let mut sink = |output: JobOutput| {
        if let JobOutput::Epoch(epoch) = output {
            told =
                format!("{} iterations in {:.2} s for the last {}", epoch.step, epoch.seconds, epoch.epoch);
        }
        Ok(())
    };
    let trainer = kind.trainer().expect("it has one");
    trainer.train(job, &Models, &mut sink).expect("the rows can be learned from");
    println!("training on 1,000,000 rows: {:.2} s in all, {told}", began.elapsed().as_secs_f64());
}

struct Models;

impl Evaluate for Models {
    fn predict(
        &self,
        files: &ModelFiles,
        input: &Input,
    ) -> Result<(ModelInfo, Option<Answers>), EngineError> {
        let model = Linear::new(0).load(None, files)?;
        let answers = model.submit(input.clone(), Output::Prediction).wait()?.answers;
        Ok((model.info().clone(), Some(answers)))
    }
}

fn many(count: usize) -> Rows {
    let number = |column: usize| Column {
        name: format!("number {column}"),
        values: Values::Number(
            (0..count)
                .map(|row| (!row.is_multiple_of(11)).then_some((row * (2 * column + 1) % 997) as f64))
                .collect(),
        ),
    };
    let text = |column: usize| {
        let dictionary = (0..CATEGORIES).map(|one| format!("category {one}")).collect();
        let codes = (0..count)
            .map(|row| (!row.is_multiple_of(13)).then_some((row * (column + 7) % CATEGORIES) as u32));
        Column { name: format!("text {column}"), values: Values::Text { dictionary, codes: codes.collect() } }
    };
    Rows { count: count as u32, columns: (0..10).map(number).chain((0..2).map(text)).collect() }
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
