//! The SQLSTATE of each failure.
//!
//! Invariant: [`Error::sqlstate`] is exhaustive, so that a new variant can't be added without a code.

use std::ffi::CStr;

use ecommerce_ml_protocol::ErrorKind;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::Error;
use crate::columns::InputError;

impl Error {
    pub(super) fn sqlstate(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode as Code;
        match self {
            Error::UnknownModel(_)
            | Error::UnknownVersion { .. }
            | Error::NoLiveVersion(_)
            | Error::UnknownRole(_)
            | Error::UnknownJob(_)
            | Error::NotKept { .. }
            | Error::NotWatched { .. }
            | Error::UnknownSchedule(_) => Code::ERRCODE_UNDEFINED_OBJECT,
            Error::RoleOwns { .. } | Error::SchemaName => Code::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
            Error::NotATrigger => Code::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            Error::Concurrent(_) => Code::ERRCODE_T_R_SERIALIZATION_FAILURE,
            Error::UnknownRelation(_) => Code::ERRCODE_UNDEFINED_TABLE,
            Error::NotARelation(_)
            | Error::NotATable(_)
            | Error::TemporaryRelation(_)
            | Error::TemporaryFunction(_)
            | Error::ReadsColumns { .. }
            | Error::AnswersTable { .. }
            | Error::NoAnomalies { .. }
            | Error::NoSuchTable { .. }
            | Error::ReadsText { .. } => Code::ERRCODE_WRONG_OBJECT_TYPE,
            Error::Input { error, .. } => input_sqlstate(error),
            Error::ColumnTwice(_) | Error::KeptColumnTaken { .. } | Error::ScoreColumnTaken { .. } => {
                Code::ERRCODE_DUPLICATE_COLUMN
            }
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
            | Error::NotTableOwner(_)
            | Error::RoleMissing { .. }
            | Error::GrantBuiltIn(_) => Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Error::InvalidModelName(_)
            | Error::NoMeaning { .. }
            | Error::UnknownOption { .. }
            | Error::InvalidOption { .. }
            | Error::HorizonIncomplete { .. }
            | Error::OptionsNotObject
            | Error::KeptExpression(_)
            | Error::UnknownRefresh(_)
            | Error::InvalidSource(_)
            | Error::RelativePath(_)
            | Error::UnknownLabel { .. }
            | Error::NoSuchLabel { .. }
            | Error::NotFinite
            | Error::LabelNotFinite(_)
            | Error::ArrayLengths { .. }
            | Error::LabelRangeEmpty
            | Error::LabelsAlike(_)
            | Error::UnknownTask(_)
            | Error::ArgumentNegative(_)
            | Error::ArgumentValue { .. }
            | Error::NoBestPrice(_)
            | Error::ValueNotFinite(_)
            | Error::EmbeddingWidth { .. }
            | Error::NotTrainable(_)
            | Error::ArgumentMissing { .. }
            | Error::KeysNotTaken(_)
            | Error::LabelNotTaken(_)
            | Error::KeyCount { .. }
            | Error::TextNotTaken(_)
            | Error::FeatureNotNamed { .. }
            | Error::LabelIsFeature(_)
            | Error::NoFeatures(_)
            | Error::BaseNotTaken(_)
            | Error::BaseReadsColumns(_)
            | Error::NoMember { .. }
            | Error::EnsembleArgument(_)
            | Error::OptionForTexts(_)
            | Error::NothingToEvaluate { .. }
            | Error::NothingAfterTraining { .. }
            | Error::ForecastsNotOf { .. }
            | Error::MalformedSummary(_) => Code::ERRCODE_INVALID_PARAMETER_VALUE,
            Error::CountOutOfRange | Error::Overflow => Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
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
            | Error::NoReference { .. }
            | Error::NotUpdated
            | Error::SingleUser(_)
            | Error::KeptNotRefreshed { .. }
            | Error::JobNotSubmitted(_) => Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Error::KeptName(_) => Code::ERRCODE_NAME_TOO_LONG,
            Error::InTransaction(_) => Code::ERRCODE_ACTIVE_SQL_TRANSACTION,
            Error::FileMissing(_) | Error::NoModelFiles(_) => Code::ERRCODE_UNDEFINED_FILE,
            Error::DirectoryNotEmpty(_) => Code::ERRCODE_DUPLICATE_FILE,
            Error::File { .. } => Code::ERRCODE_IO_ERROR,
            Error::TextTooLong(_)
            | Error::FileTooLarge { .. }
            | Error::TooManyClasses(_)
            | Error::TooManyParts { .. }
            | Error::ArrayTooLong { .. } => Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Error::NoWorkerSlot | Error::NoJobSlot(_) => Code::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            Error::Encoding(_) | Error::ReadsNoFuture(_) => Code::ERRCODE_FEATURE_NOT_SUPPORTED,
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
}

fn input_sqlstate(error: &InputError) -> PgSqlErrorCode {
    use PgSqlErrorCode as Code;
    match error {
        InputError::NoColumn { .. } => Code::ERRCODE_UNDEFINED_COLUMN,
        InputError::ColumnType { .. }
        | InputError::NotAnArray { .. }
        | InputError::NotAnObject(_)
        | InputError::JsonType { .. } => Code::ERRCODE_DATATYPE_MISMATCH,
        InputError::NotATime { .. } => Code::ERRCODE_INVALID_DATETIME_FORMAT,
        InputError::Array { .. } | InputError::Infinite(_) => Code::ERRCODE_INVALID_PARAMETER_VALUE,
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
