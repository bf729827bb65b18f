//! The files of a model of trees: `signature.json`, which is the same of all kinds, `features.json`, how columns become features, and
//! `model.json`, the trees as XGBoost's library and Python's `xgboost` and `shap` read them.
//!
//! It must not know rows. Invariant: whatever the bytes are, the answer is a model that can score any row, or an error that says
//! what is wrong.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::{EngineError, ErrorKind, Signature};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::booster_file;
use super::encoding::{EncodedColumn, Encoding};
use super::model::{KIND, TreesModel};
use crate::score::Head;

/// What a model reads and answers, and of which kind it is.
pub const SIGNATURE: &str = "signature.json";

/// How columns become features.
pub const FEATURES: &str = "features.json";

/// The trees.
pub const MODEL: &str = "model.json";

/// Of `features.json`.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct SignatureFile {
    kind: String,
    #[serde(flatten)]
    signature: Signature,
}

#[derive(Serialize, Deserialize)]
struct FeaturesFile {
    format: u32,
    columns: Vec<EncodedColumn>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    residuals: Vec<f64>,
}

/// Whether these are the files of a model of trees, be it a damaged one.
pub fn recognises(files: &ModelFiles) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    let kind = files.get(SIGNATURE).and_then(|bytes| serde_json::from_slice::<Kind>(bytes).ok());
    kind.map_or_else(|| files.get(FEATURES).is_some(), |file| file.kind == KIND)
}

/// The model of these files.
///
/// # Errors
/// [`ErrorKind::FileMissing`] and [`ErrorKind::DamagedModel`], with what is wrong; [`ErrorKind::UnsupportedModel`] for one of a
/// later version.
pub fn read(files: &ModelFiles) -> Result<TreesModel, EngineError> {
    let signature: SignatureFile = parse(SIGNATURE, files.require(SIGNATURE)?)?;
    let features: FeaturesFile = parse(FEATURES, files.require(FEATURES)?)?;
    if signature.kind != KIND {
        return Err(damaged(SIGNATURE, &format!("its kind is not \"{KIND}\"")));
    }
    if features.format != FORMAT {
        let message = format!("model is of format {}, and this engine reads {FORMAT}", features.format);
        return Err(EngineError::new(ErrorKind::UnsupportedModel, message));
    }
    let encoding = Encoding { columns: features.columns };
    encoding.check().map_err(|what| damaged(FEATURES, &what))?;
    let labels = signature.signature.labels.clone();
    let head = if labels.is_empty() { Head::Number } else { Head::Classes { labels } };
    let forest = booster_file::read(files.require(MODEL)?, encoding.features())
        .map_err(|what| damaged(MODEL, &what))?;
    let model = TreesModel { encoding, head, forest, residuals: features.residuals };
    model.check().map_err(|what| damaged(MODEL, &what))?;
    if model.signature() != signature.signature {
        return Err(damaged(SIGNATURE, &format!("it does not say what \"{FEATURES}\" does")));
    }
    Ok(model)
}

/// The files of a model.
///
/// # Errors
/// [`ErrorKind::Internal`] if it is no model.
pub fn write(model: &TreesModel) -> Result<ModelFiles, EngineError> {
    let internal =
        |what: String| EngineError::new(ErrorKind::Internal, format!("could not write a model: {what}"));
    model.check().map_err(internal)?;
    let signature = SignatureFile { kind: KIND.to_owned(), signature: model.signature() };
    let signature = serde_json::to_vec_pretty(&signature).map_err(|error| internal(error.to_string()))?;
    let features = FeaturesFile {
        format: FORMAT,
        columns: model.encoding.columns.clone(),
        residuals: model.residuals.clone(),
    };
    let features = serde_json::to_vec(&features).map_err(|error| internal(error.to_string()))?;
    let is_number = matches!(model.head, Head::Number);
    let trees = booster_file::write(&model.forest, &model.encoding.feature_names(), is_number);
    let trees = serde_json::to_vec(&trees).map_err(|error| internal(error.to_string()))?;
    Ok(ModelFiles::from_parts(vec![
        (SIGNATURE.to_owned(), signature),
        (FEATURES.to_owned(), features),
        (MODEL.to_owned(), trees),
    ]))
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(name, &error.to_string()))
}

fn damaged(name: &str, what: &str) -> EngineError {
    EngineError::new(ErrorKind::DamagedModel, format!("file \"{name}\" of the model is damaged: {what}"))
}
