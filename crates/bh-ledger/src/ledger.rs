//! The ledger itself: one handle that every request shares. Reports are in `report`, rates in `rates`.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bh_base::{Millis, NanoUsd, NodeId};
use papaya::HashMap;

use crate::account::{Account, Disagreement, Refused};
use crate::hold::refusal;
use crate::limiter::Limiter;
use crate::recent::Recent;
use crate::rules::{Line, RuleSet};
use crate::shared::Core;
use crate::state::{Deny, Need};
use crate::{
    ACCOUNTS_MAX, AccountKey, Caller, Ceiling, Ceilings, Config, Denial, Dot, Effect, Hold, Notify, Pool, Refusal,
    Scope, span,
};

/// How a ledger is set up; none of it changes while it lives.
pub struct Setup {
    /// This process. Must be new for every process: a slot of the meter has one writer.
    pub node: NodeId,
    /// Where rights come from.
    pub pool: Pool,
    /// Whether ceilings are written.
    pub ceilings: Ceilings,
    /// Who is told that there is something to do or that waiting is over.
    pub notify: Box<dyn Notify>,
}

/// One attempt as far as money is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The target's catalog id.
    pub model: &'a str,
    /// The upper bound of its cost.
    pub strict: NanoUsd,
    /// What it will probably cost at most (see [`Ledger::typical_output`]); cut to `strict`.
    pub adaptive: NanoUsd,
    /// The caller has waited for [`Refusal::RightsPending`] as long as it may: nothing is pending any more, hard
    /// budgets answer [`Refusal::RightsUnavailable`], soft ones pass.
    pub waited: bool,
}

/// Budgets and limits of everybody, for one process. A cheap handle: clones share everything.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) core: Arc<Core>,
    rules: RwLock<Arc<RuleSet>>,
    pub(crate) accounts: HashMap<AccountKey, Arc<Account>>,
    pub(crate) limiters: HashMap<LimiterKey, Arc<Limiter>>,
    pub(crate) recent: Recent,
    /// Processes whose slots were restored unfolded, so that a replay can still correct them.
    pub(crate) replayable: Mutex<Vec<NodeId>>,
}

/// Limits of configuration and token may name the same scope; each has its own limiter, as each has its own rate.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct LimiterKey {
    pub(crate) scope: Scope,
    pub(crate) of_token: bool,
}

/// One attempt on its way through the lines.
#[derive(Clone, Copy)]
struct Walk<'a> {
    attempt: &'a Attempt<'a>,
    now: Millis,
    generation: u64,
}

impl Ledger {
    /// A ledger without spend. The configuration is taken as it is; [`Config::faults`] says what is wrong with it.
    #[must_use]
    pub fn new(setup: Setup, config: &Config) -> Self {
        let core = Core::new(setup.node, setup.pool, setup.ceilings, setup.notify);
        let inner = Inner {
            core: Arc::new(core),
            rules: RwLock::new(Arc::new(RuleSet::new(config))),
            accounts: HashMap::new(),
            limiters: HashMap::new(),
            recent: Recent::new(),
            replayable: Mutex::default(),
        };
        Ledger { inner: Arc::new(inner) }
    }

    /// Puts other rules in force. Spend, holds, rights and rates stay: they are kept by resolved scope and window.
    pub fn reload(&self, now: Millis, config: &Config) {
        let rules = Arc::new(RuleSet::new(config));
        *self.inner.rules.write().unwrap_or_else(PoisonError::into_inner) = rules.clone();
        for (key, account) in &self.inner.accounts.pin() {
            account.step(now, |state, ctx, out| {
                let mut bound = state.bound.clone();
                bound.config = rules.terms(&key.scope, key.window).cloned();
                state.bind(ctx, &bound, out);
            });
        }
        self.inner.core.announce();
    }

    /// Holds money for one attempt at every budget that matches, narrowest scope first and global last; a refusal
    /// undoes what was held. Windows are those of `now`, whenever the hold ends.
    ///
    /// # Errors
    /// See [`Refusal`]: each variant has its own answer to the client.
    pub fn reserve(&self, now: Millis, caller: &Caller, attempt: &Attempt<'_>) -> Result<Hold, Refusal> {
        let core = &self.inner.core;
        let walk = Walk { attempt, now: core.steady(now), generation: core.generation() };
        let lines = self.rules().lines(caller, Some(attempt.model), walk.now);
        let mut hold = Hold::new(core.clone(), walk.now, attempt.model, attempt.strict.0);
        for (index, line) in lines.iter().enumerate() {
            let Err(refused) = self.enter(Some(&mut hold), line, walk) else { continue };
            hold.release();
            let pending = matches!(refused, Refusal::RightsPending(_));
            // All scopes that lack something ask for it now, or one attempt would wait once for each of them; one that
            // is exhausted ends the waiting at once.
            let definite = lines[index + 1..].iter().filter(|_| pending).find_map(|line| {
                let refused = self.enter(None, line, walk).err()?;
                (!matches!(refused, Refusal::RightsPending(_))).then_some(refused)
            });
            return Err(definite.unwrap_or(refused));
        }
        if let Err((key, retry_after)) = hold.take_turns() {
            hold.release();
            return Err(Refusal::SlowLaneFull { scope: key.scope, window: key.window, retry_after });
        }
        Ok(hold)
    }

    /// What 95 of 100 recent answers of this model to this token did not exceed, in tokens; none while too few are
    /// known. The basis of an adaptive estimate.
    #[must_use]
    pub fn typical_output(&self, caller: &Caller, model: &str) -> Option<u64> {
        self.inner.recent.p95(caller.own_scope()?, model)
    }

    /// Notes how long an answer was, in tokens.
    pub fn note_output(&self, caller: &Caller, model: &str, tokens: u64) {
        if let Some(scope) = caller.own_scope() {
            self.inner.recent.note(scope, model, tokens);
        }
    }

