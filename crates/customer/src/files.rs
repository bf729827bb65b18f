//! The files of this crate's kinds: `signature.json`, what a model reads and answers, and `model.json`, the rest.
//!
//! It must not know rows, nor a kind. Invariant: whatever the bytes are, the answer is a model that can be asked, or an error that says
//! what is wrong.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::files::{
    SIGNATURE, damaged, kind_in, parse_format, read_signature, unwritable, write_signature,
};
use ecommerce_ml_protocol::{EngineError, Signature};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// All but the signature.
pub const MODEL: &str = "model.json";

/// Of `model.json`.
const FORMAT: u32 = 1;

/// A model that is kept in such files.
pub trait Stored: Serialize + DeserializeOwned {
    /// What the catalog calls its kind.
    const KIND: &'static str;

    /// What it reads and answers.
    fn signature(&self) -> Signature;

    /// Whether it can be asked.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&self) -> Result<(), &'static str>;
}

#[derive(Serialize, Deserialize)]
struct ModelFile<M> {
    format: u32,
    model: M,
}

/// Whether these are the files of such a model, be it a damaged one.
#[must_use]
pub fn recognises<M: Stored>(files: &ModelFiles) -> bool {
    kind_in(files, SIGNATURE).is_some_and(|kind| kind == M::KIND)
}

/// The model of these files, and how many bytes they have.
///
/// # Errors
/// [`FileMissing`](ecommerce_ml_protocol::ErrorKind::FileMissing) and `DamagedModel`, with what is wrong; `UnsupportedModel` for one of a
/// later version.
pub fn read<M: Stored>(files: &ModelFiles) -> Result<(M, u64), EngineError> {
    let signature = read_signature(files, M::KIND)?;
    let ModelFile { model, .. }: ModelFile<M> = parse_format(MODEL, files.require(MODEL)?, FORMAT)?;
    model.check().map_err(|what| damaged(MODEL, what))?;
    if model.signature() != signature {
        return Err(damaged(SIGNATURE, &format!("it does not say what \"{MODEL}\" does")));
    }
    Ok((model, files.iter().map(|(_, bytes)| bytes.len() as u64).sum()))
}

/// The files of a model.
///
/// # Errors
/// [`Internal`](ecommerce_ml_protocol::ErrorKind::Internal) if they can't be written.
pub fn write<M: Stored>(model: &M) -> Result<ModelFiles, EngineError> {
    let file = serde_json::to_vec(&ModelFile { format: FORMAT, model });
    Ok(ModelFiles::from_parts(vec![
        (SIGNATURE.to_owned(), write_signature(M::KIND, model.signature())?),
        (MODEL.to_owned(), file.map_err(|error| unwritable(error.to_string()))?),
    ]))
}
