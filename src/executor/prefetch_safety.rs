//! Whether rows of a plan may be fetched before they are asked for.
//!
//! A query that stops early (LIMIT, EXISTS, a cursor) would otherwise evaluate volatile functions for rows that it never
//! reaches. Invariant: kinds of plan nodes that aren't known here may not be read ahead.

use std::ffi::c_void;

use pgrx::pg_sys::{self, AggStrategy, Node, NodeTag, Plan};

use super::expression;
use super::plan_walker::{any, cells, child_plans, tag};

/// Where the plans of subqueries are.
#[derive(Clone, Copy)]
pub struct Subplans(pub *mut pg_sys::List);

impl Subplans {
    /// Whether fetching rows of `plan` ahead has no effect but the rows. `repeated`: it may be started several times.
    ///
    /// # Safety
    /// `plan` is null or points to a plan tree of the statement.
    pub unsafe fn prefetch_safe(self, plan: *mut Plan, repeated: bool) -> bool {
        // SAFETY: as the caller promises; the tag tells the type.
        unsafe {
            if plan.is_null() {
                return true;
            }
            match tag(plan) {
                // These read all of their input before they give a row.
                NodeTag::T_Sort | NodeTag::T_Hash => true,
                NodeTag::T_Agg if reads_all(plan) => self.side_effect_free_node(plan),
                NodeTag::T_NestLoop => {
                    self.side_effect_free_node(plan)
                        && self.side_effect_free_list((*plan.cast::<pg_sys::Join>()).joinqual)
                        && self.prefetch_safe((*plan).lefttree, repeated)
                        && self.prefetch_safe((*plan).righttree, true)
                }
                NodeTag::T_HashJoin | NodeTag::T_MergeJoin => {
                    self.side_effect_free_list((*plan.cast::<pg_sys::Join>()).joinqual)
                        && self.all_prefetch_safe(plan, repeated)
                }
                // Functions in FROM are read to their end before they give a row.
                NodeTag::T_FunctionScan => {
                    let functions = (*plan.cast::<pg_sys::FunctionScan>()).functions;
                    self.side_effect_free_node(plan) && (!repeated || self.side_effect_free_list(functions))
                }
                NodeTag::T_ValuesScan => {
                    self.side_effect_free_list((*plan.cast::<pg_sys::ValuesScan>()).values_lists)
                        && self.side_effect_free_node(plan)
                }
                NodeTag::T_CteScan => {
                    let number = (*plan.cast::<pg_sys::CteScan>()).ctePlanId;
                    self.side_effect_free_node(plan) && self.prefetch_safe(self.plan(number), repeated)
                }
                kind if PROJECTING_NODES.contains(&kind) => self.all_prefetch_safe(plan, repeated),
                _ => false,
            }
        }
    }

    /// As [`prefetch_safe`](Self::prefetch_safe) for a node that takes over a plan node's target list: what is volatile there is
    /// evaluated when a row is asked for, as before. Not so in arguments of aggregates and window functions.
    ///
    /// # Safety
    /// `plan` points to a plan tree of the statement.
    pub unsafe fn prefetch_safe_below(self, plan: *mut Plan) -> bool {
        // SAFETY: as the caller promises; the target list is put back.
        unsafe {
            if matches!(tag(plan), NodeTag::T_Agg | NodeTag::T_WindowAgg) {
                return self.prefetch_safe(plan, false);
            }
            let targets = std::mem::replace(&mut (*plan).targetlist, std::ptr::null_mut());
            let prefetch_safe = self.prefetch_safe(plan, false);
            (*plan).targetlist = targets;
            prefetch_safe
        }
    }

