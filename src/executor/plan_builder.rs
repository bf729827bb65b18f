//! The plan nodes that are put in.
//!
//! A node stands over one input. It shows the input's columns and, after them, one column for each of its calls, tests
//! the conditions that need those, and computes its target list. Conditions with calls of different inputs get a node
//! each, in their order, so that the second input is only read where the first condition holds; what the target list
//! calls comes last. `custom_scan_tlist` describes all this to the executor and to EXPLAIN.
//!
//! Invariant: expressions are evaluated for the same rows as without the nodes.

use pgrx::pg_sys::{self, INDEX_VAR, Node, NodeTag, OUTER_VAR, Plan, TargetEntry};

use super::expression::{always_evaluated, column, column_of, copy, replace, same};
use super::functions::function_of;
use super::node;
use super::plan_walker::{elements, list, tag};

/// What is computed from the columns of an input, which expressions name as `OUTER_VAR`.
pub struct NodeExpressions {
    pub targets: Vec<*mut TargetEntry>,
    /// In the order in which they are to be tested.
    pub conditions: Vec<*mut Node>,
}

type Call = *mut pg_sys::FuncExpr;

/// Puts nodes over `input` until no call is left that can be batched. Costs and parameters are taken from `like`.
///
/// # Safety
/// `input` and `like` point to plan nodes, and the expressions fit the input's columns.
pub unsafe fn put_nodes_over(
    input: *mut Plan,
    mut expressions: NodeExpressions,
    like: *const Plan,
    next_node_id: &mut i32,
) -> *mut Plan {
    let mut plan = input;
    loop {
        // SAFETY: as the caller promises; each round leaves expressions over the columns of the new plan.
        unsafe {
            let calls = next_calls(&expressions);
            let more = NodeBuilder::over(plan, calls, like, next_node_id).evaluate(&mut expressions);
            plan = more.plan;
            if more.last {
                return plan;
            }
        }
    }
}

/// The calls of the first condition that has some and all others of the same inputs; without such a condition, those
/// of the target list.
unsafe fn next_calls(expressions: &NodeExpressions) -> Vec<Call> {
    // SAFETY: as the caller promises.
    unsafe {
        let mut everything: Vec<Call> = Vec::new();
        for condition in &expressions.conditions {
            always_evaluated(*condition, &mut everything);
            if !everything.is_empty() {
                break;
            }
        }
        let first = everything.clone();
        for node in expressions
            .conditions
            .iter()
            .copied()
            .chain(expressions.targets.iter().map(|target| target.cast()))
        {
            always_evaluated(node, &mut everything);
        }
        let mut calls: Vec<Call> = Vec::new();
        for call in everything {
            let wanted = first.is_empty() || first.iter().any(|other| share_request(*other, call));
            if wanted && !calls.iter().any(|other| same(*other, call)) {
                calls.push(call);
            }
        }
        calls
    }
}

/// Whether two calls are answered by one request: the same output of the same model for the same input.
///
/// # Safety
/// Both point to batchable calls.
pub unsafe fn share_request(one: Call, other: Call) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let output = |call: Call| function_of((*call).funcid).map(|(function, _)| function.output());
        output(one) == output(other) && same((*one).args, (*other).args)
    }
}

/// A node in the making.
struct NodeBuilder {
    plan: *mut pg_sys::CustomScan,
    /// Types of the input's columns.
    columns: Vec<*mut Node>,
    calls: Vec<Call>,
}

/// A node made.
struct BuiltNode {
    plan: *mut Plan,
    /// Nothing is left for another one.
    last: bool,
}

impl NodeBuilder {
    unsafe fn over(input: *mut Plan, calls: Vec<Call>, like: *const Plan, next_node_id: &mut i32) -> Self {
        // SAFETY: a node of the server's begins as zeros and its tag; `like` is copied before it changes.
        unsafe {
            let plan = pg_sys::palloc0(size_of::<pg_sys::CustomScan>()).cast::<pg_sys::CustomScan>();
            let base = &mut (*plan).scan.plan;
            *base = *like;
            base.type_ = NodeTag::T_CustomScan;
            base.parallel_aware = false;
            base.async_capable = false;
            base.initPlan = std::ptr::null_mut();
            base.qual = std::ptr::null_mut();
            base.lefttree = input;
            base.righttree = std::ptr::null_mut();
            base.plan_node_id = *next_node_id;
            *next_node_id += 1;
            (*plan).methods = node::methods();
            let entries = elements::<TargetEntry>((*input).targetlist);
            let columns: Vec<_> = entries.into_iter().map(|entry| (*entry).expr.cast()).collect();
            let shown = columns.iter().enumerate().map(|(at, like)| column(OUTER_VAR, at + 1, *like));
            let called = calls.iter().map(|call| copy(*call).cast());
            (*plan).custom_scan_tlist = list(shown.chain(called).enumerate().map(|(at, expression)| {
                pg_sys::makeTargetEntry(expression.cast(), (at + 1) as _, std::ptr::null_mut(), false)
            }));
            Self { plan, columns, calls }
        }
    }

