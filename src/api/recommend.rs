//! What customers may want next, and what is like an item.
//!
//! `recommend` is a function in SQL over two of these: one that gives a value, which the executor asks for many rows at once, and one that
//! makes rows of it. It must not know how a model ranks items. Invariant: a call of `similar_items` is one request.

use ecommerce_ml_protocol::{Column, Reads, Rows, Table, Values};
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{name, pg_extern, pg_sys};

use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{Recommendation, TableRow, model_of, tables};
use crate::relation::Relation;
use crate::rows;

/// Most items of an answer.
const MOST_ITEMS: i32 = 10_000;

/// What `recommendations_as_text` gave, as rows.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn recommendations_from_text(
    recommendations: &str,
) -> Result<
    TableIterator<
        'static,
        (name!(rank, i32), name!(item, String), name!(score, f64), name!(because, Vec<String>)),
    >,
    ErrorReport,
> {
    let expected = "what recommendations_as_text gave";
    let refused = Error::ArgumentValue { argument: "recommendations", expected };
    let found = Recommendation::read_all(recommendations).ok_or(refused)?;
    let row = |(rank, one): (i32, Recommendation)| (rank, one.item, one.score, one.because);
    Ok(TableIterator::new((1..).zip(found).map(row)))
}

/// The items of a relation that a model may recommend: those in the column that has the name of the model's item key.
#[pg_extern]
fn recommendation_candidates(model: &str, relation: pg_sys::Oid) -> Result<String, ErrorReport> {
    let model = model_of(Some(model))?;
    let items = items_of(&model, &Relation::open(relation)?)?;
    let answers = tables(
        &model,
        Table::ItemSet,
        Rows { count: 1, columns: vec![column("items", text(Some(&items)))] },
    )?;
    let set =
        answers.first().and_then(|answer| TableRow::all(answer).next()?.text("item_set").map(str::to_owned));
    Ok(set.ok_or(Error::Unexpected("no set of items"))?)
}

/// A JSON array of the items of a relation.
fn items_of(model: &Resolved, relation: &Relation) -> Result<String, Error> {
    let Reads::Keys(keys) = &model.signature.reads else { return Ok("[]".to_owned()) };
    let Some(key) = keys.get(1) else { return Ok("[]".to_owned()) };
    let item = relation.column_named(&key.name)?.as_key();
    let query = format!("SELECT DISTINCT {item} FROM {} AS t WHERE {item} IS NOT NULL", relation.from());
    let mut items = Vec::new();
    rows::for_each(
        &query,
        &[],
        |row| row.get::<String>(1),
        |item| {
            items.extend(item);
            Ok(())
        },
    )?;
    Ok(serde_json::json!(items).to_string())
}

/// The items that are likest an item.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn similar_items(
    model: &str,
    item: &str,
    count: i32,
) -> Result<TableIterator<'static, (name!(rank, i32), name!(item, String), name!(score, f64))>, ErrorReport> {
    if !(1..=MOST_ITEMS).contains(&count) {
        return Err(Error::ArgumentValue { argument: "count", expected: "from 1 to 10000" }.into());
    }
    let model = model_of(Some(model))?;
    let columns =
        vec![column("item", text(Some(item))), column("count", Values::Number(vec![Some(f64::from(count))]))];
    let answers = tables(&model, Table::SimilarItems, Rows { count: 1, columns })?;
    let found = answers.into_iter().next().ok_or(Error::Unexpected("no table for a row of arguments"))?;
    let rows: Vec<_> = (1..)
        .zip(TableRow::all(&found))
        .filter_map(|(rank, row)| Some((rank, row.text("item")?.to_owned(), row.number("score")?)))
        .collect();
    Ok(TableIterator::new(rows))
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
