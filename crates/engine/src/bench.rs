//! Mode `bench`: commands in, measurements out, so that a driver can compare this engine with others in turn.
//! `benches/peers` is that driver, and its peers understand the same commands.
//!
//! Texts go the way of requests. A time covers everything from text to prediction.
//! Invariant: one line of JSON out for each line in, which says `error` if need be.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Pending, Predictor};
use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind, Input, Output};
use ecommerce_ml_tensor_cpu::Peak;
use ecommerce_ml_text::scheduler::{Scheduler, SchedulerOptions};
use ecommerce_ml_text::{ModelLoader, TextPredictor};
use ecommerce_ml_text_model::{self as text_model, Model, Operations};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::cli::Bench;

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
    /// Measure the processor. Answer: `int8_gops` and `f32_gflops`, of all threads together, and the `kernels` that did it.
    Peak(IgnoredAny),
}

/// What is measured.
struct BenchedModel {
    model: Arc<Model>,
    predictor: TextPredictor,
    loader: ModelLoader,
    texts: Vec<String>,
}

/// Answers each line of `input` by a line of `output`.
///
/// # Errors
/// If the model can't be loaded, or on I/O.
pub fn bench(options: &Bench, input: impl BufRead, mut output: impl Write) -> Result<(), EngineError> {
    let mut benched = BenchedModel::load(options)?;
    for line in input.lines() {
        let answer = benched.answer(&line.map_err(failed)?);
        let answer = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(output, "{answer}").and_then(|()| output.flush()).map_err(failed)?;
    }
    Ok(())
}

impl BenchedModel {
    fn load(options: &Bench) -> Result<Self, EngineError> {
        let loader = ModelLoader::new(&options.compute, None);
        let files = ModelFiles::from_directory(&options.model)?;
        // The source only tells where prepacked weights would be kept, and none are.
        let model = Arc::new(loader.load(None, &files)?);
        let tokenizing_threads = options.compute.count_threads();
        // An answer that is remembered says nothing of the engine's speed.
        let scheduling = SchedulerOptions { tokenizing_threads, batch_tokens: None, result_cache: 0 };
        let scheduler = Arc::new(Scheduler::start(scheduling).map_err(failed)?);
        let predictor = TextPredictor::new(Arc::clone(&model) as _, &scheduler);
        Ok(Self { model, predictor, loader, texts: Vec::new() })
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
        let (answers, tokens) = self.predict_all()?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(
            json!({ "seconds": seconds, "texts": answers.iter().map(Answers::len).sum::<usize>(), "tokens": tokens }),
        )
    }

    fn latency(&self, texts: Vec<String>) -> Result<Value, EngineError> {
        let warm_up =
            texts.iter().take(WARM_UP).cloned().map(|text| self.submit(vec![text]).wait().map(drop));
        warm_up.collect::<Result<(), _>>()?;
        let time = |text| {
            let started = Instant::now();
            self.submit(vec![text]).wait().map(|_| started.elapsed().as_secs_f64() * 1000.0)
        };
        let times = texts.into_iter().map(time).collect::<Result<Vec<f64>, _>>()?;
        let median = median(times).ok_or_else(|| invalid("no texts"))?;
        Ok(json!({ "ms": median }))
    }

    fn probabilities(&self) -> Result<Value, EngineError> {
        let (answers, _) = self.predict_all()?;
        let rows = answers.into_iter().flat_map(|answers| match answers {
            Answers::Classes { probabilities, .. } => probabilities,
            // Of a regression there are none.
            answers => (0..answers.len()).map(|row| answers.prediction(row).map(|_| Vec::new())).collect(),
        });
        Ok(json!({ "probabilities": rows.collect::<Vec<_>>() }))
    }

    fn operations(&self) -> Result<Value, EngineError> {
        let windows = self.texts.iter().map(|text| self.model.windows(text));
        let windows: Vec<_> = windows.collect::<Result<Vec<_>, _>>()?.concat();
        let Operations { int8, f32 } = self.model.operations(&windows, text_model::ForwardOutput::Head);
        Ok(json!({ "int8_ops": int8, "f32_ops": f32 }))
    }

    fn peak(&self) -> Result<Value, EngineError> {
        let cpu = self.loader.cpu().ok_or_else(|| invalid("the device is not the CPU"))?;
        let peak = Peak::measure(&cpu.kernels, &cpu.pool);
        let kernels = cpu.kernels.name();
        Ok(json!({ "int8_gops": peak.int8 / 1e9, "f32_gflops": peak.f32 / 1e9, "kernels": kernels }))
    }

    /// Predictions of all texts, request by request, and how many tokens they have.
    fn predict_all(&self) -> Result<(Vec<Answers>, u64), EngineError> {
        let requests = self.texts.chunks(REQUEST_TEXTS).map(<[String]>::to_vec);
        // Collected, so that all are under way before the first is waited for.
        let pending: Vec<_> = requests.map(|texts| self.submit(texts)).collect();
        let (mut answers, mut tokens) = (Vec::with_capacity(pending.len()), 0);
        for pending in pending {
            let answered = pending.wait()?;
            tokens += answered.tokens;
            answers.push(answered.answers);
        }
        Ok((answers, tokens))
    }

    fn submit(&self, texts: Vec<String>) -> Pending {
        self.predictor.submit(Input::Texts(texts), Output::Prediction)
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
    use ecommerce_ml_text::ComputeSettings;

    /// What the mode answers to these lines with a tiny model of three classes.
    fn answers(lines: &[Value]) -> Vec<Value> {
        let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/models");
        let model = reference.join("bert-classification-3");
        let options = Bench { model, compute: ComputeSettings { threads: 1, ..ComputeSettings::default() } };
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
        assert_eq!(told[5]["kernels"], ecommerce_ml_tensor_cpu::Kernels::best().name());
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
