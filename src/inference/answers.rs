//! What came back for some inputs, and what each SQL function reads off it.
//!
//! Readers take the number of an input and give `None` where SQL shows NULL: for blank texts. Invariant: a [`ModelFunction`]
//! gives the very value that the SQL function of that name returns.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ecommerce_ml_protocol::{
    self as protocol, Completed, Explanation, LabelScheme, Output, Prediction, Reading, ReplyBody, Table,
};
use pgrx::{IntoDatum, JsonB, pg_sys};
use serde_json::{Map, Value, json};

use super::recommendation::Recommendation;
use super::unread;
use crate::catalog::resolve::Resolved;
use crate::client::{InputDigest, PartOutcome};
use crate::error::Error;

/// Answers of one model to some inputs, in their order.
pub struct Answers {
    model: Rc<Resolved>,
    /// None before the first reply.
    rows: Option<protocol::Answers>,
    /// What the labels of `rows` mean.
    scheme: LabelScheme,
    /// Places in `rows` of inputs that the model can't read.
    unread: BTreeSet<usize>,
    /// Inputs that have no row because engines die of them, by number.
    refused: BTreeMap<usize, InputDigest>,
    completed: Completed,
}

/// An SQL function that asks a model about one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFunction {
    TokenPieces,
    TokenIds,
    TokenCount,
    Sentiment,
    SentimentScore,
    Rating,
    Class,
    Probabilities,
    Value,
    Confidence,
    /// The value, or the probability of each class.
    Numbers,
    Embedding,
    Recommendations,
}

impl ModelFunction {
    /// What the model is asked for. Functions of the same output, model and input are answered by one forward pass.
    pub fn output(self) -> Output {
        match self {
            ModelFunction::TokenPieces => Output::TokenPieces,
            ModelFunction::TokenIds => Output::TokenIds,
            ModelFunction::TokenCount => Output::TokenCounts,
            ModelFunction::Embedding => Output::Embedding,
            ModelFunction::Recommendations => Output::Table(Table::Recommendations),
            ModelFunction::Sentiment
            | ModelFunction::SentimentScore
            | ModelFunction::Rating
            | ModelFunction::Class
            | ModelFunction::Probabilities
            | ModelFunction::Value
            | ModelFunction::Confidence
            | ModelFunction::Numbers => Output::Prediction,
        }
    }

    /// The value for the input of this number, allocated in the current memory context.
    ///
    /// # Errors
    /// As the reader of that name.
    pub fn datum(self, answers: &Answers, row: usize) -> Result<Option<pg_sys::Datum>, Error> {
        Ok(match self {
            ModelFunction::TokenPieces => answers.token_pieces(row)?.into_datum(),
            ModelFunction::TokenIds => answers.token_ids(row)?.into_datum(),
            ModelFunction::TokenCount => answers.token_count(row)?.into_datum(),
            ModelFunction::Sentiment => answers.sentiment(row)?.into_datum(),
            ModelFunction::SentimentScore => answers.sentiment_score(row)?.into_datum(),
            ModelFunction::Rating => answers.rating(row)?.into_datum(),
            ModelFunction::Class => answers.class(row)?.into_datum(),
            ModelFunction::Probabilities => answers.probabilities(row)?.into_datum(),
            ModelFunction::Value => answers.value(row)?.into_datum(),
            ModelFunction::Confidence => answers.confidence(row)?.into_datum(),
            ModelFunction::Numbers => answers.numbers(row)?.into_datum(),
            ModelFunction::Embedding => answers.embedding(row)?.into_datum(),
            ModelFunction::Recommendations => answers.recommendations(row)?.into_datum(),
        })
    }
}

impl Answers {
    /// To be filled by [`append`](Self::append).
    pub fn empty(model: &Rc<Resolved>) -> Self {
        let scheme = LabelScheme::Other;
        let (model, refused, unread) = (Rc::clone(model), BTreeMap::new(), BTreeSet::new());
        Self { model, rows: None, scheme, unread, refused, completed: Completed::default() }
    }

