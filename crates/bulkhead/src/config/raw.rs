//! The configuration as it is written: one type a block, every key of the contract by name.
//!
//! These are the only types in the workspace that read configuration. Their JSON Schema holds all that can be said of
//! one value alone (type, words, bounds); `shape` checks the file against it and reports every fault, so that reading
//! these types cannot fail afterwards. What concerns several values is `check`'s. A key whose feature is not built is
//! present here as [`NotBuilt`], so that it is refused by name instead of being unknown or, worse, ignored.

use std::collections::BTreeMap;

use bh_audit::Durability;
use bh_base::{BudgetMode, HoldMode, Overage, Window};
use bh_dialect::OnUnsupported;
use bh_policy::Strategy as Mode;
use bh_telemetry::LogFormat;
use bh_upstream::Kind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::secret::RawSecret;
use super::words::{Bodies, NotBuilt, Unpriced, Usd, Word};

/// `bulkhead.yaml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    /// Listeners and limits of the HTTP planes.
    #[serde(default)]
    pub(crate) server: Server,
    /// Where the audit spool, the ledger's state and the revocation list live; /var/lib/bulkhead.
    #[schemars(length(min = 1))]
    pub(crate) data_dir: Option<String>,
    /// The cluster this node belongs to.
    pub(crate) cluster: Option<NotBuilt>,
    /// Who may mint tokens, and for whom.
    pub(crate) tokens: Tokens,
    /// Where answers come from.
    pub(crate) providers: Vec<Provider>,
    /// Virtual models; the first that matches is used.
    #[serde(default)]
    pub(crate) routes: Vec<Route>,
    /// Other names of models, resolved before routing.
    #[serde(default)]
    pub(crate) aliases: BTreeMap<String, Name>,
    /// Budgets of scopes; tokens carry their own as well.
    #[serde(default)]
    pub(crate) budgets: Vec<Budget>,
    /// Rates and concurrency of scopes.
    #[serde(default)]
    pub(crate) limits: Vec<Limit>,
    /// Where alerts go.
    pub(crate) alerts: Option<NotBuilt>,
    /// Prices beside the built-in catalog.
    #[serde(default)]
    pub(crate) pricing: Pricing,
    /// Guardrails.
    pub(crate) plugins: Option<NotBuilt>,
    /// Answer cache.
    pub(crate) cache: Option<NotBuilt>,
    /// Tool servers.
    pub(crate) mcp_servers: Option<NotBuilt>,
    /// Stored answers.
    pub(crate) responses: Option<NotBuilt>,
    /// The evidence.
    #[serde(default)]
    pub(crate) audit: Audit,
    /// Logs and traces.
    #[serde(default)]
    pub(crate) telemetry: Telemetry,
}

/// A text that is not empty.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Name(#[schemars(length(min = 1))] pub(crate) String);

/// `server`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// Address of the data plane; 0.0.0.0:8080.
    pub(crate) listen: Option<String>,
    /// Address of the admin plane; 127.0.0.1:8081.
    pub(crate) admin_listen: Option<String>,
    /// Largest request body, in bytes; 33554432.
    #[schemars(range(min = 1_024, max = 1_073_741_824))]
    pub(crate) body_bytes_max: Option<u64>,
    /// How long open streams may go on after SIGTERM, in seconds; 300.
    #[schemars(range(min = 0, max = 86_400))]
    pub(crate) drain_s: Option<u64>,
    /// Certificate and key of the data plane; plain HTTP without.
    pub(crate) tls: Option<Tls>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Option<NotBuilt>,
    /// Silence after which a stream gets a keep-alive, in seconds; 15.
    #[schemars(range(min = 1, max = 3_600))]
    pub(crate) keepalive_s: Option<u64>,
    /// Longest time a client may leave its stream unread, in seconds; 30.
    #[schemars(range(min = 1, max = 3_600))]
    pub(crate) write_stall_s: Option<u64>,
    /// Longest wait for budget rights under way, in milliseconds; 50.
    #[schemars(range(min = 0, max = 10_000))]
    pub(crate) budget_wait_ms: Option<u64>,
    /// The status that says a budget is exhausted; 402.
    #[schemars(extend("enum" = [402, 429]))]
    pub(crate) budget_exhausted_status: Option<u16>,
}

