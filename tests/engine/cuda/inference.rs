//! What models answer there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_tensor_cpu::{Cpu, Kernels, Precision};
use ecommerce_ml_tensor_cuda::backend::{DevicePointer, Kernel, KernelArgument, Launch};
use ecommerce_ml_tensor_cuda::{GpuBackend, HalfPrecision};
use ecommerce_ml_text_model::cuda::{Accelerator, DataParallel};
use ecommerce_ml_text_model::{Device, ForwardOutput, Model, PrecisionChoice, Window};
use half::bf16;

use crate::backend::Emulated;
use crate::support::{self, json_lines, root, tiny};

fn on(gpu: &Arc<Emulated>) -> Device {
    Device::Accelerator(Arc::clone(gpu) as Arc<dyn Accelerator>)
}

fn load(files: &ModelFiles, gpu: &Arc<Emulated>) -> Model {
    load_in(HalfPrecision::F16, files, gpu)
}

fn load_in(numbers: HalfPrecision, files: &ModelFiles, gpu: &Arc<Emulated>) -> Model {
    Model::load(files, &on(gpu), PrecisionChoice::Half(numbers)).unwrap()
}

fn on_cpu(files: &ModelFiles) -> Model {
    let cpu = Device::Cpu(Cpu::new(Kernels::best(), 1));
    Model::load(files, &cpu, PrecisionChoice::Fixed(Precision::F32)).unwrap()
}

fn reviews() -> ModelFiles {
    ModelFiles::from_directory(&root().join("models/reviews")).unwrap()
}

/// Beginnings of the names of models whose architecture our kernels don't compute.
const BY_CANDLE: [&str; 3] = ["deberta", "modernbert", "electra"];

/// Texts of no more than so many characters.
fn texts(count: usize, length: usize) -> Vec<String> {
    let texts: Vec<String> = json_lines("texts.jsonl.gz");
    let step = texts.len() / count;
    texts.into_iter().step_by(step).map(|text| text.chars().take(length).collect()).collect()
}

fn windows(model: &Model, texts: &[String]) -> Vec<Window> {
    texts.iter().flat_map(|text| model.windows(text).unwrap()).collect()
}

fn rows(model: &Model, windows: &[Window], output: ForwardOutput) -> Vec<Vec<f32>> {
    model.forward(&windows.iter().collect::<Vec<_>>(), output).unwrap()
}

fn best(row: &[f32]) -> usize {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// Compares a model with itself on the CPU: probabilities may differ by so much, and values by this part.
fn agree(numbers: HalfPrecision, files: &ModelFiles, texts: &[String], bound: f32) {
    let (expected, found) = (on_cpu(files), load_in(numbers, files, &Emulated::roomy()));
    assert_eq!(found.info().labels(), expected.info().labels());
    assert_eq!(found.info().parameters, expected.info().parameters);
    assert_eq!(found.precision().name, numbers.as_str());
    let windows = windows(&expected, texts);
    let means = rows(&expected, &windows, ForwardOutput::Embedding).into_iter().zip(rows(
        &found,
        &windows,
        ForwardOutput::Embedding,
    ));
    for (expected, found) in means {
        assert!(cosine(&expected, &found) > 0.999, "{}", cosine(&expected, &found));
    }
    if expected.info().task() == ecommerce_ml_protocol::Task::Embedding {
        return;
    }
    let mut differences = Vec::new();
    for (expected, found) in rows(&expected, &windows, ForwardOutput::Head).into_iter().zip(rows(
        &found,
        &windows,
        ForwardOutput::Head,
    )) {
        assert_eq!(expected.len(), found.len());
        // Values of regressions may be large.
        let apart = |(a, b): (&f32, &f32)| (a - b).abs() / a.abs().max(1.0);
        let difference = expected.iter().zip(&found).map(apart).fold(0.0, f32::max);
        differences.push(difference);
        assert!(difference < bound, "{expected:?} {found:?}");
        let lead = expected[best(&expected)] - expected[best(&found)];
        assert!(lead < bound, "{expected:?} {found:?}");
    }
    let mean = differences.iter().sum::<f32>() / differences.len() as f32;
    assert!(mean < 1e-2, "{mean}");
}

#[test]
fn agrees_with_the_cpu() {
    let models = std::fs::read_dir(support::reference("models")).unwrap();
    for name in models.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let is_elsewhere = BY_CANDLE.iter().any(|architecture| name.starts_with(architecture));
        if is_elsewhere || name.starts_with("columns") {
            continue;
        }
        // Their weights are random and large, so rounding grows from layer to layer as in no model that was trained.
        agree(HalfPrecision::Bf16, &tiny(&name).files(), &texts(15, 400), 6e-2);
        agree(HalfPrecision::F16, &tiny(&name).files(), &texts(15, 400), 1e-2);
    }
}

