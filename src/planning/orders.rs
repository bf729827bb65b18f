//! What to order of what, now.
//!
//! It must not know how demand is forecast, nor how an order follows from it. Invariant: each series of the model and each row of the
//! relation has a row, and where nothing can be said it says why.

use std::collections::{BTreeMap, BTreeSet};

use ecommerce_ml_forecast::Invalid;
use ecommerce_ml_forecast::inventory::Costs;
use ecommerce_ml_forecast::orders::{Demand, Order, Terms};
use ecommerce_ml_protocol::{Column, Field, Rows, Table, Values};
use pgrx::spi::{self, SpiHeapTupleData};
use serde_json::{Map, Value};

use super::history::{all_keys, fields, key_value};
use crate::error::Error;
use crate::inference::{TableRow, model_of, tables};
use crate::relation::Relation;
use crate::rows;

/// Series of one answer of the engine.
const SERIES_AT_ONCE: usize = 500;
/// Most periods that an order covers.
const MOST_PERIODS: f64 = 1_000.0;

/// Columns of the relation beside the keys, of which only the first has to be there.
const COLUMNS: [&str; 7] =
    ["on_hand", "on_order", "lead_time", "pack_size", "minimum_order", "underage_cost", "overage_cost"];

/// What is asked. Time is in periods of the model.
pub struct Question<'a> {
    pub model: &'a str,
    pub stock: &'a Relation,
    /// From an order to its delivery, where the relation doesn't say; none if it has to.
    pub lead_time: Option<f64>,
    /// From one look at the stock to the next.
    pub review_period: f64,
    /// The probability with which stock is to last, where there are no costs.
    pub service_level: f64,
    /// Of a unit too few and one too many, where the relation doesn't say.
    pub costs: Option<(f64, f64)>,
}

/// What to order of a key.
pub struct PlannedOrder {
    pub keys: Value,
    pub quantity: Option<f64>,
    pub reorder_point: Option<f64>,
    pub stockout_risk: Option<f64>,
    pub expected_cost: Option<f64>,
    pub why: String,
}

/// A row of the relation.
struct Stock {
    keys: Vec<Option<String>>,
    /// As [`COLUMNS`].
    numbers: Vec<Option<f64>>,
}

/// What can be said of a row before demand is known.
struct Wish {
    keys: Vec<String>,
    periods: f64,
    position: f64,
    terms: Terms,
}

/// What to order, by keys.
///
/// # Errors
/// [`Error::UnknownColumn`] for a relation without a key of the model or without `on_hand`, [`Error::ColumnType`], those of [`tables`], and
/// the engine's.
pub fn plan(question: &Question<'_>) -> Result<Vec<PlannedOrder>, Error> {
    let model = model_of(Some(question.model))?;
    let fields = fields(&model);
    let series = all_keys(&model, &fields)?;
    let stock = read(question.stock, &fields)?;
    let mut counts: BTreeMap<&[Option<String>], usize> = BTreeMap::new();
    stock.iter().for_each(|row| *counts.entry(&row.keys).or_default() += 1);
    let mut planned: Vec<(Vec<Option<String>>, PlannedOrder)> = Vec::new();
    let mut wishes = Vec::new();
    for row in &stock {
        match wish(question, row, counts.get(row.keys.as_slice()).copied().unwrap_or_default()) {
            Ok(wish) => wishes.push(wish),
            Err(why) => planned.push((row.keys.clone(), unplanned(&fields, &row.keys, why))),
        }
    }
    for some in wishes.chunks(SERIES_AT_ONCE) {
        pgrx::check_for_interrupts!();
        let answers = tables(&model, Table::TotalDemand, arguments(&fields, some))?;
        for (wish, answer) in some.iter().zip(&answers) {
            let keys: Vec<Option<String>> = wish.keys.iter().cloned().map(Some).collect();
            let order = order(&fields, &keys, wish, answer);
            planned.push((keys, order));
        }
    }
    let known: BTreeSet<&[Option<String>]> = counts.into_keys().collect();
    let series = series.into_iter().map(|keys| keys.into_iter().map(Some).collect::<Vec<_>>());
    for keys in series.filter(|keys| !known.contains(keys.as_slice())) {
        let why = "the stock relation has no row of this key".to_owned();
        let order = unplanned(&fields, &keys, why);
        planned.push((keys, order));
    }
    planned.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(planned.into_iter().map(|(_, order)| order).collect())
}

/// The rows of the relation, as the calling role may see them.
fn read(relation: &Relation, fields: &[Field]) -> Result<Vec<Stock>, Error> {
    let keys = fields.iter().map(|field| relation.column_named(&field.name).map(|column| column.as_key()));
    let keys: Vec<String> = keys.collect::<Result<_, _>>()?;
    let there = relation.columns()?;
    let number = |name: &str| match there.iter().find(|column| column.name() == name) {
        Some(column) => column.as_number(),
        None if name == COLUMNS[0] => relation.column_named(name)?.as_number(),
        None => Ok("NULL".to_owned()),
    };
    let numbers: Vec<String> = COLUMNS.iter().map(|name| number(name)).collect::<Result<_, _>>()?;
    let query = format!(
        "SELECT ARRAY[{}]::pg_catalog.text[], ARRAY[{}]::pg_catalog.float8[] FROM {} AS t",
        keys.join(", "),
        numbers.join(", "),
        relation.from()
    );
    let mut found = Vec::new();
    rows::for_each(&query, &[], read_row, |row| {
        found.push(row);
        Ok(())
    })?;
    Ok(found)
}

