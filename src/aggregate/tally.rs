//! The plain numbers that reviews add up to.
//!
//! It must not know where they come from or what they are shown as. Invariant: sums are of whole numbers (a score
//! counts in units of 2^-40), so adding is exact, has no order, and can be taken back.

use ecommerce_ml_protocol::{Reading, Sentiment};

use crate::error::Error;

/// Units in 1 of a score or rating. A score has 24 significant bits, so that one below 2^-16 in size loses some of them.
const UNITS: f64 = (1_u64 << 40) as f64;

const NEGATIVE: usize = 0;
const NEUTRAL: usize = 1;
const POSITIVE: usize = 2;
const ONE_STAR: usize = 3;
const COUNTS: usize = 8;

/// First byte of a serialized tally: the format.
const FORMAT: u8 = 1;
const BYTES: usize = 1 + COUNTS * size_of::<i64>() + 2 * size_of::<i128>();

/// How many reviews said what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Negative, neutral, positive, one to five stars.
    counts: [i64; COUNTS],
    /// In [`UNITS`].
    score: i128,
    /// In [`UNITS`], of those reviews that have stars.
    rating: i128,
}

impl Tally {
    /// One review, or `None` if the model doesn't tell sentiments apart. Its star is the expected rating, rounded.
    pub fn of(reading: Reading) -> Option<Self> {
        let (sentiment, score) = reading.sentiment.zip(reading.score)?;
        let mut one = Self { score: units(f64::from(score)), ..Self::default() };
        one.counts[match sentiment {
            Sentiment::Negative => NEGATIVE,
            Sentiment::Neutral => NEUTRAL,
            Sentiment::Positive => POSITIVE,
        }] = 1;
        if let Some(rating) = reading.rating {
            one.rating = units(f64::from(rating));
            one.counts[star(rating)] = 1;
        }
        Some(one)
    }

    /// From counts and the means of as many reviews.
    pub fn from_means(sentiments: [i64; 3], stars: [i64; 5], score: f64, rating: f64) -> Self {
        let mut tally = Self::default();
        tally.counts[..ONE_STAR].copy_from_slice(&sentiments);
        tally.counts[ONE_STAR..].copy_from_slice(&stars);
        tally.score = units(score * float(total(&sentiments)));
        tally.rating = units(rating * float(total(&stars)));
        tally
    }

    /// Adds `other` so many times; a negative number takes it back.
    ///
    /// # Errors
    /// [`Error::CountOutOfRange`].
    pub fn add(&mut self, other: &Self, times: i64) -> Result<(), Error> {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            let sum = more.checked_mul(times).and_then(|more| count.checked_add(more));
            *count = sum.ok_or(Error::CountOutOfRange)?;
        }
        // Each is at most 5 * 2^40 for each of the reviews counted above: far from the end of an i128.
        self.score += other.score * i128::from(times);
        self.rating += other.rating * i128::from(times);
        Ok(())
    }

    /// How many reviews were negative, neutral and positive.
    pub fn sentiments(&self) -> [i64; 3] {
        [self.counts[NEGATIVE], self.counts[NEUTRAL], self.counts[POSITIVE]]
    }

    /// How many had one to five stars, if any review had stars.
    pub fn stars(&self) -> Option<[i64; 5]> {
        let mut stars = [0; 5];
        stars.copy_from_slice(&self.counts[ONE_STAR..]);
        (total(&stars) > 0).then_some(stars)
    }

    /// How many there were.
    ///
    /// # Errors
    /// [`Error::CountOutOfRange`].
    pub fn reviews(&self) -> Result<i64, Error> {
        total(&self.sentiments()).try_into().map_err(|_| Error::CountOutOfRange)
    }

    /// Mean score, if there are any.
    pub fn mean_score(&self) -> Option<f64> {
        mean(self.score, total(&self.sentiments()))
    }

    /// Mean rating, if any review had stars.
    pub fn mean_rating(&self) -> Option<f64> {
        mean(self.rating, total(&self.counts[ONE_STAR..]))
    }

    /// For another process of this server.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(FORMAT);
        self.counts.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        bytes.extend(self.score.to_le_bytes());
        bytes.extend(self.rating.to_le_bytes());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    ///
    /// # Errors
    /// [`Error::Unexpected`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse(bytes).ok_or(Error::Unexpected("not a serialized summary of reviews"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (format, mut rest) = bytes.split_first()?;
        let mut tally = Self::default();
        for count in &mut tally.counts {
            *count = i64::from_le_bytes(take(&mut rest)?);
        }
        tally.score = i128::from_le_bytes(take(&mut rest)?);
        tally.rating = i128::from_le_bytes(take(&mut rest)?);
        (*format == FORMAT && rest.is_empty()).then_some(tally)
    }
}

/// Index of the count of the nearest star.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn star(rating: f32) -> usize {
    ONE_STAR - 1 + rating.round().clamp(1.0, 5.0) as usize
}

#[allow(clippy::cast_possible_truncation)]
fn units(value: f64) -> i128 {
    (value * UNITS).round() as i128
}

#[allow(clippy::cast_precision_loss)]
fn float(whole: i128) -> f64 {
    whole as f64
}

fn total(counts: &[i64]) -> i128 {
    counts.iter().map(|count| i128::from(*count)).sum()
}

fn mean(sum: i128, count: i128) -> Option<f64> {
    (count > 0).then(|| float(sum) / (UNITS * float(count)))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}
