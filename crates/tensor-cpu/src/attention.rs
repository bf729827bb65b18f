//! Attention of one head within one sequence, in `f32`.
//!
//! It must not know layers, batches or other heads. Invariant: the result of a query depends on the sequence
//! alone, not on which other queries are computed with it.

use super::dense::{by_height, tile_f32, tiles};
use super::functions::exp2_at_most_zero;
use super::rows::{each_vector, load, store};
use super::simd::{MOST_ROWS, PANEL, Simd};

/// Most tokens whose values are read where they lie: so many rows, each in another page, still find room in the nearest caches.
const UNPACKED: usize = 64;

/// One head of one sequence, and some of its queries.
pub(super) struct AttentionHead<'a> {
    /// Queries, scaled already: of each `width` numbers, `query_stride` apart.
    pub(super) queries: &'a [f32],
    pub(super) query_stride: usize,
    /// How many queries.
    pub(super) count: usize,
    /// Keys and values of all tokens: of each `width` numbers, `stride` apart.
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    /// Tokens of the sequence.
    pub(super) length: usize,
    /// Width of the head.
    pub(super) width: usize,
}

/// Numbers of scratch space for a sequence of `length` tokens and heads of `width`: keys with rows and columns
/// exchanged, values side by side, scores of a block of queries.
pub(super) fn scratch_size(length: usize, width: usize) -> usize {
    let columns = length.next_multiple_of(PANEL);
    columns * width + length * width.next_multiple_of(PANEL) + MOST_ROWS * columns
}

/// Writes the keys in panels, as weights of a dense layer lie.
#[inline(always)]
unsafe fn pack_keys<S: Simd>(head: &AttentionHead<'_>, panels: *mut f32) {
    let (length, width) = (head.length, head.width);
    // SAFETY: the caller's.
    unsafe {
        let at = |token: usize, column: usize| {
            panels.add(token / PANEL * PANEL * width + column * PANEL + token % PANEL)
        };
        let whole_width = width - width % S::LANES;
        // Scores of the columns that pad the last vector or panel are computed and never read, yet shall not be slow or odd.
        for token in (0..length.next_multiple_of(PANEL)).step_by(S::LANES) {
            let count = length.saturating_sub(token).min(S::LANES);
            if count == 0 && S::VECTORS <= 2 {
                // The vector before holds the last of them, and is then computed by itself.
                break;
            }
            for column in (0..whole_width).step_by(S::LANES) {
                let from = head.keys.as_ptr().wrapping_add(token * head.stride + column);
                S::transpose((from, head.stride), count, (at(token, column), PANEL));
            }
            for column in whole_width..width {
                for token in token..token + S::LANES {
                    *at(token, column) = if token < length {
                        *head.keys.as_ptr().add(token * head.stride + column)
                    } else {
                        0.0
                    };
                }
            }
        }
    }
}

/// Writes the values without the gaps between them; rows are padded to whole panels by zeros.
#[inline(always)]
unsafe fn pack_values<S: Simd>(head: &AttentionHead<'_>, packed: *mut f32) {
    let padded = head.width.next_multiple_of(PANEL);
    for token in 0..head.length {
        // SAFETY: the caller's.
        unsafe {
            let (from, to) = (head.values.as_ptr().add(token * head.stride), packed.add(token * padded));
            each_vector!(head.width, |at, count| store::<S>(
                to.add(at),
                load::<S>(from.add(at), count),
                count
            ));
            for at in head.width..padded {
                *to.add(at) = 0.0;
            }
        }
    }
}

/// Scores of `R` queries against all keys, in rows of `columns`.
#[inline(always)]
unsafe fn scores<S: Simd, const R: usize, const V: usize>(
    queries: (*const f32, usize),
    width: usize,
    keys: *const f32,
    scores: *mut f32,
    (length, columns): (usize, usize),
) {
    if R > S::ROWS {
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        for column in (0..length).step_by(V * S::LANES) {
            let panel = (keys.add(column / PANEL * PANEL * width + column % PANEL), PANEL);
            let to = scores.add(column);
            if length - column <= S::LANES {
                put::<S, R, 1>(tile_f32::<S, R, 1>(queries, width, panel), to, columns);
            } else {
                put::<S, R, V>(tile_f32::<S, R, V>(queries, width, panel), to, columns);
            }
        }
    }
}

