//! The SQL type `review_summary`: an accumulator as a row, and back.
//!
//! It must not know how an accumulator was made. Invariant: what is read adds up, whoever wrote it; what doesn't is refused.

use pgrx::heap_tuple::PgHeapTuple;
use pgrx::pg_sys::{self, Datum};
use pgrx::{AllocatedByRust, Array, IntoDatum, PgTupleDesc};

use super::accumulator::Accumulator;
use crate::error::Error;

/// A row of the type that the called function returns.
///
/// # Errors
/// [`Error::CountOutOfRange`], or [`Error::Unexpected`] if the type isn't ours.
pub fn row(
    accumulator: &Accumulator,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<PgHeapTuple<'static, AllocatedByRust>, Error> {
    let mut descriptor = std::ptr::null_mut();
    // SAFETY: the server called us with this, and the descriptor it makes is a copy, ours to free.
    let descriptor = unsafe {
        let class = pg_sys::get_call_result_type(fcinfo, std::ptr::null_mut(), &raw mut descriptor);
        if class != pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE {
            return Err(Error::Unexpected("a summary of reviews is a row"));
        }
        PgTupleDesc::from_pg_is_copy(descriptor)
    };
    // SAFETY: these are the attributes of review_summary, of which alone our functions are declared.
    let row = unsafe { PgHeapTuple::from_datums(descriptor, columns(accumulator)?) };
    row.map_err(|_| Error::Unexpected("other attributes of review_summary"))
}

fn columns(accumulator: &Accumulator) -> Result<[Option<Datum>; 7], Error> {
    let [negative, neutral, positive] = accumulator.sentiments();
    Ok([
        accumulator.reviews()?.into_datum(),
        negative.into_datum(),
        neutral.into_datum(),
        positive.into_datum(),
        accumulator.mean_score().into_datum(),
        accumulator.mean_rating().into_datum(),
        accumulator.stars().map(|stars| stars.to_vec()).into_datum(),
    ])
}

/// What a row says, or `None` if all of it is NULL, as SQL's `IS NULL` understands it.
///
/// # Errors
/// [`Error::MalformedSummary`].
pub fn read(row: &PgHeapTuple<'_, AllocatedByRust>) -> Result<Option<Accumulator>, Error> {
    let counts = COUNTS.map(|name| count(row, name));
    let (score, rating) = (mean(row, "mean_score")?, mean(row, "mean_rating")?);
    let stars = stars(row)?;
    let [reviews, sentiments @ ..] = match counts {
        [Ok(None), Ok(None), Ok(None), Ok(None)]
            if score.is_none() && rating.is_none() && stars.is_none() =>
        {
            return Ok(None);
        }
        [reviews, negative, neutral, positive] => {
            [required(reviews?, 0)?, required(negative?, 1)?, required(neutral?, 2)?, required(positive?, 3)?]
        }
    };
    let rated = stars.unwrap_or_default();
    require(total(&sentiments) == i128::from(reviews), || {
        format!(
            "{reviews} reviews are not the sum of {} negative, {} neutral and {} positive ones.",
            sentiments[0], sentiments[1], sentiments[2]
        )
    })?;
    require(total(&rated) <= i128::from(reviews), || {
        format!("stars count {} reviews of {reviews}.", total(&rated))
    })?;
    let score = weighable(score, reviews > 0, "mean_score", -1.0, 1.0)?;
    let rating = weighable(rating, total(&rated) > 0, "mean_rating", 1.0, 5.0)?;
    Ok(Some(Accumulator::from_means(sentiments, rated, score, rating)))
}

const COUNTS: [&str; 4] = ["reviews", "negative", "neutral", "positive"];

fn count(row: &PgHeapTuple<'_, AllocatedByRust>, name: &str) -> Result<Option<i64>, Error> {
    row.get_by_name::<i64>(name).map_err(|_| FOREIGN)
}

fn mean(row: &PgHeapTuple<'_, AllocatedByRust>, name: &str) -> Result<Option<f64>, Error> {
    row.get_by_name::<f64>(name).map_err(|_| FOREIGN)
}

const FOREIGN: Error = Error::Unexpected("not a review_summary");

fn stars(row: &PgHeapTuple<'_, AllocatedByRust>) -> Result<Option<[i64; 5]>, Error> {
    let Some(stars) = row.get_by_name::<Array<'_, i64>>("stars").map_err(|_| FOREIGN)? else {
        return Ok(None);
    };
    let found = stars.len();
    let stars: Option<Vec<i64>> = stars.iter().collect();
    let stars = stars.ok_or_else(|| malformed("An element of stars is null.".to_owned()))?;
    let stars: [i64; 5] =
        stars.try_into().map_err(|_| malformed(format!("stars has {found} elements instead of 5.")))?;
    stars.iter().try_for_each(|count| not_negative(*count, "An element of stars"))?;
    Ok(Some(stars))
}

fn required(count: Option<i64>, index: usize) -> Result<i64, Error> {
    let name = COUNTS.get(index).copied().unwrap_or_default();
    let count = count.ok_or_else(|| malformed(format!("{name} is null.")))?;
    not_negative(count, name)?;
    Ok(count)
}

fn not_negative(count: i64, name: &str) -> Result<(), Error> {
    require(count >= 0, || format!("{name} is {count}, less than 0."))
}

/// A mean that reviews stand behind; 0 where none do.
fn weighable(mean: Option<f64>, counted: bool, name: &str, least: f64, most: f64) -> Result<f64, Error> {
    match mean {
        None if counted => Err(malformed(format!("{name} is null although reviews were counted for it."))),
        Some(_) if !counted => {
            Err(malformed(format!("{name} is given although no review was counted for it.")))
        }
        None => Ok(0.0),
        Some(mean) if (least..=most).contains(&mean) => Ok(mean),
        Some(mean) => Err(malformed(format!("{name} is {mean}, not between {least} and {most}."))),
    }
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(malformed(otherwise())) }
}

fn malformed(detail: String) -> Error {
    Error::MalformedSummary(detail)
}

fn total(counts: &[i64]) -> i128 {
    counts.iter().map(|count| i128::from(*count)).sum()
}
