//! From the name that a query gives to what the engine is asked for.
//!
//! A name means what it meant when the running statement began, so that all its calls are answered alike. Answers that
//! hold now are kept for the session and forgotten when a transaction that changed a model commits (the server's relation
//! cache invalidation of our table carries the news); what only an older snapshot sees is kept for that alone.
//! Invariant: privileges are checked at every call, not kept.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CStr;
use std::rc::Rc;

use ecommerce_ml_protocol::{Field, ModelRef, ModelSource, Purpose, Reads, Sha256, Signature};
use pgrx::{JsonB, pg_guard, pg_sys};

use super::name::ModelName;
use super::privilege::{acts_as, table_oid};
use super::snapshot::{SnapshotNumbers, Visibility};
use super::statement::{Row, query};
use crate::error::Error;

/// A version of a model that exists.
#[derive(Debug, PartialEq)]
pub struct Resolved {
    pub name: String,
    pub version: i32,
    /// What to ask the engine for.
    pub reference: ModelRef,
    /// What it reads and answers.
    pub signature: Signature,
    /// What its kind says of it, a JSON object.
    pub info: serde_json::Value,
    /// The columns that it reads, shared with those who read them; nothing of a model that reads a text, or nothing of its own.
    pub columns: Option<Rc<[Field]>>,
    /// `InvalidOid` if there is no such role.
    owner: pg_sys::Oid,
    /// Roles that may use it beside the owner; `InvalidOid` stands for everyone.
    grantees: Vec<pg_sys::Oid>,
}

