//! Embeddings compared, those of a column or computed now.
//!
//! Invariant: a row's embedding is compared only with one of the same width.

use std::rc::Rc;

use ecommerce_ml_matching::embedding::cosine;
use ecommerce_ml_protocol::{Input, Output};

use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{RequestStream, answer, check_length, model_of, require_text};

/// The embedding of a question.
pub struct Embedded {
    model: Rc<Resolved>,
    values: Vec<f32>,
}

impl Embedded {
    /// By a model that reads texts.
    ///
    /// # Errors
    /// As [`model_of`]; [`Error::ReadsColumns`], those of the engine.
    pub fn of(question: &str, model: Option<&str>) -> Result<Self, Error> {
        let model = model_of(model)?;
        require_text(&model)?;
        let answers = answer(Output::Embedding, &model, Input::Texts(vec![question.to_owned()]))?;
        let values = answers.embedding(0)?.unwrap_or_default();
        Ok(Self { model, values })
    }

    /// Its numbers.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// How alike a row's embedding is, which a column of this name has.
    ///
    /// # Errors
    /// [`Error::EmbeddingWidth`], [`Error::ValueNotFinite`].
    pub fn compare(&self, column: &str, kept: &[Option<f32>]) -> Result<Option<f32>, Error> {
        if kept.len() != self.values.len() {
            return Err(Error::EmbeddingWidth {
                column: column.to_owned(),
                width: kept.len(),
                model: self.model.name.clone(),
                expected: self.values.len(),
            });
        }
        let finite = |value: &Option<f32>| value.filter(|value| value.is_finite());
        let values: Option<Vec<f32>> = kept.iter().map(finite).collect();
        let values = values.ok_or_else(|| Error::ValueNotFinite(column.to_owned()))?;
        Ok(cosine(&self.values, &values))
    }

    /// Has texts embedded while something else is done.
    ///
    /// # Errors
    /// [`Error::TextTooLong`]; those of starting an engine.
    pub fn submit(&self, texts: Vec<String>) -> Result<RequestStream, Error> {
        texts.iter().try_for_each(|text| check_length(text))?;
        RequestStream::submit(Output::Embedding, &self.model, Input::Texts(texts))
    }

    /// Waits for texts that were submitted: how alike each is.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn compare_submitted(&self, texts: RequestStream, count: usize) -> Result<Vec<Option<f32>>, Error> {
        let answers = texts.finish()?;
        let compare = |row| {
            let embedding = answers.embedding(row)?;
            Ok(embedding.and_then(|values| cosine(&self.values, &values)))
        };
        (0..count).map(compare).collect()
    }
}
