//! Gradients that are computed there.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_tensor_cpu::{Cpu, Kernels};
use ecommerce_ml_text_train::cuda::DeviceEncoder;
use ecommerce_ml_text_train::nn::TrainableEncoder;
use ecommerce_ml_text_train::nn::{Dropout, Gradients, Lora, Network, Parameters, Tuning};
use ecommerce_ml_text_train::recipe::optimizer::{AdamW, AdamWSettings};

use crate::backend::Emulated;
use crate::support::{Parts, root, tiny};

const OUTPUTS: usize = 3;

pub struct Learner {
    pub network: Network,
    pub parameters: Parameters,
    sequences: Vec<Vec<u32>>,
    lora: Option<Lora>,
}

/// Gradients, and the outputs that they are of.
pub struct Pass {
    gradients: Gradients,
    logits: Vec<f32>,
}

impl Learner {
    /// Sequences of these lengths, of words below `words`.
    pub fn new(files: &ModelFiles, words: u32, lengths: &[u32]) -> Self {
        let cpu = Cpu::new(Kernels::best(), 1);
        let (network, parameters) = Network::open(files, OUTPUTS, 7, &cpu).unwrap();
        let sequence = |&length: &u32| (0..length).map(|place| (place * 7 + length) % words).collect();
        Self { network, parameters, sequences: lengths.iter().map(sequence).collect(), lora: None }
    }

    /// With adapters that change something.
    pub fn adapted(mut self, frozen: usize) -> Self {
        let before = self.parameters.values.len();
        let lora = self.network.adapt(&mut self.parameters, (4, 8.0), frozen, 5);
        for (index, number) in self.parameters.values[before..].iter_mut().enumerate() {
            *number += (index as f32).sin() / 50.0;
        }
        lora.merge(&mut self.parameters);
        Self { lora: Some(lora), ..self }
    }

    fn lora_backward(&self, gradients: &mut Gradients) {
        if let Some(lora) = &self.lora {
            lora.backward(&self.parameters, gradients);
        }
    }

    pub fn slices(&self) -> Vec<&[u32]> {
        self.sequences.iter().map(Vec::as_slice).collect()
    }

    fn d_logits(&self) -> Vec<f32> {
        (0..self.sequences.len() * OUTPUTS).map(|index| (index as f32 * 0.7).sin() / 4.0).collect()
    }

    fn on_cpu(&self, tuning: Tuning, dropout: Option<Dropout>) -> Pass {
        let mut gradients = self.network.gradients(&self.parameters, tuning);
        let tape = self.network.forward(&self.parameters, &self.slices(), dropout, Some(&gradients));
        self.network.backward(&self.parameters, &tape, &self.d_logits(), &mut gradients);
        self.lora_backward(&mut gradients);
        Pass { gradients, logits: tape.logits().to_vec() }
    }

    pub fn there(&self, gpu: &Arc<Emulated>, tuning: Tuning, dropout: Option<Dropout>) -> Pass {
        let mut gradients = self.network.gradients(&self.parameters, tuning);
        let mut encoder =
            DeviceEncoder::new(Arc::clone(gpu), &self.network, &self.parameters, tuning).unwrap().unwrap();
        let batch = self.network.batch(&self.slices());
        let states = encoder.forward(batch, dropout, true).unwrap();
        let head = self.network.forward_head(&self.parameters, states, dropout);
        let d_states =
            self.network.backward_head(&self.parameters, (&head, dropout), &self.d_logits(), &mut gradients);
        encoder.backward(&d_states).unwrap();
        encoder.add_adapter_gradients(&mut gradients).unwrap();
        let own = taken(&mut encoder);
        gradients.values[..own.len()].copy_from_slice(&own);
        self.lora_backward(&mut gradients);
        // Nothing is left there.
        let before = gradients.values.clone();
        encoder.add_adapter_gradients(&mut gradients).unwrap();
        self.lora_backward(&mut gradients);
        assert_eq!(gradients.values, before);
        assert_eq!(encoder.gradient_sum_of_squares().unwrap(), 0.0);
        assert!(encoder.backward(&d_states).is_err(), "a tape was kept");
        Pass { gradients, logits: head.logits().to_vec() }
    }
}

