//! The gateway's process: built, started, asked, stopped.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use bh_base::NanoUsd;
use bh_testkit::Client;
use bh_testkit::process::{GatewayProcess, Launch};
use serde_json::Value;

use crate::config::Config;
use crate::folder::Folder;
use crate::metrics::Metrics;
use crate::wait::{SOON, eventually};

/// A running gateway. Killed when dropped.
pub struct Gateway {
    /// The process.
    pub process: GatewayProcess,
    /// A client whose connections its clones share.
    pub client: Client,
    /// Where the data plane listens.
    pub data: SocketAddr,
    /// Where the admin plane listens.
    pub admin: SocketAddr,
    scheme: &'static str,
}

/// One counter as the admin plane or the caller's own report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose money.
    pub scope: String,
    /// Over which span.
    pub window: String,
    /// The limit.
    pub limit: Option<NanoUsd>,
    /// Spent.
    pub spent: Option<NanoUsd>,
    /// Held by calls in flight.
    pub held: Option<NanoUsd>,
}

impl Gateway {
    /// Starts one on the state of this folder and waits until it serves.
    ///
    /// # Errors
    /// It does not start; shows what it said.
    pub fn start(config: &Config, folder: &Folder) -> Result<Self> {
        let file = folder.file("bulkhead.yaml");
        let config = config.clone().set("data_dir", folder.data().display().to_string().into());
        Folder::write(&file, &config.text())?;
        let scheme = if config.text().contains("\"tls\"") { "https" } else { "http" };
        let mut launch = Launch::new(binary()?).args(["serve", "--config"]).args([file.display().to_string()]);
        for (name, value) in &config.env {
            launch = launch.env(name, value);
        }
        tokio::task::block_in_place(|| {
            let process = launch.spawn()?;
            let line = process.wait_for_line("bulkhead is ready", SOON)?;
            let line: Value = serde_json::from_str(&line).with_context(|| format!("not a log line: {line}"))?;
            let address = |plane: &str| -> Result<SocketAddr> {
                Ok(line[plane].as_str().with_context(|| format!("no address of the {plane} plane: {line}"))?.parse()?)
            };
            let (data, admin) = (address("data")?, address("admin")?);
            Ok(Gateway { process, client: Client::new(), data, admin, scheme })
        })
    }

    /// The data plane's URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.data.port())
    }

    /// The admin plane's URL, without a trailing slash.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// A scrape.
    ///
    /// # Errors
    /// The admin plane does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        let answer = self.client.get(format!("{}/metrics", self.admin_url())).send().await?;
        ensure!(answer.status == 200, "metrics: status {}", answer.status);
        Ok(Metrics::parse(&answer.text().await?))
    }

    /// Scrapes until the samples of this name and these labels add up to `value`.
    ///
    /// # Errors
    /// They do not soon; shows the last scrape.
    pub async fn counted(&self, name: &str, labels: &[(&str, &str)], value: f64) -> Result<Metrics> {
        let mut last = String::new();
        let seen = eventually(name, SOON, async || {
            let metrics = self.metrics().await?;
            metrics.text().clone_into(&mut last);
            Ok((metrics.get(name, labels) == Some(value)).then_some(metrics))
        });
        seen.await.with_context(|| format!("{name}{labels:?} is not {value}: {last}"))
    }

    /// Every counter, as an administrator sees it.
    ///
    /// # Errors
    /// The admin plane refuses the token.
    pub async fn budgets(&self, admin: &str) -> Result<Vec<Account>> {
        let answer = self.client.get(format!("{}/admin/v1/budgets", self.admin_url())).bearer(admin).send().await?;
        ensure!(answer.status == 200, "budgets: status {}", answer.status);
        accounts(&answer.json().await?["data"])
    }

    /// The caller's own budgets.
    ///
    /// # Errors
    /// The gateway refuses the token.
    pub async fn own_budgets(&self, token: &str) -> Result<Vec<Account>> {
        let answer = self.client.get(format!("{}/v1/budget", self.url())).bearer(token).send().await?;
        ensure!(answer.status == 200, "own budgets: status {}", answer.status);
        accounts(&answer.json().await?["budgets"])
    }

    /// Asks it to end and waits until it did.
    ///
    /// # Errors
    /// It does not end soon.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.terminate()?;
        tokio::task::block_in_place(|| self.process.wait(SOON))
    }

    /// Everything it printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        format!("{}\n{}", self.process.stdout(), self.process.stderr())
    }
}

fn accounts(list: &Value) -> Result<Vec<Account>> {
    let money = |value: &Value| value.as_str().map(NanoUsd::parse_usd).transpose();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |entry: &Value| -> Result<Account> {
        Ok(Account {
            scope: text(&entry["scope"]),
            window: text(&entry["window"]),
            limit: money(&entry["limit_usd"])?,
            spent: money(&entry["spent_usd"])?,
            held: money(&entry["held_usd"])?,
        })
    };
    list.as_array().context("budgets are a list")?.iter().map(one).collect()
}

/// Runs a command of the gateway's binary to its end.
///
/// # Errors
/// The binary does not build or cannot be run.
pub fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<Output> {
    let binary = binary()?;
    tokio::task::block_in_place(|| Ok(Command::new(binary).args(args).output()?))
}

/// The gateway's binary: `BULKHEAD_BIN`, or the one of this build, brought up to date once.
fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("BULKHEAD_BIN") {
        return Ok(binary.into());
    }
    // A test's program lies in `<target>/<profile>/deps`.
    let exe = std::env::current_exe()?;
    let profile = exe.parent().and_then(|deps| deps.parent()).context("a test lives in a target folder")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "-p", "bulkhead", "--quiet", "--manifest-path"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    cargo.arg("--target-dir").arg(profile.parent().context("a profile lies in a target folder")?);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    ensure!(cargo.status()?.success(), "the gateway does not build");
    Ok(profile.join("bulkhead"))
}
