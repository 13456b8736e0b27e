//! `bulkhead token revoke`: writes the revocation list of the data folder, which a running gateway reads again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bh_base::TokenId;
use bh_pipeline::clock;
use bh_token::{DEFAULT_ISSUER, Faults, IssuerKey, KeySet, Revocations};
use serde_json::json;

use super::values::instant;
use crate::cli::{Exit, Failure, Out};
use crate::config::{Environment, Source, overview};
use crate::node::{KeySource, REVOCATIONS_FILE};

/// Takes a token back, or everything a subject was issued before some time. A running gateway refuses at once; what
/// was narrowed from a revoked token is refused with it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead token revoke --jti 4f1c… --config bulkhead.yaml\n  bulkhead token revoke --sub ann --before now --config bulkhead.yaml"
)]
pub(super) struct Args {
    /// The token's `jti` (of a root), or its id of 64 digits (of any link), as `token inspect` shows them.
    #[arg(long, conflicts_with_all = ["sub", "before"], required_unless_present = "sub")]
    jti: Option<String>,
    /// The issuer the token names, where it is not the usual one and its key is not limited to one.
    #[arg(long, default_value = DEFAULT_ISSUER, requires = "jti")]
    iss: String,
    /// The subject whose tokens are taken back.
    #[arg(long, requires = "before")]
    sub: Option<String>,
    /// Tokens issued before: `now`, seconds since 1970, or a time such as 2026-08-01T00:00:00Z.
    #[arg(long, value_name = "TIME", requires = "sub")]
    before: Option<String>,
    /// The gateway's configuration, for its data folder and issuers.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
enum RevokeError {
    /// The folder or the list cannot be read or written.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The list is damaged.
    #[error("{}: {faults}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Every fault.
        faults: Faults,
    },
    /// The issuers' keys contradict one another.
    #[error("tokens.issuers: {0}")]
    Issuers(Faults),
    /// A `jti` says nothing without a key that could have signed it.
    #[error("no issuer is configured, so a jti names no token; give the token's id of 64 digits instead")]
    NoIssuers,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let environment = Environment::of_process();
        let source = Source::find(self.config.as_deref(), &environment)?;
        // A provider's secret is no reason not to take a token back.
        let found = overview(&source, &environment, false)?;
        std::fs::create_dir_all(&found.data_dir).map_err(|source| io_error(&found.data_dir, source))?;
        let list = List::lock(&found.data_dir)?;
        let mut revocations = list.read()?;
        let news = match (&self.jti, &self.sub, &self.before) {
            (Some(jti), _, _) => {
                let new = ids(jti, &self.iss, &found.keys)?.into_iter().filter(|id| revocations.revoke_id(*id)).count();
                0 < new
            }
            (None, Some(sub), Some(before)) => {
                let before = instant(before, clock::now()).map_err(Failure::usage)?;
                revocations.revoke_subject(sub, before).map_err(Failure::usage)?
            }
            (None, _, _) => unreachable!("clap asks for --jti, or --sub with --before"),
        };
        if news {
            list.write(&revocations)?;
        }
        let path = list.path.display().to_string();
        let said = if news { "revoked" } else { "was revoked already" };
        out.result(&format!("{said}; {path}"), &json!({ "revoked": true, "news": news, "file": path }))?;
        Ok(Exit::Ok)
    }
}

/// Every id the text may mean: itself, and the root tokens of each key. Ids are hashes, so that a wrong one names
/// nobody.
fn ids(jti: &str, iss: &str, sources: &[KeySource]) -> Result<Vec<TokenId>, Failure> {
    if let Ok(id) = TokenId::parse(jti) {
        return Ok(vec![id]);
    }
    let mut keys: Vec<IssuerKey> = Vec::new();
    for source in sources {
        match source {
            KeySource::Inline(key) => keys.push(key.clone()),
            KeySource::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| io_error(path, source))?;
                let wrong = |faults| Failure::new(Exit::Config, RevokeError::Damaged { path: path.clone(), faults });
                keys.extend(KeySet::parse(&text, 0).map_err(wrong)?.keys().iter().cloned());
            }
        }
    }
    if keys.is_empty() {
        return Err(Failure::usage(RevokeError::NoIssuers));
    }
    let keys = KeySet::new(keys, 0).map_err(|faults| Failure::new(Exit::Config, RevokeError::Issuers(faults)))?;
    Ok(keys.root_ids(jti, iss))
}

/// The list of a data folder, held alone until dropped.
struct List {
    folder: PathBuf,
    path: PathBuf,
    _lock: File,
}

impl List {
    fn lock(folder: &Path) -> Result<Self, Failure> {
        let lock_path = folder.join(format!("{REVOCATIONS_FILE}.lock"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(&lock_path).and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|source| io_error(&lock_path, source))?;
        Ok(List { folder: folder.to_owned(), path: folder.join(REVOCATIONS_FILE), _lock: lock })
    }

    fn read(&self) -> Result<Revocations, Failure> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Revocations::new()),
            Err(error) => return Err(io_error(&self.path, error)),
        };
        let damaged = |faults| RevokeError::Damaged { path: self.path.clone(), faults };
        Revocations::parse(&text).map_err(|faults| Failure::new(Exit::Config, damaged(faults)))
    }

    /// All of the new list or all of the old one, whatever happens in between.
    fn write(&self, revocations: &Revocations) -> Result<(), Failure> {
        let fresh = self.folder.join(format!("{REVOCATIONS_FILE}.new"));
        self.replace(&fresh, &revocations.to_json()).map_err(|source| io_error(&self.path, source))
    }

    fn replace(&self, fresh: &Path, text: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(fresh)?;
        #[cfg(unix)]
        like_folder(&file, &self.folder)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(fresh, &self.path)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// The gateway may run as another user than whoever revokes; it owns the folder, so it gets the file.
#[cfg(unix)]
fn like_folder(file: &File, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let owner = std::fs::metadata(folder)?;
    let own = file.metadata()?;
    if (owner.uid(), owner.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn io_error(path: &Path, source: io::Error) -> Failure {
    Failure::new(Exit::Unavailable, RevokeError::Io { path: path.to_owned(), source })
}
