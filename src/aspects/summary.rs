//! The aspects of all reviews of a relation, by key.
//!
//! Invariant: memory grows with the number of keys and aspects, not with that of reviews.

use std::collections::BTreeMap;
use std::rc::Rc;

use ecommerce_ml_aspects::aspects::Aspects;
use ecommerce_ml_protocol::{Input, Output, Sentiment};

use super::judgement::{Asked, Judgement, Questions};
use super::{Listed, memo, model_with_sentiment};
use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{RequestStream, check_length};
use crate::relation::{Column, Relation};
use crate::rows;

/// Reviews that are sent together: two such batches are held, one that the engine works on and one that is being collected.
const BATCH: usize = 64;

/// Of a key and an aspect: reviews that speak of it, how many of them negatively, neutrally and positively, their mean score, and the
/// clauses with the lowest and the highest score.
#[derive(Debug, Default)]
pub struct Summary {
    pub reviews: i64,
    pub negative: i64,
    pub neutral: i64,
    pub positive: i64,
    /// None if the model could read none of them.
    pub score: Option<f64>,
    pub worst: Option<String>,
    pub best: Option<String>,
}

/// A key, an aspect, and what is said of it.
pub type Row = (Option<String>, String, Summary);

/// The aspects of each key, those first that most reviews speak of.
///
/// # Errors
/// As [`super::predict`]; [`Error::ColumnType`].
pub fn summarize(
    relation: &Relation,
    (text, key): (&Column, Option<&Column>),
    aspects: Listed,
    model: Option<&str>,
) -> Result<Vec<Row>, Error> {
    let aspects = memo::aspects(aspects)?;
    let model = model_with_sentiment(model)?;
    let query = query(relation, text, key)?;
    let mut reading = Reading {
        aspects: &aspects,
        model: &model,
        tallies: BTreeMap::new(),
        batch: Batch::default(),
        in_flight: None,
    };
    rows::for_each(&query, &[], rows::read_pair::<String, String>, |(key, text)| reading.take(key, text))?;
    reading.finish()
}

fn query(relation: &Relation, text: &Column, key: Option<&Column>) -> Result<String, Error> {
    let (text, from) = (text.as_review()?, relation.from());
    let key = key.map_or_else(
        || "NULL::pg_catalog.text".to_owned(),
        |key| format!("{}::pg_catalog.text", key.as_it_is()),
    );
    Ok(format!("SELECT {key}, {text} FROM {from} AS t WHERE {text} IS NOT NULL"))
}

/// Clauses of several reviews.
#[derive(Default)]
struct Batch {
    reviews: usize,
    questions: Questions,
    clauses: Vec<Clause>,
}

/// A clause that is asked about.
struct Clause {
    key: Rc<Option<String>>,
    text: String,
    aspects: Vec<usize>,
    asked: Asked,
    /// Tells reviews of a batch apart.
    review: usize,
}

/// What has been counted of a key and an aspect.
#[derive(Default)]
struct Tally {
    summary: Summary,
    /// Reviews with a score, and the sum of their scores.
    scored: i64,
    sum: f64,
    lowest: f32,
    highest: f32,
}

struct Reading<'a> {
    aspects: &'a Aspects,
    model: &'a Rc<Resolved>,
    tallies: BTreeMap<(Option<String>, usize), Tally>,
    batch: Batch,
    in_flight: Option<(RequestStream, Batch)>,
}

