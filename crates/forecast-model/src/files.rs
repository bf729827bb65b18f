//! The files of a model: `signature.json`, what it reads and answers, and `model.json`, the fitted series.
//!
//! It must not know rows. Invariant: whatever the bytes are, the answer is a model that can be asked, or an error that says what is
//! wrong.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::{EngineError, ErrorKind, Signature};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{ForecastModel, KIND};

/// What a model reads and answers, and of which kind it is.
pub const SIGNATURE: &str = "signature.json";
/// The rest of it.
pub const MODEL: &str = "model.json";

/// Of `model.json`.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct SignatureFile {
    kind: String,
    #[serde(flatten)]
    signature: Signature,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct ModelFile<M> {
    format: u32,
    kind: String,
    model: M,
}

/// Whether these are the files of such a model, be it a damaged one.
pub fn recognises(files: &ModelFiles) -> bool {
    let kind = |name| serde_json::from_slice::<Kind>(files.get(name)?).ok().map(|file| file.kind);
    kind(SIGNATURE).is_some_and(|kind| kind == KIND)
}

/// The model of these files, and how many bytes they have.
///
/// # Errors
/// [`ErrorKind::FileMissing`] and [`ErrorKind::DamagedModel`], with what is wrong; [`ErrorKind::UnsupportedModel`] for one of a later
/// version.
pub fn read(files: &ModelFiles) -> Result<(ForecastModel, u64), EngineError> {
    let signature: SignatureFile = parse(SIGNATURE, files.require(SIGNATURE)?)?;
    let bytes = files.require(MODEL)?;
    let Format { format } = parse(MODEL, bytes)?;
    if format != FORMAT {
        let message = format!("model is of format {format}, and this engine reads {FORMAT}");
        return Err(EngineError::new(ErrorKind::UnsupportedModel, message));
    }
    let ModelFile { kind, model, .. }: ModelFile<ForecastModel> = parse(MODEL, bytes)?;
    model.check().map_err(|what| damaged(MODEL, what))?;
    if kind != KIND || model.signature() != signature.signature {
        return Err(damaged(SIGNATURE, &format!("it does not say what \"{MODEL}\" does")));
    }
    Ok((model, files.iter().map(|(_, bytes)| bytes.len() as u64).sum()))
}

/// The files of a model.
///
/// # Errors
/// [`ErrorKind::Internal`] if they can't be written.
pub fn write(model: &ForecastModel) -> Result<ModelFiles, EngineError> {
    let unwritable = |error: serde_json::Error| {
        EngineError::new(ErrorKind::Internal, format!("could not write a model: {error}"))
    };
    let signature = SignatureFile { kind: KIND.to_owned(), signature: model.signature() };
    let file = ModelFile { format: FORMAT, kind: KIND.to_owned(), model };
    Ok(ModelFiles::from_parts(vec![
        (SIGNATURE.to_owned(), serde_json::to_vec_pretty(&signature).map_err(unwritable)?),
        (MODEL.to_owned(), serde_json::to_vec(&file).map_err(unwritable)?),
    ]))
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(name, &error.to_string()))
}

fn damaged(name: &str, what: &str) -> EngineError {
    EngineError::new(ErrorKind::DamagedModel, format!("file \"{name}\" of the model is damaged: {what}"))
}
