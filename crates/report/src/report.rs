//! The report as plain structs, whose fields are those of the JSON; docs/reports.md says what each is.
//!
//! It must not know how anything was computed. Invariant: what has no value is `None`, never NaN.

use serde::Serialize;

use crate::input::Counts;
use crate::spans::Span;

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Of the page.
    pub title: String,
    /// What was read, and the whole in short.
    pub overview: Overview,
    /// What changed, in words; or that nothing did.
    pub findings: Vec<Finding>,
    /// Each period, in order.
    pub periods: Vec<PeriodRow>,
    /// The products to look at first.
    pub products: Vec<ProductRow>,
    /// Topics of all products.
    pub topics: Vec<TopicRow>,
    /// Topics of each of the products.
    pub product_topics: Vec<ProductTopicRow>,
    /// Words that come more or less often, the surest first.
    pub words: Vec<WordRow>,
    /// Words and pairs of words that go with negative reviews, or with others.
    pub drivers: Vec<DriverRow>,
    /// Phrases that drive what the model says.
    pub phrases: Vec<PhraseRow>,
    /// Reviews that show it.
    pub examples: Vec<Example>,
    /// Stars given beside stars read; none if one of them isn't there.
    pub disagreement: Option<Disagreement>,
    /// Reviews where they differ most.
    pub disagreements: Vec<Example>,
    /// How it was made.
    pub method: Method,
}

/// A number now and before, and whether chance explains the difference.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Change {
    /// In the period that is reported on.
    pub current: Option<f64>,
    /// In the one before.
    pub before: Option<f64>,
    /// Reviews that `current` is of.
    pub n_current: u64,
    /// Reviews that `before` is of.
    pub n_before: u64,
    /// `current` less `before`.
    pub difference: Option<f64>,
    /// Of a mean, the interval that holds the difference with 95 %.
    pub lower: Option<f64>,
    /// Its upper end.
    pub upper: Option<f64>,
    /// The test.
    pub test: Option<&'static str>,
    /// The probability of such a difference by chance.
    pub p_value: Option<f64>,
    /// The same, for all that is tested.
    pub q_value: Option<f64>,
    /// Whether it is below alpha.
    pub significant: bool,
}

impl Change {
    /// Whether it is more than chance, and up.
    pub fn is_up(&self) -> bool {
        self.significant && self.difference.is_some_and(|difference| difference > 0.0)
    }

    /// Whether it is more than chance, and down.
    pub fn is_down(&self) -> bool {
        self.significant && self.difference.is_some_and(|difference| difference < 0.0)
    }
}

/// What was read, and the whole in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct Overview {
    pub relation: String,
    pub text_column: String,
    pub product_column: Option<String>,
    pub time_column: Option<String>,
    pub rating_column: Option<String>,
    pub model: String,
    pub period_unit: Option<&'static str>,
    pub current: Option<Span>,
    pub before: Option<Span>,
    #[serde(flatten)]
    pub counts: RowCounts,
    pub reviews_current: u64,
    pub reviews_before: Option<u64>,
    pub products: u64,
    pub stars_source: Option<&'static str>,
    pub stars: Change,
    pub negative: Change,
    pub trend: Option<TrendRow>,
}

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct RowCounts {
    pub rows: u64,
    pub with_text: u64,
    pub without_time: u64,
    pub future: u64,
    pub outside: u64,
    pub without_product: u64,
    pub stars_unusable: u64,
    pub sampled: u64,
    pub distinct_texts: u64,
    pub unread: u64,
}

impl RowCounts {
    /// Those of the rows, and of what was read.
    pub fn new(counts: Counts, sampled: u64, distinct_texts: u64, unread: u64) -> Self {
        let Counts { rows, with_text, without_time, future, outside, without_product, stars_unusable } =
            counts;
        Self {
            rows,
            with_text,
            without_time,
            future,
            outside,
            without_product,
            stars_unusable,
            sampled,
            distinct_texts,
            unread,
        }
    }
}

/// How a number goes over all periods.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct TrendRow {
    pub measure: &'static str,
    pub periods: u64,
    pub slope: f64,
    pub lower: f64,
    pub upper: f64,
    pub test: &'static str,
    pub p_value: f64,
    pub q_value: f64,
    pub significant: bool,
}

/// What changed, in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct Finding {
    pub kind: &'static str,
    pub subject: Option<String>,
    pub direction: &'static str,
    pub is_bad: bool,
    pub sentence: String,
    pub test: Option<&'static str>,
    pub n_current: u64,
    pub n_before: u64,
    pub p_value: Option<f64>,
    pub q_value: Option<f64>,
}

/// A period.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct PeriodRow {
    pub label: String,
    pub from: String,
    pub to: String,
    pub reviews: u64,
    pub stars_given: Option<f64>,
    pub stars_given_n: u64,
    pub stars_given_counts: [u64; 5],
    pub stars_read: Option<f64>,
    pub stars_read_n: u64,
    pub read: u64,
    pub negative: u64,
    pub negative_share: Option<f64>,
    pub score: Option<f64>,
}

/// A product.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct ProductRow {
    pub rank: u64,
    pub product: Option<String>,
    pub reviews_current: u64,
    pub reviews_before: u64,
    pub excess_negative: f64,
    pub negative_shrunk: Option<f64>,
    pub stars: Change,
    pub negative: Change,
    pub contribution: Option<f64>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct TopicRow {
    pub topic: String,
    pub mentions: Change,
    pub negative: Change,
}

/// A topic of a product.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct ProductTopicRow {
    pub product: Option<String>,
    pub topic: String,
    pub reviews_current: u64,
    pub reviews_before: u64,
    pub negative_current: u64,
    pub negative_before: u64,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct WordRow {
    pub word: String,
    pub reviews: Change,
    pub score: Option<f64>,
}

/// A word, or a pair of words.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct DriverRow {
    pub term: String,
    pub sentiment: &'static str,
    pub reviews: u64,
    pub negative_share: Option<f64>,
    pub negative_share_without: Option<f64>,
    pub test: Option<&'static str>,
    pub p_value: Option<f64>,
    pub q_value: Option<f64>,
}

/// A phrase.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct PhraseRow {
    pub scope: &'static str,
    pub product: Option<String>,
    pub phrase: String,
    pub sentiment: &'static str,
    pub reviews: u64,
    pub contribution: f64,
    pub example: String,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct Example {
    pub shows: &'static str,
    pub subject: Option<String>,
    pub product: Option<String>,
    pub date: Option<String>,
    pub stars_given: Option<f64>,
    pub stars_read: Option<f64>,
    pub score: f64,
    pub sentiment: &'static str,
    pub text: String,
}

/// Stars given beside stars read in the texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct Disagreement {
    pub reviews: u64,
    pub mean_given: f64,
    pub mean_read: f64,
    pub mean_absolute: f64,
    pub correlation: Option<f64>,
    pub far_apart: u64,
    pub far_apart_share: f64,
}

/// How it was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/reports.md says what each field of the JSON is")]
pub struct Method {
    pub alpha: f64,
    pub families: u64,
    pub tested_products: u64,
    pub tested_topics: u64,
    pub tested_words: u64,
    pub tested_drivers: u64,
    pub sample: u64,
    pub all_texts_read: bool,
    pub explained: u64,
    pub negative_share: Option<f64>,
    pub prior_reviews: Option<f64>,
    pub notes: Vec<String>,
}
