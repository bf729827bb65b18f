//! Every kernel that this machine can run against a plain one in `f64`, over odd shapes and extreme values.

use super::attention::{AttentionHead, scratch_size};
use super::dense::DenseF32;
use super::functions::Activation;
use super::kernels::Kernels;
use super::simd::PANEL;

mod int8;

/// Numbers in -1 to 1 that look random and are the same every time (a linear congruential generator, Knuth's).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1 << 23) as f32) - 1.0
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

fn close(found: f32, expected: f64, tolerance: f64) -> bool {
    (f64::from(found) - expected).abs() <= tolerance * expected.abs().max(1.0)
}

fn dense_f32(
    kernels: &Kernels,
    input: &[f32],
    rows: usize,
    inputs: usize,
    panels: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    let mut output = vec![f32::NAN; rows * bias.len()];
    let layer = DenseF32 { input, input_stride: inputs, inputs, panels, bias, rows };
    kernels.dense_f32(&layer, &mut output, bias.len());
    output
}

#[test]
fn dense_layers_in_f32_of_any_shape() {
    let mut numbers = Numbers(1);
    for kernels in Kernels::supported() {
        for rows in [1, 2, 3, 4, 5, 7, 12, 13, 14, 15, 27, 28, 29, 61] {
            for (inputs, columns) in [(1, PANEL), (3, 2 * PANEL), (16, PANEL), (33, 3 * PANEL), (130, PANEL)]
            {
                let (input, panels) = (numbers.take(rows * inputs), numbers.take(inputs * columns));
                let bias = numbers.take(columns);
                let found = dense_f32(&kernels, &input, rows, inputs, &panels, &bias);
                for (index, &found) in found.iter().enumerate() {
                    let (row, column) = (index / columns, index % columns);
                    let weight =
                        |t: usize| panels[column / PANEL * PANEL * inputs + t * PANEL + column % PANEL];
                    let products =
                        (0..inputs).map(|t| f64::from(input[row * inputs + t]) * f64::from(weight(t)));
                    let expected = products.sum::<f64>() + f64::from(bias[column]);
                    assert!(
                        close(found, expected, 1e-5),
                        "{kernels:?} {rows} {inputs} {index}: {found} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_row_is_the_same_in_any_company() {
    let mut numbers = Numbers(2);
    let (rows, inputs, columns) = (31, 40, 2 * PANEL);
    let (input, panels, bias) =
        (numbers.take(rows * inputs), numbers.take(inputs * columns), numbers.take(columns));
    for kernels in Kernels::supported() {
        let together = dense_f32(&kernels, &input, rows, inputs, &panels, &bias);
        for row in 0..rows {
            let alone = dense_f32(&kernels, &input[row * inputs..][..inputs], 1, inputs, &panels, &bias);
            assert_eq!(alone, together[row * columns..][..columns], "{kernels:?} {row}");
        }
    }
}

#[test]
fn what_is_not_finite_stays_in_its_row() {
    let mut numbers = Numbers(3);
    let (rows, inputs) = (15, 20);
    let (input, panels, bias) =
        (numbers.take(rows * inputs), numbers.take(inputs * PANEL), numbers.take(PANEL));
    for kernels in Kernels::supported() {
        let sound = dense_f32(&kernels, &input, rows, inputs, &panels, &bias);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut input = input.clone();
            input[7 * inputs + 3] = value;
            let found = dense_f32(&kernels, &input, rows, inputs, &panels, &bias);
            for (index, (found, sound)) in found.iter().zip(&sound).enumerate() {
                let damaged = index / PANEL == 7;
                assert_eq!(damaged, !found.is_finite(), "{kernels:?} {index}");
                assert!(damaged || found == sound);
            }
        }
    }
}

#[test]
fn layer_norms_of_any_width() {
    let mut numbers = Numbers(5);
    for kernels in Kernels::supported() {
        for width in (1..=70).chain([384, 1000]) {
            // A mean far from zero shows whether the variance is computed from deviations.
            let x: Vec<f32> = numbers.take(width).iter().map(|number| number + 100.0).collect();
            let (y, weight, bias) = (numbers.take(width), numbers.take(width), numbers.take(width));
            let sums: Vec<f64> = x.iter().zip(&y).map(|(&x, &y)| f64::from(x) + f64::from(y)).collect();
            let mean = sums.iter().sum::<f64>() / width as f64;
            let variance = sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / width as f64;
            let mut found = x.clone();
            kernels.add_norm(&mut found, &y, (&weight, &bias), 1e-3);
            for index in 0..width {
                let normal = (sums[index] - mean) / (variance + 1e-3).sqrt();
                let expected = normal * f64::from(weight[index]) + f64::from(bias[index]);
                assert!(
                    close(found[index], expected, 2e-4),
                    "{kernels:?} {width}: {} {expected}",
                    found[index]
                );
            }
        }
        let mut row = vec![1.0; 20];
        row[13] = f32::INFINITY;
        kernels.add_norm(&mut row, &[0.0; 20], (&[1.0; 20], &[0.0; 20]), 1e-12);
        assert!(row.iter().all(|number| number.is_nan()), "{kernels:?}");
        let mut row = vec![3.0; 20];
        kernels.add_norm(&mut row, &[0.0; 20], (&[1.0; 20], &[0.5; 20]), 1e-12);
        assert_eq!(row, [0.5; 20], "{kernels:?}");
    }
}

/// The error function by its series, or its continued fraction from the tail (Abramowitz and Stegun 7.1.5, 7.1.14).
fn erf(x: f64) -> f64 {
    if x.abs() > 2.5 {
        let tail = (1..=60).rev().fold(x.abs(), |rest, step| x.abs() + f64::from(step) / 2.0 / rest);
        return x.signum() * (1.0 - (-x * x).exp() / (tail * std::f64::consts::PI.sqrt()));
    }
    let (mut term, mut sum) = (x, x);
    for step in 1..60 {
        term *= -x * x / f64::from(step);
        sum += term / f64::from(2 * step + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn exact(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::GeluErf => x * 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2)),
        Activation::GeluTanh => {
            x * 0.5 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }
        Activation::Relu => x.max(0.0),
    }
}

#[test]
fn activations_to_single_precision() {
    for kernels in Kernels::supported() {
        for activation in [Activation::GeluErf, Activation::GeluTanh, Activation::Relu] {
            let x: Vec<f32> = (-40_000..=40_000).map(|step| step as f32 / 2_000.0).collect();
            let mut found = x.clone();
            kernels.activate(&mut found, activation);
            for (&x, &found) in x.iter().zip(&found) {
                let (expected, x) = (exact(activation, f64::from(x)), f64::from(x));
                let error = (f64::from(found) - expected).abs();
                assert!(error <= 4e-7 * x.abs(), "{kernels:?} {activation:?} {x}: {found} {expected}");
            }
            let mut odd = [f32::NAN, f32::INFINITY, 0.0, -0.0, 1e-30, 1e30];
            kernels.activate(&mut odd, activation);
            assert!(
                odd[0].is_nan() && odd[1] == f32::INFINITY && odd[2] == 0.0 && odd[3] == 0.0,
                "{kernels:?} {odd:?}"
            );
            assert!(
                (odd[4] - exact(activation, 1e-30) as f32).abs() < 1e-36 && odd[5] == 1e30,
                "{kernels:?} {odd:?}"
            );
        }
    }
}

fn attention(tokens: &[f32], length: usize, width: usize, query: usize) -> Vec<f64> {
    let at = |token: usize, part: usize, column: usize| {
        f64::from(tokens[token * 3 * width + part * width + column])
    };
    let score = |key: usize| (0..width).map(|column| at(query, 0, column) * at(key, 1, column)).sum::<f64>();
    let scores: Vec<f64> = (0..length).map(score).collect();
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    (0..width)
        .map(|column| powers.iter().enumerate().map(|(key, power)| power / sum * at(key, 2, column)).sum())
        .collect()
}

fn attend(
    kernels: &Kernels,
    tokens: &[f32],
    length: usize,
    width: usize,
    queries: std::ops::Range<usize>,
) -> Vec<f32> {
    let head = AttentionHead {
        queries: &tokens[queries.start * 3 * width..],
        query_stride: 3 * width,
        count: queries.len(),
        keys: &tokens[width..],
        values: &tokens[2 * width..],
        stride: 3 * width,
        length,
        width,
    };
    let mut output = vec![f32::NAN; queries.len() * width];
    // What was in the scratch space before must not matter.
    kernels.attend(&head, (&mut output, width), &mut vec![f32::NAN; scratch_size(length, width)]);
    output
}

#[test]
fn attention_of_any_length_and_width() {
    let mut numbers = Numbers(7);
    for kernels in Kernels::supported() {
        for length in [1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 48, 63, 65, 130] {
            for (width, scale) in
                [(1, 1.0), (4, 3.0), (8, 1.0), (16, 2.0), (24, 1.0), (32, 1.0), (33, 1.0), (64, 1.5)]
            {
                let tokens: Vec<f32> =
                    numbers.take(length * 3 * width).iter().map(|number| number * scale).collect();
                let together = attend(&kernels, &tokens, length, width, 0..length);
                for query in 0..length {
                    let expected = attention(&tokens, length, width, query);
                    let found = &together[query * width..][..width];
                    for (&found, &expected) in found.iter().zip(&expected) {
                        assert!(
                            close(found, expected, 2e-5),
                            "{kernels:?} {length} {width}: {found} {expected}"
                        );
                    }
                }
                let last = attend(&kernels, &tokens, length, width, length - 1..length);
                assert_eq!(last, together[(length - 1) * width..], "{kernels:?} {length} {width}");
            }
        }
    }
}

#[test]
fn attention_does_not_hide_what_is_not_finite() {
    let mut numbers = Numbers(8);
    let (length, width) = (20, 8);
    for kernels in Kernels::supported() {
        for part in 0..3 {
            let mut tokens = numbers.take(length * 3 * width);
            tokens[5 * 3 * width + part * width + 2] = f32::NAN;
            let found = attend(&kernels, &tokens, length, width, 0..length);
            assert!(found[5 * width..6 * width].iter().any(|number| number.is_nan()), "{kernels:?} {part}");
        }
    }
}
