//! The data folder: held by one process at a time, readable by its owner only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use bh_audit::Pseudonyms;

use crate::media::private;

/// Longest note a holder leaves, in bytes.
const NOTE_BYTES_MAX: u64 = 1024;

/// A data folder that this process holds alone until the value is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// The operating system releases the lock when this closes, however the process ends.
    _lock: File,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process holds it.
    #[error("{} is in use by {holder}; stop that process, or give this one another data_dir", path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The file system cannot lock, so two nodes could write one log.
    #[error("{} cannot be locked; put data_dir on a local disk", path.display())]
    Unlockable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or folder cannot be made, read or written.
    #[error("{} cannot be used; data_dir must be a folder this user may write to", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The pseudonyms' key is not what was written.
    #[error("{} must hold 32 bytes; restore it, or remove it to begin new pseudonyms", path.display())]
    KeyDamaged {
        /// The file.
        path: PathBuf,
    },
}

impl DataFolder {
    /// Takes the folder, which is made if it is not there. `note` tells others who holds it, in one line.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be used.
    pub fn open(path: &Path, note: &str) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        make_private_folder(path).map_err(io)?;
        let lock_path = path.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        private(&mut options);
        let mut lock = options.open(&lock_path).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::Held { path: path.to_owned(), holder: read_note(&mut lock) });
            }
            Err(TryLockError::Error(source)) => {
                return Err(FolderError::Unlockable { path: path.to_owned(), source });
            }
        }
        lock.set_len(0).and_then(|()| lock.write_all(note.as_bytes())).map_err(io)?;
        Ok(DataFolder { path: path.to_owned(), _lock: lock })
    }

    /// Who holds the folder now, without taking it; `None` when nobody does.
    #[must_use]
    pub fn holder(path: &Path) -> Option<String> {
        let mut lock = File::open(path.join("lock")).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_note(&mut lock)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the audit spool lies in a data folder.
    #[must_use]
    pub fn audit_in(path: &Path) -> PathBuf {
        path.join("audit")
    }

    /// A folder inside this one, made if it is not there.
    pub(crate) fn inside(&self, name: &str) -> Result<PathBuf, FolderError> {
        let path = self.path.join(name);
        make_private_folder(&path).map_err(|source| FolderError::Io { path: path.clone(), source })?;
        Ok(path)
    }

    /// The pseudonyms of this folder. Their key is drawn at first use and never leaves the folder.
    ///
    /// # Errors
    /// The key cannot be read or written, or is damaged.
    pub fn pseudonyms(&self) -> Result<Pseudonyms, FolderError> {
        let path = self.path.join("pseudonym.key");
        let io = |source| FolderError::Io { path: path.clone(), source };
        match fs::read(&path) {
            Ok(bytes) => {
                let key = bytes.try_into().map_err(|_| FolderError::KeyDamaged { path: path.clone() })?;
                Ok(Pseudonyms::new(key))
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let key: [u8; 32] = random().map_err(io)?;
                write_whole(&path, &key).map_err(io)?;
                Ok(Pseudonyms::new(key))
            }
            Err(fault) => Err(io(fault)),
        }
    }
}

/// Bytes nobody can guess.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|fault| io::Error::other(fault.to_string()))?;
    Ok(bytes)
}

/// Writes a file so that after a crash it is either as before or whole.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    private(&mut options);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

fn read_note(lock: &mut File) -> String {
    let mut note = String::new();
    let read = lock.rewind().and_then(|()| lock.take(NOTE_BYTES_MAX).read_to_string(&mut note));
    match (read, note.lines().next()) {
        (Ok(_), Some(line)) if !line.trim().is_empty() => line.trim().to_owned(),
        (Ok(_) | Err(_), Some(_) | None) => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_folder_is_held_by_one_and_the_error_names_the_holder() {
        let scratch = Scratch::new();
        let held = DataFolder::open(scratch.path(), "bulkhead 4711, since today").unwrap();
        let fault = DataFolder::open(scratch.path(), "second").unwrap_err();
        assert!(
            matches!(&fault, FolderError::Held { holder, .. } if holder == "bulkhead 4711, since today"),
            "{fault}"
        );
        assert_eq!(DataFolder::holder(scratch.path()).as_deref(), Some("bulkhead 4711, since today"));
        drop(held);
        assert_eq!(DataFolder::holder(scratch.path()), None);
        DataFolder::open(scratch.path(), "second").unwrap();
    }

    #[test]
    fn pseudonyms_stay_the_same_across_restarts() {
        let scratch = Scratch::new();
        let alice = || DataFolder::open(scratch.path(), "x").unwrap().pseudonyms().unwrap().subject("alice");
        assert_eq!(alice(), alice());
        fs::write(scratch.path().join("pseudonym.key"), b"short").unwrap();
        let fault = DataFolder::open(scratch.path(), "x").unwrap().pseudonyms().unwrap_err();
        assert!(matches!(fault, FolderError::KeyDamaged { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = Scratch::new();
        let path = scratch.path().join("data");
        DataFolder::open(&path, "x").unwrap().pseudonyms().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("pseudonym.key"))), (0o700, 0o600));
    }
}
