//! What the head of a sequence classification model is: whether there is one, and what its outputs are called.
//!
//! It must not know how it is computed.
//! Invariant: a classification has as many outputs as labels, no two of them the same; a regression has one.

use std::collections::BTreeSet;

use ecommerce_ml_protocol::{EngineError, ErrorKind, is_blank};
use serde::{Deserialize, Serialize};

use crate::config::{HeadPresence, MAX_LABELS, ModelConfig, Problem, default_labels};
use crate::weights::Weights;
use crate::weights::family::Names;

/// Characters of a label that an error shows.
const SHOWN: usize = 60;

/// A head's purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadPlan {
    /// Names of the outputs of a classification; `None` for a regression.
    pub labels: Option<Vec<String>>,
}

impl HeadPlan {
    /// The plan of the head, if the model has one.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedModel`] for heads that this engine can't compute.
    pub fn read(
        weights: &Weights<'_>,
        names: &Names,
        config: &ModelConfig,
    ) -> Result<Option<Self>, EngineError> {
        let output_weight = format!("{}.weight", names.head().output);
        let present = match config.head.presence {
            HeadPresence::Required => true,
            HeadPresence::Optional => weights.contains(&output_weight),
            HeadPresence::Ignored => false,
        };
        if !present {
            return Ok(None);
        }
        let rows = weights.shape(&output_weight).and_then(|shape| shape.first().copied());
        // The file's shape isn't checked yet and may announce any number.
        let labels = labels(config, rows.unwrap_or_default().min(MAX_LABELS))?;
        Ok(Some(Self { labels }))
    }

    /// How many outputs.
    pub fn outputs(&self) -> usize {
        self.labels.as_ref().map_or(1, Vec::len)
    }
}

/// The labels of a classification, `None` for a regression, of a head with `rows` outputs.
fn labels(config: &ModelConfig, rows: usize) -> Result<Option<Vec<String>>, EngineError> {
    let labels = config.head.labels.clone().unwrap_or_else(|| default_labels(rows));
    match config.head.problem {
        Problem::SingleLabel if labels.len() > 1 => refuse_doubtful(&labels).map(|()| Some(labels)),
        Problem::SingleLabel => Ok(None),
        Problem::Regression if labels.len() <= 1 => Ok(None),
        Problem::Regression => Err(EngineError::new(
            ErrorKind::UnsupportedModel,
            format!("a regression with {} outputs is not supported", labels.len()),
        )),
        Problem::MultiLabel => {
            Err(EngineError::new(ErrorKind::UnsupportedModel, "multi-label classification is not supported"))
        }
    }
}

/// Refuses labels that an answer couldn't name: probabilities are kept by label.
fn refuse_doubtful(labels: &[String]) -> Result<(), EngineError> {
    let mut known = BTreeSet::new();
    let refused = |message: String| {
        EngineError::new(ErrorKind::InvalidRequest, message).with_hint(
            "Import the model with option \"labels\": a name for each class, in the order of their numbers.",
        )
    };
    for (id, label) in labels.iter().enumerate() {
        if is_blank(label) {
            return Err(refused(format!("config.json gives class {id} a blank label")));
        }
        if !known.insert(label) {
            let shown: String = label.chars().take(SHOWN).collect();
            return Err(refused(format!("config.json has label \"{shown}\" more than once")));
        }
    }
    Ok(())
}
