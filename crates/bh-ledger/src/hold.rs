//! Money held for one attempt, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bh_base::{HoldMode, Millis, NanoUsd};

use crate::account::Account;
use crate::shared::Core;
use crate::state::{Deny, Pass, note_overcharge};
use crate::{AccountKey, Effect, Overcharge, Refusal};

/// Money held at every counter of one attempt. Exactly one of [`Hold::settle`], [`Hold::settle_unknown`] and
/// [`Hold::release`] ends it; a hold that is dropped instead is counted as leaked and charged as if its outcome were
/// unknown, so that a bug of ours never makes money reappear.
#[must_use = "a hold must be settled or released"]
pub struct Hold {
    core: Arc<Core>,
    model: Box<str>,
    strict: u64,
    entries: Vec<Entry>,
    start_at: Option<Millis>,
    now: Millis,
    ended: bool,
}

struct Entry {
    account: Arc<Account>,
    held: u64,
    /// What it may be topped up to: the bound of the call, or nothing for a counter without a budget.
    most: u64,
    pass: Pass,
}

/// How fast an admitted attempt may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// At once.
    Normal,
    /// A budget with overage `throttle` is used up: send the attempt at this instant and not before. Attempts of one
    /// scope start at least [`crate::SLOW_LANE_SPACING`] apart, so an overspent scope trickles instead of stopping.
    Slow {
        /// The instant, at most [`crate::SLOW_LANE_WAIT_MAX`] away.
        start_at: Millis,
    },
}

/// What a settlement charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an overcharged model must be disabled for hard scopes"]
pub struct Settled {
    /// The real cost, charged in full to every counter.
    pub cost: NanoUsd,
    /// The cost exceeds the bound of the call (I3): the provider or the price table is wrong, so this model must not
    /// serve hard scopes until looked at. [`Effect::Overcharge`] says the same to the assembly.
    pub overcharged: bool,
}

impl Hold {
    pub(crate) fn new(core: Arc<Core>, now: Millis, model: &str, strict: u64) -> Self {
        let (model, entries) = (Box::from(model), Vec::with_capacity(8));
        Hold { core, model, strict, entries, start_at: None, now, ended: false }
    }

    pub(crate) fn push(&mut self, account: Arc<Account>, held: u64, most: u64, pass: Pass) {
        self.entries.push(Entry { account, held, most, pass });
    }

    /// Takes a turn in the slow lane of each scope that is throttled; the latest counts. On a full lane, its key and
    /// the time until it has room.
    pub(crate) fn take_turns(&mut self) -> Result<(), (AccountKey, Millis)> {
        for entry in self.entries.iter().filter(|entry| entry.pass == Pass::Slow) {
            let turn = entry.account.step(self.now, |state, ctx, _| state.take_turn(ctx.now));
            let start_at = turn.map_err(|retry_after| (entry.account.key.clone(), retry_after))?;
            self.start_at = self.start_at.max(Some(start_at));
        }
        Ok(())
    }

