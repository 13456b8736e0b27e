//! The comparisons: what the client got against what was recorded, what the provider got against what was asked.

use bh_dialect::Dialect;
use bh_testkit::Seen;
use bh_testkit::recording::Form;
use serde_json::Value;

use crate::ask::{Ask, first_difference, short};
use crate::case::{Case, path};
use crate::gateway::PROVIDER_KEY;
use crate::gist;
use crate::read::{self, Choice, Said, Strictness, Told, error_in, is_usage_report, message_of};

/// What came back from the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// HTTP status.
    pub(crate) status: u16,
    /// The request's id, for the account of it.
    pub(crate) id: String,
    /// What the gateway says it left out.
    pub(crate) warnings: Vec<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// What was recorded, so what must come back.
#[derive(Clone, Debug)]
pub(crate) enum Recorded {
    /// An answer.
    Answer(Box<Said>),
    /// A failure inside an answer of status 200.
    Broken(Option<String>),
    /// A refusal.
    Refusal(u16),
}

/// Reads the recorded answer.
///
/// # Errors
/// It is no answer of its dialect.
pub(crate) fn recorded(case: &Case) -> Result<Recorded, String> {
    let response = &case.recording.response;
    if !(200..300).contains(&response.status) {
        return Ok(Recorded::Refusal(response.status));
    }
    let told = match response.form {
        Form::Json => read::plain(case.dialect, &response.body)?,
        Form::Sse => read::stream(case.dialect, &response.body, Strictness::Recorded)?,
        Form::Ndjson | Form::Binary => return Err("the recorded answer is neither JSON nor an event stream".to_owned()),
    };
    Ok(match told {
        Told::Answer(said) => Recorded::Answer(Box::new(said)),
        Told::Broken { message } => Recorded::Broken(message),
    })
}

/// What is wrong with what the client got; nothing is right.
#[must_use]
pub(crate) fn heard(case: &Case, ask: &Ask, recorded: &Recorded, heard: &Heard) -> Vec<String> {
    let fault = match recorded {
        Recorded::Answer(said) => answer(case, ask, said, heard),
        Recorded::Broken(message) => broken(ask.dialect, message.as_deref(), heard),
        Recorded::Refusal(status) => refusal(case, ask.dialect, *status, heard),
    };
    fault.err().into_iter().collect()
}

fn answer(case: &Case, ask: &Ask, said: &Said, heard: &Heard) -> Result<(), String> {
    if heard.status != 200 {
        return Err(format!(
            "status {} instead of 200: {}",
            heard.status,
            short(&String::from_utf8_lossy(&heard.body))
        ));
    }
    if ask.dialect == case.dialect {
        let expected = expected_bytes(case, ask);
        return if heard.body == expected { Ok(()) } else { Err(bytes_differ(&expected, &heard.body)) };
    }
    let told = if ask.stream {
        read::stream(ask.dialect, &heard.body, Strictness::Promised)?
    } else {
        read::plain(ask.dialect, &heard.body)?
    };
    match told {
        Told::Answer(found) => same(said, &found),
        Told::Broken { message } => Err(format!("the answer failed: {message:?}")),
    }
}

/// The recorded bytes, minus a usage report the client did not ask for.
fn expected_bytes(case: &Case, ask: &Ask) -> Vec<u8> {
    let body = &case.recording.response.body;
    if case.recording.response.form != Form::Sse || ask.wants_usage || case.dialect != Dialect::OpenAiChat {
        return body.to_vec();
    }
    let mut kept = Vec::with_capacity(body.len());
    let mut event: Vec<u8> = Vec::new();
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        event.extend_from_slice(line);
        if line == b"\n" || line == b"\r\n" {
            keep(&mut kept, &mut event);
        }
    }
    keep(&mut kept, &mut event);
    kept
}

fn keep(kept: &mut Vec<u8>, event: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(event);
    if !text.lines().filter_map(|line| line.strip_prefix("data:")).any(is_usage_report) {
        kept.extend_from_slice(event);
    }
    event.clear();
}

fn bytes_differ(expected: &[u8], found: &[u8]) -> String {
    const AROUND: usize = 80;
    let at = expected.iter().zip(found).position(|(one, two)| one != two).unwrap_or(expected.len().min(found.len()));
    let near = |bytes: &[u8]| {
        let piece = &bytes[at.saturating_sub(AROUND).min(bytes.len())..(at + AROUND).min(bytes.len())];
        String::from_utf8_lossy(piece).into_owned()
    };
    let lengths = (expected.len(), found.len());
    format!(
        "the bytes differ at {at} (of {} and {}): {:?} became {:?}",
        lengths.0,
        lengths.1,
        near(expected),
        near(found)
    )
}

