//! What the reviews of a relation say, in a report.
//!
//! # Layout
//! - [`counts`]: all rows, counted by day and by product.
//! - [`sample`]: which rows are read.
//! - [`reading`]: their texts through a model.
//!
//! It must not know what is told of them, nor how: that is `ecommerce_ml_report`'s. Invariant: a relation is read by statements of the
//! calling role, so privileges and row security hold; each different text is read once; memory grows with the number of products and
//! of texts that are read, not with the number of rows.

mod counts;
mod reading;
mod sample;

use ecommerce_ml_aspects::aspects::Aspects;
use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_report::Analysis;
use ecommerce_ml_report::input::{Input, Settings, Source};
use ecommerce_ml_report::report::{PhraseRow, Report};
use ecommerce_ml_report::spans::Spans;

use crate::error::Error;
use crate::explanation::key_phrases::{self, KeyPhrases};
use crate::explanation::sentiment_scheme;
use crate::inference::model_of;
use crate::relation::{Column, Relation};

/// Texts that have to have a phrase.
const MIN_REVIEWS: u64 = 2;

/// The columns of a relation of reviews.
pub struct Columns<'a> {
    pub relation: &'a Relation,
    pub text: &'a Column,
    /// None: all are of one product.
    pub product: Option<&'a Column>,
    /// None: all are of one period.
    pub time: Option<&'a Column>,
    /// Stars that were given.
    pub rating: Option<&'a Column>,
}

/// What is asked.
pub struct Question<'a> {
    pub columns: Columns<'a>,
    pub model: Option<&'a str>,
    /// None: as the days suggest.
    pub period: Option<Period>,
    /// The last day that counts, since 1970-01-01; today if there is none.
    pub until: Option<i64>,
    /// Reviews that are read, at most.
    pub sample: u64,
    /// What clauses may speak of, by the names that the settings have.
    pub topics: &'a Aspects,
    pub settings: Settings,
}

/// The report.
///
/// # Errors
/// [`Error::ColumnType`], [`Error::NoMeaning`] for a model without sentiment, [`Error::ReadsColumns`], [`Error::TooManyParts`] for more
/// products than can be compared, and the engine's.
pub fn report(question: Question<'_>) -> Result<Report, Error> {
    let columns = &question.columns;
    let model = model_of(question.model)?;
    let scheme = sentiment_scheme(&model)?;
    let sources = counts::Expressions::of(columns)?;
    let last_day = match (columns.time, question.until) {
        (None, _) => i64::MAX,
        (_, Some(day)) => day,
        (Some(_), None) => counts::today()?,
    };
    let (mut counts, days) = counts::by_day(columns, &sources, last_day)?;
    let dates: Vec<i64> = days.iter().map(|day| day.day).collect();
    let spans = match columns.time {
        None => (!days.is_empty()).then_some(Spans::ALL),
        Some(_) => Spans::of(&dates, question.period),
    };
    let mut input =
        Input { source: source(columns, &model), days, spans, sample: question.sample, ..Input::default() };
    if let Some(spans) = spans {
        let outside = input.days.iter().filter(|day| !spans.contains(spans.index(day.day)));
        counts.outside = outside.map(|day| day.rows).sum();
        input.products = counts::by_product(columns, &sources, spans)?;
        let nameless =
            input.products.iter().filter(|product| product.name.is_none() && columns.product.is_some());
        counts.without_product = nameless.map(|product| product.current.rows + product.before.rows).sum();
        let query = sample::query(columns, &sources, spans, question.sample);
        reading::read(&model, scheme, &query, question.topics, &mut input)?;
    }
    input.counts = counts;
    let phrases = question.settings.phrases;
    let analysis = Analysis::new(input, question.settings);
    let (phrases, explained) = explain(&model, &analysis, phrases)?;
    Ok(analysis.finish(phrases, explained))
}

fn source(columns: &Columns<'_>, model: &crate::catalog::resolve::Resolved) -> Source {
    let name = |column: Option<&Column>| column.map(|column| column.name().to_owned());
    Source {
        relation: columns.relation.name().to_owned(),
        text_column: columns.text.name().to_owned(),
        product_column: name(columns.product),
        time_column: name(columns.time),
        rating_column: name(columns.rating),
        model: format!("{}@{}", model.name, model.version),
    }
}

/// The phrases of the texts that are worth it, and how many texts those are.
fn explain(
    model: &std::rc::Rc<crate::catalog::resolve::Resolved>,
    analysis: &Analysis,
    phrases: usize,
) -> Result<(Vec<PhraseRow>, usize), Error> {
    let chosen = analysis.to_explain();
    let options = KeyPhrases { reviews_per_key: u64::MAX, phrases, min_reviews: MIN_REVIEWS };
    let texts = chosen.iter().map(|(product, text)| (product.map(|at| at.to_string()), (*text).to_owned()));
    let found = key_phrases::of_texts(model, &options, texts)?;
    let row = |(key, phrase, sentiment, reviews, contribution, example): key_phrases::Row| {
        let product = key.as_deref().and_then(|key| key.parse().ok());
        PhraseRow {
            scope: if key.is_some() { "product" } else { "all" },
            product: product.and_then(|product| analysis.product(product)).map(str::to_owned),
            phrase,
            sentiment,
            reviews: u64::try_from(reviews).unwrap_or_default(),
            contribution,
            example,
        }
    };
    Ok((found.into_iter().map(row).collect(), chosen.len()))
}
