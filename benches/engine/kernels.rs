//! Kernels and encoder against the most that the machine can multiply: `make bench-engine`.
//!
//! Rates are in operations a second (criterion calls them elements). The table after each group gives them as shares of the
//! machine's peak, which is measured in the same run. Names of benchmarks hold the shapes.

#![allow(clippy::expect_used, reason = "a benchmark that can't run shall say so")]

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_tensor_cpu::samples::{self, Sample};
use ecommerce_ml_tensor_cpu::{Cpu, Kernels, Peak, Precision, ThreadPool};
use ecommerce_ml_text_model::{Device, ForwardOutput, Model, PrecisionChoice, Window};

/// Rows of a dense layer, lengths of a sequence.
const ROWS: [usize; 4] = [1, 16, 56, 128];
const LENGTHS: [usize; 5] = [16, 32, 64, 128, 512];

/// Dense layers of the built-in model: inputs and outputs.
const LAYERS: [(usize, usize); 4] = [(384, 1152), (384, 384), (384, 1536), (1536, 384)];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let kernels = Cpu::open(1).expect("the environment names kernels of this processor").kernels;
    let peak = Peak::measure(&kernels, &ThreadPool::new(1));
    println!(
        "kernels {}: peak of one thread {:.0} GOP/s in int8, {:.0} in f32",
        kernels.name(),
        peak.int8 / 1e9,
        peak.f32 / 1e9
    );
    dense(&mut criterion, kernels, peak);
    attention(&mut criterion, kernels, peak);
    rows(&mut criterion, kernels);
    encoder(&mut criterion, kernels);
    criterion.final_summary();
}

fn dense(criterion: &mut Criterion, kernels: Kernels, peak: Peak) {
    for (precision, most) in [(Precision::Int8, peak.int8), (Precision::F32, peak.f32)] {
        for (inputs, outputs) in LAYERS {
            for rows in ROWS {
                let Some(sample) = samples::dense(kernels, precision, rows, inputs, outputs) else {
                    continue;
                };
                let name = format!("dense {} {inputs}x{outputs}", precision.as_str());
                measure(criterion, (kernels, &name), rows, sample, Some(most));
            }
        }
    }
}

fn attention(criterion: &mut Criterion, kernels: Kernels, peak: Peak) {
    for length in LENGTHS {
        measure(
            criterion,
            (kernels, "attention 12 heads of 32"),
            length,
            samples::attention(kernels, length, 12, 32),
            Some(peak.f32),
        );
    }
}

fn rows(criterion: &mut Criterion, kernels: Kernels) {
    for width in [384, 1536] {
        measure(criterion, (kernels, "norm"), width, samples::norm(kernels, width), None);
        measure(criterion, (kernels, "quantise"), width, samples::quantise(kernels, width), None);
        measure(criterion, (kernels, "gelu"), width, samples::gelu(kernels, width), None);
    }
}

/// Runs a sample under criterion, and once more to print its share of the peak.
fn measure(
    criterion: &mut Criterion,
    (kernels, name): (Kernels, &str),
    size: usize,
    mut sample: Sample,
    most: Option<f64>,
) {
    let kernels = kernels.name();
    let mut group = criterion.benchmark_group(format!("{kernels} {name}"));
    group.throughput(Throughput::Elements(sample.operations));
    group.bench_function(BenchmarkId::from_parameter(size), |bencher| bencher.iter(|| (sample.run)()));
    group.finish();
    let Some(most) = most else { return };
    let mut times: Vec<f64> = (0..15).map(|_| seconds(&mut sample.run)).collect();
    times.sort_by(f64::total_cmp);
    let rate = sample.operations as f64 / times[times.len() / 2];
    println!("{kernels}, {name}, {size}: {:.0} GOP/s, {:.2} of the peak", rate / 1e9, rate / most);
}

/// Of one run, in the mean of as many as take a hundredth of a second.
fn seconds(run: &mut dyn FnMut()) -> f64 {
    let (start, mut runs) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(10) {
        run();
        runs += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(runs)
}

/// The built-in model on sequences of one length, without tokenizing.
fn encoder(criterion: &mut Criterion, kernels: Kernels) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/reviews");
    let files = ModelFiles::from_directory(&folder).expect("the built-in model is in the repository");
    for precision in [Precision::Int8, Precision::F32] {
        for threads in [1, std::thread::available_parallelism().map_or(1, usize::from)] {
            let device = Device::Cpu(Cpu::new(kernels, threads));
            let model =
                Model::load(&files, &device, PrecisionChoice::Fixed(precision)).expect("it can be loaded");
            for (length, count) in [(32, 1), (128, 1), (512, 1), (64, 64)] {
                let window = Window { ids: vec![2000; length], content_tokens: length };
                let windows = vec![&window; count];
                let (kernels, precision) = (kernels.name(), precision.as_str());
                let name = format!("{kernels} encoder {precision} {threads} threads, {count} sequences");
                let mut group = criterion.benchmark_group(name);
                group.throughput(Throughput::Elements((length * count) as u64));
                group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
                    bencher.iter(|| model.forward(&windows, ForwardOutput::Head));
                });
                group.finish();
            }
        }
    }
}
