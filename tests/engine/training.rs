//! A training's arithmetic against `torch`, `transformers` and scikit-learn, whose numbers
//! `tests/reference/make_training.py` wrote down, and what must hold for any rows.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use ecommerce_ml_text_train::recipe::batches::Batches;
use ecommerce_ml_text_train::recipe::loss::{CrossEntropy, Loss, Regression, RegressionLoss};
use ecommerce_ml_text_train::recipe::optimizer::{
    AdamW, AdamWSettings, Parameter, clip_coefficient, decays, global_norm,
};
use ecommerce_ml_text_train::recipe::schedule::{Schedule, SchedulerType};
use ecommerce_ml_training::class_weights::ClassWeights;
use ecommerce_ml_training::split::{Row, split};
use proptest::prelude::*;
use serde::Deserialize;

/// Largest relative difference of a number, as far as single precision lets a sum be known.
const TOLERANCE: f64 = 1e-6;

/// `tests/reference/training.json`.
#[derive(Deserialize)]
struct Expected {
    schedules: Vec<Rates>,
    adamw: Vec<Training>,
    classification: Vec<Classification>,
    regression: Vec<Numbers>,
    balanced: Vec<Balanced>,
    decays: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
struct Rates {
    kind: SchedulerType,
    total: u64,
    ratio: f64,
    learning_rate: f64,
    rates: Vec<f64>,
}

/// Weights or gradients by the name of the parameter.
type Named = BTreeMap<String, Vec<f32>>;

#[derive(Deserialize)]
struct Training {
    max_norm: f64,
    weight_decay: f64,
    start: Named,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    rate: f64,
    gradients: Named,
    norm: f64,
    clipped: Named,
    values: Named,
}

#[derive(Deserialize)]
struct Classification {
    classes: usize,
    smoothing: f64,
    ordinal: f64,
    weights: Vec<f32>,
    logits: Vec<f32>,
    targets: Vec<u32>,
    loss: f64,
    gradient: Vec<f32>,
}

#[derive(Deserialize)]
struct Numbers {
    beta: Option<f64>,
    values: Vec<f32>,
    targets: Vec<f32>,
    loss: f64,
    gradient: Vec<f32>,
}

#[derive(Deserialize)]
struct Balanced {
    counts: Vec<usize>,
    weights: Vec<f32>,
}

fn expected() -> Expected {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/training.json");
    serde_json::from_slice(&std::fs::read(path).expect("golden numbers are there"))
        .expect("they are well-formed")
}

/// Compares numbers relative to the larger one, or to `scale` where that is larger still.
#[track_caller]
fn assert_close(found: f64, expected: f64, scale: f64) {
    let most = TOLERANCE * expected.abs().max(scale);
    assert!((found - expected).abs() <= most, "{found} is not {expected}");
}

#[track_caller]
fn assert_all_close(found: &[f32], expected: &[f32], scale: f64) {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).for_each(|(&a, &b)| assert_close(a.into(), b.into(), scale));
}

#[track_caller]
fn assert_loss(found: &Loss, value: f64, gradient: &[f32]) {
    assert_close(found.value, value, 0.0);
    // The reference has single precision throughout: what cancels there leaves rests of the larger parts.
    assert_all_close(&found.gradient, gradient, 0.1);
}

#[test]
fn schedules_are_those_of_transformers() {
    for case in expected().schedules {
        let schedule = Schedule::new(case.kind, case.learning_rate, case.ratio, case.total);
        for (step, &rate) in (0..).zip(&case.rates) {
            let found = schedule.rate(step);
            assert!((found - rate).abs() <= 1e-15, "{found} is not {rate}, {:?} step {step}", case.kind);
        }
    }
}

