//! Where configuration comes from: a file that is found, and the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variable that names the file.
const FILE_VARIABLE: &str = "BULKHEAD_CONFIG";
/// Where the file is looked for when nothing names it.
const PLACES: [&str; 2] = ["bulkhead.yaml", "/etc/bulkhead/bulkhead.yaml"];
/// Largest configuration that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A configuration's text and where it stood.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The file, as people named it.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
}

/// The variables a configuration may look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

/// Why there is no text to read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// Nobody named a file and none is at the usual places.
    #[error("no configuration: give --config FILE, set BULKHEAD_CONFIG, or put one at ./{} or {}", PLACES[0], PLACES[1])]
    NotFound,
    /// The file cannot be read.
    #[error("the configuration {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than any configuration.
    #[error("the configuration {} has {bytes} bytes; at most {FILE_BYTES_MAX} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
}

impl Source {
    /// Finds and reads the configuration: the file named on the command line, else `$BULKHEAD_CONFIG`, else
    /// `./bulkhead.yaml`, else `/etc/bulkhead/bulkhead.yaml`. A named file is never replaced by another.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub(crate) fn find(named: Option<&Path>, environment: &Environment) -> Result<Self, SourceError> {
        let from_variable = || environment.get(FILE_VARIABLE).filter(|text| !text.is_empty()).map(PathBuf::from);
        if let Some(path) = named.map(Path::to_owned).or_else(from_variable) {
            return Self::read(&path);
        }
        let usual = PLACES.iter().map(Path::new).find(|path| path.exists());
        usual.map_or(Err(SourceError::NotFound), Self::read)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`SourceError::Unreadable`], text that is not UTF-8 included; [`SourceError::TooLarge`].
    pub(crate) fn read(path: &Path) -> Result<Self, SourceError> {
        let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if FILE_BYTES_MAX < bytes {
            return Err(SourceError::TooLarge { path: path.to_owned(), bytes });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Ok(Source { path: path.to_owned(), text })
    }

    /// The folder that relative paths of the configuration start from.
    pub(super) fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

impl Environment {
    /// The variables of this process. What is not Unicode is kept with replacement characters, so that it is faulted
    /// where it is used instead of being absent.
    pub(crate) fn of_process() -> Self {
        let lossy = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        };
        Environment(std::env::vars_os().map(lossy).collect())
    }

    /// One variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The variables that start so, in order of name.
    pub(super) fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.0.range(prefix.to_owned()..).map(|(name, value)| (name.as_str(), value.as_str()));
        from.take_while(move |(name, _)| name.starts_with(prefix))
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Environment(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
