//! What kind of promise an attempt must keep, before its cost is estimated.

use bh_base::{BudgetMode, HoldMode};

use crate::{Caller, Ledger};

/// The strongest promise among the budgets of a caller and model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// Some budget is hard: the answer's length must have a limit.
    pub hard: bool,
    /// Some hard budget holds strictly: the cost must have a true bound.
    pub strict: bool,
}

impl Ledger {
    /// What the budgets of this caller and model demand of an attempt.
    #[must_use]
    pub fn binding(&self, caller: &Caller, model: &str) -> Binding {
        let mut binding = Binding::default();
        self.rules().budgets(caller, model, &mut |term| {
            if term.mode == BudgetMode::Hard {
                binding.hard = true;
                binding.strict |= term.hold == HoldMode::Strict;
            }
        });
        binding
    }
}
