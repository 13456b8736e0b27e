//! The clients: what they are, how each is started, and what they print.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bh_testkit::process::Launch;
use serde_json::Value;

use crate::wire::Family;

/// Longest time one client may take for all its scenarios against one target.
const DEADLINE: Duration = Duration::from_secs(240);

/// One real client.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its folder here and in the cache.
    pub(crate) name: &'static str,
    /// As people know it.
    pub(crate) title: &'static str,
    /// The dialect it speaks.
    pub(crate) family: Family,
    /// Whether it is an agent, which asks in its own words, rather than a library.
    pub(crate) agent: bool,
    runtime: Runtime,
    /// What it does, in the order it does it.
    pub(crate) scenarios: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
enum Runtime {
    /// Python of the client's own environment.
    Venv,
    Node,
    /// Any Python 3.
    Python,
}

/// What a client said of one scenario.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) scenario: String,
    /// What it saw, or what went wrong.
    pub(crate) seen: Result<Value, String>,
}

/// What a client is told.
pub(crate) struct Orders<'a> {
    /// Without `/v1`.
    pub(crate) url: &'a str,
    pub(crate) token: &'a str,
    pub(crate) model: &'a str,
    /// A PNG, base64.
    pub(crate) image: &'a str,
    /// Where the environments are.
    pub(crate) cache: &'a Path,
}

const OPENAI: &[&str] = &[
    "plain",
    "stream",
    "stream-without-usage",
    "tools",
    "parallel-tools",
    "structured-output",
    "image",
    "error",
    "retry",
    "cancel",
    "refusal",
    "models",
];
const ANTHROPIC: &[&str] = &[
    "plain",
    "stream",
    "tools",
    "parallel-tools",
    "structured-output",
    "image",
    "error",
    "retry",
    "cancel",
    "refusal",
    "count-tokens",
    "models",
];
const CLAUDE_CODE: &[&str] = &[
    "plain",
    "stream",
    "tools",
    "parallel-tools",
    "structured-output",
    "image",
    "error",
    "retry",
    "cancel",
    "refusal",
];

/// All of them.
pub(crate) const CLIENTS: &[Client] = &[
    Client {
        name: "openai-python",
        title: "OpenAI SDK, Python",
        family: Family::OpenAi,
        agent: false,
        runtime: Runtime::Venv,
        scenarios: OPENAI,
    },
    Client {
        name: "openai-node",
        title: "OpenAI SDK, JavaScript",
        family: Family::OpenAi,
        agent: false,
        runtime: Runtime::Node,
        scenarios: OPENAI,
    },
    Client {
        name: "anthropic-python",
        title: "Anthropic SDK, Python",
        family: Family::Anthropic,
        agent: false,
        runtime: Runtime::Venv,
        scenarios: ANTHROPIC,
    },
    Client {
        name: "anthropic-node",
        title: "Anthropic SDK, JavaScript",
        family: Family::Anthropic,
        agent: false,
        runtime: Runtime::Node,
        scenarios: ANTHROPIC,
    },
    Client {
        name: "claude-code",
        title: "Claude Code",
        family: Family::Anthropic,
        agent: true,
        runtime: Runtime::Python,
        scenarios: CLAUDE_CODE,
    },
];

impl Client {
    /// Runs every scenario.
    ///
    /// # Errors
    /// When the client's environment is missing, or it ends badly or not at all.
    pub(crate) fn run(&self, orders: &Orders<'_>) -> Result<Vec<Said>> {
        let environment = orders.cache.join(self.name);
        if !environment.is_dir() {
            bail!("{} is missing: run tests/clients/fetch", environment.display());
        }
        let scripts = folder().join(self.name);
        let (program, script) = match self.runtime {
            Runtime::Venv => (environment.join("bin/python"), scripts.join("client.py")),
            Runtime::Node => (PathBuf::from("node"), scripts.join("client.mjs")),
            Runtime::Python => (PathBuf::from("python3"), scripts.join("client.py")),
        };
        let mut process = Launch::new(program)
            .args([script.display().to_string()])
            .env("CLIENTS_ENVIRONMENT", &environment.display().to_string())
            .env("CLIENTS_URL", orders.url)
            .env("CLIENTS_TOKEN", orders.token)
            .env("CLIENTS_MODEL", orders.model)
            .env("CLIENTS_IMAGE", orders.image)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .spawn()?;
        let status = process.wait(DEADLINE)?;
        if !status.success() {
            bail!("{} ended with {status}\n{}\n{}", self.name, process.stdout(), process.stderr());
        }
        process.stdout().lines().map(said).collect()
    }
}

/// Where this crate and the scripts of the clients are.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn said(line: &str) -> Result<Said> {
    let mut line: Value = serde_json::from_str(line).with_context(|| format!("not a line of a client: {line}"))?;
    let scenario = line["scenario"].as_str().context("a client names its scenario")?.to_owned();
    let seen = match line["failed"].as_str() {
        Some(failure) => Err(failure.to_owned()),
        None => Ok(line["seen"].take()),
    };
    Ok(Said { scenario, seen })
}

/// The version of a client that is installed, from the file that pins it.
///
/// # Errors
/// When the file cannot be read or pins nothing.
pub(crate) fn version(client: &Client) -> Result<String> {
    let scripts = folder().join(client.name);
    match client.runtime {
        Runtime::Venv => {
            let text = std::fs::read_to_string(scripts.join("requirements.txt"))?;
            let package = client.name.trim_end_matches("-python");
            let pinned = text.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix("=="));
            Ok(pinned.and_then(|rest| rest.split(' ').next()).context("requirements.txt pins it")?.to_owned())
        }
        Runtime::Node | Runtime::Python => {
            let text = std::fs::read_to_string(scripts.join("package.json"))?;
            let package: Value = serde_json::from_str(&text)?;
            let pinned = package["dependencies"].as_object().and_then(|all| all.values().next()?.as_str());
            Ok(pinned.context("package.json pins it")?.to_owned())
        }
    }
}
