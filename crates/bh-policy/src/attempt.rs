//! One awaited call: what it holds, and what its end teaches.

use std::sync::Arc;

use bh_base::Millis;
use bh_chat::FaultClass;

use crate::breaker::{BreakerState, Permit, Sign};
use crate::failover::Failure;
use crate::gate::Pass;
use crate::keys::{Key, Taken};
use crate::target::Target;

/// The right to make one call. It holds the target's place, the breaker's permit and the key's share.
///
/// Say [`answered`](Attempt::answered) at the first token and end with [`completed`](Attempt::completed) or
/// [`failed`](Attempt::failed). Dropping it without either means the client left: that teaches nothing about the
/// provider, and everything held is given back.
#[derive(Debug)]
#[must_use = "an attempt that is dropped counts as given up by the client"]
pub struct Attempt {
    target: Arc<Target>,
    listed_at: usize,
    number: u32,
    taken: Taken,
    tokens: u64,
    permit: Permit,
    /// Held only for its drop.
    _pass: Pass,
    /// Whether the breaker still waits for a report.
    breaker_open_ended: bool,
    /// Whether the key still waits for a report.
    key_open_ended: bool,
}

/// What changed because of an attempt, for events and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "changes of breakers and keys are events people wait for"]
pub struct Noticed {
    /// The breaker's new state, when it changed.
    pub breaker: Option<BreakerState>,
    /// What became of the key, when something did.
    pub key: Option<KeyNotice>,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyNotice {
    /// Throttled: left alone for this target until then.
    Cooling {
        /// When it ends.
        until: Millis,
    },
    /// Its account has nothing left: left alone until then.
    OutOfQuota {
        /// When it ends.
        until: Millis,
    },
    /// Refused: out of use until a probe then.
    Quarantined {
        /// When the probe is due.
        until: Millis,
    },
    /// Accepted again after a quarantine.
    Restored,
}

/// Everything an attempt is made of.
pub(crate) struct Parts {
    pub(crate) target: Arc<Target>,
    pub(crate) listed_at: usize,
    pub(crate) number: u32,
    pub(crate) taken: Taken,
    pub(crate) tokens: u64,
    pub(crate) permit: Permit,
    pub(crate) pass: Pass,
}

impl Attempt {
    pub(crate) fn new(parts: Parts) -> Self {
        Attempt {
            target: parts.target,
            listed_at: parts.listed_at,
            number: parts.number,
            taken: parts.taken,
            tokens: parts.tokens,
            permit: parts.permit,
            _pass: parts.pass,
            breaker_open_ended: true,
            key_open_ended: true,
        }
    }

    /// Who is called.
    #[must_use]
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The target's place in the route's list, from 0.
    #[must_use]
    pub fn listed_at(&self) -> usize {
        self.listed_at
    }

    /// The index of the key in the provider's configuration.
    #[must_use]
    pub fn key(&self) -> usize {
        self.taken.index
    }

    /// The key's id.
    #[must_use]
    pub fn key_id(&self) -> &Arc<str> {
        &self.own_key().id
    }

    /// Which attempt of the chain this is, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The provider has begun to answer: its key is good, and if this was a probe, the target is back.
    pub fn answered(&mut self, now: Millis) -> Noticed {
        self.target.state.coolings.accepted(&self.own_key().id);
        let mut noticed = Noticed::default();
        if std::mem::take(&mut self.key_open_ended) && self.own_key().record.accepted(self.taken.used) {
            noticed.key = Some(KeyNotice::Restored);
        }
        // A probe is over at the first token: a long answer must not keep others out. Any other call is judged at its
        // end, so that answers that always break off do open the breaker.
        if self.permit.is_probe() && std::mem::take(&mut self.breaker_open_ended) {
            noticed.breaker = self.report(Sign::Success, now);
        }
        noticed
    }

    /// The answer is complete. `tokens` is what it used, where that is known.
    pub fn completed(mut self, tokens: Option<u64>, now: Millis) -> Noticed {
        let mut noticed = self.answered(now);
        if let Some(used) = tokens {
            self.own_key().record.settle_tokens(self.tokens, used, now);
        }
        if std::mem::take(&mut self.breaker_open_ended) {
            noticed.breaker = self.report(Sign::Success, now);
        }
        noticed
    }

    /// The call failed, before the first byte or after it. `tokens` is what it used all the same, where that is known.
    pub fn failed(mut self, failure: &Failure, tokens: Option<u64>, now: Millis) -> Noticed {
        // A probe that had begun to answer was judged then; a second verdict could admit a second probe beside one in flight.
        let unjudged = std::mem::take(&mut self.breaker_open_ended);
        let breaker = if unjudged { self.report(failure.sign(), now) } else { None };
        let key = self.judge_key(failure, now);
        self.own_key().record.settle_tokens(self.tokens, tokens.unwrap_or(0), now);
        Noticed { breaker, key }
    }

    /// The call was not made after all: everything is as if this attempt had not been.
    pub(crate) fn undo(self) {
        self.own_key().record.untake(self.tokens);
    }

    fn judge_key(&mut self, failure: &Failure, now: Millis) -> Option<KeyNotice> {
        let (used, retry_after_ms) = (self.taken.used, failure.retry_after_ms);
        match failure.class {
            FaultClass::RateLimited => {
                let until = self.target.state.coolings.throttled(&self.own_key().id, retry_after_ms, now);
                Some(KeyNotice::Cooling { until })
            }
            FaultClass::QuotaExhausted => {
                let until = self.own_key().record.exhausted(used, retry_after_ms, now)?;
                Some(KeyNotice::OutOfQuota { until })
            }
            FaultClass::Credential => {
                self.key_open_ended = false;
                let until = self.own_key().record.refused(used, now)?;
                Some(KeyNotice::Quarantined { until })
            }
            FaultClass::BadRequest
            | FaultClass::ModelNotFound
            | FaultClass::ContextTooLong
            | FaultClass::ContentBlocked
            | FaultClass::Overloaded
            | FaultClass::ServerError
            | FaultClass::Connect
            | FaultClass::Timeout
            | FaultClass::Cut
            | FaultClass::Malformed => None,
        }
    }

    fn report(&self, sign: Sign, now: Millis) -> Option<BreakerState> {
        self.target.state.breaker().report(self.permit, sign, &self.target.settings.breaker, now)
    }

    fn own_key(&self) -> &Key {
        &self.target.provider.keys[self.taken.index]
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.breaker_open_ended {
            // A sign that teaches nothing needs no time: it only ends a probe.
            self.report(Sign::Nothing, Millis(0));
        }
        if self.key_open_ended {
            self.own_key().record.probe_ended(self.taken.used);
        }
    }
}
