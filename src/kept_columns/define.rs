//! What `keep_column` and `forget_column` do to a table.
//!
//! Invariant: all is done by the server's own commands, as the calling role, which must have the privileges of the table's owner.

use pgrx::spi::quote_identifier;
use pgrx::{Spi, pg_sys};

use super::definition::{
    self, Definition, Kept, Recipe, RefreshMode, attribute_type, fits, model_column, trigger_name,
    watch_trigger_name,
};
use super::expression::{self, Contents};
use super::launch;
use super::statement::{execute, finds};
use super::suspects;
use super::watch::Watch;
use crate::catalog::privilege::{acts_as, as_role};
use crate::catalog::session::Session;
use crate::error::Error;
use crate::guc;
use crate::relation::Relation;

/// What a call asks for.
pub struct KeepRequest<'a> {
    pub relation: pg_sys::Oid,
    pub column: String,
    pub expression: &'a str,
    pub mode: RefreshMode,
    pub batch_rows: Option<u32>,
    /// Columns whose change makes a row stale, in place of those that the expression reads.
    pub reads: Option<Vec<String>>,
    pub watch: Option<Watch>,
}

/// A table that a column can be kept in.
struct Table {
    oid: pg_sys::Oid,
    name: String,
    qualified: String,
    owner: pg_sys::Oid,
    is_partitioned: bool,
}

impl Table {
    fn open(oid: pg_sys::Oid) -> Result<Self, Error> {
        let relation = Relation::open(oid)?;
        let name = relation.name().to_owned();
        // SAFETY: looks into catalogs only; the relation exists.
        let (kind, persistence) = unsafe { (pg_sys::get_rel_relkind(oid), pg_sys::get_rel_persistence(oid)) };
        let kind = kind.cast_unsigned();
        if kind != pg_sys::RELKIND_RELATION && kind != pg_sys::RELKIND_PARTITIONED_TABLE {
            return Err(Error::NotATable(name));
        }
        if persistence.cast_unsigned() == pg_sys::RELPERSISTENCE_TEMP {
            return Err(Error::TemporaryRelation(name));
        }
        let owner = Spi::get_one_with_args::<pg_sys::Oid>(
            "SELECT relowner FROM pg_catalog.pg_class WHERE oid = $1",
            &[oid.into()],
        )?;
        let owner = owner.ok_or(Error::UnknownRelation(oid.to_u32()))?;
        if !acts_as(owner) {
            return Err(Error::NotTableOwner(name));
        }
        let is_partitioned = kind == pg_sys::RELKIND_PARTITIONED_TABLE;
        Ok(Self { oid, name, qualified: relation.from().to_owned(), owner, is_partitioned })
    }

    fn from(&self) -> String {
        let only = if self.is_partitioned { "" } else { "ONLY " };
        format!("{only}{}", self.qualified)
    }

    fn column(&self, name: &str) -> Option<String> {
        attribute_type(self.oid, name)
    }
}

