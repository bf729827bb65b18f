//! A model that answers: a table for each row of arguments.
//!
//! It must not know files. Invariant: [`Predictor::submit`] takes a fraction of a millisecond, however much is asked.

use std::collections::HashMap;
use std::sync::Arc;

use ecommerce_ml_predictor::{Answered, ModelPrecision, Pending, Predictor, guarded};
use ecommerce_ml_protocol::{
    Answers, Column, EngineError, ErrorKind, Input, ModelInfo, Output, Rows, Table, Values,
};
use rayon::prelude::*;
use tokio::sync::oneshot;

use super::{Threads, refused};
use crate::item_set::ItemSet;
use crate::model::{Query, Recommendation, Recommender};
use crate::quality::Quality;

/// Most items of an answer.
const MOST_ITEMS: f64 = 10_000.0;

/// A loaded model.
#[derive(Debug)]
pub struct RecommenderPredictor {
    info: ModelInfo,
    precision: ModelPrecision,
    model: Arc<Recommender>,
    threads: Arc<Threads>,
}

impl RecommenderPredictor {
    pub(crate) fn new(info: ModelInfo, model: Recommender, threads: Arc<Threads>) -> Self {
        let precision = ModelPrecision { name: "f32", note: String::new() };
        Self { info, precision, model: Arc::new(model), threads }
    }
}

impl Predictor for RecommenderPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let (Input::Rows(rows), Output::Table(table)) = (input, output) else {
            return Pending::ready(Err(refused("model recommends items, and answers nothing else")));
        };
        let pool = match self.threads.pool() {
            Ok(pool) => pool,
            Err(error) => return Pending::ready(Err(error)),
        };
        let (sender, receiver) = oneshot::channel();
        let model = Arc::clone(&self.model);
        pool.spawn(move || {
            if !sender.is_closed() {
                // Nobody waits any more if it can't be sent.
                let _ = sender.send(guarded(|| answer(&model, table, &rows)).map(Answered::computed));
            }
        });
        let given_up = || EngineError::new(ErrorKind::Cancelled, "request was given up");
        Pending::new(async move { receiver.await.unwrap_or_else(|_| Err(given_up())) })
    }
}

fn answer(model: &Recommender, table: Table, rows: &Rows) -> Result<Answers, EngineError> {
    let arguments = Arguments { rows, candidates: candidates(model, rows) };
    let of_row: fn(&Recommender, &Arguments<'_>, usize) -> Result<Rows, EngineError> = match table {
        Table::Recommendations => recommendations,
        Table::SimilarItems => similar_items,
        Table::RankingQuality => ranking_quality,
        Table::ItemSet => item_set,
        _ => return Err(refused(format!("model has no {}", table.as_str()))),
    };
    let tables = (0..rows.count as usize).into_par_iter().map(|row| of_row(model, &arguments, row));
    tables.collect::<Result<_, _>>().map(Answers::Tables)
}

fn recommendations(model: &Recommender, arguments: &Arguments<'_>, row: usize) -> Result<Rows, EngineError> {
    let history = arguments.names("history", row)?;
    let found = model.recommend(Query {
        customer: arguments.text("customer", row),
        history: history.as_deref(),
        count: arguments.count(row)?,
        exclude_seen: arguments.boolean("exclude_seen", row).unwrap_or(true),
        candidates: arguments.candidates(row)?,
        diversity: arguments.diversity(row)?,
    });
    let because = |one: &Recommendation<'_>| serde_json::to_string(&one.because).unwrap_or_default();
    let reasons: Vec<String> = found.iter().map(because).collect();
    let mut table = items(&found);
    table
        .columns
        .push(Column { name: "because".to_owned(), values: texts(reasons.iter().map(String::as_str)) });
    Ok(table)
}

fn similar_items(model: &Recommender, arguments: &Arguments<'_>, row: usize) -> Result<Rows, EngineError> {
    let item = arguments.text("item", row).unwrap_or_default();
    let found = model.similar(item, arguments.count(row)?);
    let unknown = || {
        refused(format!("model knows no item \"{item}\""))
            .with_hint("Items are those of the rows that the model was trained on, as text.")
    };
    found.map(|found| items(&found)).ok_or_else(unknown)
}

