//! What can be wrong with a configuration of routes. All faults are reported at once.

use std::fmt;

use bh_base::limits::ATTEMPTS_MAX;

use crate::limits::{ALIAS_STEPS_MAX, KEYS_PER_PROVIDER_MAX, TARGETS_PER_ROUTE_MAX, TOTAL_MS_MAX};

/// One fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFault {
    /// The place, in the configuration file's own terms: `routes[0].targets[1].provider`, `aliases.cheap`.
    pub path: String,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong, in words an operator can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// A name is empty.
    #[error("must not be empty")]
    Empty,
    /// A name cannot be used here.
    #[error("must be a plain name without * or /")]
    NotPlain,
    /// An alias is a pattern.
    #[error("an alias is a plain name; for a pattern write a route")]
    AliasPattern,
    /// Two entries share an id.
    #[error("id {id} is used twice")]
    Duplicate {
        /// The id.
        id: String,
    },
    /// A target names a provider that is not configured.
    #[error("unknown provider {id}; configured: {}", known.join(", "))]
    UnknownProvider {
        /// The name given.
        id: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A route without targets.
    #[error("a route needs at least one target")]
    NoTargets,
    /// A list is too long.
    #[error("at most {TARGETS_PER_ROUTE_MAX} targets")]
    TooManyTargets,
    /// A list is too long.
    #[error("at most {KEYS_PER_PROVIDER_MAX} keys")]
    TooManyKeys,
    /// `single` with several targets.
    #[error("strategy single takes one target, found {count}; use fallback or loadbalance")]
    SingleWantsOne {
        /// How many there are.
        count: usize,
    },
    /// No target or key of a list can ever be chosen.
    #[error("every weight is 0, so nothing could be chosen")]
    NothingWeighs,
    /// `attempts_max` out of range.
    #[error("must be 1 to {ATTEMPTS_MAX}")]
    Attempts,
    /// `retry.attempts` out of range.
    #[error("must be below {ATTEMPTS_MAX}")]
    RetryAttempts,
    /// `total_ms` out of range.
    #[error("must be 1 to {TOTAL_MS_MAX} milliseconds")]
    TotalTime,
    /// A number that must not be zero.
    #[error("must be at least 1")]
    Zero,
    /// A status that no second attempt can change.
    #[error("status {status} is not worth another attempt; allowed: 408, 409, 425, 429 and 500 to 599")]
    NotRetryable {
        /// The status.
        status: u16,
    },
    /// A route that is never reached.
    #[error("never reached: route {by} matches first")]
    Unreachable {
        /// The pattern of the earlier route.
        by: String,
    },
    /// An alias that hides a route.
    #[error("aliases are resolved before routes, so route {route} would never be reached")]
    AliasHidesRoute {
        /// The pattern of the hidden route.
        route: String,
    },
    /// Aliases that lead back to themselves.
    #[error("aliases go round: {}", names.join(" -> "))]
    AliasCycle {
        /// The names, in order, the first repeated at the end.
        names: Vec<String>,
    },
    /// A long row of aliases.
    #[error("more than {ALIAS_STEPS_MAX} aliases follow one another")]
    AliasTooDeep,
}

/// Prints `path: what is wrong`.
impl fmt::Display for RouteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind)
    }
}
