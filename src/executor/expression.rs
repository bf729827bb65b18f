//! Expressions, searched and rewritten.
//!
//! Invariant: a call that [`always_evaluated`] finds is evaluated whenever the expression is, so that evaluating it
//! earlier raises no error that the expression wouldn't raise.

use std::ffi::c_void;

use pgrx::pg_sys::{self, BoolExprType, Node, NodeTag};

use super::functions;
use super::plan_walker::{elements, tag};

type Test<'a> = &'a mut dyn FnMut(*mut Node) -> bool;
type Change<'a> = &'a mut dyn FnMut(*mut Node) -> Option<*mut Node>;

/// Whether a node of an expression, or of a list of them, passes the test.
///
/// # Safety
/// `node` is null or points to an expression or list of expressions.
pub unsafe fn any(node: *mut Node, mut test: impl FnMut(*mut Node) -> bool) -> bool {
    let mut test: Test<'_> = &mut test;
    // SAFETY: the walker gets back the pointer that it is given here, while the test lives.
    unsafe { any_walker(node, (&raw mut test).cast()) }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn any_walker(node: *mut Node, test: *mut c_void) -> bool {
    // SAFETY: `any` passes a pointer to a test, and the server passes it on.
    unsafe {
        !node.is_null()
            && ((*test.cast::<Test<'_>>())(node)
                || pg_sys::expression_tree_walker(node, Some(any_walker), test))
    }
}

/// A copy of an expression in which some nodes are replaced; what is in a replaced node isn't looked at.
///
/// # Safety
/// `node` points to an expression.
pub unsafe fn replace(node: *mut Node, mut change: impl FnMut(*mut Node) -> Option<*mut Node>) -> *mut Node {
    let mut change: Change<'_> = &mut change;
    // SAFETY: the mutator gets back the pointer that it is given here, while the closure lives.
    unsafe { mutator(node, (&raw mut change).cast()) }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn mutator(node: *mut Node, change: *mut c_void) -> *mut Node {
    // SAFETY: `replace` passes a pointer to a closure, and the server passes it on.
    unsafe {
        if node.is_null() {
            return node;
        }
        match (*change.cast::<Change<'_>>())(node) {
            Some(other) => other,
            None => mutate_children(node, change),
        }
    }
}

type Mutator = unsafe extern "C-unwind" fn(*mut Node, *mut c_void) -> *mut Node;

#[cfg(any(feature = "pg14", feature = "pg15"))]
unsafe fn mutate_children(node: *mut Node, change: *mut c_void) -> *mut Node {
    // SAFETY: these versions declare the callback without its parameters, and call it with them.
    unsafe {
        let untyped =
            std::mem::transmute::<Mutator, unsafe extern "C-unwind" fn() -> *mut Node>(mutator as Mutator);
        pg_sys::expression_tree_mutator(node, Some(untyped), change)
    }
}

#[cfg(not(any(feature = "pg14", feature = "pg15")))]
unsafe fn mutate_children(node: *mut Node, change: *mut c_void) -> *mut Node {
    // SAFETY: as the caller promises.
    unsafe {
        #[cfg(feature = "pg18")]
        return pg_sys::expression_tree_mutator(node, Some(mutator as Mutator), change);
        #[cfg(not(feature = "pg18"))]
        return pg_sys::expression_tree_mutator_impl(node, Some(mutator as Mutator), change);
    }
}

/// Whether two expressions are the same.
///
/// # Safety
/// Each is null or points to an expression.
pub unsafe fn same<T>(one: *mut T, other: *mut T) -> bool {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::equal(one.cast(), other.cast()) }
}

/// A deep copy.
///
/// # Safety
/// `node` is null or points to a node.
pub unsafe fn copy<T>(node: *mut T) -> *mut T {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::copyObjectImpl(node.cast()).cast() }
}

/// A reference to a column that holds the value of an expression.
///
/// # Safety
/// `like` points to an expression.
pub unsafe fn column(input: i32, number: usize, like: *mut Node) -> *mut Node {
    // SAFETY: as the caller promises. The types of the parameters differ between versions.
    unsafe {
        let (kind, modifier) = (pg_sys::exprType(like), pg_sys::exprTypmod(like));
        pg_sys::makeVar(input as _, number as _, kind, modifier, pg_sys::exprCollation(like), 0).cast()
    }
}

/// The number of the column, if this is a reference to one of that input.
///
/// # Safety
/// `node` points to an expression.
pub unsafe fn column_of(input: i32, node: *mut Node) -> Option<usize> {
    // SAFETY: the tag tells the type.
    unsafe {
        let reference = node.cast::<pg_sys::Var>();
        let ours = tag(node) == NodeTag::T_Var && input_of(reference) == input;
        ours.then(|| usize::try_from((*reference).varattno).unwrap_or(0))
    }
}

/// Which input or relation a column is of.
///
/// # Safety
/// `column` points to a reference to a column.
#[allow(clippy::unnecessary_cast)]
pub unsafe fn input_of(column: *mut pg_sys::Var) -> i32 {
    // SAFETY: as the caller promises. PostgreSQL 14 keeps it in an unsigned number.
    unsafe { (*column).varno as i32 }
}

/// Whether a batchable call is anywhere in an expression.
///
/// # Safety
/// As [`any`].
pub unsafe fn has_call(node: *mut Node) -> bool {
    // SAFETY: as the caller promises.
    unsafe { any(node, |node| functions::as_batchable_call(node).is_some()) }
}

/// The batchable calls that are evaluated whenever the expression is, except those that take other calls' results and
/// those of volatile texts, of which two that look the same aren't.
/// Inner nodes of aggregates and window functions aren't looked at: they are evaluated elsewhere.
///
/// # Safety
/// `node` is null or points to an expression.
pub unsafe fn always_evaluated(node: *mut Node, found: &mut Vec<*mut pg_sys::FuncExpr>) {
    if node.is_null() {
        return;
    }
    // SAFETY: as the caller promises; children of expressions are expressions.
    unsafe {
        let before = found.len();
        for child in always_evaluated_children(node) {
            always_evaluated(child, found);
        }
        if found.len() == before
            && let Some(call) = functions::as_batchable_call(node)
            && !elements::<Node>((*call).args).into_iter().any(|argument| has_call(argument))
            && !pg_sys::contain_volatile_functions((*call).args.cast())
        {
            found.push(call);
        }
    }
}

/// Which children of a node are evaluated whenever it is. Kinds of nodes that aren't known have none.
unsafe fn always_evaluated_children(node: *mut Node) -> Vec<*mut Node> {
    // SAFETY: the tag tells the type.
    unsafe {
        match tag(node) {
            NodeTag::T_FuncExpr => elements((*node.cast::<pg_sys::FuncExpr>()).args),
            NodeTag::T_OpExpr | NodeTag::T_DistinctExpr | NodeTag::T_NullIfExpr => {
                elements((*node.cast::<pg_sys::OpExpr>()).args)
            }
            NodeTag::T_ScalarArrayOpExpr => elements((*node.cast::<pg_sys::ScalarArrayOpExpr>()).args),
            NodeTag::T_MinMaxExpr => elements((*node.cast::<pg_sys::MinMaxExpr>()).args),
            NodeTag::T_RowExpr => elements((*node.cast::<pg_sys::RowExpr>()).args),
            NodeTag::T_ArrayExpr => elements((*node.cast::<pg_sys::ArrayExpr>()).elements),
            NodeTag::T_TargetEntry => vec![(*node.cast::<pg_sys::TargetEntry>()).expr.cast()],
            NodeTag::T_RelabelType => vec![(*node.cast::<pg_sys::RelabelType>()).arg.cast()],
            NodeTag::T_CoerceViaIO => vec![(*node.cast::<pg_sys::CoerceViaIO>()).arg.cast()],
            NodeTag::T_ArrayCoerceExpr => vec![(*node.cast::<pg_sys::ArrayCoerceExpr>()).arg.cast()],
            NodeTag::T_ConvertRowtypeExpr => vec![(*node.cast::<pg_sys::ConvertRowtypeExpr>()).arg.cast()],
            NodeTag::T_CoerceToDomain => vec![(*node.cast::<pg_sys::CoerceToDomain>()).arg.cast()],
            NodeTag::T_FieldSelect => vec![(*node.cast::<pg_sys::FieldSelect>()).arg.cast()],
            NodeTag::T_NullTest => vec![(*node.cast::<pg_sys::NullTest>()).arg.cast()],
            NodeTag::T_BooleanTest => vec![(*node.cast::<pg_sys::BooleanTest>()).arg.cast()],
            NodeTag::T_SubscriptingRef => vec![(*node.cast::<pg_sys::SubscriptingRef>()).refexpr.cast()],
            NodeTag::T_BoolExpr => first_operand(node.cast()),
            NodeTag::T_CoalesceExpr => first((*node.cast::<pg_sys::CoalesceExpr>()).args),
            NodeTag::T_CaseExpr => first_condition(node.cast()),
            _ => Vec::new(),
        }
    }
}

unsafe fn first(list: *mut pg_sys::List) -> Vec<*mut Node> {
    // SAFETY: as the caller promises.
    unsafe { elements(list).into_iter().take(1).collect() }
}

/// AND and OR may stop after the first argument; NOT has just one.
unsafe fn first_operand(node: *mut pg_sys::BoolExpr) -> Vec<*mut Node> {
    // SAFETY: as the caller promises.
    unsafe {
        match (*node).boolop {
            BoolExprType::AND_EXPR | BoolExprType::OR_EXPR | BoolExprType::NOT_EXPR => first((*node).args),
            _ => Vec::new(),
        }
    }
}

/// What CASE compares, and the first condition.
unsafe fn first_condition(node: *mut pg_sys::CaseExpr) -> Vec<*mut Node> {
    // SAFETY: as the caller promises.
    unsafe {
        let conditions = elements::<pg_sys::CaseWhen>((*node).args);
        let first = conditions.into_iter().take(1).map(|when| (*when).expr.cast());
        std::iter::once((*node).arg.cast()).filter(|arg: &*mut Node| !arg.is_null()).chain(first).collect()
    }
}
