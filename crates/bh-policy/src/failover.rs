//! What to do when an attempt fails: one decision, with all its reasons in one place.

use bh_base::Millis;
use bh_chat::{Fault, FaultClass};

use crate::breaker::Sign;
use crate::config::RetryConfig;
use crate::draw::Draws;
use crate::limits::{BACKOFF_MS_MAX, RETRY_AFTER_MS_MAX};

/// What a failure is, as far as the next step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub class: FaultClass,
    /// The provider's HTTP status, where one arrived.
    pub status: Option<u16>,
    /// How long the provider asked us to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// What the decision depends on besides the failure.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The target's retry settings; `None` is no retries.
    pub retry: Option<&'a RetryConfig>,
    /// Retries made on this target so far.
    pub retries_made: u32,
    /// Attempts made in the whole chain so far, the failed one included.
    pub attempts_made: u32,
    /// Attempts the chain may make.
    pub attempts_max: u32,
    /// Time the chain has left.
    pub remaining: Millis,
    /// Whether another key of this target is ready.
    pub other_key: bool,
    /// Whether another target is left.
    pub other_target: bool,
    /// Whether the target's breaker is open now.
    pub breaker_open: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same target again, after this span.
    RetrySame {
        /// How long.
        wait: Millis,
    },
    /// The same target at once, with another key.
    OtherKey,
    /// The next target at once.
    NextTarget,
    /// Nothing more can be done.
    GiveUp,
}

/// What happens after a failed attempt. It must not be asked once a byte has gone to the client.
///
/// In order: the chain's bounds; requests that would fail anywhere; another key for what concerns the key; the same
/// target again where its settings allow it; another target.
#[must_use]
pub fn after_failure(situation: &Situation<'_>, failure: &Failure, draw: u64) -> Next {
    let on = if situation.other_target { Next::NextTarget } else { Next::GiveUp };
    if situation.attempts_max <= situation.attempts_made || situation.remaining == Millis(0) {
        return Next::GiveUp;
    }
    if failure.is_final() {
        return Next::GiveUp;
    }
    if failure.concerns_key() && situation.other_key {
        return Next::OtherKey;
    }
    let Some(retry) = situation.retry else { return on };
    if retry.attempts <= situation.retries_made || situation.breaker_open || !failure.is_worth_retrying(retry) {
        return on;
    }
    let wait = match failure.retry_after_ms {
        Some(asked) if RETRY_AFTER_MS_MAX < asked => return on,
        Some(asked) => asked,
        None => backoff(retry, situation.retries_made, draw),
    };
    if situation.remaining.0 <= wait {
        return on;
    }
    Next::RetrySame { wait: Millis(wait) }
}

impl Failure {
    /// The status as the chain's rules see it: the provider's, or, for an error that came inside a 200 or without any,
    /// the usual one of its kind. `None` where nothing answered.
    #[must_use]
    pub fn effective_status(&self) -> Option<u16> {
        if let Some(status @ 400..) = self.status {
            return Some(status);
        }
        match self.class {
            FaultClass::BadRequest | FaultClass::ContextTooLong | FaultClass::ContentBlocked => Some(400),
            FaultClass::ModelNotFound => Some(404),
            FaultClass::Credential => Some(401),
            FaultClass::QuotaExhausted | FaultClass::RateLimited => Some(429),
            FaultClass::Overloaded => Some(529),
            FaultClass::ServerError => Some(500),
            FaultClass::Connect | FaultClass::Timeout | FaultClass::Cut | FaultClass::Malformed => None,
        }
    }

    /// Whether the request itself is at fault, so that no other attempt may be made: the provider's answer is the
    /// answer. A filter's refusal belongs here too: asking the next provider would be a way around it.
    pub(crate) fn is_final(&self) -> bool {
        match self.class {
            FaultClass::BadRequest | FaultClass::ContentBlocked => true,
            FaultClass::ModelNotFound
            | FaultClass::ContextTooLong
            | FaultClass::Credential
            | FaultClass::QuotaExhausted
            | FaultClass::RateLimited
            | FaultClass::Overloaded
            | FaultClass::ServerError
            | FaultClass::Connect
            | FaultClass::Timeout
            | FaultClass::Cut
            | FaultClass::Malformed => false,
        }
    }

    /// Whether another key of the same target may do better.
    fn concerns_key(&self) -> bool {
        match self.class {
            FaultClass::Credential | FaultClass::QuotaExhausted | FaultClass::RateLimited => true,
            FaultClass::BadRequest
            | FaultClass::ModelNotFound
            | FaultClass::ContextTooLong
            | FaultClass::ContentBlocked
            | FaultClass::Overloaded
            | FaultClass::ServerError
            | FaultClass::Connect
            | FaultClass::Timeout
            | FaultClass::Cut
            | FaultClass::Malformed => false,
        }
    }

    /// Whether the same target may do better in a moment.
    fn is_worth_retrying(&self, retry: &RetryConfig) -> bool {
        match self.class {
            FaultClass::RateLimited | FaultClass::Overloaded | FaultClass::ServerError => {
                self.effective_status().is_some_and(|status| retry.on_status_codes.contains(&status))
            }
            FaultClass::Connect | FaultClass::Cut => true,
            // A gateway's 408 or 504 may be listed. Our own deadline may not: the call is still running and billed over
            // there, and the next would be as slow.
            FaultClass::Timeout => self.status.is_some_and(|status| retry.on_status_codes.contains(&status)),
            FaultClass::BadRequest
            | FaultClass::ModelNotFound
            | FaultClass::ContextTooLong
            | FaultClass::ContentBlocked
            | FaultClass::Credential
            | FaultClass::QuotaExhausted
            | FaultClass::Malformed => false,
        }
    }

    /// What it says about the target's health.
    pub(crate) fn sign(&self) -> Sign {
        match self.class {
            FaultClass::Overloaded
            | FaultClass::ServerError
            | FaultClass::Connect
            | FaultClass::Timeout
            | FaultClass::Cut
            | FaultClass::Malformed => Sign::Failure,
            FaultClass::BadRequest | FaultClass::ContextTooLong | FaultClass::ContentBlocked => Sign::Refused,
            FaultClass::ModelNotFound
            | FaultClass::Credential
            | FaultClass::QuotaExhausted
            | FaultClass::RateLimited => Sign::Nothing,
        }
    }
}

impl From<&Fault> for Failure {
    fn from(fault: &Fault) -> Self {
        Failure { class: fault.class, status: fault.status, retry_after_ms: fault.retry_after_ms }
    }
}

/// Exponential backoff with full jitter, in milliseconds: anything up to a ceiling that doubles with each retry.
fn backoff(retry: &RetryConfig, retries_made: u32, draw: u64) -> u64 {
    let doubled = 1_u64.checked_shl(retries_made).unwrap_or(u64::MAX);
    let ceiling = retry.initial_backoff_ms.saturating_mul(doubled).min(BACKOFF_MS_MAX);
    Draws::new(draw).below(ceiling + 1)
}
