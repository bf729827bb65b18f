//! A computation that has begun.
//!
//! It must not know what is computed. Invariant: what a device computes needs no thread here until its result is waited for.

use std::fmt;

use ecommerce_ml_protocol::EngineError;

/// Waits for a result.
type Wait<T> = Box<dyn FnOnce() -> Result<T, EngineError> + Send>;

/// A result, or the right to wait for it.
pub enum Begun<T> {
    /// It is there.
    Done(T),
    /// A device with memory of its own computes it meanwhile.
    Pending(Wait<T>),
}

impl<T: 'static> Begun<T> {
    /// Waits for the result, if it isn't there.
    ///
    /// # Errors
    /// If the computation fails.
    pub fn finish(self) -> Result<T, EngineError> {
        match self {
            Begun::Done(result) => Ok(result),
            Begun::Pending(wait) => wait(),
        }
    }

    /// What becomes of the result as soon as it is there.
    ///
    /// # Errors
    /// Those of `next`, if the result is there.
    pub fn and_then<U>(
        self,
        next: impl FnOnce(T) -> Result<U, EngineError> + Send + 'static,
    ) -> Result<Begun<U>, EngineError> {
        match self {
            Begun::Done(result) => next(result).map(Begun::Done),
            Begun::Pending(wait) => Ok(Begun::Pending(Box::new(move || next(wait()?)))),
        }
    }
}

impl<T> fmt::Debug for Begun<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Begun::Done(_) => "Done",
            Begun::Pending(_) => "Pending",
        })
    }
}
