//! Columns that tell the label alone, which a column that is known only afterwards does.
//!
//! It must not know models. Invariant: what is found depends on the rows alone.

use super::loss::Wanted;
use crate::trees::encoding::Encoding;

/// From which area under the curve on a column is told of.
const SUSPICIOUS: f64 = 0.99;

/// Most rows that are looked at: an area of .99 shows in far fewer.
const MOST_ROWS: usize = 50_000;

/// Most classes that are looked at.
const MOST_CLASSES: u32 = 10;

/// The names of these columns; `features` are those of `rows`, `[rows, features]`.
pub(super) fn leaking_columns(
    encoding: &Encoding,
    features: &[f32],
    rows: &[usize],
    wanted: &Wanted,
) -> Vec<String> {
    let Some(classes) = rows.iter().filter_map(|&row| wanted.class(row)).max().map(|class| class + 1) else {
        return Vec::new();
    };
    let width = encoding.features();
    if classes > MOST_CLASSES || width == 0 {
        return Vec::new();
    }
    let step = rows.len().div_ceil(MOST_ROWS).max(1);
    let places: Vec<usize> = (0..rows.len()).step_by(step).collect();
    let class_of: Vec<u32> = places.iter().filter_map(|&at| wanted.class(rows[at])).collect();
    let mut leaking = Vec::new();
    let mut start = 0;
    for column in &encoding.columns {
        let own = start..start + column.scheme.features();
        start = own.end;
        let wanted_classes = if classes == 2 { 1..2 } else { 0..classes };
        let areas = wanted_classes.filter_map(|class| {
            let of_feature = |feature: usize| {
                let values = places.iter().map(|&at| features[at * width + feature]);
                area(values.zip(&class_of).map(|(value, of)| (value, *of == class)).collect())
            };
            own.clone().filter_map(of_feature).max_by(f64::total_cmp)
        });
        let areas: Vec<f64> = areas.collect();
        if !areas.is_empty() && areas.iter().all(|area| *area > SUSPICIOUS) {
            leaking.push(column.field.name.clone());
        }
    }
    leaking
}

/// The area under the curve of a value, in the direction in which it is larger; a missing value is below all others. None if all
/// are of one kind.
fn area(mut values: Vec<(f32, bool)>) -> Option<f64> {
    let key = |value: f32| if value.is_nan() { f32::NEG_INFINITY } else { value };
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
mod tests {
    use super::*;

    #[test]
    fn areas_count_ties_as_half() {
        let of = |values: &[(f32, bool)]| area(values.to_vec());
        assert_eq!(of(&[(1.0, false), (2.0, true)]), Some(1.0));
        assert_eq!(of(&[(2.0, false), (1.0, true)]), Some(1.0));
        assert_eq!(of(&[(1.0, false), (1.0, true)]), Some(0.5));
        assert_eq!(of(&[(f32::NAN, false), (1.0, true), (2.0, false), (3.0, true)]), Some(0.75));
        assert_eq!(of(&[(1.0, true), (2.0, true)]), None);
    }
}
