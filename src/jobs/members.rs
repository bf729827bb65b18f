//! The models that a training puts together, by the option `ensemble`.
//!
//! It must not know how they are put together: that is the engine's. Invariant: whoever trains may use all members, each of which answers
//! what the task asks; and the versions that a job is submitted with are those that it takes.

use std::collections::HashSet;
use std::rc::Rc;

use ecommerce_ml_protocol::training::{Objective, PlannedMember};
use ecommerce_ml_protocol::{Answer, Field, LabelScheme, ValueType};
use serde_json::Value;

use crate::catalog::arguments::Arguments;
use crate::catalog::jobs::task_name;
use crate::catalog::name::ModelName;
use crate::catalog::resolve::{Resolved, resolve};
use crate::error::Error;
use crate::evaluation::{NamedColumns, inputs_of};
use crate::relation::{Column, Relation};

/// The option that names them.
const ENSEMBLE: &str = "ensemble";
/// What it has to be.
const EXPECTED: &str = "an array of two to ten different models, as strings";
const MOST: usize = 10;

/// Models that are put together; none of other trainings.
#[derive(Default)]
pub struct Members(Vec<Rc<Resolved>>);

impl Members {
    /// Those that the options name: of a name without a version the live one.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], those of [`resolve`].
    pub fn named(options: &Value) -> Result<Self, Error> {
        let invalid = || Error::InvalidOption { name: ENSEMBLE, expected: EXPECTED };
        let names = match options.get(ENSEMBLE) {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(value) => value.as_array().ok_or_else(invalid)?,
        };
        let member = |name: &Value| resolve(name.as_str().ok_or_else(invalid)?);
        let members = Self(names.iter().map(member).collect::<Result<_, _>>()?);
        let different: HashSet<String> = members.names().into_iter().collect();
        let fits = (2..=MOST).contains(&members.0.len()) && different.len() == members.0.len();
        if fits { Ok(members) } else { Err(invalid()) }
    }

    /// Those that a job was submitted with.
    ///
    /// # Errors
    /// Those of [`resolve`]: a version may have been dropped since.
    pub fn of(arguments: &Arguments) -> Result<Self, Error> {
        let names = arguments.members.iter().flatten();
        Ok(Self(names.map(|name| resolve(name)).collect::<Result<_, _>>()?))
    }

    /// Whether nothing is put together.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Resolved> {
        self.0.iter().map(|member| &**member)
    }

    /// With their versions.
    pub fn names(&self) -> Vec<String> {
        self.iter().map(qualified).collect()
    }

    /// As the training process is told.
    pub fn planned(&self) -> Vec<PlannedMember> {
        let planned = |member: &Resolved| PlannedMember {
            name: qualified(member),
            source: member.reference.source.clone(),
        };
        self.iter().map(planned).collect()
    }

    /// Refuses members that don't answer what a task asks, or different classes.
    ///
    /// # Errors
    /// [`Error::NoMember`], [`Error::EnsembleArgument`].
    pub fn check(&self, task: Objective, arguments: &Arguments) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        if arguments.feature_columns.is_some() {
            return Err(Error::EnsembleArgument("feature_columns"));
        }
        let refused = |member: &Resolved, why: String| Err(Error::NoMember { model: qualified(member), why });
        let mut classes: Option<(String, Vec<String>)> = None;
        for member in self.iter() {
            if member.info.get("members").is_some() {
                return refused(member, "it is an ensemble itself".to_owned());
            }
            if !answers(member, task) {
                return refused(member, format!("it does not answer what task \"{}\" asks", task_name(task)));
            }
            let mut labels = member.signature.labels.clone();
            labels.sort_unstable();
            match &classes {
                _ if task != Objective::Classification => {}
                None => classes = Some((qualified(member), labels)),
                Some((_, others)) if *others == labels => {}
                Some((other, _)) => {
                    return refused(member, format!("it knows other classes than \"{other}\""));
                }
            }
        }
        let reads_text = self.iter().any(|member| member.columns.is_none());
        match &arguments.text_column {
            None if reads_text => {
                Err(Error::ArgumentMissing { argument: "text_column", task: task_name(task) })
            }
            Some(_) if !reads_text => Err(Error::EnsembleArgument("text_column")),
            _ => Ok(()),
        }
    }

    /// The columns of a relation that members read, each once, and what they are to the ensemble.
    ///
    /// # Errors
    /// Those of [`inputs_of`] and of [`Relation`].
    pub fn columns(&self, relation: &Relation, text: Option<&String>) -> Result<Vec<MemberColumn>, Error> {
        let mut found: Vec<MemberColumn> = Vec::new();
        let mut add = |field: Field, column: Column| {
            if !found.iter().any(|one| one.field.name == field.name) {
                found.push(MemberColumn { field, column });
            }
        };
        for member in self.iter() {
            let Some(fields) = &member.columns else { continue };
            let named = NamedColumns { text: None, label: None, features: None, keys: None, time: None };
            let columns = inputs_of(member, relation, &named)?;
            fields.iter().cloned().zip(columns).for_each(|(field, column)| add(field, column));
        }
        if let Some(text) = text {
            let column = relation.column_named(text)?;
            column.as_review()?;
            add(Field { name: text.clone(), value_type: ValueType::Text }, column);
        }
        Ok(found)
    }
}

/// A column that members read.
pub struct MemberColumn {
    pub field: Field,
    pub column: Column,
}

/// Whether a model answers what a task asks.
fn answers(member: &Resolved, task: Objective) -> bool {
    let signature = &member.signature;
    let stars = matches!(LabelScheme::of(&signature.labels), LabelScheme::Stars(_));
    match task {
        Objective::Classification => signature.answers.contains(&Answer::Classes),
        Objective::Rating => stars,
        Objective::Regression => stars || signature.answers.contains(&Answer::Number),
        _ => false,
    }
}

/// A member with its version.
fn qualified(member: &Resolved) -> String {
    ModelName { name: member.name.clone(), version: Some(member.version) }.to_string()
}
