//! What the planner is told about the functions' cost.
//!
//! Cost grows with the text: a scan of short titles is cheaper than one of long reviews. The unit is chosen for the
//! planner's decisions, not for time: dear enough that every ordinary condition is tested first and a call is put off
//! until after a LIMIT, but not so dear that tables of some ten thousand reviews switch JIT on, which helps nothing
//! here, or call for parallel workers, which share one engine. Invariant: the estimate looks only at statistics.

use pgrx::pg_sys::{self, Node, NodeTag};

use super::expression;
use super::functions;
use super::tree::{elements, tag};
use crate::inference::Pass;

/// Of an ordinary operator's cost, for each token of a text.
const OPERATORS_PER_TOKEN: f64 = 20.0;
/// The same when a text is only tokenized.
const OPERATORS_PER_TOKEN_TOKENIZED: f64 = 2.0;
/// Bytes of a token in the languages that we measured, spaces included.
const BYTES_PER_TOKEN: f64 = 4.5;
/// Tokens that every text gets besides its own.
const SPECIAL_TOKENS: f64 = 2.0;
/// Width where nothing is known; of a review.
const UNKNOWN_WIDTH: i32 = 250;

/// Answers a request of the planner's, if it is one for a cost.
///
/// # Safety
/// `request` points to a request to a support function.
pub unsafe fn answer(request: *mut Node) -> bool {
    // SAFETY: the tag tells the type.
    unsafe {
        if tag(request) != NodeTag::T_SupportRequestCost {
            return false;
        }
        let request = request.cast::<pg_sys::SupportRequestCost>();
        let Some(output) = functions::output_of((*request).funcid) else { return false };
        let operators = match output.pass() {
            Pass::Tokenize(_) => OPERATORS_PER_TOKEN_TOKENIZED,
            Pass::Predict | Pass::Embed => OPERATORS_PER_TOKEN,
        };
        let tokens = SPECIAL_TOKENS + f64::from(width((*request).root, (*request).node)) / BYTES_PER_TOKEN;
        (*request).startup = 0.0;
        (*request).per_tuple = tokens * operators * pg_sys::cpu_operator_cost;
        true
    }
}

/// Average width in bytes of the text that a call is given.
unsafe fn width(root: *mut pg_sys::PlannerInfo, call: *mut Node) -> i32 {
    // SAFETY: the planner says which call it asks about, or nothing.
    unsafe {
        let known = !root.is_null() && !call.is_null() && tag(call) == NodeTag::T_FuncExpr;
        let arguments =
            if known { elements((*call.cast::<pg_sys::FuncExpr>()).args) } else { Vec::<*mut Node>::new() };
        let mut sum = 0;
        for argument in arguments.into_iter().take(1) {
            expression::any(argument, |node| {
                sum += column_width(root, node);
                false
            });
        }
        if sum == 0 { UNKNOWN_WIDTH } else { sum }
    }
}

/// Average width of a column of a table; 0 for other nodes.
unsafe fn column_width(root: *mut pg_sys::PlannerInfo, node: *mut Node) -> i32 {
    // SAFETY: the planner's tables of relations have an entry for each that a column refers to.
    unsafe {
        let column = node.cast::<pg_sys::Var>();
        if tag(node) != NodeTag::T_Var || (*column).varlevelsup > 0 || (*root).simple_rte_array.is_null() {
            return 0;
        }
        let number = expression::input_of(column);
        if number < 1 || number >= (*root).simple_rel_array_size {
            return 0;
        }
        let relation = *(*root).simple_rte_array.add(number.unsigned_abs() as usize);
        if relation.is_null() || (*relation).rtekind != pg_sys::RTEKind::RTE_RELATION {
            return 0;
        }
        pg_sys::get_attavgwidth((*relation).relid, (*column).varattno).max(0)
    }
}
