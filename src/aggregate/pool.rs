//! Texts that wait for their verdict, of all groups of one aggregate call.
//!
//! Groups are many and often small, so their texts are asked together: when a request's worth has come, and all the rest
//! when the first group is to be shown. It must not know what a group is: verdicts are added to tallies, held weakly,
//! so that a group whose memory was released meanwhile is passed over. Invariant: texts that wait stay below
//! [`max_bytes`], unless it is one alone, and while rows go on coming at most one request is in flight.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use ecommerce_ml_protocol::{
    Answers, Input, LabelScheme, MAX_TEXT_BYTES, Output, Prediction, Reading, ReplyBody, RequestBody,
};
use pgrx::pg_sys;

use super::accumulator::Accumulator;
use crate::catalog::resolve::Resolved;
use crate::client::{self, PartOutcome, PendingResponse};
use crate::error::Error;
use crate::guc;
use crate::inference::guess_counts;

/// Most bytes that wait, however large `work_mem` is.
const MAX_BYTES: usize = 4 << 20;
/// The engine works on one request while the next waits for it.
const IN_FLIGHT: usize = 2;
/// What a text costs here beside its bytes.
const TEXT_BYTES: usize = size_of::<String>() + size_of::<usize>() + size_of::<Receivers>();

/// Where the verdict of a text goes.
type Receivers = Vec<Receiver>;

struct Receiver {
    accumulator: Weak<RefCell<Accumulator>>,
    /// How often its group has met the text.
    times: i64,
}

/// Texts for one model.
struct ModelBatch {
    model: Rc<Resolved>,
    /// Each distinct text's place in `receivers`.
    places: HashMap<String, usize>,
    receivers: Vec<Receivers>,
}

struct InFlightRequest {
    response: PendingResponse,
    model: Rc<Resolved>,
    /// In the order of the request's texts.
    receivers: Vec<Receivers>,
}

/// The texts that wait and those that are being read.
#[derive(Default)]
pub struct Pool {
    /// One for each model, none empty.
    waiting: Vec<ModelBatch>,
    /// Bytes in `waiting`.
    bytes: usize,
    in_flight: VecDeque<InFlightRequest>,
}

impl Pool {
    /// Has a text's verdict added to an accumulator, at the latest by [`finish`](Self::finish). Blank ones have none.
    ///
    /// # Errors
    /// [`Error::TextTooLong`], and those of earlier texts, as [`finish`](Self::finish).
    pub fn add(
        &mut self,
        model: &Rc<Resolved>,
        text: &str,
        accumulator: &Rc<RefCell<Accumulator>>,
    ) -> Result<(), Error> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(Error::TextTooLong(text.len()));
        }
        if self.bytes > 0 && self.bytes + text.len() > max_bytes() {
            self.submit_all()?;
        }
        let place = self.batch_for(model);
        self.bytes += self.waiting[place].add(text, accumulator);
        if self.waiting[place].receivers.len() >= guc::batch_size() { self.submit(place) } else { Ok(()) }
    }

    /// Has every verdict added that is still out.
    ///
    /// # Errors
    /// [`Error::NoMeaning`] if a model doesn't tell sentiments apart, and those of asking.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.submit_all()?;
        while !self.in_flight.is_empty() {
            self.finish_first()?;
        }
        Ok(())
    }

    /// Place of the batch for a model. Two names of one model share it.
    fn batch_for(&mut self, model: &Rc<Resolved>) -> usize {
        let same = |batch: &ModelBatch| {
            Rc::ptr_eq(&batch.model, model) || batch.model.reference.source == model.reference.source
        };
        self.waiting.iter().position(same).unwrap_or_else(|| {
            self.waiting.push(ModelBatch {
                model: Rc::clone(model),
                places: HashMap::new(),
                receivers: Vec::new(),
            });
            self.waiting.len() - 1
        })
    }

    fn submit_all(&mut self) -> Result<(), Error> {
        while !self.waiting.is_empty() {
            self.submit(0)?;
        }
        Ok(())
    }

    fn submit(&mut self, place: usize) -> Result<(), Error> {
        let batch = self.waiting.swap_remove(place);
        self.bytes = self.bytes.saturating_sub(batch.bytes());
        let model = Rc::clone(&batch.model);
        let (texts, receivers) = batch.wanted();
        if texts.is_empty() {
            return Ok(());
        }
        let (input, output) = (Input::Texts(texts), Output::Prediction);
        let request = RequestBody::Predict { model: model.reference.clone(), input, output };
        let response = client::submit(request)?;
        client::push()?;
        self.in_flight.push_back(InFlightRequest { response, model, receivers });
        if self.in_flight.len() == IN_FLIGHT { self.finish_first() } else { Ok(()) }
    }

    fn finish_first(&mut self) -> Result<(), Error> {
        match self.in_flight.pop_front() {
            Some(flight) => flight.finish(),
            None => Ok(()),
        }
    }
}

