//! The windows of one text into one answer, weighted by how much of the text each read.
//!
//! It must not know what the numbers mean. Invariant: a single window's row comes out as it went in.

use crate::WindowRow;

/// Mean of the rows by their weights; in `f64`, so that order hardly matters. Rows are of equal length.
/// Shape `[width]`.
pub(super) fn weighted_mean(rows: &[WindowRow]) -> Vec<f64> {
    let mut sums = vec![0.0; rows.first().map_or(0, |row| row.values.len())];
    let mut total = 0.0;
    for row in rows {
        let weight = row.weight as f64;
        total += weight;
        for (sum, &value) in sums.iter_mut().zip(&row.values) {
            *sum += weight * f64::from(value);
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= total);
    sums
}

/// The vector scaled to length 1; zeros stay zeros.
/// Shape `[width]`, as that of `vector`.
pub(super) fn normalised(vector: &[f64]) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    // The floor is that of `torch.nn.functional.normalize`.
    let length = length.max(1e-12);
    vector.iter().map(|value| (value / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use crate::Window;

    use super::*;

    fn row(content_tokens: usize, values: &[f32]) -> WindowRow {
        WindowRow::new(&Window { ids: vec![0; content_tokens + 2], content_tokens }, values.to_vec())
    }

    #[test]
    fn longer_windows_weigh_more() {
        assert_eq!(weighted_mean(&[row(3, &[1.0, 0.0]), row(1, &[0.0, 1.0])]), [0.75, 0.25]);
    }

    #[test]
    fn a_window_without_content_counts() {
        assert_eq!(weighted_mean(&[row(0, &[0.25])]), [0.25]);
    }

    #[test]
    fn zeros_have_no_direction() {
        assert_eq!(normalised(&[0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(normalised(&[3.0, 4.0]), [0.6, 0.8]);
    }
}
