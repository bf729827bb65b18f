//! The life of models and their versions.
//!
//! A model is live in the version of its latest deployment that was not withdrawn; rolling back withdraws one.
//! Invariant: every change locks the model first, so changes of one model happen one after another, and every change ends
//! with the news to all sessions. What a transaction's snapshot doesn't have of such changes fails it with SQLSTATE 40001.

use ecommerce_ml_protocol::{LabelScheme, ModelInfo, Sha256};
use pgrx::spi::SpiHeapTupleData;
use pgrx::{JsonB, Spi, check_for_interrupts, pg_sys};
use serde_json::json;

use super::arguments::Arguments;
use super::name::ModelName;
use super::privilege::{acts_as, as_owner, current_user, role_name, table_oid};
use super::roles::PUBLIC;
use super::snapshot::Visibility;
use super::statement::{cascade, returning, returning_one, run};
use super::{content, jobs, resolve, schedules};
use crate::error::Error;

/// The models that come with the extension, as view `built_in` has them. They are no rows, and their first versions are none.
const BUILT_IN: [&str; 3] = ["reviews", "reviews_multilingual", "reviews_small"];
const BUILT_IN_VERSION: i32 = 1;

/// What is recorded of a new version.
pub struct NewVersion {
    pub content: Sha256,
    /// What kind of model it is.
    pub kind: String,
    /// What it reads and answers, as JSON.
    pub signature: serde_json::Value,
    /// Task, labels, architecture and sizes, as the engine described them.
    pub info: serde_json::Value,
    /// Where it came from, as the user named it.
    pub source: String,
    /// The model that it was trained from.
    pub base: Option<String>,
    /// What it is worth, as a JSON object.
    pub metrics: Option<serde_json::Value>,
    /// How it was trained, as a JSON object.
    pub training: Option<serde_json::Value>,
    /// What later rows are compared with, as a JSON object.
    pub reference: Option<serde_json::Value>,
}

/// How a version was trained.
pub struct Recipe {
    /// With its schema, quoted.
    pub relation: String,
    pub arguments: Arguments,
}

/// Makes the model if it doesn't exist, owned by the calling role, and locks it. Returns whether it is new.
///
/// # Errors
/// [`Error::NameTaken`] if it exists and the calling role doesn't own it.
pub fn claim(name: &str) -> Result<bool, Error> {
    let statement =
        "INSERT INTO ecommerce_ml.stored_model (name, owner) VALUES ($1, $2::ecommerce_ml.role_reference)
         ON CONFLICT (name) DO NOTHING";
    let caller = current_user()?;
    loop {
        if !is_built_in(name) && run(statement, &[name.into(), caller.as_str().into()])? > 0 {
            return Ok(true);
        }
        match lock(name) {
            Err(Error::NotOwner(name)) => return Err(Error::NameTaken(name)),
            // Another transaction has just dropped it.
            Err(Error::UnknownModel(_)) => {
                check_for_interrupts!();
            }
            other => return other.map(|()| false),
        }
    }
}

/// Refuses a name that another role's model has.
///
/// # Errors
/// [`Error::NameTaken`].
pub fn require_ownable(name: &str) -> Result<(), Error> {
    match owner(name)? {
        Some(owner) if !acts_as(owner) => Err(Error::NameTaken(name.to_owned())),
        _ => Ok(()),
    }
}

/// Whether there is a model of this name and the calling role has the privileges of its owner.
///
/// # Errors
/// When our table can't be read.
pub fn owns(name: &str) -> Result<bool, Error> {
    Ok(owner(name)?.is_some_and(acts_as))
}

/// A role's id, as a number that is 0 where the role isn't there: pgrx takes that id for NULL.
pub fn role(number: i64) -> pg_sys::Oid {
    u32::try_from(number).map_or(pg_sys::InvalidOid, pg_sys::Oid::from)
}

fn owner(name: &str) -> Result<Option<pg_sys::Oid>, Error> {
    let query = "SELECT coalesce(owner::bigint, 0) FROM ecommerce_ml.all_model WHERE name = $1";
    Ok(returning_one::<i64>(query, &[name.into()])?.map(role))
}

