//! Commands of the contract that are not built yet: refused by name, whatever follows.

use std::ffi::OsString;

use super::{Exit, Failure};

/// Whatever was written.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

/// The command does not exist yet.
#[derive(Debug, thiserror::Error)]
#[error("`bulkhead {0}` is not built yet in this version")]
struct NotBuilt(String);

impl Args {
    /// Refuses; `command` is what stands before the arguments.
    pub(crate) fn refuse(self, command: &str) -> Result<Exit, Failure> {
        drop(self.rest);
        Err(refusal(command))
    }
}

/// The refusal of a command, or of a flag of one.
pub(crate) fn refusal(what: &str) -> Failure {
    Failure::usage(NotBuilt(what.to_owned()))
}
