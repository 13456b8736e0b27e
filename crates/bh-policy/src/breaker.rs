//! The circuit breaker of one target, as a state machine that is told the time.
//!
//! Closed: calls pass, failures in a row are counted. Open: nothing passes until the timeout. Half-open: one probe at a
//! time; enough successes close it, one failure opens it again.

use bh_base::Millis;

use crate::config::BreakerConfig;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Nothing passes.
    Open,
    /// One probe at a time.
    HalfOpen,
}

impl BreakerState {
    /// The spelling used in metrics, events and explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        }
    }
}

/// What an attempt says about the target's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answered.
    Success,
    /// It failed as a failing provider does.
    Failure,
    /// It answered, but refused this one request: proof of life for a probe, and nothing else.
    Refused,
    /// Nothing was learnt: throttled, our own credential, or the client left.
    Nothing,
}

/// A call that passed the breaker. Reports under an older `epoch` are about a state that is gone, and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permit {
    epoch: u64,
    probe: bool,
}

impl Permit {
    /// Whether the call decides over a half-open breaker.
    pub(crate) const fn is_probe(self) -> bool {
        self.probe
    }
}

/// The state machine.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    epoch: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Millis },
    HalfOpen { successes: u32, probing: bool },
}

impl Default for State {
    fn default() -> Self {
        State::Closed { failures: 0 }
    }
}

impl Breaker {
    /// What [`Breaker::enter`] would say, changing nothing. `Err` is the wait until it is worth asking again.
    pub(crate) fn look(&self, now: Millis) -> Result<BreakerState, Millis> {
        match self.state {
            State::Closed { .. } => Ok(BreakerState::Closed),
            State::Open { until } if until <= now => Ok(BreakerState::HalfOpen),
            State::Open { until } => Err(until.since(now)),
            State::HalfOpen { probing: false, .. } => Ok(BreakerState::HalfOpen),
            // The probe's end is not known; its answer usually takes about this long.
            State::HalfOpen { probing: true, .. } => Err(Millis(crate::limits::RETRY_AFTER_MS_DEFAULT)),
        }
    }

    /// Lets a call pass, or says how long to stay away.
    pub(crate) fn enter(&mut self, now: Millis) -> Result<Permit, Millis> {
        match self.look(now)? {
            BreakerState::Closed => Ok(Permit { epoch: self.epoch, probe: false }),
            BreakerState::Open | BreakerState::HalfOpen => {
                let successes = match self.state {
                    State::HalfOpen { successes, .. } => successes,
                    State::Closed { .. } | State::Open { .. } => {
                        self.epoch += 1;
                        0
                    }
                };
                self.state = State::HalfOpen { successes, probing: true };
                Ok(Permit { epoch: self.epoch, probe: true })
            }
        }
    }

    /// Takes one report of a call that passed. Returns the new state when it changed.
    pub(crate) fn report(
        &mut self,
        permit: Permit,
        sign: Sign,
        config: &BreakerConfig,
        now: Millis,
    ) -> Option<BreakerState> {
        if permit.epoch != self.epoch {
            return None;
        }
        match self.state {
            State::Closed { failures } => match sign {
                Sign::Success => self.set_failures(0),
                Sign::Failure if failures + 1 < config.failure_threshold => self.set_failures(failures + 1),
                Sign::Failure => self.open(config, now),
                Sign::Refused | Sign::Nothing => None,
            },
            State::Open { .. } => None,
            State::HalfOpen { .. } if !permit.probe => None,
            State::HalfOpen { successes, .. } => match sign {
                Sign::Success | Sign::Refused if config.success_threshold <= successes + 1 => {
                    self.epoch += 1;
                    self.state = State::Closed { failures: 0 };
                    Some(BreakerState::Closed)
                }
                Sign::Success | Sign::Refused => self.await_probe(successes + 1),
                Sign::Failure => self.open(config, now),
                Sign::Nothing => self.await_probe(successes),
            },
        }
    }