/// Adds a version to a locked model and returns its number.
///
/// # Errors
/// When our table can't be written.
pub fn add(name: &str, version: &NewVersion) -> Result<i32, Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_version (name, version, content, info, source, base, metrics, training, kind,
                                                 signature, reference)
        SELECT $1, coalesce(max(v.version), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10
        FROM ecommerce_ml.all_version v WHERE v.name = $1
        ON CONFLICT (name, version) DO NOTHING
        RETURNING version";
    let arguments = [
        name.into(),
        version.content.0.to_vec().into(),
        JsonB(version.info.clone()).into(),
        version.source.as_str().into(),
        version.base.as_deref().into(),
        version.metrics.clone().map(JsonB).into(),
        version.training.clone().map(JsonB).into(),
        version.kind.as_str().into(),
        JsonB(version.signature.clone()).into(),
        version.reference.clone().map(JsonB).into(),
    ];
    returning_one(statement, &arguments)?.ok_or_else(|| Error::Concurrent(name.to_owned()))
}

/// What later rows are compared with that a version reads; none if nothing is known of the rows that it was trained on.
///
/// # Errors
/// When our table can't be read.
pub fn reference(name: &str, version: i32) -> Result<Option<serde_json::Value>, Error> {
    let query = c"SELECT reference FROM ecommerce_ml.stored_version WHERE name = $1 AND version = $2";
    let read = |row: &super::statement::Row| row.get::<JsonB>(1);
    let found = super::statement::query(query, &[name.into(), version.into()], Visibility::Latest, read)?;
    Ok(found.into_iter().flatten().next().map(|reference| reference.0))
}

/// Whether a version was made longer ago than an interval, and how long ago, in words.
///
/// # Errors
/// When our table can't be read.
pub fn age(name: &str, version: i32, interval: &str) -> Result<(bool, String), Error> {
    let query = "
        SELECT v.created < now() - $3::interval, justify_interval(date_trunc('minute', now() - v.created))::text
        FROM ecommerce_ml.stored_version v WHERE v.name = $1 AND v.version = $2";
    let read = |row: &SpiHeapTupleData<'_>| -> Result<(bool, String), Error> {
        Ok((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default()))
    };
    let found = returning(query, &[name.into(), version.into(), interval.into()], read)?;
    Ok(found.into_iter().next().unwrap_or_default())
}

/// Makes a version live.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::UnknownVersion`], [`Error::NotOwner`].
pub fn deploy(name: &str, version: i32) -> Result<(), Error> {
    lock(name)?;
    require_version(name, version)?;
    let statement = "
        INSERT INTO ecommerce_ml.stored_deployment (name, deployment, version, role)
        SELECT $1, coalesce(max(d.deployment), 0) + 1, $2, session_user
        FROM ecommerce_ml.all_deployment d WHERE d.name = $1
        HAVING (SELECT l.version FROM ecommerce_ml.stored_live l WHERE l.name = $1) IS DISTINCT FROM $2
        ON CONFLICT (name, deployment) DO NOTHING";
    run(statement, &[name.into(), version.into()])?;
    resolve::invalidate()
}

/// Withdraws the latest deployment and returns the version that is live again.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::NothingToRollBack`].
pub fn roll_back(name: &str) -> Result<i32, Error> {
    lock(name)?;
    let statement = "
        UPDATE ecommerce_ml.stored_deployment d SET withdrawn = now()
        WHERE d.name = $1 AND d.withdrawn IS NULL
          AND d.deployment = (SELECT max(l.deployment) FROM ecommerce_ml.stored_deployment l
                              WHERE l.name = $1 AND l.withdrawn IS NULL)
          AND 1 < (SELECT count(*) FROM ecommerce_ml.all_deployment l
                   WHERE l.name = $1 AND l.withdrawn IS NULL)
        RETURNING d.version";
    returning_one::<i32>(statement, &[name.into()])?
        .ok_or_else(|| Error::NothingToRollBack(name.to_owned()))?;
    resolve::invalidate()?;
    live(name)?.ok_or(Error::Unexpected("no live version after a roll-back"))
}

/// Drops a model with all its versions.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::VersionBuiltIn`], [`Error::ModelInUse`],
/// [`Error::ModelScheduled`].
pub fn drop_model(name: &str) -> Result<(), Error> {
    lock(name)?;
    if is_built_in(name) {
        return Err(Error::VersionBuiltIn(name.to_owned()));
    }
    refuse_in_use(name, None)?;
    if schedules::exists(name)? {
        return Err(Error::ModelScheduled(name.to_owned()));
    }
    delete(name)
}

