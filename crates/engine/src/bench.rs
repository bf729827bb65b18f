//! Mode `bench`: commands in, measurements out, so that a driver can compare this engine with others in turn.
//! `benches/peers` is that driver, and its peers understand the same commands.
//!
//! Texts go through the same scheduler as requests. A time covers everything from text to prediction.
//! Invariant: one line of JSON out for each line in, which says `error` if need be.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Loaded, Output};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Prediction};
use ecommerce_ml_serving::scheduler::{Scheduler, SchedulerOptions, Work};
use ecommerce_ml_tensor_cpu::Peak;
use ecommerce_ml_text_model::{Model, Operations};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::cli::Bench;
use crate::loader::ModelLoader;
use crate::process;

/// Texts of a request, as in mode `predict`.
const REQUEST_TEXTS: usize = 256;

/// Single texts that are predicted before those that are timed.
const WARM_UP: usize = 5;

/// A line of the input: an object with one key.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Command {
    /// Work on the texts of this file from now on, a JSON string a line. Answer: how many `texts`.
    Texts(PathBuf),
    /// Predict all of them. Answer: `seconds`, `texts`, and `tokens` with special tokens.
    Throughput(IgnoredAny),
    /// Predict these, each after the answer to the one before. Answer: the median of their `ms`.
    Latency(Vec<String>),
    /// Answer: `probabilities`, a row for each of the texts, null for a blank one.
    Probabilities(IgnoredAny),
    /// Answer: `int8_ops` and `f32_ops` that the texts take, a multiplication and an addition being two.
    Operations(IgnoredAny),
    /// Measure the processor. Answer: `int8_gops` and `f32_gflops`, of all threads together.
    Peak(IgnoredAny),
}

/// What is measured.
struct Subject {
    model: Arc<Model>,
    loaded: Loaded,
    loader: ModelLoader,
    scheduler: Scheduler,
    texts: Vec<String>,
}

/// Answers each line of `input` by a line of `output`.
///
/// # Errors
/// If the model can't be loaded, or on I/O.
pub fn bench(options: &Bench, input: impl BufRead, mut output: impl Write) -> Result<(), EngineError> {
    let mut subject = Subject::load(options)?;
    for line in input.lines() {
        let answer = subject.answer(&line.map_err(failed)?);
        let answer = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(output, "{answer}").and_then(|()| output.flush()).map_err(failed)?;
    }
    Ok(())
}

impl Subject {
    fn load(options: &Bench) -> Result<Self, EngineError> {
        let loader = ModelLoader::new(&options.compute, None);
        let model = Arc::new(loader.load_model(&ModelFiles::from_directory(&options.model)?)?);
        let tokenizing_threads = process::count_threads(options.compute.threads);
        // An answer that is remembered says nothing of the engine's speed.
        let scheduling = SchedulerOptions { tokenizing_threads, batch_tokens: None, result_cache: 0 };
        let scheduler = Scheduler::start(scheduling).map_err(failed)?;
        let loaded = Loaded::new(Arc::clone(&model) as _);
        Ok(Self { model, loaded, loader, scheduler, texts: Vec::new() })
    }

    fn answer(&mut self, line: &str) -> Result<Value, EngineError> {
        match serde_json::from_str(line).map_err(invalid)? {
            Command::Texts(path) => {
                self.texts = read(&path)?;
                Ok(json!({ "texts": self.texts.len() }))
            }
            Command::Throughput(_) => self.throughput(),
            Command::Latency(texts) => self.latency(texts),
            Command::Probabilities(_) => self.probabilities(),
            Command::Operations(_) => self.operations(),
            Command::Peak(_) => self.peak(),
        }
    }

    fn throughput(&self) -> Result<Value, EngineError> {
        let started = Instant::now();
        let (predictions, tokens) = self.predict_all()?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(json!({ "seconds": seconds, "texts": predictions.len(), "tokens": tokens }))
    }

    fn latency(&self, texts: Vec<String>) -> Result<Value, EngineError> {
        let warm_up = texts.iter().take(WARM_UP).cloned().map(|text| self.predict(vec![text]).map(drop));
        warm_up.collect::<Result<(), _>>()?;
        let time = |text| {
            let started = Instant::now();
            self.predict(vec![text]).map(|_| started.elapsed().as_secs_f64() * 1000.0)
        };
        let times = texts.into_iter().map(time).collect::<Result<Vec<f64>, _>>()?;
        let median = median(times).ok_or_else(|| invalid("no texts"))?;
        Ok(json!({ "ms": median }))
    }

