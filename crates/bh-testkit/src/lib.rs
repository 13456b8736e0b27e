//! What tests stand on: a provider that does what it is told on a real socket, recorded exchanges, clients that read
//! streams as they arrive, and a harness around the gateway's binary.
//!
//! For tests and measurements only: no crate of the product may depend on it but as a development dependency. It
//! knows nothing of the product's crates, so that a mistake in one of them cannot hide in both. Everything random
//! comes from a [`Seed`] that is printed; every wait has a deadline.

pub mod answers;
pub mod client;
pub mod loopback;
pub mod process;
pub mod recording;
pub mod scripted;
mod seed;
pub mod sse;
pub mod tls;

pub use client::Client;
pub use process::GatewayProcess;
pub use recording::Recording;
pub use scripted::{Gate, Reply, ScriptedProvider, Seen, Served, Split, Step};
pub use seed::Seed;
