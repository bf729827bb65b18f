//! What a text model says of texts.
//!
//! It must not know columns of numbers. Invariant: an answer for each text, in order; none where there is nothing to read, or what
//! the model was never taught to read.

use std::collections::HashMap;

use ecommerce_ml_predictor::{Answered, Pending, Predictor};
use ecommerce_ml_protocol::{
    Answers, EngineError, ErrorKind, Input, ModelInfo, Output, Prediction, Reads, Task, is_blank,
};

use crate::columns::{Cells, refused};

/// Texts of one request: embeddings of as many fit into any reply.
const REQUEST: usize = 1024;

/// What a text model says of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextAnswer {
    /// Probabilities, `[labels]`, the value of a regression, `[1]`, or nothing of a model without a head.
    pub(crate) head: Vec<f32>,
    /// `[width]`.
    pub(crate) embedding: Vec<f32>,
}

/// The texts of some columns, each once.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    pub(crate) texts: Vec<String>,
    /// For each column the place of each text of its dictionary; none of one with nothing to read.
    pub(crate) places: Vec<Vec<Option<u32>>>,
}

impl Distinct {
    /// Of these columns, in the order in which they come.
    pub(crate) fn of(columns: &[Cells<'_>]) -> Self {
        let mut known: HashMap<&str, u32> = HashMap::new();
        let mut texts: Vec<&str> = Vec::new();
        let mut places = Vec::with_capacity(columns.len());
        for cells in columns {
            let Cells::Texts { dictionary, .. } = *cells else { continue };
            let own = dictionary.iter().map(|text| {
                let next = texts.len() as u32;
                (!is_blank(text)).then(|| {
                    *known.entry(text).or_insert_with(|| {
                        texts.push(text);
                        next
                    })
                })
            });
            places.push(own.collect());
        }
        Self { texts: texts.into_iter().map(str::to_owned).collect(), places }
    }
}

/// Texts that were submitted.
pub(crate) struct Asked(Vec<Request>);

struct Request {
    texts: usize,
    embeddings: Pending,
    predictions: Option<Pending>,
}

/// Answers, and what they took.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) answers: Vec<Option<TextAnswer>>,
    /// Tokens that went through the model.
    pub(crate) tokens: u64,
}

impl Asked {
    /// Submits texts.
    pub(crate) fn of(base: &dyn Predictor, texts: &[String]) -> Self {
        let submit = |texts: &[String], output| base.submit(Input::Texts(texts.to_vec()), output);
        let request = |texts: &[String]| Request {
            texts: texts.len(),
            embeddings: submit(texts, Output::Embedding),
            predictions: (head(base.info()) > 0).then(|| submit(texts, Output::Prediction)),
        };
        Self(texts.chunks(REQUEST).map(request).collect())
    }

    /// The answers.
    ///
    /// # Errors
    /// Those of the model.
    pub(crate) async fn read(self) -> Result<Read, EngineError> {
        let mut read = Read::default();
        for Request { texts, embeddings, predictions } in self.0 {
            let embeddings = embeddings.await?;
            let predictions = match predictions {
                Some(predictions) => Some(predictions.await?),
                None => None,
            };
            read.add(texts, embeddings, predictions)?;
        }
        Ok(read)
    }

    /// The answers, waited for outside of an asynchronous runtime.
    ///
    /// # Errors
    /// Those of the model.
    pub(crate) fn wait(self) -> Result<Read, EngineError> {
        let mut read = Read::default();
        for Request { texts, embeddings, predictions } in self.0 {
            let embeddings = embeddings.wait()?;
            read.add(texts, embeddings, predictions.map(Pending::wait).transpose()?)?;
        }
        Ok(read)
    }
}

impl Read {
    fn add(
        &mut self,
        texts: usize,
        embeddings: Answered,
        predictions: Option<Answered>,
    ) -> Result<(), EngineError> {
        self.tokens += embeddings.tokens + predictions.as_ref().map_or(0, |answered| answered.tokens);
        let mut unread = embeddings.unread.iter().peekable();
        let Answers::Vectors(vectors) = embeddings.answers else { return Err(other_answers()) };
        if vectors.len() != texts {
            return Err(other_answers());
        }
        for (text, embedding) in vectors.into_iter().enumerate() {
            let is_unread = unread.next_if(|unread| **unread as usize == text).is_some();
            let head = match &predictions {
                None => Some(Vec::new()),
                Some(answered) => answered.answers.prediction(text).map(numbers),
            };
            let answer = head.zip(embedding).map(|(head, embedding)| TextAnswer { head, embedding });
            self.answers.push(answer.filter(|_| !is_unread));
        }
        Ok(())
    }
}

fn numbers(prediction: Prediction<'_>) -> Vec<f32> {
    match prediction {
        Prediction::Class { probabilities, .. } => probabilities.to_vec(),
        Prediction::Number(number) => vec![number as f32],
    }
}

/// How many numbers the head of a model says of a text.
pub(crate) fn head(info: &ModelInfo) -> usize {
    match info.task() {
        Task::Classification => info.labels().len(),
        Task::Regression => 1,
        _ => 0,
    }
}

/// The width of the embeddings of a model that reads texts.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if it is none.
pub(crate) fn embedding_width(info: &ModelInfo) -> Result<usize, EngineError> {
    let width = info.signature.embedding_width().filter(|_| info.signature.reads == Reads::Text);
    width.map(|width| width as usize).ok_or_else(|| {
        let what = if info.signature.reads == Reads::Text { "has no embeddings" } else { "reads columns" };
        refused("columns of text can be read by a text model only")
            .with_detail(format!("The base {what}; it is of kind \"{}\".", info.kind))
            .with_hint("Name a text model as the base, or leave it out.")
    })
}

fn other_answers() -> EngineError {
    EngineError::new(ErrorKind::Internal, "text model answered something else than it was asked for")
}
