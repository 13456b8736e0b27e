//! What every other crate counts and names: ids, quantities, usage, named limits, named invariants.
//!
//! This crate knows nothing of HTTP, JSON, providers, clocks or randomness: time and entropy are handed in.

mod budget;
mod glob;
mod id;
mod invariant;
pub mod limits;
mod money;
mod time;
mod usage;

pub use budget::{BudgetMode, HoldMode, Overage, ScopeKind, UnknownWord, Window};
pub use glob::glob_matches;
pub use id::{InvalidId, NodeId, RequestId, TokenId};
pub use invariant::{Invariant, broken_counts, note_broken};
pub use money::{InvalidMoney, NanoUsd, PicoUsd};
pub use time::Millis;
pub use usage::{Overheads, PromptSize, Unbounded, Usage};
