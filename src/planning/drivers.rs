//! Which segments of rows explain that a metric differs between two groups, or two periods.
//!
//! Invariant: the server counts the rows of all segments in one statement, and returns those that have enough rows only.

use std::collections::HashMap;

use ecommerce_ml_metrics::discovery::benjamini_hochberg_of;
use ecommerce_ml_metrics::drivers::{self, Aggregate, Driver, Pair, Sums};
use pgrx::spi::{self, SpiHeapTupleData};
use serde_json::{Map, Value};

use super::{as_key, bigint, count, require_rate};
use crate::error::Error;
use crate::relation::{Column, Relation};
use crate::rows;

/// Most dimensions: as many as GROUPING() takes.
const MOST_DIMENSIONS: usize = 31;
/// Most combinations of dimensions.
const MOST_COMBINATIONS: usize = 1000;
/// Most segments: they take some 2 kB each.
const MOST_SEGMENTS: usize = 250_000;

/// What is asked.
pub struct Question<'a> {
    pub relation: &'a Relation,
    /// None: each row counts 1.
    pub metric: Option<&'a Column>,
    pub is_test: &'a Column,
    pub dimensions: &'a [Column],
    pub aggregate: Aggregate,
    /// Dimensions that a segment combines, at most.
    pub max_dimensions: usize,
    /// Share of the rows that a segment has to have.
    pub min_support: f64,
    /// Rate of false discoveries.
    pub alpha: f64,
}

/// A segment, and what it has to do with the change.
pub struct Row {
    pub segment: Value,
    pub pair: Pair,
    pub driver: Driver,
    /// Part of the whole change.
    pub share: Option<f64>,
    pub q_value: Option<f64>,
    pub significant: bool,
}

impl Row {
    /// Rows of the test group and of the control group.
    pub fn rows(&self) -> (i64, i64) {
        (bigint(self.pair.test.rows), bigint(self.pair.control.rows))
    }
}

/// The whole first, then segments: the significant ones, by how far they are from what is expected, and the others.
///
/// # Errors
/// [`Error::ArgumentValue`], [`Error::ColumnType`], [`Error::ColumnTwice`], [`Error::ValueNotFinite`], [`Error::TooManyParts`].
pub fn find(question: &Question<'_>) -> Result<Vec<Row>, Error> {
    check(question)?;
    let masks = combinations(question.dimensions.len(), question.max_dimensions)?;
    let Some((rows, size)) = extent(question)? else { return Ok(Vec::new()) };
    let segments = read_segments(question, &masks, rows, size)?;
    let Some(whole) = segments.get(&Segment::default()).copied() else { return Ok(Vec::new()) };
    let mut found: Vec<(Segment, Row)> = segments
        .iter()
        .filter(|(segment, pair)| is_told(segment, **pair, &segments))
        .map(|(segment, pair)| (segment.clone(), row(question, whole, segment, *pair, &segments, size)))
        .collect();
    let p_values: Vec<Option<f64>> = found.iter().map(|(_, row)| row.driver.p_value).collect();
    for ((_, row), q_value) in found.iter_mut().zip(benjamini_hochberg_of(&p_values)) {
        row.q_value = q_value;
        row.significant = q_value.is_some_and(|q| q <= question.alpha);
    }
    let surprise = |row: &Row| {
        let gap = row.driver.test.zip(row.driver.expected).map(|(test, expected)| (test - expected).abs());
        let weight = match question.aggregate {
            Aggregate::Sum => 1.0,
            // Means of many rows matter more than those of few.
            Aggregate::Mean => row.pair.rows() as f64,
        };
        gap.map_or(-1.0, |gap| gap * weight)
    };
    found.sort_by(|(one, first), (other, second)| {
        let rank = |segment: &Segment, row: &Row| (segment.mask != 0, !row.significant);
        rank(one, first)
            .cmp(&rank(other, second))
            .then_with(|| surprise(second).total_cmp(&surprise(first)))
            .then_with(|| one.cmp(other))
    });
    Ok(found.into_iter().map(|(_, row)| row).collect())
}

fn check(question: &Question<'_>) -> Result<(), Error> {
    require_rate("alpha", question.alpha)?;
    if !(0.0..1.0).contains(&question.min_support) {
        return Err(Error::ArgumentValue { argument: "min_support", expected: "at least 0 and below 1" });
    }
    if question.max_dimensions == 0 {
        return Err(Error::ArgumentValue { argument: "max_dimensions", expected: "at least 1" });
    }
    if question.dimensions.is_empty() {
        return Err(Error::ArgumentValue { argument: "dimensions", expected: "the names of columns" });
    }
    question.is_test.require_truth()?;
    question.metric.map(Column::as_number).transpose()?;
    let names = question.dimensions.iter().map(Column::name);
    let twice = |(at, name): (usize, &str)| question.dimensions[..at].iter().any(|one| one.name() == name);
    match names.enumerate().find(|found| twice(*found)) {
        Some((_, name)) => Err(Error::ColumnTwice(name.to_owned())),
        None => Ok(()),
    }
}

