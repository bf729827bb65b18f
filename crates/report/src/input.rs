//! What is reported on: counts of rows, and reviews with what a model read in them.
//!
//! It must not know where they come from. Invariant: a review's product and text are among those of the same [`Input`].

use ecommerce_ml_metrics::drivers::Sums;

use crate::spans::Spans;

/// Most topics: a bit each.
pub const MOST_TOPICS: usize = 64;

/// Names of what was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The relation.
    pub relation: String,
    /// Its column of texts.
    pub text_column: String,
    /// Its column that tells products apart.
    pub product_column: Option<String>,
    /// When reviews were written.
    pub time_column: Option<String>,
    /// Stars that were given.
    pub rating_column: Option<String>,
    /// The model that read the texts, with its version.
    pub model: String,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Of the page.
    pub title: Option<String>,
    /// The probability that a report says of anything that it changed where nothing did.
    pub alpha: f64,
    /// Products that are shown.
    pub products: usize,
    /// Phrases of each product and sentiment, and words, that are shown.
    pub phrases: usize,
    /// Reviews that are shown of a product, and of what changed.
    pub examples: usize,
    /// Texts whose phrases are looked for.
    pub explain: usize,
    /// What reviews may be about, by name; those beyond [`MOST_TOPICS`] are passed over.
    pub topics: Vec<String>,
}

/// All rows of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Day {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Rows.
    pub rows: u64,
    /// Of the stars that were given.
    pub stars: Sums,
    /// How often each number of stars was given, rounded.
    pub histogram: [u64; 5],
}

/// All rows of a product in a period.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cell {
    /// Rows.
    pub rows: u64,
    /// Of the stars that were given.
    pub stars: Sums,
}

/// A product.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Product {
    /// Its name; none of rows without a product.
    pub name: Option<String>,
    /// In the period that is reported on.
    pub current: Cell,
    /// In the one before.
    pub before: Cell,
}

/// How a text sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Displeased.
    Negative,
    /// Neither.
    Neutral,
    /// Pleased.
    Positive,
}

impl Tone {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Negative => "negative",
            Self::Neutral => "neutral",
            Self::Positive => "positive",
        }
    }
}

/// What a model read in a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The likeliest sentiment.
    pub tone: Tone,
    /// From -1 to 1.
    pub score: f64,
    /// From 1 to 5, if the model knows stars.
    pub stars: Option<f64>,
}

/// A text, which several reviews may have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text {
    /// Its first characters; nothing if all its reviews are of earlier periods.
    pub content: String,
    /// None if the model can't read it.
    pub reading: Option<Reading>,
    /// What it is about, a bit each; only of texts with content.
    pub topics: u64,
    /// Those of them of which it speaks negatively.
    pub negative_topics: u64,
    /// Its place in an order that has nothing to do with what it says.
    pub order: u64,
}

/// A review among those that were read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Review {
    /// Which of the products; none of an earlier period, where nobody asks.
    pub product: Option<usize>,
    /// The day, since 1970-01-01.
    pub day: i64,
    /// Stars that were given.
    pub stars: Option<f64>,
    /// Which of the texts.
    pub text: usize,
}

/// Rows that aren't reported on, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub rows: u64,
    /// With a text that isn't blank.
    pub with_text: u64,
    /// Without a time, or with one that is infinite.
    pub without_time: u64,
    /// After the last day that counts.
    pub future: u64,
    /// Before the first whole period, or after the last.
    pub outside: u64,
    /// Of the period that is reported on and the one before, without a product.
    pub without_product: u64,
    /// With stars that are no number from 1 to 5.
    pub stars_unusable: u64,
}

/// All that a report is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    /// Names.
    pub source: Source,
    /// Counts.
    pub counts: Counts,
    /// The periods; none of no rows.
    pub spans: Option<Spans>,
    /// By day.
    pub days: Vec<Day>,
    /// Of the period that is reported on and the one before.
    pub products: Vec<Product>,
    /// Different texts.
    pub texts: Vec<Text>,
    /// Those that were read, or tried to.
    pub reviews: Vec<Review>,
    /// At most so many were to be read.
    pub sample: u64,
}
