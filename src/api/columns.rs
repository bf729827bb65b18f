//! The arguments that name columns.

use std::ffi::CStr;

use pgrx::Array;

use crate::error::Error;
use crate::evaluation::NamedColumns;

/// The columns that a call names: of text, label, features, keys and time.
///
/// # Errors
/// [`Error::ArgumentHasNull`].
pub fn named_columns(
    text: Option<&CStr>,
    label: Option<&CStr>,
    features: Option<Array<'_, &CStr>>,
    keys: Option<Array<'_, &CStr>>,
    time: Option<&CStr>,
) -> Result<NamedColumns, Error> {
    Ok(NamedColumns {
        text: text.map(column_name),
        label: label.map(column_name),
        features: column_names("feature_columns", features)?,
        keys: column_names("key_columns", keys)?,
        time: time.map(column_name),
    })
}

/// The name of a column.
pub fn column_name(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}

/// The names of columns that an argument has, if it is there.
///
/// # Errors
/// [`Error::ArgumentHasNull`].
pub fn column_names(
    argument: &'static str,
    names: Option<Array<'_, &CStr>>,
) -> Result<Option<Vec<String>>, Error> {
    let Some(names) = names else { return Ok(None) };
    let name = |name: Option<&CStr>| name.map(column_name).ok_or(Error::ArgumentHasNull(argument));
    names.iter().map(name).collect::<Result<_, _>>().map(Some)
}
