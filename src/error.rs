//! Every failure that a user can meet, and its SQLSTATE.
//!
//! Messages follow PostgreSQL's style guide: lower case, no full stop, the names and numbers in.
//! Invariant: [`Error::sqlstate`] is exhaustive, so that a new variant can't be added without a code.

use std::ffi::CStr;

use ecommerce_ml_protocol::{DecodeError, EngineError, ErrorKind, MAX_TEXT_BYTES};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys, spi};

use crate::catalog::jobs::Failure;
use crate::client::{Fingerprint, InputKind};
use crate::columns::InputError;
use crate::columns::error::{in_words, type_for};

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
    #[error("model \"{model}\" has no {wanted}")]
    NoMeaning { model: String, wanted: &'static str, labels: Vec<String> },
    #[error("model \"{model}\" reads columns, not a text")]
    ReadsColumns { model: String, reads: String, call: &'static str },
    #[error("model \"{model}\" reads a text, not columns")]
    ReadsText { model: String, call: &'static str },
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
    #[error("function \"{0}\" does not give other words for a text")]
    NotAParaphraser(String),
    #[error("columns \"{}\" and \"{}\" cannot be compared", columns[0], columns[1])]
    ColumnsUnlike { columns: [String; 2], types: [String; 2] },
    #[error("label \"{label}\" is not one of the labels of model \"{model}\"")]
    UnknownLabel { label: String, model: String, labels: Vec<String> },
    #[error("a label or prediction is NaN or infinite")]
    NotFinite,
    #[error("label {0} is not a finite number")]
    LabelNotFinite(String),
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
    #[error("task \"{0}\" takes no key_columns")]
    KeysNotTaken(&'static str),
    #[error("column \"{column}\", which model \"{model}\" reads, is not named in feature_columns")]
    FeatureNotNamed { column: String, model: String },
    #[error("column \"{0}\" is named twice in feature_columns")]
    ColumnTwice(String),
    #[error("column \"{0}\" is the label and cannot be learned from")]
    LabelIsFeature(String),
    #[error("relation \"{0}\" has no columns to learn from")]
    NoFeatures(String),
    #[error("column \"{column}\" is of type {type_name}")]
    FeatureType { column: String, type_name: String },
    #[error("a training of kind \"{0}\" begins with no base")]
    BaseNotTaken(String),
    #[error("option \"{0}\" is for models that read a text alone")]
    OptionForTexts(&'static str),
    #[error("argument \"{0}\" must not have NULL elements")]
    ArgumentHasNull(&'static str),
    #[error("argument \"{0}\" must not be negative")]
    ArgumentNegative(&'static str),
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
    InputFatal(Fingerprint),
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

    fn sqlstate(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode as Code;
        match self {
            Error::UnknownModel(_)
            | Error::UnknownVersion { .. }
            | Error::NoLiveVersion(_)
            | Error::UnknownRole(_)
            | Error::UnknownJob(_)
            | Error::UnknownSchedule(_) => Code::ERRCODE_UNDEFINED_OBJECT,
            Error::RoleOwns { .. } | Error::SchemaName => Code::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
            Error::NotATrigger => Code::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            Error::Concurrent(_) => Code::ERRCODE_T_R_SERIALIZATION_FAILURE,
            Error::UnknownRelation(_) => Code::ERRCODE_UNDEFINED_TABLE,
            Error::NotARelation(_)
            | Error::TemporaryRelation(_)
            | Error::TemporaryFunction(_)
            | Error::ReadsColumns { .. }
            | Error::ReadsText { .. } => Code::ERRCODE_WRONG_OBJECT_TYPE,
            Error::Input { error, .. } => input_sqlstate(error),
            Error::ColumnTwice(_) => Code::ERRCODE_DUPLICATE_COLUMN,
            Error::UnknownColumn { .. } => Code::ERRCODE_UNDEFINED_COLUMN,
            Error::ColumnType { .. }
            | Error::FeatureType { .. }
            | Error::ColumnsUnlike { .. }
            | Error::NotAParaphraser(_) => Code::ERRCODE_DATATYPE_MISMATCH,
            Error::NameTaken(_) => Code::ERRCODE_DUPLICATE_OBJECT,
            Error::ModelDenied(_)
            | Error::JobDenied(_)
            | Error::ScheduleDenied(_)
            | Error::NotOwner(_)
            | Error::RoleMissing { .. }
            | Error::GrantBuiltIn(_) => Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Error::InvalidModelName(_)
            | Error::NoMeaning { .. }
            | Error::UnknownOption { .. }
            | Error::InvalidOption { .. }
            | Error::OptionsNotObject
            | Error::InvalidSource(_)
            | Error::RelativePath(_)
            | Error::UnknownLabel { .. }
            | Error::NotFinite
            | Error::LabelNotFinite(_)
            | Error::LabelsAlike(_)
            | Error::UnknownTask(_)
            | Error::ArgumentNegative(_)
            | Error::NotTrainable(_)
            | Error::ArgumentMissing { .. }
            | Error::KeysNotTaken(_)
            | Error::FeatureNotNamed { .. }
            | Error::LabelIsFeature(_)
            | Error::NoFeatures(_)
            | Error::BaseNotTaken(_)
            | Error::OptionForTexts(_)
            | Error::NothingToEvaluate { .. }
            | Error::MalformedSummary(_) => Code::ERRCODE_INVALID_PARAMETER_VALUE,
            Error::CountOutOfRange => Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            Error::VersionLive { .. }
            | Error::VersionBuiltIn(_)
            | Error::ModelInUse { .. }
            | Error::ModelScheduled(_) => Code::ERRCODE_OBJECT_IN_USE,
            Error::ArgumentNull(_) | Error::ArgumentHasNull(_) => Code::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            Error::NothingToRollBack(_)
            | Error::BuildMismatch { .. }
            | Error::JobState { .. }
            | Error::SchedulerMissing
            | Error::NotTrained { .. }
            | Error::NotUpdated
            | Error::SingleUser(_)
            | Error::JobNotSubmitted(_) => Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Error::InTransaction(_) => Code::ERRCODE_ACTIVE_SQL_TRANSACTION,
            Error::FileMissing(_) | Error::NoModelFiles(_) => Code::ERRCODE_UNDEFINED_FILE,
            Error::DirectoryNotEmpty(_) => Code::ERRCODE_DUPLICATE_FILE,
            Error::File { .. } => Code::ERRCODE_IO_ERROR,
            Error::TextTooLong(_)
            | Error::FileTooLarge { .. }
            | Error::TooManyClasses(_)
            | Error::ArrayTooLong { .. } => Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Error::NoWorkerSlot | Error::NoJobSlot(_) => Code::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            Error::Encoding(_) => Code::ERRCODE_FEATURE_NOT_SUPPORTED,
            Error::EngineNotStarted(_)
            | Error::EngineLost
            | Error::InputFatal(_)
            | Error::ModelFatal
            | Error::TrainingLost(..)
            | Error::JobNotStarted(_) => Code::ERRCODE_SYSTEM_ERROR,
            Error::NotJson { .. } | Error::ContentMissing(_) => Code::ERRCODE_DATA_CORRUPTED,
            Error::Wire(_) | Error::Spi(_) | Error::Unexpected(_) | Error::OutsideAggregate => {
                Code::ERRCODE_INTERNAL_ERROR
            }
            Error::Engine(error) => engine_sqlstate(error.kind),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Error::NoMeaning { labels, .. } if labels.is_empty() => {
                Some("The model has no classes.".to_owned())
            }
            Error::NoMeaning { labels, .. } | Error::UnknownLabel { labels, .. } => {
                Some(format!("Its labels are: {}.", labels.join(", ")))
            }
            Error::ReadsColumns { reads, .. } => Some(format!("It reads: {reads}.")),
            Error::Input { model, error } => Some(input_detail(model, error)),
            Error::RoleOwns { owned, .. } => Some(owned.clone()),
            Error::RoleMissing { role, .. } => {
                Some(format!("Only roles with privileges of the \"{role}\" role may do so."))
            }
            Error::ColumnsUnlike { types: [one, other], .. } => {
                Some(format!("They are of types {one} and {other}."))
            }
            Error::FeatureType { .. } => {
                Some("Models read texts, numbers, booleans, dates and timestamps.".to_owned())
            }
            Error::NotAParaphraser(_) => {
                Some("Expected a function of a text that returns one text.".to_owned())
            }
            Error::NothingToEvaluate { skipped } => {
                Some(format!("Rows with all that it takes: 0; rows left out: {skipped}."))
            }
            Error::InvalidOption { expected, .. } | Error::ColumnType { expected, .. } => {
                Some(format!("Expected {expected}."))
            }
            Error::TemporaryRelation(_) | Error::TemporaryFunction(_) => {
                Some("A job works in a session of its own, where temporary objects of this one are not there.".to_owned())
            }
            Error::JobNotStarted(_) => Some(
                "Several background workers in a row could not connect to the database, or not record what they did."
                    .to_owned(),
            ),
            Error::LabelsAlike(labels) => {
                let quoted: Vec<String> = labels.iter().map(|label| format!("\"{label}\"")).collect();
                Some(format!("Among them are {}.", quoted.join(", ")))
            }
            Error::ArrayTooLong { most, bytes, .. } => Some(format!(
                "An answer of this model takes up to {bytes} bytes, so that the answers to {most} texts fit into one value."
            )),
            Error::TextTooLong(_) => Some(format!("The limit is {MAX_TEXT_BYTES} bytes.")),
            Error::FileTooLarge { .. } => Some("The limit of a model's file is 64 GB.".to_owned()),
            Error::InputFatal(input) => {
                let whose = match input.kind {
                    InputKind::Text => "The text's SHA-256",
                    InputKind::Row => "The SHA-256 of the row, as it is sent,",
                };
                Some(format!(
                    "{whose} is {}. Three engines in a row died while they worked on nothing else. It is refused for ten \
                     minutes from then on.",
                    input.sha256
                ))
            }
            Error::ModelFatal => {
                Some("Three engines in a row died while they did nothing else.".to_owned())
            }
            Error::TrainingLost(_, words) => Some(words.clone()),
            Error::EngineNotStarted(reason) => Some(reason.clone()),
            Error::MalformedSummary(detail) => Some(detail.clone()),
            Error::NotJson { reason, .. } => Some(format!("{reason}.")),
            Error::NameTaken(_) => Some("It is owned by another role.".to_owned()),
            Error::Engine(error) => error.detail.clone(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::ReadsColumns { model, call, .. } => {
                return Some(format!(
                    "Give it a row, as in SELECT ecommerce_ml.{call}(t, '{model}') FROM table_name AS t, or a jsonb \
                     object with these keys."
                ));
            }
            Error::ReadsText { model, call } => {
                return Some(format!(
                    "Give it a text, as in SELECT ecommerce_ml.{call}(t.body, '{model}') FROM table_name AS t."
                ));
            }
            Error::Input { error: InputError::Infinite(_), .. } => {
                "Use NULL where a value is not known, and a large number where it is large."
            }
            Error::Input { error: InputError::ColumnType { expected, .. }, .. } => {
                return Some(format!("Cast it to {}.", type_for(*expected)));
            }
            Error::UnknownJob(_) => "The view ecommerce_ml.jobs lists the jobs.",
            Error::JobDenied(_) => "Only members of the role that started it may do so.",
            Error::JobNotSubmitted(_) => "A job is submitted when the transaction that made it commits.",
            Error::InTransaction(_) => {
                "Commit first, or wait with ecommerce_ml.wait_for_job(), whose snapshot holds back VACUUM meanwhile."
            }
            Error::UnknownSchedule(_) => "The view ecommerce_ml.training_schedules lists the schedules.",
            Error::ScheduleDenied(_) => "Only members of the role that made it may do so.",
            Error::ModelScheduled(name) => {
                return Some(format!("End it first: SELECT ecommerce_ml.unschedule_training('{name}');"));
            }
            Error::SchedulerMissing => {
                "Install it (on Debian, package postgresql-15-cron), add pg_cron to shared_preload_libraries, set \
                 cron.database_name to this database, restart the server and run CREATE EXTENSION pg_cron. Or schedule \
                 with cron => NULL, and let any other scheduler call ecommerce_ml.run_scheduled_training()."
            }
            Error::RoleOwns { .. } => {
                "Give them to another role first: LOAD 'ecommerce_ml' lets REASSIGN OWNED do so in a session that has not \
                 called a function of the extension. Or use DROP OWNED ... CASCADE to drop them too."
            }
            Error::NotUpdated => "Run ALTER EXTENSION ecommerce_ml UPDATE.",
            Error::UnknownTask(_) => "Tasks are \"classification\", \"rating\" and \"regression\".",
            Error::ArgumentMissing { argument, .. } => {
                return Some(format!("Name the column, as in {argument} => 'stars'."));
            }
            Error::KeysNotTaken(_) => {
                "Leave key_columns out; a column that tells rows apart can be one of feature_columns."
            }
            Error::FeatureNotNamed { .. } => {
                "Leave feature_columns out: the columns are found by the names that they had in training."
            }
            Error::LabelIsFeature(_) => "Leave it out of feature_columns.",
            Error::NoFeatures(_) => "Name a text_column, or feature_columns.",
            Error::FeatureType { .. } => "Leave it out of feature_columns, or cast it in a view.",
            Error::BaseNotTaken(_) => "Leave out the argument base.",
            Error::NotTrained { .. } => "Train the model with ecommerce_ml.train_model().",
            Error::NotTrainable(_) => "Choose another base.",
            Error::TrainingLost(..) => {
                "The server log tells more. If it was killed for want of memory, lower max_length or train with \
                 \"tuning\": \"head\"; SELECT ecommerce_ml.resume_job() lets it go on from its last checkpoint."
            }
            Error::JobNotStarted(job) => {
                return Some(format!(
                    "The server log tells why, for example that the role may not log in any more. \
                     SELECT ecommerce_ml.resume_job({job}); lets it try again."
                ));
            }
            Error::TemporaryRelation(_) => "Copy its rows into a table that stays, by CREATE TABLE ... AS.",
            Error::TemporaryFunction(_) => "Create the function in a schema that stays.",
            Error::NoJobSlot(_) => "Raise max_worker_processes.",
            Error::ModelInUse { job, .. } => {
                return Some(format!("Cancel it first: SELECT ecommerce_ml.cancel_job({job});"));
            }
            Error::UnknownModel(_) => "The view ecommerce_ml.models lists the models.",
            Error::NoLiveVersion(name) => {
                return Some(format!(
                    "The view ecommerce_ml.model_versions lists its versions. Name one, as \"{name}@1\", or deploy one: \
                     SELECT ecommerce_ml.deploy_model('{name}', 1);"
                ));
            }
            Error::UnknownVersion { .. } => "The view ecommerce_ml.model_versions lists the versions.",
            Error::InvalidModelName(_) => {
                "A name is made of at most 63 lower-case letters, digits and underscores, and does not begin with \
                 a digit; \"name@3\" asks for version 3."
            }
            Error::NameTaken(_) => "Choose another name.",
            Error::ModelDenied(name) => {
                return Some(format!(
                    "Its owner can allow a role to use it: SELECT ecommerce_ml.grant_model('{name}', 'role');"
                ));
            }
            Error::UnknownOption { known, .. } => return Some(format!("Known options are: {known}.")),
            Error::InvalidSource(_) => {
                "A source is \"file:///directory\" or \"hf://owner/repository[@revision]\"."
            }
            Error::NoModelFiles(_) => "A model's directory holds config.json, a tokenizer and *.safetensors.",
            Error::UnknownLabel { .. } => {
                "Labels of another kind can be compared with any function of the text, in a view, by \
                 ecommerce_ml.evaluate_predictions()."
            }
            Error::LabelNotFinite(_) => {
                "Rows without a label are left out: use a view with nullif(label, 'NaN')."
            }
            Error::LabelsAlike(_) => {
                "Compare in a view in which a class has one name, for example lower(trim(label))."
            }
            Error::ArrayTooLong { .. } => "Call the function for each text, with unnest().",
            Error::TooManyClasses(_) => "Cast numbers that are no classes to double precision, in a view.",
            Error::NothingToEvaluate { .. } => {
                "Rows are left out whose text is NULL or blank, or whose label or prediction is NULL."
            }
            Error::VersionLive { .. } => "Deploy another version first, or drop the whole model.",
            Error::VersionBuiltIn(_) => "It is part of the extension.",
            Error::Encoding(_) => "Models read UTF-8: use a database with encoding UTF8.",
            Error::TextTooLong(_) => "Cut the text into parts, for example with substr().",
            Error::NoWorkerSlot => "Raise max_worker_processes.",
            Error::SingleUser(_) => "Start the server, and ask in a session of it.",
            Error::EngineNotStarted(_) => "The server log tells why.",
            Error::InputFatal(Fingerprint { kind: InputKind::Text, sha256, .. }) => {
                return Some(format!(
                    "Leave it out: it is where sha256(convert_to(text, 'UTF8')) = '\\x{sha256}'. The server log holds the \
                     engine's last words."
                ));
            }
            Error::InputFatal(_) => {
                "Leave it out: asked one by one, the others are answered. The server log holds the engine's last words."
            }
            Error::EngineLost | Error::ModelFatal => {
                "The server log holds the engine's last words. If it was killed for want of memory, lower \
                 ecommerce_ml.model_cache_size."
            }
            Error::BuildMismatch { .. } => {
                "Reconnect to load the installed library; if it is in shared_preload_libraries, restart the server."
            }
            Error::ContentMissing(_) => "Import the model again.",
            Error::Engine(error) => return error.hint.clone(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn input_sqlstate(error: &InputError) -> PgSqlErrorCode {
    use PgSqlErrorCode as Code;
    match error {
        InputError::NoColumn { .. } => Code::ERRCODE_UNDEFINED_COLUMN,
        InputError::ColumnType { .. } | InputError::NotAnObject(_) | InputError::JsonType { .. } => {
            Code::ERRCODE_DATATYPE_MISMATCH
        }
        InputError::NotATime { .. } => Code::ERRCODE_INVALID_DATETIME_FORMAT,
        InputError::Infinite(_) => Code::ERRCODE_INVALID_PARAMETER_VALUE,
    }
}

fn input_detail(model: &str, error: &InputError) -> String {
    match error {
        InputError::NoColumn { reads, .. } => format!("Model \"{model}\" reads: {reads}."),
        InputError::ColumnType { expected, .. } | InputError::JsonType { expected, .. } => {
            format!("Model \"{model}\" reads {} there.", in_words(*expected))
        }
        InputError::NotAnObject(_) => {
            format!("Model \"{model}\" reads the values of an object by their keys.")
        }
        InputError::Infinite(_) => format!("Model \"{model}\" reads finite numbers, and NULL."),
        InputError::NotATime { .. } => format!("Model \"{model}\" reads a timestamp there."),
    }
}

fn engine_sqlstate(kind: ErrorKind) -> PgSqlErrorCode {
    use PgSqlErrorCode as Code;
    match kind {
        ErrorKind::InvalidRequest => Code::ERRCODE_INVALID_PARAMETER_VALUE,
        ErrorKind::TextTooLong => Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        ErrorKind::DamagedModel => Code::ERRCODE_DATA_CORRUPTED,
        ErrorKind::UnsupportedModel | ErrorKind::NotCompiledIn => Code::ERRCODE_FEATURE_NOT_SUPPORTED,
        ErrorKind::FileMissing => Code::ERRCODE_UNDEFINED_FILE,
        ErrorKind::HubUnavailable => Code::ERRCODE_CONNECTION_FAILURE,
        ErrorKind::HubDenied => Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
        ErrorKind::OutOfMemory => Code::ERRCODE_OUT_OF_MEMORY,
        ErrorKind::DeviceMissing => Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        ErrorKind::Cancelled => Code::ERRCODE_QUERY_CANCELED,
        ErrorKind::Internal => Code::ERRCODE_INTERNAL_ERROR,
    }
}

/// The five characters of a code.
pub fn sqlstate_text(code: PgSqlErrorCode) -> String {
    // SAFETY: returns a terminated string in a buffer of the server's.
    unsafe { CStr::from_ptr(pg_sys::unpack_sql_state(code as i32)) }.to_string_lossy().into_owned()
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
