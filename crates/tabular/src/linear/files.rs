//! The files of a model: `signature.json`, what it reads and answers, and `model.json`, how.
//!
//! Both are JSON for people to read. `model.json` has a line for each column, or for each category of one, with what it adds to
//! each equation; numbers are written with as many digits as it takes to read back the same bits.
//! It must not know rows. Invariant: whatever the bytes are, the answer is a model that can score any row, or an error that says
//! what is wrong.

use std::fmt::Write;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::files::{
    SIGNATURE, damaged, kind_in, parse, read_signature, unsupported, unwritable, write_signature,
};
use ecommerce_ml_protocol::{EngineError, Field, Signature, ValueType};
use serde::{Deserialize, Serialize};

use crate::linear::encoding::{EncodedColumn, Encoding, Scheme};
use crate::linear::model::{KIND, LinearModel};
use crate::score::Head;

/// The rest of it.
pub const MODEL: &str = "model.json";

/// Of `model.json`.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct ModelFile {
    format: u32,
    kind: String,
    equations: Vec<EquationFile>,
    columns: Vec<ColumnFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EquationFile {
    /// None of a number.
    label: Option<String>,
    /// None of a class that is never answered.
    intercept: Option<f64>,
}

/// A column, without its categories where it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnFile {
    name: String,
    #[serde(rename = "type")]
    value_type: ValueType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coefficients: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other: Option<Vec<f64>>,
    #[serde(default, skip_serializing)]
    categories: Option<Vec<CategoryFile>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CategoryFile {
    category: String,
    coefficients: Vec<f64>,
}

/// Whether these are the files of a linear model, be it a damaged one.
pub fn recognises(files: &ModelFiles) -> bool {
    match kind_in(files, SIGNATURE).or_else(|| kind_in(files, MODEL)) {
        Some(kind) => kind == KIND,
        None => files.get(MODEL).is_some(),
    }
}

/// The model of these files.
///
/// # Errors
/// [`FileMissing`](ecommerce_ml_protocol::ErrorKind::FileMissing) and `DamagedModel`, with what is wrong; `UnsupportedModel` for one of a
/// later version.
pub fn read(files: &ModelFiles) -> Result<LinearModel, EngineError> {
    let signature = read_signature(files, KIND)?;
    let file: ModelFile = parse(MODEL, files.require(MODEL)?)?;
    if file.kind != KIND {
        return Err(damaged(MODEL, &format!("its kind is not \"{KIND}\"")));
    }
    if file.format != FORMAT {
        return Err(unsupported(file.format, FORMAT));
    }
    let model = build(file, &signature).map_err(|what| damaged(MODEL, &what))?;
    model.check().map_err(|what| damaged(MODEL, &what))?;
    if model.signature() != signature {
        return Err(damaged(SIGNATURE, &format!("it does not say what \"{MODEL}\" does")));
    }
    Ok(model)
}

fn build(file: ModelFile, signature: &Signature) -> Result<LinearModel, String> {
    let equations = file.equations.len();
    let labels = &signature.labels;
    let head = if labels.is_empty() { Head::Number } else { Head::Classes { labels: labels.clone() } };
    let expected = labels.get(usize::from(labels.len() == 2 && equations == 1)..).unwrap_or_default();
    let named: Vec<&String> = file.equations.iter().filter_map(|equation| equation.label.as_ref()).collect();
    if named != expected.iter().collect::<Vec<_>>() {
        return Err(format!("its equations are not those of the labels of \"{SIGNATURE}\""));
    }
    let intercept = |equation: &EquationFile| equation.intercept.unwrap_or(f64::NEG_INFINITY);
    let intercepts = file.equations.iter().map(intercept).collect();
    let (mut columns, mut coefficients) = (Vec::new(), Vec::new());
    for column in file.columns {
        let name = column.name.clone();
        let mut add = |features: &[f64]| {
            coefficients.extend(features);
            let fits = features.len() == equations;
            let wrong = || format!("column \"{name}\" has {} coefficients, not {equations}", features.len());
            if fits { Ok(()) } else { Err(wrong()) }
        };
        let incomplete = || format!("column \"{name}\" is not complete");
        let (missing, other) = (column.missing.is_some(), column.other.is_some());
        let scheme = if column.value_type == ValueType::Text {
            if column.mean.is_some() || column.scale.is_some() || column.coefficients.is_some() {
                return Err(incomplete());
            }
            let categories = column.categories.ok_or_else(incomplete)?;
            categories.iter().try_for_each(|one| add(&one.coefficients))?;
            let categories = categories.into_iter().map(|one| one.category).collect();
            Scheme::Categories { categories, missing, other }
        } else {
            let (Some(mean), Some(scale), None, false) =
                (column.mean, column.scale, column.categories, other)
            else {
                return Err(incomplete());
            };
            add(&column.coefficients.ok_or_else(incomplete)?)?;
            Scheme::Number { mean, scale, missing }
        };
        column.missing.iter().chain(&column.other).try_for_each(|one| add(one))?;
        let field = Field { name: column.name, value_type: column.value_type };
        columns.push(EncodedColumn { field, scheme });
    }
    Ok(LinearModel { encoding: Encoding { columns }, head, intercepts, coefficients })
}

