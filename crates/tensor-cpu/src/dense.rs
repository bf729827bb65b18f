//! Dense layers: rows of activations times panels of weights, plus the bias.
//!
//! They must not know what comes before or after. Invariant: a row of the result depends on its own row of the
//! input alone, and is the same sum in the same order whichever tile it falls into.
//!
//! A matrix of weights of shape `[outputs, inputs]` lies in panels of [`PANEL`] outputs: in `f32` the panel holds
//! its 32 weights of input 0, then of input 1, and so on; in `i8` four inputs go together, so that each group of
//! 128 bytes holds four weights of output 0, four of output 1, and so on. Missing outputs and inputs are zero.

use std::hint::black_box;

use super::simd::{MOST_ROWS, PANEL, Simd};

/// A dense layer in `f32`, on some rows.
pub(super) struct DenseF32<'a> {
    /// Shape `[rows, stride]`; of each row, `inputs` count.
    pub(super) input: &'a [f32],
    pub(super) input_stride: usize,
    pub(super) inputs: usize,
    /// Panels of shape `[inputs, PANEL]`.
    pub(super) panels: &'a [f32],
    /// One for each column of the panels.
    pub(super) bias: &'a [f32],
    pub(super) rows: usize,
}

/// A dense layer in `i8`, on some rows.
///
/// Inputs come in groups, each with scales of its own. Output `j` of row `i` is `bias[j]` and the sum over all groups `g` of
/// `scales[i][g] column_scales[g][j] (Σ input[i] panel[j] - zeros[i][g] column_sums[g][j])`.
pub(super) struct DenseI8<'a> {
    /// Shape `[rows, stride]`; of each row, `4 fours` count.
    pub(super) input: &'a [u8],
    pub(super) input_stride: usize,
    /// Fours of inputs, of all groups.
    pub(super) fours: usize,
    /// Fours of inputs of a group; the last one may have fewer.
    pub(super) group: usize,
    /// What a step of the bytes of each row and group means, and which byte means zero.
    pub(super) scales: &'a [f32],
    pub(super) zeros: &'a [i32],
    /// Panels of shape `[fours, PANEL, 4]`, within [`Simd::LIMITS`].
    pub(super) panels: &'a [i8],
    /// One for each group and each column of all panels of the layer, each.
    pub(super) column_sums: &'a [i32],
    pub(super) column_scales: &'a [f32],
    /// From the columns of one group to those of the next.
    pub(super) columns_stride: usize,
    /// One for each column of the panels.
    pub(super) bias: &'a [f32],
    pub(super) rows: usize,
}

impl DenseI8<'_> {
    /// How many groups.
    pub(super) fn groups(&self) -> usize {
        self.fours.div_ceil(self.group)
    }
}

/// Where the rows of a result go.
#[derive(Clone, Copy)]
struct OutputTile {
    start: *mut f32,
    stride: usize,
}

/// Calls `$tile::<S, rows, V>(...)` with the height of a tile as a constant.
///
/// One or an even number: every height is code of its own for every instruction set.
macro_rules! by_height {
    ($height:expr, $tile:ident, $($argument:expr),+) => {
        match $height {
            1 => $tile::<S, 1, V>($($argument),+),
            2 => $tile::<S, 2, V>($($argument),+),
            4 => $tile::<S, 4, V>($($argument),+),
            6 => $tile::<S, 6, V>($($argument),+),
            8 => $tile::<S, 8, V>($($argument),+),
            10 => $tile::<S, 10, V>($($argument),+),
            12 => $tile::<S, 12, V>($($argument),+),
            _ => $tile::<S, MOST_ROWS, V>($($argument),+),
        }
    };
}
pub(super) use by_height;

/// Cuts rows into tiles of even heights, nearly the same and at most `most`; first row and height of each. Of an odd number of
/// rows the last two tiles share one, which comes out the same from both: a tile of one row alone takes as long as one of four.
#[inline(always)]
pub(super) fn tiles(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let pairs = rows.div_ceil(2);
    let count = (2 * pairs).div_ceil(most).max(if rows % 2 == 1 && rows > 1 { 2 } else { 1 });
    let bound = move |index: usize| 2 * (pairs * index / count);
    (0..count.min(rows)).map(move |index| {
        let (first, end) = (bound(index), bound(index + 1));
        if rows == 1 { (0, 1) } else { (first - end.saturating_sub(rows), end - first) }
    })
}

/// Products of `R` rows, `stride` apart, with `V` vectors of columns, the next row of weights `step` further.
///
/// # Safety
/// The machine has the instruction set, and the pointers are good for what the numbers say.
#[inline(always)]
pub(super) unsafe fn tile_f32<S: Simd, const R: usize, const V: usize>(
    (input, stride): (*const f32, usize),
    inputs: usize,
    (weights, step): (*const f32, usize),
) -> [[S::Floats; V]; R] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[S::splat(0.0); V]; R];
        let mut weights = weights;
        // Kept from the compiler's sight, which would otherwise compute it anew in each round.
        let input = black_box(input);
        for index in 0..inputs {
            let mut columns = [S::splat(0.0); V];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = S::load(weights.add(v * S::LANES));
            }
            weights = weights.add(step);
            for (row, sums) in sums.iter_mut().enumerate() {
                let number = S::splat(*input.add(row * stride + index));
                for (sum, &column) in sums.iter_mut().zip(&columns) {
                    *sum = S::mul_add(number, column, *sum);
                }
            }
        }
        sums
    }
}

