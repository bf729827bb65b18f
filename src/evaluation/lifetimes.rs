//! What customers were expected to do beside what they did since.
//!
//! It must not know how that is expected. Invariant: only purchases count that came after the last one that the model knows, and past rates
//! are measured on the same customers.

use std::collections::HashMap;
use std::rc::Rc;

use ecommerce_ml_metrics::foretold::Foretold;
use ecommerce_ml_metrics::report::{self, Lifetimes, Metric};
use pgrx::spi::{self, SpiHeapTupleData};

use super::columns::NamedColumns;
use crate::catalog::resolve::Resolved;
use crate::catalog::versions;
use crate::error::Error;
use crate::planning::history::{fields, in_utc};
use crate::planning::lifetimes::{Lifetime, of_model};
use crate::relation::Relation;
use crate::rows;

/// Purchases since, and what they were worth.
#[derive(Clone, Copy, Default)]
struct Bought {
    purchases: f64,
    value: f64,
}

/// A customer, what that bought, and the moment of the last purchase.
type Row = (String, Bought, i64);

/// What a model's expectations and past rates are worth on the purchases since its training.
///
/// # Errors
/// [`Error::TextNotTaken`], [`Error::KeyCount`], [`Error::ArgumentMissing`] where nothing is known of the training, [`Error::NothingAfterTraining`], those of [`Relation`],
/// and the engine's.
pub fn measure(
    model: &Rc<Resolved>,
    relation: &Relation,
    named: &NamedColumns,
) -> Result<Vec<Metric>, Error> {
    let end = model.info["end"].as_i64().ok_or(Error::Unexpected("lifetimes without an end"))?;
    let mut bought: HashMap<String, Bought> = HashMap::new();
    let mut latest = end;
    rows::for_each(&query(model, relation, named, end)?, &[], read, |(customer, own, last)| {
        latest = latest.max(last);
        bought.insert(customer, own);
        Ok(())
    })?;
    if latest == end {
        return Err(Error::NothingAfterTraining {
            model: model.name.clone(),
            relation: relation.name().to_owned(),
        });
    }
    #[allow(clippy::cast_precision_loss)]
    let seconds = (latest - end) as f64 / 1e6;
    let mut measured = Lifetimes::default();
    for one in of_model(model, seconds)? {
        let actual = bought.remove(&one.customer).unwrap_or_default();
        add(&mut measured, &one, actual);
    }
    measured.skipped = bought.len() as u64;
    Ok(report::of_lifetimes(&measured))
}

fn add(measured: &mut Lifetimes, one: &Lifetime, actual: Bought) {
    let foretold =
        |expected: Option<f64>, actual: f64| Foretold { expected: expected.unwrap_or_default(), actual };
    measured.purchases.push(foretold(one.purchases, actual.purchases));
    measured.past_purchases.push(foretold(Some(one.past_purchases), actual.purchases));
    if let Some(value) = one.past_value {
        measured.values.push(foretold(one.value, actual.value));
        measured.past_values.push(foretold(Some(value), actual.value));
    }
    let came = if one.past_value.is_some() { actual.value } else { actual.purchases };
    measured.within += u64::from((one.lower..=one.upper).contains(&came));
}

/// Purchases after a moment, those of a customer and a moment as one, as training counts them.
fn query(model: &Resolved, relation: &Relation, named: &NamedColumns, end: i64) -> Result<String, Error> {
    let task = model.signature.task().as_str();
    if named.text.is_some() || named.features.as_ref().is_some_and(|features| !features.is_empty()) {
        return Err(Error::TextNotTaken(task));
    }
    let own = fields(model).into_iter().map(|field| field.name).collect();
    let keys = named.keys.clone().unwrap_or(own);
    let [key] = &keys[..] else {
        return Err(Error::KeyCount { task, expected: "the customer", given: keys.len() });
    };
    let key = relation.column_named(key)?.as_key();
    let of_training = |argument| versions::argument(&model.name, model.version, argument);
    let time = named.time.clone().map_or_else(|| of_training("time_column"), |time| Ok(Some(time)))?;
    let missing = Error::ArgumentMissing { argument: "time_column", task };
    let time = relation.column_named(&time.ok_or(missing)?)?;
    time.require_time()?;
    let amount = named.label.clone().map_or_else(|| of_training("label_column"), |label| Ok(Some(label)))?;
    let amount = match amount {
        None => "1::pg_catalog.float8".to_owned(),
        Some(amount) => relation.column_named(&amount)?.as_number()?,
    };
    let moment = format!(
        "(pg_catalog.date_part('epoch', {}) OPERATOR(pg_catalog.*) 1000000::pg_catalog.float8)::pg_catalog.int8",
        in_utc(&time)
    );
    let is_finite = format!("pg_catalog.isfinite({})", time.as_it_is());
    Ok(format!(
        "SELECT q.customer, pg_catalog.count(DISTINCT q.moment), pg_catalog.sum(q.amount), pg_catalog.max(q.moment)
         FROM (SELECT {key} AS customer, CASE WHEN {is_finite} THEN {moment} END AS moment, {amount} AS amount FROM {} AS t) AS q
         WHERE q.customer IS NOT NULL AND q.amount OPERATOR(pg_catalog.>=) 0::pg_catalog.float8
           AND q.moment OPERATOR(pg_catalog.>) {end}::pg_catalog.int8
           AND q.moment OPERATOR(pg_catalog.<=) (pg_catalog.date_part('epoch', pg_catalog.now()) OPERATOR(pg_catalog.*) 1000000::pg_catalog.float8)::pg_catalog.int8
         GROUP BY q.customer",
        relation.from()
    ))
}

fn read(row: &SpiHeapTupleData<'_>) -> spi::Result<Row> {
    #[allow(clippy::cast_precision_loss)]
    let purchases = row.get::<i64>(2)?.unwrap_or_default() as f64;
    let value = row.get::<f64>(3)?.unwrap_or_default();
    Ok((row.get(1)?.unwrap_or_default(), Bought { purchases, value }, row.get(4)?.unwrap_or_default()))
}
