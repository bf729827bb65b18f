//! Roles that rows of our tables name.
//!
//! A row names a role by number and name ([`RoleReference`]). The number follows ALTER ROLE RENAME; the name is what a dump or a
//! publication carries, and is looked up where that is read. The server is told which roles our tables name, as if they had
//! privileges for the column, so DROP ROLE is refused in every session. Invariant: a number is that of a role of this cluster,
//! since only the input function makes one.

use std::ffi::CString;

use pgrx::{Spi, pg_sys};

use super::privilege::{NEWEST_RELATION, as_owner, role_name, role_oid, table_oid};
use super::statement::latest;
use crate::error::Error;

/// Stands for everyone; no role can be called so.
pub const PUBLIC: &str = "public";

/// A role that may not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleReference {
    /// `InvalidOid` if there was no role of the name when it was read.
    id: pg_sys::Oid,
    name: String,
}

const ID_BYTES: usize = size_of::<u32>();

impl RoleReference {
    /// The role that a name means now.
    pub fn named(name: &str) -> Self {
        let id =
            if name == PUBLIC { pg_sys::InvalidOid } else { role_oid(name).unwrap_or(pg_sys::InvalidOid) };
        Self { id, name: name.to_owned() }
    }

    /// As it is stored: the number, then the name.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.id.to_u32().to_le_bytes(), self.name.as_bytes()].concat()
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for what it can't have made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = Error::Unexpected("a damaged reference to a role");
        let Some((id, name)) = bytes.split_first_chunk::<ID_BYTES>() else { return Err(damaged) };
        let name = std::str::from_utf8(name).map_err(|_| damaged)?.to_owned();
        Ok(Self { id: pg_sys::Oid::from(u32::from_le_bytes(*id)), name })
    }

    /// Its name now, or the last that is known.
    pub fn name(self) -> String {
        role_name(self.id).unwrap_or(self.name)
    }

    /// The role, if it is there. One that was there and was dropped isn't another that was given its name.
    pub fn id(&self) -> Option<pg_sys::Oid> {
        match self.id {
            pg_sys::InvalidOid if self.name == PUBLIC => None,
            pg_sys::InvalidOid => role_oid(&self.name).ok(),
            id => role_name(id).map(|_| id),
        }
    }
}

/// A column of our tables that names roles.
#[derive(Debug, Clone, Copy)]
pub struct RoleColumn<'a> {
    pub table: pg_sys::Oid,
    pub table_name: &'a str,
    pub number: i32,
    pub name: &'a str,
}

impl RoleColumn<'_> {
    /// Lets the server know that a row names this role.
    ///
    /// # Errors
    /// When the catalogs can't be read; the server's own if the role is just being dropped.
    pub fn refer_to(&self, role: pg_sys::Oid) -> Result<(), Error> {
        // SAFETY: waits for a transaction that might take back what is looked for next.
        unsafe { pg_sys::LockDatabaseObject(pg_sys::AuthIdRelationId, role, LOCK, pg_sys::ShareLock as i32) };
        if !self.is_recorded(role)? {
            self.record(&[], &[role]);
        }
        Ok(())
    }

    /// Takes that back unless another row names the role. Where another transaction might be about to write one, nothing is
    /// taken back: then DROP ROLE is refused for nothing, and DROP OWNED puts it right.
    ///
    /// # Errors
    /// When our tables can't be read.
    pub fn forget(&self, role: pg_sys::Oid) -> Result<(), Error> {
        // SAFETY: takes a lock that the transaction keeps, or none.
        let alone = unsafe {
            let mode = pg_sys::ExclusiveLock as i32;
            pg_sys::ConditionalLockDatabaseObject(pg_sys::AuthIdRelationId, role, LOCK, mode)
        };
        let Self { table_name, name, .. } = self;
        let named = format!(
            "SELECT true FROM ecommerce_ml.{table_name} WHERE ecommerce_ml.role_id({name}) = {}",
            role.to_u32()
        );
        if alone && !latest(&named)? && self.is_recorded(role)? {
            self.record(&[role], &[]);
        }
        Ok(())
    }

    fn is_recorded(&self, role: pg_sys::Oid) -> Result<bool, Error> {
        latest(&format!(
            "SELECT true FROM pg_catalog.pg_shdepend
             WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
               AND classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objid = {} AND objsubid = {}
               AND refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = {} AND deptype = 'a'",
            self.table.to_u32(),
            self.number,
            role.to_u32()
        ))
    }

    fn record(&self, before: &[pg_sys::Oid], after: &[pg_sys::Oid]) {
        // SAFETY: the server frees both arrays, which it must have allocated itself; a column of a table of ours.
        unsafe {
            pg_sys::updateAclDependencies(
                pg_sys::RelationRelationId,
                self.table,
                self.number,
                pg_sys::InvalidOid,
                before.len() as i32,
                server_array(before),
                after.len() as i32,
                server_array(after),
            );
            pg_sys::CommandCounterIncrement();
        }
    }
}

/// Tells our locks on roles from the server's.
const LOCK: u16 = 1;

/// A copy in the server's memory; null if there is nothing to copy.
unsafe fn server_array(roles: &[pg_sys::Oid]) -> *mut pg_sys::Oid {
    if roles.is_empty() {
        return std::ptr::null_mut();
    }
    // SAFETY: as many bytes are copied as are allocated.
    unsafe {
        let array = pg_sys::palloc(size_of_val(roles)).cast::<pg_sys::Oid>();
        std::ptr::copy_nonoverlapping(roles.as_ptr(), array, roles.len());
        array
    }
}

/// Gives what roles own to another: models, trainings, schedules and alerts, not what they were granted.
///
/// # Errors
/// When our tables can't be written.
pub fn reassign(role: pg_sys::Oid, to: pg_sys::Oid) -> Result<(), Error> {
    let Some(name) = role_name(to) else { return Ok(()) };
    for table in OWNING {
        let statement = format!(
            "UPDATE ecommerce_ml.{table} SET owner = $2::ecommerce_ml.role_reference
             WHERE ecommerce_ml.role_id(owner)::bigint = $1"
        );
        let arguments = [i64::from(role.to_u32()).into(), name.as_str().into()];
        as_owner(|| Ok(Spi::run_with_args(&statement, &arguments)?))?;
    }
    Ok(())
}

/// Tables with a column `owner`.
const OWNING: [&str; 4] = ["stored_model", "stored_job", "stored_schedule", "stored_alert"];

/// Takes back what the server knows of a role that no row names any more.
///
/// # Errors
/// When our tables can't be read.
pub fn forget(role: pg_sys::Oid) -> Result<(), Error> {
    let owning = OWNING.map(|table| (table, "owner"));
    for (table_name, name) in owning.into_iter().chain([("stored_grant", "grantee")]) {
        let terminated = |name| CString::new(name).map_err(|_| Error::Unexpected("a name with a NUL"));
        let table = table_oid(&terminated(table_name)?)?;
        // SAFETY: a terminated string, and a table that is there.
        let number = unsafe { pg_sys::get_attnum(table, terminated(name)?.as_ptr()) };
        RoleColumn { table, table_name, number: number.into(), name }.forget(role)?;
    }
    Ok(())
}

/// Whether this database has the extension, as of this library's version.
pub fn is_here() -> bool {
    table_oid(NEWEST_RELATION).is_ok()
}
