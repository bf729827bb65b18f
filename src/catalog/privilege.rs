//! Working with our own tables, which no role but their owner may touch, on behalf of any role; and on behalf of a role in
//! the background.
//!
//! Invariant: [`as_owner`] runs only our own statements, with `search_path` set to the system's schema; what is switched
//! is switched back when the call returns, and by the server when an error ends the transaction. Code of a role that is
//! not the session's own leaves nothing behind that would run as the session: no deferred trigger, temporary relation,
//! prepared statement, LISTEN or cursor.

use std::ffi::{CStr, CString};

use pgrx::{Spi, pg_sys};

use super::session::Session;
use crate::error::Error;

/// What names mean in our own statements.
pub const SYSTEM_PATH: &str = "pg_catalog, pg_temp";

/// Switches to the owner of our tables for the time of the call.
///
/// # Errors
/// Those of `work`.
pub fn as_owner<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let _switched = RoleSwitch::to(tables_owner()?, Trust::Ours, &Session::system())?;
    work()
}

/// Switches to a role, and to what names meant to it, for the time of the call: as if it had called a function of its own
/// that is `SECURITY DEFINER`. Unless the session is that role itself, the role's code is restricted as in the server's
/// own maintenance commands, and cursors that it leaves open are closed.
///
/// # Errors
/// Those of `work`; the server's own, where code of the role tries to leave something behind.
pub fn as_role<T>(
    role: pg_sys::Oid,
    session: &Session,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let trust = Trust::of(role);
    let cursors = if trust == Trust::Restricted { open_cursors()? } else { Vec::new() };
    let _switched = RoleSwitch::to(role, trust, session)?;
    let value = work()?;
    if trust == Trust::Restricted {
        close_cursors_but(&cursors)?;
    }
    Ok(value)
}

/// Switches to a role as [`as_role`] does, for the rest of the transaction, its commit included. Whoever ends the
/// transaction restores the [`Identity`] that it began with.
///
/// # Errors
/// None in practice; see [`Session`].
pub fn become_role(role: pg_sys::Oid, session: &Session) -> Result<(), Error> {
    let switched = RoleSwitch::to(role, Trust::of(role), session)?;
    // The end of the transaction takes the settings back.
    std::mem::forget(switched);
    Ok(())
}

/// Who the process is at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    user: pg_sys::Oid,
    context: i32,
}

impl Identity {
    /// Who it is now.
    pub fn now() -> Self {
        let mut now = Self { user: pg_sys::InvalidOid, context: 0 };
        // SAFETY: reads two variables.
        unsafe { pg_sys::GetUserIdAndSecContext(&raw mut now.user, &raw mut now.context) };
        now
    }

    /// Makes the process be that again.
    pub fn restore(self) {
        // SAFETY: what the process has been before.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) };
    }
}

/// Name of the calling role.
///
/// # Errors
/// [`Error::UnknownRole`] if it has been dropped.
pub fn current_user() -> Result<String, Error> {
    // SAFETY: looks into catalogs only.
    let role = unsafe { pg_sys::GetUserId() };
    role_name(role).ok_or_else(|| Error::UnknownRole(role.to_u32().to_string()))
}

