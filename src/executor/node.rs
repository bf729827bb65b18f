//! The plan node as the executor sees it: `Custom Scan (ecommerce_ml batch)`.
//!
//! Invariant: the state is dropped with the executor's memory, on errors too, and takes requests under way along.

use pgrx::pg_sys::{
    self, CustomExecMethods, CustomScan, CustomScanMethods, CustomScanState, ExplainState, INDEX_VAR, List,
    Node, NodeTag, ParallelContext, Plan,
};
use pgrx::{PgMemoryContexts, pg_guard};

use super::counters::{Counters, SharedCounters, counters_of_worker};
use super::expression::{any, column_of};
use super::input_expressions::{NodeCalls, calls_of};
use super::plan_walker::{elements, list, tag};
use super::scan::{ExecutorParts, LimitBounds, Scan};
use super::unused_columns::UnusedColumns;
use super::{error_bridge, explain, expression};
use crate::error::{Error, raise};

/// Tables of functions that the server keeps pointers to.
struct MethodTable<T>(T);

// SAFETY: they are never written.
unsafe impl<T> Sync for MethodTable<T> {}

const NAME: &std::ffi::CStr = c"ecommerce_ml batch";

static SCAN_METHODS: MethodTable<CustomScanMethods> =
    MethodTable(CustomScanMethods { CustomName: NAME.as_ptr(), CreateCustomScanState: Some(create_state) });

static EXEC_METHODS: MethodTable<CustomExecMethods> = MethodTable(CustomExecMethods {
    CustomName: NAME.as_ptr(),
    BeginCustomScan: Some(begin),
    ExecCustomScan: Some(exec),
    EndCustomScan: Some(end),
    ReScanCustomScan: Some(rescan),
    MarkPosCustomScan: None,
    RestrPosCustomScan: None,
    EstimateDSMCustomScan: Some(estimate_dsm),
    InitializeDSMCustomScan: Some(initialize_dsm),
    ReInitializeDSMCustomScan: Some(reinitialize_dsm),
    InitializeWorkerCustomScan: Some(initialize_worker),
    ShutdownCustomScan: None,
    ExplainCustomScan: Some(explain),
});

/// The server's state of a custom scan, and ours behind it.
#[repr(C)]
struct CustomState {
    base: CustomScanState,
    batch: *mut BatchScanState,
}

/// What is dropped with the executor's memory.
pub struct BatchScanState {
    scan: Scan,
    /// The leader's.
    shared_counters: Option<Box<SharedCounters>>,
    /// A worker's.
    worker_counters: Option<*mut Counters>,
}

impl BatchScanState {
    /// What this process and its workers have done.
    fn counted(&self) -> Counters {
        let mut counters = self.scan.counters;
        if let Some(shared_counters) = &self.shared_counters {
            counters.add(&shared_counters.total());
        }
        counters
    }
}

/// Makes the node known, so that parallel workers can read plans that have it.
pub fn init() {
    // SAFETY: the table lives for ever.
    unsafe { pg_sys::RegisterCustomScanMethods(&raw const SCAN_METHODS.0) };
}

/// What a plan node of ours points to.
pub fn methods() -> *const CustomScanMethods {
    &raw const SCAN_METHODS.0
}

/// Whether a plan node is of this kind.
///
/// # Safety
/// `plan` points to a plan node.
pub unsafe fn is_ours(plan: *mut Plan) -> bool {
    // SAFETY: the tag tells the type.
    unsafe { tag(plan) == NodeTag::T_CustomScan && (*plan.cast::<CustomScan>()).methods == methods() }
}

/// How far ahead of its reader a node may fetch rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefetchLimit {
    /// As far as it likes.
    Unlimited,
    /// As many rows as the LIMIT above still wants.
    ToLimit,
    /// As many rows as this run of the statement, and the LIMIT above if there is one, still want. If the run's rows aren't
    /// each made of the node's, that is known only of a run for all rows.
    ToRequestedRow { limited: bool, feeds_client: bool },
    /// No further than to the row that is asked for.
    OneRow,
}

impl PrefetchLimit {
    /// As numbers, in which a plan can be kept and sent to workers.
    fn encoded(self) -> i32 {
        match self {
            PrefetchLimit::Unlimited => 0,
            PrefetchLimit::ToLimit => 1,
            PrefetchLimit::OneRow => 2,
            PrefetchLimit::ToRequestedRow { limited, feeds_client } => {
                4 + i32::from(limited) + 2 * i32::from(feeds_client)
            }
        }
    }

