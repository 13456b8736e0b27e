//! One answer in four shapes: OpenAI's and Anthropic's, plain and streamed.

use std::fmt::Write;

use serde_json::{Value, json};

/// Tokens every scripted answer says its prompt had.
pub(crate) const INPUT_TOKENS: u64 = 21;
/// Tokens every scripted answer says it has itself.
pub(crate) const OUTPUT_TOKENS: u64 = 9;

/// Which dialect a provider or a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    OpenAi,
    Anthropic,
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) input: Value,
}

/// What the model says.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// Text, in these pieces when streamed.
    Text(Vec<String>),
    /// Calls of tools.
    Calls(Vec<Call>),
    /// It declines.
    Refusal(String),
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    /// The word used in names and tables.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

impl Say {
    pub(crate) fn text(text: &str) -> Self {
        // Where it is cut does not matter, as long as it is cut.
        Self::Text(text.split_inclusive(' ').map(str::to_owned).collect())
    }
}

/// The answer as one JSON value.
pub(crate) fn plain(family: Family, model: &str, say: &Say) -> String {
    match family {
        Family::OpenAi => openai_plain(model, say),
        Family::Anthropic => anthropic_plain(model, say),
    }
    .to_string()
}

/// The answer as a stream of events; `asked_usage` matters to OpenAI only.
pub(crate) fn stream(family: Family, model: &str, say: &Say, asked_usage: bool) -> String {
    let mut events = beginning(family, model);
    events.push_str(&middle(family, model, say));
    match family {
        Family::OpenAi => {
            event(&mut events, &openai_chunk(model, &json!({}), Some(openai_finish(say))));
            if asked_usage {
                let mut usage = openai_chunk(model, &json!({}), None);
                usage["choices"] = json!([]);
                usage["usage"] = openai_usage();
                event(&mut events, &usage);
            }
            events.push_str("data: [DONE]\n\n");
        }
        Family::Anthropic => {
            let (reason, details) = anthropic_stop(say);
            let delta = json!({"stop_reason": reason, "stop_sequence": null, "stop_details": details});
            let usage = json!({"output_tokens": OUTPUT_TOKENS});
            event(&mut events, &json!({"type": "message_delta", "delta": delta, "usage": usage}));
            event(&mut events, &json!({"type": "message_stop"}));
        }
    }
    events
}

/// How a stream begins, before anything is said.
pub(crate) fn beginning(family: Family, model: &str) -> String {
    let mut events = String::new();
    match family {
        Family::OpenAi => event(&mut events, &openai_chunk(model, &json!({"role": "assistant", "content": ""}), None)),
        Family::Anthropic => {
            let usage = json!({"input_tokens": INPUT_TOKENS, "output_tokens": 1});
            let message = json!({
                "id": "msg_scripted", "type": "message", "role": "assistant", "model": model, "content": [],
                "stop_reason": null, "stop_sequence": null, "usage": usage,
            });
            event(&mut events, &json!({"type": "message_start", "message": message}));
        }
    }
    events
}

/// One delta of text; the first of an Anthropic stream needs [`open_text`] before it.
pub(crate) fn text_delta(family: Family, model: &str, text: &str) -> String {
    let mut events = String::new();
    match family {
        Family::OpenAi => event(&mut events, &openai_chunk(model, &json!({"content": text}), None)),
        Family::Anthropic => {
            let delta = json!({"type": "text_delta", "text": text});
            event(&mut events, &json!({"type": "content_block_delta", "index": 0, "delta": delta}));
        }
    }
    events
}

/// Opens the text of a stream; nothing where the dialect has no such event.
pub(crate) fn open_text(family: Family) -> String {
    let mut events = String::new();
    if family == Family::Anthropic {
        let block = json!({"type": "text", "text": ""});
        event(&mut events, &json!({"type": "content_block_start", "index": 0, "content_block": block}));
    }
    events
}

/// An error in the middle of a stream that began with 200.
pub(crate) fn stream_error(family: Family, message: &str) -> String {
    let mut events = String::new();
    let error = match family {
        Family::OpenAi => {
            json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}})
        }
        Family::Anthropic => json!({"type": "error", "error": {"type": "api_error", "message": message}}),
    };
    event(&mut events, &error);
    events
}

