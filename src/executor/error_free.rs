//! Whether computing rows can raise an error that a statement which stops early would not have met.
//!
//! It must not know who reads the rows. Invariant: what isn't known here can raise errors. Running out of memory, values of a
//! gigabyte and damaged data don't count, nor does what would fail for any row, as a wrong pattern does.

use std::ffi::CStr;

use pgrx::pg_sys::{self, Node, NodeTag, Plan};

use super::expression::any;
use super::input_expressions::calls_of;
use super::node;
use super::plan_walker::{child_plans, elements, tag};
use super::prefetch_safety::{Subplans, reads_all};

/// Functions that never raise an error and that the server doesn't mark as such: texts joined, cut and compared, values
/// taken out of jsonb, comparisons of numbers, series of numbers. Their numbers never change.
const ERROR_FREE_FUNCTIONS: [u32; 59] = [
    401, 408, 849, 860, 868, 870, 871, 872, 875, 876, 878, 881, 882, 883, 884, 885, 937, 946, 1066, 1067,
    1068, 1069, 1258, 1282, 1283, 1299, 1317, 1318, 1367, 1369, 1372, 1374, 1375, 1381, 1598, 1620, 1718,
    1719, 1720, 1721, 1722, 1723, 2087, 2176, 2331, 2649, 2922, 2971, 3060, 3061, 3062, 3179, 3214, 3215,
    3216, 3217, 3478, 3940, 4047,
];

/// Functions that raise errors only because of what their second and later arguments are: padded and repeated texts,
/// regular expressions, formats of times.
const ERROR_FREE_WITH_CONSTANTS: [u32; 14] =
    [873, 874, 879, 880, 1238, 1239, 1254, 1256, 1622, 1770, 2049, 2073, 2088, 2284];

/// `||` of a text and something else, `concat` and `concat_ws`: as harmless as the output of their arguments.
const CONCATENATIONS: [u32; 4] = [2003, 2004, 3058, 3059];

/// `ntile` and `nth_value` refuse some numbers.
const WINDOW_FUNCTIONS_THAT_REFUSE: [u32; 2] = [3105, 3114];

/// Divisions and remainders, whose divisor must be neither 0 nor -1.
const DIVISIONS: [u32; 6] = [153, 154, 155, 156, 466, 945];

/// Parts of a text whose length must not be negative.
const SUBSTRINGS: [u32; 2] = [877, 936];

/// `LIKE` and its like, whose pattern must not end amid an escape.
const PATTERNS: [u32; 4] = [850, 851, 1633, 1634];

/// Objects below this number came with the server, in every version under the same number.
const FIRST_OF_USERS: u32 = 10_000;

impl Subplans {
    /// Whether fetching a row of `plan` after its first can raise no error. `repeated`: it may be started several times, each
    /// of which makes a first row.
    ///
    /// # Safety
    /// `plan` is null or points to a plan tree of the statement.
    pub unsafe fn error_free(self, plan: *mut Plan, repeated: bool) -> bool {
        // SAFETY: as the caller promises; the tag tells the type.
        unsafe {
            if plan.is_null() {
                return true;
            }
            let all = |lists: &[*mut pg_sys::List]| lists.iter().all(|list| self.error_free_list(*list));
            let own = match tag(plan) {
                // These read all of their input before they give a row.
                NodeTag::T_Sort | NodeTag::T_Hash if !repeated => return true,
                NodeTag::T_Agg if reads_all(plan) && !repeated => return self.error_free_node(plan),
                NodeTag::T_NestLoop => {
                    return self.error_free_node(plan)
                        && self.error_free((*plan).lefttree, repeated)
                        && self.error_free((*plan).righttree, true);
                }
                NodeTag::T_MergeJoin => all(&[(*plan.cast::<pg_sys::MergeJoin>()).mergeclauses]),
                NodeTag::T_HashJoin => {
                    let join = plan.cast::<pg_sys::HashJoin>();
                    all(&[(*join).hashclauses, (*join).hashkeys])
                }
                NodeTag::T_Hash => all(&[(*plan.cast::<pg_sys::Hash>()).hashkeys]),
                NodeTag::T_IndexScan => {
                    let scan = plan.cast::<pg_sys::IndexScan>();
                    all(&[(*scan).indexqualorig, (*scan).indexorderbyorig])
                }
                NodeTag::T_IndexOnlyScan => all(&[(*plan.cast::<pg_sys::IndexOnlyScan>()).indexqual]),
                NodeTag::T_BitmapIndexScan => {
                    !repeated || all(&[(*plan.cast::<pg_sys::BitmapIndexScan>()).indexqualorig])
                }
                NodeTag::T_BitmapHeapScan => all(&[(*plan.cast::<pg_sys::BitmapHeapScan>()).bitmapqualorig]),
                NodeTag::T_TidScan => all(&[(*plan.cast::<pg_sys::TidScan>()).tidquals]),
                // Functions in FROM are read to their end before they give a row.
                NodeTag::T_FunctionScan => {
                    !repeated || all(&[(*plan.cast::<pg_sys::FunctionScan>()).functions])
                }
                NodeTag::T_ValuesScan => all(&[(*plan.cast::<pg_sys::ValuesScan>()).values_lists]),
                NodeTag::T_CteScan => {
                    let number = (*plan.cast::<pg_sys::CteScan>()).ctePlanId;
                    self.error_free(self.plan(number), repeated)
                }
                kind => PROJECTING_NODES.contains(&kind),
            };
            own && self.error_free_node(plan)
                && child_plans(plan).into_iter().all(|input| self.error_free(*input, repeated))
        }
    }

