//! What the rows of a moving window add up to.
//!
//! A row that leaves takes back what it brought, so the verdict of each distinct text is kept while the text is inside:
//! a text is asked for when it enters, and not again. Texts are known by their hash, so that memory depends on
//! their number, not their length. Invariant: `sum` holds the answered texts, each as often as it is inside.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::accumulator::Accumulator;
use super::pool::Pool;
use crate::catalog::resolve::Resolved;
use crate::error::Error;

/// Hash of a text and the model that reads it.
type Key = [u8; 32];

/// The state of a window.
pub struct MovingState {
    pool: Rc<RefCell<Pool>>,
    sum: Accumulator,
    texts: HashMap<Key, WindowText>,
    /// Texts whose verdict may not be known yet; some may have left.
    unanswered: Vec<Key>,
}

/// A text in the window.
struct WindowText {
    /// Its verdict, once answered.
    verdict: Rc<RefCell<Accumulator>>,
    times: i64,
    answered: bool,
}

impl MovingState {
    /// An empty window whose texts wait in this pool.
    pub fn new(pool: Rc<RefCell<Pool>>) -> Self {
        Self { pool, sum: Accumulator::default(), texts: HashMap::new(), unanswered: Vec::new() }
    }

    /// A review comes in.
    ///
    /// # Errors
    /// As [`Pool::add`].
    pub fn enter(&mut self, model: &Rc<Resolved>, text: &str) -> Result<(), Error> {
        let key = key(model, text);
        if let Some(inside) = self.texts.get_mut(&key) {
            inside.times += 1;
            return if inside.answered { self.sum.add(&inside.verdict.borrow(), 1) } else { Ok(()) };
        }
        let verdict = Rc::default();
        self.pool.borrow_mut().add(model, text, &verdict)?;
        self.texts.insert(key, WindowText { verdict, times: 1, answered: false });
        self.unanswered.push(key);
        Ok(())
    }

    /// A review goes out. Returns `false` if it never came in, as where a name meant another model then.
    ///
    /// # Errors
    /// As [`Accumulator::add`].
    pub fn leave(&mut self, model: &Rc<Resolved>, text: &str) -> Result<bool, Error> {
        let key = key(model, text);
        let Some(inside) = self.texts.get_mut(&key) else { return Ok(false) };
        inside.times -= 1;
        if inside.answered {
            self.sum.add(&inside.verdict.borrow(), -1)?;
        }
        if inside.times == 0 {
            self.texts.remove(&key);
        }
        Ok(true)
    }

    /// What is inside, asking for what still waits.
    ///
    /// # Errors
    /// As [`Pool::finish`].
    pub fn answered(&mut self) -> Result<Accumulator, Error> {
        self.pool.borrow_mut().finish()?;
        for key in self.unanswered.drain(..) {
            // One that left and came back is here twice.
            if let Some(inside) = self.texts.get_mut(&key).filter(|inside| !inside.answered) {
                inside.answered = true;
                self.sum.add(&inside.verdict.borrow(), inside.times)?;
            }
        }
        Ok(self.sum)
    }
}

fn key(model: &Resolved, text: &str) -> Key {
    let mut hash = Sha256::new();
    hash.update(model.name.as_bytes());
    hash.update(model.version.to_le_bytes());
    hash.update(text.as_bytes());
    hash.finalize().into()
}
