//! Failures on Anthropic's wire: read into one vocabulary, and written for clients.

use bh_chat::{Fault, FaultClass};

use crate::WireError;
use crate::fields::{Fields, string};
use crate::write::Writer;
use crate::{instant, wait};

/// Limits whose reset a refusal may name, the narrowest reading of "too many" first.
const RESET_HEADERS: [&str; 4] = [
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-reset",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-reset",
];

/// See [`crate::classify`].
pub(crate) fn classify(status: u16, headers: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
    let mut fault = std::str::from_utf8(body).ok().and_then(read_error).unwrap_or_else(|| Fault {
        class: FaultClass::Malformed,
        status: None,
        kind: None,
        code: None,
        param: None,
        message: format!("the provider answered with status {status} and no readable error"),
        retry_after_ms: None,
    });
    fault.status = Some(status);
    fault.class = match &fault.kind {
        // Whatever a server of this dialect calls it, a 401 is about our key: passed on as a wrong request, it would
        // send the client looking for a fault in its own token.
        Some(_) if status == 401 => FaultClass::Credential,
        Some(kind) => class_of(kind, Some(status), &fault.message),
        None => class_of_status(status),
    };
    fault.retry_after_ms = retry_after_ms(fault.class, headers);
    fault
}

/// An error object that arrived where an answer was expected: an event of a stream, or the body of a 200. Its status
/// and headers say nothing of it, so neither is looked at.
pub(super) fn in_stream(text: &str) -> Fault {
    match read_error(text) {
        Some(fault) => fault,
        None => malformed("the provider sent an error event that cannot be read"),
    }
}

/// An answer that is not what the dialect allows.
pub(super) fn malformed(message: &str) -> Fault {
    plain(FaultClass::Malformed, message)
}

/// A stream that ended before its terminal event.
pub(super) fn cut() -> Fault {
    plain(FaultClass::Cut, "the provider closed the stream before message_stop")
}

/// See [`crate::error_body`].
pub(crate) fn error_body(error: &WireError) -> Vec<u8> {
    let mut body = Vec::with_capacity(128 + error.message.len());
    write_error(error, &mut body);
    body
}

/// See [`crate::stream_error`].
pub(crate) fn stream_error(error: &WireError) -> Vec<u8> {
    let mut event = b"event: error\ndata: ".to_vec();
    write_error(error, &mut event);
    event.extend_from_slice(b"\n\n");
    event
}

fn write_error(error: &WireError, out: &mut Vec<u8>) {
    let mut object = Vec::new();
    let mut json = Writer(&mut object);
    json.open();
    json.field("type", "error");
    json.key("error");
    json.open();
    json.field("type", &error.kind);
    json.field("message", &error.message);
    json.close();
    json.field_or_null("request_id", error.request_id.as_deref());
    json.close();
    out.append(&mut object);
}

