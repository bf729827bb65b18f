//! What of a request can be asked for apart: its inputs.
//!
//! It must not know engines or connections. Invariant: the answers to the parts of a request, one after another, are the
//! answers to the whole.

use std::fmt;
use std::ops::Range;

use ecommerce_ml_protocol::frame::decode_payload;
use ecommerce_ml_protocol::{DecodeError, Input, ModelRef, Request, RequestBody, Sha256, encode_frame};
use sha2::{Digest, Sha256 as Hasher};

/// Bytes before a frame's payload.
const HEADER_BYTES: usize = 4;

/// What a request asks an engine to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestWork {
    /// So many inputs for a model.
    Inputs(usize),
    /// A model and nothing more.
    Model,
    /// Nothing that an engine could die of.
    Nothing,
}

impl RequestWork {
    /// Of a request.
    pub fn of(body: &RequestBody) -> Self {
        match body {
            RequestBody::Predict { input, .. } if input.is_empty() => RequestWork::Nothing,
            RequestBody::Predict { input, .. } => RequestWork::Inputs(input.len()),
            body if body.model().is_some() => RequestWork::Model,
            _ => RequestWork::Nothing,
        }
    }

    /// Whether it can't be divided, and an engine could die of it.
    pub fn is_single(self) -> bool {
        matches!(self, RequestWork::Inputs(1) | RequestWork::Model)
    }
}

/// One input of a request, as users can find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputDigest {
    pub kind: InputKind,
    /// Of a text's bytes, or of a row as it is sent.
    pub sha256: Sha256,
    /// How many there are.
    pub bytes: usize,
}

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    Text,
    Row,
}

impl fmt::Display for InputDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            InputKind::Text => "text",
            InputKind::Row => "row",
        };
        write!(f, "{kind} of {} bytes", self.bytes)
    }
}

/// The request in a frame.
///
/// # Errors
/// None for a frame of ours.
pub fn read(frame: &[u8]) -> Result<RequestBody, DecodeError> {
    decode_payload::<Request>(frame.get(HEADER_BYTES..).unwrap_or_default()).map(|request| request.body)
}

/// The same request for some of its inputs.
pub fn part(body: &RequestBody, range: Range<usize>) -> RequestBody {
    match body {
        RequestBody::Predict { model, input, output } => {
            RequestBody::Predict { model: model.clone(), input: input.part(range), output: *output }
        }
        other => other.clone(),
    }
}

/// How many bytes an input has, if that is known without looking at it more closely.
pub fn bytes(body: &RequestBody, input: usize) -> Option<usize> {
    match body {
        RequestBody::Predict { input: Input::Texts(texts), .. } => texts.get(input).map(String::len),
        _ => None,
    }
}

/// The digest of an input.
///
/// # Errors
/// None in practice: a row fits into a frame if the whole did.
pub fn digest(body: &RequestBody, input: usize) -> Result<InputDigest, DecodeError> {
    let of = |kind, bytes: &[u8]| InputDigest {
        kind,
        sha256: Sha256(Hasher::digest(bytes).into()),
        bytes: bytes.len(),
    };
    match body {
        RequestBody::Predict { input: Input::Texts(texts), .. } => {
            Ok(of(InputKind::Text, texts.get(input).map_or(b"", |text| text.as_bytes())))
        }
        RequestBody::Predict { input: rows, .. } => {
            let frame = encode_frame(&rows.part(input..input + 1))?;
            Ok(of(InputKind::Row, frame.get(HEADER_BYTES..).unwrap_or_default()))
        }
        _ => Ok(of(InputKind::Text, b"")),
    }
}

/// What tells an input of a model from all others.
pub fn key(model: &ModelRef, input: &InputDigest) -> Sha256 {
    // A model's name or address fits into any frame.
    let model = encode_frame(&model.source).unwrap_or_default();
    Sha256(Hasher::new().chain_update(model).chain_update(input.sha256.0).finalize().into())
}
