//! Mode `predict`: lines of text in, lines of JSON out, by the same way as requests.
//!
//! Invariant: one line out for each line in, in the same order; memory doesn't grow with the input.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Load, Pending, Predictor};
use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind, Input, LabelScheme, Output, Prediction};
use ecommerce_ml_text::ModelLoader;
use ecommerce_ml_text::scheduler::SchedulerOptions;
use serde_json::{Value, json};

use crate::cli::{Predict, PredictTask};
use crate::registry::Registry;

/// Lines that are submitted together.
const LINES: usize = 256;

/// Submissions under way, so that tokenizing and computing overlap and batches find texts of like length.
const IN_FLIGHT: usize = 4;

/// Answers each line of `input` by a line of `output`.
///
/// # Errors
/// If the model can't be loaded or fails, or a line is no JSON string where it should be, or on I/O.
pub fn predict(options: &Predict, input: impl BufRead, mut output: impl Write) -> Result<(), EngineError> {
    let files = ModelFiles::from_directory(&options.model)?;
    let tokenizing_threads = options.compute.count_threads();
    // Each line is read once.
    let scheduling =
        SchedulerOptions { tokenizing_threads, batch_tokens: options.batch_tokens, result_cache: 0 };
    let registry = Registry::start(ModelLoader::new(&options.compute, None), scheduling).map_err(failed)?;
    // The source only tells where prepacked weights would be kept, and none are.
    let model = registry.load(None, &files)?;
    drop(files);
    let mut in_flight = VecDeque::new();
    let mut texts = input.lines().map(|line| text(line.map_err(failed)?, options.json)).peekable();
    while texts.peek().is_some() {
        let some: Vec<String> = texts.by_ref().take(LINES).collect::<Result<_, _>>()?;
        in_flight.push_back(submit(&*model, options.task, some));
        if in_flight.len() == IN_FLIGHT {
            write_next(&mut in_flight, &mut output)?;
        }
    }
    while !in_flight.is_empty() {
        write_next(&mut in_flight, &mut output)?;
    }
    output.flush().map_err(failed)
}

fn submit(model: &dyn Predictor, task: PredictTask, texts: Vec<String>) -> Pending {
    let output = match task {
        PredictTask::Predict => Output::Prediction,
        PredictTask::Embed => Output::Embedding,
        PredictTask::Tokenize => Output::TokenPieces,
    };
    model.submit(Input::Texts(texts), output)
}

fn write_next(in_flight: &mut VecDeque<Pending>, mut output: impl Write) -> Result<(), EngineError> {
    let Some(next) = in_flight.pop_front() else { return Ok(()) };
    let answers = next.wait()?.answers;
    values(answers).iter().try_for_each(|value| writeln!(output, "{value}")).map_err(failed)
}

fn values(answers: Answers) -> Vec<Value> {
    match answers {
        Answers::Classes { .. } | Answers::Numbers(_) => {
            (0..answers.len()).map(|row| prediction_json(answers.prediction(row))).collect()
        }
        Answers::Vectors(rows) => rows.into_iter().map(Value::from).collect(),
        Answers::TokenIds(rows) => rows.into_iter().map(Value::from).collect(),
        Answers::TokenPieces(rows) => rows.into_iter().map(Value::from).collect(),
        Answers::TokenCounts(rows) => rows.into_iter().map(Value::from).collect(),
        Answers::Explanations(rows) => rows.into_iter().map(|row| json!(row)).collect(),
        Answers::Tables(tables) => tables.into_iter().map(|table| json!(table)).collect(),
    }
}

fn text(line: String, is_json: bool) -> Result<String, EngineError> {
    if !is_json {
        return Ok(line);
    }
    let refuse =
        |error| EngineError::new(ErrorKind::InvalidRequest, format!("line is no JSON string: {error}"));
    serde_json::from_str(&line).map_err(refuse)
}

fn prediction_json(prediction: Option<Prediction<'_>>) -> Value {
    let (labels, probabilities, value) = match prediction {
        None => return Value::Null,
        Some(Prediction::Class { labels, probabilities }) => (labels, probabilities, None),
        Some(Prediction::Number(value)) => (&[][..], &[][..], Some(value)),
    };
    let reading = LabelScheme::of(labels).read(probabilities);
    let probabilities = labels.iter().zip(probabilities);
    let probabilities: serde_json::Map<_, _> =
        probabilities.map(|(name, &p)| (name.clone(), json!(p))).collect();
    json!({
        "probabilities": probabilities,
        "value": value,
        "sentiment": reading.sentiment.map(|sentiment| sentiment.as_str()),
        "score": reading.score,
        "rating": reading.rating,
    })
}

fn failed(error: io::Error) -> EngineError {
    EngineError::new(ErrorKind::Internal, error.to_string())
}
