//! Kernels on bytes.

use super::super::dense::DenseI8;
use super::super::linear::{DenseInput, DenseWeights, Linear, QuantisedRows, Ranges, pack, padded};
use super::super::prepacked::PrepackedBuilder;
use super::super::simd::ByteLimits;
use super::*;

/// Bytes of activations within limits, the extreme ones too.
fn bytes(numbers: &mut Numbers, count: usize, limits: ByteLimits) -> Vec<u8> {
    let most = limits.byte;
    let byte = |_| {
        let any = (numbers.next().abs() * f32::from(most)) as u8;
        [0, most, most / 2 + 1, any][(numbers.0 >> 33) as usize % 4]
    };
    (0..count).map(byte).collect()
}

/// An even number of weights within limits, the pairs of the greatest sums and differences too.
fn weights(numbers: &mut Numbers, count: usize, limits: ByteLimits) -> Vec<i8> {
    let pair = |_| {
        let (most, half) = ((limits.pair - 127) as i8, (limits.pair / 2) as i8);
        let [any, other] = [(); 2].map(|()| (numbers.next() * f32::from(half)) as i8);
        let pairs = [[127, most], [-most, -127], [127, -127], [half, half], [-half, -half], [any, other]];
        pairs[(numbers.0 >> 35) as usize % pairs.len()]
    };
    (0..count / 2).flat_map(pair).collect()
}

#[test]
fn dense_layers_in_int8_are_exact() {
    let mut numbers = Numbers(4);
    for kernels in Kernels::supported() {
        for rows in [1, 2, 3, 6, 7, 14, 29] {
            for (fours, group, columns) in
                [(1, 1, PANEL), (2, 96, 2 * PANEL), (17, 5, PANEL), (384, 96, PANEL), (384, 384, PANEL)]
            {
                let input = bytes(&mut numbers, rows * 4 * fours, kernels.byte_limits());
                let panels = weights(&mut numbers, 4 * fours * columns, kernels.byte_limits());
                let groups = fours.div_ceil(group);
                let inputs = |g: usize| 4 * g * group..(4 * (g + 1) * group).min(4 * fours);
                let value = |t: usize, column: usize| {
                    let four = (column / PANEL * fours + t / 4) * PANEL + column % PANEL;
                    i64::from(panels[4 * four + t % 4])
                };
                let sum = |index: usize| {
                    inputs(index / columns).map(|t| value(t, index % columns)).sum::<i64>() as i32
                };
                let column_sums: Vec<i32> = (0..groups * columns).map(sum).collect();
                let zeros: Vec<i32> = (0..rows * groups).map(|index| [0, 255, 100][index % 3]).collect();
                let scales: Vec<f32> = (0..rows * groups).map(|index| [0.5, 2.0][index % 2]).collect();
                let layer = DenseI8 {
                    input: &input,
                    input_stride: 4 * fours,
                    fours,
                    group,
                    scales: &scales,
                    zeros: &zeros,
                    panels: &panels,
                    column_sums: &column_sums,
                    column_scales: &vec![0.25; groups * columns],
                    columns_stride: columns,
                    bias: &vec![1.0; columns],
                    rows,
                };
                let mut output = vec![f32::NAN; rows * columns];
                kernels.dense_i8(&layer, &mut output, columns);
                for (index, &found) in output.iter().enumerate() {
                    let (row, column) = (index / columns, index % columns);
                    let expected = (0..groups).fold(1.0_f32, |before, g| {
                        let byte = |t: usize| {
                            i64::from(input[row * 4 * fours + t]) - i64::from(zeros[row * groups + g])
                        };
                        let exact: i64 = inputs(g).map(|t| byte(t) * value(t, column)).sum();
                        // All factors are powers of two: only the sum is rounded, with or without a fused multiplication.
                        exact as f32 * (scales[row * groups + g] * 0.25) + before
                    });
                    assert_eq!(found, expected, "{kernels:?} {rows} {fours} {group} {index}");
                }
            }
        }
    }
}

