//! The words that tokens, configuration and ledger share when they speak of budgets.

use std::fmt;

/// A word that is none of the expected ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {expected}")]
pub struct UnknownWord {
    expected: &'static str,
}

/// Declares a closed set of words with one spelling each.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $list:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The one spelling used in tokens, configuration, records and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }

            /// Reads that spelling.
            ///
            /// # Errors
            /// Any other text; the error lists what is accepted.
            pub fn parse(text: &str) -> Result<Self, UnknownWord> {
                match text { $($word => Ok($name::$variant),)* _ => Err(UnknownWord { expected: $list }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// The span over which a budget counts. UTC: hours and days start at their zero, months on the first.
    Window, "hour, day, month, total" {
        /// One clock hour.
        Hour = "hour",
        /// One calendar day.
        Day = "day",
        /// One calendar month.
        Month = "month",
        /// For ever.
        Total = "total",
    }
);
words!(
    /// Whether a budget is a wall (`hard`, enforced by rights) or a line (`soft`, metered).
    BudgetMode, "hard, soft" {
        /// Never overspent; a request is refused first.
        Hard = "hard",
        /// Metered; overshoot has a stated bound.
        Soft = "soft",
    }
);
words!(
    /// How much is held before an attempt.
    HoldMode, "strict, adaptive" {
        /// The true upper bound of the call's cost.
        Strict = "strict",
        /// A recent high percentile, topped up while the answer streams.
        Adaptive = "adaptive",
    }
);
words!(
    /// What happens when a budget is used up.
    Overage, "block, alert, throttle" {
        /// Requests are refused with the numbers.
        Block = "block",
        /// Requests pass and an alert is raised.
        Alert = "alert",
        /// Requests pass in a slower lane.
        Throttle = "throttle",
    }
);
words!(
    /// What a budget or limit is attached to, narrowest first: the order in which holds are taken.
    ScopeKind, "token, user, project, team, tag, model, org, global" {
        /// One token (and all narrowed from it).
        Token = "token",
        /// One user: the token's `sub`.
        User = "user",
        /// One project.
        Project = "project",
        /// One team.
        Team = "team",
        /// One tag `k=v` of the token.
        Tag = "tag",
        /// One model: the target's catalog id.
        Model = "model",
        /// One organisation.
        Org = "org",
        /// The whole gateway.
        Global = "global",
    }
);