fn plain(class: FaultClass, message: &str) -> Fault {
    Fault {
        class,
        status: None,
        kind: None,
        code: None,
        param: None,
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

/// Reads `{"type":"error","error":{"type":…,"message":…}}`, with or without the outer object.
fn read_error(text: &str) -> Option<Fault> {
    let mut outer = Fields::parse(text)?;
    let mut error = match outer.peek("error") {
        Some(inner) => Fields::parse(inner)?,
        None => std::mem::take(&mut outer),
    };
    let message = error.take_string("message")?;
    let kind = error.take_string("type");
    let code = error.take_if("code", |code| string(code).or_else(|| (code != "null").then(|| code.to_owned())));
    let class = class_of(kind.as_deref().unwrap_or_default(), None, &message);
    Some(Fault { class, status: None, kind, code, param: error.take_string("param"), message, retry_after_ms: None })
}

fn class_of(kind: &str, status: Option<u16>, message: &str) -> FaultClass {
    match kind {
        "invalid_request_error" => class_of_request(message),
        "request_too_large" => FaultClass::BadRequest,
        "authentication_error" | "permission_error" => FaultClass::Credential,
        "billing_error" => FaultClass::QuotaExhausted,
        "not_found_error" if message.starts_with("model") => FaultClass::ModelNotFound,
        "not_found_error" => FaultClass::BadRequest,
        "rate_limit_error" => FaultClass::RateLimited,
        "overloaded_error" => FaultClass::Overloaded,
        "timeout_error" => FaultClass::Timeout,
        "api_error" => FaultClass::ServerError,
        // A word nobody here knows; the status says the rest, unless it is the 200 of an answer.
        _ => status.filter(|status| 400 <= *status).map_or(FaultClass::ServerError, class_of_status),
    }
}

/// Anthropic says several things with `invalid_request_error` that lead to different actions; only the wording of
/// the message tells them apart.
fn class_of_request(message: &str) -> FaultClass {
    let has = |words: &str| message.contains(words);
    if has("prompt is too long") || has("exceed context limit") || has("exceeds the context window") {
        FaultClass::ContextTooLong
    } else if has("credit balance is too low") || has("usage limits") {
        FaultClass::QuotaExhausted
    } else if has("content filtering policy") {
        FaultClass::ContentBlocked
    } else {
        FaultClass::BadRequest
    }
}

fn class_of_status(status: u16) -> FaultClass {
    match status {
        401 | 403 => FaultClass::Credential,
        402 => FaultClass::QuotaExhausted,
        408 | 504 => FaultClass::Timeout,
        429 => FaultClass::RateLimited,
        503 | 529 => FaultClass::Overloaded,
        400..=499 => FaultClass::BadRequest,
        500..=599 => FaultClass::ServerError,
        _ => FaultClass::Malformed,
    }
}

/// How long the provider asks us to wait. A refusal for too many requests that does not say so directly names the
/// instants at which its limits reset; the wait then runs from the provider's own date, so that clocks need not agree.
fn retry_after_ms(class: FaultClass, headers: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    if let Some(wait) = wait::asked_ms(headers) {
        return Some(wait);
    }
    if class != FaultClass::RateLimited {
        return None;
    }
    RESET_HEADERS
        .iter()
        .filter(|name| headers(&name.replace("-reset", "-remaining")).as_deref() == Some("0"))
        .filter_map(|name| instant::from_rfc3339(headers(name)?.trim()))
        .max()
        .and_then(|at| wait::since_date_ms(headers, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, kind: &str, message: &str, class: FaultClass) {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
        let fault = classify(status, &|_| None, body.as_bytes());
        assert_eq!((fault.class, fault.status), (class, Some(status)), "{body}");
        assert_eq!((fault.kind.as_deref(), fault.message.as_str()), (Some(kind), message));
    }

    #[test]
    fn every_error_type_leads_to_its_class() {
        check(400, "invalid_request_error", "max_tokens: Field required", FaultClass::BadRequest);
        check(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", FaultClass::ContextTooLong);
        check(
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 1 + 2 > 2",
            FaultClass::ContextTooLong,
        );
        check(400, "invalid_request_error", "Your credit balance is too low", FaultClass::QuotaExhausted);
        check(400, "invalid_request_error", "Output blocked by content filtering policy", FaultClass::ContentBlocked);
        check(401, "authentication_error", "invalid x-api-key", FaultClass::Credential);
        check(401, "invalid_request_error", "Incorrect API key provided", FaultClass::Credential);
        check(402, "billing_error", "pay", FaultClass::QuotaExhausted);
        check(403, "permission_error", "no", FaultClass::Credential);
        check(404, "not_found_error", "model: claude-sonet-4-5", FaultClass::ModelNotFound);
        check(404, "not_found_error", "Container not found", FaultClass::BadRequest);
        check(413, "request_too_large", "too large", FaultClass::BadRequest);
        check(429, "rate_limit_error", "slow down", FaultClass::RateLimited);
        check(500, "api_error", "Internal server error", FaultClass::ServerError);
        check(504, "timeout_error", "slow", FaultClass::Timeout);
        check(529, "overloaded_error", "Overloaded", FaultClass::Overloaded);
        check(503, "a_new_error", "?", FaultClass::Overloaded);
    }

    #[test]
    fn a_page_that_is_no_error_object_is_classified_by_its_status() {
        let fault = classify(502, &|_| None, b"<html>Bad gateway</html>");
        assert_eq!((fault.class, fault.kind), (FaultClass::ServerError, None));
        assert_eq!(classify(529, &|_| None, &[0xff]).class, FaultClass::Overloaded);
    }

    fn wait(headers: &[(&str, &str)]) -> Option<u64> {
        let lookup = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let body = br#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#;
        classify(429, &lookup, body).retry_after_ms
    }

    #[test]
    fn the_wait_is_what_the_provider_asks_for() {
        let date = ("date", "Mon, 08 Jun 2026 18:47:05 GMT");
        assert_eq!(wait(&[("retry-after", "59")]), Some(59_000));
        assert_eq!(wait(&[("retry-after-ms", "1500"), ("retry-after", "2")]), Some(1500));
        assert_eq!(wait(&[("retry-after", "Mon, 08 Jun 2026 18:47:09 GMT"), date]), Some(4000));
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn without_a_wait_the_reset_of_the_exhausted_limit_counts() {
        let date = ("date", "Mon, 08 Jun 2026 18:47:05 GMT");
        let spent = ("anthropic-ratelimit-input-tokens-remaining", "0");
        let reset = ("anthropic-ratelimit-input-tokens-reset", "2026-06-08T18:47:35Z");
        let other = ("anthropic-ratelimit-requests-reset", "2026-06-08T19:47:35Z");
        assert_eq!(wait(&[date, spent, reset, other]), Some(30_000));
        assert_eq!(wait(&[spent, reset]), None, "without the provider's date nothing can be said");
    }

    #[test]
    fn errors_are_written_as_the_sdk_reads_them() {
        let error = WireError {
            status: 402,
            kind: "billing_error".into(),
            code: Some("insufficient_quota".into()),
            param: None,
            message: "spent \"all\"".into(),
            request_id: Some("req_1".into()),
        };
        let body =
            r#"{"type":"error","error":{"type":"billing_error","message":"spent \"all\""},"request_id":"req_1"}"#;
        assert_eq!(error_body(&error), body.as_bytes());
        assert_eq!(stream_error(&error), format!("event: error\ndata: {body}\n\n").as_bytes());
    }

    #[test]
    fn an_error_inside_a_stream_is_classified_without_a_status() {
        let fault = in_stream(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#);
        assert_eq!((fault.class, fault.status, fault.retry_after_ms), (FaultClass::Overloaded, None, None));
        assert_eq!(in_stream("{}").class, FaultClass::Malformed);
        let unknown = br#"{"type":"error","error":{"type":"a_new_error","message":"?"}}"#;
        assert_eq!(classify(200, &|_| None, unknown).class, FaultClass::ServerError);
    }
}
