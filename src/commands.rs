//! Commands of the server's that are about what we keep: REASSIGN OWNED, DROP OWNED, ALTER SCHEMA.
//!
//! DROP OWNED and ALTER SCHEMA come by an event trigger, so in every session. REASSIGN OWNED has none: it is seen where the
//! library is loaded. Where it isn't, nothing is lost: DROP ROLE is refused, and DROP OWNED too without CASCADE. Invariant:
//! whatever the server refuses of a command is undone with it.

use std::ffi::{CStr, c_char};

use pgrx::pg_sys::{self, Node, NodeTag};
use pgrx::{PgList, pg_guard};

use crate::catalog::privilege::{acts_as, role_name};
use crate::catalog::{alerts, roles, versions};
use crate::error::{self, Error};
use crate::executor::error_bridge;
use crate::jobs;

const SCHEMA: &CStr = c"ecommerce_ml";

static mut UTILITY_BEFORE: pg_sys::ProcessUtility_hook_type = None;

/// Puts the hook in.
pub fn init() {
    // SAFETY: called once, while the library is loaded.
    unsafe {
        UTILITY_BEFORE = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(utility);
    }
}

#[pg_guard]
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn utility(
    planned: *mut pg_sys::PlannedStmt,
    text: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the server calls this as it would call its own function, with a command.
    error_bridge::callback(|| unsafe {
        let statement = (*planned).utilityStmt;
        if (*statement).type_ == NodeTag::T_ReassignOwnedStmt
            && let Err(refused) = reassign(statement.cast())
        {
            error::raise(refused);
        }
        let before = UTILITY_BEFORE;
        error_bridge::utility(
            before,
            planned,
            text,
            read_only_tree,
            context,
            parameters,
            environment,
            destination,
            completion,
        );
    });
}

/// What is to be done before the server carries out a command.
///
/// # Errors
/// [`Error::RoleOwns`], [`Error::SchemaName`]; when our tables can't be written.
///
/// # Safety
/// `command` is null or a command that was parsed.
pub unsafe fn before(command: *mut Node) -> Result<(), Error> {
    if command.is_null() || !roles::is_here() {
        return Ok(());
    }
    // SAFETY: the tag tells the type.
    unsafe {
        match (*command).type_ {
            NodeTag::T_DropOwnedStmt => drop_owned(command.cast()),
            NodeTag::T_RenameStmt => rename(command.cast()),
            _ => Ok(()),
        }
    }
}

/// The roles that a list names. The server itself says what is wrong with it.
unsafe fn named(list: *mut pg_sys::List) -> Vec<pg_sys::Oid> {
    // SAFETY: a list of role specifications.
    unsafe {
        let specifications = PgList::<pg_sys::RoleSpec>::from_pg(list);
        specifications.iter_ptr().map(|role| pg_sys::get_rolespec_oid(role, false)).collect()
    }
}

/// The server refuses later whoever doesn't have the privileges of all roles.
unsafe fn reassign(command: *mut pg_sys::ReassignOwnedStmt) -> Result<(), Error> {
    // SAFETY: as the caller says.
    let (from, to) =
        unsafe { (named((*command).roles), pg_sys::get_rolespec_oid((*command).newrole, false)) };
    if !roles::is_here() || !from.iter().chain([&to]).all(|role| acts_as(*role)) {
        return Ok(());
    }
    from.into_iter().try_for_each(|role| roles::reassign(role, to))
}

unsafe fn drop_owned(command: *mut pg_sys::DropOwnedStmt) -> Result<(), Error> {
    // SAFETY: as the caller says.
    let (roles, cascade) = unsafe {
        let cascade = (*command).behavior == pg_sys::DropBehavior::DROP_CASCADE;
        (named((*command).roles), cascade)
    };
    if !roles.iter().all(|role| acts_as(*role)) {
        return Ok(());
    }
    for role in roles {
        let owned = [versions::owned(role)?, jobs::owned(role)?].concat();
        if !cascade && !owned.is_empty() {
            let role = role_name(role).unwrap_or_default();
            return Err(Error::RoleOwns { role, owned: owned.join("\n") });
        }
        jobs::drop_owned(role)?;
        versions::drop_owned(role)?;
        alerts::drop_owned(role)?;
        roles::forget(role)?;
    }
    Ok(())
}

unsafe fn rename(command: *mut pg_sys::RenameStmt) -> Result<(), Error> {
    // SAFETY: as the caller says; the name of what is renamed is null or a terminated string.
    let is_ours = unsafe {
        (*command).renameType == pg_sys::ObjectType::OBJECT_SCHEMA
            && !(*command).subname.is_null()
            && CStr::from_ptr((*command).subname) == SCHEMA
    };
    if is_ours { Err(Error::SchemaName) } else { Ok(()) }
}
