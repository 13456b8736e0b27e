//! The spool's one writer: takes groups from the queue, chains them, puts them on disk with one sync, tells waiters.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bh_audit::{Chain, Entry, Head, LogId, Lost, Opening, Pruned, Pseudonyms};
use bh_base::Millis;

use crate::frame::write_frame;
use crate::media::{Media, MediaFile};
use crate::queue::{Item, Waiter, Work, tell};
use crate::segment::Segment;
use crate::spool::{Receipt, Shared, SpoolConfig, SpoolFault};

/// A segment that has records older than this is closed, so that retention can remove it.
const SEGMENT_AGE_MAX: Millis = Millis::from_secs(60 * 60);
/// How often old segments are looked for.
const HOUSEKEEPING: Millis = Millis::from_secs(60);
/// Rewrites of one place that are tried: each is a new file.
const REWRITES_MAX: u32 = 1 << 20;

/// What a writer works with.
pub(crate) struct WriterSetup {
    pub(crate) folder: PathBuf,
    pub(crate) media: Arc<dyn Media>,
    pub(crate) config: SpoolConfig,
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Writer {
    setup: WriterSetup,
    chain: Chain,
    segment: Option<OpenSegment>,
    /// Frames that are not on disk yet. After a failed write they go, unchanged, into a new segment.
    unwritten: Vec<u8>,
    unwritten_from: u64,
    unwritten_records: u64,
    waiters: Vec<(Waiter, Receipt)>,
    last_receipt: Receipt,
    now: Millis,
    looked_at: Millis,
    /// The spool has reached its bound.
    is_full: bool,
}

struct OpenSegment {
    file: Box<dyn MediaFile>,
    bytes: u64,
    since: Millis,
}

impl Writer {
    /// Opens the epoch: its EpochOpen is on disk when this returns.
    pub(crate) fn open(
        setup: WriterSetup,
        now: Millis,
        (from, opening): (Result<Head, LogId>, Opening),
        pseudonyms: Pseudonyms,
    ) -> io::Result<Self> {
        let (chain, first) = Chain::open(from, now, opening, pseudonyms);
        let last_receipt = receipt(chain.log_id(), &first);
        setup.shared.progress.opened(chain.log_id(), chain.epoch());
        let mut writer = Writer {
            setup,
            chain,
            segment: None,
            unwritten: Vec::new(),
            unwritten_from: first.seq,
            unwritten_records: 0,
            waiters: Vec::new(),
            last_receipt,
            now,
            looked_at: Millis(0),
            is_full: false,
        };
        writer.take_up(&first);
        writer.commit()?;
        writer.count_bytes();
        Ok(writer)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.chain.epoch()
    }

    /// Works until the end is asked for.
    pub(crate) fn run(mut self) -> Result<(), SpoolFault> {
        loop {
            match self.setup.shared.queue.take() {
                Work::Group(items, lost) => {
                    self.chain_group(items, lost);
                    self.put();
                }
                Work::Retry(now) => {
                    self.now = self.now.max(now);
                    self.put();
                }
                Work::End(close_at) => return self.end(close_at),
            }
            self.keep_house();
        }
    }

    fn end(mut self, close_at: Option<Millis>) -> Result<(), SpoolFault> {
        self.put();
        // Where the disk failed until now, a Gap is still to be said.
        while self.setup.shared.queue.failing().is_none()
            && let Work::Group(items, lost) = self.setup.shared.queue.take()
        {
            self.chain_group(items, lost);
            self.put();
        }
        if !self.unwritten.is_empty() {
            return Err(self.setup.shared.queue.failing().unwrap_or(SpoolFault::Failing));
        }
        let Some(now) = close_at else {
            return Ok(());
        };
        let close = self.chain.close(now);
        let mut frame = Vec::new();
        write_frame(&mut frame, close.seq, &close.bytes);
        let mut segment = self.segment;
        let mut write = || write_segment(&self.setup, &mut segment, &frame, (close.seq, now));
        if let Err(fault) = write() {
            tracing::error!(%fault, "the audit log's last segment could not be written");
            let fresh = write_segment(&self.setup, &mut None, &frame, (close.seq, now));
            return fresh.map_err(|fault| kind_of(&fault));
        }
        Ok(())
    }

    fn chain_group(&mut self, items: Vec<Item>, lost: Option<Lost>) {
        for item in items {
            self.now = self.now.max(item.now);
            if let Some(body) = item.body {
                self.setup.shared.progress.placed(&body, self.chain.next_seq());
                let entry = self.chain.append(item.now, body);
                self.take_up(&entry);
            }
            if let Some(waiter) = item.waiter {
                self.waiters.push((waiter, self.last_receipt));
            }
        }
        if let Some(lost) = lost {
            self.setup.shared.health.lost.fetch_add(lost.total(), Ordering::Relaxed);
            tracing::warn!(records = lost.total(), "audit records were lost and are recorded as a gap");
            let entry = self.chain.gap(self.now, lost);
            self.take_up(&entry);
        }
    }

    fn take_up(&mut self, entry: &Entry) {
        write_frame(&mut self.unwritten, entry.seq, &entry.bytes);
        self.unwritten_records += 1;
        self.last_receipt = receipt(self.chain.log_id(), entry);
    }

