//! One counter behind its lock. The lock covers arithmetic only; effects leave after it is released.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bh_base::{Millis, NanoUsd, NodeId};

use crate::rules::{Bound, Line};
use crate::shared::{Core, lock};
use crate::state::{Context, Deny, Need, Pass, State};
use crate::{AccountKey, AccountSnapshot, AccountView, Dot, Effect};

pub(crate) struct Account {
    pub(crate) key: AccountKey,
    pub(crate) end: Option<Millis>,
    core: Arc<Core>,
    /// The meter's total, for readers that must not wait for the lock.
    total: AtomicU64,
    state: Mutex<State>,
}

/// Two tokens disagree about a shared budget.
pub(crate) struct Disagreement {
    pub(crate) known: NanoUsd,
    pub(crate) claimed: NanoUsd,
}

/// Why an account refused.
pub(crate) enum Refused {
    Money(Deny),
    Shared(Disagreement),
}

impl Account {
    pub(crate) fn new(core: Arc<Core>, key: AccountKey, end: Option<Millis>) -> Self {
        let state = Mutex::new(State::new(core.node));
        Account { key, end, core, total: AtomicU64::new(0), state }
    }

    /// Runs one step under the lock and sends what it asks for afterwards.
    pub(crate) fn step<T>(&self, now: Millis, run: impl FnOnce(&mut State, &Context<'_>, &mut Vec<Effect>) -> T) -> T {
        let mut out = Vec::new();
        let mut state = lock(&self.state);
        let context = Context { core: &self.core, key: &self.key, end: self.end, now };
        let result = run(&mut state, &context, &mut out);
        self.total.store(state.meter.total(), Ordering::Relaxed);
        drop(state);
        self.core.emit(out);
        result
    }

    /// Holds an amount for a line, or only asks for what is missing (`commit` false).
    pub(crate) fn enter(&self, now: Millis, line: &Line, need: Need, commit: bool) -> Result<Pass, Refused> {
        self.step(now, |state, ctx, out| {
            if state.closed {
                return Err(Refused::Money(Deny::Closed));
            }
            if line.shared {
                agree(&state.bound, &line.bound).map_err(Refused::Shared)?;
            }
            state.bind(ctx, &line.bound, out);
            state.expires_at = line.expires_at.max(state.expires_at);
            state.pace.last_used = state.pace.last_used.max(now);
            let answer = if commit { state.admit(ctx, need, out) } else { state.check(ctx, need, out) };
            answer.map_err(Refused::Money)
        })
    }

    /// Holds more for a call in flight.
    pub(crate) fn more(&self, now: Millis, amount: u64, waited: bool) -> Result<(), Deny> {
        let need = Need { amount, waited, more: true };
        self.step(now, |state, ctx, out| state.admit(ctx, need, out).map(|_| ()))
    }

    pub(crate) fn settle(&self, now: Millis, held: u64, cost: u64) {
        self.step(now, |state, ctx, out| state.settle(ctx, held, cost, out));
    }

    pub(crate) fn release(&self, held: u64) {
        // Nothing of a release depends on the time.
        self.step(Millis(0), |state, _, _| state.release(held));
    }

    pub(crate) fn lower(&self, held: u64) {
        self.step(Millis(0), |state, _, _| state.lower(held));
    }

    pub(crate) fn merge(&self, now: Millis, node: NodeId, spent: u64) {
        self.step(now, |state, ctx, out| {
            if state.meter.merge(node, spent) {
                state.raise_alerts(ctx, out);
            }
        });
    }

    /// Spent by everyone, without waiting for the lock.
    pub(crate) fn metered(&self) -> NanoUsd {
        NanoUsd(self.total.load(Ordering::Relaxed))
    }

    /// This process's slot; none while it spent nothing.
    pub(crate) fn own_dot(&self) -> Option<Dot> {
        let spent = lock(&self.state).meter.own();
        (0 < spent).then(|| Dot { key: self.key.clone(), node: self.core.node, spent: NanoUsd(spent) })
    }

    /// The numbers, with the limits of the given budgets or of those last seen.
    pub(crate) fn view(&self, bound: Option<&Bound>) -> AccountView {
        let state = lock(&self.state);
        AccountView::of(&self.key, self.end, &state, bound.unwrap_or(&state.bound))
    }

    pub(crate) fn snapshot(&self, me: NodeId) -> Option<AccountSnapshot> {
        AccountSnapshot::of(&self.key, me, &lock(&self.state))
    }
}

/// Every reissue must state the limits of the token that came first.
fn agree(known: &Bound, claimed: &Bound) -> Result<(), Disagreement> {
    let (Some(known), Some(claimed)) = (&known.claim, &claimed.claim) else { return Ok(()) };
    if Arc::ptr_eq(known, claimed) || known.list == claimed.list {
        return Ok(());
    }
    let differ = known.list.iter().zip(&claimed.list).find(|(a, b)| a != b);
    let (a, b) = differ.or(known.list.first().zip(claimed.list.first())).map_or((0, 0), |(a, b)| (a.limit, b.limit));
    Err(Disagreement { known: NanoUsd(a), claimed: NanoUsd(b) })
}
