//! What many reviews say, in tables and on a page.

use std::ffi::CStr;

use ecommerce_ml_aspects::aspects::Aspects;
use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_report::input::{MOST_TOPICS, Settings};
use ecommerce_ml_report::report::Report;
use ecommerce_ml_report::{numbers, page, sections};
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, name, pg_extern, pg_sys};

use super::columns::column_name;
use super::options::Options;
use crate::error::Error;
use crate::relation::Relation;
use crate::reporting::{self, Columns, Question};

/// Options of a report.
const OPTIONS: &str =
    "rating_column, model, period, until, sample, alpha, products, phrases, examples, explain, topics, title";

/// The report as rows. Without a relation or a text there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn report_reviews(
    relation: Option<pg_sys::Oid>,
    text_column: Option<&CStr>,
    product_column: Option<&CStr>,
    time_column: Option<&CStr>,
    options: Option<JsonB>,
) -> Result<
    TableIterator<'static, (name!(section, String), name!(title, String), name!(body, JsonB))>,
    ErrorReport,
> {
    let Some((relation, text)) = relation.zip(text_column) else { return Ok(TableIterator::empty()) };
    let report = report(relation, [Some(text), product_column, time_column], options)?;
    let rows = sections::sections(&report).into_iter();
    let row = |row: sections::Section| (row.section.to_owned(), row.title, JsonB(row.body));
    Ok(TableIterator::new(rows.map(row).collect::<Vec<_>>()))
}

/// The report as an HTML page; NULL without a relation or a text.
#[pg_extern]
fn render_report(
    relation: Option<pg_sys::Oid>,
    text_column: Option<&CStr>,
    product_column: Option<&CStr>,
    time_column: Option<&CStr>,
    options: Option<JsonB>,
) -> Result<Option<String>, ErrorReport> {
    let Some((relation, text)) = relation.zip(text_column) else { return Ok(None) };
    let report = report(relation, [Some(text), product_column, time_column], options)?;
    Ok(Some(page::page(&report)))
}

/// Of a relation, its columns of texts, products and times.
fn report(relation: pg_sys::Oid, names: [Option<&CStr>; 3], options: Option<JsonB>) -> Result<Report, Error> {
    let options = Options::read(options.map_or_else(|| serde_json::json!({}), |json| json.0), OPTIONS)?;
    let topics = topics(&options)?;
    let settings = settings(&options, topics.names().to_vec())?;
    let expected = "\"day\", \"week\", \"month\", \"quarter\" or \"year\"";
    let read = |name: &str| Period::named(name).filter(|period| *period != Period::Hour);
    let period = options.text("period", expected, read)?;
    let until = options.text("until", "a date as YYYY-MM-DD", numbers::day)?;
    let sample = options.count_in("sample", 1..=100_000, "a whole number from 1 to 100000")?;
    let any = |name: &str| Some(name.to_owned());
    let (rating, model) = (
        options.text("rating_column", "the name of a column", any)?,
        options.text("model", "the name of a model", any)?,
    );
    let relation = Relation::open(relation)?;
    let column = |name: &CStr| relation.column_named(&column_name(name));
    let [text, product, time] = names.map(|name| name.map(column).transpose());
    let (text, product, time) = (text?, product?, time?);
    let rating = rating.map(|rating| relation.column_named(&rating)).transpose()?;
    let text = text.ok_or(Error::ArgumentNull("text_column"))?;
    reporting::report(Question {
        columns: Columns {
            relation: &relation,
            text: &text,
            product: product.as_ref(),
            time: time.as_ref(),
            rating: rating.as_ref(),
        },
        model: model.as_deref(),
        period,
        until,
        sample: sample.unwrap_or(10_000),
        topics: &topics,
        settings,
    })
}

/// What clauses may speak of.
fn topics(options: &Options) -> Result<Aspects, Error> {
    let expected =
        "an object of 1 to 64 topics, each an array of words and phrases, which may end with an asterisk";
    let own = options.lists("topics", expected, MOST_TOPICS, is_term)?;
    Ok(own.map_or_else(Aspects::of_shops, Aspects::of_terms))
}

fn settings(options: &Options, topics: Vec<String>) -> Result<Settings, Error> {
    let size = |name, range, expected, other: u64| -> Result<usize, Error> {
        Ok(usize::try_from(options.count_in(name, range, expected)?.unwrap_or(other)).unwrap_or(usize::MAX))
    };
    Ok(Settings {
        title: options.text("title", "a text", |title| Some(title.to_owned()))?,
        alpha: options.rate("alpha")?.unwrap_or(0.05),
        products: size("products", 1..=1000, "a whole number from 1 to 1000", 10)?,
        phrases: size("phrases", 1..=100, "a whole number from 1 to 100", 10)?,
        examples: size("examples", 0..=20, "a whole number from 0 to 20", 2)?,
        explain: size("explain", 0..=1000, "a whole number from 0 to 1000", 0)?,
        topics,
    })
}

/// Whether a term of a topic is one that texts may have: words with spaces between them.
fn is_term(term: &str) -> bool {
    let term = term.strip_suffix('*').unwrap_or(term);
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|one| one.is_alphanumeric() || one == '\'');
    term.split(' ').all(is_word)
}
