//! How a route orders its targets.

use std::fmt;

/// The strategies that exist. The set is closed: a new one is a new variant that every `match` must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// One target.
    Single,
    /// The targets in the order they are listed.
    Fallback,
    /// A weighted draw; the others follow, drawn the same way, in case it fails.
    Loadbalance,
}

/// A word that does not name a usable strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    /// A strategy of the contract that does not exist yet. Refused by name rather than treated as another.
    #[error("strategy {word} is not built yet; use {}", Strategy::WORDS)]
    NotBuiltYet {
        /// The word.
        word: &'static str,
    },
    /// No strategy at all.
    #[error("unknown strategy; expected {}", Strategy::WORDS)]
    Unknown,
}

/// Names of the contract without code behind them: strategies of routes, then modes of `x-routing-mode`.
const NOT_BUILT_YET: &[&str] = &[
    "conditional",
    "least-latency",
    "cost-optimized",
    "complexity",
    "ab-test",
    "cache-affinity",
    "least-used",
    "cost",
    "latency",
    "capability",
];

impl Strategy {
    const WORDS: &'static str = "single, fallback or loadbalance";

    /// The spelling used in configuration, headers and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Strategy::Single => "single",
            Strategy::Fallback => "fallback",
            Strategy::Loadbalance => "loadbalance",
        }
    }

    /// Reads that spelling, in a route's `strategy.mode` or in `x-routing-mode`.
    ///
    /// # Errors
    /// [`StrategyError::NotBuiltYet`] for the contract's other words, [`StrategyError::Unknown`] for any other text.
    pub fn parse(text: &str) -> Result<Self, StrategyError> {
        match text {
            "single" => Ok(Strategy::Single),
            "fallback" => Ok(Strategy::Fallback),
            "loadbalance" => Ok(Strategy::Loadbalance),
            other => Err(NOT_BUILT_YET
                .iter()
                .find(|word| **word == other)
                .map_or(StrategyError::Unknown, |word| StrategyError::NotBuiltYet { word })),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_reads_what_it_prints() {
        for strategy in [Strategy::Single, Strategy::Fallback, Strategy::Loadbalance] {
            assert_eq!(Strategy::parse(strategy.as_str()), Ok(strategy));
        }
    }

    #[test]
    fn words_of_the_contract_without_code_are_refused_by_name() {
        for word in NOT_BUILT_YET {
            let error = Strategy::parse(word).expect_err("not built yet");
            assert_eq!(error, StrategyError::NotBuiltYet { word });
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(Strategy::parse("Fallback"), Err(StrategyError::Unknown));
        assert_eq!(Strategy::parse(""), Err(StrategyError::Unknown));
    }
}