    fn decoded(number: i32) -> Self {
        match number {
            0 => PrefetchLimit::Unlimited,
            1 => PrefetchLimit::ToLimit,
            4..8 => PrefetchLimit::ToRequestedRow { limited: number & 1 != 0, feeds_client: number & 2 != 0 },
            _ => PrefetchLimit::OneRow,
        }
    }
}

/// What a plan node carries for its execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateData {
    pub prefetch: PrefetchLimit,
    /// Whether a LIMIT above takes every row: none is filtered on the way.
    pub limited_exactly: bool,
}

/// Notes what a node's execution is to know.
///
/// # Safety
/// `plan` is a node of ours that nobody else uses.
pub unsafe fn set_private_data(plan: *mut CustomScan, private: PrivateData) {
    // SAFETY: as the caller promises.
    unsafe {
        let list = pg_sys::lappend_int(std::ptr::null_mut(), private.prefetch.encoded());
        (*plan).custom_private = pg_sys::lappend_int(list, i32::from(private.limited_exactly));
    }
}

unsafe fn private_data(plan: *mut CustomScan) -> PrivateData {
    // SAFETY: as the caller promises; `set_private_data` made the list.
    unsafe {
        let list = (*plan).custom_private;
        let number = |at| match list.is_null() || (*list).length <= at {
            true => None,
            false => Some((*(*list).elements.add(at as usize)).int_value),
        };
        PrivateData {
            prefetch: number(0).map_or(PrefetchLimit::OneRow, PrefetchLimit::decoded),
            limited_exactly: number(1).is_some_and(|exactly| exactly != 0),
        }
    }
}

/// Tells nodes below a LIMIT how many rows it reads.
///
/// # Safety
/// `plan` is null or the input of the LIMIT.
pub unsafe fn pass_limit_down(plan: *mut Plan, limit: *mut pg_sys::Limit) {
    // SAFETY: as the caller promises.
    unsafe {
        let exact = (*limit).limitOption == pg_sys::LimitOption::LIMIT_OPTION_COUNT
            && !(*limit).limitCount.is_null()
            && !pg_sys::contain_volatile_functions((*limit).limitCount)
            && !pg_sys::contain_volatile_functions((*limit).limitOffset);
        let mut plan = plan;
        while exact && !plan.is_null() && is_ours(plan) {
            let bounds = [(*limit).limitCount, (*limit).limitOffset].into_iter().filter(|one| !one.is_null());
            (*plan.cast::<CustomScan>()).custom_exprs = list(bounds.map(|one| expression::copy(one)));
            plan = (*plan).lefttree;
        }
    }
}

/// Our part of the state of a node that has begun.
///
/// # Safety
/// `node` is the state of a node of this kind.
unsafe fn batch_state<'a>(node: *mut CustomScanState) -> &'a mut BatchScanState {
    // SAFETY: `begin` set it, and it lives as long as the executor's memory.
    unsafe { &mut *(*node.cast::<CustomState>()).batch }
}

