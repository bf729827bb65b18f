//! Mode `predict`: lines of text in, lines of JSON out, through the same scheduler as requests.
//!
//! Invariant: one line out for each line in, in the same order; memory doesn't grow with the input.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Load, Loaded, Output};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelSource, Prediction, TokenDetail, Tokens};
use ecommerce_ml_serving::scheduler::{Finished, Scheduler, SchedulerOptions, Ticket, Work};
use serde_json::{Value, json};

use crate::cli::{Predict, PredictTask};
use crate::loader::ModelLoader;
use crate::process;

/// Lines that are submitted together.
const LINES: usize = 256;

/// Submissions under way, so that tokenizing and computing overlap and batches find texts of like length.
const UNDER_WAY: usize = 4;

/// Texts on their way.
enum Answers {
    Model(Ticket<Finished>),
    Tokens(Ticket<Vec<Tokens>>),
}

/// What is needed for each line.
struct Lines {
    model: Loaded,
    scheduler: Scheduler,
    task: PredictTask,
}

/// Answers each line of `input` by a line of `output`.
///
/// # Errors
/// If the model can't be loaded or fails, or a line is no JSON string where it should be, or on I/O.
pub fn predict(options: &Predict, input: impl BufRead, mut output: impl Write) -> Result<(), EngineError> {
    let files = ModelFiles::from_directory(&options.model)?;
    // The source only tells where prepared weights would be kept, and none are.
    let source = ModelSource::Builtin(String::new());
    let model = Loaded::new(ModelLoader::new(&options.compute, None).load(&source, &files)?);
    drop(files);
    let tokenizing_threads = process::count_threads(options.compute.threads);
    // Each line is read once.
    let scheduling =
        SchedulerOptions { tokenizing_threads, batch_tokens: options.batch_tokens, result_cache: 0 };
    let scheduler = Scheduler::start(scheduling).map_err(failed)?;
    let lines = Lines { model, scheduler, task: options.task };
    let mut under_way = VecDeque::new();
    let mut texts = input.lines().map(|line| text(line.map_err(failed)?, options.json)).peekable();
    while texts.peek().is_some() {
        let some: Vec<String> = texts.by_ref().take(LINES).collect::<Result<_, _>>()?;
        under_way.push_back(lines.submit(some));
        if under_way.len() == UNDER_WAY {
            lines.write_next(&mut under_way, &mut output)?;
        }
    }
    while !under_way.is_empty() {
        lines.write_next(&mut under_way, &mut output)?;
    }
    output.flush().map_err(failed)
}

impl Lines {
    fn submit(&self, texts: Vec<String>) -> Answers {
        let model = self.model.clone();
        let output = match self.task {
            PredictTask::Predict => Output::Head,
            PredictTask::Embed => Output::Embedding,
            PredictTask::Tokenize => {
                return Answers::Tokens(self.scheduler.tokenize(model, texts, TokenDetail::Pieces));
            }
        };
        Answers::Model(self.scheduler.submit(Work { model, texts, output }))
    }

    fn write_next(
        &self,
        under_way: &mut VecDeque<Answers>,
        mut output: impl Write,
    ) -> Result<(), EngineError> {
        let Some(next) = under_way.pop_front() else { return Ok(()) };
        self.values(next)?.iter().try_for_each(|value| writeln!(output, "{value}")).map_err(failed)
    }

    fn values(&self, answers: Answers) -> Result<Vec<Value>, EngineError> {
        Ok(match answers {
            Answers::Tokens(ticket) => ticket.wait()?.iter().map(tokens_json).collect(),
            Answers::Model(ticket) if self.task == PredictTask::Embed => {
                let rows = ticket.wait()?.rows(|rows| self.model.embed(rows));
                rows.into_iter().map(Value::from).collect()
            }
            Answers::Model(ticket) => {
                let rows = ticket.wait()?.rows(|rows| self.model.predict(rows));
                rows.iter().map(|row| prediction_json(row.as_ref(), &self.model.info().labels)).collect()
            }
        })
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

fn tokens_json(tokens: &Tokens) -> Value {
    match tokens {
        Tokens::Ids(ids) => json!(ids),
        Tokens::Pieces(pieces) => json!(pieces),
        Tokens::Count(count) => json!(count),
    }
}

fn prediction_json(prediction: Option<&Prediction>, labels: &[String]) -> Value {
    let Some(prediction) = prediction else { return Value::Null };
    let probabilities = labels.iter().zip(&prediction.probabilities);
    let probabilities: serde_json::Map<_, _> =
        probabilities.map(|(name, &p)| (name.clone(), json!(p))).collect();
    json!({
        "probabilities": probabilities,
        "value": prediction.value,
        "sentiment": prediction.sentiment.map(|sentiment| sentiment.as_str()),
        "score": prediction.score,
        "rating": prediction.rating,
    })
}

fn failed(error: io::Error) -> EngineError {
    EngineError::new(ErrorKind::Internal, error.to_string())
}