fn middle(family: Family, model: &str, say: &Say) -> String {
    let mut events = String::new();
    match (family, say) {
        (_, Say::Text(pieces)) => {
            events.push_str(&open_text(family));
            pieces.iter().for_each(|piece| events.push_str(&text_delta(family, model, piece)));
            if family == Family::Anthropic {
                event(&mut events, &json!({"type": "content_block_stop", "index": 0}));
            }
        }
        (Family::OpenAi, Say::Calls(calls)) => {
            for (at, call) in calls.iter().enumerate() {
                let begun = json!({"index": at, "id": call.id, "type": "function",
                                   "function": {"name": call.name, "arguments": ""}});
                event(&mut events, &openai_chunk(model, &json!({"tool_calls": [begun]}), None));
                for piece in pieces(&call.input.to_string()) {
                    let more = json!({"index": at, "function": {"arguments": piece}});
                    event(&mut events, &openai_chunk(model, &json!({"tool_calls": [more]}), None));
                }
            }
        }
        (Family::OpenAi, Say::Refusal(text)) => {
            event(&mut events, &openai_chunk(model, &json!({"refusal": text}), None));
        }
        (Family::Anthropic, Say::Calls(calls)) => {
            for (at, call) in calls.iter().enumerate() {
                let block = json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
                event(&mut events, &json!({"type": "content_block_start", "index": at, "content_block": block}));
                for piece in pieces(&call.input.to_string()) {
                    let delta = json!({"type": "input_json_delta", "partial_json": piece});
                    event(&mut events, &json!({"type": "content_block_delta", "index": at, "delta": delta}));
                }
                event(&mut events, &json!({"type": "content_block_stop", "index": at}));
            }
        }
        (Family::Anthropic, Say::Refusal(_)) => {}
    }
    events
}

fn openai_plain(model: &str, say: &Say) -> Value {
    let message = match say {
        Say::Text(pieces) => json!({"role": "assistant", "content": pieces.concat(), "refusal": null}),
        Say::Refusal(text) => json!({"role": "assistant", "content": null, "refusal": text}),
        Say::Calls(calls) => {
            let calls: Vec<_> = calls
                .iter()
                .map(|call| {
                    let function = json!({"name": call.name, "arguments": call.input.to_string()});
                    json!({"id": call.id, "type": "function", "function": function})
                })
                .collect();
            json!({"role": "assistant", "content": null, "tool_calls": calls})
        }
    };
    json!({
        "id": "chatcmpl-scripted", "object": "chat.completion", "created": 1_700_000_000, "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": openai_finish(say)}],
        "usage": openai_usage(),
    })
}

fn anthropic_plain(model: &str, say: &Say) -> Value {
    let content: Vec<_> = match say {
        Say::Text(pieces) => vec![json!({"type": "text", "text": pieces.concat()})],
        Say::Refusal(_) => Vec::new(),
        Say::Calls(calls) => calls
            .iter()
            .map(|call| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}))
            .collect(),
    };
    let (reason, details) = anthropic_stop(say);
    json!({
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": reason, "stop_sequence": null, "stop_details": details,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    })
}

fn openai_chunk(model: &str, delta: &Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
}

fn openai_finish(say: &Say) -> &'static str {
    match say {
        Say::Text(_) | Say::Refusal(_) => "stop",
        Say::Calls(_) => "tool_calls",
    }
}

fn openai_usage() -> Value {
    let total = INPUT_TOKENS + OUTPUT_TOKENS;
    json!({"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": total})
}

fn anthropic_stop(say: &Say) -> (&'static str, Value) {
    match say {
        Say::Text(_) => ("end_turn", Value::Null),
        Say::Calls(_) => ("tool_use", Value::Null),
        Say::Refusal(text) => ("refusal", json!({"type": "refusal", "category": null, "explanation": text})),
    }
}

/// Argument text in pieces that break inside words and numbers.
fn pieces(text: &str) -> Vec<String> {
    text.chars().collect::<Vec<_>>().chunks(7).map(|chunk| chunk.iter().collect()).collect()
}

fn event(out: &mut String, data: &Value) {
    if let Some(name) = data["type"].as_str() {
        writeln!(out, "event: {name}").expect("a string takes every write");
    }
    write!(out, "data: {data}\n\n").expect("a string takes every write");
}
