//! The files of a model: `signature.json`, what it reads and answers; `model.json`, its settings, for people to read; and
//! `model.safetensors`, names, histories and weights.
//!
//! It must not know requests. Invariant: whatever the bytes are, the answer is a model that can be asked anything, or an error that
//! says what is wrong.

use std::borrow::Cow;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::files::{
    SIGNATURE, damaged, kind_in, parse, read_signature, unsupported, unwritable, write_signature,
};
use ecommerce_ml_protocol::{Answer, EngineError, Field, ModelInfo, Reads, Signature, Table};
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::KIND;
use crate::als::{AlsSettings, Solver};
use crate::ease::EaseSettings;
use crate::factors::Factors;
use crate::incumbent::Incumbent;
use crate::matrix::SparseMatrix;
use crate::model::Recommender;
use crate::options::DEFAULT_ITERATIONS;
use crate::scorer::Scorer;
use crate::selection::{Algorithm, Settings};
use crate::weighting::Weighting;

const MODEL: &str = "model.json";
const TENSORS: &str = "model.safetensors";

/// Of `model.json`.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct ModelFile {
    format: u32,
    kind: String,
    algorithm: String,
    /// λ; what answering with factors needs, and for people to read.
    regularization: f64,
    /// α of factors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alpha: Option<f64>,
    /// Of factors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iterations: Option<usize>,
    /// Of item-item weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dropout: Option<f64>,
    /// Of item-item weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    power: Option<f64>,
    weighting: String,
    half_life: Option<f64>,
}

impl ModelFile {
    fn new(settings: &Settings, model: &Recommender) -> Self {
        let file = Self {
            format: FORMAT,
            kind: KIND.to_owned(),
            algorithm: model.scorer.name().to_owned(),
            regularization: 0.0,
            alpha: None,
            iterations: None,
            dropout: None,
            power: None,
            weighting: settings.weighting.name().to_owned(),
            half_life: settings.half_life,
        };
        match settings.algorithm {
            Algorithm::Ease(EaseSettings { regularization, dropout, power }) => {
                Self { regularization, dropout: Some(dropout), power: Some(power), ..file }
            }
            Algorithm::Als(AlsSettings { regularization, alpha, iterations, .. }) => {
                Self { regularization, alpha: Some(alpha), iterations: Some(iterations), ..file }
            }
        }
    }

    /// What the model was made by; none of a model that nothing was better than popularity for.
    fn settings(&self, scorer: &Scorer, seed: u64) -> Option<Settings> {
        let regularization = self.regularization;
        let algorithm = match scorer {
            Scorer::Ease(_) => {
                Algorithm::Ease(EaseSettings { regularization, dropout: self.dropout?, power: self.power? })
            }
            Scorer::Als(solver) => Algorithm::Als(AlsSettings {
                factors: solver.factors.width,
                regularization,
                alpha: self.alpha?,
                iterations: self.iterations.unwrap_or(DEFAULT_ITERATIONS),
                seed,
            }),
            Scorer::Popularity { .. } => return None,
        };
        let weighting = Weighting::CHOICES.iter().find(|(name, _)| *name == self.weighting)?.1;
        Some(Settings { algorithm, weighting, half_life: self.half_life })
    }
}

/// Whether these are the files of such a model, be it a damaged one.
pub fn recognises(files: &ModelFiles) -> bool {
    kind_in(files, SIGNATURE).or_else(|| kind_in(files, MODEL)).is_some_and(|kind| kind == KIND)
}

/// What a model reads and answers; its keys are customer and item.
pub fn info(keys: &[Field], model: &Recommender) -> ModelInfo {
    let parameters = match &model.scorer {
        Scorer::Ease(weights) => weights.values.len(),
        Scorer::Als(solver) => solver.factors.values.len(),
        Scorer::Popularity { items } => *items,
    };
    let details = serde_json::json!({
        "algorithm": model.scorer.name(), "customers": model.customers.len(), "items": model.items.len(),
        "pairs": model.histories.columns.len(),
    });
    ModelInfo {
        kind: KIND.to_owned(),
        signature: signature(keys),
        parameters: parameters as u64,
        bytes: model.bytes(),
        details: details.to_string(),
    }
}

fn signature(keys: &[Field]) -> Signature {
    Signature {
        reads: Reads::Keys(keys.to_vec()),
        answers: [Table::Recommendations, Table::SimilarItems, Table::RankingQuality, Table::ItemSet]
            .map(Answer::Table)
            .to_vec(),
        labels: Vec::new(),
    }
}

/// The files of a model.
///
/// # Errors
/// [`Internal`](ecommerce_ml_protocol::ErrorKind::Internal) if they can't be written.
pub fn write(keys: &[Field], settings: &Settings, model: &Recommender) -> Result<ModelFiles, EngineError> {
    let file = ModelFile::new(settings, model);
    let file = serde_json::to_vec_pretty(&file).map_err(|error| unwritable(error.to_string()))?;
    let tensors =
        safetensors::serialize(tensors(model), None).map_err(|error| unwritable(error.to_string()))?;
    Ok(ModelFiles::from_parts(vec![
        (SIGNATURE.to_owned(), write_signature(KIND, signature(keys))?),
        (MODEL.to_owned(), file),
        (TENSORS.to_owned(), tensors),
    ]))
}