impl Reading<'_> {
    fn take(&mut self, key: Option<String>, text: Option<String>) -> Result<(), Error> {
        let Some(text) = text else { return Ok(()) };
        check_length(&text)?;
        let (key, review) = (Rc::new(key), self.batch.reviews);
        for clause in self.aspects.clauses(&text).into_iter().filter(|clause| !clause.aspects.is_empty()) {
            let asked = self.batch.questions.add(&clause);
            let aspects = clause.aspects.iter().copied().collect();
            self.batch.clauses.push(Clause {
                key: Rc::clone(&key),
                text: clause.text.to_owned(),
                aspects,
                asked,
                review,
            });
        }
        self.batch.reviews += 1;
        if self.batch.reviews >= BATCH { self.rotate() } else { Ok(()) }
    }

    /// Sends what was collected, then waits for what was sent before.
    fn rotate(&mut self) -> Result<(), Error> {
        let mut batch = std::mem::take(&mut self.batch);
        let texts = batch.questions.take();
        let sent = match texts.is_empty() {
            true => None,
            false => {
                Some((RequestStream::submit(Output::Prediction, self.model, Input::Texts(texts))?, batch))
            }
        };
        let Some((stream, batch)) = std::mem::replace(&mut self.in_flight, sent) else { return Ok(()) };
        let answers = stream.finish()?;
        let mut clauses = Vec::new();
        for clause in batch.clauses {
            let said = clause.asked.judgement(&answers)?;
            clauses.push((clause, said));
        }
        for review in clauses.chunk_by(|(one, _), (other, _)| one.review == other.review) {
            self.count(review);
        }
        Ok(())
    }

    /// Counts the clauses of a review.
    fn count(&mut self, clauses: &[(Clause, Judgement)]) {
        let mut by_aspect: BTreeMap<usize, Vec<&(Clause, Judgement)>> = BTreeMap::new();
        for clause in clauses {
            for aspect in &clause.0.aspects {
                by_aspect.entry(*aspect).or_default().push(clause);
            }
        }
        let Some((first, _)) = clauses.first() else { return };
        for (aspect, clauses) in by_aspect {
            self.tallies.entry(((*first.key).clone(), aspect)).or_default().add(&clauses);
        }
    }

    fn finish(mut self) -> Result<Vec<Row>, Error> {
        self.rotate()?;
        self.rotate()?;
        let row = |((key, aspect), tally): ((Option<String>, usize), Tally)| {
            let score = (tally.scored > 0).then(|| tally.sum / tally.scored as f64);
            Some((key, self.aspects.names().get(aspect)?.clone(), Summary { score, ..tally.summary }))
        };
        let mut rows: Vec<Row> = self.tallies.into_iter().filter_map(row).collect();
        rows.sort_by(|(one, _, first), (other, _, second)| {
            (one.is_none(), one).cmp(&(other.is_none(), other)).then(second.reviews.cmp(&first.reviews))
        });
        Ok(rows)
    }
}

impl Tally {
    /// Adds the clauses of a review that speak of the aspect: the review is of the sentiment of the one with the strongest score.
    fn add(&mut self, clauses: &[&(Clause, Judgement)]) {
        self.summary.reviews += 1;
        let mut strongest: Option<(f32, Sentiment)> = None;
        let (mut sum, mut count) = (0.0, 0);
        for (clause, said) in clauses {
            let (Some(score), Some(sentiment)) = (said.score, said.sentiment) else { continue };
            self.show(score, &clause.text);
            sum += f64::from(score);
            count += 1;
            if strongest.is_none_or(|(most, _)| score.abs() > most.abs()) {
                strongest = Some((score, sentiment));
            }
        }
        let Some((_, sentiment)) = strongest else { return };
        self.scored += 1;
        self.sum += sum / f64::from(count);
        match sentiment {
            Sentiment::Negative => self.summary.negative += 1,
            Sentiment::Neutral => self.summary.neutral += 1,
            Sentiment::Positive => self.summary.positive += 1,
        }
    }

    /// Keeps a clause if it is the worst or the best so far; of equal ones the first in the alphabet, whatever the order of rows.
    fn show(&mut self, score: f32, text: &str) {
        let before = |kept: &Option<String>| kept.as_deref().is_none_or(|kept| text < kept);
        if self.summary.worst.is_none()
            || score < self.lowest
            || (score == self.lowest && before(&self.summary.worst))
        {
            (self.lowest, self.summary.worst) = (score, Some(text.to_owned()));
        }
        if self.summary.best.is_none()
            || score > self.highest
            || (score == self.highest && before(&self.summary.best))
        {
            (self.highest, self.summary.best) = (score, Some(text.to_owned()));
        }
    }
}
