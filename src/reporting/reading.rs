//! The texts of a sample through a model, and of those of the two periods each clause that speaks of a topic.
//!
//! Invariant: rows come by text, so that each different text is sent once; two batches are held, one that the engine works on and one
//! that is being collected.

use std::collections::HashMap;
use std::rc::Rc;

use ecommerce_ml_aspects::aspects::Aspects;
use ecommerce_ml_protocol::{self as protocol, LabelScheme, Output, Prediction, Sentiment};
use ecommerce_ml_report::input::{Input, MOST_TOPICS, Reading, Review, Text, Tone};
use pgrx::spi::{self, SpiHeapTupleData};

use crate::aspects::judgement::{Asked, Judgement, Questions};
use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::guc;
use crate::inference::{RequestStream, check_length};
use crate::rows;

/// Characters of a text that are kept for its topics, its words, its phrases and to be shown.
const KEPT: usize = 2000;

/// Most bytes of texts in a batch.
const BATCH_BYTES: usize = 4 << 20;

/// A row of the sample.
struct Row {
    product: Option<String>,
    day: i64,
    stars: Option<f64>,
    review: String,
    order: u64,
    is_compared: bool,
}

fn read_row(row: &SpiHeapTupleData<'_>) -> spi::Result<Row> {
    let order = row.get::<i64>(5)?.and_then(|order| u64::try_from(order).ok());
    Ok(Row {
        product: row.get(1)?,
        day: row.get(2)?.unwrap_or_default(),
        stars: row.get(3)?,
        review: row.get(4)?.unwrap_or_default(),
        order: order.unwrap_or_default(),
        is_compared: row.get(6)?.unwrap_or(false),
    })
}

/// Reads the rows of a query, as [`super::sample::query`] makes one, into the input.
///
/// # Errors
/// [`Error::TextTooLong`] and the engine's.
pub fn read(
    model: &Rc<Resolved>,
    scheme: LabelScheme,
    query: &str,
    topics: &Aspects,
    input: &mut Input,
) -> Result<(), Error> {
    let names = input.products.iter().enumerate().map(|(at, product)| (product.name.clone(), at));
    let mut sample = Sample {
        model,
        scheme,
        topics,
        products: names.collect(),
        latest: None,
        batch: Batch::default(),
        in_flight: None,
        input,
    };
    rows::for_each(query, &[], read_row, |row| sample.take(row))?;
    sample.rotate()?;
    sample.rotate()
}

/// What a model is asked about some texts.
#[derive(Default)]
struct Batch {
    questions: Questions,
    bytes: usize,
    /// Places of texts among those of the input, and of the answers about them.
    texts: Vec<(usize, usize)>,
    clauses: Vec<Clause>,
}

/// A clause that speaks of topics.
struct Clause {
    /// Its text, among those of the input.
    text: usize,
    /// A bit each.
    topics: u64,
    asked: Asked,
}

/// The same, with what a model says of it.
struct Judged {
    text: usize,
    topics: u64,
    said: Judgement,
}

impl Batch {
    /// Adds a text.
    fn add(&mut self, text: usize, review: &str) {
        self.bytes += review.len();
        self.texts.push((text, self.questions.push(review)));
    }

    /// Adds the clauses of a text that speak of topics.
    fn add_clauses(&mut self, text: usize, review: &str, aspects: &Aspects) {
        for clause in aspects.clauses(review) {
            let topics = clause.aspects.iter().filter(|topic| **topic < MOST_TOPICS);
            let topics = topics.fold(0, |all, topic| all | 1 << topic);
            if topics != 0 {
                self.bytes += clause.text.len() + clause.sentence.len();
                self.clauses.push(Clause { text, topics, asked: self.questions.add(&clause) });
            }
        }
    }

    fn is_full(&self) -> bool {
        self.texts.len() + self.clauses.len() >= guc::batch_size() || self.bytes >= BATCH_BYTES
    }
}

