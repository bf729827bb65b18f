//! What there is to say of a failure beside its message: the circumstances, and what the user can do.
//!
//! Invariant: details and hints are whole sentences.

use ecommerce_ml_protocol::{MAX_TEXT_BYTES, ValueType};

use super::Error;
use crate::client::{InputDigest, InputKind};
use crate::columns::InputError;
use crate::columns::element::MAX_ELEMENTS;
use crate::columns::error::{in_words, type_for};

impl Error {
    pub(super) fn detail(&self) -> Option<String> {
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
                Some("Models read texts, numbers, booleans, dates, times, intervals and arrays of numbers.".to_owned())
            }
            Error::ArrayLengths { .. } => Some(format!(
                "Models read arrays of one length, from 1 to {MAX_ELEMENTS} numbers; one of several dimensions counts as 0."
            )),
            Error::NotAParaphraser(_) => {
                Some("Expected a function of a text that returns one text.".to_owned())
            }
            Error::NoReference { .. } => Some(
                "It was not trained here, or by an earlier release, or without rows held out.".to_owned(),
            ),
            Error::NothingToEvaluate { skipped } => {
                Some(format!("Rows with all that it takes: 0; rows left out: {skipped}."))
            }
            Error::NoBestPrice(_) => {
                Some("Profit rises with the price for ever where elasticity is -1 or above.".to_owned())
            }
            Error::HorizonIncomplete { until, ends, .. } => Some(format!(
                "The horizon ends at {ends}, and the rows at {until}: customers who came again after that would count as lost."
            )),
            Error::InvalidOption { expected, .. }
            | Error::ColumnType { expected, .. } => {
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
            Error::KeptNotRefreshed { message, .. } => Some(format!("{message}.")),
            Error::EngineNotStarted(reason) => Some(reason.clone()),
            Error::MalformedSummary(detail) => Some(detail.clone()),
            Error::NotJson { reason, .. } => Some(format!("{reason}.")),
            Error::NameTaken(_) => Some("It is owned by another role.".to_owned()),
            Error::Engine(error) => error.detail.clone(),
            _ => None,
        }
    }

    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::ReadsColumns { model, call, .. } => {
                return Some(format!(
                    "Give it a row, as in SELECT ecommerce_ml.{call}(t, '{model}') FROM table_name AS t. An object with these keys is \
                     one too: cast the value to jsonb."
                ));
            }
            Error::AnswersTable { model, call } => {
                return Some(format!("Ask it as in SELECT * FROM ecommerce_ml.{call}('{model}', ...)."));
            }
            Error::NoSuchTable { call, .. } => {
                return Some(format!(
                    "It is a model for ecommerce_ml.{call}(); name one that was trained for this task."
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
            Error::Input { error: InputError::JsonType { found, expected, .. }, .. } => {
                json_hint(found, *expected)?
            }
            Error::Input { error: InputError::NoColumn { .. }, .. } => {
                "Columns are found by the names that they had in training; a value that is not known can be NULL."
            }
            Error::HorizonIncomplete { latest_cutoff, .. } => {
                return Some(format!(
                    "Choose a cutoff of {latest_cutoff} or earlier, or a shorter horizon. If nobody came since, say until when \
                     rows are complete with complete_until; for features without labels, leave the horizon NULL."
                ));
            }
            Error::NotKept { .. } => "The view ecommerce_ml.kept_columns lists the columns that are kept.",
            Error::ScoreColumnTaken { .. } => "Name another with the option score_column.",
            Error::NotWatched { .. } => "The view ecommerce_ml.watched_rows lists what is watched.",
            Error::UnknownRefresh(_) => "It is \"background\" or \"immediate\".",
            Error::KeptName(_) => {
                "A second column is named after it, with _model at the end: both fit into 63 bytes."
            }
            Error::KeptColumnTaken { .. } => "Rename it, or choose another name for the kept column.",
            Error::KeptNotRefreshed { .. } => {
                "The view ecommerce_ml.kept_columns and the server log tell more."
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
            Error::NothingAfterTraining { .. } => {
                "Leave the relation NULL, and evaluate_model() returns what was measured on the periods held out."
            }
            Error::ForecastsNotOf { .. } => {
                "Leave it out, or name the key columns of the training; label_column and time_column may be others."
            }
            Error::ReadsNoFuture(_) => {
                "Leave future out, or train with feature_columns; with \"method\": \"auto\" a model reads them only if that forecasts better."
            }
            Error::NotUpdated => "Run ALTER EXTENSION ecommerce_ml UPDATE.",
            Error::UnknownTask(_) => {
                "Tasks are \"classification\", \"rating\", \"regression\", \"forecast\", \"recommendation\", \"lifetime\", \"elasticity\" and \"anomaly\"."
            }
            Error::ArgumentMissing { argument, .. } => {
                return Some(format!("Name the column, as in {argument} => 'stars'."));
            }
            Error::NoAnomalies { .. } => {
                "Name a model that was trained with task => 'anomaly' or 'forecast'."
            }
            Error::TextNotTaken(_) => "Leave text_column out.",
            Error::LabelNotTaken(_) => {
                "Leave label_column out, or train a classification; evaluate_model() takes labels, to measure by."
            }
            Error::KeyCount { .. } => "Name them in key_columns, as in key_columns => '{customer,item}'.",
            Error::KeysNotTaken(_) => "Leave key_columns out: the model reads the text alone.",
            Error::FeatureNotNamed { .. } => {
                "Leave feature_columns out: the columns are found by the names that they had in training."
            }
            Error::LabelIsFeature(_) => "Leave it out of feature_columns.",
            Error::NoFeatures(_) => "Name a text_column, or feature_columns.",
            Error::ArrayLengths { .. } => {
                "Leave it out of feature_columns, or make arrays of one length in a view; a number that is not known can be NULL."
            }
            Error::FeatureType { .. } => "Leave it out of feature_columns, or cast it in a view.",
            Error::BaseNotTaken(_) => "Leave out the argument base.",
            Error::BaseReadsColumns(_) => "Name a text model as the base, or leave it out.",
            Error::NoMember { .. } => {
                "Members of a classification know the same classes, those of a rating stars, and those of a regression answer numbers or stars."
            }
            Error::EnsembleArgument("text_column") => "None of them reads a text alone.",
            Error::EnsembleArgument(_) => "An ensemble reads the columns of its members, by their names.",
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
            Error::NoSuchLabel { labels, .. } => {
                return Some(format!("Its labels are: {}.", labels.join(", ")));
            }
            Error::UnknownLabel { .. } => {
                "Labels of another kind can be compared with any function of the text, in a view, by \
                 ecommerce_ml.evaluate_predictions()."
            }
            Error::LabelNotFinite(_) => {
                "Rows without a label are left out: use a view with nullif(label, 'NaN')."
            }
            Error::LabelRangeEmpty => {
                "Rows without a label are left out: use a view with nullif(label, 'empty')."
            }
            Error::LabelsAlike(_) => {
                "Compare in a view in which a class has one name, for example lower(trim(label))."
            }
            Error::ArrayTooLong { .. } => "Call the function for each text, with unnest().",
            Error::TooManyClasses(_) => "Cast numbers that are no classes to double precision, in a view.",
            Error::NoReference { .. } => {
                "Name the rows to compare with, as in baseline => $$created_at < '2026-01-01'$$."
            }
            Error::NothingToEvaluate { .. } => {
                "Rows are left out whose text is NULL or blank, or whose label or prediction is NULL."
            }
            Error::NoBestPrice(_) => "Name the highest price that you would take, as in upper => 20.",
            Error::ValueNotFinite(_) => "Leave such rows out, in a view.",
            Error::EmbeddingWidth { .. } => "Name the model that made them, as in model => 'shop'.",
            Error::TooManyParts { hint, .. } => hint,
            Error::VersionLive { .. } => "Deploy another version first, or drop the whole model.",
            Error::VersionBuiltIn(_) => "It is part of the extension.",
            Error::Encoding(_) => "Models read UTF-8: use a database with encoding UTF8.",
            Error::TextTooLong(_) => "Cut the text into parts, for example with substr().",
            Error::NoWorkerSlot => "Raise max_worker_processes.",
            Error::SingleUser(_) => "Start the server, and ask in a session of it.",
            Error::EngineNotStarted(_) => "The server log tells why.",
            Error::InputFatal(InputDigest { kind: InputKind::Text, sha256, .. }) => {
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

/// How a value of jsonb is written as what is read; nothing where it is something else altogether.
fn json_hint(found: &str, expected: ValueType) -> Option<&'static str> {
    match (found, expected) {
        ("a JSON string", ValueType::Number | ValueType::Boolean) => {
            Some("Write it without quotes, an interval or a time as its number of seconds.")
        }
        ("a JSON number" | "a JSON boolean", ValueType::Text) => Some("Write it in double quotes."),
        ("a JSON number", ValueType::Boolean) => Some("Write true or false."),
        ("a JSON number", ValueType::Timestamp) => Some("Write it as text, as in \"2026-11-30 12:00\"."),
        ("a JSON boolean", ValueType::Number) => Some("Write 1 or 0."),
        _ => None,
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
        InputError::Array { expected, .. } | InputError::NotAnArray { expected, .. } => {
            format!("Model \"{model}\" reads an array of {expected} numbers there.")
        }
        InputError::Infinite(_) => format!("Model \"{model}\" reads finite numbers, and NULL."),
        InputError::NotATime { .. } => format!("Model \"{model}\" reads a timestamp there."),
    }
}
