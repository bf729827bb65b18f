//! Calls in what a plan node computes from its input: arguments of aggregates and window functions, set-returning
//! functions, hash keys. Each becomes a column of the input.
//!
//! Invariant: a call is moved only if it is evaluated for every row of the input anyway.

use pgrx::pg_sys::{self, INNER_VAR, JoinType, Node, NodeTag, OUTER_VAR, Plan, TargetEntry};

use super::expression::{always_evaluated, any, column, column_of, copy, has_call, replace, same};
use super::plan_builder::add_columns;
use super::plan_walker::{elements, list, tag};
use super::prefetch_safety::Subplans;

type Call = *mut pg_sys::FuncExpr;

/// Moves what can be moved from `plan` into its inputs. `drained`: it reads all of its first input.
///
/// # Safety
/// `plan` points to a plan node of the statement that `subplans` belong to.
pub unsafe fn push_down_calls(plan: *mut Plan, subplans: Subplans, drained: bool, next_node_id: &mut i32) {
    // SAFETY: as the caller promises; the tag tells the type.
    unsafe {
        let find = match tag(plan) {
            NodeTag::T_Agg | NodeTag::T_WindowAgg => {
                guard_filtered(plan);
                calls_in_arguments
            }
            NodeTag::T_ProjectSet => calls_in_targets,
            NodeTag::T_HashJoin => return push_down_hash_keys(plan.cast(), subplans, drained, next_node_id),
            _ => return,
        };
        // Calls that take other calls' results come in a round after those.
        loop {
            let calls = find(plan);
            let input = &raw mut (*plan).lefttree;
            let Some(columns) = add_call_columns(input, &calls, subplans, drained, next_node_id) else {
                return;
            };
            let with = |node| call_column(node, &calls, &columns, OUTER_VAR);
            (*plan).targetlist = replace_in((*plan).targetlist, with);
            (*plan).qual = replace_in((*plan).qual, with);
        }
    }
}

