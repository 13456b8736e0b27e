//! The gateway under measurement: its build, a configuration with everything on, and a token that carries budgets too.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, Window};
use bh_seal::SigningKey;
use bh_testkit::loopback::free_address;
use bh_testkit::process::{GatewayProcess, Launch};
use bh_token::{Claims, Grants, TokenBudget};
use tokio::time::sleep;

use crate::args::Args;
use crate::exchange::MODEL;
use crate::forward::WORKERS;
use crate::report;

const KID: &str = "bench";
const START_MAX: Duration = Duration::from_secs(30);
const PROBE_PAUSE: Duration = Duration::from_millis(5);
/// Larger than anything a run can spend or send, so that every limit is checked and none refuses.
const LIMIT_USD: u64 = 1_000_000;
const PER_MINUTE: u64 = 1_000_000_000;
const AT_ONCE: u64 = 20_000;

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) process: GatewayProcess,
    pub(crate) address: SocketAddr,
    /// From its start to the first answer of its readiness probe.
    pub(crate) start: Duration,
    folder: PathBuf,
}

/// What a request presents to the gateway; sent to mock and forwarder too, so that all read the same bytes.
pub(crate) struct Credential {
    pub(crate) token: String,
    public: String,
}

impl Credential {
    /// Mints a token with budgets and limits of its own.
    ///
    /// # Errors
    /// When the claims are refused.
    pub(crate) fn mint() -> Result<Self> {
        let key = SigningKey::from_seed([7; 32]);
        let now = Millis(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?);
        let budget = |window, mode, hold| TokenBudget { usd: NanoUsd::from_usd(LIMIT_USD), window, mode, hold };
        let claims = Claims {
            iss: bh_token::DEFAULT_ISSUER.to_owned(),
            aud: "bulkhead".to_owned(),
            sub: "alice".to_owned(),
            jti: "bench-1".to_owned(),
            issued_at: now,
            not_before: None,
            expires_at: Millis(now.0 + 12 * 3_600_000),
            org: Some("acme".to_owned()),
            team: Some("ml".to_owned()),
            project: Some("bench".to_owned()),
            tags: BTreeMap::from([("env".to_owned(), "bench".to_owned())]),
            routing: None,
            quality: None,
            grants: Grants {
                models: Some(vec!["gpt-*".to_owned()]),
                budgets: vec![
                    budget(Window::Day, BudgetMode::Hard, HoldMode::Strict),
                    budget(Window::Month, BudgetMode::Soft, HoldMode::Adaptive),
                ],
                rpm: Some(PER_MINUTE),
                tpm: Some(PER_MINUTE * 1000),
                concurrency: Some(AT_ONCE),
                ..Grants::default()
            },
        };
        Ok(Credential { token: bh_token::mint(&key, KID, &claims)?, public: key.public().to_base64url() })
    }
}

impl Gateway {
    /// Builds the binary where none was named, writes the configuration, starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it does not build or does not become ready; shows what it said.
    pub(crate) async fn start(args: &Args, provider: SocketAddr, credential: &Credential) -> Result<Self> {
        let binary = match &args.gateway {
            Some(binary) => binary.clone(),
            None => build()?,
        };
        report::note(&format!("gateway: {}", binary.display()));
        let (address, admin) = (free_address()?, free_address()?);
        let folder = scratch()?;
        fs::create_dir_all(folder.join("data"))?;
        fs::write(folder.join("provider.key"), "sk-bench-0123456789")?;
        let config = folder.join("bulkhead.yaml");
        fs::write(&config, yaml(&Places { address, admin, provider, folder: &folder }, credential))?;
        let began = Instant::now();
        let process = Launch::new(binary)
            .args(["serve", "--config"])
            .args([config.display().to_string()])
            .env("TOKIO_WORKER_THREADS", &WORKERS.to_string())
            .spawn()?;
        let mut gateway = Gateway { process, address, start: Duration::ZERO, folder };
        gateway.ready(began).await?;
        gateway.start = began.elapsed();
        Ok(gateway)
    }

