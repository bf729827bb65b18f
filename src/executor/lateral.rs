//! Calls in functions in FROM that are about the other side of a nested loop, as in
//! `FROM reviews r, jsonb_each(predict_probabilities(r.body))`. Each becomes a column of that side, and the function gets
//! its value as a parameter. Invariant: the function is called for every row of that side, so its calls are evaluated
//! for each anyway.

use pgrx::pg_sys::{self, Node, NodeTag, OUTER_VAR, ParamKind, Plan, PlannedStmt};

use super::call_pushdown::{add_call_columns, distinct};
use super::expression::{always_evaluated, any, column, copy, replace, same};
use super::plan_walker::{self, cells, elements, integers, tag};
use super::prefetch_safety::Subplans;

type Call = *mut pg_sys::FuncExpr;

/// Moves calls in the function on the right side of a nested loop to its left side.
///
/// # Safety
/// `plan` points to a plan node of `statement`.
pub unsafe fn move_to_outer(
    plan: *mut Plan,
    statement: *mut PlannedStmt,
    subplans: Subplans,
    drained: bool,
    next_node_id: &mut i32,
) {
    // SAFETY: as the caller promises; the tags tell the types.
    unsafe {
        if tag(plan) != NodeTag::T_NestLoop {
            return;
        }
        let Some(scan) = function_scan((*plan).righttree) else { return };
        let functions = elements::<pg_sys::RangeTblFunction>((*scan).functions);
        let calls = calls_about_outer(plan.cast(), &functions, statement);
        let outer: Vec<Call> = calls.iter().map(|call| about_columns(*call, plan.cast())).collect();
        let Some(columns) =
            add_call_columns(&raw mut (*plan).lefttree, &outer, subplans, drained, next_node_id)
        else {
            return;
        };
        // Rows that were kept by what the function was about are kept by its calls now: of equal ones a window asks once.
        (*plan).righttree = scan.cast();
        for (call, number) in calls.into_iter().zip(columns) {
            let id = add_parameter(statement, plan.cast(), call.cast(), number);
            let parameter = parameter(id, call.cast());
            for function in &functions {
                let expression = (**function).funcexpr;
                (**function).funcexpr =
                    replace(expression, |node| same(node, call.cast()).then(|| copy(parameter).cast()));
                (**function).funcparams = with_member((**function).funcparams, id);
            }
            let inner = &raw mut (*scan).scan.plan;
            (*inner).extParam = with_member((*inner).extParam, id);
            (*inner).allParam = with_member((*inner).allParam, id);
        }
    }
}

/// The function that is scanned, be its rows kept or not.
unsafe fn function_scan(plan: *mut Plan) -> Option<*mut pg_sys::FunctionScan> {
    // SAFETY: the tag tells the type.
    unsafe {
        let scan = if tag(plan) == NodeTag::T_Memoize { (*plan).lefttree } else { plan };
        (!scan.is_null() && tag(scan) == NodeTag::T_FunctionScan).then_some(scan.cast())
    }
}

/// Calls that refer to the left side of the loop and to nothing else, but for what the statement computes once.
unsafe fn calls_about_outer(
    join: *mut pg_sys::NestLoop,
    functions: &[*mut pg_sys::RangeTblFunction],
    statement: *mut PlannedStmt,
) -> Vec<Call> {
    // SAFETY: as the caller promises.
    unsafe {
        let mut calls = Vec::new();
        functions.iter().for_each(|function| always_evaluated((**function).funcexpr, &mut calls));
        let mut initial = None;
        calls.retain(|call| {
            let mut parameters = 0;
            let foreign = any(call.cast(), |node| match tag(node) {
                NodeTag::T_Param if column_for(join, node).is_some() => {
                    parameters += 1;
                    false
                }
                NodeTag::T_Param => {
                    let parameter = node.cast::<pg_sys::Param>();
                    let initial = initial.get_or_insert_with(|| initial_parameters(statement));
                    (*parameter).paramkind != ParamKind::PARAM_EXEC
                        || !initial.contains(&(*parameter).paramid)
                }
                NodeTag::T_Var | NodeTag::T_SubPlan => true,
                _ => false,
            });
            parameters > 0 && !foreign
        });
        distinct(calls)
    }
}

