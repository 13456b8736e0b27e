//! Keeps what a restart must count as spent: ceilings before the money is spent, snapshots now and then.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bh_base::{Millis, NanoUsd, NodeId};
use bh_ledger::{AccountKey, CLOSE_AFTER, Ceiling, Ledger, Snapshot, span};
use bh_pipeline::clock;
use bh_pipeline::ports::CeilingStore;

use crate::folder::{DataFolder, write_whole};
use crate::media::{Media, MediaFile, RealMedia};
use crate::progress::Mark;
use crate::proof::{Proven, prove};
use crate::spool::Spool;
use crate::state::{self, Saved, StateError};

/// Ceilings that wait for the disk at most; one more is refused, and the ledger asks again a second later.
const QUEUE_MAX: usize = 8 * 1024;
/// Ceilings written with one sync at most.
const GROUP_MAX: usize = 512;
/// How often a followed ledger is saved.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);

/// Told when a ceiling is durable, or is not.
type Done = Box<dyn FnOnce(bool) + Send>;

/// The ledger's memory on disk, written by a thread of its own.
pub struct LedgerStore {
    jobs: SyncSender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
    saved: Saved,
    spool: Mutex<Option<Arc<Spool>>>,
    /// The folder stays locked as long as its state is written.
    held: Arc<DataFolder>,
}

enum Job {
    Persist(Ceiling, Done),
    /// Write a snapshot now; a final one ends what the process promised.
    Save {
        now: Millis,
        snapshot: Snapshot,
        mark: Option<Mark>,
        is_final: bool,
        told: SyncSender<Result<(), StateError>>,
    },
    /// Save this ledger beside this spool now and then.
    Follow(Ledger, Arc<Spool>),
    End,
}

impl LedgerStore {
    /// Reads what earlier processes left, gives it to the ledger, and starts writing for this one. What they had
    /// promised to count as spent counts as spent; [`LedgerStore::follow`] may prove less.
    ///
    /// # Errors
    /// The state cannot be read, or is damaged.
    pub fn open(held: &Arc<DataFolder>, now: Millis, ledger: &Ledger) -> Result<Self, StateError> {
        LedgerStore::open_on(Arc::new(RealMedia), held, now, ledger)
    }

    pub(crate) fn open_on(
        media: Arc<dyn Media>,
        held: &Arc<DataFolder>,
        now: Millis,
        ledger: &Ledger,
    ) -> Result<Self, StateError> {
        let folder = held.inside("ledger")?;
        let saved = state::read(&folder)?;
        ledger.restore(now, saved.snapshot.as_ref(), &saved.ceilings)?;
        let (jobs, queue) = mpsc::sync_channel(QUEUE_MAX);
        let io = |source| StateError::Io { path: folder.clone(), source };
        let writer = Writer {
            folder: folder.clone(),
            media,
            generation: saved.next,
            file: None,
            place: 0,
            promised: HashMap::new(),
            followed: None,
            saved_at: None,
        };
        let thread =
            std::thread::Builder::new().name("ledger-state".into()).spawn(move || writer.run(&queue)).map_err(io)?;
        let (thread, spool) = (Mutex::new(Some(thread)), Mutex::new(None));
        Ok(LedgerStore { jobs, thread, saved, spool, held: Arc::clone(held) })
    }

