//! The functions of rows: of any composite type, and of objects of jsonb.
//!
//! Invariant: they give for a row what the executor's node gives for it.

use std::rc::Rc;

use ecommerce_ml_protocol::{Field, Input, Rows};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, PgMemoryContexts, pg_extern, pg_getarg, pg_getarg_datum, pg_sys};

use crate::catalog::resolve::Resolved;
use crate::columns::{self, InputError, RecordReaders, RowsBuilder};
use crate::error::Error;
use crate::inference::{Answers, InputKind, ModelFunction, answer, arguments_of, model_of};

/// Reads the value of one row off the answers.
type AnswerReader<T> = fn(&Answers, usize) -> Result<Option<T>, Error>;

/// What is recommended for a row of arguments, as a text.
#[pg_extern]
fn recommendations_as_text(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<String>, ErrorReport> {
    call_with_row(fcinfo, InputKind::Record, ModelFunction::Recommendations, Answers::recommendations)
}

/// A function of a row: the first argument is the row, the second the model's name. The functions are strict.
fn call_with_row<T>(
    fcinfo: pg_sys::FunctionCallInfo,
    kind: InputKind,
    function: ModelFunction,
    read: AnswerReader<T>,
) -> Result<Option<T>, ErrorReport> {
    // SAFETY: the server called us with these arguments, neither of them NULL.
    let (row, name) = unsafe { (pg_getarg_datum(fcinfo, 0), pg_getarg::<&str>(fcinfo, 1)) };
    let (Some(row), Some(name)) = (row, name) else { return Ok(None) };
    let model = model_of(Some(name))?;
    let fields = arguments_of(&model, function.output())?;
    let mut rows = RowsBuilder::new(&fields);
    // SAFETY: the function's first argument is of a type of this kind.
    let added = unsafe { add(fcinfo, kind, row, &fields, &mut rows) };
    added.map_err(|error| input_error(&model, error))?;
    let answers = answer(function.output(), &model, Input::Rows(rows.finish()))?;
    Ok(read(&answers, 0)?)
}

/// A row by itself, as the columns that a model reads.
///
/// # Errors
/// What is wrong with it.
///
/// # Safety
/// A value of a type of this kind. What is unpacked of it is in the current memory context.
pub unsafe fn single_row(
    kind: InputKind,
    row: pg_sys::Datum,
    fields: &Rc<[Field]>,
) -> Result<Rows, InputError> {
    let mut rows = RowsBuilder::new(fields);
    // SAFETY: as the caller promises; the reader is gone before the memory context is.
    unsafe {
        match kind {
            InputKind::Json => columns::json::read(row, fields, &mut rows)?,
            InputKind::Record | InputKind::Text => {
                RecordReaders::new(pg_sys::CurrentMemoryContext).of(fields).read(row, &mut rows)?
            }
        };
    }
    Ok(rows.finish())
}

unsafe fn add(
    fcinfo: pg_sys::FunctionCallInfo,
    kind: InputKind,
    row: pg_sys::Datum,
    fields: &Rc<[Field]>,
    rows: &mut RowsBuilder,
) -> Result<usize, InputError> {
    // SAFETY: as the caller promises; the function is not called while it reads its argument.
    unsafe {
        match kind {
            InputKind::Json => columns::json::read(row, fields, rows),
            InputKind::Record | InputKind::Text => (*readers(fcinfo)).of(fields).read(row, rows),
        }
    }
}

/// What reads the rows of a call in a query, kept with that.
unsafe fn readers(fcinfo: pg_sys::FunctionCallInfo) -> *mut RecordReaders {
    // SAFETY: the server gave us the function's call info, whose `fn_extra` is ours, and null at first. What we
    // put there lives as long as the context that holds the call info.
    unsafe {
        let function = (*fcinfo).flinfo;
        if (*function).fn_extra.is_null() {
            let memory = (*function).fn_mcxt;
            let readers = RecordReaders::new(memory);
            (*function).fn_extra = PgMemoryContexts::For(memory).leak_and_drop_on_delete(readers).cast();
        }
        (*function).fn_extra.cast()
    }
}

/// What is wrong with a row, for a model.
pub fn input_error(model: &Resolved, error: InputError) -> Error {
    Error::Input { model: model.name.clone(), error }
}

/// The two SQL forms of a function.
macro_rules! row_function {
    ($record:ident, $json:ident: $function:ident, $read:ident => $($value:tt)+) => {
        #[pg_extern]
        fn $record(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<$($value)+>, ErrorReport> {
            let read: AnswerReader<$($value)+> = |answers, row| Ok(answers.$read(row)?.map(Into::into));
            call_with_row(fcinfo, InputKind::Record, ModelFunction::$function, read)
        }

        #[pg_extern]
        fn $json(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<$($value)+>, ErrorReport> {
            let read: AnswerReader<$($value)+> = |answers, row| Ok(answers.$read(row)?.map(Into::into));
            call_with_row(fcinfo, InputKind::Json, ModelFunction::$function, read)
        }
    };
}

row_function!(predict_rating_of_record, predict_rating_of_jsonb: Rating, rating => f32);
row_function!(predict_class_of_record, predict_class_of_jsonb: Class, class => String);
row_function!(predict_probabilities_of_record, predict_probabilities_of_jsonb: Probabilities, probabilities => JsonB);
row_function!(predict_value_of_record, predict_value_of_jsonb: Value, value => f64);
row_function!(predict_confidence_of_record, predict_confidence_of_jsonb: Confidence, confidence => f32);
row_function!(prediction_of_record, prediction_of_jsonb: Numbers, numbers => Vec<f64>);

/// What the server calls for a function of one row: its address says which function that is.
type SqlFunction = unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum;

/// Of records, and of jsonb.
const ROW_FUNCTIONS: [(SqlFunction, SqlFunction, ModelFunction); 6] = [
    (predict_rating_of_record_wrapper, predict_rating_of_jsonb_wrapper, ModelFunction::Rating),
    (predict_class_of_record_wrapper, predict_class_of_jsonb_wrapper, ModelFunction::Class),
    (
        predict_probabilities_of_record_wrapper,
        predict_probabilities_of_jsonb_wrapper,
        ModelFunction::Probabilities,
    ),
    (predict_value_of_record_wrapper, predict_value_of_jsonb_wrapper, ModelFunction::Value),
    (predict_confidence_of_record_wrapper, predict_confidence_of_jsonb_wrapper, ModelFunction::Confidence),
    (prediction_of_record_wrapper, prediction_of_jsonb_wrapper, ModelFunction::Numbers),
];

/// Which function is at this address, if it is one of these.
pub fn function_at(address: usize) -> Option<(ModelFunction, InputKind)> {
    let is = |function: SqlFunction| function as usize == address;
    if is(recommendations_as_text_wrapper) {
        return Some((ModelFunction::Recommendations, InputKind::Record));
    }
    ROW_FUNCTIONS.iter().find_map(|(record, json, function)| {
        let kind = if is(*record) { InputKind::Record } else { InputKind::Json };
        (is(*record) || is(*json)).then_some((*function, kind))
    })
}
