//! The aspects that reviews speak of, and what a model says of each.
//!
//! # Layout
//! - [`judgement`]: what a model says of clauses.
//! - [`summary`]: the aspects of all reviews of a relation, by key.
//! - [`memo`]: the list of aspects that was read last.
//!
//! Which clause speaks of which aspect is `ecommerce_ml_aspects`' to say. Invariant: the clauses of a review are one request.

pub mod judgement;
mod memo;
pub mod summary;

use std::rc::Rc;

use ecommerce_ml_aspects::aspects::Clause;
use ecommerce_ml_protocol::{Input, LabelScheme, Output};

use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{answer, check_length, model_of, require_text};
use judgement::Questions;

/// An aspect, its sentiment and score, and the clause's place from 1 on and its length in characters.
pub type Row = (String, Option<String>, Option<f32>, i32, i32);

/// A list of aspects as SQL has it.
pub type Listed = Option<Vec<Option<String>>>;

/// A row for each clause and aspect that it speaks of, in the order of the text; those of shops, unless aspects are named. Nothing of
/// a blank review. Of a clause that the model can't read neither sentiment nor score.
///
/// # Errors
/// [`Error::ArgumentValue`] and [`Error::ArgumentHasNull`] for aspects that are none, [`Error::NoMeaning`] for a model without
/// sentiment, [`Error::TextTooLong`], [`Error::ReadsColumns`] and the engine's.
pub fn predict(review: &str, aspects: Listed, model: Option<&str>) -> Result<Vec<Row>, Error> {
    let aspects = memo::aspects(aspects)?;
    check_length(review)?;
    let model = model_with_sentiment(model)?;
    let mut clauses = aspects.clauses(review);
    clauses.retain(|clause| !clause.aspects.is_empty());
    if clauses.is_empty() {
        return Ok(Vec::new());
    }
    let mut questions = Questions::default();
    let asked: Vec<_> = clauses.iter().map(|clause| questions.add(clause)).collect();
    let answers = answer(Output::Prediction, &model, Input::Texts(questions.take()))?;
    let mut rows = Vec::new();
    for (clause, asked) in clauses.iter().zip(asked) {
        let said = asked.judgement(&answers)?;
        let (start, length) = place(clause)?;
        for name in clause.aspects.iter().filter_map(|place| aspects.names().get(*place)) {
            let sentiment = said.sentiment.map(|sentiment| sentiment.as_str().to_owned());
            rows.push((name.clone(), sentiment, said.score, start, length));
        }
    }
    Ok(rows)
}

/// Where a clause begins, from 1 on, and its length.
fn place(clause: &Clause<'_>) -> Result<(i32, i32), Error> {
    let number = |count: usize| {
        i32::try_from(count).map_err(|_| Error::Unexpected("a text that is longer than its positions"))
    };
    Ok((number(clause.start)? + 1, number(clause.length)?))
}

/// A model that reads texts and whose labels mean sentiment.
fn model_with_sentiment(name: Option<&str>) -> Result<Rc<Resolved>, Error> {
    let model = model_of(name)?;
    require_text(&model)?;
    let labels = &model.signature.labels;
    if LabelScheme::of(labels).has_sentiment() {
        return Ok(model);
    }
    let (name, labels) = (format!("{}@{}", model.name, model.version), labels.clone());
    Err(Error::NoMeaning { model: name, wanted: "labels that mean sentiment", labels })
}
