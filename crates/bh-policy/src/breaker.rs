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
