//! What came back for some texts, and what each SQL function reads off it.
//!
//! Readers take the number of a text and give `None` where SQL shows NULL: for blank texts. Invariant: an [`Output`]
//! gives the very value that the SQL function of that name returns.

use std::collections::BTreeMap;
use std::rc::Rc;

use ecommerce_ml_protocol::{Completed, Prediction, ReplyBody, TokenDetail, Tokens};
use pgrx::{IntoDatum, JsonB, pg_sys};
use serde_json::{Map, Value, json};

use super::pass::Pass;
use crate::catalog::resolve::Resolved;
use crate::client::{Fingerprint, Piece};
use crate::error::Error;

/// Answers of one model to some texts, in their order.
pub struct Answers {
    model: Rc<Resolved>,
    labels: Vec<String>,
    rows: Rows,
    /// Texts that have no row because engines die of them, by number.
    refused: BTreeMap<usize, Fingerprint>,
    completed: Completed,
}

enum Rows {
    Predictions(Vec<Option<Prediction>>),
    Embeddings(Vec<Option<Vec<f32>>>),
    Tokens(Vec<Tokens>),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Rows::Predictions(rows) => rows.len(),
            Rows::Embeddings(rows) => rows.len(),
            Rows::Tokens(rows) => rows.len(),
        }
    }
}

/// What an SQL function of one text returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Pieces,
    Ids,
    Count,
    Sentiment,
    SentimentScore,
    Rating,
    Class,
    Probabilities,
    Value,
    Embedding,
}

impl Output {
    /// What a text goes through for it.
    pub fn pass(self) -> Pass {
        match self {
            Output::Pieces => Pass::Tokenize(TokenDetail::Pieces),
            Output::Ids => Pass::Tokenize(TokenDetail::Ids),
            Output::Count => Pass::Tokenize(TokenDetail::Count),
            Output::Embedding => Pass::Embed,
            Output::Sentiment
            | Output::SentimentScore
            | Output::Rating
            | Output::Class
            | Output::Probabilities
            | Output::Value => Pass::Predict,
        }
    }

    /// The value for the text of this number, allocated in the current memory context.
    ///
    /// # Errors
    /// As the reader of that name.
    pub fn datum(self, answers: &Answers, text: usize) -> Result<Option<pg_sys::Datum>, Error> {
        Ok(match self {
            Output::Pieces => answers.pieces(text)?.into_datum(),
            Output::Ids => answers.ids(text)?.into_datum(),
            Output::Count => answers.count(text)?.into_datum(),
            Output::Sentiment => answers.sentiment(text)?.into_datum(),
            Output::SentimentScore => answers.sentiment_score(text)?.into_datum(),
            Output::Rating => answers.rating(text)?.into_datum(),
            Output::Class => answers.class(text)?.into_datum(),
            Output::Probabilities => answers.probabilities(text)?.into_datum(),
            Output::Value => answers.value(text)?.into_datum(),
            Output::Embedding => answers.embedding(text)?.into_datum(),
        })
    }
}

impl Answers {
    /// To be filled by [`take_in`](Self::take_in).
    pub fn none_yet(pass: Pass, model: &Rc<Resolved>) -> Self {
        let rows = match pass {
            Pass::Predict => Rows::Predictions(Vec::new()),
            Pass::Embed => Rows::Embeddings(Vec::new()),
            Pass::Tokenize(_) => Rows::Tokens(Vec::new()),
        };
        let model = Rc::clone(model);
        Self { model, labels: Vec::new(), rows, refused: BTreeMap::new(), completed: Completed::default() }
    }

    /// Appends what came of the next texts.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for a reply to something else.
    pub fn take_in(&mut self, piece: Piece) -> Result<(), Error> {
        let reply = match piece {
            Piece::Answered(reply) => reply,
            Piece::Refused(text) => {
                self.refused.insert(self.rows.len() + self.refused.len(), text);
                return Ok(());
            }
        };
        let completed = match (&mut self.rows, reply) {
            (Rows::Predictions(all), ReplyBody::Predictions { labels, rows, completed }) => {
                self.labels = labels;
                all.extend(rows);
                completed
            }
            (Rows::Embeddings(all), ReplyBody::Embeddings { rows, completed }) => {
                all.extend(rows);
                completed
            }
            (Rows::Tokens(all), ReplyBody::Tokenized { rows }) => {
                all.extend(rows);
                Completed::default()
            }
            _ => return Err(Error::Unexpected("an answer to something else")),
        };
        self.completed.tokens += completed.tokens;
        self.completed.cached += completed.cached;
        self.completed.micros += completed.micros;
        Ok(())
    }

    /// Where the answer to a text is.
    ///
    /// # Errors
    /// [`Error::InputFatal`] if there is none because engines die of it.
    fn row(&self, text: usize) -> Result<usize, Error> {
        match self.refused.get(&text) {
            Some(refused) => Err(Error::InputFatal(*refused)),
            None => Ok(text - self.refused.range(..text).count()),
        }
    }