impl ModelBatch {
    /// Returns by how many bytes it grew. A text that comes again costs room only for whom to tell.
    fn add(&mut self, text: &str, accumulator: &Rc<RefCell<Accumulator>>) -> usize {
        let mut grown = 0;
        let place = self.places.get(text).copied().unwrap_or_else(|| {
            grown = text.len() + TEXT_BYTES;
            self.receivers.push(Vec::new());
            self.places.insert(text.to_owned(), self.receivers.len() - 1);
            self.receivers.len() - 1
        });
        let receivers = &mut self.receivers[place];
        match receivers.last_mut() {
            Some(last) if std::ptr::eq(last.accumulator.as_ptr(), Rc::as_ptr(accumulator)) => last.times += 1,
            _ => {
                receivers.push(Receiver { accumulator: Rc::downgrade(accumulator), times: 1 });
                grown += size_of::<Receiver>();
            }
        }
        grown
    }

    fn bytes(&self) -> usize {
        let texts: usize = self.places.keys().map(|text| text.len() + TEXT_BYTES).sum();
        let receivers: usize = self.receivers.iter().map(Vec::len).sum();
        texts + receivers * size_of::<Receiver>()
    }

    /// The texts whose verdict somebody still waits for, and who.
    fn wanted(mut self) -> (Vec<String>, Vec<Receivers>) {
        let mut texts = Vec::with_capacity(self.places.len());
        let mut wanted = Vec::with_capacity(self.places.len());
        for (text, place) in self.places {
            let receivers = std::mem::take(&mut self.receivers[place]);
            if receivers.iter().any(|receiver| receiver.accumulator.strong_count() > 0) {
                texts.push(text);
                wanted.push(receivers);
            }
        }
        (texts, wanted)
    }
}

impl InFlightRequest {
    fn finish(self) -> Result<(), Error> {
        let mut receivers = self.receivers.iter();
        for outcome in self.response.finish()? {
            let (answers, unread) = match outcome {
                PartOutcome::Answered(ReplyBody::Answered { answers, unread, .. }) => (answers, unread),
                PartOutcome::Answered(_) => return Err(Error::Unexpected("no predictions")),
                PartOutcome::Refused(text) => return Err(Error::InputFatal(text)),
            };
            let verdicts = Verdicts::of(&self.model, &answers);
            for row in 0..answers.len() {
                let receivers = receivers.next().ok_or(OTHER_NUMBER)?;
                let is_unread = unread.binary_search(&(row as u32)).is_ok();
                if is_unread && !guess_counts(&self.model) {
                    continue;
                }
                if let Some(verdict) = verdicts.verdict(row)? {
                    deliver(&verdict, receivers)?;
                }
            }
        }
        if receivers.next().is_some() { Err(OTHER_NUMBER) } else { Ok(()) }
    }
}

const OTHER_NUMBER: Error = Error::Unexpected("another number of predictions than of texts");

/// What a reply says of each text.
struct Verdicts<'a> {
    model: &'a Resolved,
    answers: &'a Answers,
    labels: &'a [String],
    scheme: LabelScheme,
}

impl<'a> Verdicts<'a> {
    fn of(model: &'a Resolved, answers: &'a Answers) -> Self {
        let labels: &[String] = match answers {
            Answers::Classes { labels, .. } => labels,
            _ => &[],
        };
        Self { model, answers, labels, scheme: LabelScheme::of(labels) }
    }

    /// Of a blank text there is none.
    fn verdict(&self, row: usize) -> Result<Option<Accumulator>, Error> {
        let reading = match self.answers.prediction(row) {
            None => return Ok(None),
            Some(Prediction::Class { probabilities, .. }) => self.scheme.read(probabilities),
            Some(Prediction::Number(_)) => Reading::default(),
        };
        Accumulator::of(reading).map(Some).ok_or_else(|| Error::NoMeaning {
            model: format!("{}@{}", self.model.name, self.model.version),
            wanted: "labels that mean sentiment",
            labels: self.labels.to_vec(),
        })
    }
}

fn deliver(verdict: &Accumulator, receivers: &[Receiver]) -> Result<(), Error> {
    for receiver in receivers {
        if let Some(accumulator) = receiver.accumulator.upgrade() {
            accumulator.borrow_mut().add(verdict, receiver.times)?;
        }
    }
    Ok(())
}

/// A quarter of `work_mem`, within limits.
fn max_bytes() -> usize {
    // SAFETY: a setting of the server's, which changes in this thread only.
    let kilobytes = unsafe { pg_sys::work_mem };
    (usize::try_from(kilobytes).unwrap_or(0) * 1024 / 4).min(MAX_BYTES)
}
