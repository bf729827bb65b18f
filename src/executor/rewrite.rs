//! Where in a plan a node helps, and may stand.
//!
//! Invariant: a plan that isn't understood is left as it is, and every node that is put in gives the columns that the plan
//! node below it gave.

use pgrx::pg_sys::{self, CmdType, NodeTag, Plan, PlannedStmt, TargetEntry};

use super::call_pushdown::{pull_up_join_conditions, push_down_calls};
use super::cost::of_calls;
use super::expression::has_call;
use super::intervals::{has_intervals, take_apart};
use super::lateral::move_to_outer;
use super::node;
use super::plan_builder::{NodeExpressions, put_nodes_over};
use super::plan_walker::{any, cells, child_plans, elements, tag};
use super::prefetch_safety::{Subplans, locks_rows, reads_all};
use super::read_ahead;
use super::targetlist::{extract_expressions, has_calls};

/// Whether a call is anywhere in a statement's plans, other than in nodes of ours.
///
/// # Safety
/// `statement` points to a planned statement.
pub unsafe fn has_batchable_calls(statement: *mut PlannedStmt) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let mut test = |plan: *mut Plan| {
            !node::is_ours(plan)
                && (has_intervals(plan)
                    || has_call((*plan).targetlist.cast())
                    || has_call((*plan).qual.cast())
                    || (is_join(tag(plan)) && has_call((*plan.cast::<pg_sys::Join>()).joinqual.cast()))
                    || (tag(plan) == NodeTag::T_HashJoin
                        && has_call((*plan.cast::<pg_sys::HashJoin>()).hashclauses.cast()))
                    || (tag(plan) == NodeTag::T_FunctionScan
                        && has_call((*plan.cast::<pg_sys::FunctionScan>()).functions.cast())))
        };
        all_plans(statement).into_iter().any(|plan| any(*plan, &mut test))
    }
}

/// Puts nodes into a statement's plans. `backward`: its result may be read backward, which nodes can't; a plan node that
/// keeps the result is put on top then, unless somebody may want to change the row that was read last.
///
/// # Safety
/// `statement` points to a planned statement that nobody else uses.
pub unsafe fn rewrite(statement: *mut PlannedStmt, backward: bool) {
    // SAFETY: as the caller promises.
    unsafe {
        let plans = all_plans(statement);
        let updatable_while_scrolling = backward && scans_one_table((*statement).planTree);
        if updatable_while_scrolling || plans.iter().any(|plan| locks_rows(**plan)) {
            return;
        }
        let mut last = 0;
        for plan in &plans {
            any(**plan, &mut |plan| {
                last = last.max((*plan).plan_node_id);
                false
            });
        }
        let mut rewriter = Rewriter {
            statement,
            subplans: Subplans((*statement).subplans),
            next_id: last + 1,
            first_id: last + 1,
        };
        let completed = (*statement).commandType != CmdType::CMD_SELECT;
        for (at, plan) in plans.into_iter().enumerate() {
            *plan = rewriter.visit(*plan, at == 0 && completed);
        }
        if (*statement).parallelModeNeeded {
            rewriter.mark_nodes_of_workers();
        }
        read_ahead::set_prefetch_limits(statement);
        let top = (*statement).planTree;
        if backward && rewriter.next_id > rewriter.first_id && !pg_sys::ExecSupportsBackwardScan(top) {
            (*statement).planTree = rewriter.materialize(top);
        }
    }
}

/// Takes the intervals apart that a function on the right side of a nested loop computes, before its calls are moved to the left.
unsafe fn take_apart_right(plan: *mut Plan) {
    // SAFETY: the tag tells the type.
    unsafe {
        if tag(plan) == NodeTag::T_NestLoop && !(*plan).righttree.is_null() {
            take_apart((*plan).righttree);
        }
    }
}

/// Whether `WHERE CURRENT OF` may be about a plan: the server looks through these plan nodes for the table's. It doesn't look
/// through one that keeps rows.
unsafe fn scans_one_table(plan: *mut Plan) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        match tag(plan) {
            NodeTag::T_SeqScan
            | NodeTag::T_SampleScan
            | NodeTag::T_IndexScan
            | NodeTag::T_IndexOnlyScan
            | NodeTag::T_BitmapHeapScan
            | NodeTag::T_TidScan
            | NodeTag::T_TidRangeScan
            | NodeTag::T_ForeignScan => true,
            NodeTag::T_Append | NodeTag::T_Result | NodeTag::T_Limit | NodeTag::T_SubqueryScan => {
                child_plans(plan).into_iter().any(|input| scans_one_table(*input))
            }
            _ => false,
        }
    }
}

