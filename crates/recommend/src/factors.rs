//! Vectors of customers or items.
//!
//! It must not know what they are learned from. Invariant: there are no gaps between them.

/// Vectors of one side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Factors {
    /// Length of each.
    pub width: usize,
    /// `[rows, width]`.
    pub values: Vec<f32>,
}

impl Factors {
    /// The vector of a row.
    pub fn row(&self, row: usize) -> &[f32] {
        self.values.get(row * self.width..(row + 1) * self.width).unwrap_or_default()
    }

    /// Numbers around 0, far smaller than what they become: the same of the same seed on every machine.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn initial(rows: usize, width: usize, seed: u64) -> Self {
        let number = |at: usize| {
            let mut mixed = seed.wrapping_add((at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let unit = ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u64 << 24) as f32;
            (unit - 0.5) * 0.02
        };
        Self { width, values: (0..rows * width).map(number).collect() }
    }
}
