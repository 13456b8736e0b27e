//! What `dev` makes when nothing is there: folders, an issuer key, a token, providers from the environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bh_audit::Durability;
use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, Window};
use bh_catalog::UnknownPrice;
use bh_disk::SpoolConfig;
use bh_pipeline::{EXPLAIN_ROLE, Settings, clock};
use bh_policy::{KeyConfig, ProviderConfig, RoutesConfig, Serves};
use bh_seal::SigningKey;
use bh_token::{Claims, DEFAULT_ISSUER, Grants, IssuerKey, MintError, TokenBudget, mint, thumbprint};
use bh_upstream::{Kind, Timeouts};
use secrecy::SecretString;

use super::DevOptions;
use crate::node::{DEADLINES, KeySource, LiveConfig, NodeConfig, random, write_private};

/// Variables of providers that are built, with their kind.
const KNOWN: &[(&str, &str, Kind)] =
    &[("OPENAI_API_KEY", "openai", Kind::OpenAi), ("ANTHROPIC_API_KEY", "anthropic", Kind::Anthropic)];

/// Variables of providers whose kind is not built yet: seen and said, so that nobody wonders.
const NOT_BUILT: &[&str] = &[
    "GEMINI_API_KEY",
    "MISTRAL_API_KEY",
    "GROQ_API_KEY",
    "XAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "COHERE_API_KEY",
    "OPENROUTER_API_KEY",
    "TOGETHER_API_KEY",
    "FIREWORKS_API_KEY",
];

/// How long the dev token lives.
const TOKEN_LIFE: Millis = Millis::from_secs(30 * 86_400);

/// What the dev token may spend a day, so that budget headers have something to show.
const BUDGET_USD: u64 = 20;

/// Why nothing could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// No folder for state is known.
    #[error("no home folder is known; name one with --data-dir")]
    NoHome,
    /// A file cannot be read or written.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The issuer key in the data folder is none.
    #[error("{} is no issuer key; remove it to have a new one made", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: bh_seal::KeyError,
    },
    /// The token cannot be minted.
    #[error("the dev token cannot be minted")]
    Mint(#[from] MintError),
}

/// Everything `dev` needs.
pub(crate) struct Prepared {
    pub(crate) config: NodeConfig,
    pub(crate) token: String,
    key_file: PathBuf,
    notes: Vec<String>,
    throw_away: bool,
}

/// The request that is printed, and sent by `--once`.
pub(crate) struct Request {
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Request {
    /// The body of the printed request.
    pub(crate) const BODY: &'static str =
        r#"{"model":"echo","messages":[{"role":"user","content":"Hello, Bulkhead!"}]}"#;
    /// The same, streamed.
    const STREAM_BODY: &'static str =
        r#"{"model":"echo","stream":true,"messages":[{"role":"user","content":"Hello, Bulkhead!"}]}"#;

    fn curl(&self, body: &str) -> String {
        format!(
            "curl -sN {}/v1/chat/completions \\\n  -H 'Authorization: Bearer {}' \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'",
            self.url, self.token
        )
    }
}

impl Prepared {
    /// Removes the folder of a run that was for one look only.
    pub(crate) fn forget(&self) {
        if self.throw_away
            && let Err(error) = std::fs::remove_dir_all(&self.config.data_dir)
        {
            tracing::warn!(%error, path = %self.config.data_dir.display(), "a temporary folder could not be removed");
        }
    }
}

/// Makes what is missing.
///
/// # Errors
/// See [`SetupError`].
pub(crate) fn prepare(options: &DevOptions) -> Result<Prepared, SetupError> {
    let throw_away = options.once && options.data_dir.is_none();
    let data_dir = match &options.data_dir {
        Some(folder) => folder.clone(),
        None if options.once => std::env::temp_dir().join(format!("bulkhead-once-{}", std::process::id())),
        None => state_folder()?,
    };
    std::fs::create_dir_all(&data_dir).map_err(|source| SetupError::Io { path: data_dir.clone(), source })?;
    let key_file = data_dir.join("issuer.key");
    let key = issuer_key(&key_file)?;
    let kid = thumbprint(&key.public());
    let token = mint(&key, &kid, &claims(&data_dir)?)?;
    let (providers, notes) = providers();
    let listen = options.listen;
    let admin_port = if options.once || listen.port() == 0 { 0 } else { listen.port().saturating_add(1) };
    let config = NodeConfig {
        live: live(IssuerKey::new(kid, key.public()), providers),
        listen: if options.once { SocketAddr::new(listen.ip(), 0) } else { listen },
        admin_listen: SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), admin_port),
        tls: None,
        drain: Duration::from_secs(10),
        data_dir,
        audit: SpoolConfig::new(Durability::Relaxed),
        otlp: None,
    };
    Ok(Prepared { config, token, key_file, notes, throw_away })
}