/// `server.tls`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// PEM file of the certificate chain.
    #[schemars(length(min = 1))]
    pub(crate) cert: String,
    /// PEM file of the private key.
    #[schemars(length(min = 1))]
    pub(crate) key: String,
}

/// `tokens`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tokens {
    /// Issuers: keys in place, or files of keys. An empty list believes nobody.
    pub(crate) issuers: Vec<Issuer>,
    /// The audience tokens must name: the cluster's name; bulkhead.
    #[schemars(length(min = 1))]
    pub(crate) audience: Option<String>,
    /// How old the list of revocations may grow; only a cluster's list can be stale.
    pub(crate) revocation_staleness: Option<NotBuilt>,
}

/// One of `tokens.issuers`: `kid` and `x`, or `file`. A public JWK may stand here as it is printed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    /// The key's id, which tokens name.
    pub(crate) kid: Option<String>,
    /// The Ed25519 public key, base64url.
    pub(crate) x: Option<String>,
    /// A JWKS file instead of `kid` and `x`; read again when it changes.
    #[schemars(length(min = 1))]
    pub(crate) file: Option<String>,
    /// The issuer its tokens must name; any when absent.
    pub(crate) iss: Option<String>,
    /// Organisations it may speak for; any when absent.
    pub(crate) orgs: Option<Vec<String>>,
    /// Roles it may grant; any when absent.
    pub(crate) roles: Option<Vec<String>>,
    /// As `bulkhead key public` prints it.
    #[schemars(extend("enum" = ["OKP"]))]
    pub(crate) kty: Option<String>,
    /// As `bulkhead key public` prints it.
    #[schemars(extend("enum" = ["Ed25519"]))]
    pub(crate) crv: Option<String>,
    /// As `bulkhead key public` prints it.
    #[schemars(extend("enum" = ["EdDSA", "Ed25519"]))]
    pub(crate) alg: Option<String>,
    /// As `bulkhead key public` prints it.
    #[serde(rename = "use")]
    #[schemars(extend("enum" = ["sig"]))]
    pub(crate) usage: Option<String>,
}

/// One of `providers`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// Its name in routes, records and metrics.
    #[schemars(length(min = 1))]
    pub(crate) id: String,
    /// What it speaks.
    pub(crate) kind: Word<Kind>,
    /// Its address as that provider's own SDK takes it: OpenAI-shaped kinds with `/v1`, anthropic without.
    pub(crate) base_url: Option<String>,
    /// Its credentials, used by weight.
    #[serde(default)]
    pub(crate) keys: Vec<Key>,
    /// The models it serves, globs allowed; what the catalog knows of its kind when absent.
    pub(crate) models: Option<Vec<Name>>,
    /// Headers sent with every call.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Deadlines of its calls.
    #[serde(default)]
    pub(crate) timeouts: Timeouts,
    /// Azure's API version.
    pub(crate) api_version: Option<NotBuilt>,
    /// Azure's deployments.
    pub(crate) deployments: Option<NotBuilt>,
    /// A cloud region.
    pub(crate) region: Option<NotBuilt>,
    /// A cloud project.
    pub(crate) project: Option<NotBuilt>,
    /// A proxy on the way to it.
    pub(crate) proxy: Option<NotBuilt>,
    /// A certificate authority of its own.
    pub(crate) ca: Option<NotBuilt>,
}

/// One of `providers[].keys`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// Its name in records and metrics.
    #[schemars(length(min = 1))]
    pub(crate) id: String,
    /// The credential, never in the file itself.
    pub(crate) secret: RawSecret,
    /// Requests a minute it may carry; no limit when absent.
    #[schemars(range(min = 1, max = 1_000_000_000_000u64))]
    pub(crate) rpm: Option<u64>,
    /// Tokens a minute it may carry; no limit when absent.
    #[schemars(range(min = 1, max = 1_000_000_000_000u64))]
    pub(crate) tpm: Option<u64>,
    /// Its share of the calls; 0 takes it out of use; 1.
    #[schemars(range(min = 0, max = 1_000))]
    pub(crate) weight: Option<u32>,
}