/// Where the plans of a statement hang: its own first, then those of its subqueries.
unsafe fn all_plans(statement: *mut PlannedStmt) -> Vec<*mut *mut Plan> {
    // SAFETY: as the caller promises.
    unsafe {
        let own = std::iter::once(&raw mut (*statement).planTree);
        own.chain(cells((*statement).subplans)).filter(|plan| !(**plan).is_null()).collect()
    }
}

struct Rewriter {
    statement: *mut PlannedStmt,
    subplans: Subplans,
    next_id: i32,
    first_id: i32,
}

impl Rewriter {
    /// Rewrites a plan tree. `drained`: all of its rows are going to be read.
    unsafe fn visit(&mut self, plan: *mut Plan, drained: bool) -> *mut Plan {
        // SAFETY: as the caller of `rewrite` promises.
        unsafe {
            if !node::is_ours(plan) {
                let first_drained = drains(plan, 0, drained);
                take_apart(plan);
                take_apart_right(plan);
                push_down_calls(plan, self.subplans, first_drained, &mut self.next_id);
                move_to_outer(plan, self.statement, self.subplans, first_drained, &mut self.next_id);
                pull_up_join_conditions(plan);
            }
            for (at, input) in child_plans(plan).into_iter().enumerate() {
                let first_of_it = self.next_id;
                *input = self.visit(*input, drains(plan, at, drained));
                if at == 1
                    && self.next_id > first_of_it
                    && uses_mark_restore(plan)
                    && !supports_mark_restore(*input)
                {
                    *input = self.materialize(*input);
                }
            }
            if tag(plan) == NodeTag::T_Limit {
                node::pass_limit_down((*plan).lefttree, plan.cast());
            }
            if evaluates_per_row(plan)
                && has_calls(plan)
                && (drained || self.subplans.prefetch_safe_below(plan))
            {
                return self.put_nodes_over(plan);
            }
            plan
        }
    }

    /// Puts nodes over a plan node that do what is computed from calls.
    unsafe fn put_nodes_over(&mut self, plan: *mut Plan) -> *mut Plan {
        // SAFETY: as the caller promises.
        unsafe {
            let only_computes = tag(plan) == NodeTag::T_Result
                && !(*plan).lefttree.is_null()
                && (*plan.cast::<pg_sys::Result>()).resconstantqual.is_null()
                && (*plan).qual.is_null();
            let initial = std::mem::replace(&mut (*plan).initPlan, std::ptr::null_mut());
            let top = if only_computes {
                let expressions =
                    NodeExpressions { targets: elements((*plan).targetlist), conditions: Vec::new() };
                put_nodes_over((*plan).lefttree, expressions, plan, &mut self.next_id)
            } else {
                let like = *plan;
                self.subtract_call_costs(plan);
                let expressions = extract_expressions(plan);
                (*plan).async_capable = false;
                put_nodes_over(plan, expressions, &like, &mut self.next_id)
            };
            (*top).initPlan = initial;
            top
        }
    }

    /// Takes the cost of calls in a plan node's target list off it: they are going to be evaluated above it.
    unsafe fn subtract_call_costs(&self, plan: *mut Plan) {
        // SAFETY: as the caller promises.
        unsafe {
            let targets = elements::<TargetEntry>((*plan).targetlist);
            let targets: Vec<_> = targets.into_iter().map(|target| (*target).expr.cast()).collect();
            let calls = (*plan).plan_rows * of_calls(&targets, (*self.statement).rtable);
            (*plan).total_cost = ((*plan).total_cost - calls).max((*plan).startup_cost);
        }
    }

    /// Has the server give shared memory to nodes that workers run, for what they count: it asks none but those that are
    /// marked so, and then calls them parallel in EXPLAIN. Of plans of subqueries it isn't known who runs them.
    unsafe fn mark_nodes_of_workers(&self) {
        // SAFETY: as the caller of `rewrite` promises.
        unsafe {
            let mut initial = Vec::new();
            for plan in all_plans(self.statement) {
                any(*plan, &mut |plan| {
                    let plans = elements::<pg_sys::SubPlan>((*plan).initPlan);
                    initial.extend(plans.into_iter().map(|subplan| (*subplan).plan_id));
                    false
                });
            }
            mark_parallel_aware((*self.statement).planTree, false);
            for (number, subplan) in (1..).zip(cells((*self.statement).subplans)) {
                let by_workers =
                    !(*subplan).is_null() && (**subplan).parallel_safe && !initial.contains(&number);
                mark_parallel_aware(*subplan, by_workers);
            }
        }
    }

