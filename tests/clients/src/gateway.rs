//! The gateway under test: keys, a configuration, a token, and the process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bh_testkit::loopback::free_address;
use bh_testkit::process::{GatewayProcess, Launch};
use serde_json::{Value, json};

use crate::wire::Family;

/// Longest wait for the gateway to start, and for one of its commands.
const DEADLINE: Duration = Duration::from_secs(60);
/// What it says once it serves.
const READY: &str = "bulkhead is ready";

/// One provider of the configuration, with one route to it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The provider's id, and the model the client asks for.
    pub(crate) name: String,
    pub(crate) family: Family,
    /// The provider's address, without `/v1`.
    pub(crate) url: String,
}

/// A running gateway.
pub(crate) struct Gateway {
    process: GatewayProcess,
    /// Its address, without `/v1`.
    pub(crate) url: String,
    /// A token that may call everything.
    pub(crate) token: String,
    binary: PathBuf,
    data: PathBuf,
}

impl Target {
    /// The model the provider is asked for.
    pub(crate) const fn model(&self) -> &'static str {
        match self.family {
            Family::OpenAi => "gpt-4o",
            Family::Anthropic => "claude-sonnet-4-5",
        }
    }

    /// The credential the provider is shown.
    pub(crate) fn key(&self) -> String {
        format!("sk-of-{}", self.name)
    }

    fn variable(&self) -> String {
        format!("KEY_OF_{}", self.name.replace(['-', '.'], "_").to_uppercase())
    }

    fn provider(&self) -> Value {
        let base_url = match self.family {
            Family::OpenAi => format!("{}/v1", self.url),
            Family::Anthropic => self.url.clone(),
        };
        json!({
            "id": self.name, "kind": self.family.word(), "base_url": base_url,
            "keys": [{"id": "a", "secret": {"env": self.variable()}}],
        })
    }

    fn route(&self) -> Value {
        json!({"model": self.name, "targets": [{"provider": self.name, "model": self.model()}]})
    }
}

impl Gateway {
    /// Starts one in a folder that is made anew.
    ///
    /// # Errors
    /// When the binary is missing, a command fails, or it is not ready in time.
    pub(crate) fn start(binary: &Path, folder: &Path, targets: &[Target]) -> Result<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        let key = folder.join("issuer.key").display().to_string();
        let public = command(binary, &["key", "generate", "--out", &key, "--output", "json"])?;
        let public: Value = serde_json::from_str(&public).context("`key generate` prints a JWK")?;
        let kid = public["kid"].as_str().context("the JWK names its kid")?;
        let minted = ["token", "mint", "--key", &key, "--kid", kid, "--sub", "clients", "--ttl", "1h"];
        let token = command(binary, &minted)?.trim().to_owned();
        let (listen, admin) = (free_address()?, free_address()?);
        let data = folder.join("data");
        let config = json!({
            // The build machine's disk is busy; a budget whose rights are not durable yet is worth waiting for here.
            "server": {"listen": listen.to_string(), "admin_listen": admin.to_string(), "budget_wait_ms": 10_000},
            "data_dir": data,
            "tokens": {"issuers": [{"kid": kid, "x": public["x"]}]},
            "providers": targets.iter().map(Target::provider).collect::<Vec<_>>(),
            "routes": targets.iter().map(Target::route).collect::<Vec<_>>(),
            "budgets": [{"scope": "global", "limit_usd": 1000, "window": "day", "mode": "hard", "hold": "strict"}],
        });
        let file = folder.join("bulkhead.yaml");
        // JSON is YAML.
        std::fs::write(&file, format!("{config:#}\n"))?;
        let mut launch = Launch::new(binary).args(["serve", "--config"]).args([file.display().to_string()]);
        for target in targets {
            launch = launch.env(&target.variable(), &target.key());
        }
        let process = launch.spawn_ready(READY, DEADLINE)?;
        Ok(Self { process, url: format!("http://{listen}"), token, binary: binary.to_owned(), data })
    }

    /// Everything it logged so far.
    pub(crate) fn log(&self) -> String {
        format!("{}\n{}\n", self.process.stdout(), self.process.stderr())
    }

    /// Ends it as an operator would, and looks at what it leaves behind.
    ///
    /// # Errors
    /// When it does not end in time or ends badly, logged an error, or its audit log does not verify.
    pub(crate) fn end(mut self) -> Result<()> {
        self.process.terminate()?;
        let status = self.process.wait(DEADLINE)?;
        if !status.success() {
            bail!("the gateway ended with {status}");
        }
        if let Some(line) = self.log().lines().find(|line| line.contains(r#""level":"ERROR""#)) {
            bail!("the gateway logged an error: {line}");
        }
        let spool = self.data.join("audit").display().to_string();
        command(&self.binary, &["audit", "verify", "--dir", &spool]).context("the audit log does not verify")?;
        Ok(())
    }
}

/// The gateway's binary: `BULKHEAD_BIN`, or the one beside this program, as cargo leaves it.
///
/// # Errors
/// When it was not built.
pub(crate) fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("BULKHEAD_BIN") {
        return Ok(path.into());
    }
    let binary = std::env::current_exe()?.with_file_name("bulkhead");
    if !binary.is_file() {
        bail!("{} is missing: run `cargo build -p bulkhead`", binary.display());
    }
    Ok(binary)
}

fn command(binary: &Path, arguments: &[&str]) -> Result<String> {
    let mut process = Launch::new(binary).args(arguments.iter().copied()).spawn()?;
    let status = process.wait(DEADLINE)?;
    if !status.success() {
        bail!("`bulkhead {}` ended with {status}\n{}", arguments.join(" "), process.stderr());
    }
    Ok(process.stdout())
}
