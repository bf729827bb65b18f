//! What is asked of a model, and what it answers: typed columns.
//!
//! It must not know what classes mean: [`crate::labels`] does. Invariant: an answer has as many rows as its input, in order.

use serde::{Deserialize, Serialize};

use crate::input::{Rows, ValueType};

/// What a model shall make of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output {
    /// What it was trained for: [`Answers::Classes`] or [`Answers::Numbers`].
    Prediction,
    /// Mean-pooled, L2-normalised last hidden states: [`Answers::Vectors`].
    Embedding,
    /// Indices into the vocabulary, special tokens included, without truncation: [`Answers::TokenIds`].
    TokenIds,
    /// The pieces that they stand for: [`Answers::TokenPieces`].
    TokenPieces,
    /// How many there are: [`Answers::TokenCounts`].
    TokenCounts,
    /// What parts of the input add to the prediction: [`Answers::Explanations`]. Of a model that was loaded to
    /// [explain](crate::message::Purpose::Explain).
    Contributions {
        /// The class whose probability is explained, by its place among the labels. Without one it is what the model says: stars or a
        /// score where its labels mean such, else the likeliest class; of a regression the value.
        class: Option<u32>,
    },
    /// A table for each row of arguments: [`Answers::Tables`].
    Table(Table),
}

/// A question whose answer is a table. What arguments it takes, and what columns the answer has, is said here, so that whoever asks
/// need not know which kind of model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// What each series comes to. Arguments: number `horizon` (NULL: the model's own), number `level` (of the interval, between 0 and 1),
    /// numbers `after` (series to pass over) and `count` (series at most), and a text for each key (NULL: any); or of one series, that goes on
    /// from what it is now, its keys with `history` and `latest` as of [`Table::ForecastErrors`]. Of a model with columns that are known ahead, text
    /// `known` (a JSON array of arrays of a moment, as in `history`, and the value of each of these columns: number, part that is true, text or NULL).
    /// Columns: a text for each key, timestamp `time`, numbers `value`, `lower`, `upper`, text `method`; ordered by keys and time.
    Forecast,
    /// What a customer may want next. Arguments: text `customer` (NULL: nobody known), text `history` (a JSON array of items; NULL: what is
    /// known of the customer), number `count` (NULL: 10), boolean `exclude_seen` (NULL: true), text `candidates` (an item set of the model; NULL:
    /// all of its items), number `diversity` (from 0, which NULL is, to 1). Columns: text `item`, number `score`, text `because` (a JSON array
    /// of items); the best first.
    Recommendations,
    /// What is like an item. Arguments: text `item`, number `count`. Columns: text `item`, number `score`; the likest first.
    SimilarItems,
    /// What customers will do. Arguments: number `horizon` (seconds), number `after` (customers to pass over), number `count` (at most).
    /// Columns: text `customer`, numbers `alive`, `purchases`, `value`, `lower`, `upper`, and by carrying the customer's past rate on
    /// `past_purchases` and `past_value` (NULL where amounts aren't known); ordered by customer.
    Lifetimes,
    /// What a series comes to in all over its next periods. Arguments: number `horizon` (periods), a text for each key, and `known` as of
    /// [`Table::Forecast`]. Columns: numbers
    /// `level` and `quantity`, both ascending: the quantity that the sum is below with this probability; no row for keys without a series.
    TotalDemand,
    /// How sales respond to prices. Arguments: numbers `after` (rows to pass over) and `count` (at most). Columns: text `keys` (a JSON object;
    /// empty of all), numbers `elasticity`, `std_error`, `lower`, `upper` (NULL where nothing is known), number `observations`, text
    /// `warning`; first of all, then categories, then keys, each in their order.
    PriceResponse,
    /// What rankings for a customer are worth, given what the customer turned to. Arguments: text `customer`, text `items` (a JSON array).
    /// One row: numbers `new` and `known` (of these items, those that the model doesn't know the customer to have had, and those that it
    /// does and doesn't recommend), `ndcg` (of ten places), `recall` (of twenty), `bits` (how little known the first ten are, summed), text
    /// `shown` (a JSON array of these ten), the same of the most popular items as `baseline_ndcg` and so on, and number `items` (that may be
    /// recommended).
    RankingQuality,
    /// Items as a set that other questions to the same model take. Arguments: text `items` (a JSON array). One row: text `item_set`.
    ItemSet,
    /// What was forecast of a series beside what came. Arguments: a text for each key, text `history` (a JSON array of arrays of a moment, in
    /// microseconds since 1970 in UTC, and a quantity), timestamp `latest` (the last moment that anything is known of), number `level`, and `known`
    /// as of [`Table::Forecast`].
    /// Columns: timestamp `time`, numbers `observed`, `value`, `lower`, `upper`, `naive` (what the season before says), `absolute_scale` and
    /// `squared_scale` (of that within the series, the same in each row; NULL where nothing changed); a row for each period since the
    /// training of which something is known.
    ForecastErrors,
    /// The periods of a series that are least like what was expected of them. Arguments: keys, `history` and `latest` as of
    /// [`Table::ForecastErrors`], number `count` (periods at most). Columns: timestamp `time`, numbers `observed`, `expected`, `lower`,
    /// `upper`, `score`, text `reason` (a JSON array of objects); the highest score first.
    SeriesAnomalies,
}

