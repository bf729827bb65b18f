//! The files of a model: `signature.json`, what it reads and answers, and `model.json`, the fitted series.
//!
//! It must not know rows. Invariant: whatever the bytes are, the answer is a model that can be asked, or an error that says what is
//! wrong.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::files::{
    SIGNATURE, damaged, kind_in, parse_format, read_signature, unwritable, write_signature,
};
use ecommerce_ml_protocol::EngineError;
use serde::{Deserialize, Serialize};

use crate::model::{ForecastModel, KIND};

/// The rest of it.
pub const MODEL: &str = "model.json";

/// Of `model.json`; 1 had no totals, 2 no scales.
const FORMAT: u32 = 3;

#[derive(Serialize, Deserialize)]
struct ModelFile<M> {
    format: u32,
    kind: String,
    model: M,
}

/// Whether these are the files of such a model, be it a damaged one.
pub fn recognises(files: &ModelFiles) -> bool {
    kind_in(files, SIGNATURE).is_some_and(|kind| kind == KIND)
}

/// The model of these files, and how many bytes they have.
///
/// # Errors
/// [`FileMissing`](ecommerce_ml_protocol::ErrorKind::FileMissing) and `DamagedModel`, with what is wrong; `UnsupportedModel` for one of a
/// later version.
pub fn read(files: &ModelFiles) -> Result<(ForecastModel, u64), EngineError> {
    let signature = read_signature(files, KIND)?;
    let ModelFile { kind, model, .. }: ModelFile<ForecastModel> =
        parse_format(MODEL, files.require(MODEL)?, FORMAT)?;
    model.check().map_err(|what| damaged(MODEL, what))?;
    if kind != KIND || model.signature() != signature {
        return Err(damaged(SIGNATURE, &format!("it does not say what \"{MODEL}\" does")));
    }
    Ok((model, files.iter().map(|(_, bytes)| bytes.len() as u64).sum()))
}

/// The files of a model.
///
/// # Errors
/// [`Internal`](ecommerce_ml_protocol::ErrorKind::Internal) if they can't be written.
pub fn write(model: &ForecastModel) -> Result<ModelFiles, EngineError> {
    let file = ModelFile { format: FORMAT, kind: KIND.to_owned(), model };
    let file = serde_json::to_vec(&file).map_err(|error| unwritable(error.to_string()))?;
    Ok(ModelFiles::from_parts(vec![
        (SIGNATURE.to_owned(), write_signature(KIND, model.signature())?),
        (MODEL.to_owned(), file),
    ]))
}
