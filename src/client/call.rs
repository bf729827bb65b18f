//! One call and the requests that it is asked in: one, or, once an engine was lost over it, ever smaller parts.
//!
//! It must not know connections. Invariant: the parts, in their order, make up the call; a part that was under way when an
//! engine was lost is divided, and what can't be divided is asked alone, so that after some losses it is known which input
//! engines die of, and only that one is refused, after [`TRIALS`] engines died of it while they worked on nothing else.

use std::rc::Rc;

use ecommerce_ml_protocol::{
    DecodeError, ReplyBody, Request, RequestBody, RequestId, Sha256, Stage, encode_frame,
};

use super::fatal;
use super::request_parts::{self, InputDigest, RequestWork};
use crate::error::Error;

/// Engines that an input, or a model, may see die while they work on nothing else.
const TRIALS: u32 = 3;

/// What came of a part.
#[derive(Debug)]
pub enum PartOutcome {
    /// The engine's answer.
    Answered(ReplyBody),
    /// This input is one that engines die of.
    Refused(InputDigest),
}

/// What somebody asked.
pub struct Call {
    parts: Vec<Part>,
    /// Why the whole call fails.
    pub error: Option<Error>,
}

/// A request of a call.
pub struct Part {
    pub id: RequestId,
    /// Kept so that it can be sent to another engine; empty once there is an answer.
    pub frame: Rc<[u8]>,
    pub work: RequestWork,
    pub state: State,
    /// Content that the engine wants before it can go on.
    pub wanted: Option<Sha256>,
    /// How many engines were lost over what is in it, since it can't be divided further.
    pub losses: u32,
    /// Whether it was under way when an engine was lost.
    pub is_suspect: bool,
    /// How many engines died while they worked on nothing else, by stage.
    trials: [u32; 2],
}

pub enum State {
    /// To be sent.
    Waiting,
    /// The engine has it.
    Sent,
    /// The engine of this process id works on nothing else.
    Tried(Stage, u32),
    /// That engine was lost. The next one's supervisor knows how.
    Lost(Stage, u32),
    Done(PartOutcome),
}

impl Call {
    /// Of one part.
    ///
    /// # Errors
    /// When the request doesn't fit into a frame.
    pub fn of(id: RequestId, body: RequestBody) -> Result<Self, DecodeError> {
        let work = RequestWork::of(&body);
        Ok(Self { parts: vec![Part::new(work, Request { id, body })?], error: None })
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub fn part(&mut self, id: RequestId) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.id == id)
    }

    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        self.parts.iter_mut()
    }

    /// Whether all parts are done.
    pub fn is_done(&self) -> bool {
        self.parts.iter().all(|part| matches!(part.state, State::Done(_)))
    }

    /// What came of it, once all parts are done.
    pub fn into_outcomes(self) -> Vec<PartOutcome> {
        let outcomes = self.parts.into_iter().map(|part| match part.state {
            State::Done(outcome) => Some(outcome),
            _ => None,
        });
        outcomes.flatten().collect()
    }

    /// Divides what was under way when the engine was lost. `ids` gives ids that are new.
    ///
    /// # Errors
    /// None in practice: a part fits into a frame if the whole did.
    pub fn lose(&mut self, ids: &mut impl FnMut() -> RequestId) -> Result<(), DecodeError> {
        let parts = std::mem::take(&mut self.parts);
        for mut part in parts {
            match part.lose() {
                true => self.parts.extend(part.halves(ids)?),
                false => self.parts.push(part),
            }
        }
        Ok(())
    }

    /// Counts what engines that were lost worked on alone, unless their end is excused. To be called when another engine is
    /// there.
    pub fn count_trials(&mut self, is_excused: impl Fn(u32) -> bool) {
        for part in &mut self.parts {
            let State::Lost(stage, engine) = part.state else { continue };
            part.state = State::Waiting;
            if is_excused(engine) {
                continue;
            }
            let trials = &mut part.trials[stage as usize];
            *trials += 1;
            if *trials < TRIALS {
                continue;
            }
            match stage {
                Stage::Loading => self.error = Some(Error::ModelFatal),
                Stage::Answering => part.refuse(),
            }
        }
    }

    /// Refuses inputs among those still to be sent that engines are known to die of.
    ///
    /// # Errors
    /// None in practice: a part fits into a frame if the whole did.
    pub fn refuse_known(&mut self, ids: &mut impl FnMut() -> RequestId) -> Result<(), DecodeError> {
        let parts = std::mem::take(&mut self.parts);
        for part in parts {
            match (&part.state, part.work) {
                (State::Waiting, RequestWork::Inputs(_)) => self.parts.extend(part.without_refused(ids)?),
                _ => self.parts.push(part),
            }
        }
        Ok(())
    }
}

