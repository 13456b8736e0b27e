//! Calendar windows in UTC, by integer arithmetic: no clock, no time zone data.

use bh_base::{Millis, Window};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The instants a window covers: `start` included, `end` not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First instant.
    pub start: Millis,
    /// First instant after it; none for [`Window::Total`].
    pub end: Option<Millis>,
}

/// The window of this kind that contains `now`.
#[must_use]
pub fn span(window: Window, now: Millis) -> Span {
    let of_length = |length: u64| {
        let start = now.0 - now.0 % length;
        Span { start: Millis(start), end: Some(Millis(start.saturating_add(length))) }
    };
    match window {
        Window::Hour => of_length(HOUR_MS),
        Window::Day => of_length(DAY_MS),
        Window::Month => month(now),
        Window::Total => Span { start: Millis(0), end: None },
    }
}

fn month(now: Millis) -> Span {
    let (year, month) = year_and_month(now.0 / DAY_MS);
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let first = |year, month| Millis(days_before(year, month).saturating_mul(DAY_MS));
    Span { start: first(year, month), end: Some(first(next_year, next_month)) }
}

// Both conversions count from 1 March of year 0, so that the leap day is the last of its year; after Hinnant,
// "chrono-compatible low-level date algorithms". All instants are after 1970, so unsigned arithmetic suffices.

/// Days from year 0, 1 March, to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
/// Days in 400 years.
const ERA_DAYS: u64 = 146_097;

fn year_and_month(days_since_epoch: u64) -> (u64, u64) {
    let days = days_since_epoch + EPOCH_DAYS;
    let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let year = era * 400 + year_of_era;
    if from_march < 10 { (year, from_march + 3) } else { (year + 1, from_march - 9) }
}

fn days_before(year: u64, month: u64) -> u64 {
    let (year, from_march) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * from_march + 2) / 5;
    era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(window: Window, now: u64, start: u64, end: u64) {
        assert_eq!(
            span(window, Millis(now)),
            Span { start: Millis(start), end: Some(Millis(end)) },
            "{window} at {now}"
        );
    }

    #[test]
    fn hours_and_days_start_at_their_zero() {
        check(Window::Hour, HOUR_MS - 1, 0, HOUR_MS);
        check(Window::Hour, HOUR_MS, HOUR_MS, 2 * HOUR_MS);
        check(Window::Day, DAY_MS - 1, 0, DAY_MS);
        check(Window::Day, DAY_MS, DAY_MS, 2 * DAY_MS);
    }

    #[test]
    fn months_start_on_the_first_leap_years_included() {
        // 2024-02-29T23:59:59.999Z and one millisecond later; 2100 is no leap year.
        check(Window::Month, 1_709_251_199_999, 1_706_745_600_000, 1_709_251_200_000);
        check(Window::Month, 1_709_251_200_000, 1_709_251_200_000, 1_711_929_600_000);
        check(Window::Month, 4_107_542_399_999, 4_105_123_200_000, 4_107_542_400_000);
        // 2026-12-31 runs into January.
        check(Window::Month, 1_798_761_599_999, 1_796_083_200_000, 1_798_761_600_000);
        check(Window::Month, 0, 0, 31 * DAY_MS);
    }

    #[test]
    fn months_follow_one_another_without_gap_for_four_centuries() {
        let mut at = Millis(0);
        for count in 0..4800_u64 {
            let month = span(Window::Month, at);
            assert_eq!(month.start, at, "month {count}");
            let end = month.end.expect("a month ends");
            let days = (end.0 - at.0) / DAY_MS;
            assert!((28..=31).contains(&days), "month {count} has {days} days");
            assert_eq!(span(Window::Month, Millis(end.0 - 1)), month);
            at = end;
        }
        assert_eq!(at.0, ERA_DAYS * DAY_MS);
    }

    #[test]
    fn a_total_never_ends() {
        assert_eq!(span(Window::Total, Millis(u64::MAX)), Span { start: Millis(0), end: None });
    }
}
