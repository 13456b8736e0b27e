//! What a request asks for, in words both dialects have, read without any crate of the product. Two requests with the
//! same gist ask for the same thing.

use bh_dialect::Dialect;
use serde_json::{Value, json};

use crate::ask::first_difference;

/// How a request went through the other dialect: what differs between the recorded one and the one the provider got.
/// Fields named in `left_out` may be missing; limits, streams and fields only one dialect has are not compared.
#[must_use]
pub(crate) fn changed(dialect: Dialect, recorded: &Value, arrived: &Value, left_out: &[String]) -> Option<String> {
    let (mut one, mut two) = (gist(dialect, recorded), gist(dialect, arrived));
    if one["limit"].is_null() {
        two["limit"] = Value::Null;
    }
    // What a client leaves unsaid is `auto`, where there are tools.
    for gist in [&mut one, &mut two] {
        if gist["choice"].is_null() && gist["tools"].as_array().is_some_and(|tools| !tools.is_empty()) {
            gist["choice"] = json!("auto");
        }
    }
    let forgiven = |field: &str| left_out.iter().any(|path| path.contains(field));
    for field in ["temperature", "top_p", "stop", "limit", "choice", "tools", "schema", "turns"] {
        if forgiven(field) || (field == "limit" && forgiven("max_")) || (field == "choice" && forgiven("tool_choice")) {
            one[field] = Value::Null;
            two[field] = Value::Null;
        }
    }
    (one != two).then(|| first_difference(&one, &two, ""))
}

fn gist(dialect: Dialect, request: &Value) -> Value {
    match dialect {
        Dialect::OpenAiChat => openai(request),
        Dialect::AnthropicMessages => anthropic(request),
    }
}

/// Turns while they are read; neighbours of one voice are one turn, and white space between their texts is free.
#[derive(Default)]
struct Turns {
    system: String,
    turns: Vec<Value>,
}

impl Turns {
    fn turn(&mut self, voice: &str) -> &mut Value {
        if self.turns.last().is_none_or(|last| last["voice"] != voice) {
            self.turns.push(json!({"voice": voice, "text": "", "media": [], "calls": [], "results": []}));
        }
        let last = self.turns.len() - 1;
        &mut self.turns[last]
    }

    fn text(&mut self, voice: &str, text: &str) {
        let solid: String = text.split_whitespace().collect();
        if voice == "system" {
            self.system.push_str(&solid);
        } else if !solid.is_empty() {
            let turn = self.turn(voice);
            turn["text"] = json!(turn["text"].as_str().unwrap_or_default().to_owned() + &solid);
        }
    }

    fn add(&mut self, voice: &str, list: &str, item: Value) {
        if let Some(items) = self.turn(voice)[list].as_array_mut() {
            items.push(item);
        }
    }
}