#[pg_guard]
unsafe extern "C-unwind" fn create_state(_plan: *mut CustomScan) -> *mut Node {
    // SAFETY: the server's nodes begin as zeros and their tag.
    unsafe {
        let state = pg_sys::palloc0(size_of::<CustomState>()).cast::<CustomState>();
        (*state).base.ss.ps.type_ = NodeTag::T_CustomScanState;
        (*state).base.methods = &raw const EXEC_METHODS.0;
        state.cast()
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn begin(node: *mut CustomScanState, estate: *mut pg_sys::EState, flags: i32) {
    // SAFETY: the executor has set the node up, but for its input.
    error_bridge::callback(|| unsafe {
        let plan = (*node).ss.ps.plan.cast::<CustomScan>();
        // What reads backward or goes back asks nodes that can, and the rest begins anew.
        let flags = flags & !((pg_sys::EXEC_FLAG_BACKWARD | pg_sys::EXEC_FLAG_MARK) as i32);
        let input = error_bridge::init_node((*plan).scan.plan.lefttree, estate, flags);
        let parent = &raw mut (*node).ss.ps;
        (*parent).lefttree = input;
        let prepared = elements::<pg_sys::Expr>((*plan).custom_exprs)
            .into_iter()
            .map(|bound| pg_sys::ExecInitExpr(bound, parent))
            .collect::<Vec<_>>();
        let offset = prepared.get(1).copied().unwrap_or(std::ptr::null_mut());
        let table = table_scan(input);
        if let Some(table) = table {
            (*node).ss.ss_currentRelation = (*table).ss_currentRelation;
        }
        let parts = ExecutorParts {
            input,
            table,
            context: (*parent).ps_ExprContext,
            input_slot: pg_sys::ExecInitExtraTupleSlot(
                estate,
                (*input).ps_ResultTupleDesc,
                &raw const pg_sys::TTSOpsMinimalTuple,
            ),
            scan_slot: (*node).ss.ss_ScanTupleSlot,
            condition: (*parent).qual,
            limit: prepared.first().map(|count| LimitBounds { count: *count, offset }),
            private: private_data(plan),
            child: ChildNode::of(input),
            state: estate,
            unused: UnusedColumns::of(plan, input),
            memory: (*estate).es_query_cxt,
        };
        let calls = calls_of(plan);
        calls.iter().for_each(|call| check_permission((**call).funcid));
        let scan = Scan::new(parts, NodeCalls::prepare(plan, parent), calls_in_conditions(plan, calls.len()));
        let made = BatchScanState { scan, shared_counters: None, worker_counters: None };
        (*node.cast::<CustomState>()).batch =
            PgMemoryContexts::For((*estate).es_query_cxt).leak_and_drop_on_delete(made);
    })
}

/// Whether the state of a plan node is one of ours.
unsafe fn is_ours_state(state: *mut pg_sys::PlanState) -> bool {
    // SAFETY: the tag tells the type.
    unsafe {
        tag(state) == NodeTag::T_CustomScanState
            && std::ptr::eq((*state.cast::<CustomScanState>()).methods, &raw const EXEC_METHODS.0)
    }
}

/// The rows of a node of ours that another such node reads. What is wrong with a call of a row is deferred while the reader
/// reads ahead of what it has been asked for.
#[derive(Clone, Copy)]
pub struct ChildNode(*mut CustomScanState);

impl ChildNode {
    /// The input, if it is a node of ours.
    unsafe fn of(input: *mut pg_sys::PlanState) -> Option<Self> {
        // SAFETY: as the caller promises.
        unsafe { is_ours_state(input).then_some(Self(input.cast())) }
    }

    /// Tells whether the next row is asked for ahead of time.
    ///
    /// # Safety
    /// The node has begun, and no function of it runs.
    pub unsafe fn set_prefetching(self, prefetching: bool) {
        // SAFETY: as the caller promises.
        unsafe { batch_state(self.0).scan.is_prefetching = prefetching };
    }

    /// Whether it ended its rows because it defers an error.
    ///
    /// # Safety
    /// As [`set_prefetching`](Self::set_prefetching).
    pub unsafe fn defers_error(self) -> bool {
        // SAFETY: as the caller promises.
        unsafe { batch_state(self.0).scan.defers_error() }
    }
}

/// The state of a plan node that scans a table and shows in its slot where a row is.
unsafe fn table_scan(input: *mut pg_sys::PlanState) -> Option<*mut pg_sys::ScanState> {
    // SAFETY: the tag tells the type.
    let kind = unsafe { tag(input) };
    let kinds = [
        NodeTag::T_SeqScanState,
        NodeTag::T_SampleScanState,
        NodeTag::T_IndexScanState,
        NodeTag::T_BitmapHeapScanState,
        NodeTag::T_TidScanState,
        NodeTag::T_TidRangeScanState,
    ];
    kinds.contains(&kind).then_some(input.cast())
}

/// Which calls a node's conditions refer to.
unsafe fn calls_in_conditions(plan: *mut CustomScan, calls: usize) -> Vec<bool> {
    // SAFETY: as the caller promises; calls are the last columns.
    unsafe {
        let columns = elements::<Node>((*plan).custom_scan_tlist).len() - calls;
        let mut in_conditions = vec![false; calls];
        any((*plan).scan.plan.qual.cast(), |node| {
            let number = column_of(INDEX_VAR, node).and_then(|number| number.checked_sub(columns + 1));
            if let Some(used) = number.and_then(|number| in_conditions.get_mut(number)) {
                *used = true;
            }
            false
        });
        in_conditions
    }
}

/// The right to call a function, which the server checks for calls that it makes itself.
unsafe fn check_permission(function: pg_sys::Oid) {
    // SAFETY: the plan depends on the function, so it exists.
    unsafe {
        let mode = pg_sys::ACL_EXECUTE as pg_sys::AclMode;
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let result = pg_sys::pg_proc_aclcheck(function, pg_sys::GetUserId(), mode);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let result =
            pg_sys::object_aclcheck(pg_sys::ProcedureRelationId, function, pg_sys::GetUserId(), mode);
        if result != pg_sys::AclResult::ACLCHECK_OK {
            let name = pg_sys::get_func_name(function);
            pg_sys::aclcheck_error(result, pg_sys::ObjectType::OBJECT_FUNCTION, name);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn exec(node: *mut CustomScanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: the node has begun.
    error_bridge::callback(|| unsafe {
        let instruments = (*node).ss.ps.instrument;
        let filtered_out = || {
            if !instruments.is_null() {
                (*instruments).nfiltered1 += 1.0;
            }
        };
        let state = batch_state(node);
        let row = state.scan.next(filtered_out);
        if let Some(counters) = state.worker_counters {
            counters.write_volatile(state.scan.counters);
        }
        let projection = (*node).ss.ps.ps_ProjInfo;
        match row {
            Ok(Some(_)) if projection.is_null() => (*node).ss.ss_ScanTupleSlot,
            Ok(Some(_)) => error_bridge::project(projection),
            Ok(None) => std::ptr::null_mut(),
            Err(error) if state.scan.is_prefetching => {
                state.scan.defer_error(error);
                std::ptr::null_mut()
            }
            Err(error) => raise(error),
        }
    })
}

#[pg_guard]
unsafe extern "C-unwind" fn end(node: *mut CustomScanState) {
    // SAFETY: the node has begun.
    error_bridge::callback(|| unsafe {
        batch_state(node).scan.rescan();
        error_bridge::end_node((*node).ss.ps.lefttree);
    })
}

#[pg_guard]
unsafe extern "C-unwind" fn rescan(node: *mut CustomScanState) {
    // SAFETY: the node has begun. An input whose parameters changed begins anew when its first row is asked for.
    error_bridge::callback(|| unsafe {
        batch_state(node).scan.rescan();
        let input = (*node).ss.ps.lefttree;
        if (*input).chgParam.is_null() {
            error_bridge::rescan(input);
        }
    })
}

#[pg_guard]
unsafe extern "C-unwind" fn estimate_dsm(
    _node: *mut CustomScanState,
    parallel: *mut ParallelContext,
) -> pg_sys::Size {
    // SAFETY: the leader's context.
    SharedCounters::size(usize::try_from(unsafe { (*parallel).nworkers }).unwrap_or(0)) as _
}

#[pg_guard]
unsafe extern "C-unwind" fn initialize_dsm(
    node: *mut CustomScanState,
    parallel: *mut ParallelContext,
    memory: *mut std::ffi::c_void,
) {
    // SAFETY: the memory has the size that was asked for.
    unsafe {
        let state = batch_state(node);
        state.scan.counters = state.counted();
        state.shared_counters = SharedCounters::make(parallel, memory.cast());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn reinitialize_dsm(
    node: *mut CustomScanState,
    _parallel: *mut ParallelContext,
    _memory: *mut std::ffi::c_void,
) {
    // SAFETY: the workers of before have ended, and the next have not begun.
    unsafe {
        batch_state(node).shared_counters.iter_mut().for_each(|shared_counters| shared_counters.collect())
    };
}

#[pg_guard]
unsafe extern "C-unwind" fn initialize_worker(
    node: *mut CustomScanState,
    _contents: *mut pg_sys::shm_toc,
    memory: *mut std::ffi::c_void,
) {
    // SAFETY: the leader made counters for each worker.
    unsafe { batch_state(node).worker_counters = Some(counters_of_worker(memory.cast())) };
}

#[pg_guard]
unsafe extern "C-unwind" fn explain(
    node: *mut CustomScanState,
    ancestors: *mut List,
    explain_state: *mut ExplainState,
) {
    // SAFETY: the node has begun.
    let written = unsafe {
        let state = batch_state(node);
        explain::write_properties(
            node,
            ancestors,
            explain_state,
            state.scan.default_model(),
            &state.counted(),
        )
    };
    if let Err(error) = written {
        let error: Error = error;
        raise(error);
    }
}