    unsafe fn all_prefetch_safe(self, plan: *mut Plan, repeated: bool) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            self.side_effect_free_node(plan)
                && child_plans(plan).into_iter().all(|input| self.prefetch_safe(*input, repeated))
        }
    }

    /// Whether what a plan node evaluates itself has no effects.
    unsafe fn side_effect_free_node(self, plan: *mut Plan) -> bool {
        // SAFETY: as the caller promises.
        unsafe { self.side_effect_free_list((*plan).targetlist) && self.side_effect_free_list((*plan).qual) }
    }

    /// Whether expressions have no effects that could be counted, the subqueries in them included.
    ///
    /// # Safety
    /// `expressions` is null or a list of expressions.
    pub unsafe fn side_effect_free_list(self, expressions: *mut pg_sys::List) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let node = expressions.cast::<Node>();
            !expression::any(node, |node| match tag(node) {
                NodeTag::T_SubPlan => {
                    !self.prefetch_safe(self.plan((*node.cast::<pg_sys::SubPlan>()).plan_id), true)
                }
                NodeTag::T_NextValueExpr => true,
                _ => pg_sys::check_functions_in_node(node, Some(has_effects), std::ptr::null_mut()),
            })
        }
    }

    /// The plan of a subquery, by the number that plans refer to it by, or null.
    pub(super) unsafe fn plan(self, number: i32) -> *mut Plan {
        // SAFETY: as the caller promises.
        unsafe {
            let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
            cells(self.0).get(at).map_or(std::ptr::null_mut(), |cell| **cell)
        }
    }
}

/// Whether a function may do more than give a value. Volatile ones may, except these, whose calls leave nothing behind:
/// rows that are sampled with `random()` may be read ahead.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn has_effects(function: pg_sys::Oid, _context: *mut c_void) -> bool {
    // SAFETY: a look-up in the catalog, for a function that a plan names.
    let volatile = unsafe { pg_sys::func_volatile(function) } as u8 == pg_sys::PROVOLATILE_VOLATILE;
    volatile && !VOLATILE_WITHOUT_EFFECTS.contains(&function.to_u32())
}

/// `random()`, `clock_timestamp()`, `timeofday()`, `gen_random_uuid()`: their numbers never change.
const VOLATILE_WITHOUT_EFFECTS: [u32; 4] = [1598, 2649, 274, 3432];

/// Plan nodes that evaluate their target list and conditions, and nothing else, for each row of their inputs.
const PROJECTING_NODES: [NodeTag; 32] = [
    NodeTag::T_Agg,
    NodeTag::T_Append,
    NodeTag::T_BitmapAnd,
    NodeTag::T_BitmapHeapScan,
    NodeTag::T_BitmapIndexScan,
    NodeTag::T_BitmapOr,
    NodeTag::T_ForeignScan,
    NodeTag::T_Gather,
    NodeTag::T_GatherMerge,
    NodeTag::T_Group,
    NodeTag::T_IncrementalSort,
    NodeTag::T_IndexOnlyScan,
    NodeTag::T_IndexScan,
    NodeTag::T_Limit,
    NodeTag::T_Material,
    NodeTag::T_Memoize,
    NodeTag::T_MergeAppend,
    NodeTag::T_NamedTuplestoreScan,
    NodeTag::T_ProjectSet,
    NodeTag::T_RecursiveUnion,
    NodeTag::T_Result,
    NodeTag::T_SampleScan,
    NodeTag::T_SeqScan,
    NodeTag::T_SetOp,
    NodeTag::T_SubqueryScan,
    NodeTag::T_TableFuncScan,
    NodeTag::T_TidRangeScan,
    NodeTag::T_TidScan,
    NodeTag::T_Unique,
    NodeTag::T_WindowAgg,
    NodeTag::T_WorkTableScan,
    NodeTag::T_CustomScan,
];

/// Whether an aggregation reads all of its input before it gives a row.
///
/// # Safety
/// `plan` points to an aggregation.
pub unsafe fn reads_all(plan: *mut Plan) -> bool {
    // SAFETY: as the caller promises.
    let strategy = unsafe { (*plan.cast::<pg_sys::Agg>()).aggstrategy };
    matches!(strategy, AggStrategy::AGG_PLAIN | AggStrategy::AGG_HASHED)
}

/// Whether rows are locked anywhere in a plan.
///
/// # Safety
/// `plan` is null or points to a plan tree.
pub unsafe fn locks_rows(plan: *mut Plan) -> bool {
    // SAFETY: as the caller promises.
    unsafe { any(plan, &mut |plan| tag(plan) == NodeTag::T_LockRows) }
}
