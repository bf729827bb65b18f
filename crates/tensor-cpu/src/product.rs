//! Products of matrices that lie in rows or columns, as training needs them: its weights change with every step, so they
//! are not worth the panels that the encoder keeps them in.
//!
//! It must not know layers. Invariant: what the numbers of a product are summed up from, and in which order, doesn't depend
//! on how many threads there are.

use std::ops::Range;

use super::thread_pool::ThreadPool;

/// Most rows of a product that one thread computes at a time: enough to make packing the other factor a small part of the
/// work, few enough to keep several threads busy.
const MOST_ROWS: usize = 192;

/// Blocks of rows are multiples of this.
const ROWS: usize = 16;

/// A number that matrices are made of: `f32` or `f64`.
pub trait Number: sealed::Sealed + Copy + Send + Sync + 'static {
    /// 1.
    const ONE: Self;
}

impl Number for f32 {
    const ONE: Self = 1.0;
}

impl Number for f64 {
    const ONE: Self = 1.0;
}

mod sealed {
    /// What there are products of: `gemm` panics for any other type.
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A matrix within a slice.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    numbers: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Number> Matrix<'a, T> {
    /// Rows of `columns` numbers, from one to the next `stride`.
    /// `numbers`: `[rows, stride]`, of the last row only `columns`.
    ///
    /// # Panics
    /// If the slice is too short.
    pub fn new(numbers: &'a [T], (rows, columns): (usize, usize), stride: usize) -> Self {
        assert!(
            stride >= columns && numbers.len() >= span(rows, columns, stride),
            "matrix outside its slice"
        );
        Self { numbers, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn row_range(self, rows: Range<usize>) -> Self {
        assert!(rows.start < rows.end && rows.end <= self.rows);
        Self { numbers: &self.numbers[rows.start * self.row_stride..], rows: rows.len(), ..self }
    }
}

/// `into = factor a b`, or `into += factor a b` where what is there counts; rows of `into` are `stride` apart.
/// `a`: `[rows, inner]`; `b`: `[inner, columns]`; `into`: `[rows, stride]`, of each row `columns`.
///
/// # Panics
/// If the sizes don't fit.
pub fn multiply<T: Number>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    factor: T,
    (into, stride): (&mut [T], usize),
    add: bool,
) {
    assert!(a.columns == b.rows, "factors of different sizes");
    assert!(
        stride >= b.columns && into.len() >= span(a.rows, b.columns, stride),
        "product outside its slice"
    );
    // SAFETY: the numbers are of a type that `gemm` knows, since the trait is sealed. A matrix lies within its slice since it was made, the product since the check above; they don't overlap, as one
    // is borrowed exclusively.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            into.as_mut_ptr(),
            1,
            stride as isize,
            add,
            a.numbers.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.numbers.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            T::ONE,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// As [`multiply`], with all threads, into rows without gaps.
/// `into`: `[rows, columns]`.
///
/// # Panics
/// If the sizes don't fit.
pub fn multiply_together(pool: &ThreadPool, a: Matrix<'_>, b: Matrix<'_>, into: &mut [f32], add: bool) {
    assert!(into.len() == a.rows * b.columns, "product of another size");
    if into.is_empty() {
        return;
    }
    let block = block(a.rows);
    let blocks = into.chunks_mut(block * b.columns).enumerate();
    pool.each(blocks, |(index, into)| {
        let first = index * block;
        let rows = a.row_range(first..(first + block).min(a.rows));
        multiply(rows, b, 1.0, (into, b.columns), add);
    });
}

/// Rows of a block: an even number of blocks, nearly of the same size.
fn block(rows: usize) -> usize {
    let count = 2 * rows.div_ceil(2 * MOST_ROWS);
    rows.div_ceil(count).next_multiple_of(ROWS)
}

/// Numbers from the first of the first row to the last of the last.
fn span(rows: usize, columns: usize, stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * stride + columns }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|index| (index as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn products_of_all_layouts() {
        let (m, n, k) = (301, 37, 19);
        let (a, b) = (numbers(m * k), numbers(k * n));
        let expected = |row: usize, column: usize| -> f32 {
            (0..k).map(|at| a[row * k + at] * b[at * n + column]).sum()
        };
        let (a_turned, b_turned): (Vec<f32>, Vec<f32>) = (
            (0..k * m).map(|at| a[at % m * k + at / m]).collect(),
            (0..n * k).map(|at| b[at % k * n + at / k]).collect(),
        );
        for a in [Matrix::new(&a, (m, k), k), Matrix::new(&a_turned, (k, m), m).transposed()] {
            for b in [Matrix::new(&b, (k, n), n), Matrix::new(&b_turned, (n, k), k).transposed()] {
                let mut single = vec![1.0; m * n];
                multiply_together(&ThreadPool::new(1), a, b, &mut single, true);
                for (at, &found) in single.iter().enumerate() {
                    assert!((found - 1.0 - expected(at / n, at % n)).abs() < 1e-5);
                }
                let mut several = vec![1.0; m * n];
                multiply_together(&ThreadPool::new(3), a, b, &mut several, true);
                assert_eq!(single, several);
            }
        }
    }
}
