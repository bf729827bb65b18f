//! A model against labels, and what the labels alone are worth.
//!
//! The baseline is that of the rows that are measured, for each model, wherever it comes from: always answering their most
//! frequent class, their median or their mean. No other answer that is always the same does better on them, so a model that is
//! better has learned something of texts.
//!
//! Invariant: each row is either counted or left out, because its text is NULL or blank or its label NULL; a label that
//! means none of the model's classes fails the statement.

use std::ffi::CStr;
use std::rc::Rc;

use ecommerce_ml_metrics::baseline::{self, Numbers};
use ecommerce_ml_metrics::report::{self, Cell, Metric};
use ecommerce_ml_metrics::{Regression, Scored};
use ecommerce_ml_protocol::{ModelInfo, Prediction, ReplyBody, RequestBody, Task, is_blank};
use pgrx::FromDatum;
use pgrx::IntoDatum;
use pgrx::spi::{self, SpiHeapTupleData};

use super::labels::{Labels, Meant};
use super::pipeline::Pipeline;
use crate::catalog::resolve::{Resolved, resolve};
use crate::client;
use crate::error::Error;
use crate::relation::{Column, Relation};
use crate::rows;

/// Characters of a label that an error shows.
const SHOWN: usize = 100;

/// A model and the rows to measure it on.
struct Trial {
    model: Rc<Resolved>,
    info: ModelInfo,
    relation: Relation,
    text: Column,
    label: Column,
}

/// What rows said of a model with classes.
struct Classified {
    labels: Labels,
    scored: Scored,
    rating: Regression,
    /// Stars, as they should have been.
    stars: Numbers,
    skipped: u64,
}

/// Metrics of a model.
///
/// # Errors
/// Those of [`resolve`] and [`Relation`], [`Error::NoMeaning`], [`Error::UnknownLabel`], [`Error::LabelNotFinite`], [`Error::NothingToEvaluate`]
/// and the engine's.
pub fn measure(model: &str, relation: Relation, text: &CStr, label: &CStr) -> Result<Vec<Metric>, Error> {
    let trial = Trial::new(model, relation, text, label)?;
    if trial.info.task() == Task::Regression {
        let (values, actual, skipped) = trial.values()?;
        let baseline = report::of_number_baseline(&actual, &actual).map(report::named_baseline);
        return Ok(report::of_numbers(&values, skipped).into_iter().chain(baseline).collect());
    }
    let Classified { labels, scored, rating, stars, skipped } = trial.classified()?;
    let mut metrics = report::of_classes(&labels.names, scored.confusion(), skipped);
    metrics.extend(report::of_probabilities(&labels.names, labels.positive, &scored));
    metrics.extend(report::of_rating(&rating));
    let confusion = scored.confusion();
    let rows: Vec<u64> = (0..labels.names.len()).map(|class| confusion.support(class)).collect();
    let baseline = report::of_class_baseline(baseline::of_classes(&rows, &rows));
    let baseline = baseline.chain(report::of_number_baseline(&stars, &stars));
    metrics.extend(baseline.map(report::named_baseline));
    Ok(metrics)
}

/// The confusion matrix of a model.
///
/// # Errors
/// As [`measure`]; a regression has none.
pub fn confusion(model: &str, relation: Relation, text: &CStr, label: &CStr) -> Result<Vec<Cell>, Error> {
    let classified = Trial::new(model, relation, text, label)?.classified()?;
    Ok(report::of_matrix(&classified.labels.names, classified.scored.confusion()))
}

impl Trial {
    fn new(model: &str, relation: Relation, text: &CStr, label: &CStr) -> Result<Self, Error> {
        let model = resolve(model)?;
        let (text, label) = (relation.column(text)?, relation.column(label)?);
        let described = client::ask(RequestBody::Describe { model: model.reference.clone() })?;
        let ReplyBody::Described(info) = described else { return Err(Error::Unexpected("no description")) };
        Ok(Self { model, info, relation, text, label })
    }

