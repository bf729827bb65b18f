//! Values to the features of trees: numbers in single precision, NaN where there is none.
//!
//! A number or a boolean (0 or 1) is one feature. A moment is five: days since the first one that was learned from, and hour,
//! weekday (0 is Monday), day and month in UTC. A text of few kinds is a feature a kind, 1 or 0. A text of many is what the labels
//! of its kind were on average, drawn towards the average of all (Micci-Barreca, "A preprocessing scheme for high-cardinality
//! categorical attributes in classification and prediction problems", 2001), and how frequent it was; where there are no labels, the
//! logarithm of how frequent it was.
//! It must not know trees. Invariant: features are numbered column by column, and each of a row is computed from that row alone.

use ahash::AHashMap;
use ecommerce_ml_protocol::{EngineError, Field, Rows, ValueType};
use serde::{Deserialize, Serialize};

use super::moment::{MOMENT_FEATURES, moment_features};
use crate::columns::{Cells, find, infinite};

/// How the values of a column become features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "encoding", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scheme {
    /// Of numbers and booleans.
    Number,
    /// Of timestamps.
    Moment {
        /// In microseconds since 1970: where days are counted from.
        first: i64,
    },
    /// Of texts of few kinds.
    OneHot {
        /// Each with a feature, in the order of their bytes.
        categories: Vec<String>,
    },
    /// Of texts whose labels say nothing: how frequent each is. A kind that wasn't seen has no feature.
    Frequency {
        /// The natural logarithm of the part of the rows without a text; none if all had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing: Option<f32>,
        /// Kinds in the order of their bytes, with the natural logarithm of the part of the rows that have each.
        categories: Vec<(String, f32)>,
    },
    /// Of texts of many kinds.
    TargetMean {
        /// What each mean is of, for names of features; `[means]`.
        of: Vec<String>,
        /// The means of a kind that wasn't seen; `[means]`.
        prior: Vec<f32>,
        /// Kinds in the order of their bytes.
        categories: Vec<Category>,
    },
}

/// What is known of a kind of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// The text.
    pub category: String,
    /// `[means]`.
    pub means: Vec<f32>,
    /// The part of the rows that have it.
    pub frequency: f32,
}

impl Scheme {
    /// How many features it has.
    pub fn features(&self) -> usize {
        match self {
            Scheme::Number | Scheme::Frequency { .. } => 1,
            Scheme::Moment { .. } => MOMENT_FEATURES.len(),
            Scheme::OneHot { categories } => categories.len(),
            Scheme::TargetMean { prior, .. } => prior.len() + 1,
        }
    }

    /// Whether values of a type can be encoded by it.
    pub fn suits(&self, value_type: ValueType) -> bool {
        match self {
            Scheme::Number => matches!(value_type, ValueType::Number | ValueType::Boolean),
            Scheme::Moment { .. } => value_type == ValueType::Timestamp,
            Scheme::OneHot { .. } | Scheme::Frequency { .. } | Scheme::TargetMean { .. } => {
                value_type == ValueType::Text
            }
        }
    }

    fn names(&self, column: &str) -> Vec<String> {
        match self {
            Scheme::Number => vec![column.to_owned()],
            Scheme::Frequency { .. } => vec![format!("{column} frequency")],
            Scheme::Moment { .. } => {
                MOMENT_FEATURES.iter().map(|part| format!("{column} {part}").trim_end().to_owned()).collect()
            }
            Scheme::OneHot { categories } => {
                categories.iter().map(|category| format!("{column}={category}")).collect()
            }
            Scheme::TargetMean { of, .. } => {
                let mean = |of: &String| format!("{column} mean {of}").trim_end().to_owned();
                of.iter().map(mean).chain([format!("{column} frequency")]).collect()
            }
        }
    }

    fn bytes(&self) -> usize {
        let text = |text: &String| text.len() + size_of::<String>();
        match self {
            Scheme::Number | Scheme::Moment { .. } => 0,
            Scheme::OneHot { categories } => {
                categories.iter().map(|category| text(category) + 4 * categories.len()).sum()
            }
            Scheme::Frequency { categories, .. } => {
                categories.iter().map(|(category, _)| text(category) + 32).sum()
            }
            Scheme::TargetMean { categories, .. } => {
                categories.iter().map(|one| text(&one.category) + 2 * (4 * one.means.len() + 32)).sum()
            }
        }
    }
}

/// A column and how it is encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodedColumn {
    /// Which one.
    #[serde(flatten)]
    pub field: Field,
    /// How.
    #[serde(flatten)]
    pub scheme: Scheme,
}

/// All columns that a model reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoding {
    /// In the order of their features.
    pub columns: Vec<EncodedColumn>,
}

