//! The engine of `ecommerce_ml`: everything about models, nothing about PostgreSQL.
//!
//! # Layout
//! Understanding a model, each usable on its own:
//! - [`files`]: the files of a model in Hugging Face layout, from a folder or an upload.
//! - [`config`]: `config.json` and `tokenizer_config.json`, validated.
//! - [`tokenizer`]: text to token ids and windows.
//! - [`labels`]: what the outputs of a head mean.
//! - [`model`]: the encoder, its head, and the forward pass.
//! - [`begun`]: a forward pass that may go on elsewhere.
//! - [`device`]: where the forward pass runs.
//! - [`cpu`]: how it runs on the processor.
//! - [`cuda`]: how it runs on a GPU.
//! - [`nn`]: the network as it is trained.
//! - [`store`]: prepared weights kept on disk.
//! - [`loader`]: files to models, by the settings.
//!
//! Training:
//! - [`train`]: what fine-tuning needs apart from a network.
//! - [`trainer`]: rows and a model to a new model.
//!
//! Serving many clients:
//! - [`served`]: what serving needs of a model.
//! - [`cache`]: loaded models, least recently used first out.
//! - [`results`]: answers given lately.
//! - [`scheduler`]: requests of all clients, cut into batches.
//! - [`hub`]: downloads from a Hugging Face hub.
//! - [`engine`]: what each request means.
//! - [`server`]: connections, handshake, uploads, cancellation.
//! - [`activity`], [`clock`]: what is going on, and since when.
//!
//! Being a program:
//! - [`cli`]: the command line.
//! - [`serve`], [`predict`], [`bench`]: the modes.
//! - [`process`]: what the process inherits, and when it ends.
//!
//! Invariant: whatever comes in, by socket, pipe or file, is answered with a value or an
//! [`EngineError`](ecommerce_ml_protocol::EngineError); the process goes on.

#![deny(unsafe_code)]

pub mod activity;
pub mod begun;
pub mod bench;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
#[allow(unsafe_code)]
pub mod cpu;
pub mod cuda;
pub mod device;
pub mod engine;
pub mod files;
pub mod hub;
pub mod labels;
pub mod loader;
pub mod model;
pub mod nn;
pub mod predict;
pub mod process;
pub mod results;
pub mod scheduler;
pub mod serve;
pub mod served;
pub mod server;
pub mod store;
pub mod tokenizer;
pub mod train;
pub mod trainer;
