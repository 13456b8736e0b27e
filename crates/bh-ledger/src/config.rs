//! Budgets and limits as the operator wrote them, already parsed; faults are reported all at once.

use std::collections::HashSet;

use bh_base::{BudgetMode, HoldMode, NanoUsd, Overage, ScopeKind, Window};

use crate::Pattern;

/// Every rule of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Who may spend how much.
    pub budgets: Vec<BudgetRule>,
    /// Who may call how often.
    pub limits: Vec<LimitRule>,
    /// What is metered though nothing bounds it (chargeback, metrics).
    pub meters: Vec<MeterRule>,
}

/// One budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRule {
    /// For whom.
    pub scope: Pattern,
    /// How much in one window.
    pub limit: NanoUsd,
    /// Over which span.
    pub window: Window,
    /// Wall or line.
    pub mode: BudgetMode,
    /// How much is held before an attempt.
    pub hold: HoldMode,
    /// Shares of the limit at which an alert is raised, in basis points (8,000 is 80 %); at most 100,000 each.
    pub alerts_bp: Vec<u32>,
    /// What happens at the limit. A hard budget can only block.
    pub overage: Overage,
}

/// Rates and concurrency of one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// For whom.
    pub scope: Pattern,
    /// How often.
    pub limits: Limits,
}

/// Rates per minute and calls at once; what is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute, prompt and answer together.
    pub tpm: Option<u64>,
    /// Prompt tokens per minute.
    pub tpm_input: Option<u64>,
    /// Answer tokens per minute.
    pub tpm_output: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u64>,
}

/// A kind of scope that is metered even without a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterRule {
    /// Each scope of this kind is metered.
    pub kind: ScopeKind,
    /// Over this span.
    pub window: Window,
}

/// What is wrong with a rule; `index` counts from zero in its list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Two budgets of one scope, window and mode.
    #[error("budgets[{index}]: {scope} already has a {mode} budget per {window} (budgets[{first}]); keep one")]
    BudgetTwice {
        /// The later rule.
        index: usize,
        /// The earlier rule.
        first: usize,
        /// Their scope.
        scope: Pattern,
        /// Their window.
        window: Window,
        /// Their mode.
        mode: BudgetMode,
    },
    /// A hard budget that would let requests pass at its limit.
    #[error("budgets[{index}].overage: a hard budget can only block; use block, or mode: soft with {overage}")]
    HardMustBlock {
        /// The rule.
        index: usize,
        /// What it asks for.
        overage: Overage,
    },
    /// An alert share outside 0 to 1,000 %.
    #[error("budgets[{index}].alerts: a share must be above 0 and at most 10 (1,000 %)")]
    AlertShare {
        /// The rule.
        index: usize,
    },
    /// Two limit rules of one scope.
    #[error("limits[{index}]: {scope} already has limits (limits[{first}]); put them into one entry")]
    LimitTwice {
        /// The later rule.
        index: usize,
        /// The earlier rule.
        first: usize,
        /// Their scope.
        scope: Pattern,
    },
    /// A limit of nothing, which would refuse for ever.
    #[error("limits[{index}].{kind}: must be at least 1; leave it out for no limit")]
    ZeroLimit {
        /// The rule.
        index: usize,
        /// Which of its figures.
        kind: crate::LimitKind,
    },
    /// A limit rule that limits nothing.
    #[error("limits[{index}]: give at least one of rpm, tpm, tpm_input, tpm_output, concurrency")]
    EmptyLimit {
        /// The rule.
        index: usize,
    },
}

/// Largest alert share, in basis points: 1,000 %.
const ALERT_BP_MAX: u32 = 100_000;

impl Config {
    /// Every fault of these rules; none means the ledger takes them.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (index, rule) in self.budgets.iter().enumerate() {
            let same =
                |other: &BudgetRule| (&other.scope, other.window, other.mode) == (&rule.scope, rule.window, rule.mode);
            if let Some(first) = self.budgets[..index].iter().position(same) {
                let (scope, window, mode) = (rule.scope.clone(), rule.window, rule.mode);
                faults.push(Fault::BudgetTwice { index, first, scope, window, mode });
            }
            if rule.mode == BudgetMode::Hard && rule.overage != Overage::Block {
                faults.push(Fault::HardMustBlock { index, overage: rule.overage });
            }
            if rule.alerts_bp.iter().any(|bp| *bp == 0 || ALERT_BP_MAX < *bp) {
                faults.push(Fault::AlertShare { index });
            }
        }
        let mut seen = HashSet::new();
        for (index, rule) in self.limits.iter().enumerate() {
            if !seen.insert(&rule.scope) {
                let first = self.limits.iter().position(|other| other.scope == rule.scope).unwrap_or(index);
                faults.push(Fault::LimitTwice { index, first, scope: rule.scope.clone() });
            }
            if rule.limits == Limits::default() {
                faults.push(Fault::EmptyLimit { index });
            }
            let zero = rule.limits.figures().into_iter().filter(|(_, figure)| *figure == Some(0));
            faults.extend(zero.map(|(kind, _)| Fault::ZeroLimit { index, kind }));
        }
        faults
    }
}

impl Limits {
    pub(crate) fn figures(&self) -> [(crate::LimitKind, Option<u64>); 5] {
        use crate::LimitKind::{Concurrency, Requests, Tokens, TokensInput, TokensOutput};
        [
            (Requests, self.rpm),
            (Tokens, self.tpm),
            (TokensInput, self.tpm_input),
            (TokensOutput, self.tpm_output),
            (Concurrency, self.concurrency),
        ]
    }
}
