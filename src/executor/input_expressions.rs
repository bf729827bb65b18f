//! What the calls of a node ask about: input expressions, and the model of each.
//!
//! Calls of the same expression, model and output ask together. Invariant: expressions are evaluated on the input's row, in the
//! memory of that row.

use std::rc::Rc;

use ecommerce_ml_protocol::Output;
use pgrx::datum::FromDatum;
use pgrx::pg_sys::{self, Datum, ExprContext, ExprState, Node, NodeTag};

use super::error_bridge;
use super::functions::function_of;
use super::plan_builder::share_request;
use super::plan_walker::{elements, tag};
use crate::columns::RecordReaders;
use crate::inference::{InputKind, ModelFunction};

/// A call, as the value of a column.
pub struct CallColumn {
    pub function: ModelFunction,
    /// Number of what it asks about.
    pub input: usize,
}

/// What some calls ask about.
pub struct InputExpression {
    pub output: Output,
    kind: InputKind,
    value: *mut ExprState,
    model: ModelArgument,
    /// What reads values that are rows.
    pub readers: RecordReaders,
}

/// Where a model's name comes from.
enum ModelArgument {
    /// It is the default one.
    Default,
    Constant(Rc<str>),
    Computed(*mut ExprState),
}

/// What is asked about one row of the input.
pub struct EvaluatedInput {
    pub value: InputValue,
    /// Without it, the default one.
    pub model: Option<Rc<str>>,
}

/// A value of an input expression.
pub enum InputValue {
    Text(String),
    /// Of a composite type.
    Record(Datum),
    /// Of type jsonb.
    Json(Datum),
}

/// The calls of a node and what they ask about.
pub struct NodeCalls {
    pub calls: Vec<CallColumn>,
    pub inputs: Vec<InputExpression>,
}

impl NodeCalls {
    /// Reads the columns of a node that are calls, and prepares their arguments.
    ///
    /// # Safety
    /// `plan` is a node of ours, `parent` its state, whose input is there.
    pub unsafe fn prepare(plan: *mut pg_sys::CustomScan, parent: *mut pg_sys::PlanState) -> Self {
        let mut made = Self { calls: Vec::new(), inputs: Vec::new() };
        let mut distinct_calls: Vec<*mut pg_sys::FuncExpr> = Vec::new();
        // SAFETY: as the caller promises; columns of ours are calls or references.
        unsafe {
            for call in calls_of(plan) {
                let Some((function, kind)) = function_of((*call).funcid) else { continue };
                let input = match distinct_calls.iter().position(|other| share_request(*other, call)) {
                    Some(input) => input,
                    None => {
                        distinct_calls.push(call);
                        made.inputs.push(InputExpression::prepare(call, function.output(), kind, parent));
                        made.inputs.len() - 1
                    }
                };
                made.calls.push(CallColumn { function, input });
            }
        }
        made
    }
}

/// The calls among the columns of a node of ours.
///
/// # Safety
/// `plan` is a node of ours.
pub unsafe fn calls_of(plan: *mut pg_sys::CustomScan) -> Vec<*mut pg_sys::FuncExpr> {
    // SAFETY: as the caller promises.
    unsafe {
        let columns = elements::<pg_sys::TargetEntry>((*plan).custom_scan_tlist);
        let shown = columns.into_iter().map(|column| (*column).expr.cast::<pg_sys::FuncExpr>());
        shown.filter(|expression| tag(*expression) == NodeTag::T_FuncExpr).collect()
    }
}

impl InputExpression {
    unsafe fn prepare(
        call: *mut pg_sys::FuncExpr,
        output: Output,
        kind: InputKind,
        parent: *mut pg_sys::PlanState,
    ) -> Self {
        // SAFETY: a batchable call has one or two arguments.
        unsafe {
            let arguments = elements::<Node>((*call).args);
            let prepare = |argument: &*mut Node| pg_sys::ExecInitExpr((*argument).cast(), parent);
            let model =
                arguments.get(1).map_or(ModelArgument::Default, |argument| match constant_text(*argument) {
                    Some(name) => ModelArgument::Constant(name.into()),
                    None => ModelArgument::Computed(prepare(argument)),
                });
            let value = arguments.first().map_or(std::ptr::null_mut(), prepare);
            let readers = RecordReaders::new((*(*parent).state).es_query_cxt);
            Self { output, kind, value, model, readers }
        }
    }

    /// What the calls ask about the row that `context` holds; nothing if an argument is NULL.
    ///
    /// # Safety
    /// The context's outer row is one of the input. The value lives as long as the current memory context.
    pub unsafe fn evaluate(&self, context: *mut ExprContext) -> Option<EvaluatedInput> {
        // SAFETY: as the caller promises; the kind says of which type the value is.
        unsafe {
            let value = error_bridge::evaluate(self.value, context)?;
            let value = match self.kind {
                InputKind::Text => InputValue::Text(String::from_datum(value, false)?),
                InputKind::Record => InputValue::Record(value),
                InputKind::Json => InputValue::Json(value),
            };
            let model = match &self.model {
                ModelArgument::Default => None,
                ModelArgument::Constant(name) => Some(Rc::clone(name)),
                ModelArgument::Computed(state) => {
                    let name = error_bridge::evaluate(*state, context)?;
                    Some(Rc::from(<&str>::from_datum(name, false)?))
                }
            };
            Some(EvaluatedInput { value, model })
        }
    }
}

/// The text that a constant is.
///
/// # Safety
/// An expression of type text.
pub unsafe fn constant_text(node: *mut Node) -> Option<String> {
    // SAFETY: the tag tells the type.
    unsafe {
        let constant = node.cast::<pg_sys::Const>();
        if tag(node) != NodeTag::T_Const || (*constant).constisnull {
            return None;
        }
        String::from_datum((*constant).constvalue, false)
    }
}
