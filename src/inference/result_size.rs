//! Whether the answers to many texts fit into one value, before the first is computed.
//!
//! It must not know the texts, beyond their number. Invariant: what is refused here would fail at its end.

use std::rc::Rc;

use ecommerce_ml_protocol::{ModelInfo, ReplyBody, RequestBody, is_blank};

use super::answers::ModelFunction;
use crate::catalog::resolve::Resolved;
use crate::client;
use crate::error::Error;

/// So many answers fit whatever the model.
const ALWAYS_FIT: usize = 1000;
/// Most bytes of a jsonb array.
const JSONB_BYTES: usize = 0x0FFF_FFFF;
/// Most bytes of a value.
const VALUE_BYTES: usize = 0x3FFF_FFFF;
/// Of an entry in a jsonb object or array, and of the head of either.
const ENTRY_BYTES: usize = 4;
/// Of a number between -1 and 1 in jsonb that came from single precision: 17 digits take five of `numeric`'s.
const NUMBER_BYTES: usize = 16 + ENTRY_BYTES;

/// Refuses more texts than there is room for their answers.
///
/// # Errors
/// [`Error::ArrayTooLong`], those of the engine.
pub fn check_result_size(
    function: ModelFunction,
    model: &Rc<Resolved>,
    texts: &[String],
) -> Result<(), Error> {
    let sized: fn(&ModelInfo) -> (usize, usize) = match function {
        ModelFunction::Embedding => |info| {
            let width = info.signature.embedding_width().unwrap_or_default();
            (2 * ENTRY_BYTES + width as usize * NUMBER_BYTES, JSONB_BYTES)
        },
        ModelFunction::Probabilities => |info| {
            let pairs = info.labels().iter().map(|label| ENTRY_BYTES + label.len() + NUMBER_BYTES);
            (3 * ENTRY_BYTES + pairs.sum::<usize>(), VALUE_BYTES)
        },
        _ => return Ok(()),
    };
    let answered = texts.iter().filter(|text| !is_blank(text)).count();
    if answered <= ALWAYS_FIT {
        return Ok(());
    }
    let described = client::ask(RequestBody::Describe { model: model.reference.clone() })?;
    let ReplyBody::Described(info) = described else { return Err(Error::Unexpected("no description")) };
    let (bytes, limit) = sized(&info);
    let most = limit / bytes;
    if answered > most { Err(Error::ArrayTooLong { texts: answered, most, bytes }) } else { Ok(()) }
}
