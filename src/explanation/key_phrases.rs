//! The phrases that drive what a model says of the texts of a relation, by key.
//!
//! Of each key so many texts are read as an option says, chosen by a hash of the text: the same ones whenever the rows are the same,
//! whatever their order. Invariant: memory grows with the number of different phrases of one key, not with the number of rows.

use std::rc::Rc;

use ecommerce_ml_metrics::phrases::{CountedPhrase, PhraseTally, Piece, extract};
use ecommerce_ml_protocol::{Contributions, Output, Sentiment};

use super::sentiment_scheme;
use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{RequestStream, check_length, model_of};
use crate::relation::{Column, Relation};
use crate::rows;

/// Texts that are sent together: two such batches are held, one that the engine works on and one that is being collected.
const BATCH: usize = 64;

/// Part of the scale that a word has to contribute for its phrase to be one: two hundredths of the five stars, and as much of a score.
const LEAST: f64 = 0.02;

/// What is asked.
pub struct KeyPhrases {
    /// Texts that are read of each key.
    pub reviews_per_key: u64,
    /// Phrases of each key and sentiment.
    pub phrases: usize,
    /// Texts that have to have a phrase.
    pub min_reviews: u64,
}

/// A key, a phrase of its texts, its sentiment, texts that have it, what it contributes to them, and an example.
pub type Row = (Option<String>, String, &'static str, i64, f64, String);

/// The phrases of all keys, in their order.
///
/// # Errors
/// [`Error::NoMeaning`] for a model without sentiment, [`Error::ReadsColumns`], [`Error::UnknownColumn`], [`Error::ColumnType`]
/// and the engine's.
pub fn find(
    relation: &Relation,
    (text, key): (&Column, Option<&Column>),
    model: Option<&str>,
    options: &KeyPhrases,
) -> Result<Vec<Row>, Error> {
    let model = model_of(model)?;
    let mut reading = Reading::new(&model, options)?;
    let query = query(relation, text, key, options.reviews_per_key)?;
    rows::for_each(&query, &[], rows::read_pair::<String, String>, |(key, text)| reading.take(key, text))?;
    reading.finish()
}

/// The phrases of texts that are given with their keys, those of each key together.
///
/// # Errors
/// As [`find`], but for those of a relation.
pub fn of_texts(
    model: &Rc<Resolved>,
    options: &KeyPhrases,
    texts: impl Iterator<Item = (Option<String>, String)>,
) -> Result<Vec<Row>, Error> {
    let mut reading = Reading::new(model, options)?;
    for (key, text) in texts {
        reading.take(key, Some(text))?;
    }
    reading.finish()
}

/// The texts to read, key by key: those with the least hashes. The same seed makes them the same ones each time.
fn query(relation: &Relation, text: &Column, key: Option<&Column>, reviews: u64) -> Result<String, Error> {
    let (text, from) = (text.as_review()?, relation.from());
    let key = key.map_or_else(
        || "NULL::pg_catalog.text".to_owned(),
        |key| format!("({}::pg_catalog.text COLLATE pg_catalog.\"C\")", key.as_it_is()),
    );
    Ok(format!(
        "SELECT s.key, s.review FROM (
             SELECT r.key, r.review,
                    pg_catalog.row_number() OVER (PARTITION BY r.key ORDER BY r.hash, r.review) AS number
             FROM (SELECT {key} AS key, {text} COLLATE pg_catalog.\"C\" AS review,
                          pg_catalog.hashtextextended({text} COLLATE pg_catalog.\"C\", 42) AS hash
                   FROM {from} AS t) AS r
             WHERE r.review OPERATOR(pg_catalog.~) '[^[:space:]]') AS s
         WHERE s.number OPERATOR(pg_catalog.<=) {reviews}
         ORDER BY s.key, s.number"
    ))
}

/// Texts with their keys.
type Batch = Vec<(Option<String>, String)>;

/// Texts on their way, key by key.
struct Reading<'a> {
    model: &'a Rc<Resolved>,
    options: &'a KeyPhrases,
    least: f64,
    /// Of the texts that are being counted; none before the first.
    key: Option<Option<String>>,
    tally: PhraseTally,
    batch: Batch,
    in_flight: Option<(RequestStream, Batch)>,
    found: Vec<Row>,
}

impl<'a> Reading<'a> {
    fn new(model: &'a Rc<Resolved>, options: &'a KeyPhrases) -> Result<Self, Error> {
        // Of 4 stars between the first and the fifth, of 2 between a score of -1 and 1.
        let range = if sentiment_scheme(model)?.has_rating() { 4.0 } else { 2.0 };
        Ok(Self {
            model,
            options,
            least: LEAST * range,
            key: None,
            tally: PhraseTally::default(),
            batch: Vec::new(),
            in_flight: None,
            found: Vec::new(),
        })
    }

    fn take(&mut self, key: Option<String>, text: Option<String>) -> Result<(), Error> {
        let Some(text) = text else { return Ok(()) };
        check_length(&text)?;
        self.batch.push((key, text));
        if self.batch.len() >= BATCH { self.rotate() } else { Ok(()) }
    }

    fn finish(mut self) -> Result<Vec<Row>, Error> {
        self.rotate()?;
        self.rotate()?;
        self.end_key();
        Ok(self.found)
    }

    /// Sends what was collected, then waits for what was sent before.
    fn rotate(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        let texts: Vec<String> = batch.iter().map(|(_, text)| text.clone()).collect();
        let sent = match texts.is_empty() {
            true => None,
            false => {
                let output = Output::Contributions { class: None };
                let input = ecommerce_ml_protocol::Input::Texts(texts);
                Some((RequestStream::submit(output, self.model, input)?, batch))
            }
        };
        let Some((stream, batch)) = std::mem::replace(&mut self.in_flight, sent) else { return Ok(()) };
        let answers = stream.finish()?;
        for (row, (key, text)) in batch.into_iter().enumerate() {
            let contributions = answers.explanation(row)?.map(|explanation| &explanation.contributions);
            if let Some(Contributions::Spans(spans)) = contributions {
                let piece = |span: &ecommerce_ml_protocol::SpanContribution| Piece {
                    start: span.start as usize,
                    length: span.length as usize,
                    contribution: f64::from(span.contribution),
                };
                let pieces: Vec<Piece> = spans.iter().map(piece).collect();
                self.count(key, &text, &pieces);
            }
        }
        Ok(())
    }

    fn count(&mut self, key: Option<String>, text: &str, pieces: &[Piece]) {
        if self.key.as_ref() != Some(&key) {
            self.end_key();
            self.key = Some(key);
        }
        self.tally.add(text, &extract(text, pieces, self.least));
    }

    fn end_key(&mut self) {
        let Some(key) = self.key.take() else { return };
        let tally = std::mem::take(&mut self.tally);
        for (raising, sentiment) in [(false, Sentiment::Negative), (true, Sentiment::Positive)] {
            let strongest = tally.strongest(raising, self.options.phrases, self.options.min_reviews);
            self.found.extend(strongest.into_iter().map(|counted: CountedPhrase| {
                let texts = i64::try_from(counted.texts).unwrap_or(i64::MAX);
                let CountedPhrase { phrase, contribution, example, .. } = counted;
                (key.clone(), phrase, sentiment.as_str(), texts, contribution, example)
            }));
        }
    }
}
