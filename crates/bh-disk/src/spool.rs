//! The spool as callers see it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bh_audit::{Durability, Hash, Head, LogId, Opening, RecordBody, Text};
use bh_base::Millis;
use tokio::sync::oneshot;

use crate::folder::{DataFolder, FolderError, random};
use crate::health::{Health, HealthReport};
use crate::media::Media;
use crate::progress::{Mark, Progress};
use crate::queue::{Item, Queue};
use crate::recover::{Recovered, recover};
use crate::segment::SEGMENT_BYTES;
use crate::writer::{Writer, WriterSetup};

/// Records the queue holds by default.
pub const QUEUE_RECORDS_MAX: usize = 16 * 1024;

/// How a spool behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    /// When a record counts as kept (`audit.durability`).
    pub durability: Durability,
    /// How long records are kept (`audit.retain_h`); for ever when there is none.
    pub retain: Option<Duration>,
    /// Size at which a segment is closed and the next begun, in bytes.
    pub segment_bytes: u64,
    /// Size of all segments at which the spool counts as full, in bytes.
    pub spool_bytes_max: u64,
    /// Records the queue holds; a quarter is kept free of Admits in strict mode, so that calls under way can settle.
    pub queue_records_max: usize,
}

impl SpoolConfig {
    /// The defaults for a durability: kept 24 hours, at most 256 GiB.
    #[must_use]
    pub fn new(durability: Durability) -> Self {
        SpoolConfig {
            durability,
            retain: Some(Duration::from_secs(24 * 60 * 60)),
            segment_bytes: SEGMENT_BYTES,
            spool_bytes_max: 256 * 1024 * 1024 * 1024,
            queue_records_max: QUEUE_RECORDS_MAX,
        }
    }
}

/// Who opens the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opener {
    /// The process: its random id.
    pub node: Text,
    /// The version of the program.
    pub software: Text,
}

/// Why a record is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpoolFault {
    /// The spool is closed.
    #[error("the audit spool is closed")]
    Closed,
    /// Records arrive faster than the disk takes them.
    #[error("the audit spool's queue is full")]
    Overloaded,
    /// The disk took longer than 250 ms.
    #[error("the disk under the audit spool is too slow")]
    Slow,
    /// The disk is full, or the spool has reached its bound.
    #[error("the disk under the audit spool is full")]
    Full,
    /// The disk fails.
    #[error("the disk under the audit spool fails")]
    Failing,
}

/// A record that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The log.
    pub log_id: LogId,
    /// The epoch.
    pub epoch: u64,
    /// Its place.
    pub seq: u64,
    /// Its leaf.
    pub leaf: Hash,
}

/// A record that is queued.
#[derive(Debug)]
#[must_use = "the record may not reach the disk; wait for it or use `Spool::queue`"]
pub struct Ticket(oneshot::Receiver<Result<Receipt, SpoolFault>>);

impl Ticket {
    /// Waits until the record is on disk.
    ///
    /// # Errors
    /// It will not be in this state of the disk.
    pub async fn durable(self) -> Result<Receipt, SpoolFault> {
        // A writer that is gone without an answer has not written it.
        self.0.await.unwrap_or(Err(SpoolFault::Closed))
    }

    /// The same outside of tasks: blocks the thread.
    ///
    /// # Errors
    /// As [`Ticket::durable`].
    pub fn wait(self) -> Result<Receipt, SpoolFault> {
        self.0.blocking_recv().unwrap_or(Err(SpoolFault::Closed))
    }
}

/// What was found and done when the spool was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The end of the log that was found; none in a new folder.
    pub head: Option<Head>,
    /// Bytes of half-written records that were cut off.
    pub torn_bytes: u64,
    /// Segments that were found damaged and set apart: raise an alarm and run `audit verify`.
    pub quarantined: Vec<PathBuf>,
    /// The epoch that was opened.
    pub epoch: u64,
}

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What is there cannot be read, or the new epoch cannot be written.
    #[error("the audit spool in {} cannot be opened", path.display())]
    Io {
        /// The spool's folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Why a spool did not close in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// The last records, or the EpochClose, could not be written: the epoch will look like a crash.
    #[error("the audit spool could not write its last records")]
    Unwritten(#[source] SpoolFault),
    /// The writer had died.
    #[error("the audit spool's writer was gone")]
    WriterGone,
}

/// Keeps records on disk, in order, with one writer thread. Cheap to call from many tasks at once.
///
/// Dropping it without [`Spool::close`] writes what is queued but no EpochClose: like a crash, but without loss.
pub struct Spool {
    shared: Arc<Shared>,
    durability: Durability,
    room: usize,
    writer: Mutex<Option<JoinHandle<Result<(), SpoolFault>>>>,
    folder: PathBuf,
    /// The folder stays locked as long as its log is written.
    _held: Arc<DataFolder>,
}

/// What callers and writer share.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) health: Health,
    pub(crate) progress: Progress,
}