#[test]
fn updates_are_those_of_torch() {
    for case in expected().adamw {
        let mut adam =
            AdamW::new(AdamWSettings { weight_decay: case.weight_decay, ..AdamWSettings::default() });
        let mut values = case.start.clone();
        for step in &case.steps {
            let norm = global_norm(step.gradients.values().map(Vec::as_slice));
            assert_close(norm, step.norm, 0.0);
            let scale = clip_coefficient(norm, case.max_norm);
            assert_clipped(&step.gradients, &step.clipped, scale);
            let mut parameters: Vec<Parameter<'_>> = values
                .iter_mut()
                .map(|(name, values)| Parameter { name, values, gradient: &step.gradients[name] })
                .collect();
            adam.update(&mut parameters, step.rate, scale).unwrap();
            for (name, expected) in &step.values {
                assert_all_close(&values[name], expected, 0.1);
            }
        }
    }
}

#[track_caller]
fn assert_clipped(gradients: &Named, clipped: &Named, scale: f32) {
    for (name, expected) in clipped {
        let found: Vec<f32> = gradients[name].iter().map(|gradient| gradient * scale).collect();
        assert_all_close(&found, expected, 0.0);
    }
}

#[test]
fn parameters_decay_as_those_of_transformers() {
    let expected = expected().decays;
    assert!(expected.len() > 50);
    for (name, expected) in expected {
        assert_eq!(decays(&name), expected, "{name}");
    }
}

#[test]
fn losses_of_classes_are_those_of_torch() {
    for case in expected().classification {
        let by = CrossEntropy::new(case.classes)
            .with_weights(&case.weights)
            .with_smoothing(case.smoothing)
            .with_ordinal(case.ordinal);
        let denominator = by.denominator(&case.targets).unwrap();
        assert_loss(
            &by.compute(&case.logits, &case.targets, denominator).unwrap(),
            case.loss,
            &case.gradient,
        );
    }
}

#[test]
fn losses_of_numbers_are_those_of_torch() {
    for case in expected().regression {
        let loss = case.beta.map_or(RegressionLoss::SquaredError, |beta| RegressionLoss::SmoothL1 { beta });
        let rows = case.values.len() as f64;
        let found = Regression { loss }.compute(&case.values, &case.targets, rows).unwrap();
        assert_loss(&found, case.loss, &case.gradient);
    }
}

#[test]
fn balanced_weights_are_those_of_scikit_learn() {
    for case in expected().balanced {
        let labels: Vec<String> = (0..case.counts.len()).map(|class| class.to_string()).collect();
        let found = ClassWeights::Balanced.resolve(&labels, &case.counts).unwrap().unwrap();
        assert_all_close(&found, &case.weights, 0.0);
    }
}

/// Rows with keys of their own: the class of each.
fn classes() -> impl Strategy<Value = Vec<u32>> {
    (1_u32..8).prop_flat_map(|classes| proptest::collection::vec(0..classes, 0..200))
}

fn keys(rows: usize) -> Vec<[u8; 8]> {
    (0..rows as u64).map(u64::to_be_bytes).collect()
}

fn rows<'a>(keys: &'a [[u8; 8]], classes: &[u32]) -> Vec<Row<'a>> {
    keys.iter().zip(classes).map(|(key, &class)| Row { key, class }).collect()
}

fn count(places: &[usize], classes: &[u32], class: u32) -> usize {
    places.iter().filter(|&&place| classes[place] == class).count()
}