/// Deletes a locked model and all that is about it.
fn delete(name: &str) -> Result<(), Error> {
    run("DELETE FROM ecommerce_ml.stored_model WHERE name = $1", &[name.into()])?;
    for table in ["stored_version", "stored_deployment", "stored_pin", "stored_grant", "stored_seen"] {
        cascade(&format!("DELETE FROM ecommerce_ml.{table} WHERE name = $1"), &[name.into()])?;
    }
    content::delete_orphans()?;
    resolve::invalidate()
}

/// What a role owns of models, in words.
///
/// # Errors
/// When our table can't be read.
pub fn owned(role: pg_sys::Oid) -> Result<Vec<String>, Error> {
    Ok(names(role)?.into_iter().map(|name| format!("owner of model {name}")).collect())
}

fn names(role: pg_sys::Oid) -> Result<Vec<String>, Error> {
    let query = "SELECT name FROM ecommerce_ml.stored_model
                 WHERE ecommerce_ml.role_id(owner)::bigint = $1 ORDER BY name";
    let read = |row: &SpiHeapTupleData<'_>| row.get::<String>(1).map_err(Error::from);
    Ok(returning(query, &[i64::from(role.to_u32()).into()], read)?.into_iter().flatten().collect())
}

/// Drops all models of a role, whatever is made of them, and takes from it what it was granted. The calling role has its
/// privileges.
///
/// # Errors
/// When our tables can't be written.
pub fn drop_owned(role: pg_sys::Oid) -> Result<(), Error> {
    for name in names(role)? {
        lock(&name)?;
        delete(&name)?;
    }
    let revoke = "DELETE FROM ecommerce_ml.stored_grant WHERE ecommerce_ml.role_id(grantee)::bigint = $1";
    run(revoke, &[i64::from(role.to_u32()).into()]).map(drop)
}

/// Drops a version that is not live, and its place in the history of deployments.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::UnknownVersion`], [`Error::NotOwner`], [`Error::VersionBuiltIn`],
/// [`Error::VersionLive`], [`Error::ModelInUse`].
pub fn drop_version(name: &str, version: i32) -> Result<(), Error> {
    lock(name)?;
    if require_version(name, version)?.is_none() {
        return Err(Error::VersionBuiltIn(name.to_owned()));
    }
    if live(name)? == Some(version) {
        return Err(Error::VersionLive { name: name.to_owned(), version });
    }
    refuse_in_use(name, Some(version))?;
    delete_version(name, version)?;
    content::delete_orphans()?;
    resolve::invalidate()
}

fn delete_version(name: &str, version: i32) -> Result<(), Error> {
    for table in ["stored_version", "stored_deployment", "stored_pin", "stored_seen"] {
        let statement = format!("DELETE FROM ecommerce_ml.{table} WHERE name = $1 AND version = $2");
        cascade(&statement, &[name.into(), version.into()])?;
    }
    Ok(())
}

/// Drops versions of a locked model that trainings made, but for the newest `keep` of them, and returns their numbers. The
/// live version, pinned ones, and those that a schedule or a job other than `job` begins with stay.
///
/// # Errors
/// When our tables can't be written.
pub fn drop_old(name: &str, keep: i64, job: i64) -> Result<Vec<i32>, Error> {
    let query = "
        WITH old AS (
            SELECT v.version, v.name || '@' || v.version AS base FROM ecommerce_ml.stored_version v
            WHERE v.name = $1 AND v.training IS NOT NULL ORDER BY v.version DESC OFFSET $2)
        SELECT o.version FROM old o
        WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_live l WHERE l.name = $1 AND l.version = o.version)
          AND NOT EXISTS (SELECT FROM ecommerce_ml.stored_pin p WHERE p.name = $1 AND p.version = o.version)
          AND NOT EXISTS (SELECT FROM ecommerce_ml.stored_schedule s WHERE s.arguments ->> 'base' = o.base
                             OR s.arguments -> 'options' -> 'ensemble' ? o.base)
          AND NOT EXISTS (SELECT FROM ecommerce_ml.stored_job j
                          WHERE j.state IN ('queued', 'running') AND j.cluster = $4 AND j.job <> $3
                            AND (j.base = o.base OR j.arguments -> 'members' ? o.base))
        ORDER BY o.version";
    let read = |row: &SpiHeapTupleData<'_>| row.get::<i32>(1).map_err(Error::from);
    let arguments = [name.into(), keep.into(), job.into(), jobs::cluster().into()];
    let old: Vec<i32> = returning(query, &arguments, read)?.into_iter().flatten().collect();
    for version in &old {
        delete_version(name, *version)?;
    }
    if !old.is_empty() {
        content::delete_orphans()?;
        resolve::invalidate()?;
    }
    Ok(old)
}