/// The files of a model.
///
/// # Errors
/// [`Internal`](ecommerce_ml_protocol::ErrorKind::Internal) if it is no model.
pub fn write(model: &LinearModel) -> Result<ModelFiles, EngineError> {
    model.check().map_err(unwritable)?;
    let signature = write_signature(KIND, model.signature())?;
    let text = text(model).map_err(|error| unwritable(error.to_string()))?;
    Ok(ModelFiles::from_parts(vec![(SIGNATURE.to_owned(), signature), (MODEL.to_owned(), text.into_bytes())]))
}

fn text(model: &LinearModel) -> Result<String, serde_json::Error> {
    let labels = model.labels();
    let first = labels.len().saturating_sub(model.equations());
    let mut equations = Vec::new();
    for (number, &intercept) in model.intercepts.iter().enumerate() {
        let label = labels.get(first + number).cloned();
        let intercept = intercept.is_finite().then_some(intercept);
        equations.push(serde_json::to_string(&EquationFile { label, intercept })?);
    }
    let mut columns = Vec::new();
    for (start, column) in model.encoding.offsets() {
        columns.push(column_text(model, start, column)?);
    }
    let mut text = format!("{{\n\"format\": {FORMAT},\n\"kind\": \"{KIND}\",\n\"equations\": [\n");
    // Writing to a string can't fail.
    let _ = write!(text, "{}\n],\n\"columns\": [\n{}\n]\n}}\n", equations.join(",\n"), columns.join(",\n"));
    Ok(text)
}

fn column_text(
    model: &LinearModel,
    start: usize,
    EncodedColumn { field, scheme }: &EncodedColumn,
) -> Result<String, serde_json::Error> {
    let mut rest = model.coefficients.chunks(model.equations().max(1)).skip(start);
    let mut next = || rest.next().map(<[f64]>::to_vec).unwrap_or_default();
    let mut file = ColumnFile {
        name: field.name.clone(),
        value_type: field.value_type,
        mean: None,
        scale: None,
        coefficients: None,
        missing: None,
        other: None,
        categories: None,
    };
    let mut lines = Vec::new();
    let missing = match scheme {
        Scheme::Number { mean, scale, missing } => {
            (file.mean, file.scale, file.coefficients) = (Some(*mean), Some(*scale), Some(next()));
            *missing
        }
        Scheme::Categories { categories, missing, .. } => {
            for category in categories {
                let category = CategoryFile { category: category.clone(), coefficients: next() };
                lines.push(serde_json::to_string(&category)?);
            }
            *missing
        }
    };
    file.missing = missing.then(&mut next);
    file.other = matches!(scheme, Scheme::Categories { other: true, .. }).then(&mut next);
    let mut text = serde_json::to_string(&file)?;
    if matches!(scheme, Scheme::Categories { .. }) {
        text.pop();
        let _ = write!(text, ",\"categories\":[\n{}]}}", lines.join(",\n"));
    }
    Ok(text)
}
