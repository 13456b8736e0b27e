//! Walking a plan: which attempt comes next, until one answers or nothing more can be done.

use std::sync::Arc;

use bh_base::Millis;
use bh_base::limits::ATTEMPTS_MAX;
use bh_chat::FaultClass;

use crate::attempt::{Attempt, Noticed, Parts};
use crate::draw::Draws;
use crate::failover::{Failure, Next, Situation, after_failure};
use crate::gate::{Entry, Pass, Queued};
use crate::keys::{KeySet, Wish, take_key};
use crate::limits::{QUEUE_WAIT_MS_MAX, RETRY_AFTER_MS_DEFAULT};
use crate::plan::{Plan, Reason, Skipped, Step, Why};
use crate::target::Target;

/// The state of one request's attempts. Ask [`turn`](Chain::turn) what to do; report failures to
/// [`failed`](Chain::failed); stop asking once a byte has gone to the client.
#[derive(Debug)]
pub struct Chain {
    plan: Plan,
    started: Millis,
    at: usize,
    attempts: u32,
    /// On the present target.
    retries: u32,
    tried_keys: KeySet,
    /// Whether a key that only our own guess holds back will do: after a retry's wait, or as a last resort.
    despite_guess: bool,
    not_before: Millis,
    pass: Option<Pass>,
    tries: Vec<Try>,
    passed_over: Vec<Skipped>,
}

/// What to do now.
#[derive(Debug)]
pub enum Turn {
    /// Make this call.
    Call(Attempt),
    /// Ask again after this span.
    Wait(Millis),
    /// Wait for a place, at most this long; then say [`Chain::entered`] or [`Chain::queue_too_slow`] and ask again.
    Queue(Queued, Millis),
    /// Nothing more can be done.
    Over(Verdict),
}

/// One attempt that failed.
#[derive(Clone, Debug)]
pub struct Try {
    /// Who was called.
    pub target: Arc<Target>,
    /// With which key.
    pub key: Arc<str>,
    /// What went wrong.
    pub failure: Failure,
    /// What was decided.
    pub next: Next,
    /// When, since the chain began.
    pub failed_after: Millis,
}

/// How a chain that got no answer ends for the client. *The last failure* is the one last given to [`Chain::failed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The last failure is about the request itself: it is passed on as the provider said it.
    AsProvider,
    /// The last failure was this 429 or 529; the wait is the shortest that anyone named.
    Throttled {
        /// 429 or 529.
        status: u16,
        /// For `Retry-After`.
        retry_after: Millis,
    },
    /// Every attempt failed because a provider rejected our credential (502 `upstream_auth_error`).
    CredentialRejected,
    /// Every attempt was too slow (504 `upstream_timeout`).
    TooSlow,
    /// The chain is exhausted (502 `upstream_failed`).
    Failed,
    /// No call was made: every target was passed over (503 `no_target`, unless the caller knows better).
    NothingTried {
        /// For `Retry-After`.
        retry_after: Millis,
    },
}

impl Chain {
    /// Starts at the first step.
    #[must_use]
    pub fn new(plan: Plan, now: Millis) -> Self {
        let mut chain = Chain {
            plan,
            started: now,
            at: 0,
            attempts: 0,
            retries: 0,
            tried_keys: KeySet::default(),
            despite_guess: false,
            not_before: now,
            pass: None,
            tries: Vec::new(),
            passed_over: Vec::new(),
        };
        chain.arrive();
        chain
    }

    /// What to do now. `draw` is one random word.
    pub fn turn(&mut self, now: Millis, draw: u64) -> Turn {
        loop {
            let spent = self.attempts_max() <= self.attempts || self.remaining(now) == Millis(0);
            let Some(step) = self.plan.steps.get(self.at).filter(|_| !spent) else {
                self.pass = None;
                return Turn::Over(self.verdict());
            };
            if now < self.not_before {
                return Turn::Wait(self.not_before.since(now));
            }
            match self.try_enter(&Arc::clone(&step.target), now, draw) {
                Ok(attempt) => return Turn::Call(attempt),
                Err(Obstacle::Queue(queued)) => {
                    return Turn::Queue(queued, self.remaining(now).min(Millis(QUEUE_WAIT_MS_MAX)));
                }
                Err(Obstacle::No(why, ready_in)) => self.pass_on(why, ready_in),
            }
        }
    }

    /// A place became free.
    pub fn entered(&mut self, pass: Pass) {
        self.pass = Some(pass);
    }

    /// No place became free in time: on to the next target.
    pub fn queue_too_slow(&mut self) {
        self.pass_on(Why::QueueTooSlow, None);
    }

    /// The attempt was not made, for a reason of the caller's: on to the next target. It does not count as an attempt.
    pub fn pass_over(&mut self, attempt: Attempt, why: Why) {
        attempt.undo();
        self.attempts -= 1;
        self.pass_on(why, None);
    }

