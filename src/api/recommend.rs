//! What customers may want next, and what is like an item.
//!
//! It must not know how a model ranks items. Invariant: a call is one request.

use ecommerce_ml_protocol::{Column, Rows, Table, Values};
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{name, pg_extern};

use crate::error::Error;
use crate::inference::{TableRow, model_of, tables};

/// Most items of an answer.
const MOST_ITEMS: i32 = 10_000;

/// The best items for a customer, or for someone with a history. Without a model there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn recommend(
    model: Option<&str>,
    customer: Option<&str>,
    count: Option<i32>,
    history: Option<Vec<Option<String>>>,
    exclude_seen: Option<bool>,
) -> Result<
    TableIterator<
        'static,
        (name!(rank, i32), name!(item, String), name!(score, f64), name!(because, Vec<String>)),
    >,
    ErrorReport,
> {
    let Some(model) = model else { return Ok(TableIterator::empty()) };
    let history = history.map(|items| serde_json::json!(items).to_string());
    let arguments = vec![
        column("customer", text(customer)),
        column("history", text(history.as_deref())),
        column("count", Values::Number(vec![Some(checked(count)?)])),
        column("exclude_seen", Values::Boolean(vec![exclude_seen])),
    ];
    let found = ask(model, Table::Recommendations, arguments)?;
    let rows: Vec<_> = (1..)
        .zip(TableRow::all(&found))
        .filter_map(|(rank, row)| {
            let because = serde_json::from_str(row.text("because")?).unwrap_or_default();
            Some((rank, row.text("item")?.to_owned(), row.number("score")?, because))
        })
        .collect();
    Ok(TableIterator::new(rows))
}

/// The items that are likest an item.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn similar_items(
    model: &str,
    item: &str,
    count: i32,
) -> Result<TableIterator<'static, (name!(rank, i32), name!(item, String), name!(score, f64))>, ErrorReport> {
    let arguments = vec![
        column("item", text(Some(item))),
        column("count", Values::Number(vec![Some(checked(Some(count))?)])),
    ];
    let found = ask(model, Table::SimilarItems, arguments)?;
    let rows: Vec<_> = (1..)
        .zip(TableRow::all(&found))
        .filter_map(|(rank, row)| Some((rank, row.text("item")?.to_owned(), row.number("score")?)))
        .collect();
    Ok(TableIterator::new(rows))
}

/// The table that answers a single row of arguments.
fn ask(model: &str, table: Table, columns: Vec<Column>) -> Result<Rows, Error> {
    let model = model_of(Some(model))?;
    let answers = tables(&model, table, Rows { count: 1, columns })?;
    answers.into_iter().next().ok_or(Error::Unexpected("no table for a row of arguments"))
}

fn column(name: &str, values: Values) -> Column {
    Column { name: name.to_owned(), values }
}

fn text(value: Option<&str>) -> Values {
    match value {
        Some(value) => Values::Text { dictionary: vec![value.to_owned()], codes: vec![Some(0)] },
        None => Values::Text { dictionary: Vec::new(), codes: vec![None] },
    }
}

/// How many items are wanted, 10 if that isn't said.
fn checked(count: Option<i32>) -> Result<f64, Error> {
    match count.unwrap_or(10) {
        count @ 1..=MOST_ITEMS => Ok(f64::from(count)),
        _ => Err(Error::ArgumentValue { argument: "count", expected: "from 1 to 10000" }),
    }
}