    fn probabilities(&self) -> Result<Value, EngineError> {
        let (predictions, _) = self.predict_all()?;
        let rows = predictions.into_iter().map(|prediction| prediction.map(|row| row.probabilities));
        Ok(json!({ "probabilities": rows.collect::<Vec<_>>() }))
    }

    fn operations(&self) -> Result<Value, EngineError> {
        let windows = self.texts.iter().map(|text| self.model.windows(text));
        let windows: Vec<_> = windows.collect::<Result<Vec<_>, _>>()?.concat();
        let Operations { int8, f32 } = self.model.operations(&windows, Output::Head);
        Ok(json!({ "int8_ops": int8, "f32_ops": f32 }))
    }

    fn peak(&self) -> Result<Value, EngineError> {
        let cpu = self.loader.cpu().ok_or_else(|| invalid("the device is not the CPU"))?;
        let peak = Peak::measure(&cpu.kernels, &cpu.team);
        Ok(json!({ "int8_gops": peak.int8 / 1e9, "f32_gflops": peak.f32 / 1e9 }))
    }

    /// Predictions of all texts, and how many tokens they have.
    fn predict_all(&self) -> Result<(Vec<Option<Prediction>>, u64), EngineError> {
        let requests = self.texts.chunks(REQUEST_TEXTS).map(<[String]>::to_vec);
        // Collected, so that all are under way before the first is waited for.
        let tickets: Vec<_> = requests.map(|texts| self.scheduler.submit(self.work(texts))).collect();
        let (mut predictions, mut tokens) = (Vec::with_capacity(self.texts.len()), 0);
        for ticket in tickets {
            let finished = ticket.wait()?;
            tokens += finished.tokens();
            predictions.extend(finished.rows(|rows| self.model.predict(rows)));
        }
        Ok((predictions, tokens))
    }

    fn predict(&self, texts: Vec<String>) -> Result<Vec<Option<Prediction>>, EngineError> {
        let finished = self.scheduler.submit(self.work(texts)).wait()?;
        Ok(finished.rows(|rows| self.model.predict(rows)))
    }

    fn work(&self, texts: Vec<String>) -> Work {
        Work { model: self.loaded.clone(), texts, output: Output::Head }
    }
}

fn read(path: &Path) -> Result<Vec<String>, EngineError> {
    let lines = fs::read_to_string(path).map_err(invalid)?;
    lines.lines().map(|line| serde_json::from_str(line).map_err(invalid)).collect()
}

/// The middle, or the mean of the two in the middle; `None` of nothing.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

fn invalid(error: impl ToString) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, error.to_string())
}

fn failed(error: io::Error) -> EngineError {
    EngineError::new(ErrorKind::Internal, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Compute;

    /// What the mode answers to these lines with a tiny model of three classes.
    fn answers(lines: &[Value]) -> Vec<Value> {
        let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/models");
        let model = reference.join("bert-classification-3");
        let options = Bench { model, compute: Compute { threads: 1, ..Compute::default() } };
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let mut output = Vec::new();
        bench(&options, input.as_bytes(), &mut output).unwrap();
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn texts_are_counted_timed_and_predicted_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("texts.jsonl");
        fs::write(&path, "\"It is a lamp.\"\n\"\"\n\"Great\\nvalue\"\n").unwrap();
        let told = answers(&[
            json!({ "texts": path }),
            json!({ "throughput": true }),
            json!({ "probabilities": true }),
            json!({ "latency": ["Great", "It is a lamp."] }),
            json!({ "operations": true }),
            json!({ "peak": true }),
        ]);
        assert_eq!(told[0], json!({ "texts": 3 }));
        assert_eq!(told[1]["texts"], 3);
        assert!(told[1]["seconds"].as_f64().unwrap() > 0.0 && told[1]["tokens"].as_u64().unwrap() > 6);
        let rows = told[2]["probabilities"].as_array().unwrap();
        assert_eq!((rows[0].as_array().unwrap().len(), &rows[1]), (3, &Value::Null));
        assert!(told[3]["ms"].as_f64().unwrap() > 0.0);
        assert!(told[4]["f32_ops"].as_u64().unwrap() > 1000);
        assert!(
            told[5]["int8_gops"].as_f64().unwrap() > 0.1 && told[5]["f32_gflops"].as_f64().unwrap() > 0.1
        );
    }

    #[test]
    fn what_cannot_be_done_is_answered_by_an_error() {
        let told = answers(&[
            json!({ "nonsense": 1 }),
            json!({ "texts": "/no/such/file" }),
            json!({ "latency": [] }),
        ]);
        assert!(told.iter().all(|answer| answer["error"].is_string()), "{told:?}");
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
