//! Small, well-formed answers of the two big dialects, for tests that care about what goes wrong around them.

use std::fmt::Write;

use serde_json::{Value, json};

/// What an answer says it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// Prompt tokens.
    pub input: u64,
    /// Answer tokens.
    pub output: u64,
}

/// A plain chat completion.
#[must_use]
pub fn openai(model: &str, text: &str, tokens: Tokens) -> String {
    json!({
        "id": "chatcmpl-scripted", "object": "chat.completion", "created": 1_700_000_000, "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": openai_usage(tokens),
    })
    .to_string()
}

/// A streamed chat completion, one chunk per piece; the usage chunk comes if `usage` is given.
#[must_use]
pub fn openai_stream(model: &str, pieces: &[&str], usage: Option<Tokens>) -> String {
    let chunk = |choices: Value, usage: Value| {
        json!({
            "id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": model,
            "choices": choices, "usage": usage,
        })
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut out = String::new();
    let role = json!({"role": "assistant", "content": ""});
    event(&mut out, None, &chunk(choice(role, Value::Null), Value::Null));
    for piece in pieces {
        event(&mut out, None, &chunk(choice(json!({ "content": piece }), Value::Null), Value::Null));
    }
    event(&mut out, None, &chunk(choice(json!({}), json!("stop")), Value::Null));
    if let Some(tokens) = usage {
        event(&mut out, None, &chunk(json!([]), openai_usage(tokens)));
    }
    out.push_str("data: [DONE]\n\n");
    out
}

/// A plain Anthropic message.
#[must_use]
pub fn anthropic(model: &str, text: &str, tokens: Tokens) -> String {
    json!({
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": tokens.input, "output_tokens": tokens.output},
    })
    .to_string()
}

/// A streamed Anthropic message, one delta per piece.
#[must_use]
pub fn anthropic_stream(model: &str, pieces: &[&str], tokens: Tokens) -> String {
    let mut out = String::new();
    let mut say = |kind: &'static str, mut value: Value| {
        value["type"] = json!(kind);
        event(&mut out, Some(kind), &value);
    };
    let message = json!({
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": tokens.input, "output_tokens": 1},
    });
    say("message_start", json!({ "message": message }));
    say("content_block_start", json!({"index": 0, "content_block": {"type": "text", "text": ""}}));
    for piece in pieces {
        say("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": piece}}));
    }
    say("content_block_stop", json!({"index": 0}));
    let end = json!({"stop_reason": "end_turn", "stop_sequence": null});
    say("message_delta", json!({"delta": end, "usage": {"output_tokens": tokens.output}}));
    say("message_stop", json!({}));
    out
}

fn openai_usage(tokens: Tokens) -> Value {
    json!({
        "prompt_tokens": tokens.input, "completion_tokens": tokens.output, "total_tokens": tokens.input + tokens.output,
    })
}

fn event(out: &mut String, name: Option<&str>, data: &Value) {
    if let Some(name) = name {
        writeln!(out, "event: {name}").expect("a string takes every write");
    }
    write!(out, "data: {data}\n\n").expect("a string takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::read_all;

    const TOKENS: Tokens = Tokens { input: 5, output: 2 };

    #[test]
    fn an_openai_stream_carries_its_pieces_usage_and_end() {
        let (items, rest) = read_all(openai_stream("m", &["a", "b"], Some(TOKENS)).as_bytes());
        assert!(rest.is_empty());
        let text: String = items
            .iter()
            .filter_map(|item| item.json()?.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned))
            .collect();
        assert_eq!(text, "ab");
        assert_eq!(items[4].json().unwrap().pointer("/usage/total_tokens"), Some(&json!(7)));
        assert_eq!(items.last().unwrap().data(), Some("[DONE]"));
    }

    #[test]
    fn an_anthropic_stream_names_its_events() {
        let (items, _) = read_all(anthropic_stream("m", &["a"], TOKENS).as_bytes());
        let named = |item: &crate::sse::Item| matches!(item, crate::sse::Item::Event { event, .. } if item.json().unwrap()["type"] == **event);
        assert!(items.iter().all(named));
        assert_eq!(items.len(), 6);
    }
}
