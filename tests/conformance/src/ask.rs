//! The requests that are sent: the recorded one, and the same one in the other dialect.

use bh_dialect::{
    DecodeError, Dialect, Edits, EncodeOptions, Encoded, LimitField, Unsupported, decode_request, encode_request, scan,
    splice,
};
use bh_testkit::recording::Form;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::case::{Case, other};
use crate::read::is_usage_report;

/// A request as it leaves for the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The dialect it is in.
    pub(crate) dialect: Dialect,
    /// Its body.
    pub(crate) body: Bytes,
    /// The dialect's own headers.
    pub(crate) headers: Vec<(String, String)>,
    /// Whether it asks for a stream.
    pub(crate) stream: bool,
    /// Whether it asks for usage on its stream.
    pub(crate) wants_usage: bool,
    /// What the other dialect has no place for and was left out here already.
    pub(crate) left_out: Vec<Unsupported>,
}

/// The recorded request in the other dialect, or why there is none.
#[derive(Debug)]
pub(crate) enum Across {
    /// It can be asked.
    Asked(Box<Ask>),
    /// The other dialect has no words for it.
    Refused(Unsupported),
}

/// Most answer tokens asked for where the recording sets no limit and the other dialect needs one.
const LIMIT: u64 = 4096;

/// The recorded request. Where the recorder kept none, the smallest that fits the answer; where its model stood in the
/// path, with the model.
#[must_use]
pub(crate) fn recorded_body(case: &Case) -> Bytes {
    let recording = &case.recording;
    let model = recording.model.as_deref().unwrap_or("recorded-model");
    let Some(body) = &recording.request.body else { return made_body(case, model) };
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) if !fields.contains_key("model") => {
            let text = String::from_utf8_lossy(body);
            let rest = text.trim_start().trim_start_matches('{');
            let comma = if fields.is_empty() { "" } else { "," };
            Bytes::from(format!("{{\"model\":{}{comma}{rest}", json!(model)))
        }
        Ok(_) | Err(_) => body.clone(),
    }
}

fn made_body(case: &Case, model: &str) -> Bytes {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Say what was recorded."}]});
    if case.dialect == Dialect::AnthropicMessages {
        body["max_tokens"] = json!(LIMIT);
    }
    if case.recording.response.form == Form::Sse {
        body["stream"] = json!(true);
        let text = String::from_utf8_lossy(&case.recording.response.body);
        if case.dialect == Dialect::OpenAiChat
            && text.lines().filter_map(|line| line.strip_prefix("data:")).any(is_usage_report)
        {
            body["stream_options"] = json!({"include_usage": true});
        }
    }
    Bytes::from(body.to_string())
}

/// The recorded request for a named provider: the same bytes but for the model.
///
/// # Errors
/// The gateway's own reader refuses the recorded request.
pub(crate) fn own(case: &Case, provider: &str) -> Result<Ask, String> {
    let body = recorded_body(case);
    let scanned = scan(case.dialect, &body).map_err(unreadable)?;
    let model = format!("{provider}/{}", scanned.model);
    let body = splice(case.dialect, &body, &scanned, &Edits { model: Some(&model), ..Edits::default() });
    let mut headers = Vec::new();
    if case.dialect == Dialect::AnthropicMessages {
        let recorded = &case.recording.request.headers;
        for (name, value) in recorded.iter().filter(|(name, _)| name.to_ascii_lowercase().starts_with("anthropic-")) {
            headers.push((name.to_ascii_lowercase(), value.clone()));
        }
        if !headers.iter().any(|(name, _)| name == "anthropic-version") {
            headers.push(("anthropic-version".to_owned(), "2023-06-01".to_owned()));
        }
    }
    let (stream, wants_usage) = (scanned.stream, scanned.stream_usage);
    Ok(Ask { dialect: case.dialect, body, headers, stream, wants_usage, left_out: Vec::new() })
}

fn unreadable(error: DecodeError) -> String {
    format!("the recorded request is refused: {error}")
}

/// How much of a recorded request that its provider refused is wrong enough for the gateway to refuse it as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The first look sees it: no provider is asked.
    AtSight,
    /// Only a translation has to understand it: its own dialect passes it on.
    InTranslation,
}

/// Whether, and where, the gateway refuses a recorded request as its provider did.
#[must_use]
pub(crate) fn malformed(case: &Case) -> Option<Malformed> {
    let body = recorded_body(case);
    if !matches!(case.recording.response.status, 400 | 422) {
        None
    } else if scan(case.dialect, &body).is_err() {
        Some(Malformed::AtSight)
    } else {
        decode_request(case.dialect, &body).is_err().then_some(Malformed::InTranslation)
    }
}

