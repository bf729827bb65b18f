//! What the planner is told about the functions' cost.
//!
//! Cost grows with the text: a scan of short titles is cheaper than one of long reviews. The unit is chosen for the
//! planner's decisions, not for time: dear enough that every ordinary condition is tested first and a call is put off
//! until after a LIMIT, but not so dear that tables of some ten thousand reviews switch JIT on, which helps nothing
//! here, or call for parallel workers, which share one engine. Invariant: the estimate looks only at statistics.

use ecommerce_ml_protocol::Output;
use pgrx::pg_sys::{self, Node, NodeTag};

use super::expression;
use super::functions;
use super::plan_walker::{elements, tag};
use crate::inference::{InputKind, ModelFunction};

/// Of an ordinary operator's cost, for each token of a text.
const OPERATORS_PER_TOKEN: f64 = 20.0;
/// The same when a text is only tokenized.
const OPERATORS_PER_TOKEN_TOKENIZED: f64 = 2.0;
/// Of an ordinary operator's cost, for a row of columns.
const OPERATORS_PER_ROW: f64 = 50.0;
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
pub unsafe fn estimate(request: *mut Node) -> bool {
    // SAFETY: the tag tells the type; the planner says which call it asks about, or nothing.
    unsafe {
        if tag(request) != NodeTag::T_SupportRequestCost {
            return false;
        }
        let request = request.cast::<pg_sys::SupportRequestCost>();
        let Some((function, kind)) = functions::function_of((*request).funcid) else { return false };
        let (root, call) = ((*request).root, (*request).node);
        let known = !root.is_null() && !call.is_null() && tag(call) == NodeTag::T_FuncExpr;
        let width = if known { width(call.cast(), &|number| planned_relation(root, number)) } else { 0 };
        (*request).startup = 0.0;
        (*request).per_tuple = match kind {
            InputKind::Text => of_text(function, width),
            InputKind::Record | InputKind::Json => of_row(),
        };
        true
    }
}

/// What the calls among expressions of a finished plan cost for a row, by the same reckoning, as far as their texts
/// are columns of tables.
///
/// # Safety
/// `relations` are the statement's.
pub unsafe fn of_calls(expressions: &[*mut Node], relations: *mut pg_sys::List) -> f64 {
    // SAFETY: as the caller promises.
    unsafe {
        let relations = elements::<pg_sys::RangeTblEntry>(relations);
        let relation = |number: i32| {
            let number = usize::try_from(number).ok()?.checked_sub(1)?;
            relations.get(number).copied()
        };
        let mut sum = 0.0;
        for expression in expressions {
            expression::any(*expression, |node| {
                let Some(call) = functions::as_batchable_call(node) else { return false };
                let width = width(call, &relation);
                sum += match functions::function_of((*call).funcid) {
                    Some((function, InputKind::Text)) if width > 0 => of_text(function, width),
                    Some((_, InputKind::Record | InputKind::Json)) => of_row(),
                    _ => 0.0,
                };
                false
            });
        }
        sum
    }
}

/// Of a call with a text of this width in bytes; 0 stands for an unknown one.
fn of_text(function: ModelFunction, width: i32) -> f64 {
    let operators = match function.output() {
        Output::TokenIds | Output::TokenPieces | Output::TokenCounts => OPERATORS_PER_TOKEN_TOKENIZED,
        Output::Prediction | Output::Embedding | Output::Contributions { .. } | Output::Table(_) => {
            OPERATORS_PER_TOKEN
        }
    };
    let width = if width == 0 { UNKNOWN_WIDTH } else { width };
    let tokens = SPECIAL_TOKENS + f64::from(width) / BYTES_PER_TOKEN;
    // SAFETY: a setting of the server's, read by its only thread.
    tokens * operators * unsafe { pg_sys::cpu_operator_cost }
}

/// Of a call with a row, of whatever width.
fn of_row() -> f64 {
    // SAFETY: a setting of the server's, read by its only thread.
    OPERATORS_PER_ROW * unsafe { pg_sys::cpu_operator_cost }
}

type Relations<'a> = &'a dyn Fn(i32) -> Option<*mut pg_sys::RangeTblEntry>;

/// Average width in bytes of the text that a call is given; 0 if nothing is known.
unsafe fn width(call: *mut pg_sys::FuncExpr, relations: Relations<'_>) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        let mut sum = 0;
        for argument in elements::<Node>((*call).args).into_iter().take(1) {
            expression::any(argument, |node| {
                sum += column_width(node, relations);
                false
            });
        }
        sum
    }
}

/// Average width of a column of a table; 0 for other nodes.
unsafe fn column_width(node: *mut Node, relations: Relations<'_>) -> i32 {
    // SAFETY: the tag tells the type.
    unsafe {
        let column = node.cast::<pg_sys::Var>();
        if tag(node) != NodeTag::T_Var || (*column).varlevelsup > 0 {
            return 0;
        }
        let Some(relation) = relations(expression::input_of(column)) else { return 0 };
        if relation.is_null() || (*relation).rtekind != pg_sys::RTEKind::RTE_RELATION {
            return 0;
        }
        pg_sys::get_attavgwidth((*relation).relid, (*column).varattno).max(0)
    }
}

/// A relation of the query that is being planned.
unsafe fn planned_relation(
    root: *mut pg_sys::PlannerInfo,
    number: i32,
) -> Option<*mut pg_sys::RangeTblEntry> {
    // SAFETY: the planner's array has an entry for each number below its size, the first unused.
    unsafe {
        let known =
            !(*root).simple_rte_array.is_null() && (1..(*root).simple_rel_array_size).contains(&number);
        known.then(|| *(*root).simple_rte_array.add(number.unsigned_abs() as usize))
    }
}
