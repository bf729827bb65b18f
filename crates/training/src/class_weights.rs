//! How much each class counts in the loss.
//!
//! It must not know logits or the loss. Invariant: weights are finite and not negative, and not all of them are 0.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{EngineError, ErrorKind};

/// What the user wants of the classes.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ClassWeights {
    /// All count the same.
    #[default]
    Equal,
    /// Rare classes count more, so that all count the same in sum.
    Balanced,
    /// By label; classes that aren't named count 1.
    Given(BTreeMap<String, f64>),
}

impl ClassWeights {
    /// The weight of each class, in the order of `labels`; `None` if all count the same. `counts` are the rows of each
    /// class in the training.
    ///
    /// Balanced weights are rows / (classes * rows of the class), as `compute_class_weight` of scikit-learn has it; a
    /// class without rows counts 1.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if a label is none of the classes, or if all weights are 0.
    pub fn resolve(&self, labels: &[String], counts: &[usize]) -> Result<Option<Vec<f32>>, EngineError> {
        match self {
            Self::Equal => Ok(None),
            Self::Balanced => Ok(Some(balanced(counts))),
            Self::Given(weights) => given(weights, labels).map(Some),
        }
    }
}

fn balanced(counts: &[usize]) -> Vec<f32> {
    let rows: usize = counts.iter().sum();
    let weight = |&count: &usize| match count {
        0 => 1.0,
        count => (rows as f64 / (counts.len() as f64 * count as f64)) as f32,
    };
    counts.iter().map(weight).collect()
}

fn given(weights: &BTreeMap<String, f64>, labels: &[String]) -> Result<Vec<f32>, EngineError> {
    if let Some(unknown) = weights.keys().find(|label| !labels.contains(label)) {
        let message = format!("training option \"class_weights\" names \"{unknown}\", which is not a label");
        let detail = format!("Labels are {}.", quoted(labels));
        return Err(EngineError::new(ErrorKind::InvalidRequest, message).with_detail(detail));
    }
    let weights: Vec<f32> =
        labels.iter().map(|label| weights.get(label).map_or(1.0, |&weight| weight as f32)).collect();
    if weights.iter().all(|&weight| weight == 0.0) {
        let message = "training option \"class_weights\" gives every label the weight 0";
        return Err(EngineError::new(ErrorKind::InvalidRequest, message));
    }
    Ok(weights)
}

fn quoted(labels: &[String]) -> String {
    labels.iter().map(|label| format!("\"{label}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<String> {
        ["bad", "good"].map(str::to_owned).to_vec()
    }

    #[test]
    fn labels_that_are_not_named_count_1() {
        let weights = ClassWeights::Given(BTreeMap::from([("bad".to_owned(), 2.5)]));
        assert_eq!(weights.resolve(&labels(), &[1, 1]).unwrap(), Some(vec![2.5, 1.0]));
        assert_eq!(ClassWeights::Equal.resolve(&labels(), &[1, 1]).unwrap(), None);
    }

    #[test]
    fn unknown_labels_are_refused() {
        let weights = ClassWeights::Given(BTreeMap::from([("ugly".to_owned(), 2.5)]));
        let error = weights.resolve(&labels(), &[1, 1]).unwrap_err();
        assert_eq!(error.message, "training option \"class_weights\" names \"ugly\", which is not a label");
        assert_eq!(error.detail.as_deref(), Some("Labels are \"bad\", \"good\"."));
    }

    #[test]
    fn weights_of_0_for_all_are_refused() {
        let weights = ClassWeights::Given(labels().into_iter().map(|label| (label, 0.0)).collect());
        assert!(weights.resolve(&labels(), &[1, 1]).is_err());
    }

    #[test]
    fn classes_without_rows_do_no_harm() {
        let weights = ClassWeights::Balanced.resolve(&labels(), &[0, 4]).unwrap();
        assert_eq!(weights, Some(vec![1.0, 0.5]));
    }
}
