//! The engine's state as rows, for the views `stat_engine` and `stat_models`.
//!
//! Looking must not change what is looked at: an engine that isn't running isn't started.

use ecommerce_ml_protocol::{EngineStats, ModelSource, ModelStats};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{name, pg_extern};

use crate::client;
use crate::supervisor;

/// One row, or none if no engine runs.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn engine_stats() -> Result<
    TableIterator<
        'static,
        (
            name!(pid, i32),
            name!(supervisor_pid, Option<i32>),
            name!(build, String),
            name!(device, String),
            name!(device_memory_used, Option<i64>),
            name!(device_memory_total, Option<i64>),
            name!(utilisation, f32),
            name!(kernels, Option<String>),
            name!(threads, i32),
            name!(started, Option<TimestampWithTimeZone>),
            name!(restarts, i32),
            name!(connections, i32),
            name!(queued_requests, i64),
            name!(queued_texts, i64),
        ),
    >,
    ErrorReport,
> {
    let row = |stats: EngineStats| {
        (
            signed(stats.pid),
            supervisor::pid(),
            stats.build,
            stats.device,
            stats.device_memory.map(|memory| long(memory.used)),
            stats.device_memory.map(|memory| long(memory.total)),
            stats.utilisation,
            known(stats.kernels),
            signed(stats.threads),
            timestamp(stats.started),
            signed(stats.restarts),
            signed(stats.connections),
            long(stats.queued_requests),
            long(stats.queued_texts),
        )
    };
    Ok(TableIterator::new(client::stats()?.map(row)))
}

/// A row for each model in the engine's memory.
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
            long(stats.bytes),
            stats.precision,
            known(stats.precision_note),
            stats.pinned,
            long(stats.requests),
            long(stats.texts),
            long(stats.tokens),
            long(stats.cache_hits),
            timestamp(stats.last_used),
        )
    };
    let models = client::stats()?.map(|stats| stats.models).unwrap_or_default();
    Ok(TableIterator::new(models.into_iter().map(row)))
}

/// The engine leaves empty what there is nothing to say of.
fn known(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// From seconds since 1970.
#[allow(clippy::cast_precision_loss)]
fn timestamp(seconds: u64) -> Option<TimestampWithTimeZone> {
    Some(pgrx::datum::to_timestamp(seconds as f64))
}
