//! Rates and concurrency of one scope: GCRA in exact integers, with refund and settlement, told the time.
//!
//! GCRA keeps the instant at which everything taken so far will have been earned (TAT). Its mirror image is kept here:
//! the *level* taken and not yet earned, `(TAT − now) × rate`. Levels are in units of 1/60,000 so that a figure per
//! minute drains by whole units per millisecond: nothing is ever rounded. A full minute may be taken at once.

use std::sync::Mutex;

use bh_base::Millis;

use crate::shared::lock;
use crate::{LimitKind, Limits, Rate, Tokens};

/// Milliseconds in the minute that rates are stated for; also the units of level per request or token.
const UNITS: u64 = 60_000;
/// Figures and amounts are cut here, far above any provider's, so that no product overflows.
const AMOUNT_MAX: u64 = 1 << 40;
/// What a caller refused for concurrency is told to wait: nobody knows when a running request will end.
const CONCURRENCY_RETRY: Millis = Millis(1_000);
/// How the four rates are ordered inside.
const RATES: usize = 4;

pub(crate) struct Limiter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    at: Millis,
    level: [u64; RATES],
    running: u64,
    closed: bool,
    /// The figures last in force, by which what was taken is earned even when nobody calls any more.
    limits: Limits,
}

/// What one request took, per rate, in requests or tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken([u64; RATES]);

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The limiter was forgotten meanwhile: look it up again.
    Closed,
    /// A figure is reached.
    Limit { kind: LimitKind, limit: u64, remaining: u64, retry_after: Millis },
}

impl Limiter {
    pub(crate) fn new(now: Millis) -> Self {
        Limiter { state: Mutex::new(State { at: now, ..State::default() }) }
    }

    /// Takes one request, its tokens and a place, or nothing at all. A request that is larger than a whole figure
    /// passes when nothing else is taken, and its real size delays those after it.
    pub(crate) fn take(&self, now: Millis, limits: &Limits, tokens: Tokens) -> Result<Taken, Full> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Full::Closed);
        }
        state.drain(now, limits);
        state.forget_unlimited(limits);
        state.limits = *limits;
        if let Some(limit) = limits.concurrency
            && limit <= state.running
        {
            let kind = LimitKind::Concurrency;
            return Err(Full::Limit { kind, limit, remaining: 0, retry_after: CONCURRENCY_RETRY });
        }
        let mut taken = Taken([0; RATES]);
        for (index, (kind, figure)) in rates(limits).into_iter().enumerate() {
            let Some(limit) = figure else { continue };
            let amount = amounts(tokens)[index].min(limit);
            let level = state.level[index] + amount * UNITS;
            let most = limit * UNITS;
            if most < level {
                let remaining = most.saturating_sub(state.level[index]) / UNITS;
                let retry_after = Millis((level - most).div_ceil(limit.max(1)));
                return Err(Full::Limit { kind, limit, remaining, retry_after });
            }
            taken.0[index] = amount;
        }
        for (level, amount) in state.level.iter_mut().zip(taken.0) {
            *level += amount * UNITS;
        }
        state.running += 1;
        Ok(taken)
    }

    /// Frees the place and replaces the estimate by what was used.
    pub(crate) fn settle(&self, now: Millis, limits: &Limits, taken: &Taken, used: Tokens) {
        let mut state = lock(&self.state);
        state.drain(now, limits);
        for (index, (_, figure)) in rates(limits).into_iter().enumerate() {
            if figure.is_some() {
                let level = state.level[index].saturating_add(amounts(used)[index] * UNITS);
                state.level[index] = level.saturating_sub(taken.0[index] * UNITS);
            }
        }
        state.running = state.running.saturating_sub(1);
    }

    /// Frees the place and takes everything back.
    pub(crate) fn refund(&self, now: Millis, limits: &Limits, taken: &Taken) {
        let mut state = lock(&self.state);
        state.drain(now, limits);
        for (level, amount) in state.level.iter_mut().zip(taken.0) {
            *level = level.saturating_sub(amount * UNITS);
        }
        state.running = state.running.saturating_sub(1);
    }

    /// Frees the place only.
    pub(crate) fn leave(&self) {
        let mut state = lock(&self.state);
        state.running = state.running.saturating_sub(1);
    }

    /// How a rate stands; none when it is not limited.
    pub(crate) fn rate(&self, now: Millis, limits: &Limits, kind: LimitKind) -> Option<Rate> {
        let mut state = lock(&self.state);
        state.drain(now, limits);
        let index = rates(limits).iter().position(|(of, _)| *of == kind)?;
        let limit = rates(limits)[index].1?;
        let level = state.level[index];
        let remaining = (limit * UNITS).saturating_sub(level) / UNITS;
        Some(Rate { limit, remaining, reset: Millis(level.div_ceil(limit.max(1))) })
    }

    /// Whether nothing distinguishes it from a new one; if so it is closed.
    pub(crate) fn close_if_idle(&self, now: Millis) -> bool {
        let mut state = lock(&self.state);
        let limits = state.limits;
        state.drain(now, &limits);
        state.closed = state.running == 0 && state.level == [0; RATES];
        state.closed
    }
}

