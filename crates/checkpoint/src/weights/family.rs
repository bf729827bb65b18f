//! How architectures name their weights. The networks of BERT, DistilBERT and RoBERTa are alike under the names; of the others
//! only names that more than one place asks for are here.
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

/// The layer norm between the two dense layers of ModernBERT's head.
pub const HEAD_NORM: &str = "head.norm";

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
#[derive(Debug, Clone)]
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
        if weights.contains(&bare.words()) { bare } else { named }
    }

    /// Before the names of the encoder's weights; empty in a bare model.
    pub fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// The embeddings of words.
    pub fn words(&self) -> String {
        let module = if self.family == Family::ModernBert { "tok_embeddings" } else { "word_embeddings" };
        format!("{}.weight", self.embeddings(module))
    }

    /// The name of a weight in a model with a head, which may have another in a bare one.
    pub fn with_head(&self, name: &str) -> String {
        if !self.prefix.is_empty() || self.is_of_head(name) {
            return name.to_owned();
        }
        format!("{}{name}", prefix(self.family))
    }

    /// Whether a weight is of a head outside the encoder, as BERT's pooler is not.
    fn is_of_head(&self, name: &str) -> bool {
        let is_in = |module: &str| name.starts_with(module);
        match self.family {
            Family::Bert | Family::DistilBert | Family::Roberta | Family::Electra => {
                is_in("classifier.") || is_in("pre_classifier.")
            }
            Family::DebertaV2 => is_in("classifier.") || is_in("pooler."),
            Family::ModernBert => is_in("classifier.") || is_in("head."),
        }
    }

    /// Whether a weight is of the encoder.
    pub fn is_of_encoder(&self, name: &str) -> bool {
        name.starts_with(self.prefix) && !self.is_of_head(name)
    }

    /// A module of the embeddings.
    pub fn embeddings(&self, module: &str) -> String {
        format!("{}embeddings.{module}", self.prefix)
    }

    /// ELECTRA's dense layer behind the embeddings.
    pub fn embeddings_project(&self) -> String {
        format!("{}embeddings_project", self.prefix)
    }

    /// A transformer layer; its modules come after a dot.
    pub fn layer(&self, index: usize) -> String {
        let layers = match self.family {
            Family::DistilBert => "transformer.layer",
            Family::ModernBert => "layers",
            Family::Bert | Family::Roberta | Family::DebertaV2 | Family::Electra => "encoder.layer",
        };
        format!("{}{layers}.{index}", self.prefix)
    }

    /// The modules of a layer of a family that is shaped like BERT, or of ELECTRA.
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
            Family::Roberta | Family::Electra => {
                HeadNames { hidden: "classifier.dense".to_owned(), output: "classifier.out_proj" }
            }
            Family::DebertaV2 => HeadNames { hidden: "pooler.dense".to_owned(), output: "classifier" },
            Family::ModernBert => HeadNames { hidden: "head.dense".to_owned(), output: "classifier" },
        }
    }
}

/// The field of a model with a head that its encoder is in.
fn prefix(family: Family) -> &'static str {
    match family {
        Family::Bert => "bert.",
        Family::DistilBert => "distilbert.",
        Family::Roberta => "roberta.",
        Family::DebertaV2 => "deberta.",
        Family::ModernBert => "model.",
        Family::Electra => "electra.",
    }
}
