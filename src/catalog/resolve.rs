//! From the name that a query gives to what the engine is asked for.
//!
//! Answers are kept for the session and forgotten when a transaction that changed a model commits (the server's relation
//! cache invalidation of our table carries the news). Invariant: privileges are checked at every call, not kept.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use ecommerce_ml_protocol::{ModelRef, ModelSource, Sha256};
use pgrx::{Spi, pg_guard, pg_sys};

use super::name::ModelName;
use super::privilege::{acts_as, as_owner, table_oid};
use crate::error::Error;

/// A version of a model that exists.
#[derive(Debug)]
pub struct Resolved {
    pub name: String,
    pub version: i32,
    /// What to ask the engine for.
    pub reference: ModelRef,
    /// `InvalidOid` if there is no such role.
    owner: pg_sys::Oid,
    /// Roles that may use it beside the owner; `InvalidOid` stands for everyone.
    grantees: Vec<pg_sys::Oid>,
}

thread_local! {
    /// By the name as given, so that a repeated call costs one look-up.
    static KEPT: RefCell<HashMap<String, Rc<Resolved>>> = RefCell::default();
    /// Set by the server's callback, which must not touch a map that may be in use.
    static STALE: Cell<bool> = const { Cell::new(false) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// The version that a name stands for, if the calling role may use it.
///
/// # Errors
/// [`Error::InvalidModelName`], [`Error::UnknownModel`], [`Error::UnknownVersion`], [`Error::ModelDenied`],
/// [`Error::Encoding`].
pub fn resolve(given: &str) -> Result<Rc<Resolved>, Error> {
    listen();
    if STALE.replace(false) {
        KEPT.with_borrow_mut(HashMap::clear);
    }
    let kept = KEPT.with_borrow(|kept| kept.get(given).cloned());
    let resolved = match kept {
        Some(resolved) => resolved,
        None => {
            let resolved = Rc::new(look_up(&ModelName::parse(given)?)?);
            KEPT.with_borrow_mut(|kept| kept.insert(given.to_owned(), Rc::clone(&resolved)));
            resolved
        }
    };
    if may_use(&resolved) { Ok(resolved) } else { Err(Error::ModelDenied(resolved.name.clone())) }
}

/// Tells all sessions, at commit, that what they know of models is out of date.
///
/// # Errors
/// When the extension isn't installed in this database.
pub fn invalidate() -> Result<(), Error> {
    // SAFETY: the table exists; the message is sent when the transaction commits.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table_oid(c"stored_model")?) };
    STALE.set(true);
    Ok(())
}

fn may_use(resolved: &Resolved) -> bool {
    resolved.grantees.iter().any(|grantee| *grantee == pg_sys::InvalidOid || acts_as(*grantee))
        || acts_as(resolved.owner)
}

fn listen() {
    if !LISTENING.replace(true) {
        // SAFETY: a function of this library, which is never unloaded; called once in a process.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_invalidation), pg_sys::Datum::from(0)) };
    }
}

/// Any relation's message may be about our table: comparing ids here would need a catalog look-up, which a callback
/// must not make, and a look-up too many is cheap.
#[pg_guard]
unsafe extern "C-unwind" fn on_invalidation(_argument: pg_sys::Datum, _relation: pg_sys::Oid) {
    STALE.set(true);
}

const LOOK_UP: &str = "
    SELECT m.owner, v.version, v.content, v.pinned,
           ARRAY(SELECT g.grantee FROM ecommerce_ml.all_grant g WHERE g.name = m.name AND g.grantee IS NOT NULL),
           coalesce($2, l.version)
    FROM ecommerce_ml.all_model m
    LEFT JOIN ecommerce_ml.stored_live l ON l.name = m.name
    LEFT JOIN ecommerce_ml.all_version v ON v.name = m.name AND v.version = coalesce($2, l.version)
    WHERE m.name = $1";

/// Text reaches us in the database's encoding, and models read UTF-8.
fn require_utf8() -> Result<(), Error> {
    // SAFETY: the name is a terminated string that lives as long as the server.
    let (encoding, name) = unsafe {
        let name = std::ffi::CStr::from_ptr(pg_sys::GetDatabaseEncodingName());
        (pg_sys::GetDatabaseEncoding(), name.to_string_lossy())
    };
    if encoding == pg_sys::pg_enc::PG_UTF8 as i32 { Ok(()) } else { Err(Error::Encoding(name.into_owned())) }
}

fn look_up(wanted: &ModelName) -> Result<Resolved, Error> {
    require_utf8()?;
    as_owner(|| {
        Spi::connect(|client| {
            let found =
                client.select(LOOK_UP, Some(1), &[wanted.name.as_str().into(), wanted.version.into()])?;
            if found.is_empty() {
                return Err(Error::UnknownModel(wanted.name.clone()));
            }
            let row = found.first();
            let asked = row.get::<i32>(6)?.unwrap_or_default();
            let Some(version) = row.get::<i32>(2)? else {
                return Err(Error::UnknownVersion { name: wanted.name.clone(), version: asked });
            };
            let content = row.get::<Vec<u8>>(3)?;
            Ok(Resolved {
                name: wanted.name.clone(),
                version,
                reference: ModelRef {
                    source: source(&wanted.name, content)?,
                    pinned: row.get(4)?.unwrap_or_default(),
                },
                owner: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                grantees: row.get(5)?.unwrap_or_default(),
            })
        })
    })
}

fn source(name: &str, content: Option<Vec<u8>>) -> Result<ModelSource, Error> {
    match content {
        None => Ok(ModelSource::Builtin(name.to_owned())),
        Some(bytes) => {
            let sha256 =
                bytes.try_into().map_err(|_| Error::Unexpected("a content address of a wrong length"))?;
            Ok(ModelSource::Content(Sha256(sha256)))
        }
    }
}
