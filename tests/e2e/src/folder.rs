//! A folder of one test, gone with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// A folder of its own, removed when dropped unless the test failed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bulkhead-e2e-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("data")).context("a folder for the test")?;
        Ok(Folder { path })
    }

    /// Where the gateway keeps its state.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A file beside the state.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file at once, as a careful operator does: readers see the old one or the new one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(path: &Path, text: &str) -> Result<()> {
        let fresh = path.with_extension("fresh");
        fs::write(&fresh, text)?;
        fs::rename(&fresh, path)?;
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() && fs::remove_dir_all(&self.path).is_err() {
            // Somebody else tidied up; there is nothing left to do.
        }
    }
}