impl Encoding {
    /// Name and type of each column.
    pub fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|column| column.field.clone()).collect()
    }

    /// How many features there are in all.
    pub fn features(&self) -> usize {
        self.columns.iter().map(|column| column.scheme.features()).sum()
    }

    /// The number of the column of each feature.
    pub fn column_of_feature(&self) -> Vec<usize> {
        let repeated = |(number, column): (usize, &EncodedColumn)| vec![number; column.scheme.features()];
        self.columns.iter().enumerate().flat_map(repeated).collect()
    }

    /// A name for each feature, all different, and such that XGBoost takes them.
    pub fn feature_names(&self) -> Vec<String> {
        let mut seen: AHashMap<String, usize> = AHashMap::new();
        let names = self.columns.iter().flat_map(|column| column.scheme.names(&column.field.name));
        let mut unique = |name: String| {
            let name: String = name.chars().map(|c| if "[]<".contains(c) { '_' } else { c }).collect();
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { format!("{name} #{count}") }
        };
        let mut names: Vec<String> = names.map(&mut unique).collect();
        // A name that was made so may be another's own.
        let mut all = ahash::AHashSet::new();
        for (number, name) in names.iter_mut().enumerate() {
            if !all.insert(name.clone()) {
                *name = format!("{name} (feature {number})");
                all.insert(name.clone());
            }
        }
        names
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// A few words.
    pub fn check(&self) -> Result<(), String> {
        for EncodedColumn { field, scheme } in &self.columns {
            let name = &field.name;
            if !scheme.suits(field.value_type) {
                return Err(format!("column \"{name}\" is encoded as one of another type"));
            }
            if self.columns.iter().filter(|column| column.field.name == *name).count() > 1 {
                return Err(format!("column \"{name}\" is there twice"));
            }
            let sorted = match scheme {
                Scheme::OneHot { categories } => categories.windows(2).all(|pair| pair[0] < pair[1]),
                Scheme::Frequency { missing, categories } => {
                    if missing.is_some_and(|part| !part.is_finite())
                        || !categories.iter().all(|(_, part)| part.is_finite())
                    {
                        return Err(format!("a frequency of column \"{name}\" is not finite"));
                    }
                    categories.windows(2).all(|pair| pair[0].0 < pair[1].0)
                }
                Scheme::TargetMean { of, prior, categories } => {
                    let fits = categories.iter().all(|one| one.means.len() == prior.len());
                    if !fits || of.len() != prior.len() || prior.is_empty() {
                        return Err(format!("column \"{name}\" has too many means or too few"));
                    }
                    categories.windows(2).all(|pair| pair[0].category < pair[1].category)
                }
                Scheme::Number | Scheme::Moment { .. } => true,
            };
            if !sorted {
                return Err(format!("the categories of column \"{name}\" are not in order"));
            }
        }
        Ok(())
    }

    /// About how many bytes it takes in memory, ready to encode.
    pub fn bytes(&self) -> usize {
        let column =
            |one: &EncodedColumn| size_of::<EncodedColumn>() + one.field.name.len() + 2 * one.scheme.bytes();
        self.columns.iter().map(column).sum()
    }
}

/// An encoding, ready to encode.
#[derive(Debug)]
pub(crate) struct Encoder {
    fields: Vec<Field>,
    columns: Vec<Column>,
    features: usize,
}

#[derive(Debug)]
enum Column {
    Number,
    Moment {
        first: i64,
    },
    /// Features by kind, `[kinds + 1, width]`, those of a kind that wasn't seen last; behind them, if there are any, those of rows
    /// without a text.
    Table {
        kinds: AHashMap<String, u32>,
        table: Vec<f32>,
        width: usize,
        /// The number of the kind that rows without a text have.
        missing: Option<u32>,
    },
}

/// Rows whose columns were found.
pub(crate) struct Found<'a> {
    encoder: &'a Encoder,
    columns: Vec<FoundColumn<'a>>,
}

