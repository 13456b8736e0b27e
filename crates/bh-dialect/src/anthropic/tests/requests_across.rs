//! Requests of OpenAI chat in this dialect: exact, or refused by name.

use serde_json::{Value, json};

use super::recordings;
use crate::{Dialect, EncodeOptions, Encoded, OnUnsupported, Unsupported, decode_request, encode_request};

const OURS: Dialect = Dialect::AnthropicMessages;
const OTHER: Dialect = Dialect::OpenAiChat;

fn encode(body: &Value, policy: OnUnsupported, model: &str) -> Result<Encoded, Unsupported> {
    let request = decode_request(OTHER, body.to_string().as_bytes()).expect("a good request");
    let options = EncodeOptions {
        model: model.into(),
        max_output_default: Some(8192),
        on_unsupported: policy,
        ..EncodeOptions::default()
    };
    encode_request(OURS, OTHER, &request, &options)
}

/// A chat completions request as the messages request it becomes, and what was left out.
fn translated(extra: Value) -> (Value, Vec<String>) {
    let mut body = json!({"model": "x", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    let encoded = encode(&body, OnUnsupported::Warn, "claude-haiku-4-5").unwrap_or_else(|e| panic!("{extra}: {e}"));
    let written = serde_json::from_slice(&encoded.body).expect("JSON");
    (written, encoded.warnings.into_iter().map(|warning| warning.field).collect())
}

/// Checks that a request becomes `expected` beside model, limit and messages, and leaves nothing out.
#[track_caller]
fn becomes(extra: Value, expected: Value) {
    let (mut written, warnings) = translated(extra.clone());
    let fields = written.as_object_mut().expect("an object");
    for base in ["model", "max_tokens", "messages"] {
        assert!(fields.remove(base).is_some(), "{base}");
    }
    assert_eq!((&written, warnings), (&expected, Vec::new()), "{extra}");
}

/// Checks that a request is refused by this name whatever the policy.
#[track_caller]
fn refused(extra: Value, field: &str) {
    let mut body = json!({"model": "x", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    let refusal = encode(&body, OnUnsupported::Drop, "claude-haiku-4-5").expect_err(field);
    assert_eq!(refusal.field, field);
}

/// Checks that a parameter is left out by this name, or the request refused if the caller wants that.
#[track_caller]
fn left_out(extra: Value, field: &str) {
    let (written, warnings) = translated(extra.clone());
    assert_eq!(warnings, [field], "{extra}");
    assert!(written.get(field).is_none(), "{extra}");
    let mut body = json!({"model": "x", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    let refusal = encode(&body, OnUnsupported::Reject, "claude-haiku-4-5").expect_err(field);
    assert_eq!(refusal.field, field);
}

#[test]
fn parameters_have_their_counterparts() {
    becomes(json!({}), json!({}));
    becomes(json!({"stop": "a"}), json!({"stop_sequences": ["a"]}));
    becomes(json!({"stop": ["a", "b"], "stream": true}), json!({"stop_sequences": ["a", "b"], "stream": true}));
    becomes(
        json!({"user": "u", "temperature": 0.5, "top_p": 0.1}),
        json!({"metadata": {"user_id": "u"}, "temperature": 0.5, "top_p": 0.1}),
    );
    becomes(json!({"service_tier": "auto"}), json!({"service_tier": "auto"}));
    becomes(json!({"service_tier": "default"}), json!({"service_tier": "standard_only"}));
    becomes(
        json!({"n": 1, "seed": null, "logprobs": false, "store": false, "modalities": ["text"],
                   "frequency_penalty": 0, "presence_penalty": 0.0, "stream_options": {"include_usage": true}}),
        json!({}),
    );
    becomes(json!({"reasoning_effort": "low"}), json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}));
    becomes(json!({"reasoning_effort": "none"}), json!({}));
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    becomes(
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}}),
        json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
    );
    becomes(json!({"response_format": {"type": "text"}}), json!({}));
}

#[test]
fn tools_and_their_choice_have_their_counterparts() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let given = json!([
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": true}},
        {"type": "function", "function": {"name": "g", "parameters": {"properties": {}}}},
        {"type": "function", "function": {"name": "h"}}
    ]);
    let tools = json!([
        {"name": "f", "description": "d", "strict": true, "input_schema": schema},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        {"name": "h", "input_schema": {"type": "object", "properties": {}}}
    ]);
    let check = |extra: Value, choice: Option<Value>| {
        let mut body = json!({"tools": given});
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        let mut expected = json!({"tools": tools});
        if let Some(choice) = choice {
            expected["tool_choice"] = choice;
        }
        becomes(body, expected);
    };
    check(json!({}), None);
    check(json!({"parallel_tool_calls": true}), None);
    let lone_auto = json!({"type": "auto", "disable_parallel_tool_use": true});
    check(json!({"parallel_tool_calls": false}), Some(lone_auto));
    check(json!({"tool_choice": "auto"}), Some(json!({"type": "auto"})));
    check(json!({"tool_choice": "none", "parallel_tool_calls": false}), Some(json!({"type": "none"})));
    let lone = json!({"type": "any", "disable_parallel_tool_use": true});
    check(json!({"tool_choice": "required", "parallel_tool_calls": false}), Some(lone));
    let named = json!({"type": "function", "function": {"name": "g"}});
    check(json!({"tool_choice": named}), Some(json!({"type": "tool", "name": "g"})));
    refused(json!({"tools": given, "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}), "tool_choice");
}

#[test]
fn what_would_change_the_answer_is_refused() {
    refused(json!({"n": 2}), "n");
    refused(json!({"response_format": {"type": "json_object"}}), "response_format");
    refused(json!({"modalities": ["text", "audio"]}), "modalities");
    refused(json!({"audio": {"voice": "alloy"}}), "audio");
    refused(json!({"web_search_options": {}, "user": "u"}), "web_search_options");
    refused(json!({"functions": [{"name": "f"}]}), "functions");
    refused(json!({"tools": [{"type": "custom", "custom": {"name": "c"}}]}), "tools[0]");
    let content = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    refused(
        content(json!({"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}})),
        "messages[0].content[0]",
    );
    refused(content(json!({"type": "file", "file": {"file_id": "f"}})), "messages[0].content[0]");
    refused(
        content(json!({"type": "file", "file": {"file_data": "data:text/csv;base64,QQ=="}})),
        "messages[0].content[0]",
    );
    refused(content(json!({"type": "image_url", "image_url": {"url": "ftp://x/y.png"}})), "messages[0].content[0]");
    refused(content(json!({"type": "later"})), "messages[0].content[0]");
    let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":"}});
    let history = json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]},
                                      {"role": "tool", "tool_call_id": "1", "content": "r"}]});
    refused(history, "messages[1].tool_calls[0].function.arguments");
    refused(json!({"messages": [{"role": "system", "content": "alone"}]}), "messages");
    let begun = json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "and"}]);
    refused(json!({"messages": begun}), "messages[1]");
}

