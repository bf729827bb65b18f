//! From the input to the report.
//!
//! # Layout
//! - [`change`]: numbers now and before, tested, with all tests of a family and all families accounted for.
//! - [`whole`]: all reviews: the period against the one before, each period, the trend, stars given beside stars read.
//! - [`products`]: which products to look at first.
//! - [`about`]: topics and words: which come more often, and how reviews with them sound.
//! - [`drivers`]: words that go with negative reviews.
//! - [`examples`]: the reviews that show it best.
//!
//! It must not know how a report is shown. Invariant: what a report says of a change was tested, and in data where nothing changed
//! at most a part alpha of all reports says that anything did.

pub mod about;
pub mod change;
pub mod drivers;
pub mod examples;
pub mod products;
pub mod whole;

use crate::input::{Input, Review, Settings, Text, Tone};
use crate::report::{Method, Overview, PhraseRow, Report, RowCounts};
use crate::sentences;
use change::FAMILIES;
use products::Ranking;

/// Products whose phrases are looked for.
const EXPLAINED_PRODUCTS: usize = 5;

/// Bytes of a text that is explained before longer ones.
const SHORT: usize = 500;

/// Which of two periods a review is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// That which is reported on.
    Current,
    /// The one before.
    Before,
}

/// Input with its products ranked.
pub struct Analysis {
    input: Input,
    settings: Settings,
    ranking: Ranking,
}

impl Analysis {
    /// Ranks the products.
    pub fn new(input: Input, settings: Settings) -> Self {
        let ranking = products::rank(&input);
        Self { input, settings, ranking }
    }

    /// The texts whose phrases are worth looking for, those of each product together: first some of all products, without one, then
    /// those of the products that come first, by their place among the input's products.
    pub fn to_explain(&self) -> Vec<(Option<usize>, &str)> {
        let current = || self.reviews(When::Current);
        let half = self.settings.explain.div_ceil(2);
        let mut chosen = self.spread(current().map(|review| review.text), half, None);
        let has_products = self.input.source.product_column.is_some();
        let most = if has_products { EXPLAINED_PRODUCTS.min(self.settings.products) } else { 0 };
        let shown = self.ranking.order.iter().take(most);
        let each = (self.settings.explain - half) / shown.len().max(1);
        for product in shown {
            let own = current().filter(|review| review.product == Some(*product)).map(|review| review.text);
            chosen.extend(self.spread(own, each, Some(*product)));
        }
        chosen
    }

    /// So many of these texts, whatever they say.
    fn spread(
        &self,
        texts: impl Iterator<Item = usize>,
        most: usize,
        product: Option<usize>,
    ) -> Vec<(Option<usize>, &str)> {
        let text = |at: usize| self.input.texts.get(at);
        let mut readable: Vec<&Text> = texts
            .filter_map(text)
            .filter(|text| text.reading.is_some() && !text.content.is_empty())
            .collect();
        // Long texts take longer, and say no more each.
        readable.sort_by_key(|text| (text.content.len() > SHORT, text.order));
        readable.dedup_by_key(|text| text.order);
        readable.into_iter().take(most).map(|text| (product, text.content.as_str())).collect()
    }

    /// The name of a product of the input.
    pub fn product(&self, product: usize) -> Option<&str> {
        self.input.products.get(product).and_then(|product| product.name.as_deref())
    }

