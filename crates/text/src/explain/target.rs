//! Which number of a model is explained.
//!
//! It must not know how. Invariant: it is one that SQL shows: the value of `predict_rating`, `predict_sentiment_score` or
//! `predict_value`, or a probability of `predict_probabilities`.

use ecommerce_ml_protocol::{EngineError, ErrorKind, LabelScheme};
use ecommerce_ml_text_train::attribution::Explained;

/// Refuses a class that the model doesn't have.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`].
pub fn check(labels: Option<&[String]>, class: Option<u32>) -> Result<(), EngineError> {
    match (labels, class) {
        (_, None) => Ok(()),
        (Some(labels), Some(class)) if (class as usize) < labels.len() => Ok(()),
        (Some(labels), Some(class)) => {
            let message = format!("class {class} is not one of the {} that the model has", labels.len());
            Err(EngineError::new(ErrorKind::InvalidRequest, message))
        }
        (None, Some(_)) => {
            Err(EngineError::new(ErrorKind::InvalidRequest, "the model has no classes: it is a regression"))
        }
    }
}

/// The number: the probability of a class that was asked for; else stars or a score, where labels mean such; else the probability
/// of the class that is the likeliest by these, `[labels]`.
pub fn of(labels: Option<&[String]>, class: Option<u32>, probabilities: &[f64]) -> Explained {
    let Some(labels) = labels else { return Explained::Value };
    let one = |class: usize| {
        let mut weights = vec![0.0; labels.len()];
        weights.iter_mut().skip(class).take(1).for_each(|weight| *weight = 1.0);
        weights
    };
    if let Some(class) = class {
        return Explained::Weighted(one(class as usize));
    }
    // The readings are linear in probabilities: those of certainty are their weights.
    let scheme = LabelScheme::of(labels);
    let reading = |class: usize| {
        let certain: Vec<f32> = one(class).into_iter().map(|weight| weight as f32).collect();
        let reading = scheme.read(&certain);
        reading.rating.or(reading.score).map(f64::from)
    };
    let weights: Option<Vec<f64>> = (0..labels.len()).map(reading).collect();
    let likeliest = probabilities.iter().enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other));
    Explained::Weighted(weights.unwrap_or_else(|| one(likeliest.map_or(0, |(class, _)| class))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_labels_mean_is_explained_first() {
        let stars = labels(&["5 stars", "4 stars", "3 stars", "2 stars", "1 star"]);
        let weights = |names: &[String], class| of(Some(names), class, &[0.2, 0.5, 0.3]);
        assert_eq!(weights(&stars, None), Explained::Weighted(vec![5.0, 4.0, 3.0, 2.0, 1.0]));
        assert_eq!(weights(&stars, Some(1)), Explained::Weighted(vec![0.0, 1.0, 0.0, 0.0, 0.0]));
        let sentiments = labels(&["positive", "negative", "neutral"]);
        assert_eq!(weights(&sentiments, None), Explained::Weighted(vec![1.0, -1.0, 0.0]));
        let others = labels(&["delivery", "quality", "price"]);
        assert_eq!(weights(&others, None), Explained::Weighted(vec![0.0, 1.0, 0.0]));
        assert_eq!(of(None, None, &[]), Explained::Value);
    }

    #[test]
    fn classes_that_are_not_there_are_refused() {
        let names = labels(&["a", "b"]);
        assert!(check(Some(&names), Some(1)).is_ok() && check(None, None).is_ok());
        assert!(check(Some(&names), Some(2)).is_err() && check(None, Some(0)).is_err());
    }
}
