//! The arithmetic of one counter: may this be spent, and what follows. Pure; `account` puts a lock around it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bh_base::{BudgetMode, Invariant, Millis, NanoUsd, NodeId, Overage, hold, note_broken};

use crate::meter::Meter;
use crate::pace::Pace;
use crate::rights::{OwnCeiling, Rights};
use crate::rules::Bound;
use crate::shared::Core;
use crate::{
    AccountKey, Alert, Ask, CLOSE_AFTER, Ceiling, Ceilings, Denial, Effect, Pool, SLOW_LANE_SPACING, SLOW_LANE_WAIT_MAX,
};

/// How long a counter that was never spent from is kept after its last use.
const IDLE_AFTER: Millis = Millis::from_secs(60);
/// Basis points in a whole.
const WHOLE_BP: u32 = 10_000;

/// Everything known of one counter.
#[derive(Debug)]
pub(crate) struct State {
    /// Forgotten: whoever still reaches it must look the key up again.
    pub(crate) closed: bool,
    pub(crate) bound: Bound,
    pub(crate) meter: Meter,
    pub(crate) held: u64,
    /// Holds in flight, those of nothing included: what they cost must find the counter again.
    pub(crate) open: u64,
    /// Ceilings of crashed processes beyond what their slots prove: counted as spent.
    pub(crate) stranded: BTreeMap<NodeId, u64>,
    pub(crate) rights: Rights,
    pub(crate) ceiling: OwnCeiling,
    pub(crate) pace: Pace,
    /// Limits and shares whose alert was raised.
    pub(crate) alerted: Vec<(u64, u32)>,
    slow_until: Millis,
    pub(crate) expires_at: Option<Millis>,
}

/// What a decision needs to know besides the counter itself.
pub(crate) struct Context<'a> {
    pub(crate) core: &'a Core,
    pub(crate) key: &'a AccountKey,
    pub(crate) end: Option<Millis>,
    pub(crate) now: Millis,
}

/// What is to be held.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    pub(crate) amount: u64,
    /// The caller has already waited for rights once.
    pub(crate) waited: bool,
    /// More of a hold that exists: a call in flight is not stopped by a line drawn for new ones.
    pub(crate) more: bool,
}

/// Why nothing was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deny {
    Closed,
    Exhausted { limit: u64, spent: u64, held: u64 },
    Pending,
    Unavailable,
}

/// Whether a passed attempt belongs to the slow lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    Normal,
    Slow,
}

impl State {
    pub(crate) fn new(node: NodeId) -> Self {
        State {
            closed: false,
            bound: Bound::default(),
            meter: Meter::new(node),
            held: 0,
            open: 0,
            stranded: BTreeMap::new(),
            rights: Rights::default(),
            ceiling: OwnCeiling::default(),
            pace: Pace::default(),
            alerted: Vec::new(),
            slow_until: Millis(0),
            expires_at: None,
        }
    }

    /// Spent by everyone, ceilings of crashed processes included.
    pub(crate) fn spent(&self) -> u64 {
        self.meter.total().saturating_add(self.stranded_sum())
    }

    pub(crate) fn stranded_sum(&self) -> u64 {
        self.stranded.values().fold(0, |sum, amount| sum.saturating_add(*amount))
    }

    /// Spent and held by this process.
    pub(crate) fn used(&self) -> u64 {
        self.meter.own().saturating_add(self.held)
    }

    /// Spent by anyone but this process.
    fn others(&self) -> u64 {
        self.spent().saturating_sub(self.meter.own())
    }

    /// Puts new budgets in force. Rights above a lowered limit go back at once, but for what is used.
    pub(crate) fn bind(&mut self, ctx: &Context<'_>, bound: &Bound, out: &mut Vec<Effect>) {
        if self.bound.same_as(bound) {
            return;
        }
        self.bound = bound.clone();
        let room = match (self.bound.hard_limit(), ctx.core.pool) {
            (Some(limit), Pool::OwnLimit) => limit.saturating_sub(self.others()),
            (Some(limit), Pool::Effects) => limit,
            (None, _) => 0,
        };
        let excess = self.rights.kept.saturating_sub(room.max(self.used()));
        self.give_back(ctx, excess, out);
    }