    /// What arrived so far: rises whenever a waiting caller should try again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.inner.core.generation()
    }

    /// Everything to be done outside since the last call, in order.
    #[must_use = "effects that are dropped leave callers waiting"]
    pub fn take_effects(&self) -> Vec<Effect> {
        self.inner.core.take()
    }

    /// This ceiling survives a crash now (an answer to [`Effect::PersistCeiling`]).
    pub fn ceiling_durable(&self, now: Millis, ceiling: &Ceiling) {
        self.answer(&ceiling.key, |account| {
            account.step(now, |state, ctx, out| state.ceiling_durable(ctx, ceiling.amount.0, out));
        });
    }

    /// This ceiling could not be written. Hard budgets are refused as unavailable for a second, soft ones pass and are
    /// counted in [`Ledger::unprotected`]; then writing is tried again.
    pub fn ceiling_failed(&self, now: Millis, ceiling: &Ceiling) {
        self.answer(&ceiling.key, |account| account.step(now, |state, _, _| state.ceiling.failed(now)));
    }

    /// The pool granted rights (an answer to [`Effect::Ask`]).
    pub fn granted(&self, now: Millis, key: &AccountKey, amount: NanoUsd) {
        self.answer(key, |account| account.step(now, |state, _, _| state.granted(amount.0)));
    }

    /// The pool granted nothing (an answer to [`Effect::Ask`]); it is asked again a second later at the earliest.
    pub fn denied(&self, now: Millis, key: &AccountKey, denial: Denial) {
        self.answer(key, |account| {
            account.step(now, |state, _, _| state.rights.answered(Some((denial, now))));
        });
    }

    /// This process's slots, absolute, of every counter it spent from: what gossip sends.
    #[must_use]
    pub fn meter_dots(&self) -> Vec<Dot> {
        self.inner.accounts.pin().values().filter_map(|account| account.own_dot()).collect()
    }

    /// Takes peers' slots; repeats, losses and reorderings are harmless.
    pub fn merge(&self, now: Millis, dots: &[Dot]) {
        for dot in dots {
            if let Some(account) = self.account(&dot.key) {
                account.merge(now, dot.node, dot.spent.0);
            }
        }
    }

    /// Tidies up: closed windows, idle scopes and idle limiters are forgotten, idle rights go back. Looks at every
    /// counter, so call it every ten seconds or so; nothing but memory and idle rights waits for it.
    pub fn tick(&self, now: Millis) {
        let now = self.inner.core.steady(now);
        let accounts = self.inner.accounts.pin();
        for (key, account) in &accounts {
            if account.step(now, |state, ctx, out| state.tick(ctx, out)) {
                self.forget(key, account);
            }
        }
        self.tick_limiters(now);
    }

    /// Gives all unused rights back, as a process does that ends. Call it after the last hold has ended.
    pub fn drain(&self, now: Millis) {
        for account in self.inner.accounts.pin().values() {
            account.step(now, |state, ctx, out| state.drain(ctx, out));
        }
    }

    pub(crate) fn rules(&self) -> Arc<RuleSet> {
        self.inner.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The counter of a key, opened if need be; none when there are too many.
    pub(crate) fn account(&self, key: &AccountKey) -> Option<Arc<Account>> {
        let accounts = self.inner.accounts.pin();
        if let Some(account) = accounts.get(key) {
            return Some(account.clone());
        }
        if ACCOUNTS_MAX <= accounts.len() {
            return None;
        }
        let end = span(key.window, key.start).end;
        let open = || Arc::new(Account::new(self.inner.core.clone(), key.clone(), end));
        Some(accounts.get_or_insert_with(key.clone(), open).clone())
    }

    /// Holds one line's share, or with no hold only checks it, which asks for what is missing.
    fn enter(&self, hold: Option<&mut Hold>, line: &Line, walk: Walk<'_>) -> Result<(), Refusal> {
        let strict = walk.attempt.strict.0;
        let (amount, most) = match line.bound.is_empty() {
            true => (0, 0),
            false if line.bound.is_strict() => (strict, strict),
            false => (walk.attempt.adaptive.0.min(strict), strict),
        };
        let need = Need { amount, waited: walk.attempt.waited, more: false };
        loop {
            let (scope, window) = (&line.key.scope, line.key.window);
            let Some(account) = self.account(&line.key) else {
                return Err(Refusal::RightsUnavailable { scope: scope.clone(), window });
            };
            match account.enter(walk.now, line, need, hold.is_some()) {
                Ok(pass) => {
                    if let Some(hold) = hold {
                        hold.push(account, amount, most, pass);
                    }
                    return Ok(());
                }
                // Closed between look-up and lock: whoever closed it removes it, and so do we, to be sure to end.
                Err(Refused::Money(Deny::Closed)) => self.forget(&line.key, &account),
                Err(Refused::Money(deny)) => return Err(refusal(&account, deny, amount, walk.generation)),
                Err(Refused::Shared(Disagreement { known, claimed })) => {
                    return Err(Refusal::Misconfigured { scope: scope.clone(), window, known, claimed });
                }
            }
        }
    }

    fn forget(&self, key: &AccountKey, account: &Arc<Account>) {
        // Another thread may have removed it already, or opened a new one: both are fine.
        let _removed: bool = self.inner.accounts.pin().remove_if(key, |_, known| Arc::ptr_eq(known, account)).is_ok();
    }

    /// Applies an answer from outside; one for a counter that is gone has nothing to change.
    fn answer(&self, key: &AccountKey, apply: impl FnOnce(&Account)) {
        if let Some(account) = self.inner.accounts.pin().get(key) {
            apply(account);
        }
        self.inner.core.announce();
    }
}