fn ranking_quality(model: &Recommender, arguments: &Arguments<'_>, row: usize) -> Result<Rows, EngineError> {
    let items = arguments.names("items", row)?.unwrap_or_default();
    let found = Quality::of(model, arguments.text("customer", row).unwrap_or_default(), &items);
    let number =
        |name: &str, value: f64| Column { name: name.to_owned(), values: Values::Number(vec![Some(value)]) };
    #[allow(clippy::cast_precision_loss)]
    let mut columns = [("new", found.new), ("known", found.known), ("items", model.items.len())]
        .map(|(name, count)| number(name, count as f64))
        .to_vec();
    for (prefix, list) in [("", &found.model), ("baseline_", &found.baseline)] {
        let shown: Vec<&str> = list.shown.iter().map(|&item| model.name(item)).collect();
        let shown = serde_json::to_string(&shown).unwrap_or_default();
        columns.extend(
            [("ndcg", list.worth.ndcg), ("recall", list.worth.recall), ("bits", list.bits)]
                .map(|(name, value)| number(&format!("{prefix}{name}"), value)),
        );
        columns
            .push(Column { name: format!("{prefix}shown"), values: texts(std::iter::once(shown.as_str())) });
    }
    Ok(Rows { count: 1, columns })
}

fn item_set(model: &Recommender, arguments: &Arguments<'_>, row: usize) -> Result<Rows, EngineError> {
    let set = model.item_set(&arguments.names("items", row)?.unwrap_or_default()).to_string();
    let values = texts(std::iter::once(set.as_str()));
    Ok(Rows { count: 1, columns: vec![Column { name: "item_set".to_owned(), values }] })
}

/// The columns that both tables have.
fn items(found: &[Recommendation<'_>]) -> Rows {
    let scores = found.iter().map(|one| Some(f64::from(one.score))).collect();
    Rows {
        count: u32::try_from(found.len()).unwrap_or(u32::MAX),
        columns: vec![
            Column { name: "item".to_owned(), values: texts(found.iter().map(|one| one.item)) },
            Column { name: "score".to_owned(), values: Values::Number(scores) },
        ],
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Values {
    let (mut dictionary, mut places) = (Vec::new(), HashMap::new());
    let code = |value: &'a str| {
        Some(*places.entry(value).or_insert_with(|| {
            dictionary.push(value.to_owned());
            u32::try_from(dictionary.len() - 1).unwrap_or(u32::MAX)
        }))
    };
    let codes = values.map(code).collect();
    Values::Text { dictionary, codes }
}

/// Arguments by name.
struct Arguments<'a> {
    rows: &'a Rows,
    /// Each set of candidates that a row has, by its place in the dictionary: many rows have the same one.
    candidates: Vec<Option<ItemSet>>,
}

fn candidates(model: &Recommender, rows: &Rows) -> Vec<Option<ItemSet>> {
    let Some(Values::Text { dictionary, .. }) = rows.column("candidates") else { return Vec::new() };
    dictionary.iter().map(|text| ItemSet::parse(text, model.items.len())).collect()
}

impl<'a> Arguments<'a> {
    fn text(&self, name: &str, row: usize) -> Option<&'a str> {
        let Values::Text { dictionary, codes } = self.rows.column(name)? else { return None };
        dictionary.get(codes.get(row).copied().flatten()? as usize).map(String::as_str)
    }

    /// A JSON array of names; NULLs in it are left out.
    fn names(&self, name: &str, row: usize) -> Result<Option<Vec<String>>, EngineError> {
        let Some(json) = self.text(name, row) else { return Ok(None) };
        let names = serde_json::from_str::<Vec<Option<String>>>(json)
            .map_err(|error| refused(format!("{name} is no array of items: {error}")))?;
        Ok(Some(names.into_iter().flatten().collect()))
    }

    fn candidates(&self, row: usize) -> Result<Option<&ItemSet>, EngineError> {
        let Some(Values::Text { codes, .. }) = self.rows.column("candidates") else { return Ok(None) };
        let Some(code) = codes.get(row).copied().flatten() else { return Ok(None) };
        let set = self.candidates.get(code as usize).and_then(Option::as_ref);
        set.map(Some).ok_or_else(|| refused("candidates are no set of the items of this model"))
    }

    fn boolean(&self, name: &str, row: usize) -> Option<bool> {
        let Values::Boolean(values) = self.rows.column(name)? else { return None };
        values.get(row).copied().flatten()
    }

    fn number(&self, name: &str, row: usize) -> Option<f64> {
        let Values::Number(values) = self.rows.column(name)? else { return None };
        values.get(row).copied().flatten()
    }

    fn diversity(&self, row: usize) -> Result<f32, EngineError> {
        let diversity = self.number("diversity", row).unwrap_or_default();
        if !(0.0..=1.0).contains(&diversity) {
            return Err(refused(format!("diversity must be from 0 to 1, not {diversity}")));
        }
        #[allow(clippy::cast_possible_truncation, reason = "likeness needs no more digits")]
        Ok(diversity as f32)
    }

    fn count(&self, row: usize) -> Result<usize, EngineError> {
        match self.number("count", row) {
            None => Ok(10),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(count) if (1.0..=MOST_ITEMS).contains(&count) => Ok(count as usize),
            Some(count) => Err(refused(format!("count must be from 1 to {MOST_ITEMS}, not {count}"))),
        }
    }
}
