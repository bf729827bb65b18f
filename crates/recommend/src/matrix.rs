//! Sparse matrices by rows.
//!
//! It must not know what rows and columns stand for. Invariant: within a row columns ascend, and all are below the width.

use rayon::prelude::*;

/// A sparse matrix: compressed rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseMatrix {
    /// Number of columns.
    pub width: usize,
    /// `[rows + 1]`: where in the other two each row begins, and the last one ends.
    pub offsets: Vec<u64>,
    /// `[entries]`.
    pub columns: Vec<u32>,
    /// `[entries]`.
    pub values: Vec<f32>,
}

impl SparseMatrix {
    /// Of rows of (column, value), columns ascending.
    pub fn from_rows(width: usize, rows: Vec<Vec<(u32, f32)>>) -> Self {
        let entries = rows.iter().map(Vec::len).sum();
        let mut matrix = Self {
            width,
            offsets: Vec::with_capacity(rows.len() + 1),
            columns: Vec::with_capacity(entries),
            values: Vec::with_capacity(entries),
        };
        matrix.offsets.push(0);
        for row in rows {
            matrix.columns.extend(row.iter().map(|(column, _)| *column));
            matrix.values.extend(row.iter().map(|(_, value)| *value));
            matrix.offsets.push(matrix.columns.len() as u64);
        }
        matrix
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Columns and values of a row; of a row that there isn't, none.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let (Some(&start), Some(&end)) = (self.offsets.get(row), self.offsets.get(row + 1)) else {
            return (&[], &[]);
        };
        let range = start as usize..end as usize;
        (self.columns.get(range.clone()).unwrap_or_default(), self.values.get(range).unwrap_or_default())
    }

    /// The entries of a row.
    pub fn entries(&self, row: usize) -> impl Iterator<Item = (u32, f32)> {
        let (columns, values) = self.row(row);
        columns.iter().copied().zip(values.iter().copied())
    }

    /// Rows and columns exchanged.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut next = vec![0_u64; self.width + 1];
        for &column in &self.columns {
            next[column as usize + 1] += 1;
        }
        for column in 0..self.width {
            next[column + 1] += next[column];
        }
        let offsets = next.clone();
        let mut columns = vec![0; self.columns.len()];
        let mut values = vec![0.0; self.values.len()];
        for row in 0..self.rows() {
            for (column, value) in self.entries(row) {
                let at = &mut next[column as usize];
                columns[*at as usize] = u32::try_from(row).unwrap_or(u32::MAX);
                values[*at as usize] = value;
                *at += 1;
            }
        }
        Self { width: self.rows(), offsets, columns, values }
    }

    /// With other values at the same places; the function gets the row, and the columns and values that it has.
    #[must_use]
    pub fn map_rows(&self, change: impl Fn(usize, &[u32], &mut [f32]) + Sync) -> Self {
        let mut values = self.values.clone();
        let mut rest = values.as_mut_slice();
        let mut rows = Vec::with_capacity(self.rows());
        for row in 0..self.rows() {
            let (own, after) = rest.split_at_mut(self.row(row).0.len());
            rows.push(own);
            rest = after;
        }
        rows.into_par_iter().enumerate().for_each(|(row, values)| change(row, self.row(row).0, values));
        Self { values, width: self.width, offsets: self.offsets.clone(), columns: self.columns.clone() }
    }

    /// Whether offsets, columns and width fit together: of a matrix that was read from a file.
    pub fn check(&self) -> bool {
        let ordered = self.offsets.first() == Some(&0) && self.offsets.is_sorted();
        let complete = self.offsets.last() == Some(&(self.columns.len() as u64))
            && self.values.len() == self.columns.len();
        let row = |row: usize| self.row(row).0.windows(2).all(|pair| pair[0] < pair[1]);
        ordered
            && complete
            && self.columns.iter().all(|&column| (column as usize) < self.width)
            && self.values.iter().all(|value| value.is_finite())
            && (0..self.rows()).all(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_exchanged() {
        let matrix =
            SparseMatrix::from_rows(3, vec![vec![(0, 1.0), (2, 2.0)], vec![], vec![(0, 3.0), (1, 4.0)]]);
        let expected =
            SparseMatrix::from_rows(3, vec![vec![(0, 1.0), (2, 3.0)], vec![(2, 4.0)], vec![(0, 2.0)]]);
        assert_eq!(matrix.transposed(), expected);
        assert_eq!(matrix.transposed().transposed(), matrix);
        assert!(matrix.check());
        assert!(!SparseMatrix { width: 2, ..matrix.clone() }.check());
        assert!(!SparseMatrix { offsets: vec![0, 2, 2, 5], ..matrix }.check());
    }
}
