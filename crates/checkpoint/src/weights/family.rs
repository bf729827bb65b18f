//! How BERT, DistilBERT and RoBERTa name their weights; the networks under the names are alike.
//!
//! It must not know tensors. Invariant: every name of a weight that is asked for is built here.

use super::Weights;
use crate::config::Family;

/// Names of the modules of one transformer layer, below the name of the layer.
pub struct LayerNames {
    /// Queries of attention.
    pub query: &'static str,
    /// Its keys.
    pub key: &'static str,
    /// Its values.
    pub value: &'static str,
    /// The dense layer behind attention.
    pub attention_output: &'static str,
    /// The layer norm behind that.
    pub attention_norm: &'static str,
    /// First dense layer of the feed-forward part.
    pub intermediate: &'static str,
    /// Its second one.
    pub output: &'static str,
    /// The layer norm behind it.
    pub output_norm: &'static str,
}

/// Names of the two dense layers of a head.
pub struct HeadNames {
    /// Dense layer in front of the nonlinearity.
    pub hidden: String,
    /// Dense layer with the outputs.
    pub output: &'static str,
}

/// `BertLayer` and `RobertaLayer`.
const BERT_LAYER: LayerNames = LayerNames {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: "intermediate.dense",
    output: "output.dense",
    output_norm: "output.LayerNorm",
};

/// DistilBERT's `TransformerBlock`.
const DISTILBERT_LAYER: LayerNames = LayerNames {
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    intermediate: "ffn.lin1",
    output: "ffn.lin2",
    output_norm: "output_layer_norm",
};

/// Builds the names of a model's weights.
#[derive(Debug)]
pub struct Names {
    family: Family,
    /// Before the names of the encoder: a model with a head puts it into a field of its own, a bare one doesn't.
    prefix: &'static str,
}

impl Names {
    /// Looks which of the two ways of naming the weights follow.
    pub fn detect(family: Family, weights: &Weights<'_>) -> Self {
        let named = Self { family, prefix: prefix(family) };
        let bare = Self { family, prefix: "" };
        let is_bare = weights.contains(&format!("{}.weight", bare.embeddings("word_embeddings")));
        if is_bare { bare } else { named }
    }

    /// The name of a weight in a model with a head, which may have another in a bare one.
    pub fn with_head(&self, name: &str) -> String {
        let is_of_head = name.starts_with("classifier.") || name.starts_with("pre_classifier.");
        if is_of_head || !self.prefix.is_empty() {
            return name.to_owned();
        }
        format!("{}{name}", prefix(self.family))
    }

    /// A module of the embeddings.
    pub fn embeddings(&self, module: &str) -> String {
        format!("{}embeddings.{module}", self.prefix)
    }

    /// A transformer layer; its modules come after a dot.
    pub fn layer(&self, index: usize) -> String {
        let layers = if self.family == Family::DistilBert { "transformer" } else { "encoder" };
        format!("{}{layers}.layer.{index}", self.prefix)
    }

    /// The modules of a layer.
    pub fn in_layer(&self) -> &'static LayerNames {
        if self.family == Family::DistilBert { &DISTILBERT_LAYER } else { &BERT_LAYER }
    }

    /// The modules of the head.
    pub fn head(&self) -> HeadNames {
        match self.family {
            Family::Bert => {
                HeadNames { hidden: format!("{}pooler.dense", self.prefix), output: "classifier" }
            }
            Family::DistilBert => HeadNames { hidden: "pre_classifier".to_owned(), output: "classifier" },
            Family::Roberta => {
                HeadNames { hidden: "classifier.dense".to_owned(), output: "classifier.out_proj" }
            }
        }
    }
}

/// The field of a model with a head that its encoder is in.
fn prefix(family: Family) -> &'static str {
    match family {
        Family::Bert => "bert.",
        Family::DistilBert => "distilbert.",
        Family::Roberta => "roberta.",
    }
}
