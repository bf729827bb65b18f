//! A loaded text model that answers requests.
//!
//! It must not know clients, nor who else uses its scheduler. Invariants: what can't be answered is refused before any work is
//! done for it; answers are put together by whoever waits for them, not by the thread that computes.

use std::sync::Arc;

use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokens};
use ecommerce_ml_predictor::{Answered, ModelHandle, ModelPrecision, Pending, Predictor, guarded};
use ecommerce_ml_protocol::{
    Answers, EngineError, ErrorKind, Input, MAX_FRAME_BYTES, MAX_TEXT_BYTES, ModelInfo, Output, Task,
};
use ecommerce_ml_text_model::{self as text_model, Prediction, TextModel, WindowRow};

use crate::scheduler::{Computed, Scheduler, TextRequest};

/// A text model, and the scheduler that it shares with others.
pub struct TextPredictor {
    model: ModelHandle<dyn TextModel>,
    scheduler: Arc<Scheduler>,
}

impl TextPredictor {
    /// A model that has just been loaded.
    pub fn new(model: Arc<dyn TextModel>, scheduler: &Arc<Scheduler>) -> Self {
        Self { model: ModelHandle::new(model), scheduler: Arc::clone(scheduler) }
    }

    fn compute(&self, texts: Vec<String>, output: text_model::ForwardOutput, answers: Combine) -> Pending {
        let model = self.model.clone();
        let request = TextRequest { model: model.clone(), texts, output };
        let promised = self.scheduler.submit(request);
        Pending::new(async move {
            let computed = promised.await?;
            let answers = guarded(|| Ok(answers(&*model, &computed)))?;
            let (tokens, cached, unread) = (computed.tokens(), computed.cached(), computed.unread());
            Ok(Answered { answers, unread, tokens, cached })
        })
    }

    fn tokenize(
        &self,
        texts: Vec<String>,
        detail: TokenDetail,
        answers: impl FnOnce(Vec<Tokens>) -> Answers + Send + 'static,
    ) -> Pending {
        let promised = self.scheduler.tokenize(self.model.clone(), texts, detail);
        Pending::new(async move { Ok(Answered::computed(answers(promised.await?))) })
    }

    /// The texts, if they can be answered.
    fn accept(&self, input: Input, output: Output) -> Result<Vec<String>, EngineError> {
        let texts = texts_of(input)?;
        if output == Output::Embedding {
            self.check_embeddings_size(texts.len())?;
        }
        Ok(texts)
    }

    /// Refuses before the work what couldn't be sent after it.
    fn check_embeddings_size(&self, texts: usize) -> Result<(), EngineError> {
        let width = self.model.info().signature.embedding_width().unwrap_or_default() as usize;
        let bytes = texts.saturating_mul(width * size_of::<f32>());
        if bytes < MAX_FRAME_BYTES {
            return Ok(());
        }
        let message = format!("embeddings of {texts} texts take {bytes} bytes, more than a reply may have");
        Err(invalid(message).with_hint("Send fewer texts in one request."))
    }
}

impl Predictor for TextPredictor {
    fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    fn precision(&self) -> &ModelPrecision {
        self.model.precision()
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let texts = match self.accept(input, output) {
            Ok(texts) => texts,
            Err(error) => return Pending::ready(Err(error)),
        };
        match output {
            Output::Prediction => self.compute(texts, text_model::ForwardOutput::Head, predictions),
            Output::Embedding => self.compute(texts, text_model::ForwardOutput::Embedding, embeddings),
            Output::TokenIds => self.tokenize(texts, TokenDetail::Ids, |tokens| {
                Answers::TokenIds(tokens.into_iter().map(ids).collect())
            }),
            Output::TokenPieces => self.tokenize(texts, TokenDetail::Pieces, |tokens| {
                Answers::TokenPieces(tokens.into_iter().map(pieces).collect())
            }),
            Output::Contributions { .. } => {
                Pending::ready(Err(invalid("the model was loaded to predict, not to explain")))
            }
            Output::Table(_) => Pending::ready(Err(invalid("the model reads texts, and answers no tables"))),
            Output::TokenCounts => self.tokenize(texts, TokenDetail::Count, |tokens| {
                Answers::TokenCounts(tokens.into_iter().map(count).collect())
            }),
        }
    }
}

/// The texts of an input.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for columns, [`ErrorKind::TextTooLong`].
pub(crate) fn texts_of(input: Input) -> Result<Vec<String>, EngineError> {
    let Input::Texts(texts) = input else { return Err(invalid("the model reads texts, not columns")) };
    if let Some(text) = texts.iter().find(|text| text.len() > MAX_TEXT_BYTES) {
        let message = format!("text of {} bytes exceeds the limit of {MAX_TEXT_BYTES} bytes", text.len());
        return Err(EngineError::new(ErrorKind::TextTooLong, message));
    }
    Ok(texts)
}

/// Answers from what the model made of the texts.
type Combine = fn(&dyn TextModel, &Computed) -> Answers;

fn predictions(model: &dyn TextModel, computed: &Computed) -> Answers {
    if model.info().task() == Task::Regression {
        Answers::Numbers(computed.rows(|rows| number(model, rows)))
    } else {
        let labels = model.info().labels().to_vec();
        Answers::Classes { labels, probabilities: computed.rows(|rows| probabilities(model, rows)) }
    }
}

fn embeddings(model: &dyn TextModel, computed: &Computed) -> Answers {
    Answers::Vectors(computed.rows(|rows| model.embed(rows)))
}

/// The value of a regression. A model answers by its task.
fn number(model: &dyn TextModel, rows: &[WindowRow]) -> f64 {
    match model.predict(rows) {
        Prediction::Number(number) => number,
        Prediction::Probabilities(_) => f64::NAN,
    }
}

/// The probabilities of a classification. A model answers by its task.
fn probabilities(model: &dyn TextModel, rows: &[WindowRow]) -> Vec<f32> {
    match model.predict(rows) {
        Prediction::Probabilities(probabilities) => probabilities,
        Prediction::Number(_) => Vec::new(),
    }
}

fn ids(tokens: Tokens) -> Vec<u32> {
    match tokens {
        Tokens::Ids(ids) => ids,
        Tokens::Pieces(_) | Tokens::Count(_) => Vec::new(),
    }
}

fn pieces(tokens: Tokens) -> Vec<String> {
    match tokens {
        Tokens::Pieces(pieces) => pieces,
        Tokens::Ids(_) | Tokens::Count(_) => Vec::new(),
    }
}

fn count(tokens: Tokens) -> u64 {
    match tokens {
        Tokens::Count(count) => count,
        Tokens::Ids(ids) => ids.len() as u64,
        Tokens::Pieces(pieces) => pieces.len() as u64,
    }
}

fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}
