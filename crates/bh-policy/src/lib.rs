//! Who shall answer, in what order, and what to do when one fails.
//!
//! [`plan`] turns a request's model into an ordered list of targets over a frozen view of the routes;
//! [`Chain`] walks that list, one [`Attempt`] at a time; [`after_failure`] is the one decision taken when an attempt
//! fails; [`Health`] remembers breakers, keys and places across configurations.
//!
//! The crate knows no clock, no randomness, no socket and no wire format: `now` and `draw` are handed in, what a
//! target can do is answered by the caller, and waiting is done by whoever polls.

mod attempt;
mod breaker;
mod bucket;
mod build;
mod chain;
mod config;
mod draw;
mod failover;
mod fault;
mod gate;
mod glob;
mod health;
mod keys;
pub mod limits;
mod plan;
mod routes;
mod strategy;
mod target;

pub use attempt::{Attempt, KeyNotice, Noticed};
pub use breaker::BreakerState;
pub use chain::{Chain, Try, Turn, Verdict};
pub use config::{Alias, BreakerConfig, ConcurrencyConfig, KeyConfig, ProviderConfig, RetryConfig};
pub use config::{RouteConfig, RoutesConfig, Serves, TargetConfig};
pub use failover::{Failure, Next, Situation, after_failure};
pub use fault::{FaultKind, RouteFault};
pub use gate::{Pass, Queued};
pub use glob::Glob;
pub use health::{Health, KeyHealth, KeyState, TargetHealth};
pub use plan::{Ask, NoPlan, Plan, Reason, Skipped, Source, Step, Unfit, Why, plan};
pub use routes::Routes;
pub use strategy::{Strategy, StrategyError};
pub use target::{Provider, Target};
