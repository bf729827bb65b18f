//! What EXPLAIN tells about a node: its calls and their models, and with ANALYZE what it did.
//!
//! Invariant: names and values are the same in all formats.

use std::ffi::{CStr, CString};

use pgrx::pg_sys::{self, CustomScanState, ExplainState, List, Node};

use super::counters::Counters;
use super::input_expressions::{calls_of, constant_text};
use super::plan_walker::{elements, list};
use crate::error::Error;

/// Writes what there is to say about a node.
///
/// # Errors
/// [`Error::Unexpected`] for a setting that is no string of the server's.
///
/// # Safety
/// The node has begun; the others are what the server gives to whom it asks to explain.
pub unsafe fn write_properties(
    node: *mut CustomScanState,
    ancestors: *mut List,
    explain_state: *mut ExplainState,
    default_model: &str,
    counters: &Counters,
) -> Result<(), Error> {
    // SAFETY: as the caller promises.
    unsafe {
        let plan = (*node).ss.ps.plan;
        let names = pg_sys::set_deparse_context_plan((*explain_state).deparse_cxt, plan, ancestors);
        // PostgreSQL 18 has an entry for what is grouped by, which is no relation; it counts those that are.
        #[cfg(not(feature = "pg18"))]
        let several = (*explain_state).rtable.is_null() || (*(*explain_state).rtable).length > 1;
        #[cfg(feature = "pg18")]
        let several = (*explain_state).rtable_size > 1;
        let many = several || (*explain_state).verbose;
        let calls = calls_of(plan.cast());
        let text = |node: *mut Node| pg_sys::deparse_expression(node, names, many, false);
        pg_sys::ExplainPropertyList(
            c"Calls".as_ptr(),
            list(calls.iter().map(|call| text(call.cast()))),
            explain_state,
        );
        let default =
            CString::new(default_model).map_err(|_| Error::Unexpected("a model name with a zero byte"))?;
        let mut models: Vec<CString> = Vec::new();
        for call in calls {
            let name = match elements::<Node>((*call).args).get(1) {
                None => default.clone(),
                Some(model) => constant_text(*model)
                    .and_then(|name| CString::new(name).ok())
                    .unwrap_or_else(|| CStr::from_ptr(text(*model)).to_owned()),
            };
            if !models.contains(&name) {
                models.push(name);
            }
        }
        let names = models.iter().map(|name| name.as_ptr().cast_mut());
        pg_sys::ExplainPropertyList(c"Model".as_ptr(), list(names), explain_state);
        if (*explain_state).analyze {
            write_counters(explain_state, counters);
        }
    }
    Ok(())
}

unsafe fn write_counters(explain_state: *mut ExplainState, counters: &Counters) {
    let numbers = [
        (c"Windows", counters.windows),
        (c"Texts", counters.texts),
        (c"Distinct Texts", counters.distinct),
        (c"Cache Hits", counters.cached),
        (c"Tokens", counters.tokens),
    ];
    let times = [(c"Engine Time", counters.engine_micros), (c"Waiting Time", counters.waiting_micros)];
    // SAFETY: as the caller promises.
    unsafe {
        for (name, number) in numbers {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            pg_sys::ExplainPropertyInteger(name.as_ptr(), std::ptr::null(), number, explain_state);
        }
        for (name, micros) in times.into_iter().filter(|_| (*explain_state).timing) {
            #[allow(clippy::cast_precision_loss)]
            let millis = micros as f64 / 1000.0;
            pg_sys::ExplainPropertyFloat(name.as_ptr(), c"ms".as_ptr(), millis, 3, explain_state);
        }
    }
}
