//! A disk that fails when it is told to.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::media::{Media, MediaFile, RealMedia};

/// What is to go wrong. Counters count down; a negative one never fires.
#[derive(Default)]
pub(crate) struct Plan {
    /// Syncs that fail from now on.
    pub(crate) failing_syncs: AtomicI64,
    /// Creations of files that fail from now on.
    pub(crate) failing_creates: AtomicI64,
    /// Appends that write only half and fail from now on.
    pub(crate) torn_appends: AtomicI64,
    /// Syncs that were asked for.
    pub(crate) syncs: AtomicU64,
    /// While set, syncs wait.
    held: Mutex<bool>,
    released: Condvar,
}

#[derive(Clone, Default)]
pub(crate) struct FaultyMedia(pub(crate) Arc<Plan>);

struct FaultyFile(Box<dyn MediaFile>, Arc<Plan>);

impl Plan {
    pub(crate) fn hold_syncs(&self) {
        *self.held.lock().unwrap() = true;
    }

    pub(crate) fn release_syncs(&self) {
        *self.held.lock().unwrap() = false;
        self.released.notify_all();
    }
}

fn fires(counter: &AtomicI64) -> bool {
    0 < counter.load(Ordering::SeqCst) && 0 < counter.fetch_sub(1, Ordering::SeqCst)
}

impl Media for FaultyMedia {
    fn create(&self, path: &Path) -> io::Result<Box<dyn MediaFile>> {
        if fires(&self.0.failing_creates) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(Box::new(FaultyFile(RealMedia.create(path)?, Arc::clone(&self.0))))
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_file(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        std::fs::OpenOptions::new().write(true).open(path)?.set_len(bytes)
    }
}

impl MediaFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if fires(&self.1.torn_appends) {
            self.0.append(&bytes[..bytes.len() / 2])?;
            return Err(io::Error::other("half was written"));
        }
        self.0.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        drop(self.1.released.wait_while(self.1.held.lock().unwrap(), |held| *held).unwrap());
        if fires(&self.1.failing_syncs) {
            return Err(io::Error::other("the sync failed"));
        }
        // No test pulls the plug, so the disk need not be waited for.
        Ok(())
    }
}
