//! The headers of the contract that a client may send with a request: each works here or is refused by name.

use bh_base::Millis;
use bh_policy::{Strategy, StrategyError};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::refusal::Refusal;

/// Longest deadline a client may name, in milliseconds: one day.
pub const TIMEOUT_MS_MAX: u64 = 86_400_000;
/// Most `x-bulkhead-tags` of one request.
pub const TAGS_MAX: usize = 16;
/// Longest session id or tag, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;

/// What the client asks for beside the body.
#[derive(Debug, Default, Clone)]
pub(crate) struct Wishes {
    pub(crate) strategy: Option<Strategy>,
    pub(crate) timeout: Option<Millis>,
    pub(crate) explain: bool,
    /// For attribution: which conversation or agent run this belongs to.
    pub(crate) session: Option<String>,
    /// For attribution only; budgets never read them.
    pub(crate) tags: Vec<String>,
    /// Headers an Anthropic provider gets as they came.
    pub(crate) anthropic: Vec<(HeaderName, HeaderValue)>,
}

impl Wishes {
    /// Reads them.
    ///
    /// # Errors
    /// A value we do not take, or a header whose feature is not built yet.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        refuse_unbuilt(headers)?;
        Ok(Wishes {
            strategy: strategy(headers)?,
            timeout: timeout(headers)?,
            explain: explain(headers)?,
            session: session(headers)?,
            tags: tags(headers)?,
            anthropic: ["anthropic-version", "anthropic-beta"]
                .into_iter()
                .flat_map(|name| {
                    headers.get_all(name).iter().map(move |value| (HeaderName::from_static(name), value.clone()))
                })
                .collect(),
        })
    }
}

fn refuse_unbuilt(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key("idempotency-key") {
        return Err(wrong("idempotency-key", "idempotency is not built yet; leave the header out"));
    }
    match text(headers, "x-bulkhead-cache")? {
        None | Some("off") => Ok(()),
        Some("refresh" | "only") => {
            Err(wrong("x-bulkhead-cache", "the answer cache is not built yet; leave the header out, or send off"))
        }
        Some(_) => Err(wrong("x-bulkhead-cache", "expected off, refresh or only")),
    }
}

fn strategy(headers: &HeaderMap) -> Result<Option<Strategy>, Refusal> {
    let Some(word) = text(headers, "x-routing-mode")? else { return Ok(None) };
    Strategy::parse(word).map(Some).map_err(|error| match error {
        StrategyError::NotBuiltYet { .. } => {
            wrong("x-routing-mode", "this way of routing is not built yet; use single, fallback or loadbalance")
        }
        StrategyError::Unknown => wrong("x-routing-mode", "expected single, fallback or loadbalance"),
    })
}

fn timeout(headers: &HeaderMap) -> Result<Option<Millis>, Refusal> {
    let Some(word) = text(headers, "x-bulkhead-timeout-ms")? else { return Ok(None) };
    match word.parse() {
        Ok(ms @ 1..=TIMEOUT_MS_MAX) => Ok(Some(Millis(ms))),
        Ok(_) | Err(_) => {
            Err(wrong("x-bulkhead-timeout-ms", "expected whole milliseconds from 1 to 86400000 (one day)"))
        }
    }
}

fn explain(headers: &HeaderMap) -> Result<bool, Refusal> {
    match text(headers, "x-bulkhead-explain")? {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(wrong("x-bulkhead-explain", "expected 1")),
    }
}

fn session(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    for name in ["x-session-id", "x-claude-code-session-id", "session-id"] {
        if let Some(word) = text(headers, name)? {
            if word.is_empty() || TEXT_BYTES_MAX < word.len() {
                return Err(wrong(name, "expected 1 to 256 bytes"));
            }
            return Ok(Some(word.to_owned()));
        }
    }
    Ok(None)
}

fn tags(headers: &HeaderMap) -> Result<Vec<String>, Refusal> {
    let Some(list) = text(headers, "x-bulkhead-tags")? else { return Ok(Vec::new()) };
    let tags: Vec<&str> = list.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
    let fine = |tag: &&str| tag.len() <= TEXT_BYTES_MAX && tag.split_once('=').is_some_and(|(key, _)| !key.is_empty());
    if TAGS_MAX < tags.len() || !tags.iter().all(fine) {
        return Err(wrong("x-bulkhead-tags", "expected at most 16 tags k=v, separated by commas, 256 bytes each"));
    }
    Ok(tags.into_iter().map(str::to_owned).collect())
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value.to_str().map(|text| Some(text.trim())).map_err(|_| wrong(name, "expected printable ASCII"))
}

fn wrong(name: &'static str, problem: &str) -> Refusal {
    Refusal::Header { name, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, value: &str, accepted: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a header value"));
        match Wishes::read(&headers) {
            Ok(_) => assert!(accepted, "{name}: {value} was accepted"),
            Err(Refusal::Header { name: named, .. }) => {
                assert!(!accepted, "{name}: {value} was refused");
                assert_eq!(named, name);
            }
            Err(other) => panic!("{name}: {value}: {other}"),
        }
    }

    #[test]
    fn every_header_of_ours_works_or_is_refused_by_name() {
        check("x-routing-mode", "fallback", true);
        check("x-routing-mode", "cost", false);
        check("x-routing-mode", "least-latency", false);
        check("x-routing-mode", "psychic", false);
        check("x-bulkhead-timeout-ms", "1500", true);
        check("x-bulkhead-timeout-ms", "0", false);
        check("x-bulkhead-timeout-ms", "soon", false);
        check("x-bulkhead-cache", "off", true);
        check("x-bulkhead-cache", "only", false);
        check("x-bulkhead-tags", "run=7, stage=eval", true);
        check("x-bulkhead-tags", "loose", false);
        check("x-bulkhead-explain", "1", true);
        check("x-bulkhead-explain", "yes", false);
        check("idempotency-key", "k", false);
        check("x-session-id", "s-1", true);
        check("x-session-id", &"s".repeat(TEXT_BYTES_MAX + 1), false);
        check("x-claude-code-session-id", "s-1", true);
    }
}
