//! Random numbers: xoshiro256++ (Blackman and Vigna), and distributions from them.
//!
//! Invariant: a seed stands for the same numbers on every machine.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of a seed.
    #[must_use]
    pub fn of(mut seed: u64) -> Self {
        // SplitMix64, as its authors advise.
        let mut next = || {
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        Self { state: std::array::from_fn(|_| next()) }
    }

    fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Between 0 and 1, both excluded.
    #[allow(clippy::cast_precision_loss)]
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// With a mean of 1.
    pub fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// With a mean of 0 and a variance of 1 (Box and Muller).
    fn normal(&mut self) -> f64 {
        (2.0 * self.exponential()).sqrt() * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// Of a shape above 0, and scale 1 (Marsaglia and Tsang, 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * self.uniform().powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.uniform().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Of two shapes above 0.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (one, other) = (self.gamma(a), self.gamma(b));
        let sum = one + other;
        if sum > 0.0 { one / sum } else { f64::from(u8::from(self.uniform() < a / (a + b))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(mut draw: impl FnMut(&mut Random) -> f64) -> (f64, f64) {
        let mut random = Random::of(1);
        let values: Vec<f64> = (0..200_000).map(|_| draw(&mut random)).collect();
        let mean = values.iter().sum::<f64>() / 200_000.0;
        (mean, values.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / 200_000.0)
    }

    #[test]
    fn means_and_variances_are_those_of_the_distributions() {
        let near = |(mean, variance): (f64, f64), expected: (f64, f64)| {
            assert!((mean - expected.0).abs() < 0.02 * expected.0, "{mean} {expected:?}");
            assert!((variance - expected.1).abs() < 0.03 * expected.1, "{variance} {expected:?}");
        };
        near(moments(|random| random.uniform()), (0.5, 1.0 / 12.0));
        near(moments(|random| random.exponential()), (1.0, 1.0));
        near(moments(|random| random.gamma(0.3)), (0.3, 0.3));
        near(moments(|random| random.gamma(7.0)), (7.0, 7.0));
        near(moments(|random| random.beta(2.0, 3.0)), (0.4, 0.04));
        near(moments(|random| random.beta(0.2, 0.3)), (0.4, 0.16));
    }
}
