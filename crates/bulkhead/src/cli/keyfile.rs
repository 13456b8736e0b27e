//! Private keys on disk: PKCS#8 PEM with two lines before it that say the key's id and what it is for. Every reader of
//! PEM skips such lines (RFC 7468), and a PEM file without them is a key like any other.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bh_seal::{KeyError, SigningKey};
use bh_token::{Faults, IssuerKey, KeySet, thumbprint};
use clap::ValueEnum;
use zeroize::Zeroizing;

use super::{Exit, Failure};

const KID: &str = "bulkhead-kid: ";
const USE: &str = "bulkhead-use: ";

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Use {
    /// Signs root tokens.
    Issuer,
    /// Narrows the tokens that name it.
    Holder,
    /// Enrols nodes of a cluster (not built yet).
    Enrol,
    /// Signs checkpoints of the audit log (not built yet).
    Audit,
    /// Signs configurations of a cluster (not built yet).
    Config,
}

/// A private key with its id.
#[derive(Debug)]
pub(crate) struct KeyFile {
    /// The key; prints as `***`.
    pub(crate) key: SigningKey,
    /// Its id: as it was named, else its thumbprint.
    pub(crate) kid: String,
    /// What it is for, where the file says so.
    pub(crate) usage: Option<Use>,
}

/// Why there is no key, or no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    /// The file cannot be read.
    #[error("the key {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It holds no key.
    #[error("{} holds no key", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: KeyError,
    },
    /// The file is there already.
    #[error("{} exists, and a key is never overwritten; name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("the key {} cannot be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key that was made for something else.
    #[error("{} is a key for use `{found}`; here one for use `{wanted}` is needed", path.display())]
    OtherUse {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: &'static str,
        /// What is needed.
        wanted: &'static str,
    },
    /// A key id that no token could name.
    #[error("the key id cannot be used: {0}")]
    Kid(Faults),
}

impl Use {
    /// The spelling of the flag.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Use::Issuer => "issuer",
            Use::Holder => "holder",
            Use::Enrol => "enrol",
            Use::Audit => "audit",
            Use::Config => "config",
        }
    }
}

impl KeyFile {
    /// A key from 32 bytes of entropy; its id is the thumbprint unless it is named.
    ///
    /// # Errors
    /// [`KeyFileError::Kid`].
    pub(crate) fn new(seed: [u8; 32], kid: Option<String>, usage: Use) -> Result<Self, KeyFileError> {
        let key = SigningKey::from_seed(seed);
        let kid = kid.unwrap_or_else(|| thumbprint(&key.public()));
        let file = KeyFile { key, kid, usage: Some(usage) };
        KeySet::new(vec![file.public()], 0).map_err(KeyFileError::Kid)?;
        Ok(file)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`KeyFileError::Unreadable`], [`KeyFileError::NoKey`].
    pub(crate) fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| KeyFileError::Unreadable { path: path.to_owned(), source })?;
        let text = Zeroizing::new(text);
        let key =
            SigningKey::from_pem(&text).map_err(|source| KeyFileError::NoKey { path: path.to_owned(), source })?;
        let note = |name: &str| {
            let before = text.lines().take_while(|line| !line.starts_with("-----BEGIN"));
            before.filter_map(|line| line.strip_prefix(name)).map(str::trim).next().map(str::to_owned)
        };
        let kid = note(KID).unwrap_or_else(|| thumbprint(&key.public()));
        let usage = note(USE).and_then(|text| Use::from_str(&text, false).ok());
        Ok(KeyFile { key, kid, usage })
    }

    /// Reads a key that may be used so.
    ///
    /// # Errors
    /// As [`KeyFile::read`], and [`KeyFileError::OtherUse`].
    pub(crate) fn read_for(path: &Path, wanted: Use) -> Result<Self, KeyFileError> {
        let file = Self::read(path)?;
        match file.usage {
            Some(found) if found != wanted => {
                Err(KeyFileError::OtherUse { path: path.to_owned(), found: found.as_str(), wanted: wanted.as_str() })
            }
            Some(_) | None => Ok(file),
        }
    }

    /// Writes the key to a new file that only its owner may read.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`], [`KeyFileError::Unwritable`].
    pub(crate) fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        let mut text = Zeroizing::new(String::new());
        if let Some(usage) = self.usage {
            text.push_str(&format!("{USE}{}\n", usage.as_str()));
        }
        text.push_str(&format!("{KID}{}\n", self.kid));
        text.push_str(&self.key.to_pem());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| {
            let path = path.to_owned();
            if source.kind() == io::ErrorKind::AlreadyExists {
                KeyFileError::Exists { path }
            } else {
                KeyFileError::Unwritable { path, source }
            }
        })
    }

    /// The public half under its id.
    pub(crate) fn public(&self) -> IssuerKey {
        IssuerKey::new(self.kid.clone(), self.key.public())
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let exit = match &error {
            KeyFileError::Unreadable { .. } | KeyFileError::Unwritable { .. } => Exit::Unavailable,
            KeyFileError::NoKey { .. }
            | KeyFileError::Exists { .. }
            | KeyFileError::OtherUse { .. }
            | KeyFileError::Kid(_) => Exit::Usage,
        };
        Failure::new(exit, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_says_its_id_and_use_and_stays_pem() {
        let folder = std::env::temp_dir().join(format!("bulkhead-keyfile-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.key");
        let file = KeyFile::new([7; 32], Some("main".to_owned()), Use::Holder).unwrap();
        file.write(&path).unwrap();
        let read = KeyFile::read(&path).unwrap();
        assert_eq!((read.kid.as_str(), read.usage), ("main", Some(Use::Holder)));
        assert_eq!(read.key.public(), file.key.public());
        assert!(matches!(file.write(&path), Err(KeyFileError::Exists { .. })));
        assert!(matches!(KeyFile::read_for(&path, Use::Issuer), Err(KeyFileError::OtherUse { .. })));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_id_with_a_line_break_is_refused() {
        let broken = KeyFile::new([7; 32], Some("a\nb".to_owned()), Use::Issuer);
        assert!(matches!(broken, Err(KeyFileError::Kid(_))));
    }
}
