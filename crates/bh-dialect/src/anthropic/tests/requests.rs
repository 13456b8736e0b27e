//! Requests: nothing lost, nothing misread.

use bh_base::{Overheads, Unbounded};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Recording, expected_usage, recordings};
use crate::{DecodeError, Dialect, Edits, EncodeOptions, Scan, decode_request, encode_request, scan, splice};

const NATIVE: Dialect = Dialect::AnthropicMessages;

fn requests() -> Vec<Recording> {
    let mut all = recordings("anthropic/messages");
    all.extend(recordings("anthropic/count_tokens"));
    all.retain(|recording| recording.request["body"].is_object());
    all
}

/// Decodes a request, encodes it again and compares the two as values.
#[track_caller]
fn survives(body: &Value, name: &str) {
    let request = decode_request(NATIVE, body.to_string().as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let options = EncodeOptions { model: request.model.clone(), ..EncodeOptions::default() };
    let encoded = encode_request(NATIVE, NATIVE, &request, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
    let again: Value = serde_json::from_slice(&encoded.body).expect("the encoder writes JSON");
    assert_eq!(&again, body, "{name}");
    assert_eq!(encoded.warnings, [], "{name}");
}

fn scanned(body: &Value) -> Scan {
    scan(NATIVE, body.to_string().as_bytes()).expect("a good request")
}

fn minimal(extra: Value) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

#[test]
fn every_recorded_request_survives_decode_and_encode() {
    for recording in requests() {
        survives(&recording.request["body"], &recording.name);
    }
}

#[test]
fn every_field_and_form_survives() {
    let blocks = json!([
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}, "citations": null},
        {"type": "text", "text": "b", "citations": []},
        {"type": "text", "text": "c", "citations": [{"type": "char_location", "cited_text": "x", "document_index": 0}]},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://e/x.png"}, "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "image", "source": {"type": "hologram", "data": 1}},
        {"type": "image", "source": {"type": "url", "url": "https://e/x.png", "new": 1}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "t"}, "title": "T"},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JV"},
         "title": null, "context": "c", "citations": {"enabled": true}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
        {"type": "container_upload", "file_id": "file_2"},
        {"type": "tool_result", "tool_use_id": "1"},
        {"type": "tool_result", "tool_use_id": "2", "content": "", "is_error": true},
        {"type": "tool_result", "tool_use_id": "3", "content": []},
        {"type": "tool_result", "tool_use_id": "4", "content": null},
        {"type": "tool_result", "tool_use_id": "5", "is_error": false, "cache_control": {"type": "ephemeral"},
         "content": [{"type": "text", "text": "r"}, {"type": "image", "source": {"type": "url", "url": "https://e"}}]}
    ]);
    let said = json!([
        {"type": "thinking", "thinking": "", "signature": "sig"},
        {"type": "thinking", "thinking": "t"},
        {"type": "redacted_thinking", "data": "xx"},
        {"type": "redacted_thinking", "data": "xx", "new": 1},
        {"type": "tool_use", "id": "1", "name": "f", "input": {"big": 12345678901234567u64, "n": 1.50}, "caller": {}},
        {"type": "server_tool_use", "id": "2", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "2", "content": []}
    ]);
    let everything = json!({
        "model": "claude", "max_tokens": 9, "stream": true, "temperature": 0.25, "top_p": 0.9, "top_k": 5,
        "system": [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "two"}],
        "messages": [
            {"role": "user", "content": blocks},
            {"role": "assistant", "content": said, "id": "kept"},
            {"role": "system", "content": "late"},
            {"role": "user", "content": "again"},
            {"role": "user", "content": "and again"}
        ],
        "stop_sequences": ["a", "b"], "service_tier": "auto", "container": "c1", "inference_geo": "us", "speed": "fast",
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "mcp_servers": [{"type": "url", "url": "https://mcp", "name": "m"}], "betas": ["x-2026"],
        "metadata": {"user_id": "u", "more": 1}, "cache_control": {"type": "ephemeral"}, "a_new_field": {"x": [null]},
        "tools": [
            {"name": "f", "description": "", "input_schema": {"type": "object"}, "strict": true, "defer_loading": true},
            {"type": "web_search_20260209", "name": "web_search", "max_uses": null},
            {"type": "custom", "name": "g", "input_schema": {}, "cache_control": {"type": "ephemeral"}},
            {"type": "bash_20250124", "name": "bash"},
            {"name": "h"}
        ],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "high", "task_budget": {"type": "tokens", "total": 20000},
                          "format": {"type": "json_schema", "schema": {"type": "object"}}}
    });
    survives(&everything, "everything");
}

