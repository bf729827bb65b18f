//! Two columns against each other: what was predicted, and what is.
//!
//! Both of a numeric type, and one of them at least not of an integer type, are numbers and measured as a regression.
//! All else is classes, equal where their text is. Invariant: numbers are never compared with words.

use std::collections::HashMap;
use std::ffi::CStr;

use ecommerce_ml_metrics::report::{self, Metric};
use ecommerce_ml_metrics::{Confusion, Regression};
use ecommerce_ml_protocol::text::lookalikes;
use pgrx::spi::{self, SpiHeapTupleData};

use super::measure::require_rows;
use crate::error::Error;
use crate::relation::{Column, Kind, Relation};
use crate::rows;

/// Most classes: their matrix has a million cells then.
const MAX_CLASSES: usize = 1000;

/// Characters of a class that an error shows.
const MAX_SHOWN_CHARS: usize = 100;

/// Metrics of the predictions in a relation.
///
/// # Errors
/// Those of [`Relation`], [`Error::ColumnsUnlike`], [`Error::TooManyClasses`], [`Error::NotFinite`], [`Error::LabelsAlike`],
/// [`Error::NothingToEvaluate`].
pub fn compare(relation: &Relation, predicted: &CStr, actual: &CStr) -> Result<Vec<Metric>, Error> {
    let (predicted, actual) = (relation.column(predicted)?, relation.column(actual)?);
    if are_numbers(&predicted, &actual)? {
        numbers(relation, &predicted, &actual)
    } else {
        classes(relation, &predicted, &actual)
    }
}

fn are_numbers(predicted: &Column, actual: &Column) -> Result<bool, Error> {
    let kinds = [predicted.kind()?, actual.kind()?];
    let any_fractional = kinds.iter().any(|kind| matches!(kind, Kind::Decimal | Kind::Float));
    let any_textual = kinds.iter().any(|kind| matches!(kind, Kind::Text | Kind::Truth));
    if any_fractional && any_textual { Err(predicted.unlike(actual)) } else { Ok(any_fractional) }
}

fn numbers(relation: &Relation, predicted: &Column, actual: &Column) -> Result<Vec<Metric>, Error> {
    let (predicted, actual) = (predicted.as_number()?, actual.as_number()?);
    let query = format!("SELECT {predicted}, {actual} FROM {} AS t", relation.from());
    let (mut regression, mut skipped) = (Regression::default(), 0);
    rows::for_each(&query, &[], rows::read_pair::<f64, f64>, |row| match row {
        (Some(predicted), Some(actual)) => regression.add(actual, predicted).map_err(|_| Error::NotFinite),
        _ => {
            skipped += 1;
            Ok(())
        }
    })?;
    require_rows(regression.rows(), skipped)?;
    Ok(report::of_numbers(&regression, skipped))
}

/// Rows that have this predicted and this actual class.
type Group = (Option<String>, Option<String>, u64);

fn read_group(row: &SpiHeapTupleData<'_>) -> spi::Result<Group> {
    let rows = row.get::<i64>(3)?.unwrap_or_default();
    Ok((row.get(1)?, row.get(2)?, u64::try_from(rows).unwrap_or_default()))
}

fn classes(relation: &Relation, predicted: &Column, actual: &Column) -> Result<Vec<Metric>, Error> {
    let (predicted, actual) = (predicted.as_label()?, actual.as_label()?);
    let query = format!(
        "SELECT {predicted}, {actual}, pg_catalog.count(*) FROM {} AS t GROUP BY 1, 2",
        relation.from()
    );
    let (mut names, mut skipped) = (ClassNames::default(), 0);
    let mut groups = Vec::new();
    rows::for_each(&query, &[], read_group, |group| match group {
        (Some(predicted), Some(actual), rows) => {
            groups.push((names.number(predicted)?, names.number(actual)?, rows));
            Ok(())
        }
        (_, _, rows) => {
            skipped += rows;
            Ok(())
        }
    })?;
    let (names, positions) = names.sorted();
    refuse_alike(&names)?;
    let mut confusion = Confusion::new(names.len());
    for (predicted, actual, rows) in groups {
        confusion
            .add(positions[actual], positions[predicted], rows)
            .map_err(|_| Error::Unexpected("a new class"))?;
    }
    require_rows(confusion.total(), skipped)?;
    Ok(report::of_classes(&names, &confusion, skipped))
}

/// Refuses names that no reader would tell apart: rows of one class would count as wrong.
fn refuse_alike(names: &[String]) -> Result<(), Error> {
    let groups = lookalikes(names.iter().map(String::as_str));
    let shown = |name: &&str| name.chars().take(MAX_SHOWN_CHARS).collect();
    match groups.first() {
        Some(group) => Err(Error::LabelsAlike(group.iter().map(shown).collect())),
        None => Ok(()),
    }
}

/// Names of classes, numbered as they come.
#[derive(Default)]
struct ClassNames(HashMap<String, usize>);

impl ClassNames {
    fn number(&mut self, name: String) -> Result<usize, Error> {
        let next = self.0.len();
        let number = *self.0.entry(name).or_insert(next);
        if number < MAX_CLASSES { Ok(number) } else { Err(Error::TooManyClasses(MAX_CLASSES)) }
    }

    /// All names in order, and the position of each number among them. Whole numbers are in their own order.
    fn sorted(self) -> (Vec<String>, Vec<usize>) {
        let mut all: Vec<(String, usize)> = self.0.into_iter().collect();
        all.sort_by_cached_key(|(name, _)| (name.parse::<i64>().unwrap_or(i64::MAX), name.clone()));
        let mut positions = vec![0; all.len()];
        for (position, (_, number)) in all.iter().enumerate() {
            positions[*number] = position;
        }
        (all.into_iter().map(|(name, _)| name).collect(), positions)
    }
}
