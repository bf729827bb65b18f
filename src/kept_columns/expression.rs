//! What the expression of a kept column reads, asks and gives.
//!
//! Invariant: an expression that is accepted says the same of the same row as long as the same versions are live, as far as the
//! server can tell.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

use pgrx::pg_sys::{self, CmdType, Node, NodeTag};
use pgrx::{PgList, Spi};

use super::definition::type_name;
use crate::catalog::statement::returning_one;
use crate::error::Error;
use crate::executor::{expression, plan_walker::elements, plan_walker::tag};
use crate::guc;

/// What is found in an expression.
pub struct Contents {
    /// Of its values.
    pub type_name: String,
    /// Models that it asks, each once.
    pub models: Vec<String>,
    /// Columns that it reads; none if it reads the row as a whole.
    pub reads: Vec<String>,
    /// It reads the row as a whole.
    pub whole_row: bool,
}

/// Looks through an expression over a table, which the calling role must be allowed to evaluate.
///
/// # Errors
/// [`Error::KeptExpression`]; the server's own for what it doesn't understand.
pub fn examine(expression: &str, relation: pg_sys::Oid, from: &str, alias: &str) -> Result<Contents, Error> {
    // On lines of its own, since it may end in a comment.
    let query = format!("SELECT (\n{expression}\n) FROM {from} AS {alias}");
    let query = CString::new(query).map_err(|_| Error::Unexpected("an expression with a NUL"))?;
    Spi::connect_mut(|_| {
        // SAFETY: a terminated string without parameters. The plan and its sources live as long as the connection.
        unsafe {
            let plan = pg_sys::SPI_prepare(query.as_ptr(), 0, std::ptr::null_mut());
            if plan.is_null() {
                return Err(Error::KeptExpression("must be one expression"));
            }
            let sources =
                PgList::<pg_sys::CachedPlanSource>::from_pg(pg_sys::SPI_plan_get_plan_sources(plan));
            let queries: Vec<*mut pg_sys::Query> =
                sources.iter_ptr().flat_map(|source| elements((*source).query_list)).collect();
            let [query] = queries[..] else { return Err(Error::KeptExpression("must be one expression")) };
            contents(&*query, relation)
        }
    })
}

/// # Safety
/// An analysed query over that relation.
unsafe fn contents(query: &pg_sys::Query, relation: pg_sys::Oid) -> Result<Contents, Error> {
    // SAFETY: as the caller promises; the tag of a node tells its type.
    unsafe {
        let value = single_expression(query)?;
        let mut found = Found::default();
        let mut fault = None;
        expression::any(value, |node| {
            fault = found.note(node).err();
            fault.is_some()
        });
        fault.map_or(Ok(()), Err)?;
        if pg_sys::contain_volatile_functions(value) {
            return Err(Error::KeptExpression("must not call volatile functions"));
        }
        found.require_direct_calls()?;
        let reads =
            found.columns.iter().map(|number| column_name(relation, *number)).collect::<Result<_, _>>()?;
        let type_oid = pg_sys::exprType(value);
        if pg_sys::get_typtype(type_oid).cast_unsigned() == pg_sys::TYPTYPE_PSEUDO {
            return Err(Error::KeptExpression("must be of a type that a column can have"));
        }
        Ok(Contents {
            type_name: type_name(type_oid, pg_sys::exprTypmod(value)),
            models: found.models.into_iter().collect(),
            reads: if found.whole_row { Vec::new() } else { reads },
            whole_row: found.whole_row,
        })
    }
}

/// The one expression that a query over one table computes for each row.
unsafe fn single_expression(query: &pg_sys::Query) -> Result<*mut Node, Error> {
    // SAFETY: as the caller promises.
    unsafe {
        let length = |list: *mut pg_sys::List| if list.is_null() { 0 } else { (*list).length };
        let clauses =
            [query.groupClause, query.sortClause, query.distinctClause, query.cteList, query.windowClause];
        let is_plain = query.commandType == CmdType::CMD_SELECT
            && length(query.rtable) == 1
            && length(query.targetList) == 1
            && clauses.into_iter().all(|clause| length(clause) == 0)
            && (*query.jointree).quals.is_null()
            && query.limitCount.is_null()
            && query.limitOffset.is_null()
            && query.setOperations.is_null();
        if query.hasAggs || query.hasWindowFuncs {
            return Err(Error::KeptExpression("must not contain aggregates or window functions"));
        }
        if query.hasSubLinks {
            return Err(Error::KeptExpression("must not contain subqueries"));
        }
        if query.hasTargetSRFs {
            return Err(Error::KeptExpression("must not return a set"));
        }
        let [target] = elements::<pg_sys::TargetEntry>(query.targetList)[..] else {
            return Err(Error::KeptExpression("must be one expression"));
        };
        if is_plain {
            Ok((*target).expr.cast())
        } else {
            Err(Error::KeptExpression("must be one expression"))
        }
    }
}

