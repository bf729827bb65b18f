//! Where the embeddings of a relation's questions are kept.
//!
//! It must not know how they are compared. Invariant: what a kept column holds counts only where the version that a call asks has written it.

use pgrx::Spi;
use pgrx::spi::{quote_identifier, quote_literal};

use super::Question;
use crate::error::Error;
use crate::inference::model_of;
use crate::kept_columns::{self, Definition};
use crate::relation::Column;

/// A column of embeddings.
pub struct Embeddings {
    /// Its name.
    pub name: String,
    /// The same, as an expression.
    pub column: String,
    /// Its values as arrays of `real`; NULL where they are to be computed.
    pub values: String,
    /// Whether a row's value is of the version that is asked, where rows say of which it is.
    is_current: Option<String>,
}

impl Embeddings {
    /// Those that a call names, or else those that are kept of its questions by its model.
    ///
    /// # Errors
    /// [`Error::ColumnType`], [`Error::UnknownModel`]; when the catalogs can't be read.
    pub fn of(question: &Question<'_>) -> Result<Option<Self>, Error> {
        let values = question.embedding.map(Column::as_embedding).transpose()?;
        if question.lexical_weight >= 1.0 {
            return Ok(question.embedding.zip(values).map(|(column, values)| Self::plain(column, values)));
        }
        let kept = kept_columns::definitions_on(question.relation.oid())?;
        let Some((column, values)) = question.embedding.zip(values) else {
            return Self::kept(question, &kept);
        };
        let definition = kept.iter().find(|one| one.column == column.name() && one.recipe.watch.is_none());
        match definition {
            Some(definition) => Self::current(question, definition, column).map(Some),
            None => Ok(Some(Self::plain(column, values))),
        }
    }

    fn plain(column: &Column, values: String) -> Self {
        Self {
            name: column.name().to_owned(),
            column: column.as_it_is().to_owned(),
            values,
            is_current: None,
        }
    }

    /// A kept column of the questions' embeddings that the caller may read.
    fn kept(question: &Question<'_>, kept: &[Definition]) -> Result<Option<Self>, Error> {
        let Some(definition) = kept.iter().find(|one| is_embedding_of(one, question.question.name())) else {
            return Ok(None);
        };
        let model = model_of(question.model)?;
        let [of] = &definition.recipe.models[..] else { return Ok(None) };
        let may_read = "SELECT pg_catalog.has_column_privilege($1, $2, 'SELECT') AND pg_catalog.has_column_privilege($1, $3, 'SELECT')";
        let (relation, versions) = (question.relation.oid(), definition.model_column());
        let arguments = [relation.into(), definition.column.as_str().into(), versions.as_str().into()];
        if of.split('@').next() != Some(model.name.as_str())
            || Spi::get_one_with_args::<bool>(may_read, &arguments)? != Some(true)
        {
            return Ok(None);
        }
        let column = question.relation.column_named(&definition.column)?;
        Self::current(question, definition, &column).map(Some)
    }

    /// Those of a kept column, where the version that is asked has written them.
    fn current(question: &Question<'_>, definition: &Definition, column: &Column) -> Result<Self, Error> {
        let model = model_of(question.model)?;
        let version = quote_literal(format!("{}@{}", model.name, model.version));
        let versions = quote_identifier(definition.model_column());
        let is_current = format!("coalesce(t.{versions} OPERATOR(pg_catalog.=) {version}, false)");
        let values = format!("CASE WHEN {is_current} THEN {} END", column.as_embedding()?);
        Ok(Self { is_current: Some(is_current), ..Self::plain(column, values) })
    }

    /// The condition on rows that have one.
    pub fn present(&self) -> String {
        match &self.is_current {
            Some(is_current) => format!("{} IS NOT NULL AND {is_current}", self.column),
            None => format!("{} IS NOT NULL", self.column),
        }
    }

    /// The condition on the others.
    pub fn missing(&self) -> String {
        match &self.is_current {
            Some(is_current) => format!("({} IS NULL OR NOT {is_current})", self.column),
            None => format!("{} IS NULL", self.column),
        }
    }

    /// Whether all rows have one if none is NULL.
    pub fn is_always_current(&self) -> bool {
        self.is_current.is_none()
    }
}

/// Whether a kept column holds `embed` of a column as it is, cast or not.
fn is_embedding_of(definition: &Definition, column: &str) -> bool {
    let expression = definition.recipe.expression.trim();
    let call = expression.strip_prefix("ecommerce_ml.").unwrap_or(expression);
    let Some((argument, _)) = call.strip_prefix("embed(").and_then(|rest| rest.split_once([')', ','])) else {
        return false;
    };
    let argument = argument.trim();
    let quoted = quote_identifier(column);
    let of_table = format!("{}.{quoted}", quote_identifier(&definition.recipe.table));
    let is_cast_only = call.split_once(')').is_some_and(|(_, rest)| {
        let rest = rest.trim();
        rest.is_empty() || rest.starts_with("::")
    });
    definition.recipe.watch.is_none() && is_cast_only && (argument == quoted || argument == of_table)
}