enum FoundColumn<'a> {
    Number(Cells<'a>),
    Moment(Cells<'a>, i64),
    /// The kind of each text of the dictionary, and the text of each row.
    Table {
        kinds: Vec<u32>,
        codes: &'a [Option<u32>],
        table: &'a [f32],
        width: usize,
        missing: Option<u32>,
    },
}

impl Encoder {
    /// Gets an encoding ready.
    pub(crate) fn new(encoding: &Encoding) -> Self {
        let column = |column: &EncodedColumn| match &column.scheme {
            Scheme::Number => Column::Number,
            Scheme::Moment { first } => Column::Moment { first: *first },
            Scheme::OneHot { categories } => {
                let width = categories.len();
                let mut table = vec![0.0; (width + 1) * width];
                (0..width).for_each(|kind| table[kind * width + kind] = 1.0);
                let kinds = categories.iter().cloned().zip(0..).collect();
                Column::Table { kinds, table, width, missing: None }
            }
            Scheme::Frequency { missing, categories } => {
                let known = categories.iter().map(|(_, part)| *part);
                Column::Table {
                    kinds: categories.iter().map(|(category, _)| category.clone()).zip(0..).collect(),
                    table: known.chain([f32::NAN]).chain(*missing).collect(),
                    width: 1,
                    missing: missing.map(|_| categories.len() as u32 + 1),
                }
            }
            Scheme::TargetMean { prior, categories, .. } => {
                let known = categories.iter().flat_map(|one| one.means.iter().chain([&one.frequency]));
                let table = known.copied().chain(prior.iter().copied()).chain([0.0]).collect();
                let kinds = categories.iter().map(|one| one.category.clone()).zip(0..).collect();
                Column::Table { kinds, table, width: prior.len() + 1, missing: None }
            }
        };
        Self {
            fields: encoding.fields(),
            columns: encoding.columns.iter().map(column).collect(),
            features: encoding.features(),
        }
    }

    /// How many features a row has.
    pub(crate) fn features(&self) -> usize {
        self.features
    }

    /// Finds the columns of rows.
    ///
    /// # Errors
    /// As of [`find`].
    pub(crate) fn find<'a>(&'a self, rows: &'a Rows) -> Result<Found<'a>, EngineError> {
        let cells = find(rows, &self.fields)?;
        let columns = cells.into_iter().zip(&self.columns).map(|(cells, column)| match (column, cells) {
            (Column::Table { kinds, table, width, missing }, Cells::Texts { dictionary, codes }) => {
                let unseen = kinds.len() as u32;
                let kind = |text: &String| kinds.get(text).copied().unwrap_or(unseen);
                let kinds = dictionary.iter().map(kind).collect();
                FoundColumn::Table { kinds, codes, table, width: *width, missing: *missing }
            }
            (Column::Moment { first }, cells) => FoundColumn::Moment(cells, *first),
            (_, cells) => FoundColumn::Number(cells),
        });
        Ok(Found { encoder: self, columns: columns.collect() })
    }

    /// The features of rows, `[rows, features]`.
    ///
    /// # Errors
    /// As of [`find`] and [`Found::encode`].
    pub(crate) fn encode(&self, rows: &Rows, places: &[usize]) -> Result<Vec<f32>, EngineError> {
        let found = self.find(rows)?;
        let mut features = vec![0.0; places.len() * self.features];
        found.encode(places.iter().copied(), &mut features)?;
        Ok(features)
    }
}

impl Found<'_> {
    /// Writes the features of some rows, `[rows, features]`.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for infinite numbers.
    pub(crate) fn encode(
        &self,
        rows: impl Iterator<Item = usize> + Clone,
        features: &mut [f32],
    ) -> Result<(), EngineError> {
        let width = self.encoder.features;
        if width == 0 {
            return Ok(());
        }
        let mut start = 0;
        for (column, field) in self.columns.iter().zip(&self.encoder.fields) {
            let own = column.width();
            for (row, features) in rows.clone().zip(features.chunks_exact_mut(width)) {
                let Some(features) = features.get_mut(start..start + own) else { continue };
                if !column.encode(row, features) {
                    return Err(infinite(&field.name));
                }
            }
            start += own;
        }
        Ok(())
    }
}

impl FoundColumn<'_> {
    fn width(&self) -> usize {
        match self {
            FoundColumn::Number(_) => 1,
            FoundColumn::Moment(..) => MOMENT_FEATURES.len(),
            FoundColumn::Table { width, .. } => *width,
        }
    }

    /// Writes the features of a row; whether its value is finite.
    fn encode(&self, row: usize, features: &mut [f32]) -> bool {
        match self {
            FoundColumn::Number(cells) => {
                let number = cells.number(row);
                features.fill(number.map_or(f32::NAN, single));
                !number.is_some_and(f64::is_infinite)
            }
            FoundColumn::Moment(cells, first) => {
                let Cells::Times(values) = cells else { return true };
                let value = values.get(row).copied().flatten();
                match value {
                    None => features.fill(f32::NAN),
                    Some(micros) => features.copy_from_slice(&moment_features(micros, *first)),
                }
                !value.is_some_and(|micros| micros == i64::MIN || micros == i64::MAX)
            }
            FoundColumn::Table { kinds, codes, table, width, missing } => {
                let code = codes.get(row).copied().flatten();
                let kind = code.map_or(*missing, |code| kinds.get(code as usize).copied());
                match kind.map(|kind| kind as usize * width).and_then(|start| table.get(start..start + width))
                {
                    Some(known) => features.copy_from_slice(known),
                    None => features.fill(f32::NAN),
                }
                true
            }
        }
    }
}

/// In single precision; what is too large for it is its largest number, so that order stays.
pub(crate) fn single(number: f64) -> f32 {
    (number as f32).clamp(f32::MIN, f32::MAX)
}
