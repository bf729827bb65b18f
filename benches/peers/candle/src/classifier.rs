//! `BertModel` of candle-transformers as it comes, with the pooler and the classifier that it lacks.

use std::fs;
use std::path::Path;

use candle_core::{D, DType, Device, IndexOp, Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear, ops};
use candle_transformers::models::bert::{BertModel, Config};

/// A classification model of BERT's shape.
pub struct Classifier {
    bert: BertModel,
    pooler: Linear,
    classifier: Linear,
}

impl Classifier {
    /// Reads a model of so many classes in f32 from a folder in Hugging Face layout.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn load(folder: &Path) -> Result<Self> {
        let config = fs::read_to_string(folder.join("config.json"))?;
        let classes = classes(&config)?;
        let config: Config = serde_json::from_str(&config).map_err(candle_core::Error::wrap)?;
        let weights = fs::read(folder.join("model.safetensors"))?;
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        let width = config.hidden_size;
        Ok(Self {
            bert: BertModel::load(weights.pp("bert"), &config)?,
            pooler: linear(width, width, weights.pp("bert.pooler.dense"))?,
            classifier: linear(width, classes, weights.pp("classifier"))?,
        })
    }

    /// Probabilities of each row of token ids, which are padded to the longest.
    ///
    /// # Errors
    /// Those of candle.
    pub fn run(&self, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let width = rows.iter().map(|row| row.len()).max().unwrap_or_default();
        let padded = |row: &&[u32]| [row, &vec![0; width - row.len()][..]].concat();
        let mask = |row: &&[u32]| [vec![1_u32; row.len()], vec![0; width - row.len()]].concat();
        let ids: Vec<u32> = rows.iter().flat_map(padded).collect();
        let mask: Vec<u32> = rows.iter().flat_map(mask).collect();
        let ids = Tensor::from_vec(ids, (rows.len(), width), &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, (rows.len(), width), &Device::Cpu)?;
        let hidden = self.bert.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let pooled = self.pooler.forward(&hidden.i((.., 0))?.contiguous()?)?.tanh()?;
        ops::softmax(&self.classifier.forward(&pooled)?, D::Minus1)?.to_vec2()
    }
}

/// How many classes a `config.json` names.
fn classes(config: &str) -> Result<usize> {
    let config: serde_json::Value = serde_json::from_str(config).map_err(candle_core::Error::wrap)?;
    let labels = config["id2label"].as_object();
    Ok(labels.ok_or_else(|| candle_core::Error::msg("config.json has no id2label"))?.len())
}
