//! Objects of jsonb.
//!
//! A key is a column. Numbers, strings, booleans and null are what they are; a timestamp is a string that the server reads as
//! `timestamptz`, in UTC unless it says otherwise; an array is one of numbers and nulls. Invariant: nothing is converted: the string "1" is no number.

use std::ffi::{CString, c_char};
use std::panic::AssertUnwindSafe;

use ecommerce_ml_protocol::{Field, ValueType};
use pgrx::pg_sys::{self, Datum, JsonbValue, jbvType};
use pgrx::{IntoDatum, PgTryBuilder};

use super::builder::{ColumnBuilder, RowsBuilder};
use super::element::{element, elements};
use super::error::InputError;
use super::{numeric, value};

/// Characters of a value that an error shows.
const MAX_SHOWN_CHARS: usize = 100;

/// Adds an object to columns of these fields, and returns its number there.
///
/// # Errors
/// [`InputError::NotAnObject`], [`InputError::NoColumn`], [`InputError::JsonType`], [`InputError::NotATime`],
/// [`InputError::Array`], [`InputError::Infinite`].
///
/// # Safety
/// A value of type jsonb. What is unpacked of it is in the current memory context.
pub unsafe fn read(object: Datum, fields: &[Field], rows: &mut RowsBuilder) -> Result<usize, InputError> {
    // SAFETY: as the caller promises.
    unsafe {
        let jsonb: *mut pg_sys::Jsonb = pg_sys::pg_detoast_datum(object.cast_mut_ptr()).cast();
        let root = &raw mut (*jsonb).root;
        if (*root).header & pg_sys::JB_FOBJECT == 0 {
            let is_scalar = (*root).header & pg_sys::JB_FSCALAR != 0;
            return Err(InputError::NotAnObject(if is_scalar { "a JSON value" } else { "a JSON array" }));
        }
        rows.push(|columns| {
            for (field, column) in fields.iter().zip(columns) {
                match (value_at(root, &field.name), element(&field.name)) {
                    (Some(found), _) => append(&found, field, column)?,
                    (None, Some((name, number))) => {
                        let array = value_at(root, name);
                        let array = array.ok_or_else(|| InputError::no_column(name, fields))?;
                        let expected = elements(fields, name);
                        column.push_number(number_of(&array, name, (number, expected))?);
                    }
                    (None, None) => return Err(InputError::no_column(&field.name, fields)),
                }
                if column.ends_infinite() {
                    return Err(InputError::Infinite(field.name.clone()));
                }
            }
            Ok(())
        })
    }
}

/// The value at a key.
unsafe fn value_at(root: *mut pg_sys::JsonbContainer, key: &str) -> Option<JsonbValue> {
    let mut found = JsonbValue::default();
    let length = i32::try_from(key.len()).unwrap_or(0);
    // SAFETY: as the caller promises, an object; the key has this length.
    let there = unsafe {
        pg_sys::getKeyJsonValueFromContainer(root, key.as_ptr().cast::<c_char>(), length, &raw mut found)
    };
    (!there.is_null()).then_some(found)
}

/// One of the numbers of an array, which has so many. NULL is as many.
unsafe fn number_of(
    array: &JsonbValue,
    name: &str,
    (number, expected): (usize, usize),
) -> Result<Option<f64>, InputError> {
    let refused = |found| InputError::no_json_array(name, found, expected);
    if array.type_ == jbvType::jbvNull {
        return Ok(None);
    }
    if array.type_ != jbvType::jbvBinary {
        return Err(refused(json_name(array.type_)));
    }
    // SAFETY: as the caller promises; the server unpacks an element into the current memory context.
    unsafe {
        let container = array.val.binary.data;
        let header = (*container).header;
        if header & pg_sys::JB_FARRAY == 0 {
            return Err(refused("a JSON object"));
        }
        let found = (header & pg_sys::JB_CMASK) as usize;
        if found != expected {
            return Err(InputError::length(name, found, expected));
        }
        let at = u32::try_from(number - 1).unwrap_or(u32::MAX);
        let value = pg_sys::getIthJsonbValueFromContainer(container, at);
        match value.as_ref() {
            Some(value) if value.type_ == jbvType::jbvNumeric => {
                Ok(Some(numeric::to_double(Datum::from(value.val.numeric))))
            }
            Some(value) if value.type_ != jbvType::jbvNull => Err(refused("a JSON array of others")),
            _ => Ok(None),
        }
    }
}

unsafe fn append(found: &JsonbValue, field: &Field, column: &mut ColumnBuilder) -> Result<(), InputError> {
    // SAFETY: the type says which of the values it is.
    unsafe {
        match (found.type_, column) {
            (jbvType::jbvNull, column) => column.push_null(),
            (jbvType::jbvNumeric, ColumnBuilder::Number(values)) => {
                values.push(Some(numeric::to_double(Datum::from(found.val.numeric))));
            }
            (jbvType::jbvBool, ColumnBuilder::Boolean(values)) => values.push(Some(found.val.boolean)),
            (jbvType::jbvString, ColumnBuilder::Text(column)) => column.push(string(found)),
            (jbvType::jbvString, ColumnBuilder::Timestamp(values)) => {
                values.push(timestamp(string(found), &field.name)?);
            }
            (kind, _) => return Err(mismatch(kind, field)),
        }
    }
    Ok(())
}

unsafe fn string(found: &JsonbValue) -> &str {
    // SAFETY: as the caller promises, it is a string.
    unsafe {
        let string = found.val.string;
        let length = usize::try_from(string.len).unwrap_or(0);
        str::from_utf8(std::slice::from_raw_parts(string.val.cast::<u8>(), length)).unwrap_or_default()
    }
}

fn mismatch(kind: jbvType::Type, field: &Field) -> InputError {
    let (column, expected): (_, ValueType) = (field.name.clone(), field.value_type);
    InputError::JsonType { column, found: json_name(kind), expected }
}

/// What a value is called.
fn json_name(kind: jbvType::Type) -> &'static str {
    match kind {
        jbvType::jbvNumeric => "a JSON number",
        jbvType::jbvBool => "a JSON boolean",
        jbvType::jbvString => "a JSON string",
        _ => "a JSON array or object",
    }
}

/// Microseconds since 1970 in UTC, as the server reads a text.
fn timestamp(text: &str, column: &str) -> Result<Option<i64>, InputError> {
    let refused = || InputError::NotATime {
        column: column.to_owned(),
        value: text.chars().take(MAX_SHOWN_CHARS).collect(),
    };
    let Ok(terminated) = CString::new(text) else { return Err(refused()) };
    let parse = AssertUnwindSafe(|| {
        let arguments =
            [terminated.as_c_str().into_datum(), Some(pg_sys::InvalidOid.into()), Some((-1).into())];
        // SAFETY: the input function of `timestamptz` takes a terminated string, a type and a modifier.
        unsafe { pgrx::direct_function_call_as_datum(pg_sys::timestamptz_in, &arguments) }
    });
    // SAFETY: the session's own time zone is back before anything else looks at it. The function reads its argument and
    // settings only, so that there is nothing to be undone when it refuses.
    let parsed = unsafe {
        let own = pg_sys::session_timezone;
        pg_sys::session_timezone = pg_sys::pg_tzset(c"UTC".as_ptr());
        let parsed = PgTryBuilder::new(parse).catch_others(|_| None).execute();
        pg_sys::session_timezone = own;
        parsed
    };
    parsed.map(|parsed| value::of_timestamp(parsed.value() as i64)).ok_or_else(refused)
}