    /// Checks the budgets of this counter and holds the amount, or says why not. Nothing is changed on refusal but
    /// what was asked for outside.
    pub(crate) fn admit(&mut self, ctx: &Context<'_>, need: Need, out: &mut Vec<Effect>) -> Result<Pass, Deny> {
        let pass = self.check(ctx, need, out)?;
        self.held = self.held.saturating_add(need.amount);
        self.open += u64::from(!need.more);
        self.pace.estimated(ctx.now, need.amount);
        if 0 < need.amount && self.bound.hard_limit().is_some() {
            hold!(Invariant::SpendWithinRights, self.used() <= self.rights.kept);
        }
        self.look_ahead(ctx, out);
        Ok(pass)
    }

    /// The same check without holding, so that all scopes of a waiting attempt ask for what they lack at once.
    pub(crate) fn check(&mut self, ctx: &Context<'_>, need: Need, out: &mut Vec<Effect>) -> Result<Pass, Deny> {
        let exhausted = |state: &State, limit| Deny::Exhausted { limit, spent: state.spent(), held: state.held };
        let mut pass = Pass::Normal;
        for term in self.bound.terms().filter(|term| term.mode == BudgetMode::Soft && !need.more) {
            if self.spent() < term.limit {
                continue;
            }
            match term.overage {
                Overage::Block => return Err(exhausted(self, term.limit)),
                Overage::Alert => (),
                Overage::Throttle => pass = Pass::Slow,
            }
        }
        let Some(after) = self.used().checked_add(need.amount) else { return Err(exhausted(self, u64::MAX)) };
        let hard = self.bound.hard_limit();
        if let Some(limit) = hard {
            let all = self.spent().checked_add(self.held).and_then(|sum| sum.checked_add(need.amount));
            if all.is_none_or(|all| limit < all) {
                return Err(exhausted(self, limit));
            }
            let short = after.saturating_sub(self.rights.kept);
            if 0 < short && 0 < need.amount {
                self.acquire(ctx, need, (short, limit), out)?;
            }
        }
        if ctx.core.ceilings == Ceilings::Persist && !self.bound.is_empty() && self.ceiling.durable < after {
            self.raise_ceiling(ctx, need, hard.is_some(), out)?;
        }
        Ok(pass)
    }

    /// Gets rights for a hard budget: from the limit itself, or by asking and letting the caller wait.
    fn acquire(
        &mut self,
        ctx: &Context<'_>,
        need: Need,
        (short, limit): (u64, u64),
        out: &mut Vec<Effect>,
    ) -> Result<(), Deny> {
        let wanted = short.max(self.appetite(ctx.now));
        match ctx.core.pool {
            Pool::OwnLimit => {
                let free = limit.saturating_sub(self.others()).saturating_sub(self.rights.kept);
                self.rights.kept += wanted.min(free);
                hold!(Invariant::RightsWithinLimit, self.others().saturating_add(self.rights.kept) <= limit);
                Ok(())
            }
            Pool::Effects => {
                let denial = self.rights.denial(ctx.now);
                if denial.is_none_or(|(_, stale)| stale)
                    && let Some(needed) = self.rights.miss(short, need.amount)
                {
                    out.push(self.ask(ctx, needed, wanted.max(needed), limit));
                }
                match denial {
                    Some((Denial::Gone, _)) => Err(Deny::Exhausted { limit, spent: self.spent(), held: self.held }),
                    Some((Denial::Unavailable, _)) => Err(Deny::Unavailable),
                    None if need.waited => Err(Deny::Unavailable),
                    None => Err(Deny::Pending),
                }
            }
        }
    }

