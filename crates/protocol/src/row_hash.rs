//! What a training row is known by: one hash for the worker of a job, which tells new rows from those that were learned from, and
//! for the engine, which brings rows into an order of their own.
//!
//! It must not know who keeps hashes. Invariants: the hash of a row is the same in every process and release, because hashes are
//! kept in tables; and no two different rows are the same bytes.

use sha2::{Digest, Sha256};

use crate::input::{Field, Input, Values};
use crate::text::look_of_text;
use crate::training::Label;

/// Stands where no text has one: neither byte occurs in UTF-8.
const BEFORE_COLUMNS: u8 = 0xFF;
const BEFORE_TIME: u8 = 0xFE;

/// The hash of a row.
pub type RowHash = [u8; 32];

/// The rows of an input, each as bytes of its own.
#[derive(Debug, Clone)]
pub struct RowBytes<'a>(Rows<'a>);

#[derive(Debug, Clone)]
enum Rows<'a> {
    Texts(&'a [String]),
    /// By name, in the order of the fields; a column that isn't there has no values.
    Columns(Vec<(&'a str, Option<&'a Values>)>),
}

impl<'a> RowBytes<'a> {
    /// Those of an input. Of columns the fields say which count, and in which order; of texts they say nothing.
    pub fn new(input: &'a Input, fields: &'a [Field]) -> Self {
        Self(match input {
            Input::Texts(texts) => Rows::Texts(texts),
            Input::Rows(rows) => Rows::Columns(
                fields.iter().map(|field| (field.name.as_str(), rows.column(&field.name))).collect(),
            ),
        })
    }

    /// Hands out the bytes of a row, in pieces. A row that isn't there has none of a text, and no values.
    pub fn write(&self, row: usize, mut take: impl FnMut(&[u8])) {
        self.write_as(row, |text, take| take(text.as_bytes()), &mut take);
    }

    /// The same of what a row looks like: texts that differ only in case and white space are the same.
    pub fn write_look(&self, row: usize, mut take: impl FnMut(&[u8])) {
        self.write_as(row, |text, take| take(look_of_text(text).as_bytes()), &mut take);
    }

    /// The hash of a row with its label and, if the training looks at it, its time in microseconds since 1970.
    pub fn hash(&self, row: usize, label: &Label, time: Option<i64>) -> RowHash {
        let mut sha256 = begin(label);
        if let Some(time) = time {
            sha256.update([BEFORE_TIME]);
            sha256.update(time.to_be_bytes());
        }
        self.write(row, |bytes| sha256.update(bytes));
        sha256.finalize().into()
    }

    fn write_as(
        &self,
        row: usize,
        write_text: impl Fn(&str, &mut dyn FnMut(&[u8])),
        take: &mut dyn FnMut(&[u8]),
    ) {
        match &self.0 {
            Rows::Texts(texts) => texts.get(row).map_or((), |text| write_text(text, take)),
            Rows::Columns(columns) => {
                take(&[BEFORE_COLUMNS]);
                for (name, values) in columns {
                    take(&(name.len() as u64).to_be_bytes());
                    take(name.as_bytes());
                    write_value(*values, row, &write_text, take);
                }
            }
        }
    }
}

/// The hash of a text with its label: that of [`RowBytes::hash`] without a time.
pub fn of_text(text: &str, label: &Label) -> RowHash {
    begin(label).chain_update(text).finalize().into()
}

