//! The files of a model that holds a text model: those of a model of numbers and those of the text model side by side, which have
//! no name in common, and `texts.json`, which says how texts become numbers.
//!
//! So a version is complete by itself, whatever becomes of its base; the database keeps equal parts of files once, however many
//! versions have them.
//! It must not know how texts are read. Invariant: whatever the bytes are, the answer is the parts of a model or an error that says
//! what is wrong.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::files::{
    SIGNATURE, damaged, kind_in, parse, read_signature, unsupported, unwritable, write_signature,
};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelInfo, Reads, Signature};
use serde::{Deserialize, Serialize};

use super::encoding::{Head, TextColumn, TextEncoding};
use super::reading::embedding_width;

/// How texts become numbers.
pub const TEXTS: &str = "texts.json";

/// Of `texts.json`.
const FORMAT: u32 = 1;

/// Files of models of numbers.
const ROWS: [&str; 3] = [SIGNATURE, "features.json", "model.json"];

#[derive(Serialize, Deserialize)]
struct TextsFile {
    format: u32,
    columns: Vec<TextColumn>,
}

/// The files of a model that holds a text model, taken apart.
pub struct Parts {
    kind: String,
    signature: Signature,
    columns: Vec<TextColumn>,
    rows: ModelFiles,
    /// Those of the text model.
    pub base: ModelFiles,
}

/// The parts, if there is a text model among them.
///
/// # Errors
/// [`ErrorKind::DamagedModel`], [`ErrorKind::FileMissing`], [`ErrorKind::UnsupportedModel`].
pub fn read(files: &ModelFiles) -> Result<Option<Parts>, EngineError> {
    let Some(bytes) = files.get(TEXTS) else { return Ok(None) };
    let file: TextsFile = parse(TEXTS, bytes)?;
    if file.format != FORMAT {
        return Err(unsupported(file.format, FORMAT));
    }
    let kind = kind_in(files, SIGNATURE).ok_or_else(|| damaged(SIGNATURE, "it names no kind"))?;
    let signature = read_signature(files, &kind)?;
    let part = |is_of: &dyn Fn(&str) -> bool| {
        let own = files.iter().filter(|(name, _)| is_of(name));
        ModelFiles::from_parts(own.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect())
    };
    let rows = part(&|name| ROWS.contains(&name) && name != SIGNATURE);
    let base = part(&|name| !ROWS.contains(&name) && name != TEXTS);
    Ok(Some(Parts { kind, signature, columns: file.columns, rows, base }))
}

impl Parts {
    /// How texts become numbers, and the files of the model of these, given what the text model is.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if they don't fit together.
    pub fn fit(self, base: &ModelInfo) -> Result<(TextEncoding, ModelFiles), EngineError> {
        let width = embedding_width(base).map_err(|error| damaged(TEXTS, &error.message))?;
        let Signature { reads, answers, labels } = self.signature;
        let Reads::Columns(fields) = reads else {
            return Err(damaged(SIGNATURE, "it does not read columns"));
        };
        let encoding = TextEncoding { fields, columns: self.columns, head: Head::of(base) };
        encoding.check(width).map_err(|what| damaged(TEXTS, &what))?;
        let inner = encoding.inner_fields().into_iter().map(|(_, field)| field).collect();
        let signature =
            write_signature(&self.kind, Signature { reads: Reads::Columns(inner), answers, labels })?;
        let own = self.rows.iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
        let files = own.chain([(SIGNATURE.to_owned(), signature)]).collect();
        Ok((encoding, ModelFiles::from_parts(files)))
    }
}

/// The files of a model of numbers with those of the text model.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if the text model has a file of the same name as the other; [`ErrorKind::Internal`].
pub fn write(
    encoding: &TextEncoding,
    rows: &ModelFiles,
    base: &ModelFiles,
) -> Result<ModelFiles, EngineError> {
    let clash = ROWS.iter().chain([&TEXTS]).find(|name| base.get(name).is_some());
    if let Some(name) = clash {
        let message = format!("base has a file \"{name}\", which a text model doesn't have");
        return Err(EngineError::new(ErrorKind::InvalidRequest, message));
    }
    let kind = kind_in(rows, SIGNATURE).ok_or_else(|| unwritable("it names no kind".to_owned()))?;
    let reads = Reads::Columns(encoding.fields.clone());
    let outer = Signature { reads, ..read_signature(rows, &kind)? };
    let texts = TextsFile { format: FORMAT, columns: encoding.columns.clone() };
    let texts = serde_json::to_vec(&texts).map_err(|error| unwritable(error.to_string()))?;
    let own = rows.iter().filter(|(name, _)| *name != SIGNATURE);
    let all = own.chain(base.iter()).map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
    let written = [(SIGNATURE.to_owned(), write_signature(&kind, outer)?), (TEXTS.to_owned(), texts)];
    Ok(ModelFiles::from_parts(all.chain(written).collect()))
}
