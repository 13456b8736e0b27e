//! How many files and sockets this process may have open. Each client and each call to a provider is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limits of this process; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// In force now.
    pub(crate) soft: Option<u64>,
    /// What the process may raise it to by itself.
    pub(crate) hard: Option<u64>,
}

/// The limits of this process.
pub(crate) fn descriptors() -> Descriptors {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    Descriptors { soft: current, hard: maximum }
}

/// Raises the limit as far as allowed: the usual 1024 is for programs that use `select`.
pub(super) fn raise() {
    let Descriptors { soft, hard } = descriptors();
    if soft == hard {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }) {
        Ok(()) => tracing::debug!(?soft, ?hard, "the file-descriptor limit was raised"),
        Err(error) => tracing::warn!(?soft, ?hard, %error, "the file-descriptor limit could not be raised"),
    }
}