fn column_name(relation: pg_sys::Oid, number: i16) -> Result<String, Error> {
    // SAFETY: a column that the server has found there.
    unsafe {
        if pg_sys::get_attgenerated(relation, number) != 0 {
            return Err(Error::KeptExpression(
                "must not read generated columns: name the columns that they are made of",
            ));
        }
        Ok(CStr::from_ptr(pg_sys::get_attname(relation, number, false)).to_string_lossy().into_owned())
    }
}

#[derive(Default)]
struct Found {
    columns: BTreeSet<i16>,
    whole_row: bool,
    models: BTreeSet<String>,
    /// Functions that aren't ours.
    others: BTreeSet<u32>,
}

impl Found {
    unsafe fn note(&mut self, node: *mut Node) -> Result<(), Error> {
        // SAFETY: the tag tells the type.
        unsafe {
            match tag(node) {
                NodeTag::T_Var => {
                    match (*node.cast::<pg_sys::Var>()).varattno {
                        0 => self.whole_row = true,
                        number @ 1.. => drop(self.columns.insert(number)),
                        _ => return Err(Error::KeptExpression("must not read system columns")),
                    }
                    Ok(())
                }
                NodeTag::T_FuncExpr => self.note_call(node.cast()),
                NodeTag::T_OpExpr => {
                    let operator = node.cast::<pg_sys::OpExpr>();
                    pg_sys::set_opfuncid(operator);
                    self.others.insert((*operator).opfuncid.to_u32());
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    }

    unsafe fn note_call(&mut self, call: *mut pg_sys::FuncExpr) -> Result<(), Error> {
        // SAFETY: a call that the server has analysed, so its function exists.
        unsafe {
            let function = (*call).funcid;
            if !asks_model(function) {
                self.others.insert(function.to_u32());
                return Ok(());
            }
            let model = match elements::<Node>((*call).args)[..] {
                [_] => guc::default_model(),
                [_, model, ..] => constant(model)
                    .ok_or(Error::KeptExpression("must name its models, with constants that are not NULL"))?,
                [] => return Err(Error::Unexpected("a prediction of nothing")),
            };
            self.models.insert(model);
            Ok(())
        }
    }

    /// Refuses functions that ask a model behind the expression's back: nobody would know which.
    fn require_direct_calls(&self) -> Result<(), Error> {
        if self.models.is_empty() {
            return Err(Error::KeptExpression("must call a function of ecommerce_ml that asks a model"));
        }
        let others: Vec<String> = self.others.iter().map(u32::to_string).collect();
        let query = "SELECT true FROM ecommerce_ml.asking_function WHERE oid = ANY ($1::pg_catalog.text[]::pg_catalog.oid[])";
        match returning_one::<bool>(query, &[others.into()])? {
            Some(_) => Err(Error::KeptExpression(
                "must call the functions of ecommerce_ml itself, not through others",
            )),
            None => Ok(()),
        }
    }
}

/// Whether a function is one of ours that answers with a model, in any of its forms.
unsafe fn asks_model(function: pg_sys::Oid) -> bool {
    // SAFETY: looks into catalogs only; the function exists.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"ecommerce_ml".as_ptr(), true);
        if pg_sys::get_func_namespace(function) != schema {
            return false;
        }
        let name = CStr::from_ptr(pg_sys::get_func_name(function)).to_bytes();
        name.starts_with(b"predict_") || name.starts_with(b"token") || name == b"embed"
    }
}

/// A text that is written out.
unsafe fn constant(node: *mut Node) -> Option<String> {
    // SAFETY: the tag tells the type; a constant of type text is a text.
    unsafe {
        let constant = node.cast::<pg_sys::Const>();
        let is_text = tag(node) == NodeTag::T_Const && (*constant).consttype == pg_sys::TEXTOID;
        if is_text && !(*constant).constisnull {
            return pgrx::FromDatum::from_datum((*constant).constvalue, false);
        }
        None
    }
}
