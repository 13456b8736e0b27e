//! The few things done to files that can fail in ways worth testing: the real ones, and a seam for a failing disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A disk. The real one is [`RealMedia`]; tests use one that fails, tears and is slow on purpose.
pub trait Media: Send + Sync + 'static {
    /// Creates a file that must not exist yet, for appending.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn MediaFile>>;

    /// Makes names in a folder durable.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes the content of a file durable that another process may have left in memory.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn sync_file(&self, path: &Path) -> io::Result<()>;

    /// Cuts a file to a length, durably.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()>;
}

/// A file being appended to.
pub trait MediaFile: Send {
    /// Appends all bytes.
    ///
    /// # Errors
    /// Some of the bytes may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// Nothing can be said about what is on disk; asking again may lie.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealMedia;

impl Media for RealMedia {
    fn create(&self, path: &Path) -> io::Result<Box<dyn MediaFile>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        private(&mut options);
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(bytes)?;
        file.sync_all()
    }
}

struct RealFile(File);

impl MediaFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Only the owner may read what the gateway writes.
pub(crate) fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
}
