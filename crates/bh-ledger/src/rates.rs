//! The ledger's other half: rates and concurrency of everyone.

use std::sync::Arc;

use bh_base::{Millis, ScopeKind};

use crate::ledger::LimiterKey;
use crate::limiter::{Full, Limiter};
use crate::rules::RuleSet;
use crate::{Caller, LIMITERS_MAX, Ledger, LimitKind, LimitRefusal, Limits, Rate, Rates, Scope, Slot, Tokens};

impl Ledger {
    /// Takes a place and a share of the rates of every limited scope of the caller, or nothing.
    ///
    /// # Errors
    /// The first limit reached, narrowest scope first.
    pub fn limit(&self, now: Millis, caller: &Caller, estimate: Tokens) -> Result<Slot, LimitRefusal> {
        self.take(now, estimate, limits_of(&self.rules(), caller))
    }

    /// The same for the limits of one model (`model:` scopes), per attempt; `model` is the target's catalog id.
    ///
    /// # Errors
    /// The limit reached.
    pub fn limit_model(&self, now: Millis, model: &str, estimate: Tokens) -> Result<Slot, LimitRefusal> {
        let rules = self.rules();
        if !rules.limits_models() {
            return Ok(Slot::default());
        }
        let scope = Scope::of(ScopeKind::Model, model);
        let limits = rules.limits(&scope).copied();
        self.take(now, estimate, limits.map(|limits| (LimiterKey { scope, of_token: false }, limits)))
    }

    /// The caller's tightest rates, for response headers.
    #[must_use]
    pub fn rates(&self, now: Millis, caller: &Caller) -> Rates {
        let mut rates = Rates::default();
        for (key, limits) in limits_of(&self.rules(), caller) {
            let limiters = self.inner.limiters.pin();
            let limiter = limiters.get(&key).cloned().unwrap_or_else(|| Arc::new(Limiter::new(now)));
            let tighter = |known: Option<Rate>, kind| {
                let rate = limiter.rate(now, &limits, kind);
                known.into_iter().chain(rate).min_by_key(|rate| rate.remaining)
            };
            rates = Rates {
                requests: tighter(rates.requests, LimitKind::Requests),
                tokens: tighter(rates.tokens, LimitKind::Tokens),
            };
        }
        rates
    }

    fn take(
        &self,
        now: Millis,
        estimate: Tokens,
        wanted: impl IntoIterator<Item = (LimiterKey, Limits)>,
    ) -> Result<Slot, LimitRefusal> {
        let mut slot = Slot::default();
        for (key, limits) in wanted {
            if let Err(refusal) = self.take_one(&mut slot, now, (key, limits), estimate) {
                slot.refund(now);
                return Err(refusal);
            }
        }
        Ok(slot)
    }

    fn take_one(
        &self,
        slot: &mut Slot,
        now: Millis,
        (key, limits): (LimiterKey, Limits),
        estimate: Tokens,
    ) -> Result<(), LimitRefusal> {
        let limiters = self.inner.limiters.pin();
        loop {
            let limiter = match limiters.get(&key) {
                Some(limiter) => limiter.clone(),
                None if LIMITERS_MAX <= limiters.len() => {
                    // Room comes back as idle scopes are forgotten, which is about once a second.
                    let retry_after = Millis::from_secs(1);
                    let kind = LimitKind::Concurrency;
                    return Err(LimitRefusal { scope: key.scope, kind, limit: 0, remaining: 0, retry_after });
                }
                None => limiters.get_or_insert_with(key.clone(), || Arc::new(Limiter::new(now))).clone(),
            };
            match limiter.take(now, &limits, estimate) {
                Ok(taken) => {
                    slot.push(limiter, limits, taken);
                    return Ok(());
                }
                Err(Full::Closed) => self.forget_limiter(&key, &limiter),
                Err(Full::Limit { kind, limit, remaining, retry_after }) => {
                    return Err(LimitRefusal { scope: key.scope, kind, limit, remaining, retry_after });
                }
            }
        }
    }

    pub(crate) fn tick_limiters(&self, now: Millis) {
        for (key, limiter) in &self.inner.limiters.pin() {
            if limiter.close_if_idle(now) {
                self.forget_limiter(key, limiter);
            }
        }
    }

    fn forget_limiter(&self, key: &LimiterKey, limiter: &Arc<Limiter>) {
        // Another thread may have removed it already, or opened a new one: both are fine.
        let _removed: bool = self.inner.limiters.pin().remove_if(key, |_, known| Arc::ptr_eq(known, limiter)).is_ok();
    }
}

/// Every limit of a caller, narrowest first.
fn limits_of(rules: &RuleSet, caller: &Caller) -> Vec<(LimiterKey, Limits)> {
    let mut found = Vec::with_capacity(4);
    for link in &caller.links {
        if link.limits != Limits::default() {
            found.push((LimiterKey { scope: link.scope.clone(), of_token: true }, link.limits));
        }
    }
    let scopes = caller.links.iter().map(|link| &link.scope).chain(&caller.below_model).chain(&caller.above_model);
    for scope in scopes {
        if let Some(limits) = rules.limits(scope) {
            found.push((LimiterKey { scope: scope.clone(), of_token: false }, *limits));
        }
    }
    found
}