    /// The durable ceiling is too low. Hard budgets wait for it; soft ones wait once and then pass, which is counted.
    fn raise_ceiling(&mut self, ctx: &Context<'_>, need: Need, hard: bool, out: &mut Vec<Effect>) -> Result<(), Deny> {
        let failing = self.ceiling.is_failing(ctx.now);
        self.ceiling.unmet = self.ceiling.unmet.saturating_add(need.amount);
        if !failing {
            self.ask_ceiling(ctx, need.amount, out);
        }
        if !need.waited && !failing {
            return Err(Deny::Pending);
        }
        if hard {
            return Err(Deny::Unavailable);
        }
        ctx.core.counts.unprotected.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Asks for a ceiling that covers what is used, everyone who waits, and about five seconds more.
    fn ask_ceiling(&mut self, ctx: &Context<'_>, need: u64, out: &mut Vec<Effect>) {
        if self.ceiling.asked.is_some() {
            return;
        }
        let headroom = self.pace.five_seconds(ctx.now).max(self.pace.largest_estimate(ctx.now)).max(need);
        let base = self.used().saturating_add(self.ceiling.unmet.max(need));
        let mut amount = base.saturating_add(headroom);
        if let Some(limit) = self.bound.hard_limit() {
            // A hard slot never grows past this, so a higher ceiling would only strand more after a crash.
            amount = amount.min(limit.saturating_sub(self.others()).max(self.used()));
        }
        if self.ceiling.durable < amount {
            // Everyone who waits is covered; who comes while this is being written is counted anew.
            self.ceiling.unmet = 0;
            self.ceiling.asked = Some(amount);
            let (key, node) = (ctx.key.clone(), ctx.core.node);
            out.push(Effect::PersistCeiling(Ceiling { key, node, amount: NanoUsd(amount) }));
        }
    }

    /// Asks ahead of need, so that the next attempts find rights and ceiling ready.
    fn look_ahead(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        let headroom = self.pace.five_seconds(ctx.now).max(self.pace.largest_estimate(ctx.now));
        let (used, kept) = (self.used(), self.rights.kept);
        if ctx.core.ceilings == Ceilings::Persist
            && !self.bound.is_empty()
            && self.ceiling.durable.saturating_sub(used) < headroom / 2
            && !self.ceiling.is_failing(ctx.now)
        {
            self.ask_ceiling(ctx, 0, out);
        }
        let Some(limit) = self.bound.hard_limit() else { return };
        // Low water of CLUSTER.md: never less than ten seconds of spend, plus the largest recent estimate.
        let low = self.pace.five_seconds(ctx.now).saturating_mul(2).saturating_add(self.pace.largest_estimate(ctx.now));
        let may_ask = ctx.core.pool == Pool::Effects && !self.rights.asked && self.rights.denied.is_none();
        if may_ask && kept.saturating_sub(used) < low && self.spent().saturating_add(self.held) < limit {
            self.rights.asked = true;
            let wanted = self.appetite(ctx.now);
            out.push(self.ask(ctx, 0, wanted, limit));
        }
    }

    /// What would last: 45 s of spend, at least four large calls.
    fn appetite(&mut self, now: Millis) -> u64 {
        self.pace.five_seconds(now).saturating_mul(9).max(self.pace.largest_estimate(now).saturating_mul(4))
    }

    fn ask(&self, ctx: &Context<'_>, needed: u64, wanted: u64, limit: u64) -> Effect {
        let (needed, wanted, limit) = (NanoUsd(needed), NanoUsd(wanted), NanoUsd(limit));
        Effect::Ask(Ask { key: ctx.key.clone(), needed, wanted, limit })
    }

    /// Lowers the rights kept first and says so once.
    fn give_back(&mut self, ctx: &Context<'_>, amount: u64, out: &mut Vec<Effect>) {
        if amount == 0 {
            return;
        }
        self.rights.kept -= amount;
        if ctx.core.pool == Pool::Effects {
            out.push(Effect::Return { key: ctx.key.clone(), amount: NanoUsd(amount) });
        }
    }

    /// Ends a hold at its real cost.
    pub(crate) fn settle(&mut self, ctx: &Context<'_>, held: u64, cost: u64, out: &mut Vec<Effect>) {
        self.release(held);
        self.meter.add(cost);
        self.pace.spent(ctx.now, cost);
        self.raise_alerts(ctx, out);
        // Only a call that cost more than its hold, or one that passed unprotected, gets here with too low a ceiling.
        if ctx.core.ceilings == Ceilings::Persist && !self.bound.is_empty() && self.ceiling.durable < self.used() {
            self.ask_ceiling(ctx, 0, out);
        }
    }

    /// Ends a hold without cost.
    pub(crate) fn release(&mut self, held: u64) {
        hold!(Invariant::HoldsSettleOnce, 0 < self.open);
        self.open = self.open.saturating_sub(1);
        self.lower(held);
    }

    /// Takes a part of a hold back; the hold goes on.
    pub(crate) fn lower(&mut self, held: u64) {
        hold!(Invariant::HoldsSettleOnce, held <= self.held);
        self.held = self.held.saturating_sub(held);
    }

    /// A turn in the slow lane: when the attempt may start, or how long until the lane has room.
    pub(crate) fn take_turn(&mut self, now: Millis) -> Result<Millis, Millis> {
        let start_at = self.slow_until.max(now).plus(SLOW_LANE_SPACING);
        let latest = now.plus(SLOW_LANE_WAIT_MAX);
        if latest < start_at {
            return Err(start_at.since(latest));
        }
        self.slow_until = start_at;
        Ok(start_at)
    }

    /// Raises each alert whose share is now spent and that was not raised before.
    pub(crate) fn raise_alerts(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        let spent = self.spent();
        if spent == 0 {
            return;
        }
        for term in self.bound.terms() {
            // A budget that lets people pass says at least that it is used up.
            let implied = (term.overage != Overage::Block).then_some(&WHOLE_BP);
            for share in term.alerts_bp.iter().chain(implied) {
                let line = u128::from(term.limit) * u128::from(*share);
                let reached = line <= u128::from(spent) * u128::from(WHOLE_BP);
                if !reached || self.alerted.contains(&(term.limit, *share)) {
                    continue;
                }
                self.alerted.push((term.limit, *share));
                let (key, limit, spent) = (ctx.key.clone(), NanoUsd(term.limit), NanoUsd(spent));
                out.push(Effect::Alert(Alert { key, limit, share_bp: *share, spent, at: ctx.now }));
            }
        }
    }

    /// A ceiling is on disk. Whoever came while it was being written is covered by the next one at once.
    pub(crate) fn ceiling_durable(&mut self, ctx: &Context<'_>, amount: u64, out: &mut Vec<Effect>) {
        self.ceiling.is_durable(amount);
        let waiting = self.ceiling.unmet;
        if self.ceiling.asked.is_none() && self.ceiling.durable < self.used().saturating_add(waiting) {
            self.ask_ceiling(ctx, 0, out);
        }
        self.ceiling.unmet = 0;
    }

    /// Rights came from the pool.
    pub(crate) fn granted(&mut self, amount: u64) {
        self.rights.kept = self.rights.kept.saturating_add(amount);
        self.rights.answered(None);
    }

    /// The replay of a crashed process's records proves what it spent: its ceiling stops counting.
    pub(crate) fn replayed(&mut self, node: NodeId, spent: u64) {
        self.meter.merge(node, spent);
        self.stranded.remove(&node);
    }

    /// A crashed process may have spent up to this in its slot.
    pub(crate) fn strand(&mut self, node: NodeId, ceiling: u64) {
        let unproven = ceiling.saturating_sub(self.meter.slot(node));
        if 0 < unproven {
            let known = self.stranded.entry(node).or_default();
            *known = unproven.max(*known);
        }
    }

    /// Keeps the counter tidy as time passes; returns whether it can be forgotten.
    pub(crate) fn tick(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) -> bool {
        let over = |at: Option<Millis>| at.is_some_and(|at| at.plus(CLOSE_AFTER) <= ctx.now);
        let idle = self.pace.last_used.plus(IDLE_AFTER) <= ctx.now;
        let unused = self.spent() == 0 && idle && !self.rights.asked && self.ceiling.asked.is_none();
        let forget = self.open == 0 && (over(ctx.end) || over(self.expires_at) || unused);
        if ctx.core.pool == Pool::Effects && (idle || forget) {
            // A crumb stays with an idle scope, so that its next call survives an outage of the pool.
            let crumb = if forget { 0 } else { self.pace.largest_estimate(ctx.now) };
            let free = self.rights.kept.saturating_sub(self.used()).saturating_sub(crumb);
            self.give_back(ctx, free, out);
        }
        self.closed = forget;
        forget
    }

    /// Gives back everything that is not used, as a process does that ends.
    pub(crate) fn drain(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        self.give_back(ctx, self.rights.kept.saturating_sub(self.used()), out);
    }
}

/// Counts a call that cost more than its bound. The provider is to blame, so nothing panics.
pub(crate) fn note_overcharge() {
    note_broken(Invariant::CostWithinHold);
}
