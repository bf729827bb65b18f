//! The functions of review text.
//!
//! Each has four SQL forms: of a text or an array of texts, with the default model or a named one. Invariant: the array
//! form gives for each element what the scalar form gives for it, and NULL for NULL.

use ecommerce_ml_protocol::{Prediction, ReplyBody, RequestBody, TokenDetail, Tokens};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Array, JsonB, pg_extern};
use serde_json::{Map, Value, json};

use super::ask::{ask_all, copied};
use super::memo::{self, Known};
use crate::catalog::resolve::{Resolved, resolve};
use crate::error::Error;
use crate::guc;

/// Most texts to embed in one request, so that the widest embeddings fit into a reply.
const MOST_EMBEDDINGS: usize = 256;

/// A prediction of one text, with what is needed to name its parts.
struct Answer<'a> {
    model: &'a Resolved,
    labels: &'a [String],
    prediction: Prediction,
}

impl Answer<'_> {
    fn or_meaningless<T>(&self, value: Option<T>, wanted: &'static str) -> Result<T, Error> {
        value.ok_or_else(|| Error::NoMeaning {
            model: format!("{}@{}", self.model.name, self.model.version),
            wanted,
            labels: self.labels.to_vec(),
        })
    }

    fn sentiment(self) -> Result<String, Error> {
        let sentiment = self.or_meaningless(self.prediction.sentiment, "labels that mean sentiment")?;
        Ok(sentiment.as_str().to_owned())
    }

    fn sentiment_score(self) -> Result<f32, Error> {
        self.or_meaningless(self.prediction.score, "labels that mean sentiment")
    }

    fn rating(self) -> Result<f32, Error> {
        self.or_meaningless(self.prediction.rating, "labels that mean 1 to 5 stars")
    }

    fn value(self) -> Result<f64, Error> {
        self.or_meaningless(self.prediction.value, "numeric value: it is not a regression")
    }

    fn class(self) -> Result<String, Error> {
        let probabilities = self.prediction.probabilities.iter().zip(self.labels);
        let likeliest = probabilities.max_by(|(one, _), (other, _)| one.total_cmp(other));
        self.or_meaningless(likeliest.map(|(_, label)| label.clone()), "classes")
    }

    fn probabilities(self) -> Result<JsonB, Error> {
        let some = (!self.labels.is_empty()).then_some(());
        self.or_meaningless(some, "classes")?;
        let pairs = self.labels.iter().zip(&self.prediction.probabilities);
        let object: Map<String, Value> =
            pairs.map(|(label, p)| (label.clone(), json!(f64::from(*p)))).collect();
        Ok(JsonB(Value::Object(object)))
    }
}

/// The model to use, by its name or the default.
pub fn model_of(name: Option<&str>) -> Result<std::rc::Rc<Resolved>, Error> {
    match name {
        Some(name) => resolve(name),
        None => resolve(&guc::default_model()),
    }
}

