//! `cargo run -p conformance -- DIR [--json]`: replays the recordings of a folder through the gateway. Exits 0 when all
//! that is promised holds, 1 when something does not, 2 when it cannot run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use conformance::{Report, run};

const USAGE: &str = "usage: conformance DIR [--json]\n\n\
    DIR      a folder of recordings, searched with its sub-folders\n\
    --json   print the report as JSON\n\n\
    BH_SEED=N splits the recorded bytes as an earlier run did; BULKHEAD_BIN=PATH tests that binary.";

fn main() -> ExitCode {
    let (mut folder, mut json) = (None, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--help" | "-h" => {
                print(USAGE);
                return ExitCode::SUCCESS;
            }
            _ if folder.is_none() && !argument.starts_with('-') => folder = Some(PathBuf::from(argument)),
            _ => folder = None,
        }
    }
    let Some(folder) = folder else {
        complain(USAGE);
        return ExitCode::from(2);
    };
    if !folder.is_dir() {
        complain(&format!("no recordings at {}: nothing is shown", folder.display()));
        return ExitCode::SUCCESS;
    }
    match report(&folder) {
        Ok(report) => {
            print(&if json { report.json().to_string() } else { report.table() });
            if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(&format!("conformance cannot run: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn report(folder: &std::path::Path) -> Result<Report> {
    let seed = match std::env::var("BH_SEED") {
        Ok(text) => text.parse().context("BH_SEED is a whole number")?,
        Err(_unset) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
            u64::from(now.subsec_nanos()) ^ now.as_secs().rotate_left(32)
        }
    };
    complain(&format!("conformance: seed {seed} (again with BH_SEED={seed})"));
    tokio::runtime::Runtime::new()?.block_on(run(folder, seed))
}

#[expect(clippy::print_stdout, reason = "the report is what this programme is for")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}

#[expect(clippy::print_stderr, reason = "what is no report stays out of it")]
fn complain(text: &str) {
    eprintln!("{text}");
}
