//! What an ensemble answers.
//!
//! It must not know members. Invariant: there are as many outputs as classes, or one.

/// What an ensemble answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// A number.
    Number,
    /// A probability for each class.
    Classes {
        /// Their names: at least two.
        labels: Vec<String>,
    },
}

impl Head {
    /// The classes; none of a number.
    pub fn labels(&self) -> &[String] {
        match self {
            Head::Number => &[],
            Head::Classes { labels } => labels,
        }
    }

    /// How many numbers a member says of a row.
    pub fn outputs(&self) -> usize {
        self.labels().len().max(1)
    }
}