impl Table {
    /// What is answered, in a word for users.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Forecast => "forecasts",
            Table::Recommendations => "recommendations",
            Table::SimilarItems => "similar items",
            Table::Lifetimes => "lifetimes",
            Table::TotalDemand => "demand of several periods",
            Table::ForecastErrors => "errors of forecasts",
            Table::SeriesAnomalies => "anomalies of series",
            Table::PriceResponse => "elasticities",
            Table::RankingQuality => "measures of rankings",
            Table::ItemSet => "sets of items",
        }
    }

    /// The arguments, by name, of a table that the rows of a query are asked for; of others none.
    pub fn arguments(self) -> &'static [(&'static str, ValueType)] {
        match self {
            Table::Recommendations => &[
                ("customer", ValueType::Text),
                ("history", ValueType::Text),
                ("count", ValueType::Number),
                ("exclude_seen", ValueType::Boolean),
                ("candidates", ValueType::Text),
                ("diversity", ValueType::Number),
            ],
            _ => &[],
        }
    }
}

/// A column of answers; none for an input that has nothing to read, such as a blank text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answers {
    /// Of a classification.
    Classes {
        /// The names of the classes.
        labels: Vec<String>,
        /// `[rows, labels]`: probabilities that sum to 1 a row.
        probabilities: Vec<Option<Vec<f32>>>,
    },
    /// Of a regression, in the unit of its training data.
    Numbers(Vec<Option<f64>>),
    /// `[rows, width]`: embeddings.
    Vectors(Vec<Option<Vec<f32>>>),
    /// Token ids; none of a blank text.
    TokenIds(Vec<Vec<u32>>),
    /// Word pieces; none of a blank text.
    TokenPieces(Vec<Vec<String>>),
    /// Numbers of tokens; 0 of a blank text.
    TokenCounts(Vec<u64>),
    /// What made the predictions.
    Explanations(Vec<Option<Explanation>>),
    /// A table for each row of arguments, in the columns that its [`Table`] names.
    Tables(Vec<Rows>),
}

/// What a prediction is made of: a number that is the same for all inputs, or for all of a length, and what parts of the input
/// add to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The explained number for an input that says nothing.
    pub baseline: f64,
    /// What takes it from there to the number for this input.
    pub contributions: Contributions,
}

/// What each part of an input adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Contributions {
    /// Of a text, in its order. White space, and what a tokenizer passes over, is in none of them.
    Spans(Vec<SpanContribution>),
    /// Of a row: of each column that the model reads, in the order of its signature.
    Columns(Vec<f64>),
    /// Of a row, of a model that puts together what others say: of each of them, in the order of the model.
    Members(Vec<MemberContribution>),
}

impl Contributions {
    /// What they add up to.
    pub fn sum(&self) -> f64 {
        match self {
            Contributions::Spans(spans) => spans.iter().map(|span| f64::from(span.contribution)).sum(),
            Contributions::Columns(columns) => columns.iter().sum(),
            Contributions::Members(members) => members.iter().map(|member| member.contribution).sum(),
        }
    }
}

/// What a part of a text adds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpanContribution {
    /// Characters before it.
    pub start: u32,
    /// Characters of it.
    pub length: u32,
    /// In the unit of what is explained.
    pub contribution: f32,
}

/// What another model, which this one asks, adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberContribution {
    /// The model, with its version.
    pub member: String,
    /// What it says: a number, or the probability of the class that is explained; none if there is nothing that it could read.
    pub says: Option<f64>,
    /// In the unit of what is explained.
    pub contribution: f64,
}

impl Answers {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Answers::Classes { probabilities, .. } => probabilities.len(),
            Answers::Numbers(rows) => rows.len(),
            Answers::Vectors(rows) => rows.len(),
            Answers::TokenIds(rows) => rows.len(),
            Answers::TokenPieces(rows) => rows.len(),
            Answers::TokenCounts(rows) => rows.len(),
            Answers::Explanations(rows) => rows.len(),
            Answers::Tables(tables) => tables.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is said of one input: probabilities or a number; none for an input with nothing to read, and of any other answer.
    pub fn prediction(&self, row: usize) -> Option<Prediction<'_>> {
        match self {
            Answers::Classes { labels, probabilities } => {
                let probabilities = probabilities.get(row)?.as_deref()?;
                Some(Prediction::Class { labels, probabilities })
            }
            Answers::Numbers(rows) => rows.get(row).copied().flatten().map(Prediction::Number),
            _ => None,
        }
    }
}

/// What a model says of one input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prediction<'a> {
    /// Probabilities of classes, `[labels]`.
    Class {
        /// Their names.
        labels: &'a [String],
        /// One each.
        probabilities: &'a [f32],
    },
    /// The value of a regression.
    Number(f64),
}

/// What answering a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Completed {
    /// Tokens that went through the model, special tokens included; 0 of a model that reads none.
    pub tokens: u64,
    /// Inputs whose answer was remembered from an earlier request. Neither blank texts, nor those whose equal in the
    /// same request was computed.
    pub cached: u64,
    /// Time from the request's arrival to its answer, in microseconds.
    pub micros: u64,
}