/// `timeouts` of a provider, in milliseconds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeouts {
    /// To connect; 3000.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub(crate) connect_ms: Option<u64>,
    /// To the response headers; 600000.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub(crate) headers_ms: Option<u64>,
    /// To the first content of a stream, 0 for none; 120000.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub(crate) first_token_ms: Option<u64>,
    /// Between two pieces of an answer, 0 for none; 60000.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub(crate) idle_ms: Option<u64>,
    /// To the end of the answer, 0 for none; 0.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub(crate) total_ms: Option<u64>,
}

/// One of `routes`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// The model clients ask for; globs allowed.
    #[schemars(length(min = 1))]
    pub(crate) model: String,
    /// Most attempts of one request, retries and failover together; 4.
    #[schemars(range(min = 1, max = 16))]
    pub(crate) attempts_max: Option<u32>,
    /// Longest time until the first byte to the client, all attempts together, in milliseconds; 600000.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub(crate) total_ms: Option<u64>,
    /// What happens to parameters a target has no place for; warn.
    pub(crate) on_unsupported_param: Option<Word<OnUnsupported>>,
    /// What happens when the client hangs up.
    pub(crate) on_disconnect: Option<NotBuilt>,
    /// How targets are chosen.
    #[serde(default)]
    pub(crate) strategy: Strategy,
    /// Who may answer.
    #[schemars(length(min = 1, max = 64))]
    pub(crate) targets: Vec<Target>,
}

/// `strategy` of a route.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Strategy {
    /// single with one target and fallback with more, when absent.
    pub(crate) mode: Option<Word<Mode>>,
}

/// One of a route's `targets`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// A provider's id.
    #[schemars(length(min = 1))]
    pub(crate) provider: String,
    /// The provider's model; the model asked for when absent.
    #[schemars(length(min = 1))]
    pub(crate) model: Option<String>,
    /// Its share under `loadbalance`; 0 takes it out of use; 1.
    #[schemars(range(min = 0, max = 1_000))]
    pub(crate) weight: Option<u32>,
    /// When to try the same target again; never when absent.
    pub(crate) retry: Option<Retry>,
    /// When to leave it alone.
    #[serde(default)]
    pub(crate) circuit_breaker: Breaker,
    /// How many calls at once; no limit when absent.
    pub(crate) concurrency: Option<Concurrency>,
}

/// `retry` of a target.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// Further attempts after the first; 2.
    #[schemars(range(min = 0, max = 15))]
    pub(crate) attempts: Option<u32>,
    /// Statuses worth trying again; 429, 500, 502, 503, 504 and 529.
    pub(crate) on_status_codes: Option<Vec<u16>>,
    /// The ceiling of the first random pause, in milliseconds; it doubles with each; 100.
    #[schemars(range(min = 0, max = 10_000))]
    pub(crate) initial_backoff_ms: Option<u64>,
}

/// `circuit_breaker` of a target.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Breaker {
    /// Failures in a row that open it; 5.
    #[schemars(range(min = 1, max = 1_000))]
    pub(crate) failure_threshold: Option<u32>,
    /// Successes in a row that close it again; 1.
    #[schemars(range(min = 1, max = 1_000))]
    pub(crate) success_threshold: Option<u32>,
    /// How long it stays open, in seconds; 30.
    #[schemars(range(min = 1, max = 86_400))]
    pub(crate) timeout_s: Option<u64>,
}

/// `concurrency` of a target.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Concurrency {
    /// Calls at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) max: u32,
    /// Calls that may wait for a place; 0.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) queue: Option<u32>,
}

