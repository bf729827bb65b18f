//! The command line. It must not do anything but understand it.

use std::ffi::OsString;
use std::path::PathBuf;

use ecommerce_ml_text::ComputeSettings;
use lexopt::prelude::*;

/// What `--help` shows.
pub const HELP: &str = "\
Runs the models of ecommerce_ml.

Usage: ecommerce_ml_engine serve [OPTIONS]
       ecommerce_ml_engine predict --model DIR [OPTIONS] < TEXTS
       ecommerce_ml_engine train [OPTIONS] < JOB > RESULT
       ecommerce_ml_engine bench --model DIR [OPTIONS] < COMMANDS

serve: answers requests on the listening unix socket that is standard input. Standard output
is a socket too; when its other end is closed, the engine exits.
  --socket PATH           listen there instead, and don't watch standard output
  --builtin DIR           folder that holds the folders of built-in models
  --device DEVICE         auto (default), cpu, cuda or cuda:N
  --precision PRECISION   auto (default), f32 or int8 on the CPU: int8 where it agrees with f32;
                          auto, f16 or bf16 on a GPU: f16 where the model stays within its range
  --threads N             threads to compute with; 0 (default) for all cores
  --model-cache BYTES     memory for models (default 1073741824)
  --weights-cache DIR     folder to keep prepared weights in, of no more bytes than --model-cache
  --result-cache BYTES    memory for answers given lately (default 67108864); 0 to keep none
  --idle-timeout SECONDS  exit when there was no request for so long; 0 (default) for never
  --restarts N            how many engines died before this one, for statistics

predict: reads a text from each line of standard input, writes a line of JSON for each.
  --model DIR             folder of the model, in Hugging Face layout
  --task TASK             predict (default), embed or tokenize
  --json                  each line of the input is a JSON string
  --batch-tokens N        tokens of a batch; by default it follows the speed of the model
  --device, --precision, --threads: as for serve

train: trains what the job on standard input says, writes what becomes of it to standard output,
both as messages of the extension's background worker; exits when standard input ends.
  --builtin DIR           folder that holds the folders of built-in models
  --device, --precision, --threads: as for serve; the precision is that of the predictions that the
                          new model is measured by

bench: does what each line of standard input says, writes a line of JSON with the times it took;
for `make bench-peers`.
  --model DIR             folder of the model
  --device, --precision, --threads: as for serve

  --version               show the version
  --help                  show this
";

/// Memory for models unless told otherwise.
const MODEL_CACHE: u64 = 1 << 30;

/// Memory for answers unless told otherwise.
const RESULT_CACHE: u64 = 64 << 20;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Answer requests on a socket.
    Serve(Serve),
    /// Answer lines of text.
    Predict(Predict),
    /// Train a model.
    Train(Train),
    /// Measure.
    Bench(Bench),
    /// Show [`HELP`].
    Help,
    /// Show the version.
    Version,
}

/// How to serve.
#[derive(Debug, PartialEq, Eq)]
pub struct Serve {
    /// Where to listen; standard input if absent.
    pub socket: Option<PathBuf>,
    /// Folder of the built-in models' folders.
    pub builtin: Option<PathBuf>,
    /// How to compute.
    pub compute: ComputeSettings,
    /// Bytes for models.
    pub model_cache: u64,
    /// Folder for prepared weights; none are kept if absent.
    pub weights_cache: Option<PathBuf>,
    /// Bytes for answers given lately.
    pub result_cache: u64,
    /// Seconds without a request after which to exit; 0 for never.
    pub idle_timeout: u64,
    /// How many engines died before this one.
    pub restarts: u32,
}

/// What to compute for lines of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PredictTask {
    /// Class probabilities or a value.
    Predict,
    /// Embeddings.
    Embed,
    /// Word pieces.
    Tokenize,
}

/// How to answer lines of text.
#[derive(Debug, PartialEq, Eq)]
pub struct Predict {
    /// Folder of the model.
    pub model: PathBuf,
    /// What to compute.
    pub task: PredictTask,
    /// Lines are JSON strings.
    pub json: bool,
    /// Tokens of a batch; `None` to follow the speed of the model.
    pub batch_tokens: Option<usize>,
    /// How to compute.
    pub compute: ComputeSettings,
}

