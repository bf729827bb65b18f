//! What was learned.
//!
//! It must not know rows or files. Invariant: the first entry is of all, and none comes twice.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{Answer, Field, ModelInfo, Reads, Signature, Table, ValueType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::files::Stored;
use crate::price::response::Response;

/// What the catalog calls the kind.
pub const KIND: &str = "elasticity";

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticityModel {
    /// The columns that tell series apart, by name and by their type in the relation.
    pub columns: Vec<Field>,
    /// The column of prices.
    pub price: String,
    /// Of how many series it was learned.
    pub series: usize,
    /// All, categories, keys.
    pub entries: Vec<Entry>,
    /// What a unit of each control adds to log quantity, of all.
    pub controls: Vec<ControlEffect>,
    /// Standard deviation between the elasticities of keys.
    pub between: f64,
    /// When the last period that it knows began, in microseconds since 1970.
    pub end: i64,
}

/// What is said of a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `[column]`; none of a column that it is not about.
    pub keys: Vec<Option<String>>,
    /// What is said of it.
    pub response: Response,
}

/// A control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlEffect {
    /// The column, or the column and one of its values.
    pub name: String,
    /// What a unit adds to log quantity.
    pub effect: f64,
}

impl Stored for ElasticityModel {
    const KIND: &'static str = KIND;

    fn signature(&self) -> Signature {
        Signature {
            reads: Reads::Keys(self.columns.clone()),
            answers: vec![Answer::Table(Table::PriceResponse)],
            labels: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let fits = self.entries.iter().all(|entry| entry.keys.len() == self.columns.len());
        let is_of_all = self.entries.first().is_some_and(|entry| entry.keys.iter().all(Option::is_none));
        if !fits || !is_of_all {
            return Err("its keys are not what they should be");
        }
        let known = self.entries.iter().filter_map(|entry| entry.response.elasticity);
        let is_sound = known
            .flat_map(|known| [known.value, known.std_error, known.lower, known.upper])
            .all(f64::is_finite);
        if is_sound { Ok(()) } else { Err("its elasticities are not what they should be") }
    }
}

impl ElasticityModel {
    /// What the catalog is told of a model whose files take so many bytes.
    #[must_use]
    pub fn info(&self, bytes: u64) -> ModelInfo {
        let all = self.entries.first().and_then(|entry| entry.response.elasticity);
        let effect = |control: &ControlEffect| (control.name.clone(), json!(control.effect));
        let controls: Map<String, Value> = self.controls.iter().map(effect).collect();
        let details = json!({
            "series": self.series,
            "price": self.price,
            "elasticity": all.map(|known| known.value),
            "between_keys": self.between,
            "controls": controls,
        });
        ModelInfo {
            kind: KIND.to_owned(),
            signature: self.signature(),
            parameters: self.entries.len() as u64,
            bytes,
            details: details.to_string(),
        }
    }

    /// The keys of an entry as an object.
    #[must_use]
    pub fn keys(&self, entry: &Entry) -> Value {
        let key = |(column, value): (&Field, &Option<String>)| {
            value.as_ref().map(|value| (column.name.clone(), typed(value, column.value_type)))
        };
        Value::Object(self.columns.iter().zip(&entry.keys).filter_map(key).collect())
    }

    /// The elasticities that are known, by keys.
    #[must_use]
    pub fn elasticities(&self) -> BTreeMap<&[Option<String>], f64> {
        let known = |entry: &Entry| entry.response.elasticity.map(|known| known.value);
        self.entries.iter().filter_map(|entry| Some((entry.keys.as_slice(), known(entry)?))).collect()
    }
}

fn typed(text: &str, value_type: ValueType) -> Value {
    let typed = match value_type {
        ValueType::Number | ValueType::Boolean => serde_json::from_str(text).ok(),
        ValueType::Text | ValueType::Timestamp => None,
    };
    typed.unwrap_or_else(|| Value::String(text.to_owned()))
}
