//! Updates that are made there, and trainings of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::Job;
use ecommerce_ml_protocol::training::Objective;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cuda::HalfPrecision;
use ecommerce_ml_text::ModelLoader;
use ecommerce_ml_text_model::cuda::Accelerator;
use ecommerce_ml_text_model::{Device, PrecisionChoice};
use ecommerce_ml_text_train::cuda::{DeviceEncoder, TrainingBackend};
use ecommerce_ml_text_train::nn::TrainableEncoder;
use ecommerce_ml_text_train::nn::{Parameters, Tuning};
use ecommerce_ml_text_train::recipe::optimizer::{AdamW, AdamWSettings, Parameter, sum_of_squares};
use serde_json::{Value, json};

use crate::backend::Emulated;
use crate::kit::{Said, job_of, run, run_on, sent, stars};
use crate::support::tiny;
use crate::training::{Learner, distance, one_head, some_left_out, taken, with_one_head};

const LENGTHS: [u32; 4] = [3, 64, 1, 33];

fn learner() -> Learner {
    Learner::new(&with_one_head("bert-classification-3"), 90, &LENGTHS)
}

impl Learner {
    fn encoder(&self, parameters: &Parameters, tuning: Tuning) -> DeviceEncoder<Emulated> {
        DeviceEncoder::new(Emulated::roomy(), &self.network, parameters, tuning).unwrap().unwrap()
    }

    /// States with nothing left out.
    fn states(&self, encoder: &mut DeviceEncoder<Emulated>) -> Vec<f32> {
        encoder.forward(self.network.batch(&self.slices()), None, false).unwrap()
    }

    /// Gradients of states that are others in each step.
    pub fn pass(&self, encoder: &mut DeviceEncoder<Emulated>, step: usize) {
        encoder.forward(self.network.batch(&self.slices()), some_left_out(), true).unwrap();
        let count = self.slices().len() * self.network.config().hidden_size;
        let gradients: Vec<f32> =
            (0..count).map(|index| ((index + 7 * step) as f32 * 0.7).sin() / 4.0).collect();
        encoder.backward(&gradients).unwrap();
    }
}

/// Whether no number is further than 1e-6 of itself from what is expected, but for those that are next to 0.
fn same(expected: &[f32], found: &[f32]) -> bool {
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * a.abs().max(1e-6);
    expected.len() == found.len() && expected.iter().zip(found).all(close)
}

#[test]
fn updates_are_those_of_the_cpu() {
    for tuning in [Tuning::Full, Tuning::Frozen { layers: 1 }] {
        let learner = learner();
        let start = learner.network.gradients(&learner.parameters, tuning).start();
        let end = learner.network.gradients(&learner.parameters, Tuning::Head).start();
        let mut encoder = learner.encoder(&learner.parameters, tuning);
        let (mut expected, mut found) = (learner.parameters.clone(), learner.parameters.clone());
        let mut adam = AdamW::new(AdamWSettings::default());
        for step in 0..4 {
            learner.pass(&mut encoder, step);
            let mut probe = learner.encoder(&found, tuning);
            learner.pass(&mut probe, step);
            let gradients = taken(&mut probe);
            let (norm, squares) = (sum_of_squares(&gradients), encoder.gradient_sum_of_squares().unwrap());
            assert!((squares / norm - 1.0).abs() < 1e-6, "{squares} {norm}");

            let (list, mut values) = (expected.list.clone(), &mut expected.values[start..end]);
            let mut parameters = Vec::new();
            for parameter in list.iter().filter(|parameter| (start..end).contains(&parameter.range.start)) {
                let range = &parameter.range;
                let (own, rest) = values.split_at_mut(range.len());
                values = rest;
                let gradient = &gradients[range.start - start..range.end - start];
                parameters.push(Parameter { name: &parameter.name, values: own, gradient });
            }
            adam.update(&mut parameters, 1e-2, 0.5).unwrap();
            encoder.update(adam.factors(1e-2, 0.5)).unwrap();
            assert_eq!(encoder.gradient_sum_of_squares().unwrap(), 0.0, "gradients are left");
            encoder.download_parameters(&mut found).unwrap();
            assert!(same(&expected.values, &found.values), "{tuning:?}, step {step}");
            assert_eq!(found.values[..start], learner.parameters.values[..start]);
            let (exp_avg, exp_avg_sq) = encoder.moments().unwrap().unwrap();
            for parameter in list.iter().filter(|parameter| (start..end).contains(&parameter.range.start)) {
                let range = parameter.range.start - start..parameter.range.end - start;
                let (first, second) = adam.moments(&parameter.name).unwrap();
                assert!(same(first, &exp_avg[range.clone()]) && same(second, &exp_avg_sq[range]), "{step}");
            }
        }
        assert!(distance(&learner.parameters.values, &found.values) > 1e-3, "nothing was learned");
        // What passes read has followed.
        let new = learner.states(&mut learner.encoder(&found, tuning));
        assert_eq!(learner.states(&mut encoder), new);
    }
}

