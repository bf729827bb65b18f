//! Models that are asked for tables.
//!
//! It must not know which kind answers. Invariant: a model is asked for a table only if its signature says that it has it.

use std::rc::Rc;

use ecommerce_ml_protocol::{self as protocol, Input, Output, Rows, Table};

use super::model_inputs::require_table;
use super::requests::RequestStream;
use crate::catalog::resolve::Resolved;
use crate::error::Error;

/// A table for each row of `arguments`, in their order; [`Table`] says which arguments there are, and which columns come.
///
/// # Errors
/// [`Error::NoSuchTable`], and as [`RequestStream::finish`].
pub fn tables(model: &Rc<Resolved>, table: Table, arguments: Rows) -> Result<Vec<Rows>, Error> {
    require_table(model, table)?;
    let answers = RequestStream::submit(Output::Table(table), model, Input::Rows(arguments))?.finish()?;
    answers.into_tables()
}

/// The values of a row of a table, by the names of its columns.
#[derive(Clone, Copy)]
pub struct TableRow<'a> {
    table: &'a Rows,
    row: usize,
}

impl<'a> TableRow<'a> {
    /// All rows of a table.
    pub fn all(table: &'a Rows) -> impl Iterator<Item = TableRow<'a>> {
        (0..table.count as usize).map(move |row| TableRow { table, row })
    }

    /// A text; `None` for NULL, and where there is no such column.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        let protocol::Values::Text { dictionary, codes } = self.table.column(column)? else { return None };
        let code = codes.get(self.row).copied().flatten()?;
        dictionary.get(code as usize).map(String::as_str)
    }

    /// A number; `None` for NULL, and where there is no such column.
    pub fn number(&self, column: &str) -> Option<f64> {
        let protocol::Values::Number(values) = self.table.column(column)? else { return None };
        values.get(self.row).copied().flatten()
    }

    /// A moment, in microseconds since 1970 began in UTC; `None` for NULL, and where there is no such column.
    pub fn timestamp(&self, column: &str) -> Option<i64> {
        let protocol::Values::Timestamp(values) = self.table.column(column)? else { return None };
        values.get(self.row).copied().flatten()
    }
}
