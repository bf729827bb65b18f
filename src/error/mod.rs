//! Every failure that a user can meet.
//!
//! # Layout
//! - [`sqlstate`]: its SQLSTATE.
//! - [`explanation`]: its DETAIL and HINT.
//!
//! Messages follow PostgreSQL's style guide: lower case, no full stop, the names and numbers in.
//! Invariant: whatever fails in the extension is reported as one of these.

mod explanation;
mod sqlstate;

use ecommerce_ml_forecast::Invalid;
use ecommerce_ml_protocol::{DecodeError, EngineError};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, spi};

use crate::catalog::jobs::Failure;
use crate::client::InputDigest;
use crate::columns::InputError;
pub use sqlstate::sqlstate_text;

/// What can go wrong in the extension.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("model \"{0}\" does not exist")]
    UnknownModel(String),
    #[error("model \"{name}\" has no version {version}")]
    UnknownVersion { name: String, version: i32 },
    #[error("model \"{0}\" has no live version")]
    NoLiveVersion(String),
    #[error("invalid model name \"{0}\"")]
    InvalidModelName(String),
    #[error("model \"{0}\" already exists")]
    NameTaken(String),
    #[error("permission denied for model \"{0}\"")]
    ModelDenied(String),
    #[error("must be owner of model \"{0}\"")]
    NotOwner(String),
    #[error("permission denied to {action}")]
    RoleMissing { action: &'static str, role: &'static str },
    #[error("role \"{0}\" does not exist")]
    UnknownRole(String),
    #[error("version {version} of model \"{model}\" has no training reference")]
    NoReference { model: String, version: i32 },
    #[error("model \"{model}\" has no {wanted}")]
    NoMeaning { model: String, wanted: &'static str, labels: Vec<String> },
    #[error("model \"{model}\" reads columns, not a text")]
    ReadsColumns { model: String, reads: String, call: &'static str },
    #[error("model \"{model}\" reads a text, not columns")]
    ReadsText { model: String, call: &'static str },
    #[error("model \"{model}\" reads neither a text nor columns")]
    AnswersTable { model: String, call: &'static str },
    #[error("model \"{model}\" has no {table}")]
    NoSuchTable { model: String, table: &'static str, call: &'static str },
    #[error("model \"{model}\" is for task \"{task}\", and finds no anomalies")]
    NoAnomalies { model: String, task: &'static str },
    #[error("relation \"{relation}\" has no period after those that model \"{model}\" has learned from")]
    NothingAfterTraining { model: String, relation: String },
    #[error("forecasts of model \"{model}\" are not measured by {argument}")]
    ForecastsNotOf { model: String, argument: &'static str },
    #[error("model \"{0}\" reads nothing of the time to come")]
    ReadsNoFuture(String),
    #[error("{error}")]
    Input { model: String, error: InputError },
    #[error("cannot drop objects owned by role \"{role}\" because models or trainings are among them")]
    RoleOwns { role: String, owned: String },
    #[error("schema \"ecommerce_ml\" cannot be renamed because extension ecommerce_ml requires its name")]
    SchemaName,
    #[error("extension \"ecommerce_ml\" of this database is of an earlier version than its library")]
    NotUpdated,
    #[error("function was not called by a trigger")]
    NotATrigger,
    #[error("could not serialize access due to concurrent changes of model \"{0}\"")]
    Concurrent(String),
    #[error("relation with OID {0} does not exist")]
    UnknownRelation(u32),
    #[error("\"{0}\" is not a table, view, materialized view, or foreign table")]
    NotARelation(String),
    #[error("column \"{column}\" of relation \"{relation}\" does not exist")]
    UnknownColumn { relation: String, column: String },
    #[error("column \"{column}\" is of type {type_name}")]
    ColumnType { column: String, type_name: String, expected: &'static str },
    #[error(
        "column \"{column}\" has an embedding of {width} numbers, those of model \"{model}\" have {expected}"
    )]
    EmbeddingWidth { column: String, width: usize, model: String, expected: usize },
    #[error("function \"{0}\" does not give other words for a text")]
    NotAParaphraser(String),
    #[error("columns \"{}\" and \"{}\" cannot be compared", columns[0], columns[1])]
    ColumnsUnlike { columns: [String; 2], types: [String; 2] },
    #[error("label \"{label}\" is not one of the labels of model \"{model}\"")]
    UnknownLabel { label: String, model: String, labels: Vec<String> },
    #[error("model \"{model}\" has no label \"{label}\"")]
    NoSuchLabel { model: String, label: String, labels: Vec<String> },
    #[error("a label or prediction is NaN or infinite")]
    NotFinite,
    #[error("label {0} is not a finite number")]
    LabelNotFinite(String),
    #[error("a label is an empty range")]
    LabelRangeEmpty,
    #[error("labels differ only in case or white space")]
    LabelsAlike(Vec<String>),
    #[error("{texts} texts are too many for one array")]
    ArrayTooLong { texts: usize, most: usize, bytes: usize },
    #[error("there are more than {0} classes")]
    TooManyClasses(usize),
    #[error("there are no rows to evaluate")]
    NothingToEvaluate { skipped: u64 },
    #[error("cannot drop version {version} of model \"{name}\" because it is live")]
    VersionLive { name: String, version: i32 },
    #[error("cannot drop the built-in version of model \"{0}\"")]
    VersionBuiltIn(String),
    #[error("cannot drop model \"{name}\" because job {job} is being trained from it")]
    ModelInUse { name: String, job: i64 },
    #[error("job {0} does not exist")]
    UnknownJob(i64),
    #[error("permission denied for job {0}")]
    JobDenied(i64),
    #[error("job {job} {state}")]
    JobState { job: i64, state: &'static str },
    #[error("cannot wait for job {0} before it is submitted")]
    JobNotSubmitted(i64),
    #[error("{0} cannot run inside a transaction block")]
    InTransaction(&'static str),
    #[error("model \"{0}\" has no training schedule")]
    UnknownSchedule(String),
    #[error("permission denied for the training schedule of model \"{0}\"")]
    ScheduleDenied(String),
    #[error("cannot drop model \"{0}\" because it has a training schedule")]
    ModelScheduled(String),
    #[error("extension \"pg_cron\" is not in this database")]
    SchedulerMissing,
    #[error("unrecognized training task \"{0}\"")]
    UnknownTask(String),
    #[error("argument \"{0}\" must not be NULL")]
    ArgumentNull(&'static str),
    #[error("task \"{task}\" needs argument \"{argument}\"")]
    ArgumentMissing { argument: &'static str, task: &'static str },
    #[error("task \"{0}\" takes no text_column")]
    TextNotTaken(&'static str),
    #[error("task \"{0}\" takes no label_column")]
    LabelNotTaken(&'static str),
    #[error("task \"{0}\" of a text takes no key_columns")]
    KeysNotTaken(&'static str),
    #[error("task \"{task}\" needs {expected}, not {given}")]
    KeyCount { task: &'static str, expected: &'static str, given: usize },
    #[error("column \"{column}\", which model \"{model}\" reads, is not named in feature_columns")]
    FeatureNotNamed { column: String, model: String },
    #[error("column \"{0}\" is named twice")]
    ColumnTwice(String),
    #[error("column \"{0}\" is the label and cannot be learned from")]
    LabelIsFeature(String),
    #[error("relation \"{0}\" has no columns to learn from")]
    NoFeatures(String),
    #[error("column \"{column}\" is of type {type_name}")]
    FeatureType { column: String, type_name: String },
    #[error("column \"{column}\" has arrays of {least} to {most} numbers")]
    ArrayLengths { column: String, least: i32, most: i32 },
    #[error("a training of kind \"{0}\" begins with no base")]
    BaseNotTaken(String),
    #[error("model \"{0}\" reads columns, and columns of text are read by a text model")]
    BaseReadsColumns(String),
    #[error("model \"{model}\" cannot be a member of an ensemble: {why}")]
    NoMember { model: String, why: String },
    #[error("an ensemble of these models takes no {0}")]
    EnsembleArgument(&'static str),
    #[error("option \"{0}\" is for models that read a text alone")]
    OptionForTexts(&'static str),
    #[error("argument \"{0}\" must not have NULL elements")]
    ArgumentHasNull(&'static str),
    #[error("rows of relation \"{relation}\" end before the horizon does")]
    HorizonIncomplete { relation: String, until: String, ends: String, latest_cutoff: String },
    #[error("argument \"{0}\" must not be negative")]
    ArgumentNegative(&'static str),
    #[error("argument \"{argument}\" must be {expected}")]
    ArgumentValue { argument: &'static str, expected: &'static str },
    #[error("demand with an elasticity of {0} has no best price without an upper bound")]
    NoBestPrice(f64),
    #[error("value out of range: overflow")]
    Overflow,
    #[error("column \"{0}\" has a value that is NaN or infinite")]
    ValueNotFinite(String),
    #[error("{what} have more than {most} {parts}")]
    TooManyParts { what: &'static str, most: usize, parts: &'static str, hint: &'static str },
    #[error("version {version} of model \"{name}\" was not made by a training")]
    NotTrained { name: String, version: i32 },
    #[error("model \"{0}\" cannot be trained further")]
    NotTrainable(String),
    #[error("training was lost {0} times without progress")]
    TrainingLost(i32, String),
    #[error("no worker could run job {0}")]
    JobNotStarted(i64),
    #[error("relation \"{0}\" is temporary")]
    TemporaryRelation(String),
    #[error("function \"{0}\" is temporary")]
    TemporaryFunction(String),
    #[error("no free background worker slot for job {0}")]
    NoJobSlot(i64),
    #[error("\"{0}\" is not a table")]
    NotATable(String),
    #[error("must be owner of table \"{0}\"")]
    NotTableOwner(String),
    #[error("expression of a kept column {0}")]
    KeptExpression(&'static str),
    #[error("name of kept column \"{0}\" is too long")]
    KeptName(String),
    #[error("column \"{column}\" of relation \"{relation}\" holds other things than versions of models")]
    KeptColumnTaken { relation: String, column: String },
    #[error("column \"{column}\" of relation \"{relation}\" is not kept")]
    NotKept { relation: String, column: String },
    #[error("column \"{column}\" of relation \"{relation}\" does not hold scores")]
    ScoreColumnTaken { relation: String, column: String },
    #[error("rows of relation \"{relation}\" are not watched with model \"{model}\"")]
    NotWatched { relation: String, model: String },
    #[error("unrecognized refresh \"{0}\"")]
    UnknownRefresh(String),
    #[error("kept column \"{column}\" could not be refreshed")]
    KeptNotRefreshed { column: String, message: String },
    #[error("model \"{0}\" has no earlier deployment to return to")]
    NothingToRollBack(String),
    #[error("cannot change who may use the built-in model \"{0}\"")]
    GrantBuiltIn(String),
    #[error("unrecognized option \"{name}\"")]
    UnknownOption { name: String, known: &'static str },
    #[error("invalid value for option \"{name}\"")]
    InvalidOption { name: &'static str, expected: &'static str },
    #[error("options must be a JSON object")]
    OptionsNotObject,
    #[error("invalid model source \"{0}\"")]
    InvalidSource(String),
    #[error("path \"{0}\" is not absolute")]
    RelativePath(String),
    #[error("file \"{0}\" does not exist")]
    FileMissing(String),
    #[error("directory \"{0}\" is not empty")]
    DirectoryNotEmpty(String),
    #[error("directory \"{0}\" holds no model")]
    NoModelFiles(String),
    #[error("could not {action} \"{path}\": {reason}")]
    File { action: &'static str, path: String, reason: std::io::Error },
    #[error("model file \"{name}\" of {size} bytes is too large")]
    FileTooLarge { name: String, size: u64 },
    #[error("file \"{name}\" is not valid JSON")]
    NotJson { name: String, reason: serde_json::Error },
    #[error("database encoding \"{0}\" is not supported")]
    Encoding(String),
    #[error("text of {0} bytes is too long")]
    TextTooLong(usize),
    #[error("malformed review_summary")]
    MalformedSummary(String),
    #[error("bigint out of range")]
    CountOutOfRange,
    #[error("aggregate function called in non-aggregate context")]
    OutsideAggregate,
    #[error("could not start the engine: no free background worker slot")]
    NoWorkerSlot,
    #[error("could not start {0}: there are no background workers in single-user mode")]
    SingleUser(String),
    #[error("could not start the engine")]
    EngineNotStarted(String),
    #[error("the engine was lost")]
    EngineLost,
    #[error("the engine dies of a {0}")]
    InputFatal(InputDigest),
    #[error("the engine dies of loading the model")]
    ModelFatal,
    #[error("the engine is of build \"{engine}\", this session's library of build \"{library}\"")]
    BuildMismatch { engine: String, library: &'static str },
    #[error("could not talk to the engine: {0}")]
    Wire(String),
    #[error("stored model {0} is incomplete")]
    ContentMissing(String),
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Spi(#[from] spi::Error),
    #[error("unexpected result: {0}")]
    Unexpected(&'static str),
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::Argument { name, expected } => Error::ArgumentValue { argument: name, expected },
            Invalid::NoOptimum { elasticity } => Error::NoBestPrice(elasticity),
            Invalid::OutOfRange => Error::Overflow,
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Error::Wire(error.to_string())
    }
}

impl Error {
    /// Where a file operation failed. A file that isn't there has an error of its own.
    pub fn file(action: &'static str, path: &std::path::Path, reason: std::io::Error) -> Self {
        let path = path.display().to_string();
        match reason.kind() {
            std::io::ErrorKind::NotFound => Error::FileMissing(path),
            _ => Error::File { action, path, reason },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            sqlstate: sqlstate_text(error.sqlstate()),
            detail: error.detail(),
            hint: error.hint(),
            message: error.to_string(),
        }
    }
}

/// Ends the statement with this error, from where a callback of the server's can't return one.
pub fn raise(error: Error) -> ! {
    ErrorReport::from(error).report(PgLogLevel::ERROR);
    unreachable!("an error report doesn't return")
}

impl From<Error> for ErrorReport {
    #[track_caller]
    fn from(error: Error) -> Self {
        let mut report = ErrorReport::new(error.sqlstate(), error.to_string(), "ecommerce_ml");
        if let Some(detail) = error.detail() {
            report = report.set_detail(detail);
        }
        if let Some(hint) = error.hint() {
            report = report.set_hint(hint);
        }
        report
    }
}
