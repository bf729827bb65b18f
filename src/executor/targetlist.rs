//! Taking a plan node's expressions out of it, so that a node above can evaluate them.
//!
//! What stays is what only the plan node can compute (columns of its relation, aggregates, window functions) and the
//! conditions before the first with a call: the planner sorted them, cheap ones and those that protect rows first.
//! Invariant: expressions that are taken out refer to the columns of the new target list, in its order.

use pgrx::pg_sys::{self, Node, NodeTag, OUTER_VAR, Plan, TargetEntry};

use super::expression::{column, copy, has_call, replace, same};
use super::plan_builder::NodeExpressions;
use super::plan_walker::{elements, list, tag};

/// Whether the target list or a condition of a plan node has a call in it, at a place that [`extract_expressions`] reaches.
///
/// # Safety
/// `plan` points to a plan node.
pub unsafe fn has_calls(plan: *mut Plan) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let targets =
            elements::<TargetEntry>((*plan).targetlist).into_iter().map(|entry| (*entry).expr.cast());
        let mut found: Vec<*mut pg_sys::FuncExpr> = Vec::new();
        for node in targets.chain(elements::<Node>((*plan).qual)) {
            super::expression::always_evaluated(node, &mut found);
        }
        !found.is_empty()
    }
}

/// Leaves a plan node with a target list of plain columns and the conditions that come first, and returns the rest.
///
/// # Safety
/// `plan` points to a plan node that computes its target list.
pub unsafe fn extract_expressions(plan: *mut Plan) -> NodeExpressions {
    // SAFETY: as the caller promises.
    unsafe {
        let conditions = elements::<Node>((*plan).qual);
        let kept = conditions.iter().take_while(|one| !has_call(**one)).count();
        let mut columns: Vec<*mut Node> = Vec::new();
        let targets = elements::<TargetEntry>((*plan).targetlist).into_iter().map(|target| {
            let entry = pg_sys::flatCopyTargetEntry(target);
            (*entry).expr = over_columns((*target).expr.cast(), &mut columns).cast();
            entry
        });
        let targets = targets.collect();
        let taken = conditions[kept..].iter().map(|one| over_columns(*one, &mut columns)).collect();
        (*plan).qual = list(conditions[..kept].iter().copied());
        (*plan).targetlist = list(columns.into_iter().enumerate().map(|(at, expression)| {
            pg_sys::makeTargetEntry(expression.cast(), (at + 1) as _, std::ptr::null_mut(), false)
        }));
        NodeExpressions { targets, conditions: taken }
    }
}

/// Replaces what only the plan node can compute by references to columns, adding those that aren't there yet.
unsafe fn over_columns(expression: *mut Node, columns: &mut Vec<*mut Node>) -> *mut Node {
    // SAFETY: as the caller promises.
    unsafe {
        replace(expression, |node| {
            if !computed_below(node) {
                return None;
            }
            let at = columns.iter().position(|column| same(*column, node)).unwrap_or_else(|| {
                columns.push(copy(node));
                columns.len() - 1
            });
            Some(column(OUTER_VAR, at + 1, node))
        })
    }
}

unsafe fn computed_below(node: *mut Node) -> bool {
    // SAFETY: as the caller promises.
    let kind = unsafe { tag(node) };
    let kinds = [NodeTag::T_Var, NodeTag::T_Aggref, NodeTag::T_WindowFunc, NodeTag::T_GroupingFunc];
    kinds.contains(&kind)
}
