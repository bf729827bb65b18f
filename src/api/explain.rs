//! What made predictions.

use std::ffi::CStr;

use ecommerce_ml_protocol::{Input, Output, Prediction, Task};
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, name, pg_extern, pg_getarg, pg_getarg_datum, pg_sys};

use super::columns::column_name;
use super::options::Options;
use super::row::{input_error, single_row};
use crate::error::Error;
use crate::explanation::input::{self, Feature};
use crate::explanation::key_phrases::{self, KeyPhrases};
use crate::explanation::model;
use crate::inference::{InputKind, answer, columns_of, model_of};
use crate::relation::Relation;

/// What each token of a text contributes. Of no text there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn explain_prediction(
    review: Option<&str>,
    model: Option<&str>,
    label: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (name!(token, String), name!(start, i32), name!(length, i32), name!(contribution, f32)),
    >,
    ErrorReport,
> {
    let Some(review) = review else { return Ok(TableIterator::empty()) };
    Ok(TableIterator::new(input::of_text(review, model, label)?))
}

type Features =
    TableIterator<'static, (name!(feature, String), name!(value, Option<String>), name!(contribution, f64))>;

/// What each column of a row of any composite type contributes.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn explain_prediction_of_record(
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<
    TableIterator<'static, (name!(feature, String), name!(value, Option<String>), name!(contribution, f64))>,
    ErrorReport,
> {
    features(fcinfo, InputKind::Record)
}

/// The same of an object of jsonb.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn explain_prediction_of_jsonb(
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<
    TableIterator<'static, (name!(feature, String), name!(value, Option<String>), name!(contribution, f64))>,
    ErrorReport,
> {
    features(fcinfo, InputKind::Json)
}

/// Of a row, which is the first argument; model and label come after it.
fn features(fcinfo: pg_sys::FunctionCallInfo, kind: InputKind) -> Result<Features, ErrorReport> {
    // SAFETY: the server called us with these arguments.
    let (row, name, label) =
        unsafe { (pg_getarg_datum(fcinfo, 0), pg_getarg::<&str>(fcinfo, 1), pg_getarg::<&str>(fcinfo, 2)) };
    let Some((row, name)) = row.zip(name) else { return Ok(TableIterator::empty()) };
    let model = model_of(Some(name))?;
    let fields = columns_of(&model)?;
    // SAFETY: the function's first argument is of a type of this kind.
    let rows = unsafe { single_row(kind, row, &fields) }.map_err(|error| input_error(&model, error))?;
    let features: Vec<Feature> = input::of_row(&model, rows, label)?;
    Ok(TableIterator::new(features))
}

/// What a model goes by: each column that it reads, and its part; of series, trend, season, remainder and methods.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn explain_model(
    model: &str,
) -> Result<TableIterator<'static, (name!(feature, String), name!(importance, f64))>, ErrorReport> {
    let model = model_of(Some(model))?;
    if model.signature.task() != Task::Forecast {
        columns_of(&model)?;
    }
    Ok(TableIterator::new(model::importance(&model)?))
}

type Intervals = TableIterator<'static, (name!(value, f64), name!(lower, f64), name!(upper, f64))>;

/// Where the actual value of a row of any composite type is expected.
#[pg_extern]
fn predict_interval_of_record(
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<TableIterator<'static, (name!(value, f64), name!(lower, f64), name!(upper, f64))>, ErrorReport> {
    interval(fcinfo, InputKind::Record)
}

/// The same of an object of jsonb.
#[pg_extern]
fn predict_interval_of_jsonb(
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<TableIterator<'static, (name!(value, f64), name!(lower, f64), name!(upper, f64))>, ErrorReport> {
    interval(fcinfo, InputKind::Json)
}

/// What an interval is of whose function is at this address.
pub fn interval_at(address: usize) -> Option<InputKind> {
    let of_record = predict_interval_of_record_wrapper as *const () as usize;
    let of_jsonb = predict_interval_of_jsonb_wrapper as *const () as usize;
    match address {
        _ if address == of_record => Some(InputKind::Record),
        _ if address == of_jsonb => Some(InputKind::Json),
        _ => None,
    }
}

