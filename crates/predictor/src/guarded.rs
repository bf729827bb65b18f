//! Calls into what isn't trusted not to panic.
//!
//! Invariant: a call made through [`guarded`] returns; a panic becomes an error of that call.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ecommerce_ml_protocol::{EngineError, ErrorKind};

/// Calls into a model; a panic becomes [`ErrorKind::Internal`] with the first line of its message.
///
/// # Errors
/// Those of the call, or the panic.
pub fn guarded<T>(call: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    // Unwind safety: callers pass shared models, whose methods take `&self`, and drop everything else on failure.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(from_panic(panic.as_ref())))
}

fn from_panic(panic: &(dyn Any + Send)) -> EngineError {
    let message = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let line = message.lines().next().unwrap_or("no message");
    EngineError::new(ErrorKind::Internal, format!("engine panicked: {line}"))
}