/// The sets of dimensions, as bits, of at most so many each; the empty one first.
fn combinations(dimensions: usize, most: usize) -> Result<Vec<u32>, Error> {
    if dimensions > MOST_DIMENSIONS {
        let hint = "Name the dimensions that matter.";
        let what = "key drivers cannot";
        return Err(Error::TooManyParts { what, most: MOST_DIMENSIONS, parts: "dimensions", hint });
    }
    let mut masks = vec![0_u32];
    let mut last = masks.clone();
    for _ in 0..most.min(dimensions) {
        let longer = |mask: &u32| {
            let from = 32 - mask.leading_zeros() as usize;
            let mask = *mask;
            (from..dimensions).map(move |dimension| mask | 1 << dimension)
        };
        last = last.iter().flat_map(longer).take(MOST_COMBINATIONS).collect();
        masks.extend(&last);
        if masks.len() > MOST_COMBINATIONS {
            let hint = "Lower max_dimensions, or name fewer dimensions.";
            let what = "key drivers cannot";
            return Err(Error::TooManyParts {
                what,
                most: MOST_COMBINATIONS,
                parts: "combinations of dimensions",
                hint,
            });
        }
    }
    Ok(masks)
}

/// The metric of a row, and which rows have all that it takes.
fn complete(question: &Question<'_>) -> Result<(String, String), Error> {
    let is_test = question.is_test.as_it_is();
    let from = format!("FROM {} AS t WHERE {is_test} IS NOT NULL", question.relation.from());
    Ok(match question.metric {
        None => ("1::pg_catalog.float8".to_owned(), from),
        Some(metric) => (metric.as_number()?, format!("{from} AND {} IS NOT NULL", metric.as_it_is())),
    })
}

/// How many rows there are, and what values are divided by so that squares don't overflow; `None` of no rows.
fn extent(question: &Question<'_>) -> Result<Option<(u64, f64)>, Error> {
    let (metric, from) = complete(question)?;
    let mut found = None;
    let query = format!("SELECT pg_catalog.count(*), pg_catalog.max(pg_catalog.abs({metric})) {from}");
    rows::for_each(&query, &[], rows::read_pair::<i64, f64>, |row| {
        found = Some((count(row.0), row.1.unwrap_or_default()));
        Ok(())
    })?;
    match (found.filter(|(rows, _)| *rows > 0), question.metric) {
        (Some((_, size)), Some(metric)) if !size.is_finite() => {
            Err(Error::ValueNotFinite(metric.name().to_owned()))
        }
        (Some((rows, size)), _) => Ok(Some((rows, scale(size)))),
        (None, _) => Ok(None),
    }
}

/// The power of two that is next below the largest value: dividing by it loses no digit.
fn scale(size: f64) -> f64 {
    const FRACTION: u64 = (1 << 52) - 1;
    if size < f64::MIN_POSITIVE { 1.0 } else { f64::from_bits(size.to_bits() & !FRACTION) }
}

/// Dimensions as bits, and their values in the order of all dimensions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Segment {
    mask: u32,
    values: Vec<Option<String>>,
}

impl Segment {
    /// The segments of one dimension less that contain it.
    fn wider(&self) -> impl Iterator<Item = Segment> + '_ {
        (0..u32::BITS).filter(|bit| self.mask & 1 << bit != 0).map(|bit| {
            let mask = self.mask & !(1 << bit);
            let place = (self.mask & ((1 << bit) - 1)).count_ones() as usize;
            let kept = self.values.iter().enumerate().filter(|(at, _)| *at != place);
            Segment { mask, values: kept.map(|(_, value)| value.clone()).collect() }
        })
    }
}

type Segments = HashMap<Segment, Pair>;

fn read_segments(question: &Question<'_>, masks: &[u32], rows: u64, size: f64) -> Result<Segments, Error> {
    let (mut segments, dimensions) = (Segments::new(), question.dimensions.len());
    rows::for_each(
        &query(question, masks, rows, size)?,
        &[],
        read_segment,
        |(grouping, mut values, pair)| {
            if segments.len() >= MOST_SEGMENTS {
                let hint = "Raise min_support, or lower max_dimensions.";
                return Err(Error::TooManyParts {
                    what: "key drivers cannot",
                    most: MOST_SEGMENTS,
                    parts: "segments",
                    hint,
                });
            }
            // The server sets the bits of what is left out, the first dimension's the highest.
            let in_it = |at: usize| grouping & (1 << (dimensions - 1 - at)) == 0;
            let mask = (0..dimensions).filter(|at| in_it(*at)).map(|at| 1 << at).sum();
            values.resize(dimensions, None);
            let values = values.into_iter().enumerate().filter(|(at, _)| in_it(*at)).map(|(_, value)| value);
            segments.insert(Segment { mask, values: values.collect() }, pair);
            Ok(())
        },
    )?;
    Ok(segments)
}