thread_local! {
    static NAME_CACHE: RefCell<NameCache> = RefCell::default();
    /// Set by the server's callback, which must not touch a map that may be in use.
    static STALE: Cell<bool> = const { Cell::new(false) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// What was looked up, by the name as given, so that a repeated call costs one look-up in a map.
#[derive(Default)]
struct NameCache {
    /// For all that see at least as much as who looked it up.
    latest: HashMap<String, (SnapshotNumbers, Rc<Resolved>)>,
    /// For the latest of those that see less than others do.
    earlier: HashMap<String, Rc<Resolved>>,
    earlier_view: Option<SnapshotNumbers>,
}

impl NameCache {
    fn get(&self, given: &str, view: SnapshotNumbers) -> Option<Rc<Resolved>> {
        let latest = self.latest.get(given).filter(|(since, _)| view.sees_all_of(*since));
        let earlier = || self.earlier.get(given).filter(|_| self.earlier_view == Some(view));
        latest.map(|(_, resolved)| resolved).or_else(earlier).cloned()
    }

    fn keep_for(&mut self, view: SnapshotNumbers, given: &str, resolved: &Rc<Resolved>) {
        if self.earlier_view.replace(view) != Some(view) {
            self.earlier.clear();
        }
        self.earlier.insert(given.to_owned(), Rc::clone(resolved));
    }
}

/// The version that a name stands for, if the calling role may use it.
///
/// # Errors
/// [`Error::InvalidModelName`], [`Error::UnknownModel`], [`Error::UnknownVersion`], [`Error::ModelDenied`],
/// [`Error::Encoding`].
pub fn resolve(given: &str) -> Result<Rc<Resolved>, Error> {
    listen();
    // The server does so where a relation is locked, which a statement without one doesn't come to.
    // SAFETY: within a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    if STALE.replace(false) {
        NAME_CACHE.set(NameCache::default());
    }
    let view = SnapshotNumbers::of_statement();
    let kept = NAME_CACHE.with_borrow(|kept| kept.get(given, view));
    let resolved = kept.map_or_else(|| look_up_for(view, given), Ok)?;
    require_use(&resolved)?;
    Ok(resolved)
}

/// Refuses unless the calling role may use a model.
///
/// # Errors
/// [`Error::ModelDenied`].
pub fn require_use(resolved: &Resolved) -> Result<(), Error> {
    if may_use(resolved) { Ok(()) } else { Err(Error::ModelDenied(resolved.name.clone())) }
}

/// Looks a name up and keeps the answer for whom it holds.
fn look_up_for(view: SnapshotNumbers, given: &str) -> Result<Rc<Resolved>, Error> {
    require_utf8()?;
    let name = ModelName::parse(given)?;
    let table = table_oid(c"stored_model")?;
    let resolved = match look_up(&name, Visibility::Statement) {
        // A statement that imports a model may go on to ask it.
        Err(Error::UnknownModel(_) | Error::UnknownVersion { .. } | Error::NoLiveVersion(_))
            if view.misses_own() =>
        {
            Rc::new(look_up(&name, Visibility::Own)?)
        }
        found => {
            let found = Rc::new(found?);
            // Looking again is cheap, and rare: only what was committed or done meanwhile makes it necessary.
            let same = |latest: Result<Resolved, Error>| latest.is_ok_and(|latest| latest == *found);
            if view == SnapshotNumbers::latest(table) || same(look_up(&name, Visibility::Latest)) {
                NAME_CACHE
                    .with_borrow_mut(|kept| kept.latest.insert(given.to_owned(), (view, Rc::clone(&found))));
                return Ok(found);
            }
            found
        }
    };
    NAME_CACHE.with_borrow_mut(|kept| kept.keep_for(view, given, &resolved));
    Ok(resolved)
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

const LOOK_UP: &CStr = c"
    SELECT m.owner, v.version, v.content, v.pinned,
           ARRAY(SELECT g.grantee FROM ecommerce_ml.all_grant g WHERE g.name = m.name AND g.grantee IS NOT NULL),
           coalesce($2, l.version), v.signature, v.info
    FROM ecommerce_ml.all_model m
    LEFT JOIN ecommerce_ml.stored_live l ON l.name = m.name
    LEFT JOIN ecommerce_ml.all_version v ON v.name = m.name AND v.version = coalesce($2, l.version)
    WHERE m.name = $1";

/// Text reaches us in the database's encoding, and models read UTF-8.
fn require_utf8() -> Result<(), Error> {
    // SAFETY: the name is a terminated string that lives as long as the server.
    let (encoding, name) = unsafe {
        let name = CStr::from_ptr(pg_sys::GetDatabaseEncodingName());
        (pg_sys::GetDatabaseEncoding(), name.to_string_lossy())
    };
    if encoding == pg_sys::pg_enc::PG_UTF8 as i32 { Ok(()) } else { Err(Error::Encoding(name.into_owned())) }
}

fn look_up(wanted: &ModelName, visibility: Visibility) -> Result<Resolved, Error> {
    let arguments = [wanted.name.as_str().into(), wanted.version.into()];
    let found = query(LOOK_UP, &arguments, visibility, |row| read(wanted, row))?;
    found.into_iter().next().ok_or_else(|| Error::UnknownModel(wanted.name.clone()))
}

fn read(wanted: &ModelName, row: &Row) -> Result<Resolved, Error> {
    let Some(version) = row.get::<i32>(2)? else {
        return Err(match row.get::<i32>(6)? {
            Some(version) => Error::UnknownVersion { name: wanted.name.clone(), version },
            None => Error::NoLiveVersion(wanted.name.clone()),
        });
    };
    let source = source(&wanted.name, row.get::<Vec<u8>>(3)?)?;
    let signature = signature(row.get::<JsonB>(7)?)?;
    let columns = match &signature.reads {
        Reads::Text | Reads::Keys(_) => None,
        Reads::Columns(fields) => Some(Rc::from(&fields[..])),
    };
    Ok(Resolved {
        name: wanted.name.clone(),
        version,
        reference: ModelRef { source, pinned: row.get(4)?.unwrap_or_default(), purpose: Purpose::Predict },
        signature,
        info: row.get::<JsonB>(8)?.map_or(serde_json::Value::Null, |info| info.0),
        columns,
        // Of a role that isn't there.
        owner: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
        grantees: row.get(5)?.unwrap_or_default(),
    })
}

fn signature(stored: Option<JsonB>) -> Result<Signature, Error> {
    let stored = stored.and_then(|stored| serde_json::from_value(stored.0).ok());
    stored.ok_or(Error::Unexpected("a version without a signature"))
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