    /// Proves from the audit log what the last process really spent, tells the ledger, and from now on saves the
    /// ledger every half minute beside its place in the log. Call it once, before anything is spent; reads the part
    /// of the log since the last snapshot.
    ///
    /// # Errors
    /// The log cannot be read or the first snapshot cannot be written. Nothing is lost then: ceilings stand.
    pub fn follow(&self, now: Millis, ledger: &Ledger, spool: &Arc<Spool>) -> Result<Proof, StateError> {
        let proven = prove(&self.saved, spool.folder(), &mut self.held.pseudonyms()?)?;
        let proof = Proof { is_complete: proven.is_some(), counters: proven.as_ref().map_or(0, |p| p.spent.len()) };
        if let Some(Proven { node, spent }) = proven {
            for (key, amount) in spent {
                ledger.replayed(now, &key, node, amount);
            }
        }
        *self.spool.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(spool));
        self.save(now, ledger, false)?;
        self.jobs.send(Job::Follow(ledger.clone(), Arc::clone(spool))).map_err(|_| StateError::Closed)?;
        Ok(proof)
    }

    /// Saves the ledger now.
    ///
    /// # Errors
    /// It cannot be written; the last snapshot and the ceilings since then stand.
    pub fn save(&self, now: Millis, ledger: &Ledger, is_final: bool) -> Result<(), StateError> {
        // The mark first: whatever is in the log up to it is in the snapshot, because it was settled before it was
        // recorded. What comes after may be in both, which counts it twice, never not at all.
        let mark = self.spool.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|spool| spool.mark());
        let (told, answer) = mpsc::sync_channel(1);
        let job = Job::Save { now, snapshot: ledger.snapshot(), mark, is_final, told };
        self.jobs.send(job).map_err(|_| StateError::Closed)?;
        answer.recv().map_err(|_| StateError::Closed)?
    }

    /// Saves the ledger for the last time and ends the thread: nothing is promised any more, so a restart counts
    /// exactly what was spent. A second call finds nothing to do.
    ///
    /// # Errors
    /// The last snapshot cannot be written; the one before and the ceilings stand.
    pub fn close(&self, now: Millis, ledger: &Ledger) -> Result<(), StateError> {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        let saved = self.save(now, ledger, true);
        self.end(thread);
        saved
    }

    fn end(&self, thread: JoinHandle<()>) {
        if self.jobs.send(Job::End).is_err() || thread.join().is_err() {
            tracing::error!("the thread that writes budget state had died");
        }
        *self.spool.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What the log proved of the last process's spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Whether the log was complete; if not, ceilings count as spent.
    pub is_complete: bool,
    /// Counters whose spend is now known exactly.
    pub counters: usize,
}

impl CeilingStore for LedgerStore {
    fn persist(&self, ceiling: Ceiling, done: Done) {
        match self.jobs.try_send(Job::Persist(ceiling, done)) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                if let Job::Persist(_, done) = job {
                    done(false);
                }
            }
        }
    }
}

impl Drop for LedgerStore {
    fn drop(&mut self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            self.end(thread);
        }
    }
}