/// The beginning of a hash, as a number: two of ten million different rows have the same with a probability of 3 in a million.
pub fn short(hash: &RowHash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The label goes first, with its length: no other label and row are the same bytes.
fn begin(label: &Label) -> Sha256 {
    let mut sha256 = Sha256::new();
    match label {
        Label::Class(class) => {
            sha256.update(b"class");
            sha256.update((class.len() as u64).to_be_bytes());
            sha256.update(class);
        }
        Label::Number(number) => {
            sha256.update(b"number");
            sha256.update(number_bytes(*number));
        }
        Label::Range(lowest, highest) => {
            sha256.update(b"range");
            sha256.update(number_bytes(*lowest));
            sha256.update(number_bytes(*highest));
        }
    }
    sha256
}

/// A value with its type before it; a type alone where there is none.
fn write_value(
    values: Option<&Values>,
    row: usize,
    write_text: &impl Fn(&str, &mut dyn FnMut(&[u8])),
    take: &mut dyn FnMut(&[u8]),
) {
    match values {
        Some(Values::Text { dictionary, codes }) => {
            let code = codes.get(row).copied().flatten();
            if let Some(text) = code.and_then(|code| dictionary.get(code as usize)) {
                write_text(text, &mut |bytes| {
                    take(&[1]);
                    take(&(bytes.len() as u64).to_be_bytes());
                    take(bytes);
                });
                return;
            }
        }
        Some(Values::Number(values)) => {
            if let Some(number) = values.get(row).copied().flatten() {
                take(&[2]);
                return take(&number_bytes(number));
            }
        }
        Some(Values::Boolean(values)) => {
            if let Some(value) = values.get(row).copied().flatten() {
                return take(&[3, u8::from(value)]);
            }
        }
        Some(Values::Timestamp(values)) => {
            if let Some(time) = values.get(row).copied().flatten() {
                take(&[4]);
                return take(&time.to_be_bytes());
            }
        }
        None => {}
    }
    take(&[0]);
}

/// Both zeros are the same number, and so are all that are none.
fn number_bytes(number: f64) -> [u8; 8] {
    let number = if number.is_nan() { f64::NAN } else { number + 0.0 };
    number.to_bits().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::input::{self, Column, ValueType};

    fn class(class: &str) -> Label {
        Label::Class(class.to_owned())
    }

    fn field(name: &str, value_type: ValueType) -> Field {
        Field { name: name.to_owned(), value_type }
    }

    /// A row of two columns of texts.
    fn texts(first: Option<&str>, second: Option<&str>) -> Input {
        let column = |name: &str, text: Option<&str>| Column {
            name: name.to_owned(),
            values: Values::Text {
                dictionary: text.iter().map(|&text| text.to_owned()).collect(),
                codes: vec![text.map(|_| 0)],
            },
        };
        Input::Rows(input::Rows { count: 1, columns: vec![column("a", first), column("b", second)] })
    }

    fn fields() -> Vec<Field> {
        vec![field("a", ValueType::Text), field("b", ValueType::Text)]
    }

    #[test]
    fn hashes_of_texts_never_change() {
        // SHA-256 of "class", the length in 8 bytes, "good", and the text; of "number", the bits of 4.5, and the text.
        assert_eq!(short(&of_text("It works.", &class("good"))), GOOD);
        assert_eq!(short(&of_text("It works.", &Label::Number(4.5))), NUMBER);
        assert_eq!(of_text("a", &Label::Number(0.0)), of_text("a", &Label::Number(-0.0)));
        let input = Input::Texts(vec!["It works.".to_owned()]);
        assert_eq!(
            RowBytes::new(&input, &[]).hash(0, &class("good"), None),
            of_text("It works.", &class("good"))
        );
    }

    /// Written down once: tables hold hashes like these.
    const GOOD: u64 = 16_993_229_525_617_631_809;
    const NUMBER: u64 = 10_975_512_165_056_277_410;

    #[test]
    fn different_rows_are_different_bytes() {
        let of = |input: &Input, label: &Label, time| RowBytes::new(input, &fields()).hash(0, label, time);
        let mut seen = BTreeSet::new();
        for (first, second) in [
            (None, None),
            (Some(""), None),
            (None, Some("")),
            (Some("x"), None),
            (None, Some("x")),
            (Some("x"), Some("")),
            (Some("xy"), Some("z")),
            (Some("x"), Some("yz")),
        ] {
            for label in
                [class(""), class("x"), Label::Number(1.0), Label::Range(1.0, 2.0), Label::Range(1.0, 1.0)]
            {
                for time in [None, Some(0), Some(1)] {
                    assert!(seen.insert(of(&texts(first, second), &label, time)));
                }
            }
        }
        for text in ["", "x", "xy"] {
            for time in [None, Some(0)] {
                assert!(seen.insert(of(&Input::Texts(vec![text.to_owned()]), &class("x"), time)));
            }
        }
    }

    #[test]
    fn the_order_of_columns_is_that_of_the_fields() {
        let Input::Rows(mut rows) = texts(Some("x"), Some("y")) else { unreachable!() };
        let input = Input::Rows(rows.clone());
        rows.columns.reverse();
        let reversed = Input::Rows(rows);
        let hash = |input: &Input, fields: &[Field]| RowBytes::new(input, fields).hash(0, &class("x"), None);
        assert_eq!(hash(&input, &fields()), hash(&reversed, &fields()));
        assert_ne!(hash(&input, &fields()), hash(&input, &fields()[..1]));
    }

    #[test]
    fn values_of_each_type_count() {
        let fields = ["n", "f", "t"].map(|name| field(name, ValueType::Number));
        let row = |number: Option<f64>, flag: Option<bool>, time: Option<i64>| {
            let values =
                [Values::Number(vec![number]), Values::Boolean(vec![flag]), Values::Timestamp(vec![time])];
            let columns = ["n", "f", "t"].into_iter().zip(values);
            let columns = columns.map(|(name, values)| Column { name: name.to_owned(), values }).collect();
            let input = Input::Rows(input::Rows { count: 1, columns });
            RowBytes::new(&input, &fields).hash(0, &class("x"), None)
        };
        assert_eq!(row(Some(0.0), None, None), row(Some(-0.0), None, None));
        let different = [
            row(None, None, None),
            row(Some(0.0), None, None),
            row(Some(1.0), None, None),
            row(None, Some(false), None),
            row(None, Some(true), None),
            row(None, None, Some(0)),
            row(None, None, Some(1)),
        ];
        assert_eq!(BTreeSet::from(different).len(), 7);
    }

    #[test]
    fn looks_pass_over_case_and_white_space() {
        let look = |input: &Input| {
            let mut bytes = Vec::new();
            RowBytes::new(input, &fields()).write_look(0, |part| bytes.extend_from_slice(part));
            bytes
        };
        assert_eq!(look(&texts(Some(" Red\n"), None)), look(&texts(Some("red"), None)));
        assert_ne!(look(&texts(Some("red"), None)), look(&texts(None, Some("red"))));
        let text = |text: &str| Input::Texts(vec![text.to_owned()]);
        assert_eq!(look(&text("It  WORKS")), b"it works");
    }
}