    /// A plan node that keeps the rows of another, so that they can be read again in any direction.
    unsafe fn materialize(&mut self, plan: *mut Plan) -> *mut Plan {
        // SAFETY: as the caller promises.
        unsafe {
            let kept = pg_sys::materialize_finished_plan(plan);
            (*kept).plan_node_id = self.next_id;
            self.next_id += 1;
            kept
        }
    }
}

/// Marks the nodes of ours in a plan tree that workers run; `shared`: they run all of it.
unsafe fn mark_parallel_aware(plan: *mut Plan, shared: bool) {
    // SAFETY: as the caller promises.
    unsafe {
        if plan.is_null() {
            return;
        }
        if node::is_ours(plan) {
            (*plan).parallel_aware = shared;
        }
        let shared = shared || matches!(tag(plan), NodeTag::T_Gather | NodeTag::T_GatherMerge);
        child_plans(plan).into_iter().for_each(|input| mark_parallel_aware(*input, shared));
    }
}

fn is_join(kind: NodeTag) -> bool {
    matches!(kind, NodeTag::T_NestLoop | NodeTag::T_HashJoin | NodeTag::T_MergeJoin)
}

/// Whether a plan node evaluates its target list and conditions for each row of a known kind of input.
unsafe fn evaluates_per_row(plan: *mut Plan) -> bool {
    // SAFETY: the tag tells the type.
    unsafe {
        match tag(plan) {
            // A single row gains nothing.
            NodeTag::T_Result => !(*plan).lefttree.is_null(),
            // One that changes rows at the other server gives back what is left to say about them.
            NodeTag::T_ForeignScan => (*plan.cast::<pg_sys::ForeignScan>()).operation == CmdType::CMD_SELECT,
            kind => {
                is_join(kind)
                    || matches!(
                        kind,
                        NodeTag::T_Agg
                            | NodeTag::T_BitmapHeapScan
                            | NodeTag::T_CteScan
                            | NodeTag::T_FunctionScan
                            | NodeTag::T_Gather
                            | NodeTag::T_GatherMerge
                            | NodeTag::T_Group
                            | NodeTag::T_IndexOnlyScan
                            | NodeTag::T_IndexScan
                            | NodeTag::T_NamedTuplestoreScan
                            | NodeTag::T_SampleScan
                            | NodeTag::T_SeqScan
                            | NodeTag::T_SubqueryScan
                            | NodeTag::T_TableFuncScan
                            | NodeTag::T_TidRangeScan
                            | NodeTag::T_TidScan
                            | NodeTag::T_ValuesScan
                            | NodeTag::T_WindowAgg
                            | NodeTag::T_WorkTableScan
                    )
            }
        }
    }
}

/// Whether a plan node reads all rows of an input (by its place among the inputs); `drained`: its own are all read.
///
/// # Safety
/// `plan` points to a plan node.
pub unsafe fn drains(plan: *mut Plan, input: usize, drained: bool) -> bool {
    // SAFETY: the tag tells the type.
    unsafe {
        match tag(plan) {
            NodeTag::T_Sort | NodeTag::T_Hash => true,
            NodeTag::T_Agg => drained || reads_all(plan),
            NodeTag::T_ModifyTable => drained,
            NodeTag::T_Append
            | NodeTag::T_CustomScan
            | NodeTag::T_Gather
            | NodeTag::T_GatherMerge
            | NodeTag::T_Group
            | NodeTag::T_IncrementalSort
            | NodeTag::T_ProjectSet
            | NodeTag::T_Result
            | NodeTag::T_SubqueryScan
            | NodeTag::T_Unique
            | NodeTag::T_WindowAgg => drained,
            NodeTag::T_HashJoin | NodeTag::T_NestLoop => drained && input == 0,
            _ => false,
        }
    }
}

/// Whether a plan node returns to marked rows of its second input.
unsafe fn uses_mark_restore(plan: *mut Plan) -> bool {
    // SAFETY: the tag tells the type.
    unsafe { tag(plan) == NodeTag::T_MergeJoin && !(*plan.cast::<pg_sys::MergeJoin>()).skip_mark_restore }
}

/// Whether a plan node can return to marked rows, whatever its input.
unsafe fn supports_mark_restore(plan: *mut Plan) -> bool {
    // SAFETY: as the caller promises.
    unsafe { matches!(tag(plan), NodeTag::T_Material | NodeTag::T_Sort) }
}
