//! The option `augment`: which changes are made to texts.
//!
//! A training looks at neither the table of synonyms nor the function that translates back: whoever starts it does, and
//! sends what they give. Invariant: what needs something else was refused without it.

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::options::reader::{Reader, refused};

use super::Objective;
use crate::recipe::augment::Changes;

const SYNONYM: &str = "synonym";
const SYNONYM_TABLE: &str = "synonym_table";
const BACK_TRANSLATION: &str = "back_translation";
const BACK_TRANSLATION_FUNCTION: &str = "back_translation_function";

/// All names, in the order in which an error lists them.
const NAMES: [&str; 8] = [
    "duplicate",
    SYNONYM,
    SYNONYM_TABLE,
    "word_drop",
    "word_swap",
    "noise",
    BACK_TRANSLATION,
    BACK_TRANSLATION_FUNCTION,
];

pub(super) fn read(options: &Reader<'_>, objective: Objective) -> Result<Changes, EngineError> {
    let Some(reader) = options.within("augment", "changes", &NAMES)? else { return Ok(Changes::default()) };
    let number = |name| reader.number(name, 0.0, 0.0..=1.0);
    let changes = Changes {
        duplicate: number("duplicate")?,
        synonym: number(SYNONYM)?,
        synonym_table: reader.text(SYNONYM_TABLE)?.is_some(),
        word_drop: number("word_drop")?,
        word_swap: number("word_swap")?,
        noise: number("noise")?,
        back_translation: number(BACK_TRANSLATION)?,
    };
    if changes.synonym == 0.0 {
        reader.refuse(&[SYNONYM_TABLE], "needs \"synonym\" to be above 0")?;
    }
    match reader.text(BACK_TRANSLATION_FUNCTION)? {
        Some(_) if changes.back_translation == 0.0 => {
            reader.refuse(&[BACK_TRANSLATION_FUNCTION], "needs \"back_translation\" to be above 0")?;
        }
        None if changes.back_translation > 0.0 => {
            let name = reader.full(BACK_TRANSLATION);
            let why = format!("needs \"{BACK_TRANSLATION_FUNCTION}\", which gives other words for a text");
            return Err(refused(format!("training option \"{name}\" {why}")));
        }
        Some(_) | None => {}
    }
    if objective == Objective::Regression {
        reader.refuse(&["duplicate"], "is not for regressions")?;
    }
    Ok(changes)
}