proptest! {
    #[test]
    fn split_takes_every_row_once_and_its_share_of_each_class(
        classes in classes(),
        fraction in 0.0..=0.5,
        seed: u64,
    ) {
        let keys = keys(classes.len());
        let split = split(&rows(&keys, &classes), fraction, seed);
        let mut places = [&*split.training, &*split.held_out].concat();
        places.sort_unstable();
        prop_assert!(places.into_iter().eq(0..classes.len()));
        for class in classes.iter().copied().collect::<BTreeSet<_>>() {
            let (training, held_out) =
                (count(&split.training, &classes, class), count(&split.held_out, &classes, class));
            prop_assert!(training > 0);
            let share = (training + held_out) as f64 * fraction;
            prop_assert!((held_out as f64 - share).abs() < 1.0, "{held_out} is not {share}");
        }
    }

    #[test]
    fn split_does_not_depend_on_the_order_of_rows(
        (classes, order) in classes().prop_flat_map(|classes| {
            let places: Vec<usize> = (0..classes.len()).collect();
            (Just(classes), Just(places).prop_shuffle())
        }),
        seed: u64,
    ) {
        let keys = keys(classes.len());
        let rows = rows(&keys, &classes);
        let shuffled: Vec<Row<'_>> = order.iter().map(|&place| rows[place]).collect();
        let mut found: Vec<usize> =
            split(&shuffled, 0.2, seed).held_out.into_iter().map(|place| order[place]).collect();
        found.sort_unstable();
        prop_assert_eq!(found, split(&rows, 0.2, seed).held_out);
    }

    #[test]
    fn epochs_have_every_row_once(
        lengths in proptest::collection::vec(1_u32..512, 0..500),
        batch_size in 1_usize..40,
        seed: u64,
        epoch in 0_u32..10,
    ) {
        let batches = Batches::new(lengths.clone(), batch_size, seed);
        let epoch = batches.epoch(epoch);
        prop_assert_eq!(epoch.len(), batches.per_epoch());
        prop_assert!(epoch.iter().filter(|batch| batch.len() != batch_size).count() <= 1);
        let mut rows = epoch.concat();
        rows.sort_unstable();
        prop_assert!(rows.into_iter().eq(0..lengths.len()));
    }

    #[test]
    fn data_order_goes_on_at_any_batch(
        lengths in proptest::collection::vec(1_u32..512, 1..200),
        batch_size in 1_usize..20,
        seed: u64,
        done in 0_usize..1000,
    ) {
        let batches = Batches::new(lengths.clone(), batch_size, seed);
        let done = done % (batches.per_epoch() + 1);
        let json = serde_json::to_string(&batches.position(3, done)).unwrap();
        let again = Batches::new(lengths, batch_size, seed);
        let rest = again.rest(serde_json::from_str(&json).unwrap()).unwrap();
        let expected = if done == batches.per_epoch() { batches.epoch(4) } else { batches.epoch(3).split_off(done) };
        prop_assert_eq!(rest, expected);
    }
}

#[test]
fn batches_hold_texts_of_like_length_in_random_order() {
    let lengths: Vec<u32> = (0..6400).map(|row| row * 7919 % 6400).collect();
    let batches = Batches::new(lengths.clone(), 32, 1);
    let (first, second) = (batches.epoch(0), batches.epoch(1));
    assert_ne!(first, second);
    let spread = |batch: &Vec<usize>| {
        let lengths = || batch.iter().map(|&row| lengths[row]);
        lengths().max().unwrap() - lengths().min().unwrap()
    };
    // 50 batches are sorted together, so a batch spans a fiftieth of all lengths; at random it would be nearly all.
    let mean = first.iter().map(spread).sum::<u32>() / first.len() as u32;
    assert!(mean < 200, "{mean}");
    let longest = first.iter().map(|batch| lengths[batch[0]]).collect::<Vec<_>>();
    assert!(!longest.is_sorted() && !longest.iter().rev().is_sorted());
}

/// Not a test but a measurement: `cargo test --release --test training -- --ignored --nocapture`.
#[test]
#[ignore = "takes its time to tell the time"]
fn update_of_a_small_model_in_nanoseconds_a_weight() {
    const WEIGHTS: usize = 22_000_000;
    let gradient: Vec<f32> = (0..WEIGHTS).map(|at| (at % 1000) as f32 / 1000.0 - 0.5).collect();
    let mut values = vec![0.1_f32; WEIGHTS];
    let mut adam = AdamW::new(AdamWSettings::default());
    for round in 0..10 {
        let start = Instant::now();
        let norm = global_norm([&*gradient]);
        let normed = start.elapsed();
        let parameter = Parameter { name: "weight", values: &mut values, gradient: &gradient };
        adam.update(&mut [parameter], 1e-5, clip_coefficient(norm, 1.0)).unwrap();
        let a_weight = |time: Duration| time.as_nanos() as f64 / WEIGHTS as f64;
        let updated = start.elapsed() - normed;
        println!("{round}: norm {:.2} ns, update {:.2} ns", a_weight(normed), a_weight(updated));
    }
}