impl Part {
    fn new(work: RequestWork, request: Request) -> Result<Self, DecodeError> {
        let frame = Rc::from(encode_frame(&request)?);
        let state = State::Waiting;
        Ok(Self {
            id: request.id,
            frame,
            work,
            state,
            wanted: None,
            losses: 0,
            is_suspect: false,
            trials: [0; 2],
        })
    }

    /// Whether an engine has it.
    pub fn is_under_way(&self) -> bool {
        matches!(self.state, State::Sent | State::Tried(..))
    }

    /// Whether it is still to be answered.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Done(_))
    }

    pub fn finish(&mut self, outcome: PartOutcome) {
        self.state = State::Done(outcome);
        self.frame = Rc::from([]);
    }

    /// Whether it is to be answered alone: an engine was lost over it, and it can't be divided.
    pub fn is_for_alone(&self) -> bool {
        self.is_suspect && self.work.is_single()
    }

    /// Notes that the engine is lost; whether the part has to be divided.
    fn lose(&mut self) -> bool {
        let tried = match self.state {
            State::Sent => None,
            State::Tried(stage, engine) => Some((stage, engine)),
            State::Waiting | State::Lost(..) | State::Done(_) => return false,
        };
        self.wanted = None;
        self.state = tried.map_or(State::Waiting, |(stage, engine)| State::Lost(stage, engine));
        self.is_suspect = self.work != RequestWork::Nothing;
        if self.work.is_single() {
            self.losses += 1;
        }
        matches!(self.work, RequestWork::Inputs(2..))
    }

    fn halves(self, ids: &mut impl FnMut() -> RequestId) -> Result<Vec<Self>, DecodeError> {
        let RequestWork::Inputs(inputs) = self.work else { return Ok(vec![self]) };
        let body = request_parts::read(&self.frame)?;
        let halves = [0..inputs / 2, inputs / 2..inputs];
        halves.into_iter().map(|range| self.cut(&body, range, ids)).collect()
    }

    fn cut(
        &self,
        body: &RequestBody,
        range: std::ops::Range<usize>,
        ids: &mut impl FnMut() -> RequestId,
    ) -> Result<Self, DecodeError> {
        let request = Request { id: ids(), body: request_parts::part(body, range.clone()) };
        let part = Self::new(RequestWork::Inputs(range.len()), request)?;
        Ok(Self { is_suspect: self.is_suspect, losses: self.losses, ..part })
    }

    /// This input is what engines die of.
    fn refuse(&mut self) {
        // What we wrote can be read.
        let Ok(body) = request_parts::read(&self.frame) else { return };
        let Ok(input) = request_parts::digest(&body, 0) else { return };
        fatal::note(&body, &input);
        self.finish(PartOutcome::Refused(input));
    }

    fn without_refused(self, ids: &mut impl FnMut() -> RequestId) -> Result<Vec<Self>, DecodeError> {
        let RequestWork::Inputs(inputs) = self.work else { return Ok(vec![self]) };
        let body = request_parts::read(&self.frame)?;
        let (mut parts, mut from) = (Vec::new(), 0);
        for input in 0..inputs {
            let Some(digest) = fatal::recognise(&body, input) else { continue };
            if from < input {
                parts.push(self.cut(&body, from..input, ids)?);
            }
            let mut refused = self.cut(&body, input..input + 1, ids)?;
            refused.finish(PartOutcome::Refused(digest));
            parts.push(refused);
            from = input + 1;
        }
        match from {
            0 => return Ok(vec![self]),
            from if from < inputs => parts.push(self.cut(&body, from..inputs, ids)?),
            _ => {}
        }
        Ok(parts)
    }
}
