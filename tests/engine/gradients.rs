//! Losses and gradients of the network in training against PyTorch's, which `tests/reference/make_gradients.py` wrote down.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Instant;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_tensor_cpu::{Cpu, Kernels};
use ecommerce_ml_text_train::nn::{Dropout, Gradients, Network, Parameters, Tuning};
use ecommerce_ml_text_train::recipe::loss::{CrossEntropy, Regression, RegressionLoss};
use safetensors::SafeTensors;
use serde::Deserialize;

use support::{reference, root, tiny};

/// Largest difference of a tensor, by the Euclidean norm, relative to what is expected.
const TOLERANCE: f64 = 2e-5;

const CASES: [&str; 5] = ["bert-one", "bert-several", "bert-gelu-new", "distilbert", "roberta-regression"];

/// A file of `tests/reference/gradients`.
#[derive(Deserialize)]
struct Expected {
    model: String,
    sequences: Vec<Vec<u32>>,
    targets: Vec<f64>,
    loss: f32,
    epsilon: f64,
    adversarial_loss: f32,
    learning_rate: f64,
    weight_decay: f64,
    losses: Vec<f32>,
}

/// A network at work on the sequences of a file.
struct Case {
    network: Network,
    parameters: Parameters,
    expected: Expected,
}

impl Case {
    fn open(name: &str, threads: usize) -> Self {
        let json = std::fs::read(reference("gradients").join(format!("{name}.json"))).unwrap();
        let expected: Expected = serde_json::from_slice(&json).unwrap();
        let outputs = if expected.model.contains("regression") { 1 } else { classes(&expected.model) };
        let cpu = Cpu::new(Kernels::best(), threads);
        let (network, parameters) = Network::open(&tiny(&expected.model).files(), outputs, 1, &cpu).unwrap();
        Self { network, parameters, expected }
    }

    fn loss(&self, logits: &[f32]) -> (f32, Vec<f32>) {
        let targets = &self.expected.targets;
        let loss = if logits.len() == targets.len() {
            let targets: Vec<f32> = targets.iter().map(|&target| target as f32).collect();
            Regression { loss: RegressionLoss::SquaredError }.compute(logits, &targets, targets.len() as f64)
        } else {
            let targets: Vec<u32> = targets.iter().map(|&target| target as u32).collect();
            CrossEntropy::new(logits.len() / targets.len()).compute(logits, &targets, targets.len() as f64)
        };
        let loss = loss.unwrap();
        (loss.value as f32, loss.gradient)
    }

    /// The loss; its gradients are added.
    fn step(&self, dropout: Option<Dropout>, gradients: &mut Gradients) -> f32 {
        let sequences: Vec<&[u32]> = self.expected.sequences.iter().map(Vec::as_slice).collect();
        let tape = self.network.forward(&self.parameters, &sequences, dropout, Some(gradients));
        let (loss, d_logits) = self.loss(tape.logits());
        self.network.backward(&self.parameters, &tape, &d_logits, gradients);
        loss
    }

    fn gradients(&self, tuning: Tuning) -> Gradients {
        self.network.gradients(&self.parameters, tuning)
    }
}

fn classes(model: &str) -> usize {
    let config: serde_json::Value = serde_json::from_slice(&tiny(model).0["config.json"]).unwrap();
    config["id2label"].as_object().map_or(2, serde_json::Map::len)
}