impl State {
    fn drain(&mut self, now: Millis, limits: &Limits) {
        let elapsed = now.since(self.at).0;
        self.at = self.at.max(now);
        for (level, (_, figure)) in self.level.iter_mut().zip(rates(limits)) {
            if let Some(figure) = figure {
                *level = level.saturating_sub(elapsed.saturating_mul(figure));
            }
        }
    }

    /// Without a figure there is nothing to remember. Only for the limits in force: a request that ends may still
    /// carry older ones.
    fn forget_unlimited(&mut self, limits: &Limits) {
        for (level, (_, figure)) in self.level.iter_mut().zip(rates(limits)) {
            if figure.is_none() {
                *level = 0;
            }
        }
    }
}

fn rates(limits: &Limits) -> [(LimitKind, Option<u64>); RATES] {
    let cut = |figure: Option<u64>| figure.map(|figure| figure.min(AMOUNT_MAX));
    [
        (LimitKind::Requests, cut(limits.rpm)),
        (LimitKind::Tokens, cut(limits.tpm)),
        (LimitKind::TokensInput, cut(limits.tpm_input)),
        (LimitKind::TokensOutput, cut(limits.tpm_output)),
    ]
}

fn amounts(tokens: Tokens) -> [u64; RATES] {
    let (input, output) = (tokens.input.min(AMOUNT_MAX), tokens.output.min(AMOUNT_MAX));
    [1, (input + output).min(AMOUNT_MAX), input, output]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Limits = Limits { rpm: None, tpm: None, tpm_input: None, tpm_output: None, concurrency: None };
    const fn tokens(input: u64, output: u64) -> Tokens {
        Tokens { input, output }
    }

    fn retry(result: Result<Taken, Full>) -> Option<(LimitKind, u64, u64)> {
        match result {
            Ok(_) => None,
            Err(Full::Closed) => panic!("nobody closed it"),
            Err(Full::Limit { kind, remaining, retry_after, .. }) => Some((kind, remaining, retry_after.0)),
        }
    }

    #[test]
    fn a_minute_may_be_taken_at_once_and_then_comes_back_evenly() {
        let limits = Limits { rpm: Some(3), ..NONE };
        let limiter = Limiter::new(Millis(0));
        for _ in 0..3 {
            assert_eq!(retry(limiter.take(Millis(0), &limits, tokens(0, 0))), None);
        }
        assert_eq!(retry(limiter.take(Millis(0), &limits, tokens(0, 0))), Some((LimitKind::Requests, 0, 20_000)));
        assert_eq!(retry(limiter.take(Millis(19_999), &limits, tokens(0, 0))), Some((LimitKind::Requests, 0, 1)));
        assert_eq!(retry(limiter.take(Millis(20_000), &limits, tokens(0, 0))), None);
        assert_eq!(retry(limiter.take(Millis(20_000), &limits, tokens(0, 0))), Some((LimitKind::Requests, 0, 20_000)));
    }

    #[test]
    fn waiting_as_told_is_enough_for_any_figure() {
        for rpm in [1, 7, 59, 61, 999, 60_001, 1 << 41] {
            let limits = Limits { tpm: Some(rpm), ..NONE };
            let limiter = Limiter::new(Millis(5));
            assert_eq!(retry(limiter.take(Millis(5), &limits, tokens(rpm, 0))), None);
            let (_, _, wait) = retry(limiter.take(Millis(5), &limits, tokens(1, 0))).expect("it is full");
            assert_eq!(retry(limiter.take(Millis(5 + wait), &limits, tokens(1, 0))), None, "{rpm}");
        }
    }

    #[test]
    fn what_was_not_used_comes_back_at_settlement() {
        let limits = Limits { tpm: Some(100), ..NONE };
        let limiter = Limiter::new(Millis(0));
        let taken = limiter.take(Millis(0), &limits, tokens(60, 40)).expect("it fits");
        assert!(limiter.take(Millis(0), &limits, tokens(1, 0)).is_err());
        limiter.settle(Millis(0), &limits, &taken, tokens(10, 5));
        let rate = limiter.rate(Millis(0), &limits, LimitKind::Tokens).expect("it is limited");
        assert_eq!(rate, Rate { limit: 100, remaining: 85, reset: Millis(9_000) });
    }

    #[test]
    fn what_was_used_beyond_the_estimate_delays_those_after() {
        let limits = Limits { tpm_output: Some(60), ..NONE };
        let limiter = Limiter::new(Millis(0));
        let taken = limiter.take(Millis(0), &limits, tokens(0, 10)).expect("it fits");
        limiter.settle(Millis(0), &limits, &taken, tokens(0, 120));
        assert_eq!(retry(limiter.take(Millis(0), &limits, tokens(0, 1))), Some((LimitKind::TokensOutput, 0, 61_000)));
    }

    #[test]
    fn a_request_larger_than_the_figure_passes_alone_and_pays_afterwards() {
        let limits = Limits { tpm_input: Some(100), ..NONE };
        let limiter = Limiter::new(Millis(0));
        let taken = limiter.take(Millis(0), &limits, tokens(1_000, 0)).expect("nothing else is taken");
        assert!(limiter.take(Millis(0), &limits, tokens(1_000, 0)).is_err());
        limiter.settle(Millis(0), &limits, &taken, tokens(1_000, 0));
        assert_eq!(retry(limiter.take(Millis(0), &limits, tokens(1, 0))), Some((LimitKind::TokensInput, 0, 540_600)));
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let limits = Limits { rpm: Some(10), tpm: Some(5), ..NONE };
        let limiter = Limiter::new(Millis(0));
        limiter.take(Millis(0), &limits, tokens(5, 0)).expect("it fits");
        for _ in 0..100 {
            assert!(limiter.take(Millis(0), &limits, tokens(5, 0)).is_err());
        }
        assert_eq!(limiter.rate(Millis(0), &limits, LimitKind::Requests).map(|rate| rate.remaining), Some(9));
    }

    #[test]
    fn a_place_is_free_again_once_its_request_ends() {
        let limits = Limits { concurrency: Some(1), ..NONE };
        let limiter = Limiter::new(Millis(0));
        let taken = limiter.take(Millis(0), &limits, tokens(0, 0)).expect("it is empty");
        assert_eq!(retry(limiter.take(Millis(0), &limits, tokens(0, 0))), Some((LimitKind::Concurrency, 0, 1_000)));
        limiter.refund(Millis(0), &limits, &taken);
        assert!(limiter.take(Millis(0), &limits, tokens(0, 0)).is_ok());
    }

    #[test]
    fn an_idle_limiter_closes_and_a_busy_one_does_not() {
        let limits = Limits { rpm: Some(60), ..NONE };
        let limiter = Limiter::new(Millis(0));
        let taken = limiter.take(Millis(0), &limits, tokens(0, 0)).expect("it is empty");
        assert!(!limiter.close_if_idle(Millis(10_000)), "a request is running");
        limiter.settle(Millis(10_000), &limits, &taken, tokens(0, 0));
        assert!(limiter.close_if_idle(Millis(10_000)));
        assert_eq!(limiter.take(Millis(10_000), &limits, tokens(0, 0)), Err(Full::Closed));
    }

    #[test]
    fn what_is_owed_is_not_forgotten_by_waiting_idle() {
        let limits = Limits { tpm: Some(60), ..NONE };
        let limiter = Limiter::new(Millis(0));
        let taken = limiter.take(Millis(0), &limits, tokens(60, 0)).expect("it is empty");
        limiter.settle(Millis(0), &limits, &taken, tokens(600, 0));
        assert!(!limiter.close_if_idle(Millis(9 * UNITS)), "ten minutes' worth was used");
        assert!(limiter.close_if_idle(Millis(10 * UNITS)));
    }

    #[test]
    fn a_clock_that_falls_back_neither_earns_nor_loses() {
        let limits = Limits { rpm: Some(1), ..NONE };
        let limiter = Limiter::new(Millis(100_000));
        limiter.take(Millis(100_000), &limits, tokens(0, 0)).expect("it is empty");
        assert!(limiter.take(Millis(0), &limits, tokens(0, 0)).is_err());
        assert!(limiter.take(Millis(159_999), &limits, tokens(0, 0)).is_err());
        assert!(limiter.take(Millis(160_000), &limits, tokens(0, 0)).is_ok());
    }
}