/// As [`tile_f32`] on bytes. The panel that comes `next` bytes further on is brought nearer meanwhile: on the way through this one
/// the processor doesn't foresee it.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn tile_i8<S: Simd, const R: usize, const V: usize>(
    (input, stride): (*const u8, usize),
    fours: usize,
    (weights, next): (*const i8, usize),
) -> [[S::Ints; V]; R] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[S::splat_ints(0); V]; R];
        let mut weights = weights;
        // See above.
        let input = black_box(input);
        for four in 0..fours {
            let mut columns = [S::splat_ints(0); V];
            for (v, column) in columns.iter_mut().enumerate() {
                let weights = weights.add(4 * v * S::LANES);
                *column = S::load_ints(weights.cast());
                S::prefetch(weights.wrapping_add(next));
            }
            weights = weights.add(4 * PANEL);
            for (row, sums) in sums.iter_mut().enumerate() {
                let bytes = S::splat_ints(input.add(row * stride + 4 * four).cast::<i32>().read_unaligned());
                for (sum, &column) in sums.iter_mut().zip(&columns) {
                    *sum = S::dot(*sum, bytes, column);
                }
            }
        }
        sums
    }
}

/// Rows `first..first + R` of the columns from `column` on.
#[inline(always)]
unsafe fn block_f32<S: Simd, const R: usize, const V: usize>(
    layer: &DenseF32<'_>,
    output: OutputTile,
    first: usize,
    column: usize,
) {
    if R > S::ROWS {
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        let input = layer.input.as_ptr().add(first * layer.input_stride);
        let panel = layer.panels.as_ptr().add(column / PANEL * PANEL * layer.inputs + column % PANEL);
        let sums = tile_f32::<S, R, V>((input, layer.input_stride), layer.inputs, (panel, PANEL));
        for v in 0..V {
            let column = column + v * S::LANES;
            let bias = S::load(layer.bias.as_ptr().add(column));
            for (row, sums) in sums.iter().enumerate() {
                let to = output.start.add((first + row) * output.stride + column);
                S::store(to, S::add(sums[v], bias));
            }
        }
    }
}

/// As [`block_f32`].
#[inline(always)]
unsafe fn block_i8<S: Simd, const R: usize, const V: usize>(
    layer: &DenseI8<'_>,
    output: OutputTile,
    first: usize,
    column: usize,
) {
    if R > S::BYTE_ROWS {
        return;
    }
    let groups = layer.groups();
    let next = 4 * PANEL * layer.fours;
    // SAFETY: the caller's.
    unsafe {
        let input = layer.input.as_ptr().add(first * layer.input_stride);
        let panel = layer.panels.as_ptr().add(4 * (column / PANEL * PANEL * layer.fours + column % PANEL));
        for group in 0..groups {
            let start = group * layer.group;
            let fours = layer.group.min(layer.fours - start);
            let input = (input.add(4 * start), layer.input_stride);
            let sums = tile_i8::<S, R, V>(input, fours, (panel.add(4 * PANEL * start), next));
            for v in 0..V {
                let column = column + v * S::LANES;
                let of_group = group * layer.columns_stride + column;
                let column_sums = S::load_ints(layer.column_sums.as_ptr().add(of_group));
                let column_scales = S::load(layer.column_scales.as_ptr().add(of_group));
                let bias = S::load(layer.bias.as_ptr().add(column));
                for (row, sums) in sums.iter().enumerate() {
                    let steps = (first + row) * groups + group;
                    let zero = S::splat_ints(*layer.zeros.as_ptr().add(steps));
                    let scale = S::splat(*layer.scales.as_ptr().add(steps));
                    let exact = S::to_floats(S::sub_mul_ints(sums[v], zero, column_sums));
                    let to = output.start.add((first + row) * output.stride + column);
                    let before = if group == 0 { bias } else { S::load(to) };
                    S::store(to, S::mul_add(exact, S::mul(scale, column_scales), before));
                }
            }
        }
    }
}

/// All rows of a layer, panel by panel: a panel stays in the nearest cache while all rows pass it.
/// `output`: `[rows, stride]`, of each row as many numbers as the panels have columns.
///
/// # Safety
/// The machine has the instruction set; the slices hold what the numbers say; `output` has all rows, `stride`
/// apart, of as many columns as there are biases.
#[inline(always)]
pub(super) unsafe fn dense_f32<S: Simd, const V: usize>(
    layer: &DenseF32<'_>,
    output: &mut [f32],
    stride: usize,
) {
    let output = OutputTile { start: output.as_mut_ptr(), stride };
    for column in (0..layer.bias.len()).step_by(V * S::LANES) {
        for (first, height) in tiles(layer.rows, S::ROWS) {
            // SAFETY: the caller's.
            unsafe { by_height!(height, block_f32, layer, output, first, column) };
        }
    }
}

/// As [`dense_f32`].
/// `output`: `[rows, stride]`.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn dense_i8<S: Simd, const V: usize>(
    layer: &DenseI8<'_>,
    output: &mut [f32],
    stride: usize,
) {
    let output = OutputTile { start: output.as_mut_ptr(), stride };
    for column in (0..layer.bias.len()).step_by(V * S::LANES) {
        for (first, height) in tiles(layer.rows, S::BYTE_ROWS) {
            // SAFETY: the caller's.
            unsafe { by_height!(height, block_i8, layer, output, first, column) };
        }
    }
}

#[cfg(test)]
mod cuts {
    use super::tiles;

    #[test]
    fn tiles_cover_all_rows_and_no_others() {
        for most in [4, 6, 12, 14] {
            for rows in 0..200 {
                let mut covered = vec![false; rows];
                for (first, height) in tiles(rows, most) {
                    assert!(height <= most && (height % 2 == 0 || rows == 1), "{rows} {most}: {height}");
                    covered[first..first + height].fill(true);
                }
                assert!(covered.iter().all(|&covered| covered), "{rows} {most}");
            }
        }
    }
}