#[test]
fn what_candle_computes_stays_on_the_cpu() {
    for name in ["deberta-v3-classification-3", "modernbert-classification-3", "electra-classification-3"] {
        let files = tiny(name).files();
        let (expected, found) = (on_cpu(&files), load_in(HalfPrecision::Bf16, &files, &Emulated::roomy()));
        assert_eq!(found.precision().name, "f32", "{name}");
        assert_eq!(found.info(), expected.info(), "{name}");
        let windows = windows(&expected, &texts(5, 200));
        let [found, expected] = [&found, &expected].map(|model| rows(model, &windows, ForwardOutput::Head));
        let apart = found.iter().flatten().zip(expected.iter().flatten()).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-5, "{name}");
    }
}

#[test]
fn agrees_with_the_cpu_on_the_built_in_model() {
    agree(HalfPrecision::Bf16, &reviews(), &texts(8, 500), 1e-2);
    agree(HalfPrecision::F16, &reviews(), &texts(8, 500), 2e-3);
}

#[test]
fn numbers_that_exceed_the_range_of_f16_are_computed_in_bf16() {
    let tiny = tiny("bert-classification-3");
    let auto =
        |files: &ModelFiles| Model::load(files, &on(&Emulated::roomy()), PrecisionChoice::Auto).unwrap();
    assert_eq!(auto(&tiny.files()).precision().name, "f16");
    // What the layer norm after it makes small again is too large before.
    let large = tiny.edit_tensors(|tensors| {
        for (name, (_, _, bytes)) in &mut tensors.0 {
            if name.ends_with("layer.0.output.dense.weight") {
                let numbers = bytes.as_chunks_mut::<4>().0.iter_mut();
                numbers.for_each(|number| *number = (f32::from_le_bytes(*number) * 3e5).to_le_bytes());
            }
        }
    });
    let model = auto(&large.files());
    assert_eq!(model.precision().name, "bf16");
    assert!(model.precision().note.contains("exceed"), "{}", model.precision().note);
    agree(HalfPrecision::Bf16, &large.files(), &texts(4, 300), 6e-2);
    let forced = load(&large.files(), &Emulated::roomy());
    let windows = windows(&forced, &texts(4, 300));
    let error = forced.forward(&windows.iter().collect::<Vec<_>>(), ForwardOutput::Head).unwrap_err();
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("bf16")), "{error:?}");
}

#[test]
#[ignore = "takes minutes"]
fn agrees_with_the_cpu_on_many_texts() {
    let (expected, found) = (on_cpu(&reviews()), load(&reviews(), &Emulated::roomy()));
    let windows = windows(&expected, &texts(400, 1000));
    let (mut furthest, mut labels) = (0.0_f32, 0);
    for some in windows.chunks(8) {
        let both = rows(&expected, some, ForwardOutput::Head).into_iter().zip(rows(
            &found,
            some,
            ForwardOutput::Head,
        ));
        for (expected, found) in both {
            let apart = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            furthest = furthest.max(apart);
            labels += usize::from(best(&expected) == best(&found));
        }
    }
    println!("{labels} of {} labels, probabilities at most {furthest} apart", windows.len());
    assert!(furthest < 1e-2 && labels as f64 >= 0.995 * windows.len() as f64);
}

