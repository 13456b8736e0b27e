//! The policy at its boundary: configurations in, plans and turns out.

mod build;
mod chain;
mod common;
mod plan;
mod properties;