    /// Appends what came of the next inputs.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for a reply to something else.
    pub fn append(&mut self, outcome: PartOutcome) -> Result<(), Error> {
        let (answers, unread, completed) = match outcome {
            PartOutcome::Answered(ReplyBody::Answered { answers, unread, completed }) => {
                (answers, unread, completed)
            }
            PartOutcome::Answered(_) => return Err(UNEXPECTED_ANSWER),
            PartOutcome::Refused(input) => {
                let answered = self.rows.as_ref().map_or(0, protocol::Answers::len);
                self.refused.insert(answered + self.refused.len(), input);
                return Ok(());
            }
        };
        let first = self.rows.as_ref().map_or(0, protocol::Answers::len);
        self.unread.extend(unread.into_iter().map(|row| first + row as usize));
        match &mut self.rows {
            None => {
                self.scheme = match &answers {
                    protocol::Answers::Classes { labels, .. } => LabelScheme::of(labels),
                    _ => LabelScheme::Other,
                };
                self.rows = Some(answers);
            }
            Some(rows) => append_rows(rows, answers)?,
        }
        self.completed.tokens += completed.tokens;
        self.completed.cached += completed.cached;
        self.completed.micros += completed.micros;
        Ok(())
    }

    /// Where the answer to an input is.
    ///
    /// # Errors
    /// [`Error::InputFatal`] if there is none because engines die of it.
    fn answer_index(&self, row: usize) -> Result<usize, Error> {
        match self.refused.get(&row) {
            Some(refused) => Err(Error::InputFatal(*refused)),
            None => Ok(row - self.refused.range(..row).count()),
        }
    }

    /// Whether there is an answer to each input.
    pub fn are_complete(&self) -> bool {
        self.refused.is_empty()
    }

    /// Whose answers these are.
    pub fn model(&self) -> &Resolved {
        &self.model
    }

    /// What it took, all requests together.
    pub fn completed(&self) -> Completed {
        self.completed
    }

