//! Products of a vector with a matrix that is a dense one and the squares of some rows of another: what solving many small systems takes.
//!
//! It must not know what rows stand for. Invariant: numbers are added up in an order that depends on their count alone, and without fused
//! multiplications, so that every instruction set gives the same bits.

/// Numbers of a product of two vectors that are added side by side.
const LANES: usize = 16;

/// Numbers of a result that are kept in registers.
const BLOCK: usize = 32;

/// `A = gram + Σ factor weight y y'` over some rows y of a matrix.
#[derive(Debug, Clone, Copy)]
pub struct Normal<'a> {
    /// `[width, width]`, symmetric.
    pub gram: &'a [f32],
    /// `[rows, width]`.
    pub matrix: &'a [f32],
    /// Which rows; one that isn't there is passed over.
    pub places: &'a [u32],
    /// One each.
    pub weights: &'a [f32],
    /// Of all weights.
    pub factor: f32,
}

impl Normal<'_> {
    /// `A vector`. `vector` and `into`: `[width]`.
    pub fn multiply(self, vector: &[f32], into: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has the instructions.
            return unsafe { multiply_avx2(self, vector, into) };
        }
        multiply(self, vector, into);
    }

    /// Adds `Σ (1 + factor weight) y`. `into`: `[width]`.
    pub fn add_sum(self, into: &mut [f32]) {
        for (row, weight) in self.rows(into.len()) {
            add(into, 1.0 + weight, row);
        }
    }

    /// Rows with their weights.
    #[inline(always)]
    fn rows(&self, width: usize) -> impl Iterator<Item = (&[f32], f32)> {
        let Self { matrix, factor, .. } = *self;
        self.places.iter().zip(self.weights).filter_map(move |(&place, &weight)| {
            let start = place as usize * width;
            Some((matrix.get(start..start + width)?, factor * weight))
        })
    }
}

/// The product of each row of a matrix with a vector. `matrix`: `[rows, width]`; `vector`: `[width]`; `into`: `[rows]`.
pub fn row_products(matrix: &[f32], vector: &[f32], into: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has the instructions.
        return unsafe { row_products_avx2(matrix, vector, into) };
    }
    products(matrix, vector, into);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn row_products_avx2(matrix: &[f32], vector: &[f32], into: &mut [f32]) {
    products(matrix, vector, into);
}

#[inline(always)]
fn products(matrix: &[f32], vector: &[f32], into: &mut [f32]) {
    for (row, product) in matrix.chunks_exact(vector.len().max(1)).zip(into) {
        *product = dot(row, vector);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn multiply_avx2(normal: Normal<'_>, vector: &[f32], into: &mut [f32]) {
    multiply(normal, vector, into);
}

/// Always inlined, so that it is compiled for the instructions of its caller.
#[inline(always)]
fn multiply(normal: Normal<'_>, vector: &[f32], into: &mut [f32]) {
    let width = into.len();
    let (blocks, rest) = into.as_chunks_mut::<BLOCK>();
    for (block, sums) in blocks.iter_mut().enumerate() {
        let mut own = [0.0_f32; BLOCK];
        for (row, &value) in normal.gram.chunks_exact(width.max(1)).zip(vector) {
            let part = row.get(block * BLOCK..).and_then(|part| part.first_chunk::<BLOCK>());
            for (sum, one) in own.iter_mut().zip(part.into_iter().flatten()) {
                *sum += value * one;
            }
        }
        *sums = own;
    }
    let begun = width - rest.len();
    rest.fill(0.0);
    for (row, &value) in normal.gram.chunks_exact(width.max(1)).zip(vector) {
        add(rest, value, row.get(begun..).unwrap_or_default());
    }
    for (row, weight) in normal.rows(width) {
        add(into, weight * dot(row, vector), row);
    }
}

/// Adds a multiple of a vector to another.
#[inline(always)]
fn add(into: &mut [f32], factor: f32, vector: &[f32]) {
    into.iter_mut().zip(vector).for_each(|(one, &other)| *one += factor * other);
}

/// A product of two vectors.
#[inline(always)]
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let ((chunks, rest), (others, other_rest)) = (one.as_chunks::<LANES>(), other.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (chunk, other) in chunks.iter().zip(others) {
        for ((sum, &one), &other) in sums.iter_mut().zip(chunk).zip(other) {
            *sum += one * other;
        }
    }
    let rest = rest.iter().zip(other_rest);
    sums.iter().sum::<f32>() + rest.map(|(one, other)| one * other).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::cast_precision_loss, clippy::float_cmp)]
    fn a_product_is_that_of_the_formula_with_any_instructions() {
        for width in [1_usize, 7, 16, 32, 45, 96] {
            let number = |at: usize| ((at * 37 % 101) as f32 - 50.0) / 50.0;
            let matrix: Vec<f32> = (0..9 * width).map(number).collect();
            let square = |at: usize| number(at / width + at % width);
            let gram: Vec<f32> = (0..width * width).map(square).collect();
            let vector: Vec<f32> = (0..width).map(|at| number(at + 5)).collect();
            let (places, weights) = ([0, 3, 8, 77], [1.0, 0.5, 2.0, 9.0]);
            let normal =
                Normal { gram: &gram, matrix: &matrix, places: &places, weights: &weights, factor: 3.0 };
            let product = |row: &[f32]| -> f64 {
                row.iter().zip(&vector).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
            };
            let mut found = vec![9.0; width];
            normal.multiply(&vector, &mut found);
            for (at, found) in found.iter().enumerate() {
                let mut expected = product(&gram[at * width..(at + 1) * width]);
                for (&place, &weight) in places.iter().zip(&weights).take(3) {
                    let row = &matrix[place as usize * width..(place as usize + 1) * width];
                    expected += 3.0 * f64::from(weight) * product(row) * f64::from(row[at]);
                }
                assert!((f64::from(*found) - expected).abs() < 1e-3, "{width} {at}: {found} {expected}");
            }
            let mut plain = vec![0.0; width];
            multiply(normal, &vector, &mut plain);
            assert_eq!(found, plain);
            let mut products = [0.0; 9];
            row_products(&matrix, &vector, &mut products);
            for (row, found) in matrix.chunks(width).zip(products) {
                assert!((f64::from(found) - product(row)).abs() < 1e-4);
            }
            let mut sum = vec![1.0; width];
            normal.add_sum(&mut sum);
            let expected: f32 = 1.0 + 4.0 * matrix[0] + 2.5 * matrix[3 * width] + 7.0 * matrix[8 * width];
            assert!((sum[0] - expected).abs() < 1e-4);
        }
    }
}