fn query(question: &Question<'_>, masks: &[u32], rows: u64, size: f64) -> Result<String, Error> {
    let (metric, from) = complete(question)?;
    let is_test = question.is_test.as_it_is();
    let names: Vec<String> = (0..question.dimensions.len()).map(|at| format!("r.d{at}")).collect();
    let columns =
        question.dimensions.iter().enumerate().map(|(at, one)| format!("({}) AS d{at}", as_key(one)));
    let columns = columns.collect::<Vec<_>>().join(", ");
    let set = |mask: &u32| {
        let of =
            names.iter().enumerate().filter(|(at, _)| mask & 1 << at != 0).map(|(_, name)| name.as_str());
        format!("({})", of.collect::<Vec<_>>().join(", "))
    };
    let sets = masks.iter().map(set).collect::<Vec<_>>().join(", ");
    let names = names.join(", ");
    let sums = |of: &str| {
        let filter = format!("FILTER (WHERE {of})");
        format!(
            "pg_catalog.count(*) {filter}, pg_catalog.sum(r.x) {filter}, pg_catalog.sum(r.x OPERATOR(pg_catalog.*) r.x) {filter}"
        )
    };
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let least = (question.min_support * rows as f64).ceil() as u64;
    // A value that is much smaller than the largest must not underflow when it is squared.
    let x = format!(
        "CASE WHEN pg_catalog.abs(q.x) OPERATOR(pg_catalog.<) {:e} THEN 0 ELSE q.x OPERATOR(pg_catalog./) {size:e} END",
        (size * 1e-150).max(f64::MIN_POSITIVE)
    );
    let dimensions =
        (0..question.dimensions.len()).map(|at| format!("q.d{at}")).collect::<Vec<_>>().join(", ");
    Ok(format!(
        "SELECT GROUPING({names})::pg_catalog.int8, ARRAY[{names}]::pg_catalog.text[], {}, {}
         FROM (SELECT {dimensions}, q.test, {x} AS x
               FROM (SELECT {columns}, {is_test}::pg_catalog.bool AS test, {metric} AS x {from}) AS q) AS r
         GROUP BY GROUPING SETS ({sets})
         HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>=) {}",
        sums("r.test"),
        sums("NOT r.test"),
        least.max(1)
    ))
}

type Counted = (i64, Vec<Option<String>>, Pair);

fn read_segment(row: &SpiHeapTupleData<'_>) -> spi::Result<Counted> {
    let sums = |at: usize| -> spi::Result<Sums> {
        Ok(Sums {
            rows: count(row.get(at)?),
            sum: row.get(at + 1)?.unwrap_or_default(),
            squares: row.get(at + 2)?.unwrap_or_default(),
        })
    };
    let pair = Pair { test: sums(3)?, control: sums(6)? };
    Ok((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default(), pair))
}

/// Whether a segment tells something: not if a wider one has the same rows.
fn is_told(segment: &Segment, pair: Pair, segments: &Segments) -> bool {
    segment.mask.count_ones() < 2
        || !segment.wider().any(|wider| segments.get(&wider).is_some_and(|wider| wider.rows() == pair.rows()))
}

fn row(
    question: &Question<'_>,
    whole: Pair,
    segment: &Segment,
    pair: Pair,
    segments: &Segments,
    size: f64,
) -> Row {
    pgrx::check_for_interrupts!();
    let wider: Vec<Pair> = segment.wider().filter_map(|wider| segments.get(&wider).copied()).collect();
    let mut driver = drivers::driver(question.aggregate, whole, pair, &wider);
    let change = drivers::driver(question.aggregate, whole, whole, &[]).contribution;
    let share = (change != 0.0).then(|| driver.contribution / change).filter(|share| share.is_finite());
    // Back to the metric's unit.
    driver.contribution *= size;
    driver.test = driver.test.map(|value| value * size);
    driver.control = driver.control.map(|value| value * size);
    driver.expected = driver.expected.map(|value| value * size);
    if segment.mask == 0 {
        driver.expected = None;
        driver.lift = None;
    }
    Row { segment: named(question, segment), pair, driver, share, q_value: None, significant: false }
}

fn named(question: &Question<'_>, segment: &Segment) -> Value {
    let names = question.dimensions.iter().enumerate().filter(|(at, _)| segment.mask & 1 << at != 0);
    let value = |value: &Option<String>| value.clone().map_or(Value::Null, Value::String);
    let pairs = names.zip(&segment.values).map(|((_, column), one)| (column.name().to_owned(), value(one)));
    Value::Object(pairs.collect::<Map<_, _>>())
}
