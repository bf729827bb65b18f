//! Working with our own tables, which no role but their owner may touch, on behalf of any role; and on behalf of a role in
//! the background.
//!
//! Invariant: [`as_owner`] runs only our own statements, with `search_path` set to the system's schema; what it switches
//! is switched back when it returns, and by the server when an error ends the transaction.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use crate::error::Error;

/// What names mean in our own statements.
pub const SYSTEM_PATH: &str = "pg_catalog, pg_temp";

/// Switches to the owner of our tables for the time of the call.
///
/// # Errors
/// Those of `work`.
pub fn as_owner<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    as_role(tables_owner()?, SYSTEM_PATH, work)
}

/// Switches to a role, and to what names meant to it, for the time of the call: as if it had called a function of its own
/// that is `SECURITY DEFINER`.
///
/// # Errors
/// Those of `work`.
pub fn as_role<T>(
    role: pg_sys::Oid,
    search_path: &str,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let path = CString::new(search_path).map_err(|_| Error::Unexpected("a search_path with a NUL"))?;
    let _switched = Switched::to(role, &path);
    work()
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
pub const NEWEST: &CStr = c"all_model";

fn tables_owner() -> Result<pg_sys::Oid, Error> {
    let table = table_oid(c"stored_model")?;
    table_oid(NEWEST).map_err(|_| Error::NotUpdated)?;
    // SAFETY: the relation is closed before its descriptor goes out of use, and the lock is kept only meanwhile.
    unsafe {
        let relation = pg_sys::relation_open(table, pg_sys::AccessShareLock as i32);
        let owner = (*(*relation).rd_rel).relowner;
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as i32);
        Ok(owner)
    }
}

/// What a switch to a role must switch back.
struct Switched {
    user: pg_sys::Oid,
    context: i32,
    nesting: i32,
}

impl Switched {
    fn to(role: pg_sys::Oid, search_path: &CStr) -> Self {
        let mut before = Self { user: pg_sys::InvalidOid, context: 0, nesting: 0 };
        // SAFETY: the pattern of the server's own code for security-definer functions; an error inside is put right by the
        // abort of the (sub)transaction, which restores user and settings.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before.user, &mut before.context);
            let restricted = before.context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
            pg_sys::SetUserIdAndSecContext(role, restricted);
            before.nesting = pg_sys::NewGUCNestLevel();
            pg_sys::set_config_option(
                c"search_path".as_ptr(),
                search_path.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        before
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A server error is unwinding; the abort of the transaction restores both, in its own order.
            return;
        }
        // SAFETY: the values were taken by `to`, and nothing has changed them since.
        unsafe {
            pg_sys::AtEOXact_GUC(false, self.nesting);
            pg_sys::SetUserIdAndSecContext(self.user, self.context);
        }
    }
}
