//! Calls in what a plan node computes from its input: arguments of aggregates and window functions, set-returning
//! functions, hash keys. Each becomes a column of the input.
//!
//! Invariant: a call is moved only if it is evaluated for every row of the input anyway.

use pgrx::pg_sys::{self, INNER_VAR, JoinType, Node, NodeTag, OUTER_VAR, Plan, TargetEntry};

use super::expression::{always_evaluated, any, column, column_of, copy, has_call, replace, same};
use super::level::add_columns;
use super::settled::Subplans;
use super::tree::{elements, list, tag};

type Call = *mut pg_sys::FuncExpr;

/// Moves what can be moved from `plan` into its inputs. `drained`: it reads all of its first input.
///
/// # Safety
/// `plan` points to a plan node of the statement that `subplans` belong to.
pub unsafe fn move_down(plan: *mut Plan, subplans: Subplans, drained: bool, ids: &mut i32) {
    // SAFETY: as the caller promises; the tag tells the type.
    unsafe {
        let calls = match tag(plan) {
            NodeTag::T_Agg | NodeTag::T_WindowAgg => calls_in_arguments(plan),
            NodeTag::T_ProjectSet => calls_in((*plan).targetlist),
            NodeTag::T_HashJoin => return hash_keys(plan.cast(), subplans, drained, ids),
            _ => return,
        };
        let input = &raw mut (*plan).lefttree;
        if let Some(columns) = provide(input, &calls, subplans, drained, ids) {
            let with = |node| call_column(node, &calls, &columns, OUTER_VAR);
            (*plan).targetlist = replace_in((*plan).targetlist, with);
            (*plan).qual = replace_in((*plan).qual, with);
        }
    }
}

/// Conditions of an inner join that have calls are tested after the join as well as in it.
///
/// # Safety
/// `plan` points to a plan node.
pub unsafe fn lift_join_conditions(plan: *mut Plan) {
    // SAFETY: the tag tells the type.
    unsafe {
        if !matches!(tag(plan), NodeTag::T_NestLoop | NodeTag::T_HashJoin | NodeTag::T_MergeJoin) {
            return;
        }
        let join = plan.cast::<pg_sys::Join>();
        let conditions = elements::<Node>((*join).joinqual);
        let kept = conditions.iter().take_while(|one| !has_call(**one)).count();
        if (*join).jointype != JoinType::JOIN_INNER || kept == conditions.len() {
            return;
        }
        let (stay, go) = conditions.split_at(kept);
        (*join).joinqual = list(stay.iter().copied());
        (*plan).qual = list(go.iter().copied().chain(elements::<Node>((*plan).qual)));
        // A first match that fails a condition above must not be the last.
        (*join).inner_unique = false;
    }
}

/// Calls in arguments of aggregates or window functions. Those of a filtered one are evaluated for some rows only,
/// its filter for all.
unsafe fn calls_in_arguments(plan: *mut Plan) -> Vec<Call> {
    // SAFETY: the tag tells the type.
    unsafe {
        let mut found = Vec::new();
        for place in [(*plan).targetlist, (*plan).qual] {
            any(place.cast(), |node| {
                let (arguments, filter) = match tag(node) {
                    NodeTag::T_Aggref => {
                        let aggregate = node.cast::<pg_sys::Aggref>();
                        ((*aggregate).args, (*aggregate).aggfilter)
                    }
                    NodeTag::T_WindowFunc => {
                        let function = node.cast::<pg_sys::WindowFunc>();
                        ((*function).args, (*function).aggfilter)
                    }
                    _ => return false,
                };
                if filter.is_null() {
                    collect(arguments, &mut found);
                } else {
                    always_evaluated(filter.cast(), &mut found);
                }
                false
            });
        }
        distinct(found)
    }
}

unsafe fn calls_in(expressions: *mut pg_sys::List) -> Vec<Call> {
    // SAFETY: as the caller promises.
    unsafe {
        let mut found = Vec::new();
        collect(expressions, &mut found);
        distinct(found)
    }
}

unsafe fn collect(expressions: *mut pg_sys::List, found: &mut Vec<Call>) {
    // SAFETY: as the caller promises.
    unsafe { elements::<Node>(expressions).into_iter().for_each(|one| always_evaluated(one, found)) }
}

unsafe fn distinct(calls: Vec<Call>) -> Vec<Call> {
    let mut kept: Vec<Call> = Vec::new();
    for call in calls {
        // SAFETY: as the caller promises.
        if !kept.iter().any(|other| unsafe { same(*other, call) }) {
            kept.push(call);
        }
    }
    kept
}

/// Gives an input a column for each call, which are about its other columns, and tells their numbers.
unsafe fn provide(
    input: *mut *mut Plan,
    calls: &[Call],
    subplans: Subplans,
    drained: bool,
    ids: &mut i32,
) -> Option<Vec<usize>> {
    // SAFETY: as the caller promises.
    unsafe {
        if calls.is_empty() || (*input).is_null() {
            return None;
        }
        let columns = elements::<TargetEntry>((**input).targetlist).len();
        let numbers = (columns + 1..=columns + calls.len()).collect();
        if computes_steadily(*input) {
            calls.iter().for_each(|call| append(*input, *call));
        } else if drained || subplans.settled(*input, false) {
            *input = add_columns(*input, calls, ids);
        } else {
            return None;
        }
        Some(numbers)
    }
}