/// Predicts texts; `None` for blank ones.
fn predict<T>(
    model: Option<&str>,
    texts: Vec<String>,
    read: impl Fn(Answer<'_>) -> Result<T, Error>,
) -> Result<Vec<Option<T>>, Error> {
    let model = model_of(model)?;
    let read = |labels: &[String], row: Option<Prediction>| {
        row.map(|prediction| read(Answer { model: &model, labels, prediction })).transpose()
    };
    if let [text] = texts.as_slice() {
        let known = predict_one(&model, text)?;
        return Ok(vec![read(&known.labels, known.prediction)?]);
    }
    let mut values = Vec::with_capacity(texts.len());
    predict_all(&model, texts, |labels, rows| {
        rows.into_iter().try_for_each(|row| {
            values.push(read(&labels, row)?);
            Ok(())
        })
    })?;
    Ok(values)
}

fn predict_one(model: &Resolved, text: &str) -> Result<Known, Error> {
    let source = &model.reference.source;
    if let Some(known) = memo::recall(source, text) {
        return Ok(known);
    }
    let mut known = None;
    predict_all(model, vec![text.to_owned()], |labels, mut rows| {
        known = Some(Known { labels: labels.into(), prediction: rows.pop().flatten() });
        Ok(())
    })?;
    let known = known.ok_or(Error::Unexpected("no prediction"))?;
    memo::remember(source, text.to_owned(), known.clone());
    Ok(known)
}

fn predict_all(
    model: &Resolved,
    texts: Vec<String>,
    mut take: impl FnMut(Vec<String>, Vec<Option<Prediction>>) -> Result<(), Error>,
) -> Result<(), Error> {
    let request = |texts| RequestBody::Predict { model: model.reference.clone(), texts };
    ask_all(texts, guc::batch_size(), request, |reply| match reply {
        ReplyBody::Predictions { labels, rows, .. } => take(labels, rows),
        _ => Err(Error::Unexpected("no predictions")),
    })
}

/// Embeds texts; `None` for blank ones.
fn embeddings(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<Vec<f32>>>, Error> {
    let model = model_of(model)?;
    let mut vectors = Vec::with_capacity(texts.len());
    let request = |texts| RequestBody::Embed { model: model.reference.clone(), texts };
    ask_all(texts, guc::batch_size().min(MOST_EMBEDDINGS), request, |reply| {
        let ReplyBody::Embeddings { rows, .. } = reply else {
            return Err(Error::Unexpected("no embeddings"));
        };
        vectors.extend(rows);
        Ok(())
    })?;
    Ok(vectors)
}

/// Tokenizes texts; blank ones have no tokens.
fn tokens<T>(
    model: Option<&str>,
    texts: Vec<String>,
    detail: TokenDetail,
    read: impl Fn(Tokens) -> Option<T>,
) -> Result<Vec<Option<T>>, Error> {
    let model = model_of(model)?;
    let mut values = Vec::with_capacity(texts.len());
    let request = |texts| RequestBody::Tokenize { model: model.reference.clone(), texts, detail };
    ask_all(texts, guc::batch_size(), request, |reply| {
        let ReplyBody::Tokenized { rows } = reply else { return Err(Error::Unexpected("no tokens")) };
        for row in rows {
            values.push(Some(read(row).ok_or(Error::Unexpected("other tokens than asked for"))?));
        }
        Ok(())
    })?;
    Ok(values)
}

fn pieces(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<Vec<String>>>, Error> {
    tokens(model, texts, TokenDetail::Pieces, |tokens| match tokens {
        Tokens::Pieces(pieces) => Some(pieces),
        _ => None,
    })
}

fn ids(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<Vec<i32>>>, Error> {
    tokens(model, texts, TokenDetail::Ids, |tokens| match tokens {
        Tokens::Ids(ids) => ids.into_iter().map(|id| i32::try_from(id).ok()).collect(),
        _ => None,
    })
}

fn count(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<i32>>, Error> {
    tokens(model, texts, TokenDetail::Count, |tokens| match tokens {
        Tokens::Count(count) => i32::try_from(count).ok(),
        _ => None,
    })
}

fn sentiment(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<String>>, Error> {
    predict(model, texts, |answer| answer.sentiment())
}

fn sentiment_score(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<f32>>, Error> {
    predict(model, texts, |answer| answer.sentiment_score())
}

fn rating(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<f32>>, Error> {
    predict(model, texts, |answer| answer.rating())
}

fn class(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<String>>, Error> {
    predict(model, texts, |answer| answer.class())
}

fn probabilities(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<JsonB>>, Error> {
    predict(model, texts, |answer| answer.probabilities())
}

fn value(model: Option<&str>, texts: Vec<String>) -> Result<Vec<Option<f64>>, Error> {
    predict(model, texts, |answer| answer.value())
}

/// The scalar form of a function of many texts.
fn scalar<T>(
    compute: impl Fn(Option<&str>, Vec<String>) -> Result<Vec<Option<T>>, Error>,
    review: &str,
    model: Option<&str>,
) -> Result<Option<T>, ErrorReport> {
    let mut values = compute(model, vec![copied(review)?])?;
    Ok(values.pop().flatten())
}

/// The array form of a function of many texts.
fn array<T>(
    compute: impl Fn(Option<&str>, Vec<String>) -> Result<Vec<Option<T>>, Error>,
    reviews: &Array<'_, &str>,
    model: Option<&str>,
) -> Result<Vec<Option<T>>, ErrorReport> {
    let texts = reviews.iter().flatten().map(copied).collect::<Result<_, _>>()?;
    let mut values = compute(model, texts)?.into_iter();
    Ok(reviews.iter().map(|review| review.and_then(|_| values.next().flatten())).collect())
}

/// Rows of different lengths, which an SQL array can't hold.
fn ragged<T: serde::Serialize>(rows: Vec<Option<T>>) -> JsonB {
    JsonB(json!(rows))
}

// `#[pg_extern]` reads types as tokens and wants each to be a name.
type Pieces = Vec<String>;
type Ids = Vec<i32>;
type Vector = Vec<f32>;

/// The four SQL forms of a function.
macro_rules! text_function {
    ($scalar:ident, $scalar_by:ident, $array:ident, $array_by:ident: $compute:path => $value:ident) => {
        text_function!($scalar, $scalar_by, $array, $array_by: $compute => $value, Vec<Option<$value>>, std::convert::identity);
    };
    ($scalar:ident, $scalar_by:ident, $array:ident, $array_by:ident: $compute:path => $value:ident, $values:ty, $collect:path) => {
        #[pg_extern]
        fn $scalar(review: &str) -> Result<Option<$value>, ErrorReport> {
            scalar($compute, review, None)
        }

        #[pg_extern]
        fn $scalar_by(review: &str, model: &str) -> Result<Option<$value>, ErrorReport> {
            scalar($compute, review, Some(model))
        }

        #[pg_extern]
        fn $array(reviews: Array<'_, &str>) -> Result<$values, ErrorReport> {
            array($compute, &reviews, None).map($collect)
        }

        #[pg_extern]
        fn $array_by(reviews: Array<'_, &str>, model: &str) -> Result<$values, ErrorReport> {
            array($compute, &reviews, Some(model)).map($collect)
        }
    };
}

text_function!(tokenize, tokenize_by, tokenize_all, tokenize_all_by: pieces => Pieces, JsonB, ragged);
text_function!(token_ids, token_ids_by, token_ids_all, token_ids_all_by: ids => Ids, JsonB, ragged);
text_function!(embed, embed_by, embed_all, embed_all_by: embeddings => Vector, JsonB, ragged);
text_function!(token_count, token_count_by, token_count_all, token_count_all_by: count => i32);
text_function!(predict_sentiment, predict_sentiment_by, predict_sentiment_all, predict_sentiment_all_by: sentiment => String);
text_function!(predict_sentiment_score, predict_sentiment_score_by, predict_sentiment_score_all, predict_sentiment_score_all_by: sentiment_score => f32);
text_function!(predict_rating, predict_rating_by, predict_rating_all, predict_rating_all_by: rating => f32);
text_function!(predict_class, predict_class_by, predict_class_all, predict_class_all_by: class => String);
text_function!(predict_probabilities, predict_probabilities_by, predict_probabilities_all, predict_probabilities_all_by: probabilities => JsonB);
text_function!(predict_value, predict_value_by, predict_value_all, predict_value_all_by: value => f64);
