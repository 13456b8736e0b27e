//! The data folder: who may write to it, who holds it, how much fits, and whether the evidence in it is whole.

use std::path::{Path, PathBuf};

use bh_audit::{Fault, Report, Verdict};
use bh_base::Millis;
use bh_disk::DataFolder;
use rustix::fs::{Access, access, statvfs};

use super::Finding;
use crate::ask::chain;
use crate::evidence::{Log, NoLog, Progress, Verified, newest, verify};

/// Less free space than this holds a few minutes of records.
const FREE_MIN: u64 = 256 * 1024 * 1024;
/// Less than this may not last a night.
const FREE_GOOD: u64 = 2 * 1024 * 1024 * 1024;

/// What the other checks need to know of the folder.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The running node that holds it.
    pub(super) holder: Option<String>,
    /// When the newest record was written.
    pub(super) newest: Option<Millis>,
}

pub(super) fn examine(path: &Path, progress: &mut Progress, found: &mut (dyn FnMut(Finding) + Send)) -> Evidence {
    const CHECK: &str = "data_dir";
    let shown = path.display();
    // What is not there yet is made by the first start, in the nearest folder that is there.
    let here = |path: &'_ Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() };
    let Some(there) = path.ancestors().map(here).find(|path| path.exists()) else {
        found(Finding::fail(CHECK, format!("{shown} does not exist"), "name another data_dir"));
        return Evidence::default();
    };
    if !there.is_dir() {
        found(Finding::fail(CHECK, format!("{} is not a folder", there.display()), "name another data_dir"));
        return Evidence::default();
    }
    if let Err(error) = access(&there, Access::WRITE_OK | Access::EXEC_OK) {
        let next = format!("let the user that runs bulkhead write to {}, or name another data_dir", there.display());
        found(Finding::fail(CHECK, format!("{} cannot be written to ({error})", there.display()), next));
        return Evidence::default();
    }
    let holder = DataFolder::holder(path);
    found(match &holder {
        Some(holder) => Finding::ok(CHECK, format!("{shown} is held by {holder}")),
        None if there == path => whole_mode(path),
        None => Finding::ok(CHECK, format!("{shown} is not there yet and can be made")),
    });
    space(&there, found);
    Evidence { holder, newest: audit(path, progress, found) }
}

/// A folder nobody holds: is it the owner's alone?
fn whole_mode(path: &Path) -> Finding {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode() & 0o777);
    if mode & 0o077 == 0 {
        return Finding::ok("data_dir", format!("{} can be written to and nobody holds it", path.display()));
    }
    let found = format!("{} can be entered by other users (mode {mode:o})", path.display());
    Finding::warn("data_dir", found, format!("chmod 700 {}", path.display()))
}

fn space(path: &Path, found: &mut (dyn FnMut(Finding) + Send)) {
    const CHECK: &str = "disk";
    let free = match statvfs(path) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            let message = format!("the free space at {} cannot be read ({error})", path.display());
            return found(Finding::warn(CHECK, message, "look at it with `df`"));
        }
    };
    let message = format!("{} MiB free at {}", free / (1024 * 1024), path.display());
    let next = "free some space, or shorten audit.retain_h: a full disk refuses requests (strict) or loses records";
    found(if free < FREE_MIN {
        Finding::fail(CHECK, message, next)
    } else if free < FREE_GOOD {
        Finding::warn(CHECK, message, next)
    } else {
        Finding::ok(CHECK, message)
    });
}

/// Verifies the log; says when its newest record was written.
fn audit(path: &Path, progress: &mut Progress, found: &mut (dyn FnMut(Finding) + Send)) -> Option<Millis> {
    const CHECK: &str = "audit";
    let verified = Log::find(path).and_then(|log| Ok((newest(&log)?, verify(log, Vec::new(), progress)?)));
    match verified {
        Ok((newest, Verified { report, .. })) => {
            found(judge(&report, path));
            newest
        }
        // Whoever ran here left a lock file, and a log with at least its EpochOpen.
        Err(NoLog::Empty { .. } | NoLog::Unreadable { .. }) if !path.join("lock").exists() => {
            found(Finding::ok(CHECK, "no audit log yet"));
            None
        }
        Err(error) => {
            let next = "a node that ran here left one: restore it, or keep the folder as it is for the auditor and name another";
            found(Finding::fail(CHECK, chain(&error), next));
            None
        }
    }
}

fn judge(report: &Report, path: &Path) -> Finding {
    const CHECK: &str = "audit";
    let next = format!("`bulkhead audit verify --dir {}` shows each place", path.display());
    let worst = report.findings.iter().find(|finding| finding.fault.verdict() == report.verdict);
    let said = worst.map_or_else(|| report.verdict.as_str().to_owned(), |finding| finding.fault.to_string());
    let found = format!("{} records, {}: {said}", report.records, report.verdict.as_str());
    let is_declared = |fault: &Fault| matches!(fault, Fault::DeclaredLost(_));
    match report.verdict {
        Verdict::Ok => Finding::ok(CHECK, format!("{} records, chain unbroken", report.records)),
        Verdict::CrashTail => Finding::warn(CHECK, found, next),
        Verdict::Gap if worst.is_some_and(|finding| is_declared(&finding.fault)) => Finding::warn(CHECK, found, next),
        Verdict::Gap | Verdict::Tampered | Verdict::Fork => Finding::fail(CHECK, found, next),
    }
}
