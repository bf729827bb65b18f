//! The engine's own computation on the CPU: against candle's, in both precisions, with all kernels, in any batch.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Seek, SeekFrom};

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_tensor_cpu::{Cpu, Kernels, Precision, PrepackedWeights};
use ecommerce_ml_text_model::{Device, ForwardOutput, Model, PrecisionChoice, Window};

use support::{json_lines, root, tiny};

const F32: PrecisionChoice = PrecisionChoice::Fixed(Precision::F32);
const INT8: PrecisionChoice = PrecisionChoice::Fixed(Precision::Int8);

fn on(kernels: Kernels, threads: usize) -> Device {
    Device::Cpu(Cpu::new(kernels, threads))
}

fn reviews() -> ModelFiles {
    ModelFiles::from_directory(&root().join("models/reviews")).unwrap()
}

/// Real texts of all lengths, some of several windows.
fn texts(count: usize) -> Vec<String> {
    let texts: Vec<String> = json_lines("texts.jsonl.gz");
    let step = texts.len() / count;
    texts.into_iter().step_by(step).map(|text| text.chars().take(4_000).collect()).collect()
}

fn windows(model: &Model, texts: &[String]) -> Vec<Window> {
    texts.iter().flat_map(|text| model.windows(text).unwrap()).collect()
}

fn rows(model: &Model, windows: &[Window], output: ForwardOutput) -> Vec<Vec<f32>> {
    model.forward(&windows.iter().collect::<Vec<_>>(), output).unwrap()
}

fn output(model: &Model) -> ForwardOutput {
    if model.info().labels().is_empty() { ForwardOutput::Embedding } else { ForwardOutput::Head }
}

fn best(row: &[f32]) -> usize {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()
}

/// Of probabilities and values relative to themselves, of the numbers of an embedding to the largest one.
fn largest_difference(expected: &[Vec<f32>], found: &[Vec<f32>], output: ForwardOutput) -> f32 {
    let of_row = |(expected, found): (&Vec<f32>, &Vec<f32>)| {
        let largest = expected.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
        let pairs = expected.iter().zip(found);
        let relative = pairs.map(|(a, b)| {
            (a - b).abs() / if output == ForwardOutput::Head { a.abs().max(1e-3) } else { largest }
        });
        relative.fold(0.0, f32::max)
    };
    expected.iter().zip(found).map(of_row).fold(0.0, f32::max)
}

#[test]
fn single_precision_agrees_with_candle() {
    let candle = Device::Candle(candle_core::Device::Cpu);
    let models = std::fs::read_dir(support::reference("models")).unwrap();
    let names = models.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // Of other architectures there is nothing but candle, and models of columns are of another kind.
    let others = ["deberta", "modernbert", "electra", "columns"];
    let names = names.filter(|name| !others.iter().any(|other| name.starts_with(other)));
    let tiny = names.map(|name| (tiny(&name).files(), 120));
    for (files, count) in tiny.chain([(reviews(), 50)]) {
        let expected = Model::load(&files, &candle, F32).unwrap();
        let windows = windows(&expected, &texts(count));
        for kernels in Kernels::supported() {
            let model = Model::load(&files, &on(kernels, 2), F32).unwrap();
            assert_eq!(model.info().parameters, expected.info().parameters);
            assert_eq!(model.info().labels(), expected.info().labels());
            for output in [output(&model), ForwardOutput::Embedding] {
                let (found, expected) = (rows(&model, &windows, output), rows(&expected, &windows, output));
                let difference = largest_difference(&expected, &found, output);
                // Without fused multiplications sums are rounded twice as often.
                let bound = if kernels.name() == "portable" { 3e-5 } else { 1e-5 };
                assert!(
                    difference < bound,
                    "{:?} {kernels:?} {output:?}: {difference}",
                    model.info().details
                );
            }
        }
    }
}

#[test]
fn the_same_bits_whatever_the_batch_and_however_many_threads() {
    let texts = texts(100);
    for precision in [F32, INT8] {
        let prepacked = |cpu: &Cpu| Model::prepare(&reviews(), cpu, precision).unwrap();
        let alone = Cpu::new(Kernels::best(), 1);
        let model = Model::open(prepacked(&alone), &alone).unwrap();
        let windows = windows(&model, &texts);
        assert!(windows.iter().map(|window| window.ids.len()).sum::<usize>() > 2_000);
        for output in [ForwardOutput::Head, ForwardOutput::Embedding] {
            let one_by_one: Vec<_> = windows
                .iter()
                .flat_map(|window| rows(&model, std::slice::from_ref(window), output))
                .collect();
            for threads in [1, 2, 5] {
                let cpu = Cpu::new(Kernels::best(), threads);
                let model = Model::open(prepacked(&alone), &cpu).unwrap();
                assert_eq!(rows(&model, &windows, output), one_by_one, "{precision:?} {threads}");
                for some in [&windows[..3], &windows[5..6], &windows[7..20]] {
                    let place = some.as_ptr_range().start as usize - windows.as_ptr() as usize;
                    let place = place / size_of::<Window>();
                    assert_eq!(rows(&model, some, output), one_by_one[place..place + some.len()]);
                }
            }
        }
    }
}

