//! What one group of an aggregate call has counted.
//!
//! It must not know which plan it is part of. Invariant: [`GroupState::answered`] holds every review that was given before.

use std::cell::RefCell;
use std::rc::Rc;

use super::accumulator::Accumulator;
use super::pool::Pool;
use crate::catalog::resolve::Resolved;
use crate::error::Error;

/// The state of a group.
#[derive(Default)]
pub struct GroupState {
    /// Shared with the pool, which adds what it learns.
    accumulator: Rc<RefCell<Accumulator>>,
    /// Where texts of this group may still wait. None do in a group of stored numbers.
    pool: Option<Rc<RefCell<Pool>>>,
}

impl GroupState {
    /// A group of reviews, which wait in this pool.
    pub fn pooled(pool: Rc<RefCell<Pool>>) -> Self {
        Self { pool: Some(pool), ..Self::default() }
    }

    /// A group that has been counted elsewhere.
    pub fn counted(accumulator: Accumulator) -> Self {
        Self { accumulator: Rc::new(RefCell::new(accumulator)), pool: None }
    }

    /// Counts a review, now or later.
    ///
    /// # Errors
    /// As [`Pool::add`].
    pub fn review(&self, model: &Rc<Resolved>, text: &str) -> Result<(), Error> {
        let pool = self.pool.as_ref().ok_or(Error::Unexpected("a review for a group of stored numbers"))?;
        pool.borrow_mut().add(model, text, &self.accumulator)
    }

    /// Adds numbers so many times; a negative number takes them back.
    ///
    /// # Errors
    /// As [`Accumulator::add`].
    pub fn add(&self, accumulator: &Accumulator, times: i64) -> Result<(), Error> {
        self.accumulator.borrow_mut().add(accumulator, times)
    }

    /// Everything that was counted, asking for what still waits.
    ///
    /// # Errors
    /// As [`Pool::finish`].
    pub fn answered(&self) -> Result<Accumulator, Error> {
        if let Some(pool) = &self.pool {
            pool.borrow_mut().finish()?;
        }
        Ok(*self.accumulator.borrow())
    }
}
