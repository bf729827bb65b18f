//! The files of an ensemble: `signature.json`, `ensemble.json`, and those of its members, each with the number of its member before its
//! name, as in `member_2.model.json`.
//!
//! So a version is complete by itself; the database keeps equal parts of files once, however many versions have them.
//! It must not know what members are. Invariant: whatever the bytes are, the answer is an ensemble that can answer, or an error that
//! says what is wrong.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::files::{
    SIGNATURE, damaged, kind_in, parse, parse_format, read_signature, unwritable, write_signature,
};
use ecommerce_ml_protocol::files::member_file;
use ecommerce_ml_protocol::{Answer, EngineError, Field, Reads, Signature};
use serde::{Deserialize, Serialize};

use crate::model::{Ensemble, Head, KIND, Weighted};

/// Weights, and what members usually say.
pub const ENSEMBLE: &str = "ensemble.json";

/// Of `ensemble.json`.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct EnsembleFile {
    format: u32,
    /// The column that members read that read a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    base: Vec<f64>,
    members: Vec<MemberEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    residuals: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
struct MemberEntry {
    name: String,
    weight: f64,
    usual: Vec<f64>,
    spread: f64,
}

/// An ensemble, and the files of its members in their order.
pub struct Parts {
    /// All columns that are read.
    pub fields: Vec<Field>,
    /// The one that members read that read a text.
    pub text: Option<String>,
    /// How members are put together.
    pub ensemble: Ensemble,
    /// Each a model.
    pub members: Vec<ModelFiles>,
}

/// Whether these files are an ensemble, be it a damaged one.
pub fn recognises(files: &ModelFiles) -> bool {
    kind_in(files, SIGNATURE).is_some_and(|kind| kind == KIND)
}

/// Reads an ensemble.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::DamagedModel`], `FileMissing`, `UnsupportedModel`.
pub fn read(files: &ModelFiles) -> Result<Parts, EngineError> {
    let Signature { reads, answers, labels } = read_signature(files, KIND)?;
    let Reads::Columns(fields) = reads else {
        return Err(damaged(SIGNATURE, "it does not read columns"));
    };
    let head = match answers.as_slice() {
        [Answer::Number] if labels.is_empty() => Head::Number,
        [Answer::Classes] => Head::Classes { labels },
        _ => return Err(damaged(SIGNATURE, "it answers neither a number nor classes")),
    };
    let file: EnsembleFile = parse_format(ENSEMBLE, files.require(ENSEMBLE)?, FORMAT)?;
    let of =
        |MemberEntry { name, weight, usual, spread }: MemberEntry| Weighted { name, weight, usual, spread };
    let members: Vec<Weighted> = file.members.into_iter().map(of).collect();
    let count = members.len();
    let ensemble = Ensemble { head, base: file.base, members, residuals: file.residuals };
    ensemble.check().map_err(|what| damaged(ENSEMBLE, &what))?;
    Ok(Parts { fields, text: file.text, ensemble, members: (1..=count).map(|at| part(files, at)).collect() })
}

/// The files of a member, counted from 1, under their own names.
fn part(files: &ModelFiles, number: usize) -> ModelFiles {
    let own = files.iter().filter_map(|(name, bytes)| {
        let (of, name) = member_file(name)?;
        (of == number).then(|| (name.to_owned(), bytes.to_vec()))
    });
    ModelFiles::from_parts(own.collect())
}

/// The files of an ensemble.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::Internal`] for what can't be written.
pub fn write(parts: &Parts) -> Result<ModelFiles, EngineError> {
    let Parts { fields, text, ensemble, members } = parts;
    let of = |member: &Weighted| MemberEntry {
        name: member.name.clone(),
        weight: member.weight,
        usual: member.usual.clone(),
        spread: member.spread,
    };
    let file = EnsembleFile {
        format: FORMAT,
        text: text.clone(),
        base: ensemble.base.clone(),
        members: ensemble.members.iter().map(of).collect(),
        residuals: ensemble.residuals.clone(),
    };
    let json = serde_json::to_vec_pretty(&file).map_err(|error| unwritable(error.to_string()))?;
    // What can't be read again is no model.
    parse::<EnsembleFile>(ENSEMBLE, &json)?;
    let written = [
        (SIGNATURE.to_owned(), write_signature(KIND, signature(fields, &ensemble.head))?),
        (ENSEMBLE.to_owned(), json),
    ];
    let own = (1..).zip(members).flat_map(|(number, files): (usize, &ModelFiles)| {
        files.iter().map(move |(name, bytes)| (format!("member_{number}.{name}"), bytes.to_vec()))
    });
    Ok(ModelFiles::from_parts(own.chain(written).collect()))
}

/// What an ensemble with this head reads and answers.
pub fn signature(fields: &[Field], head: &Head) -> Signature {
    let answer = if *head == Head::Number { Answer::Number } else { Answer::Classes };
    Signature {
        reads: Reads::Columns(fields.to_vec()),
        answers: vec![answer],
        labels: head.labels().to_vec(),
    }
}
