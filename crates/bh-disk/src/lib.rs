//! What must survive the process: the audit spool, the ledger's ceilings and snapshots, the lock on the data folder.
//!
//! One thread writes each kind of file; callers hand values over and may wait for the disk. Every file is frames with
//! a checksum, so that a half-written end is told from damage. This crate does not know requests, providers or
//! routes, and it decides nothing about money: it keeps what `bh-audit` and `bh-ledger` say and gives it back.

mod folder;
mod frame;
mod health;
mod media;
mod progress;
mod proof;
mod queue;
mod reader;
mod recorder;
mod recover;
mod segment;
mod spool;
mod state;
mod store;
mod tail;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod scratch;
#[cfg(test)]
mod spool_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod test_support;

pub use folder::{DataFolder, FolderError};
pub use health::{HealthReport, SLOW_AFTER};
pub use media::{Media, MediaFile, RealMedia};
pub use progress::Mark;
pub use reader::{LogReader, ReadError};
pub use spool::{
    CloseError, OpenError, Opener, QUEUE_RECORDS_MAX, Receipt, Recovery, Spool, SpoolConfig, SpoolFault, Ticket,
};
pub use state::StateError;
pub use store::{LedgerStore, Proof};
pub use tail::Tail;
