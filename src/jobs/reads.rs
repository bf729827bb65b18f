//! Which columns of a relation a training reads.
//!
//! It must not know what becomes of them: which kind of model can be made from them is the engine's to say. Invariant: the same
//! arguments name the same columns when a training is asked for and when it is done, unless the relation has changed.

use ecommerce_ml_protocol::Field;
use ecommerce_ml_protocol::training::{Objective, TrainingCall, TrainingInput};

use crate::catalog::arguments::Arguments;
use crate::catalog::jobs::task_name;
use crate::error::Error;
use crate::relation::{Column, Relation};

/// What is read of each row.
pub struct Reads {
    /// As the engine is told.
    pub input: TrainingInput,
    /// The text, or the columns in the order of the fields.
    pub columns: Vec<Column>,
    pub label: Column,
    /// When each row was.
    pub time: Option<Column>,
    /// Columns that would be read, were their types not unknown to models, with their types.
    pub left_out: Vec<String>,
}

impl Reads {
    /// What these arguments name. A training that goes on reads the columns that it has read before, where it was to read all.
    ///
    /// # Errors
    /// Those of [`Relation`], [`Error::ArgumentMissing`], [`Error::KeysNotTaken`], [`Error::ColumnTwice`],
    /// [`Error::LabelIsFeature`], [`Error::NoFeatures`].
    pub fn of(
        relation: &Relation,
        arguments: &Arguments,
        task: Objective,
        before: Option<&[String]>,
    ) -> Result<Self, Error> {
        if arguments.key_columns.as_ref().is_some_and(|keys| !keys.is_empty()) && !takes_keys(task) {
            return Err(Error::KeysNotTaken(task_name(task)));
        }
        let label = arguments
            .label_column
            .as_ref()
            .ok_or(Error::ArgumentMissing { argument: "label_column", task: task_name(task) })?;
        let label = relation.column_named(label)?;
        let time = arguments.time_column.as_ref().map(|name| relation.column_named(name)).transpose()?;
        time.as_ref().map_or(Ok(()), Column::require_time)?;
        let mut reads =
            Self { input: TrainingInput::Text, columns: Vec::new(), label, time, left_out: Vec::new() };
        match (&arguments.text_column, &arguments.feature_columns) {
            (Some(text), None) => {
                reads.columns = vec![relation.column_named(text)?];
                reads.columns[0].as_review()?;
                return Ok(reads);
            }
            (text, Some(names)) => reads.choose(relation, names, text.as_ref())?,
            (None, None) => match before {
                Some(names) => reads.choose(relation, names, None)?,
                None => reads.choose_all(relation, arguments)?,
            },
        }
        let fields = reads.columns.iter().map(Column::as_feature).collect::<Result<Vec<_>, _>>()?;
        reads.input = TrainingInput::Columns { fields, text: arguments.text_column.clone() };
        Ok(reads)
    }

    /// The columns that are named, and the text if it isn't among them.
    fn choose(&mut self, relation: &Relation, names: &[String], text: Option<&String>) -> Result<(), Error> {
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(Error::ColumnTwice(name.clone()));
            }
            self.columns.push(relation.column_named(name)?);
        }
        if let Some(text) = text {
            let column = relation.column_named(text)?;
            column.as_review()?;
            if !names.contains(text) {
                self.columns.push(column);
            }
        }
        if self.columns.iter().any(|column| column.name() == self.label.name()) {
            return Err(Error::LabelIsFeature(self.label.name().to_owned()));
        }
        self.require_some(relation)
    }

    /// All columns of a relation but the label, the time and the keys.
    fn choose_all(&mut self, relation: &Relation, arguments: &Arguments) -> Result<(), Error> {
        let others = [&arguments.label_column, &arguments.time_column].into_iter().flatten();
        let others: Vec<&String> = others.chain(arguments.key_columns.iter().flatten()).collect();
        for column in relation.columns()? {
            if others.iter().any(|other| *other == column.name()) {
                continue;
            }
            match column.value_type() {
                Some(_) => self.columns.push(column),
                None => self.left_out.push(column.shown()),
            }
        }
        self.require_some(relation)
    }

    fn require_some(&self, relation: &Relation) -> Result<(), Error> {
        if self.columns.is_empty() { Err(Error::NoFeatures(relation.name().to_owned())) } else { Ok(()) }
    }

    /// The columns by name and type; none if a text is read.
    pub fn fields(&self) -> &[Field] {
        self.input.fields()
    }

    /// What the engine is asked for.
    pub fn call(&self, task: Objective, arguments: &Arguments) -> TrainingCall {
        TrainingCall {
            objective: task,
            input: self.input.clone(),
            has_time: self.time.is_some(),
            options: arguments.options.to_string(),
        }
    }
}

/// Whether rows of such a training make series or baskets.
fn takes_keys(task: Objective) -> bool {
    match task {
        Objective::Classification | Objective::Rating | Objective::Regression => false,
    }
}
