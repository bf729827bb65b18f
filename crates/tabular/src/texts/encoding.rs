//! What a text model says of the texts of a column, as columns of numbers.
//!
//! Of each column: the expected stars, or else the score, where the labels of the model mean such; the probability of each label, or
//! the value of a regression; and how far the embedding lies along the principal components of those that were learned from. A
//! text with nothing to read is missing in all of them.
//! It must not know where answers come from. Invariant: numbers come in the order of the fields, those of a column of text in its
//! place; their names are all different.

use std::collections::BTreeSet;

use ecommerce_ml_protocol::{Column, Field, LabelScheme, ModelInfo, Rows, ValueType, Values};
use serde::{Deserialize, Serialize};

use super::reading::{TextAnswer, head};

/// Most labels whose probabilities are numbers of their own.
const MOST_LABELS: usize = 20;

/// Most principal components of a column.
pub(super) const COMPONENTS: usize = 16;

/// A column that a text model reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextColumn {
    /// Its name.
    pub column: String,
    /// The mean of the embeddings, `[width]`.
    pub mean: Vec<f32>,
    /// Directions from it, `[components][width]`.
    pub components: Vec<Vec<f32>>,
}

/// All columns of a model, some of which a text model reads.
#[derive(Debug, Clone, PartialEq)]
pub struct TextEncoding {
    /// All of them, as the model's signature names them.
    pub fields: Vec<Field>,
    /// Those of text that are read, in the order of the fields.
    pub columns: Vec<TextColumn>,
    /// What the text model says beside embeddings.
    pub head: Head,
}

/// What the head of a text model says, as far as it becomes numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    labels: Vec<String>,
    scheme: LabelScheme,
    numbers: usize,
}

impl Head {
    /// Of a text model.
    pub fn of(info: &ModelInfo) -> Self {
        let labels = info.labels().to_vec();
        Self { scheme: LabelScheme::of(&labels), numbers: head(info), labels }
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> usize {
        self.names().len()
    }

    /// A name for each number.
    fn names(&self) -> Vec<String> {
        let reading = self.reading().map(str::to_owned);
        let rest: Vec<String> = match self.labels.as_slice() {
            [] if self.numbers == 1 => vec!["value".to_owned()],
            labels if labels.len() <= MOST_LABELS => labels.to_vec(),
            _ => Vec::new(),
        };
        reading.into_iter().chain(rest).collect()
    }

    /// What labels mean together, if they mean such.
    fn reading(&self) -> Option<&'static str> {
        if self.scheme.has_rating() { Some("stars") } else { self.scheme.has_sentiment().then_some("score") }
    }

    fn add(&self, answer: &[f32], numbers: &mut Vec<f64>) {
        if self.reading().is_some() {
            let read = self.scheme.read(answer);
            numbers.push(f64::from(read.rating.or(read.score).unwrap_or(f32::NAN)));
        }
        if self.labels.len() <= MOST_LABELS {
            numbers.extend(answer.iter().map(|&number| f64::from(number)));
        }
    }
}

impl TextColumn {
    /// How far an embedding lies along each component.
    fn project(&self, embedding: &[f32], numbers: &mut Vec<f64>) {
        let along = |component: &Vec<f32>| {
            let terms = component.iter().zip(embedding).zip(&self.mean);
            terms
                .map(|((one, value), mean)| f64::from(*one) * (f64::from(*value) - f64::from(*mean)))
                .sum::<f64>()
        };
        numbers.extend(self.components.iter().map(along));
    }
}

impl TextEncoding {
    /// The numbers of a text of a column.
    pub(super) fn numbers(&self, column: &TextColumn, answer: &TextAnswer) -> Vec<f64> {
        let mut numbers = Vec::new();
        self.head.add(&answer.head, &mut numbers);
        column.project(&answer.embedding, &mut numbers);
        numbers
    }

    /// The columns of numbers that the rest of the model reads, each with the place of the field that it comes from.
    pub fn inner_fields(&self) -> Vec<(usize, Field)> {
        let head = self.head.names();
        let mut taken: BTreeSet<String> = self.fields.iter().map(|field| field.name.clone()).collect();
        let mut inner = Vec::new();
        for (place, field) in self.fields.iter().enumerate() {
            let Some(column) = self.columns.iter().find(|column| column.column == field.name) else {
                inner.push((place, field.clone()));
                continue;
            };
            let components = (1..=column.components.len()).map(|number| format!("component {number}"));
            for number in head.iter().cloned().chain(components) {
                let mut name = format!("{} {number}", field.name);
                while !taken.insert(name.clone()) {
                    name.push('\'');
                }
                inner.push((place, Field { name, value_type: ValueType::Number }));
            }
        }
        inner
    }