/// How to train.
#[derive(Debug, PartialEq, Eq)]
pub struct Train {
    /// Folder of the built-in models' folders.
    pub builtin: Option<PathBuf>,
    /// How to compute.
    pub compute: ComputeSettings,
}

/// What to measure.
#[derive(Debug, PartialEq, Eq)]
pub struct Bench {
    /// Folder of the model.
    pub model: PathBuf,
    /// How to compute.
    pub compute: ComputeSettings,
}

/// Understands the arguments, without the name of the program.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(arguments);
    match parser.next()? {
        Some(Long("help") | Short('h')) => Ok(Command::Help),
        Some(Long("version") | Short('V')) => Ok(Command::Version),
        Some(Value(mode)) if mode == "serve" => serve(parser),
        Some(Value(mode)) if mode == "predict" => predict(parser),
        Some(Value(mode)) if mode == "train" => train(parser),
        Some(Value(mode)) if mode == "bench" => bench(parser),
        Some(argument) => Err(argument.unexpected()),
        None => Err("expected serve, predict, train or bench; --help tells more".into()),
    }
}

fn serve(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut serve = Serve {
        socket: None,
        builtin: None,
        compute: ComputeSettings::default(),
        model_cache: MODEL_CACHE,
        weights_cache: None,
        result_cache: RESULT_CACHE,
        idle_timeout: 0,
        restarts: 0,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") => return Ok(Command::Help),
            Long("socket") => serve.socket = Some(parser.value()?.into()),
            Long("builtin") => serve.builtin = Some(parser.value()?.into()),
            Long("model-cache") => serve.model_cache = parser.value()?.parse()?,
            Long("weights-cache") => serve.weights_cache = Some(parser.value()?.into()),
            Long("result-cache") => serve.result_cache = parser.value()?.parse()?,
            Long("idle-timeout") => serve.idle_timeout = parser.value()?.parse()?,
            Long("restarts") => serve.restarts = parser.value()?.parse()?,
            Long("device") => serve.compute.device = parser.value()?.string()?,
            Long("precision") => serve.compute.precision = parser.value()?.string()?,
            Long("threads") => serve.compute.threads = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Serve(serve))
}

fn predict(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut model, mut task, mut json, mut batch_tokens) = (None, PredictTask::Predict, false, None);
    let mut compute = ComputeSettings::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") => return Ok(Command::Help),
            Long("model") => model = Some(parser.value()?.into()),
            Long("task") => task = parser.value()?.parse_with(predict_task)?,
            Long("json") => json = true,
            Long("batch-tokens") => batch_tokens = Some(parser.value()?.parse()?),
            Long("device") => compute.device = parser.value()?.string()?,
            Long("precision") => compute.precision = parser.value()?.string()?,
            Long("threads") => compute.threads = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    let model = model.ok_or("missing option --model")?;
    Ok(Command::Predict(Predict { model, task, json, batch_tokens, compute }))
}

fn train(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut builtin, mut compute) = (None, ComputeSettings::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") => return Ok(Command::Help),
            Long("builtin") => builtin = Some(parser.value()?.into()),
            Long("device") => compute.device = parser.value()?.string()?,
            Long("precision") => compute.precision = parser.value()?.string()?,
            Long("threads") => compute.threads = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Train(Train { builtin, compute }))
}

fn bench(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut model, mut compute) = (None, ComputeSettings::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") => return Ok(Command::Help),
            Long("model") => model = Some(parser.value()?.into()),
            Long("device") => compute.device = parser.value()?.string()?,
            Long("precision") => compute.precision = parser.value()?.string()?,
            Long("threads") => compute.threads = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Bench(Bench { model: model.ok_or("missing option --model")?, compute }))
}

fn predict_task(name: &str) -> Result<PredictTask, &'static str> {
    match name {
        "predict" => Ok(PredictTask::Predict),
        "embed" => Ok(PredictTask::Embed),
        "tokenize" => Ok(PredictTask::Tokenize),
        _ => Err("expected predict, embed or tokenize"),
    }
}
