//! The gateway under test: the real binary with a configuration made for one batch of exchanges.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, Window};
use bh_disk::LogReader;
use bh_seal::SigningKey;
use bh_testkit::GatewayProcess;
use bh_testkit::process::Launch;
use bh_token::{Claims, DEFAULT_ISSUER, Grants, TokenBudget, mint};
use serde_json::{Value, json};

/// The credential the gateway gives to every provider.
pub(crate) const PROVIDER_KEY: &str = "sk-conformance-0123456789";
const KEY_VARIABLE: &str = "CONFORMANCE_KEY";
/// What the gateway says once it serves; the same line says where.
const READY: &str = "bulkhead is ready";
const ANY_PORT: &str = "127.0.0.1:0";
const KID: &str = "conformance";
/// A process that has not said it is ready by then never will.
const READY_MAX: Duration = Duration::from_secs(60);
/// A drained process ends within its own limits.
const STOP_MAX: Duration = Duration::from_secs(60);
/// A limit no recording reaches; only its being hard and strict matters.
const BUDGET: NanoUsd = NanoUsd(1_000_000 * 1_000_000_000);
/// Rights are durable before they are spent, and the disk of a test machine can be slow.
const BUDGET_WAIT_MS: u64 = 10_000;
/// What a million tokens of a model without a price cost here, so that bounds and costs can be compared.
const FLAT_USD: &str = "1";

/// One provider of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    /// Its id; clients ask for `id/model`.
    pub(crate) id: String,
    /// Its kind.
    pub(crate) kind: &'static str,
    /// Its base URL as that kind takes it.
    pub(crate) base_url: String,
}

/// A running gateway.
pub(crate) struct Gateway {
    process: GatewayProcess,
    folder: Folder,
    url: String,
    /// A token without limits.
    pub(crate) free: String,
    /// A token with a hard budget and strict holds.
    pub(crate) budgeted: String,
}

/// A folder that goes away with its owner.
struct Folder(PathBuf);

impl Gateway {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It does not start; shows what it printed.
    pub(crate) fn start(binary: &Path, providers: &[Provider]) -> Result<Self> {
        let folder = Folder::new()?;
        let key = SigningKey::from_seed([7; 32]);
        let file = folder.0.join("bulkhead.yaml");
        std::fs::write(&file, config(&folder.0, &key, providers).to_string())?;
        let budget = TokenBudget { usd: BUDGET, window: Window::Total, mode: BudgetMode::Hard, hold: HoldMode::Strict };
        let free = mint(&key, KID, &claims("free", Vec::new())?).context("a token cannot be minted")?;
        let budgeted = mint(&key, KID, &claims("budgeted", vec![budget])?).context("a token cannot be minted")?;
        let process = Launch::new(binary)
            .args(["serve", "--config"])
            .args([file.display().to_string()])
            .env(KEY_VARIABLE, PROVIDER_KEY)
            .folder(&folder.0)
            .spawn_ready(READY, READY_MAX)?;
        let line: Value = serde_json::from_str(&process.wait_for_line(READY, READY_MAX)?)?;
        let address = line["data"].as_str().context("the gateway does not say where it listens")?;
        let url = format!("http://{address}");
        Ok(Gateway { process, folder, url, free, budgeted })
    }

    /// Its address, without `/v1`.
    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops it in order and reads the record of each request from its audit spool.
    ///
    /// # Errors
    /// It does not stop, or its spool cannot be read.
    pub(crate) fn stop(mut self) -> Result<HashMap<String, Value>> {
        self.process.terminate()?;
        let status = self.process.wait(STOP_MAX)?;
        if !status.success() {
            bail!("the gateway ended with {status}:\n{}\n{}", self.process.stdout(), self.process.stderr());
        }
        let mut settled = HashMap::new();
        for line in LogReader::open(&[self.folder.0.join("data/audit")])?.lines() {
            let record: Value = serde_json::from_slice(&line?).context("a record of the spool is not JSON")?;
            if let (Some("settle"), Some(id)) = (record["kind"].as_str(), record["request_id"].as_str()) {
                settled.insert(id.to_owned(), record);
            }
        }
        Ok(settled)
    }
}

impl Folder {
    fn new() -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bulkhead-conformance-{}-{number}", std::process::id()));
        std::fs::create_dir_all(path.join("data")).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::fs::remove_dir_all(&self.0).is_err() {
            // A folder of the system's temporary ones may stay behind.
        }
    }
}

/// The configuration; JSON is YAML.
fn config(folder: &Path, key: &SigningKey, providers: &[Provider]) -> Value {
    let providers: Vec<Value> = providers
        .iter()
        .map(|provider| {
            json!({
                "id": provider.id, "kind": provider.kind, "base_url": provider.base_url, "models": ["*"],
                "keys": [{"id": "k", "secret": {"env": KEY_VARIABLE}}],
            })
        })
        .collect();
    json!({
        "server": {"listen": ANY_PORT, "admin_listen": ANY_PORT, "drain_s": 10,
            "budget_wait_ms": BUDGET_WAIT_MS},
        "data_dir": folder.join("data"),
        "tokens": {"issuers": [{"kid": KID, "x": key.public().to_base64url()}]},
        "pricing": {"unknown": "flat", "flat": {"input": FLAT_USD, "output": FLAT_USD}},
        "providers": providers,
    })
}

fn claims(jti: &str, budgets: Vec<TokenBudget>) -> Result<Claims> {
    const LIFE_S: u64 = 24 * 3600;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    Ok(Claims {
        iss: DEFAULT_ISSUER.to_owned(),
        aud: "bulkhead".to_owned(),
        sub: "conformance".to_owned(),
        jti: jti.to_owned(),
        issued_at: Millis::from_secs(now),
        not_before: None,
        expires_at: Millis::from_secs(now + LIFE_S),
        org: None,
        team: None,
        project: None,
        tags: BTreeMap::new(),
        routing: None,
        quality: None,
        grants: Grants { budgets, ..Grants::default() },
    })
}

/// The gateway's binary: `BULKHEAD_BIN`, or built now beside this one.
///
/// # Errors
/// It cannot be built; shows why.
pub(crate) fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("BULKHEAD_BIN") {
        return Ok(PathBuf::from(path));
    }
    let here = std::env::current_exe().context("this programme does not know its own path")?;
    let release = here.components().any(|part| part.as_os_str() == "release");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "bulkhead", "--bin", "bulkhead", "--message-format", "json"]);
    build.args(release.then_some("--release"));
    let built = build
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be run")?;
    if !built.status.success() {
        bail!("the gateway cannot be built: {}", built.status);
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some("bulkhead"))
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo built the gateway and does not say where")
}
