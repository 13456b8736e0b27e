//! Rate and concurrency taken by one request.

use std::sync::Arc;

use bh_base::Millis;

use crate::Limits;
use crate::limiter::{Limiter, Taken};

/// Tokens of one request: estimated before it, real after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

/// A place among the running requests of every limited scope, and a share of its rates. Dropping it frees the place
/// and leaves the estimate charged.
#[must_use = "a slot holds concurrency until it is settled, refunded or dropped"]
#[derive(Default)]
pub struct Slot {
    entries: Vec<(Arc<Limiter>, Limits, Taken)>,
}

impl Slot {
    pub(crate) fn push(&mut self, limiter: Arc<Limiter>, limits: Limits, taken: Taken) {
        self.entries.push((limiter, limits, taken));
    }

    /// Frees the place and corrects the estimate to what was used; more than estimated delays later requests.
    pub fn settle(mut self, now: Millis, used: Tokens) {
        for (limiter, limits, taken) in self.entries.drain(..) {
            limiter.settle(now, &limits, &taken, used);
        }
    }

    /// Frees the place and takes everything back: the request reached no provider.
    pub fn refund(mut self, now: Millis) {
        for (limiter, limits, taken) in self.entries.drain(..) {
            limiter.refund(now, &limits, &taken);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        for (limiter, _, _) in self.entries.drain(..) {
            limiter.leave();
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("scopes", &self.entries.len()).finish()
    }
}