#[test]
fn an_encoder_goes_on_where_another_one_was() {
    let learner = learner();
    let adam = AdamW::resumed(AdamWSettings::default(), 1, []);
    let mut first = learner.encoder(&learner.parameters, Tuning::Full);
    learner.pass(&mut first, 0);
    first.update(adam.factors(1e-2, 1.0)).unwrap();
    let mut parameters = learner.parameters.clone();
    first.download_parameters(&mut parameters).unwrap();
    let (exp_avg, exp_avg_sq) = first.moments().unwrap().unwrap();
    let mut second = learner.encoder(&learner.parameters, Tuning::Full);
    second.upload_parameters(&parameters).unwrap();
    second.set_moments(&exp_avg, &exp_avg_sq).unwrap();
    let after = |encoder: &mut DeviceEncoder<Emulated>| {
        learner.pass(encoder, 1);
        encoder.update(adam.factors(1e-2, 1.0)).unwrap();
        let mut parameters = learner.parameters.clone();
        encoder.download_parameters(&mut parameters).unwrap();
        (parameters.values, encoder.moments().unwrap())
    };
    assert_eq!(after(&mut first), after(&mut second));
}

#[test]
fn weights_follow_their_adapters() {
    for frozen in [0, 1] {
        let (learner, adapted) = (learner(), learner().adapted(frozen));
        let mut encoder = learner.encoder(&learner.parameters, Tuning::Lora { frozen });
        let before = learner.states(&mut encoder);
        encoder.upload_parameters(&adapted.parameters).unwrap();
        let after = learner.states(&mut encoder);
        assert_ne!(before, after);
        let mut new = learner.encoder(&adapted.parameters, Tuning::Lora { frozen });
        assert_eq!(after, learner.states(&mut new));
        // Nothing else is trained there.
        assert_eq!((encoder.gradient_sum_of_squares().unwrap(), encoder.moments().unwrap()), (0.0, None));
    }
}

#[test]
fn what_is_not_finite_shows_in_the_norm() {
    let learner = learner();
    let mut encoder = learner.encoder(&learner.parameters, Tuning::Full);
    let count = LENGTHS.len() * learner.network.config().hidden_size;
    for number in [f32::NAN, f32::INFINITY] {
        encoder.forward(learner.network.batch(&learner.slices()), None, true).unwrap();
        let mut gradients = vec![0.0; count];
        gradients[count / 2] = number;
        encoder.backward(&gradients).unwrap();
        assert!(!encoder.gradient_sum_of_squares().unwrap().is_finite());
        encoder.zero_grad().unwrap();
        assert_eq!(encoder.gradient_sum_of_squares().unwrap(), 0.0);
    }
}