/// Bytes of a tensor.
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn tensors(model: &Recommender) -> Vec<(String, Tensor)> {
    let mut tensors = Vec::new();
    names("customers", &model.customers, &mut tensors);
    names("items", &model.items, &mut tensors);
    matrix("histories", &model.histories, &mut tensors);
    tensors.push(("popularity".to_owned(), floats(&model.popularity, vec![model.popularity.len()])));
    match &model.scorer {
        Scorer::Ease(weights) => matrix("weights", weights, &mut tensors),
        Scorer::Als(Solver { factors, .. }) => {
            let shape = vec![factors.values.len() / factors.width.max(1), factors.width];
            tensors.push(("factors".to_owned(), floats(&factors.values, shape)));
        }
        Scorer::Popularity { .. } => {}
    }
    tensors
}

fn names(name: &str, values: &[String], tensors: &mut Vec<(String, Tensor)>) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.bytes()).collect();
    let mut ends = vec![0_u64];
    ends.extend(values.iter().scan(0, |end, value| {
        *end += value.len() as u64;
        Some(*end)
    }));
    tensors.push((format!("{name}.bytes"), Tensor { dtype: Dtype::U8, shape: vec![bytes.len()], bytes }));
    tensors.push((format!("{name}.offsets"), integers(&ends)));
}

fn matrix(name: &str, matrix: &SparseMatrix, tensors: &mut Vec<(String, Tensor)>) {
    tensors.push((format!("{name}.offsets"), integers(&matrix.offsets)));
    let bytes = matrix.columns.iter().flat_map(|column| column.to_le_bytes()).collect();
    let columns = Tensor { dtype: Dtype::U32, shape: vec![matrix.columns.len()], bytes };
    tensors.push((format!("{name}.columns"), columns));
    tensors.push((format!("{name}.values"), floats(&matrix.values, vec![matrix.values.len()])));
}

fn integers(values: &[u64]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor { dtype: Dtype::U64, shape: vec![values.len()], bytes }
}

fn floats(values: &[f32], shape: Vec<usize>) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor { dtype: Dtype::F32, shape, bytes }
}

/// The model of these files, and its keys: customer and item.
///
/// # Errors
/// [`FileMissing`](ecommerce_ml_protocol::ErrorKind::FileMissing) and `DamagedModel`, with what is wrong; `UnsupportedModel` for one of a
/// later version.
pub fn read(files: &ModelFiles) -> Result<(Vec<Field>, Recommender), EngineError> {
    parsed(files).map(|(keys, _, model)| (keys, model))
}

/// The live version, to be compared with a new one: its keys and what it is. `seed`: of what is made by its settings.
///
/// # Errors
/// As [`read`].
pub fn read_incumbent(files: &ModelFiles, seed: u64) -> Result<(Vec<Field>, Incumbent), EngineError> {
    let (keys, file, model) = parsed(files)?;
    let settings = file.settings(&model.scorer, seed);
    Ok((keys, Incumbent { model, settings }))
}

fn parsed(files: &ModelFiles) -> Result<(Vec<Field>, ModelFile, Recommender), EngineError> {
    let signature = read_signature(files, KIND)?;
    let file: ModelFile = parse(MODEL, files.require(MODEL)?)?;
    if file.format != FORMAT {
        return Err(unsupported(file.format, FORMAT));
    }
    let Reads::Keys(keys) = signature.reads else {
        return Err(damaged(SIGNATURE, "it does not read keys"));
    };
    let bytes = files.require(TENSORS)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(TENSORS, &error.to_string()))?;
    let model = Reader(&tensors).model(&file).map_err(|what| damaged(TENSORS, &what))?;
    Ok((keys, file, model))
}

struct Reader<'a>(&'a SafeTensors<'a>);

