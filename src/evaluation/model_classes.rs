//! Which class of a model a label of the user's means.
//!
//! A label means the class of that name. Beside that, where the model's labels mean stars, 1 to 5 mean so many, and numbers
//! between them the nearest, the higher one of two; where there are two and they mean sentiments, true is positive and false
//! negative. Invariant: the name of a class means that class, whatever else
//! it could mean.

use std::collections::HashMap;

use ecommerce_ml_protocol::LabelScheme;

use crate::relation::Kind;

/// The classes of a model.
pub struct ModelClasses {
    /// As the model names them.
    pub names: Vec<String>,
    /// Of two classes, the one whose ROC curve counts: the positive sentiment, else the second.
    pub positive: Option<usize>,
    /// What they mean.
    pub scheme: LabelScheme,
    /// Stars of each class, where the labels mean stars.
    stars: Option<[u8; 5]>,
    /// Whether labels are numbers.
    are_numbers: bool,
    classes: HashMap<String, usize>,
}

/// What a label means.
pub struct Target {
    /// Number of the class; the nearest where there are stars.
    pub class: usize,
    /// How many stars, as the user has it.
    pub stars: Option<f64>,
}

impl ModelClasses {
    /// Those of a model, for labels that a column of this kind holds.
    pub fn of(names: &[String], kind: Kind) -> Self {
        let names = names.to_vec();
        let scheme = LabelScheme::of(&names);
        let mut classes: HashMap<String, usize> =
            names.iter().enumerate().map(|(class, name)| (name.clone(), class)).collect();
        let stars = scheme.stars();
        for (class, stars) in stars.iter().flatten().enumerate() {
            classes.entry(stars.to_string()).or_insert(class);
        }
        let poles = scheme.poles();
        if let Some((negative, positive)) = poles.filter(|_| kind == Kind::Truth) {
            classes.entry("false".to_owned()).or_insert(negative);
            classes.entry("true".to_owned()).or_insert(positive);
        }
        let positive = (names.len() == 2).then(|| poles.map_or(1, |(_, positive)| positive));
        let are_numbers = matches!(kind, Kind::Whole | Kind::Decimal | Kind::Float);
        Self { names, positive, scheme, stars, are_numbers, classes }
    }

    /// What a label means, if it means something.
    pub fn target(&self, label: &str) -> Option<Target> {
        match (self.classes.get(label), &self.stars) {
            (Some(&class), stars) => {
                let stars = stars.as_ref().and_then(|stars| stars.get(class));
                Some(Target { class, stars: stars.map(|&stars| f64::from(stars)) })
            }
            (None, Some(stars)) if self.are_numbers => nearest_class(stars, label.parse().ok()?),
            _ => None,
        }
    }
}

/// A number of stars between two whole ones.
fn nearest_class(stars: &[u8], number: f64) -> Option<Target> {
    let nearest = (1.0..=5.0).contains(&number).then(|| number.round())?;
    let class = stars.iter().position(|&stars| f64::from(stars) == nearest)?;
    Some(Target { class, stars: Some(number) })
}