    /// Rows with numbers in the place of the texts that are read. `numbers` has those of each text by the place of the column
    /// among those read and the code of the text; none where there is nothing to read.
    pub(super) fn expand(&self, rows: &Rows, numbers: &[Vec<Option<Vec<f64>>>]) -> Rows {
        let inner = self.inner_fields();
        let mut columns = Vec::with_capacity(inner.len());
        let mut read = 0;
        for (place, field) in self.fields.iter().enumerate() {
            let Some(values) = rows.column(&field.name) else { continue };
            let own = inner.iter().filter(|(of, _)| *of == place).map(|(_, field)| &field.name);
            let is_read = self.columns.get(read).is_some_and(|column| column.column == field.name);
            let (Values::Text { codes, .. }, true) = (values, is_read) else {
                columns.push(Column { name: field.name.clone(), values: values.clone() });
                continue;
            };
            let of_texts = numbers.get(read).map(Vec::as_slice).unwrap_or_default();
            read += 1;
            for (at, name) in own.enumerate() {
                let of_text = |code: u32| of_texts.get(code as usize)?.as_ref()?.get(at).copied();
                let values = codes.iter().map(|code| code.and_then(of_text)).collect();
                columns.push(Column { name: name.clone(), values: Values::Number(values) });
            }
        }
        Rows { count: rows.count, columns }
    }

    /// Sums of what inner columns add, for each field.
    pub fn sums(&self, of_inner: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.fields.len()];
        for ((place, _), value) in self.inner_fields().iter().zip(of_inner) {
            if let Some(sum) = sums.get_mut(*place) {
                *sum += value;
            }
        }
        sums
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let column = |one: &TextColumn| 4 * one.mean.len() * (one.components.len() + 1) + one.column.len();
        self.columns.iter().map(column).sum::<usize>() + self.fields.len() * 64
    }

    /// What is wrong with it, if anything; `width` is that of the embeddings.
    ///
    /// # Errors
    /// A few words.
    pub fn check(&self, width: usize) -> Result<(), String> {
        let mut fields = self.fields.iter();
        for column in &self.columns {
            let name = &column.column;
            let is_text = |field: &Field| field.name == *name && field.value_type == ValueType::Text;
            if !fields.any(is_text) {
                return Err(format!("\"{name}\" is no column of text, or not in its place"));
            }
            let fits = |row: &Vec<f32>| row.len() == width && row.iter().all(|one| one.is_finite());
            if !fits(&column.mean) || !column.components.iter().all(fits) {
                return Err(format!("column \"{name}\" is not of embeddings of {width} numbers"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ecommerce_ml_protocol::{Answer, Reads, Signature};

    use super::*;

    fn encoding(labels: &[&str]) -> TextEncoding {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        let answers = if labels.is_empty() { vec![] } else { vec![Answer::Classes] };
        let info = ModelInfo {
            kind: "fake".to_owned(),
            signature: Signature { reads: Reads::Text, answers, labels },
            parameters: 0,
            bytes: 0,
            details: "{}".to_owned(),
        };
        let field = |(name, value_type): (&str, ValueType)| Field { name: name.to_owned(), value_type };
        let fields = [("age", ValueType::Number), ("body", ValueType::Text), ("body yes", ValueType::Text)];
        let column =
            TextColumn { column: "body".to_owned(), mean: vec![1.0, 0.0], components: vec![vec![0.0, 2.0]] };
        TextEncoding {
            fields: fields.into_iter().map(field).collect(),
            columns: vec![column],
            head: Head::of(&info),
        }
    }

    #[test]
    fn numbers_stand_in_the_place_of_the_text() {
        let encoding = encoding(&["no", "yes"]);
        let names: Vec<(usize, String)> =
            encoding.inner_fields().into_iter().map(|(place, field)| (place, field.name)).collect();
        let expected =
            [(0, "age"), (1, "body no"), (1, "body yes'"), (1, "body component 1"), (2, "body yes")];
        assert_eq!(names, expected.map(|(place, name)| (place, name.to_owned())));
        let answer = TextAnswer { head: vec![0.25, 0.75], embedding: vec![5.0, 3.0] };
        let numbers = encoding.numbers(&encoding.columns[0], &answer);
        assert_eq!(numbers, [0.25, 0.75, 6.0]);
        let texts =
            |codes: Vec<Option<u32>>| Values::Text { dictionary: vec!["a".into(), " ".into()], codes };
        let column = |name: &str, values| Column { name: name.to_owned(), values };
        let rows = Rows {
            count: 3,
            columns: vec![
                column("body yes", texts(vec![None, Some(0), None])),
                column("body", texts(vec![Some(0), Some(1), None])),
                column("age", Values::Number(vec![Some(1.0); 3])),
            ],
        };
        let expanded = encoding.expand(&rows, &[vec![Some(numbers), None]]);
        assert_eq!(expanded.column("body component 1"), Some(&Values::Number(vec![Some(6.0), None, None])));
        assert_eq!(expanded.column("body yes'"), Some(&Values::Number(vec![Some(0.75), None, None])));
        assert_eq!(expanded.column("body yes"), rows.column("body yes"));
        assert_eq!(expanded.columns.len(), 5);
        assert_eq!(encoding.sums(&[1.0, 2.0, 3.0, 4.0, 5.0]), [1.0, 9.0, 5.0]);
        assert!(encoding.check(2).is_ok() && encoding.check(3).is_err());
    }

    #[test]
    fn stars_are_a_number_too() {
        let encoding = encoding(&["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]);
        let answer = TextAnswer { head: vec![0.5, 0.0, 0.0, 0.0, 0.5], embedding: vec![1.0, 0.0] };
        let numbers = encoding.numbers(&encoding.columns[0], &answer);
        assert_eq!(numbers, [3.0, 0.5, 0.0, 0.0, 0.0, 0.5, 0.0]);
        assert_eq!(encoding.inner_fields()[1].1.name, "body stars");
    }
}
