//! Summaries of many reviews.
//!
//! # Layout
//! - [`accumulator`]: the plain numbers that reviews add up to.
//! - [`summary`]: those numbers as a row of the SQL type `review_summary`, and back.
//! - [`pool`]: texts that wait for their verdict, of all groups of one aggregate call.
//! - [`group_state`]: what one group has counted; [`moving_state`]: the same for a window whose start moves.
//! - [`call`]: where states and pool live in the server's memory.
//!
//! It must not know how the SQL functions are called: those are in `api::aggregate`. Invariant: a review's part in a
//! sum is a whole number that depends on its text and model alone, so every plan adds up to the same digits if the
//! engine gives the same answers.

pub mod accumulator;
pub mod call;
pub mod group_state;
pub mod moving_state;
pub mod pool;
pub mod summary;