fn read_row(row: &SpiHeapTupleData<'_>) -> spi::Result<Stock> {
    Ok(Stock { keys: row.get(1)?.unwrap_or_default(), numbers: row.get(2)?.unwrap_or_default() })
}

/// What a row asks for; if that can't be, why.
fn wish(question: &Question<'_>, row: &Stock, rows_of_key: usize) -> Result<Wish, String> {
    let column = |place: usize| row.numbers.get(place).copied().flatten();
    let Some(keys) = row.keys.iter().cloned().collect::<Option<Vec<String>>>() else {
        return Err("a key is NULL".to_owned());
    };
    if rows_of_key > 1 {
        return Err(format!("the stock relation has {rows_of_key} rows of this key"));
    }
    let on_hand = column(0).ok_or("on_hand is NULL")?;
    let lead_time = column(2).or(question.lead_time).ok_or("there is no lead time")?;
    let time = lead_time + question.review_period;
    let periods = time.ceil();
    if !(lead_time >= 0.0 && (1.0..=MOST_PERIODS).contains(&periods)) {
        return Err(format!(
            "lead time and review period must be 1 to {MOST_PERIODS} periods, not {}",
            short(time)
        ));
    }
    let given = (
        column(5).or(question.costs.map(|costs| costs.0)),
        column(6).or(question.costs.map(|costs| costs.1)),
    );
    let costs = match given {
        (None, None) => None,
        (Some(underage), Some(overage)) => Some(Costs { underage, overage }),
        _ => return Err("one of underage_cost and overage_cost is missing".to_owned()),
    };
    let terms = Terms {
        service_level: question.service_level,
        costs,
        pack_size: column(3).unwrap_or(1.0),
        minimum: column(4).unwrap_or(0.0),
    };
    Ok(Wish { keys, periods, position: on_hand + column(1).unwrap_or(0.0), terms })
}

fn arguments(fields: &[Field], wishes: &[Wish]) -> Rows {
    let key = |place: usize, field: &Field| {
        let dictionary =
            wishes.iter().map(|wish| wish.keys.get(place).cloned().unwrap_or_default()).collect();
        let codes = (0..wishes.len()).map(|code| u32::try_from(code).ok()).collect();
        Column { name: field.name.clone(), values: Values::Text { dictionary, codes } }
    };
    let mut columns = vec![number("horizon", wishes.iter().map(|wish| Some(wish.periods)).collect())];
    columns.extend(fields.iter().enumerate().map(|(place, field)| key(place, field)));
    Rows { count: u32::try_from(wishes.len()).unwrap_or(u32::MAX), columns }
}

fn number(name: &str, values: Vec<Option<f64>>) -> Column {
    Column { name: name.to_owned(), values: Values::Number(values) }
}

/// The order for a demand, as the engine tells it.
fn order(fields: &[Field], keys: &[Option<String>], wish: &Wish, answer: &Rows) -> PlannedOrder {
    if answer.count == 0 {
        return unplanned(fields, keys, "the model has no series of this key".to_owned());
    }
    let row = |row: TableRow<'_>| row.number("level").zip(row.number("quantity"));
    let (levels, quantities): (Vec<f64>, Vec<f64>) = TableRow::all(answer).filter_map(row).unzip();
    let found = Demand::new(&levels, &quantities).and_then(|demand| demand.order(wish.position, &wish.terms));
    match found {
        Ok(order) => PlannedOrder {
            keys: json(fields, keys),
            quantity: Some(order.quantity),
            reorder_point: Some(order.reorder_point),
            stockout_risk: Some(order.stockout_risk),
            expected_cost: order.expected_cost,
            why: reason(wish, &order),
        },
        Err(Invalid::Argument { name, expected }) => {
            unplanned(fields, keys, format!("{name} must be {expected}"))
        }
        Err(_) => unplanned(fields, keys, "demand is larger than any number".to_owned()),
    }
}

/// Why so much, in words.
fn reason(wish: &Wish, order: &Order) -> String {
    let periods =
        if wish.periods > 1.0 { format!("{} periods", short(wish.periods)) } else { "a period".to_owned() };
    let (position, point) = (short(wish.position), short(order.reorder_point));
    let lasts = format!("{point} last {periods} with probability {}", short(order.level));
    if wish.position >= order.reorder_point {
        return format!("{position} on hand and on order are enough: {lasts}");
    }
    if order.quantity <= 0.0 {
        return format!(
            "{position} on hand and on order are too few, as {lasts}, but the least that can be ordered would cost more than it saves"
        );
    }
    format!("{position} on hand and on order are too few: {lasts}")
}

fn unplanned(fields: &[Field], keys: &[Option<String>], why: String) -> PlannedOrder {
    let keys = json(fields, keys);
    PlannedOrder { keys, quantity: None, reorder_point: None, stockout_risk: None, expected_cost: None, why }
}

fn json(fields: &[Field], keys: &[Option<String>]) -> Value {
    let key = |(field, key): (&Field, &Option<String>)| {
        let value = key.as_ref().map_or(Value::Null, |key| key_value(key, field.value_type));
        (field.name.clone(), value)
    };
    Value::Object(fields.iter().zip(keys).map(key).collect::<Map<_, _>>())
}

/// A number as people write it.
fn short(number: f64) -> String {
    let rounded = (number * 1000.0).round() / 1000.0;
    if rounded.is_finite() { rounded.to_string() } else { number.to_string() }
}
