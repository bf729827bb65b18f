//! Which columns of text a text model reads: the one that was named as the text, those of the option `text_features`, or, without
//! that option, those whose texts look like prose.
//!
//! It must not know models. Invariant: only columns of type text are chosen, in the order of the fields.

use std::collections::BTreeSet;

use ecommerce_ml_protocol::training::{TrainingCall, TrainingInput};
use ecommerce_ml_protocol::{EngineError, Field, ValueType};
use ecommerce_ml_training::options::parse;
use ecommerce_ml_training::options::reader::unexpected;
use serde_json::Value;

use crate::columns::{Cells, refused};

/// The option that names columns to be read.
pub(crate) const TEXT_FEATURES: &str = "text_features";

/// The built-in model that reads them unless another is named.
pub(crate) const DEFAULT_BASE: &str = "reviews";

/// Words from which on a text looks like prose: more than names and addresses have.
const WORDS: usize = 8;

/// Least different texts of a column of prose; fewer are categories, however long.
const LEAST_TEXTS: usize = 20;

/// Which columns a text model may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Those that it reads whatever they say.
    named: BTreeSet<String>,
    /// Whether it reads others that look like prose, too.
    finds_prose: bool,
}

impl Choice {
    /// What a call says of it.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] if the option names what is no column of text that is read.
    pub(crate) fn of(call: &TrainingCall) -> Result<Self, EngineError> {
        let TrainingInput::Columns { fields, text } = &call.input else {
            return Ok(Self { named: BTreeSet::new(), finds_prose: false });
        };
        let options = parse(&call.options)?;
        let given = options.get(TEXT_FEATURES).filter(|value| !value.is_null());
        let mut named = given.map(|value| names(value, fields)).transpose()?.unwrap_or_default();
        named.extend(text.clone());
        Ok(Self { named, finds_prose: given.is_none() })
    }

    /// Whether a text model may be needed for these fields.
    pub(crate) fn may_read(&self, fields: &[Field]) -> bool {
        let is_text = |field: &Field| field.value_type == ValueType::Text;
        !self.named.is_empty() || (self.finds_prose && fields.iter().any(is_text))
    }

