//! A loaded ensemble.
//!
//! It must not know how members answer. Invariant: [`Predictor::submit`] puts rows on their way to all members and waits for none.

use std::sync::Arc;

use ecommerce_ml_predictor::{Answered, ModelPrecision, Pending, Predictor};
use ecommerce_ml_protocol::{Answers, EngineError, Field, Input, ModelInfo, Output};
use serde_json::json;

use crate::files::signature;
use crate::member::{Asked, Member, refused};
use crate::model::{Ensemble, Head, KIND};
use crate::says::Says;

/// An ensemble that answers.
pub(crate) struct EnsemblePredictor {
    info: ModelInfo,
    precision: ModelPrecision,
    text: Option<String>,
    ensemble: Arc<Ensemble>,
    members: Vec<Member>,
}

impl EnsemblePredictor {
    /// Of members in the order of their weights.
    pub(crate) fn new(
        fields: Vec<Field>,
        text: Option<String>,
        ensemble: Ensemble,
        members: Vec<Member>,
    ) -> Self {
        let info = info(&fields, &ensemble, &members);
        let precision = ModelPrecision { name: "f64", note: "weights; members have their own".to_owned() };
        Self { info, precision, text, ensemble: Arc::new(ensemble), members }
    }

    /// The rows on their way to all members.
    fn begin(&self, input: &Input, output: Output) -> Result<Vec<Asked>, EngineError> {
        if !matches!(output, Output::Prediction | Output::Contributions { .. }) {
            return Err(refused("an ensemble has neither tokens nor embeddings"));
        }
        let Input::Rows(rows) = input else {
            return Err(refused("an ensemble reads columns, not a text"));
        };
        self.members.iter().map(|member| member.ask(rows, self.text.as_deref())).collect()
    }
}

/// What such a model is. Members are counted in, though others may share them.
fn info(fields: &[Field], ensemble: &Ensemble, members: &[Member]) -> ModelInfo {
    let member = |(member, weighted): (&Member, &crate::model::Weighted)| json!({"name": member.name, "kind": member.model.info().kind, "weight": weighted.weight});
    let mut details = json!({
        "columns": fields.len(),
        "members": members.iter().zip(&ensemble.members).map(member).collect::<Vec<_>>(),
        "parts": members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(),
        "importance": ensemble.shares(),
    });
    if !ensemble.residuals.is_empty() {
        details["residuals"] = json!(ensemble.residuals);
    }
    let infos = || members.iter().map(|member| member.model.info());
    let own = (ensemble.members.len() + 1) * (ensemble.head.outputs() + 1);
    ModelInfo {
        kind: KIND.to_owned(),
        signature: signature(fields, &ensemble.head),
        parameters: infos().map(|info| info.parameters).sum::<u64>() + own as u64,
        bytes: infos().map(|info| info.bytes).sum::<u64>() + (own * size_of::<f64>()) as u64,
        details: details.to_string(),
    }
}

impl Predictor for EnsemblePredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let asked = match self.begin(&input, output) {
            Ok(asked) => asked,
            Err(error) => return Pending::ready(Err(error)),
        };
        let rows = input.len();
        let ensemble = Arc::clone(&self.ensemble);
        let labels: Vec<Vec<String>> =
            self.members.iter().map(|member| member.model.info().labels().to_vec()).collect();
        Pending::new(async move {
            let (mut says, mut tokens) = (Vec::with_capacity(asked.len()), 0);
            for (asked, labels) in asked.into_iter().zip(labels) {
                let (said, read) = asked.read(&ensemble.head, &labels).await?;
                says.push(said);
                tokens += read;
            }
            let answers = match output {
                Output::Contributions { class } => explain(&ensemble, &says, rows, class)?,
                _ => answer(&ensemble, &says, rows),
            };
            Ok(Answered { tokens, ..Answered::computed(answers) })
        })
    }
}

/// The answers of so many rows.
pub(crate) fn answer(ensemble: &Ensemble, says: &[Says], rows: usize) -> Answers {
    let sums = (0..rows).map(|row| ensemble.sums(says, row));
    match &ensemble.head {
        Head::Number => Answers::Numbers(sums.map(|sums| sums?.first().copied()).collect()),
        Head::Classes { labels } => Answers::Classes {
            labels: labels.clone(),
            probabilities: sums.map(|sums| sums.as_deref().map(Ensemble::probabilities)).collect(),
        },
    }
}

fn explain(
    ensemble: &Ensemble,
    says: &[Says],
    rows: usize,
    class: Option<u32>,
) -> Result<Answers, EngineError> {
    let explained = (0..rows).map(|row| ensemble.explain(says, row, class));
    Ok(Answers::Explanations(explained.collect::<Result<_, _>>()?))
}
