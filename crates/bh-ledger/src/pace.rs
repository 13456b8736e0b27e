//! How fast a counter is spent from lately, from which ceilings and asks are sized. Two buckets each, no history.

use bh_base::Millis;

/// Length of a spend bucket; a ceiling covers about one.
const SPEND_MS: u64 = 5_000;
/// Length of an estimate bucket.
const ESTIMATE_MS: u64 = 60_000;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    spend: Buckets,
    estimate: Buckets,
    pub(crate) last_used: Millis,
}

#[derive(Clone, Copy, Debug, Default)]
struct Buckets {
    period: u64,
    current: u64,
    previous: u64,
}

impl Pace {
    pub(crate) fn spent(&mut self, now: Millis, amount: u64) {
        self.spend.roll(now.0 / SPEND_MS);
        self.spend.current = self.spend.current.saturating_add(amount);
        self.last_used = self.last_used.max(now);
    }

    pub(crate) fn estimated(&mut self, now: Millis, amount: u64) {
        self.estimate.roll(now.0 / ESTIMATE_MS);
        self.estimate.current = self.estimate.current.max(amount);
        self.last_used = self.last_used.max(now);
    }

    /// Spend of the busier of the last two five-second buckets.
    pub(crate) fn five_seconds(&mut self, now: Millis) -> u64 {
        self.spend.roll(now.0 / SPEND_MS);
        self.spend.current.max(self.spend.previous)
    }

    /// Largest estimate of the last one to two minutes.
    pub(crate) fn largest_estimate(&mut self, now: Millis) -> u64 {
        self.estimate.roll(now.0 / ESTIMATE_MS);
        self.estimate.current.max(self.estimate.previous)
    }
}

impl Buckets {
    fn roll(&mut self, period: u64) {
        match period.saturating_sub(self.period) {
            0 => return,
            1 => self.previous = self.current,
            _ => self.previous = 0,
        }
        self.current = 0;
        self.period = period;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spend_is_remembered_for_one_to_two_buckets() {
        let mut pace = Pace::default();
        pace.spent(Millis(1_000), 10);
        pace.spent(Millis(4_999), 5);
        assert_eq!(pace.five_seconds(Millis(5_000)), 15);
        pace.spent(Millis(5_001), 20);
        assert_eq!(pace.five_seconds(Millis(9_999)), 20);
        assert_eq!(pace.five_seconds(Millis(14_999)), 20);
        assert_eq!(pace.five_seconds(Millis(15_000)), 0);
    }

    #[test]
    fn a_clock_that_falls_back_forgets_nothing() {
        let mut pace = Pace::default();
        pace.estimated(Millis(120_000), 7);
        assert_eq!(pace.largest_estimate(Millis(1)), 7);
    }
}