fn openai(request: &Value) -> Value {
    let mut turns = Turns::default();
    for message in request["messages"].as_array().into_iter().flatten() {
        let voice = match message["role"].as_str().unwrap_or_default() {
            "system" | "developer" => "system",
            "assistant" => "assistant",
            _ => "user",
        };
        if message["role"] == "tool" {
            let result = json!({"id": message["tool_call_id"], "text": words(&message["content"])});
            turns.add(voice, "results", result);
            continue;
        }
        match &message["content"] {
            Value::String(text) => turns.text(voice, text),
            Value::Array(parts) => parts.iter().for_each(|part| openai_part(&mut turns, voice, part)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
        turns.text(voice, message["refusal"].as_str().unwrap_or_default());
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
            let arguments: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            turns.add(
                voice,
                "calls",
                json!({"id": call["id"], "name": call["function"]["name"], "arguments": arguments}),
            );
        }
    }
    let tools: Vec<Value> = request["tools"].as_array().into_iter().flatten().map(|tool| {
        let function = &tool["function"];
        json!({"name": function["name"], "description": text_of(&function["description"]), "schema": schema(&function["parameters"])})
    }).collect();
    let choice = match &request["tool_choice"] {
        Value::String(word) => json!(word),
        Value::Object(choice) => json!({"named": choice.get("function").map(|function| &function["name"])}),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Value::Null,
    };
    let limit = if request["max_completion_tokens"].is_null() {
        &request["max_tokens"]
    } else {
        &request["max_completion_tokens"]
    };
    json!({
        "system": turns.system, "turns": turns.turns, "tools": tools, "choice": choice, "limit": limit,
        "temperature": request["temperature"], "top_p": request["top_p"], "stop": list(&request["stop"]),
        "schema": schema(&request["response_format"]["json_schema"]["schema"]),
    })
}

fn openai_part(turns: &mut Turns, voice: &str, part: &Value) {
    match part["type"].as_str().unwrap_or_default() {
        "text" => turns.text(voice, part["text"].as_str().unwrap_or_default()),
        "refusal" => turns.text(voice, part["refusal"].as_str().unwrap_or_default()),
        "thinking" => {}
        "image_url" => {
            let image = &part["image_url"];
            turns.add(voice, "media", if image.is_string() { image.clone() } else { image["url"].clone() });
        }
        "file" => turns.add(voice, "media", part["file"]["file_data"].clone()),
        _ => turns.add(voice, "media", part.clone()),
    }
}

fn anthropic(request: &Value) -> Value {
    let mut turns = Turns::default();
    turns.text("system", &words(&request["system"]));
    for message in request["messages"].as_array().into_iter().flatten() {
        let voice = message["role"].as_str().unwrap_or_default();
        match &message["content"] {
            Value::String(text) => turns.text(voice, text),
            Value::Array(blocks) => blocks.iter().for_each(|block| anthropic_block(&mut turns, voice, block)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }
    let tools: Vec<Value> = request["tools"].as_array().into_iter().flatten().map(|tool| {
        json!({"name": tool["name"], "description": text_of(&tool["description"]), "schema": schema(&tool["input_schema"])})
    }).collect();
    let choice = match request["tool_choice"]["type"].as_str() {
        Some("any") => json!("required"),
        Some("tool") => json!({"named": request["tool_choice"]["name"]}),
        Some(word) => json!(word),
        None => Value::Null,
    };
    json!({
        "system": turns.system, "turns": turns.turns, "tools": tools, "choice": choice, "limit": request["max_tokens"],
        "temperature": request["temperature"], "top_p": request["top_p"], "stop": list(&request["stop_sequences"]),
        "schema": schema(format_of(request).get("schema").unwrap_or(&Value::Null)),
    })
}

fn anthropic_block(turns: &mut Turns, voice: &str, block: &Value) {
    match block["type"].as_str().unwrap_or_default() {
        "text" => turns.text(voice, block["text"].as_str().unwrap_or_default()),
        // Signed by one provider's family; worth nothing to another.
        "thinking" | "redacted_thinking" => {}
        "image" | "document" => {
            let source = &block["source"];
            let data = source["data"].as_str().unwrap_or_default();
            let inline = format!("data:{};base64,{data}", source["media_type"].as_str().unwrap_or_default());
            turns.add(voice, "media", source["url"].as_str().map_or(json!(inline), |url| json!(url)));
        }
        "tool_use" => {
            turns.add(voice, "calls", json!({"id": block["id"], "name": block["name"], "arguments": block["input"]}));
        }
        "tool_result" => {
            turns.add(voice, "results", json!({"id": block["tool_use_id"], "text": words(&block["content"])}));
        }
        _ => turns.add(voice, "media", block.clone()),
    }
}

/// The form of the answer, under its name of today or that of the beta.
fn format_of(request: &Value) -> &Value {
    let today = &request["output_config"]["format"];
    if today.is_null() { &request["output_format"] } else { today }
}

/// The words of a text or of a list of parts, without white space.
fn words(content: &Value) -> String {
    let text = match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    };
    text.split_whitespace().collect()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A tool without arguments may say so or say nothing, and messages want every tool's schema to be an object's by name.
fn schema(value: &Value) -> Value {
    match value {
        Value::Bool(true) => Value::Null,
        Value::Object(fields) => {
            let mut fields = fields.clone();
            fields.entry("type").or_insert_with(|| json!("object"));
            let fields = Value::Object(fields);
            if fields == json!({"type": "object", "properties": {}}) { Value::Null } else { fields }
        }
        Value::Null | Value::Bool(false) | Value::Number(_) | Value::String(_) | Value::Array(_) => value.clone(),
    }
}

fn list(value: &Value) -> Value {
    if value.is_string() { json!([value]) } else { value.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_conversation_has_one_gist_in_both_dialects() {
        let chat = json!({"max_tokens": 9, "stop": "x", "tool_choice": "required", "messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "ok"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]});
        let messages = json!({"max_tokens": 9, "stop_sequences": ["x"], "tool_choice": {"type": "any"}, "system": "Be brief.",
            "messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "ok"}]}]}],
            "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]});
        assert_eq!(openai(&chat), anthropic(&messages));
    }

    #[test]
    fn a_lost_word_is_seen_and_a_field_left_out_is_forgiven() {
        let request = |text: &str, temperature: f64| json!({"temperature": temperature, "messages": [{"role": "user", "content": text}]});
        let check = |two: Value, left_out: &[&str]| {
            let left_out: Vec<String> = left_out.iter().map(ToString::to_string).collect();
            changed(Dialect::OpenAiChat, &request("a b", 1.0), &two, &left_out)
        };
        assert_eq!(check(request("ab", 1.0), &[]), None);
        assert!(check(request("a", 1.0), &[]).is_some_and(|text| text.starts_with("/turns/0/text")));
        assert!(check(request("a b", 0.5), &[]).is_some());
        assert_eq!(check(request("a b", 0.5), &["temperature"]), None);
    }
}