/// The largest products that a sum of two of them in 16 bits must hold, of either sign, in every place.
#[test]
fn extreme_bytes_do_not_saturate() {
    let (rows, fours) = (14, 24);
    for kernels in Kernels::supported() {
        let limits = kernels.byte_limits();
        let most = (limits.pair - 127) as i8;
        for pair in [[127, most], [most, 127], [-127, -most], [-most, -127], [127, -127], [127, 0], [0, -127]]
        {
            let sum = 2 * fours as i32 * (i32::from(pair[0]) + i32::from(pair[1]));
            let layer = DenseI8 {
                input: &vec![limits.byte; rows * 4 * fours],
                input_stride: 4 * fours,
                fours,
                group: fours,
                scales: &vec![1.0; rows],
                zeros: &vec![0; rows],
                panels: &pair.repeat(2 * fours * PANEL),
                column_sums: &[sum; PANEL],
                column_scales: &[1.0; PANEL],
                columns_stride: PANEL,
                bias: &[0.0; PANEL],
                rows,
            };
            let mut output = vec![f32::NAN; rows * PANEL];
            kernels.dense_i8(&layer, &mut output, PANEL);
            let expected = (i32::from(limits.byte) * sum) as f32;
            assert!(output.iter().all(|&found| found == expected), "{kernels:?} {pair:?}: {}", output[0]);
        }
    }
}

/// On weights that all kernels are exact for, all say the same.
#[test]
fn all_kernels_multiply_bytes_alike() {
    let mut numbers = Numbers(11);
    let supported = Kernels::supported();
    let limits = supported.iter().map(Kernels::byte_limits).min_by_key(|limits| limits.pair).unwrap();
    for (rows, fours) in [(1, 3), (5, 96), (14, 96), (33, 40)] {
        let input = bytes(&mut numbers, rows * 4 * fours, limits);
        let panels = weights(&mut numbers, 4 * fours * PANEL, limits);
        let found = supported.iter().map(|kernels| {
            let layer = DenseI8 {
                input: &input,
                input_stride: 4 * fours,
                fours,
                group: fours,
                scales: &vec![1.0; rows],
                zeros: &vec![3; rows],
                panels: &panels,
                column_sums: &[17; PANEL],
                column_scales: &[1.0; PANEL],
                columns_stride: PANEL,
                bias: &[0.0; PANEL],
                rows,
            };
            let mut output = vec![f32::NAN; rows * PANEL];
            kernels.dense_i8(&layer, &mut output, PANEL);
            (kernels, output)
        });
        let found: Vec<_> = found.collect();
        for (kernels, output) in &found {
            assert_eq!(output, &found[found.len() - 1].1, "{kernels:?} {rows} {fours}");
        }
    }
}

#[test]
fn quantised_rows_are_off_by_half_a_step_at_most() {
    let mut numbers = Numbers(6);
    for kernels in Kernels::supported() {
        for width in (1..=40).chain([384]) {
            for (scale, offset) in
                [(1.0, 0.0), (1e-20, 0.0), (1e20, 1e20), (1.0, 100.0), (0.0, 0.0), (0.0, -3.0)]
            {
                let row: Vec<f32> =
                    numbers.take(width).iter().map(|number| number * scale + offset).collect();
                let (shift, factor) = (numbers.take(width), vec![2.0; width]);
                let shift: Vec<f32> = shift.iter().map(|number| number * scale).collect();
                let mut bytes = vec![0; width + 1];
                bytes[width] = 77;
                let steps = kernels.quantise(&mut row.clone(), &mut bytes, None, Some((&shift, &factor)));
                assert_eq!(bytes[width], 77, "{kernels:?} writes beyond the row");
                assert!((0..=255).contains(&steps.zero));
                for index in 0..width {
                    let value = (f64::from(row[index]) - f64::from(shift[index])) * 2.0;
                    let back = f64::from(steps.scale) * f64::from(i32::from(bytes[index]) - steps.zero);
                    let bound = f64::from(steps.scale) * 0.51 + value.abs() * 1e-5;
                    assert!((value - back).abs() <= bound, "{kernels:?} {width} {value} {back} {steps:?}");
                }
            }
        }
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut row = vec![1.0; 19];
            row[17] = value;
            let steps = kernels.quantise(&mut row, &mut [0; 19], None, Some((&[0.0; 19], &[1.0; 19])));
            assert!(steps.scale.is_nan(), "{kernels:?} hides {value}");
        }
    }
}