/// Name of a role; `None` if there is none of this id.
pub fn role_name(role: pg_sys::Oid) -> Option<String> {
    // SAFETY: looks into catalogs only; a role that isn't there is reported by the result.
    let name = unsafe { pg_sys::GetUserNameFromId(role, true) };
    // SAFETY: the result is null or a terminated string.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

/// Whether the calling role has the privileges of a role.
pub fn acts_as(role: pg_sys::Oid) -> bool {
    // SAFETY: looks into catalogs only, within the transaction that runs the calling function.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), role) }
}

/// Refuses unless the calling role has the privileges of a predefined role.
///
/// # Errors
/// [`Error::RoleMissing`].
pub fn require_role(name: &'static str, action: &'static str) -> Result<(), Error> {
    let role = role_oid(name)?;
    if acts_as(role) { Ok(()) } else { Err(Error::RoleMissing { action, role: name }) }
}

/// Refuses in a read-only transaction, as on a standby, in the server's words.
pub fn require_writable(function: &CStr) {
    // SAFETY: a terminated string; raises the server's own error.
    unsafe { pg_sys::PreventCommandIfReadOnly(function.as_ptr()) };
}

/// The id of a role.
///
/// # Errors
/// [`Error::UnknownRole`].
pub fn role_oid(name: &str) -> Result<pg_sys::Oid, Error> {
    let unknown = || Error::UnknownRole(name.to_owned());
    let terminated = CString::new(name).map_err(|_| unknown())?;
    // SAFETY: a terminated string, and a missing role is reported by the result.
    let role = unsafe { pg_sys::get_role_oid(terminated.as_ptr(), true) };
    if role == pg_sys::InvalidOid { Err(unknown()) } else { Ok(role) }
}

/// The id of one of our tables.
///
/// # Errors
/// When the extension isn't installed in this database.
pub fn table_oid(name: &CStr) -> Result<pg_sys::Oid, Error> {
    // SAFETY: terminated strings; a missing schema or table is reported by the result.
    let table = unsafe {
        let schema = pg_sys::get_namespace_oid(c"ecommerce_ml".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    let missing = Error::Unexpected("the tables of extension ecommerce_ml are not in this database");
    if table == pg_sys::InvalidOid { Err(missing) } else { Ok(table) }
}

/// A relation that earlier versions of the extension don't have.
pub const NEWEST_RELATION: &CStr = c"all_model";

fn tables_owner() -> Result<pg_sys::Oid, Error> {
    let table = table_oid(c"stored_model")?;
    table_oid(NEWEST_RELATION).map_err(|_| Error::NotUpdated)?;
    // SAFETY: the relation is closed before its descriptor goes out of use, and the lock is kept only meanwhile.
    unsafe {
        let relation = pg_sys::relation_open(table, pg_sys::AccessShareLock as i32);
        let owner = (*(*relation).rd_rel).relowner;
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as i32);
        Ok(owner)
    }
}

/// Whose code runs after a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Our own statements.
    Ours,
    /// That of the role that the session is.
    Sessions,
    /// That of another role, which must not reach beyond the switch.
    Restricted,
}

impl Trust {
    fn of(role: pg_sys::Oid) -> Self {
        // SAFETY: reads variables that are set in a session.
        let (user, outer) = unsafe { (pg_sys::GetUserId(), pg_sys::GetOuterUserId()) };
        // What code of a function's owner queues is run as the outer user in the end.
        if role == user && role == outer { Trust::Sessions } else { Trust::Restricted }
    }

    fn context(self) -> u32 {
        match self {
            Trust::Ours | Trust::Sessions => pg_sys::SECURITY_LOCAL_USERID_CHANGE,
            Trust::Restricted => pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION,
        }
    }
}

/// What a switch to a role must switch back.
struct RoleSwitch {
    before: Identity,
    nesting: i32,
}

impl RoleSwitch {
    fn to(role: pg_sys::Oid, trust: Trust, session: &Session) -> Result<Self, Error> {
        let before = Identity::now();
        // SAFETY: the pattern of the server's own code for security-definer functions; an error inside is put right by the
        // abort of the (sub)transaction, which restores user and settings.
        let switched = unsafe {
            pg_sys::SetUserIdAndSecContext(role, before.context | trust.context().cast_signed());
            Self { before, nesting: pg_sys::NewGUCNestLevel() }
        };
        session.apply()?;
        Ok(switched)
    }
}

impl Drop for RoleSwitch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A server error is unwinding; the abort of the transaction restores both, in its own order.
            return;
        }
        // SAFETY: the level of settings that `to` has opened.
        unsafe { pg_sys::AtEOXact_GUC(false, self.nesting) };
        self.before.restore();
    }
}

/// Names of the cursors that are open in this session.
fn open_cursors() -> Result<Vec<String>, Error> {
    Spi::connect(|client| {
        let cursors = client.select("SELECT name FROM pg_catalog.pg_cursor()", None, &[])?;
        cursors.map(|row| Ok(row.get::<String>(1)?.unwrap_or_default())).collect()
    })
}

/// Closes those that were opened since: whoever opened them is not who would fetch from them.
fn close_cursors_but(before: &[String]) -> Result<(), Error> {
    let left_open = open_cursors()?;
    Spi::connect(|client| {
        for name in left_open.iter().filter(|name| !before.contains(name)) {
            // Dropping it closes it.
            drop(client.find_cursor(name)?);
        }
        Ok(())
    })
}
