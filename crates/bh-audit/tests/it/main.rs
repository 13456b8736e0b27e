//! The crate at its boundary: records, replay, verifier.

mod common;
mod records;
mod replay;
mod verifier;