/// The gradients of what is trained there, which are gone then: means of gradients of which nothing stays are the last
/// ones.
pub fn taken(encoder: &mut DeviceEncoder<Emulated>) -> Vec<f32> {
    let adam = AdamW::resumed(AdamWSettings { beta1: 0.0, ..AdamWSettings::default() }, 1, []);
    encoder.update(adam.factors(1e-3, 1.0)).unwrap();
    encoder.moments().unwrap().map(|(gradients, _)| gradients).unwrap_or_default()
}

/// The length of the difference by the length.
pub fn distance(expected: &[f32], found: &[f32]) -> f64 {
    let length =
        |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|number| number * number).sum::<f64>().sqrt();
    let mut difference = expected.iter().zip(found).map(|(a, b)| f64::from(a - b));
    length(&mut difference) / length(&mut expected.iter().map(|&number| f64::from(number))).max(1e-12)
}

fn agree(learner: &Learner, tuning: Tuning, dropout: Option<Dropout>, bound: f64) {
    let (expected, found) =
        (learner.on_cpu(tuning, dropout), learner.there(&Emulated::roomy(), tuning, dropout));
    assert!(distance(&expected.logits, &found.logits) < bound, "{:?} {:?}", expected.logits, found.logits);
    let all = distance(&expected.gradients.values, &found.gradients.values);
    assert!(all < bound, "{tuning:?}: {all}");
    let largest = expected.gradients.values.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    for parameter in &*expected.gradients.list {
        let (expected, found) =
            (expected.gradients.get(&parameter.name).unwrap(), found.gradients.get(&parameter.name).unwrap());
        let is_small = expected.iter().all(|number| number.abs() < largest * 1e-4);
        let own = distance(expected, found);
        assert!(is_small || own < 3.0 * bound, "{tuning:?}: {} {own}", parameter.name);
    }
}

pub fn some_left_out() -> Option<Dropout> {
    Some(Dropout { hidden: 0.1, attention: 0.2, classifier: 0.1, seed: 11 })
}

/// A tiny model with a single head, which is as wide as the kernels want it.
pub fn with_one_head(name: &str) -> ModelFiles {
    one_head(tiny(name))
}

pub fn one_head(model: Parts) -> ModelFiles {
    let model = model.edit_json("config.json", |config| {
        for key in ["num_attention_heads", "n_heads"] {
            if let Some(heads) = config.get_mut(key) {
                *heads = 1.into();
            }
        }
    });
    model.files()
}

#[test]
fn gradients_are_those_of_the_cpu_in_all_families() {
    // Weights of tiny models are random and large, so rounding weighs more. DistilBERT's head has a ReLU: a number that
    // is above 0 on one side only changes all gradients.
    let families = [
        ("bert-classification-3", 6e-2),
        ("bert-gelu-new", 6e-2),
        ("roberta-classification-3", 6e-2),
        ("distilbert-classification", 1e-1),
    ];
    for (name, bound) in families {
        let learner = || Learner::new(&with_one_head(name), 90, &[3, 64, 1, 33]);
        for dropout in [None, some_left_out()] {
            agree(&learner(), Tuning::Full, dropout, bound);
            agree(&learner(), Tuning::Frozen { layers: 1 }, dropout, bound);
        }
        for frozen in [0, 1] {
            agree(&learner().adapted(frozen), Tuning::Lora { frozen }, some_left_out(), bound);
        }
    }
}

#[test]
fn gradients_are_those_of_the_cpu_in_the_built_in_model() {
    let files = ModelFiles::from_directory(&root().join("models/reviews")).unwrap();
    agree(&Learner::new(&files, 20_000, &[3, 140, 1, 66]), Tuning::Full, some_left_out(), 3e-2);
}

#[test]
fn what_has_no_kernels_stays_on_the_cpu() {
    let learner = Learner::new(&tiny("bert-classification-3").files(), 90, &[3]);
    let new = |learner: &Learner, tuning| {
        DeviceEncoder::new(Emulated::roomy(), &learner.network, &learner.parameters, tuning)
            .unwrap()
            .is_none()
    };
    assert!(new(&learner, Tuning::Full));
    let learner = Learner::new(&with_one_head("bert-classification-3"), 90, &[3]);
    assert!(!new(&learner, Tuning::Full));
}
