//! Headers of answers: ids, costs, rates, and when to come back.

use bh_base::{Millis, NodeId, RequestId};
use bh_dialect::Dialect;
use bh_ledger::Rate;
use bh_pipeline::ReplyFacts;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::reply::{Row, rfc3339};

/// Longest explanation sent in a header, in bytes; a longer one is at `GET /v1/requests/{id}`.
pub(crate) const EXPLAIN_BYTES_MAX: usize = 6 * 1024;

macro_rules! names {
    ($($name:ident = $text:literal),* $(,)?) => {$(
        const $name: HeaderName = HeaderName::from_static($text);
    )*};
}
names! {
    X_REQUEST_ID = "x-request-id",
    REQUEST_ID = "request-id",
    PROVIDER = "x-bulkhead-provider",
    MODEL = "x-bulkhead-model",
    ATTEMPTS = "x-bulkhead-attempts",
    COST = "x-bulkhead-cost-usd",
    REMAINING = "x-bulkhead-budget-remaining-usd",
    NODE = "x-bulkhead-node",
    OVERHEAD = "x-bulkhead-overhead-us",
    EXPLAIN = "x-bulkhead-explain",
    WARNING = "x-bulkhead-warning",
    SERVER_TIMING = "server-timing",
    SHOULD_RETRY = "x-should-retry",
    RETRY_AFTER_MS = "retry-after-ms",
    X_LIMIT_REQUESTS = "x-ratelimit-limit-requests",
    X_REMAINING_REQUESTS = "x-ratelimit-remaining-requests",
    X_RESET_REQUESTS = "x-ratelimit-reset-requests",
    X_LIMIT_TOKENS = "x-ratelimit-limit-tokens",
    X_REMAINING_TOKENS = "x-ratelimit-remaining-tokens",
    X_RESET_TOKENS = "x-ratelimit-reset-tokens",
    ANTHROPIC_REQUESTS_LIMIT = "anthropic-ratelimit-requests-limit",
    ANTHROPIC_REQUESTS_REMAINING = "anthropic-ratelimit-requests-remaining",
    ANTHROPIC_REQUESTS_RESET = "anthropic-ratelimit-requests-reset",
    ANTHROPIC_TOKENS_LIMIT = "anthropic-ratelimit-tokens-limit",
    ANTHROPIC_TOKENS_REMAINING = "anthropic-ratelimit-tokens-remaining",
    ANTHROPIC_TOKENS_RESET = "anthropic-ratelimit-tokens-reset",
}

/// The ids every answer carries.
pub(crate) fn ids(headers: &mut HeaderMap, id: RequestId, node: NodeId) {
    put(headers, X_REQUEST_ID, &id.to_string());
    if let Some(value) = headers.get(&X_REQUEST_ID).cloned() {
        headers.insert(REQUEST_ID, value);
    }
    put(headers, NODE, &node.to_string());
}

/// What is known of a request when its headers are sent.
pub(crate) fn facts(headers: &mut HeaderMap, facts: &ReplyFacts, dialect: Dialect) {
    if let Some(provider) = &facts.provider {
        put(headers, PROVIDER, provider);
    }
    if let Some(model) = &facts.model {
        put(headers, MODEL, model);
    }
    if 0 < facts.attempts {
        headers.insert(ATTEMPTS, HeaderValue::from(facts.attempts));
    }
    if let Some(cost) = facts.cost {
        put(headers, COST, &cost.to_string());
    }
    if let Some(remaining) = facts.budget_remaining {
        put(headers, REMAINING, &remaining.to_string());
    }
    if let Some(overhead) = facts.overhead_us {
        headers.insert(OVERHEAD, HeaderValue::from(overhead));
        put(headers, SERVER_TIMING, &format!("gateway;dur={}.{:03}", overhead / 1000, overhead % 1000));
    }
    if let Some(decision) = &facts.explain
        && let Ok(text) = serde_json::to_string(decision)
        && text.len() <= EXPLAIN_BYTES_MAX
    {
        put(headers, EXPLAIN, &text);
    }
    for warning in &facts.warnings {
        if let Ok(value) = HeaderValue::from_str(warning) {
            headers.append(WARNING, value);
        }
    }
    rates(headers, facts, dialect);
}

fn rates(headers: &mut HeaderMap, facts: &ReplyFacts, dialect: Dialect) {
    let mut rate = |rate: Option<Rate>, names: [HeaderName; 3]| {
        let Some(Rate { limit, remaining, reset }) = rate else { return };
        let reset = match dialect {
            Dialect::OpenAiChat => span(reset),
            Dialect::AnthropicMessages => rfc3339(bh_pipeline::clock::now().plus(reset).plus(Millis(999))),
        };
        let [limit_name, remaining_name, reset_name] = names;
        headers.insert(limit_name, HeaderValue::from(limit));
        headers.insert(remaining_name, HeaderValue::from(remaining));
        put(headers, reset_name, &reset);
    };
    let (requests, tokens) = match dialect {
        Dialect::OpenAiChat => (
            [X_LIMIT_REQUESTS, X_REMAINING_REQUESTS, X_RESET_REQUESTS],
            [X_LIMIT_TOKENS, X_REMAINING_TOKENS, X_RESET_TOKENS],
        ),
        Dialect::AnthropicMessages => (
            [ANTHROPIC_REQUESTS_LIMIT, ANTHROPIC_REQUESTS_REMAINING, ANTHROPIC_REQUESTS_RESET],
            [ANTHROPIC_TOKENS_LIMIT, ANTHROPIC_TOKENS_REMAINING, ANTHROPIC_TOKENS_RESET],
        ),
    };
    rate(facts.rates.requests, requests);
    rate(facts.rates.tokens, tokens);
}

/// A span as OpenAI writes it: `12ms`, `1.5s`, `6m0s`.
fn span(span: Millis) -> String {
    match span.0 {
        ms @ ..1000 => format!("{ms}ms"),
        ms @ ..60_000 if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms @ ..60_000 => format!("{}.{:03}s", ms / 1000, ms % 1000),
        ms => format!("{}m{}s", ms / 60_000, ms / 1000 % 60),
    }
}

/// Whether and when to come back.
pub(crate) fn retry(headers: &mut HeaderMap, row: &Row) {
    if let Some(wait) = row.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.0.div_ceil(1000).max(1)));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(wait.0.max(1)));
    }
    if row.hopeless {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

pub(crate) fn json(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// A header from a text of ours; one that cannot be a header is left out rather than the answer lost.
fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_openai_does() {
        for (ms, text) in [(12, "12ms"), (1500, "1.500s"), (2000, "2s"), (360_000, "6m0s"), (61_000, "1m1s")] {
            assert_eq!(span(Millis(ms)), text);
        }
    }
}