#[test]
fn parameters_without_a_counterpart_are_left_out_by_name() {
    left_out(json!({"seed": 7}), "seed");
    left_out(json!({"logprobs": true}), "logprobs");
    left_out(json!({"logit_bias": {"1": 5}}), "logit_bias");
    left_out(json!({"frequency_penalty": 0.5}), "frequency_penalty");
    left_out(json!({"presence_penalty": -1}), "presence_penalty");
    left_out(json!({"temperature": 1.5}), "temperature");
    left_out(json!({"service_tier": "flex"}), "service_tier");
    left_out(json!({"prompt_cache_key": "k"}), "prompt_cache_key");
    left_out(json!({"metadata": {"a": "b"}}), "metadata");
    left_out(json!({"reasoning_effort": "low", "temperature": 0.5}), "temperature");
    left_out(json!({"reasoning_effort": "low", "max_completion_tokens": 512}), "reasoning_effort");
    left_out(json!({"messages": [{"role": "user", "content": "x", "name": "bob"}]}), "messages[0].name");
    left_out(
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "late"}]}),
        "messages[1].role",
    );
    let image = json!({"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "high"}});
    left_out(json!({"messages": [{"role": "user", "content": [image]}]}), "messages[0].content[0].image_url.detail");
}

#[test]
fn a_conversation_with_tools_becomes_alternating_turns() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let (written, warnings) = translated(json!({"messages": [
        {"role": "system", "content": "be brief"},
        {"role": "developer", "content": [{"type": "text", "text": "and kind", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": "one"},
        {"role": "user", "content": [
            {"type": "text", "text": "two"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}}
        ]},
        {"role": "assistant", "content": "", "refusal": null, "tool_calls": [call("a.1", "{\"x\": 1.50}"), call("b", "")]},
        {"role": "tool", "tool_call_id": "a.1", "content": "first"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "second"}]},
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": ""}
    ]}));
    assert_eq!(warnings, [""; 0]);
    let text = |text: &str| json!({"type": "text", "text": text});
    let cached = json!({"type": "text", "text": "and kind", "cache_control": {"type": "ephemeral"}});
    assert_eq!(written["system"], json!([text("be brief"), cached]));
    assert_eq!(
        written["messages"],
        json!([
            {"role": "user", "content": [
                text("one"),
                text("two"),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "document", "title": "a.pdf",
                 "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a_1", "name": "f", "input": {"x": 1.5}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a_1", "content": "first"},
                {"type": "tool_result", "tool_use_id": "b", "content": [text("second")]},
                text("go on")
            ]},
            {"role": "user", "content": ""}
        ])
    );
}