    /// Takes over what can be done here; what is left in `expressions` is about this node's output.
    unsafe fn evaluate(self, expressions: &mut NodeExpressions) -> BuiltNode {
        // SAFETY: the expressions fit the input's columns, as the caller of `put_nodes_over` promises.
        unsafe {
            let testable =
                expressions.conditions.iter().take_while(|one| self.evaluates_fully(**one)).count();
            let conditions: Vec<_> = expressions.conditions.drain(..testable).collect();
            let base = &raw mut (*self.plan).scan.plan;
            (*base).qual = list(conditions.into_iter().map(|one| self.for_this_node(one)));
            let last = expressions.conditions.is_empty()
                && expressions.targets.iter().all(|target| self.evaluates_fully((*target).cast()));
            if last {
                let targets = expressions.targets.drain(..);
                (*base).targetlist =
                    list(targets.map(|target| self.rewrite_target(target, Self::for_this_node)));
            } else {
                (*base).targetlist = self.all_columns();
                expressions
                    .targets
                    .iter_mut()
                    .for_each(|target| *target = self.rewrite_target(*target, Self::for_next_node));
                expressions.conditions.iter_mut().for_each(|one| *one = self.for_next_node(*one));
            }
            BuiltNode { plan: base, last }
        }
    }

    /// Whether no call is left in an expression that another node could batch.
    unsafe fn evaluates_fully(&self, expression: *mut Node) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let mut left = Vec::new();
            always_evaluated(self.for_this_node(expression), &mut left);
            left.is_empty()
        }
    }

    /// An expression over the input's columns, as this node evaluates it.
    unsafe fn for_this_node(&self, expression: *mut Node) -> *mut Node {
        // SAFETY: as the caller promises.
        unsafe {
            replace(expression, |node| {
                let from_input = column_of(OUTER_VAR, node).map(|number| column(INDEX_VAR, number, node));
                from_input.or_else(|| self.call_column(INDEX_VAR, node))
            })
        }
    }

    /// An expression over the input's columns, as the next node sees it.
    unsafe fn for_next_node(&self, expression: *mut Node) -> *mut Node {
        // SAFETY: as the caller promises.
        unsafe { replace(expression, |node| self.call_column(OUTER_VAR, node)) }
    }

    unsafe fn call_column(&self, input: i32, node: *mut Node) -> Option<*mut Node> {
        // SAFETY: as the caller promises.
        unsafe {
            if tag(node) != NodeTag::T_FuncExpr {
                return None;
            }
            let number = self.calls.iter().position(|call| same(call.cast(), node))?;
            Some(column(input, self.columns.len() + number + 1, node))
        }
    }

    unsafe fn rewrite_target(
        &self,
        target: *mut TargetEntry,
        rewrite: unsafe fn(&Self, *mut Node) -> *mut Node,
    ) -> *mut TargetEntry {
        // SAFETY: as the caller promises.
        unsafe {
            let entry = pg_sys::flatCopyTargetEntry(target);
            (*entry).expr = rewrite(self, (*target).expr.cast()).cast();
            entry
        }
    }

    /// A target list of all columns, the input's and the calls'.
    unsafe fn all_columns(&self) -> *mut pg_sys::List {
        // SAFETY: the types are those of the expressions that the columns stand for.
        unsafe {
            let shown = self.columns.iter().copied().chain(self.calls.iter().map(|call| call.cast()));
            list(shown.enumerate().map(|(at, like)| {
                let reference = column(INDEX_VAR, at + 1, like);
                pg_sys::makeTargetEntry(reference.cast(), (at + 1) as _, std::ptr::null_mut(), false)
            }))
        }
    }
}

/// Puts a node between a plan node and its input that adds columns to the input's: one for each call.
///
/// # Safety
/// As [`put_nodes_over`].
pub unsafe fn add_columns(input: *mut Plan, calls: &[Call], next_node_id: &mut i32) -> *mut Plan {
    // SAFETY: as the caller promises.
    unsafe {
        let node = NodeBuilder::over(input, calls.to_vec(), input, next_node_id);
        let names = elements::<TargetEntry>((*input).targetlist);
        (*node.plan).scan.plan.targetlist = node.all_columns();
        let made = elements::<TargetEntry>((*node.plan).scan.plan.targetlist);
        for (entry, like) in made.into_iter().zip(names) {
            (*entry).resname = (*like).resname;
            (*entry).resjunk = (*like).resjunk;
            (*entry).ressortgroupref = (*like).ressortgroupref;
        }
        &raw mut (*node.plan).scan.plan
    }
}
