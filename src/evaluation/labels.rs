//! Which class of a model a label of the user's means.
//!
//! A label means the class of that name. Beside that, where the model's labels mean stars, 1 to 5 mean so many; where
//! there are two and they mean sentiments, true is positive and false negative. Whether labels mean that is the engine's
//! to say. Invariant: the name of a class means that class, whatever else it could mean.

use std::collections::HashMap;

use ecommerce_ml_protocol::ModelInfo;

use crate::relation::Kind;

/// The classes of a model.
pub struct Labels {
    /// As the model names them.
    pub names: Vec<String>,
    /// Stars of each class, where the labels mean stars.
    pub stars: Option<Vec<u8>>,
    /// Of two classes, the one whose ROC curve counts: the positive sentiment, else the second.
    pub positive: Option<usize>,
    classes: HashMap<String, usize>,
}

impl Labels {
    /// Those of a model, for labels that a column of this kind holds.
    pub fn of(info: &ModelInfo, kind: Kind) -> Self {
        let names = info.labels.clone();
        let mut classes: HashMap<String, usize> =
            names.iter().enumerate().map(|(class, name)| (name.clone(), class)).collect();
        let stars = info.has_rating.then(|| names.iter().map(|name| stars(name)).collect::<Vec<u8>>());
        for (class, stars) in stars.iter().flatten().enumerate() {
            classes.entry(stars.to_string()).or_insert(class);
        }
        let sentiments = if names.len() == 2 && info.has_sentiment { sentiments(&names) } else { None };
        if let Some((negative, positive)) = sentiments.filter(|_| kind == Kind::Truth) {
            classes.entry("false".to_owned()).or_insert(negative);
            classes.entry("true".to_owned()).or_insert(positive);
        }
        let positive = (names.len() == 2).then(|| sentiments.map_or(1, |(_, positive)| positive));
        Self { names, stars, positive, classes }
    }

    /// The class that a label means.
    pub fn class(&self, label: &str) -> Option<usize> {
        self.classes.get(label).copied()
    }
}

/// The number that a label of stars begins with; the engine has recognised the whole scale.
fn stars(name: &str) -> u8 {
    let digits = name.trim().trim_start_matches('+');
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or_default()
}

/// The indices of negative and positive among two recognised sentiments.
fn sentiments(names: &[String]) -> Option<(usize, usize)> {
    let find = |prefix: &str| names.iter().position(|name| name.trim().to_lowercase().starts_with(prefix));
    Some((find("neg")?, find("pos")?))
}