impl Reader<'_> {
    fn model(&self, file: &ModelFile) -> Result<Recommender, String> {
        let (customers, items) = (self.names("customers")?, self.names("items")?);
        let histories = self.matrix("histories", items.len())?;
        let popularity = self.floats("popularity")?;
        let scorer = match file.algorithm.as_str() {
            "ease" => Scorer::Ease(self.matrix("weights", items.len())?),
            "als" => Scorer::Als(self.solver(file)?),
            "popularity" => Scorer::Popularity { items: items.len() },
            other => return Err(format!("there is no algorithm \"{other}\"")),
        };
        let rows = match &scorer {
            Scorer::Ease(weights) => weights.rows(),
            other => other.items(),
        };
        let fits =
            histories.rows() == customers.len() && popularity.len() == items.len() && rows == items.len();
        if !fits || !popularity.iter().all(|share| share.is_finite()) {
            return Err("its parts do not fit together".to_owned());
        }
        Ok(Recommender { customers, items, histories, popularity, scorer })
    }

    fn solver(&self, file: &ModelFile) -> Result<Solver, String> {
        let values = self.floats("factors")?;
        let shape = self.0.tensor("factors").map(|tensor| tensor.shape().to_vec()).unwrap_or_default();
        let (&[_, width @ 1..=1024], Some(alpha)) = (&shape[..], file.alpha) else {
            return Err("factors are not complete".to_owned());
        };
        let mut numbers = values.iter().copied().map(f64::from).chain([file.regularization, alpha]);
        if !numbers.all(f64::is_finite) || file.regularization <= 0.0 || alpha < 0.0 {
            return Err("factors cannot be computed with".to_owned());
        }
        Ok(Solver::new(Factors { width, values }, file.regularization, alpha))
    }

    fn bytes<const N: usize>(
        &self,
        name: &str,
        dtype: Dtype,
    ) -> Result<impl Iterator<Item = [u8; N]>, String> {
        let tensor = self.0.tensor(name).map_err(|error| error.to_string())?;
        if tensor.dtype() != dtype {
            return Err(format!("tensor \"{name}\" is not of type {dtype:?}"));
        }
        Ok(tensor.data().as_chunks::<N>().0.to_vec().into_iter())
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, String> {
        Ok(self.bytes(name, Dtype::F32)?.map(f32::from_le_bytes).collect())
    }

    fn integers(&self, name: &str) -> Result<Vec<u64>, String> {
        Ok(self.bytes(name, Dtype::U64)?.map(u64::from_le_bytes).collect())
    }

    fn matrix(&self, name: &str, width: usize) -> Result<SparseMatrix, String> {
        let matrix = SparseMatrix {
            width,
            offsets: self.integers(&format!("{name}.offsets"))?,
            columns: self.bytes(&format!("{name}.columns"), Dtype::U32)?.map(u32::from_le_bytes).collect(),
            values: self.floats(&format!("{name}.values"))?,
        };
        if matrix.check() { Ok(matrix) } else { Err(format!("matrix \"{name}\" is none")) }
    }

    fn names(&self, name: &str) -> Result<Vec<String>, String> {
        let bytes: Vec<u8> =
            self.bytes::<1>(&format!("{name}.bytes"), Dtype::U8)?.map(|[byte]| byte).collect();
        let offsets = self.integers(&format!("{name}.offsets"))?;
        let text = |pair: &[u64]| {
            let range = usize::try_from(pair[0]).ok()?..usize::try_from(pair[1]).ok()?;
            String::from_utf8(bytes.get(range)?.to_vec()).ok()
        };
        let names: Option<Vec<String>> = offsets.windows(2).map(text).collect();
        match names {
            Some(names) if names.windows(2).all(|pair| pair[0] < pair[1]) => Ok(names),
            _ => Err(format!("names of {name} are not in order")),
        }
    }
}

#[cfg(test)]
mod tests {
    use ecommerce_ml_protocol::{ErrorKind, ValueType};

    use super::*;
    use crate::interactions::{Event, Interactions};
    use crate::training::{Options, Wanted, train};

    fn keys() -> Vec<Field> {
        let field = |name: &str| Field { name: name.to_owned(), value_type: ValueType::Text };
        vec![field("customer"), field("product")]
    }

    fn written(algorithm: Wanted) -> (Settings, Recommender, ModelFiles) {
        let names: Vec<String> = (0..30).map(|name| format!("né{name:02}")).collect();
        let event = |at: u32| Event { customer: at / 5, item: at * 7 % 30, weight: 1.0, time: 0 };
        let interactions = Interactions::new(&names, &names, (0..150).map(event).collect());
        let options = Options { algorithm, factors: Some(8), ..Options::default() };
        let trained = train(&interactions, &options, &mut || true).unwrap();
        let files = write(&keys(), &trained.settings, &trained.model).unwrap();
        (trained.settings, trained.model, files)
    }

    #[test]
    fn a_model_comes_back_as_it_was_written() {
        for algorithm in [Wanted::Ease, Wanted::Als] {
            let (settings, model, files) = written(algorithm);
            assert!(recognises(&files));
            assert_eq!(read(&files).unwrap(), (keys(), model.clone()));
            let (_, incumbent) = read_incumbent(&files, 42).unwrap();
            assert_eq!(incumbent, Incumbent { model, settings: Some(settings) });
        }
    }

    #[test]
    fn damage_is_told() {
        let (.., files) = written(Wanted::Ease);
        for name in [SIGNATURE, MODEL, TENSORS] {
            let mut damaged = files.clone();
            let bytes = damaged.get_mut(name).unwrap();
            bytes.truncate(bytes.len() / 2);
            assert_eq!(read(&damaged).unwrap_err().kind, ErrorKind::DamagedModel, "{name}");
        }
        let mut later = files.clone();
        let text = String::from_utf8(files.get(MODEL).unwrap().to_vec()).unwrap();
        *later.get_mut(MODEL).unwrap() = text.replace("\"format\": 1", "\"format\": 2").into_bytes();
        assert_eq!(read(&later).unwrap_err().kind, ErrorKind::UnsupportedModel);
        *later.get_mut(MODEL).unwrap() = text.replace("\"ease\"", "\"als\"").into_bytes();
        assert_eq!(read(&later).unwrap_err().kind, ErrorKind::DamagedModel);
    }
}
