//! Asking a member.
//!
//! It must not know weights, or what becomes of answers. Invariant: each different text is asked once a call; a blank one, and one in a
//! script that the member hasn't learned to read, is answered by nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ecommerce_ml_predictor::{Answered, Pending, Predictor};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Input, Output, Reads, Rows, Values, is_blank};

use crate::head::Head;
use crate::says::{Reader, Says};

/// Texts of one request.
const REQUEST: usize = 1024;

/// A member that is loaded.
#[derive(Clone)]
pub struct Member {
    /// With its version, as `name@3`.
    pub name: String,
    /// What answers.
    pub model: Arc<dyn Predictor>,
}

/// Rows that were submitted to a member.
pub struct Asked {
    requests: Vec<Pending>,
    /// For each row its place among what was asked; none if there is nothing to read.
    places: Vec<Option<u32>>,
}

impl Member {
    /// Puts rows on their way; a member that reads a text reads that of this column.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if that column isn't there, or the member reads neither a text nor columns.
    pub fn ask(&self, rows: &Rows, text: Option<&str>) -> Result<Asked, EngineError> {
        match &self.model.info().signature.reads {
            Reads::Columns(fields) => {
                let own = |name: &String| fields.iter().any(|field| field.name == *name);
                let columns = rows.columns.iter().filter(|column| own(&column.name)).cloned().collect();
                let input = Input::Rows(Rows { count: rows.count, columns });
                let requests = vec![self.model.submit(input, Output::Prediction)];
                Ok(Asked { requests, places: (0..rows.count).map(Some).collect() })
            }
            Reads::Text => {
                let (texts, places) = distinct(rows, text)?;
                let submit =
                    |texts: &[String]| self.model.submit(Input::Texts(texts.to_vec()), Output::Prediction);
                Ok(Asked { requests: texts.chunks(REQUEST).map(submit).collect(), places })
            }
            Reads::Keys(_) => {
                Err(refused(format!("member \"{}\" reads neither a text nor columns", self.name)))
            }
        }
    }
}

/// The texts of a column, each once, and for each row the place of its own.
fn distinct(rows: &Rows, text: Option<&str>) -> Result<(Vec<String>, Vec<Option<u32>>), EngineError> {
    let name =
        text.ok_or_else(|| refused("model has a member that reads a text, and names no column for it"))?;
    let (dictionary, codes) = match rows.column(name) {
        Some(Values::Text { dictionary, codes }) => (dictionary, codes),
        Some(other) => {
            return Err(refused(format!("column \"{name}\" is of type {}, not text", other.value_type())));
        }
        None => return Err(refused(format!("column \"{name}\" is missing"))),
    };
    let mut known: HashMap<&str, u32> = HashMap::new();
    let mut texts: Vec<String> = Vec::new();
    let places = codes.iter().map(|code| {
        let text = dictionary.get((*code)? as usize).filter(|text| !is_blank(text))?;
        let next = texts.len() as u32;
        Some(*known.entry(text).or_insert_with(|| {
            texts.push(text.clone());
            next
        }))
    });
    let places = places.collect();
    Ok((texts, places))
}

impl Asked {
    /// What the member says, and how many tokens that took.
    ///
    /// # Errors
    /// Those of the member, and if it answers something else than the ensemble.
    pub async fn read(self, head: &Head, labels: &[String]) -> Result<(Says, u64), EngineError> {
        let reader = Reader::new(head, labels)?;
        let mut answers = Said::default();
        for request in self.requests {
            answers.add(&reader, request.await?);
        }
        Ok(answers.of_rows(&self.places, head.outputs()))
    }

    /// The same, waited for outside of an asynchronous runtime.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn wait(self, head: &Head, labels: &[String]) -> Result<Says, EngineError> {
        let reader = Reader::new(head, labels)?;
        let mut answers = Said::default();
        for request in self.requests {
            answers.add(&reader, request.wait()?);
        }
        Ok(answers.of_rows(&self.places, head.outputs()).0)
    }
}

/// What was said of what was asked, each `[outputs]`.
#[derive(Default)]
struct Said {
    of: Vec<Option<Vec<f64>>>,
    tokens: u64,
}

impl Said {
    fn add(&mut self, reader: &Reader<'_>, Answered { answers, unread, tokens, .. }: Answered) {
        let unread: HashSet<usize> = unread.into_iter().map(|place| place as usize).collect();
        let one = |row: usize| if unread.contains(&row) { None } else { reader.read(&answers, row) };
        self.of.extend((0..answers.len()).map(one));
        self.tokens += tokens;
    }

    fn of_rows(&self, places: &[Option<u32>], outputs: usize) -> (Says, u64) {
        let mut says = Says::new(outputs);
        for place in places {
            says.push(place.and_then(|place| self.of.get(place as usize)?.as_deref()));
        }
        (says, self.tokens)
    }
}

/// Something wrong with the input.
pub(crate) fn refused(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}