    /// The places of the fields that are read, given the values and the rows to learn from.
    pub(crate) fn places(&self, fields: &[Field], cells: &[Cells<'_>], learned: &[usize]) -> Vec<usize> {
        let reads = |(field, cells): (&Field, &Cells<'_>)| match cells {
            Cells::Texts { dictionary, codes } => {
                self.named.contains(&field.name) || (self.finds_prose && is_prose(dictionary, codes, learned))
            }
            _ => false,
        };
        let fields = fields.iter().zip(cells).enumerate();
        fields.filter(|(_, field)| reads(*field)).map(|(place, _)| place).collect()
    }
}

fn names(value: &Value, fields: &[Field]) -> Result<BTreeSet<String>, EngineError> {
    let strings = value.as_array().and_then(|names| names.iter().map(Value::as_str).collect::<Option<_>>());
    let strings: Vec<&str> =
        strings.ok_or_else(|| unexpected(TEXT_FEATURES, "an array of names of columns", value))?;
    for name in &strings {
        let field = fields.iter().find(|field| field.name == *name);
        let refusal = |what: String| {
            let message = format!("training option \"{TEXT_FEATURES}\" names \"{name}\", which is {what}");
            let names: Vec<String> = fields
                .iter()
                .filter(|field| field.value_type == ValueType::Text)
                .map(|field| format!("\"{}\"", field.name))
                .collect();
            Err(refused(message).with_detail(format!("Columns of text are: {}.", names.join(", "))))
        };
        match field {
            None => return refusal("not a column that is read".to_owned()),
            Some(field) if field.value_type != ValueType::Text => {
                return refusal(format!("of type {}", field.value_type));
            }
            Some(_) => {}
        }
    }
    Ok(strings.into_iter().map(str::to_owned).collect())
}

/// Whether texts look like prose: there are many different ones, and half of them or more have as many words.
fn is_prose(dictionary: &[String], codes: &[Option<u32>], learned: &[usize]) -> bool {
    let mut used = vec![false; dictionary.len()];
    for code in learned.iter().filter_map(|&row| codes.get(row).copied().flatten()) {
        if let Some(used) = used.get_mut(code as usize) {
            *used = true;
        }
    }
    let texts: BTreeSet<&str> =
        dictionary.iter().zip(used).filter(|(_, used)| *used).map(|(text, _)| text.as_str()).collect();
    let long = texts.iter().filter(|text| has_words(text, WORDS)).count();
    texts.len() >= LEAST_TEXTS && 2 * long >= texts.len()
}

/// Whether a text has so many words. Scripts without spaces between words have about one in two characters.
fn has_words(text: &str, count: usize) -> bool {
    let halves = |word: &str| word.chars().filter(|&c| is_ideographic(c)).count().max(2);
    text.split_whitespace()
        .map(halves)
        .scan(0, |sum, more| {
            *sum += more;
            Some(*sum)
        })
        .any(|halves| halves >= 2 * count)
}

/// Whether a character is of a script that puts no spaces between words: Chinese, Japanese, Thai.
fn is_ideographic(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{e7f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

#[cfg(test)]
mod tests {
    use ecommerce_ml_protocol::training::Objective;

    use super::*;

    fn call(options: &str, text: Option<&str>) -> TrainingCall {
        let fields = [("body", ValueType::Text), ("age", ValueType::Number), ("colour", ValueType::Text)];
        let field = |(name, value_type): (&str, ValueType)| Field { name: name.to_owned(), value_type };
        let input = TrainingInput::Columns {
            fields: fields.into_iter().map(field).collect(),
            text: text.map(str::to_owned),
        };
        let (objective, options) = (Objective::Rating, options.to_owned());
        TrainingCall { objective, input, has_time: false, options }
    }

    fn chosen(call: &TrainingCall) -> Vec<usize> {
        let prose: Vec<String> =
            (0..30).map(|n| format!("this dress number {n} is a bit too long for me")).collect();
        let names: Vec<String> = (0..30).map(|n| format!("Rue de la Paix {n}, Paris")).collect();
        let codes: Vec<Option<u32>> = (0..30).map(Some).collect();
        let ages = vec![Some(1.0); 30];
        let cells = [
            Cells::Texts { dictionary: &prose, codes: &codes },
            Cells::Numbers(&ages),
            Cells::Texts { dictionary: &names, codes: &codes },
        ];
        let rows: Vec<usize> = (0..30).collect();
        Choice::of(call).unwrap().places(call.input.fields(), &cells, &rows)
    }

    #[test]
    fn prose_and_what_is_named_is_read() {
        assert_eq!(chosen(&call("{}", None)), [0]);
        assert_eq!(chosen(&call("{}", Some("colour"))), [0, 2]);
        assert_eq!(chosen(&call(r#"{"text_features": []}"#, None)), [0; 0]);
        assert_eq!(chosen(&call(r#"{"text_features": []}"#, Some("body"))), [0]);
        assert_eq!(chosen(&call(r#"{"text_features": ["colour"]}"#, None)), [2]);
        let none = Choice::of(&call(r#"{"text_features": []}"#, None)).unwrap();
        assert!(!none.may_read(call("{}", None).input.fields()));
        assert!(Choice::of(&call("{}", None)).unwrap().may_read(call("{}", None).input.fields()));
    }

    #[test]
    fn what_is_no_column_of_text_is_refused() {
        for (options, message) in [
            (r#"{"text_features": ["ag"]}"#, "names \"ag\", which is not a column that is read"),
            (r#"{"text_features": ["age"]}"#, "names \"age\", which is of type number"),
            (r#"{"text_features": "body"}"#, "must be an array of names of columns, not \"body\""),
        ] {
            let error = Choice::of(&call(options, None)).unwrap_err();
            assert_eq!(error.message, format!("training option \"text_features\" {message}"));
        }
    }

    #[test]
    fn words_are_counted_without_spaces_too() {
        assert!(has_words("a b c d e f g h", 8) && !has_words("a b c d e f g", 8));
        assert!(has_words("这件衣服的质量非常好我很喜欢它", 7) && !has_words("质量非常好", 7));
    }
}
