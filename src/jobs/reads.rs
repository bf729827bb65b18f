//! Which columns of a relation a training reads.
//!
//! It must not know what becomes of them: which kind of model can be made from them is the engine's to say. Invariant: the same
//! arguments name the same columns when a training is asked for and when it is done, unless the relation has changed.

use ecommerce_ml_protocol::training::{Objective, TrainingCall, TrainingInput};
use ecommerce_ml_protocol::{Field, ValueType, is_blank};
use serde_json::Value;

use super::members::{MemberColumn, Members};
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
    /// How much a row counts or is; none where each event counts as 1.
    pub label: Option<Column>,
    /// When each row was.
    pub time: Option<Column>,
    /// Columns that would be read, were their types not unknown to models, with their types.
    pub left_out: Vec<String>,
    /// Arrays that could be read, were they named: nobody knows whether all are of one length.
    pub arrays: Vec<String>,
}

impl Reads {
    /// What these arguments name. A training that goes on reads the columns that it has read before, where it was to read all.
    ///
    /// # Errors
    /// Those of [`Relation`], [`Error::ArgumentMissing`], [`Error::KeysNotTaken`], [`Error::LabelNotTaken`], [`Error::KeyCount`], [`Error::ColumnTwice`],
    /// [`Error::LabelIsFeature`], [`Error::NoFeatures`].
    pub fn of(
        relation: &Relation,
        arguments: &Arguments,
        task: Objective,
        before: Option<&[String]>,
    ) -> Result<Self, Error> {
        let label = arguments.label_column.as_ref().map(|name| relation.column_named(name)).transpose()?;
        let time = arguments.time_column.as_ref().map(|name| relation.column_named(name)).transpose()?;
        time.as_ref().map_or(Ok(()), Column::require_time)?;
        let mut reads = Self {
            input: TrainingInput::Text,
            columns: Vec::new(),
            label,
            time,
            left_out: Vec::new(),
            arrays: Vec::new(),
        };
        match event_columns(task) {
            Some(needs) => reads.choose_events(relation, arguments, task, &needs)?,
            None => reads.choose_rows(relation, arguments, task, before)?,
        }
        Ok(reads)
    }

    /// Rows that each are an example of their own.
    fn choose_rows(
        &mut self,
        relation: &Relation,
        arguments: &Arguments,
        task: Objective,
        before: Option<&[String]>,
    ) -> Result<(), Error> {
        if task == Objective::Anomaly {
            self.refuse_labels_and_texts(arguments, task)?;
        } else {
            self.require_label(task)?;
        }
        let members = Members::of(arguments)?;
        if !members.is_empty() {
            return self.choose_of(&members, relation, arguments);
        }
        match (&arguments.text_column, &arguments.feature_columns) {
            (Some(_), None) if arguments.key_columns.as_ref().is_some_and(|keys| !keys.is_empty()) => {
                return Err(Error::KeysNotTaken(task_name(task)));
            }
            (Some(text), None) => {
                self.columns = vec![relation.column_named(text)?];
                return self.columns[0].as_review().map(drop);
            }
            (text, Some(names)) => self.choose(relation, (names, &arguments.options), text.as_ref())?,
            (None, None) => match before {
                Some(names) => self.choose(relation, (names, &arguments.options), None)?,
                None => self.choose_all(relation, arguments)?,
            },
        }
        self.refuse_keys_as_features(relation, arguments)?;
        let fields = self.columns.iter().map(Column::as_feature).collect::<Result<Vec<_>, _>>()?;
        self.input = TrainingInput::Columns { fields, text: arguments.text_column.clone() };
        Ok(())
    }

    /// What members read.
    fn choose_of(
        &mut self,
        members: &Members,
        relation: &Relation,
        arguments: &Arguments,
    ) -> Result<(), Error> {
        let text = arguments.text_column.clone();
        let mut fields = Vec::new();
        for MemberColumn { field, column } in members.columns(relation, text.as_ref())? {
            fields.push(field);
            self.columns.push(column);
        }
        self.refuse_label_as_feature()?;
        self.refuse_keys_as_features(relation, arguments)?;
        self.input = TrainingInput::Columns { fields, text };
        Ok(())
    }

