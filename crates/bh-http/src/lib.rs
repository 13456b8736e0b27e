//! The edges people and programs speak to: the data plane and the admin plane, over HTTP/1.1, h2 and h2c.
//!
//! It knows paths, headers and status codes. It does not know providers, prices or tokens' insides: it hands headers and
//! bytes to the pipeline and prints what comes back.

mod admin;
mod body;
mod data;
mod headers;
mod probe;
mod reply;
mod report;
pub mod server;

pub use admin::{AdminConfig, router as admin_router};
pub use data::{NOT_BUILT, PAID, router as data_router};
pub use probe::{Readiness, Ready};
pub use reply::told;
