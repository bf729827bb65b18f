//! The files of a model, read and checked.
//!
//! # Layout
//! - [`files`]: the files of a model in Hugging Face layout, from a folder or an upload.
//! - [`upload`]: files as a client sends them.
//! - [`config`]: `config.json` and `tokenizer_config.json`, validated.
//! - [`tokenizer`]: text to token ids and windows.
//! - [`scripts`]: which scripts a model reads, and whether it can read a text.
//! - [`weights`]: named tensors out of safetensors files, and how architectures name them.
//! - [`open`]: a model whose files are open.
//! - [`head`], [`positions`]: what the families' heads and positions are.
//!
//! It computes nothing, and must not know what computes with it, where, or who asks.
//! Invariant: whatever the bytes of a model are, the answer is a value that was checked or an
//! [`EngineError`](ecommerce_ml_protocol::EngineError).

#![forbid(unsafe_code)]

pub mod config;
pub mod files;
pub mod head;
pub mod open;
pub mod positions;
pub mod scripts;
pub mod tokenizer;
pub mod upload;
pub mod weights;