#[test]
fn the_built_in_model_keeps_its_labels_in_int8() {
    let exact = Model::load(&reviews(), &on(Kernels::best(), 2), F32).unwrap();
    let windows = windows(&exact, &texts(400));
    let expected = rows(&exact, &windows, ForwardOutput::Head);
    for kernels in Kernels::supported() {
        if kernels.name() == "portable" {
            // Correct by the kernels' own tests, and too slow for so many texts.
            continue;
        }
        let model = Model::load(&reviews(), &on(kernels, 2), INT8).unwrap();
        assert_eq!(model.precision().name, "int8");
        let found = rows(&model, &windows, ForwardOutput::Head);
        let same = expected.iter().zip(&found).filter(|(a, b)| best(a) == best(b)).count();
        assert!(same as f64 >= 0.985 * found.len() as f64, "{kernels:?}: {same} of {}", found.len());
        let numbers = expected.iter().flatten().zip(found.iter().flatten());
        let mean = numbers.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / (5 * found.len()) as f64;
        assert!(mean < 0.005, "{kernels:?}: {mean}");
    }
}

#[test]
fn automatic_precision_is_int8_where_that_is_faster_and_agrees() {
    for kernels in Kernels::supported() {
        if kernels.name() == "portable" && cfg!(debug_assertions) {
            continue;
        }
        let model = Model::load(&reviews(), &on(kernels, 2), PrecisionChoice::Auto).unwrap();
        let precision = model.precision();
        let speed = format!("times as fast with kernels {}", kernels.name());
        assert!(precision.note.ends_with(&speed), "{precision:?}");
        let expected = if kernels.name() == "portable" {
            ("f32", "int8 would be ")
        } else {
            ("int8", "agrees with f32: ")
        };
        assert!(precision.name == expected.0 && precision.note.starts_with(expected.1), "{precision:?}");
    }
}

/// A head that multiplies differences shows every rounding, as no trained one does.
#[test]
fn a_model_that_int8_would_change_stays_as_it_is() {
    if Kernels::best().name() == "portable" {
        return;
    }
    let sensitive = tiny("bert-classification-3").edit_tensors(|tensors| {
        for (name, (_, _, bytes)) in &mut tensors.0 {
            if name.starts_with("classifier") || name.starts_with("bert.pooler") {
                for number in bytes.as_chunks_mut::<4>().0 {
                    *number = (f32::from_le_bytes(*number) * 3_000.0).to_le_bytes();
                }
            }
        }
    });
    let model = Model::load(&sensitive.files(), &on(Kernels::best(), 2), PrecisionChoice::Auto).unwrap();
    assert_eq!(model.precision().name, "f32");
    assert!(model.precision().note.starts_with("int8 differs: "), "{:?}", model.precision());
    let model = Model::load(&sensitive.files(), &on(Kernels::best(), 2), INT8).unwrap();
    assert_eq!(model.precision().name, "int8");
    assert!(model.precision().note.contains("as set; int8 differs"), "{:?}", model.precision());
}

#[test]
fn prepared_weights_are_all_that_a_model_needs() {
    let cpu = Cpu::new(Kernels::best(), 2);
    for name in
        ["bert-stars-sharded", "distilbert-regression", "roberta-embedding", "xlm-roberta-classification"]
    {
        for precision in [F32, INT8] {
            let prepacked = Model::prepare(&tiny(name).files(), &cpu, precision).unwrap();
            let mut file = tempfile::tempfile().unwrap();
            prepacked.write(&mut file).unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            let (memory, mapped) = (
                Model::open(prepacked, &cpu).unwrap(),
                Model::open(PrepackedWeights::map(&file).unwrap(), &cpu).unwrap(),
            );
            assert_eq!(memory.info(), mapped.info());
            assert_eq!(memory.precision(), mapped.precision());
            let windows = windows(&memory, &texts(50));
            let output = output(&memory);
            assert_eq!(rows(&memory, &windows, output), rows(&mapped, &windows, output));
        }
    }
}

#[test]
fn prepared_weights_of_another_model_are_refused() {
    let cpu = Cpu::new(Kernels::best(), 1);
    let prepacked = ecommerce_ml_tensor_cpu::PrepackedBuilder::default().finish(serde_json::Value::Null);
    assert!(Model::open(prepacked, &cpu).is_err());
}