/// What subqueries that are about nothing else give: wherever it is asked for, it is computed if it hasn't been.
unsafe fn initial_parameters(statement: *mut PlannedStmt) -> Vec<i32> {
    // SAFETY: as the caller of `move_to_outer` promises.
    unsafe {
        let mut numbers = Vec::new();
        let mut collect = |plan: *mut Plan| {
            for subplan in elements::<pg_sys::SubPlan>((*plan).initPlan) {
                numbers.extend(integers((*subplan).setParam));
            }
            false
        };
        plan_walker::any((*statement).planTree, &mut collect);
        for subplan in cells((*statement).subplans) {
            plan_walker::any(*subplan, &mut collect);
        }
        numbers
    }
}

/// The left side's column that the loop gives to its right side as this parameter.
unsafe fn column_for(join: *mut pg_sys::NestLoop, node: *mut Node) -> Option<*mut Node> {
    // SAFETY: the tag tells the type.
    unsafe {
        let parameter = node.cast::<pg_sys::Param>();
        if tag(node) != NodeTag::T_Param || (*parameter).paramkind != ParamKind::PARAM_EXEC {
            return None;
        }
        let given = elements::<pg_sys::NestLoopParam>((*join).nestParams);
        let one = given.into_iter().find(|one| (**one).paramno == (*parameter).paramid)?;
        Some((*one).paramval.cast())
    }
}

unsafe fn about_columns(call: Call, join: *mut pg_sys::NestLoop) -> Call {
    // SAFETY: as the caller promises.
    unsafe { replace(call.cast(), |node| column_for(join, node).map(|column| copy(column))).cast() }
}

/// Has the loop give a column of its left side to the right side as a new parameter, whose number this returns.
unsafe fn add_parameter(
    statement: *mut PlannedStmt,
    join: *mut pg_sys::NestLoop,
    like: *mut Node,
    number: usize,
) -> i32 {
    // SAFETY: nodes of the server's begin as zeros and their tag.
    unsafe {
        let types = (*statement).paramExecTypes;
        let id = if types.is_null() { 0 } else { (*types).length };
        (*statement).paramExecTypes = pg_sys::lappend_oid(types, pg_sys::exprType(like));
        let given = pg_sys::palloc0(size_of::<pg_sys::NestLoopParam>()).cast::<pg_sys::NestLoopParam>();
        (*given).type_ = NodeTag::T_NestLoopParam;
        (*given).paramno = id;
        (*given).paramval = column(OUTER_VAR, number, like).cast();
        (*join).nestParams = pg_sys::lappend((*join).nestParams, given.cast());
        id
    }
}

unsafe fn parameter(id: i32, like: *mut Node) -> *mut pg_sys::Param {
    // SAFETY: as above.
    unsafe {
        let parameter = pg_sys::palloc0(size_of::<pg_sys::Param>()).cast::<pg_sys::Param>();
        (*parameter).xpr.type_ = NodeTag::T_Param;
        (*parameter).paramkind = ParamKind::PARAM_EXEC;
        (*parameter).paramid = id;
        (*parameter).paramtype = pg_sys::exprType(like);
        (*parameter).paramtypmod = pg_sys::exprTypmod(like);
        (*parameter).paramcollid = pg_sys::exprCollation(like);
        (*parameter).location = -1;
        parameter
    }
}

unsafe fn with_member(set: *mut pg_sys::Bitmapset, member: i32) -> *mut pg_sys::Bitmapset {
    // SAFETY: as the caller promises; the set may be shared, so a copy grows.
    unsafe { pg_sys::bms_add_member(pg_sys::bms_copy(set), member) }
}
