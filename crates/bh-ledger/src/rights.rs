//! What a counter may spend: rights from the pool, and the ceiling on disk. Plain numbers; decisions are in `state`.

use bh_base::Millis;

use crate::Denial;

/// How long a denial is believed before the pool is asked again, or the disk tried again.
pub(crate) const RETRY_AFTER: Millis = Millis(1_000);

/// Rights this process keeps for one counter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    /// Granted and not given back.
    pub(crate) kept: u64,
    /// An ask is under way.
    pub(crate) asked: bool,
    /// Needs that could not be met since the last answer, so that one ask serves all who wait.
    pub(crate) unmet: u64,
    /// The last answer was no, and when.
    pub(crate) denied: Option<(Denial, Millis)>,
}

/// The ceiling of this process's slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnCeiling {
    /// Known to survive a crash.
    pub(crate) durable: u64,
    /// Being written.
    pub(crate) asked: Option<u64>,
    /// Needs that could not be met since the last answer.
    pub(crate) unmet: u64,
    /// The last write failed, and when.
    pub(crate) failed_at: Option<Millis>,
}

impl Rights {
    /// Notes a need that cannot be met; the amount to ask for now, if nobody asks already.
    pub(crate) fn miss(&mut self, short: u64, need: u64) -> Option<u64> {
        self.unmet = self.unmet.saturating_add(need);
        if self.asked {
            return None;
        }
        self.asked = true;
        Some(short.max(self.unmet))
    }

    /// Whether the last denial is still believed.
    pub(crate) fn denial(&self, now: Millis) -> Option<(Denial, bool)> {
        self.denied.map(|(denial, at)| (denial, at.plus(RETRY_AFTER) <= now))
    }

    pub(crate) fn answered(&mut self, denied: Option<(Denial, Millis)>) {
        self.asked = false;
        self.unmet = 0;
        self.denied = denied;
    }
}

impl OwnCeiling {
    /// Whether trying again now is pointless because writing just failed.
    pub(crate) fn is_failing(&self, now: Millis) -> bool {
        self.failed_at.is_some_and(|at| now < at.plus(RETRY_AFTER))
    }

    /// Notes that this amount is durable; older and repeated news change nothing.
    pub(crate) fn is_durable(&mut self, amount: u64) {
        self.durable = self.durable.max(amount);
        if self.asked.is_some_and(|asked| asked <= amount) {
            self.asked = None;
            self.failed_at = None;
        }
    }

    pub(crate) fn failed(&mut self, now: Millis) {
        self.asked = None;
        self.unmet = 0;
        self.failed_at = Some(now);
    }
}
