//! Deploying, rolling back, dropping, pinning and granting models.

use ecommerce_ml_protocol::RequestBody;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, pg_sys};

use crate::catalog::name::ModelName;
use crate::catalog::privilege::{require_writable, role_oid};
use crate::catalog::resolve::resolve;
use crate::catalog::versions;
use crate::client;
use crate::error::Error;

/// Makes a version the one that the model's name stands for.
#[pg_extern]
fn deploy_model(name: &str, version: i32) -> Result<(), ErrorReport> {
    require_writable(c"deploy_model()");
    Ok(versions::deploy(&ModelName::parse_bare(name)?, version)?)
}

/// Returns to the version that was live before.
#[pg_extern]
fn rollback_model(name: &str) -> Result<i32, ErrorReport> {
    require_writable(c"rollback_model()");
    Ok(versions::roll_back(&ModelName::parse_bare(name)?)?)
}

/// Drops a model with all its versions.
#[pg_extern]
fn drop_model(name: &str) -> Result<(), ErrorReport> {
    require_writable(c"drop_model()");
    Ok(versions::drop_model(&ModelName::parse_bare(name)?)?)
}

/// Drops a version that is not live.
#[pg_extern]
fn drop_model_version(name: &str, version: i32) -> Result<(), ErrorReport> {
    require_writable(c"drop_model()");
    Ok(versions::drop_version(&ModelName::parse_bare(name)?, version)?)
}

/// Keeps a model in the engine's memory, or lets it go again. Either takes effect in the engine at once.
#[pg_extern]
fn pin_model(model: &str, pinned: bool) -> Result<(), ErrorReport> {
    require_writable(c"pin_model()");
    versions::pin(&ModelName::parse(model)?, pinned)?;
    tell_engine(model)?;
    Ok(())
}

/// Lets a role use a model.
#[pg_extern]
fn grant_model(name: &str, grantee: &std::ffi::CStr) -> Result<(), ErrorReport> {
    require_writable(c"grant_model()");
    Ok(versions::grant(&ModelName::parse_bare(name)?, grantee_oid(grantee)?)?)
}

/// Takes the right to use a model from a role.
#[pg_extern]
fn revoke_model(name: &str, grantee: &std::ffi::CStr) -> Result<(), ErrorReport> {
    require_writable(c"revoke_model()");
    Ok(versions::revoke(&ModelName::parse_bare(name)?, grantee_oid(grantee)?)?)
}

fn tell_engine(model: &str) -> Result<(), Error> {
    client::ask(RequestBody::Describe { model: resolve(model)?.reference.clone() }).map(|_| ())
}

/// A role's id; `public` stands for everyone, as in GRANT.
fn grantee_oid(name: &std::ffi::CStr) -> Result<pg_sys::Oid, Error> {
    match &*name.to_string_lossy() {
        "public" => Ok(pg_sys::InvalidOid),
        name => role_oid(name),
    }
}
