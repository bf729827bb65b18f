//! The inverse of a positive definite matrix, in tiles: a Cholesky decomposition `A = L L'`, then `L⁻¹`, then `L⁻' L⁻¹`
//! (Golub and Van Loan, "Matrix computations", 4.2; Buttari et al., "A class of parallel tiled linear algebra algorithms", 2009).
//!
//! It must not know what is inverted. Invariant: the order in which numbers are added is the same with any number of threads.

use ecommerce_ml_tensor_cpu::product::{Matrix, multiply};
use rayon::prelude::*;

/// Rows and columns of a tile. A tile is packed for each product: larger ones waste less on that, smaller ones fill threads better.
const TILE: usize = 192;

/// A symmetric matrix, the lower triangle of it in tiles, each `[TILE, TILE]`. What a tile has beyond the size is that of the
/// identity.
#[derive(Debug)]
pub struct SymmetricMatrix {
    size: usize,
    /// Tile (i, j), j <= i, at i (i + 1) / 2 + j.
    tiles: Vec<Vec<f64>>,
}

/// A matrix that isn't positive definite, or too nearly so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPositiveDefinite;

/// A tile of the lower triangle: which block of rows and of columns.
#[derive(Debug, Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
}

fn at(row: usize, column: usize) -> usize {
    row * (row + 1) / 2 + column
}

fn places(blocks: usize) -> Vec<Place> {
    (0..blocks).flat_map(|row| (0..=row).map(move |column| Place { row, column })).collect()
}

fn tile(numbers: &[f64]) -> Matrix<'_, f64> {
    Matrix::new(numbers, (TILE, TILE), TILE)
}

impl SymmetricMatrix {
    /// Bytes of a matrix of this size and of its inversion.
    pub fn bytes(size: usize) -> u64 {
        let blocks = size.div_ceil(TILE) as u64;
        2 * (blocks * (blocks + 1) / 2) * (TILE * TILE * size_of::<f64>()) as u64
    }

    /// Filled a row at a time: the function gets a row's number and its numbers up to the diagonal, all 0: `[row + 1]`.
    pub fn fill(size: usize, row_of: impl Fn(usize, &mut [f64]) + Sync) -> Self {
        let blocks = size.div_ceil(TILE);
        let band = |block: usize| {
            let mut tiles: Vec<Vec<f64>> = (0..=block).map(|_| vec![0.0; TILE * TILE]).collect();
            let mut numbers = vec![0.0; (block + 1) * TILE];
            for inner in 0..TILE {
                let row = block * TILE + inner;
                if row >= size {
                    tiles[block][inner * TILE + inner] = 1.0;
                    continue;
                }
                numbers.fill(0.0);
                row_of(row, &mut numbers[..=row]);
                for (tile, part) in tiles.iter_mut().zip(numbers.chunks(TILE)) {
                    tile[inner * TILE..(inner + 1) * TILE].copy_from_slice(part);
                }
            }
            tiles
        };
        let tiles = (0..blocks).into_par_iter().flat_map_iter(band).collect();
        Self { size, tiles }
    }

    /// Number of rows and columns.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The number at a place, of which either may be the greater.
    pub fn get(&self, row: usize, column: usize) -> f64 {
        let (row, column) = (row.max(column), row.min(column));
        self.tiles[at(row / TILE, column / TILE)][(row % TILE) * TILE + column % TILE]
    }

    /// The inverse.
    ///
    /// # Errors
    /// [`NotPositiveDefinite`].
    pub fn inverse(mut self) -> Result<Self, NotPositiveDefinite> {
        let diagonal = self.decompose()?;
        let inverse = self.inverse_triangle(&diagonal);
        self.square(&inverse);
        Ok(self)
    }

    fn blocks(&self) -> usize {
        self.size.div_ceil(TILE)
    }

    /// `L` in the place of the matrix; returns the inverses of the tiles of its diagonal.
    fn decompose(&mut self) -> Result<Vec<Vec<f64>>, NotPositiveDefinite> {
        let (blocks, places) = (self.blocks(), places(self.blocks()));
        let mut diagonal = Vec::with_capacity(blocks);
        for step in 0..blocks {
            decompose_tile(&mut self.tiles[at(step, step)])?;
            let inverse = inverse_of_tile(&self.tiles[at(step, step)]);
            let mut below: Vec<Vec<f64>> =
                (step + 1..blocks).map(|row| std::mem::take(&mut self.tiles[at(row, step)])).collect();
            below.par_iter_mut().for_each(|numbers| {
                let mut solved = vec![0.0; TILE * TILE];
                multiply(tile(numbers), tile(&inverse).transposed(), 1.0, (&mut solved, TILE), false);
                *numbers = solved;
            });
            let rest = self.tiles.par_iter_mut().zip(&places).skip(at(step + 1, 0));
            rest.filter(|(_, place)| place.column > step).for_each(|(numbers, place)| {
                let (left, right) = (&below[place.row - step - 1], &below[place.column - step - 1]);
                multiply(tile(left), tile(right).transposed(), -1.0, (numbers, TILE), true);
            });
            for (row, numbers) in (step + 1..blocks).zip(below) {
                self.tiles[at(row, step)] = numbers;
            }
            diagonal.push(inverse);
        }
        Ok(diagonal)
    }

