//! Intervals of rows, which return a table and so can't be columns of a node: `predict_interval(r, m, l)` becomes
//! `interval_of(prediction_of(r, m), m, l)`, whose inner call can.
//!
//! Invariant: both come to the same for every row; what is volatile, and so must not be evaluated twice, is left alone.

use pgrx::pg_sys::{self, CoercionForm, FuncExpr, Node, NodeTag, Oid, Plan};

use super::expression::{any, copy, replace};
use super::functions;
use super::plan_walker::{elements, list, tag};
use crate::api;
use crate::inference::InputKind;

/// Functions that take an interval apart, in the schema of the extension.
const PREDICTION: &core::ffi::CStr = c"prediction_of";
const INTERVAL: &core::ffi::CStr = c"interval_of";

/// Whether a plan node computes intervals of rows.
///
/// # Safety
/// `plan` points to a plan node.
pub unsafe fn has_intervals(plan: *mut Plan) -> bool {
    // SAFETY: as the caller promises.
    unsafe { expressions(plan).into_iter().any(|node| any(node, |node| kind(node).is_some())) }
}

/// Takes the intervals apart that a plan node computes.
///
/// # Safety
/// `plan` points to a plan node of a statement that nobody else uses.
pub unsafe fn take_apart(plan: *mut Plan) {
    // SAFETY: the tag tells the type.
    unsafe {
        if !has_intervals(plan) {
            return;
        }
        match tag(plan) {
            NodeTag::T_FunctionScan => {
                let scan = plan.cast::<pg_sys::FunctionScan>();
                for function in elements::<pg_sys::RangeTblFunction>((*scan).functions) {
                    (*function).funcexpr = replace((*function).funcexpr, |node| apart(node));
                }
            }
            _ => {
                let targets = elements::<Node>((*plan).targetlist);
                (*plan).targetlist = list(targets.into_iter().map(|one| replace(one, |node| apart(node))));
            }
        }
    }
}

/// What a plan node computes that may return rows.
unsafe fn expressions(plan: *mut Plan) -> Vec<*mut Node> {
    // SAFETY: the tag tells the type.
    unsafe {
        match tag(plan) {
            NodeTag::T_FunctionScan => vec![(*plan.cast::<pg_sys::FunctionScan>()).functions.cast()],
            NodeTag::T_ProjectSet => vec![(*plan).targetlist.cast()],
            _ => Vec::new(),
        }
    }
}

/// What an interval is of, if this is a call of it.
unsafe fn kind(node: *mut Node) -> Option<InputKind> {
    // SAFETY: the tag tells the type.
    unsafe {
        let call = node.cast::<FuncExpr>();
        let returns_rows = tag(node) == NodeTag::T_FuncExpr && (*call).funcretset;
        let is_own = returns_rows && (*call).funcid.to_u32() >= pg_sys::FirstNormalObjectId;
        if is_own { api::interval_at(functions::address_of((*call).funcid)) } else { None }
    }
}

/// The call, taken apart; nothing if it is none or has to stay as it is.
unsafe fn apart(node: *mut Node) -> Option<*mut Node> {
    // SAFETY: the tag tells the type; calls have as many arguments as their functions.
    unsafe {
        let kind = kind(node)?;
        let call = node.cast::<FuncExpr>();
        let arguments = elements::<Node>((*call).args);
        let &[input, model, level] = arguments.as_slice() else { return None };
        if pg_sys::contain_volatile_functions((*call).args.cast()) {
            return None;
        }
        let input_type = if kind == InputKind::Json { pg_sys::JSONBOID } else { pg_sys::RECORDOID };
        let schema = pg_sys::get_namespace_name(pg_sys::get_func_namespace((*call).funcid));
        let prediction = function(schema, PREDICTION, &[input_type, pg_sys::TEXTOID])?;
        let types = [pg_sys::FLOAT8ARRAYOID, pg_sys::TEXTOID, pg_sys::FLOAT8OID];
        let interval = function(schema, INTERVAL, &types)?;
        let inner = made(prediction, pg_sys::FLOAT8ARRAYOID, list([copy(input), copy(model)]), call);
        let outer =
            made(interval, (*call).funcresulttype, list([inner.cast(), copy(model), copy(level)]), call);
        (*outer).funcretset = true;
        Some(outer.cast())
    }
}

/// A call of a function, compared by the rules of another call.
unsafe fn made(
    function: Oid,
    result: Oid,
    arguments: *mut pg_sys::List,
    like: *mut FuncExpr,
) -> *mut FuncExpr {
    // SAFETY: as the caller promises.
    unsafe {
        let collation = (*like).inputcollid;
        let form = CoercionForm::COERCE_EXPLICIT_CALL;
        pg_sys::makeFuncExpr(function, result, arguments, pg_sys::InvalidOid, collation, form)
    }
}

/// The function of this name with arguments of these types, if it is there: the extension may not be up to date.
unsafe fn function(schema: *mut core::ffi::c_char, name: &core::ffi::CStr, types: &[Oid]) -> Option<Oid> {
    if schema.is_null() {
        return None;
    }
    // SAFETY: names of the server's are copied strings; it is told how many types there are.
    unsafe {
        let names = [schema, pg_sys::pstrdup(name.as_ptr())];
        let names = names.map(|name| pg_sys::makeString(name).cast::<Node>());
        let count = i32::try_from(types.len()).unwrap_or(0);
        let found = pg_sys::LookupFuncName(list(names), count, types.as_ptr(), true);
        (found != pg_sys::InvalidOid).then_some(found)
    }
}