#[test]
fn a_row_is_the_same_whatever_the_batch() {
    let model = load(&tiny("bert-classification-3").files(), &Emulated::roomy());
    let windows = windows(&model, &texts(12, 900));
    for output in [ForwardOutput::Head, ForwardOutput::Embedding] {
        let together = rows(&model, &windows, output);
        for (window, expected) in windows.iter().zip(&together) {
            assert_eq!(rows(&model, std::slice::from_ref(window), output), std::slice::from_ref(expected));
        }
    }
}

#[test]
fn a_batch_that_does_not_fit_is_divided() {
    let files = tiny("bert-classification-3").files();
    let roomy = Emulated::roomy();
    let model = load(&files, &roomy);
    let weights = roomy.used.load(Ordering::Relaxed);
    let windows = windows(&model, &texts(12, 900));
    let expected = rows(&model, &windows, ForwardOutput::Head);
    let longest = windows.iter().max_by_key(|window| window.ids.len()).unwrap();
    let before = roomy.launches.load(Ordering::Relaxed);
    rows(&model, &windows, ForwardOutput::Head);
    let together = roomy.launches.load(Ordering::Relaxed) - before;

    // Room for the longest alone, with as much again to spare.
    let needed = longest.ids.len() * 2 * (2 * 1024);
    let narrow = Emulated::new(weights + needed);
    let model = load(&files, &narrow);
    assert_eq!(rows(&model, &windows, ForwardOutput::Head), expected);
    assert!(narrow.launches.load(Ordering::Relaxed) > together, "it was not divided");
    assert_eq!(narrow.used.load(Ordering::Relaxed), weights, "memory of batches is kept");

    let crowded = Emulated::new(weights + 1000);
    let model = load(&files, &crowded);
    let error = model.forward(&[longest], ForwardOutput::Head).unwrap_err();
    assert_eq!(error.kind, ErrorKind::OutOfMemory);
    drop(model);
    assert_eq!(crowded.used.load(Ordering::Relaxed), 0, "memory of the model is kept");
    let error = Model::load(&files, &on(&Emulated::new(weights - 1)), PrecisionChoice::Auto).unwrap_err();
    assert_eq!(error.kind, ErrorKind::OutOfMemory);
}

#[test]
fn several_machines_share_a_batch() {
    let files = tiny("bert-classification-3").files();
    let alone = load(&files, &Emulated::roomy());
    let texts: Vec<String> = texts(12, 900).into_iter().cycle().take(60).collect();
    let windows = windows(&alone, &texts);
    assert!(windows.iter().map(|window| window.ids.len()).sum::<usize>() > 3 * 2048);
    let gpus = [Emulated::roomy(), Emulated::roomy(), Emulated::roomy()];
    let several = DataParallel::of(gpus.iter().map(|gpu| Arc::clone(gpu) as Arc<dyn Accelerator>).collect());
    assert_eq!(several.name(), "emulated, emulated, emulated");
    let together =
        Model::load(&files, &Device::Accelerator(Arc::clone(&several)), PrecisionChoice::Auto).unwrap();
    assert_eq!(rows(&together, &windows, ForwardOutput::Head), rows(&alone, &windows, ForwardOutput::Head));
    for gpu in &gpus {
        assert!(gpu.launches.load(Ordering::Relaxed) > 0, "a gpu did nothing");
    }
    let used: usize = gpus.iter().map(|gpu| gpu.used.load(Ordering::Relaxed)).sum();
    assert_eq!(several.memory().unwrap().used, used as u64);
    assert_eq!(together.forward(&[], ForwardOutput::Head).unwrap(), Vec::<Vec<f32>>::new());
}

/// Numbers that look random, from -1 to 1.
pub fn noise(count: usize, seed: u64) -> Vec<bf16> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| bf16::from_f32(next())).collect()
}

