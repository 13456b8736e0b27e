//! OpenAI chat completions, and the habits of those who copy them.

use serde_json::Value;

use super::{Call, Choice, Finish, Said, Spent, Told, arguments, text_at};

/// A choice while its deltas arrive.
#[derive(Default)]
struct Growing {
    index: u64,
    text: String,
    refusal: String,
    reasoning: String,
    calls: Vec<GrowingCall>,
    finish: Option<String>,
}

#[derive(Default)]
struct GrowingCall {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

pub(super) fn plain(value: &Value) -> Result<Said, String> {
    let choices = value["choices"].as_array().ok_or("the answer has no `choices`")?;
    let choices = choices.iter().map(|choice| {
        let mut growing = Growing::default();
        growing.take(&choice["message"]);
        let word = choice["finish_reason"].as_str().or(choice.pointer("/finish_details/type").and_then(Value::as_str));
        growing.finish = word.map(str::to_owned);
        growing.grown()
    });
    Ok(Said {
        id: text_at(value, "id"),
        model: text_at(value, "model"),
        choices: choices.collect(),
        spent: Spent::of_openai(&value["usage"]),
    })
}

pub(super) fn stream(events: &[(String, String)], strict: bool) -> Result<Told, String> {
    let mut said = Said::default();
    let mut choices: Vec<Growing> = Vec::new();
    let mut done = false;
    for (at, (_, data)) in events.iter().enumerate() {
        if data.trim() == "[DONE]" {
            done = true;
            continue;
        }
        if data.trim().is_empty() {
            continue;
        }
        let chunk: Value = serde_json::from_str(data).map_err(|error| format!("event {at} is not JSON: {error}"))?;
        if strict {
            promised(&chunk, at, done, &choices)?;
        }
        let listed = chunk["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        // An opening chunk without choices (Azure's filter results) names no model.
        if said.id.is_empty() && !listed.is_empty() {
            said.id = text_at(&chunk, "id");
        }
        if said.model.is_empty() && !listed.is_empty() {
            said.model = text_at(&chunk, "model");
        }
        for choice in listed {
            let index = choice["index"].as_u64().unwrap_or(0);
            let place = choices.iter().position(|known| known.index == index).unwrap_or_else(|| {
                choices.push(Growing { index, ..Growing::default() });
                choices.len() - 1
            });
            choices[place].take(&choice["delta"]);
            if let Some(word) = choice["finish_reason"].as_str().filter(|word| !word.is_empty()) {
                choices[place].finish = Some(word.to_owned());
            }
        }
        let report = if chunk["usage"].is_object() { &chunk["usage"] } else { &chunk["x_groq"]["usage"] };
        said.spent = Spent::of_openai(report).or(said.spent);
    }
    if strict && !done {
        return Err("the stream does not end with [DONE]".to_owned());
    }
    if !done && choices.iter().all(|choice| choice.finish.is_none()) {
        return Ok(Told::Broken { message: None });
    }
    choices.sort_by_key(|choice| choice.index);
    said.choices = choices.into_iter().map(Growing::grown).collect();
    Ok(Told::Answer(said))
}

/// What clients rely on in every chunk of ours.
fn promised(chunk: &Value, at: usize, done: bool, choices: &[Growing]) -> Result<(), String> {
    if done {
        return Err(format!("event {at} comes after [DONE]"));
    }
    if chunk["object"] != "chat.completion.chunk" {
        return Err(format!("event {at} is no `chat.completion.chunk`"));
    }
    let listed = chunk["choices"].as_array().ok_or(format!("event {at} has no list of choices"))?;
    if chunk["usage"].is_object() && !listed.is_empty() {
        return Err(format!("event {at} has usage beside choices"));
    }
    for choice in listed {
        let index = choice["index"].as_u64().ok_or(format!("event {at} has a choice without an index"))?;
        match choices.iter().find(|known| known.index == index) {
            None if choice["delta"]["role"] != "assistant" => {
                return Err(format!("the first chunk of choice {index} has no role"));
            }
            Some(known) if known.finish.is_some() => {
                return Err(format!("event {at} goes on with choice {index} after its finish"));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

impl Growing {
    fn take(&mut self, said: &Value) {
        match &said["content"] {
            Value::String(text) => self.text.push_str(text),
            Value::Array(parts) => parts.iter().for_each(|part| self.part(part)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
        self.refusal.push_str(said["refusal"].as_str().unwrap_or_default());
        self.reason(said);
        for call in said["tool_calls"].as_array().into_iter().flatten() {
            self.call(call);
        }
        let call = &said["function_call"];
        if call["name"].as_str().is_some_and(|name| !name.is_empty()) {
            self.calls.push(GrowingCall {
                name: text_at(call, "name"),
                arguments: text_at(call, "arguments"),
                ..GrowingCall::default()
            });
        }
    }

    fn part(&mut self, part: &Value) {
        if part["type"] == "thinking" {
            match &part["thinking"] {
                Value::String(text) => self.reasoning.push_str(text),
                Value::Array(pieces) => {
                    pieces.iter().for_each(|piece| self.reasoning.push_str(piece["text"].as_str().unwrap_or_default()));
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
            }
        } else if let Some(text) = part["text"].as_str() {
            self.text.push_str(text);
        }
    }

    /// Several spellings say the same thing, so the first that says anything counts.
    fn reason(&mut self, said: &Value) {
        let plain = ["reasoning_content", "reasoning"]
            .iter()
            .find_map(|field| said[field].as_str().filter(|text| !text.is_empty()));
        if let Some(text) = plain {
            self.reasoning.push_str(text);
            return;
        }
        for detail in said["reasoning_details"].as_array().into_iter().flatten() {
            let text = detail["text"].as_str().or(detail["summary"].as_str());
            self.reasoning.push_str(text.unwrap_or_default());
        }
    }

    fn call(&mut self, call: &Value) {
        let (index, id) = (call["index"].as_u64(), text_at(call, "id"));
        let same = |known: &&mut GrowingCall| known.index == index && (id.is_empty() || known.id == id);
        let known = if index.is_some() { self.calls.iter_mut().rev().find(same) } else { None };
        let name = text_at(&call["function"], "name");
        let text = match &call["function"]["arguments"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            object @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => object.to_string(),
        };
        match known {
            Some(known) => known.arguments.push_str(&text),
            None => self.calls.push(GrowingCall { index, id, name, arguments: text }),
        }
    }

    fn grown(self) -> Choice {
        let calls: Vec<Call> = self
            .calls
            .into_iter()
            .map(|call| Call { id: call.id, name: call.name, arguments: arguments(&call.arguments) })
            .collect();
        let finish = match self.finish.as_deref().unwrap_or("stop") {
            "stop" | "eos" | "" if !self.refusal.is_empty() => Finish::Declined,
            "stop" | "eos" | "" if !calls.is_empty() => Finish::Calls,
            "stop" | "eos" | "" => Finish::Stop,
            "length" | "max_tokens" => Finish::Length,
            "tool_calls" | "function_call" => Finish::Calls,
            "content_filter" => Finish::Declined,
            other => Finish::Other(other.to_owned()),
        };
        Choice { text: self.text + &self.refusal, reasoning: self.reasoning, calls, finish }
    }
}
