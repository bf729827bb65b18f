//! A model against labels, and what the labels alone are worth.
//!
//! The baseline is that of the rows that are measured, for each model, wherever it comes from: always answering their most
//! frequent class, their median or their mean. No other answer that is always the same does better on them, so a model that is
//! better has learned something of its inputs.
//!
//! Invariant: each row is either counted or left out, because its text is NULL, blank or none that the model can read, or its label
//! NULL; a label that means none of the model's classes fails the statement.

use std::marker::PhantomData;
use std::rc::Rc;

use ecommerce_ml_metrics::baseline::{self, Numbers};
use ecommerce_ml_metrics::report::{self, Cell, Metric};
use ecommerce_ml_metrics::{Confidence, Curve, Regression, Scored};
use ecommerce_ml_protocol::{Prediction, Table, Task};
use pgrx::FromDatum;
use pgrx::IntoDatum;

use super::columns::{Columns, NamedColumns};
use super::lifetimes;
use super::model_classes::{ModelClasses, Target};
use super::pipeline::Pipeline;
use super::recommendations;
use super::series;
use crate::catalog::resolve::{Resolved, resolve};
use crate::error::Error;
use crate::relation::Relation;
use crate::rows::{self, TakeTuples, Tuple};

/// Characters of a label that an error shows.
const MAX_SHOWN_CHARS: usize = 100;

/// Different scores that are told apart.
const SCORES: usize = 1 << 20;

/// A model and the rows to measure it on.
struct Evaluation {
    model: Rc<Resolved>,
    relation: Relation,
    columns: Columns,
}

/// What rows said of a model with classes.
struct Classified {
    classes: ModelClasses,
    scored: Scored,
    /// Of the sentiments that several classes mean.
    sentiments: Confidence,
    rating: Regression,
    /// Stars, as they should have been.
    stars: Numbers,
    skipped: u64,
}

/// Metrics of a model.
///
/// # Errors
/// Those of [`resolve`] and [`Columns`], [`Error::NoMeaning`], [`Error::UnknownLabel`], [`Error::LabelNotFinite`], [`Error::NothingToEvaluate`]
/// and the engine's.
pub fn measure(model: &str, relation: Relation, named: &NamedColumns) -> Result<Vec<Metric>, Error> {
    let resolved = resolve(model)?;
    if resolved.signature.answers_table(Table::RankingQuality) {
        return recommendations::measure(&resolved, &relation, named);
    }
    if resolved.signature.task() == Task::Forecast {
        return series::measure(&resolved, &relation, named);
    }
    if resolved.signature.task() == Task::Lifetime {
        return lifetimes::measure(&resolved, &relation, named);
    }
    let evaluation = Evaluation::new(model, relation, named)?;
    if evaluation.model.signature.task() == Task::Regression {
        let (values, actual, skipped) = evaluation.evaluate_numbers()?;
        let baseline = report::of_number_baseline(&actual, &actual).map(report::named_baseline);
        return Ok(report::of_numbers(&values, skipped).into_iter().chain(baseline).collect());
    }
    if evaluation.model.signature.task() == Task::Anomaly {
        let (curve, skipped) = evaluation.evaluate_anomalies()?;
        return Ok(report::of_anomalies(&curve, skipped));
    }
    let Classified { classes, scored, sentiments, rating, stars, skipped } = evaluation.evaluate_classes()?;
    let mut metrics = report::of_classes(&classes.names, scored.confusion(), skipped);
    metrics.extend(report::of_probabilities(&classes.names, classes.positive, &scored));
    metrics.extend(report::of_rating(&rating));
    metrics.extend(report::of_sentiments(&sentiments));
    let confusion = scored.confusion();
    let rows: Vec<u64> = (0..classes.names.len()).map(|class| confusion.support(class)).collect();
    let baseline = report::of_class_baseline(baseline::of_classes(&rows, &rows));
    let baseline = baseline.chain(report::of_number_baseline(&stars, &stars));
    metrics.extend(baseline.map(report::named_baseline));
    Ok(metrics)
}

/// What was measured of a forecasting model when it was trained; nothing of others.
///
/// # Errors
/// Those of [`resolve`], and when our tables can't be read.
pub fn held_out(model: &str) -> Result<Vec<Metric>, Error> {
    let model = resolve(model)?;
    if model.signature.task() == Task::Forecast { series::held_out(&model) } else { Ok(Vec::new()) }
}

/// The confusion matrix of a model.
///
/// # Errors
/// As [`measure`]; a regression has none.
pub fn confusion(model: &str, relation: Relation, named: &NamedColumns) -> Result<Vec<Cell>, Error> {
    let classified = Evaluation::new(model, relation, named)?.evaluate_classes()?;
    Ok(report::of_matrix(&classified.classes.names, classified.scored.confusion()))
}

impl Evaluation {
    fn new(model: &str, relation: Relation, named: &NamedColumns) -> Result<Self, Error> {
        let model = resolve(model)?;
        let columns = Columns::of(&model, &relation, named)?;
        Ok(Self { model, relation, columns })
    }

