//! What is kept of the rows held out, for later ones to be compared with.
//!
//! It must not know how rows are compared. Invariant: only rows that the model has not learned from are counted: of others it is
//! surer, and right more often, than of any that are to come.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_drift::{Sample, energy, pieces};
use ecommerce_ml_predictor::Evaluate;
use ecommerce_ml_protocol::{Answers, EngineError, Input, Output, Prediction};

use crate::targets::{Actual, Targets};

/// The rows held out, which are `input`, and what the model says of them.
///
/// # Errors
/// If the model fails.
pub fn sample(
    targets: &Targets,
    rows: &[usize],
    (input, answers): (&Input, &Answers),
    (models, files): (&dyn Evaluate, &ModelFiles),
) -> Result<Sample, EngineError> {
    let mut sample = Sample::new(matches!(input, Input::Texts(_)));
    for (place, &row) in rows.iter().enumerate() {
        let prediction = answers.prediction(place);
        sample.add_prediction(prediction);
        match (targets.actual(row), prediction) {
            (Actual::Number(actual), Some(Prediction::Number(value))) => sample.add_error(value - actual),
            (actual, Some(Prediction::Class { probabilities, .. })) => {
                sample.add_answer(class(actual) == ecommerce_ml_drift::sample::likeliest(probabilities));
            }
            _ => {}
        }
    }
    match input {
        Input::Rows(rows) => sample.add_columns(rows),
        Input::Texts(texts) => describe(&mut sample, texts, (models, files))?,
    }
    Ok(sample)
}

fn class(actual: Actual) -> Option<usize> {
    match actual {
        Actual::Class(class) => Some(class),
        // As they are counted for metrics.
        Actual::Stars(stars) => (1..=5).position(|one| f64::from(one) == stars.round()),
        Actual::Number(_) => None,
    }
}

/// Adds embeddings and pieces of some of the texts.
fn describe(
    sample: &mut Sample,
    texts: &[String],
    (models, files): (&dyn Evaluate, &ModelFiles),
) -> Result<(), EngineError> {
    let some = texts.iter().enumerate().filter(|(place, _)| energy::is_chosen(*place, texts.len()));
    let some: Vec<String> = some.map(|(_, text)| text.clone()).collect();
    for answers in models.describe(files, &some, &[Output::Embedding, Output::TokenPieces])? {
        match answers {
            Answers::Vectors(rows) => rows.iter().flatten().for_each(|row| sample.add_embedding(row)),
            Answers::TokenPieces(rows) => rows.iter().for_each(|row| {
                let (unknown, all) = pieces::count(row);
                sample.add_pieces(unknown, all);
            }),
            _ => {}
        }
    }
    Ok(())
}
