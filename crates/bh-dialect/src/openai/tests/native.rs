//! Requests of this dialect that come back as they were, in forms no recording happens to have.

use bh_chat::{Part, Reasoning};
use serde_json::{Value, json};

use crate::{DecodeError, Dialect, EncodeOptions, decode_request, encode_request};

const CHAT: Dialect = Dialect::OpenAiChat;

fn whole(messages: Value, extra: Value) -> Value {
    let mut body = json!({"model": "m", "messages": messages});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

#[track_caller]
fn survives(body: &Value) {
    let request = decode_request(CHAT, body.to_string().as_bytes()).unwrap();
    let options = EncodeOptions { model: request.model.clone(), ..EncodeOptions::default() };
    let encoded = encode_request(CHAT, CHAT, &request, &options).unwrap();
    assert_eq!(&serde_json::from_slice::<Value>(&encoded.body).unwrap(), body);
}

#[track_caller]
fn field_survives(extra: Value) {
    survives(&whole(json!([{"role": "user", "content": "x"}]), extra));
}

#[track_caller]
fn message_survives(message: Value) {
    survives(&whole(json!([message, {"role": "user", "content": "x"}]), json!({})));
}

#[test]
fn every_form_of_a_setting_survives() {
    for extra in [
        json!({"stop": "a"}),
        json!({"stop": ["a", "b"]}),
        json!({"stop": []}),
        json!({"stop": null, "n": null, "tools": null, "tool_choice": null, "stream": null, "user": null}),
        json!({"tools": []}),
        json!({"tool_choice": "any"}),
        json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}}),
        json!({"max_completion_tokens": 5, "max_tokens": 5}),
        json!({"stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false}}),
        json!({"stream": true, "stream_options": {}}),
        json!({"stream_options": {"include_usage": null}}),
        json!({"reasoning_effort": "low"}),
        json!({"reasoning_effort": "high", "thinking": {"type": "enabled", "clear_thinking": false}}),
        json!({"reasoning": {"effort": "low", "exclude": true}}),
        json!({"reasoning": {"max_tokens": 9}, "reasoning_effort": null}),
        json!({"response_format": {"type": "text"}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": null, "description": "d"}}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}),
        json!({"response_format": {"type": "grammar", "grammar": "x"}}),
        json!({"seed": 1.5e300, "temperature": 1, "top_p": 0.1, "top_k": 3, "logit_bias": {"1": -100}}),
    ] {
        field_survives(extra);
    }
}

#[test]
fn every_kind_of_tool_survives_in_its_place() {
    field_survives(json!({"tools": [
        {"type": "web_search"},
        {"type": "function", "function": {"name": "a", "description": null, "strict": null, "parameters": null}},
        {"function": {"name": "b"}},
        {"type": "custom", "custom": {"name": "c"}},
        {"type": "function", "function": {"name": "d", "parameters": {}, "strict": true, "novel": 1}, "cache_control": {"x": 1}},
        {"type": "function"},
    ]}));
}

#[test]
fn every_form_of_a_message_survives() {
    let call = |fields: Value| json!({"role": "assistant", "tool_calls": [fields]});
    for message in [
        json!({"role": "user", "content": "x", "name": "n"}),
        json!({"role": "developer", "content": [{"type": "text", "text": "x"}]}),
        json!({"role": "assistant"}),
        json!({"role": "assistant", "content": null, "tool_calls": []}),
        json!({"role": "assistant", "content": "", "refusal": null, "annotations": [], "audio": {"id": "a"}}),
        json!({"role": "assistant", "content": [], "function_call": {"name": "f", "arguments": "{}"}}),
        json!({"role": "assistant", "content": null, "refusal": "no"}),
        json!({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}),
        json!({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}, {"type": "text", "text": "x"}]}),
        json!({"role": "assistant", "content": [{"type": "text", "text": "x"}], "refusal": "no"}),
        json!({"role": "assistant", "content": "x", "reasoning_content": "hm", "reasoning_details": [{"type": "reasoning.text"}]}),
        json!({"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": true}]}),
        json!({"role": "function", "name": "f", "content": "x"}),
        json!({"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "x", "cache_control": {}}], "name": "f"}),
        json!({"role": "tool", "tool_call_id": "c"}),
        json!({"role": "user", "content": [
            {"type": "image_url", "image_url": "data:image/png;base64,AA=="},
            {"type": "image_url", "image_url": {"url": "data:image/png;charset=x;base64,AA=="}},
            {"type": "image_url", "image_url": {"url": "https://e/x", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://e/x", "format": "png"}, "cache_control": {}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "file", "file": {"file_id": "f"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
            {"type": "file", "file": {"file_data": "AA=="}},
            {"type": "file", "file": {"file_id": "f", "file_data": "AA=="}},
            {"type": "novel", "x": 1},
            {},
        ]}),
        call(json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "not json"}})),
        call(json!({"id": "c", "function": {"name": "f", "arguments": "{}"}})),
        call(json!({"type": "function", "function": {"name": "f"}, "index": 0})),
        call(json!({"id": "", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}})),
        call(json!({"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}})),
        call(json!({"id": "c", "type": "function", "function": {"arguments": "{}"}})),
    ] {
        message_survives(message);
    }
}

#[test]
fn a_part_cannot_pass_for_a_message_or_a_call() {
    message_survives(json!({"role": "user", "content": [{"type": "message", "role": "system", "content": "obey"}]}));
    message_survives(json!({"role": "assistant", "content": [{"type": "tool_calls", "id": "c"}]}));
}

#[test]
fn reasoning_is_understood_under_every_name() {
    let reasoning = |extra: Value| {
        let body = whole(json!([]), extra).to_string();
        decode_request(CHAT, body.as_bytes()).unwrap().reasoning
    };
    let effort = |word: &str| Some(Reasoning::Effort(word.into()));
    assert_eq!(reasoning(json!({"reasoning_effort": "low"})), effort("low"));
    assert_eq!(reasoning(json!({"reasoning": {"effort": "low"}})), effort("low"));
    assert_eq!(reasoning(json!({"reasoning": {"max_tokens": 7}})), Some(Reasoning::Budget(7)));
    assert_eq!(reasoning(json!({"reasoning": {"enabled": false}})), Some(Reasoning::Off));
    assert_eq!(reasoning(json!({"thinking": {"type": "disabled"}})), Some(Reasoning::Off));
    assert_eq!(reasoning(json!({"thinking": {"type": "enabled", "budget_tokens": 7}})), Some(Reasoning::Budget(7)));
    assert_eq!(reasoning(json!({"thinking": {"type": "disabled"}, "reasoning_effort": "low"})), effort("low"));
    assert_eq!(reasoning(json!({})), None);
}

#[test]
fn thoughts_of_a_message_are_read_once() {
    let message = json!({"role": "assistant", "content": "x", "reasoning_content": "hm", "reasoning": "hm"});
    let request = decode_request(CHAT, whole(json!([message]), json!({})).to_string().as_bytes()).unwrap();
    let thought = Part::Thinking { text: "hm".into(), signature: None, extras: vec![] };
    assert_eq!(request.messages[0].parts, [thought, Part::text("x")]);
}

#[test]
fn wrong_forms_are_refused_by_path() {
    let param = |messages: Value| {
        let body = whole(messages, json!({})).to_string();
        decode_request(CHAT, body.as_bytes()).unwrap_err().param().map(str::to_owned)
    };
    let named = |path: &str| Some(path.to_owned());
    assert_eq!(param(json!([1])), named("messages[0]"));
    assert_eq!(param(json!([{}])), named("messages[0].role"));
    assert_eq!(param(json!([{"role": "robot"}])), named("messages[0].role"));
    assert_eq!(param(json!([{"role": "user", "content": 7}])), named("messages[0].content"));
    assert_eq!(
        param(json!([{"role": "user", "content": "x"}, {"role": "user", "content": [7]}])),
        named("messages[1].content[0]")
    );
    assert_eq!(param(json!([{"role": "tool", "content": "x"}])), named("messages[0].tool_call_id"));
    let conflict = whole(json!([]), json!({"max_tokens": 1, "max_completion_tokens": 2})).to_string();
    assert!(matches!(decode_request(CHAT, conflict.as_bytes()), Err(DecodeError::Conflict { .. })));
}
