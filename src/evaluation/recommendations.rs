//! Rankings against what customers turned to.
//!
//! It must not know how a model ranks. Invariant: each pair of customer and item is either counted or left out, because the model knows of it.

use std::rc::Rc;

use ecommerce_ml_metrics::ranking::Rankings;
use ecommerce_ml_metrics::report::{self, Metric};
use ecommerce_ml_protocol::{Column as Values, Reads, Rows, Table, Values as Of};

use super::columns::NamedColumns;
use super::measure::require_rows;
use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{TableRow, tables};
use crate::relation::Relation;
use crate::rows;

/// Customers of one request.
const CUSTOMERS_AT_ONCE: usize = 1_000;

#[derive(Default)]
struct Measured {
    model: Rankings,
    baseline: Rankings,
    counted: u64,
    skipped: u64,
}

/// What a model's recommendations are worth, given pairs of customers and items; the baseline is that of the most popular items.
///
/// # Errors
/// Those of [`Relation`], [`Error::KeyCount`], [`Error::NothingToEvaluate`], [`Error::TextNotTaken`], and the engine's.
pub fn measure(
    model: &Rc<Resolved>,
    relation: &Relation,
    named: &NamedColumns,
) -> Result<Vec<Metric>, Error> {
    let query = query(model, relation, named)?;
    let (mut measured, mut some) = (Measured::default(), Vec::new());
    rows::for_each(&query, &[], rows::read_pair::<String, String>, |(customer, items)| {
        some.extend(customer.zip(items));
        if some.len() < CUSTOMERS_AT_ONCE {
            return Ok(());
        }
        measured.add(model, &std::mem::take(&mut some))
    })?;
    measured.add(model, &some)?;
    require_rows(measured.counted, measured.skipped)?;
    Ok(report::of_rankings(&measured.model, &measured.baseline, measured.counted, measured.skipped))
}

/// Customers with their items. Keys are those that are named, else the columns that have the names of the model's.
fn query(model: &Resolved, relation: &Relation, named: &NamedColumns) -> Result<String, Error> {
    let task = model.signature.task().as_str();
    if named.text.is_some() || named.features.is_some() {
        return Err(Error::TextNotTaken(task));
    }
    let own = match &model.signature.reads {
        Reads::Keys(keys) => keys.iter().map(|key| key.name.clone()).collect(),
        Reads::Text | Reads::Columns(_) => Vec::new(),
    };
    let keys = named.keys.clone().unwrap_or(own);
    let [customer, item] = &keys[..] else {
        return Err(Error::KeyCount { task, expected: "the customer and the item", given: keys.len() });
    };
    let key = |name: &String| Ok::<_, Error>(relation.column_named(name)?.as_key());
    let (customer, item) = (key(customer)?, key(item)?);
    named.time.as_ref().map_or(Ok(()), |time| relation.column_named(time)?.require_time())?;
    let counts = match &named.label {
        None => String::new(),
        Some(label) => format!(" AND {} > 0", relation.column_named(label)?.as_number()?),
    };
    Ok(format!(
        "SELECT {customer}, pg_catalog.json_agg({item})::pg_catalog.text FROM {} AS t
         WHERE {customer} IS NOT NULL AND {item} IS NOT NULL{counts} GROUP BY 1 ORDER BY 1",
        relation.from()
    ))
}

impl Measured {
    fn add(&mut self, model: &Rc<Resolved>, customers: &[(String, String)]) -> Result<(), Error> {
        if customers.is_empty() {
            return Ok(());
        }
        pgrx::check_for_interrupts!();
        let texts = |read: fn(&(String, String)) -> &String| Of::Text {
            dictionary: customers.iter().map(|one| read(one).clone()).collect(),
            codes: (0..customers.len()).map(|code| u32::try_from(code).ok()).collect(),
        };
        let columns = vec![
            Values { name: "customer".to_owned(), values: texts(|(customer, _)| customer) },
            Values { name: "items".to_owned(), values: texts(|(_, items)| items) },
        ];
        let count = u32::try_from(customers.len()).unwrap_or(u32::MAX);
        for answer in tables(model, Table::RankingQuality, Rows { count, columns })? {
            let row = TableRow::all(&answer).next();
            row.and_then(|row| self.add_customer(row))
                .ok_or(Error::Unexpected("a ranking without a measure"))?;
        }
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of items")]
    fn add_customer(&mut self, row: TableRow<'_>) -> Option<()> {
        let (new, items) = (row.number("new")? as u64, row.number("items")? as u64);
        self.counted += new;
        self.skipped += row.number("known")? as u64;
        if new == 0 {
            return Some(());
        }
        for (rankings, prefix) in [(&mut self.model, ""), (&mut self.baseline, "baseline_")] {
            let number = |name: &str| row.number(&format!("{prefix}{name}"));
            let shown = serde_json::from_str(row.text(&format!("{prefix}shown"))?).ok()?;
            rankings.add(number("ndcg")?, number("recall")?, (shown, number("bits")?), items);
        }
        Some(())
    }
}
