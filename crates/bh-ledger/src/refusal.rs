//! Why money or rate was not given, with the numbers.

use std::fmt;

use bh_base::{Millis, NanoUsd, Window};

use crate::Scope;

/// Why an attempt got no hold. Nothing is held when one is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The money is known to be gone: 402.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// Money is there but not yet usable here (a ceiling is being written, rights are under way): wait until the
    /// ledger's generation passes the one given, at most `budget_wait_ms` in all, then reserve again with `waited`.
    #[error("budget of {} per {}: rights are under way", .0.scope, .0.window)]
    RightsPending(Pending),
    /// Waiting was in vain: 503 with `Retry-After`.
    #[error("budget of {scope} per {window}: rights cannot be fetched now; try again")]
    RightsUnavailable {
        /// Whose money.
        scope: Scope,
        /// Over which span.
        window: Window,
    },
    /// The budget is spent, its overage is `throttle`, and the slow lane's queue is full: 429 with `Retry-After`.
    #[error("budget of {scope} per {window} is spent and its slow lane is full; try again in {} ms", retry_after.0)]
    SlowLaneFull {
        /// Whose money.
        scope: Scope,
        /// Over which span.
        window: Window,
        /// When the lane has room again, as a span from now.
        retry_after: Millis,
    },
    /// Two tokens share a `budget_id` but state different limits: the token is refused.
    #[error("token budget of {scope} per {window}: budget_id is in use with a limit of {known} USD, not {claimed}")]
    Misconfigured {
        /// The shared scope.
        scope: Scope,
        /// Over which span.
        window: Window,
        /// The limit in force.
        known: NanoUsd,
        /// The limit this token states.
        claimed: NanoUsd,
    },
}

/// A budget that cannot cover the attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "budget of {scope} per {window} exhausted: limit {limit} USD, spent {spent}, held {held}, this call may cost {needed}"
)]
pub struct Exhausted {
    /// Whose money.
    pub scope: Scope,
    /// Over which span.
    pub window: Window,
    /// The budget.
    pub limit: NanoUsd,
    /// Spent so far, ceilings of crashed processes included.
    pub spent: NanoUsd,
    /// Held by calls in flight.
    pub held: NanoUsd,
    /// What this attempt would have held.
    pub needed: NanoUsd,
    /// When the window ends; none for a total.
    pub resets_at: Option<Millis>,
}

/// What to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The narrowest scope that waits.
    pub scope: Scope,
    /// Over which span.
    pub window: Window,
    /// The ledger's generation before the look: anything above it means "try again".
    pub generation: u64,
}

/// Which limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Prompt tokens per minute.
    TokensInput,
    /// Answer tokens per minute.
    TokensOutput,
    /// Requests at once.
    Concurrency,
}

/// A rate or concurrency limit is reached: 429 with `Retry-After`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limit of {scope}: {kind} {limit} reached; try again in {} ms", retry_after.0)]
pub struct LimitRefusal {
    /// Whose limit.
    pub scope: Scope,
    /// Which one.
    pub kind: LimitKind,
    /// Its figure.
    pub limit: u64,
    /// What is left of it, in its own unit.
    pub remaining: u64,
    /// When this request would pass if nobody else called, as a span from now; a guess for concurrency.
    pub retry_after: Millis,
}

impl LimitKind {
    /// The key in configuration and tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LimitKind::Requests => "rpm",
            LimitKind::Tokens => "tpm",
            LimitKind::TokensInput => "tpm_input",
            LimitKind::TokensOutput => "tpm_output",
            LimitKind::Concurrency => "concurrency",
        }
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
