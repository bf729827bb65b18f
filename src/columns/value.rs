//! Values of the server's types as values that models read.
//!
//! A date is the instant when it begins in UTC, and so is a timestamp without time zone read as one in UTC, so that an answer doesn't
//! depend on who asks. A date, timestamp or interval that is infinite is none: NULL. Invariant: a type that is read here is read without
//! errors, whatever the value.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;

use ecommerce_ml_protocol::ValueType;
use pgrx::{pg_sys, varlena_to_byte_slice};

use super::builder::ColumnBuilder;
use super::numeric;

/// Microseconds from 1970 to 2000, when the server's time begins.
pub const EPOCH: i64 = 946_684_800_000_000;
const DAY: i64 = 86_400_000_000;
/// Microseconds in a second.
const SECOND: f64 = 1e6;

/// How values of a type are read.
pub enum ValueReader {
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Bool,
    /// `text` and `varchar`.
    Text,
    /// `char(n)`, whose trailing blanks mean nothing.
    Padded,
    /// `"char"`.
    Byte,
    Name,
    /// With the labels that were met.
    Enum(RefCell<HashMap<pg_sys::Oid, String>>),
    Uuid,
    Date,
    /// With or without time zone.
    Timestamp,
    /// Of the day, without time zone.
    Time,
    Interval,
}

impl ValueReader {
    /// How values of this type are read, those of a domain as its base type's; nothing if they aren't.
    ///
    /// # Safety
    /// The type exists.
    pub unsafe fn of(type_oid: pg_sys::Oid) -> Option<Self> {
        // SAFETY: as the caller promises.
        let base = unsafe { pg_sys::getBaseType(type_oid) };
        Some(match base {
            pg_sys::INT2OID => Self::Int2,
            pg_sys::INT4OID => Self::Int4,
            pg_sys::INT8OID => Self::Int8,
            pg_sys::FLOAT4OID => Self::Float4,
            pg_sys::FLOAT8OID => Self::Float8,
            pg_sys::NUMERICOID => Self::Numeric,
            pg_sys::BOOLOID => Self::Bool,
            pg_sys::TEXTOID | pg_sys::VARCHAROID => Self::Text,
            pg_sys::BPCHAROID => Self::Padded,
            pg_sys::CHAROID => Self::Byte,
            pg_sys::NAMEOID => Self::Name,
            pg_sys::UUIDOID => Self::Uuid,
            pg_sys::DATEOID => Self::Date,
            pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => Self::Timestamp,
            pg_sys::TIMEOID => Self::Time,
            pg_sys::INTERVALOID => Self::Interval,
            // SAFETY: as above.
            _ if unsafe { pg_sys::type_is_enum(base) } => Self::Enum(RefCell::default()),
            _ => return None,
        })
    }