struct Sample<'a> {
    model: &'a Rc<Resolved>,
    scheme: LabelScheme,
    topics: &'a Aspects,
    products: HashMap<Option<String>, usize>,
    /// The text of the last row.
    latest: Option<String>,
    batch: Batch,
    in_flight: Option<(RequestStream, Batch)>,
    input: &'a mut Input,
}

impl Sample<'_> {
    fn take(&mut self, row: Row) -> Result<(), Error> {
        if protocol::is_blank(&row.review) {
            return Ok(());
        }
        if self.latest.as_ref() != Some(&row.review) {
            check_length(&row.review)?;
            self.latest = Some(row.review.clone());
            self.input.texts.push(Text { order: row.order, ..Text::default() });
            self.batch.add(self.input.texts.len() - 1, &row.review);
        }
        let text = self.input.texts.len() - 1;
        if let Some(last) = self.input.texts.last_mut() {
            last.order = last.order.min(row.order);
            if row.is_compared && last.content.is_empty() {
                last.content = row.review.chars().take(KEPT).collect();
                self.batch.add_clauses(text, &last.content, self.topics);
            }
        }
        let product = if row.is_compared { self.products.get(&row.product).copied() } else { None };
        self.input.reviews.push(Review { product, day: row.day, stars: row.stars, text });
        if self.batch.is_full() { self.rotate() } else { Ok(()) }
    }

    /// Sends what was collected, then waits for what was sent before.
    fn rotate(&mut self) -> Result<(), Error> {
        let mut batch = std::mem::take(&mut self.batch);
        let texts = batch.questions.take();
        let sent = match texts.is_empty() {
            true => None,
            false => {
                let input = protocol::Input::Texts(texts);
                Some((RequestStream::submit(Output::Prediction, self.model, input)?, batch))
            }
        };
        let Some((stream, batch)) = std::mem::replace(&mut self.in_flight, sent) else { return Ok(()) };
        let answers = stream.finish()?;
        for (place, row) in batch.texts {
            let reading = answers.prediction(row)?.and_then(|prediction| reading(self.scheme, prediction));
            if let Some(text) = self.input.texts.get_mut(place) {
                text.reading = reading;
            }
        }
        let mut clauses = Vec::with_capacity(batch.clauses.len());
        for Clause { text, topics, asked } in batch.clauses {
            clauses.push(Judged { text, topics, said: asked.judgement(&answers)? });
        }
        for own in clauses.chunk_by(|one, other| one.text == other.text) {
            if let Some(text) = own.first().and_then(|first| self.input.texts.get_mut(first.text)) {
                text.topics = own.iter().fold(0, |all, one| all | one.topics);
                text.negative_topics = negative_topics(own);
            }
        }
        Ok(())
    }
}

/// The topics whose strongest clause is negative, of the clauses of a text.
fn negative_topics(clauses: &[Judged]) -> u64 {
    let is_negative = |bit: &usize| {
        let own = clauses.iter().filter(|one| one.topics >> bit & 1 == 1);
        let scored = own.filter_map(|one| one.said.score.zip(one.said.sentiment));
        // Of equals the first.
        let strongest = scored.reduce(|one, other| if other.0.abs() > one.0.abs() { other } else { one });
        strongest.is_some_and(|(_, sentiment)| sentiment == Sentiment::Negative)
    };
    (0..MOST_TOPICS).filter(is_negative).fold(0, |all, bit| all | 1 << bit)
}

fn reading(scheme: LabelScheme, prediction: Prediction<'_>) -> Option<Reading> {
    let Prediction::Class { probabilities, .. } = prediction else { return None };
    let found = scheme.read(probabilities);
    let tone = match found.sentiment? {
        Sentiment::Negative => Tone::Negative,
        Sentiment::Neutral => Tone::Neutral,
        Sentiment::Positive => Tone::Positive,
    };
    Some(Reading { tone, score: f64::from(found.score?), stars: found.rating.map(f64::from) })
}
