//! What an operator asks for: plain values, checked by [`Routes::build`](crate::Routes::build).

use crate::limits::{ATTEMPTS_DEFAULT, TOTAL_MS_DEFAULT};
use crate::strategy::Strategy;

/// Everything routing needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutesConfig {
    /// Names this configuration in decisions and records.
    pub version: String,
    /// The enabled providers.
    pub providers: Vec<ProviderConfig>,
    /// Virtual models; the first whose pattern matches is used.
    pub routes: Vec<RouteConfig>,
    /// Other names for models, resolved before routing.
    pub aliases: Vec<Alias>,
}

/// One name for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// What a client asks for; a plain name, never a pattern.
    pub name: String,
    /// What is asked for instead: a model, a route's model, `provider/model`, or another alias.
    pub target: String,
}

/// A provider that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    /// Its id, as targets and `provider/model` name it.
    pub id: String,
    /// Its kind (`openai`, `anthropic`, …), under which the catalog lists its models.
    pub kind: String,
    /// Which models it is taken to serve when a request names only a model.
    pub serves: Serves,
    /// Its credentials. Empty for a provider that needs none.
    pub keys: Vec<KeyConfig>,
}

/// Which models a provider serves when no route says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serves {
    /// Those that match one of these patterns.
    Patterns(Vec<String>),
    /// Those the catalog lists for its kind (`models` left out).
    Catalog,
}

/// One credential of a provider. The secret itself stays with whoever calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConfig {
    /// Its id, as metrics and records show it.
    pub id: String,
    /// Its share of the calls; 0 takes it out of use.
    pub weight: u32,
    /// Requests per minute this key may make; `None` is unlimited.
    pub rpm: Option<u64>,
    /// Tokens per minute this key may use; `None` is unlimited.
    pub tpm: Option<u64>,
    /// Changes whenever the secret does, so that a new secret starts with a clean record.
    pub fingerprint: u64,
}

/// A virtual model and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// A name, or a pattern of names ([`Glob`](crate::Glob)).
    pub model: String,
    /// How targets are ordered.
    pub strategy: Strategy,
    /// Calls the whole chain may make, 1 to [`ATTEMPTS_MAX`](bh_base::limits::ATTEMPTS_MAX).
    pub attempts_max: u32,
    /// Milliseconds until the first byte must have gone to the client, 1 to
    /// [`TOTAL_MS_MAX`](crate::limits::TOTAL_MS_MAX).
    pub total_ms: u64,
    /// Who may answer.
    pub targets: Vec<TargetConfig>,
}

/// One provider and model of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetConfig {
    /// The provider's id.
    pub provider: String,
    /// The model to ask it for; `None` is the model the client asked for.
    pub model: Option<String>,
    /// Its share under `loadbalance`; 0 takes it out of use.
    pub weight: u32,
    /// Further attempts on this target; `None` is none.
    pub retry: Option<RetryConfig>,
    /// When to stop calling it.
    pub breaker: BreakerConfig,
    /// How many calls at once; `None` is unlimited.
    pub concurrency: Option<ConcurrencyConfig>,
}

/// Further attempts on the same target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// Attempts after the first one.
    pub attempts: u32,
    /// Statuses worth another attempt: 408, 409, 425, 429 and 5xx. Failures without a status (no connection, a broken
    /// answer) always are.
    pub on_status_codes: Vec<u16>,
    /// Ceiling of the first random backoff in milliseconds; doubles with each attempt up to
    /// [`BACKOFF_MS_MAX`](crate::limits::BACKOFF_MS_MAX).
    pub initial_backoff_ms: u64,
}

/// When to stop calling a target, and when to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open the breaker, at least 1.
    pub failure_threshold: u32,
    /// Successful probes in a row that close it again, at least 1.
    pub success_threshold: u32,
    /// Milliseconds it stays open before a probe, at least 1.
    pub timeout_ms: u64,
}

/// How many calls at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyConfig {
    /// Calls in flight, at least 1.
    pub max: u32,
    /// Requests that may wait for a place; 0 is none.
    pub queue: u32,
}

impl RouteConfig {
    /// A route with the default bounds.
    #[must_use]
    pub fn new(model: &str, strategy: Strategy, targets: Vec<TargetConfig>) -> Self {
        RouteConfig {
            model: model.into(),
            strategy,
            attempts_max: ATTEMPTS_DEFAULT,
            total_ms: TOTAL_MS_DEFAULT,
            targets,
        }
    }
}

impl TargetConfig {
    /// A target with weight 1, no retry, the default breaker and no limit on calls at once.
    #[must_use]
    pub fn new(provider: &str, model: Option<&str>) -> Self {
        TargetConfig {
            provider: provider.into(),
            model: model.map(Into::into),
            weight: 1,
            retry: None,
            breaker: BreakerConfig::default(),
            concurrency: None,
        }
    }
}

/// What an empty `retry: {}` means.
impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig { attempts: 2, on_status_codes: vec![429, 500, 502, 503, 504, 529], initial_backoff_ms: 100 }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig { failure_threshold: 5, success_threshold: 1, timeout_ms: 30_000 }
    }
}