    /// Whether there is an answer to each text.
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

    /// All that the model says of a text; nothing of a blank one.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if something else was asked for.
    pub fn prediction(&self, text: usize) -> Result<Option<&Prediction>, Error> {
        let Rows::Predictions(rows) = &self.rows else { return Err(OTHER) };
        Ok(rows.get(self.row(text)?).ok_or(OTHER)?.as_ref())
    }

    /// Word pieces, special tokens included; none for a blank text.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if something else was asked for; so do all readers.
    pub fn pieces(&self, text: usize) -> Result<Option<Vec<String>>, Error> {
        match self.tokens(text)? {
            Tokens::Pieces(pieces) => Ok(Some(pieces.clone())),
            _ => Err(OTHER),
        }
    }

    /// Indices into the vocabulary.
    pub fn ids(&self, text: usize) -> Result<Option<Vec<i32>>, Error> {
        match self.tokens(text)? {
            Tokens::Ids(ids) => {
                ids.iter().map(|id| i32::try_from(*id)).collect::<Result<_, _>>().map(Some).map_err(|_| OTHER)
            }
            _ => Err(OTHER),
        }
    }

    /// Number of tokens.
    pub fn count(&self, text: usize) -> Result<Option<i32>, Error> {
        match self.tokens(text)? {
            Tokens::Count(count) => i32::try_from(*count).map(Some).map_err(|_| OTHER),
            _ => Err(OTHER),
        }
    }

    /// Mean-pooled, L2-normalised.
    pub fn embedding(&self, text: usize) -> Result<Option<Vec<f32>>, Error> {
        match &self.rows {
            Rows::Embeddings(rows) => rows.get(self.row(text)?).cloned().ok_or(OTHER),
            _ => Err(OTHER),
        }
    }

    /// `negative`, `neutral` or `positive`.
    ///
    /// # Errors
    /// [`Error::NoMeaning`] if the model's labels don't mean sentiment.
    pub fn sentiment(&self, text: usize) -> Result<Option<String>, Error> {
        self.read(text, "labels that mean sentiment", |row| row.sentiment.map(|one| one.as_str().to_owned()))
    }

    /// From -1 to 1.
    ///
    /// # Errors
    /// As [`sentiment`](Self::sentiment).
    pub fn sentiment_score(&self, text: usize) -> Result<Option<f32>, Error> {
        self.read(text, "labels that mean sentiment", |row| row.score)
    }

    /// From 1 to 5.
    ///
    /// # Errors
    /// [`Error::NoMeaning`] if the model's labels don't mean stars.
    pub fn rating(&self, text: usize) -> Result<Option<f32>, Error> {
        self.read(text, "labels that mean 1 to 5 stars", |row| row.rating)
    }

    /// The value of a regression.
    ///
    /// # Errors
    /// [`Error::NoMeaning`] for a model that isn't one.
    pub fn value(&self, text: usize) -> Result<Option<f64>, Error> {
        self.read(text, "numeric value: it is not a regression", |row| row.value)
    }

    /// The likeliest label.
    ///
    /// # Errors
    /// [`Error::NoMeaning`] for a model without labels.
    pub fn class(&self, text: usize) -> Result<Option<String>, Error> {
        self.read(text, "classes", |row| {
            let probabilities = row.probabilities.iter().zip(&self.labels);
            let likeliest = probabilities.max_by(|(one, _), (other, _)| one.total_cmp(other));
            likeliest.map(|(_, label)| label.clone())
        })
    }

    /// Label to probability.
    ///
    /// # Errors
    /// As [`class`](Self::class).
    pub fn probabilities(&self, text: usize) -> Result<Option<JsonB>, Error> {
        self.read(text, "classes", |row| {
            let pairs = self.labels.iter().zip(&row.probabilities);
            let object: Map<String, Value> =
                pairs.map(|(label, p)| (label.clone(), json!(f64::from(*p)))).collect();
            (!object.is_empty()).then_some(JsonB(Value::Object(object)))
        })
    }

    fn read<T>(
        &self,
        text: usize,
        wanted: &'static str,
        read: impl FnOnce(&Prediction) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(row) = self.prediction(text)? else { return Ok(None) };
        read(row).map(Some).ok_or_else(|| self.meaningless(wanted))
    }

    fn meaningless(&self, wanted: &'static str) -> Error {
        let model = format!("{}@{}", self.model.name, self.model.version);
        Error::NoMeaning { model, wanted, labels: self.labels.clone() }
    }

    fn tokens(&self, text: usize) -> Result<&Tokens, Error> {
        match &self.rows {
            Rows::Tokens(rows) => rows.get(self.row(text)?).ok_or(OTHER),
            _ => Err(OTHER),
        }
    }
}

const OTHER: Error = Error::Unexpected("an answer to something else");
