//! The new model as files in Hugging Face layout, readable by this engine and by `transformers`.
//!
//! Weights have the names that a sequence classification model of their family has. An encoder that can't be trained is
//! written as it was. The other numbers are of the base's type,
//! but for bfloat16 where that would lose what was learned, and for the head's last layer, which is small and decides how
//! exact the numbers of a regression are: those are in single precision.
//! It must not know how it was trained. Invariant: what is written has only finite numbers.

use std::collections::{BTreeMap, HashMap};

use ecommerce_ml_checkpoint::config::parse_json;
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::open::OpenModel;
use ecommerce_ml_checkpoint::scripts::KnownScripts;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_training::Targets;
use ecommerce_ml_training::temperature::Temperature;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Map, Value, json};

use crate::nn::{Network, Parameters};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
/// The key of `config.json` that `transformers` doesn't know.
const OWN_SECTION: &str = "ecommerce_ml";

/// What the base's files say of the new ones.
#[derive(Debug)]
pub(super) struct FileLayout {
    config: Map<String, Value>,
    /// The scripts that the new model reads, if they are known.
    scripts: Option<Vec<&'static str>>,
    names: Names,
    types: BTreeMap<String, Dtype>,
    /// The tokenizer's.
    others: Vec<(String, Vec<u8>)>,
    /// The base, whose encoder isn't among the parameters.
    base: Option<ModelFiles>,
}

impl FileLayout {
    /// That of a base with these parameters, of a new model that reads these scripts.
    ///
    /// # Errors
    /// If its `config.json` is damaged.
    pub(super) fn of(
        base: &OpenModel<'_>,
        parameters: &Parameters,
        scripts: &KnownScripts,
    ) -> Result<Self, EngineError> {
        let OpenModel { files, names, weights, .. } = base;
        let of = |name: &String| Some((name.clone(), weights.dtype(name)?));
        let types = parameters.list.iter().filter_map(|parameter| of(&parameter.name)).collect();
        let is_other = |name: &str| name != CONFIG && !name.contains(".safetensors");
        let others = files.iter().filter(|(name, _)| is_other(name));
        Ok(Self {
            config: parse_json(CONFIG, files.require(CONFIG)?)?,
            scripts: scripts.names(),
            names: names.clone(),
            types,
            others: others.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect(),
            base: None,
        })
    }

    /// The same with the encoder of a base, which isn't among the parameters.
    pub(super) fn around(self, base: ModelFiles) -> Self {
        Self { base: Some(base), ..self }
    }

    /// The files of the new model.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if weights aren't finite; [`ErrorKind::Internal`] if they can't be written.
    pub(super) fn files(
        self,
        network: &Network,
        parameters: &Parameters,
        targets: &Targets,
    ) -> Result<ModelFiles, EngineError> {
        let weights = self.weights(network, parameters)?;
        let config = config(self.config, targets, self.scripts)?;
        let mut files = self.others;
        files.extend([(CONFIG.to_owned(), config), (WEIGHTS.to_owned(), weights)]);
        Ok(ModelFiles::from_parts(files))
    }

    /// Names that the tensors of the head's last layer have in the files.
    pub(super) fn output_names(&self, network: &Network, parameters: &Parameters) -> Vec<String> {
        let output = parameters.list.iter().filter(|parameter| network.is_output(parameter));
        output.map(|parameter| self.names.with_head(&parameter.name)).collect()
    }

    fn weights(&self, network: &Network, parameters: &Parameters) -> Result<Vec<u8>, EngineError> {
        let unwritable = |error: safetensors::SafeTensorError| {
            EngineError::new(ErrorKind::Internal, format!("could not write the new model: {error}"))
        };
        let of_model = parameters.list.iter().filter(|parameter| !parameter.name.contains(".lora_"));
        let tensors: Vec<(String, Vec<usize>, TensorData<'_>)> = of_model
            .map(|parameter| {
                let values = &parameters.values[parameter.range.clone()];
                if !values.iter().all(|value| value.is_finite()) {
                    return Err(not_finite(&parameter.name));
                }
                let kept = self.types.get(&parameter.name).copied().filter(|_| !network.is_output(parameter));
                let numbers = TensorData::of(values, kept.unwrap_or(Dtype::F32));
                Ok((self.names.with_head(&parameter.name), parameter.shape.clone(), numbers))
            })
            .collect::<Result<_, _>>()?;
        let own = tensors.iter().map(|(name, shape, numbers)| {
            Ok((name.clone(), TensorView::new(numbers.dtype(), shape.clone(), numbers.bytes())?))
        });
        let encoder = self.base.as_ref().map(Weights::open).transpose()?;
        let encoder =
            encoder.iter().flat_map(Weights::iter).filter(|(name, _)| self.names.is_of_encoder(name));
        let encoder = encoder.map(|(name, tensor)| Ok((self.names.with_head(name), tensor)));
        let views: Vec<(String, TensorView<'_>)> =
            encoder.chain(own).collect::<Result<_, _>>().map_err(unwritable)?;
        // `transformers` refuses files that don't say so.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize(views, Some(metadata)).map_err(unwritable)
    }
}

/// Numbers of a tensor, in the type that they are written in.
enum TensorData<'a> {
    F32(&'a [f32]),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl<'a> TensorData<'a> {
    fn of(values: &'a [f32], kept: Dtype) -> Self {
        match kept {
            Dtype::F16 => {
                let numbers: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
                let fits = numbers.iter().all(|number| number.is_finite());
                if fits { Self::F16(numbers) } else { Self::F32(values) }
            }
            Dtype::BF16 => {
                let numbers: Vec<bf16> = values.iter().copied().map(bf16::from_f32).collect();
                let same = numbers.iter().zip(values).all(|(number, value)| number.to_f32() == *value);
                if same { Self::Bf16(numbers) } else { Self::F32(values) }
            }
            _ => Self::F32(values),
        }
    }

    fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F16(_) => Dtype::F16,
            Self::Bf16(_) => Dtype::BF16,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::F32(numbers) => bytemuck::cast_slice(numbers),
            Self::F16(numbers) => bytemuck::cast_slice(numbers),
            Self::Bf16(numbers) => bytemuck::cast_slice(numbers),
        }
    }
}