impl Spool {
    /// Opens the log in a data folder: recovers what a crash left, opens the next epoch, starts the writer.
    ///
    /// # Errors
    /// The folder cannot be used, or what is there cannot be read or continued.
    pub fn open(
        held: &Arc<DataFolder>,
        media: Arc<dyn Media>,
        now: Millis,
        config: SpoolConfig,
        opener: Opener,
    ) -> Result<(Spool, Recovery), OpenError> {
        let folder = held.inside("audit")?;
        let pseudonyms = held.pseudonyms()?;
        let io = |source| OpenError::Io { path: folder.clone(), source };
        let Recovered { head, torn_bytes, quarantined } = recover(&folder, media.as_ref()).map_err(io)?;
        let chain_from = match head {
            Some(head) => Ok(head),
            None => Err(LogId(random().map_err(io)?)),
        };
        let opening =
            Opening { node: opener.node, software: opener.software, durability: config.durability, torn_bytes };
        let shared = Arc::new(Shared {
            queue: Queue::new(config.queue_records_max),
            health: Health::default(),
            progress: Progress::new(config.durability),
        });
        let (durability, room) = (config.durability, config.queue_records_max / 4);
        let setup = WriterSetup { folder: folder.clone(), media, config, shared: Arc::clone(&shared) };
        let writer = Writer::open(setup, now, (chain_from, opening), pseudonyms).map_err(io)?;
        let recovery = Recovery { head, torn_bytes, quarantined, epoch: writer.epoch() };
        let thread = std::thread::Builder::new().name("audit-spool".into()).spawn(move || writer.run()).map_err(io)?;
        let writer = Mutex::new(Some(thread));
        Ok((Spool { shared, durability, room, writer, folder, _held: Arc::clone(held) }, recovery))
    }

    /// What this spool promises.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The folder of the segments.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Queues a record that somebody waits for; it is written at once.
    ///
    /// # Errors
    /// It cannot be kept now. A Settle or Deny that is lost becomes part of a Gap; an Admit that is refused happened
    /// nowhere, so nothing may be spent on it.
    pub fn append(&self, now: Millis, body: RecordBody) -> Result<Ticket, SpoolFault> {
        let is_admit = matches!(body, RecordBody::Admit(_));
        if is_admit && self.shared.health.is_slow() {
            return Err(SpoolFault::Slow);
        }
        let room = if is_admit { self.room } else { 0 };
        let (waiter, ticket) = oneshot::channel();
        self.shared.queue.push(Item { now, body: Some(body), waiter: Some(waiter) }, room, !is_admit)?;
        Ok(Ticket(ticket))
    }

    /// Queues a record that nobody waits for; it is on disk within 10 ms. While the disk fails it waits in the queue, and
    /// once that is full it becomes part of a Gap.
    pub fn queue(&self, now: Millis, body: RecordBody) {
        // The loss is counted where it happens and said in the log; the caller of a relaxed spool goes on.
        if let Err(fault) = self.shared.queue.push(Item { now, body: Some(body), waiter: None }, 0, true) {
            tracing::trace!(%fault, "audit record becomes part of a gap");
        }
    }

    /// Waits until everything queued so far is on disk.
    ///
    /// # Errors
    /// It will not be in this state of the disk.
    pub fn flush(&self, now: Millis) -> Result<Ticket, SpoolFault> {
        let (waiter, ticket) = oneshot::channel();
        self.shared.queue.push(Item { now, body: None, waiter: Some(waiter) }, 0, false)?;
        Ok(Ticket(ticket))
    }

    /// How the disk does, for readiness, metrics and `doctor`.
    #[must_use]
    pub fn health(&self) -> HealthReport {
        self.shared.health.report(self.shared.queue.failing())
    }

    /// Where a snapshot of the ledger stands in the log. Take the mark first and the snapshot after it.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.shared.progress.mark()
    }

    /// Writes what is queued and the EpochClose, and ends the writer. A second call finds nothing to do.
    ///
    /// # Errors
    /// The last records could not be written.
    pub fn close(&self, now: Millis) -> Result<(), CloseError> {
        self.end(Some(now))
    }

    fn end(&self, close_at: Option<Millis>) -> Result<(), CloseError> {
        let Some(thread) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        self.shared.queue.end(close_at);
        match thread.join() {
            Ok(result) => result.map_err(CloseError::Unwritten),
            Err(_panic) => Err(CloseError::WriterGone),
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(fault) = self.end(None) {
            tracing::error!(%fault, "audit spool dropped with records unwritten");
        }
    }
}
