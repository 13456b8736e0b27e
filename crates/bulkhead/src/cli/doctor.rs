//! `bulkhead doctor`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Exit, Failure, Format, Out, not_built};
use crate::config::Environment;
use crate::doctor::{Level, examine};

/// Say what is wrong and what to do about it.
///
/// Looks at the configuration, its secrets, the data folder, the evidence, the clock, the ports or the running node, and
/// whether the providers can be reached. It changes nothing and makes no call that costs. Exit 1 when something fails.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulkhead doctor\n  bulkhead doctor --config bulkhead.yaml --output json")]
pub(crate) struct Args {
    /// The configuration; found as `serve` finds it without.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run the fault suite against this deployment (not built yet).
    #[arg(long)]
    prove: bool,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        if self.prove {
            return Err(not_built::refusal("doctor --prove"));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Unavailable, error))?;
        let (mut findings, mut unwritten) = (Vec::new(), None);
        let is_text = out.format() == Format::Text;
        let mut found = |finding: crate::doctor::Finding| {
            if is_text && let Err(failure) = out.line(&finding.to_text()) {
                unwritten = Some(failure);
            }
            findings.push(finding);
        };
        runtime.block_on(examine(self.config.as_deref(), &Environment::of_process(), &mut found));
        if let Some(failure) = unwritten {
            return Err(failure);
        }
        let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
        let (warnings, failures) = (count(Level::Warn), count(Level::Fail));
        let all: Vec<Value> = findings.iter().map(crate::doctor::Finding::to_json).collect();
        let json = json!({ "findings": all, "warnings": warnings, "failures": failures });
        out.result(&format!("\n{failures} to mend, {warnings} to look at"), &json)?;
        Ok(if failures == 0 { Exit::Ok } else { Exit::CheckFailed })
    }
}