/// Divides what the head's last layer, tensors of these names, says by a temperature: in the files, so that whoever reads them
/// reads calibrated logits. What was learned is noted in `config.json`, where `transformers` passes over it.
///
/// # Errors
/// [`ErrorKind::Internal`] if the files aren't those of a new model.
pub(super) fn apply_temperature(
    files: &mut ModelFiles,
    output: &[String],
    temperature: &Temperature,
) -> Result<(), EngineError> {
    let lost = |what: &str| EngineError::new(ErrorKind::Internal, format!("could not calibrate {what}"));
    let weights = files.get_mut(WEIGHTS).ok_or_else(|| lost(WEIGHTS))?;
    let (header, metadata) = SafeTensors::read_metadata(weights).map_err(|error| lost(&error.to_string()))?;
    for name in output {
        let tensor = metadata.info(name).filter(|tensor| tensor.dtype == Dtype::F32);
        let (start, end) = tensor.ok_or_else(|| lost(name))?.data_offsets;
        // The header is preceded by its length.
        let begin = header + size_of::<u64>();
        let numbers = weights.get_mut(begin + start..begin + end).ok_or_else(|| lost(name))?;
        for number in numbers.as_chunks_mut::<4>().0 {
            *number = ((f64::from(f32::from_le_bytes(*number)) / temperature.value) as f32).to_le_bytes();
        }
    }
    let config = files.get_mut(CONFIG).ok_or_else(|| lost(CONFIG))?;
    let mut object: Map<String, Value> = parse_json(CONFIG, config)?;
    let learned = json!({ "temperature": temperature.value, "rows": temperature.rows, "applied": true });
    let mut own = object.remove(OWN_SECTION).and_then(object_of).unwrap_or_default();
    own.insert("calibration".to_owned(), learned);
    object.insert(OWN_SECTION.to_owned(), Value::Object(own));
    *config = written(&object)?;
    Ok(())
}

fn object_of(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(object) = value { Some(object) } else { None }
}

fn written(config: &Map<String, Value>) -> Result<Vec<u8>, EngineError> {
    let internal =
        |error| EngineError::new(ErrorKind::Internal, format!("could not write config.json: {error}"));
    serde_json::to_vec_pretty(config).map_err(internal)
}

/// The base's `config.json`, with another head.
fn config(
    mut config: Map<String, Value>,
    targets: &Targets,
    scripts: Option<Vec<&'static str>>,
) -> Result<Vec<u8>, EngineError> {
    let architecture = match config.get("model_type").and_then(Value::as_str) {
        Some("distilbert") => "DistilBertForSequenceClassification",
        Some("roberta") => "RobertaForSequenceClassification",
        Some("xlm-roberta") => "XLMRobertaForSequenceClassification",
        Some("deberta-v2") => "DebertaV2ForSequenceClassification",
        Some("modernbert") => "ModernBertForSequenceClassification",
        Some("electra") => "ElectraForSequenceClassification",
        _ => "BertForSequenceClassification",
    };
    let (problem, labels) = match targets {
        Targets::Numbers(_) => ("regression", ecommerce_ml_checkpoint::config::default_labels(1)),
        Targets::Classes { .. } | Targets::Stars(_) => ("single_label_classification", targets.labels()),
    };
    let numbered = || labels.iter().enumerate();
    let by_id: Map<String, Value> = numbered().map(|(id, label)| (id.to_string(), json!(label))).collect();
    let by_label: Map<String, Value> = numbered().map(|(id, label)| (label.clone(), json!(id))).collect();
    // Not all weights are of the base's type now; read as this they lose nothing.
    let dtype = if config.contains_key("torch_dtype") { "torch_dtype" } else { "dtype" };
    for (key, value) in [
        ("architectures", json!([architecture])),
        ("id2label", Value::Object(by_id)),
        ("label2id", Value::Object(by_label)),
        ("num_labels", json!(labels.len())),
        ("problem_type", json!(problem)),
        (dtype, json!("float32")),
    ] {
        config.insert(key.to_owned(), value);
    }
    let mut own = config.remove(OWN_SECTION).and_then(object_of).unwrap_or_default();
    // It was the base's.
    own.remove("calibration");
    if let Some(scripts) = scripts {
        own.insert("scripts".to_owned(), json!(scripts));
    }
    if !own.is_empty() {
        config.insert(OWN_SECTION.to_owned(), Value::Object(own));
    }
    written(&config)
}

fn not_finite(name: &str) -> EngineError {
    EngineError::new(
        ErrorKind::InvalidRequest,
        format!("training has diverged: weights of \"{name}\" are not finite"),
    )
    .with_hint("Try a lower \"learning_rate\".")
}
