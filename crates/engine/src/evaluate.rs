//! What models say of the inputs that a training held out, as queries would get it: all windows of what they are given, in the
//! precision that is set.
//!
//! It must not know labels. Invariant: one answer for each input, in order.

use std::collections::VecDeque;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Evaluate, Load, Pending, Predictor};
use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind, Input, ModelInfo, Output, Reads, Task};

use crate::registry::Registry;

/// Texts that are submitted together.
const REQUEST_TEXTS: usize = 256;

/// Submissions under way.
const IN_FLIGHT: usize = 4;

impl Evaluate for Registry {
    fn predict(
        &self,
        files: &ModelFiles,
        input: &Input,
    ) -> Result<(ModelInfo, Option<Answers>), EngineError> {
        let model = self.load(None, files)?;
        let info = model.info().clone();
        if !matches!(info.task(), Task::Classification | Task::Regression) || !reads(&info, input) {
            return Ok((info, None));
        }
        let answers = predict(&*model, input)?;
        Ok((info, Some(answers)))
    }

    fn describe(
        &self,
        files: &ModelFiles,
        texts: &[String],
        outputs: &[Output],
    ) -> Result<Vec<Answers>, EngineError> {
        let model = self.load(None, files)?;
        if model.info().signature.reads != Reads::Text {
            return Ok(Vec::new());
        }
        let ask = |output: &Output| Ok(model.submit(Input::Texts(texts.to_vec()), *output).wait()?.answers);
        outputs.iter().map(ask).collect()
    }
}

/// Whether a model reads such an input.
fn reads(info: &ModelInfo, input: &Input) -> bool {
    match (&info.signature.reads, input) {
        (Reads::Text, Input::Texts(_)) => true,
        (Reads::Columns(fields), Input::Rows(rows)) => fields.iter().all(|field| {
            rows.column(&field.name).is_some_and(|values| values.value_type() == field.value_type)
        }),
        (Reads::Text, Input::Rows(_)) | (Reads::Columns(_), Input::Texts(_)) | (Reads::Keys(_), _) => false,
    }
}

/// Predictions for all of an input. Texts are cut into requests of like size; columns are one, since they share dictionaries.
fn predict(model: &dyn Predictor, input: &Input) -> Result<Answers, EngineError> {
    let Input::Texts(texts) = input else {
        return Ok(model.submit(input.clone(), Output::Prediction).wait()?.answers);
    };
    let (mut answers, mut in_flight) = (None, VecDeque::new());
    let mut receive = |pending: Pending| append(&mut answers, pending.wait()?.answers);
    // At least one, so that there is an answer to nothing.
    let first = texts.get(..REQUEST_TEXTS.min(texts.len())).unwrap_or_default();
    let rest = texts.get(first.len()..).unwrap_or_default();
    for texts in [first].into_iter().chain(rest.chunks(REQUEST_TEXTS)) {
        in_flight.push_back(model.submit(Input::Texts(texts.to_vec()), Output::Prediction));
        if in_flight.len() == IN_FLIGHT {
            in_flight.pop_front().map_or(Ok(()), &mut receive)?;
        }
    }
    in_flight.into_iter().try_for_each(&mut receive)?;
    answers.ok_or_else(|| differ("nothing"))
}

/// Adds the answers of another request.
fn append(all: &mut Option<Answers>, more: Answers) -> Result<(), EngineError> {
    let Some(all) = all else {
        *all = Some(more);
        return Ok(());
    };
    match (all, more) {
        (Answers::Classes { probabilities, .. }, Answers::Classes { probabilities: mut more, .. }) => {
            probabilities.append(&mut more);
        }
        (Answers::Numbers(numbers), Answers::Numbers(mut more)) => numbers.append(&mut more),
        _ => return Err(differ("answers of another type")),
    }
    Ok(())
}

fn differ(what: &str) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("model answered with {what}"))
}
