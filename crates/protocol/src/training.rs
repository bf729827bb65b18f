//! What the worker of a training job and its engine process (mode `train`) say to each other.
//!
//! After the greetings the worker sends [`JobInput`]s: first [`JobInput::Begin`], last [`JobInput::Start`], everything
//! else between them in any order. The engine then sends [`JobOutput`]s: any number of [`JobOutput::Reading`], one [`JobOutput::Prepared`], any number of
//! phases, progress reports, epochs and checkpoints, and as its last one [`JobOutput::Finished`] or, at any time,
//! [`JobOutput::Failed`]. Nothing is answered: the worker stops a training by ending the process, and the engine
//! ends when the worker's end of the stream closes.
//! Invariant: what the engine does depends on the input alone, not on when it comes.

use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::input::Input;
use crate::message::{ModelSource, Sha256, UploadPart};
pub use crate::objective::{Objective, TrainingCall, TrainingChecked, TrainingInput};
use crate::signature::ModelInfo;

/// The option `seed` of those who don't give it; any number would do, as long as it stays the same.
pub const DEFAULT_SEED: u64 = 42;

/// What to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingPlan {
    /// What was asked for.
    pub call: TrainingCall,
    /// The model to begin with, if the training begins with one. Unless it is built in, its files come as [`JobInput::File`].
    pub base: Option<ModelSource>,
    /// The live version, to compare the new one with on the rows held out. Its files come too, unless they are the base's.
    pub incumbent: Option<ModelSource>,
    /// The models that the new one puts together, if it is to; their files come too, of each its own.
    pub members: Vec<PlannedMember>,
    /// Most bytes of memory that the training may take.
    pub memory_limit: u64,
    /// Seconds after which a checkpoint is due; the end of an epoch is no reason for one.
    pub checkpoint_interval: u64,
}

/// A model that another one is to put together with others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedMember {
    /// With its version, as `name@3`.
    pub name: String,
    /// Where its files are.
    pub source: ModelSource,
}

/// Whose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// That of [`TrainingPlan::base`].
    Base,
    /// That of [`TrainingPlan::incumbent`].
    Incumbent,
    /// That of one of [`TrainingPlan::members`], by its place.
    Member(u32),
}

/// What a text is labelled with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Label {
    /// A class, for [`Objective::Classification`].
    Class(String),
    /// A number: stars from 1 to 5, or the value of a regression.
    Number(f64),
    /// For [`Objective::Rating`]: a number of stars from the first to the second, both included, nobody knows which.
    Range(f64, f64),
}

/// Rows to learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRows {
    /// What is read of each. Texts are neither empty nor blank.
    pub input: Input,
    /// What each is labelled with.
    pub labels: Vec<Label>,
    /// When each was, in microseconds since 1970 began in UTC; empty unless [`TrainingCall::has_time`].
    pub times: Vec<i64>,
    /// Other words for the text of each, which are read now and then in its place where the row is learned from; may be empty.
    pub paraphrases: Vec<Vec<String>>,
}

/// What the worker sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum JobInput {
    /// What to do.
    Begin(TrainingPlan),
    /// A part of a model.
    File {
        /// Of which one.
        role: Role,
        /// The part.
        part: UploadPart,
    },
    /// Rows, in any order; their order makes no difference.
    Rows(TrainingRows),
    /// Words with others that may stand for them.
    Synonyms(Vec<(String, String)>),
    /// What the last key of events names, with a text about it; no name comes twice.
    Descriptions(Vec<(String, String)>),
    /// The next bytes of the latest checkpoint, at most [`crate::UPLOAD_CHUNK_BYTES`]; none for a new training.
    Checkpoint(#[serde(with = "serde_bytes")] Vec<u8>),
    /// That was all.
    Start,
}

/// What a training is going to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// Rows to learn from.
    pub training_rows: u64,
    /// Rows held out.
    pub held_out_rows: u64,
    /// Classes in the order of the head's outputs, with their rows; empty for a regression.
    pub labels: Vec<(String, u64)>,
    /// Stands for all rows, in whatever order they came.
    pub rows_sha256: Sha256,
    /// Rows that came but weren't there when the checkpoint was made; they are left out.
    pub ignored_rows: u64,
    /// Epochs in all.
    pub epochs: u32,
    /// Updates of the weights in all.
    pub steps: u64,
    /// Updates that the checkpoint has behind it.
    pub resumed_at: u64,
    /// Bytes of memory that it will take, as estimated.
    pub memory: u64,
    /// All options that hold, a JSON object: the user's, and the defaults of the others.
    pub options: String,
    /// What it is worth on the rows held out to know nothing of a text; none if no row is held out.
    pub baseline: Option<Baseline>,
    /// What to know of the rows.
    pub findings: Findings,
}

/// The same answer for each text, as the rows to learn from suggest it. Of each metric the best: the most frequent class
/// with the frequencies as probabilities, the median for absolute errors, the mean for squared ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What it does, where that isn't always to answer the same: "recommending what sells best".
    pub method: Option<String>,
    /// The most frequent class, of ratings the most frequent of the nearest stars; none of numbers.
    pub label: Option<String>,
    /// The mean of stars or numbers.
    pub mean: Option<f64>,
    /// The median of stars or numbers.
    pub median: Option<f64>,
    /// On the rows held out, under the names that the model's have.
    pub metrics: Vec<Metric>,
}

