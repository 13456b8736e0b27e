//! `bulkhead healthcheck`: one question to a running node.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Exit, Failure, Out};
use crate::ask::{base_url, get, reachable};
use crate::config::{Environment, Source, SourceError, overview};

/// Where the admin plane listens when nothing is said.
const ADMIN: &str = "127.0.0.1:8081";

/// Ask a running node whether it is ready, for container health checks.
///
/// Asks `/readyz` of its admin plane: exit 0 when it is ready (degraded is ready), 1 when it is not, 69 when nobody
/// answers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead healthcheck\n  bulkhead healthcheck --config bulkhead.yaml\n  bulkhead healthcheck --admin http://127.0.0.1:8081"
)]
pub(crate) struct Args {
    /// The configuration that names the admin plane's address; found as `serve` finds it without.
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// The admin plane itself, as a URL or an address and port.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let url = format!("{}/readyz", base_url(&self.admin()?));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Unavailable, error))?;
        let answer = runtime.block_on(get(&url, None)).map_err(|error| Failure::new(Exit::Unavailable, error))?;
        let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let status = said["status"].as_str().unwrap_or("unknown");
        let reasons: Vec<&str> = said["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let is_ready = answer.status == 200;
        let text = if reasons.is_empty() { status.to_owned() } else { format!("{status}: {}", reasons.join("; ")) };
        out.result(&text, &json!({ "ready": is_ready, "status": status, "reasons": reasons }))?;
        Ok(if is_ready { Exit::Ok } else { Exit::CheckFailed })
    }

    fn admin(&self) -> Result<String, Failure> {
        if let Some(admin) = &self.admin {
            return Ok(admin.clone());
        }
        let environment = Environment::of_process();
        let source = match Source::find(self.config.as_deref(), &environment) {
            Err(SourceError::NotFound) => return Ok(ADMIN.to_owned()),
            found => found?,
        };
        let found = overview(&source, &environment, false)?;
        let admin = found.effective["server"]["admin_listen"].as_str().and_then(|text| text.parse().ok());
        Ok(admin.map_or_else(|| ADMIN.to_owned(), |admin| reachable(admin).to_string()))
    }
}
