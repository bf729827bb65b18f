//! The definition of a kept column: a trigger with arguments, so that it follows its table through renaming, moving, changes of
//! owner, partitions, dump and restore, and is dropped with it.
//!
//! Invariant: what a definition asks for is done as the owner of the table, whoever wrote the definition; only a role with the
//! owner's privileges can.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};

use pgrx::pg_sys;
use pgrx::spi::SpiHeapTupleData;
use pgrx::spi::{quote_identifier, quote_literal};
use serde::{Deserialize, Serialize};

use super::watch::Watch;
use crate::catalog::resolve::resolve;
use crate::catalog::session::Session;
use crate::catalog::statement::reading;
use crate::error::Error;

/// What the column of versions is called after the column.
const MODEL_SUFFIX: &str = "_model";
/// Triggers of a kind fire in the order of their names; ours is to see what the others have made of a row.
const TRIGGER_PREFIX: &str = "zz_keep_";
const WATCH_TRIGGER_PREFIX: &str = "zz_watch_";
/// Longest identifier, in bytes.
const MAX_NAME: usize = pg_sys::NAMEDATALEN as usize - 1;

/// When a stale row is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshMode {
    /// By the worker, after the commit.
    Background,
    /// While it is written.
    Immediate,
}

impl RefreshMode {
    /// Reads the word that SQL has for it.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Background, Self::Immediate].into_iter().find(|mode| mode.word() == word)
    }

    /// The word that SQL has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Immediate => "immediate",
        }
    }
}

/// What is computed, and what that meant to whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    pub expression: String,
    /// What the expression calls the table.
    pub table: String,
    /// The models that it asks, each once, as it names them.
    pub models: Vec<String>,
    pub search_path: String,
    pub settings: BTreeMap<String, String>,
    /// Most rows in a transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_rows: Option<u32>,
    /// The values are scores, and this is what becomes of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
}

impl Recipe {
    /// Whether another says the same of every row.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let meaning = |recipe: &Self| Self {
            batch_rows: None,
            watch: recipe.watch.as_ref().map(Watch::without_condition),
            ..recipe.clone()
        };
        meaning(self) == meaning(other)
    }

    /// What names and conditions meant.
    pub fn session(&self) -> Session {
        Session { search_path: self.search_path.clone(), settings: self.settings.clone() }
    }

    /// The versions that its models' names stand for now, which the calling role may use.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn live_versions(&self) -> Result<String, Error> {
        let version = |given: &String| {
            let found = resolve(given)?;
            Ok(format!("{}@{}", found.name, found.version))
        };
        let mut versions = self.models.iter().map(version).collect::<Result<Vec<_>, Error>>()?;
        versions.sort();
        versions.dedup();
        Ok(versions.join(", "))
    }
}

/// A kept column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub column: String,
    pub mode: RefreshMode,
    pub recipe: Recipe,
    /// Columns that the expression reads; none stands for the whole row.
    pub reads: Vec<String>,
}

impl Definition {
    /// Name of the column of versions.
    pub fn model_column(&self) -> String {
        model_column(&self.column)
    }

    /// The trigger's arguments, as literals.
    ///
    /// # Errors
    /// None in practice.
    pub fn arguments(&self) -> Result<String, Error> {
        let recipe = serde_json::to_string(&self.recipe)
            .map_err(|_| Error::Unexpected("a recipe without a JSON form"))?;
        let own = [self.column.as_str(), self.mode.word(), &recipe];
        let all = own.into_iter().chain(self.reads.iter().map(String::as_str));
        Ok(all.map(quote_literal).collect::<Vec<_>>().join(", "))
    }

    /// What [`arguments`](Self::arguments) has made, as a trigger has it.
    pub fn from_arguments(arguments: &[&str]) -> Option<Self> {
        let [column, mode, recipe, reads @ ..] = arguments else { return None };
        Some(Self {
            column: (*column).to_owned(),
            mode: RefreshMode::parse(mode)?,
            recipe: serde_json::from_str(recipe).ok()?,
            reads: reads.iter().map(|name| (*name).to_owned()).collect(),
        })
    }
}

/// Name of the column of versions beside a column.
pub fn model_column(column: &str) -> String {
    format!("{column}{MODEL_SUFFIX}")
}

/// Whether both names are short enough.
pub fn fits(column: &str) -> bool {
    column.len() + MODEL_SUFFIX.len() <= MAX_NAME
}

/// Name of a column's trigger.
pub fn trigger_name(column: &str) -> String {
    prefixed(TRIGGER_PREFIX, column)
}

/// Name of the trigger that watches a column of scores which are written with their rows.
pub fn watch_trigger_name(column: &str) -> String {
    prefixed(WATCH_TRIGGER_PREFIX, column)
}

fn prefixed(prefix: &str, column: &str) -> String {
    let mut length = column.len().min(MAX_NAME - prefix.len());
    while !column.is_char_boundary(length) {
        length -= 1;
    }
    format!("{prefix}{}", &column[..length])
}

/// A definition on a table, a partition or a partitioned table.
#[derive(Debug, Clone)]
pub struct Kept {
    pub relation: pg_sys::Oid,
    pub owner: pg_sys::Oid,
    /// How a FROM clause names it; tables that inherit from it are not meant, partitions are.
    pub from: String,
    pub trigger: String,
    /// Not a partition's copy of a partitioned table's.
    pub is_root: bool,
    pub is_partitioned: bool,
    pub definition: Definition,
}

impl Kept {
    /// The type of the column; `None` if one of both columns isn't there any more.
    pub fn column_type(&self) -> Option<String> {
        attribute_type(self.relation, &self.definition.model_column())?;
        attribute_type(self.relation, &self.definition.column)
    }