/// Whether a plan node can compute more columns of what its columns are computed from.
unsafe fn computes_steadily(plan: *mut Plan) -> bool {
    // SAFETY: the tag tells the type.
    unsafe {
        let kinds = [
            NodeTag::T_SeqScan,
            NodeTag::T_SampleScan,
            NodeTag::T_IndexScan,
            NodeTag::T_IndexOnlyScan,
            NodeTag::T_BitmapHeapScan,
            NodeTag::T_TidScan,
            NodeTag::T_TidRangeScan,
            NodeTag::T_SubqueryScan,
            NodeTag::T_FunctionScan,
            NodeTag::T_ValuesScan,
            NodeTag::T_CteScan,
            NodeTag::T_NestLoop,
            NodeTag::T_HashJoin,
            NodeTag::T_MergeJoin,
        ];
        kinds.contains(&tag(plan)) && !pg_sys::contain_volatile_functions((*plan).targetlist.cast())
    }
}

/// Adds a call to a plan node's target list, in terms of what the node computes from.
unsafe fn append(plan: *mut Plan, call: Call) {
    // SAFETY: the call is about columns of the target list.
    unsafe {
        let entries = elements::<TargetEntry>((*plan).targetlist);
        let inlined = replace(call.cast(), |node| {
            let number = column_of(OUTER_VAR, node)?;
            entries.get(number.checked_sub(1)?).map(|entry| copy((**entry).expr).cast())
        });
        let number = (entries.len() + 1) as _;
        let entry = pg_sys::makeTargetEntry(inlined.cast(), number, std::ptr::null_mut(), false);
        (*plan).targetlist = pg_sys::lappend((*plan).targetlist, entry.cast());
    }
}

unsafe fn call_column(node: *mut Node, calls: &[Call], columns: &[usize], input: i32) -> Option<*mut Node> {
    // SAFETY: as the caller promises.
    unsafe {
        if tag(node) != NodeTag::T_FuncExpr {
            return None;
        }
        let at = calls.iter().position(|call| same(call.cast(), node))?;
        columns.get(at).map(|number| column(input, *number, node))
    }
}

unsafe fn replace_in(
    expressions: *mut pg_sys::List,
    with: impl Fn(*mut Node) -> Option<*mut Node> + Copy,
) -> *mut pg_sys::List {
    // SAFETY: as the caller promises.
    unsafe { list(elements::<Node>(expressions).into_iter().map(|one| replace(one, with))) }
}

/// Whether all columns of an expression are of that input.
unsafe fn is_about(input: i32, call: Call) -> bool {
    // SAFETY: as the caller promises.
    unsafe { !any(call.cast(), |node| tag(node) == NodeTag::T_Var && column_of(input, node).is_none()) }
}

/// Moves calls in the keys of a hash join into the side that each is about.
unsafe fn hash_keys(join: *mut pg_sys::HashJoin, subplans: Subplans, drained: bool, ids: &mut i32) {
    // SAFETY: the right side of a hash join is a hash.
    unsafe {
        let plan = &raw mut (*join).join.plan;
        let mut outer = calls_in((*join).hashkeys);
        outer.retain(|call| is_about(OUTER_VAR, *call));
        if let Some(columns) = provide(&raw mut (*plan).lefttree, &outer, subplans, drained, ids) {
            let with = |node| call_column(node, &outer, &columns, OUTER_VAR);
            (*join).hashkeys = replace_in((*join).hashkeys, with);
            (*join).hashclauses = replace_in((*join).hashclauses, with);
        }
        if tag((*plan).righttree) == NodeTag::T_Hash {
            hashed_side(join, (*plan).righttree.cast(), subplans, ids);
        }
    }
}

/// The hashed side's keys name the columns below the hash, the join's clauses those of the hash.
unsafe fn hashed_side(
    join: *mut pg_sys::HashJoin,
    hash: *mut pg_sys::Hash,
    subplans: Subplans,
    ids: &mut i32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let plan = &raw mut (*hash).plan;
        let calls = calls_in((*hash).hashkeys);
        let Some(columns) = provide(&raw mut (*plan).lefttree, &calls, subplans, true, ids) else { return };
        let with = |node| call_column(node, &calls, &columns, OUTER_VAR);
        (*hash).hashkeys = replace_in((*hash).hashkeys, with);
        let shown = elements::<TargetEntry>((*plan).targetlist);
        for (at, (call, number)) in calls.iter().zip(&columns).enumerate() {
            let reference = column(OUTER_VAR, *number, call.cast());
            let resno = (shown.len() + at + 1) as _;
            let entry = pg_sys::makeTargetEntry(reference.cast(), resno, std::ptr::null_mut(), false);
            (*plan).targetlist = pg_sys::lappend((*plan).targetlist, entry.cast());
        }
        // A clause's call is one of the keys' when its columns are replaced by those that the hash passes on.
        let below = |node: *mut Node| {
            replace(node, |node| {
                let number = column_of(INNER_VAR, node)?;
                shown.get(number.checked_sub(1)?).map(|entry| copy((**entry).expr).cast())
            })
        };
        (*join).hashclauses = replace_in((*join).hashclauses, |node| {
            if tag(node) != NodeTag::T_FuncExpr {
                return None;
            }
            let at = calls.iter().position(|call| same(call.cast(), below(node)))?;
            Some(column(INNER_VAR, shown.len() + at + 1, node))
        });
    }
}
