//! How far ahead each node of ours may fetch rows.
//!
//! Row by row, a statement that stops early never meets the errors of the rows that it doesn't come to. So a node whose input
//! or texts may raise errors fetches only rows that are going to be asked for: all where the reader is known to read to the
//! end, else as many as a LIMIT or the client's FETCH still wants, else one at a time. Invariant: what is fetched ahead of
//! that can't raise errors.

use pgrx::pg_sys::{CmdType, NodeTag, Plan, PlannedStmt};

use super::node::{self, PrefetchLimit, PrivateData};
use super::plan_walker::{cells, child_plans, tag};
use super::prefetch_safety::Subplans;
use super::rewrite::drains;

/// How much of a plan is going to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Nobody knows.
    Unknown,
    /// All, unless the client stops.
    AllOfRun,
    All,
}

/// What is above a plan node.
#[derive(Clone, Copy)]
struct ReaderContext {
    extent: Extent,
    /// Of a LIMIT that all rows of the node but for filtered ones go to.
    limited: Option<Extent>,
    /// Whether some are filtered on the way there.
    filtered: bool,
    /// Whether each row of the statement takes at least one of the node's.
    feeds_client: bool,
}

/// Notes in each node of ours how far it may fetch ahead.
///
/// # Safety
/// `statement` points to a planned statement that nobody else uses.
pub unsafe fn set_prefetch_limits(statement: *mut PlannedStmt) {
    // SAFETY: as the caller promises.
    unsafe {
        let subplans = Subplans((*statement).subplans);
        let select = (*statement).commandType == CmdType::CMD_SELECT;
        let extent = if select { Extent::AllOfRun } else { Extent::All };
        subplans.visit(
            (*statement).planTree,
            ReaderContext { extent, limited: None, filtered: false, feeds_client: true },
        );
        for subplan in cells((*statement).subplans) {
            subplans.visit(
                *subplan,
                ReaderContext {
                    extent: Extent::Unknown,
                    limited: None,
                    filtered: false,
                    feeds_client: false,
                },
            );
        }
    }
}

impl Subplans {
    unsafe fn visit(self, plan: *mut Plan, reader: ReaderContext) {
        // SAFETY: as the caller promises.
        unsafe {
            if plan.is_null() {
                return;
            }
            if node::is_ours(plan) {
                let limited_exactly = reader.limited.is_some() && !reader.filtered && (*plan).qual.is_null();
                node::set_private_data(
                    plan.cast(),
                    PrivateData { prefetch: self.prefetch_limit(plan, reader), limited_exactly },
                );
            }
            for (at, input) in child_plans(plan).into_iter().enumerate() {
                self.visit(*input, context_below(plan, at, reader));
            }
        }
    }

    unsafe fn prefetch_limit(self, plan: *mut Plan, reader: ReaderContext) -> PrefetchLimit {
        // SAFETY: as the caller promises.
        if unsafe { self.inputs_error_free(plan) } {
            return PrefetchLimit::Unlimited;
        }
        let limited = reader.limited.filter(|extent| *extent != Extent::Unknown);
        match (reader.extent, limited) {
            (Extent::All, _) => PrefetchLimit::Unlimited,
            (Extent::AllOfRun, _) => {
                PrefetchLimit::ToRequestedRow { limited: false, feeds_client: reader.feeds_client }
            }
            (Extent::Unknown, Some(Extent::All)) => PrefetchLimit::ToLimit,
            (Extent::Unknown, Some(_)) => {
                PrefetchLimit::ToRequestedRow { limited: true, feeds_client: reader.feeds_client }
            }
            (Extent::Unknown, None) => PrefetchLimit::OneRow,
        }
    }
}

/// What is above an input of a plan node, by its place among the inputs.
unsafe fn context_below(plan: *mut Plan, input: usize, reader: ReaderContext) -> ReaderContext {
    // SAFETY: the tag tells the type.
    unsafe {
        let kind = tag(plan);
        let inherited = drains(plan, input, true);
        let reads_all = drains(plan, input, false);
        let extent = match reader.extent {
            _ if reads_all => Extent::All,
            extent if inherited => extent,
            _ => Extent::Unknown,
        };
        let limited = match kind {
            NodeTag::T_Limit => Some(reader.extent),
            NodeTag::T_CustomScan if node::is_ours(plan) => reader.limited,
            _ => None,
        };
        let filtered =
            limited.is_some() && kind != NodeTag::T_Limit && (reader.filtered || !(*plan).qual.is_null());
        let feeds_client = reader.feeds_client && ONE_FOR_ONE.contains(&kind);
        ReaderContext { extent, limited, filtered, feeds_client }
    }
}

/// Plan nodes that give no more rows than they read.
const ONE_FOR_ONE: [NodeTag; 9] = [
    NodeTag::T_Append,
    NodeTag::T_CustomScan,
    NodeTag::T_Group,
    NodeTag::T_Limit,
    NodeTag::T_Material,
    NodeTag::T_Result,
    NodeTag::T_SubqueryScan,
    NodeTag::T_Unique,
    NodeTag::T_WindowAgg,
];
