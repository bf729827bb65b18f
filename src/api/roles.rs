//! The SQL type of roles that may not be there, and what the server calls when rows that name roles change, or when a
//! command is about roles.

use std::ffi::{CStr, CString};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, pg_sys};

use crate::catalog::resolve;
use crate::catalog::roles::{RoleColumn, RoleReference};
use crate::commands;
use crate::error::Error;
use crate::kept_columns;

/// Reads the name of a role.
#[pg_extern]
fn role_reference_in(name: &CStr) -> Vec<u8> {
    RoleReference::named(&name.to_string_lossy()).to_bytes()
}

/// The name of a role.
#[pg_extern]
fn role_reference_out(role: &[u8]) -> Result<CString, ErrorReport> {
    let name = RoleReference::from_bytes(role)?.name();
    Ok(CString::new(name).map_err(|_| Error::Unexpected("a name with a NUL"))?)
}

/// The role that is meant, if it is there.
#[pg_extern]
fn role_id(role: &[u8]) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    Ok(RoleReference::from_bytes(role)?.id())
}

/// Lets all sessions look again at what there is.
#[pg_extern]
fn models_changed(fcinfo: pg_sys::FunctionCallInfo) -> Result<i64, ErrorReport> {
    // SAFETY: the server called us with this.
    unsafe { context::<pg_sys::TriggerData>(fcinfo, pg_sys::NodeTag::T_TriggerData)? };
    resolve::invalidate()?;
    kept_columns::launch::at_commit_if_any()?;
    // Nobody looks at it, but it must not be NULL.
    Ok(0)
}

/// Lets the server know which roles rows name in the column that the trigger is given.
#[pg_extern]
fn owner_changed(fcinfo: pg_sys::FunctionCallInfo) -> Result<i64, ErrorReport> {
    // SAFETY: the server called us with this, for a trigger of ours: after each row, with the name of a column.
    unsafe {
        let trigger = context::<pg_sys::TriggerData>(fcinfo, pg_sys::NodeTag::T_TriggerData)?;
        let relation = (*trigger).tg_relation;
        if (*(*trigger).tg_trigger).tgnargs != 1 {
            return Err(Error::Unexpected("a trigger without the name of a column").into());
        }
        let column = *(*(*trigger).tg_trigger).tgargs;
        let number = pg_sys::SPI_fnumber((*relation).rd_att, column);
        let role = |tuple: pg_sys::HeapTuple| -> Option<pg_sys::Oid> {
            let name = pg_sys::SPI_getvalue(tuple, (*relation).rd_att, number);
            let name = (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())?;
            RoleReference::named(&name).id()
        };
        let event = (*trigger).tg_event & pg_sys::TRIGGER_EVENT_OPMASK;
        let (old, new) = match event {
            pg_sys::TRIGGER_EVENT_INSERT => (None, role((*trigger).tg_trigtuple)),
            pg_sys::TRIGGER_EVENT_DELETE => (role((*trigger).tg_trigtuple), None),
            _ => (role((*trigger).tg_trigtuple), role((*trigger).tg_newtuple)),
        };
        let table_name =
            CStr::from_ptr((&raw const (*(*relation).rd_rel).relname.data).cast()).to_string_lossy();
        let name = CStr::from_ptr(column).to_string_lossy();
        let column = RoleColumn { table: (*relation).rd_id, table_name: &table_name, number, name: &name };
        new.map_or(Ok(()), |role| column.refer_to(role))?;
        old.filter(|_| old != new).map_or(Ok(()), |role| column.forget(role))?;
    }
    Ok(0)
}

/// Sees to what a command is about to do.
#[pg_extern]
fn heed_command(fcinfo: pg_sys::FunctionCallInfo) -> Result<i64, ErrorReport> {
    // SAFETY: the server called us with this.
    unsafe {
        let event = context::<pg_sys::EventTriggerData>(fcinfo, pg_sys::NodeTag::T_EventTriggerData)?;
        commands::before((*event).parsetree)?;
    }
    Ok(0)
}

/// What a trigger function is called with.
///
/// # Safety
/// `fcinfo` is what the server calls with, and `T` the type of nodes with this tag.
pub unsafe fn context<T>(fcinfo: pg_sys::FunctionCallInfo, tag: pg_sys::NodeTag) -> Result<*mut T, Error> {
    // SAFETY: as demanded above; the tag tells what the context is.
    unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != tag {
            return Err(Error::NotATrigger);
        }
        Ok(context.cast())
    }
}