    /// Puts what is unwritten on disk and tells whoever waits. A failure sets the segment aside and tries once more
    /// in a new one; when that fails too, the spool takes nothing in until a later try succeeds.
    fn put(&mut self) {
        let first_try = self.commit();
        let result = first_try.or_else(|fault| {
            tracing::error!(%fault, "audit segment could not be written, its records go into a new one");
            self.commit()
        });
        let queue = &self.setup.shared.queue;
        match result {
            Ok(()) => {
                if queue.failing().is_some() && !self.is_full {
                    tracing::info!("audit spool takes records again");
                    queue.recover();
                }
                self.waiters.drain(..).for_each(|(waiter, receipt)| tell(waiter, Ok(receipt)));
            }
            Err(fault) => {
                tracing::error!(%fault, "audit spool cannot be written");
                let fault = kind_of(&fault);
                queue.fail(fault);
                self.waiters.drain(..).for_each(|(waiter, _)| tell(waiter, Err(fault)));
            }
        }
    }

    fn commit(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() && self.unwritten_records == 0 {
            return Ok(());
        }
        let health = &self.setup.shared.health;
        health.write_begins();
        let written = write_segment(&self.setup, &mut self.segment, &self.unwritten, (self.unwritten_from, self.now));
        health.write_ends();
        if let Err(fault) = written {
            // Nothing is known of what this file holds, and asking again may lie: it is never written again.
            self.segment = None;
            health.failures.fetch_add(1, Ordering::Relaxed);
            return Err(fault);
        }
        health.records.fetch_add(self.unwritten_records, Ordering::Relaxed);
        health.spool_bytes.fetch_add(self.unwritten.len() as u64, Ordering::Relaxed);
        self.setup.shared.progress.on_disk(self.last_receipt.seq);
        self.unwritten.clear();
        self.unwritten_records = 0;
        self.unwritten_from = self.chain.next_seq();
        let full = |segment: &OpenSegment| {
            self.setup.config.segment_bytes <= segment.bytes || SEGMENT_AGE_MAX < self.now.since(segment.since)
        };
        if self.segment.as_ref().is_some_and(full) {
            self.segment = None;
        }
        Ok(())
    }

    /// Looks for segments past retention now and then, and whenever the spool has reached its bound.
    fn keep_house(&mut self) {
        let full = |writer: &Self| {
            let bytes = writer.setup.shared.health.spool_bytes.load(Ordering::Relaxed);
            writer.setup.config.spool_bytes_max <= bytes
        };
        let is_due = self.looked_at == Millis(0) || HOUSEKEEPING <= self.now.since(self.looked_at);
        if !is_due && !self.is_full && !full(self) {
            return;
        }
        self.looked_at = self.now;
        if let Err(fault) = self.prune() {
            tracing::warn!(%fault, "old audit segments could not be removed");
        }
        self.count_bytes();
        let was_full = self.is_full;
        self.is_full = full(self);
        if self.is_full && !was_full {
            tracing::error!("audit spool has reached its bound");
            self.setup.shared.queue.fail(SpoolFault::Full);
        }
    }

    fn count_bytes(&self) {
        let sizes = Segment::list(&self.setup.folder).map(|segments| {
            segments.iter().filter_map(|segment| fs::metadata(&segment.path).ok()).map(|meta| meta.len()).sum()
        });
        if let Ok(bytes) = sizes {
            self.setup.shared.health.spool_bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// Removes whole segments that are older than retention, after a record that says so is on disk.
    fn prune(&mut self) -> io::Result<()> {
        let Some(retain) = self.setup.config.retain else {
            return Ok(());
        };
        let retain = Millis(u64::try_from(retain.as_millis()).unwrap_or(u64::MAX));
        let segments = Segment::list(&self.setup.folder)?;
        let mut doomed = Vec::new();
        let mut pruned = None;
        for pair in segments.windows(2) {
            // Every record of a segment is older than the first of the next.
            let next = pair[1].first_record()?;
            let Some(next) = next.filter(|next| !pair[0].quarantined && Millis(next.ts_ms).plus(retain) < self.now)
            else {
                break;
            };
            doomed.push(pair[0].path.clone());
            if let Some(through_seq) = next.seq.checked_sub(1) {
                pruned = Some(Pruned { through_seq, through_leaf: next.prev });
            }
        }
        let Some(pruned) = pruned else {
            return Ok(());
        };
        let entry = self.chain.prune(self.now, pruned);
        self.take_up(&entry);
        self.put();
        if !self.unwritten.is_empty() {
            return Ok(());
        }
        for path in &doomed {
            fs::remove_file(path)?;
        }
        tracing::info!(segments = doomed.len(), through_seq = pruned.through_seq, "old audit segments removed");
        self.setup.media.sync_folder(&self.setup.folder)
    }
}

/// Appends frames and syncs; begins a new segment, named for the first of them, when none is open.
fn write_segment(
    setup: &WriterSetup,
    segment: &mut Option<OpenSegment>,
    frames: &[u8],
    (first_seq, now): (u64, Millis),
) -> io::Result<()> {
    let open = match segment {
        Some(open) => open,
        None => {
            let file = create_segment(setup, first_seq)?;
            setup.media.sync_folder(&setup.folder)?;
            segment.insert(OpenSegment { file, bytes: 0, since: now })
        }
    };
    open.file.append(frames)?;
    open.file.sync()?;
    open.bytes += frames.len() as u64;
    Ok(())
}

fn create_segment(setup: &WriterSetup, first_seq: u64) -> io::Result<Box<dyn MediaFile>> {
    for again in 0..REWRITES_MAX {
        match setup.media.create(&Segment::new(&setup.folder, first_seq, again).path) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

fn kind_of(fault: &io::Error) -> SpoolFault {
    let is_full = matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if is_full { SpoolFault::Full } else { SpoolFault::Failing }
}

fn receipt(log_id: LogId, entry: &Entry) -> Receipt {
    Receipt { log_id, epoch: entry.epoch, seq: entry.seq, leaf: entry.leaf }
}
