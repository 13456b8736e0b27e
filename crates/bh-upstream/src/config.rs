//! What an operator says about a provider, and the check that it can work.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};

use crate::headers;

/// Longest connect or header deadline, so that a slip of the pen does not hold a request for days.
const DEADLINE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Every provider of a configuration, in its order.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The providers.
    pub providers: Vec<ProviderConfig>,
}

/// One provider.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its name in the configuration; names it in faults and logs.
    pub id: String,
    /// How it is spoken to.
    pub kind: Kind,
    /// As its own SDK takes it: OpenAI-shaped kinds with `/v1`, anthropic without. Not used by `echo`.
    /// Absent: the kind's public address, where it has one.
    pub base_url: Option<String>,
    /// Its keys; a call names one by its place. May be empty where the server asks for none.
    pub keys: Vec<KeyConfig>,
    /// Headers of the operator's, sent with each call.
    pub headers: Vec<(String, String)>,
    /// The deadlines kept here.
    pub timeouts: Timeouts,
    /// Authorities trusted beside the system's, for servers inside a company.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

/// One credential of a provider.
#[derive(Debug, Clone)]
pub struct KeyConfig {
    /// Its name in records; never the secret.
    pub id: String,
    /// The secret itself; prints as `[REDACTED]`.
    pub secret: SecretString,
}

/// The two deadlines that run before the first byte of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From the wish to connect to a usable connection: name look-up, TCP and TLS together.
    pub connect: Duration,
    /// From the call to the response headers, connecting and sending included.
    pub headers: Duration,
}

/// The provider kinds this crate can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// api.openai.com.
    OpenAi,
    /// api.anthropic.com.
    Anthropic,
    /// Any server that speaks OpenAI's chat dialect.
    OpenAiCompatible,
    /// The provider in this process.
    Echo,
}

/// Why a provider cannot be used as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// Two providers share a name.
    #[error("provider `{provider}` is configured twice; ids must differ")]
    DuplicateProvider {
        /// The shared id.
        provider: String,
    },
    /// The kind has no public address to fall back on.
    #[error("provider `{provider}` needs a base_url")]
    MissingBaseUrl {
        /// The provider.
        provider: String,
    },
    /// The address cannot be called.
    #[error(
        "provider `{provider}`: base_url must be http(s)://host[:port][/path] without credentials, query or fragment"
    )]
    InvalidBaseUrl {
        /// The provider.
        provider: String,
    },
    /// The provider always asks for a key and none is given.
    #[error("provider `{provider}` needs at least one key")]
    MissingKey {
        /// The provider.
        provider: String,
    },
    /// The secret is empty or has bytes no header can carry.
    #[error("provider `{provider}`: the secret of key `{key}` is empty or has characters a header cannot carry")]
    InvalidSecret {
        /// The provider.
        provider: String,
        /// The key's id.
        key: String,
    },
    /// The name or value is not a header.
    #[error("provider `{provider}`: `{name}` or its value is not a valid header")]
    InvalidHeader {
        /// The provider.
        provider: String,
        /// The name as written.
        name: String,
    },
    /// The header is the gateway's to set.
    #[error("provider `{provider}`: header `{name}` is set by the gateway; a credential belongs under keys")]
    ReservedHeader {
        /// The provider.
        provider: String,
        /// The name.
        name: String,
    },
    /// A deadline of zero would refuse every call, an endless one would hold it.
    #[error("provider `{provider}`: {deadline} must be more than 0 and at most 24 hours")]
    InvalidDeadline {
        /// The provider.
        provider: String,
        /// The key of the configuration.
        deadline: &'static str,
    },
    /// An extra authority is not a certificate.
    #[error("provider `{provider}`: an extra root is not a certificate")]
    InvalidRoot {
        /// The provider.
        provider: String,
    },
}