    /// How fast the attempt may go.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.start_at.map_or(Lane::Normal, |start_at| Lane::Slow { start_at })
    }

    /// The least that is held at any budget: while the cost so far stays below it, nothing needs topping up. The whole
    /// bound when every budget holds strictly or nothing has a budget.
    #[must_use]
    pub fn covered(&self) -> NanoUsd {
        let budgets = self.entries.iter().filter(|entry| 0 < entry.most);
        NanoUsd(budgets.map(|entry| entry.held).min().unwrap_or(self.strict))
    }

    /// The upper bound of the call's cost, as it was reserved.
    #[must_use]
    pub fn bound(&self) -> NanoUsd {
        NanoUsd(self.strict)
    }

    /// The counters charged, for the audit record from which a replay proves what was spent.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountKey> {
        self.entries.iter().map(|entry| &entry.account.key)
    }

    /// What is held at each counter, and whether it is a true bound of the call there, for the audit record.
    pub fn held(&self) -> impl Iterator<Item = (&AccountKey, NanoUsd, HoldMode)> {
        self.entries.iter().map(|entry| {
            let whole = self.strict <= entry.held;
            let mode = if whole || entry.most == 0 { HoldMode::Strict } else { HoldMode::Adaptive };
            (&entry.account.key, NanoUsd(entry.held), mode)
        })
    }

    /// Holds `more` at every adaptive budget, up to the bound of the call; strict ones already hold it.
    ///
    /// # Errors
    /// Nothing more is held anywhere. The answer that is streaming may then go on only to [`Hold::covered`]:
    /// on [`Refusal::RightsPending`] wait and try again (with `waited` at the end), else end it there.
    pub fn top_up(&mut self, now: Millis, more: NanoUsd, waited: bool) -> Result<(), Refusal> {
        let now = self.core.steady(now);
        self.now = self.now.max(now);
        let generation = self.core.generation();
        let mut added = Vec::with_capacity(self.entries.len());
        for (index, entry) in self.entries.iter().enumerate() {
            let amount = more.0.min(entry.most.saturating_sub(entry.held));
            if amount == 0 {
                continue;
            }
            if let Err(deny) = entry.account.more(now, amount, waited) {
                let account = entry.account.clone();
                for (index, amount) in added {
                    let entry: &Entry = &self.entries[index];
                    entry.account.lower(amount);
                }
                return Err(refusal(&account, deny, amount, generation));
            }
            added.push((index, amount));
        }
        for (index, amount) in added {
            self.entries[index].held += amount;
        }
        Ok(())
    }

    /// Charges the real cost to every counter and gives the rest of the hold back.
    pub fn settle(mut self, now: Millis, cost: NanoUsd) -> Settled {
        let now = self.core.steady(now);
        let overcharged = self.strict < cost.0;
        for entry in &self.entries {
            entry.account.settle(now, entry.held, cost.0);
        }
        self.ended = true;
        if overcharged {
            note_overcharge();
            let (model, bound) = (self.model.to_string(), NanoUsd(self.strict));
            self.core.emit(vec![Effect::Overcharge(Overcharge { model, bound, cost, at: now })]);
        }
        Settled { cost, overcharged }
    }

    /// Charges what is held: the call may have been served, and nobody knows what it cost.
    pub fn settle_unknown(mut self, now: Millis) -> Settled {
        self.now = self.core.steady(now);
        self.charge_held()
    }

    /// Gives everything back: the call was certainly not served.
    pub fn release(mut self) {
        self.ended = true;
        for entry in &self.entries {
            entry.account.release(entry.held);
        }
    }

    fn charge_held(&mut self) -> Settled {
        self.ended = true;
        let least = self.covered().0;
        for entry in &self.entries {
            // A counter without a budget holds nothing; it is charged like the tightest that has one.
            let cost = if 0 < entry.most { entry.held } else { least };
            entry.account.settle(self.now, entry.held, cost);
        }
        Settled { cost: NanoUsd(least), overcharged: false }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.ended {
            self.core.counts.leaked.fetch_add(1, Ordering::Relaxed);
            let _charged: Settled = self.charge_held();
        }
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held: Vec<_> = self.entries.iter().map(|entry| (&entry.account.key, entry.held)).collect();
        f.debug_struct("Hold").field("model", &self.model).field("strict", &self.strict).field("held", &held).finish()
    }
}

/// An account's refusal in the words of the caller.
pub(crate) fn refusal(account: &Account, deny: Deny, needed: u64, generation: u64) -> Refusal {
    let (scope, window) = (account.key.scope.clone(), account.key.window);
    match deny {
        Deny::Exhausted { limit, spent, held } => Refusal::Exhausted(crate::Exhausted {
            scope,
            window,
            limit: NanoUsd(limit),
            spent: NanoUsd(spent),
            held: NanoUsd(held),
            needed: NanoUsd(needed),
            resets_at: account.end,
        }),
        Deny::Pending => Refusal::RightsPending(crate::Pending { scope, window, generation }),
        Deny::Unavailable | Deny::Closed => Refusal::RightsUnavailable { scope, window },
    }
}
