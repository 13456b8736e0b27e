//! Audit evidence: what a record says, how records are chained, and how anyone checks the chain offline.
//!
//! A record is a line of compact JSON with a fixed field order. Its bytes are stored verbatim; the leaf is their hash,
//! and each record names the leaf before it. Texts of people never enter a record: a body is a salted commitment, a
//! subject is a pseudonym.
//!
//! This crate does not know files, clocks, threads or the network: `bh-disk` keeps the bytes, time and salts come in
//! as arguments.

mod body;
mod chain;
mod commit;
mod filter;
mod hash;
mod parts;
mod record;
mod replay;
mod report;
mod text;
mod tree;
mod verify;
mod wire;

pub use body::{AdminAction, Admit, Caller, Charged, Deny, RecordBody, Seen, Settle};
pub use chain::{Chain, Entry, Gap, Head, Opening};
pub use commit::{Pseudonyms, SALT_BYTES, commit};
pub use filter::{Filter, InvalidFilter};
pub use hash::{Hash, LogId, SubjectRef};
pub use parts::{
    AttemptNote, Candidate, Charge, Close, Decision, Durability, Latency, Lost, Open, Previous, Pruned, Skipped,
};
pub use record::{FORMAT_VERSION, Kind, Malformed, Record};
pub use replay::{ChargeKey, Replay, Replayed};
pub use report::{Fault, Finding, Interval, Report, Verdict};
pub use text::{TEXT_BYTES_MAX, Text};
pub use tree::{Tree, leaf};
pub use verify::{SpoolReader, Stored, VerifyOptions, Witness, verify};