/// Says what runs and how to use it.
pub(crate) fn welcome(prepared: &Prepared, request: &Request, admin: SocketAddr, print: &mut (dyn FnMut(&str) + Send)) {
    print(&format!("Bulkhead {} is ready.", env!("CARGO_PKG_VERSION")));
    print(&format!("  API    {}   (OpenAI: {}/v1 · Anthropic: {})", request.url, request.url, request.url));
    print(&format!("  admin  http://{admin}   (/health, /metrics)"));
    print(&format!("  data   {}", prepared.config.data_dir.display()));
    let ids: Vec<&str> = prepared.config.live.upstream.providers.iter().map(|p| p.id.as_str()).collect();
    print(&format!("  providers: {}", ids.join(", ")));
    for note in &prepared.notes {
        print(&format!("  note: {note}"));
    }
    print(&format!("  token  {}", request.token));
    print("");
    print("Try it (the built-in echo provider needs no account):");
    print("");
    print(&request.curl(Request::BODY));
    print("");
    print("and streamed:");
    print("");
    print(&request.curl(Request::STREAM_BODY));
    print("");
    print(&format!("More tokens: bulkhead token mint --key {} --sub you --ttl 30d", prepared.key_file.display()));
    print("Ctrl-C stops it.");
}

fn state_folder() -> Result<PathBuf, SetupError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_STATE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("bulkhead/dev"))
        .ok_or(SetupError::NoHome)
}

fn issuer_key(path: &Path) -> Result<SigningKey, SetupError> {
    let io = |source| SetupError::Io { path: path.to_owned(), source };
    match std::fs::read_to_string(path) {
        Ok(pem) => SigningKey::from_pem(&pem).map_err(|source| SetupError::Key { path: path.to_owned(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = SigningKey::from_seed(random().map_err(io)?);
            write_private(path, key.to_pem().as_bytes()).map_err(io)?;
            Ok(key)
        }
        Err(error) => Err(io(error)),
    }
}

fn claims(data_dir: &Path) -> Result<Claims, SetupError> {
    let now = clock::now();
    let jti: [u8; 16] = random().map_err(|source| SetupError::Io { path: data_dir.to_owned(), source })?;
    let budget = TokenBudget {
        usd: NanoUsd::from_usd(BUDGET_USD),
        window: Window::Day,
        mode: BudgetMode::Soft,
        hold: HoldMode::Adaptive,
    };
    Ok(Claims {
        iss: DEFAULT_ISSUER.to_owned(),
        aud: "bulkhead".to_owned(),
        sub: "dev".to_owned(),
        jti: jti.iter().map(|byte| format!("{byte:02x}")).collect(),
        issued_at: now,
        not_before: None,
        expires_at: now.plus(TOKEN_LIFE),
        org: None,
        team: None,
        project: None,
        tags: BTreeMap::new(),
        routing: None,
        quality: None,
        grants: Grants {
            budgets: vec![budget],
            // One counter for the tokens of every start, or each start would have the budget anew.
            budget_id: Some("dev".to_owned()),
            roles: Some(vec![EXPLAIN_ROLE.to_owned()]),
            ..Grants::default()
        },
    })
}

/// A provider of the environment: its id, kind and credential.
struct Found {
    id: &'static str,
    kind: Kind,
    secret: Option<SecretString>,
}

fn providers() -> (Vec<Found>, Vec<String>) {
    let set = |name: &str| std::env::var(name).ok().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    let known = KNOWN.iter().filter_map(|(variable, id, kind)| {
        Some(Found { id, kind: *kind, secret: Some(SecretString::from(set(variable)?)) })
    });
    let echo = Found { id: "echo", kind: Kind::Echo, secret: None };
    let notes = NOT_BUILT.iter().filter(|variable| set(variable).is_some());
    let notes = notes.map(|variable| format!("{variable} is set, but its provider is not built yet"));
    (known.chain([echo]).collect(), notes.collect())
}

fn live(key: IssuerKey, found: Vec<Found>) -> LiveConfig {
    let routing = found.iter().map(|provider| ProviderConfig {
        id: provider.id.to_owned(),
        kind: provider.kind.as_str().to_owned(),
        serves: match provider.kind {
            Kind::Echo => Serves::Patterns(vec!["echo*".to_owned()]),
            Kind::OpenAi | Kind::Anthropic | Kind::OpenAiCompatible => Serves::Catalog,
        },
        keys: provider.secret.iter().map(|_| routing_key()).collect(),
    });
    let routes = RoutesConfig { version: "dev".to_owned(), providers: routing.collect(), ..RoutesConfig::default() };
    let transport = found.into_iter().map(|provider| bh_upstream::ProviderConfig {
        id: provider.id.to_owned(),
        kind: provider.kind,
        base_url: None,
        keys: provider
            .secret
            .into_iter()
            .map(|secret| bh_upstream::KeyConfig { id: "env".to_owned(), secret })
            .collect(),
        headers: Vec::new(),
        timeouts: Timeouts::default(),
        extra_roots: Vec::new(),
    });
    let upstream = bh_upstream::Config { providers: transport.collect() };
    LiveConfig {
        version: "dev".to_owned(),
        audience: "bulkhead".to_owned(),
        keys: vec![KeySource::Inline(key)],
        routes,
        on_unsupported: Vec::new(),
        deadlines: upstream.providers.iter().map(|provider| (provider.id.clone(), DEADLINES)).collect(),
        upstream,
        ledger: bh_ledger::Config::default(),
        overrides: Vec::new(),
        unknown_price: UnknownPrice::Reject,
        settings: Settings::default(),
    }
}

fn routing_key() -> KeyConfig {
    KeyConfig { id: "env".to_owned(), weight: 1, rpm: None, tpm: None, fingerprint: 0 }
}
