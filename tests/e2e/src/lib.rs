//! What the tests of the running gateway share: its process with a configuration, an issuer of tokens, the two wire
//! dialects from both ends, and readers of what it leaves behind.
//!
//! The gateway is a separate process here, reached over sockets only. This crate does not know its insides; it uses the
//! product's libraries where an outsider would (to mint tokens, to read prices, to verify the log).

mod bill;
mod config;
mod evidence;
mod folder;
mod gateway;
mod issuer;
mod metrics;
mod wait;
mod wire;

pub use bill::{Bill, prices};
pub use config::{Config, hard, secret, soft};
pub use evidence::{Log, read_log};
pub use folder::Folder;
pub use gateway::{Account, Gateway, command};
pub use issuer::{Issuer, budget};
pub use metrics::Metrics;
pub use wait::{SOON, eventually, say};
pub use wire::{Told, Wire, is_stream};