impl Kind {
    /// The kind written so in a configuration; `None` for a kind that this crate cannot call.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::OpenAi, Self::Anthropic, Self::OpenAiCompatible, Self::Echo].into_iter().find(|k| k.as_str() == text)
    }

    /// The spelling of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::OpenAi => "openai",
            Kind::Anthropic => "anthropic",
            Kind::OpenAiCompatible => "openai_compatible",
            Kind::Echo => "echo",
        }
    }

    /// Where its public service lives, if it has one.
    #[must_use]
    pub const fn default_base_url(self) -> Option<&'static str> {
        match self {
            Kind::OpenAi => Some("https://api.openai.com/v1"),
            Kind::Anthropic => Some("https://api.anthropic.com"),
            Kind::OpenAiCompatible | Kind::Echo => None,
        }
    }

    /// Whether it refuses every call without a key.
    #[must_use]
    pub const fn needs_key(self) -> bool {
        match self {
            Kind::OpenAi | Kind::Anthropic => true,
            Kind::OpenAiCompatible | Kind::Echo => false,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), headers: Duration::from_secs(600) }
    }
}

/// A provider whose every value was checked.
pub(crate) struct Checked {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// Absent for `echo` only.
    pub(crate) base: Option<Base>,
    pub(crate) keys: Vec<SecretString>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) timeouts: Timeouts,
    pub(crate) extra_roots: Vec<CertificateDer<'static>>,
}

/// An address without a trailing slash.
pub(crate) struct Base {
    text: String,
    pub(crate) host: String,
    pub(crate) authority: String,
}

impl Base {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?;
        let authority = uri.authority()?;
        let plain = !authority.as_str().contains('@') && !authority.host().is_empty();
        // `Uri` drops a fragment in silence, so the text itself is asked.
        let bare = uri.query().is_none() && !text.contains(['#', '?']);
        let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        (plain && bare && known).then(|| Self {
            text: text.to_owned(),
            host: authority.host().to_owned(),
            authority: authority.as_str().to_owned(),
        })
    }

    /// The address of one operation; `path` starts with a slash.
    pub(crate) fn join(&self, path: &'static str) -> Uri {
        format!("{}{path}", self.text).parse().expect("a checked base and a literal path make a uri")
    }
}

/// Checks one provider; every fault is pushed, not only the first.
pub(crate) fn check(config: ProviderConfig, faults: &mut Vec<ConfigFault>) -> Option<Checked> {
    let before = faults.len();
    let base = check_base(&config, faults);
    if config.kind.needs_key() && config.keys.is_empty() {
        faults.push(ConfigFault::MissingKey { provider: config.id.clone() });
    }
    for key in &config.keys {
        let secret = key.secret.expose_secret();
        if secret.is_empty() || HeaderValue::from_str(secret).is_err() {
            faults.push(ConfigFault::InvalidSecret { provider: config.id.clone(), key: key.id.clone() });
        }
    }
    for (deadline, value) in [("connect_ms", config.timeouts.connect), ("headers_ms", config.timeouts.headers)] {
        if value.is_zero() || DEADLINE_MAX < value {
            faults.push(ConfigFault::InvalidDeadline { provider: config.id.clone(), deadline });
        }
    }
    let mut headers = Vec::with_capacity(config.headers.len());
    for (name, value) in &config.headers {
        match check_header(&config.id, name, value) {
            Ok(header) => headers.push(header),
            Err(fault) => faults.push(fault),
        }
    }
    (faults.len() == before).then(|| Checked {
        id: config.id,
        kind: config.kind,
        base,
        keys: config.keys.into_iter().map(|key| key.secret).collect(),
        headers,
        timeouts: config.timeouts,
        extra_roots: config.extra_roots,
    })
}