    /// The report, with what phrases were found in `explained` texts.
    pub fn finish(self, phrases: Vec<PhraseRow>, explained: usize) -> Report {
        let mut stars = whole::stars(&self.input);
        let mut negative = whole::negative(&self.input);
        let (periods, mut trend) = (whole::periods(&self.input), None);
        if let Some((measure, values)) = whole::trend_values(&periods) {
            trend = whole::trend(measure, &values);
        }
        change::adjust_whole(&mut stars, &mut negative, trend.as_mut(), self.settings.alpha);
        let (mut products, tested_products) = products::rows(&self.input, &self.ranking, self.settings.alpha);
        products::keep(&mut products, self.settings.products);
        let (topics, tested_topics) = about::topics(&self.input, &self.settings);
        let (words, tested_words) = about::words(&self.input, &self.settings);
        let (drivers, tested_drivers) = drivers::drivers(&self.input, &self.settings);
        let product_topics = about::of_products(&self.input, &self.settings, &self.ranking.order);
        let mut report = Report {
            title: self
                .settings
                .title
                .clone()
                .unwrap_or_else(|| format!("Reviews of {}", self.input.source.relation)),
            overview: self.overview(stars, negative),
            findings: Vec::new(),
            periods,
            products,
            topics,
            product_topics,
            words,
            drivers,
            phrases,
            examples: Vec::new(),
            disagreement: whole::disagreement(&self.input),
            disagreements: examples::disagreements(&self.input, &self.settings),
            method: Method {
                alpha: self.settings.alpha,
                families: FAMILIES,
                tested_products,
                tested_topics,
                tested_words,
                tested_drivers,
                sample: self.input.sample,
                all_texts_read: self.all_texts_read(),
                explained: explained as u64,
                negative_share: self.ranking.negative_share,
                prior_reviews: self.ranking.prior_reviews,
                notes: Vec::new(),
            },
        };
        report.overview.trend = trend;
        report.examples = examples::examples(&self.input, &self.settings, &report, &self.ranking.order);
        report.findings = sentences::findings(&report);
        report.method.notes = sentences::notes(&report);
        report
    }

    fn all_texts_read(&self) -> bool {
        let Input { counts, reviews, .. } = &self.input;
        let elsewhere = counts.without_time + counts.future + counts.outside;
        (reviews.len() as u64) < self.input.sample || counts.with_text <= reviews.len() as u64 + elsewhere
    }

    fn overview(&self, stars: crate::report::Change, negative: crate::report::Change) -> Overview {
        let Input { source, spans, texts, reviews, counts, .. } = &self.input;
        let unread = texts.iter().map(|text| text.reading.is_none()).collect::<Vec<_>>();
        let unread =
            reviews.iter().filter(|review| unread.get(review.text).copied().unwrap_or(false)).count();
        let rows = |index: Option<i64>| index.map(|index| whole::rows(&self.input, index));
        let before = spans.and_then(crate::spans::Spans::before);
        Overview {
            relation: source.relation.clone(),
            text_column: source.text_column.clone(),
            product_column: source.product_column.clone(),
            time_column: source.time_column.clone(),
            rating_column: source.rating_column.clone(),
            model: source.model.clone(),
            period_unit: spans.and_then(crate::spans::Spans::unit),
            current: spans.map(|spans| spans.span(spans.current)),
            before: spans.zip(before).map(|(spans, before)| spans.span(before)),
            counts: RowCounts::new(*counts, reviews.len() as u64, texts.len() as u64, unread as u64),
            reviews_current: rows(spans.map(|spans| spans.current)).unwrap_or_default(),
            reviews_before: rows(before),
            products: self.input.products.iter().filter(|product| product.current.rows > 0).count() as u64,
            stars_source: whole::stars_source(&self.input),
            stars,
            negative,
            trend: None,
        }
    }

    fn reviews(&self, when: When) -> impl Iterator<Item = &Review> {
        reviews(&self.input, when)
    }
}

/// The reviews of one of the two periods.
pub(crate) fn reviews(input: &Input, when: When) -> impl Iterator<Item = &Review> {
    let index = input.spans.and_then(|spans| match when {
        When::Current => Some(spans.current),
        When::Before => spans.before(),
    });
    let spans = input.spans;
    input
        .reviews
        .iter()
        .filter(move |review| spans.zip(index).is_some_and(|(spans, index)| spans.index(review.day) == index))
}

/// Reviews that the model could read, with their texts.
pub(crate) fn read<'a>(
    input: &'a Input,
    reviews: impl Iterator<Item = &'a Review>,
) -> impl Iterator<Item = (&'a Review, &'a Text, crate::input::Reading)> {
    reviews.filter_map(|review| {
        let text = input.texts.get(review.text)?;
        Some((review, text, text.reading?))
    })
}

/// How many of so many are negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Negatives {
    pub(crate) negative: u64,
    pub(crate) read: u64,
}

impl Negatives {
    pub(crate) fn add(&mut self, tone: Tone) {
        self.read += 1;
        self.negative += u64::from(tone == Tone::Negative);
    }

    pub(crate) fn counts(self) -> (u64, u64) {
        (self.negative, self.read)
    }
}
