//! Kept columns: columns of tables that hold what an expression over models says of each row.
//!
//! # Layout
//! - [`define`]: what `keep_column` was asked for, and `forget_column`; [`expression`]: what its expression reads and asks.
//! - [`definition`]: the trigger that is all there is of a kept column, and the tables that it is on.
//! - [`stale`]: what that trigger does to a row; [`immediate`]: answers while a row is written.
//! - [`batch`]: some stale rows of a table scored at once; [`pass`]: all of them, one batch after another.
//! - [`worker`]: the background worker of a database that does so; [`pace`]: how much of its time; [`launch`]: starting it when there is something to do.
//! - [`watch`]: rows that are watched; [`suspects`]: those that become alerts; [`watch_statistics`]: rows of their view.
//! - [`status`]: what it tells other sessions; [`statistics`]: rows of the view.
//! - [`refresh`]: sessions that wait until nothing is stale.
//! - [`statement`]: statements against tables of users.
//!
//! It must not know what a model computes. A row is stale if its column of versions is NULL or names others than those that are
//! live. Invariant: a value and the versions beside it are written together, by a statement that finds the row as it was when
//! those versions answered; whoever else writes either makes the row stale.

mod batch;
mod define;
mod definition;
mod expression;
mod immediate;
pub mod launch;
mod pace;
mod pass;
mod refresh;
mod stale;
mod statement;
mod statistics;
mod status;
mod suspects;
mod watch;
mod watch_statistics;
mod worker;

pub use define::{KeepRequest, forget, keep};
pub use definition::{Definition, definitions_on, parse_mode};
pub use refresh::refresh;
pub use stale::{watch_row, write_row};
pub use statistics::{ColumnStatistics, all as statistics};
pub use watch::{WatchRequest, unwatch, watch};
pub use watch_statistics::{WatchStatistics, all as watch_statistics};
