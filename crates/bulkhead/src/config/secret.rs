//! Secrets: named in the configuration, never written in it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::source::Environment;

/// Where a secret is: exactly one of the two.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSecret {
    /// An environment variable that holds it.
    #[schemars(length(min = 1))]
    pub(crate) env: Option<String>,
    /// A file that holds it; white space around it is not part of it.
    pub(crate) file: Option<PathBuf>,
}

/// Where a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed<'a> {
    /// In a variable of this name.
    Env(&'a str),
    /// In a file.
    File(&'a Path),
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretFault {
    /// Neither or both were given.
    #[error("give exactly one of {{env: NAME}} and {{file: PATH}}")]
    Choose,
    /// The variable is not set.
    #[error("the environment variable {0} is not set; set it, or remove this key")]
    Unset(String),
    /// The file cannot be read.
    #[error("the file {path} cannot be read: {problem}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        problem: std::io::ErrorKind,
    },
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It cannot be sent in a header.
    #[error("it holds characters that cannot be sent in a header; look for line breaks inside it")]
    NotPrintable,
}

impl RawSecret {
    /// Reads the secret. `base` is the folder relative paths start from.
    ///
    /// # Errors
    /// When it is not there, empty, or could not be sent.
    pub(crate) fn read(&self, base: &Path, environment: &Environment) -> Result<SecretString, SecretFault> {
        let text = match self.place()? {
            Placed::Env(name) => environment.get(name).ok_or_else(|| SecretFault::Unset(name.to_owned()))?.to_owned(),
            Placed::File(path) => {
                let path = base.join(path);
                std::fs::read_to_string(&path).map_err(|error| SecretFault::Unreadable {
                    path: path.display().to_string(),
                    problem: error.kind(),
                })?
            }
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(SecretFault::Empty);
        }
        if !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(SecretFault::NotPrintable);
        }
        Ok(SecretString::from(text.to_owned()))
    }

    /// Where it is; not what it is.
    ///
    /// # Errors
    /// [`SecretFault::Choose`].
    pub(crate) fn place(&self) -> Result<Placed<'_>, SecretFault> {
        match (&self.env, &self.file) {
            (Some(name), None) => Ok(Placed::Env(name)),
            (None, Some(path)) => Ok(Placed::File(path)),
            (None, None) | (Some(_), Some(_)) => Err(SecretFault::Choose),
        }
    }
}
