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

#[cfg(test)]
mod tests {
    use FaultClass as Class;

    use super::*;

    const ALL: [Class; 13] = [
        Class::BadRequest,
        Class::ModelNotFound,
        Class::ContextTooLong,
        Class::ContentBlocked,
        Class::Credential,
        Class::QuotaExhausted,
        Class::RateLimited,
        Class::Overloaded,
        Class::ServerError,
        Class::Connect,
        Class::Timeout,
        Class::Cut,
        Class::Malformed,
    ];

    fn retry() -> RetryConfig {
        RetryConfig { initial_backoff_ms: 0, ..RetryConfig::default() }
    }

    /// A chain at its first failure: retries allowed, another key and another target at hand, a minute left.
    fn situation(retry: &RetryConfig) -> Situation<'_> {
        Situation {
            retry: Some(retry),
            retries_made: 0,
            attempts_made: 1,
            attempts_max: 4,
            remaining: Millis(60_000),
            other_key: true,
            other_target: true,
            breaker_open: false,
        }
    }

    fn failure(class: Class) -> Failure {
        Failure { class, status: None, retry_after_ms: None }
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Situation<'_>), failure: Failure, expected: Next) {
        let retry = retry();
        let mut situation = situation(&retry);
        change(&mut situation);
        assert_eq!(after_failure(&situation, &failure, 7), expected, "{failure:?} in {situation:?}");
    }

    const AGAIN: Next = Next::RetrySame { wait: Millis(0) };

    #[test]
    fn each_class_of_failure_has_its_way() {
        for (class, with_other_key, with_one_key) in [
            (Class::BadRequest, Next::GiveUp, Next::GiveUp),
            (Class::ContentBlocked, Next::GiveUp, Next::GiveUp),
            (Class::ContextTooLong, Next::NextTarget, Next::NextTarget),
            (Class::ModelNotFound, Next::NextTarget, Next::NextTarget),
            (Class::Credential, Next::OtherKey, Next::NextTarget),
            (Class::QuotaExhausted, Next::OtherKey, Next::NextTarget),
            (Class::RateLimited, Next::OtherKey, AGAIN),
            (Class::Overloaded, AGAIN, AGAIN),
            (Class::ServerError, AGAIN, AGAIN),
            (Class::Connect, AGAIN, AGAIN),
            (Class::Cut, AGAIN, AGAIN),
            (Class::Timeout, Next::NextTarget, Next::NextTarget),
            (Class::Malformed, Next::NextTarget, Next::NextTarget),
        ] {
            check(|_| (), failure(class), with_other_key);
            check(|s| s.other_key = false, failure(class), with_one_key);
        }
    }

    #[test]
    fn nothing_happens_beyond_the_bounds_of_the_chain() {
        for class in ALL {
            check(|s| s.attempts_made = 4, failure(class), Next::GiveUp);
            check(|s| s.remaining = Millis(0), failure(class), Next::GiveUp);
        }
    }

    #[test]
    fn without_another_target_moving_on_is_giving_up() {
        for class in [Class::ModelNotFound, Class::ContextTooLong, Class::Timeout, Class::Malformed, Class::Credential]
        {
            check(|s| (s.other_target, s.other_key) = (false, false), failure(class), Next::GiveUp);
        }
    }

    #[test]
    fn the_third_retry_is_not_made() {
        check(|s| s.retries_made = 1, failure(Class::ServerError), AGAIN);
        check(|s| s.retries_made = 2, failure(Class::ServerError), Next::NextTarget);
        check(|s| s.retry = None, failure(Class::ServerError), Next::NextTarget);
        check(|s| s.breaker_open = true, failure(Class::ServerError), Next::NextTarget);
    }

    #[test]
    fn only_listed_statuses_are_tried_again() {
        let with = |class, status| Failure { status: Some(status), ..failure(class) };
        check(|_| (), with(Class::ServerError, 503), AGAIN);
        check(|_| (), with(Class::ServerError, 501), Next::NextTarget);
        check(|_| (), with(Class::Timeout, 504), AGAIN);
        check(|_| (), with(Class::Timeout, 408), Next::NextTarget);
        // An error event inside a 200 counts as the usual status of its kind.
        check(|_| (), with(Class::Overloaded, 200), AGAIN);
    }

    #[test]
    fn retry_after_wins_over_backoff_unless_it_is_too_long() {
        let asked = |ms| Failure { retry_after_ms: Some(ms), ..failure(Class::Overloaded) };
        check(|_| (), asked(1_234), Next::RetrySame { wait: Millis(1_234) });
        check(|_| (), asked(RETRY_AFTER_MS_MAX), Next::RetrySame { wait: Millis(RETRY_AFTER_MS_MAX) });
        check(|_| (), asked(RETRY_AFTER_MS_MAX + 1), Next::NextTarget);
        check(|s| s.remaining = Millis(1_234), asked(1_234), Next::NextTarget);
        check(|s| s.remaining = Millis(1_235), asked(1_234), Next::RetrySame { wait: Millis(1_234) });
        check(|s| (s.remaining, s.other_target) = (Millis(1_234), false), asked(1_234), Next::GiveUp);
    }

    #[test]
    fn backoff_is_anything_up_to_a_ceiling_that_doubles_and_ends() {
        let retry = RetryConfig { attempts: 60, ..RetryConfig::default() };
        for (retries_made, ceiling) in [(0, 100), (1, 200), (4, 1_600), (7, BACKOFF_MS_MAX), (40, BACKOFF_MS_MAX)] {
            let waits: Vec<u64> = (0..2_000).map(|draw| backoff(&retry, retries_made, draw)).collect();
            let (least, most) = (waits.iter().min().copied(), waits.iter().max().copied());
            assert!(most.is_some_and(|most| most <= ceiling && ceiling * 98 / 100 <= most), "{most:?} of {ceiling}");
            assert!(least.is_some_and(|least| least <= ceiling / 50), "{least:?} of {ceiling}");
        }
        assert!(backoff(&retry, 200, 1) <= BACKOFF_MS_MAX);
    }
}
