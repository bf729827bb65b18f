//! What made the prediction for one text or row.
//!
//! Invariant: positions are those of `substr` in the text as it was given.

use std::ffi::CStr;
use std::rc::Rc;

use ecommerce_ml_protocol::{Contributions, Explanation, Input, MemberContribution, Output, Rows, Values};
use pgrx::pg_sys;

use super::class_of;
use crate::catalog::resolve::Resolved;
use crate::columns::EPOCH;
use crate::error::Error;
use crate::inference::{answer, check_length, model_of, require_text};

/// A part of a text and what it contributes: the part, its place from 1 on and its length in characters.
pub type Token = (String, i32, i32, f32);

/// A column of a row, its value, and what it contributes.
pub type Feature = (String, Option<String>, f64);

/// The tokens of a text in their order; none of a blank one.
///
/// # Errors
/// [`Error::TextTooLong`], [`Error::ReadsColumns`], those of [`class_of`] and of the engine.
pub fn of_text(review: &str, model: Option<&str>, label: Option<&str>) -> Result<Vec<Token>, Error> {
    check_length(review)?;
    let model = model_of(model)?;
    require_text(&model)?;
    let output = Output::Contributions { class: class_of(&model, label)? };
    let answers = answer(output, &model, Input::Texts(vec![review.to_owned()]))?;
    let Some(Explanation { contributions: Contributions::Spans(spans), .. }) = answers.explanation(0)? else {
        return Ok(Vec::new());
    };
    let mut characters = review.chars();
    let mut at = 0;
    let token = |span: &ecommerce_ml_protocol::SpanContribution| {
        let (start, length) = (span.start as usize, span.length as usize);
        let skipped = start.checked_sub(at).ok_or(UNEXPECTED)?;
        let token = characters.by_ref().skip(skipped).take(length).collect();
        at = start + length;
        let number = |count: u32| i32::try_from(count).map_err(|_| UNEXPECTED);
        Ok((token, number(span.start)? + 1, number(span.length)?, span.contribution))
    };
    spans.iter().map(token).collect()
}

/// The columns that a model reads of a row, or its members with what they say, those first that contribute the most.
///
/// # Errors
/// Those of [`class_of`] and of the engine.
pub fn of_row(model: &Rc<Resolved>, rows: Rows, label: Option<&str>) -> Result<Vec<Feature>, Error> {
    let output = Output::Contributions { class: class_of(model, label)? };
    let answers = answer(output, model, Input::Rows(rows.clone()))?;
    let mut features: Vec<Feature> = match answers.explanation(0)? {
        Some(Explanation { contributions: Contributions::Columns(columns), .. }) => {
            let names = model.columns.iter().flat_map(|fields| fields.iter()).map(|field| &field.name);
            let feature = |(name, contribution): (&String, &f64)| {
                (name.clone(), rows.column(name).and_then(shown), *contribution)
            };
            names.zip(columns).map(feature).collect()
        }
        Some(Explanation { contributions: Contributions::Members(members), .. }) => {
            let feature = |part: &MemberContribution| {
                (part.member.clone(), part.says.map(|says| says.to_string()), part.contribution)
            };
            members.iter().map(feature).collect()
        }
        // None of its members has anything to read.
        None if model.info.get("parts").is_some() => Vec::new(),
        Some(Explanation { contributions: Contributions::Spans(_), .. }) | None => return Err(UNEXPECTED),
    };
    features.sort_by(|(_, _, one), (_, _, other)| other.abs().total_cmp(&one.abs()));
    Ok(features)
}

/// The first value of a column, as SQL shows it.
fn shown(values: &Values) -> Option<String> {
    match values {
        Values::Text { dictionary, codes } => dictionary.get((*codes.first()?)? as usize).cloned(),
        Values::Number(values) => values.first().copied().flatten().map(|value| value.to_string()),
        Values::Boolean(values) => values.first().copied().flatten().map(|value| value.to_string()),
        Values::Timestamp(values) => {
            let microseconds = values.first().copied().flatten()?.saturating_sub(EPOCH);
            // SAFETY: any number is a timestamp or shown as infinite; the text is the server's own, and copied.
            let text = unsafe { CStr::from_ptr(pg_sys::timestamptz_to_str(microseconds)) };
            Some(text.to_string_lossy().into_owned())
        }
    }
}

const UNEXPECTED: Error = Error::Unexpected("an explanation that does not fit its input");
