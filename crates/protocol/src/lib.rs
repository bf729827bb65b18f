//! The wire between the `ecommerce_ml` extension and its engine process.
//!
//! # Layout
//! - [`frame`]: length-prefixed frames over any byte stream, with a size limit.
//! - [`hello`]: the first frame of either side; the only layout that may never change.
//! - [`message`]: requests, replies, and the plain values that they carry.
//! - [`input`], [`answer`]: what a model reads, and what it answers, as typed columns.
//! - [`signature`]: what a model is.
//! - [`objective`]: what models are trained for.
//! - [`training`]: what a training job and its own engine process say to each other.
//! - [`text`]: which texts have nothing to read, and which labels look the same.
//! - [`labels`]: what classes mean.
//! - [`files`]: which files a model consists of, and their address.
//! - [`row_hash`]: what a training row is known by.
//! - [`error`]: what the engine says when it can't answer.
//!
//! This crate does no I/O and knows neither PostgreSQL nor any model library.
//! Invariant: decoding returns a value or a [`DecodeError`] for **any** bytes; it never panics and never
//! allocates more than the frame that it was given implies.

#![forbid(unsafe_code)]

pub mod answer;
pub mod error;
pub mod files;
pub mod frame;
pub mod hello;
pub mod input;
pub mod labels;
pub mod message;
pub mod objective;
pub mod row_hash;
pub mod signature;
pub mod text;
pub mod training;

pub use answer::{
    Answers, Completed, Contributions, Explanation, MemberContribution, Output, Prediction, SpanContribution,
    Table,
};
pub use error::{EngineError, ErrorKind};
pub use frame::{DecodeError, FrameDecoder, MAX_FRAME_BYTES, encode_frame};
pub use hello::Hello;
pub use input::{Column, Field, Input, Rows, ValueType, Values};
pub use labels::{LabelScheme, Reading, Sentiment};
pub use message::{
    DeviceMemory, EngineStats, FileEntry, ModelRef, ModelSource, ModelStats, Purpose, Reply, ReplyBody,
    Request, RequestBody, RequestId, Secret, Sha256, Stage, UploadPart,
};
pub use signature::{Answer, ModelInfo, Reads, Signature, Task};
pub use text::is_blank;

/// Longest text that a request may carry, in bytes of UTF-8.
///
/// Tokenizing can't be interrupted inside one text, so this bounds how long the engine works for a client that
/// has gone away.
pub const MAX_TEXT_BYTES: usize = 4 << 20;

/// Most bytes of a model's file in one [`UploadPart::Chunk`], and of a checkpoint in one message.
pub const UPLOAD_CHUNK_BYTES: usize = 1 << 20;

/// Build of this crate: both ends of a connection must carry the same.
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "/12");