#[test]
fn every_shape_of_a_setting_survives() {
    for extra in [
        json!({"system": "text"}),
        json!({"system": []}),
        json!({"system": null}),
        json!({"thinking": {"type": "disabled"}}),
        json!({"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}}),
        json!({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}),
        json!({"thinking": null, "temperature": null, "stop_sequences": null, "tools": null, "tool_choice": null}),
        json!({"output_config": {"task_budget": {"total": 1}}}),
        json!({"output_config": {"format": {"type": "json_schema", "schema": {}, "new": true}, "effort": "max"}}),
        json!({"output_config": null}),
        json!({"output_format": {"type": "json_schema", "schema": {"type": "object"}}}),
        json!({"output_format": {"type": "json_schema", "schema": {}}, "output_config": {"effort": "low"}}),
        json!({"output_format": {"type": "later"}}),
        json!({"stop_sequences": [], "tools": [], "metadata": {}}),
        json!({"metadata": {"user_id": "u"}}),
        json!({"metadata": {"user_id": null}}),
        json!({"tool_choice": {"type": "auto"}, "stream": false}),
        json!({"tool_choice": {"type": "any", "disable_parallel_tool_use": false}}),
        json!({"tool_choice": {"type": "none"}}),
        json!({"tool_choice": {"type": "later", "x": 1}}),
        json!({"max_tokens": null}),
    ] {
        survives(&minimal(extra.clone()), &extra.to_string());
    }
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    let check = |extra: Value, field: &str| {
        let error = decode_request(NATIVE, minimal(extra).to_string().as_bytes()).expect_err(field);
        assert_eq!(error.param(), Some(field), "{error}");
    };
    check(json!({"model": 1}), "model");
    check(json!({"messages": {}}), "messages");
    check(json!({"messages": [{"role": "robot", "content": ""}]}), "messages[0].role");
    check(json!({"messages": [{"role": "user"}]}), "messages[0].content");
    check(json!({"messages": [{"role": "user", "content": [{"text": "x"}]}]}), "messages[0].content[0].type");
    check(json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}), "messages[0].content[0].text");
    check(json!({"tools": [{"input_schema": {}}]}), "tools[0].name");
}

#[test]
fn the_scan_agrees_with_the_tree_on_every_recording() {
    for recording in requests() {
        let body = &recording.request["body"];
        let found = scanned(body);
        let name = &recording.name;
        assert_eq!(Some(found.model.as_str()), body["model"].as_str(), "{name}");
        assert_eq!(found.stream, body["stream"] == true, "{name}");
        assert_eq!(found.max_output, body["max_tokens"].as_u64(), "{name}");
        assert_eq!(found.size.tools as usize, body["tools"].as_array().map_or(0, Vec::len), "{name}");
        assert_eq!(found.size.cache_writes, body.to_string().contains("cache_control"), "{name}");
        assert_eq!(&body.to_string()[found.model_span.clone()], body["model"].to_string(), "{name}");
    }
}

#[test]
fn the_bound_of_a_prompt_is_above_what_was_billed() {
    // Modest allowances; the catalog's own are measured per model.
    let overheads = Overheads {
        base: 16,
        per_message: 16,
        tool_prompt: 600,
        per_tool: 100,
        per_feature: 400,
        per_image: Some(1600),
        non_ascii_growth: 1,
    };
    for recording in requests().iter().filter(|recording| recording.response["body"]["usage"].is_object()) {
        let size = scanned(&recording.request["body"]).size;
        let billed = expected_usage(&recording.response["body"]["usage"]).prompt_tokens();
        if let Ok(upper) = size.tokens_upper(&overheads) {
            assert!(billed <= upper, "{}: {billed} billed, {upper} held, {size:?}", recording.name);
        }
    }
}

