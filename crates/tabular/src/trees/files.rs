//! The files of a model of trees: `signature.json`, which is the same of all kinds, `features.json`, how columns become features and sums probabilities, and
//! `model.json`, the trees as XGBoost's library and Python's `xgboost` and `shap` read them.
//!
//! It must not know rows. Invariant: whatever the bytes are, the answer is a model that can score any row, or an error that says
//! what is wrong.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::files::{
    SIGNATURE, damaged, kind_in, parse, read_signature, unsupported, unwritable, write_signature,
};
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_protocol::signature::Answer;
use serde::{Deserialize, Serialize};

use super::booster_file;
use super::encoding::{EncodedColumn, Encoding};
use super::isotonic::Isotonic;
use super::model::TreesModel;
use crate::score::Head;

/// How columns become features.
pub const FEATURES: &str = "features.json";

/// The trees.
pub const MODEL: &str = "model.json";

/// Of `features.json`.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct FeaturesFile {
    format: u32,
    columns: Vec<EncodedColumn>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    residuals: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isotonic: Option<Isotonic>,
}

/// Whether these are the files of a model of this kind, be it a damaged one.
pub fn recognises(files: &ModelFiles, kind: &str) -> bool {
    kind_in(files, SIGNATURE).map_or_else(|| files.get(FEATURES).is_some(), |found| found == kind)
}

/// The model of these files, which is of this kind.
///
/// # Errors
/// [`FileMissing`](ecommerce_ml_protocol::ErrorKind::FileMissing) and `DamagedModel`, with what is wrong; `UnsupportedModel` for one of a
/// later version.
pub fn read(files: &ModelFiles, kind: &'static str) -> Result<TreesModel, EngineError> {
    let signature = read_signature(files, kind)?;
    let features: FeaturesFile = parse(FEATURES, files.require(FEATURES)?)?;
    if features.format != FORMAT {
        return Err(unsupported(features.format, FORMAT));
    }
    let encoding = Encoding { columns: features.columns };
    encoding.check().map_err(|what| damaged(FEATURES, &what))?;
    let labels = signature.labels.clone();
    let head = match signature.answers.as_slice() {
        [Answer::AnomalyScore] => Head::AnomalyScore,
        _ if labels.is_empty() => Head::Number,
        _ => Head::Classes { labels },
    };
    let forest = booster_file::read(files.require(MODEL)?, encoding.features())
        .map_err(|what| damaged(MODEL, &what))?;
    let FeaturesFile { residuals, isotonic, .. } = features;
    let model = TreesModel { kind, encoding, head, forest, residuals, isotonic };
    model.check().map_err(|what| damaged(MODEL, &what))?;
    if model.signature() != signature {
        return Err(damaged(SIGNATURE, &format!("it does not say what \"{FEATURES}\" does")));
    }
    Ok(model)
}

/// The files of a model.
///
/// # Errors
/// [`Internal`](ecommerce_ml_protocol::ErrorKind::Internal) if it is no model.
pub fn write(model: &TreesModel) -> Result<ModelFiles, EngineError> {
    model.check().map_err(unwritable)?;
    let signature = write_signature(model.kind, model.signature())?;
    let features = FeaturesFile {
        format: FORMAT,
        columns: model.encoding.columns.clone(),
        residuals: model.residuals.clone(),
        isotonic: model.isotonic.clone(),
    };
    let features = serde_json::to_vec(&features).map_err(|error| unwritable(error.to_string()))?;
    let is_number = !matches!(model.head, Head::Classes { .. });
    let trees = booster_file::write(&model.forest, &model.encoding.feature_names(), is_number);
    let trees = serde_json::to_vec(&trees).map_err(|error| unwritable(error.to_string()))?;
    Ok(ModelFiles::from_parts(vec![
        (SIGNATURE.to_owned(), signature),
        (FEATURES.to_owned(), features),
        (MODEL.to_owned(), trees),
    ]))
}
