//! Small requests of our own, one for each line of the list of exceptions, so that every line is proven by every run,
//! whatever the folder holds.

use bh_dialect::Dialect;
use serde_json::{Value, json};

use crate::case::other;
use crate::exceptions::Exception;

/// A request that one dialect can make and the other cannot take.
pub(crate) struct Crafted {
    /// What must come of it.
    pub(crate) exception: Exception,
    /// The dialect it is in.
    pub(crate) dialect: Dialect,
    /// The request; its model stands for the target's.
    pub(crate) body: Value,
}

/// All of them.
#[must_use]
pub(crate) fn all() -> Vec<Crafted> {
    let mut all = Vec::new();
    let mut add = |what, dialect: Dialect, capability: &str, fields: Value| {
        let mut exception = Exception { what, target: dialect.as_str(), capability: capability.to_owned() };
        if !exception.is_native() {
            exception.target = other(dialect).as_str();
        }
        let smallest = match dialect {
            Dialect::OpenAiChat => json!({"messages": [{"role": "user", "content": "hello"}]}),
            Dialect::AnthropicMessages => {
                json!({"max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]})
            }
        };
        all.push(Crafted { exception, dialect, body: with(smallest, fields) });
    };
    for (what, capability, fields) in chat_only() {
        add(what, Dialect::OpenAiChat, capability, fields);
    }
    for (what, capability, fields) in messages_only() {
        add(what, Dialect::AnthropicMessages, capability, fields);
    }
    for (capability, fields) in chat_without_bound() {
        add("unbounded", Dialect::OpenAiChat, capability, fields);
    }
    for (capability, fields) in messages_without_bound() {
        add("unbounded", Dialect::AnthropicMessages, capability, fields);
    }
    for dialect in [Dialect::OpenAiChat, Dialect::AnthropicMessages] {
        add("malformed", dialect, "request", json!({"messages": ["hello"]}));
    }
    all
}

/// A user's turn of one part.
fn turn(part: Value) -> Value {
    json!({"messages": [{"role": "user", "content": [part]}]})
}

/// What chat completions can ask and messages cannot.
fn chat_only() -> Vec<(&'static str, &'static str, Value)> {
    let called = |arguments: &str| {
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}});
        json!({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "done"}]})
    };
    let image = |url: &str| turn(json!({"type": "image_url", "image_url": {"url": url}}));
    let file = |data: &str| turn(json!({"type": "file", "file": {"filename": "a", "file_data": data}}));
    let sound = json!({"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA"}});
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}});
    vec![
        ("refused", "choices", json!({"n": 2})),
        ("refused", "server_tool", json!({"web_search_options": {}})),
        ("refused", "custom_tool", json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]})),
        ("refused", "tool_choice", json!({"tools": tools, "tool_choice": allowed})),
        ("refused", "audio", turn(sound)),
        ("refused", "image", image("file:///a.png")),
        ("refused", "document", file("data:text/csv;base64,YSxi")),
        ("refused", "format", json!({"response_format": {"type": "json_object"}})),
        ("refused", "stored_file", turn(json!({"type": "file", "file": {"file_id": "file-1"}}))),
        ("refused", "content", called("{\"cut\": ")),
        (
            "refused",
            "history",
            json!({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "I"}]}),
        ),
        ("left_out", "parameter", json!({"seed": 1})),
        ("left_out", "reasoning", json!({"model": "claude-3-5-haiku-20241022", "reasoning_effort": "high"})),
        (
            "left_out",
            "history",
            json!({"messages": [{"role": "user", "content": "hello"}, {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "again"}]}),
        ),
    ]
}

/// What messages can ask and chat completions cannot.
fn messages_only() -> Vec<(&'static str, &'static str, Value)> {
    let result = |part: Value| {
        let call = json!({"type": "tool_use", "id": "c", "name": "f", "input": {}});
        json!({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": [call]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [part]}]}]})
    };
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let stored = json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}});
    let page = json!({"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}});
    let cited = json!({"type": "document", "citations": {"enabled": true},
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}});
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let quoted = json!({"type": "text", "text": "so", "citations": [{"type": "char_location", "cited_text": "so",
        "document_index": 0, "document_title": null, "start_char_index": 0, "end_char_index": 2}]});
    vec![
        ("refused", "server_tool", json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]})),
        ("refused", "stored_file", turn(stored)),
        ("refused", "image", result(image)),
        ("refused", "document", turn(page)),
        ("refused", "citations", turn(cited)),
        ("refused", "content", turn(json!({"type": "unheard_of"}))),
        ("refused", "format", json!({"tools": [{"name": "f", "strict": true, "input_schema": open}]})),
        (
            "refused",
            "history",
            json!({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "I"}]}),
        ),
        ("left_out", "parameter", json!({"top_k": 5})),
        (
            "left_out",
            "reasoning",
            json!({"messages": [{"role": "user", "content": "hello"},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "yes"}]},
                {"role": "user", "content": "go on"}]}),
        ),
        (
            "left_out",
            "citations",
            json!({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": [quoted]},
                {"role": "user", "content": "go on"}]}),
        ),
    ]
}

/// Chat completions whose cost nobody can bound.
fn chat_without_bound() -> Vec<(&'static str, Value)> {
    let image = |url: &str| turn(json!({"type": "image_url", "image_url": {"url": url}}));
    let sound = json!({"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA"}});
    vec![
        ("server_tool", json!({"web_search_options": {}})),
        ("remote_url", image("https://example.com/a.png")),
        ("image", image("data:image/png;base64,AAAA")),
        ("stored_file", turn(json!({"type": "file", "file": {"file_id": "file-1"}}))),
        ("document", turn(json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}))),
        ("audio", turn(sound)),
        ("unknown_part", turn(json!({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}))),
    ]
}

/// Messages whose cost nobody can bound.
fn messages_without_bound() -> Vec<(&'static str, Value)> {
    let source = |kind: &str, source: Value| turn(json!({"type": kind, "source": source}));
    let inline = |media: &str| json!({"type": "base64", "media_type": media, "data": "AAAA"});
    vec![
        ("server_tool", json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]})),
        ("remote_url", source("image", json!({"type": "url", "url": "https://example.com/a.png"}))),
        ("image", source("image", inline("image/png"))),
        ("stored_file", source("image", json!({"type": "file", "file_id": "file_1"}))),
        ("document", source("document", inline("application/pdf"))),
        ("unknown_part", turn(json!({"type": "unheard_of"}))),
    ]
}

fn with(mut request: Value, fields: Value) -> Value {
    if let (Some(request), Value::Object(fields)) = (request.as_object_mut(), fields) {
        request.extend(fields);
    }
    request
}

/// The smallest answer of a dialect.
#[must_use]
pub(crate) fn answer(dialect: Dialect) -> Value {
    match dialect {
        Dialect::OpenAiChat => json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }),
        Dialect::AnthropicMessages => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }),
    }
}
