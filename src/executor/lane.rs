//! The texts of one column: what several calls of a node ask about together.
//!
//! Invariant: a lane's expressions are evaluated on the input's row, in the memory of that row.

use ecommerce_ml_protocol::Output;
use pgrx::datum::FromDatum;
use pgrx::pg_sys::{self, NodeTag};

use super::functions::function_of;
use super::level::same_texts;
use super::passage;
use super::tree::{elements, tag};
use crate::inference::ModelFunction;

/// A call, as the value of a column.
pub struct Call {
    pub function: ModelFunction,
    /// Number of the lane that its text is in.
    pub lane: usize,
}

/// What a node asks about.
pub struct Lane {
    pub output: Output,
    text: *mut pg_sys::ExprState,
    /// Where the model comes from; without it, it is the default one.
    model: Option<*mut pg_sys::ExprState>,
}

/// A text and the name of its model.
pub struct Question {
    pub text: String,
    pub model: Option<String>,
}

/// The calls of a node and their lanes.
pub struct Calls {
    pub calls: Vec<Call>,
    pub lanes: Vec<Lane>,
}

impl Calls {
    /// Reads the columns of a node that are calls, and prepares their arguments.
    ///
    /// # Safety
    /// `plan` is a node of ours, `parent` its state, whose input is there.
    pub unsafe fn prepare(plan: *mut pg_sys::CustomScan, parent: *mut pg_sys::PlanState) -> Self {
        let mut made = Self { calls: Vec::new(), lanes: Vec::new() };
        let mut seen: Vec<*mut pg_sys::FuncExpr> = Vec::new();
        // SAFETY: as the caller promises; columns of ours are calls or references.
        unsafe {
            for call in calls_of(plan) {
                let Some(function) = function_of((*call).funcid) else { continue };
                let lane = match seen.iter().position(|other| same_texts(*other, call)) {
                    Some(lane) => lane,
                    None => {
                        seen.push(call);
                        made.lanes.push(Lane::prepare(call, function.output(), parent));
                        made.lanes.len() - 1
                    }
                };
                made.calls.push(Call { function, lane });
            }
        }
        made
    }
}

/// The calls among the columns of a node of ours.
///
/// # Safety
/// `plan` is a node of ours.
pub unsafe fn calls_of(plan: *mut pg_sys::CustomScan) -> Vec<*mut pg_sys::FuncExpr> {
    // SAFETY: as the caller promises.
    unsafe {
        let columns = elements::<pg_sys::TargetEntry>((*plan).custom_scan_tlist);
        let shown = columns.into_iter().map(|column| (*column).expr.cast::<pg_sys::FuncExpr>());
        shown.filter(|expression| tag(*expression) == NodeTag::T_FuncExpr).collect()
    }
}

impl Lane {
    unsafe fn prepare(call: *mut pg_sys::FuncExpr, output: Output, parent: *mut pg_sys::PlanState) -> Self {
        // SAFETY: a batchable call has one or two arguments.
        unsafe {
            let prepare = |argument| pg_sys::ExecInitExpr(argument, parent);
            let mut arguments = elements::<pg_sys::Expr>((*call).args).into_iter().map(prepare);
            let text = arguments.next().unwrap_or(std::ptr::null_mut());
            Self { output, text, model: arguments.next() }
        }
    }

    /// What the calls ask about the row that `context` holds; nothing if an argument is NULL.
    ///
    /// # Safety
    /// The context's outer row is one of the input.
    pub unsafe fn question(&self, context: *mut pg_sys::ExprContext) -> Option<Question> {
        // SAFETY: as the caller promises.
        unsafe {
            let text = evaluate(self.text, context)?;
            match self.model {
                None => Some(Question { text, model: None }),
                Some(model) => Some(Question { text, model: Some(evaluate(model, context)?) }),
            }
        }
    }
}

/// The text that an expression gives, evaluated in the current memory context.
unsafe fn evaluate(state: *mut pg_sys::ExprState, context: *mut pg_sys::ExprContext) -> Option<String> {
    // SAFETY: as the caller promises; arguments are of type text.
    unsafe { passage::evaluate(state, context).and_then(|datum| String::from_datum(datum, false)) }
}
