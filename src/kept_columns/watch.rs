//! Rows that are watched: a kept column of scores, and a condition on which rows become alerts.
//!
//! Rows that were there before are not scored, and a deployment makes none stale: a row is scored once, and again when it changes.
//! Invariant: a score and the alert that it gives rise to are written by one transaction.

use ecommerce_ml_protocol::{Reads, Task};
use pgrx::pg_sys;
use pgrx::spi::{quote_identifier, quote_literal};
use serde::{Deserialize, Serialize};

use super::define::{self, KeepRequest};
use super::definition::{self, Kept, RefreshMode, attribute_type, model_column};
use crate::catalog::alerts;
use crate::catalog::name::ModelName;
use crate::catalog::resolve::{Resolved, resolve};
use crate::error::Error;
use crate::relation::Relation;

/// What the column of scores is called after the model.
const SCORE_SUFFIX: &str = "_score";
/// Characters of a label that an error shows.
const MAX_SHOWN_CHARS: usize = 100;

/// What makes a row an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// As the call named it.
    pub model: String,
    /// The class whose probability is the score; `None` of a model that says a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The column of the text that is scored; `None` of a model that reads columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_column: Option<String>,
    /// Over the row and its score.
    pub condition: String,
    /// Most alerts within a day.
    pub budget: u32,
}

impl Watch {
    /// What is computed by it, whatever becomes an alert.
    pub fn without_condition(&self) -> Self {
        Self { condition: String::new(), budget: 0, ..self.clone() }
    }

    /// What the model is asked about, given what a row is called.
    pub fn input(&self, row: &str) -> String {
        self.text_column
            .as_ref()
            .map_or_else(|| row.to_owned(), |column| format!("({row}).{}", quote_identifier(column)))
    }

    /// The expression of the score, of a row of the table.
    fn score(&self, row: &str) -> String {
        let (input, model) = (self.input(row), quote_literal(&self.model));
        match &self.label {
            None => format!("ecommerce_ml.predict_value({input}, {model})"),
            Some(label) => format!(
                "(ecommerce_ml.predict_probabilities({input}, {model}) OPERATOR(pg_catalog.->>) {})::pg_catalog.float8",
                quote_literal(label)
            ),
        }
    }
}

/// What a call asks for.
pub struct WatchRequest<'a> {
    pub relation: pg_sys::Oid,
    pub model: &'a str,
    pub condition: &'a str,
    pub budget: u32,
    pub mode: RefreshMode,
    pub label: Option<String>,
    pub text_column: Option<String>,
    pub score_column: Option<String>,
}

/// Watches the rows that are written into a table from now on.
///
/// # Errors
/// As [`define::keep`]; [`Error::NoMeaning`], [`Error::NoSuchLabel`], [`Error::ArgumentMissing`], [`Error::ScoreColumnTaken`]; the
/// server's own of the condition.
pub fn watch(request: &WatchRequest<'_>) -> Result<(), Error> {
    let relation = Relation::open(request.relation)?;
    let model = resolve(request.model)?;
    model
        .columns
        .iter()
        .flat_map(|fields| fields.iter())
        .try_for_each(|field| relation.column_named(&field.name).map(drop))?;
    let watch = Watch {
        model: request.model.to_owned(),
        label: label(&model, request.label.as_deref())?,
        text_column: text_column(&model, &relation, request.text_column.as_deref())?,
        condition: request.condition.to_owned(),
        budget: request.budget,
    };
    let column = request.score_column.clone().unwrap_or_else(|| format!("{}{SCORE_SUFFIX}", model.name));
    if attribute_type(request.relation, &column).is_some()
        && attribute_type(request.relation, &model_column(&column)).is_none()
    {
        return Err(Error::ScoreColumnTaken { relation: relation.name().to_owned(), column });
    }
    define::keep(&KeepRequest {
        relation: request.relation,
        column,
        expression: &watch.score(&quote_identifier(relation.name())),
        mode: request.mode,
        batch_rows: None,
        reads: reads(&model, request.relation),
        watch: Some(watch),
    })
}

/// The class whose probability is the score: that which is named, or the second of two.
fn label(model: &Resolved, given: Option<&str>) -> Result<Option<String>, Error> {
    let labels = &model.signature.labels;
    let qualified = || format!("{}@{}", model.name, model.version);
    let meaningless = |wanted| Error::NoMeaning { model: qualified(), wanted, labels: labels.clone() };
    match (model.signature.task(), given) {
        (Task::Anomaly | Task::Regression, None) => Ok(None),
        (Task::Anomaly | Task::Regression, Some(_)) => {
            Err(meaningless("classes: leave the label out, and its value is the score"))
        }
        (Task::Classification, Some(given)) => match labels.iter().find(|label| *label == given) {
            Some(label) => Ok(Some(label.clone())),
            None => Err(Error::NoSuchLabel {
                model: model.name.clone(),
                label: given.chars().take(MAX_SHOWN_CHARS).collect(),
                labels: labels.clone(),
            }),
        },
        (Task::Classification, None) => match labels.as_slice() {
            [_, second] => Ok(Some(second.clone())),
            _ => Err(meaningless("two classes: name that to be watched, with the option label")),
        },
        _ => Err(meaningless("score of a row")),
    }
}

fn text_column(model: &Resolved, relation: &Relation, given: Option<&str>) -> Result<Option<String>, Error> {
    match (&model.signature.reads, given) {
        (Reads::Text, Some(column)) => {
            relation.column_named(column)?;
            Ok(Some(column.to_owned()))
        }
        (Reads::Text, None) => {
            Err(Error::ArgumentMissing { argument: "text_column", task: model.signature.task().as_str() })
        }
        (_, Some(_)) => Err(Error::TextNotTaken(model.signature.task().as_str())),
        (_, None) => Ok(None),
    }
}

/// The columns whose change makes a row worth another look, if the table has them as they are; else all.
fn reads(model: &Resolved, relation: pg_sys::Oid) -> Option<Vec<String>> {
    let fields = model.columns.as_ref()?;
    let is_plain = |name: &str| {
        let name = std::ffi::CString::new(name).unwrap_or_default();
        // SAFETY: a terminated string; a missing column is reported by the result.
        unsafe {
            let number = pg_sys::get_attnum(relation, name.as_ptr());
            number > 0 && pg_sys::get_attgenerated(relation, number) == 0
        }
    };
    let all_plain = fields.iter().all(|field| is_plain(&field.name));
    Some(if all_plain { fields.iter().map(|field| field.name.clone()).collect() } else { Vec::new() })
}

/// Watches rows no longer; their scores stay, alerts don't.
///
/// # Errors
/// [`Error::NotWatched`], and as [`define::forget`].
pub fn unwatch(relation: pg_sys::Oid, model: &str) -> Result<(), Error> {
    let name = ModelName::parse(model)?.name;
    let kept = find(relation, &name)?;
    let Some(kept) = kept else {
        let relation = Relation::open(relation)?.name().to_owned();
        return Err(Error::NotWatched { relation, model: name });
    };
    define::forget(relation, &kept.definition.column)?;
    alerts::forget(&name, kept.table())
}

fn find(relation: pg_sys::Oid, name: &str) -> Result<Option<Kept>, Error> {
    let watches = |kept: &Kept| {
        let watch = kept.definition.recipe.watch.as_ref();
        watch.and_then(|watch| ModelName::parse(&watch.model).ok()).is_some_and(|model| model.name == name)
    };
    Ok(definition::all()?.into_iter().find(|kept| kept.relation == relation && watches(kept)))
}
