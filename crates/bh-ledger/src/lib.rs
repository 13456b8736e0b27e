//! Money and rates of everyone who calls: what may still be spent, what is held, what was spent.
//!
//! [`Ledger`] is the whole surface. A request takes a [`Slot`] (rate and concurrency) with [`Ledger::limit`]; each
//! attempt takes a [`Hold`] (money) with [`Ledger::reserve`] and settles it on every way out. What the ledger needs from
//! outside (a ceiling on disk, rights from a pool, an alert to send) it says as [`Effect`]s and is answered by
//! [`Ledger::ceiling_durable`], [`Ledger::granted`] and [`Ledger::denied`].
//!
//! Two jobs are kept apart. The *meter* of a counter is a grow-only CRDT with one slot per process: it can be merged
//! in any order and bounds nothing. *Rights* bound: a hard budget spends only rights this process was granted (I2),
//! and the pool never grants more than the limit (I1). A *ceiling* is the amount a restart must count as spent; it is
//! on disk before the money is.
//!
//! This crate knows nothing of HTTP, tokens' signatures, prices, files, NATS, clocks or tasks: time is an argument,
//! waiting is the caller's, and a hook says when waiting may be over.

mod account;
mod binding;
mod caller;
mod config;
mod effect;
mod hold;
mod ledger;
mod limiter;
mod meter;
mod pace;
mod rates;
mod recent;
mod refusal;
mod report;
mod restore;
mod rights;
mod rules;
mod scope;
mod shared;
mod slot;
mod state;
mod view;
mod window;

pub use binding::Binding;
pub use caller::{Caller, Identity, Link, TokenBudget};
pub use config::{BudgetRule, Config, Fault, LimitRule, Limits, MeterRule};
pub use effect::{Alert, Ask, Ceiling, Denial, Dot, Effect, Overcharge};
pub use hold::{Hold, Lane, Settled};
pub use ledger::{Attempt, Ledger, Setup};
pub use refusal::{Exhausted, LimitKind, LimitRefusal, Pending, Refusal};
pub use report::RestoreError;
pub use restore::{AccountSnapshot, Snapshot};
pub use scope::{AccountKey, InvalidScope, Pattern, Scope};
pub use shared::{Ceilings, Notify, Pool};
pub use slot::{Slot, Tokens};
pub use view::{AccountView, Rate, Rates};
pub use window::{Span, span};

/// Counters (scope and window) one process keeps at most; a call that needs one more is refused as unavailable.
pub const ACCOUNTS_MAX: usize = 1 << 20;
/// Rate limiters one process keeps at most; a call that needs one more is refused.
pub const LIMITERS_MAX: usize = 1 << 20;
/// How long after its end a window is still kept for late settlements and merges.
pub const CLOSE_AFTER: bh_base::Millis = bh_base::Millis::from_secs(15 * 60);
/// Spacing of the starts of throttled attempts of one scope (overage `throttle`).
pub const SLOW_LANE_SPACING: bh_base::Millis = bh_base::Millis::from_secs(1);
/// Longest wait in the slow lane; an attempt that would start later is refused.
pub const SLOW_LANE_WAIT_MAX: bh_base::Millis = bh_base::Millis::from_secs(20);
