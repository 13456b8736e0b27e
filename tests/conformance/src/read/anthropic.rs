//! Anthropic messages.

use serde_json::{Value, json};

use super::spent::merge;
use super::{Call, Choice, Finish, Said, Spent, Told, arguments, text_at};

/// The field under which arguments that are no JSON travel, as the API itself advises.
const NO_JSON: &str = "INVALID_JSON";

pub(super) fn plain(value: &Value) -> Result<Said, String> {
    let content = value["content"].as_array().ok_or("the message has no `content`")?;
    let mut choice = Choice::default();
    for block in content {
        let input = block["input"].to_string();
        take(&mut choice, block, &input);
    }
    finish(&mut choice, value);
    Ok(Said {
        id: text_at(value, "id"),
        model: text_at(value, "model"),
        choices: vec![choice],
        spent: Spent::of_anthropic(&value["usage"]),
    })
}

pub(super) fn stream(events: &[(String, String)], strict: bool) -> Result<Told, String> {
    let mut message = json!({});
    let mut usage = json!({});
    let mut blocks: Vec<(Value, String, bool)> = Vec::new();
    let mut stopped = false;
    for (at, (name, data)) in events.iter().enumerate() {
        // A gateway in front of the recorded provider ended its stream like OpenAI's.
        if data.trim() == "[DONE]" && !strict {
            continue;
        }
        let event: Value = serde_json::from_str(data).map_err(|error| format!("event {at} is not JSON: {error}"))?;
        let kind = text_at(&event, "type");
        if strict {
            promised(at, name, &kind, stopped)?;
        }
        let index = event["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(usize::MAX);
        match kind.as_str() {
            "message_start" => {
                message = event["message"].clone();
                merge(&mut usage, &event["message"]["usage"]);
            }
            "content_block_start" => {
                if index != blocks.len() {
                    return Err(format!("event {at} opens block {index} where {} is next", blocks.len()));
                }
                blocks.push((event["content_block"].clone(), String::new(), true));
            }
            "content_block_delta" => {
                let (block, input, open) = blocks.get_mut(index).ok_or(format!("event {at} names no open block"))?;
                if strict && !*open {
                    return Err(format!("event {at} goes on with the closed block {index}"));
                }
                grow(block, input, &event["delta"]);
            }
            "content_block_stop" => {
                blocks.get_mut(index).ok_or(format!("event {at} closes no open block"))?.2 = false;
            }
            "message_delta" => {
                for field in ["stop_reason", "stop_sequence", "stop_details"] {
                    message[field] = event["delta"][field].clone();
                }
                merge(&mut usage, &event["usage"]);
            }
            "message_stop" => stopped = true,
            _ => {}
        }
    }
    if !stopped {
        return if strict {
            Err("the stream has no message_stop".to_owned())
        } else {
            Ok(Told::Broken { message: None })
        };
    }
    if strict && let Some(open) = blocks.iter().position(|block| block.2) {
        return Err(format!("block {open} is never closed"));
    }
    let mut choice = Choice::default();
    for (block, input, _) in &blocks {
        let whole = if input.is_empty() { block["input"].to_string() } else { input.clone() };
        take(&mut choice, block, &whole);
    }
    finish(&mut choice, &message);
    Ok(Told::Answer(Said {
        id: text_at(&message, "id"),
        model: text_at(&message, "model"),
        choices: vec![choice],
        spent: Spent::of_anthropic(&usage),
    }))
}

/// What clients rely on in every event of ours.
fn promised(at: usize, name: &str, kind: &str, stopped: bool) -> Result<(), String> {
    if name != kind {
        return Err(format!("event {at} is named `{name}` and says it is `{kind}`"));
    }
    if stopped {
        return Err(format!("event {at} comes after message_stop"));
    }
    if (at == 0) != (kind == "message_start") && kind != "ping" {
        return Err(format!("event {at} is `{kind}`"));
    }
    Ok(())
}

fn grow(block: &mut Value, input: &mut String, delta: &Value) {
    for field in ["text", "thinking"] {
        if let Some(more) = delta[field].as_str() {
            block[field] = Value::String(text_at(block, field) + more);
        }
    }
    if let Some(more) = delta["partial_json"].as_str() {
        input.push_str(more);
    }
}

fn take(choice: &mut Choice, block: &Value, input: &str) {
    match block["type"].as_str().unwrap_or_default() {
        "text" => choice.text.push_str(block["text"].as_str().unwrap_or_default()),
        "thinking" => choice.reasoning.push_str(block["thinking"].as_str().unwrap_or_default()),
        "tool_use" => {
            let mut arguments = arguments(input);
            if let Some(text) = arguments.get(NO_JSON).filter(|text| text.is_string()) {
                arguments = text.clone();
            }
            choice.calls.push(Call { id: text_at(block, "id"), name: text_at(block, "name"), arguments });
        }
        _ => {}
    }
}

fn finish(choice: &mut Choice, message: &Value) {
    let explanation = message.pointer("/stop_details/explanation").and_then(Value::as_str);
    choice.text.push_str(explanation.unwrap_or_default());
    choice.finish = match message["stop_reason"].as_str().unwrap_or_default() {
        "end_turn" if !choice.calls.is_empty() => Finish::Calls,
        "end_turn" | "stop_sequence" | "pause_turn" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::Calls,
        "refusal" => Finish::Declined,
        other => Finish::Other(other.to_owned()),
    };
}