    /// Whether a node of ours can ask about rows of its input after the first without an error. Those of the calls of another
    /// such node below are kept back by that one.
    ///
    /// # Safety
    /// `plan` points to a node of ours.
    pub unsafe fn inputs_error_free(self, plan: *mut Plan) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let inputs = calls_of(plan.cast()).into_iter().all(|call| self.error_free_list((*call).args));
            let input = (*plan).lefttree;
            inputs
                && match node::is_ours(input) {
                    true => self.error_free_node(input) && self.inputs_error_free(input),
                    false => self.error_free(input, false),
                }
        }
    }

    /// Whether what a plan node evaluates itself raises no errors.
    unsafe fn error_free_node(self, plan: *mut Plan) -> bool {
        // SAFETY: as the caller promises; the tag tells the type.
        unsafe {
            let joins = matches!(tag(plan), NodeTag::T_NestLoop | NodeTag::T_HashJoin | NodeTag::T_MergeJoin);
            self.error_free_list((*plan).targetlist)
                && self.error_free_list((*plan).qual)
                && (!joins || self.error_free_list((*plan.cast::<pg_sys::Join>()).joinqual))
        }
    }

    unsafe fn error_free_list(self, expressions: *mut pg_sys::List) -> bool {
        // SAFETY: as the caller promises.
        unsafe { !any(expressions.cast(), |node| !self.is_error_free(node)) }
    }

    /// Whether a node of an expression raises no error itself.
    unsafe fn is_error_free(self, node: *mut Node) -> bool {
        // SAFETY: the tag tells the type.
        unsafe {
            match tag(node) {
                kind if ERROR_FREE_NODES.contains(&kind) => true,
                NodeTag::T_FuncExpr => {
                    let call = node.cast::<pg_sys::FuncExpr>();
                    function_is_error_free((*call).funcid, (*call).args)
                }
                NodeTag::T_OpExpr | NodeTag::T_DistinctExpr | NodeTag::T_NullIfExpr => {
                    let operator = node.cast::<pg_sys::OpExpr>();
                    function_is_error_free((*operator).opfuncid, (*operator).args)
                }
                NodeTag::T_ScalarArrayOpExpr => {
                    let operator = node.cast::<pg_sys::ScalarArrayOpExpr>();
                    function_is_error_free((*operator).opfuncid, (*operator).args)
                }
                NodeTag::T_CoerceViaIO => {
                    let coercion = node.cast::<pg_sys::CoerceViaIO>();
                    let to_text = matches!(
                        (*coercion).resulttype,
                        pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID
                    );
                    to_text && is_of_the_server((*coercion).arg.cast())
                }
                NodeTag::T_MinMaxExpr => elements::<Node>((*node.cast::<pg_sys::MinMaxExpr>()).args)
                    .into_iter()
                    .all(|argument| is_of_the_server(argument)),
                NodeTag::T_SubscriptingRef => {
                    (*node.cast::<pg_sys::SubscriptingRef>()).refassgnexpr.is_null() && is_of_the_server(node)
                }
                NodeTag::T_Aggref => (*node.cast::<pg_sys::Aggref>()).aggfnoid.to_u32() < FIRST_OF_USERS,
                NodeTag::T_WindowFunc => {
                    let function = (*node.cast::<pg_sys::WindowFunc>()).winfnoid.to_u32();
                    function < FIRST_OF_USERS && !WINDOW_FUNCTIONS_THAT_REFUSE.contains(&function)
                }
                NodeTag::T_SubPlan => {
                    self.error_free(self.plan((*node.cast::<pg_sys::SubPlan>()).plan_id), true)
                }
                _ => false,
            }
        }
    }
}

