//! How the values of rows to learn from become features.
//!
//! A row's own label must not be told by its features: where columns are encoded by means of labels, each row to learn from gets
//! those of the rows of other folds.
//! It must not know trees. Invariant: the rows decide, not their order in dictionaries.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{EngineError, Field, Rows};

use crate::columns::{Cells, find};
use crate::trees::encoding::{Category, EncodedColumn, Encoder, Encoding, Scheme};

/// Most kinds of text that have a feature each.
const FEW: usize = 10;

/// Most kinds of text whose means are kept: the most frequent ones.
const MOST_KINDS: usize = 10_000;

/// Least rows of a kind that has a mean of its own.
const LEAST_ROWS: u64 = 2;

/// How many rows the average of all counts in the mean of a kind.
const PRIOR_ROWS: f64 = 10.0;

/// What columns of many kinds are encoded by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means<'a> {
    /// What each mean is of.
    pub(super) of: &'a [String],
    /// Of all rows, `[rows, means]`.
    pub(super) values: &'a [f32],
    /// The fold of each row.
    pub(super) folds: &'a [u8],
    /// How many folds there are.
    pub(super) count: u8,
}

/// The encoding that these rows suggest, and their own features, `[learned, features]`.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] if a column is missing or has an infinite number.
pub(super) fn fit(
    rows: &Rows,
    fields: &[Field],
    learned: &[usize],
    means: Means<'_>,
) -> Result<(Encoding, Vec<f32>), EngineError> {
    let cells = find(rows, fields)?;
    let columns = fields.iter().zip(&cells).map(|(field, cells)| {
        let scheme = match cells {
            Cells::Numbers(_) | Cells::Booleans(_) => Scheme::Number,
            Cells::Times(values) => {
                let finite = |micros: &i64| *micros != i64::MIN && *micros != i64::MAX;
                let known = learned.iter().filter_map(|&row| values.get(row).copied().flatten());
                Scheme::Moment { first: known.filter(finite).min().unwrap_or(0) }
            }
            Cells::Texts { dictionary, codes } => texts(dictionary, codes, learned, means, None),
        };
        EncodedColumn { field: field.clone(), scheme }
    });
    let encoding = Encoding { columns: columns.collect() };
    let mut features = Encoder::new(&encoding).encode(rows, learned)?;
    let width = encoding.features();
    let mut start = 0;
    for (column, cells) in encoding.columns.iter().zip(&cells) {
        if let (Scheme::TargetMean { .. }, Cells::Texts { dictionary, codes }) = (&column.scheme, cells) {
            for fold in 0..means.count {
                let of_others = texts(dictionary, codes, learned, means, Some(fold));
                let one = EncodedColumn { field: column.field.clone(), scheme: of_others };
                let encoding = Encoding { columns: vec![one] };
                let of_fold: Vec<usize> =
                    (0..learned.len()).filter(|&at| means.folds[learned[at]] == fold).collect();
                let places: Vec<usize> = of_fold.iter().map(|&at| learned[at]).collect();
                let own = Encoder::new(&encoding).encode(rows, &places)?;
                let own_width = encoding.features();
                for (at, own) in of_fold.iter().zip(own.chunks_exact(own_width)) {
                    let from = at * width + start;
                    features[from..from + own_width].copy_from_slice(own);
                }
            }
        }
        start += column.scheme.features();
    }
    Ok((encoding, features))
}

/// The scheme of a column of texts; where a fold is left out, that of means, from the rows of all others.
fn texts(
    dictionary: &[String],
    codes: &[Option<u32>],
    learned: &[usize],
    means: Means<'_>,
    without: Option<u8>,
) -> Scheme {
    let width = means.of.len();
    let mut found: Vec<(u64, Vec<f64>)> = vec![(0, vec![0.0; width]); dictionary.len()];
    let (mut all, mut rows) = (vec![0.0; width], 0_u64);
    for &row in learned.iter().filter(|&&row| Some(means.folds[row]) != without) {
        let own = means.values.get(row * width..(row + 1) * width).unwrap_or_default();
        all.iter_mut().zip(own).for_each(|(sum, own)| *sum += f64::from(*own));
        rows += 1;
        let Some((count, sums)) =
            codes.get(row).copied().flatten().and_then(|code| found.get_mut(code as usize))
        else {
            continue;
        };
        *count += 1;
        sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += f64::from(*own));
    }
    // A dictionary may have a text twice, if rows came in parts.
    let mut kinds: BTreeMap<&str, (u64, Vec<f64>)> = BTreeMap::new();
    for (text, (count, sums)) in dictionary.iter().zip(found).filter(|(_, (count, _))| *count > 0) {
        let kind = kinds.entry(text).or_insert_with(|| (0, vec![0.0; width]));
        kind.0 += count;
        kind.1.iter_mut().zip(sums).for_each(|(sum, own)| *sum += own);
    }
    if kinds.len() <= FEW && without.is_none() {
        return Scheme::OneHot { categories: kinds.into_keys().map(str::to_owned).collect() };
    }
    let prior: Vec<f64> = all.iter().map(|sum| sum / rows.max(1) as f64).collect();
    let mut counts: Vec<u64> = kinds.values().map(|(count, _)| *count).collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    let least = counts.get(MOST_KINDS).map_or(LEAST_ROWS, |count| (count + 1).max(LEAST_ROWS));
    let category = |(text, (count, sums)): (&str, (u64, Vec<f64>))| Category {
        category: text.to_owned(),
        means: sums
            .iter()
            .zip(&prior)
            .map(|(sum, prior)| ((sum + PRIOR_ROWS * prior) / (count as f64 + PRIOR_ROWS)) as f32)
            .collect(),
        frequency: (count as f64 / rows as f64) as f32,
    };
    let categories = kinds.into_iter().filter(|(_, (count, _))| *count >= least).map(category).collect();
    Scheme::TargetMean {
        of: means.of.to_vec(),
        prior: prior.into_iter().map(|one| one as f32).collect(),
        categories,
    }
}