/// Keeps a column, in place of the definition that it had.
///
/// # Errors
/// [`Error::NotATable`], [`Error::TemporaryRelation`], [`Error::NotTableOwner`], [`Error::KeptExpression`], [`Error::KeptName`],
/// [`Error::KeptColumnTaken`]; as resolving the models; the server's own, for what it refuses.
pub fn keep(request: &KeepRequest<'_>) -> Result<(), Error> {
    let table = Table::open(request.relation)?;
    if !fits(&request.column) {
        return Err(Error::KeptName(request.column.clone()));
    }
    // What adding a column takes, at once, so that nobody who waits for it is waited for.
    utility(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", table.qualified))?;
    let session = session();
    let contents = as_role(table.owner, &session, || {
        expression::examine(request.expression, table.oid, &table.from(), &quote_identifier(&table.name))
    })?;
    let kept = definition::all()?.into_iter().filter(|kept| kept.relation == table.oid).collect::<Vec<_>>();
    let old = kept.iter().find(|kept| kept.definition.column == request.column);
    check_reads(&contents, request, &table, &kept)?;
    let fresh = Definition {
        column: request.column.clone(),
        mode: request.mode,
        recipe: Recipe {
            expression: request.expression.to_owned(),
            table: table.name.clone(),
            models: contents.models,
            search_path: session.search_path.clone(),
            settings: session.settings.clone(),
            batch_rows: request.batch_rows,
            watch: request.watch.clone(),
        },
        reads: request.reads.clone().unwrap_or(contents.reads),
    };
    as_role(table.owner, &session, || fresh.recipe.live_versions())?;
    add_columns(&table, &fresh, &contents.type_name, old)?;
    as_role(table.owner, &session, || {
        check_assignment(&table, &fresh)?;
        check_condition(&table, &fresh)
    })?;
    replace_triggers(&table, &fresh, old)?;
    launch::at_commit();
    Ok(())
}

/// What names mean to the calling session. Settings of applications may be secrets, and everyone may read a trigger.
fn session() -> Session {
    let mut session = Session::current();
    session.settings.retain(|name, _| !name.contains('.') || name.starts_with("ecommerce_ml."));
    session.settings.insert("ecommerce_ml.default_model".to_owned(), guc::default_model());
    session
}

/// Refuses what would never come to rest, or can't be computed in time.
fn check_reads(
    contents: &Contents,
    request: &KeepRequest<'_>,
    table: &Table,
    kept: &[Kept],
) -> Result<(), Error> {
    let own = [request.column.clone(), model_column(&request.column)];
    let others =
        kept.iter().flat_map(|kept| [kept.definition.column.clone(), kept.definition.model_column()]);
    if own.into_iter().chain(others).any(|name| contents.reads.contains(&name)) {
        return Err(Error::KeptExpression("must not read kept columns"));
    }
    let is_read = |kept: &&Kept| kept.definition.reads.contains(&request.column);
    if kept.iter().find(is_read).is_some() {
        return Err(Error::KeptExpression("of another column reads this one"));
    }
    let generated = "SELECT true FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attgenerated <> ''";
    let has_generated = || {
        Ok::<_, Error>(Spi::connect(|client| {
            client.select(generated, Some(1), &[table.oid.into()]).map(|rows| !rows.is_empty())
        })?)
    };
    if contents.whole_row && request.mode == RefreshMode::Immediate && has_generated()? {
        return Err(Error::KeptExpression(
            "must not read a row as a whole while it is written, since the table has generated columns",
        ));
    }
    Ok(())
}

/// Adds the columns that aren't there. That of versions begins empty unless the same was computed before.
fn add_columns(table: &Table, fresh: &Definition, type_name: &str, old: Option<&Kept>) -> Result<(), Error> {
    let Table { qualified, .. } = table;
    let (column, versions) = (quote_identifier(&fresh.column), quote_identifier(fresh.model_column()));
    if table.column(&fresh.column).is_none() {
        utility(&format!("ALTER TABLE {qualified} ADD COLUMN {column} {type_name}"))?;
    }
    let is_unchanged = old.is_some_and(|old| old.definition.recipe.says_the_same(&fresh.recipe));
    match table.column(&fresh.model_column()) {
        Some(_) if is_unchanged => return Ok(()),
        Some(_) => {
            require_versions(table, fresh)?;
            utility(&format!("ALTER TABLE {qualified} DROP COLUMN {versions}"))?;
        }
        None => {}
    }
    add_versions(qualified, &versions, fresh.recipe.watch.is_some())?;
    utility(&format!(
        "COMMENT ON COLUMN {qualified}.{versions} IS 'versions of models that answered in the column beside it; NULL if that is stale'"
    ))
}

/// Adds the column of versions. Where rows are watched, it is empty in those that are there, which costs no rewriting of the table, and
/// NULL in those that come.
fn add_versions(qualified: &str, versions: &str, is_watch: bool) -> Result<(), Error> {
    let add = format!("ALTER TABLE {qualified} ADD COLUMN {versions} pg_catalog.text");
    if !is_watch {
        return utility(&add);
    }
    utility(&format!("{add} DEFAULT ''"))?;
    utility(&format!("ALTER TABLE {qualified} ALTER COLUMN {versions} DROP DEFAULT"))
}

/// Refuses a column of the name that holds anything but versions: it is somebody's.
fn require_versions(table: &Table, fresh: &Definition) -> Result<(), Error> {
    let name = fresh.model_column();
    let taken = || Error::KeptColumnTaken { relation: table.name.clone(), column: name.clone() };
    if table.column(&name).as_deref() != Some("pg_catalog.text") {
        return Err(taken());
    }
    let others = format!(
        "SELECT true FROM {} AS t WHERE t.{} OPERATOR(pg_catalog.!~) '^$|^[a-z_][a-z0-9_]*@[0-9]+(, [a-z_][a-z0-9_]*@[0-9]+)*$' LIMIT 1",
        table.from(),
        quote_identifier(&name)
    );
    if finds(&others, &[])? { Err(taken()) } else { Ok(()) }
}

/// Has the server say what is wrong with the assignment, if anything is.
fn check_assignment(table: &Table, fresh: &Definition) -> Result<(), Error> {
    let statement = format!(
        "EXPLAIN UPDATE {} AS {} SET {} = (\n{}\n)",
        table.from(),
        quote_identifier(&table.name),
        quote_identifier(&fresh.column),
        fresh.recipe.expression
    );
    utility(&statement)
}

/// Has the server say what is wrong with the condition of a watch, if anything is.
fn check_condition(table: &Table, fresh: &Definition) -> Result<(), Error> {
    let Some(watch) = &fresh.recipe.watch else { return Ok(()) };
    let kept = Kept {
        relation: table.oid,
        owner: table.owner,
        from: table.from(),
        trigger: trigger_name(&fresh.column),
        is_root: true,
        is_partitioned: table.is_partitioned,
        definition: fresh.clone(),
    };
    Spi::connect_mut(|_| suspects::check(&kept, watch))
}

fn replace_triggers(table: &Table, fresh: &Definition, old: Option<&Kept>) -> Result<(), Error> {
    let Table { qualified, .. } = table;
    if let Some(old) = old {
        drop_triggers(qualified, old)?;
    }
    let trigger = quote_identifier(trigger_name(&fresh.column));
    utility(&format!(
        "CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {qualified} FOR EACH ROW
         EXECUTE FUNCTION ecommerce_ml.write_kept_row({})",
        fresh.arguments()?
    ))?;
    // What a subscription applies is stale too.
    utility(&format!("ALTER TABLE {qualified} ENABLE ALWAYS TRIGGER {trigger}"))?;
    if fresh.recipe.watch.is_none() || fresh.mode != RefreshMode::Immediate {
        return Ok(());
    }
    // After the row, which may not come to be written: ON CONFLICT DO NOTHING.
    utility(&format!(
        "CREATE TRIGGER {} AFTER INSERT OR UPDATE ON {qualified} FOR EACH ROW
         EXECUTE FUNCTION ecommerce_ml.watch_written_row({})",
        quote_identifier(watch_trigger_name(&fresh.column)),
        fresh.arguments()?
    ))
}

fn drop_triggers(qualified: &str, old: &Kept) -> Result<(), Error> {
    utility(&format!("DROP TRIGGER {} ON {qualified}", quote_identifier(&old.trigger)))?;
    if old.definition.recipe.watch.is_none() || old.definition.mode != RefreshMode::Immediate {
        return Ok(());
    }
    let name = quote_identifier(watch_trigger_name(&old.definition.column));
    utility(&format!("DROP TRIGGER IF EXISTS {name} ON {qualified}"))
}

/// Keeps a column no longer; its values stay.
///
/// # Errors
/// [`Error::NotKept`], [`Error::NotTableOwner`], and as opening the table.
pub fn forget(relation: pg_sys::Oid, column: &str) -> Result<(), Error> {
    let table = Table::open(relation)?;
    let kept = require_kept(&table, column)?;
    drop_triggers(&table.qualified, &kept)
}

/// The definition of a column that is kept in a table, which the calling role may change.
///
/// # Errors
/// As [`forget`].
pub fn require(relation: pg_sys::Oid, column: &str) -> Result<Kept, Error> {
    require_kept(&Table::open(relation)?, column)
}

fn require_kept(table: &Table, column: &str) -> Result<Kept, Error> {
    let is_meant = |kept: &Kept| kept.relation == table.oid && kept.definition.column == column;
    let missing = || Error::NotKept { relation: table.name.clone(), column: column.to_owned() };
    definition::all()?.into_iter().find(is_meant).ok_or_else(missing)
}

fn utility(statement: &str) -> Result<(), Error> {
    Spi::connect_mut(|_| execute(statement, &[], false).map(drop))
}