#[test]
fn what_has_no_bound_says_why() {
    let content = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    let source = |kind: &str, source: Value| content(json!({"type": kind, "source": source}));
    for (extra, why) in [
        (json!({}), None),
        (json!({"tools": [{"name": "web_search", "type": "web_search_20250305"}]}), Some(Unbounded::ServerTool)),
        (json!({"tools": [{"type": "custom", "name": "f", "input_schema": {}}]}), None),
        (json!({"mcp_servers": [{"url": "https://x"}]}), Some(Unbounded::ServerTool)),
        (json!({"mcp_servers": [], "context_management": null, "speed": "standard"}), None),
        (json!({"speed": "fast"}), Some(Unbounded::UnknownPart)),
        (json!({"inference_geo": "us"}), Some(Unbounded::UnknownPart)),
        (json!({"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}), None),
        (json!({"context_management": {"edits": [{"type": "compact_20260112"}]}}), Some(Unbounded::UnknownPart)),
        (json!({"a_new_field": 1}), Some(Unbounded::UnknownPart)),
        (source("image", json!({"data": "AA", "type": "base64"})), None),
        (source("image", json!({"type": "url", "url": "https://x"})), Some(Unbounded::RemoteUrl)),
        (source("document", json!({"data": "AA", "type": "base64"})), Some(Unbounded::Document)),
        (source("document", json!({"data": "some text", "type": "text"})), None),
        (source("document", json!({"file_id": "f", "type": "file"})), Some(Unbounded::StoredFile)),
        (content(json!({"type": "web_search_tool_result", "content": []})), Some(Unbounded::UnknownPart)),
    ] {
        assert_eq!(scanned(&minimal(extra.clone())).size.unbounded, why, "{extra}");
    }
}

#[test]
fn base64_is_no_text_and_plain_documents_are() {
    let size = |source: Value| {
        let block = json!({"type": "document", "source": source});
        scanned(&minimal(json!({"messages": [{"role": "user", "content": [block]}]}))).size.text_bytes
    };
    assert_eq!(size(json!({"data": "12345678", "media_type": "application/pdf", "type": "base64"})), 0);
    assert_eq!(size(json!({"data": "12345678", "media_type": "text/plain", "type": "text"})), 8);
    assert_eq!(size(json!({"type": "content", "content": [{"type": "text", "text": "123"}]})), 3);
}

#[test]
fn every_block_with_marks_of_the_providers_own_counts_as_a_message() {
    let blocks = json!([{"type": "text", "text": ""}, {"type": "tool_use", "id": "", "name": "", "input": {}},
                        {"type": "tool_result", "tool_use_id": ""}, {"type": "document", "source": {"type": "text"}}]);
    let found = scanned(&minimal(json!({"system": "s", "messages": [{"role": "user", "content": blocks}]})));
    assert_eq!(
        (found.size.messages, found.size.text_bytes),
        (5, 5),
        "three of the quoted system prompt, two of the empty input"
    );
}

#[test]
fn models_named_inside_tools_are_found() {
    let found = scanned(&minimal(json!({"tools": [{"type": "advisor_20260301", "name": "a", "model": "dear"}]})));
    assert_eq!(found.other_models, ["dear"]);
    assert!(found.needs.server_tools && !found.needs.tools);
}

#[test]
fn the_scan_is_strict() {
    let check = |body: &str, expected: DecodeError| assert_eq!(scan(NATIVE, body.as_bytes()), Err(expected), "{body}");
    let lookalike = |field: &str, known| DecodeError::Lookalike { field: field.into(), known };
    check(r#"{"model":"m","Model":"n","messages":[]}"#, lookalike("Model", "model"));
    check(r#"{"model":"m","messages":[],"Max_tokens":1}"#, lookalike("Max_tokens", "max_tokens"));
    check(r#"{"model":"m","model":"n","messages":[]}"#, DecodeError::Duplicate { field: "model".into() });
    check(r#"{"model":"m"}"#, DecodeError::Missing { field: "messages".into() });
    check(r#"{"messages":[]}"#, DecodeError::Missing { field: "model".into() });
    let whole = DecodeError::Wrong { field: "max_tokens".into(), expected: "a whole number" };
    check(r#"{"model":"m","max_tokens":1.5,"messages":[]}"#, whole);
}

#[test]
fn a_splice_changes_only_what_it_must() {
    let check = |body: &str, edits: Edits<'_>, expected: &str| {
        let found = scan(NATIVE, body.as_bytes()).expect("a good request");
        assert_eq!(splice(NATIVE, &Bytes::copy_from_slice(body.as_bytes()), &found, &edits), expected);
    };
    let body = "{ \"max_tokens\" : 900 ,\"messages\":[ ],  \"model\" : \"a\\u0062\" }";
    check(body, Edits { model: Some("ab"), ..Edits::default() }, body);
    let renamed = "{ \"max_tokens\" : 900 ,\"messages\":[ ],  \"model\" : \"c\" }";
    check(body, Edits { model: Some("c"), ..Edits::default() }, renamed);
    let lowered = "{ \"max_tokens\" : 800 ,\"messages\":[ ],  \"model\" : \"a\\u0062\" }";
    check(body, Edits { max_output: Some(800), ask_usage: true, ..Edits::default() }, lowered);
    check(body, Edits { max_output: Some(1000), ..Edits::default() }, body);
    let (without, with) = ("{\"model\":\"m\",\"messages\":[]}", "{\"max_tokens\":7,\"model\":\"m\",\"messages\":[]}");
    check(without, Edits { max_output: Some(7), ..Edits::default() }, with);
}
