//! What the engine says when it can't answer. It must not know SQLSTATEs: the extension maps each kind to one.
//!
//! Messages follow PostgreSQL's style: lower case, no full stop, the numbers in.

use serde::{Deserialize, Serialize};

/// The class of a failure; the extension's `error` module maps each to a SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request itself is wrong (an empty label, an unknown built-in model, a malformed repository name).
    InvalidRequest,
    /// A text is longer than [`crate::MAX_TEXT_BYTES`].
    TextTooLong,
    /// Files of a model are truncated, corrupt, contradict each other, or don't have the announced hash.
    DamagedModel,
    /// A well-formed model of a kind that this build can't run.
    UnsupportedModel,
    /// A file that a model needs isn't there.
    FileMissing,
    /// The hub can't be reached or refuses.
    HubUnavailable,
    /// The hub refuses the token that it was given.
    HubDenied,
    /// More memory would be needed than the settings allow.
    OutOfMemory,
    /// The device asked for isn't present.
    DeviceMissing,
    /// Support for the device or precision isn't compiled in.
    NotCompiledIn,
    /// The request was cancelled, by its client or because the client went away.
    Cancelled,
    /// A defect of the engine.
    Internal,
}

/// A failure of one request. The connection stays usable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// Class of the failure.
    pub kind: ErrorKind,
    /// What went wrong, in one line.
    pub message: String,
    /// The circumstances, if there is more to say.
    pub detail: Option<String>,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl EngineError {
    /// An error with just a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None }
    }

    /// Adds the circumstances.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
