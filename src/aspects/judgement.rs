//! What a model says of clauses.
//!
//! It reads a clause, and its whole sentence beside it, since a clause may not make sense alone. Invariant: what is said of a clause
//! depends on its sentence and on nothing else.

use ecommerce_ml_aspects::aspects::Clause;
use ecommerce_ml_protocol::{LabelScheme, Prediction, Sentiment};

use crate::error::Error;
use crate::inference::Answers;

/// Part of a clause's own probabilities in what is said of it; the rest is its sentence's. Best on the training parts of MAMS and of
/// product sentences, see `benches/aspects`.
const OWN_WEIGHT: f32 = 0.7;

/// Texts to ask a model about: clauses, and sentences once for all of their clauses.
#[derive(Default)]
pub struct Questions {
    texts: Vec<String>,
    /// The sentence that was added last: clauses of one stand in a row.
    sentence: Option<(String, usize)>,
}

/// Places of the answers about a clause and about its sentence.
#[derive(Clone, Copy)]
pub struct Asked {
    own: usize,
    whole: usize,
}

/// What is said of a clause; nothing if the model can't read it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Judgement {
    pub sentiment: Option<Sentiment>,
    /// From -1 to 1.
    pub score: Option<f32>,
}

impl Questions {
    /// Adds a clause.
    pub fn add(&mut self, clause: &Clause<'_>) -> Asked {
        let own = self.push(clause.text);
        if clause.text == clause.sentence {
            return Asked { own, whole: own };
        }
        let latest = self.sentence.as_ref().filter(|(sentence, _)| sentence == clause.sentence);
        let whole = match latest {
            Some((_, place)) => *place,
            None => {
                let place = self.push(clause.sentence);
                self.sentence = Some((clause.sentence.to_owned(), place));
                place
            }
        };
        Asked { own, whole }
    }

    /// Adds a text by itself, and returns its place.
    pub fn push(&mut self, text: &str) -> usize {
        self.texts.push(text.to_owned());
        self.texts.len() - 1
    }

    /// All texts so far; places begin anew.
    pub fn take(&mut self) -> Vec<String> {
        self.sentence = None;
        std::mem::take(&mut self.texts)
    }
}

impl Asked {
    /// What is said of the clause, by the answers to the texts it is one of.
    ///
    /// # Errors
    /// As [`Answers::prediction`].
    pub fn judgement(self, answers: &Answers) -> Result<Judgement, Error> {
        let (own, whole) = (answers.prediction(self.own)?, answers.prediction(self.whole)?);
        let Some(Prediction::Class { labels, probabilities }) = own.or(whole) else {
            return Ok(Judgement::default());
        };
        let beside = match whole {
            Some(Prediction::Class { probabilities, .. }) => probabilities,
            _ => probabilities,
        };
        let mixed: Vec<f32> = probabilities
            .iter()
            .zip(beside)
            .map(|(own, beside)| OWN_WEIGHT * own + (1.0 - OWN_WEIGHT) * beside)
            .collect();
        let reading = LabelScheme::of(labels).read(&mixed);
        Ok(Judgement { sentiment: reading.sentiment, score: reading.score })
    }
}
