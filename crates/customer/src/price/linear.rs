//! Symmetric equations of a few hundred unknowns: Cholesky's decomposition, which passes over what follows from the rest.
//!
//! It must not know what the unknowns are. Invariant: an unknown that is passed over is 0 in every solution.

/// Least part of a diagonal element that is left after all before it have been taken out; below it, it follows from those.
const LEAST_PIVOT: f64 = 1e-9;

/// A symmetric matrix, `[size, size]`, of which only the lower triangle is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Symmetric {
    /// Rows.
    pub size: usize,
    values: Vec<f64>,
}

impl Symmetric {
    /// Of zeros.
    #[must_use]
    pub fn zeros(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    /// An element.
    #[must_use]
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row.max(column) * self.size + row.min(column)]
    }

    /// Adds to an element of the lower triangle.
    pub fn add(&mut self, row: usize, column: usize, value: f64) {
        self.values[row.max(column) * self.size + row.min(column)] += value;
    }

    /// Adds `scale` times the product of a vector `[size]` with itself.
    pub fn add_square(&mut self, vector: &[f64], scale: f64) {
        for (row, one) in vector.iter().enumerate().filter(|(_, one)| **one != 0.0) {
            let line = &mut self.values[row * self.size..=row * self.size + row];
            line.iter_mut().zip(vector).for_each(|(sum, other)| *sum += scale * one * other);
        }
    }

    /// x' M x, of a vector `[size]`.
    #[must_use]
    pub fn form(&self, vector: &[f64]) -> f64 {
        let row = |(row, one): (usize, &f64)| {
            let line = &self.values[row * self.size..row * self.size + row];
            let off: f64 = line.iter().zip(vector).map(|(value, other)| value * other).sum();
            one * (2.0 * off + self.at(row, row) * one)
        };
        vector.iter().enumerate().map(row).sum()
    }
}

/// A decomposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Cholesky {
    size: usize,
    /// `[size, size]`, the lower triangle; the diagonal is 0 of unknowns that are passed over.
    lower: Vec<f64>,
    /// What was left of each diagonal element, `[size]`, as a part of it.
    pub left: Vec<f64>,
}

impl Cholesky {
    /// Of a matrix without negative eigenvalues. Each diagonal element is raised by the part `ridge` of it.
    #[must_use]
    pub fn of(matrix: &Symmetric, ridge: f64) -> Self {
        let size = matrix.size;
        let least = if ridge > 0.0 { ridge / 10.0 } else { LEAST_PIVOT };
        let mut lower = vec![0.0; size * size];
        let mut left = vec![0.0; size];
        for row in 0..size {
            for column in 0..row {
                let (before, own) = lower.split_at_mut(row * size);
                let other = &before[column * size..=column * size + column];
                let sum: f64 = own[..column].iter().zip(other).map(|(one, other)| one * other).sum();
                let pivot = other[column];
                own[column] = if pivot > 0.0 { (matrix.at(row, column) - sum) / pivot } else { 0.0 };
            }
            let own = &mut lower[row * size..(row + 1) * size];
            let whole = matrix.at(row, row);
            let rest = whole * (1.0 + ridge) - own[..row].iter().map(|one| one * one).sum::<f64>();
            left[row] = if whole > 0.0 { rest / whole } else { 0.0 };
            if left[row] > least {
                own[row] = rest.sqrt();
            } else {
                left[row] = 0.0;
            }
        }
        Self { size, lower, left }
    }

    /// L^-1 M of a matrix `[size][columns]`, where L is the decomposition; rows of unknowns that are passed over are 0.
    #[must_use]
    pub fn whitened(&self, matrix: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut found: Vec<Vec<f64>> = Vec::new();
        for (row, values) in matrix.iter().enumerate().take(self.size) {
            let line = &self.lower[row * self.size..=row * self.size + row];
            let mut values = values.clone();
            for (factor, other) in line.iter().zip(&found) {
                values.iter_mut().zip(other).for_each(|(value, other)| *value -= factor * other);
            }
            let by = if line[row] > 0.0 { 1.0 / line[row] } else { 0.0 };
            values.iter_mut().for_each(|value| *value *= by);
            found.push(values);
        }
        found
    }

    /// The unknowns `[size]` of these right-hand sides.
    #[must_use]
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut found = right.to_vec();
        for row in 0..self.size {
            let line = &self.lower[row * self.size..=row * self.size + row];
            let sum: f64 = line[..row].iter().zip(&found).map(|(one, other)| one * other).sum();
            found[row] = if line[row] > 0.0 { (found[row] - sum) / line[row] } else { 0.0 };
        }
        for row in (0..self.size).rev() {
            let pivot = self.lower[row * self.size + row];
            let value = if pivot > 0.0 { found[row] / pivot } else { 0.0 };
            found[row] = value;
            let line = &self.lower[row * self.size..row * self.size + row];
            found.iter_mut().zip(line).for_each(|(one, other)| *one -= value * other);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved_and_what_follows_is_passed_over() {
        let rows = [[1.0, 2.0, 0.0], [0.0, 1.0, 1.0], [2.0, -1.0, 3.0], [1.0, 1.0, 1.0]];
        let mut matrix = Symmetric::zeros(3);
        rows.iter().for_each(|row| matrix.add_square(row, 1.0));
        assert_eq!((matrix.at(0, 2), matrix.at(2, 0), matrix.at(1, 1)), (7.0, 7.0, 7.0));
        assert!((matrix.form(&[1.0, -2.0, 0.5]) - 41.75).abs() < 1e-12, "{}", matrix.form(&[1.0, -2.0, 0.5]));
        let right: Vec<f64> =
            (0..3).map(|row| (0..3).map(|at| matrix.at(row, at) * (at as f64 - 1.0)).sum()).collect();
        let found = Cholesky::of(&matrix, 0.0).solve(&right);
        assert!(
            found.iter().zip([-1.0, 0.0, 1.0]).all(|(one, other)| (one - other).abs() < 1e-12),
            "{found:?}"
        );
        // The third is the sum of the others.
        let mut matrix = Symmetric::zeros(3);
        rows.iter().for_each(|row| matrix.add_square(&[row[0], row[1], row[0] + row[1]], 1.0));
        let solver = Cholesky::of(&matrix, 0.0);
        assert_eq!((solver.left[2], solver.solve(&[1.0, 2.0, 3.0])[2]), (0.0, 0.0));
        // With a ridge it is not, and what the sum is worth can be told.
        let found = Cholesky::of(&matrix, 1e-10).solve(&[6.0, 4.0, 10.0]);
        let sum = found[0] * 6.0 + found[1] * 1.0 + found[2] * 7.0;
        assert!((sum - 6.0).abs() < 1e-6, "{found:?}");
    }
}
