//! Scanning a request and writing the gateway's edits into it.

use bh_base::Unbounded;
use bytes::Bytes;

use crate::{DecodeError, Dialect, Edits, LimitField, Scan, scan, splice};

const CHAT: Dialect = Dialect::OpenAiChat;

fn scanned(body: &str) -> Scan {
    scan(CHAT, body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// A request with `fields` behind model and messages.
fn with(fields: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{fields}}}"#)
}

/// A request whose one message has this content.
fn content(content: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#)
}

#[track_caller]
fn check_refused(body: &str, param: Option<&str>, code: &str) {
    let error = scan(CHAT, body.as_bytes()).expect_err(body);
    assert_eq!((error.param(), error.code()), (param, code), "{body}");
}

#[test]
fn what_the_gateway_reads_is_found() {
    let body = r#" {"stream":true, "model" : "gpt-\u0034o","messages":[{"role":"system","content":"be kind"},
        {"role":"user","content":"hé"}],"n":2,"max_completion_tokens":7,"user":"u","service_tier":"flex",
        "stream_options":{"include_usage":true},"reasoning_effort":"low","response_format":{"type":"json_schema"}} "#;
    let scan = scanned(body);
    assert_eq!(scan.model, "gpt-4o");
    assert_eq!(&body[scan.model_span.clone()], r#""gpt-\u0034o""#);
    assert!(scan.stream && scan.stream_usage && scan.needs.reasoning && scan.needs.json_schema);
    assert_eq!((scan.choices, scan.max_output), (2, Some(7)));
    assert_eq!((scan.user.as_deref(), scan.service_tier.as_deref()), (Some("u"), Some("flex")));
    assert_eq!((scan.size.messages, scan.size.features, scan.size.unbounded), (2, 1, None));
    assert_eq!(scan.size.text_bytes, 7 + 3 + r#"{"type":"json_schema"}"#.len() as u64);
    assert_eq!(scan.size.non_ascii_bytes, 2);
}

#[test]
fn wrong_forms_are_refused_by_name() {
    check_refused("[]", Some("body"), "invalid_value");
    check_refused(r#"{"messages":[]}"#, Some("model"), "missing_required_parameter");
    check_refused(r#"{"model":"m"}"#, Some("messages"), "missing_required_parameter");
    check_refused(r#"{"model":7,"messages":[]}"#, Some("model"), "invalid_value");
    check_refused(r#"{"model":"","messages":[]}"#, Some("model"), "invalid_value");
    check_refused(r#"{"model":"m","messages":{}}"#, Some("messages"), "invalid_value");
    check_refused(r#"{"model":"m","messages":["x"]}"#, Some("messages[0]"), "invalid_value");
    check_refused(&with(r#","stream":"yes""#), Some("stream"), "invalid_value");
    check_refused(&with(r#","max_tokens":1.5"#), Some("max_tokens"), "invalid_value");
    check_refused(&with(r#","max_tokens":-1"#), Some("max_tokens"), "invalid_value");
    check_refused(&with(r#","n":0"#), Some("n"), "invalid_value");
    check_refused(&with(r#","n":129"#), Some("n"), "invalid_value");
    check_refused(&with(r#","stream_options":[]"#), Some("stream_options"), "invalid_value");
    check_refused(
        &with(r#","max_tokens":5,"max_completion_tokens":6"#),
        Some("max_completion_tokens"),
        "conflicting_parameters",
    );
    assert_eq!(scanned(&with(r#","max_tokens":5,"max_completion_tokens":5"#)).max_output, Some(5));
    assert_eq!(scanned(&with(r#","max_tokens":5,"max_completion_tokens":null"#)).max_output, Some(5));
}

#[test]
fn one_field_under_two_spellings_is_refused() {
    check_refused(&with(r#","Model":"dear""#), Some("Model"), "unknown_parameter");
    check_refused(&with(r#","MAX_TOKENS":1"#), Some("MAX_TOKENS"), "unknown_parameter");
    check_refused(&with(r#","Tool_choice":"auto""#), Some("Tool_choice"), "unknown_parameter");
    check_refused(&with(r#","stream_options":{"Include_usage":true}"#), Some("Include_usage"), "unknown_parameter");
    check_refused(&with(r#","model":"dear""#), Some("model"), "duplicate_field");
    check_refused(&with(r#","m\u006fdel":"dear""#), Some("model"), "duplicate_field");
    check_refused(&with(r#","metadata":{"a":[{"b":1,"b":2}]}"#), Some("b"), "duplicate_field");
    assert!(matches!(scan(CHAT, b"{\"model\":\"\xff\"}"), Err(DecodeError::Utf8 { at: 10 })));
}

#[track_caller]
fn check_unbounded(body: &str, why: Option<Unbounded>) {
    assert_eq!(scanned(body).size.unbounded, why, "{body}");
}

#[test]
fn what_has_no_bound_says_why() {
    check_unbounded(&with(""), None);
    check_unbounded(&with(r#","temperature":1,"unheard_of":null,"stop":["a"],"metadata":{"k":"v"}"#), None);
    check_unbounded(&with(r#","unheard_of":1"#), Some(Unbounded::UnknownPart));
    check_unbounded(&with(r#","prediction":{"type":"content","content":"x"}"#), Some(Unbounded::UnknownPart));
    check_unbounded(&with(r#","web_search_options":{}"#), Some(Unbounded::ServerTool));
    check_unbounded(&with(r#","tools":[{"type":"openrouter:web_search"}]"#), Some(Unbounded::ServerTool));
    check_unbounded(&with(r#","tools":[{"type":"function","function":{"name":"f"}}]"#), None);
    check_unbounded(&with(r#","modalities":["text"],"audio":null"#), None);
    check_unbounded(&with(r#","modalities":["text","audio"]"#), Some(Unbounded::Audio));
    check_unbounded(
        &content(r#"[{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]"#),
        Some(Unbounded::Audio),
    );
    check_unbounded(&content(r#"[{"type":"file","file":{"file_id":"f"}}]"#), Some(Unbounded::StoredFile));
    check_unbounded(
        &content(r#"[{"type":"file","file":{"file_data":"data:application/pdf;base64,AA"}}]"#),
        Some(Unbounded::Document),
    );
    check_unbounded(
        &content(r#"[{"type":"image_url","image_url":{"url":"https://e/x.png"}}]"#),
        Some(Unbounded::RemoteUrl),
    );
    check_unbounded(&content(r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]"#), None);
    check_unbounded(
        &content(r#"[{"type":"video_url","video_url":{"url":"data:video/mp4;base64,AA"}}]"#),
        Some(Unbounded::UnknownPart),
    );
    check_unbounded(
        r#"{"model":"m","messages":[{"role":"assistant","audio":{"id":"a"}}]}"#,
        Some(Unbounded::StoredFile),
    );
    check_unbounded(
        r#"{"model":"m","messages":[{"role":"user","content":"x","attachments":[1]}]}"#,
        Some(Unbounded::UnknownPart),
    );
}

#[test]
fn only_text_counts_as_text() {
    let image = content(
        r#"[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}]"#,
    );
    let size = scanned(&image).size;
    assert_eq!((size.text_bytes, size.images), (4, 1));
    let tool = r#"{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}"#;
    let size = scanned(&with(&format!(r#","tools":[ {tool} ]"#))).size;
    assert_eq!((size.text_bytes, size.tools), (2 + 2 + tool.len() as u64, 1));
    let call = r#"{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"i","type":"function",
        "function":{"name":"f","arguments":"{\"a\":1}"}}]}]}"#;
    assert_eq!(scanned(call).size.text_bytes, ("i".len() + "function".len() + "f".len() + r#"{\"a\":1}"#.len()) as u64);
}

#[test]
fn other_models_in_the_body_are_shown() {
    assert_eq!(scanned(&with(r#","models":["dear","dearer"]"#)).other_models, ["dear", "dearer"]);
    check_refused(&with(r#","Models":["dear"]"#), Some("Models"), "unknown_parameter");
}

#[track_caller]
fn check_splice(body: &str, edits: &Edits<'_>, expected: &str) {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let written = splice(CHAT, &bytes, &scanned(body), edits);
    assert_eq!(str::from_utf8(&written).unwrap(), expected);
    let again = scanned(expected);
    assert_eq!(again.model, edits.model.map_or_else(|| scanned(body).model, str::to_owned));
    assert!(edits.max_output.is_none_or(|limit| again.max_output <= Some(limit)));
}

#[test]
fn without_edits_the_same_bytes_come_back() {
    let edits = Edits { model: Some("m"), ask_usage: true, ..Edits::default() };
    for fields in [r#" , "x" : 1 "#, r#","stream":true,"stream_options":{"include_usage":true}"#] {
        let body = Bytes::from(with(fields));
        let written = splice(CHAT, &body, &scan(CHAT, &body).unwrap(), &edits);
        assert_eq!(written.as_ptr(), body.as_ptr(), "{fields}");
    }
}

#[test]
fn the_model_is_replaced_in_place() {
    let edits = Edits { model: Some("a \"new\" one"), ..Edits::default() };
    check_splice(
        r#"{ "messages":[] , "model" : "old" , "é":null}"#,
        &edits,
        r#"{ "messages":[] , "model" : "a \"new\" one" , "é":null}"#,
    );
}

#[test]
fn the_limit_is_set_when_absent_and_lowered_when_above() {
    let limit = |tokens, limit_field| Edits { max_output: Some(tokens), limit_field, ..Edits::default() };
    let (new, old) = (LimitField::MaxCompletionTokens, LimitField::MaxTokens);
    check_splice(
        r#"{"model":"m","messages":[]}"#,
        &limit(9, new),
        r#"{"max_completion_tokens":9,"model":"m","messages":[]}"#,
    );
    check_splice(r#"{"model":"m","messages":[]}"#, &limit(9, old), r#"{"max_tokens":9,"model":"m","messages":[]}"#);
    check_splice(
        r#"{"model":"m","max_tokens": null ,"messages":[]}"#,
        &limit(9, old),
        r#"{"model":"m","max_tokens": 9 ,"messages":[]}"#,
    );
    check_splice(
        r#"{"model":"m","max_tokens":null,"messages":[]}"#,
        &limit(9, new),
        r#"{"max_completion_tokens":9,"model":"m","max_tokens":null,"messages":[]}"#,
    );
    check_splice(
        r#"{"max_tokens":10,"model":"m","messages":[]}"#,
        &limit(9, new),
        r#"{"max_tokens":9,"model":"m","messages":[]}"#,
    );
    check_splice(
        r#"{"max_tokens":8,"model":"m","messages":[]}"#,
        &limit(9, new),
        r#"{"max_tokens":8,"model":"m","messages":[]}"#,
    );
    check_splice(
        r#"{"max_tokens":10,"model":"m","messages":[],"max_completion_tokens":10}"#,
        &limit(9, new),
        r#"{"max_tokens":9,"model":"m","messages":[],"max_completion_tokens":9}"#,
    );
}

#[test]
fn usage_is_asked_for_in_every_form_the_body_has() {
    let ask = Edits { ask_usage: true, ..Edits::default() };
    let body = |options: &str| format!(r#"{{"stream":true,"model":"m","messages":[]{options}}}"#);
    check_splice(
        &body(""),
        &ask,
        r#"{"stream_options":{"include_usage":true},"stream":true,"model":"m","messages":[]}"#,
    );
    for (options, expected) in [
        ("null", r#"{"include_usage":true}"#),
        ("{ }", r#"{"include_usage":true }"#),
        (r#"{"a":1}"#, r#"{"include_usage":true,"a":1}"#),
        (r#"{"a":1,"include_usage": false }"#, r#"{"a":1,"include_usage": true }"#),
        (r#"{"include_usage":null}"#, r#"{"include_usage":true}"#),
        (r#"{"include_usage":true}"#, r#"{"include_usage":true}"#),
    ] {
        let body = |options: &str| body(&format!(r#","stream_options":{options}"#));
        check_splice(&body(options), &ask, &body(expected));
    }
}