    /// The state as metrics and explanations show it.
    pub(crate) fn state(&self, now: Millis) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Failures in a row, while closed.
    pub(crate) fn failures(&self) -> u32 {
        match self.state {
            State::Closed { failures } => failures,
            State::Open { .. } | State::HalfOpen { .. } => 0,
        }
    }

    /// Whether forgetting this breaker would change nothing.
    pub(crate) fn is_pristine(&self) -> bool {
        matches!(self.state, State::Closed { failures: 0 })
    }

    fn set_failures(&mut self, failures: u32) -> Option<BreakerState> {
        self.state = State::Closed { failures };
        None
    }

    fn await_probe(&mut self, successes: u32) -> Option<BreakerState> {
        self.state = State::HalfOpen { successes, probing: false };
        None
    }

    fn open(&mut self, config: &BreakerConfig, now: Millis) -> Option<BreakerState> {
        self.epoch += 1;
        self.state = State::Open { until: now.plus(Millis(config.timeout_ms)) };
        Some(BreakerState::Open)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: BreakerConfig = BreakerConfig { failure_threshold: 3, success_threshold: 2, timeout_ms: 100 };

    /// Lets one call through at each time and reports its sign; the last must leave the breaker in `expected`.
    fn check(calls: &[(u64, Sign)], expected: BreakerState) -> Breaker {
        let mut breaker = Breaker::default();
        for (at, sign) in calls {
            let permit = breaker.enter(Millis(*at)).expect("the breaker lets this call pass");
            breaker.report(permit, *sign, &CONFIG, Millis(*at));
        }
        let end = Millis(calls.last().map_or(0, |(at, _)| *at));
        assert_eq!(breaker.state(end), expected, "after {calls:?}");
        breaker
    }

    #[test]
    fn the_third_failure_in_a_row_opens_it() {
        use Sign::{Failure, Success};
        check(&[(0, Failure), (0, Failure)], BreakerState::Closed);
        check(&[(0, Failure), (0, Failure), (0, Failure)], BreakerState::Open);
        check(&[(0, Failure), (0, Failure), (0, Success), (0, Failure), (0, Failure)], BreakerState::Closed);
    }

    #[test]
    fn refusals_and_silence_neither_open_nor_forgive() {
        use Sign::{Failure, Nothing, Refused};
        check(&[(0, Nothing); 50], BreakerState::Closed);
        check(&[(0, Refused); 50], BreakerState::Closed);
        check(&[(0, Failure), (0, Refused), (0, Failure), (0, Nothing), (0, Failure)], BreakerState::Open);
    }

    #[test]
    fn it_stays_open_until_the_timeout_and_then_takes_one_probe() {
        let mut breaker = check(&[(0, Sign::Failure); 3], BreakerState::Open);
        assert_eq!(breaker.enter(Millis(0)), Err(Millis(100)));
        assert_eq!(breaker.enter(Millis(99)), Err(Millis(1)));
        assert_eq!(breaker.look(Millis(100)), Ok(BreakerState::HalfOpen));
        let probe = breaker.enter(Millis(100)).expect("the probe passes");
        assert!(breaker.enter(Millis(100)).is_err(), "one probe at a time");
        assert_eq!(breaker.report(probe, Sign::Nothing, &CONFIG, Millis(100)), None);
        assert!(breaker.enter(Millis(100)).is_ok(), "a probe that taught nothing makes room for the next");
    }

    #[test]
    fn two_good_probes_close_it_and_one_bad_one_opens_it_again() {
        use Sign::{Failure, Refused, Success};
        let open = [(0, Failure), (0, Failure), (0, Failure)];
        check(&[&open[..], &[(100, Success)]].concat(), BreakerState::HalfOpen);
        check(&[&open[..], &[(100, Success), (100, Success)]].concat(), BreakerState::Closed);
        check(&[&open[..], &[(100, Refused), (100, Success)]].concat(), BreakerState::Closed);
        let again = check(&[&open[..], &[(100, Success), (150, Failure)]].concat(), BreakerState::Open);
        assert_eq!(again.look(Millis(150)), Err(Millis(100)), "the timeout starts anew");
    }

    #[test]
    fn calls_from_before_it_opened_are_not_heard() {
        let mut breaker = Breaker::default();
        let old: Vec<Permit> = (0..4).map(|_| breaker.enter(Millis(0)).expect("closed")).collect();
        check_opening(&mut breaker, &old[..3]);
        assert_eq!(breaker.report(old[3], Sign::Success, &CONFIG, Millis(50)), None);
        assert_eq!(breaker.state(Millis(50)), BreakerState::Open);
        let probe = breaker.enter(Millis(100)).expect("the probe passes");
        assert_eq!(breaker.report(old[3], Sign::Failure, &CONFIG, Millis(100)), None);
        assert_eq!(breaker.report(probe, Sign::Success, &CONFIG, Millis(100)), None);
        assert_eq!(breaker.state(Millis(100)), BreakerState::HalfOpen);
    }

    #[test]
    fn calls_from_before_it_opened_are_not_heard_after_it_closed_again_either() {
        let config = BreakerConfig { failure_threshold: 1, success_threshold: 1, timeout_ms: 100 };
        let mut breaker = Breaker::default();
        let [old, bad] = [(); 2].map(|()| breaker.enter(Millis(0)).expect("closed"));
        assert_eq!(breaker.report(bad, Sign::Failure, &config, Millis(0)), Some(BreakerState::Open));
        let probe = breaker.enter(Millis(100)).expect("the probe passes");
        assert_eq!(breaker.report(probe, Sign::Success, &config, Millis(100)), Some(BreakerState::Closed));
        assert_eq!(breaker.report(old, Sign::Failure, &config, Millis(200)), None);
    }

    fn check_opening(breaker: &mut Breaker, permits: &[Permit]) {
        let changes: Vec<_> =
            permits.iter().map(|permit| breaker.report(*permit, Sign::Failure, &CONFIG, Millis(0))).collect();
        assert_eq!(changes, [None, None, Some(BreakerState::Open)]);
    }

    fn any_sign() -> impl Strategy<Value = Sign> {
        prop_oneof![Just(Sign::Success), Just(Sign::Failure), Just(Sign::Refused), Just(Sign::Nothing)]
    }

    proptest! {
        /// Each step either lets time pass and asks to enter, or ends one call in flight, in any order.
        #[test]
        fn never_more_than_one_probe_is_in_flight(
            steps in prop::collection::vec((any::<bool>(), 0_u64..60, any::<prop::sample::Index>(), any_sign()), 0..200),
            thresholds in (1_u32..4, 1_u32..4),
        ) {
            let config = BreakerConfig { failure_threshold: thresholds.0, success_threshold: thresholds.1, timeout_ms: 100 };
            let (mut breaker, mut now, mut flying) = (Breaker::default(), Millis(0), Vec::<Permit>::new());
            for (enter, pause, which, sign) in steps {
                if enter {
                    now = now.plus(Millis(pause));
                    let looked = breaker.look(now);
                    let entered = breaker.enter(now);
                    prop_assert_eq!(looked.is_ok(), entered.is_ok());
                    flying.extend(entered);
                } else if !flying.is_empty() {
                    let permit = flying.swap_remove(which.index(flying.len()));
                    breaker.report(permit, sign, &config, now);
                }
                prop_assert!(flying.iter().filter(|permit| permit.is_probe()).count() <= 1);
            }
        }

        #[test]
        fn throttling_and_clients_that_leave_never_open_it(
            signs in prop::collection::vec(prop_oneof![Just(Sign::Nothing), Just(Sign::Refused), Just(Sign::Success)], 0..200),
        ) {
            let config = BreakerConfig { failure_threshold: 1, success_threshold: 1, timeout_ms: 100 };
            let mut breaker = Breaker::default();
            for sign in signs {
                let permit = breaker.enter(Millis(0)).expect("it never opens");
                prop_assert_eq!(breaker.report(permit, sign, &config, Millis(0)), None);
            }
        }
    }
}
