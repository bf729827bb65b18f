//! What to know of columns before anything is learned from them: those that tell the label alone, as columns do that are known only
//! afterwards, and those that tell nothing.
//!
//! It must not know models. Invariant: what is found depends on the rows alone, not on their order in dictionaries.

use std::collections::{BTreeMap, BTreeSet};

use ecommerce_ml_protocol::training::Findings;
use ecommerce_ml_protocol::{EngineError, Field};
use ecommerce_ml_training::Targets;

use crate::columns::{Cells, refused};

/// From which area under the curve on a column is told of.
const SUSPICIOUS: f64 = 0.99;

/// Most rows that are looked at: an area of .99 shows in far fewer.
const MOST_ROWS: usize = 50_000;

/// Most classes that are looked at.
const MOST_CLASSES: usize = 10;

/// Least rows of a column of which it is told that its texts are all different.
const LEAST_TEXTS: usize = 20;

/// The names of columns that tell the label of these rows alone.
pub(crate) fn leaking_columns(
    fields: &[Field],
    cells: &[Cells<'_>],
    rows: &[usize],
    targets: &Targets,
) -> Vec<String> {
    let classes = targets.labels().len();
    if !(2..=MOST_CLASSES).contains(&classes) {
        return Vec::new();
    }
    let step = rows.len().div_ceil(MOST_ROWS).max(1);
    let rows: Vec<usize> = rows.iter().copied().step_by(step).collect();
    let wanted = if classes == 2 { 1..2 } else { 0..classes };
    let leaks = |(_, cells): &(&Field, &Cells<'_>)| {
        let areas = wanted.clone().filter_map(|class| {
            let is_of_class: Vec<bool> =
                rows.iter().map(|&row| targets.class(row) as usize == class).collect();
            area(values(cells, &rows, &is_of_class).into_iter().zip(is_of_class).collect())
        });
        let areas: Vec<f64> = areas.collect();
        !areas.is_empty() && areas.iter().all(|area| *area > SUSPICIOUS)
    };
    fields.iter().zip(cells).filter(leaks).map(|(field, _)| field.name.clone()).collect()
}

/// Adds the columns that tell nothing of other rows. `read` are the places of texts that a text model reads, which are no
/// categories.
pub(crate) fn add_useless_columns(
    findings: &mut Findings,
    fields: &[Field],
    cells: &[Cells<'_>],
    (rows, read): (&[usize], &[usize]),
) {
    for (place, (field, cells)) in fields.iter().zip(cells).enumerate() {
        if is_constant(cells, rows) {
            findings.constant_columns.push(field.name.clone());
        } else if !read.contains(&place) && is_distinct(cells, rows) {
            findings.distinct_columns.push(field.name.clone());
        }
    }
}

/// Refuses columns that all never change.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`].
pub(crate) fn refuse_constants(findings: &Findings, fields: &[Field]) -> Result<(), EngineError> {
    if findings.constant_columns.len() < fields.len() {
        return Ok(());
    }
    let names: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.name)).collect();
    Err(refused("no column to learn from ever changes")
        .with_detail(format!("Columns that have one value in all rows, or none: {}.", names.join(", "))))
}

/// What tells of each row whether it is of a class: a number itself; of a text how many of the other half of the rows with the same
/// one are, so that no row speaks for itself. NaN where there is no number.
fn values(cells: &Cells<'_>, rows: &[usize], is_of_class: &[bool]) -> Vec<f64> {
    let Cells::Texts { .. } = cells else {
        return rows.iter().map(|&row| cells.number(row).unwrap_or(f64::NAN)).collect();
    };
    let mut counts: BTreeMap<(Option<&str>, usize), (f64, f64)> = BTreeMap::new();
    for (at, (&row, of_class)) in rows.iter().zip(is_of_class).enumerate() {
        let (all, of) = counts.entry((text(cells, row), at % 2)).or_default();
        *all += 1.0;
        *of += f64::from(u8::from(*of_class));
    }
    let share = is_of_class.iter().filter(|of_class| **of_class).count() as f64 / rows.len().max(1) as f64;
    let value = |(at, &row): (usize, &usize)| {
        let (all, of) = counts.get(&(text(cells, row), 1 - at % 2)).copied().unwrap_or_default();
        (of + share) / (all + 1.0)
    };
    rows.iter().enumerate().map(value).collect()
}

fn text<'a>(cells: &Cells<'a>, row: usize) -> Option<&'a str> {
    let Cells::Texts { dictionary, codes } = *cells else { return None };
    dictionary.get(codes.get(row).copied().flatten()? as usize).map(String::as_str)
}

fn is_constant(cells: &Cells<'_>, rows: &[usize]) -> bool {
    // A dictionary may have a text twice, if rows came in parts.
    let same = |one: usize, other: usize| {
        cells.number(one) == cells.number(other) && text(cells, one) == text(cells, other)
    };
    rows.windows(2).all(|pair| matches!(pair, &[one, other] if same(one, other)))
}