/// Attention of two heads over some sequences, by the formula: `softmax(q kᵀ / √depth) v`.
fn by_formula(depth: usize, lengths: &[usize], projections: &[bf16]) -> Vec<f64> {
    let width = 2 * depth;
    let at = |token: usize, part: usize, place: usize| {
        projections[token * 3 * width + part * width + place].to_f64()
    };
    let mut output = Vec::new();
    let mut start = 0;
    for &length in lengths {
        for query in start..start + length {
            for head in 0..2 {
                let weight = |key: usize| {
                    let product =
                        |place| at(query, 0, head * depth + place) * at(key, 1, head * depth + place);
                    ((0..depth).map(product).sum::<f64>() / (depth as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = (start..start + length).map(weight).collect();
                let total: f64 = weights.iter().sum();
                output.extend((0..depth).map(|place| {
                    let sum: f64 = weights
                        .iter()
                        .enumerate()
                        .map(|(key, w)| w * at(start + key, 2, head * depth + place))
                        .sum();
                    sum / total
                }));
            }
        }
        start += length;
    }
    output
}

#[test]
fn attention_follows_its_formula() {
    let gpu = Emulated::roomy();
    let lengths = [1, 200, 64, 16, 65, 130, 63];
    let tokens: usize = lengths.iter().sum();
    for (depth, kernel) in [(32, Kernel::Attend32), (64, Kernel::Attend64), (128, Kernel::Attend128)] {
        let width = 2 * depth;
        // Larger than in any network, so that rows have a few heavy weights.
        let projections: Vec<bf16> = noise(tokens * 3 * width, depth as u64)
            .iter()
            .map(|number| bf16::from_f32(number.to_f32() * 1.5))
            .collect();
        let bytes: Vec<u8> = projections.iter().flat_map(|number| number.to_le_bytes()).collect();
        let memory = gpu.upload(&bytes).unwrap();
        let mut tiles: Vec<u8> = Vec::new();
        let mut start = 0;
        for length in lengths {
            for first in (0..length).step_by(64) {
                let tile = [start + first, (length - first).min(64), start, length];
                tiles.extend(tile.iter().flat_map(|&number| (number as u32).to_le_bytes()));
            }
            start += length;
        }
        let (tile_memory, output) = (gpu.upload(&tiles).unwrap(), gpu.allocate(tokens * width * 2).unwrap());
        let part = |part: usize| {
            KernelArgument::Pointer(DevicePointer { memory: &memory, offset: part * width * 2 })
        };
        let stride = || KernelArgument::U32(3 * width as u32);
        let arguments = [
            part(0),
            stride(),
            part(1),
            part(2),
            stride(),
            KernelArgument::Pointer(DevicePointer::start(&tile_memory)),
            KernelArgument::F32(std::f32::consts::LOG2_E / (depth as f32).sqrt()),
            KernelArgument::Pointer(DevicePointer::start(&output)),
            KernelArgument::U32(width as u32),
        ];
        let grid = [(tiles.len() / 16) as u32, 2];
        gpu.launch(&Launch { kernel, grid, threads: 128, shared_bytes: 0, arguments: &arguments }).unwrap();
        let mut found = vec![0; tokens * width * 2];
        gpu.download(&output, &mut found).unwrap();
        let found = found.as_chunks::<2>().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f64());
        for (place, (expected, found)) in
            by_formula(depth, &lengths, &projections).into_iter().zip(found).enumerate()
        {
            // Weights and results are rounded to eight bits.
            let difference = (expected - found).abs();
            assert!(difference < 8e-3, "{depth}: {expected} {found} for token {}", place / width);
        }
    }
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    for spec in ["cuda", "cuda:0", "cuda:65535", " CUDA:1 "] {
        let error = Device::open(spec, 1).unwrap_err();
        let expected =
            if cfg!(feature = "cuda") { ErrorKind::DeviceMissing } else { ErrorKind::NotCompiledIn };
        assert_eq!(error.kind, expected, "{error:?}");
        assert!(error.hint.is_some());
    }
    for spec in ["", "gpu", "tpu", "cuda:", "cuda:x", "cuda:-1", "cuda0"] {
        assert_eq!(Device::open(spec, 1).unwrap_err().kind, ErrorKind::InvalidRequest);
    }
    for spec in ["auto", "cpu", " CPU "] {
        assert_eq!(Device::open(spec, 1).unwrap().name(), "cpu");
    }
}
