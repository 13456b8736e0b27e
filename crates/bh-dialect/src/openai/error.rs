//! Errors of OpenAI and its followers: read in every shape they come in, written in one.

use bh_chat::{Fault, FaultClass};

use crate::fields::{Fields, string};
use crate::write::Writer;
use crate::{WireError, wait};

/// Longest error message kept of a body that is no JSON, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;

/// See [`crate::classify`].
pub(crate) fn classify(status: u16, headers: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(body);
    let mut fault = read(&text).unwrap_or_else(|| Fault::new(FaultClass::Malformed, plain_message(status, &text)));
    let told = !(200..300).contains(&status);
    // An error inside a 200 sometimes carries the status it should have had as its code.
    let meant = fault.code.as_deref().and_then(|code| code.parse().ok()).filter(|code| (400..600).contains(code));
    let effective = if told { Some(status) } else { fault.status.or(meant) };
    let readable = fault.class != FaultClass::Malformed || told;
    fault.status = effective;
    if readable {
        fault.class = class_of(effective, &fault);
    }
    fault.retry_after_ms = retry_after_ms(fault.class, headers);
    fault
}

/// The fault in an `error` value that came inside a stream or an answer of status 200.
pub(super) fn in_answer(error: &str) -> Fault {
    classify(200, &|_| None, format!("{{\"error\":{error}}}").as_bytes())
}

/// What came is not what this dialect allows.
pub(super) fn malformed(message: &str) -> Fault {
    Fault::new(FaultClass::Malformed, message)
}

/// The answer broke off.
pub(super) fn cut() -> Fault {
    Fault::new(FaultClass::Cut, "the provider closed the stream before its end")
}

/// See [`crate::error_body`].
pub(crate) fn error_body(error: &WireError) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + error.message.len());
    let mut json = Writer(&mut out);
    json.open();
    json.key("error");
    json.open();
    json.field("message", &error.message);
    json.field("type", &error.kind);
    json.field_or_null("param", error.param.as_deref());
    json.field_or_null("code", error.code.as_deref());
    json.close();
    json.close();
    out
}

/// See [`crate::stream_error`]. No `[DONE]` follows: that would call the answer complete.
pub(crate) fn stream_error(error: &WireError) -> Vec<u8> {
    let mut out = b"data: ".to_vec();
    out.extend_from_slice(&error_body(error));
    out.extend_from_slice(b"\n\n");
    out
}

/// Reads `{"error":{…}}`, `{"error":"…"}`, `{"detail":…}`, `{"message":…}` and lists of one of them.
fn read(text: &str) -> Option<Fault> {
    let text = text.trim();
    if text.starts_with('[') {
        return read(crate::fields::elements(text)?.first()?.get());
    }
    let mut outer = Fields::parse(text)?;
    let mut fault = match outer.take("error").filter(|error| *error != "null") {
        Some(error) => match Fields::parse(error) {
            Some(mut inner) => read_object(&mut inner)?,
            None => Fault::new(FaultClass::BadRequest, string(error)?),
        },
        None => read_object(&mut outer)?,
    };
    if fault.code.is_none() {
        fault.code = word(&mut outer, "code");
    }
    Some(fault)
}

fn read_object(fields: &mut Fields<'_>) -> Option<Fault> {
    let message = fields
        .take_string("message")
        .or_else(|| fields.take_string("detail"))
        .or_else(|| fields.peek("detail").map(str::to_owned))
        .or_else(|| fields.peek("type").or(fields.peek("code")).map(str::to_owned))?;
    let mut fault = Fault::new(FaultClass::BadRequest, message);
    fault.kind = word(fields, "type");
    fault.code = word(fields, "code");
    fault.param = fields.take_string("param");
    let status = fields.take_u64("status_code").or_else(|| fields.take_u64("status"));
    fault.status = status.and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status));
    Some(fault)
}

/// A string or a number, as text.
fn word(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    let value = fields.take(name).filter(|value| *value != "null")?;
    string(value).or_else(|| value.parse::<i64>().ok().map(|number| number.to_string()))
}