/// Keeps a version in the engine's memory, or lets it go again.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::UnknownVersion`], [`Error::NoLiveVersion`], [`Error::NotOwner`].
pub fn pin(model: &ModelName, pinned: bool) -> Result<(), Error> {
    lock(&model.name)?;
    let version = match model.version {
        Some(version) => version,
        None => live(&model.name)?.ok_or_else(|| Error::NoLiveVersion(model.name.clone()))?,
    };
    require_version(&model.name, version)?;
    let statement = if pinned {
        "INSERT INTO ecommerce_ml.stored_pin (name, version) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM ecommerce_ml.stored_pin WHERE name = $1 AND version = $2"
    };
    run(statement, &[model.name.as_str().into(), version.into()])?;
    resolve::invalidate()
}

/// Lets a role use a model. `InvalidOid` stands for everyone.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::GrantBuiltIn`].
pub fn grant(name: &str, grantee: pg_sys::Oid) -> Result<(), Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_grant (name, number, grantee)
        SELECT $1, coalesce(max(g.number), 0) + 1, $3::ecommerce_ml.role_reference
        FROM ecommerce_ml.stored_grant g WHERE g.name = $1
        HAVING NOT EXISTS (SELECT FROM ecommerce_ml.all_grant a WHERE a.name = $1 AND a.grantee::bigint = $2)
        ON CONFLICT (name, number) DO NOTHING";
    change_grant(name, grantee, statement)
}

/// Takes the right to use a model from a role.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::GrantBuiltIn`].
pub fn revoke(name: &str, grantee: pg_sys::Oid) -> Result<(), Error> {
    let statement = "
        DELETE FROM ecommerce_ml.stored_grant
        WHERE name = $1 AND grantee::text = $3
          AND coalesce(ecommerce_ml.role_id(grantee)::bigint, 0) = $2";
    change_grant(name, grantee, statement)
}

fn change_grant(name: &str, grantee: pg_sys::Oid, statement: &str) -> Result<(), Error> {
    lock(name)?;
    if is_built_in(name) {
        return Err(Error::GrantBuiltIn(name.to_owned()));
    }
    let shown = match grantee {
        pg_sys::InvalidOid => PUBLIC.to_owned(),
        role => role_name(role).ok_or_else(|| Error::UnknownRole(role.to_u32().to_string()))?,
    };
    // As a number: pgrx takes the id that stands for everyone for NULL.
    run(statement, &[name.into(), i64::from(grantee.to_u32()).into(), shown.as_str().into()])?;
    resolve::invalidate()
}

/// Locks a model until the transaction ends, for its owner.
fn lock(name: &str) -> Result<(), Error> {
    let owner = if let Some(number) =
        (1..).zip(BUILT_IN).find_map(|(number, own)| (own == name).then_some(number))
    {
        lock_built_in(number)?;
        owner(name)?
    } else {
        let query = "SELECT coalesce(ecommerce_ml.role_id(owner)::bigint, 0) FROM ecommerce_ml.stored_model
                     WHERE name = $1 FOR UPDATE";
        returning_one::<i64>(query, &[name.into()])?.map(role)
    };
    let owner = owner.ok_or_else(|| Error::UnknownModel(name.to_owned()))?;
    if acts_as(owner) { Ok(()) } else { Err(Error::NotOwner(name.to_owned())) }
}

fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name)
}

/// There is no row that could be locked, so each of them has a number.
fn lock_built_in(number: u16) -> Result<(), Error> {
    let table = table_oid(c"stored_model")?;
    // SAFETY: waits for a lock on what isn't an object of the server's, but a number beside one.
    unsafe {
        pg_sys::LockDatabaseObject(pg_sys::RelationRelationId, table, number, pg_sys::ExclusiveLock as i32);
    }
    Ok(())
}