/// The checked address; `None` for `echo` and after a fault, which is pushed.
pub(crate) fn check_base(config: &ProviderConfig, faults: &mut Vec<ConfigFault>) -> Option<Base> {
    if config.kind == Kind::Echo {
        return None;
    }
    let Some(text) = config.base_url.as_deref().or(config.kind.default_base_url()) else {
        faults.push(ConfigFault::MissingBaseUrl { provider: config.id.clone() });
        return None;
    };
    let base = Base::parse(text);
    if base.is_none() {
        faults.push(ConfigFault::InvalidBaseUrl { provider: config.id.clone() });
    }
    base
}

fn check_header(provider: &str, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ConfigFault> {
    let invalid = || ConfigFault::InvalidHeader { provider: provider.to_owned(), name: name.to_owned() };
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
    let value = HeaderValue::from_str(value).map_err(|_| invalid())?;
    if headers::is_reserved(&header) {
        return Err(ConfigFault::ReservedHeader { provider: provider.to_owned(), name: header.to_string() });
    }
    Ok((header, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(kind: Kind, base_url: Option<&str>) -> ProviderConfig {
        ProviderConfig {
            id: "p".to_owned(),
            kind,
            base_url: base_url.map(str::to_owned),
            keys: vec![KeyConfig { id: "a".to_owned(), secret: SecretString::from("sk-secret-one") }],
            headers: Vec::new(),
            timeouts: Timeouts::default(),
            extra_roots: Vec::new(),
        }
    }

    fn faults(config: ProviderConfig) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        let checked = check(config, &mut faults);
        assert_eq!(checked.is_some(), faults.is_empty());
        faults
    }

    fn check_url(url: &str, ok: bool) {
        let found = faults(provider(Kind::OpenAiCompatible, Some(url)));
        assert_eq!(found.is_empty(), ok, "{url}: {found:?}");
    }

    #[test]
    fn an_address_is_a_scheme_a_host_and_perhaps_a_path() {
        check_url("http://127.0.0.1:8000/v1", true);
        check_url("https://example.com", true);
        check_url("https://example.com/v1/", true);
        check_url("https://[::1]:9/v1", true);
        check_url("ftp://example.com", false);
        check_url("example.com/v1", false);
        check_url("https://", false);
        check_url("https://user:pw@example.com", false);
        check_url("https://example.com/v1?key=1", false);
        check_url("https://example.com/v1#a", false);
        check_url("https://exa mple.com", false);
    }

    #[test]
    fn a_trailing_slash_does_not_double() {
        let base = Base::parse("http://h:1/v1/").unwrap();
        assert_eq!(base.join("/chat/completions"), "http://h:1/v1/chat/completions");
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let mut config = provider(Kind::OpenAi, Some("nonsense"));
        config.keys = vec![KeyConfig { id: "a".to_owned(), secret: SecretString::from("") }];
        config.headers = vec![
            ("Authorization".to_owned(), "Bearer x".to_owned()),
            ("bad name".to_owned(), "x".to_owned()),
            ("x-team".to_owned(), "ml".to_owned()),
        ];
        config.timeouts.headers = Duration::ZERO;
        let found = faults(config);
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn a_known_service_needs_a_key_but_no_address() {
        let mut config = provider(Kind::Anthropic, None);
        assert_eq!(faults(config.clone()), []);
        config.keys.clear();
        assert_eq!(faults(config), [ConfigFault::MissingKey { provider: "p".to_owned() }]);
        let mut local = provider(Kind::OpenAiCompatible, None);
        local.keys.clear();
        assert_eq!(faults(local), [ConfigFault::MissingBaseUrl { provider: "p".to_owned() }]);
    }

    #[test]
    fn a_secret_never_shows_in_debug() {
        let shown = format!("{:?}", provider(Kind::OpenAi, None));
        assert!(!shown.contains("sk-secret"), "{shown}");
    }

    #[test]
    fn a_kind_reads_back_as_it_is_written() {
        for kind in [Kind::OpenAi, Kind::Anthropic, Kind::OpenAiCompatible, Kind::Echo] {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("gemini"), None);
    }
}
