//! The life of models and their versions.
//!
//! A model is live in the version of its latest deployment that was not withdrawn; rolling back withdraws one.
//! Invariant: every change locks the model's row first, so changes of one model happen one after another, and every
//! change ends with the news to all sessions.

use ecommerce_ml_protocol::{ModelInfo, Sha256};
use pgrx::{JsonB, Spi, pg_sys};
use serde_json::json;

use super::name::ModelName;
use super::privilege::{acts_as, as_owner};
use super::statement::{returning_one, run};
use super::{content, jobs, resolve, schedules};
use crate::error::Error;

/// What is recorded of a new version.
pub struct NewVersion {
    pub content: Sha256,
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
}

/// Makes the model if it doesn't exist, owned by the calling role, and locks it. Returns whether it is new.
///
/// # Errors
/// [`Error::NameTaken`] if it exists and the calling role doesn't own it.
pub fn claim(name: &str) -> Result<bool, Error> {
    let statement = "INSERT INTO ecommerce_ml.stored_model (name, owner) VALUES ($1, $2::oid::regrole)
                     ON CONFLICT (name) DO NOTHING";
    // SAFETY: the effective role of the calling statement.
    let caller = unsafe { pg_sys::GetUserId() };
    let made = as_owner(|| {
        Spi::connect_mut(|client| {
            Ok(!client.update(statement, None, &[name.into(), caller.into()])?.is_empty())
        })
    })?;
    if made {
        return Ok(true);
    }
    match lock(name) {
        Err(Error::NotOwner(name)) => Err(Error::NameTaken(name)),
        other => other.map(|()| false),
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

fn owner(name: &str) -> Result<Option<pg_sys::Oid>, Error> {
    returning_one("SELECT owner::oid FROM ecommerce_ml.stored_model WHERE name = $1", &[name.into()])
}

/// Adds a version to a locked model and returns its number.
///
/// # Errors
/// When our table can't be written.
pub fn add(name: &str, version: &NewVersion) -> Result<i32, Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_version (name, version, content, info, source, base, metrics, training)
        SELECT $1, coalesce(max(v.version), 0) + 1, $2, $3, $4, $5, $6, $7
        FROM ecommerce_ml.stored_version v WHERE v.name = $1
        RETURNING version";
    let arguments = [
        name.into(),
        version.content.0.to_vec().into(),
        JsonB(version.info.clone()).into(),
        version.source.as_str().into(),
        version.base.as_deref().into(),
        version.metrics.clone().map(JsonB).into(),
        version.training.clone().map(JsonB).into(),
    ];
    returning_one(statement, &arguments)?.ok_or(Error::Unexpected("no version number"))
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
        FROM ecommerce_ml.stored_deployment d WHERE d.name = $1
        HAVING (SELECT l.version FROM ecommerce_ml.stored_live l WHERE l.name = $1) IS DISTINCT FROM $2";
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
          AND 1 < (SELECT count(*) FROM ecommerce_ml.stored_deployment l
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
    let built_in =
        "SELECT EXISTS (SELECT FROM ecommerce_ml.stored_version WHERE name = $1 AND content IS NULL)";
    if returning_one::<bool>(built_in, &[name.into()])? == Some(true) {
        return Err(Error::VersionBuiltIn(name.to_owned()));
    }
    refuse_in_use(name, None)?;
    if schedules::exists(name)? {
        return Err(Error::ModelScheduled(name.to_owned()));
    }
    run("DELETE FROM ecommerce_ml.stored_model WHERE name = $1", &[name.into()])?;
    content::delete_orphans()?;
    resolve::invalidate()
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
    let statement = "DELETE FROM ecommerce_ml.stored_version WHERE name = $1 AND version = $2";
    run(statement, &[name.into(), version.into()])?;
    content::delete_orphans()?;
    resolve::invalidate()
}

/// Keeps a version in the engine's memory, or lets it go again.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::UnknownVersion`], [`Error::NotOwner`].
pub fn pin(model: &ModelName, pinned: bool) -> Result<(), Error> {
    lock(&model.name)?;
    let version = match model.version {
        Some(version) => version,
        None => live(&model.name)?.ok_or_else(|| Error::UnknownModel(model.name.clone()))?,
    };
    require_version(&model.name, version)?;
    let statement = "UPDATE ecommerce_ml.stored_version SET pinned = $3 WHERE name = $1 AND version = $2";
    run(statement, &[model.name.as_str().into(), version.into(), pinned.into()])?;
    resolve::invalidate()
}

/// Lets a role use a model. `InvalidOid` stands for everyone.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::GrantBuiltIn`].
pub fn grant(name: &str, grantee: pg_sys::Oid) -> Result<(), Error> {
    let statement = "INSERT INTO ecommerce_ml.stored_grant (name, grantee) VALUES ($1, $2::oid::regrole)
                     ON CONFLICT DO NOTHING";
    change_grant(name, grantee, statement)
}

/// Takes the right to use a model from a role.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::GrantBuiltIn`].
pub fn revoke(name: &str, grantee: pg_sys::Oid) -> Result<(), Error> {
    let statement = "DELETE FROM ecommerce_ml.stored_grant WHERE name = $1 AND grantee = $2::oid::regrole";
    change_grant(name, grantee, statement)
}

fn change_grant(name: &str, grantee: pg_sys::Oid, statement: &str) -> Result<(), Error> {
    lock(name)?;
    if name == "reviews" {
        return Err(Error::GrantBuiltIn(name.to_owned()));
    }
    // As a number: pgrx takes the id that stands for everyone for NULL.
    run(statement, &[name.into(), i64::from(grantee.to_u32()).into()])?;
    resolve::invalidate()
}

/// Locks a model's row until the transaction ends, for its owner.
fn lock(name: &str) -> Result<(), Error> {
    let query = "SELECT owner::oid FROM ecommerce_ml.stored_model WHERE name = $1 FOR UPDATE";
    let owner = returning_one::<pg_sys::Oid>(query, &[name.into()])?;
    let owner = owner.ok_or_else(|| Error::UnknownModel(name.to_owned()))?;
    if acts_as(owner) { Ok(()) } else { Err(Error::NotOwner(name.to_owned())) }
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

/// The content of a version that must exist; `None` for the built-in one.
fn require_version(name: &str, version: i32) -> Result<Option<Vec<u8>>, Error> {
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

/// What the views show of a model.
pub fn info_json(info: &ModelInfo) -> serde_json::Value {
    json!({
        "architecture": format!("{:?}", info.family).to_lowercase(),
        "task": info.task.as_str(),
        "labels": info.labels,
        "has_sentiment": info.has_sentiment,
        "has_rating": info.has_rating,
        "max_length": info.max_length,
        "hidden_size": info.hidden_size,
        "parameters": info.parameters,
    })
}