    /// What it reads values as.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Float4 | Self::Float8 | Self::Numeric => {
                ValueType::Number
            }
            Self::Time | Self::Interval => ValueType::Number,
            Self::Bool => ValueType::Boolean,
            Self::Text | Self::Padded | Self::Byte | Self::Name | Self::Enum(_) | Self::Uuid => {
                ValueType::Text
            }
            Self::Date | Self::Timestamp => ValueType::Timestamp,
        }
    }

    /// Appends a value to a column of this [`value_type`](Self::value_type); to one of another, NULL.
    ///
    /// # Safety
    /// The value is of the type that this was made for.
    #[allow(clippy::cast_possible_truncation)]
    pub unsafe fn append(&self, value: pg_sys::Datum, column: &mut ColumnBuilder) {
        let bits = value.value();
        match (self, column) {
            // SAFETY: as the caller promises.
            (_, ColumnBuilder::Number(values)) => values.push(unsafe { self.number(value) }),
            (Self::Bool, ColumnBuilder::Boolean(values)) => values.push(Some(bits as u8 != 0)),
            (Self::Date, ColumnBuilder::Timestamp(values)) => values.push(of_date(bits as i32)),
            (Self::Timestamp, ColumnBuilder::Timestamp(values)) => values.push(of_timestamp(bits as i64)),
            // SAFETY: as the caller promises.
            (_, ColumnBuilder::Text(column)) => unsafe { self.with_text(value, |text| column.push(text)) },
            (_, column) => column.push_null(),
        }
    }

    /// A number; of an interval or a time of day, how many seconds it is. `None` if it is infinite, and if values of this type are
    /// none.
    ///
    /// # Safety
    /// As of [`append`](Self::append).
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub unsafe fn number(&self, value: pg_sys::Datum) -> Option<f64> {
        let bits = value.value();
        match self {
            Self::Int2 => Some(f64::from(bits as i16)),
            Self::Int4 => Some(f64::from(bits as i32)),
            Self::Int8 => Some(bits as i64 as f64),
            Self::Float4 => Some(f64::from(f32::from_bits(bits as u32))),
            Self::Float8 => Some(f64::from_bits(bits as u64)),
            // SAFETY: as the caller promises.
            Self::Numeric => Some(unsafe { numeric::to_double(value) }),
            Self::Time => Some(bits as i64 as f64 / SECOND),
            // SAFETY: as the caller promises.
            Self::Interval => of_interval(unsafe { &*value.cast_mut_ptr::<pg_sys::Interval>() }),
            _ => None,
        }
    }

    /// A timestamp in microseconds since 1970 began in UTC; `None` if it is infinite, or values of this type are none.
    #[allow(clippy::cast_possible_truncation)]
    pub fn timestamp(&self, value: pg_sys::Datum) -> Option<i64> {
        match self {
            Self::Date => of_date(value.value() as i32),
            Self::Timestamp => of_timestamp(value.value() as i64),
            _ => None,
        }
    }

    /// Hands a text over.
    unsafe fn with_text(&self, value: pg_sys::Datum, take: impl FnOnce(&str)) {
        // SAFETY: as the caller promises; what the server unpacks is in the current memory context.
        unsafe {
            match self {
                Self::Text => take(text(value)),
                Self::Padded => take(text(value).trim_end_matches(' ')),
                Self::Name => {
                    let name = CStr::from_ptr(value.cast_mut_ptr::<std::ffi::c_char>());
                    take(&String::from_utf8_lossy(name.to_bytes()));
                }
                #[allow(clippy::cast_possible_truncation)]
                Self::Byte => take(&of_byte(value.value() as u8)),
                Self::Enum(labels) => {
                    let mut labels = labels.borrow_mut();
                    let number = pg_sys::Oid::from(value.value() as u32);
                    take(labels.entry(number).or_insert_with(|| label(value)));
                }
                Self::Uuid => take(&of_uuid(&*value.cast_mut_ptr::<[u8; 16]>())),
                _ => take(""),
            }
        }
    }
}

/// A text of the database, which is in UTF-8: models aren't found in others.
unsafe fn text<'a>(value: pg_sys::Datum) -> &'a str {
    // SAFETY: as the caller promises.
    unsafe {
        let bytes = varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr()));
        str::from_utf8(bytes).unwrap_or_default()
    }
}

/// The label of a value of an enumeration.
unsafe fn label(value: pg_sys::Datum) -> String {
    // SAFETY: as the caller promises.
    let label = unsafe { pgrx::direct_function_call::<&CStr>(pg_sys::enum_out, &[Some(value)]) };
    label.map_or_else(String::new, |label| label.to_string_lossy().into_owned())
}

/// As the server shows a `"char"`: a zero is nothing, and what isn't ASCII is written in octal digits.
fn of_byte(byte: u8) -> String {
    match byte {
        0 => String::new(),
        0x80.. => format!("\\{byte:03o}"),
        _ => char::from(byte).to_string(),
    }
}

fn of_uuid(bytes: &[u8; 16]) -> String {
    let mut shown = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            shown.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            shown.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
        }
    }
    shown
}

/// In seconds, as `extract(epoch from ...)` has it: a year is 365.25 days, a month that is left over 30. None of an infinite one, of
/// which there are some from PostgreSQL 17 on.
#[allow(clippy::cast_precision_loss)]
fn of_interval(interval: &pg_sys::Interval) -> Option<f64> {
    let pg_sys::Interval { time, day, month } = *interval;
    let is_infinite = |least: bool| {
        let (whole, long) = if least { (i32::MIN, i64::MIN) } else { (i32::MAX, i64::MAX) };
        (month, day, time) == (whole, whole, long)
    };
    if is_infinite(true) || is_infinite(false) {
        return None;
    }
    let days = f64::from(month / 12) * 365.25 + f64::from(month % 12) * 30.0 + f64::from(day);
    Some(days * (DAY as f64 / SECOND) + time as f64 / SECOND)
}

/// From days since 2000, in UTC.
fn of_date(days: i32) -> Option<i64> {
    let finite = days != i32::MIN && days != i32::MAX;
    finite.then(|| i64::from(days).saturating_mul(DAY).saturating_add(EPOCH))
}

/// From microseconds since 2000, in UTC.
pub fn of_timestamp(micros: i64) -> Option<i64> {
    (micros != i64::MIN && micros != i64::MAX).then(|| micros.saturating_add(EPOCH))
}
