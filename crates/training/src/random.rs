//! Numbers that look random and are the same for ever: what a seed decides must not change with a new version of a
//! crate, of Rust, or of this engine.
//!
//! It must not know rows or batches. Invariant: a seed gives the same numbers on every machine, in every version. So
//! nothing here is taken from crates that generate random numbers: the distributions, shuffles and default generators
//! of those that we looked at may change from one version to the next. SipHash is a specification, whoever writes it
//! down.

use siphasher::sip::SipHasher24;

/// SplitMix64: a counter, and a mixer that makes a number of it.
///
/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; constants as in Vigna's
/// `splitmix64.c`. Its period is 2^64. It decides the order of rows, never anything secret.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The generator of a seed. All seeds are equally good, 0 among them.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The generator of a part of what a seed decides, such as one epoch, unrelated to that of every other part.
    pub fn of_part(seed: u64, part: u64) -> Self {
        Self::new(hash(seed, part, &[]))
    }

    /// The next number, any of the 2^64.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, or 0 if there is none: the upper half of a product of 128 bits (Lemire, "Fast random
    /// integer generation in an interval", 2019), without his rejection, because a bias of `limit` / 2^64 is never
    /// seen.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next_u64()) * limit as u128) >> 64) as usize
    }

    /// Whether something of this probability comes true.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.next_u64() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }

    /// Puts values into random order: Fisher and Yates, from the end (Knuth, algorithm 3.4.2 P).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            let other = self.below(last + 1);
            values.swap(last, other);
        }
    }
}

/// SipHash-2-4 of some bytes, with a seed and the number of what it is for as its key.
///
/// Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
pub fn hash(seed: u64, purpose: u64, bytes: &[u8]) -> u64 {
    SipHasher24::new_with_keys(seed, purpose).hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_reference_implementation() {
        let mut generator = SplitMix64::new(1_234_567);
        let numbers: Vec<u64> = (0..5).map(|_| generator.next_u64()).collect();
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn hashes_are_those_of_the_paper() {
        let bytes: Vec<u8> = (0..15).collect();
        assert_eq!(hash(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908, &bytes), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn shuffles_never_change() {
        let mut values: Vec<u8> = (0..10).collect();
        SplitMix64::of_part(42, 3).shuffle(&mut values);
        assert_eq!(values, SHUFFLED);
    }

    /// Written down once; a change would give every seed another meaning.
    const SHUFFLED: [u8; 10] = [4, 2, 9, 0, 3, 8, 1, 5, 7, 6];

    #[test]
    fn chances_come_true_as_often_as_they_should() {
        let mut generator = SplitMix64::new(5);
        let mut often = |probability| (0..10_000).filter(|_| generator.chance(probability)).count();
        assert_eq!([often(0.0), often(1.0)], [0, 10_000]);
        assert!(often(0.1).abs_diff(1_000) < 100);
    }

    #[test]
    fn numbers_stay_below_their_limit() {
        let mut generator = SplitMix64::new(0);
        for limit in 1..100 {
            assert!(generator.below(limit) < limit);
        }
        assert_eq!(generator.below(0), 0);
    }
}
