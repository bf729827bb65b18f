//! The texts of a sample through a model.
//!
//! Invariant: rows come by text, so that each different text is sent once; two batches are held, one that the engine works on and one
//! that is being collected.

use std::collections::HashMap;
use std::rc::Rc;

use ecommerce_ml_protocol::{self as protocol, LabelScheme, Output, Prediction};
use ecommerce_ml_report::input::{Input, Reading, Review, Text, Tone};
use ecommerce_ml_report::topics::Topics;
use pgrx::spi::{self, SpiHeapTupleData};

use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::guc;
use crate::inference::{RequestStream, check_length};
use crate::rows;

/// Characters of a text that are kept for its words, its phrases and to be shown.
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
    topics: &Topics,
    input: &mut Input,
) -> Result<(), Error> {
    let names = input.products.iter().enumerate().map(|(at, product)| (product.name.clone(), at));
    let mut sample = Sample {
        model,
        scheme,
        topics,
        products: names.collect(),
        latest: None,
        batch: Vec::new(),
        bytes: 0,
        in_flight: None,
        input,
    };
    rows::for_each(query, &[], read_row, |row| sample.take(row))?;
    sample.rotate()?;
    sample.rotate()
}

/// Places of texts among those of the input, and what they say.
type Batch = Vec<(usize, String)>;

struct Sample<'a> {
    model: &'a Rc<Resolved>,
    scheme: LabelScheme,
    topics: &'a Topics,
    products: HashMap<Option<String>, usize>,
    /// The text of the last row.
    latest: Option<String>,
    batch: Batch,
    bytes: usize,
    in_flight: Option<(RequestStream, Vec<usize>)>,
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
            let topics = self.topics.of(&row.review);
            self.input.texts.push(Text { topics, order: row.order, ..Text::default() });
            self.bytes += row.review.len();
            self.batch.push((self.input.texts.len() - 1, row.review.clone()));
        }
        let text = self.input.texts.len() - 1;
        if let Some(last) = self.input.texts.last_mut() {
            last.order = last.order.min(row.order);
            if row.is_compared && last.content.is_empty() {
                last.content = row.review.chars().take(KEPT).collect();
            }
        }
        let product = if row.is_compared { self.products.get(&row.product).copied() } else { None };
        self.input.reviews.push(Review { product, day: row.day, stars: row.stars, text });
        let is_full = self.batch.len() >= guc::batch_size() || self.bytes >= BATCH_BYTES;
        if is_full { self.rotate() } else { Ok(()) }
    }

    /// Sends what was collected, then waits for what was sent before.
    fn rotate(&mut self) -> Result<(), Error> {
        let (places, texts): (Vec<usize>, Vec<String>) = std::mem::take(&mut self.batch).into_iter().unzip();
        self.bytes = 0;
        let sent = match texts.is_empty() {
            true => None,
            false => {
                let input = protocol::Input::Texts(texts);
                Some((RequestStream::submit(Output::Prediction, self.model, input)?, places))
            }
        };
        let Some((stream, places)) = std::mem::replace(&mut self.in_flight, sent) else { return Ok(()) };
        let answers = stream.finish()?;
        for (row, place) in places.into_iter().enumerate() {
            let reading = answers.prediction(row)?.and_then(|prediction| reading(self.scheme, prediction));
            if let Some(text) = self.input.texts.get_mut(place) {
                text.reading = reading;
            }
        }
        Ok(())
    }
}

fn reading(scheme: LabelScheme, prediction: Prediction<'_>) -> Option<Reading> {
    let Prediction::Class { probabilities, .. } = prediction else { return None };
    let found = scheme.read(probabilities);
    let tone = match found.sentiment? {
        protocol::Sentiment::Negative => Tone::Negative,
        protocol::Sentiment::Neutral => Tone::Neutral,
        protocol::Sentiment::Positive => Tone::Positive,
    };
    Some(Reading { tone, score: f64::from(found.score?), stars: found.rating.map(f64::from) })
}
