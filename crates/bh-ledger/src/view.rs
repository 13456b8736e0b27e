//! Numbers for people: `GET /v1/budget`, response headers, metrics.

use bh_base::{BudgetMode, Millis, NanoUsd};

use crate::AccountKey;
use crate::rules::Bound;
use crate::state::State;

/// One counter as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Whose money, over which span.
    pub key: AccountKey,
    /// The tightest limit that binds it; none when it is only metered.
    pub limit: Option<NanoUsd>,
    /// Wall or line: hard as soon as one of its budgets is.
    pub mode: Option<BudgetMode>,
    /// Spent by everyone, `stranded` included.
    pub spent: NanoUsd,
    /// Held by this process's calls in flight.
    pub held: NanoUsd,
    /// Rights this process keeps; zero for a soft budget.
    pub rights: NanoUsd,
    /// Ceilings of crashed processes, counted as spent until replay proves less.
    pub stranded: NanoUsd,
    /// When the window ends; none for a total.
    pub resets_at: Option<Millis>,
}

/// The tightest rates of a caller, for `x-ratelimit-*` headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests per minute.
    pub requests: Option<Rate>,
    /// Tokens per minute.
    pub tokens: Option<Rate>,
}

/// One rate as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Its figure per minute.
    pub limit: u64,
    /// What could be used at once now.
    pub remaining: u64,
    /// When all of it would be there again, as a span from now.
    pub reset: Millis,
}

impl AccountView {
    /// What is left for new calls; none when nothing limits it.
    #[must_use]
    pub fn remaining(&self) -> Option<NanoUsd> {
        Some(self.limit?.saturating_sub(self.spent).saturating_sub(self.held))
    }

    /// A counter that nobody has used yet.
    pub(crate) fn unused(key: AccountKey, resets_at: Option<Millis>, bound: &Bound) -> Self {
        let zero = NanoUsd::ZERO;
        let (limit, mode) = limit_and_mode(bound);
        AccountView { key, limit, mode, spent: zero, held: zero, rights: zero, stranded: zero, resets_at }
    }

    pub(crate) fn of(key: &AccountKey, resets_at: Option<Millis>, state: &State, bound: &Bound) -> Self {
        AccountView {
            spent: NanoUsd(state.spent()),
            held: NanoUsd(state.held),
            rights: NanoUsd(state.rights.kept),
            stranded: NanoUsd(state.stranded_sum()),
            ..AccountView::unused(key.clone(), resets_at, bound)
        }
    }
}

fn limit_and_mode(bound: &Bound) -> (Option<NanoUsd>, Option<BudgetMode>) {
    let limit = bound.terms().map(|term| NanoUsd(term.limit)).min();
    let mode = bound.hard_limit().map(|_| BudgetMode::Hard).or(limit.map(|_| BudgetMode::Soft));
    (limit, mode)
}
