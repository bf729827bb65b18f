//! Which columns of a relation a model is measured on.
//!
//! It must not know how. Invariant: a model of columns gets those that it reads by their names and types, whatever else is there.

use ecommerce_ml_protocol::Field;

use crate::api::input_error;
use crate::catalog::resolve::Resolved;
use crate::catalog::versions;
use crate::columns::InputError;
use crate::columns::element::{element, elements};
use crate::error::Error;
use crate::inference::{columns_of, require_input, require_text};
use crate::relation::{Column, Relation};

/// The arguments that name columns, as `train_model` has them.
pub struct NamedColumns {
    pub text: Option<String>,
    pub label: Option<String>,
    pub features: Option<Vec<String>>,
    pub keys: Option<Vec<String>>,
    pub time: Option<String>,
}

/// Columns of the rows that a model is measured on.
pub struct Columns {
    pub label: Column,
    /// The text, or what the model reads, in its order.
    pub inputs: Vec<Column>,
}

impl Columns {
    /// What these arguments mean for a model; label and text are those of its training unless others are named.
    ///
    /// # Errors
    /// [`Error::ReadsText`], [`Error::ReadsColumns`], [`Error::ArgumentMissing`], [`Error::KeysNotTaken`],
    /// [`Error::FeatureNotNamed`], [`Error::Input`], and those of [`Relation`].
    pub fn of(model: &Resolved, relation: &Relation, named: &NamedColumns) -> Result<Self, Error> {
        let inputs = inputs_of(model, relation, named)?;
        let missing =
            || Error::ArgumentMissing { argument: "label_column", task: model.signature.task().as_str() };
        let label = match named.label.clone() {
            None => versions::argument(&model.name, model.version, "label_column")?,
            named => named,
        };
        let label = relation.column_named(&label.ok_or_else(missing)?)?;
        named.time.as_ref().map_or(Ok(()), |time| relation.column_named(time)?.require_time())?;
        Ok(Self { label, inputs })
    }

    /// The inputs as a query selects them.
    ///
    /// # Errors
    /// [`Error::ColumnType`] for a text that is none.
    pub fn selected(&self, model: &Resolved) -> Result<String, Error> {
        Ok(selected(model, &self.inputs)?.join(", "))
    }
}

/// The text, or what a model reads, in its order.
///
/// # Errors
/// As [`Columns::of`], but for the label.
pub fn inputs_of(model: &Resolved, relation: &Relation, named: &NamedColumns) -> Result<Vec<Column>, Error> {
    require_input(model)?;
    let task = model.signature.task().as_str();
    if model.columns.is_none() && named.features.is_none() {
        if named.keys.as_ref().is_some_and(|keys| !keys.is_empty()) {
            return Err(Error::KeysNotTaken(task));
        }
        let missing = || Error::ArgumentMissing { argument: "text_column", task };
        let text = match named.text.clone() {
            None => versions::argument(&model.name, model.version, "text_column")?,
            named => named,
        };
        return Ok(vec![relation.column_named(&text.ok_or_else(missing)?)?]);
    }
    let fields = columns_of(model)?;
    require_named(model, &fields, named)?;
    for name in named.keys.iter().flatten() {
        relation.column_named(name)?;
    }
    let columns = fields.iter().map(|field| column(model, relation, field)).collect::<Result<_, _>>()?;
    require_lengths(model, relation, &fields)?;
    Ok(columns)
}

/// Refuses arrays that haven't as many numbers as the model reads.
fn require_lengths(model: &Resolved, relation: &Relation, fields: &[Field]) -> Result<(), Error> {
    for (array, _) in
        fields.iter().filter_map(|field| element(&field.name)).filter(|(_, number)| *number == 1)
    {
        let Some(column) = relation.column_named(array).ok().filter(Column::is_array) else { continue };
        let expected = elements(fields, array);
        let Some((least, most)) = relation.array_lengths(&column, "")? else { continue };
        for found in [least, most].map(|length| usize::try_from(length).unwrap_or(0)) {
            if found != expected {
                return Err(input_error(model, InputError::length(array, found, expected)));
            }
        }
    }
    Ok(())
}

/// The inputs as a query selects them, one each.
///
/// # Errors
/// [`Error::ColumnType`] for a text that is none.
pub fn selected(model: &Resolved, inputs: &[Column]) -> Result<Vec<String>, Error> {
    match model.columns {
        None => inputs.iter().map(Column::as_review).collect(),
        Some(_) => Ok(inputs.iter().map(|column| column.as_it_is().to_owned()).collect()),
    }
}

/// Refuses arguments that name other columns than those that a model reads; they may name more.
fn require_named(model: &Resolved, fields: &[Field], named: &NamedColumns) -> Result<(), Error> {
    if named.text.as_ref().is_some_and(|text| !fields.iter().any(|field| field.name == *text)) {
        return require_text(model);
    }
    let Some(features) = &named.features else { return Ok(()) };
    let is_named = |field: &&Field| {
        let of_array = element(&field.name).is_some_and(|(array, _)| features.iter().any(|one| one == array));
        of_array || features.contains(&field.name) || named.text.as_ref() == Some(&field.name)
    };
    match fields.iter().find(|field| !is_named(field)) {
        None => Ok(()),
        Some(field) => Err(Error::FeatureNotNamed { column: field.name.clone(), model: model.name.clone() }),
    }
}

/// The column of a relation that a model reads.
fn column(model: &Resolved, relation: &Relation, field: &Field) -> Result<Column, Error> {
    let column = relation.column_named(&field.name)?;
    if column.value_type() == Some(field.value_type) {
        return Ok(column);
    }
    let (name, type_name) = (field.name.clone(), column.type_name().to_owned());
    Err(input_error(model, InputError::ColumnType { column: name, type_name, expected: field.value_type }))
}