/// A body that is no error object: its first line if it is text, never a page.
fn plain_message(status: u16, text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    if line.is_empty() || line.starts_with(['<', '{', '[']) {
        return format!("the provider answered with status {status} and no readable error");
    }
    let end = line.floor_char_boundary(MESSAGE_BYTES_MAX);
    line[..end].to_owned()
}

fn class_of(status: Option<u16>, fault: &Fault) -> FaultClass {
    let code = fault.code.as_deref().unwrap_or_default();
    let kind = fault.kind.as_deref().unwrap_or_default();
    let any =
        |words: &[&str]| words.iter().any(|word| code.eq_ignore_ascii_case(word) || kind.eq_ignore_ascii_case(word));
    let message = fault.message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if any(&["insufficient_quota", "billing_hard_limit_reached", "quota_exceeded"]) || status == Some(402) {
        return FaultClass::QuotaExhausted;
    }
    match status {
        Some(401 | 403) if any(&["content_filter", "moderation", "flagged"]) || says(&["flagged"]) => {
            FaultClass::ContentBlocked
        }
        Some(401 | 403) => FaultClass::Credential,
        Some(404) if any(&["model_not_found"]) || says(&["model", "deployment"]) => FaultClass::ModelNotFound,
        Some(408 | 504) => FaultClass::Timeout,
        Some(429) => FaultClass::RateLimited,
        Some(503 | 529) => FaultClass::Overloaded,
        Some(500..=599) => FaultClass::ServerError,
        Some(400..=499) | None => class_of_words(&any, &says, status.is_some()),
        // Redirects are not followed, and other statuses carry no error.
        Some(_) => FaultClass::Malformed,
    }
}

/// A class from words alone: a 4xx whose status says little, or an error inside a 200.
fn class_of_words(any: &dyn Fn(&[&str]) -> bool, says: &dyn Fn(&[&str]) -> bool, has_status: bool) -> FaultClass {
    if any(&["context_length_exceeded", "string_above_max_length", "too_many_prompt_tokens"])
        || says(&[
            "maximum context length",
            "max context length",
            "context window",
            "prompt is too long",
            "prompt too long",
        ])
    {
        return FaultClass::ContextTooLong;
    }
    if any(&["content_filter", "content_policy_violation", "moderation_blocked", "responsibleaipolicyviolation"]) {
        return FaultClass::ContentBlocked;
    }
    if any(&["model_not_found", "deploymentnotfound"]) {
        return FaultClass::ModelNotFound;
    }
    // xAI and Gemini say 400 to a bad key.
    if any(&["invalid_api_key", "authentication_error", "invalid_authentication"])
        || says(&["incorrect api key", "invalid api key", "api key not valid"])
    {
        return FaultClass::Credential;
    }
    if any(&["rate_limit_exceeded", "rate_limit_error", "ratelimitreached", "too_many_requests"]) {
        return FaultClass::RateLimited;
    }
    if any(&["overloaded_error", "overloaded", "service_unavailable", "engine_overloaded"]) {
        return FaultClass::Overloaded;
    }
    if has_status || any(&["invalid_request_error", "tool_use_failed"]) {
        return FaultClass::BadRequest;
    }
    FaultClass::ServerError
}

