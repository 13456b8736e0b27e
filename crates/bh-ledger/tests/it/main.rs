//! The ledger from outside: one binary, one module per idea.

mod budgets;
mod chain;
mod crash;
mod model;
mod rights;
mod stress;
mod world;
