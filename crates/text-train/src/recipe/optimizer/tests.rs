//! Tests of AdamW that need no reference; those against `torch` are in `tests/engine/training.rs`.

use super::*;

fn gradient(step: usize, length: usize) -> Vec<f32> {
    (0..length).map(|at| ((at * 7 + step * 13) % 17) as f32 / 8.0 - 1.0).collect()
}

fn train(adam: &mut AdamW, weights: &mut [f32], steps: std::ops::Range<usize>) {
    for step in steps {
        let gradient = gradient(step, weights.len());
        let parameter = Parameter { name: "a.weight", values: weights, gradient: &gradient };
        adam.update(&mut [parameter], 1e-2, 0.5).unwrap();
    }
}

#[test]
fn training_goes_on_after_a_checkpoint_as_without_one() {
    let (mut whole, mut parted) = (vec![0.5; 1000], vec![0.5; 1000]);
    train(&mut AdamW::new(AdamWSettings::default()), &mut whole, 0..10);
    let mut adam = AdamW::new(AdamWSettings::default());
    train(&mut adam, &mut parted, 0..4);
    let (exp_avg, exp_avg_sq) = adam.moments("a.weight").unwrap();
    let moments = [("a.weight".to_owned(), exp_avg.to_vec(), exp_avg_sq.to_vec())];
    let mut resumed = AdamW::resumed(AdamWSettings::default(), adam.steps(), moments);
    assert_eq!(resumed.steps(), 4);
    train(&mut resumed, &mut parted, 4..10);
    assert_eq!(whole, parted);
}

#[test]
fn bits_do_not_depend_on_how_weights_are_cut() {
    let length = 200_000;
    let mut whole = vec![0.5; length];
    train(&mut AdamW::new(AdamWSettings::default()), &mut whole, 0..2);
    let mut parted = vec![0.5; length];
    let mut adam = AdamW::new(AdamWSettings::default());
    for step in 0..2 {
        let gradient = gradient(step, length);
        let (left, right) = parted.split_at_mut(77_777);
        let (left_gradient, right_gradient) = gradient.split_at(77_777);
        let mut parameters = [
            Parameter { name: "left", values: left, gradient: left_gradient },
            Parameter { name: "right", values: right, gradient: right_gradient },
        ];
        adam.update(&mut parameters, 1e-2, 0.5).unwrap();
    }
    assert_eq!(whole, parted);
}

#[test]
fn biases_and_norms_do_not_decay() {
    let mut adam = AdamW::new(AdamWSettings { weight_decay: 0.5, ..AdamWSettings::default() });
    for (name, expected) in [("x.weight", 0.95), ("x.bias", 1.0), ("x.LayerNorm.weight", 1.0)] {
        let mut weights = [1.0];
        adam.update(&mut [Parameter { name, values: &mut weights, gradient: &[0.0] }], 0.1, 1.0).unwrap();
        assert_eq!(weights, [expected], "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut adam = AdamW::new(AdamWSettings::default());
    let mut weights = [1.0, 2.0];
    let short = Parameter { name: "a", values: &mut weights, gradient: &[0.0] };
    assert_eq!(adam.update(&mut [short], 0.1, 1.0).unwrap_err().kind, ErrorKind::Internal);
    train(&mut adam, &mut [0.0; 3], 0..1);
    let other = Parameter { name: "a.weight", values: &mut weights, gradient: &[0.0; 2] };
    assert_eq!(adam.update(&mut [other], 0.1, 1.0).unwrap_err().kind, ErrorKind::Internal);
    assert_eq!((adam.steps(), weights), (1, [1.0, 2.0]));
}

#[test]
fn norms_of_what_is_not_finite_are_not_finite() {
    assert!(!global_norm([[1.0, f32::NAN].as_slice()]).is_finite());
    assert!(!global_norm([[1.0, f32::INFINITY].as_slice()]).is_finite());
    assert_eq!(global_norm([[3.0].as_slice(), &[4.0]]), 5.0);
    assert_eq!((clip_coefficient(5.0, 0.0), clip_coefficient(0.5, 1.0)), (1.0, 1.0));
}
