//! Calls providers: connection pools, credentials, the connect and response-header deadlines; and the built-in `echo`.
//!
//! It knows where a provider lives and how to sign a call. It does not know what a body says: the bytes come in the
//! provider's own dialect and go back as they arrive. It does not choose a provider, retry, or watch a body's pace;
//! the pipeline does. The client's address, token and headers never reach it, but for the few a dialect forwards.

mod config;
mod connect;
mod echo;
mod fault;
mod headers;
mod provider;
mod reach;
mod scrub;
mod upstreams;

pub use config::{Config, ConfigFault, KeyConfig, Kind, ProviderConfig, Timeouts};
pub use headers::{client_headers, upstream_request_id};
pub use reach::{Reached, Unreachable, reach};
pub use upstreams::Upstreams;