/// Rows that say the same or contradict each other. Texts that differ only in case and white space count as the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Rows that are copies of others, text and label.
    pub repeated_rows: u64,
    /// Those of them that would have been held out; they are left out, so that each row held out says something new.
    pub repeated_held_out_rows: u64,
    /// Texts that differ from others only in case or white space; they lie on the same side as those.
    pub similar_texts: u64,
    /// Texts with more than one label.
    pub contradicting_texts: u64,
    /// Their rows.
    pub contradicting_rows: u64,
    /// Columns that tell the label alone, as columns do that are known only afterwards.
    pub leaking_columns: Vec<String>,
    /// Columns with one value, or none, in all rows learned from.
    pub constant_columns: Vec<String>,
    /// Columns of texts that stand for nothing but their row: next to all are different.
    pub distinct_columns: Vec<String>,
    /// Rows held out that look like rows learned from, where looks are too few for copies, and yet too many for mere categories.
    pub equal_held_out_rows: u64,
}

/// Where a training is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The current epoch, counted from 1.
    pub epoch: u32,
    /// Updates of the weights so far.
    pub step: u64,
    /// Mean loss of the latest updates.
    pub loss: f64,
    /// Learning rate of the latest update.
    pub learning_rate: f64,
    /// Rows seen since the process started.
    pub examples: u64,
    /// Rows a second, lately.
    pub examples_per_second: f64,
    /// Seconds that are left, as estimated.
    pub seconds_left: f64,
}

/// A value of a metric, under the names of `evaluate_model`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Of which class; `None` if of all rows.
    pub class: Option<String>,
    /// The value.
    pub value: f64,
}

/// An epoch that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u32,
    /// Updates of the weights so far.
    pub step: u64,
    /// Mean loss of its updates.
    pub training_loss: f64,
    /// On the rows held out; none if it wasn't evaluated.
    pub evaluation: Vec<Metric>,
    /// Whether the model of this epoch is the best so far.
    pub best: bool,
    /// Time that it took, evaluation included and interruptions left out.
    pub seconds: f64,
}

/// What came of settings that were tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Counted from 1.
    pub number: u32,
    /// What was tried, under the names of options: a JSON object.
    pub settings: String,
    /// How far it has come, counted from 1: in each rung a part of the trials goes on, with more rows.
    pub rung: u32,
    /// Rows that it learned from there.
    pub rows: u64,
    /// Mean loss of rows to learn from that it hadn't learned from; none if it diverged, or time was up.
    pub loss: Option<f64>,
    /// Time that this rung took.
    pub seconds: f64,
}

/// A checkpoint on its way to where it is kept. It replaces the one before when its end has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CheckpointPart {
    /// One begins.
    Begin {
        /// Updates of the weights that it has behind it.
        step: u64,
        /// Bytes in all.
        size: u64,
    },
    /// Its next bytes, at most [`crate::UPLOAD_CHUNK_BYTES`].
    Chunk(#[serde(with = "serde_bytes")] Vec<u8>),
    /// It is complete.
    End,
}

/// The new model beside another, on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Whether more of the metric is better.
    pub more_is_better: bool,
    /// What they are compared by: `accuracy`, or `mae` for ratings and regressions.
    pub metric: String,
    /// Of the new model.
    pub new: f64,
    /// Of the other one.
    pub incumbent: f64,
    /// The paired test: `mcnemar` or `bootstrap`.
    pub test: String,
    /// Probability of a difference as large as this one between equally good models.
    pub p_value: f64,
    /// Rows that only the new model gets right, or where it is closer.
    pub wins: u64,
    /// Rows that only the other one gets right, or where that is closer.
    pub losses: u64,
    /// Rows compared.
    pub rows: u64,
    /// Whether the new model is better: by more than chance explains, at a level of 5 %.
    pub better: bool,
}

/// The new model beside the baseline, whose part in the comparison is that of the incumbent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineComparison {
    /// The comparison.
    pub comparison: Comparison,
    /// Whether the test could tell: a model that is always right would pass it.
    pub testable: bool,
    /// Whether the new model is better, by more than chance explains where the test can tell that, else at all.
    pub beaten: bool,
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// What the new model is.
    pub info: ModelInfo,
    /// Metrics on the rows held out, computed as queries will be; none if no row is held out.
    pub metrics: Vec<Metric>,
    /// The epoch whose model it is.
    pub epoch: u32,
    /// Whether it ended before its last epoch because no later one got better.
    pub stopped_early: bool,
    /// Whether anything of [`TrainingPlan::base`] is in the model: what might have been read by it may be nothing that it reads.
    pub uses_base: bool,
    /// How it compares with the incumbent, if there is one that reads the same and rows are held out.
    pub comparison: Option<Comparison>,
    /// How it compares with [`Prepared::baseline`], if rows are held out.
    pub against_baseline: Option<BaselineComparison>,
    /// What later rows are compared with, as JSON: what is kept of the rows held out, and of what the new model says of them.
    pub reference: Option<String>,
}

/// What a training is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The incumbent answers for the rows held out.
    EvaluatingIncumbent,
    /// Weights are updated, and evaluated after each epoch.
    Training,
    /// The new model answers for the rows held out, as queries will have it.
    Evaluating,
}

/// What the engine sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum JobOutput {
    /// Before that: so many of the inputs went through another model, which has to read them first.
    Reading {
        /// How many.
        done: u64,
        /// Of how many.
        of: u64,
    },
    /// All has been read and checked.
    Prepared(Box<Prepared>),
    /// It is busy with something else now.
    Phase(Phase),
    /// Several times a second.
    Progress(Progress),
    /// Settings were tried; a later one of the same number takes the place of this one.
    Trial(Trial),
    /// The training goes on with the settings of this trial.
    TrialChosen {
        /// Its number.
        number: u32,
    },
    /// An epoch is over.
    Epoch(Epoch),
    /// A checkpoint.
    Checkpoint(CheckpointPart),
    /// The new model, before [`JobOutput::Finished`].
    Model(UploadPart),
    /// The end.
    Finished(Box<Finished>),
    /// It can't go on.
    Failed(EngineError),
}