fn refuse_in_use(name: &str, version: Option<i32>) -> Result<(), Error> {
    match jobs::using(name, version)? {
        Some(job) => Err(Error::ModelInUse { name: name.to_owned(), job }),
        None => Ok(()),
    }
}

/// The version that a model's name stands for, if there is one.
///
/// # Errors
/// When our table can't be read.
pub fn live(name: &str) -> Result<Option<i32>, Error> {
    returning_one("SELECT version FROM ecommerce_ml.stored_live WHERE name = $1", &[name.into()])
}

/// How the live version of a model was trained, for the model's owner.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::NoLiveVersion`], [`Error::NotTrained`].
pub fn recipe(name: &str) -> Result<Recipe, Error> {
    let owner = owner(name)?.ok_or_else(|| Error::UnknownModel(name.to_owned()))?;
    if !acts_as(owner) {
        return Err(Error::NotOwner(name.to_owned()));
    }
    let version = live(name)?.ok_or_else(|| Error::NoLiveVersion(name.to_owned()))?;
    // Versions of 0.1.0 have no arguments of their own.
    let query = "
        SELECT training || jsonb_build_object('arguments', coalesce(training -> 'arguments', jsonb_strip_nulls(
                   jsonb_build_object('text_column', training -> 'text_column', 'label_column', training -> 'label_column',
                                      'task', training -> 'task', 'base', base)) || jsonb_build_object('options', training -> 'options')))
        FROM ecommerce_ml.all_version WHERE name = $1 AND version = $2";
    let training = returning_one::<JsonB>(query, &[name.into(), version.into()])?;
    let read = |JsonB(mut training): JsonB| {
        let arguments = Arguments::from_json(training["arguments"].take())?;
        Some(Recipe { relation: training["relation"].as_str()?.to_owned(), arguments })
    };
    training.and_then(read).ok_or_else(|| Error::NotTrained { name: name.to_owned(), version })
}

/// An argument of the training that made a version, as text, if it was given.
///
/// # Errors
/// When our tables can't be read.
pub fn argument(name: &str, version: i32, argument: &str) -> Result<Option<String>, Error> {
    let query = "SELECT training #>> ARRAY['arguments', $3] FROM ecommerce_ml.all_version WHERE name = $1 AND version = $2";
    returning_one::<String>(query, &[name.into(), version.into(), argument.into()])
}

/// What a version was found to be worth on rows that were held out, a JSON object, if that is known.
///
/// # Errors
/// When our tables can't be read.
pub fn metrics(name: &str, version: i32) -> Result<Option<serde_json::Value>, Error> {
    let query = "SELECT metrics FROM ecommerce_ml.all_version WHERE name = $1 AND version = $2";
    Ok(returning_one::<JsonB>(query, &[name.into(), version.into()])?.map(|JsonB(metrics)| metrics))
}

/// The content of a version that must exist; `None` for a built-in one.
fn require_version(name: &str, version: i32) -> Result<Option<Vec<u8>>, Error> {
    if is_built_in(name) && version == BUILT_IN_VERSION {
        return Ok(None);
    }
    let query = "SELECT content FROM ecommerce_ml.stored_version WHERE name = $1 AND version = $2";
    as_owner(|| {
        Spi::connect_mut(|client| {
            let found = client.update(query, Some(1), &[name.into(), version.into()])?;
            if found.is_empty() {
                return Err(Error::UnknownVersion { name: name.to_owned(), version });
            }
            Ok(found.first().get_one()?)
        })
    })
}

/// What a model reads and answers, as the table keeps it.
///
/// # Errors
/// None in practice: all of it can be written.
pub fn signature_json(info: &ModelInfo) -> Result<serde_json::Value, Error> {
    serde_json::to_value(&info.signature).map_err(|_| Error::Unexpected("a signature that is no JSON"))
}

/// What the views show of a model.
pub fn info_json(info: &ModelInfo) -> serde_json::Value {
    let scheme = LabelScheme::of(info.labels());
    let details = serde_json::from_str(&info.details).ok().filter(serde_json::Value::is_object);
    let mut shown = details.unwrap_or_else(|| json!({}));
    shown["task"] = json!(info.task().as_str());
    shown["labels"] = json!(info.labels());
    shown["has_sentiment"] = json!(scheme.has_sentiment());
    shown["has_rating"] = json!(scheme.has_rating());
    shown["parameters"] = json!(info.parameters);
    shown
}
