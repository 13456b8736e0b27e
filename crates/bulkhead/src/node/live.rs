//! What is read again while the node runs: issuer keys, revocations, providers' credentials.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use bh_chat::Fault;
use bh_pipeline::ports::{Boxed, Call, Response, Upstream};
use bh_token::{IssuerKey, KeySet, Revocations};
use bh_upstream::Upstreams;

/// Name of the revocation list in the data folder.
pub(crate) const REVOCATIONS_FILE: &str = "revocations.json";

/// Where issuer keys come from.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a configuration has a handful of them")]
pub(crate) enum KeySource {
    /// In the configuration.
    Inline(IssuerKey),
    /// A JWKS file, read again when it changes.
    File(PathBuf),
}

/// Why keys or revocations cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {faults}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Every fault.
        faults: bh_token::Faults,
    },
    /// Keys from several places contradict one another.
    #[error("tokens.issuers: {0}")]
    Keys(bh_token::Faults),
}

/// The files that are watched, and how they looked when they were last read.
#[derive(Debug)]
pub(crate) struct Sources {
    keys: Vec<KeySource>,
    revocations: PathBuf,
    seen: Vec<Option<SystemTime>>,
    /// Rises with every set of keys, because a remembered token is good under one set only.
    revision: u64,
}

impl Sources {
    /// Sources that were never read.
    pub(crate) fn new(keys: Vec<KeySource>, data_dir: &Path) -> Self {
        Sources { keys, revocations: data_dir.join(REVOCATIONS_FILE), seen: Vec::new(), revision: 0 }
    }

    /// Counts revisions on from the sources these replace.
    pub(crate) fn continue_from(&mut self, before: &Sources) {
        self.revision = before.revision;
    }

    /// Reads everything when something changed since the last time; a missing revocation list is an empty one.
    ///
    /// # Errors
    /// A file that cannot be used; what was read before stays in force.
    pub(crate) fn read_if_changed(&mut self) -> Result<Option<(KeySet, Revocations)>, SourceError> {
        let now = self.looks();
        if now == self.seen {
            return Ok(None);
        }
        // Remembered also when reading fails, so that one fault is said once and not every second.
        self.seen = now;
        self.read().map(Some)
    }

    fn looks(&self) -> Vec<Option<SystemTime>> {
        let files = self.keys.iter().filter_map(|source| match source {
            KeySource::Inline(_) => None,
            KeySource::File(path) => Some(path),
        });
        let look = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        files.chain([&self.revocations]).map(look).chain([Some(SystemTime::UNIX_EPOCH)]).collect()
    }

    fn read(&mut self) -> Result<(KeySet, Revocations), SourceError> {
        let mut keys = Vec::new();
        for source in &self.keys {
            match source {
                KeySource::Inline(key) => keys.push(key.clone()),
                KeySource::File(path) => {
                    let wrong = |faults| SourceError::Wrong { path: path.clone(), faults };
                    keys.extend(KeySet::parse(&read(path)?, 0).map_err(wrong)?.keys().iter().cloned());
                }
            }
        }
        self.revision += 1;
        let keys = KeySet::new(keys, self.revision).map_err(SourceError::Keys)?;
        let revocations = if self.revocations.exists() {
            let wrong = |faults| SourceError::Wrong { path: self.revocations.clone(), faults };
            Revocations::parse(&read(&self.revocations)?).map_err(wrong)?
        } else {
            Revocations::new()
        };
        Ok((keys, revocations))
    }
}

fn read(path: &Path) -> Result<String, SourceError> {
    std::fs::read_to_string(path).map_err(|source| SourceError::Unreadable { path: path.to_owned(), source })
}

/// Providers that can be replaced while calls are under way; those go on over the old ones.
pub(crate) struct LiveUpstream(RwLock<Arc<Upstreams>>);

impl LiveUpstream {
    pub(crate) fn new(upstreams: Upstreams) -> Self {
        LiveUpstream(RwLock::new(Arc::new(upstreams)))
    }

    pub(crate) fn replace(&self, upstreams: Upstreams) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(upstreams);
    }

    fn now(&self) -> Arc<Upstreams> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Upstream for LiveUpstream {
    fn call(&self, call: Call) -> Boxed<Result<Response, Fault>> {
        self.now().call(call)
    }

    fn scrub(&self, provider: &str, text: &mut Vec<u8>) {
        self.now().scrub(provider, text);
    }
}