fn same(expected: &Said, found: &Said) -> Result<(), String> {
    let differ = |what: &str, one: &dyn std::fmt::Debug, two: &dyn std::fmt::Debug| {
        Err(format!("{what}: {} became {}", short(&format!("{one:?}")), short(&format!("{two:?}"))))
    };
    if !expected.id.is_empty() && expected.id != found.id {
        return differ("id", &expected.id, &found.id);
    }
    if !expected.model.is_empty() && expected.model != found.model {
        return differ("model", &expected.model, &found.model);
    }
    if expected.choices.len() != found.choices.len() {
        return differ("choices", &expected.choices.len(), &found.choices.len());
    }
    for (one, two) in expected.choices.iter().zip(&found.choices) {
        let Choice { text, reasoning, calls, finish } = one;
        if *text != two.text {
            return differ("text", text, &two.text);
        }
        if *reasoning != two.reasoning {
            return differ("reasoning", reasoning, &two.reasoning);
        }
        if *calls != two.calls {
            return differ("tool calls", calls, &two.calls);
        }
        if *finish != two.finish {
            return differ("finish reason", finish, &two.finish);
        }
    }
    match (&expected.spent, &found.spent) {
        (Some(one), Some(two)) if one.visible() != two.visible() => differ("usage", &one.visible(), &two.visible()),
        (Some(one), None) => differ("usage", one, &"nothing"),
        (Some(_), Some(_)) | (None, _) => Ok(()),
    }
}

/// A failure inside an answer is told: as an error before the first byte, or inside the stream and as its end.
fn broken(dialect: Dialect, message: Option<&str>, heard: &Heard) -> Result<(), String> {
    let text = String::from_utf8_lossy(&heard.body);
    let told = if heard.status == 200 {
        match read::stream(dialect, &heard.body, Strictness::Recorded)? {
            Told::Broken { message: Some(told) } => told,
            Told::Broken { message: None } => return Err("the stream just ends; no error is told".to_owned()),
            Told::Answer(_) => return Err("a failed answer is passed on as a whole one".to_owned()),
        }
    } else {
        envelope(dialect, &heard.body)?
    };
    if ["data: [DONE]", "event: message_stop"].iter().any(|end| text.contains(end)) {
        return Err("a failed stream ends as if it were whole".to_owned());
    }
    match message {
        Some(message) if !told.contains(message) => Err(format!("the error says {told:?} instead of {message:?}")),
        Some(_) | None => Ok(()),
    }
}

/// A provider's refusal: in its own dialect as it came, in the other as that route's envelope with its message.
fn refusal(case: &Case, dialect: Dialect, status: u16, heard: &Heard) -> Result<(), String> {
    let body = &case.recording.response.body;
    let wrong = |wanted: u16| {
        Err(format!(
            "{status} became {} instead of {wanted}: {}",
            heard.status,
            short(&String::from_utf8_lossy(&heard.body))
        ))
    };
    let wanted = match status {
        401 | 403 => 502,
        400 | 404 | 413 | 415 | 422 | 429 | 529 => status,
        500.. => 502,
        _ => heard.status.max(400),
    };
    if heard.status != wanted {
        return wrong(wanted);
    }
    if dialect == case.dialect && wanted == status && status != 502 {
        return if heard.body == body[..] { Ok(()) } else { Err(bytes_differ(body, &heard.body)) };
    }
    let message = envelope(dialect, &heard.body)?;
    let value: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
    if wanted == 502 && status < 500 {
        let code = if dialect == Dialect::OpenAiChat { &value["error"]["code"] } else { &value["error"]["type"] };
        let expected = if dialect == Dialect::OpenAiChat { "upstream_auth_error" } else { "api_error" };
        return if *code == expected { Ok(()) } else { Err(format!("the code is {code} instead of {expected}")) };
    }
    let recorded: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = message_of(&recorded).unwrap_or_default();
    let exact = matches!(status, 400 | 404 | 413 | 415 | 422);
    if (exact && message != said) || !message.contains(&said) {
        return Err(format!("the message {said:?} became {message:?}"));
    }
    Ok(())
}