    /// `L⁻¹` by columns of tiles, each from the diagonal down.
    fn inverse_triangle(&self, diagonal: &[Vec<f64>]) -> Vec<Vec<Vec<f64>>> {
        let column_of = |column: usize| {
            let mut tiles: Vec<Vec<f64>> = vec![diagonal[column].clone()];
            for (row, inverse) in diagonal.iter().enumerate().skip(column + 1) {
                let mut sum = vec![0.0; TILE * TILE];
                for (above, done) in (column..row).zip(&tiles) {
                    multiply(tile(&self.tiles[at(row, above)]), tile(done), 1.0, (&mut sum, TILE), true);
                }
                let mut solved = vec![0.0; TILE * TILE];
                multiply(tile(inverse), tile(&sum), -1.0, (&mut solved, TILE), false);
                tiles.push(solved);
            }
            tiles
        };
        (0..self.blocks()).into_par_iter().map(column_of).collect()
    }

    /// `L⁻' L⁻¹` in the place of `L`.
    fn square(&mut self, inverse: &[Vec<Vec<f64>>]) {
        let places = places(self.blocks());
        self.tiles.par_iter_mut().zip(places).for_each(|(numbers, Place { row, column })| {
            numbers.fill(0.0);
            let right = &inverse[column][row - column..];
            for (left, right) in inverse[row].iter().zip(right) {
                multiply(tile(left).transposed(), tile(right), 1.0, (numbers, TILE), true);
            }
        });
    }
}

/// `L` of a tile in its place, zeros above the diagonal.
fn decompose_tile(numbers: &mut [f64]) -> Result<(), NotPositiveDefinite> {
    for row in 0..TILE {
        let (above, rest) = numbers.split_at_mut(row * TILE);
        let own = &mut rest[..TILE];
        for column in 0..row {
            let other = &above[column * TILE..=column * TILE + column];
            let sum: f64 = own.iter().zip(&other[..column]).map(|(one, other)| one * other).sum();
            own[column] = (own[column] - sum) / other[column];
        }
        let square = own[row] - own[..row].iter().map(|one| one * one).sum::<f64>();
        if !(square.is_finite() && square > own[row].abs() * f64::EPSILON) {
            return Err(NotPositiveDefinite);
        }
        own[row] = square.sqrt();
        own[row + 1..].fill(0.0);
    }
    Ok(())
}

/// The inverse of a lower triangle, zeros above the diagonal.
fn inverse_of_tile(triangle: &[f64]) -> Vec<f64> {
    let mut inverse = vec![0.0; TILE * TILE];
    for row in 0..TILE {
        let (above, rest) = inverse.split_at_mut(row * TILE);
        let own = &mut rest[..TILE];
        own[row] = 1.0;
        for (factor, other) in triangle[row * TILE..row * TILE + row].iter().zip(above.chunks(TILE)) {
            own.iter_mut().zip(other).for_each(|(one, other)| *one -= factor * other);
        }
        let pivot = triangle[row * TILE + row];
        own[..=row].iter_mut().for_each(|one| *one /= pivot);
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(size: usize) -> SymmetricMatrix {
        SymmetricMatrix::fill(size, |row, numbers| {
            for (column, number) in numbers.iter_mut().enumerate() {
                *number =
                    ((row * 7 + column * 13) as f64).sin() + if row == column { size as f64 } else { 0.0 };
            }
        })
    }

    #[test]
    fn a_matrix_times_its_inverse_is_the_identity() {
        for size in [1, 5, TILE, 2 * TILE + 3] {
            let (matrix, inverse) = (made(size), made(size).inverse().unwrap());
            for (row, column) in [(0, 0), (size - 1, 0), (size / 2, size - 1), (size - 1, size - 1)] {
                let sum: f64 = (0..size).map(|at| matrix.get(row, at) * inverse.get(at, column)).sum();
                assert!((sum - if row == column { 1.0 } else { 0.0 }).abs() < 1e-9, "{size} {sum}");
            }
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| made(500).inverse().unwrap().tiles)
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        let ones = SymmetricMatrix::fill(3, |_, numbers| numbers.fill(1.0));
        assert_eq!(ones.inverse().unwrap_err(), NotPositiveDefinite);
    }
}
