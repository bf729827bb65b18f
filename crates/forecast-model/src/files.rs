//! The files of a model: `signature.json`, what it reads and answers, `model.json`, the fitted series, and `trees.json`, if it has trees.
//!
//! It must not know rows. Invariant: whatever the bytes are, the answer is a model that can be asked, or an error that says what is
//! wrong.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::files::{
    SIGNATURE, damaged, kind_in, parse_format, read_signature, unwritable, write_signature,
};
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_trees::booster_file;
use serde::{Deserialize, Serialize};

use crate::model::{ForecastModel, Global, KIND};

/// The rest of it.
pub const MODEL: &str = "model.json";

/// Trees as XGBoost has them, of a model with some.
pub const TREES: &str = "trees.json";

/// Of `model.json`; 1 had no totals, 2 no scales, 3 no trees.
const FORMAT: u32 = 4;

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
    let ModelFile { kind, mut model, .. }: ModelFile<ForecastModel> =
        parse_format(MODEL, files.require(MODEL)?, FORMAT)?;
    if let Some(global) = &mut model.global {
        let features = global.trees.layout.features().len();
        let forest = booster_file::read(files.require(TREES)?, features);
        global.trees.forest = forest.map_err(|what| damaged(TREES, &what))?;
        if global.trees.forest.sums != 1 || global.trees.forest.trees.iter().any(|(sum, _)| *sum != 0) {
            return Err(damaged(TREES, "it has several sums"));
        }
    }
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
    let mut parts =
        vec![(SIGNATURE.to_owned(), write_signature(KIND, model.signature())?), (MODEL.to_owned(), file)];
    if let Some(Global { trees, .. }) = &model.global {
        let names: Vec<String> = trees.layout.features().into_iter().map(|(name, _)| name).collect();
        let trees = serde_json::to_vec(&booster_file::write(&trees.forest, &names, true));
        parts.push((TREES.to_owned(), trees.map_err(|error| unwritable(error.to_string()))?));
    }
    Ok(ModelFiles::from_parts(parts))
}