/// The message of an error in a route's own envelope, which must be whole.
fn envelope(dialect: Dialect, body: &[u8]) -> Result<String, String> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|_| format!("the error is not JSON: {}", short(&String::from_utf8_lossy(body))))?;
    let error = value["error"].as_object().ok_or("the error has no `error` object")?;
    let fields: &[&str] = match dialect {
        Dialect::OpenAiChat => &["message", "type", "param", "code"],
        Dialect::AnthropicMessages if value["type"] != "error" => {
            return Err("the error's type is not `error`".to_owned());
        }
        Dialect::AnthropicMessages => &["message", "type"],
    };
    if let Some(missing) = fields.iter().find(|field| !error.contains_key(**field)) {
        return Err(format!("the error lacks `{missing}`"));
    }
    error_in(&value).ok_or_else(|| "the error says nothing".to_owned())
}

/// What is wrong with what the provider got in its own dialect. Only the model may differ, and on a stream the wish for
/// usage; where `asked` is in the other dialect, it must ask for the same thing.
#[must_use]
pub(crate) fn arrived(case: &Case, ask: &Ask, asked: &Value, seen: &[Seen], warnings: &[String]) -> Vec<String> {
    let Some(first) = seen.first() else { return vec!["the provider was never asked".to_owned()] };
    let mut faults = Vec::new();
    if 1 < seen.len() && case.recording.response.status < 400 {
        faults.push(format!("the provider was asked {} times", seen.len()));
    }
    if !first.path.split('?').next().unwrap_or_default().ends_with(path(case.dialect)) {
        faults.push(format!("the provider was asked at {}", first.path));
    }
    let credential = match case.dialect {
        Dialect::OpenAiChat => first.header("authorization") == format!("Bearer {PROVIDER_KEY}"),
        Dialect::AnthropicMessages => first.header("x-api-key") == PROVIDER_KEY,
    };
    if !credential {
        faults.push("the provider's own key did not arrive".to_owned());
    }
    if first.headers.values().any(|value| value.to_str().is_ok_and(|text| text.contains("bh_"))) {
        faults.push("the client's token reached the provider".to_owned());
    }
    let Ok(mut found) = first.json() else {
        faults.push("what arrived is not JSON".to_owned());
        return faults;
    };
    if ask.dialect == case.dialect {
        for (name, value) in &ask.headers {
            if first.header(name) != value {
                faults.push(format!("the header {name} arrived as {:?}", first.header(name)));
            }
        }
        faults.extend(same_request(case.dialect, ask, asked, &mut found));
    } else {
        if found["model"] != asked["model"] {
            faults.push(format!("the model {} arrived as {}", asked["model"], found["model"]));
        }
        let left_out: Vec<String> =
            ask.left_out.iter().map(|left_out| left_out.field.clone()).chain(warnings.iter().cloned()).collect();
        faults.extend(gist::changed(case.dialect, asked, &found, &left_out).map(|what| format!("request: {what}")));
    }
    faults
}