/// One of `budgets`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// `global`, or one of `org:` `team:` `project:` `user:` `model:` `token:` with a name or `*`, or `tag:k=v`.
    pub(crate) scope: String,
    /// Dollars for one window.
    pub(crate) limit_usd: Usd,
    /// The span it counts over, in UTC.
    pub(crate) window: Word<Window>,
    /// A wall (hard) or a line (soft); hard.
    pub(crate) mode: Option<Word<BudgetMode>>,
    /// How much is held before an attempt; strict for hard budgets, adaptive for soft ones.
    pub(crate) hold: Option<Word<HoldMode>>,
    /// Shares of the limit at which an alert is raised; 0.8, 0.9 and 1.0.
    pub(crate) alerts: Option<Vec<Share>>,
    /// What happens at the limit; a hard budget can only block; block.
    pub(crate) overage: Option<Word<Overage>>,
}

/// A share of a limit.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Share(#[schemars(range(min = 0.0001, max = 10.0))] pub(crate) f64);

/// One of `limits`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    /// As in `budgets`.
    pub(crate) scope: String,
    /// Requests a minute.
    #[schemars(range(min = 1, max = 1_000_000_000_000u64))]
    pub(crate) rpm: Option<u64>,
    /// Tokens a minute, prompt and answer together.
    #[schemars(range(min = 1, max = 1_000_000_000_000u64))]
    pub(crate) tpm: Option<u64>,
    /// Prompt tokens a minute.
    #[schemars(range(min = 1, max = 1_000_000_000_000u64))]
    pub(crate) tpm_input: Option<u64>,
    /// Answer tokens a minute.
    #[schemars(range(min = 1, max = 1_000_000_000_000u64))]
    pub(crate) tpm_output: Option<u64>,
    /// Requests at once.
    #[schemars(range(min = 1, max = 1_000_000_000_000u64))]
    pub(crate) concurrency: Option<u64>,
}

/// `pricing`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pricing {
    /// What happens to models without a price: flat takes the one under `flat`; reject.
    pub(crate) unknown: Option<Word<Unpriced>>,
    /// The price of models without one, under `unknown: flat`.
    pub(crate) flat: Option<FlatPrice>,
    /// Prices by model, in USD per million tokens.
    #[serde(default)]
    pub(crate) overrides: BTreeMap<String, Price>,
}

/// `pricing.flat`, in USD per million tokens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlatPrice {
    /// Prompt tokens, cached or not.
    pub(crate) input: Usd,
    /// Answer tokens.
    pub(crate) output: Usd,
}

/// One of `pricing.overrides`, in USD per million tokens. What is left out keeps its ratio to `input` where the model
/// is listed, and costs as much as `input` where it is not.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    /// Prompt tokens.
    pub(crate) input: Usd,
    /// Answer tokens.
    pub(crate) output: Usd,
    /// Prompt tokens read from a cache.
    pub(crate) cache_read: Option<Usd>,
    /// Prompt tokens written to a cache for its usual time.
    pub(crate) cache_write_5m: Option<Usd>,
    /// Prompt tokens written to a cache for the longer time.
    pub(crate) cache_write_1h: Option<Usd>,
    /// One web search, in USD.
    pub(crate) web_search: Option<Usd>,
    /// The most tokens of prompt and answer together.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) context_tokens: Option<u64>,
    /// The most tokens of one answer.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) output_tokens_max: Option<u64>,
}

/// `audit`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// relaxed: on disk within 10 ms; strict: on disk before a provider is called; relaxed.
    pub(crate) durability: Option<Word<Durability>>,
    /// What records hold of bodies: nothing, or salted commitments; commit.
    pub(crate) bodies: Option<Word<Bodies>>,
    /// How long records are kept, in hours; for ever when absent.
    #[schemars(range(min = 1, max = 876_000))]
    pub(crate) retain_h: Option<u64>,
}

/// `telemetry`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// Where traces go, over OTLP/HTTP; the standard `OTEL_*` variables apply as well.
    pub(crate) otlp: Option<String>,
    /// How log lines are written; json.
    pub(crate) log: Option<Word<LogFormat>>,
}
