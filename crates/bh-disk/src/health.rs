//! How the disk does, readable without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::spool::SpoolFault;

/// A write and sync that takes longer makes the disk count as slow.
pub const SLOW_AFTER: Duration = Duration::from_millis(250);
/// How long a disk counts as slow after a slow write ended; then strict calls try it again.
const SLOW_FOR: Duration = Duration::from_secs(1);

/// How the disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HealthReport {
    /// Nothing can be written now, and why: strict Admits are refused, other records wait while there is room.
    pub failing: Option<SpoolFault>,
    /// The disk is slow: strict Admits are refused.
    pub slow: bool,
    /// Records on disk since the spool was opened.
    pub records: u64,
    /// Records lost to Gaps since then.
    pub lost: u64,
    /// Bytes of all segments.
    pub spool_bytes: u64,
    /// How long the last write and sync took, in microseconds.
    pub last_write_us: u64,
    /// Writes or syncs that failed since the spool was opened.
    pub failures: u64,
}

#[derive(Debug)]
pub(crate) struct Health {
    epoch: Instant,
    /// Microseconds after `epoch` at which a write began; 0 while none is under way.
    writing_since: AtomicU64,
    slow_until: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) spool_bytes: AtomicU64,
    last_write_us: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Health {
            epoch: Instant::now(),
            writing_since: AtomicU64::default(),
            slow_until: AtomicU64::default(),
            records: AtomicU64::default(),
            lost: AtomicU64::default(),
            spool_bytes: AtomicU64::default(),
            last_write_us: AtomicU64::default(),
            failures: AtomicU64::default(),
        }
    }
}

impl Health {
    pub(crate) fn write_begins(&self) {
        self.writing_since.store(self.micros().max(1), Ordering::Relaxed);
    }

    pub(crate) fn write_ends(&self) {
        let began = self.writing_since.swap(0, Ordering::Relaxed);
        let now = self.micros();
        let took = now.saturating_sub(began);
        self.last_write_us.store(took, Ordering::Relaxed);
        if micros_of(SLOW_AFTER) < took {
            self.slow_until.store(now + micros_of(SLOW_FOR), Ordering::Relaxed);
        }
    }

    /// Whether a write takes too long now, or one did a moment ago.
    pub(crate) fn is_slow(&self) -> bool {
        let (began, until) = (self.writing_since.load(Ordering::Relaxed), self.slow_until.load(Ordering::Relaxed));
        // Most calls end here, without a look at the clock.
        (began != 0 || until != 0) && is_slow_at(self.micros(), began, until)
    }

    pub(crate) fn report(&self, failing: Option<SpoolFault>) -> HealthReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HealthReport {
            failing,
            slow: self.is_slow(),
            records: read(&self.records),
            lost: read(&self.lost),
            spool_bytes: read(&self.spool_bytes),
            last_write_us: read(&self.last_write_us),
            failures: read(&self.failures),
        }
    }

    fn micros(&self) -> u64 {
        micros_of(self.epoch.elapsed())
    }
}

/// Whether a write that began at `began` (0: none) takes too long at `now`, or the last slow one is not yet forgiven.
fn is_slow_at(now: u64, began: u64, until: u64) -> bool {
    now < until || (began != 0 && micros_of(SLOW_AFTER) < now.saturating_sub(began))
}

fn micros_of(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_slow_while_a_write_takes_too_long_and_for_a_while_after() {
        assert!(!is_slow_at(1_000_000, 0, 0), "idle");
        assert!(!is_slow_at(250_001, 1, 0), "a quarter of a second is allowed");
        assert!(is_slow_at(250_002, 1, 0), "more is not");
        assert!(is_slow_at(999_999, 0, 1_000_000), "not yet forgiven");
        assert!(!is_slow_at(1_000_000, 0, 1_000_000), "forgiven");
    }
}
