//! Which functions of a plan are ours.
//!
//! A function is batchable if its support function is ours and it is one of the functions of a single input; names
//! and schemas don't matter. Invariant: what is kept is forgotten when a function changes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use pgrx::pg_sys::{self, Node, NodeTag};
use pgrx::{Internal, pg_extern};

use super::cost;
use super::plan_walker::tag;
use crate::api;
use crate::inference::{InputKind, ModelFunction};

/// One of our functions, and what it reads.
type Batchable = (ModelFunction, InputKind);

thread_local! {
    static CACHE: RefCell<HashMap<pg_sys::Oid, Option<Batchable>>> = RefCell::default();
    /// Set by the server's callback, which must not touch a map that may be in use.
    static STALE: Cell<bool> = const { Cell::new(false) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// The support function of every batchable function: tells the planner what they cost. That the planner calls it
/// also loads this library before a session's first query runs.
#[pg_extern]
fn text_function_support(request: Internal) -> Internal {
    let request = request.unwrap().filter(|request| {
        // SAFETY: the planner passes a pointer to a node, which says what it asks for.
        unsafe { cost::estimate(request.cast_mut_ptr()) }
    });
    // Not SQL's NULL: a support function that has no answer returns a null pointer.
    Internal::from(Some(request.unwrap_or(pg_sys::Datum::from(0))))
}

/// The call, if a node is one of a batchable function.
///
/// # Safety
/// `node` points to a node.
pub unsafe fn as_batchable_call(node: *mut Node) -> Option<*mut pg_sys::FuncExpr> {
    // SAFETY: the tag tells the type.
    unsafe {
        let call = node.cast::<pg_sys::FuncExpr>();
        (tag(node) == NodeTag::T_FuncExpr && function_of((*call).funcid).is_some()).then_some(call)
    }
}

/// Which of ours a function is, if it is batchable.
pub fn function_of(function: pg_sys::Oid) -> Option<Batchable> {
    if function.to_u32() < pg_sys::FirstNormalObjectId {
        return None;
    }
    register_invalidation();
    if STALE.replace(false) {
        CACHE.with_borrow_mut(HashMap::clear);
    }
    if let Some(cached) = CACHE.with_borrow(|cache| cache.get(&function).copied()) {
        return cached;
    }
    let found = look_up(function);
    CACHE.with_borrow_mut(|cache| cache.insert(function, found));
    found
}

fn look_up(function: pg_sys::Oid) -> Option<Batchable> {
    // SAFETY: a look-up in the catalog, for functions that a plan names.
    unsafe {
        let support = pg_sys::get_func_support(function);
        let ours = support.to_u32() >= pg_sys::FirstNormalObjectId
            && address_of(support) == text_function_support_wrapper as *const () as usize;
        if ours { api::batchable(address_of(function)) } else { None }
    }
}

/// Where the code of a function is.
///
/// # Safety
/// The function exists.
pub unsafe fn address_of(function: pg_sys::Oid) -> usize {
    // SAFETY: zero is a valid state of all fields, and the server fills them in.
    unsafe {
        let mut info: pg_sys::FmgrInfo = std::mem::zeroed();
        pg_sys::fmgr_info(function, &mut info);
        info.fn_addr.map_or(0, |code| code as usize)
    }
}

fn register_invalidation() {
    if !REGISTERED.replace(true) {
        let cache = pg_sys::SysCacheIdentifier::PROCOID as i32;
        // SAFETY: a function of this library, which is never unloaded; called once in a process.
        unsafe {
            pg_sys::CacheRegisterSyscacheCallback(cache, Some(on_invalidation), pg_sys::Datum::from(0))
        };
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_invalidation(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    STALE.set(true);
}