#[test]
fn the_limit_is_the_clients_or_the_callers() {
    let limit = |extra: Value| translated(extra).0["max_tokens"].clone();
    assert_eq!(limit(json!({"max_tokens": 5})), 5);
    assert_eq!(limit(json!({"max_completion_tokens": 6})), 6);
    assert_eq!(limit(json!({})), 8192);
    let request = decode_request(OTHER, br#"{"model":"x","max_tokens":900,"messages":[{"role":"user","content":""}]}"#);
    let options = EncodeOptions { max_output_cap: Some(100), ..EncodeOptions::default() };
    let capped = encode_request(OURS, OTHER, &request.expect("a good request"), &options).expect("plain");
    let written: Value = serde_json::from_slice(&capped.body).expect("JSON");
    assert_eq!(written["max_tokens"], 100);
}

#[test]
fn newer_models_think_adaptively() {
    let body = json!({"model": "x", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "high",
                      "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}});
    let encoded = encode(&body, OnUnsupported::Reject, "claude-opus-4-8").expect("all of it can be said");
    let written: Value = serde_json::from_slice(&encoded.body).expect("JSON");
    assert_eq!(written["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    assert_eq!(written["output_config"], json!({"effort": "high", "format": {"type": "json_schema", "schema": {}}}));
}

#[test]
fn signed_thoughts_come_back_and_unsigned_ones_stay_behind() {
    let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let result = json!({"role": "tool", "tool_call_id": "1", "content": "r"});
    let history = |thought: Value| {
        let mut said = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        said.as_object_mut().expect("an object").extend(thought.as_object().expect("an object").clone());
        json!({"reasoning_effort": "low", "messages": [{"role": "user", "content": "x"}, said, result]})
    };
    let detail =
        json!({"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0});
    let (written, warnings) = translated(history(json!({"reasoning_content": "hm", "reasoning_details": [detail]})));
    assert_eq!(warnings, [""; 0]);
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    assert_eq!(written["messages"][1]["content"][0], thought);
    assert_eq!(written["thinking"]["type"], "enabled");
    let (written, warnings) = translated(history(json!({"reasoning_content": "hm"})));
    assert_eq!(warnings, ["messages[1].reasoning_content", "reasoning_effort"]);
    assert_eq!(written["messages"][1]["content"][0]["type"], "tool_use");
    assert!(written.get("thinking").is_none());
}

#[test]
fn every_recorded_openai_request_is_said_or_refused_by_name() {
    for recording in recordings("openai/chat_completions") {
        let body = &recording.request["body"];
        if !body["messages"].is_array() {
            continue;
        }
        match encode(body, OnUnsupported::Warn, "claude-haiku-4-5") {
            Err(refusal) => println!("{}: {refusal}", recording.name),
            Ok(encoded) => {
                crate::scan(OURS, &encoded.body).unwrap_or_else(|error| panic!("{}: {error}", recording.name));
                let written: Value = serde_json::from_slice(&encoded.body).expect("JSON");
                let roles: Vec<&str> =
                    written["messages"].as_array().expect("turns").iter().filter_map(|m| m["role"].as_str()).collect();
                assert!(roles.windows(2).all(|pair| pair[0] != pair[1]), "{}: {roles:?}", recording.name);
            }
        }
    }
}

/// Every text a value holds under one of these names, outside its tools.
fn texts_of(value: &Value, names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, inner) in value.as_object().into_iter().flatten().filter(|(name, _)| *name != "tools") {
        if let Some(text) = inner.as_str().filter(|_| names.contains(&name.as_str())) {
            found.push(text.to_owned());
        }
        found.extend(texts_of(inner, names));
    }
    found.extend(value.as_array().into_iter().flatten().flat_map(|inner| texts_of(inner, names)));
    found.sort();
    found
}

#[test]
fn every_recorded_request_is_said_to_openai_or_refused_by_name() {
    let mut said = 0;
    for recording in recordings("anthropic/messages") {
        let body = &recording.request["body"];
        if !body.is_object() {
            continue;
        }
        let request = decode_request(OURS, body.to_string().as_bytes()).expect("a good request");
        let options = EncodeOptions { model: "gpt-5".into(), ..EncodeOptions::default() };
        match encode_request(OTHER, OURS, &request, &options) {
            Err(refusal) => println!("{}: {refusal}", recording.name),
            Ok(encoded) => {
                said += 1;
                crate::scan(OTHER, &encoded.body).unwrap_or_else(|error| panic!("{}: {error}", recording.name));
                let written: Value = serde_json::from_slice(&encoded.body).expect("JSON");
                let names = ["text", "content"];
                assert_eq!(texts_of(&written, &names), texts_of(body, &names), "{}", recording.name);
            }
        }
    }
    assert!(said == 0 || 8 <= said, "most plain requests can be said: {said}");
}

#[test]
fn what_a_coding_agent_sends_can_be_said_to_openai() {
    let body = json!({
        "model": "x", "max_tokens": 32000, "stream": true, "temperature": 1,
        "system": [{"type": "text", "text": "agent", "cache_control": {"type": "ephemeral"}}],
        "metadata": {"user_id": "u"}, "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "go"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "t2", "name": "f", "input": {"a": 1}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "two"}]},
                {"type": "text", "text": "and?"}
            ]}
        ]
    });
    let request = decode_request(OURS, body.to_string().as_bytes()).expect("a good request");
    let options = EncodeOptions { model: "gpt-5".into(), ask_usage: true, ..EncodeOptions::default() };
    let encoded = encode_request(OTHER, OURS, &request, &options).expect("all that matters can be said");
    let written: Value = serde_json::from_slice(&encoded.body).expect("JSON");
    let roles: Vec<&str> =
        written["messages"].as_array().expect("a list").iter().filter_map(|m| m["role"].as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user"], "{written}");
    assert_eq!(written["reasoning_effort"], "high");
    assert_eq!(written["max_completion_tokens"], 32000);
    assert_eq!(written["messages"][2]["tool_calls"][1]["function"]["arguments"], "{\"a\":1}");
    let warnings: Vec<&str> = encoded.warnings.iter().map(|warning| warning.field.as_str()).collect();
    assert_eq!(warnings, ["system[0].cache_control", "messages[1].content[0]", "tools[0].cache_control"]);
}
