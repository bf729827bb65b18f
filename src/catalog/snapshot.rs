//! What a statement sees of our tables, and which of two statements sees more.
//!
//! A session's snapshots lie in one order: a later one sees every transaction that an earlier one sees. Invariant: a
//! [`SnapshotNumbers`] is no more than numbers, and keeps no snapshot alive.

use pgrx::pg_sys;

/// Which changes of our tables a query is to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Those that the running statement sees.
    Statement,
    /// Those, and what this transaction has changed meanwhile.
    Own,
    /// Those that are committed now, and this transaction's own.
    Latest,
}

/// A snapshot by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotNumbers {
    /// First transaction that had not ended, nor any after it.
    end: u32,
    /// Transactions before `end` that were running.
    running: u32,
    /// Commands of the own transaction that are seen.
    command: u32,
    /// The own transaction.
    transaction: u32,
}

impl SnapshotNumbers {
    /// What the running statement sees.
    pub fn of_statement() -> Self {
        // SAFETY: within a transaction; a snapshot that is active stays so while its numbers are read.
        unsafe { Self::of(statement_snapshot()) }
    }

    /// What a query with [`Visibility::Latest`] would see.
    pub fn latest(table: pg_sys::Oid) -> Self {
        // SAFETY: as above; the server keeps this snapshot until it is asked for the next.
        unsafe { Self::of(pg_sys::GetCatalogSnapshot(table)) }
    }

    unsafe fn of(snapshot: pg_sys::Snapshot) -> Self {
        // SAFETY: as the caller promises. On a standby all that run are in the second list.
        unsafe {
            let snapshot = &*snapshot;
            let running = match snapshot.takenDuringRecovery {
                true => u32::try_from(snapshot.subxcnt).unwrap_or(0),
                false => snapshot.xcnt,
            };
            let (end, command) = (snapshot.xmax.into_inner(), snapshot.curcid);
            Self { end, running, command, transaction: own_transaction() }
        }
    }

    /// Whether all that `other` sees is seen here too. While `end` stays, transactions only cease to run.
    pub fn sees_all_of(self, other: Self) -> bool {
        let later = self.end.wrapping_sub(other.end).cast_signed();
        let others = later > 0 || (later == 0 && self.running <= other.running);
        others && (self.transaction != other.transaction || self.command >= other.command)
    }

    /// Whether this transaction has changed something that isn't seen here and that a query could see.
    pub fn misses_own(self) -> bool {
        // SAFETY: within a transaction.
        unsafe { !pg_sys::IsInParallelMode() && pg_sys::GetCurrentCommandId(false) != self.command }
    }
}

/// Makes what `visibility` names the active snapshot, for [`pg_sys::PopActiveSnapshot`] to end. In a parallel operation nothing
/// is changed, and the snapshot that all processes share must not be.
///
/// # Safety
/// Within a transaction; `table` is one of ours.
pub unsafe fn push(visibility: Visibility, table: pg_sys::Oid) {
    // SAFETY: as the caller promises.
    unsafe {
        match visibility {
            Visibility::Latest => pg_sys::PushActiveSnapshot(pg_sys::GetCatalogSnapshot(table)),
            Visibility::Statement | Visibility::Own => pg_sys::PushCopiedSnapshot(statement_snapshot()),
        }
        if visibility == Visibility::Own && !pg_sys::IsInParallelMode() {
            pg_sys::UpdateActiveSnapshotCommandId();
        }
    }
}

/// Background workers may run without an active snapshot.
unsafe fn statement_snapshot() -> pg_sys::Snapshot {
    // SAFETY: as the caller promises.
    unsafe {
        match pg_sys::ActiveSnapshotSet() {
            true => pg_sys::GetActiveSnapshot(),
            false => pg_sys::GetTransactionSnapshot(),
        }
    }
}

/// A number that no other transaction of this session has.
fn own_transaction() -> u32 {
    // SAFETY: a process that runs a transaction has an entry in the server's list of processes.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
        return (*pg_sys::MyProc).lxid;
        #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
        return (*pg_sys::MyProc).vxid.lxid;
    }
}