/// Whether next to all texts are different: fewer than one in twenty is there before.
fn is_distinct(cells: &Cells<'_>, rows: &[usize]) -> bool {
    let texts: Vec<&str> = rows.iter().filter_map(|&row| text(cells, row)).collect();
    let count = texts.len();
    count >= LEAST_TEXTS && 20 * texts.into_iter().collect::<BTreeSet<_>>().len() >= 19 * count
}

/// The area under the curve of a value, in the direction in which it is larger; a missing value is below all others. None if all
/// are of one kind.
fn area(mut values: Vec<(f64, bool)>) -> Option<f64> {
    let key = |value: f64| if value.is_nan() { f64::NEG_INFINITY } else { value };
    values.sort_by(|one, other| key(one.0).total_cmp(&key(other.0)));
    let positives = values.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = values.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut below, mut pairs) = (0.0, 0.0);
    for tied in values.chunk_by(|one, other| key(one.0) == key(other.0)) {
        let positive = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        let negative = tied.len() as f64 - positive;
        pairs += positive * (below + negative / 2.0);
        below += negative;
    }
    let area = pairs / (positives * negatives);
    Some(area.max(1.0 - area))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use ecommerce_ml_protocol::ValueType;
    use ecommerce_ml_protocol::training::{Label, Objective};

    use super::*;

    #[test]
    fn areas_count_ties_as_half() {
        let of = |values: &[(f64, bool)]| area(values.to_vec());
        assert_eq!(of(&[(1.0, false), (2.0, true)]), Some(1.0));
        assert_eq!(of(&[(2.0, false), (1.0, true)]), Some(1.0));
        assert_eq!(of(&[(1.0, false), (1.0, true)]), Some(0.5));
        assert_eq!(of(&[(f64::NAN, false), (1.0, true), (2.0, false), (3.0, true)]), Some(0.75));
        assert_eq!(of(&[(1.0, true), (2.0, true)]), None);
    }

    #[test]
    fn columns_that_tell_all_and_columns_that_tell_nothing_are_found() {
        let rows: Vec<usize> = (0..60).collect();
        let labels: Vec<Label> =
            rows.iter().map(|row| Label::Class(["no", "yes"][row / 7 % 2].to_owned())).collect();
        let targets = Targets::read(Objective::Classification, &labels, None).unwrap();
        let words: Vec<String> = ["cash", "card", "gift", "card"].map(str::to_owned).to_vec();
        // Which one of two tells the label; the dictionary has one of them twice.
        let telling: Vec<Option<u32>> = rows
            .iter()
            .map(|row| Some(if row / 7 % 2 == 0 { 0 } else { 1 + 2 * (*row as u32 % 2) }))
            .collect();
        let chance: Vec<Option<u32>> = rows.iter().map(|row| Some(*row as u32 % 2)).collect();
        let card: Vec<Option<u32>> = rows.iter().map(|row| Some(1 + 2 * (*row as u32 % 2))).collect();
        let names: Vec<String> = rows.iter().map(|row| format!("customer {row}")).collect();
        let own: Vec<Option<u32>> = rows.iter().map(|row| Some(*row as u32)).collect();
        let refunded: Vec<Option<f64>> = rows.iter().map(|row| (row / 7 % 2 == 1).then_some(5.0)).collect();
        let (seven, nothing) = (vec![Some(7.0); 60], vec![None; 60]);
        let sometimes: Vec<Option<f64>> = rows.iter().map(|row| (row % 3 > 0).then_some(7.0)).collect();
        let texts = |codes| Cells::Texts { dictionary: &words, codes };
        let columns = [
            ("telling", texts(&telling)),
            ("chance", texts(&chance)),
            ("card", texts(&card)),
            ("name", Cells::Texts { dictionary: &names, codes: &own }),
            ("refunded", Cells::Numbers(&refunded)),
            ("seven", Cells::Numbers(&seven)),
            ("nothing", Cells::Numbers(&nothing)),
            ("sometimes", Cells::Numbers(&sometimes)),
        ];
        let field = |name: &str| Field { name: name.to_owned(), value_type: ValueType::Text };
        let fields: Vec<Field> = columns.iter().map(|(name, _)| field(name)).collect();
        let cells: Vec<Cells<'_>> = columns.iter().map(|(_, cells)| *cells).collect();
        assert_eq!(leaking_columns(&fields, &cells, &rows, &targets), ["telling", "refunded"]);
        let mut findings = Findings::default();
        add_useless_columns(&mut findings, &fields, &cells, (&rows, &[]));
        assert_eq!(findings.constant_columns, ["card", "seven", "nothing"]);
        assert_eq!(findings.distinct_columns, ["name"]);
        assert!(refuse_constants(&findings, &fields).is_ok());
        assert!(refuse_constants(&findings, &fields[..3]).is_err());
        let mut findings = Findings::default();
        add_useless_columns(&mut findings, &fields, &cells, (&rows, &[3]));
        assert!(findings.distinct_columns.is_empty(), "a text model reads it");
    }
}
