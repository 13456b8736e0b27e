//! Which headers travel: to a provider, and back to a client. Both ways an allow-list, so that a new header stays out
//! until someone lets it in.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT,
    HOST, PROXY_AUTHORIZATION, RETRY_AFTER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Kind;

/// The version asked of Anthropic when the client named none.
pub(crate) const ANTHROPIC_VERSION_DEFAULT: HeaderValue = HeaderValue::from_static("2023-06-01");

pub(crate) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
pub(crate) const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const OPENAI_BETA: HeaderName = HeaderName::from_static("openai-beta");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Headers of an answer that tell the client something about the answer itself. A provider's rate limits are the
/// gateway's account, not the client's; its request id goes into the record only.
const TO_CLIENT: [&str; 2] = ["openai-processing-ms", "openai-version"];

/// The headers of a provider's answer that may go back to the client.
#[must_use]
pub fn client_headers(upstream: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    TO_CLIENT
        .iter()
        .filter_map(|name| upstream.get(*name).map(|value| (HeaderName::from_static(name), value.clone())))
        .collect()
}

/// The provider's own id of a call, for the record: `request-id`, or else `x-request-id`.
#[must_use]
pub fn upstream_request_id(upstream: &HeaderMap) -> Option<&str> {
    ["request-id", "x-request-id"].iter().find_map(|name| upstream.get(*name)).and_then(|value| value.to_str().ok())
}

/// Whether a header of the call's may travel to a provider of this kind.
pub(crate) fn travels(kind: Kind, name: &HeaderName) -> bool {
    match kind {
        Kind::Anthropic => *name == ANTHROPIC_VERSION || *name == ANTHROPIC_BETA || *name == TRACEPARENT,
        Kind::OpenAi | Kind::OpenAiCompatible => *name == OPENAI_BETA || *name == TRACEPARENT,
        Kind::Echo => false,
    }
}

/// Whether a header is the gateway's own to set, so that no configuration may.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    [
        ACCEPT,
        ACCEPT_ENCODING,
        AUTHORIZATION,
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        COOKIE,
        EXPECT,
        HOST,
        KEEP_ALIVE,
        PROXY_AUTHORIZATION,
        RETRY_AFTER,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        X_API_KEY,
        X_GOOG_API_KEY,
    ]
    .contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dialects_own_headers_travel() {
        let sent = |kind, name: &'static str| travels(kind, &HeaderName::from_static(name));
        assert!(sent(Kind::Anthropic, "anthropic-beta"));
        assert!(sent(Kind::OpenAi, "openai-beta"));
        assert!(sent(Kind::OpenAi, "traceparent"));
        assert!(!sent(Kind::OpenAi, "anthropic-beta"));
        for name in
            ["authorization", "x-api-key", "cookie", "host", "connection", "x-forwarded-for", "openai-organization"]
        {
            for kind in [Kind::OpenAi, Kind::Anthropic, Kind::OpenAiCompatible, Kind::Echo] {
                assert!(!sent(kind, name), "{name}");
            }
        }
    }

    #[test]
    fn a_providers_limits_and_ids_stay_here() {
        let mut upstream = HeaderMap::new();
        for name in ["x-ratelimit-limit-requests", "retry-after", "x-request-id", "set-cookie", "openai-processing-ms"]
        {
            upstream.insert(name, HeaderValue::from_static("7"));
        }
        let names: Vec<_> = client_headers(&upstream).into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["openai-processing-ms"]);
        assert_eq!(upstream_request_id(&upstream), Some("7"));
    }
}