    /// The attempt failed before a byte went to the client. Returns what was decided and what changed.
    pub fn failed(&mut self, attempt: Attempt, failure: &Failure, now: Millis, draw: u64) -> (Next, Noticed) {
        let (target, key, key_id) = (Arc::clone(attempt.target()), attempt.key(), Arc::clone(attempt.key_id()));
        let noticed = attempt.failed(failure, None, now);
        self.tried_keys.insert(key);
        let ready = target.survey(self.plan.tokens, now).ready;
        let situation = Situation {
            retry: target.settings.retry.as_ref(),
            retries_made: self.retries,
            attempts_made: self.attempts,
            attempts_max: self.attempts_max(),
            remaining: self.remaining(now),
            other_key: !ready.without(self.tried_keys).is_empty(),
            other_target: self.at + 1 < self.plan.steps.len(),
            breaker_open: target.state.breaker().look(now).is_err(),
        };
        let next = after_failure(&situation, failure, draw);
        let failed_after = now.since(self.started);
        self.tries.push(Try { target, key: key_id, failure: *failure, next, failed_after });
        match next {
            Next::RetrySame { wait } => {
                self.retries += 1;
                self.tried_keys = KeySet::default();
                self.despite_guess = true;
                self.not_before = now.plus(wait);
            }
            Next::OtherKey => (),
            Next::NextTarget => self.advance(),
            Next::GiveUp => self.at = self.plan.steps.len(),
        }
        (next, noticed)
    }

    /// Time left until the first byte must have gone to the client: the bound of the attempt in flight, too.
    #[must_use]
    pub fn remaining(&self, now: Millis) -> Millis {
        self.started.plus(Millis(self.plan.total_ms)).since(now)
    }

    /// The decision being carried out.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Calls made so far.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Attempts that failed, in order.
    #[must_use]
    pub fn tries(&self) -> &[Try] {
        &self.tries
    }

    /// Targets of the plan that could not be called when their turn came.
    #[must_use]
    pub fn passed_over(&self) -> &[Skipped] {
        &self.passed_over
    }

    /// How the chain ends for the client if nothing more is tried.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(last) = self.tries.last().map(|tried| tried.failure) else {
            let soonest = self.waits().min().unwrap_or(Millis(RETRY_AFTER_MS_DEFAULT));
            return Verdict::NothingTried { retry_after: soonest.max(Millis(1)) };
        };
        let all = |class| self.tries.iter().all(|tried| tried.failure.class == class);
        if last.is_final() || last.class == FaultClass::ContextTooLong || all(FaultClass::ModelNotFound) {
            return Verdict::AsProvider;
        }
        if let Some(status @ (429 | 529)) = last.effective_status() {
            let named = self.tries.iter().filter_map(|tried| tried.failure.retry_after_ms).map(Millis);
            let soonest = named.chain(self.waits()).min().unwrap_or(Millis(RETRY_AFTER_MS_DEFAULT));
            return Verdict::Throttled { status, retry_after: soonest.max(Millis(1)) };
        }
        if all(FaultClass::Credential) {
            return Verdict::CredentialRejected;
        }
        if all(FaultClass::Timeout) {
            return Verdict::TooSlow;
        }
        Verdict::Failed
    }

    /// Takes place, permit and key, in the order in which they can be given back.
    fn try_enter(&mut self, target: &Arc<Target>, now: Millis, draw: u64) -> Result<Attempt, Obstacle> {
        let closed = |ready_in| Obstacle::No(Why::BreakerOpen, Some(ready_in));
        let pass = match self.pass.take() {
            Some(pass) => pass,
            None => match target.state.gate.enter(target.settings.concurrency.as_ref()) {
                Entry::Pass(pass) => pass,
                // Nobody waits for a target that is known to be down.
                Entry::Queued(queued) => {
                    target.state.breaker().look(now).map_err(closed)?;
                    return Err(Obstacle::Queue(queued));
                }
                Entry::Full => return Err(Obstacle::No(Why::QueueFull, None)),
            },
        };
        let tokens = self.plan.tokens;
        let wish = Wish { tokens, except: self.tried_keys, despite_guess: self.despite_guess };
        let draws = &mut Draws::new(draw);
        let taken = take_key(&target.provider.keys, &target.state.coolings, wish, now, draws)
            .map_err(|unready| Obstacle::No(unready.why, Some(unready.ready_in)))?;
        let permit = match target.state.breaker().enter(now) {
            Ok(permit) => permit,
            Err(ready_in) => {
                let record = &target.provider.keys[taken.index].record;
                record.untake(tokens);
                record.probe_ended(taken.used);
                return Err(closed(ready_in));
            }
        };
        self.attempts += 1;
        let (number, listed_at) = (self.attempts, self.plan.steps[self.at].listed_at);
        Ok(Attempt::new(Parts { target: Arc::clone(target), listed_at, number, taken, tokens, permit, pass }))
    }

    fn attempts_max(&self) -> u32 {
        self.plan.attempts_max.min(ATTEMPTS_MAX)
    }

    /// Notes why the present target is not called, and goes on to the next.
    fn pass_on(&mut self, why: Why, ready_in: Option<Millis>) {
        if let Some(Step { target, listed_at, .. }) = self.plan.steps.get(self.at) {
            self.passed_over.push(Skipped { target: Arc::clone(target), listed_at: *listed_at, why, ready_in });
        }
        self.advance();
    }

    fn advance(&mut self) {
        self.at += 1;
        self.arrive();
    }

    fn arrive(&mut self) {
        self.retries = 0;
        self.tried_keys = KeySet::default();
        self.pass = None;
        self.not_before = self.started;
        self.despite_guess = self.plan.steps.get(self.at).is_some_and(|step| step.reason == Reason::LastResort);
    }

    /// When targets that were left out may be ready.
    fn waits(&self) -> impl Iterator<Item = Millis> {
        self.plan.skipped.iter().chain(&self.passed_over).filter_map(|skipped| skipped.ready_in)
    }
}

/// Why a target cannot be called at once.
enum Obstacle {
    Queue(Queued),
    No(Why, Option<Millis>),
}