    /// The column of versions, quoted, of the table as the expression calls it.
    pub fn versions(&self) -> String {
        format!("{}.{}", self.alias(), quote_identifier(self.definition.model_column()))
    }

    /// The condition on stale rows, given the live versions as `$1`. Where rows are watched, what has been scored isn't scored again.
    pub fn stale(&self) -> String {
        match self.definition.recipe.watch {
            Some(_) => format!("{} IS NULL", self.versions()),
            None => format!("{} IS DISTINCT FROM $1", self.versions()),
        }
    }

    /// What alerts call the table: schema and name, quoted.
    pub fn table(&self) -> &str {
        self.from.trim_start_matches("ONLY ")
    }

    /// What the expression calls the table, quoted.
    pub fn alias(&self) -> String {
        quote_identifier(&self.definition.recipe.table)
    }
}

/// The type of a column; `None` if there is no such column.
pub fn attribute_type(relation: pg_sys::Oid, column: &str) -> Option<String> {
    let name = CString::new(column).ok()?;
    // SAFETY: a terminated string; a missing column is reported by the result, and a type that a column has exists.
    unsafe {
        let number = pg_sys::get_attnum(relation, name.as_ptr());
        if number <= 0 {
            return None;
        }
        let (mut type_oid, mut modifier, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
        pg_sys::get_atttypetypmodcoll(
            relation,
            number,
            &raw mut type_oid,
            &raw mut modifier,
            &raw mut collation,
        );
        Some(type_name(type_oid, modifier))
    }
}

/// What a type is called in any session.
pub fn type_name(type_oid: pg_sys::Oid, modifier: i32) -> String {
    // SAFETY: the type exists, and the result is a terminated string.
    unsafe {
        let flags = (pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY) as u16;
        let name: *const c_char = pg_sys::format_type_extended(type_oid, modifier, flags);
        std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

const KEPT: &str = "
    SELECT t.tgrelid, c.relowner, pg_catalog.format('%I.%I', n.nspname, c.relname), t.tgname::text, t.tgparentid = 0,
           c.relkind = 'p', t.tgargs
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE t.tgfoid = pg_catalog.to_regprocedure('ecommerce_ml.write_kept_row()')
    ORDER BY t.tgrelid, t.tgname";

/// All kept columns of this database, on tables, partitions and partitioned tables.
///
/// # Errors
/// When the catalogs can't be read.
pub fn all() -> Result<Vec<Kept>, Error> {
    Ok(reading(KEPT, &[], read)?.into_iter().flatten().collect())
}

/// Those on a table, or on a partitioned table and its partitions.
///
/// # Errors
/// When the catalogs can't be read.
pub fn of_table(table: pg_sys::Oid, column: &str) -> Result<Vec<Kept>, Error> {
    let below = "SELECT $1::pg_catalog.oid UNION SELECT relid FROM pg_catalog.pg_partition_tree($1)";
    let tree = reading(below, &[table.into()], |row| Ok(row.get::<pg_sys::Oid>(1)?))?;
    let is_of_it = |kept: &Kept| kept.definition.column == column && tree.contains(&Some(kept.relation));
    Ok(all()?.into_iter().filter(is_of_it).collect())
}

/// What is kept on a table itself.
///
/// # Errors
/// When the catalogs can't be read.
pub fn definitions_on(table: pg_sys::Oid) -> Result<Vec<Definition>, Error> {
    let is_on_it = |kept: &Kept| kept.relation == table;
    Ok(all()?.into_iter().filter(is_on_it).map(|kept| kept.definition).collect())
}

/// `None` for a trigger that isn't one that we made.
fn read(row: &SpiHeapTupleData<'_>) -> Result<Option<Kept>, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in pg_trigger");
    let arguments = row.get::<Vec<u8>>(7)?.ok_or(DAMAGED)?;
    // Each ends with a NUL.
    let texts = arguments.split(|byte| *byte == 0).map(std::str::from_utf8).collect::<Result<Vec<_>, _>>();
    let definition = match texts.as_deref() {
        Ok([texts @ .., _]) => Definition::from_arguments(texts),
        _ => None,
    };
    let Some(definition) = definition else { return Ok(None) };
    let is_partitioned = row.get(6)?.ok_or(DAMAGED)?;
    let name: String = row.get(3)?.ok_or(DAMAGED)?;
    Ok(Some(Kept {
        relation: row.get(1)?.ok_or(DAMAGED)?,
        owner: row.get(2)?.ok_or(DAMAGED)?,
        from: if is_partitioned { name } else { format!("ONLY {name}") },
        trigger: row.get(4)?.ok_or(DAMAGED)?,
        is_root: row.get(5)?.ok_or(DAMAGED)?,
        is_partitioned,
        definition,
    }))
}

/// Whether a trigger's function is ours.
pub fn is_ours(function: pg_sys::Oid) -> bool {
    // SAFETY: looks into catalogs only; what isn't there is reported by the result.
    unsafe {
        let name = pg_sys::get_func_name(function);
        !name.is_null()
            && std::ffi::CStr::from_ptr(name) == c"write_kept_row"
            && pg_sys::get_func_namespace(function)
                == pg_sys::get_namespace_oid(c"ecommerce_ml".as_ptr(), true)
    }
}

/// Reads what a call says of when stale rows are scored.
///
/// # Errors
/// [`Error::UnknownRefresh`].
pub fn parse_mode(word: &str) -> Result<RefreshMode, Error> {
    RefreshMode::parse(word).ok_or_else(|| Error::UnknownRefresh(word.to_owned()))
}