/// How long the provider asks us to wait. A refusal for too many requests that does not say so directly names the span
/// until its exhausted limit is fresh again.
fn retry_after_ms(class: FaultClass, headers: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let fresh = |what: &&str| {
        let exhausted = headers(&format!("x-ratelimit-remaining-{what}")).as_deref() == Some("0");
        wait::span_ms(&headers(&format!("x-ratelimit-reset-{what}"))?).filter(|_| exhausted)
    };
    match wait::asked_ms(headers) {
        None if class == FaultClass::RateLimited => ["requests", "tokens"].iter().filter_map(fresh).max(),
        asked => asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, class: FaultClass, message: &str) {
        let fault = classify(status, &|_| None, body.as_bytes());
        assert_eq!((fault.class, fault.message.as_str()), (class, message), "{status} {body}");
    }

    #[test]
    fn every_shape_of_error_is_read() {
        check(400, r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, FaultClass::BadRequest, "m");
        check(400, r#"{"error":"m","code":"x"}"#, FaultClass::BadRequest, "m");
        check(401, r#"{"detail":"Invalid API Key"}"#, FaultClass::Credential, "Invalid API Key");
        check(422, r#"{"detail":[{"msg":"x"}]}"#, FaultClass::BadRequest, r#"[{"msg":"x"}]"#);
        check(400, r#"{"id":"1","message":"m"}"#, FaultClass::BadRequest, "m");
        check(400, r#"[{"error":{"code":400,"message":"m"}}]"#, FaultClass::BadRequest, "m");
        check(502, "bad gateway\nmore", FaultClass::ServerError, "bad gateway");
        let page = "the provider answered with status 503 and no readable error";
        check(503, "<html>no</html>", FaultClass::Overloaded, page);
        let fault = classify(400, &|_| None, br#"{"error":{"message":"m","type":"t","code":7,"param":"p"}}"#);
        assert_eq!(
            (fault.kind.as_deref(), fault.code.as_deref(), fault.param.as_deref()),
            (Some("t"), Some("7"), Some("p"))
        );
    }

    #[test]
    fn status_and_words_lead_to_a_class() {
        let body = |message: &str, code: &str| format!(r#"{{"error":{{"message":"{message}","code":"{code}"}}}}"#);
        for (status, message, code, class) in [
            (400, "too long", "context_length_exceeded", FaultClass::ContextTooLong),
            (400, "This model's maximum context length is 8 tokens", "x", FaultClass::ContextTooLong),
            (400, "m", "content_filter", FaultClass::ContentBlocked),
            (400, "Incorrect API key provided: x", "x", FaultClass::Credential),
            (401, "m", "invalid_api_key", FaultClass::Credential),
            (403, "m", "x", FaultClass::Credential),
            (403, "your input was flagged", "x", FaultClass::ContentBlocked),
            (404, "The model `x` does not exist", "model_not_found", FaultClass::ModelNotFound),
            (404, "no such route", "x", FaultClass::BadRequest),
            (402, "pay", "x", FaultClass::QuotaExhausted),
            (408, "m", "x", FaultClass::Timeout),
            (413, "m", "x", FaultClass::BadRequest),
            (429, "m", "rate_limit_exceeded", FaultClass::RateLimited),
            (429, "m", "insufficient_quota", FaultClass::QuotaExhausted),
            (500, "m", "x", FaultClass::ServerError),
            (503, "m", "x", FaultClass::Overloaded),
            (504, "m", "x", FaultClass::Timeout),
            (529, "m", "x", FaultClass::Overloaded),
            (302, "m", "x", FaultClass::Malformed),
        ] {
            check(status, &body(message, code), class, message);
            assert_eq!(classify(status, &|_| None, body(message, code).as_bytes()).status, Some(status));
        }
    }

    #[test]
    fn an_error_inside_a_200_is_told_by_its_code() {
        check(200, r#"{"error":{"message":"m","code":502}}"#, FaultClass::ServerError, "m");
        check(
            200,
            r#"{"error":{"message":"m","status_code":400,"code":"tool_use_failed"}}"#,
            FaultClass::BadRequest,
            "m",
        );
        check(200, r#"{"error":{"message":"m"}}"#, FaultClass::ServerError, "m");
        assert_eq!(classify(200, &|_| None, b"hello").class, FaultClass::Malformed);
    }

    #[test]
    fn an_exhausted_limit_says_when_it_is_fresh() {
        let headers = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-remaining-tokens", "7"),
            ("x-ratelimit-reset-tokens", "1h"),
        ];
        let lookup = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        assert_eq!(classify(429, &lookup, b"{}").retry_after_ms, Some(360_000));
        assert_eq!(classify(500, &lookup, b"{}").retry_after_ms, None);
    }

    #[test]
    fn errors_are_written_with_all_four_keys() {
        let error = WireError {
            status: 400,
            kind: "invalid_request_error".into(),
            code: None,
            param: Some("n".into()),
            message: "say \"please\"".into(),
            request_id: None,
        };
        let body = r#"{"error":{"message":"say \"please\"","type":"invalid_request_error","param":"n","code":null}}"#;
        assert_eq!(str::from_utf8(&error_body(&error)).unwrap(), body);
        assert_eq!(str::from_utf8(&stream_error(&error)).unwrap(), format!("data: {body}\n\n"));
    }
}
