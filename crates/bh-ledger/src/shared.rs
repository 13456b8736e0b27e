//! What every counter of one ledger shares: who we are, where rights come from, and the queue of effects.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bh_base::{Millis, NodeId};

use crate::{CLOSE_AFTER, Effect};

/// Where rights of hard budgets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// This process is the only spender: it grants itself rights from the limit, at once.
    OwnLimit,
    /// Others spend too: rights are asked for with [`Effect::Ask`] and answered from outside.
    Effects,
}

/// Whether ceilings are written before money is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceilings {
    /// Each is asked for with [`Effect::PersistCeiling`] and spent only once durable.
    Persist,
    /// Nothing survives the process, so nothing is written: tests and throw-away nodes only.
    InMemory,
}

/// Told that somebody should look. Called without any lock held; must return at once and not block.
pub trait Notify: Send + Sync + 'static {
    /// There are effects to take.
    fn effects(&self);
    /// Rights or a ceiling arrived, or were denied: whoever waits below this generation should reserve again.
    fn arrived(&self, generation: u64);
}

impl Notify for () {
    fn effects(&self) {}
    fn arrived(&self, _generation: u64) {}
}

/// Overcharges and alerts kept for a caller that takes no effects; later ones are dropped and counted.
const NOTES_MAX: usize = 65_536;

pub(crate) struct Core {
    pub(crate) node: NodeId,
    pub(crate) pool: Pool,
    pub(crate) ceilings: Ceilings,
    notify: Box<dyn Notify>,
    queue: Mutex<VecDeque<Effect>>,
    generation: AtomicU64,
    latest: AtomicU64,
    pub(crate) counts: Counts,
}

/// What happened since the process started.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) leaked: AtomicU64,
    pub(crate) unprotected: AtomicU64,
    pub(crate) notes_dropped: AtomicU64,
}

impl Core {
    pub(crate) fn new(node: NodeId, pool: Pool, ceilings: Ceilings, notify: Box<dyn Notify>) -> Self {
        Core {
            node,
            pool,
            ceilings,
            notify,
            queue: Mutex::default(),
            generation: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }

    /// The instant to reckon with: a clock that falls back must not re-open a window that was closed and forgotten.
    pub(crate) fn steady(&self, now: Millis) -> Millis {
        let latest = self.latest.load(Ordering::Relaxed);
        if latest < now.0 {
            self.latest.fetch_max(now.0, Ordering::Relaxed);
        }
        Millis(now.0.max(latest.saturating_sub(CLOSE_AFTER.0)))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn announce(&self) {
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        self.notify.arrived(generation);
    }

    pub(crate) fn emit(&self, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let mut queue = lock(&self.queue);
        for effect in effects {
            match &effect {
                // One of these is under way per counter at most, so their number is bounded by the counters'.
                Effect::PersistCeiling(_) | Effect::Ask(_) | Effect::Return { .. } => queue.push_back(effect),
                Effect::Alert(_) | Effect::Overcharge(_) if queue.len() < NOTES_MAX => queue.push_back(effect),
                Effect::Alert(_) | Effect::Overcharge(_) => {
                    self.counts.notes_dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        drop(queue);
        self.notify.effects();
    }

    pub(crate) fn take(&self) -> Vec<Effect> {
        lock(&self.queue).drain(..).collect()
    }
}

/// Locks, also after a panic elsewhere: every critical section of this crate leaves its numbers whole at each step,
/// and one request's panic must not stop the others.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
