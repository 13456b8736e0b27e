//! Reading the evidence of a node, running or not: the last records as they come, and the proof that none was changed.

mod check;
mod line;
mod progress;
mod tail;

use std::io;
use std::path::{Path, PathBuf};

use bh_disk::{DataFolder, LogReader, ReadError};

pub(crate) use check::{Verified, verify, witness};
pub(crate) use line::{line, time};
pub(crate) use progress::Progress;
pub(crate) use tail::{follow, last, newest};

/// A log on disk.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// The folder of its segments.
    pub(crate) folder: PathBuf,
    /// The running node that writes it, as it calls itself.
    pub(crate) holder: Option<String>,
}

/// Why there is no log to read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLog {
    /// The folder is not there, or cannot be read.
    #[error("there is no audit log in {}; name a data folder or the audit folder inside it", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder holds no segment.
    #[error("there is no audit log in {}: it holds no segment", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A segment cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Log {
    /// The log in a data folder, or in the folder of segments itself. An empty one is none: whoever removes every
    /// segment must not be told that all is well.
    ///
    /// # Errors
    /// See [`NoLog`].
    pub(crate) fn find(dir: &Path) -> Result<Self, NoLog> {
        let inside = DataFolder::audit_in(dir);
        let (folder, data_dir) = if inside.is_dir() { (inside, Some(dir)) } else { (dir.to_owned(), dir.parent()) };
        let unreadable = |source| NoLog::Unreadable { path: folder.clone(), source };
        let mut entries = std::fs::read_dir(&folder).map_err(unreadable)?;
        let has_segment = |entry: io::Result<std::fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("seg-"))
        };
        if !entries.any(has_segment) {
            return Err(NoLog::Empty { path: folder });
        }
        let holder = data_dir.and_then(DataFolder::holder);
        Ok(Log { folder, holder })
    }

    fn reader(&self) -> Result<LogReader, ReadError> {
        LogReader::open(std::slice::from_ref(&self.folder))
    }
}