    /// Events that belong to what their keys name.
    fn choose_events(
        &mut self,
        relation: &Relation,
        arguments: &Arguments,
        task: Objective,
        needs: &EventColumns,
    ) -> Result<(), Error> {
        let missing = |argument| Err(Error::ArgumentMissing { argument, task: task_name(task) });
        if arguments.text_column.is_some() {
            return Err(Error::TextNotTaken(task_name(task)));
        }
        if needs.time && self.time.is_none() {
            return missing("time_column");
        }
        if needs.label {
            self.require_label(task)?;
        }
        let names = arguments.key_columns.as_deref().unwrap_or_default();
        if needs.keys.is_some_and(|keys| keys != names.len()) {
            return Err(Error::KeyCount {
                task: task_name(task),
                expected: needs.expected,
                given: names.len(),
            });
        }
        let mut keys = Vec::new();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(Error::ColumnTwice(name.clone()));
            }
            let column = relation.column_named(name)?;
            let value_type = match (column.value_type(), column.kind()) {
                // An interval is a number to learn from, but no number that tells things apart.
                (None, _) | (Some(ValueType::Number), Err(_)) => ValueType::Text,
                (Some(value_type), _) => value_type,
            };
            keys.push(Field { name: name.clone(), value_type });
            self.columns.push(column);
        }
        let mut fields: Vec<Field> =
            keys.iter().map(|key| Field { name: key.name.clone(), value_type: ValueType::Text }).collect();
        for name in arguments.feature_columns.iter().flatten() {
            if fields.iter().any(|field| field.name == *name) {
                return Err(Error::ColumnTwice(name.clone()));
            }
            let column = relation.column_named(name)?;
            fields.push(column.as_feature()?);
            self.columns.push(column);
        }
        self.refuse_label_as_feature()?;
        self.input = TrainingInput::Events { keys, fields };
        Ok(())
    }

    fn require_label(&self, task: Objective) -> Result<(), Error> {
        match self.label {
            Some(_) => Ok(()),
            None => Err(Error::ArgumentMissing { argument: "label_column", task: task_name(task) }),
        }
    }

    /// Of a task that goes by columns alone.
    fn refuse_labels_and_texts(&self, arguments: &Arguments, task: Objective) -> Result<(), Error> {
        match (&arguments.text_column, &self.label) {
            (Some(_), _) => Err(Error::TextNotTaken(task_name(task))),
            (None, Some(_)) => Err(Error::LabelNotTaken(task_name(task))),
            (None, None) => Ok(()),
        }
    }

    fn refuse_label_as_feature(&self) -> Result<(), Error> {
        match &self.label {
            Some(label) if self.columns.iter().any(|column| column.name() == label.name()) => {
                Err(Error::LabelIsFeature(label.name().to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Keys tell rows apart, and say nothing that could be learned.
    fn refuse_keys_as_features(&self, relation: &Relation, arguments: &Arguments) -> Result<(), Error> {
        for name in arguments.key_columns.iter().flatten() {
            let column = relation.column_named(name)?;
            if self.columns.iter().any(|feature| feature.name() == column.name()) {
                return Err(Error::ColumnTwice(name.clone()));
            }
        }
        Ok(())
    }

    /// The columns that are named, of an array each element, and the text if it isn't among them.
    fn choose(
        &mut self,
        relation: &Relation,
        (names, options): (&[String], &Value),
        text: Option<&String>,
    ) -> Result<(), Error> {
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(Error::ColumnTwice(name.clone()));
            }
            let column = relation.column_named(name)?;
            if column.is_array() {
                self.columns.extend(relation.elements(&column, &condition(options)?)?);
            } else {
                self.columns.push(column);
            }
        }
        if let Some(text) = text {
            let column = relation.column_named(text)?;
            column.as_review()?;
            if !names.contains(text) {
                self.columns.push(column);
            }
        }
        self.refuse_label_as_feature()?;
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
                None if column.is_array() => self.arrays.push(column.shown()),
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

/// The rows that option `where` leaves, as the end of a query of relation `t`.
///
/// # Errors
/// [`Error::InvalidOption`] for a condition that is no text, or blank.
pub fn condition(options: &Value) -> Result<String, Error> {
    match options.get("where") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(condition)) if is_blank(condition) => {
            Err(Error::InvalidOption { name: "where", expected: "a condition, not a blank string" })
        }
        // On lines of its own, so that a comment at its end hides nothing of ours.
        Some(Value::String(condition)) => Ok(format!(" WHERE (\n{condition}\n)")),
        Some(_) => Err(Error::InvalidOption { name: "where", expected: "a condition, as a string" }),
    }
}

/// Which columns events need.
struct EventColumns {
    /// How many keys; `None` for any number.
    keys: Option<usize>,
    /// Which keys, in words for the user.
    expected: &'static str,
    time: bool,
    label: bool,
}

/// Which columns a task needs whose rows are events; `None` if each row is an example of its own.
fn event_columns(task: Objective) -> Option<EventColumns> {
    match task {
        Objective::Classification | Objective::Rating | Objective::Regression | Objective::Anomaly => None,
        Objective::Forecast | Objective::Elasticity => {
            Some(EventColumns { keys: None, expected: "", time: true, label: true })
        }
        Objective::Recommendation => {
            let expected = "two key columns, the customer and the item";
            Some(EventColumns { keys: Some(2), expected, time: false, label: false })
        }
        Objective::Lifetime => {
            let expected = "one key column, the customer";
            Some(EventColumns { keys: Some(1), expected, time: true, label: false })
        }
    }
}