fn same_request(dialect: Dialect, ask: &Ask, asked: &Value, found: &mut Value) -> Option<String> {
    let asks_usage = dialect == Dialect::OpenAiChat && ask.stream;
    if asks_usage && !ask.wants_usage {
        if found.pointer("/stream_options/include_usage") != Some(&Value::Bool(true)) {
            return Some("a stream's usage was not asked for".to_owned());
        }
        // What the client wrote there, it finds again.
        match asked.get("stream_options") {
            Some(options) => found["stream_options"]["include_usage"] = options["include_usage"].clone(),
            None => {
                found.as_object_mut()?.remove("stream_options");
            }
        }
        if asked["stream_options"].is_object() && asked["stream_options"].get("include_usage").is_none() {
            found["stream_options"].as_object_mut()?.remove("include_usage");
        }
    }
    (found != asked).then(|| format!("request: {}", first_difference(asked, found, "")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::ask::{self, Across};

    const BODY: &str = r#"{"id":"c1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant",
        "content":"a jackdaw"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

    fn case(name: &str) -> Case {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases").join(name);
        Case::new(bh_testkit::Recording::load(&file).unwrap()).unwrap()
    }

    fn plain(status: u16, body: &str) -> Case {
        let mut case = case("openai/chat_completions/filtered.json");
        case.recording.response.status = status;
        case.recording.response.body = Bytes::from(body.to_owned());
        case
    }

    fn across(case: &Case) -> Ask {
        let Across::Asked(ask) = ask::across(case, "x").unwrap() else { panic!("refused") };
        *ask
    }

    fn check(case: &Case, ask: &Ask, status: u16, body: impl Into<Vec<u8>>, fault: &str) {
        let got = Heard { status, id: String::new(), warnings: Vec::new(), body: body.into() };
        let faults = heard(case, ask, &recorded(case).unwrap(), &got);
        let found = faults.first().map_or("", String::as_str);
        assert!(if fault.is_empty() { faults.is_empty() } else { found.contains(fault) }, "{found:?} for {fault:?}");
    }

    #[test]
    fn an_answer_in_its_own_dialect_may_not_change_by_a_byte() {
        let case = plain(200, BODY);
        let ask = ask::own(&case, "x").unwrap();
        check(&case, &ask, 200, BODY, "");
        check(&case, &ask, 200, BODY.replace("a jackdaw", "a Jackdaw"), "the bytes differ");
        check(&case, &ask, 200, BODY.trim_end_matches('}'), "the bytes differ");
        check(&case, &ask, 502, BODY, "status 502 instead of 200");
    }

    #[test]
    fn an_answer_in_the_other_dialect_says_the_same_or_is_a_fault() {
        let case = plain(200, BODY);
        let answer = |text: &str, reason: &str, tokens: u64| {
            json!({"id": "c1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": text}],
                "stop_reason": reason, "usage": {"input_tokens": 9, "output_tokens": tokens}})
            .to_string()
        };
        check(&case, &across(&case), 200, answer("a jackdaw", "end_turn", 2), "");
        check(&case, &across(&case), 200, answer("a jackda", "end_turn", 2), "text");
        check(&case, &across(&case), 200, answer("a jackdaw", "max_tokens", 2), "finish reason");
        check(&case, &across(&case), 200, answer("a jackdaw", "end_turn", 3), "usage");
    }

    #[test]
    fn a_usage_report_is_hidden_from_those_who_did_not_ask_and_only_from_them() {
        for (name, hidden) in
            [("stream_usage_not_asked", true), ("stream_usage_asked", false), ("stream_usage_declined", true)]
        {
            let case = case(&format!("openai/chat_completions/{name}.json"));
            let ask = ask::own(&case, "x").unwrap();
            let whole = case.recording.response.body.to_vec();
            let kept = expected_bytes(&case, &ask);
            assert_eq!(kept.len() < whole.len(), hidden, "{name}");
            check(&case, &ask, 200, if hidden { whole } else { whole[..whole.len() - 1].to_vec() }, "the bytes differ");
            check(&case, &ask, 200, kept, "");
        }
    }

    #[test]
    fn a_broken_stream_must_be_told() {
        let case = case("openai/chat_completions/stream_error_midway.json");
        let ask = ask::own(&case, "x").unwrap();
        let told = case.recording.response.body.to_vec();
        check(&case, &ask, 200, told.clone(), "");
        let text = String::from_utf8(told).unwrap();
        let start = text.find("data: {\"error\"").unwrap();
        check(&case, &ask, 200, &text.as_bytes()[..start], "no error is told");
        check(&case, &ask, 200, format!("{text}data: [DONE]\n\n"), "as if it were whole");
    }

    #[test]
    fn a_refusal_keeps_its_status_and_its_words() {
        let body = r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#;
        let case = plain(400, body);
        let ask = ask::own(&case, "x").unwrap();
        check(&case, &ask, 400, body, "");
        check(&case, &ask, 400, body.replace("no", "nO"), "the bytes differ");
        check(&case, &ask, 502, body, "400 became 502");
        let translated = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#;
        check(&case, &across(&case), 400, translated, "");
        check(&case, &across(&case), 400, translated.replace("\"no\"", "\"not\""), "the message");
        check(&case, &across(&case), 400, body, "the error's type is not `error`");
    }

    #[test]
    fn a_refused_credential_is_the_gateways_own_failure() {
        let body =
            r#"{"error":{"message":"bad key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#;
        let case = plain(401, body);
        let ask = ask::own(&case, "x").unwrap();
        check(&case, &ask, 401, body, "401 became 401 instead of 502");
        check(&case, &ask, 502, body, "the code is");
        check(&case, &ask, 502, body.replace("invalid_api_key", "upstream_auth_error"), "");
    }
}