/// Gradients as PyTorch computes them, word embeddings with all rows.
fn expected_gradients(name: &str, case: &Case) -> Vec<(String, Vec<f32>)> {
    let bytes = std::fs::read(reference("gradients").join(format!("{name}.safetensors"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut words = case.expected.sequences.concat();
    words.sort_unstable();
    words.dedup();
    let numbers = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let numbers = view.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        let numbers: Vec<f32> = numbers.collect();
        if !name.ends_with("word_embeddings.weight") {
            return (name, numbers);
        }
        let (parameter, values) = case.parameters.get(&name).unwrap();
        let (width, mut all) = (parameter.shape[1], vec![0.0; values.len()]);
        for (&word, row) in words.iter().zip(numbers.chunks(width)) {
            all[word as usize * width..][..width].copy_from_slice(row);
        }
        (name, all)
    };
    tensors.tensors().into_iter().map(numbers).collect()
}

fn norm(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.map(|number| number * number).sum::<f64>().sqrt()
}

#[test]
fn every_gradient_is_pytorchs() {
    for name in CASES {
        let case = Case::open(name, 2);
        let expected = expected_gradients(name, &case);
        assert_eq!(expected.len(), case.parameters.list.len());
        for tuning in [Tuning::Full, Tuning::Frozen { layers: 0 }, Tuning::Frozen { layers: 1 }, Tuning::Head]
        {
            let mut gradients = case.gradients(tuning);
            let loss = case.step(None, &mut gradients);
            assert!((loss / case.expected.loss - 1.0).abs() < 1e-5, "{name}: {loss}");
            let whole =
                norm(expected.iter().flat_map(|(_, all)| all.iter().map(|&number| f64::from(number))));
            let (mut worst, mut trained) = (0.0, 0);
            for (tensor, expected) in &expected {
                let Some(found) = gradients.get(tensor) else { continue };
                trained += 1;
                let size = norm(expected.iter().map(|&number| f64::from(number)));
                let difference = norm(expected.iter().zip(found).map(|(a, b)| f64::from(*a) - f64::from(*b)));
                if ["key.bias", "k_lin.bias"].iter().any(|name| tensor.ends_with(name)) {
                    // Zero but for rounding: it shifts all scores of a query alike.
                    assert!(size.max(difference) < 1e-6 * whole, "{name} {tensor}: {difference} of {size}");
                    continue;
                }
                let scale = size.max(f64::MIN_POSITIVE);
                assert!(difference < TOLERANCE * scale, "{name} {tuning:?} {tensor}: {difference} of {size}");
                worst = f64::max(worst, difference / scale);
            }
            assert_eq!(trained, gradients.list.len());
            println!("{name} {tuning:?}: {trained} tensors, worst difference {worst:.1e}");
        }
    }
}

#[test]
fn every_parameter_gets_a_gradient() {
    for name in CASES {
        let case = Case::open(name, 1);
        let mut gradients = case.gradients(Tuning::Full);
        case.step(None, &mut gradients);
        for parameter in gradients.list.iter() {
            let numbers = gradients.get(&parameter.name).unwrap();
            assert!(numbers.iter().any(|&number| number != 0.0), "{name}: {}", parameter.name);
        }
    }
}

#[test]
fn gradients_are_slopes() {
    let mut case = Case::open("bert-several", 2);
    let dropout = Some(Dropout { hidden: 0.1, attention: 0.1, classifier: 0.1, seed: 3 });
    let mut gradients = case.gradients(Tuning::Full);
    case.step(dropout, &mut gradients);
    for parameter in case.parameters.list.clone().iter() {
        // The steepest of some entries: of others the loss in single precision says too little.
        let numbers = gradients.get(&parameter.name).unwrap();
        let entry =
            (0..numbers.len()).max_by(|&a, &b| numbers[a].abs().total_cmp(&numbers[b].abs())).unwrap();
        let (slope, at) = (numbers[entry], parameter.range.start + entry);
        if slope.abs() < 1e-3 {
            continue;
        }
        let before = case.parameters.values[at];
        let mut loss_at = |value: f32| {
            case.parameters.values[at] = value;
            let mut ignored = case.gradients(Tuning::Head);
            f64::from(case.step(dropout, &mut ignored))
        };
        let width = 4e-3_f32;
        let found = (loss_at(before + width) - loss_at(before - width)) / f64::from(2.0 * width);
        loss_at(before);
        let slope = f64::from(slope);
        assert!((found - slope).abs() < 0.02 * slope.abs() + 1e-4, "{}: {found} {slope}", parameter.name);
    }
}

#[test]
fn the_same_bits_with_any_number_of_threads() {
    for dropout in [None, Some(Dropout { hidden: 0.1, attention: 0.2, classifier: 0.3, seed: 5 })] {
        let run = |threads| {
            let case = Case::open("bert-several", threads);
            let mut gradients = case.gradients(Tuning::Full);
            (case.step(dropout, &mut gradients), gradients.values)
        };
        let one = run(1);
        assert_eq!(one, run(1));
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}

#[test]
fn dropout_changes_losses_but_not_their_mean_by_much() {
    let case = Case::open("bert-several", 2);
    let mut gradients = case.gradients(Tuning::Head);
    let mut loss = |rate, seed| {
        let dropout = Dropout { hidden: rate, attention: rate, classifier: rate, seed };
        case.step(Some(dropout), &mut gradients)
    };
    assert_eq!(loss(0.0, 1), case.step(None, &mut case.gradients(Tuning::Head)));
    assert_eq!(loss(0.1, 1), loss(0.1, 1));
    assert_ne!(loss(0.1, 1), loss(0.1, 2));
    let mean = (0..300).map(|seed| loss(0.02, seed)).sum::<f32>() / 300.0;
    assert!((mean / case.expected.loss - 1.0).abs() < 0.05, "{mean} {}", case.expected.loss);
}

/// The gradients of adapters follow from those of the weights, which are PyTorch's: `dB = s dW Aᵀ`, `dA = s Bᵀ dW`.
#[test]
fn adapters_change_queries_and_values() {
    let mut case = Case::open("bert-several", 2);
    let before = case.step(None, &mut case.gradients(Tuning::Head));
    let lora = case.network.adapt(&mut case.parameters, (4, 8.0), 0, 1);
    lora.merge(&mut case.parameters);
    assert_eq!(case.step(None, &mut case.gradients(Tuning::Head)), before);
    let name = |matrix: &str| format!("bert.encoder.layer.0.attention.self.value.lora_{matrix}.weight");
    let places = [name("A"), name("B")].map(|name| case.parameters.get(&name).unwrap().0.range.clone());
    case.parameters.values[places[1].clone()]
        .iter_mut()
        .enumerate()
        .for_each(|(at, b)| *b = (at as f32).sin());
    lora.merge(&mut case.parameters);
    let mut gradients = case.gradients(Tuning::Lora { frozen: 0 });
    case.step(None, &mut gradients);
    lora.backward(&case.parameters, &mut gradients);
    assert_eq!(gradients.list.len(), 4 + 2 * 2 * 2);
    for (matrix, place) in ["A", "B"].into_iter().zip(places) {
        let numbers = gradients.get(&name(matrix)).unwrap();
        let entry =
            (0..numbers.len()).max_by(|&a, &b| numbers[a].abs().total_cmp(&numbers[b].abs())).unwrap();
        let slope = f64::from(numbers[entry]);
        let mut loss_at = |change: f32| {
            case.parameters.values[place.start + entry] += change;
            lora.merge(&mut case.parameters);
            let loss = case.step(None, &mut case.gradients(Tuning::Head));
            case.parameters.values[place.start + entry] -= change;
            f64::from(loss)
        };
        let found = (loss_at(4e-3) - loss_at(-4e-3)) / 8e-3;
        assert!((found - slope).abs() < 0.02 * slope.abs() + 1e-4, "{matrix}: {found} {slope}");
    }
}

#[test]
fn second_looks_are_pytorchs() {
    for name in CASES {
        let mut case = Case::open(name, 2);
        let before = case.parameters.values.clone();
        let mut gradients = case.gradients(Tuning::Full);
        case.step(None, &mut gradients);
        let perturbed =
            case.network.perturb_embeddings(&mut case.parameters, &gradients, case.expected.epsilon);
        let loss = case.step(None, &mut gradients);
        perturbed.restore(&mut case.parameters);
        assert!(case.parameters.values == before, "{name}: embeddings were not moved back");
        assert!((loss / case.expected.adversarial_loss - 1.0).abs() < 1e-5, "{name}: {loss}");
        let mut worst = 0.0;
        for (tensor, expected) in expected_gradients(&format!("{name}-adversarial"), &case) {
            let found = gradients.get(&tensor).unwrap();
            let size = norm(expected.iter().map(|&number| f64::from(number)));
            let difference = norm(expected.iter().zip(found).map(|(a, b)| f64::from(*a) - f64::from(*b)));
            // Biases of keys have no gradient but rounding.
            if !["key.bias", "k_lin.bias"].iter().any(|name| tensor.ends_with(name)) {
                assert!(difference < 1e-4 * size, "{name} {tensor}: {difference} of {size}");
                worst = f64::max(worst, difference / size);
            }
        }
        println!("{name}: worst difference {worst:.1e}");
    }
}

#[test]
fn embeddings_that_are_not_trained_are_not_moved() {
    let mut case = Case::open("bert-several", 1);
    let before = case.parameters.values.clone();
    for tuning in [Tuning::Frozen { layers: 0 }, Tuning::Head] {
        let mut gradients = case.gradients(tuning);
        case.step(None, &mut gradients);
        let perturbed = case.network.perturb_embeddings(&mut case.parameters, &gradients, 1.0);
        assert!(case.parameters.values == before, "{tuning:?}");
        perturbed.restore(&mut case.parameters);
    }
    let mut gradients = case.gradients(Tuning::Full);
    case.step(None, &mut gradients);
    gradients.values.fill(0.0);
    case.network.perturb_embeddings(&mut case.parameters, &gradients, 1.0).restore(&mut case.parameters);
    assert!(case.parameters.values == before);
}

/// Decoupled weight decay (Loshchilov and Hutter 2019), as `torch.optim.AdamW` has it.
fn adamw(case: &mut Case, gradients: &Gradients, moments: &mut [(f64, f64)], step: i32) {
    let (rate, decay) = (case.expected.learning_rate, case.expected.weight_decay);
    for parameter in case.parameters.list.clone().iter() {
        let decay = if parameter.decays() { decay } else { 0.0 };
        for at in parameter.range.clone() {
            let (gradient, value) = (f64::from(gradients.values[at]), &mut case.parameters.values[at]);
            let (first, second) = &mut moments[at];
            *first = 0.9 * *first + 0.1 * gradient;
            *second = 0.999 * *second + 0.001 * gradient * gradient;
            let deviation = (*second / (1.0 - 0.999_f64.powi(step))).sqrt() + 1e-8;
            let change = *first / (1.0 - 0.9_f64.powi(step)) / deviation;
            *value = (f64::from(*value) * (1.0 - rate * decay) - rate * change) as f32;
        }
    }
}

#[test]
fn ten_steps_of_adamw_are_pytorchs() {
    for name in CASES {
        let mut case = Case::open(name, 2);
        let mut gradients = case.gradients(Tuning::Full);
        let mut moments = vec![(0.0, 0.0); case.parameters.values.len()];
        for (step, expected) in case.expected.losses.clone().into_iter().enumerate() {
            gradients.clear();
            let loss = case.step(None, &mut gradients);
            assert!((loss - expected).abs() < 1e-3 * expected.max(0.1), "{name} {step}: {loss} {expected}");
            adamw(&mut case, &gradients, &mut moments, step as i32 + 1);
        }
    }
}

/// `THREADS=2 STEPS=10 cargo test --release --test gradients -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn time_of_a_step() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let files = ModelFiles::from_directory(&root().join("models/reviews")).unwrap();
    let cpu = Cpu::new(Kernels::best(), number("THREADS", 1));
    let (network, parameters) = Network::open(&files, 5, 1, &cpu).unwrap();
    let sequences: Vec<Vec<u32>> =
        (0..16).map(|row| (0..64).map(|at| 1000 + (row * 977 + at * 131) % 29_000).collect()).collect();
    let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let labels: Vec<u32> = (0..16).map(|row| row % 5).collect();
    let mut gradients = network.gradients(&parameters, Tuning::Full);
    for seed in 0..number("STEPS", 10) as u64 {
        let dropout = Dropout { hidden: 0.1, attention: 0.1, classifier: 0.1, seed };
        let start = Instant::now();
        gradients.clear();
        let cleared = start.elapsed();
        let tape = network.forward(&parameters, &sequences, Some(dropout), Some(&gradients));
        let forward = start.elapsed();
        let loss = CrossEntropy::new(5).compute(tape.logits(), &labels, 16.0).unwrap();
        network.backward(&parameters, &tape, &loss.gradient, &mut gradients);
        println!("{:.0?} (clear {cleared:.0?}, forward {:.0?})", start.elapsed(), forward - cleared);
    }
}
