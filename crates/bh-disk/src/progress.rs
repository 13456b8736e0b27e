//! Where a snapshot of the ledger stands in the log, and from where a replay has to read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bh_audit::{Durability, LogId, RecordBody};
use bh_base::RequestId;

/// Calls in flight that are followed one by one; past that, a replay reads from the first that is not.
const FLIGHTS_MAX: usize = 1 << 20;

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The log.
    pub log_id: LogId,
    /// The epoch being written.
    pub epoch: u64,
    /// The last record that was on disk.
    pub after: u64,
    /// The first record a replay needs: the oldest Admit that had not settled, or the one behind `after`.
    pub from: u64,
    /// What the epoch promised.
    pub durability: Durability,
}

#[derive(Debug)]
pub(crate) struct Progress {
    durability: Durability,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    log_id: LogId,
    epoch: u64,
    on_disk: u64,
    flights: HashMap<RequestId, u64>,
    /// The first Admit that found no room among the flights.
    unfollowed: Option<u64>,
}

impl Progress {
    pub(crate) fn new(durability: Durability) -> Self {
        let inner = Inner { log_id: LogId([0; 16]), epoch: 0, on_disk: 0, flights: HashMap::new(), unfollowed: None };
        Progress { durability, inner: Mutex::new(inner) }
    }

    /// The epoch is open.
    pub(crate) fn opened(&self, log_id: LogId, epoch: u64) {
        let mut inner = self.lock();
        (inner.log_id, inner.epoch) = (log_id, epoch);
    }

    /// A record got its place.
    pub(crate) fn placed(&self, body: &RecordBody, seq: u64) {
        let mut inner = self.lock();
        match body {
            RecordBody::Admit(admit) => {
                if inner.flights.len() < FLIGHTS_MAX {
                    inner.flights.entry(admit.request).or_insert(seq);
                } else {
                    inner.unfollowed.get_or_insert(seq);
                }
            }
            RecordBody::Settle(settle) => {
                inner.flights.remove(&settle.request);
            }
            RecordBody::Deny(_)
            | RecordBody::ConfigSeen(_)
            | RecordBody::KeySetSeen(_)
            | RecordBody::AdminAction(_) => {}
        }
    }

    /// Everything up to this record is on disk.
    pub(crate) fn on_disk(&self, seq: u64) {
        let mut inner = self.lock();
        inner.on_disk = inner.on_disk.max(seq);
    }

    pub(crate) fn mark(&self) -> Mark {
        let inner = self.lock();
        let oldest = inner.flights.values().copied().chain(inner.unfollowed).min();
        let behind = inner.on_disk.saturating_add(1);
        let from = oldest.map_or(behind, |seq| seq.min(behind));
        let Inner { log_id, epoch, on_disk, .. } = *inner;
        Mark { log_id, epoch, after: on_disk, from, durability: self.durability }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
