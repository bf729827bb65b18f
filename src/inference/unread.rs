//! Texts that a model can't read: what is said of them, once a statement.
//!
//! The engine tells which inputs a model was never taught to read; it is decided here whether its guess counts. Invariant: a
//! statement says so at most once in a process: a parallel worker may say it beside its leader.

use std::cell::Cell;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};

use crate::catalog::resolve::{Resolved, resolve};
use crate::guc;

/// The model that comes with the extension for texts in other scripts, where it does.
const MULTILINGUAL: &str = "reviews_multilingual";

thread_local! {
    /// When the statement began that has said so last: nothing else tells statements of the client apart in all processes that
    /// work for one.
    static LATEST: Cell<Option<pg_sys::TimestampTz>> = const { Cell::new(None) };
}

/// Whether what a model says of a text counts that it can't read. If not, the client is told.
pub fn guess_counts(model: &Resolved) -> bool {
    if guc::answer_unreadable() {
        return true;
    }
    // SAFETY: reads a variable of this process.
    let statement = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    if LATEST.replace(Some(statement)) != Some(statement) {
        tell(model);
    }
    false
}

fn tell(model: &Resolved) {
    let message = format!("model \"{}\" can't read some texts", model.name);
    let detail = "Most of what they say is in letters or signs that it has not learned. They have no predictions, and \
                  predict_confidence gives 0.";
    let guesses = "Set ecommerce_ml.answer_unreadable to get its guesses.";
    let hint = match model.name != MULTILINGUAL && resolve(MULTILINGUAL).is_ok() {
        true => format!("Model \"{MULTILINGUAL}\" reads more scripts. {guesses}"),
        false => format!("Use a model that has learned to read them. {guesses}"),
    };
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "guess_counts")
        .set_detail(detail)
        .set_hint(hint)
        .report(PgLogLevel::NOTICE);
}
