//! The windows of one text into one answer, weighted by how much of the text each read.
//!
//! It must not know what the numbers mean. Invariant: a single window's row comes out as it went in.

use super::Window;

/// Mean of the rows, weighted by the content tokens of their windows; in `f64`, so that order hardly matters.
///
/// Rows are of equal length; a window without content counts as one token.
pub(super) fn weighted_mean(windows: &[Window], rows: &[Vec<f32>]) -> Vec<f64> {
    let mut sums = vec![0.0; rows.first().map_or(0, Vec::len)];
    let mut total = 0.0;
    for (window, row) in windows.iter().zip(rows) {
        let weight = window.content_tokens.max(1) as f64;
        total += weight;
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += weight * f64::from(value);
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= total);
    sums
}

/// The vector scaled to length 1; zeros stay zeros.
pub(super) fn normalised(vector: &[f64]) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    // The floor is that of `torch.nn.functional.normalize`.
    let length = length.max(1e-12);
    vector.iter().map(|value| (value / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(content_tokens: usize) -> Window {
        Window { ids: vec![0; content_tokens + 2], content_tokens }
    }

    #[test]
    fn longer_windows_weigh_more() {
        let mean = weighted_mean(&[window(3), window(1)], &[vec![1.0, 0.0], vec![0.0, 1.0]]);
        assert_eq!(mean, [0.75, 0.25]);
    }

    #[test]
    fn a_window_without_content_counts() {
        assert_eq!(weighted_mean(&[window(0)], &[vec![0.25]]), [0.25]);
    }

    #[test]
    fn zeros_have_no_direction() {
        assert_eq!(normalised(&[0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(normalised(&[3.0, 4.0]), [0.6, 0.8]);
    }
}