/// The interval of a prediction, the numbers of which are the value or the probability of each class. The executor takes intervals of
/// rows apart so, to ask for the predictions of many rows at once.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn interval_of(
    prediction: Vec<Option<f64>>,
    model: &str,
    level: f64,
) -> Result<TableIterator<'static, (name!(value, f64), name!(lower, f64), name!(upper, f64))>, ErrorReport> {
    check_level(level)?;
    let model = model_of(Some(model))?;
    columns_of(&model)?;
    let numbers: Vec<f64> = prediction.into_iter().flatten().collect();
    let labels = &model.signature.labels;
    let probabilities: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
    let prediction = match numbers.as_slice() {
        &[value] if labels.is_empty() => Prediction::Number(value),
        all if all.len() == labels.len() => Prediction::Class { labels, probabilities: &probabilities },
        _ => {
            let expected = "what prediction_of() says by this model";
            return Err(Error::ArgumentValue { argument: "prediction", expected }.into());
        }
    };
    Ok(TableIterator::once(model::interval(&model, prediction, level)?))
}

fn check_level(level: f64) -> Result<(), Error> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    Err(Error::ArgumentValue { argument: "level", expected: "between 0 and 1, both excluded" })
}

/// Of a row, which is the first argument; model and level come after it. The functions are strict.
fn interval(fcinfo: pg_sys::FunctionCallInfo, kind: InputKind) -> Result<Intervals, ErrorReport> {
    // SAFETY: the server called us with these arguments.
    let (row, name, level) =
        unsafe { (pg_getarg_datum(fcinfo, 0), pg_getarg::<&str>(fcinfo, 1), pg_getarg::<f64>(fcinfo, 2)) };
    let (Some((row, name)), Some(level)) = (row.zip(name), level) else { return Ok(TableIterator::empty()) };
    check_level(level)?;
    let model = model_of(Some(name))?;
    let fields = columns_of(&model)?;
    // SAFETY: the function's first argument is of a type of this kind.
    let rows = unsafe { single_row(kind, row, &fields) }.map_err(|error| input_error(&model, error))?;
    let answers = answer(Output::Prediction, &model, Input::Rows(rows))?;
    let Some(prediction) = answers.prediction(0)? else { return Ok(TableIterator::empty()) };
    Ok(TableIterator::once(model::interval(&model, prediction, level)?))
}

/// Options of [`key_phrases`].
const OPTIONS: &str = "reviews_per_key, phrases, min_reviews";

/// The phrases that drive what a model says of the texts of each key. Without a relation or a text there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn key_phrases(
    relation: Option<pg_sys::Oid>,
    text_column: Option<&CStr>,
    key_column: Option<&CStr>,
    model: Option<&str>,
    options: Option<JsonB>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(key, Option<String>),
            name!(phrase, String),
            name!(sentiment, String),
            name!(reviews, i64),
            name!(contribution, f64),
            name!(example, String),
        ),
    >,
    ErrorReport,
> {
    let Some((relation, text)) = relation.zip(text_column) else { return Ok(TableIterator::empty()) };
    let options = read_options(options)?;
    let relation = Relation::open(relation)?;
    let text = relation.column_named(&column_name(text))?;
    let key = key_column.map(|key| relation.column_named(&column_name(key))).transpose()?;
    let rows = key_phrases::find(&relation, (&text, key.as_ref()), model, &options)?;
    let row = |(key, phrase, sentiment, reviews, contribution, example): key_phrases::Row| {
        (key, phrase, sentiment.to_owned(), reviews, contribution, example)
    };
    Ok(TableIterator::new(rows.into_iter().map(row).collect::<Vec<_>>()))
}

fn read_options(options: Option<JsonB>) -> Result<KeyPhrases, Error> {
    let options = Options::read(options.map_or_else(|| serde_json::json!({}), |json| json.0), OPTIONS)?;
    let count = |name| options.count(name, 1, "a whole number of at least 1");
    let phrases = count("phrases")?.unwrap_or(10);
    Ok(KeyPhrases {
        // As many as row numbers can be compared with.
        reviews_per_key: count("reviews_per_key")?.unwrap_or(100).min(i64::MAX.unsigned_abs()),
        phrases: usize::try_from(phrases).unwrap_or(usize::MAX),
        min_reviews: count("min_reviews")?.unwrap_or(2),
    })
}
