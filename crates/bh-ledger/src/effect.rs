//! What the ledger asks of the outside, as values; nothing here happens by itself.

use bh_base::{Millis, NanoUsd, NodeId};

use crate::AccountKey;

/// One thing to do. Taken with [`crate::Ledger::take_effects`], in the order they arose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this ceiling so that it survives a crash, then call [`crate::Ledger::ceiling_durable`] with it, or
    /// [`crate::Ledger::ceiling_failed`]. One is under way per counter at most.
    PersistCeiling(Ceiling),
    /// Get rights from the pool, then call [`crate::Ledger::granted`] or [`crate::Ledger::denied`]. One is under way
    /// per counter at most. Never emitted under [`crate::Pool::OwnLimit`].
    Ask(Ask),
    /// Give these rights back to the pool, at most once; the ledger has already lowered its own amount.
    Return {
        /// Whose rights.
        key: AccountKey,
        /// How much.
        amount: NanoUsd,
    },
    /// Tell people that a share of a budget is spent; raised once per counter, limit and share.
    Alert(Alert),
    /// A provider charged more than the bound of the call: disable that model for hard scopes until looked at.
    Overcharge(Overcharge),
}

/// The most one process can have spent on a counter: a restart counts it as spent until replay proves less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// The counter.
    pub key: AccountKey,
    /// Whose slot of the meter it bounds: the process that asked.
    pub node: NodeId,
    /// Absolute amount of that slot, not an increment. When several are on disk the largest counts.
    pub amount: NanoUsd,
}

/// A wish for rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The counter.
    pub key: AccountKey,
    /// At least this much is needed now; less would leave callers waiting.
    pub needed: NanoUsd,
    /// This much would last a while at the present rate; the pool may give less.
    pub wanted: NanoUsd,
    /// The limit in force here, from which the pool computes what is free.
    pub limit: NanoUsd,
}

/// Why the pool gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The pool answered and the money is gone, a recall of crumbs included: callers get "exhausted".
    Gone,
    /// The pool could not be asked or must not answer: callers get "rights unavailable".
    Unavailable,
}

/// A share of a budget is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The counter.
    pub key: AccountKey,
    /// The limit it is a share of.
    pub limit: NanoUsd,
    /// The share, in basis points.
    pub share_bp: u32,
    /// Spent by now, ceilings of crashed processes included.
    pub spent: NanoUsd,
    /// When it was noticed.
    pub at: Millis,
}

/// A call cost more than its bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overcharge {
    /// The model as it was reserved (catalog id).
    pub model: String,
    /// The bound that was held under `strict`.
    pub bound: NanoUsd,
    /// What was charged.
    pub cost: NanoUsd,
    /// When it was settled.
    pub at: Millis,
}

/// One slot of a counter's meter: the absolute amount one process has spent. Merging keeps the largest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dot {
    /// The counter.
    pub key: AccountKey,
    /// Whose slot.
    pub node: NodeId,
    /// Spent in that slot since the process started.
    pub spent: NanoUsd,
}
