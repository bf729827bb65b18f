//! Which series belong together: those of a category, and those of a key that has an elasticity.
//!
//! It must not know what is learned of them. Invariant: groups are numbered in the order of their keys.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{EngineError, Field};

use super::options::Options;
use super::refused;
use crate::price::regression::Groups;
use crate::price::response::Levels;

/// The places of the columns that name categories and keys among the key columns.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelColumns {
    /// Of categories; none if there are none.
    pub category: Vec<usize>,
    /// Of what has an elasticity.
    pub key: Vec<usize>,
}

impl LevelColumns {
    /// As the options name them.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for columns that are no keys.
    pub fn of(columns: &[Field], options: &Options) -> Result<Self, EngineError> {
        let all = columns.iter().map(|column| column.name.clone()).collect();
        let named = options.elasticity_columns.as_ref().unwrap_or(&all);
        let key = places("elasticity_columns", named, &all, "key_columns")?;
        let category = places("category_columns", &options.category_columns, named, "elasticity_columns")?;
        let place = |place: usize| key.get(place).copied();
        Ok(Self { category: category.into_iter().filter_map(place).collect(), key })
    }

    /// The levels of series with these keys, `[series][column]`, with the keys of categories and of keys, `[group][column]`.
    #[must_use]
    pub fn group(&self, series: &[Vec<String>]) -> Grouped {
        let keys = grouped(series, &self.key);
        let categories = (!self.category.is_empty()).then(|| grouped(series, &self.category));
        let mut category_of = vec![0; keys.1.count];
        if let Some((_, categories)) = &categories {
            for (key, category) in keys.1.of_series.iter().zip(&categories.of_series) {
                category_of[*key as usize] = *category;
            }
        }
        let (category_names, categories) = categories.unzip();
        let levels = Levels { categories, keys: keys.1, category_of };
        Grouped { levels, categories: category_names.unwrap_or_default(), keys: keys.0 }
    }
}

/// Levels with the names of their groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouped {
    /// By number.
    pub levels: Levels,
    /// `[category][column]`, that of the model; none of columns that don't name a category.
    pub categories: Vec<Vec<Option<String>>>,
    /// `[key][column]`.
    pub keys: Vec<Vec<Option<String>>>,
}

fn places(option: &str, names: &[String], among: &[String], of: &str) -> Result<Vec<usize>, EngineError> {
    let place = |(at, name): (usize, &String)| {
        let place = among.iter().position(|one| one == name).filter(|_| !names[..at].contains(name));
        let wrong = || {
            refused(format!("training option \"{option}\" must name some of {of}, each once, not \"{name}\""))
        };
        place.ok_or_else(wrong)
    };
    names.iter().enumerate().map(place).collect()
}

/// Series with the same values in these columns.
fn grouped(series: &[Vec<String>], columns: &[usize]) -> (Vec<Vec<Option<String>>>, Groups) {
    let name = |keys: &Vec<String>| -> Vec<Option<String>> {
        let value = |(column, value): (usize, &String)| columns.contains(&column).then(|| value.clone());
        keys.iter().enumerate().map(value).collect()
    };
    let names: Vec<_> = series.iter().map(name).collect();
    let mut numbers: BTreeMap<&Vec<Option<String>>, u32> = names.iter().map(|name| (name, 0)).collect();
    numbers.values_mut().zip(0..).for_each(|(number, next)| *number = next);
    let of_series = names.iter().map(|name| numbers.get(name).copied().unwrap_or(0)).collect();
    let count = numbers.len();
    (numbers.into_keys().cloned().collect(), Groups { of_series, count })
}
