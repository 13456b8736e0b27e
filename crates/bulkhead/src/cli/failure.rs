//! How commands end.

use std::error::Error;
use std::process::ExitCode;

use crate::config::{Faults, SourceError};

/// The exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// A check failed: what was looked at is not as it should be.
    CheckFailed = 1,
    /// The command line asks for something that cannot be meant, or is not built yet.
    Usage = 2,
    /// `audit verify`: records were altered, reordered or cut off.
    Tampered = 3,
    /// `audit verify`: two records claim one place.
    Fork = 4,
    /// Something that is needed is not there.
    Unavailable = 69,
    /// The same again may work in a moment.
    TryAgain = 75,
    /// The configuration is faulty.
    Config = 78,
}

/// Why a command could not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Faults of a configuration, each with its place.
    Faults(Box<Faults>),
    /// Anything else: what it means for the caller, what it was, and what to do.
    Other {
        /// The exit code.
        exit: Exit,
        /// What went wrong; its causes are told as well.
        error: Box<dyn Error + Send + Sync>,
        /// The next step, where the error does not say it.
        help: Option<String>,
    },
}

impl Exit {
    /// `audit verify`: records are missing. The contract gives it the number of a usage error as well.
    pub(crate) const GAP: Exit = Exit::Usage;
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl Failure {
    /// A failure with an exit code.
    pub(crate) fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure::Other { exit, error: error.into(), help: None }
    }

    /// A command line that cannot be meant.
    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Exit::Usage, error)
    }

    /// The same with a next step.
    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        if let Failure::Other { help, .. } = &mut self {
            *help = Some(text.into());
        }
        self
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Faults(_) => Exit::Config,
            Failure::Other { exit, .. } => *exit,
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Failure::Faults(Box::new(faults))
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Failure::new(Exit::Config, error)
    }
}
