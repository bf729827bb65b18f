//! What of a request can be asked for apart: its inputs.
//!
//! It must not know engines or connections. Invariant: the answers to the parts of a request, one after another, are the
//! answers to the whole.

use std::ops::Range;

use ecommerce_ml_protocol::frame::decode_payload;
use ecommerce_ml_protocol::{DecodeError, ModelRef, Request, RequestBody, Sha256, encode_frame};
use sha2::{Digest, Sha256 as Hasher};

/// Bytes before a frame's payload.
const HEADER_BYTES: usize = 4;

/// What a request asks an engine to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// So many inputs for a model.
    Inputs(usize),
    /// A model and nothing more.
    Model,
    /// Nothing that an engine could die of.
    Nothing,
}

impl Matter {
    /// Of a request.
    pub fn of(body: &RequestBody) -> Self {
        match (texts(body), body.model()) {
            (Some([]), _) | (_, None) => Matter::Nothing,
            (Some(texts), _) => Matter::Inputs(texts.len()),
            (None, Some(_)) => Matter::Model,
        }
    }

    /// Whether it can't be divided, and an engine could die of it.
    pub fn is_single(self) -> bool {
        matches!(self, Matter::Inputs(1) | Matter::Model)
    }
}

/// One input of a request, as users can find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Of the text's bytes.
    pub sha256: Sha256,
    /// How many there are.
    pub bytes: usize,
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
    let cut = |texts: &[String]| texts.get(range.clone()).unwrap_or_default().to_vec();
    match body {
        RequestBody::Predict { model, texts } => {
            RequestBody::Predict { model: model.clone(), texts: cut(texts) }
        }
        RequestBody::Embed { model, texts } => {
            RequestBody::Embed { model: model.clone(), texts: cut(texts) }
        }
        RequestBody::Tokenize { model, texts, detail } => {
            RequestBody::Tokenize { model: model.clone(), texts: cut(texts), detail: *detail }
        }
        other => other.clone(),
    }
}

/// How many bytes an input has.
pub fn bytes(body: &RequestBody, input: usize) -> usize {
    texts(body).and_then(|texts| texts.get(input)).map_or(0, String::len)
}

/// The fingerprint of an input.
pub fn fingerprint(body: &RequestBody, input: usize) -> Fingerprint {
    let text = texts(body).and_then(|texts| texts.get(input)).map_or("", String::as_str);
    Fingerprint { sha256: Sha256(Hasher::digest(text).into()), bytes: text.len() }
}

/// What tells an input of a model from all others.
pub fn key(model: &ModelRef, input: &Fingerprint) -> Sha256 {
    // A model's name or address fits into any frame.
    let model = encode_frame(&model.source).unwrap_or_default();
    Sha256(Hasher::new().chain_update(model).chain_update(input.sha256.0).finalize().into())
}

fn texts(body: &RequestBody) -> Option<&[String]> {
    match body {
        RequestBody::Predict { texts, .. }
        | RequestBody::Embed { texts, .. }
        | RequestBody::Tokenize { texts, .. } => Some(texts),
        _ => None,
    }
}