/// Writes a tile into rows, `stride` apart.
#[inline(always)]
unsafe fn put<S: Simd, const R: usize, const V: usize>(
    sums: [[S::Floats; V]; R],
    to: *mut f32,
    stride: usize,
) {
    for (row, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { S::store(to.add(row * stride + v * S::LANES), sum) };
        }
    }
}

/// Turns a row of scores into weights before division; returns what to multiply by instead of dividing.
#[inline(always)]
unsafe fn softmax<S: Simd>(scores: *mut f32, length: usize) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        let mut greatest = S::splat(f32::NEG_INFINITY);
        each_vector!(length, |at, count| {
            let value = S::load(scores.add(at));
            greatest = S::max(S::first(value, greatest, count), greatest);
        });
        // e^(x - greatest) as a power of two.
        let log2_e = S::splat(std::f32::consts::LOG2_E);
        let greatest = S::splat(-S::greatest(greatest) * std::f32::consts::LOG2_E);
        let mut sum = S::splat(0.0);
        each_vector!(length, |at, count| {
            let power = exp2_at_most_zero::<S>(S::mul_add(S::load(scores.add(at)), log2_e, greatest));
            S::store(scores.add(at), power);
            sum = S::add(sum, S::first(power, S::splat(0.0), count));
        });
        1.0 / S::sum(sum)
    }
}

/// Sums of the values for `R` queries by their weights.
#[inline(always)]
unsafe fn weigh<S: Simd, const R: usize, const V: usize>(
    weights: (*const f32, usize),
    length: usize,
    (values, values_stride, width): (*const f32, usize, usize),
    factors: &[f32; MOST_ROWS],
    (output, stride): (*mut f32, usize),
) {
    if R > S::ROWS {
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        for column in (0..width).step_by(V * S::LANES) {
            let sums = tile_f32::<S, R, V>(weights, length, (values.add(column), values_stride));
            for (row, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let column = column + v * S::LANES;
                    if column < width {
                        let value = S::mul(sum, S::splat(factors[row]));
                        let count = S::LANES.min(width - column);
                        store::<S>(output.add(row * stride + column), value, count);
                    }
                }
            }
        }
    }
}

/// `softmax(query keyᵀ) value` for each query, in rows of `output`.
/// Shape of the output `[queries, output_stride]`, of each row `width` numbers.
///
/// # Safety
/// The machine has the instruction set; the slices hold what the numbers say; `scratch` has at least
/// [`scratch_size`] numbers.
#[inline(always)]
pub(super) unsafe fn attend<S: Simd, const V: usize>(
    head: &AttentionHead<'_>,
    (output, output_stride): (&mut [f32], usize),
    scratch: &mut [f32],
) {
    let (length, width) = (head.length, head.width);
    let columns = length.next_multiple_of(PANEL);
    // SAFETY: the caller's; `scratch_size` tells what the three parts take.
    unsafe {
        let keys = scratch.as_mut_ptr();
        let values = keys.add(columns * width);
        let rows = values.add(length * width.next_multiple_of(PANEL));
        pack_keys::<S>(head, keys);
        let (values, values_stride) = if width.is_multiple_of(PANEL) && length <= UNPACKED {
            (head.values.as_ptr(), head.stride)
        } else {
            pack_values::<S>(head, values);
            (values.cast_const(), width.next_multiple_of(PANEL))
        };
        for (first, height) in tiles(head.count, S::ROWS) {
            let from = (head.queries.as_ptr().add(first * head.query_stride), head.query_stride);
            let to = (output.as_mut_ptr().add(first * output_stride), output_stride);
            by_height!(height, scores, from, width, keys, rows, (length, columns));
            let mut factors = [0.0; MOST_ROWS];
            for (row, factor) in factors.iter_mut().enumerate().take(height) {
                *factor = softmax::<S>(rows.add(row * columns), length);
            }
            let values = (values, values_stride, width);
            by_height!(height, weigh, (rows, columns), length, values, &factors, to);
        }
    }
}