    fn evaluate_classes(&self) -> Result<Classified, Error> {
        if self.model.signature.labels.is_empty() {
            return Err(self.no_meaning("classes"));
        }
        let classes = ModelClasses::of(&self.model.signature.labels, self.columns.label.kind()?);
        let (mut scored, mut sentiments) = (Scored::new(classes.names.len()), Confidence::default());
        let (mut rating, mut actual) = (Regression::default(), Numbers::default());
        let target = |label: String| {
            self.columns.label.check_label(&label)?;
            classes.target(&label).ok_or_else(|| self.unknown_label(&label))
        };
        let skipped =
            self.predict_rows(&self.columns.label.as_label()?, target, |target: Target, prediction| {
                let Prediction::Class { probabilities, .. } = prediction else {
                    return Err(UNEXPECTED_PREDICTION);
                };
                scored.add(target.class, probabilities).map_err(|_| UNEXPECTED_PREDICTION)?;
                let reading = classes.scheme.read(probabilities);
                let confidence = classes.scheme.confidence(probabilities);
                if let Some(confidence) = confidence.filter(|_| classes.scheme.groups_labels()) {
                    let right = reading.sentiment == classes.scheme.sentiment_of(target.class);
                    sentiments.add(f64::from(confidence), right).map_err(|_| UNEXPECTED_PREDICTION)?;
                }
                match (target.stars, reading.rating) {
                    (Some(stars), Some(predicted)) => {
                        actual.add(stars);
                        rating.add(stars, f64::from(predicted)).map_err(|_| UNEXPECTED_PREDICTION)
                    }
                    _ => Ok(()),
                }
            })?;
        require_rows(scored.confusion().total(), skipped)?;
        Ok(Classified { classes, scored, sentiments, rating, stars: actual, skipped })
    }

    fn evaluate_numbers(&self) -> Result<(Regression, Numbers, u64), Error> {
        let (mut regression, mut actual) = (Regression::default(), Numbers::default());
        let skipped = self.predict_rows(&self.columns.label.as_number()?, Ok, |label: f64, prediction| {
            let Prediction::Number(predicted) = prediction else { return Err(UNEXPECTED_PREDICTION) };
            actual.add(label);
            regression.add(label, predicted).map_err(|_| Error::NotFinite)
        })?;
        require_rows(regression.rows(), skipped)?;
        Ok((regression, actual, skipped))
    }

    /// Labels say which rows are anomalies.
    fn evaluate_anomalies(&self) -> Result<(Curve, u64), Error> {
        self.columns.label.require_truth()?;
        let mut curve = Curve::new(SCORES);
        let skipped = self.predict_rows(self.columns.label.as_it_is(), Ok, |label: bool, prediction| {
            let Prediction::Number(score) = prediction else { return Err(UNEXPECTED_PREDICTION) };
            curve.add(score as f32, label).map_err(|_| Error::NotFinite)
        })?;
        let (anomalies, others) = curve.counts();
        require_rows(anomalies + others, skipped)?;
        Ok((curve, skipped))
    }

    /// Sends all rows through the model and returns how many were left out. `target` reads a label before its input is
    /// sent, so that a wrong one is found early.
    fn predict_rows<L: FromDatum + IntoDatum, M>(
        &self,
        label: &str,
        target: impl Fn(L) -> Result<M, Error>,
        mut count: impl FnMut(M, Prediction<'_>) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let inputs = self.columns.selected(&self.model)?;
        let query = format!("SELECT {label}, {inputs} FROM {} AS t", self.relation.from());
        let mut blank = 0;
        let take = |target: M, prediction: Option<Prediction<'_>>| match prediction {
            Some(prediction) => count(target, prediction),
            None => {
                blank += 1;
                Ok(())
            }
        };
        let pipeline = Pipeline::new(&self.model, &self.columns.inputs)?;
        let mut labelled = LabelledRows { pipeline, target, take, left_out: 0, label: PhantomData };
        rows::for_each_tuple(&query, &mut labelled)?;
        let LabelledRows { pipeline, mut take, left_out, .. } = labelled;
        pipeline.finish(&mut take)?;
        Ok(left_out + blank)
    }

    fn no_meaning(&self, wanted: &'static str) -> Error {
        Error::NoMeaning { model: self.qualified_name(), wanted, labels: self.model.signature.labels.clone() }
    }

    fn unknown_label(&self, label: &str) -> Error {
        let label = label.chars().take(MAX_SHOWN_CHARS).collect();
        Error::UnknownLabel {
            label,
            model: self.qualified_name(),
            labels: self.model.signature.labels.clone(),
        }
    }

    fn qualified_name(&self) -> String {
        format!("{}@{}", self.model.name, self.model.version)
    }
}

/// Rows on their way: a label of type `L`, which means an `M`, and what the model reads.
struct LabelledRows<'a, L, M, N, T> {
    pipeline: Pipeline<'a, M>,
    target: N,
    take: T,
    left_out: u64,
    label: PhantomData<L>,
}

impl<L, M, N, T> TakeTuples for LabelledRows<'_, L, M, N, T>
where
    L: FromDatum + IntoDatum,
    N: Fn(L) -> Result<M, Error>,
    T: FnMut(M, Option<Prediction<'_>>) -> Result<(), Error>,
{
    fn take(&mut self, tuple: &Tuple) -> Result<(), Error> {
        let pushed = match tuple.get::<L>(1)? {
            None => false,
            Some(label) => self.pipeline.push(tuple, 2, || (self.target)(label))?,
        };
        self.left_out += u64::from(!pushed);
        Ok(())
    }

    fn pause(&mut self) -> Result<(), Error> {
        self.pipeline.advance(&mut self.take)
    }
}

const UNEXPECTED_PREDICTION: Error = Error::Unexpected("a prediction that does not fit the model");

/// Refuses to measure nothing.
///
/// # Errors
/// [`Error::NothingToEvaluate`].
pub fn require_rows(counted: u64, skipped: u64) -> Result<(), Error> {
    if counted == 0 { Err(Error::NothingToEvaluate { skipped }) } else { Ok(()) }
}
