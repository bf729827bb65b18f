//! The aspects that were asked for last, so that a statement over many reviews reads its list once.
//!
//! Invariant: what is kept is that of the list it is given out for.

use std::cell::RefCell;
use std::rc::Rc;

use ecommerce_ml_aspects::aspects::{Aspects, Invalid};

use super::Listed;
use crate::error::Error;

/// A list, and what it says. None: those of shops.
type Entry = (Listed, Rc<Aspects>);

thread_local! {
    static LATEST: RefCell<Option<Entry>> = const { RefCell::new(None) };
}

/// The aspects of a list, or those of shops.
///
/// # Errors
/// [`Error::ArgumentValue`], [`Error::ArgumentHasNull`].
pub fn aspects(listed: Listed) -> Result<Rc<Aspects>, Error> {
    let latest = LATEST.with_borrow(|latest| {
        latest.as_ref().filter(|(own, _)| *own == listed).map(|(_, aspects)| Rc::clone(aspects))
    });
    if let Some(aspects) = latest {
        return Ok(aspects);
    }
    let aspects = Rc::new(match &listed {
        None => Aspects::of_shops(),
        Some(listed) => named(listed)?,
    });
    LATEST.set(Some((listed, Rc::clone(&aspects))));
    Ok(aspects)
}

fn named(listed: &[Option<String>]) -> Result<Aspects, Error> {
    let names: Option<Vec<String>> = listed.iter().cloned().collect();
    let names = names.ok_or(Error::ArgumentHasNull("aspects"))?;
    Aspects::named(&names).map_err(|invalid| {
        let expected = match invalid {
            Invalid::Count => "an array of 1 to 100 aspects",
            Invalid::NoWords => "an array of words or phrases: one has neither letters nor digits",
            Invalid::Twice => "an array of different aspects: one comes twice",
        };
        Error::ArgumentValue { argument: "aspects", expected }
    })
}
