//! Whether a training fits into the memory that it may take.
//!
//! It must not know what takes memory. Invariant: nobody is let through whose estimate is above the limit.

use ecommerce_ml_protocol::{EngineError, ErrorKind};

/// Lets through what takes no more than a limit, both in bytes. What there is to be told of it is made only if it takes more: a
/// sentence on what is large, and one on what could be smaller.
///
/// # Errors
/// [`ErrorKind::OutOfMemory`].
pub fn within(
    estimate: u64,
    limit: u64,
    told: impl FnOnce() -> (String, &'static str),
) -> Result<u64, EngineError> {
    if estimate <= limit {
        return Ok(estimate);
    }
    let message =
        format!("training needs about {estimate} bytes of memory, more than the {limit} it may take");
    let (detail, hint) = told();
    Err(EngineError::new(ErrorKind::OutOfMemory, message).with_detail(detail).with_hint(hint))
}
