//! A loaded model that holds a text model.
//!
//! It must not know how rows are scored. Invariant: [`Predictor::submit`] puts texts on their way and waits for none.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Answered, Load, ModelPrecision, Pending, Predictor};
use ecommerce_ml_protocol::{
    Answers, Contributions, EngineError, Explanation, Input, ModelInfo, Output, Reads, Rows, Signature,
};
use serde_json::{Value, json};

use super::encoding::TextEncoding;
use super::files;
use super::reading::{Asked, Distinct, TextAnswer};
use crate::columns::{Cells, find, refused};
use crate::predictor::accept;

/// A model of columns, some of which a text model reads first.
struct TextsPredictor {
    info: ModelInfo,
    encoding: Arc<TextEncoding>,
    base: Arc<dyn Predictor>,
    inner: Arc<dyn Predictor>,
}

/// The model of these files, by `load` if there is no text model among them, else as the inner model that `load` makes of the others.
///
/// # Errors
/// What is wrong with the files; [`ecommerce_ml_protocol::ErrorKind::UnsupportedModel`] if there is nobody to load a text model.
pub(crate) fn load(
    files: &ModelFiles,
    models: Option<&dyn Load>,
    load: impl FnOnce(&ModelFiles) -> Result<Arc<dyn Predictor>, EngineError>,
) -> Result<Arc<dyn Predictor>, EngineError> {
    let Some(parts) = files::read(files)? else { return load(files) };
    let models = models.ok_or_else(|| refused("this engine reads no texts, which the model needs"))?;
    let base = models.load(None, &parts.base)?;
    let (encoding, inner_files) = parts.fit(base.info())?;
    let inner = load(&inner_files)?;
    let info = info(&encoding, inner.info(), base.info());
    Ok(Arc::new(TextsPredictor { info, encoding: Arc::new(encoding), base, inner }))
}

/// What such a model is. It counts the text model in, though others may share it.
fn info(encoding: &TextEncoding, inner: &ModelInfo, base: &ModelInfo) -> ModelInfo {
    let Signature { answers, labels, .. } = inner.signature.clone();
    let mut details: Value = serde_json::from_str(&inner.details).unwrap_or_else(|_| json!({}));
    let importance = details["importance"].as_array().map(|parts| {
        let parts: Vec<f64> = parts.iter().filter_map(Value::as_f64).collect();
        encoding.sums(&parts)
    });
    if let Some(importance) = importance {
        details["importance"] = json!(importance);
    }
    details["columns"] = json!(encoding.fields.len());
    details["text_columns"] = encoding.columns.iter().map(|one| one.column.as_str()).collect();
    ModelInfo {
        kind: inner.kind.clone(),
        signature: Signature { reads: Reads::Columns(encoding.fields.clone()), answers, labels },
        parameters: inner.parameters + base.parameters,
        bytes: inner.bytes + base.bytes + encoding.bytes() as u64,
        details: details.to_string(),
    }
}

impl TextsPredictor {
    fn begin(&self, rows: Rows) -> Result<(Rows, Distinct, Asked), EngineError> {
        let fields = &self.encoding.fields;
        let cells = find(&rows, fields)?;
        let is_read = |name: &str| self.encoding.columns.iter().any(|column| column.column == name);
        let read = fields.iter().zip(cells).filter(|(field, _)| is_read(&field.name));
        let texts: Vec<Cells<'_>> = read.map(|(_, cells)| cells).collect();
        let distinct = Distinct::of(&texts);
        let asked = Asked::of(&*self.base, &distinct.texts);
        Ok((rows, distinct, asked))
    }
}

impl Predictor for TextsPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        self.base.precision()
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let begun = accept(&self.info, input, output).and_then(|rows| self.begin(rows));
        let (rows, distinct, asked) = match begun {
            Ok(begun) => begun,
            Err(error) => return Pending::ready(Err(error)),
        };
        let (encoding, inner) = (Arc::clone(&self.encoding), Arc::clone(&self.inner));
        Pending::new(async move {
            let read = asked.read().await?;
            let expanded = expanded(&encoding, &rows, &distinct, &read.answers);
            drop(rows);
            let answered = inner.submit(Input::Rows(expanded), output).await?;
            let answers = summed(&encoding, answered.answers);
            Ok(Answered { answers, tokens: read.tokens, ..answered })
        })
    }
}

/// Rows with numbers in the place of texts.
fn expanded(
    encoding: &TextEncoding,
    rows: &Rows,
    distinct: &Distinct,
    answers: &[Option<TextAnswer>],
) -> Rows {
    let columns = encoding.columns.iter().zip(&distinct.places).map(|(column, places)| {
        let answer = |place: &Option<u32>| answers.get((*place)? as usize)?.as_ref();
        places.iter().map(|place| answer(place).map(|answer| encoding.numbers(column, answer))).collect()
    });
    encoding.expand(rows, &columns.collect::<Vec<_>>())
}

/// Contributions of columns that come from the same text become one.
fn summed(encoding: &TextEncoding, answers: Answers) -> Answers {
    let Answers::Explanations(rows) = answers else { return answers };
    let sum = |explanation: Explanation| match explanation.contributions {
        Contributions::Columns(columns) => {
            Explanation { contributions: Contributions::Columns(encoding.sums(&columns)), ..explanation }
        }
        Contributions::Spans(_) | Contributions::Members(_) => explanation,
    };
    Answers::Explanations(rows.into_iter().map(|row| row.map(sum)).collect())
}