#[test]
fn embeddings_move_along_their_gradients_and_back() {
    let learner = learner();
    let mut encoder = learner.encoder(&learner.parameters, Tuning::Full);
    let before = learner.states(&mut encoder);
    // There is no direction yet.
    encoder.perturb_embeddings(2.0).unwrap();
    assert_eq!(learner.states(&mut encoder), before);
    learner.pass(&mut encoder, 0);
    encoder.perturb_embeddings(2.0).unwrap();
    let there = learner.states(&mut encoder);

    let mut probe = learner.encoder(&learner.parameters, Tuning::Full);
    learner.pass(&mut probe, 0);
    let mut moved = learner.parameters.clone();
    let words = moved.list[0].range.clone();
    let gradients = &taken(&mut probe)[words.clone()];
    let norm = gradients.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt();
    for (number, gradient) in moved.values[words].iter_mut().zip(gradients) {
        *number += (2.0 / norm) as f32 * gradient;
    }
    let here = learner.states(&mut learner.encoder(&moved, Tuning::Full));
    assert!(distance(&here, &there) < 0.05 * distance(&before, &there), "{}", distance(&here, &there));

    encoder.zero_grad().unwrap();
    assert_eq!(learner.states(&mut encoder), before);
    // Parameters are where they were: an update of no gradients and no rate leaves them.
    learner.pass(&mut encoder, 0);
    encoder.perturb_embeddings(2.0).unwrap();
    let adam = AdamW::resumed(AdamWSettings::default(), 1, []);
    encoder.update(adam.factors(0.0, 1.0)).unwrap();
    let mut parameters = learner.parameters.clone();
    encoder.download_parameters(&mut parameters).unwrap();
    assert_eq!(parameters.values, learner.parameters.values);
    assert_eq!(learner.states(&mut encoder), before);
}

/// A job with a checkpoint after each update.
fn often(changes: &Value) -> Job {
    let mut options = json!({
        "num_train_epochs": 2, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 2,
        "learning_rate": 2e-3,
    });
    options.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let mut job = job_of(with_one_head("bert-classification-3"), Objective::Rating, options, stars(60));
    job.plan.checkpoint_interval = 0;
    job
}

fn on(gpu: &Arc<Emulated>, job: Job) -> Result<Said, EngineError> {
    let device = Device::Accelerator(Arc::clone(gpu) as Arc<dyn Accelerator>);
    // Left open, a precision is tried on many texts first, which takes its time here.
    let loader = ModelLoader::on(device, PrecisionChoice::Half(HalfPrecision::F16));
    run_on(job, loader.training_on(Arc::clone(gpu) as Arc<dyn TrainingBackend>))
}

fn there(job: Job) -> Said {
    let gpu = Emulated::roomy();
    let said = on(&gpu, job).unwrap();
    assert!(gpu.passes.load(Ordering::Relaxed) > 0, "it was not trained there");
    said
}

fn loss(said: &Said) -> f64 {
    said.epochs.last().unwrap().training_loss
}

fn close(expected: &Said, found: &Said, within: f64, what: &Value) {
    let (expected, found) = (loss(expected), loss(found));
    assert!((expected / found - 1.0).abs() < within, "{what}: {expected} {found}");
}

#[test]
fn trainings_go_as_on_the_cpu_and_move_there_and_back() {
    for changes in [
        json!({}),
        json!({ "tuning": "lora", "learning_rate": 1e-2 }),
        json!({ "freeze_layers": 1 }),
        json!({ "freeze_layers": 2 }),
        json!({ "adversarial_epsilon": 0.5 }),
        json!({ "tuning": "head" }),
        json!({ "tuning": "head", "augment": { "word_swap": 0.2 } }),
    ] {
        let (on_cpu, found) = (run(often(&changes)), there(often(&changes)));
        close(&on_cpu, &found, 2e-2, &changes);
        assert_eq!(there(often(&changes)).model(), found.model(), "{changes}: another one each time");
        let moved = |from: &Said, place: usize| {
            let mut moved = often(&changes);
            moved.checkpoint = from.checkpoints[place].1.clone();
            moved
        };
        let later = there(moved(&on_cpu, 1));
        assert_eq!(later.prepared.as_ref().unwrap().resumed_at, on_cpu.checkpoints[1].0);
        close(&on_cpu, &later, 2e-2, &changes);
        let later = run(moved(&found, 1));
        assert_eq!(later.prepared.as_ref().unwrap().resumed_at, found.checkpoints[1].0);
        close(&on_cpu, &later, 2e-2, &changes);
        // Before and after the end of an epoch.
        assert_eq!(found.checkpoints.len(), on_cpu.checkpoints.len());
        for place in [0, found.checkpoints.len() / 2] {
            let later = there(moved(&found, place));
            assert_eq!(later.model(), found.model(), "{changes} from checkpoint {place}");
            assert_eq!(later.finished().metrics, found.finished().metrics);
        }
        assert_eq!(sizes(&found), sizes(&on_cpu), "checkpoints are of another format");
    }
}

