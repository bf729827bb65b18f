//! The server's lists and plan trees, walked. Invariant: nothing here changes what it walks.

use pgrx::PgList;
use pgrx::pg_sys::{self, NodeTag};

/// Elements of a list of pointers.
///
/// # Safety
/// `list` is null or a list of pointers to `T`.
pub unsafe fn elements<T>(list: *mut pg_sys::List) -> Vec<*mut T> {
    // SAFETY: as the caller promises.
    unsafe { PgList::<T>::from_pg(list).iter_ptr().collect() }
}

/// Elements of a list of integers.
///
/// # Safety
/// `list` is null or a list of integers.
pub unsafe fn integers(list: *mut pg_sys::List) -> Vec<i32> {
    // SAFETY: the list has as many cells as its length says.
    unsafe {
        let length = if list.is_null() { 0 } else { usize::try_from((*list).length).unwrap_or(0) };
        (0..length).map(|index| (*(*list).elements.add(index)).int_value).collect()
    }
}

/// A list of these pointers.
pub fn list<T>(elements: impl IntoIterator<Item = *mut T>) -> *mut pg_sys::List {
    let mut list = PgList::<T>::new();
    elements.into_iter().for_each(|element| list.push(element));
    list.into_pg()
}

/// The kind of a node.
///
/// # Safety
/// `node` points to a node.
pub unsafe fn tag<T>(node: *mut T) -> NodeTag {
    // SAFETY: every node begins with its tag.
    unsafe { (*node.cast::<pg_sys::Node>()).type_ }
}

/// Where the inputs of a plan node hang, so that they can be exchanged.
///
/// # Safety
/// `plan` points to a plan node.
pub unsafe fn child_plans(plan: *mut pg_sys::Plan) -> Vec<*mut *mut pg_sys::Plan> {
    // SAFETY: the tag tells the type.
    unsafe {
        let more = match tag(plan) {
            NodeTag::T_Append => cells((*plan.cast::<pg_sys::Append>()).appendplans),
            NodeTag::T_MergeAppend => cells((*plan.cast::<pg_sys::MergeAppend>()).mergeplans),
            NodeTag::T_BitmapAnd => cells((*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans),
            NodeTag::T_BitmapOr => cells((*plan.cast::<pg_sys::BitmapOr>()).bitmapplans),
            NodeTag::T_CustomScan => cells((*plan.cast::<pg_sys::CustomScan>()).custom_plans),
            NodeTag::T_SubqueryScan => vec![&raw mut (*plan.cast::<pg_sys::SubqueryScan>()).subplan],
            _ => Vec::new(),
        };
        let sides = [&raw mut (*plan).lefttree, &raw mut (*plan).righttree];
        sides.into_iter().chain(more).filter(|input| !(**input).is_null()).collect()
    }
}

/// Where the elements of a list of plans hang.
///
/// # Safety
/// `list` is null or a list of plan nodes.
pub unsafe fn cells(list: *mut pg_sys::List) -> Vec<*mut *mut pg_sys::Plan> {
    // SAFETY: the list has as many cells as its length says.
    unsafe {
        let length = if list.is_null() { 0 } else { usize::try_from((*list).length).unwrap_or(0) };
        (0..length).map(|index| (&raw mut (*(*list).elements.add(index)).ptr_value).cast()).collect()
    }
}

/// Whether any node of a plan tree passes the test.
///
/// # Safety
/// `plan` is null or points to a plan tree.
pub unsafe fn any(plan: *mut pg_sys::Plan, test: &mut dyn FnMut(*mut pg_sys::Plan) -> bool) -> bool {
    // SAFETY: as the caller promises.
    unsafe { !plan.is_null() && (test(plan) || child_plans(plan).into_iter().any(|input| any(*input, test))) }
}
