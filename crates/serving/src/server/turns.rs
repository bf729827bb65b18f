//! Which requests are worked on at a time: any number, or one alone.
//!
//! An engine that dies takes down whatever it worked on, so a client that wants to know what it died of asks alone. It must
//! not know what requests mean. Invariant: nobody waits for its turn longer than [`PATIENCE`]: a request may be in the
//! hands of a client that is silent, and then all go on at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(5);

/// Hands out turns in the order in which they were asked for.
#[derive(Default)]
pub(super) struct Turns(Arc<RwLock<()>>);

impl Turns {
    /// A turn beside others, for as long as it is held; `None` for a request that didn't get it in time and goes on without.
    pub(super) async fn shared(&self) -> Option<OwnedRwLockReadGuard<()>> {
        timeout(PATIENCE, Arc::clone(&self.0).read_owned()).await.ok()
    }

    /// A turn alone, for as long as it is held; `None` for a request that didn't get it in time and goes on without.
    pub(super) async fn alone(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        timeout(PATIENCE, Arc::clone(&self.0).write_owned()).await.ok()
    }
}