    fn classified(&self) -> Result<Classified, Error> {
        if self.info.labels().is_empty() {
            return Err(self.meaningless("classes"));
        }
        let labels = Labels::of(&self.info, self.label.kind()?);
        let mut scored = Scored::new(labels.names.len());
        let (mut rating, mut actual) = (Regression::default(), Numbers::default());
        let mean = |label: String| {
            self.label.check_label(&label)?;
            labels.meant(&label).ok_or_else(|| self.unknown(&label))
        };
        let skipped = self.run(&self.label.as_label()?, mean, |meant: Meant, prediction| {
            let Prediction::Class { probabilities, .. } = prediction else { return Err(ODD) };
            scored.add(meant.class, probabilities).map_err(|_| ODD)?;
            match (meant.stars, labels.scheme.read(probabilities).rating) {
                (Some(stars), Some(predicted)) => {
                    actual.add(stars);
                    rating.add(stars, f64::from(predicted)).map_err(|_| ODD)
                }
                _ => Ok(()),
            }
        })?;
        not_empty(scored.confusion().total(), skipped)?;
        Ok(Classified { labels, scored, rating, stars: actual, skipped })
    }

    fn values(&self) -> Result<(Regression, Numbers, u64), Error> {
        let (mut regression, mut actual) = (Regression::default(), Numbers::default());
        let skipped = self.run(&self.label.as_number()?, Ok, |label: f64, prediction| {
            let Prediction::Number(predicted) = prediction else { return Err(ODD) };
            actual.add(label);
            regression.add(label, predicted).map_err(|_| Error::NotFinite)
        })?;
        not_empty(regression.rows(), skipped)?;
        Ok((regression, actual, skipped))
    }

    /// Sends all rows through the model and returns how many were left out. `mean` reads a label before its text is
    /// sent, so that a wrong one is found early.
    fn run<L: FromDatum + IntoDatum, M>(
        &self,
        label: &str,
        mean: impl Fn(L) -> Result<M, Error>,
        mut count: impl FnMut(M, Prediction<'_>) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let query = format!("SELECT {}, {label} FROM {} AS t", self.text.as_review()?, self.relation.from());
        let (mut left_out, mut blank) = (0, 0);
        let mut pipeline = Pipeline::new(&self.model);
        let mut take = |meant: M, prediction: Option<Prediction<'_>>| match prediction {
            Some(prediction) => count(meant, prediction),
            None => {
                blank += 1;
                Ok(())
            }
        };
        rows::for_each(&query, &[], read_two::<String, L>, |row| match row {
            (Some(text), Some(label)) if !is_blank(&text) => pipeline.push(text, mean(label)?, &mut take),
            _ => {
                left_out += 1;
                Ok(())
            }
        })?;
        pipeline.finish(&mut take)?;
        Ok(left_out + blank)
    }

    fn meaningless(&self, wanted: &'static str) -> Error {
        Error::NoMeaning { model: self.shown(), wanted, labels: self.info.labels().to_vec() }
    }

    fn unknown(&self, label: &str) -> Error {
        let label = label.chars().take(SHOWN).collect();
        Error::UnknownLabel { label, model: self.shown(), labels: self.info.labels().to_vec() }
    }

    fn shown(&self) -> String {
        format!("{}@{}", self.model.name, self.model.version)
    }
}

const ODD: Error = Error::Unexpected("a prediction that does not fit the model");

/// Reads a row of two columns.
pub fn read_two<A: FromDatum + IntoDatum, B: FromDatum + IntoDatum>(
    row: &SpiHeapTupleData<'_>,
) -> spi::Result<(Option<A>, Option<B>)> {
    Ok((row.get(1)?, row.get(2)?))
}

/// Refuses to measure nothing.
///
/// # Errors
/// [`Error::NothingToEvaluate`].
pub fn not_empty(counted: u64, skipped: u64) -> Result<(), Error> {
    if counted == 0 { Err(Error::NothingToEvaluate { skipped }) } else { Ok(()) }
}
