//! The machine: its limits and its clock.

use bh_base::Millis;
use bh_pipeline::clock;

use super::Finding;
use crate::evidence::time;
use crate::serve::{Descriptors, descriptors as limits};

/// Fewer file descriptors than this are not enough for a gateway.
const DESCRIPTORS_MIN: u64 = 1024;
/// Each client and each call to a provider takes one; fewer than this are a bound on traffic.
const DESCRIPTORS_GOOD: u64 = 16_384;
/// The start of 2026, before which this program was not built.
const BUILT_AFTER: Millis = Millis(1_767_225_600_000);
/// The year 2100: a clock beyond it was never set.
const NEVER: Millis = Millis(4_102_444_800_000);
/// How far a record may be ahead of the clock.
const SKEW_MAX: Millis = Millis(60_000);

pub(super) fn descriptors(found: &mut (dyn FnMut(Finding) + Send)) {
    found(judge_descriptors(limits()));
}

pub(super) fn clock(newest: Option<Millis>, found: &mut (dyn FnMut(Finding) + Send)) {
    found(judge_clock(clock::now(), newest));
}

fn judge_descriptors(limits: Descriptors) -> Finding {
    const CHECK: &str = "descriptors";
    // `serve` raises the soft limit by itself.
    let Some(hard) = limits.hard else { return Finding::ok(CHECK, "no limit on open files and sockets") };
    let found = format!("at most {hard} open files and sockets");
    let next = format!("raise LimitNOFILE= of the service or `ulimit -Hn` to {DESCRIPTORS_GOOD} or more");
    if hard < DESCRIPTORS_MIN {
        return Finding::fail(CHECK, found, next);
    }
    if hard < DESCRIPTORS_GOOD {
        return Finding::warn(CHECK, format!("{found}; each client and each call takes one"), next);
    }
    Finding::ok(CHECK, found)
}

fn judge_clock(now: Millis, newest: Option<Millis>) -> Finding {
    const CHECK: &str = "clock";
    let next = "set the clock (chrony, systemd-timesyncd): tokens, budgets and records depend on it";
    let found = time(now.0);
    if now < BUILT_AFTER || NEVER < now {
        return Finding::fail(CHECK, format!("{found} cannot be the time"), next);
    }
    match newest {
        Some(newest) if now.plus(SKEW_MAX) < newest => {
            Finding::fail(CHECK, format!("{found} is before the newest audit record, {}", time(newest.0)), next)
        }
        Some(_) | None => Finding::ok(CHECK, format!("{found} is plausible")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn few_descriptors_are_named() {
        let check = |hard, level| {
            let finding = judge_descriptors(Descriptors { soft: Some(256), hard });
            assert_eq!(finding.level, level, "{finding:?}");
        };
        check(Some(256), Level::Fail);
        check(Some(1024), Level::Warn);
        check(Some(16_384), Level::Ok);
        check(None, Level::Ok);
    }

    #[test]
    fn a_clock_that_was_never_set_or_went_back_is_named() {
        let check = |now, newest: Option<u64>, level| {
            let finding = judge_clock(Millis(now), newest.map(Millis));
            assert_eq!(finding.level, level, "{finding:?}");
        };
        let now = BUILT_AFTER.0 + 1;
        check(0, None, Level::Fail);
        check(NEVER.0 + 1, None, Level::Fail);
        check(now, None, Level::Ok);
        check(now, Some(now + 60_000), Level::Ok);
        check(now, Some(now + 60_001), Level::Fail);
    }
}
