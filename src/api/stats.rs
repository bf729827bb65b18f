//! The engine's state as rows, for the views `stat_engine` and `stat_models`.
//!
//! Looking must not change what is looked at: an engine that isn't running isn't started. Nor must it wait for one that doesn't
//! answer: then all is NULL that only the engine knows.

use ecommerce_ml_protocol::{EngineStats, ModelSource, ModelStats};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{name, pg_extern, warning};

use crate::client::{self, EngineState};
use crate::{runtime, supervisor};

/// One row, or none if no engine runs.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn engine_stats() -> Result<
    TableIterator<
        'static,
        (
            name!(pid, Option<i32>),
            name!(supervisor_pid, Option<i32>),
            name!(build, Option<String>),
            name!(device, Option<String>),
            name!(device_memory_used, Option<i64>),
            name!(device_memory_total, Option<i64>),
            name!(utilisation, Option<f32>),
            name!(kernels, Option<String>),
            name!(threads, Option<i32>),
            name!(started, Option<TimestampWithTimeZone>),
            name!(restarts, Option<i32>),
            name!(connections, Option<i32>),
            name!(queued_requests, Option<i64>),
            name!(queued_texts, Option<i64>),
        ),
    >,
    ErrorReport,
> {
    let row_of = |stats: EngineStats| {
        (
            Some(int4(stats.pid)),
            supervisor::pid(),
            Some(stats.build),
            Some(stats.device),
            stats.device_memory.map(|memory| int8(memory.used)),
            stats.device_memory.map(|memory| int8(memory.total)),
            Some(stats.utilisation),
            non_empty(stats.kernels),
            Some(int4(stats.threads)),
            timestamp(stats.started),
            Some(int4(stats.restarts)),
            Some(int4(stats.connections)),
            Some(int8(stats.queued_requests)),
            Some(int8(stats.queued_texts)),
        )
    };
    let row = match client::engine_state()? {
        EngineState::Stopped => None,
        EngineState::Running(stats) => Some(row_of(*stats)),
        EngineState::Silent => {
            let (pid, supervisor) = (runtime::noted_engine(), supervisor::pid());
            Some((pid, supervisor, None, None, None, None, None, None, None, None, None, None, None, None))
        }
    };
    Ok(TableIterator::new(row))
}

/// A row for each model in the engine's memory; none, and a warning, if it doesn't say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn model_stats() -> Result<
    TableIterator<
        'static,
        (
            name!(builtin, Option<String>),
            name!(content, Option<Vec<u8>>),
            name!(bytes, i64),
            name!(precision, String),
            name!(precision_note, Option<String>),
            name!(pinned, bool),
            name!(requests, i64),
            name!(texts, i64),
            name!(tokens, i64),
            name!(cache_hits, i64),
            name!(last_used, Option<TimestampWithTimeZone>),
        ),
    >,
    ErrorReport,
> {
    let row = |stats: ModelStats| {
        let (builtin, content) = match stats.source {
            ModelSource::Builtin(name) => (Some(name), None),
            ModelSource::Content(sha256) => (None, Some(sha256.0.to_vec())),
        };
        (
            builtin,
            content,
            int8(stats.bytes),
            stats.precision,
            non_empty(stats.precision_note),
            stats.pinned,
            int8(stats.requests),
            int8(stats.texts),
            int8(stats.tokens),
            int8(stats.cache_hits),
            timestamp(stats.last_used),
        )
    };
    let models = match client::engine_state()? {
        EngineState::Stopped => Vec::new(),
        EngineState::Running(stats) => stats.models,
        EngineState::Silent => {
            warning!("the engine is not responding");
            Vec::new()
        }
    };
    Ok(TableIterator::new(models.into_iter().map(row)))
}

/// The engine leaves empty what there is nothing to say of.
fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn int4(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn int8(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// From seconds since 1970.
#[allow(clippy::cast_precision_loss)]
fn timestamp(seconds: u64) -> Option<TimestampWithTimeZone> {
    Some(pgrx::datum::to_timestamp(seconds as f64))
}
