//! The aggregates `summarize_reviews` and `rollup`: their support functions.
//!
//! `summarize_reviews` moves by `transition` or, in a window whose start moves, by `enter` and `leave`; `rollup` by
//! `rollup_enter` and `rollup_leave`. The rest they share. Invariant: a transition never returns NULL, so that
//! the server may take a row back that said nothing.

use std::rc::Rc;

use pgrx::datum::Internal;
use pgrx::heap_tuple::PgHeapTuple;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{AllocatedByRust, pg_extern, pg_sys};

use crate::aggregate::accumulator::Accumulator;
use crate::aggregate::call::{AggregateCall, state_mut, transient};
use crate::aggregate::group_state::GroupState;
use crate::aggregate::moving_state::MovingState;
use crate::aggregate::summary;
use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{model_of, require_text};

type Summary = PgHeapTuple<'static, AllocatedByRust>;

fn group(state: &mut Internal) -> Result<&GroupState, Error> {
    // SAFETY: the functions below that take such a state are only given what those that make one returned.
    unsafe { state_mut::<GroupState>(state) }.map(|group| &*group)
}

fn moving_state(state: &mut Internal) -> Result<&mut MovingState, Error> {
    // SAFETY: as above; the server calls one function at a time.
    unsafe { state_mut(state) }
}

/// A review that may have a verdict, and who gives it.
fn review_and_model(
    review: Option<&str>,
    model: impl FnOnce() -> Result<Option<Rc<Resolved>>, Error>,
) -> Result<Option<(Rc<Resolved>, &str)>, Error> {
    match review {
        Some(text) => Ok(model()?.map(|model| (model, text))),
        None => Ok(None),
    }
}

fn default_model() -> Result<Option<Rc<Resolved>>, Error> {
    text_model(None).map(Some)
}

/// NULL gives no verdict, as it gives no prediction.
fn named_model(name: Option<&str>) -> Result<Option<Rc<Resolved>>, Error> {
    name.map(|name| text_model(Some(name))).transpose()
}

fn text_model(name: Option<&str>) -> Result<Rc<Resolved>, Error> {
    let model = model_of(name)?;
    require_text(&model)?;
    Ok(model)
}

fn transition(
    state: Internal,
    review_and_model: Option<(Rc<Resolved>, &str)>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, Error> {
    let call = AggregateCall::of(fcinfo)?;
    let mut state = call.state_or(state, || GroupState::pooled(call.pool()));
    if let Some((model, text)) = review_and_model {
        group(&mut state)?.review(&model, text)?;
    }
    Ok(state)
}

fn moving_transition(
    state: Internal,
    review_and_model: Option<(Rc<Resolved>, &str)>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, Error> {
    let call = AggregateCall::of(fcinfo)?;
    let mut state = call.state_or(state, || MovingState::new(call.pool()));
    if let Some((model, text)) = review_and_model {
        moving_state(&mut state)?.enter(&model, text)?;
    }
    Ok(state)
}

/// NULL tells the server to add up the window anew.
fn inverse_transition(
    mut state: Internal,
    review_and_model: Option<(Rc<Resolved>, &str)>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, Error> {
    AggregateCall::of(fcinfo)?;
    let left = match review_and_model {
        Some((model, text)) => moving_state(&mut state)?.leave(&model, text)?,
        None => true,
    };
    Ok(if left { state } else { Internal::from(None) })
}

fn rollup_transition(
    state: Internal,
    row: Option<PgHeapTuple<'_, AllocatedByRust>>,
    times: i64,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, Error> {
    let call = AggregateCall::of(fcinfo)?;
    let mut state = call.state_or(state, GroupState::default);
    if let Some(accumulator) = row.map(|row| summary::read(&row)).transpose()?.flatten() {
        group(&mut state)?.add(&accumulator, times)?;
    }
    Ok(state)
}

/// A review joins a group.
#[pg_extern]
fn summarize_reviews_transition(
    state: Internal,
    review: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(transition(state, review_and_model(review, default_model)?, fcinfo)?)
}

/// A review joins a group, by a named model.
#[pg_extern]
fn summarize_reviews_transition_by(
    state: Internal,
    review: Option<&str>,
    model: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(transition(state, review_and_model(review, || named_model(model))?, fcinfo)?)
}

/// A review comes into a moving window.
#[pg_extern]
fn summarize_reviews_enter(
    state: Internal,
    review: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(moving_transition(state, review_and_model(review, default_model)?, fcinfo)?)
}

/// A review comes into a moving window, by a named model.
#[pg_extern]
fn summarize_reviews_enter_by(
    state: Internal,
    review: Option<&str>,
    model: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(moving_transition(state, review_and_model(review, || named_model(model))?, fcinfo)?)
}

/// A review goes out of a moving window.
#[pg_extern]
fn summarize_reviews_leave(
    state: Internal,
    review: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(inverse_transition(state, review_and_model(review, default_model)?, fcinfo)?)
}

/// A review goes out of a moving window, by a named model.
#[pg_extern]
fn summarize_reviews_leave_by(
    state: Internal,
    review: Option<&str>,
    model: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(inverse_transition(state, review_and_model(review, || named_model(model))?, fcinfo)?)
}

/// What is in a moving window.
#[pg_extern]
fn summarize_reviews_window(
    mut state: Internal,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Summary, ErrorReport> {
    AggregateCall::of(fcinfo)?;
    let accumulator =
        if state.initialized() { moving_state(&mut state)?.answered()? } else { Accumulator::default() };
    Ok(summary::row(&accumulator, fcinfo)?)
}

/// A stored summary joins.
#[pg_extern]
fn rollup_enter(
    state: Internal,
    summary: Option<PgHeapTuple<'_, AllocatedByRust>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(rollup_transition(state, summary, 1, fcinfo)?)
}

/// A stored summary goes out of a moving window.
#[pg_extern]
fn rollup_leave(
    state: Internal,
    summary: Option<PgHeapTuple<'_, AllocatedByRust>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(rollup_transition(state, summary, -1, fcinfo)?)
}

/// Parts of a group that were counted apart.
#[pg_extern]
fn review_summary_combine(
    state: Internal,
    mut other: Internal,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let call = AggregateCall::of(fcinfo)?;
    let mut state = call.state_or(state, GroupState::default);
    if other.initialized() {
        let accumulator = group(&mut other)?.answered()?;
        group(&mut state)?.add(&accumulator, 1)?;
    }
    Ok(state)
}

/// A group on its way to another process.
#[pg_extern]
fn review_summary_serialize(
    mut state: Internal,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Vec<u8>, ErrorReport> {
    AggregateCall::of(fcinfo)?;
    Ok(group(&mut state)?.answered()?.to_bytes())
}

/// A group that came from another process.
#[pg_extern]
fn review_summary_deserialize(
    bytes: &[u8],
    _unused: Internal,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    AggregateCall::of(fcinfo)?;
    Ok(transient(GroupState::counted(Accumulator::from_bytes(bytes)?)))
}

/// What a group adds up to; nothing is no review.
#[pg_extern]
fn review_summary_final(
    mut state: Internal,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Summary, ErrorReport> {
    AggregateCall::of(fcinfo)?;
    let accumulator =
        if state.initialized() { group(&mut state)?.answered()? } else { Accumulator::default() };
    Ok(summary::row(&accumulator, fcinfo)?)
}