/// Bytes of checkpoints, but for what says how long it took.
fn sizes(said: &Said) -> Vec<usize> {
    said.checkpoints.iter().map(|(_, bytes)| bytes.len() / 1024).collect()
}

#[test]
fn trainings_that_diverge_end_there_too() {
    // Weights so large that what comes of them is infinite.
    let model = tiny("bert-classification-3").edit_tensors(|tensors| {
        let weight = "bert.encoder.layer.0.intermediate.dense.weight";
        (0..32).for_each(|at| tensors.set(weight, at, if at % 2 == 0 { 3e38 } else { -3e38 }));
    });
    let job = job_of(one_head(model), Objective::Rating, json!({}), stars(40));
    let error = on(&Emulated::roomy(), job).err().unwrap();
    assert_eq!(error.message, "training has diverged: gradients of update 1 are not finite");
}

/// Bytes that an update more takes over the bus.
fn moved_by_an_update(changes: &Value) -> usize {
    let moved = |rows: usize| {
        let mut job = often(changes);
        job.plan.checkpoint_interval = 3600;
        job.rows = vec![sent(&stars(60)[..rows])];
        let gpu = Emulated::roomy();
        on(&gpu, job).unwrap();
        gpu.moved.load(Ordering::Relaxed)
    };
    // With one more update in each of two epochs.
    (moved(32) - moved(16)) / 2
}

#[test]
fn an_update_moves_little() {
    let parameters = learner().parameters.values.len() * size_of::<f32>();
    let once = json!({ "eval_strategy": "no", "eval_fraction": 0.0 });
    let with = |changes: Value| {
        let mut all = once.clone();
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        moved_by_an_update(&all)
    };
    for changes in [json!({}), json!({ "freeze_layers": 1 }), json!({ "adversarial_epsilon": 0.5 })] {
        let bytes = with(changes.clone());
        assert!(bytes < parameters / 10, "{changes}: {bytes} of {parameters}");
    }
    // Of two layers queries and values, with gradients.
    let width = learner().network.config().hidden_size;
    let bytes = with(json!({ "tuning": "lora" }));
    assert!(bytes < 2 * 2 * 2 * width * width * size_of::<f32>() + parameters / 10, "{bytes}");
}

/// The model without dropout, whose trainings differ by rounding alone if micro-batches are others.
fn without_dropout() -> ModelFiles {
    one_head(tiny("bert-classification-3").edit_json("config.json", |config| {
        for key in ["hidden_dropout_prob", "attention_probs_dropout_prob"] {
            config[key] = json!(0.0);
        }
    }))
}

#[test]
fn trainings_go_on_in_less_memory() {
    let weights = {
        let (gpu, learner) = (Emulated::roomy(), learner());
        let _encoder =
            DeviceEncoder::new(Arc::clone(&gpu), &learner.network, &learner.parameters, Tuning::Full);
        gpu.used.load(Ordering::Relaxed)
    };
    let narrow = |bytes: usize, changes: &Value| {
        let options = often(changes).plan.call.options;
        let options = serde_json::from_str(&options).unwrap();
        let job = job_of(without_dropout(), Objective::Rating, options, stars(40));
        let gpu = Emulated::new(bytes);
        on(&gpu, job).map(|said| (said, gpu.launches.load(Ordering::Relaxed)))
    };
    for changes in [json!({}), json!({ "adversarial_epsilon": 0.5 })] {
        let ((expected, launches), mut divided) = (narrow(usize::MAX, &changes).unwrap(), 0);
        for kib in [60, 75, 90, 110, 200] {
            let (found, own) = narrow(weights + (kib << 10), &changes).unwrap();
            close(&expected, &found, 1e-5, &changes);
            divided += usize::from(own > launches);
        }
        assert!(divided > 2, "{divided}");
        let error = narrow(weights + (20 << 10), &changes).err().unwrap();
        assert_eq!(error.kind, ErrorKind::OutOfMemory);
        assert!(error.detail.unwrap().contains("tokens does not fit"));
        assert!(error.hint.unwrap().contains("max_length"));
    }
}