/// Whether a function raises no error for these arguments.
unsafe fn function_is_error_free(function: pg_sys::Oid, arguments: *mut pg_sys::List) -> bool {
    // SAFETY: as the caller promises; the function exists, since a plan names it.
    unsafe {
        let number = function.to_u32();
        let arguments = elements::<Node>(arguments);
        let mut later = arguments.iter().skip(1);
        ERROR_FREE_FUNCTIONS.contains(&number)
            || (ERROR_FREE_WITH_CONSTANTS.contains(&number)
                && later.all(|argument| tag(*argument) == NodeTag::T_Const))
            || (CONCATENATIONS.contains(&number) && arguments.iter().all(|one| is_of_the_server(*one)))
            || (DIVISIONS.contains(&number) && is_at_least(1, arguments.get(1)))
            || (SUBSTRINGS.contains(&number) && is_at_least(0, arguments.get(2)))
            || (PATTERNS.contains(&number) && is_whole_pattern(arguments.get(1)))
            || pg_sys::get_func_leakproof(function)
    }
}

/// Whether a value's type came with the server, and so do the functions that show and compare it.
unsafe fn is_of_the_server(node: *mut Node) -> bool {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::exprType(node).to_u32() < FIRST_OF_USERS }
}

/// Whether a node is a constant that passes a test.
unsafe fn is_constant(node: Option<&*mut Node>, test: impl FnOnce(pg_sys::Datum) -> bool) -> bool {
    node.is_some_and(|node| {
        // SAFETY: the tag tells the type.
        unsafe {
            let constant = node.cast::<pg_sys::Const>();
            tag(*node) == NodeTag::T_Const && !(*constant).constisnull && test((*constant).constvalue)
        }
    })
}

/// Whether an integer is a constant, and not below this.
unsafe fn is_at_least(least: isize, node: Option<&*mut Node>) -> bool {
    // SAFETY: as the caller promises; all integers are passed by value.
    unsafe { is_constant(node, |value| value.value().cast_signed() >= least) }
}

/// Whether a text is a constant that ends with no escape.
unsafe fn is_whole_pattern(node: Option<&*mut Node>) -> bool {
    // SAFETY: as the caller promises; patterns are of type text.
    unsafe {
        is_constant(node, |value| {
            let text = CStr::from_ptr(pg_sys::text_to_cstring(value.cast_mut_ptr()));
            text.to_bytes().last() != Some(&b'\\')
        })
    }
}

/// Nodes of expressions that combine or choose values, and lists of them.
const ERROR_FREE_NODES: [NodeTag; 20] = [
    NodeTag::T_Var,
    NodeTag::T_Const,
    NodeTag::T_Param,
    NodeTag::T_List,
    NodeTag::T_TargetEntry,
    NodeTag::T_BoolExpr,
    NodeTag::T_RelabelType,
    NodeTag::T_ConvertRowtypeExpr,
    NodeTag::T_CaseExpr,
    NodeTag::T_CaseWhen,
    NodeTag::T_CaseTestExpr,
    NodeTag::T_CoalesceExpr,
    NodeTag::T_ArrayExpr,
    NodeTag::T_RowExpr,
    NodeTag::T_NullTest,
    NodeTag::T_BooleanTest,
    NodeTag::T_SQLValueFunction,
    NodeTag::T_GroupingFunc,
    NodeTag::T_NamedArgExpr,
    NodeTag::T_RangeTblFunction,
];

/// Plan nodes that evaluate their target list and conditions, and nothing else, for each row of their inputs.
const PROJECTING_NODES: [NodeTag; 25] = [
    NodeTag::T_Agg,
    NodeTag::T_Append,
    NodeTag::T_BitmapAnd,
    NodeTag::T_BitmapOr,
    NodeTag::T_Gather,
    NodeTag::T_GatherMerge,
    NodeTag::T_Group,
    NodeTag::T_IncrementalSort,
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
    NodeTag::T_Sort,
    NodeTag::T_SubqueryScan,
    NodeTag::T_TidRangeScan,
    NodeTag::T_Unique,
    NodeTag::T_WindowAgg,
    NodeTag::T_WorkTableScan,
];
