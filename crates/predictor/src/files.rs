//! What the files of kinds that have no layout of their own have in common: `signature.json`, and how a file is read.
//!
//! It must not know a kind. Invariant: what is wrong with a file is told with its name.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::{EngineError, ErrorKind, Signature};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a model reads and answers, and of which kind it is.
pub const SIGNATURE: &str = "signature.json";

#[derive(Serialize, Deserialize)]
struct SignatureFile {
    kind: String,
    #[serde(flatten)]
    signature: Signature,
}

/// The kind that a file says that it is of.
pub fn kind_in(files: &ModelFiles, name: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    serde_json::from_slice::<Kind>(files.get(name)?).ok().map(|file| file.kind)
}

/// The signature of a model of this kind.
///
/// # Errors
/// [`ErrorKind::FileMissing`] and [`ErrorKind::DamagedModel`], with what is wrong.
pub fn read_signature(files: &ModelFiles, kind: &str) -> Result<Signature, EngineError> {
    let file: SignatureFile = parse(SIGNATURE, files.require(SIGNATURE)?)?;
    if file.kind != kind {
        return Err(damaged(SIGNATURE, &format!("its kind is not \"{kind}\"")));
    }
    Ok(file.signature)
}

/// The file of a signature.
///
/// # Errors
/// [`ErrorKind::Internal`] if it can't be written.
pub fn write_signature(kind: &str, signature: Signature) -> Result<Vec<u8>, EngineError> {
    let file = SignatureFile { kind: kind.to_owned(), signature };
    serde_json::to_vec_pretty(&file).map_err(|error| unwritable(error.to_string()))
}

/// Reads a file of this name.
///
/// # Errors
/// [`ErrorKind::DamagedModel`].
pub fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(name, &error.to_string()))
}

/// Reads a file that says of which format it is, which is looked at before anything else.
///
/// # Errors
/// [`ErrorKind::UnsupportedModel`] for another one, and as [`parse`].
pub fn parse_format<T: DeserializeOwned>(name: &str, bytes: &[u8], format: u32) -> Result<T, EngineError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format: found } = parse(name, bytes)?;
    if found == format { parse(name, bytes) } else { Err(unsupported(found, format)) }
}

/// The error for a file of a later version of this engine, which reads another format.
pub fn unsupported(found: u32, read: u32) -> EngineError {
    let message = format!("model is of format {found}, and this engine reads {read}");
    EngineError::new(ErrorKind::UnsupportedModel, message)
}

/// The error for a file with something wrong in it.
pub fn damaged(name: &str, what: &str) -> EngineError {
    EngineError::new(ErrorKind::DamagedModel, format!("file \"{name}\" of the model is damaged: {what}"))
}

/// The error for a model that is none.
pub fn unwritable(what: String) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("could not write a model: {what}"))
}