/// The recorded request for a named provider, however wrong it is.
///
/// # Errors
/// It is not even JSON.
pub(crate) fn as_it_is(case: &Case, provider: &str) -> Result<Ask, String> {
    let mut request: Value = serde_json::from_slice(&recorded_body(case)).map_err(|error| error.to_string())?;
    request["model"] = json!(format!("{provider}/{}", request["model"].as_str().unwrap_or("m")));
    let (headers, body) = (Vec::new(), Bytes::from(request.to_string()));
    Ok(Ask { dialect: case.dialect, body, headers, stream: false, wants_usage: false, left_out: Vec::new() })
}

/// The recorded request in the other dialect.
///
/// # Errors
/// The gateway's own reader refuses the recorded request.
pub(crate) fn across(case: &Case, provider: &str) -> Result<Across, String> {
    let (from, target) = (case.dialect, other(case.dialect));
    let request = decode_request(from, &recorded_body(case)).map_err(unreadable)?;
    let options = EncodeOptions {
        model: format!("{provider}/{}", request.model),
        max_output_default: Some(LIMIT),
        ask_usage: true,
        ..EncodeOptions::default()
    };
    let stream = request.stream == Some(true);
    let headers = match target {
        Dialect::OpenAiChat => Vec::new(),
        Dialect::AnthropicMessages => vec![("anthropic-version".to_owned(), "2023-06-01".to_owned())],
    };
    Ok(match encode_request(target, from, &request, &options) {
        Ok(Encoded { body, warnings }) => Across::Asked(Box::new(Ask {
            dialect: target,
            body: Bytes::from(body),
            headers,
            stream,
            wants_usage: stream,
            left_out: warnings,
        })),
        Err(unsupported) => Across::Refused(unsupported),
    })
}

/// What decoding and encoding the recorded request loses or changes; nothing is right.
#[must_use]
pub(crate) fn lost_in_the_conversation(case: &Case) -> Option<String> {
    let body = recorded_body(case);
    let request = match decode_request(case.dialect, &body) {
        Ok(request) => request,
        Err(error) => return Some(format!("the recorded request cannot be decoded: {error}")),
    };
    let recorded: Value = match serde_json::from_slice(&body) {
        Ok(value) => value,
        Err(error) => return Some(format!("the recorded request is not JSON: {error}")),
    };
    let limit_field =
        if recorded["max_tokens"].is_null() { LimitField::MaxCompletionTokens } else { LimitField::MaxTokens };
    let options = EncodeOptions { model: request.model.clone(), limit_field, ..EncodeOptions::default() };
    match encode_request(case.dialect, case.dialect, &request, &options) {
        Err(unsupported) => Some(format!("its own dialect refuses it: {unsupported}")),
        Ok(encoded) if !encoded.warnings.is_empty() => {
            Some(format!("its own dialect leaves out {}", encoded.warnings[0]))
        }
        Ok(encoded) => match serde_json::from_slice::<Value>(&encoded.body) {
            Ok(written) if written == recorded => None,
            Ok(written) => Some(format!("decode and encode change {}", first_difference(&recorded, &written, ""))),
            Err(error) => Some(format!("what is encoded is not JSON: {error}")),
        },
    }
}

/// The place and both values of the first difference between two JSON values.
#[must_use]
pub(crate) fn first_difference(expected: &Value, found: &Value, at: &str) -> String {
    if let (Some(one), Some(two)) = (expected.as_object(), found.as_object()) {
        for (field, value) in one {
            match two.get(field) {
                None => return format!("{at}/{field}: lost {}", short(value)),
                Some(other) if other != value => return first_difference(value, other, &format!("{at}/{field}")),
                Some(_) => {}
            }
        }
        if let Some((field, value)) = two.iter().find(|(field, _)| !one.contains_key(*field)) {
            return format!("{at}/{field}: added {}", short(value));
        }
    }
    if let (Some(one), Some(two)) = (expected.as_array(), found.as_array()) {
        if let Some(index) = (0..one.len().min(two.len())).find(|index| one[*index] != two[*index]) {
            return first_difference(&one[index], &two[index], &format!("{at}/{index}"));
        }
        return format!("{at}: {} items became {}", one.len(), two.len());
    }
    format!("{at}: {} became {}", short(expected), short(found))
}

/// A value as it fits in a line of a report.
#[must_use]
pub(crate) fn short(value: &impl ToString) -> String {
    const LENGTH_MAX: usize = 160;
    let text = value.to_string();
    match text.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named_by_its_place() {
        let check = |one: Value, two: Value, text: &str| assert_eq!(first_difference(&one, &two, ""), text);
        check(json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 3}]}), "/a/1/b: 2 became 3");
        check(json!({"a": 1}), json!({}), "/a: lost 1");
        check(json!({}), json!({"a": 1}), "/a: added 1");
        check(json!([1]), json!([1, 2]), ": 1 items became 2");
    }
}