struct Writer {
    folder: PathBuf,
    media: Arc<dyn Media>,
    /// The generation of the next file.
    generation: u64,
    file: Option<Box<dyn MediaFile>>,
    place: u64,
    /// The largest ceiling of each counter that this process asked for.
    promised: HashMap<(AccountKey, NodeId), NanoUsd>,
    followed: Option<(Ledger, Arc<Spool>)>,
    /// The mark of the last snapshot: as long as the log stands there, nothing was spent.
    saved_at: Option<Mark>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        let mut held_back = None;
        loop {
            let job = match held_back.take() {
                Some(job) => Ok(job),
                None => queue.recv_timeout(SNAPSHOT_EVERY),
            };
            match job {
                Ok(Job::Persist(ceiling, done)) => {
                    let mut group = vec![(ceiling, done)];
                    while group.len() < GROUP_MAX && held_back.is_none() {
                        match queue.try_recv() {
                            Ok(Job::Persist(ceiling, done)) => group.push((ceiling, done)),
                            Ok(other) => held_back = Some(other),
                            Err(_) => break,
                        }
                    }
                    self.persist(group);
                }
                Ok(Job::Save { now, snapshot, mark, is_final, told }) => {
                    let saved = self.save(now, &snapshot, mark, is_final);
                    if told.send(saved).is_err() {
                        tracing::debug!("nobody waits for this snapshot any more");
                    }
                }
                Ok(Job::Follow(ledger, spool)) => self.followed = Some((ledger, spool)),
                Err(RecvTimeoutError::Timeout) => self.save_followed(),
                Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn persist(&mut self, group: Vec<(Ceiling, Done)>) {
        let mut frames = Vec::new();
        for (ceiling, _) in &group {
            let largest = self.promised.entry((ceiling.key.clone(), ceiling.node)).or_default();
            *largest = ceiling.amount.max(*largest);
            state::write_ceiling(&mut frames, self.place, ceiling);
            self.place += 1;
        }
        let written = self.append(&frames).or_else(|fault| {
            // What the file holds is not known any more: everything promised goes into a new one.
            tracing::error!(%fault, "ceilings could not be written, they go into a new file");
            let all = self.all_promised();
            self.append(&all)
        });
        if let Err(fault) = &written {
            tracing::error!(%fault, "ceilings cannot be written");
        }
        group.into_iter().for_each(|(_, done)| done(written.is_ok()));
    }

    fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        let written = self.try_append(frames);
        if written.is_err() {
            self.file = None;
        }
        written
    }

    fn try_append(&mut self, frames: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let path = state::ceilings_path(&self.folder, self.generation);
                self.generation += 1;
                let file = self.media.create(&path)?;
                self.media.sync_folder(&self.folder)?;
                self.file.insert(file)
            }
        };
        file.append(frames)?;
        file.sync()
    }

    fn all_promised(&self) -> Vec<u8> {
        let mut frames = Vec::new();
        for (place, ((key, node), amount)) in (0..).zip(&self.promised) {
            let ceiling = Ceiling { key: key.clone(), node: *node, amount: *amount };
            state::write_ceiling(&mut frames, place, &ceiling);
        }
        frames
    }

    fn save_followed(&mut self) {
        let Some((ledger, spool)) = &self.followed else {
            return;
        };
        let mark = spool.mark();
        if self.saved_at == Some(mark) {
            return;
        }
        let snapshot = ledger.snapshot();
        if let Err(error) = self.save(clock::now(), &snapshot, Some(mark), false) {
            tracing::error!(%error, "budget state could not be saved; ceilings stand");
        }
    }

    fn save(&mut self, now: Millis, snapshot: &Snapshot, mark: Option<Mark>, is_final: bool) -> Result<(), StateError> {
        let path = state::snapshot_path(&self.folder, self.generation);
        self.try_save(now, (snapshot, mark), is_final).map_err(|source| StateError::Io { path, source })
    }

    /// Ceilings that still hold go into a new file first, then the snapshot takes effect, then what is older goes: a
    /// crash in between leaves more ceilings than needed, never fewer.
    fn try_save(&mut self, now: Millis, state: (&Snapshot, Option<Mark>), is_final: bool) -> io::Result<()> {
        let (snapshot, mark) = state;
        let open = |key: &AccountKey| span(key.window, key.start).end.is_none_or(|end| now < end.plus(CLOSE_AFTER));
        self.promised.retain(|(key, _), _| !is_final && open(key));
        let generation = self.generation;
        self.file = None;
        let promised = self.all_promised();
        self.place = self.promised.len() as u64;
        if promised.is_empty() {
            self.generation += 1;
        } else {
            self.append(&promised)?;
        }
        write_whole(&state::snapshot_path(&self.folder, generation), &state::snapshot_bytes(snapshot, mark))?;
        self.saved_at = mark;
        for old in state::generations(&self.folder, "snapshot-")?.into_iter().filter(|old| *old < generation) {
            fs::remove_file(state::snapshot_path(&self.folder, old))?;
        }
        for old in state::generations(&self.folder, "ceilings-")?.into_iter().filter(|old| *old < generation) {
            fs::remove_file(state::ceilings_path(&self.folder, old))?;
        }
        Ok(())
    }
}
