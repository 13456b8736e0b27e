//! What the ledger tells people and disks: views, counts, snapshot and restore.

use std::sync::atomic::Ordering;

use bh_base::{Millis, NanoUsd, NodeId, Window};

use crate::shared::lock;
use crate::{
    AccountKey, AccountSnapshot, AccountView, CLOSE_AFTER, Caller, Ceiling, Ledger, Pool, Scope, Snapshot, span,
};

/// State that cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The state was written by a process with this process's id; the id must be drawn anew at each start.
    #[error("the saved budget state was written under this process's own id {node}; start with a new id")]
    NodeReused {
        /// The id.
        node: NodeId,
    },
}

impl Ledger {
    /// Every counter a call of this caller would be charged to now, in the order of reserving; `model` adds those of
    /// the model.
    #[must_use]
    pub fn view(&self, now: Millis, caller: &Caller, model: Option<&str>) -> Vec<AccountView> {
        let now = self.inner.core.steady(now);
        let accounts = self.inner.accounts.pin();
        let lines = self.rules().lines(caller, model, now);
        let view = |line: &crate::rules::Line| match accounts.get(&line.key) {
            Some(account) => account.view(Some(&line.bound)),
            None => AccountView::unused(line.key.clone(), line.end, &line.bound),
        };
        lines.iter().map(view).collect()
    }

    /// The counters of the caller's own token, without those of its parents and of everyone above it.
    #[must_use]
    pub fn own_view(&self, now: Millis, caller: &Caller) -> Vec<AccountView> {
        let Some(leaf) = caller.links.first() else { return Vec::new() };
        let now = self.inner.core.steady(now);
        let accounts = self.inner.accounts.pin();
        let rules = self.rules();
        let view = |line: crate::rules::Line| match accounts.get(&line.key) {
            Some(account) => account.view(Some(&line.bound)),
            None => AccountView::unused(line.key, line.end, &line.bound),
        };
        rules.link_lines(leaf, now).map(view).collect()
    }

    /// The open counters of one scope, as `bulkhead budget show` prints them.
    #[must_use]
    pub fn status(&self, now: Millis, scope: &Scope) -> Vec<AccountView> {
        let now = self.inner.core.steady(now);
        let accounts = self.inner.accounts.pin();
        let keys = Window::ALL.iter().map(|window| AccountKey {
            scope: scope.clone(),
            window: *window,
            start: span(*window, now).start,
        });
        keys.filter_map(|key| accounts.get(&key).map(|account| account.view(None))).collect()
    }

    /// Every counter that is kept, closed windows included until they are forgotten: for metrics, which choose what
    /// they show.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountView> {
        self.inner.accounts.pin().values().map(|account| account.view(None)).collect()
    }

    /// Spent by everyone known in one counter, ceilings of crashed processes not included; never waits.
    #[must_use]
    pub fn metered(&self, key: &AccountKey) -> NanoUsd {
        self.inner.accounts.pin().get(key).map_or(NanoUsd::ZERO, |account| account.metered())
    }

    /// Holds that were dropped without an end since the start: each is a bug (`bulkhead_holds_leaked_total`).
    #[must_use]
    pub fn leaked(&self) -> u64 {
        self.inner.core.counts.leaked.load(Ordering::Relaxed)
    }

    /// Attempts on soft budgets that passed before their ceiling was durable: a crash then may under-count them.
    #[must_use]
    pub fn unprotected(&self) -> u64 {
        self.inner.core.counts.unprotected.load(Ordering::Relaxed)
    }

    /// Alerts and overcharges dropped because nobody took effects.
    #[must_use]
    pub fn notes_dropped(&self) -> u64 {
        self.inner.core.counts.notes_dropped.load(Ordering::Relaxed)
    }

    /// Everything that must survive a restart. Holds in flight are included as stranded, so it is safe at any moment;
    /// after the last hold has ended it is exact. Each counter is whole, the counters are not of one instant.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let node = self.inner.core.node;
        let accounts = self.inner.accounts.pin();
        let accounts = accounts.values().filter_map(|account| account.snapshot(node)).collect();
        Snapshot { node, accounts }
    }

    /// Takes back what earlier processes spent: the last snapshot, and every ceiling written since. What a ceiling
    /// allows beyond the snapshot counts as spent until [`Ledger::replayed`] proves less. Calling it again with the
    /// same values changes nothing. Windows that are closed are left out.
    ///
    /// # Errors
    /// The state carries this process's own id.
    pub fn restore(&self, now: Millis, snapshot: Option<&Snapshot>, ceilings: &[Ceiling]) -> Result<(), RestoreError> {
        let core = &self.inner.core;
        let now = core.steady(now);
        let accounts = snapshot.map_or(&[][..], |snapshot| &snapshot.accounts);
        let slots = accounts.iter().flat_map(|account| account.slots.iter().chain(&account.stranded));
        let mut nodes = slots.map(|(node, _)| *node).chain(ceilings.iter().map(|ceiling| ceiling.node));
        if nodes.any(|node| node == core.node) {
            return Err(RestoreError::NodeReused { node: core.node });
        }
        let mut keep: Vec<NodeId> =
            ceilings.iter().map(|ceiling| ceiling.node).chain(snapshot.map(|snapshot| snapshot.node)).collect();
        keep.sort_unstable();
        keep.dedup();
        let open = |key: &AccountKey| span(key.window, key.start).end.is_none_or(|end| now < end.plus(CLOSE_AFTER));
        for saved in accounts.iter().filter(|saved| open(&saved.key)) {
            if let Some(account) = self.account(&saved.key) {
                let fold = core.pool == Pool::OwnLimit;
                account.step(now, |state, _, _| saved.put_back(state, fold, &keep));
            }
        }
        for ceiling in ceilings.iter().filter(|ceiling| open(&ceiling.key)) {
            if let Some(account) = self.account(&ceiling.key) {
                account.step(now, |state, _, _| state.strand(ceiling.node, ceiling.amount.0));
            }
        }
        *lock(&self.inner.replayable) = keep;
        Ok(())
    }

    /// A crashed process's durable records prove that it spent `spent` in all on this counter: what its ceiling
    /// allowed beyond that is given back. Call it only when the records are complete: every attempt that could have
    /// cost something left a record before its provider was called, and those without an outcome are counted at what
    /// they held. Returns whether the process is one that [`Ledger::restore`] brought back; others change nothing.
    pub fn replayed(&self, now: Millis, key: &AccountKey, node: NodeId, spent: NanoUsd) -> bool {
        let known = lock(&self.inner.replayable).contains(&node);
        if let Some(account) = self.account(key).filter(|_| known) {
            account.step(now, |state, _, _| state.replayed(node, spent.0));
            self.inner.core.announce();
        }
        known
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("accounts", &self.inner.accounts.len()).finish()
    }
}

impl AccountSnapshot {
    /// Spent by all processes, ceilings included: what a restart will count.
    #[must_use]
    pub fn spent(&self) -> NanoUsd {
        self.slots.iter().chain(&self.stranded).map(|(_, amount)| *amount).sum()
    }
}