    /// What the model says of an input; nothing of a blank text, and of one that it can't read unless guesses count.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if something else was asked for.
    pub fn prediction(&self, row: usize) -> Result<Option<Prediction<'_>>, Error> {
        let place = self.answer_index(row)?;
        let counts = !self.unread.contains(&place) || unread::guess_counts(&self.model);
        Ok(self.answer_at(place)?.filter(|_| counts))
    }

    /// As [`prediction`](Self::prediction), whatever the model can read.
    fn answer_at(&self, row: usize) -> Result<Option<Prediction<'_>>, Error> {
        match &self.rows {
            Some(rows @ (protocol::Answers::Classes { .. } | protocol::Answers::Numbers(_)))
                if row < rows.len() =>
            {
                Ok(rows.prediction(row))
            }
            _ => Err(UNEXPECTED_ANSWER),
        }
    }

    /// A table for each row of arguments.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if something else was asked for, or a table is malformed.
    pub fn into_tables(self) -> Result<Vec<protocol::Rows>, Error> {
        match self.rows {
            Some(protocol::Answers::Tables(tables)) if tables.iter().all(protocol::Rows::check) => Ok(tables),
            _ => Err(UNEXPECTED_ANSWER),
        }
    }

    /// What is recommended for a row of arguments, as [`Recommendation`] reads it.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if something else was asked for, or a table is malformed.
    pub fn recommendations(&self, row: usize) -> Result<Option<String>, Error> {
        let row = self.answer_index(row)?;
        match &self.rows {
            Some(protocol::Answers::Tables(tables)) => {
                let table = tables.get(row).filter(|table| table.check()).ok_or(UNEXPECTED_ANSWER)?;
                Ok(Some(Recommendation::write_all(table)))
            }
            _ => Err(UNEXPECTED_ANSWER),
        }
    }

    /// What made the prediction for an input; nothing of a blank text.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if something else was asked for.
    pub fn explanation(&self, row: usize) -> Result<Option<&Explanation>, Error> {
        let row = self.answer_index(row)?;
        match &self.rows {
            Some(protocol::Answers::Explanations(rows)) => {
                rows.get(row).map(Option::as_ref).ok_or(UNEXPECTED_ANSWER)
            }
            _ => Err(UNEXPECTED_ANSWER),
        }
    }

    /// Word pieces, special tokens included; none for a blank text.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if something else was asked for; so do all readers.
    pub fn token_pieces(&self, row: usize) -> Result<Option<Vec<String>>, Error> {
        let row = self.answer_index(row)?;
        match &self.rows {
            Some(protocol::Answers::TokenPieces(rows)) => {
                rows.get(row).cloned().map(Some).ok_or(UNEXPECTED_ANSWER)
            }
            _ => Err(UNEXPECTED_ANSWER),
        }
    }

    /// Indices into the vocabulary.
    pub fn token_ids(&self, row: usize) -> Result<Option<Vec<i32>>, Error> {
        let row = self.answer_index(row)?;
        let Some(protocol::Answers::TokenIds(rows)) = &self.rows else { return Err(UNEXPECTED_ANSWER) };
        let ids = rows.get(row).ok_or(UNEXPECTED_ANSWER)?.iter();
        ids.map(|id| i32::try_from(*id)).collect::<Result<_, _>>().map(Some).map_err(|_| UNEXPECTED_ANSWER)
    }

    /// Number of tokens.
    pub fn token_count(&self, row: usize) -> Result<Option<i32>, Error> {
        let row = self.answer_index(row)?;
        let Some(protocol::Answers::TokenCounts(rows)) = &self.rows else { return Err(UNEXPECTED_ANSWER) };
        i32::try_from(*rows.get(row).ok_or(UNEXPECTED_ANSWER)?).map(Some).map_err(|_| UNEXPECTED_ANSWER)
    }

    /// Mean-pooled, L2-normalised.
    pub fn embedding(&self, row: usize) -> Result<Option<Vec<f32>>, Error> {
        let row = self.answer_index(row)?;
        match &self.rows {
            Some(protocol::Answers::Vectors(rows)) => rows.get(row).cloned().ok_or(UNEXPECTED_ANSWER),
            _ => Err(UNEXPECTED_ANSWER),
        }
    }

    /// `negative`, `neutral` or `positive`.
    ///
    /// # Errors
    /// [`Error::NoMeaning`] if the model's labels don't mean sentiment.
    pub fn sentiment(&self, row: usize) -> Result<Option<&'static str>, Error> {
        self.read_labels(row, SENTIMENT, |reading| reading.sentiment.map(protocol::Sentiment::as_str))
    }

    /// From -1 to 1.
    ///
    /// # Errors
    /// As [`sentiment`](Self::sentiment).
    pub fn sentiment_score(&self, row: usize) -> Result<Option<f32>, Error> {
        self.read_labels(row, SENTIMENT, |reading| reading.score)
    }

    /// From 1 to 5.
    ///
    /// # Errors
    /// [`Error::NoMeaning`] if the model's labels don't mean stars.
    pub fn rating(&self, row: usize) -> Result<Option<f32>, Error> {
        self.read_labels(row, "labels that mean 1 to 5 stars", |reading| reading.rating)
    }

    /// The value of a regression.
    ///
    /// # Errors
    /// [`Error::NoMeaning`] for a model that isn't one.
    pub fn value(&self, row: usize) -> Result<Option<f64>, Error> {
        self.read_prediction(row, "numeric value: it is not a regression", |prediction| match prediction {
            Prediction::Number(value) => Some(value),
            Prediction::Class { .. } => None,
        })
    }

    /// The likeliest label.
    ///
    /// # Errors
    /// [`Error::NoMeaning`] for a model without labels.
    pub fn class(&self, row: usize) -> Result<Option<&str>, Error> {
        self.read_prediction(row, "classes", |prediction| {
            let Prediction::Class { labels, probabilities } = prediction else { return None };
            let likeliest =
                probabilities.iter().zip(labels).max_by(|(one, _), (other, _)| one.total_cmp(other));
            likeliest.map(|(_, label)| label.as_str())
        })
    }

    /// Label to probability.
    ///
    /// # Errors
    /// As [`class`](Self::class).
    pub fn probabilities(&self, row: usize) -> Result<Option<JsonB>, Error> {
        self.read_prediction(row, "classes", |prediction| {
            let Prediction::Class { labels, probabilities } = prediction else { return None };
            let pairs = labels.iter().zip(probabilities);
            let object: Map<String, Value> =
                pairs.map(|(label, p)| (label.clone(), json!(f64::from(*p)))).collect();
            (!object.is_empty()).then_some(JsonB(Value::Object(object)))
        })
    }

    /// The value of a regression, or the probability of each label, in the order of the labels.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if something else was asked for.
    pub fn numbers(&self, row: usize) -> Result<Option<Vec<f64>>, Error> {
        Ok(self.prediction(row)?.map(|prediction| match prediction {
            Prediction::Number(value) => vec![value],
            Prediction::Class { probabilities, .. } => probabilities.iter().map(|p| f64::from(*p)).collect(),
        }))
    }

    /// The probability of what is answered: of a text, of its sentiment if the labels mean one, all labels of that sentiment
    /// together; else of the likeliest label, which is all that is said of columns. 0 of a text that the model can't read, be its
    /// guess asked for or not.
    ///
    /// # Errors
    /// As [`class`](Self::class).
    pub fn confidence(&self, row: usize) -> Result<Option<f32>, Error> {
        let scheme = if self.model.columns.is_none() { self.scheme } else { LabelScheme::Other };
        let place = self.answer_index(row)?;
        let Some(prediction) = self.answer_at(place)? else { return Ok(None) };
        let confidence = match prediction {
            Prediction::Class { probabilities, .. } => scheme.confidence(probabilities),
            Prediction::Number(_) => None,
        };
        let confidence = confidence.ok_or_else(|| self.no_meaning("classes"))?;
        if self.unread.contains(&place) {
            unread::guess_counts(&self.model);
            return Ok(Some(0.0));
        }
        Ok(Some(confidence))
    }

    fn read_labels<T>(
        &self,
        row: usize,
        wanted: &'static str,
        read: impl FnOnce(Reading) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.read_prediction(row, wanted, |prediction| match prediction {
            Prediction::Class { probabilities, .. } => read(self.scheme.read(probabilities)),
            Prediction::Number(_) => None,
        })
    }

    fn read_prediction<'a, T>(
        &'a self,
        row: usize,
        wanted: &'static str,
        read: impl FnOnce(Prediction<'a>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(prediction) = self.prediction(row)? else { return Ok(None) };
        read(prediction).map(Some).ok_or_else(|| self.no_meaning(wanted))
    }

    fn no_meaning(&self, wanted: &'static str) -> Error {
        let model = format!("{}@{}", self.model.name, self.model.version);
        let labels = match &self.rows {
            Some(protocol::Answers::Classes { labels, .. }) => labels.clone(),
            _ => Vec::new(),
        };
        Error::NoMeaning { model, wanted, labels }
    }
}

/// Appends rows of the same request's next part.
fn append_rows(rows: &mut protocol::Answers, more: protocol::Answers) -> Result<(), Error> {
    use protocol::Answers::{
        Classes, Explanations, Numbers, Tables, TokenCounts, TokenIds, TokenPieces, Vectors,
    };
    match (rows, more) {
        (Classes { labels, probabilities }, Classes { labels: same, probabilities: more })
            if *labels == same =>
        {
            probabilities.extend(more);
        }
        (Numbers(rows), Numbers(more)) => rows.extend(more),
        (Vectors(rows), Vectors(more)) => rows.extend(more),
        (TokenIds(rows), TokenIds(more)) => rows.extend(more),
        (TokenPieces(rows), TokenPieces(more)) => rows.extend(more),
        (TokenCounts(rows), TokenCounts(more)) => rows.extend(more),
        (Explanations(rows), Explanations(more)) => rows.extend(more),
        (Tables(tables), Tables(more)) => tables.extend(more),
        _ => return Err(UNEXPECTED_ANSWER),
    }
    Ok(())
}

const SENTIMENT: &str = "labels that mean sentiment";
const UNEXPECTED_ANSWER: Error = Error::Unexpected("an answer to something else");