    async fn ready(&self, began: Instant) -> Result<()> {
        let probe = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        loop {
            let answer = bh_testkit::loopback::exchange(self.address, probe, Duration::from_secs(2)).await;
            if answer.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200")) {
                return Ok(());
            }
            if START_MAX < began.elapsed() {
                bail!(
                    "the gateway is not ready after {START_MAX:?}\n{}{}",
                    self.process.stdout(),
                    self.process.stderr()
                );
            }
            sleep(PROBE_PAUSE).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Its spool is as large as the run was long.
        if self.process.kill().is_ok() && fs::remove_dir_all(&self.folder).is_err() {
            report::note(&format!("{} could not be removed", self.folder.display()));
        }
    }
}

/// Where this build puts its binaries.
fn target() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    Ok(exe.parent().context("a program lives in a folder")?.to_owned())
}

/// A folder of this run on the disk the build is on: a spool in memory would flatter the gateway.
fn scratch() -> Result<PathBuf> {
    let folder = target()?.join(format!("bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Builds the gateway as this program was built, and says where it is.
fn build() -> Result<PathBuf> {
    let folder = target()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "-p", "bulkhead", "--quiet", "--manifest-path"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    cargo.arg("--target-dir").arg(folder.parent().context("a profile's folder lives in the target folder")?);
    if cfg!(debug_assertions) {
        report::note("this is a debug build: its figures say nothing; run with --release");
    } else {
        cargo.arg("--release");
    }
    ensure!(cargo.status().context("cargo builds the gateway")?.success(), "the gateway does not build");
    Ok(folder.join("bulkhead"))
}

struct Places<'a> {
    address: SocketAddr,
    admin: SocketAddr,
    provider: SocketAddr,
    folder: &'a Path,
}

/// Everything on: budgets hard and soft at every scope of the caller, limits, breaker, retries, fallback, relaxed audit
/// with commitments to the bodies. Metrics cannot be switched off.
fn yaml(places: &Places<'_>, credential: &Credential) -> String {
    let Places { address, admin, provider, folder } = places;
    let (folder, public) = (folder.display(), &credential.public);
    let mut text = format!(
        "server: {{ listen: \"{address}\", admin_listen: \"{admin}\" }}\n\
         data_dir: \"{folder}/data\"\n\
         tokens:\n  issuers: [{{ kid: {KID}, x: \"{public}\" }}]\n\
         providers:\n"
    );
    for id in ["first", "second"] {
        text += &format!(
            "  - id: {id}\n    kind: openai\n    base_url: \"http://{provider}/v1\"\n    \
             keys: [{{ id: a, secret: {{ file: \"{folder}/provider.key\" }} }}]\n"
        );
    }
    text += &format!("routes:\n  - model: {MODEL}\n    strategy: {{ mode: fallback }}\n    targets:\n");
    for id in ["first", "second"] {
        text += &format!(
            "      - {{ provider: {id}, model: {MODEL}, retry: {{ attempts: 2 }}, \
             circuit_breaker: {{ failure_threshold: 5, timeout_s: 30 }}, concurrency: {{ max: {AT_ONCE}, queue: 100 }} }}\n"
        );
    }
    text += "budgets:\n";
    for scope in ["org:acme", "user:*"] {
        for (window, mode) in [("day", "hard, hold: strict"), ("month", "soft, hold: adaptive")] {
            let row = format!("{{ scope: \"{scope}\", limit_usd: {LIMIT_USD}, window: {window}, mode: {mode} }}");
            writeln!(text, "  - {row}").expect("a String takes every write");
        }
    }
    text += "limits:\n";
    for scope in ["org:acme", "user:*"] {
        let tpm = PER_MINUTE * 1000;
        let row = format!("{{ scope: \"{scope}\", rpm: {PER_MINUTE}, tpm: {tpm}, concurrency: {AT_ONCE} }}");
        writeln!(text, "  - {row}").expect("a String takes every write");
    }
    text + "audit: { durability: relaxed, bodies: commit }\n"
}
