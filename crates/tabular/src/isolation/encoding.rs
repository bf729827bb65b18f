//! How values become features where no label says anything: numbers and moments as trees have them, and of a text how frequent it is,
//! since what is rare is what is looked for. A kind that wasn't seen has no feature, so that it is unlike all that were.
//!
//! It must not know trees. Invariant: the rows decide, not their order in dictionaries.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{EngineError, Field, Rows};

use crate::columns::{Cells, find};
use crate::trees::encoding::{EncodedColumn, Encoding, Scheme};

/// Most kinds of text whose frequencies are kept: the most frequent ones.
const MOST_KINDS: usize = 10_000;

/// The encoding that rows suggest.
///
/// # Errors
/// As of [`find`].
pub(super) fn fit(rows: &Rows, fields: &[Field]) -> Result<Encoding, EngineError> {
    let cells = find(rows, fields)?;
    let columns = fields.iter().zip(cells).map(|(field, cells)| {
        let scheme = match cells {
            Cells::Numbers(_) | Cells::Booleans(_) => Scheme::Number,
            Cells::Times(values) => {
                let finite = |micros: &i64| *micros != i64::MIN && *micros != i64::MAX;
                Scheme::Moment { first: values.iter().copied().flatten().filter(finite).min().unwrap_or(0) }
            }
            Cells::Texts { dictionary, codes } => frequencies(dictionary, codes),
        };
        EncodedColumn { field: field.clone(), scheme }
    });
    Ok(Encoding { columns: columns.collect() })
}

fn frequencies(dictionary: &[String], codes: &[Option<u32>]) -> Scheme {
    let mut of_codes = vec![0_u64; dictionary.len()];
    for code in codes.iter().copied().flatten() {
        if let Some(count) = of_codes.get_mut(code as usize) {
            *count += 1;
        }
    }
    // A dictionary may have a text twice, if rows came in parts.
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for (text, count) in dictionary.iter().zip(&of_codes).filter(|(_, count)| **count > 0) {
        *kinds.entry(text).or_default() += count;
    }
    let part = |rows: u64| (rows as f64 / codes.len() as f64).ln() as f32;
    let missing = codes.iter().filter(|code| code.is_none()).count() as u64;
    let mut counts: Vec<u64> = kinds.values().copied().collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    let least = counts.get(MOST_KINDS).map_or(1, |count| count + 1);
    let kept = kinds.into_iter().filter(|(_, count)| *count >= least);
    Scheme::Frequency {
        missing: (missing > 0).then(|| part(missing)),
        categories: kept.map(|(text, count)| (text.to_owned(), part(count))).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn kinds_count_by_how_frequent_they_are() {
        let dictionary = ["card", "cash", "card", "never"].map(str::to_owned);
        let codes: Vec<Option<u32>> = (0..100)
            .map(|row| if row == 99 { Some(1) } else { Some(2 * (row % 2)) })
            .chain([None; 100])
            .collect();
        let Scheme::Frequency { missing, categories } = frequencies(&dictionary, &codes) else { panic!() };
        let expected = [("card".to_owned(), 0.495_f32.ln()), ("cash".to_owned(), 0.005_f32.ln())];
        assert_eq!(categories.len(), 2, "a text that no row has is none");
        for ((text, part), (expected_text, expected_part)) in categories.iter().zip(&expected) {
            assert_eq!(text, expected_text);
            assert!((part - expected_part).abs() < 1e-6);
        }
        assert!((missing.unwrap() - 0.5_f32.ln()).abs() < 1e-6);
        let Scheme::Frequency { missing, .. } = frequencies(&dictionary, &codes[..100]) else { panic!() };
        assert_eq!(missing, None);
    }
}
