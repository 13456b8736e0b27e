//! What a key may still use this minute. Integers only: a level is kept in sixty-thousandths of a unit, so that a
//! refill of `per_minute` units per minute is exactly `per_minute` parts per millisecond.

use bh_base::Millis;

/// Parts of one unit; also the milliseconds of a minute.
const PARTS: i128 = 60_000;

/// A bucket that holds one minute's worth and refills evenly. Its level may fall below zero when a call used more
/// than was foreseen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    per_minute: u64,
    level: i128,
    at: Millis,
}

impl Bucket {
    pub(crate) fn full(per_minute: u64, now: Millis) -> Self {
        Bucket { per_minute, level: i128::from(per_minute) * PARTS, at: now }
    }

    /// Changes the rate; what was used stays used.
    pub(crate) fn set_rate(&mut self, per_minute: u64, now: Millis) {
        self.refill(now);
        let used = i128::from(self.per_minute) * PARTS - self.level;
        self.per_minute = per_minute;
        self.level = i128::from(per_minute) * PARTS - used;
    }

    /// How long until `amount` fits; zero when it does now. More than a minute's worth fits a full bucket, since it
    /// would otherwise never pass.
    pub(crate) fn wait_for(&self, amount: u64, now: Millis) -> Millis {
        let wanted = i128::from(amount.min(self.per_minute)) * PARTS;
        let missing = wanted - self.level_at(now);
        if missing <= 0 {
            return Millis(0);
        }
        let rate = i128::from(self.per_minute.max(1));
        Millis(u64::try_from((missing + rate - 1) / rate).unwrap_or(u64::MAX))
    }

    pub(crate) fn take(&mut self, amount: u64, now: Millis) {
        self.refill(now);
        self.level -= i128::from(amount) * PARTS;
    }

    pub(crate) fn give_back(&mut self, amount: u64) {
        self.level = (self.level + i128::from(amount) * PARTS).min(i128::from(self.per_minute) * PARTS);
    }

    fn level_at(&self, now: Millis) -> i128 {
        let gained = i128::from(now.since(self.at).0) * i128::from(self.per_minute);
        (self.level + gained).min(i128::from(self.per_minute) * PARTS)
    }

    fn refill(&mut self, now: Millis) {
        self.level = self.level_at(now);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_gives_exactly_the_rate() {
        let mut bucket = Bucket::full(3, Millis(0));
        for _ in 0..3 {
            assert_eq!(bucket.wait_for(1, Millis(0)), Millis(0));
            bucket.take(1, Millis(0));
        }
        assert_eq!(bucket.wait_for(1, Millis(0)), Millis(20_000));
        assert_eq!(bucket.wait_for(1, Millis(19_999)), Millis(1));
        assert_eq!(bucket.wait_for(1, Millis(20_000)), Millis(0));
        assert_eq!(bucket.wait_for(3, Millis(60_000)), Millis(0));
    }

    #[test]
    fn more_than_a_minutes_worth_waits_for_a_full_bucket_and_then_passes() {
        let mut bucket = Bucket::full(100, Millis(0));
        bucket.take(1, Millis(0));
        assert_eq!(bucket.wait_for(1_000, Millis(0)), Millis(600));
        assert_eq!(bucket.wait_for(1_000, Millis(600)), Millis(0));
        bucket.take(1_000, Millis(600));
        assert_eq!(bucket.wait_for(1, Millis(600)), Millis(9 * 60_000 + 600));
    }

    #[test]
    fn what_was_not_used_comes_back_but_never_above_full() {
        let mut bucket = Bucket::full(10, Millis(0));
        bucket.take(10, Millis(0));
        bucket.give_back(4);
        assert_eq!(bucket.wait_for(4, Millis(0)), Millis(0));
        bucket.give_back(100);
        bucket.take(10, Millis(0));
        assert_ne!(bucket.wait_for(1, Millis(0)), Millis(0));
    }

    #[test]
    fn an_idle_hour_saves_up_no_more_than_a_minute() {
        let mut bucket = Bucket::full(10, Millis(0));
        bucket.take(10, Millis(3_600_000));
        assert_eq!(bucket.wait_for(1, Millis(3_600_000)), Millis(6_000));
    }

    #[test]
    fn a_clock_that_steps_back_neither_gives_nor_takes() {
        let mut bucket = Bucket::full(60, Millis(10_000));
        bucket.take(60, Millis(10_000));
        assert_eq!(bucket.wait_for(1, Millis(0)), Millis(1_000));
        bucket.take(0, Millis(0));
        assert_eq!(bucket.wait_for(1, Millis(11_000)), Millis(0));
    }

    #[test]
    fn a_new_rate_keeps_what_was_used() {
        let mut bucket = Bucket::full(10, Millis(0));
        bucket.take(10, Millis(0));
        bucket.set_rate(20, Millis(0));
        assert_eq!(bucket.wait_for(10, Millis(0)), Millis(0));
        assert_ne!(bucket.wait_for(11, Millis(0)), Millis(0));
    }
}
