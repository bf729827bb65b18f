//! How alike two embeddings are.

/// The cosine of the angle between two embeddings, from -1 to 1; none if one of them is zero. Both are as wide.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn cosine(one: &[f32], other: &[f32]) -> Option<f32> {
    let (mut product, mut squares) = (0.0_f64, [0.0_f64; 2]);
    for (x, y) in one.iter().zip(other) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        product += x * y;
        squares[0] += x * x;
        squares[1] += y * y;
    }
    let length = squares[0].sqrt() * squares[1].sqrt();
    (length > 0.0).then(|| (product / length).clamp(-1.0, 1.0) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_does_not_matter() {
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), Some(1.0));
        assert_eq!(cosine(&[1e20, 0.0], &[-1e-20, 0.0]), Some(-1.0));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), Some(0.0));
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 2.0]), None);
        assert_eq!(cosine(&[], &[]), None);
    }
}
