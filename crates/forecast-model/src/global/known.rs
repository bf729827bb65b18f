//! Columns of a series that are known ahead, by period.
//!
//! It must not know what a column means. Invariant: a period of which nothing is known is as the last one before it that is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Values of columns, `[column]`, NaN where nothing is known.
pub type Values = Vec<f32>;

/// Numbers, places of categories, or parts that are true; NaN where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The first period.
    first: i64,
    /// `[column][period]`; those after the last one are as that.
    #[serde(with = "nullable")]
    columns: Vec<Vec<f32>>,
}

impl Known {
    /// From what is known of some periods, so many columns.
    pub fn new(first: i64, columns: usize, periods: &BTreeMap<i64, Values>) -> Self {
        let nothing = Self { first, columns: vec![Vec::new(); columns] };
        nothing.with(periods)
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// What a column is in a period.
    pub fn value(&self, column: usize, period: i64) -> f32 {
        let Some(values) = self.columns.get(column) else { return f32::NAN };
        let Ok(place) = usize::try_from(period.saturating_sub(self.first)) else { return f32::NAN };
        values.get(place).or(values.last()).copied().unwrap_or(f32::NAN)
    }

    /// The same with what is known of other periods, which replaces what was.
    #[must_use]
    pub fn with(&self, periods: &BTreeMap<i64, Values>) -> Self {
        let mut all = self.clone();
        for (period, values) in periods {
            let Ok(place) = usize::try_from(period.saturating_sub(self.first)) else { continue };
            let known = all.columns.iter_mut().zip(values).filter(|(_, value)| !value.is_nan());
            for (column, value) in known {
                if column.len() <= place {
                    let last = column.last().copied().unwrap_or(f32::NAN);
                    column.resize(place + 1, last);
                }
                column[place] = *value;
            }
        }
        all.columns.iter_mut().for_each(shorten);
        all
    }

    /// What is known from a period on.
    #[must_use]
    pub fn since(&self, first: i64) -> Self {
        let skipped = usize::try_from(first.saturating_sub(self.first)).unwrap_or(0);
        let rest = |values: &Vec<f32>| {
            let rest = values.get(skipped..).filter(|rest| !rest.is_empty());
            rest.map_or_else(|| values.last().copied().into_iter().collect(), <[f32]>::to_vec)
        };
        Self { first: self.first.max(first), columns: self.columns.iter().map(rest).collect() }
    }

    /// Changes what is known of a column from a period on.
    #[must_use]
    pub fn scaled(&self, column: usize, from: i64, periods: usize, factor: f32) -> Self {
        let one = |period: i64| {
            let mut values = vec![f32::NAN; self.columns.len()];
            if let Some(value) = values.get_mut(column) {
                *value = factor * self.value(column, period);
            }
            (period, values)
        };
        self.with(&(from..).take(periods).map(one).collect())
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(|values| size_of_val(&values[..]) + size_of::<Vec<f32>>()).sum()
    }
}

/// Leaves out values at the end that are as the one before them.
fn shorten(values: &mut Vec<f32>) {
    let Some(last) = values.last().copied() else { return };
    let differs = |value: &f32| value.to_bits() != last.to_bits();
    let kept = values.iter().rposition(differs).map_or(1, |place| place + 2);
    values.truncate(kept);
    values.shrink_to_fit();
}

/// JSON has no NaN.
mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(columns: &[Vec<f32>], serializer: S) -> Result<S::Ok, S::Error> {
        let nullable = |value: &f32| Some(*value).filter(|value| !value.is_nan());
        let columns: Vec<Vec<Option<f32>>> =
            columns.iter().map(|values| values.iter().map(nullable).collect()).collect();
        columns.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<f32>>, D::Error> {
        let columns = Vec::<Vec<Option<f32>>>::deserialize(deserializer)?;
        let number = |value: Option<f32>| value.unwrap_or(f32::NAN);
        Ok(columns.into_iter().map(|values| values.into_iter().map(number).collect()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(periods: &[(i64, f32)]) -> BTreeMap<i64, Values> {
        periods.iter().map(|(period, value)| (*period, vec![*value])).collect()
    }

    #[test]
    fn what_is_known_stays_until_something_else_is() {
        let known = Known::new(10, 1, &of(&[(11, 2.0), (13, 3.0), (14, 3.0), (15, f32::NAN)]));
        let values: Vec<f32> = (11..17).map(|period| known.value(0, period)).collect();
        assert_eq!(values, [2.0, 2.0, 3.0, 3.0, 3.0, 3.0]);
        assert!(known.value(0, 9).is_nan() && known.value(0, 10).is_nan() && known.value(1, 12).is_nan());
        let later = known.with(&of(&[(9, 1.0), (18, 5.0)]));
        assert_eq!([17, 18, 30].map(|period| later.value(0, period)), [3.0, 5.0, 5.0]);
        let tail = later.since(14);
        assert_eq!([14, 17, 18].map(|period| tail.value(0, period)), [3.0, 3.0, 5.0]);
        assert_eq!(known.since(100).value(0, 100), 3.0);
        let cheaper = known.scaled(0, 16, 2, 0.5);
        assert_eq!([15, 16, 17].map(|period| cheaper.value(0, period)), [3.0, 1.5, 1.5]);
        let json = serde_json::to_string(&known).unwrap_or_default();
        let back: Option<Known> = serde_json::from_str(&json).ok();
        assert_eq!(back.map(|back| back.value(0, 13)), Some(3.0));
    }
}
