//! The functions of review text.
//!
//! Each has four SQL forms: of a text or an array of texts, with the default model or a named one. Invariant: the array
//! form gives for each element what the scalar form gives for it, and NULL for NULL.

use std::rc::Rc;

use ecommerce_ml_protocol::Input;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Array, JsonB, pg_extern, pg_sys};
use serde_json::json;

use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{
    Answers, InputKind, ModelFunction, answer, check_length, check_result_size, model_of, require_text,
};

/// Reads the value of one text off the answers.
type AnswerReader<T> = fn(&Answers, usize) -> Result<Option<T>, Error>;

/// Asks a model about texts, if it reads such.
fn text_answer(
    function: ModelFunction,
    model: &Rc<Resolved>,
    texts: Vec<String>,
) -> Result<Rc<Answers>, Error> {
    require_text(model)?;
    answer(function.output(), model, Input::Texts(texts))
}

/// The scalar form of a function.
fn scalar<T>(
    function: ModelFunction,
    read: AnswerReader<T>,
    review: &str,
    model: Option<&str>,
) -> Result<Option<T>, ErrorReport> {
    check_length(review)?;
    let answers = text_answer(function, &model_of(model)?, vec![review.to_owned()])?;
    Ok(read(&answers, 0)?)
}

/// The array form of a function.
fn array<T>(
    function: ModelFunction,
    read: AnswerReader<T>,
    reviews: &Array<'_, &str>,
    model: Option<&str>,
) -> Result<Vec<Option<T>>, ErrorReport> {
    reviews.iter().flatten().try_for_each(check_length)?;
    let model = model_of(model)?;
    let texts: Vec<String> = reviews.iter().flatten().map(str::to_owned).collect();
    check_result_size(function, &model, &texts)?;
    let answers = text_answer(function, &model, texts)?;
    let mut texts = 0..;
    let mut next = |_| read(&answers, texts.next().unwrap_or_default());
    Ok(reviews.iter().map(|review| review.map_or(Ok(None), &mut next)).collect::<Result<_, _>>()?)
}

/// Rows of different lengths, which an SQL array can't hold.
fn jagged<T: serde::Serialize>(rows: Vec<Option<T>>) -> JsonB {
    JsonB(json!(rows))
}

// `#[pg_extern]` reads types as tokens and wants each to be a name.
type Pieces = Vec<String>;
type Ids = Vec<i32>;
type Vector = Vec<f32>;

/// Reads the value of one text off the answers by the method of that name.
macro_rules! reader {
    ($read:ident) => {
        |answers, row| Ok(answers.$read(row)?.map(Into::into))
    };
}

/// The four SQL forms of a function.
macro_rules! text_function {
    ($scalar:ident, $scalar_by:ident, $array:ident, $array_by:ident: $function:ident, $read:ident => $value:ident) => {
        text_function!($scalar, $scalar_by, $array, $array_by: $function, $read => $value, Vec<Option<$value>>, std::convert::identity);
    };
    ($scalar:ident, $scalar_by:ident, $array:ident, $array_by:ident: $function:ident, $read:ident => $value:ident, $values:ty, $collect:path) => {
        #[pg_extern]
        fn $scalar(review: &str) -> Result<Option<$value>, ErrorReport> {
            scalar::<$value>(ModelFunction::$function, reader!($read), review, None)
        }

        #[pg_extern]
        fn $scalar_by(review: &str, model: &str) -> Result<Option<$value>, ErrorReport> {
            scalar::<$value>(ModelFunction::$function, reader!($read), review, Some(model))
        }

        #[pg_extern]
        fn $array(reviews: Array<'_, &str>) -> Result<$values, ErrorReport> {
            array::<$value>(ModelFunction::$function, reader!($read), &reviews, None).map($collect)
        }

        #[pg_extern]
        fn $array_by(reviews: Array<'_, &str>, model: &str) -> Result<$values, ErrorReport> {
            array::<$value>(ModelFunction::$function, reader!($read), &reviews, Some(model)).map($collect)
        }
    };
}

text_function!(tokenize, tokenize_by, tokenize_all, tokenize_all_by: TokenPieces, token_pieces => Pieces, JsonB, jagged);
text_function!(token_ids, token_ids_by, token_ids_all, token_ids_all_by: TokenIds, token_ids => Ids, JsonB, jagged);
text_function!(embed, embed_by, embed_all, embed_all_by: Embedding, embedding => Vector, JsonB, jagged);
text_function!(token_count, token_count_by, token_count_all, token_count_all_by: TokenCount, token_count => i32);
text_function!(predict_sentiment, predict_sentiment_by, predict_sentiment_all, predict_sentiment_all_by: Sentiment, sentiment => String);
text_function!(predict_sentiment_score, predict_sentiment_score_by, predict_sentiment_score_all, predict_sentiment_score_all_by: SentimentScore, sentiment_score => f32);
text_function!(predict_rating, predict_rating_by, predict_rating_all, predict_rating_all_by: Rating, rating => f32);
text_function!(predict_class, predict_class_by, predict_class_all, predict_class_all_by: Class, class => String);
text_function!(predict_probabilities, predict_probabilities_by, predict_probabilities_all, predict_probabilities_all_by: Probabilities, probabilities => JsonB);
text_function!(predict_value, predict_value_by, predict_value_all, predict_value_all_by: Value, value => f64);
text_function!(predict_confidence, predict_confidence_by, predict_confidence_all, predict_confidence_all_by: Confidence, confidence => f32);

/// What the server calls for a function of one text: its address says which function that is.
type SqlFunction = unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum;

/// The scalar forms, by default model and by named model.
const TEXT_FUNCTIONS: [(SqlFunction, SqlFunction, ModelFunction); 11] = [
    (tokenize_wrapper, tokenize_by_wrapper, ModelFunction::TokenPieces),
    (token_ids_wrapper, token_ids_by_wrapper, ModelFunction::TokenIds),
    (token_count_wrapper, token_count_by_wrapper, ModelFunction::TokenCount),
    (embed_wrapper, embed_by_wrapper, ModelFunction::Embedding),
    (predict_sentiment_wrapper, predict_sentiment_by_wrapper, ModelFunction::Sentiment),
    (predict_sentiment_score_wrapper, predict_sentiment_score_by_wrapper, ModelFunction::SentimentScore),
    (predict_rating_wrapper, predict_rating_by_wrapper, ModelFunction::Rating),
    (predict_class_wrapper, predict_class_by_wrapper, ModelFunction::Class),
    (predict_probabilities_wrapper, predict_probabilities_by_wrapper, ModelFunction::Probabilities),
    (predict_value_wrapper, predict_value_by_wrapper, ModelFunction::Value),
    (predict_confidence_wrapper, predict_confidence_by_wrapper, ModelFunction::Confidence),
];

/// Which function is at this address, if it is the scalar form of one.
pub fn function_at(address: usize) -> Option<(ModelFunction, InputKind)> {
    let is = |function: SqlFunction| function as usize == address;
    let found = TEXT_FUNCTIONS.iter().find(|(one, by, _)| is(*one) || is(*by));
    found.map(|(_, _, function)| (*function, InputKind::Text))
}
