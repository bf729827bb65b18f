//! The result of a computation that a device may still be at.
//!
//! It must not know what is computed. Invariant: what a device computes needs no thread here until its result is waited for.

use std::fmt;

use ecommerce_ml_protocol::EngineError;

/// Waits for a result.
type Wait<T> = Box<dyn FnOnce() -> Result<T, EngineError> + Send>;

/// A result, or the right to wait for it.
pub enum Deferred<T> {
    /// It is there.
    Ready(T),
    /// A device with memory of its own computes it meanwhile.
    Pending(Wait<T>),
}

impl<T: 'static> Deferred<T> {
    /// Waits for the result, if it isn't there.
    ///
    /// # Errors
    /// If the computation fails.
    pub fn finish(self) -> Result<T, EngineError> {
        match self {
            Deferred::Ready(result) => Ok(result),
            Deferred::Pending(wait) => wait(),
        }
    }

    /// What becomes of the result as soon as it is there.
    ///
    /// # Errors
    /// Those of `next`, if the result is there.
    pub fn and_then<U>(
        self,
        next: impl FnOnce(T) -> Result<U, EngineError> + Send + 'static,
    ) -> Result<Deferred<U>, EngineError> {
        match self {
            Deferred::Ready(result) => next(result).map(Deferred::Ready),
            Deferred::Pending(wait) => Ok(Deferred::Pending(Box::new(move || next(wait()?)))),
        }
    }
}

impl<T> fmt::Debug for Deferred<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Deferred::Ready(_) => "Ready",
            Deferred::Pending(_) => "Pending",
        })
    }
}
