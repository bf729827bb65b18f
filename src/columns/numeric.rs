//! Values of `numeric` as floating-point numbers.
//!
//! The server's own conversion writes a number as text and reads that. Most numbers in tables have few digits, and for those
//! it is one division. The layout is that of numbers on disk, which PostgreSQL has kept since version 9.1. Invariant: the result
//! is the server's, to the bit.

use pgrx::{pg_sys, varlena_to_byte_slice};

/// What the header's first two bits say: a sign, or one of these.
const SHORT: u16 = 0x8000;
const SPECIAL: u16 = 0xC000;
/// Whole numbers below this are exact in a floating-point number.
const EXACT: u64 = 1 << 53;
/// Powers of ten that are exact.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The number; infinite if it is too large for one.
///
/// # Safety
/// A value of type `numeric`.
pub unsafe fn to_double(value: pg_sys::Datum) -> f64 {
    // SAFETY: as the caller promises; the server unpacks it in the current memory context.
    unsafe {
        let packed = pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr());
        if let Some(number) = short_to_double(varlena_to_byte_slice(packed)) {
            return number;
        }
        let arguments = [Some(value)];
        let double = pgrx::direct_function_call_as_datum(pg_sys::numeric_float8_no_overflow, &arguments);
        double.map_or(f64::NAN, |double| f64::from_bits(double.value() as u64))
    }
}

/// A number of few digits: those of base 10000 make a whole number, which is multiplied or divided by a power of ten, exact both.
fn short_to_double(bytes: &[u8]) -> Option<f64> {
    let (header, rest) = bytes.split_first_chunk()?;
    let header = u16::from_ne_bytes(*header);
    let (negative, weight, digits) = if header & SPECIAL == SPECIAL {
        return None;
    } else if header & SPECIAL == SHORT {
        let low = i32::from(header & 0x3F);
        let weight = if header & 0x40 == 0 { low } else { low - 0x40 };
        (header & 0x2000 != 0, weight, rest)
    } else {
        let (weight, digits) = rest.split_first_chunk()?;
        (header & SPECIAL == 0x4000, i32::from(i16::from_ne_bytes(*weight)), digits)
    };
    let count = digits.len() / 2;
    if count > 4 {
        return None;
    }
    let number = digits
        .chunks_exact(2)
        .fold(0_u64, |number, digit| number * 10_000 + u64::from(u16::from_ne_bytes([digit[0], digit[1]])));
    if number >= EXACT {
        return None;
    }
    let exponent = 4 * (weight + 1 - i32::try_from(count).ok()?);
    let power = *POWERS.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    #[allow(clippy::cast_precision_loss)]
    let whole = number as f64;
    let size = if exponent < 0 { whole / power } else { whole * power };
    // The server's numbers have no negative zero.
    Some(if negative && number > 0 { -size } else { size })
}
