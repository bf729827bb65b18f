//! Arguments that are counts.

use crate::error::Error;

/// The number of an argument that is a count.
///
/// # Errors
/// [`Error::ArgumentValue`].
pub fn size(argument: &'static str, value: i32) -> Result<usize, Error> {
    let expected = "at least 1";
    usize::try_from(value).ok().filter(|size| *size > 0).ok_or(Error::ArgumentValue { argument, expected })
}