#[test]
fn a_row_is_activated_before_it_is_quantised() {
    for kernels in Kernels::supported() {
        let (mut row, mut bytes) = (vec![-1.0, 2.0, -3.0], [9; 3]);
        let steps = kernels.quantise(&mut row, &mut bytes, Some(Activation::Relu), None);
        assert_eq!(row, [0.0, 2.0, 0.0]);
        assert_eq!((bytes, steps.zero), ([0, kernels.byte_limits().byte, 0], 0));
    }
}

#[test]
fn numbers_that_need_no_smoothing_become_the_same_bytes_without() {
    let mut numbers = Numbers(12);
    for kernels in Kernels::supported() {
        for width in [1, 7, 16, 33, 384] {
            let row = numbers.take(width);
            let (mut with, mut without) = (vec![0; width], vec![0; width]);
            let unit = (vec![0.0; width], vec![1.0; width]);
            let steps = kernels.quantise(&mut row.clone(), &mut with, None, Some((&unit.0, &unit.1)));
            assert_eq!(kernels.quantise(&mut row.clone(), &mut without, None, None), steps, "{kernels:?}");
            assert_eq!(with, without, "{kernels:?} {width}");
        }
    }
}

#[test]
fn a_layer_in_int8_is_near_the_one_in_f32() {
    let mut numbers = Numbers(9);
    let (rows, inputs, outputs) = (9, 50, 37);
    // One feature far from zero and one with large values, as trained models have them.
    let feature = |index: usize, number: f32| match index % inputs {
        7 => number + 20.0,
        8 => number * 30.0,
        _ => number,
    };
    let input: Vec<f32> = numbers
        .take(rows * inputs)
        .iter()
        .enumerate()
        .map(|(index, &number)| feature(index, number))
        .collect();
    let weights = DenseWeights { weight: numbers.take(outputs * inputs), bias: numbers.take(outputs) };
    let mut ranges = Ranges::default();
    input.chunks_exact(inputs).for_each(|row| ranges.observe(row));
    for kernels in Kernels::supported() {
        let [exact, rounded] = [None, Some((&ranges, kernels.byte_limits()))].map(|ranges| {
            let mut prepacked = PrepackedBuilder::default();
            pack(&mut prepacked, "layer", inputs, &[&weights], ranges);
            let prepacked = std::sync::Arc::new(prepacked.finish(serde_json::Value::Null));
            let layer = Linear::open(&prepacked, "layer", inputs, padded(outputs)).unwrap();
            let mut output = vec![0.0; rows * padded(outputs)];
            let rows = DenseInput { numbers: &mut input.clone(), stride: inputs, count: rows };
            let columns = 0..padded(outputs);
            layer.forward(
                &kernels,
                rows,
                None,
                columns,
                &mut QuantisedRows::default(),
                (&mut output, padded(outputs)),
            );
            output
        });
        let spread = exact.iter().map(|number| number.abs()).fold(0.0, f32::max);
        for (exact, rounded) in exact.iter().zip(&rounded) {
            assert!((exact - rounded).abs() < 0.01 * spread, "{kernels:?}: {exact} {rounded}");
        }
    }
}

/// What is rounded to bytes afterwards.
#[test]
fn activations_before_bytes_are_off_by_less_than_a_step() {
    for kernels in Kernels::supported() {
        for activation in [Activation::GeluErf, Activation::GeluTanh] {
            let x: Vec<f32> = (-12_000..=12_000).map(|step| step as f32 / 1_000.0).collect();
            let (mut found, mut bytes) = (x.clone(), vec![0; x.len()]);
            kernels.quantise(&mut found, &mut bytes, Some(activation), None);
            for (&x, &found) in x.iter().zip(&found) {
                let error = (f64::from(found) - exact(activation, f64::from(x))).abs();
                assert!(error <= 2e-6 * f64::from(x.abs()), "{kernels:?} {activation:?} {x}: {found}");
            }
        }
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut row = vec![1.0; 19];
            row[17] = value;
            let steps = kernels.quantise(&mut row, &mut [0; 19], Some(Activation::GeluErf), None);
            assert!(steps.scale.is_nan(), "{kernels:?} hides {value}");
        }
    }
}
