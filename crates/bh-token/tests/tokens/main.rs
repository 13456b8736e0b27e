//! Tokens through the crate's public face: what is accepted, what is refused and with which code, and what no child
//! can ever reach.

mod admin;
mod chains;
mod claims;
mod files;
mod golden;
mod properties;
mod refusals;
mod support;
