//! Elements of arrays of numbers as columns of their own: `sizes[2]` is the second number of `sizes`.
//!
//! A type that the server casts to `real[]` by a function, as pgvector's do, is read as an array too. It must not know models.
//! Invariant: elements are counted from 1, wherever an array's own subscripts begin.

use std::ffi::c_char;
use std::ptr;

use ecommerce_ml_protocol::{Field, ValueType};
use pgrx::IntoDatum;
use pgrx::pg_sys::{self, Datum};

use super::value::ValueReader;

/// Most numbers of an array.
pub const MAX_ELEMENTS: usize = 4096;

/// What an array is called of which this is an element, and which one it is, from 1; nothing for other names.
pub fn element(name: &str) -> Option<(&str, usize)> {
    let (array, number) = name.strip_suffix(']')?.rsplit_once('[')?;
    let is_plain = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|number| (1..=MAX_ELEMENTS).contains(number));
    number.filter(|_| is_plain && !array.is_empty()).map(|number| (array, number))
}

/// The name of an element of an array.
pub fn element_name(array: &str, number: usize) -> String {
    format!("{array}[{number}]")
}

/// How many elements of an array these fields are; 0 if it isn't there.
pub fn elements(fields: &[Field], array: &str) -> usize {
    fields.iter().filter(|field| element(&field.name).is_some_and(|(name, _)| name == array)).count()
}

/// How arrays of a type are read.
pub struct ArrayReader {
    /// The function that makes arrays of the values, and how many arguments it takes; of arrays themselves none.
    cast: Option<(pg_sys::Oid, i32)>,
    element: ValueReader,
    element_type: pg_sys::Oid,
    length: i16,
    by_value: bool,
    alignment: c_char,
}

impl ArrayReader {
    /// How arrays of numbers are read; nothing for other types.
    ///
    /// # Safety
    /// The type exists.
    pub unsafe fn of(type_oid: pg_sys::Oid) -> Option<Self> {
        // SAFETY: as the caller promises; the element type of an array type exists too.
        unsafe {
            let base = pg_sys::getBaseType(type_oid);
            let element_type = pg_sys::get_element_type(base);
            let (element_type, cast) = if element_type == pg_sys::InvalidOid {
                (pg_sys::FLOAT4OID, Some(cast_of(base)?))
            } else {
                (element_type, None)
            };
            let element =
                ValueReader::of(element_type).filter(|reader| reader.value_type() == ValueType::Number)?;
            let (mut length, mut by_value, mut alignment) = (0, false, 0);
            pg_sys::get_typlenbyvalalign(
                element_type,
                &raw mut length,
                &raw mut by_value,
                &raw mut alignment,
            );
            Some(Self { cast, element, element_type, length, by_value, alignment })
        }
    }

    /// The type of the elements.
    pub fn element_type(&self) -> pg_sys::Oid {
        self.element_type
    }

    /// Whether values have to be cast to `real[]` first.
    pub fn is_cast(&self) -> bool {
        self.cast.is_some()
    }

    /// The numbers of an array.
    ///
    /// # Errors
    /// The number of its dimensions, if these are several.
    ///
    /// # Safety
    /// The value is of the type that this was made for. What is unpacked is in the current memory context.
    pub unsafe fn read(&self, value: Datum) -> Result<Vec<Option<f64>>, i32> {
        // SAFETY: as the caller promises; the server fills both lists with as many elements as it says.
        unsafe {
            let value = self.cast.map_or(value, |cast| call(cast, value));
            let array: *mut pg_sys::ArrayType = pg_sys::pg_detoast_datum(value.cast_mut_ptr()).cast();
            match (*array).ndim {
                0 => return Ok(Vec::new()),
                1 => {}
                several => return Err(several),
            }
            let (mut values, mut nulls, mut count) = (ptr::null_mut(), ptr::null_mut(), 0);
            pg_sys::deconstruct_array(
                array,
                self.element_type,
                i32::from(self.length),
                self.by_value,
                self.alignment,
                &raw mut values,
                &raw mut nulls,
                &raw mut count,
            );
            let number = |at: usize| {
                let is_null: bool = *nulls.add(at);
                (!is_null).then(|| self.element.number(*values.add(at))).flatten()
            };
            Ok((0..usize::try_from(count).unwrap_or(0)).map(number).collect())
        }
    }
}

/// The function that casts values of a type to `real[]`, and its number of arguments.
///
/// # Safety
/// The type exists.
unsafe fn cast_of(base: pg_sys::Oid) -> Option<(pg_sys::Oid, i32)> {
    let mut function = pg_sys::InvalidOid;
    // SAFETY: as the caller promises; a function of a cast exists.
    unsafe {
        let path = pg_sys::find_coercion_pathway(
            pg_sys::FLOAT4ARRAYOID,
            base,
            pg_sys::CoercionContext::COERCION_EXPLICIT,
            &raw mut function,
        );
        (path == pg_sys::CoercionPathType::COERCION_PATH_FUNC)
            .then(|| (function, pg_sys::get_func_nargs(function)))
    }
}

/// Calls the function of a cast, which may want to know a modifier and whether the cast is explicit.
unsafe fn call((function, arguments): (pg_sys::Oid, i32), value: Datum) -> Datum {
    let modifier = (-1_i32).into_datum().unwrap_or(Datum::from(0));
    let collation = pg_sys::InvalidOid;
    // SAFETY: as the caller promises; the function takes so many arguments.
    unsafe {
        match arguments {
            1 => pg_sys::OidFunctionCall1Coll(function, collation, value),
            2 => pg_sys::OidFunctionCall2Coll(function, collation, value, modifier),
            _ => pg_sys::OidFunctionCall3Coll(function, collation, value, modifier, Datum::from(true)),
        }
    }
}
