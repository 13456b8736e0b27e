//! What models cost, can do and are limited to; the cost of a call, and the most a call can cost.
//!
//! The figures live in `data/catalog-v1.json`, which `data/generate.py` writes. Everything here is integer arithmetic
//! in pico-dollars, rounded up to nano-dollars once.
//!
//! This crate knows nothing of requests' bytes, of budgets, or of which provider is configured where: it is told a
//! provider's kind, a model's name and counts.

mod bound;
mod capabilities;
mod catalog;
mod data;
mod model;
mod overrides;
mod price;

pub use bound::{Ask, Bound, bound};
pub use capabilities::Capabilities;
pub use catalog::{Catalog, UnknownPrice};
pub use model::{Model, Standing};
pub use overrides::{Fault, Override};
pub use price::{PriceRow, Rates, Schedule, ServiceTier, Terms, cost};
