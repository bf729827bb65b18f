//! The rows whose embeddings are nearest to that of a question, by an index of pgvector's.
//!
//! It must not know words. Invariant: whether the server uses the index or not, the rows are those that comparing all of them finds, but for
//! what the index passes over; it is never asked for rows that it may have left out because of its own limits.

use std::collections::HashSet;
use std::ffi::{CStr, CString};

use ecommerce_ml_matching::ranking::RowKey;
use pgrx::pg_sys;
use pgrx::spi::SpiHeapTupleData;

use super::embeddings::Embeddings;
use crate::catalog::session::set_in_level;
use crate::catalog::statement::reading;
use crate::error::Error;
use crate::relation::Relation;

/// Rows below which it is no matter to compare all.
const FEWEST_ROWS: f32 = 1000.0;

/// Rows that are asked for at first.
const FIRST_ROWS: usize = 200;

/// How many rows an HNSW index finds, unless more are set, and at most.
const HNSW_ROWS: usize = 40;
const MOST_HNSW_ROWS: usize = 1000;

/// Rows that words are counted of.
const SAMPLED_ROWS: f32 = 2000.0;

/// A column with an index that finds neighbours by cosine.
pub struct Index {
    /// Between two values of it: their distance.
    operator: String,
    /// The type of the column.
    type_name: String,
    /// About how many the relation has.
    rows: f32,
    /// Whether each row has an embedding.
    pub is_complete: bool,
}

impl Index {
    /// That of a column of embeddings of this width; none if there is none, or the relation is small.
    ///
    /// # Errors
    /// When the server's catalogs can't be read.
    pub fn of(relation: &Relation, column: &Embeddings, width: usize) -> Result<Option<Self>, Error> {
        let query = "
            SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname), pg_catalog.format('%I.%I', s.nspname, y.typname),
                   r.reltuples, a.attnotnull
            FROM pg_catalog.pg_class AS r
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attname = $2
            JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
            JOIN pg_catalog.pg_namespace AS s ON s.oid = y.typnamespace
            JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid AND i.indisvalid AND i.indkey[0] = a.attnum
            JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
            JOIN pg_catalog.pg_am AS m ON m.oid = x.relam AND m.amname IN ('hnsw', 'ivfflat')
            JOIN pg_catalog.pg_opclass AS c ON c.oid = i.indclass[0]
            JOIN pg_catalog.pg_amop AS p ON p.amopfamily = c.opcfamily AND p.amoppurpose = 'o' AND p.amoplefttype = a.atttypid
            JOIN pg_catalog.pg_operator AS o ON o.oid = p.amopopr AND o.oprname = '<=>'
            JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
            WHERE r.oid = $1 AND r.relkind IN ('r', 'm', 'p') AND r.reltuples >= $3 AND a.atttypmod = $4
            LIMIT 1";
        let width = i32::try_from(width).unwrap_or(i32::MAX);
        let arguments =
            [relation.oid().into(), column.name.as_str().into(), FEWEST_ROWS.into(), width.into()];
        let read = |row: &SpiHeapTupleData<'_>| {
            let (operator, type_name) = (row.get::<String>(1)?, row.get::<String>(2)?);
            let is_complete = row.get::<bool>(4)? == Some(true) && column.is_always_current();
            let named = operator.zip(type_name).zip(row.get::<f32>(3)?);
            Ok(named.map(|((operator, type_name), rows)| Self { operator, type_name, rows, is_complete }))
        };
        Ok(reading(query, &arguments, read)?.into_iter().flatten().next())
    }

    /// What is to come after a statement's condition, for so many rows, the nearest to the text of an embedding, which is the first parameter, first.
    fn nearest(&self, column: &Embeddings, count: usize) -> String {
        let Self { operator, type_name, .. } = self;
        let (present, column) = (column.present(), &column.column);
        format!(" AND {present} ORDER BY {column} {operator} $1::{type_name} LIMIT {count}")
    }

    /// What is to come after the relation, for a sample of its rows.
    pub fn sample(&self) -> String {
        let part = (100.0 * SAMPLED_ROWS / self.rows).min(100.0);
        format!(" TABLESAMPLE SYSTEM ({part}) REPEATABLE (0)")
    }

    /// The rows that are nearest to an embedding, enough for this many answers and the one after them; none where that is a large
    /// part of all, because few answers have many rows. `read` runs a statement with this end and with the text of the embedding as its parameter.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn rows<T>(
        &self,
        column: &Embeddings,
        (embedding, answers): (&[f32], usize),
        key: fn(&T) -> RowKey,
        mut read: impl FnMut(&str, &str) -> Result<Vec<T>, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let numbers: Vec<String> = embedding.iter().map(f32::to_string).collect();
        let embedding = format!("[{}]", numbers.join(","));
        let mut count = FIRST_ROWS.max(answers.saturating_mul(10));
        loop {
            #[allow(clippy::cast_precision_loss, reason = "about how many")]
            if count as f32 > self.rows / 2.0 {
                return Ok(None);
            }
            let end = self.nearest(column, count);
            let mut found = {
                let _settings =
                    LocalSetting::at_least(c"hnsw.ef_search", count.min(MOST_HNSW_ROWS), HNSW_ROWS)?;
                read(&end, &embedding)?
            };
            if found.len() < count {
                // There are no more, or the index left some out: then the others would do so, too.
                let _settings = LocalSetting::set(c"enable_indexscan", c"off");
                found = read(&end, &embedding)?;
            }
            let different: HashSet<i64> = found.iter().map(|row| key(row).answer).collect();
            if different.len() > answers || found.len() < count {
                return Ok(Some(found));
            }
            count = count.saturating_mul(4);
        }
    }
}

/// A setting of the server's that is another until this is dropped.
struct LocalSetting {
    nesting: i32,
}

impl LocalSetting {
    fn set(name: &CStr, value: &CStr) -> Self {
        // SAFETY: within a level of settings of its own, which an error inside ends with the (sub)transaction.
        unsafe {
            let nesting = pg_sys::NewGUCNestLevel();
            set_in_level(name, value);
            Self { nesting }
        }
    }

    /// A number that is raised; nothing changes if it is as high already. `default`: its value where nobody has set it yet.
    fn at_least(name: &CStr, value: usize, default: usize) -> Result<Option<Self>, Error> {
        // SAFETY: a terminated string; what isn't there is null.
        let now = unsafe { pg_sys::GetConfigOption(name.as_ptr(), true, false) };
        let now = match now.is_null() {
            true => default,
            // SAFETY: a terminated string of the server's, which is read at once.
            false => unsafe { CStr::from_ptr(now) }.to_string_lossy().parse().unwrap_or(default),
        };
        if now >= value {
            return Ok(None);
        }
        let value = CString::new(value.to_string()).map_err(|_| Error::Unexpected("a number with a NUL"))?;
        Ok(Some(Self::set(name, &value)))
    }
}

impl Drop for LocalSetting {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A server error is unwinding; the abort of the transaction restores it.
            return;
        }
        // SAFETY: the level of settings that `set` has opened.
        unsafe { pg_sys::AtEOXact_GUC(true, self.nesting) };
    }
}
