//! What background workers have in common.
//!
//! # Layout
//! - [`process`]: signals and settings of a worker.
//! - [`transaction`](mod@transaction): its transactions, whatever goes wrong in them.
//! - [`locks`]: which worker is there, and whose turn it is.
//! - [`processors`]: what the processors of this machine have been doing.
//!
//! It must not know what a worker does. Invariant: whichever process ends, its locks are free.

pub mod locks;
mod process;
pub mod processors;
mod transaction;

pub use process::{install_signal_handlers, reload_configuration, set_own_defaults};
pub use transaction::{guarded, transaction};