/// Has conditions of an inner join that have calls, and those that follow them, tested after the join, which comes to the
/// same and lets them be batched.
///
/// # Safety
/// `plan` points to a plan node.
pub unsafe fn pull_up_join_conditions(plan: *mut Plan) {
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

/// An aggregate's or window function's arguments and filter.
struct AggregateArguments {
    arguments: *mut *mut pg_sys::List,
    filter: *mut Node,
}

impl AggregateArguments {
    unsafe fn of(node: *mut Node) -> Option<Self> {
        // SAFETY: the tag tells the type.
        unsafe {
            match tag(node) {
                NodeTag::T_Aggref => {
                    let aggregate = node.cast::<pg_sys::Aggref>();
                    let filter = (*aggregate).aggfilter.cast();
                    Some(Self { arguments: &raw mut (*aggregate).args, filter })
                }
                NodeTag::T_WindowFunc => {
                    let function = node.cast::<pg_sys::WindowFunc>();
                    let filter = (*function).aggfilter.cast();
                    Some(Self { arguments: &raw mut (*function).args, filter })
                }
                _ => None,
            }
        }
    }

    /// Of all aggregates and window functions that a plan node computes.
    unsafe fn of_all(plan: *mut Plan) -> Vec<Self> {
        let mut found = Vec::new();
        // SAFETY: as the caller promises.
        unsafe {
            for expressions in [(*plan).targetlist, (*plan).qual] {
                any(expressions.cast(), |node| {
                    found.extend(Self::of(node));
                    false
                });
            }
        }
        found
    }
}

/// Calls in arguments of aggregates and window functions, and in their filters.
unsafe fn calls_in_arguments(plan: *mut Plan) -> Vec<Call> {
    // SAFETY: as the caller promises.
    unsafe {
        let mut found = Vec::new();
        for AggregateArguments { arguments, filter } in AggregateArguments::of_all(plan) {
            always_evaluated(filter, &mut found);
            if filter.is_null() || !pg_sys::contain_volatile_functions(filter) {
                collect_calls(*arguments, &mut found);
            }
        }
        distinct(found)
    }
}

/// Arguments of filtered aggregates are evaluated for some rows only. Their calls get a NULL instead of the text for the
/// other rows, which costs nothing, and then may be evaluated for all. Those that another aggregate evaluates for all
/// rows need no guard.
unsafe fn guard_filtered(plan: *mut Plan) {
    // SAFETY: as the caller promises; the plan is ours to change.
    unsafe {
        let mut free = Vec::new();
        for AggregateArguments { arguments, .. } in
            AggregateArguments::of_all(plan).iter().filter(|all| all.filter.is_null())
        {
            collect_calls(**arguments, &mut free);
        }
        for AggregateArguments { arguments, filter } in AggregateArguments::of_all(plan) {
            if filter.is_null() || pg_sys::contain_volatile_functions(filter) {
                continue;
            }
            let mut calls = Vec::new();
            collect_calls(*arguments, &mut calls);
            calls.retain(|call| !free.iter().any(|other| same(*other, *call)));
            *arguments = replace_in(*arguments, |node| {
                calls.iter().any(|call| same(call.cast(), node)).then(|| guarded(node.cast(), filter).cast())
            });
        }
    }
}

/// A call whose text is NULL where the condition doesn't hold.
unsafe fn guarded(call: Call, condition: *mut Node) -> Call {
    // SAFETY: a batchable call's first argument is a text; nodes of the server's begin as zeros and their tag.
    unsafe {
        let call = copy(call);
        let mut arguments = elements::<Node>((*call).args);
        if let Some(text) = arguments.first_mut() {
            let when = pg_sys::palloc0(size_of::<pg_sys::CaseWhen>()).cast::<pg_sys::CaseWhen>();
            (*when).xpr.type_ = NodeTag::T_CaseWhen;
            (*when).expr = copy(condition).cast();
            (*when).result = (*text).cast();
            let case = pg_sys::palloc0(size_of::<pg_sys::CaseExpr>()).cast::<pg_sys::CaseExpr>();
            (*case).xpr.type_ = NodeTag::T_CaseExpr;
            (*case).casetype = pg_sys::exprType(*text);
            (*case).casecollid = pg_sys::exprCollation(*text);
            (*case).args = list([when]);
            (*case).defresult =
                pg_sys::makeNullConst((*case).casetype, pg_sys::exprTypmod(*text), (*case).casecollid).cast();
            *text = case.cast();
        }
        (*call).args = list(arguments);
        call
    }
}

unsafe fn calls_in_targets(plan: *mut Plan) -> Vec<Call> {
    // SAFETY: as the caller promises.
    unsafe { calls_in((*plan).targetlist) }
}

unsafe fn calls_in(expressions: *mut pg_sys::List) -> Vec<Call> {
    // SAFETY: as the caller promises.
    unsafe {
        let mut found = Vec::new();
        collect_calls(expressions, &mut found);
        distinct(found)
    }
}

unsafe fn collect_calls(expressions: *mut pg_sys::List, found: &mut Vec<Call>) {
    // SAFETY: as the caller promises.
    unsafe { elements::<Node>(expressions).into_iter().for_each(|one| always_evaluated(one, found)) }
}

/// Without those that are equal to an earlier one.
///
/// # Safety
/// They are calls.
pub unsafe fn distinct(calls: Vec<Call>) -> Vec<Call> {
    let mut kept: Vec<Call> = Vec::new();
    for call in calls {
        // SAFETY: as the caller promises.
        if !kept.iter().any(|other| unsafe { same(*other, call) }) {
            kept.push(call);
        }
    }
    kept
}

/// Gives an input a column for each call, which are about its other columns, and tells their numbers; nothing if there is
/// no call, or none may be evaluated early.
///
/// # Safety
/// `input` is where an input hangs; `drained` is true only if all of its rows will be read.
pub unsafe fn add_call_columns(
    input: *mut *mut Plan,
    calls: &[Call],
    subplans: Subplans,
    drained: bool,
    next_node_id: &mut i32,
) -> Option<Vec<usize>> {
    // SAFETY: as the caller promises.
    unsafe {
        if calls.is_empty() || (*input).is_null() {
            return None;
        }
        let columns = elements::<TargetEntry>((**input).targetlist).len();
        let numbers = (columns + 1..=columns + calls.len()).collect();
        if can_extend_targetlist(*input) {
            calls.iter().for_each(|call| append(*input, *call));
        } else if drained || subplans.prefetch_safe(*input, false) {
            *input = add_columns(*input, calls, next_node_id);
        } else {
            return None;
        }
        Some(numbers)
    }
}

/// Whether a plan node can compute more columns of what its columns are computed from.
unsafe fn can_extend_targetlist(plan: *mut Plan) -> bool {
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
unsafe fn push_down_hash_keys(
    join: *mut pg_sys::HashJoin,
    subplans: Subplans,
    drained: bool,
    next_node_id: &mut i32,
) {
    // SAFETY: the right side of a hash join is a hash.
    unsafe {
        let plan = &raw mut (*join).join.plan;
        let mut outer = calls_in((*join).hashkeys);
        outer.retain(|call| is_about(OUTER_VAR, *call));
        if let Some(columns) =
            add_call_columns(&raw mut (*plan).lefttree, &outer, subplans, drained, next_node_id)
        {
            let with = |node| call_column(node, &outer, &columns, OUTER_VAR);
            (*join).hashkeys = replace_in((*join).hashkeys, with);
            (*join).hashclauses = replace_in((*join).hashclauses, with);
        }
        if tag((*plan).righttree) == NodeTag::T_Hash {
            push_down_inner_hash_keys(join, (*plan).righttree.cast(), subplans, next_node_id);
        }
    }
}

/// The hashed side's keys name the columns below the hash, the join's clauses those of the hash.
unsafe fn push_down_inner_hash_keys(
    join: *mut pg_sys::HashJoin,
    hash: *mut pg_sys::Hash,
    subplans: Subplans,
    next_node_id: &mut i32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let plan = &raw mut (*hash).plan;
        let calls = calls_in((*hash).hashkeys);
        let Some(columns) = add_call_columns(&raw mut (*plan).lefttree, &calls, subplans, true, next_node_id)
        else {
            return;
        };
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
