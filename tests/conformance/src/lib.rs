//! Replays recorded exchanges with real providers through the running gateway: the real binary, real sockets, a
//! scripted provider that serves the recorded bytes split at random points.
//!
//! Each recording is sent in its own dialect and in the other. What the client gets, what the provider got and what
//! the gateway accounts for is compared with the recording, read by this crate's own readers: of the product it uses
//! the dialects to write requests in the other dialect, keys and tokens to be let in, and the reader of the spool.
//! `exceptions.txt` lists what one dialect cannot say; everything else must be exact.

mod account;
mod ask;
mod case;
mod check;
mod crafted;
mod exceptions;
mod gateway;
mod gist;
mod read;
mod replay;
mod report;
mod stage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bh_testkit::{Recording, Seed};

pub use case::Case;
pub use exceptions::{Exception, Exceptions};
pub use report::{Failure, Report, Row};

/// Deepest folder that is searched, so that a link to a parent ends.
const DEPTH_MAX: usize = 8;

/// Replays every recording under a folder.
///
/// # Errors
/// The folder cannot be read, or the gateway cannot be built or run at all. What goes wrong with single recordings is
/// in the report.
pub async fn run(folder: &Path, seed: u64) -> Result<Report> {
    let exceptions = Exceptions::listed()?;
    let (mut cases, mut skipped, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for file in files(folder)? {
        match Recording::load(&file).map(Case::new) {
            Ok(Ok(case)) => cases.push(Arc::new(case)),
            Ok(Err(recording)) => skipped.push(*recording),
            Err(error) => unreadable.push((file.display().to_string(), format!("{error:#}"))),
        }
    }
    let binary = gateway::binary()?;
    let played = replay::play(&binary, replay::plan(&cases), &mut Seed::new(seed)).await?;
    let mut report = Report::of(&played, &skipped, &exceptions, seed);
    for (file, fault) in unreadable {
        report.unreadable(file, fault);
    }
    Ok(report)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, DEPTH_MAX, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, depth_left: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if depth_left == 0 {
        bail!("{} is nested too deep", folder.display());
    }
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            collect(&path, depth_left - 1, files)?;
        } else if path.extension().is_some_and(|ext| ext == "json") && name != "INDEX.json" {
            files.push(path);
        }
    }
    Ok(())
}
